//! A cost without its offset.

use std::sync::Arc;

use solver_api::{Cost, CostRange, Error, Potentials, Problem};

use crate::offset::far_from_zero;

/// Every entry less `low`; forbidden pairs stay forbidden.
#[derive(Debug)]
struct Lowered {
    cost: Arc<dyn Cost>,
    low: f64,
}

impl Cost for Lowered {
    fn shape(&self) -> (usize, usize) {
        self.cost.shape()
    }

    fn row(&self, i: usize, out: &mut [f64]) {
        self.cost.row(i, out);
        out.iter_mut().for_each(|c| *c -= self.low);
    }

    fn range(&self) -> CostRange {
        let range = self.cost.range();
        CostRange {
            min: range.min - self.low,
            max: range.max - self.low,
            ..range
        }
    }
}

/// The problem whose costs start at zero, and what was taken off; `None` where costs are not far from zero.
pub(super) fn lowered(problem: &Problem) -> Result<Option<(Problem, f64)>, Error> {
    let range = problem.cost().range();
    if !far_from_zero(&range) {
        return Ok(None);
    }
    let low = range.min;
    let cost = problem.shared_cost();
    let problem = problem.clone().with_cost(Arc::new(Lowered { cost, low }))?;
    Ok(Some((problem, low)))
}

/// Potentials of the lowered problem, for the problem itself: each unit of mass pays `low` once. What a partial
/// problem moves pays by λ.
pub(super) fn raised(mut potentials: Potentials, low: f64, partial: bool) -> Potentials {
    if partial {
        potentials.lambda += low;
    } else {
        potentials.f.iter_mut().for_each(|f| *f += low);
    }
    potentials
}
