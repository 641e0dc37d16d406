//! Costs of batches.

use std::sync::Arc;

use solver_api::{
    Batch, Context, Cost, CostKind, DenseCost, Measure, Solution, Solver, Termination,
};

use crate::Error;

/// ⟨P, C⟩ of each problem; `unconverged` counts those that ended short of their tolerance.
///
/// # Errors
/// As [`checked`].
pub(crate) fn costs_of(
    solver: &dyn Solver,
    batch: &Batch,
    context: &mut Context,
    unconverged: &mut usize,
) -> Result<Vec<f64>, Error> {
    let solutions = solver.solve_batch(batch, context).into_iter();
    let cost = |solution: Result<Solution, solver_api::Error>| {
        let solution = checked(solution?)?;
        *unconverged += usize::from(!solution.convergence.converged());
        Ok(solution.transport_cost)
    };
    solutions.map(cost).collect()
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

/// A cost from which the rows of single sources are taken.
#[derive(Clone)]
pub(crate) struct Sources {
    cost: Arc<dyn Cost>,
    /// Of a matrix, the row of the largest |C|: it stays in every part, so that a reg relative to that is the same.
    farthest: Option<usize>,
}

/// A source on its own points.
pub(crate) struct Source {
    pub(crate) measure: Measure,
    pub(crate) cost: Arc<dyn Cost>,
    /// Its points among all.
    pub(crate) rows: Vec<usize>,
}

impl Sources {
    pub(crate) fn new(cost: Arc<dyn Cost>) -> Self {
        let (n, m) = cost.shape();
        let mut farthest = None;
        if matches!(cost.kind(), CostKind::Dense(_)) {
            let mut row = vec![0.0; m];
            let mut most = f64::NEG_INFINITY;
            for i in 0..n {
                cost.row(i, &mut row);
                let finite = row.iter().filter(|c| c.is_finite());
                let here = finite.fold(f64::NEG_INFINITY, |most: f64, c| most.max(c.abs()));
                if here > most {
                    (most, farthest) = (here, Some(i));
                }
            }
        }
        Self { cost, farthest }
    }

    pub(crate) fn cost(&self) -> &Arc<dyn Cost> {
        &self.cost
    }

    /// Most of an image may be empty; of a matrix the other rows are left out once for all targets. Errors call the
    /// measure `argument`.
    ///
    /// # Errors
    /// Weights that are none of a measure.
    pub(crate) fn source(&self, argument: &'static str, whole: &Measure) -> Result<Source, Error> {
        let (n, m) = self.cost.shape();
        let weights = whole.weights();
        let Some(farthest) = self.farthest.filter(|_| whole.support_len() < n) else {
            return Ok(Source {
                measure: whole.clone(),
                cost: Arc::clone(&self.cost),
                rows: (0..n).collect(),
            });
        };
        let rows: Vec<usize> = (0..n)
            .filter(|&i| weights[i] > 0.0 || i == farthest)
            .collect();
        let mut entries = vec![0.0; rows.len() * m];
        for (out, &i) in entries.chunks_exact_mut(m).zip(&rows) {
            self.cost.row(i, out);
        }
        let weights: Vec<f64> = rows.iter().map(|&i| weights[i]).collect();
        Ok(Source {
            measure: Measure::named(argument, weights)?,
            cost: Arc::new(DenseCost::new(rows.len(), m, entries)?),
            rows,
        })
    }
}
