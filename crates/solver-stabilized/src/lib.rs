//! Entropic optimal transport at any regularization.
//!
//! Where a kernel exp(−C/ε) underflows, plain Sinkhorn ends; and long before that it needs more iterations than anyone
//! will wait for. Here the dual is solved in the log domain, by the method that is predicted to be the fastest:
//! accelerated scaling for large ε, and for small ε Newton steps along the path of ε (crate `ot-entropic`). Any `reg` from
//! 1e-6 of the largest cost up is reached to an L1 error of 1e-9 of both marginals in a time that hardly depends on it.
//!
//! ```
//! use solver_api::{Problem, Reg, Solver};
//! use solver_stabilized::{Settings, SinkhornStabilized};
//!
//! let problem = Problem::from_slices(&[0.5, 0.5], &[0.25, 0.75], &[0.0, 1.0, 1.0, 0.0])?;
//! let solver = SinkhornStabilized::new(Settings::with_reg(Reg::Absolute(1e-4)))?;
//! let solution = solver.solve(&problem)?.require_converged()?;
//! assert!((solution.transport_cost - 0.25).abs() < 1e-8);
//! # Ok::<(), solver_api::Error>(())
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `settings.rs` | what can be set, each default with its reason |
//! | `matrix.rs` | the cost of the pairs that take part, borrowed where it can be |
//! | `masses.rs` | relaxed problems of any masses as problems of mass 1 |
//! | `solve.rs` | from a problem to a solution |
//! | `grid.rs` | problems on a large grid: axis by axis, O(n) memory |
//! | `lazy.rs` | points without a matrix |
//! | `factory.rs` | the solver by name |
#![forbid(unsafe_code)]

mod dust;
mod factory;
mod grid;
mod lazy;
mod masses;
mod matrix;
pub mod settings;
mod solve;

pub use factory::SinkhornStabilizedFactory;
pub use settings::Settings;
pub use solve::SinkhornStabilized;

/// The backend's name.
pub const NAME: &str = "sinkhorn-stabilized";
