//! Every derivative against finite differences of its own function.
#![allow(clippy::unwrap_used)]

mod closed;
mod common;
mod coupling;
mod divergence;
mod implicit;
mod kernel;
mod loss;
mod objective;
mod reference_values;
mod refusals;
mod stabilized;
mod unrolled;
mod wasserstein;
