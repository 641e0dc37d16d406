//! minilp, called directly.

use ::minilp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem as Program};

use super::network::Network;
use super::{Library, LpFactory};

/// `lp-minilp`.
pub const MINILP: LpFactory = LpFactory(Library {
    name: "lp-minilp",
    summary: "the linear program, by minilp: an oracle for small problems",
    minimise,
});

fn minimise(network: &Network) -> Result<Vec<f64>, String> {
    let mut program = Program::new(OptimizationDirection::Minimize);
    let mut rows = vec![LinearExpr::empty(); network.supply.len()];
    let mut cols = vec![LinearExpr::empty(); network.demand.len()];
    let mut variables = Vec::with_capacity(network.arcs.len());
    for arc in &network.arcs {
        let x = program.add_var(arc.cost, (0.0, f64::INFINITY));
        rows[arc.row as usize].add(x, 1.0);
        cols[arc.col as usize].add(x, 1.0);
        variables.push(x);
    }
    let constraints = rows.into_iter().zip(&network.supply);
    for (sum, &mass) in constraints.chain(cols.into_iter().zip(&network.demand)) {
        program.add_constraint(sum, ComparisonOp::Eq, mass);
    }
    let solution = program.solve().map_err(|e| e.to_string())?;
    Ok(variables.iter().map(|&x| solution[x]).collect())
}
