//! Every derivative against finite differences of its own function.
#![allow(clippy::unwrap_used)]

mod common;
mod implicit;
mod loss;
mod objective;
mod unrolled;
