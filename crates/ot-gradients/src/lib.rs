//! Divergences and derivatives of optimal transport, generic over any [`Solver`](solver_api::Solver).
//!
//! # What it needs of a solver
//! A converged solution: anything else is [`Error::NotConverged`](solver_api::Error). Potentials and `reg` in cost units
//! ([DESIGN.md, section 3]), and a plan that is that of the potentials. Derivatives of the objective are as exact as the
//! potentials, whose error is about `tol` over the smallest weight times ε: ask the solver for a tight `tol`.
//!
//! # Distance 0
//! Ground costs have a kink where two points meet, except for squares and higher powers. There the derivative counts as
//! 0, the subgradient of least norm; see `ground.rs` for each.
//!
//! [DESIGN.md, section 3]: solver_api::Potentials
#![forbid(unsafe_code)]

mod extend;
mod ground;
mod input;
pub mod implicit;
pub mod loss;
pub mod objective;
mod points;
mod rows;
pub mod unrolled;

pub use ground::Slope;
pub use objective::WeightGradient;
pub use points::{CostGradient, PointGradient, chain_rule, chain_rule_of_distance};
pub use unrolled::{Unrolled, Wanted};
