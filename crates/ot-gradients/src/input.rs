//! What every derivative asks of a problem and its solution.

use solver_api::{CostKind, Error, PointCost, Problem, Solution};

/// Shapes fit, and the solution is within its tolerance: derivatives hold at an optimum only.
pub(crate) fn require(problem: &Problem, solution: &Solution) -> Result<(), Error> {
    let (n, m) = problem.shape();
    let (rows, cols) = solution.plan.shape();
    if (rows, cols) != (n, m) {
        return Err(shape(
            "solution",
            &[rows, cols],
            format!("the problem is {n}×{m}"),
        ));
    }
    solution.potentials.check(n, m)?;
    let seen = &solution.convergence;
    if seen.converged() {
        return Ok(());
    }
    Err(Error::NotConverged {
        solver: solution.solver.clone(),
        termination: seen.termination,
        iterations: seen.iterations,
        source_error: seen.source_error,
        target_error: seen.target_error,
    })
}

/// The points of the cost, or an error: without points there is nothing to differentiate by.
pub(crate) fn points_of(problem: &Problem) -> Result<&PointCost, Error> {
    match problem.cost().kind() {
        CostKind::Points(points) => Ok(points),
        _ => Err(Error::setting(
            "cost",
            "without points",
            "a gradient with respect to points needs a cost of points (`PointCost`)",
        )),
    }
}

pub(crate) fn shape(argument: &'static str, found: &[usize], expected: String) -> Error {
    let found = found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("×");
    Error::ShapeMismatch {
        argument,
        found,
        expected,
    }
}

/// Whether a cost may have forbidden pairs, whose +∞ must not meet a zero.
pub(crate) fn forbids(problem: &Problem) -> bool {
    match problem.cost().kind() {
        CostKind::Grid(_) | CostKind::Tree(_) => false,
        // Only a closure may forbid, and its range is known from its check.
        CostKind::Points(points) => {
            matches!(points.ground(), solver_api::Ground::OfDistance(..)) && points_forbid(problem)
        }
        _ => points_forbid(problem),
    }
}

fn points_forbid(problem: &Problem) -> bool {
    problem.cost().range().forbidden > 0
}
