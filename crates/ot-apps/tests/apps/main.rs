//! The promises of the applications, by every backend and by a solver of the test's own.

mod adaptation;
mod adaptation_refusals;
mod alignment;
mod alignment_fits;
mod backends;
mod barycenters;
mod class_models;
mod colour;
mod coupling;
mod digits;
mod dissimilarity;
mod distances;
mod filter;
mod learning;
mod proportions;
mod refusals;
mod retrieval;
mod solvers;
mod stops;
mod toy;
