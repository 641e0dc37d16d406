//! Numerics on plain slices for optimal transport.
//!
//! This crate knows nothing of measures, problems or solvers: slices in, slices out. It is the only CPU
//! crate that contains `unsafe` code (SIMD intrinsics), and every hot loop of the workspace lives here.
//! Every kernel has a form that picks the widest instruction set of the machine and one, `*_with`, that takes
//! it as an argument, so that the paths can be checked against each other.

pub mod dispatch;
pub mod exp;
pub mod gemm;
pub mod kernel_product;
pub mod pairwise;
pub mod reduce;
mod simd;

pub use dispatch::{Isa, isa};
pub use simd::Elem;
