//! The promises of the applications, by every backend and by a solver of the test's own.

mod alignment;
mod alignment_fits;
mod backends;
mod barycenters;
mod class_models;
mod coupling;
mod digits;
mod distances;
mod filter;
mod learning;
mod refusals;
mod retrieval;
mod toy;
