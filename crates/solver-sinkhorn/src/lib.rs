//! Sinkhorn in the kernel domain: entropic optimal transport by matrix scaling, alone and in batches.
//!
//! It solves balanced problems with any cost, min ⟨P, C⟩ + ε·KL(P ‖ a⊗b) over plans P with marginals a and b,
//! KL-relaxed ones, with γa·KL(P1 ‖ a) + γb·KL(Pᵀ1 ‖ b) in place of one or both of the marginals, and partial ones, whose
//! marginals are at most a and b. The
//! kernel K = exp(−C/ε), with row and column minima taken off the cost first, is stored once (8 bytes an entry, or 4
//! with [`Precision::F32`](solver_api::Precision)); an iteration reads it once. Most iterations read a copy in f32
//! instead (4 bytes an entry more, from 16 384 entries on), and the answer is that of f64 all the same: see
//! [`Settings::products`]. Problems of a batch that
//! share a cost do so together.
//!
//! Choose it for moderate regularization (`reg` at 1e-3 of the largest cost and above), and above all for many
//! problems with one cost, which run as matrix products. It refuses with
//! [`Error::KernelUnderflow`](solver_api::Error) where the kernel leaves the range of its number type: never a NaN,
//! never a wrong plan. Below that range a stabilized solver is the right one, and for an optimum without
//! regularization an exact one.
//!
//! ```
//! use solver_api::{Problem, Reg, Solver};
//! use solver_sinkhorn::{Settings, Sinkhorn};
//!
//! let problem = Problem::from_slices(&[0.5, 0.5], &[0.25, 0.75], &[0.0, 1.0, 1.0, 0.0])?;
//! let solution = Sinkhorn::new(Settings::with_reg(Reg::Absolute(0.1)))?.solve(&problem)?;
//! assert!(solution.convergence.converged());
//! assert!((solution.transport_cost - 0.25).abs() < 1e-3);
//! let bracket = solution.certificate.expect("certified by default");
//! assert!(bracket.lower <= 0.25 && 0.25 <= bracket.upper);
//! # Ok::<(), solver_api::Error>(())
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `settings.rs` | what can be set, each default with its reason |
//! | `kernel.rs` | K, what was taken off the cost, and whether what is left of K suffices |
//! | `iterate.rs` | the iteration and its end |
//! | `narrow.rs` | products in f32: the copy, and which iterations it serves |
//! | `relaxed/` | relaxed marginals: the iteration, the shift between the potentials, the way to a solution |
//! | `prior.rs` | other references than a⊗b |
//! | `partial/` | partial transport of a given mass: caps on the scalings, and the multiplier of the mass |
//! | `solve.rs` | from a problem to a solution |
//! | `batch.rs` | many problems: which share a cost, which run side by side |
//! | `grid/` | problems on a grid: products axis by axis, O(n) memory |
//! | `group.rs` | problems with one cost on their way through products in f32, then in f64 |
//! | `columns.rs` | the columns of such products |
//! | `blocks.rs` | rows of the kernel in f64, a block at a time |
//! | `finished.rs` | finished columns, measured and rounded together |
//! | `routes.rs` | a proof that the entries which are not lost admit a plan |
//! | `factory.rs` | the solver by name |
//!
//! Source: Cuturi, *Sinkhorn distances* (2013); Peyré and Cuturi, *Computational optimal transport* (2019), chapter 4.
#![forbid(unsafe_code)]

mod batch;
mod blocks;
mod columns;
mod factory;
mod finished;
mod grid;
mod group;
mod iterate;
mod kernel;
mod narrow;
mod partial;
mod prior;
mod relaxed;
mod routes;
pub mod settings;
mod solve;

pub use factory::SinkhornFactory;
pub use settings::Settings;
pub use solve::Sinkhorn;

/// The backend's name.
pub const NAME: &str = "sinkhorn";
