//! Costs far from zero: what a plan turns on are their differences, which an offset would round away.

use solver_api::{Certificate, CostRange, Problem};

/// A least cost this many times the spread of the costs is taken off first.
const OFFSET: f64 = 16.0;

/// Whether costs are so far from zero that their differences would lose digits.
pub(crate) fn far_from_zero(range: &CostRange) -> bool {
    range.min.is_finite() && range.min.abs() > OFFSET * range.spread()
}

/// A bracket of the problem whose costs are lower by `low`, for the problem itself.
pub(crate) fn lifted(bracket: Certificate, low: f64, problem: &Problem) -> Certificate {
    let offset = low * problem.mass();
    Certificate {
        lower: bracket.lower + offset,
        upper: bracket.upper + offset,
    }
}
