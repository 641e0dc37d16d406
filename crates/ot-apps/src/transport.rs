//! Costs of batches.

use solver_api::{Batch, Context, Solution, Solver, Termination};

use crate::Error;

/// ⟨P, C⟩ of each problem.
///
/// # Errors
/// As [`checked`].
pub(crate) fn costs_of(
    solver: &dyn Solver,
    batch: &Batch,
    context: &mut Context,
) -> Result<Vec<f64>, Error> {
    let solutions = solver.solve_batch(batch, context).into_iter();
    solutions.map(|s| Ok(checked(s?)?.transport_cost)).collect()
}

/// A solution whose cost can be compared with others'. One that ran out of iterations a little above its tolerance can
/// (the caller may count it); one that was stopped, or whose numbers failed, can't.
///
/// # Errors
/// [`solver_api::Error::NotConverged`] for those.
pub(crate) fn checked(solution: Solution) -> Result<Solution, Error> {
    match solution.convergence.termination {
        Termination::Optimal
        | Termination::Converged
        | Termination::IterationLimit
        | Termination::Stalled => Ok(solution),
        _ => Ok(solution.require_converged()?),
    }
}
