//! Numerics on plain slices for optimal transport.
//!
//! This crate knows nothing of measures, problems or solvers: slices in, slices out. It is the only CPU
//! crate that contains `unsafe` code (SIMD intrinsics), and every hot loop of the workspace lives here.

pub mod dispatch;

pub use dispatch::{Isa, isa};
