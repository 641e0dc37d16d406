//! Laplacians of bipartite graphs: the Hessian of the entropic dual, whose edges are the entries of the plan.
//!
//! As ε falls the graph tends to a tree (a vertex of the transport polytope has n + m − 1 entries), with weights over
//! ten orders of magnitude: a diagonal preconditioner is right while rows are long, an approximate Cholesky
//! factorization after that.
//!
//! | file | holds |
//! |---|---|
//! | `graph.rs` | the graph, its product with a vector, and its Schur complement's |
//! | `backbone.rs` | what a preconditioner keeps of a graph |
//! | `cholesky.rs` | approximate Cholesky by sampled cliques |
//! | `pcg.rs` | preconditioned conjugate gradients |

mod backbone;
mod cholesky;
mod graph;
mod pcg;

pub use backbone::{Backbone, Keep};
pub use cholesky::Cholesky;
pub use graph::Bipartite;
pub use pcg::{Pcg, Solved};
