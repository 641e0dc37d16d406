//! The dual of entropic optimal transport, as numerics: accelerated scaling for large ε, and a path of sparse Newton steps
//! for any.
//!
//! This crate knows costs as matrices on the pairs that take part, weights that sum to 1, and ε; it makes no decisions about
//! problems, settings or solutions, which are the backends'. It exists apart from them because several build on it.
//!
//! | module | holds |
//! |---|---|
//! | [`dual`] | the problem, and a point on its path |
//! | [`choose`] | which method |
//! | [`scaling`] | Sinkhorn's iteration on a stored kernel with absorption: plain, over-relaxed, [`anderson`]-mixed |
//! | [`grid`] | large grids without a matrix: the log domain, ε-scaling on a pyramid of grids |
//! | [`path`] | from a large ε to the one asked for: which phase, which ε next, when to stop |
//! | [`coarse`] | the first levels on a sample |
//! | [`predict`] | the tangent of the path |
//! | [`newton`] | the Newton system, a step along its solution, and its safeguards |
//! | [`dense`] | the plan as a matrix in f32: the first phase |
//! | [`list`](mod@list) | the plan as a list of candidates: the second phase |
//! | `pairs` | what a list does with the pairs that it has chosen |
//! | `near` | the same without a matrix, and the way down on it: for grids and for points |
//! | [`lazy`] | point clouds without a matrix: few passes, driven by a coarse problem |
//! | [`laplacian`] | linear systems with the Laplacian of a bipartite graph |
//!
//! Times for n = 2000, one thread, are in `ARCHITECTURE.md`; `cargo run --release -p ot-entropic --example path` measures them.
#![forbid(unsafe_code)]

pub mod anderson;
pub mod choose;
pub mod coarse;
pub mod dense;
pub mod dual;
pub mod grid;
pub mod laplacian;
pub mod lazy;
pub mod list;
pub(crate) mod near;
pub mod newton;
pub(crate) mod pairs;
pub mod path;
pub mod predict;
pub mod scaling;
#[cfg(test)]
pub(crate) mod testing;
