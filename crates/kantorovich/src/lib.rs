//! Optimal transport with interchangeable, certified solvers: the crate to depend on.
//!
//! A [`Problem`] is stated once. A backend, picked by name or by [`Auto`], solves it. The [`Solution`] carries a plan,
//! potentials, and a bracket around the true optimum that does not trust the backend.
//!
//! # Backends
//! One cargo feature each, named exactly as the backend. Features only add, and every subset compiles.
//!
//! | feature | backend | by default |
//! |---|---|---|
//! | `network-simplex` | exact, primal network simplex | yes |
//! | `sinkhorn` | entropic, kernel domain | yes |
//!
//! [`Registry::new`] lists what is compiled in; [`Registry::with`] adds a solver of your own, which then works wherever
//! a backend's name does: in [`Auto`], in the command `ot`, in the comparison.
#![forbid(unsafe_code)]

mod auto;
mod backends;
pub mod prelude;
mod registry;

pub use auto::Auto;
pub use registry::Registry;
#[doc(inline)]
pub use solver_api::*;

/// Solves with the backend that [`Auto`] picks among those compiled in, without limits.
///
/// For a choice of backend, options, limits or progress use [`Registry::build`] and
/// [`Solver::solve_with`].
pub fn solve(problem: &Problem) -> Result<Solution, Error> {
    Registry::new().auto(&Options::default())?.solve(problem)
}
