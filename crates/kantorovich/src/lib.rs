//! Optimal transport with interchangeable, certified solvers: the crate to depend on.
//!
//! A [`Problem`] is stated once. A backend, picked by name or by [`Auto`], solves it. The [`Solution`] carries a plan,
//! potentials, and a bracket around the true optimum that does not trust the backend.
//!
// Without a backend there is nothing to run.
#![cfg_attr(any(feature = "network-simplex", feature = "sinkhorn"), doc = "```")]
#![cfg_attr(
    not(any(feature = "network-simplex", feature = "sinkhorn")),
    doc = "```no_run"
)]
//! use kantorovich::prelude::*;
//!
//! let problem = Problem::from_points(
//!     &[0.5, 0.5], &[0.25, 0.75],                    // weights a, b
//!     &[0.0, 0.0, 1.0, 0.0], &[0.0, 1.0, 1.0, 1.0],  // points x, y in the plane
//!     2, Ground::SqEuclidean)?;
//! let solution = Registry::default().build("auto", &Options::default())?.solve(&problem)?.require_converged()?;
//! println!("{} {:?}", solution.transport_cost, solution.certificate);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Backends
//! One cargo feature each, named exactly as the backend. Features only add, and every subset compiles.
//!
//! | feature | backend | by default |
//! |---|---|---|
//! | `network-simplex` | exact, primal network simplex | yes |
//! | `exact-points` | exact, costs that grow with a distance between points, without a matrix: 100 000 points in seconds | yes |
//! | `line` | exact, points on a line and a convex function of their distance | yes |
//! | `circle` | exact, arc length on a circle | yes |
//! | `tree` | exact, paths on a tree, in linear time | yes |
//! | `gaussian` | Bures–Wasserstein of the points' moments: a lower bound for squared distances | yes |
//! | `sinkhorn` | entropic, kernel domain | yes |
//! | `sinkhorn-stabilized` | entropic, log domain: any ε | yes |
//! | `ipot` | exact, inexact proximal point | yes |
//! | `spot` | push-forward networks: between points a rough plan with an honest bracket; trainings between continuous distributions in [`spot`](solver_spot) | yes |
//! | `lp-minilp`, `lp-microlp` | exact, general linear programming: oracles for small problems | yes |
//! | `lp-highs` | exact, HiGHS (needs CMake, a C++ compiler and libclang) | no |
//!
//! The feature `gradients` (on by default) brings no backend but [`gradients`](ot_gradients): Sinkhorn divergences, energy
//! distances and MMD, and the derivatives of every value with respect to weights, cost and points, by any backend.
//!
//! The feature `apps` (on by default) brings no backend but [`apps`](ot_apps): classifiers, class models, tables of distances,
//! kernels and losses, by any backend.
//!
//! The feature `conformance`, for tests, brings no backend but `kantorovich::conformance`: the suite that every backend
//! runs, for solvers of your own.
//!
//! [`Registry::new`] lists what is compiled in; [`Registry::with`] adds a solver of your own, which then works wherever
//! a backend's name does: in [`Auto`], in the command `ot`, in the comparison.
#![forbid(unsafe_code)]

mod auto;
mod backends;
pub mod prelude;
mod registry;

pub use auto::Auto;
#[cfg(feature = "apps")]
#[doc(inline)]
pub use ot_apps as apps;
#[cfg(feature = "gradients")]
#[doc(inline)]
pub use ot_gradients as gradients;
pub use registry::Registry;
#[doc(inline)]
pub use solver_api::*;
#[cfg(any(
    feature = "line",
    feature = "circle",
    feature = "tree",
    feature = "gaussian"
))]
#[doc(inline)]
pub use solver_exact::closed;
#[cfg(feature = "spot")]
#[doc(inline)]
pub use solver_spot as spot;

#[cfg(any(feature = "lp-minilp", feature = "lp-microlp", feature = "lp-highs"))]
#[doc(inline)]
pub use solver_exact::lp::LpBarycenter;

/// Solves with the backend that [`Auto`] picks among those compiled in, without limits.
///
/// For a choice of backend, options, limits or progress use [`Registry::build`] and
/// [`Solver::solve_with`].
pub fn solve(problem: &Problem) -> Result<Solution, Error> {
    Registry::new().auto(&Options::default())?.solve(problem)
}
