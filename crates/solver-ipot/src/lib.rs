//! Inexact proximal point for optimal transport (IPOT): the exact optimum by entropic steps.
//!
//! A proximal step of size β in the Bregman distance of the entropy, Γ ← argmin ⟨C, Γ⟩ + β·KL(Γ ‖ Γ_old) over plans,
//! is an entropic problem with the kernel Γ_old ⊙ exp(−C/β). Many of them lead to the optimum of the unregularized
//! problem whatever β is, where Sinkhorn keeps the bias of its ε. Two schedules:
//!
//! - *accelerated* (the default): t exact steps of β are the entropic optimum at ε = β/t, so the path of ε is followed
//!   by tangents and sparse Newton steps, some tens of them in all;
//! - *printed*: algorithm 1 of the source, any β, any number L of inner scaling steps, safe at any number of
//!   iterations.
//!
//! Both end when the bracket around the optimum is as narrow as `tol`, return potentials that are feasible, and on
//! request (by default when accelerated) a sparse plan: an almost-vertex near the iterate, with exact marginals and no
//! more than n + m − 1 entries. No exact solver is inside.
//!
//! Choose it where an entropic answer is too biased and a simplex is not wanted, or to study the method. For an exact
//! optimum as fast as possible choose `network-simplex`; for an ε of your own an entropic solver.
//!
//! ```
//! use solver_api::{Problem, Solver};
//! use solver_ipot::{Ipot, Settings};
//!
//! let problem = Problem::from_slices(&[0.5, 0.5], &[0.25, 0.75], &[0.0, 1.0, 1.0, 0.0])?;
//! let solution = Ipot::new(Settings::default())?.solve(&problem)?.require_converged()?;
//! assert!((solution.transport_cost - 0.25).abs() < 1e-9);
//! # Ok::<(), solver_api::Error>(())
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `settings.rs` | what can be set, each default with its reason |
//! | `instance.rs` | the problem at mass 1 with costs from 0 to 1 |
//! | `rows.rs` | passes over the rows of the kernel |
//! | `printed.rs` | algorithm 1 |
//! | `accelerated.rs` | the path of ε, which `ot-entropic` follows, in stretches between looks at the bracket |
//! | `forest.rs` | cycles of a plan cancelled, down to an almost-vertex |
//! | `bracket.rs` | the check: an almost-vertex, tight potentials, their two values |
//! | `monitor.rs` | history, observer, deadline, and the plan that is returned |
//! | `checkpoint.rs` | the state as bytes |
//! | `solve.rs`, `factory.rs` | from a problem to a solution; the solver by name |
//!
//! Source: Xie, Wang, Wang and Zha, *A fast proximal point method for computing exact Wasserstein distance* (2020),
//! algorithm 1.
#![forbid(unsafe_code)]

mod accelerated;
mod bracket;
mod checkpoint;
mod factory;
mod forest;
mod instance;
mod monitor;
mod printed;
mod rows;
pub mod settings;
mod solve;

pub use factory::IpotFactory;
pub use settings::{PlanKind, Schedule, Settings};
pub use solve::Ipot;

/// The backend's name.
pub const NAME: &str = "ipot";
