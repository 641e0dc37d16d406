//! Every derivative against finite differences of its own function.
#![allow(clippy::unwrap_used)]

mod common;
mod loss;
mod objective;
