//! The linear program in good_lp's terms, for any of its solvers.

use good_lp::{
    Expression, ProblemVariables, ResolutionError, Solution, SolverModel, constraint, variable,
    variable::UnsolvedProblem,
};

use super::network::Network;

/// Minimises with the solver that `using` attaches.
pub(super) fn minimise<M: SolverModel<Error = ResolutionError>>(
    network: &Network,
    using: impl FnOnce(UnsolvedProblem) -> M,
) -> Result<Vec<f64>, String> {
    let mut variables = ProblemVariables::new();
    let flow = variables.add_vector(variable().min(0.0), network.arcs.len());
    let mut objective = Expression::with_capacity(flow.len());
    let mut rows = vec![Expression::default(); network.supply.len()];
    let mut cols = vec![Expression::default(); network.demand.len()];
    for (arc, &x) in network.arcs.iter().zip(&flow) {
        objective.add_mul(arc.cost, x);
        rows[arc.row as usize].add_mul(1.0, x);
        cols[arc.col as usize].add_mul(1.0, x);
    }
    let mut model = using(variables.minimise(objective));
    let constraints = rows.into_iter().zip(&network.supply);
    for (sum, &mass) in constraints.chain(cols.into_iter().zip(&network.demand)) {
        model.add_constraint(constraint::eq(sum, mass));
    }
    let solution = model.solve().map_err(|e| e.to_string())?;
    Ok(flow.into_iter().map(|x| solution.value(x)).collect())
}
