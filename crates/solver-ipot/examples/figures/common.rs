//! What the figures need: where they go, and the optimum.

use std::error::Error;
use std::path::PathBuf;

use solver_api::{Problem, Solution, Solver};
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
