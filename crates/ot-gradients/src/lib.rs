//! Divergences and derivatives of optimal transport, generic over any [`Solver`](solver_api::Solver).
//!
//! A problem has several values, and each has derivatives of its own. So every derivative names its function:
//!
//! | function | by which rule | module |
//! |---|---|---|
//! | [`Solution::objective`](solver_api::Solution::objective) | envelope theorem: a subgradient for exact solvers | [`objective`] |
//! | [`Solution::transport_cost`](solver_api::Solution::transport_cost), ⟨P, C⟩ of the entropic plan | implicitly, one linear system | [`implicit`] |
//! | ⟨P, W⟩ of the entropic plan at fixed prices W, such as the mass between equal labels | the same way | [`implicit::coupling`] |
//! | W_L = ⟨P_L, C⟩ after L Sinkhorn iterations | reverse mode through the iterations | [`unrolled`] |
//! | the loss of 003 (entropy −H), normalized and relaxed | its algorithm 1 | [`loss`] |
//! | Sinkhorn divergences, of the objective or sharp | those above, three times | [`SinkhornDivergence`] |
//! | energy distance, MMD | directly | [`kernel`] |
//! | W_p | the root of the objective | [`wasserstein()`] |
//!
//! All are derived with respect to the weights a and b, the cost C and, for costs of points, X and Y. A derivative in C is
//! a [`CostGradient`], n×m rows that are computed when asked for (for the objective the plan itself), and
//! [`chain_rule`] takes it through the ground cost in O((n + m)·d) memory.
//!
//! ```
//! use ot_gradients::{SinkhornDivergence, Costs, objective};
//! use solver_api::{Ground, Measure, Problem, Reg, Solver};
//! use solver_sinkhorn::{Settings, Sinkhorn};
//!
//! let solver = Sinkhorn::new(Settings::with_reg(Reg::Absolute(0.1)))?;
//! let (x, y) = ([0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 2.0]); // two points in the plane each
//!
//! // The objective: moving a source along −∂X lowers it.
//! let problem = Problem::from_points(&[0.5, 0.5], &[0.5, 0.5], &x, &y, 2, Ground::SqEuclidean)?;
//! let solution = solver.solve(&problem)?;
//! let by_points = objective::points(&problem, &solution)?;
//! assert!(by_points.x[1] < 0.0 && by_points.y[1] > 0.0);
//!
//! // A divergence, which is 0 for equal measures.
//! let half = Measure::uniform(2)?;
//! let costs = Costs::of_points(&x, &y, 2, &Ground::SqEuclidean)?;
//! let divergence = SinkhornDivergence::new(&solver).between(&half, &half, &costs)?;
//! assert!(divergence.value > 0.0);
//! assert_eq!(divergence.points()?.x.len(), 4);
//! # Ok::<(), solver_api::Error>(())
//! ```
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

mod divergence;
mod extend;
mod ground;
pub mod implicit;
mod input;
pub mod kernel;
pub mod loss;
pub mod objective;
mod points;
mod rows;
pub mod unrolled;
mod wasserstein;

pub use divergence::{Costs, Divergence, SinkhornDivergence};
pub use ground::Slope;
pub use kernel::{Discrepancy, Kernel, discrepancy, energy_distance};
pub use objective::WeightGradient;
pub use points::{CostGradient, PointGradient, chain_rule, chain_rule_of_distance};
pub use unrolled::{Unrolled, Wanted};
pub use wasserstein::{Wasserstein, wasserstein};
