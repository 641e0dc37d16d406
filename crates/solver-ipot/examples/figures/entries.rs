//! How sparse a plan is.

use solver_api::Plan;

/// The largest entry.
pub(crate) fn largest(plan: &Plan) -> f64 {
    let mut top = 0.0_f64;
    plan.for_each_above(0.0, |_, _, p| top = top.max(p));
    top
}

/// How many entries are above 1e-6 of the largest.
pub(crate) fn carrying(plan: &Plan) -> usize {
    let mut count = 0;
    plan.for_each_above(1e-6 * largest(plan), |_, _, _| count += 1);
    count
}
