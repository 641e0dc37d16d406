//! Weights that are nothing beside the tolerance.
//!
//! Where weights span more decades than the tolerance leaves digits, and potentials of the light ones depend on next to
//! nothing, the path may end above its tolerance for their sake. All of them together may be lighter than the error that is
//! allowed: then the problem without them is solved, their potentials follow from its plan by the soft c-transform, which
//! gives each light source and target its own mass, and the other side is off by that.

use std::sync::Arc;
use std::time::Instant;

use solver_api::{
    Context, Error, ImplicitPlan, Marginals, Measure, Outcome, Problem, Solution, Termination,
};

use crate::NAME;

/// The part of the tolerance that each side's light weights may weigh together.
const SHARE: f64 = 0.05;

/// The problem without its light weights; `None` where there are none, or where leaving them out is not a matter of
/// tolerance (soft marginals, forbidden pairs).
pub(crate) fn without(problem: &Problem, tol: f64) -> Option<Problem> {
    let forbids = problem.cost().range().forbidden > 0;
    if problem.marginals() != Marginals::Balanced || forbids {
        return None;
    }
    let (a, some_a) = swept(problem.a(), SHARE * tol)?;
    let (b, some_b) = swept(problem.b(), SHARE * tol)?;
    if !(some_a || some_b) {
        return None;
    }
    Problem::new(a, b, problem.shared_cost()).ok()
}

/// Weights with zeros for the lightest, as many as come to `part` of the mass; whether there are any.
fn swept(measure: &Measure, part: f64) -> Option<(Measure, bool)> {
    let mut weights = measure.weights().to_vec();
    let mut order: Vec<usize> = (0..weights.len()).filter(|&k| weights[k] > 0.0).collect();
    order.sort_by(|&i, &k| weights[i].total_cmp(&weights[k]));
    let (mut left, mut any) = (part * measure.mass(), false);
    for k in order {
        left -= weights[k];
        if left < 0.0 {
            break;
        }
        (weights[k], any) = (0.0, true);
    }
    Measure::new(weights).ok().map(|m| (m, any))
}

/// The answer for `problem` from that of the problem without its light weights.
pub(crate) fn with_all(
    problem: &Problem,
    heavy: Solution,
    context: &Context,
    started: Instant,
) -> Result<Solution, Error> {
    let mass = problem.mass();
    let s: Arc<[f64]> = problem.b().weights().iter().map(|b| b / mass).collect();
    let potentials = heavy.potentials;
    let plan = ImplicitPlan::new(
        problem.shared_cost(),
        potentials.f.as_slice().into(),
        potentials.g.as_slice().into(),
        problem.a().shared_weights(),
        s,
        heavy.reg,
    )?;
    let outcome = Outcome {
        plan: plan.into(),
        potentials,
        reg: heavy.reg,
        termination: Termination::Converged,
        iterations: heavy.convergence.iterations,
        history: heavy.convergence.history,
        certificate: None,
    };
    Ok(Solution::assemble(NAME, problem, outcome, started, context))
}
