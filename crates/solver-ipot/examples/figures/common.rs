//! What the figures need: where they go, the optimum, and how sparse a plan is.

use std::error::Error;
use std::path::PathBuf;

use solver_api::{Plan, Problem, Solution, Solver};
use solver_exact::NetworkSimplex;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub(crate) fn optimum(problem: &Problem) -> Outcome<Solution> {
    Ok(NetworkSimplex::default()
        .solve(problem)?
        .require_converged()?)
}

/// Where the figure goes: the first argument, or a name in `target/figures`.
pub(crate) fn target(name: &str) -> Outcome<PathBuf> {
    if let Some(path) = std::env::args().nth(1) {
        return Ok(path.into());
    }
    let folder = PathBuf::from("target/figures");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(name))
}

/// The largest entry.
#[allow(dead_code)]
pub(crate) fn largest(plan: &Plan) -> f64 {
    let mut top = 0.0_f64;
    plan.for_each_above(0.0, |_, _, p| top = top.max(p));
    top
}

/// How many entries are above 1e-6 of the largest.
#[allow(dead_code)]
pub(crate) fn carrying(plan: &Plan) -> usize {
    let mut count = 0;
    plan.for_each_above(1e-6 * largest(plan), |_, _, _| count += 1);
    count
}
