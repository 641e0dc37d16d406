//! The vocabulary of optimal transport, shared by every backend and application.
//!
//! A [`Problem`] states the mathematics once: two [`Measure`]s, a [`Cost`] and the condition on the marginals. A
//! [`Solver`] says how it is solved. A [`Solution`] says what came out and how good it is: its [`Certificate`] brackets
//! the optimum of the unregularized problem, whatever the solver did.
//!
//! ```
//! use solver_api::{Certificate, Plan, Potentials, Problem, SparsePlan, certify};
//!
//! let problem = Problem::from_slices(&[0.5, 0.5], &[0.25, 0.75], &[0.0, 1.0, 1.0, 0.0])?;
//! let plan = Plan::from(SparsePlan::from_triples(2, 2, vec![(0, 0, 0.25), (0, 1, 0.25), (1, 1, 0.5)])?);
//! let bracket = certify(&problem, &plan, &Potentials::new(vec![0.0, -1.0], vec![0.0, 1.0]));
//! assert_eq!(bracket, Certificate { lower: 0.25, upper: 0.25 });
//! # Ok::<(), solver_api::Error>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`measure`], [`cost`], [`problem`] | the question |
//! | [`solver`], [`context`], [`checkpoint`], [`backend`] | who answers it, under which circumstances, made from which options |
//! | [`mod@reference`] | what the entropic term is relative to |
//! | [`plan`], [`transform`], [`solution`] | the answer |
//! | [`barycenter`] | averages of measures, a capability apart |
//! | [`certificate`], [`rounding`], [`feasibility`] | the proof |
#![forbid(unsafe_code)]

pub mod backend;
pub mod barycenter;
pub mod certificate;
pub mod checkpoint;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod context;
pub mod cost;
mod environment;
mod error;
pub mod feasibility;
mod flow;
mod lanes;
pub mod measure;
mod partial;
pub mod plan;
pub mod problem;
pub mod reference;
pub mod rounding;
mod rows;
mod separable;
pub mod solution;
pub mod solver;
mod together;
pub mod transform;

pub use backend::{Factory, OptionReader, Options, Reg, SettingSpec};
pub use barycenter::{Barycenter, Barycenters};
pub use certificate::{Certificate, certify};
pub use checkpoint::Checkpoint;
pub use context::{CancelToken, Certify, Context, Observer, Progress};
pub use cost::{
    Cost, CostKind, CostRange, DenseCost, DenseData, GridCost, GridGround, Ground, LineCost,
    PointCost, Shape, SparseCost, Tree, TreeCost,
};
pub use environment::check_environment;
pub use error::Error;
pub(crate) use error::{assert_len, assert_shape};
pub use feasibility::{Infeasible, check_feasible};
pub use measure::{Measure, Precision};
pub use plan::{DensePlan, ImplicitPlan, Plan, PlanRow, SparsePlan};
pub use problem::{Marginals, Problem};
pub use reference::Reference;
pub use rounding::{RoundedPlan, round};
pub use solution::{Check, Convergence, Measured, Outcome, Phase, Solution, Termination};
pub use solver::{Batch, Capabilities, Capability, Solver};
pub use together::balanced_lower_bounds;
pub use transform::Potentials;
