//! What an observer sees: brackets that hold at every check, and each problem of a batch under its own index.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::cases::text;
use super::output::{counted, unfinished};
use super::subject::{Subject, rounding};
use super::{Suite, Verdict, oracle};
use crate::{Batch, Capability, Certify, Context, Problem, Progress, Termination};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Interruptible};
    suite.check_anywhere(
        "brackets on the way hold",
        &[Balanced, Interruptible],
        brackets,
    );
    suite.check_anywhere(
        "each problem of a batch is seen under its index",
        &[Balanced, Interruptible],
        all_seen,
    );
    suite.check_anywhere(
        "one problem of a batch is stopped, the others go on",
        &[Balanced, Interruptible],
        one_stopped,
    );
}

/// What an observer saw, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Progress>>>);

impl Seen {
    /// A context whose observer notes everything, and stops where `stop` says so.
    fn by(&self, stop: impl Fn(&Progress) -> bool + Send + Sync + 'static) -> Context {
        let seen = Arc::clone(&self.0);
        Context::new().observed(move |p: &Progress| {
            let mut all = seen.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(p.clone());
            if stop(p) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    fn all(&self) -> Vec<Progress> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Whether each bracket among `seen` holds the optimum of `problem`. Only an iteration on potentials has one at every
/// check: of entropic solvers it is asked.
fn hold<'a>(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    seen: impl Iterator<Item = &'a Progress>,
) -> Verdict {
    let best = oracle::optimum(problem).ok_or("the suite's oracle failed")?;
    for p in seen {
        match p.certificate {
            Some(bracket) if !bracket.contains(best.value, 10.0 * rounding(problem)) => {
                return Err(format!(
                    "{name}, iteration {}: the optimum {:e} lies outside of the bracket [{:e}, {:e}] on the way",
                    p.iteration, best.value, bracket.lower, bracket.upper
                ));
            }
            None if subject.has(Capability::Entropic) => {
                return Err(format!(
                    "{name}, iteration {}: no bracket at this check, though every one was asked for",
                    p.iteration
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn brackets(subject: &Subject<'_>) -> Verdict {
    for (seed, n, m) in [(500, 8, 7), (501, 3, 11), (502, 12, 12)] {
        let problem = subject.generic(seed, n, m, 2.0)?;
        let seen = Seen::default();
        let mut context = seen.by(|_| false).certified(Certify::EveryCheck);
        let solver = subject.solver(&problem)?;
        let name = format!("{n}×{m}");
        subject.run(&name, solver.as_ref(), &problem, &mut context)?;
        hold(subject, &name, &problem, seen.all().iter())?;
    }
    Ok(())
}

/// Problems of several sizes, and pairs of measures with one cost.
fn batches(subject: &Subject<'_>) -> Result<[Batch; 2], String> {
    let sizes = [(9, 8), (12, 7), (6, 11), (8, 9), (10, 10)];
    let ragged: Result<Vec<Problem>, String> = sizes
        .iter()
        .zip(510..)
        .map(|(&(n, m), seed)| subject.generic(seed, n, m, 1.0))
        .collect();
    let (cost, pairs) = subject.sharing(520, (9, 8), 5, |k| (k + 1) as f64)?;
    Ok([Batch::Separate(ragged?), Batch::SharedCost { cost, pairs }])
}

fn all_seen(subject: &Subject<'_>) -> Verdict {
    for batch in batches(subject)? {
        for certify in [Certify::AtEnd, Certify::EveryCheck] {
            let seen = Seen::default();
            let mut context = seen.by(|_| false).certified(certify);
            let solver = subject.solver(&text(batch.problem(0))?)?;
            let answers = solver.solve_batch(&batch, &mut context);
            let seen = seen.all();
            if let Some(p) = seen.iter().find(|p| p.problem >= batch.len()) {
                return Err(format!("a check of problem {}, which is none", p.problem));
            }
            for (k, answer) in answers.into_iter().enumerate() {
                let name = format!("problem {k} of the batch");
                let problem = text(batch.problem(k))?;
                let answer = answer.map_err(|e| format!("{name}: refused: {e}"))?;
                let answer = subject.converged(&name, &problem, answer)?;
                let own = || seen.iter().filter(|p| p.problem == k);
                let Some(last) = own().map(|p| p.iteration).max() else {
                    return Err(format!("{name}: the observer never saw it"));
                };
                counted(&name, &answer, last)?;
                if !own().is_sorted_by_key(|p| p.iteration) {
                    return Err(format!("{name}: its checks came out of order"));
                }
                if certify == Certify::EveryCheck {
                    hold(subject, &name, &problem, own())?;
                }
            }
        }
    }
    Ok(())
}

fn one_stopped(subject: &Subject<'_>) -> Verdict {
    const STOPPED: usize = 1;
    for batch in batches(subject)? {
        let seen = Seen::default();
        let mut context = seen.by(|p| p.problem == STOPPED);
        let solver = subject.solver(&text(batch.problem(0))?)?;
        let answers = solver.solve_batch(&batch, &mut context);
        let seen = seen.all();
        let mut of_stopped = seen.iter().filter(|p| p.problem == STOPPED);
        let unmet = of_stopped.any(|p| p.error > p.tol);
        for (k, answer) in answers.into_iter().enumerate() {
            let name = format!("problem {k}, beside one that was stopped");
            let problem = text(batch.problem(k))?;
            let answer = answer.map_err(|e| format!("{name}: refused: {e}"))?;
            if k != STOPPED {
                subject.converged(&name, &problem, answer)?;
                continue;
            }
            if unmet && answer.convergence.converged() {
                return Err(format!(
                    "problem {k}: asked to stop above its tolerance, it went on"
                ));
            }
            unfinished(subject, &name, &problem, answer, Termination::Cancelled)?;
        }
    }
    Ok(())
}
