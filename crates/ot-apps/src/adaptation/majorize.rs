//! The group lasso by majorization: its concave penalty lies below a plane, and a plane is a cost.

use std::sync::Arc;
use std::time::Instant;

use solver_api::{Context, DenseCost, Problem, Progress, Solver, Termination};

use super::cost::row_of;
use super::domain::Groups;
use super::estimator::round;
use super::fitted::Fit;
use super::group::{Power, class_sums};
use crate::Error;

/// Rounds of P ← argmin ⟨P, C + η∇⟩ + …, with ∇ the slope of the penalty at the last P, from the plan without a penalty.
/// The objective, which is the solver's with the penalty in the plane's place, never rises but by the solver's tolerance.
/// A round is a solve from the last potentials and two passes over n·m; one changed cost is in memory beside the first.
pub(super) fn run(
    solver: &dyn Solver,
    problem: &Problem,
    penalty: Power,
    groups: &Groups,
    (rounds, tol): (usize, f64),
    context: &Context,
) -> Result<Fit, Error> {
    let started = Instant::now();
    let (n, m) = problem.shape();
    let mut own = context.for_step(context.threads())?;
    own.certify = solver_api::Certify::Off;
    own.warm_start.clone_from(&context.warm_start);
    let mut sums = vec![0.0; groups.len() * m];
    let mut slopes = vec![0.0; groups.len() * m];
    let mut entries: Arc<[f64]> = vec![0.0; n * m].into();
    let (mut reg, mut history) = (None, Vec::<f64>::new());
    let mut changed: Option<Problem> = None;
    let mut converged = false;
    // The first solve is without a penalty and counts as no round.
    for done in 0..=rounds {
        let now = changed.as_ref().unwrap_or(problem);
        let solution = round(solver, now, &mut reg, &mut own)?;
        class_sums(&solution.plan, groups, &mut sums);
        // What the solver minimized had the plane in it.
        let plane: f64 = sums.iter().zip(&slopes).map(|(s, w)| s * w).sum();
        let objective = solution.objective - plane + penalty.value(&sums);
        let fall = history
            .last()
            .map_or(f64::INFINITY, |last| (last - objective) / objective.abs());
        history.push(objective);
        let within = solution.convergence.converged();
        converged = fall <= tol;
        let told = Progress {
            problem: context.problem_index,
            iteration: done as u64,
            part: None,
            error: fall,
            tol,
            certificate: None,
            elapsed: started.elapsed(),
        };
        let stop = context.check(&told);
        if converged || done == rounds {
            let mut convergence = solution.convergence;
            convergence.iterations = Some(done as u64);
            if !converged && within {
                convergence.termination = Termination::IterationLimit;
            }
            return Ok(Fit {
                transport_cost: solution.transport_cost - plane,
                plan: solution.plan,
                objective,
                history,
                solver: solution.solver,
                reg: solution.reg,
                convergence,
            });
        }
        if let Some(termination) = stop {
            return Err(Error::Stopped {
                what: "rounds",
                termination,
                done,
                count: rounds,
            });
        }
        own.warm_start = Some(Arc::new(solution.potentials));
        penalty.slopes(&sums, &mut slopes);
        drop(solution.plan);
        drop(changed.take());
        // The plan and the problem that shared it are gone: it is filled again where it lies.
        if Arc::get_mut(&mut entries).is_none() {
            entries = vec![0.0; n * m].into();
        }
        if let Some(entries) = Arc::get_mut(&mut entries) {
            fill(entries, problem, groups, &slopes);
        }
        let cost = DenseCost::new(n, m, Arc::clone(&entries))?;
        changed = Some(problem.clone().with_cost(Arc::new(cost))?);
    }
    // Not reached: the last round returns.
    Err(Error::Stopped {
        what: "rounds",
        termination: if converged {
            Termination::Converged
        } else {
            Termination::IterationLimit
        },
        done: rounds,
        count: rounds,
    })
}

/// C + the slope of the source's class at each target.
fn fill(entries: &mut [f64], problem: &Problem, groups: &Groups, slopes: &[f64]) {
    let m = problem.shape().1;
    let mut scratch = vec![0.0; m];
    for (i, (out, &class)) in entries.chunks_exact_mut(m).zip(&groups.of).enumerate() {
        let row = row_of(problem.cost(), i, &mut scratch);
        let slopes = &slopes[class * m..(class + 1) * m];
        for ((out, c), slope) in out.iter_mut().zip(row).zip(slopes) {
            *out = c + slope;
        }
    }
}
