//! What the solver promises, alone and in batches.
#![allow(clippy::unwrap_used)]

mod batch;
mod common;
mod fuzz;
mod grid;
mod narrow;
mod partial;
mod reference;
