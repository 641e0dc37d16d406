//! Exact optimal transport: the network simplex method, closed forms, and linear programming as an oracle.
//!
//! [`NetworkSimplex`] solves balanced and partial problems with any cost to the last digit, with a plan of at most
//! n + m − 1 entries and both potentials. Choose it whenever the optimum itself is wanted and the cost
//! fits in memory, up to some ten thousand points; its time grows a little faster than the matrix.
//!
//! ```
//! use solver_api::{Problem, Solver};
//! use solver_exact::NetworkSimplex;
//!
//! let problem = Problem::from_slices(&[0.5, 0.5], &[0.25, 0.75], &[0.0, 1.0, 1.0, 0.0])?;
//! let solution = NetworkSimplex::default().solve(&problem)?.require_converged()?;
//! assert!((solution.transport_cost - 0.25).abs() < 1e-15);
//! let bracket = solution.certificate.expect("certified by default");
//! assert!(bracket.gap() < 1e-12);
//! # Ok::<(), solver_api::Error>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(any(
    feature = "line",
    feature = "circle",
    feature = "tree",
    feature = "gaussian"
))]
pub mod closed;
#[cfg(any(feature = "lp-highs", feature = "lp-microlp", feature = "lp-minilp"))]
pub mod lp;
#[cfg(feature = "network-simplex")]
pub mod network_simplex;
#[cfg(any(
    feature = "lp-highs",
    feature = "lp-microlp",
    feature = "lp-minilp",
    feature = "network-simplex"
))]
mod offset;

#[cfg(feature = "exact-points")]
pub mod points;

#[cfg(feature = "network-simplex")]
pub use network_simplex::{NetworkSimplex, NetworkSimplexFactory};
#[cfg(feature = "exact-points")]
pub use points::{ExactPoints, ExactPointsFactory};
