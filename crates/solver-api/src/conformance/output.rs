//! Contract 2: no NaN, no plan from a solver that failed without saying so, limits that are kept.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::cases::{generic, text};
use super::subject::Subject;
use super::{Suite, Verdict, verify};
use crate::{
    Batch, CancelToken, Capability, Certify, Context, DenseCost, Error, Marginals, Measure,
    Problem, Progress, Solution, Termination,
};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Entropic, Interruptible, Partial, Relaxed};
    suite.check_anywhere(
        "balanced answers are what they claim",
        &[Balanced],
        balanced,
    );
    suite.check(
        "relaxed answers are what they claim",
        &[Relaxed, Entropic],
        relaxed,
    );
    suite.check("partial answers are what they claim", &[Partial], partial);
    let name = "a limit of one iteration is kept and reported";
    if suite.subject.expect.iteration_limit {
        suite.check_anywhere(name, &[Balanced], one_iteration);
    } else {
        suite.skip(name, "the caller says there are no iterations to limit");
    }
    suite.check_anywhere(
        "the certificate can be switched off",
        &[Balanced],
        without_certificate,
    );
    suite.check_anywhere(
        "a deadline in the past stops the solve",
        &[Balanced, Interruptible],
        deadline,
    );
    suite.check_anywhere(
        "a cancelled token stops the solve",
        &[Balanced, Interruptible],
        cancelled,
    );
    suite.check_anywhere(
        "an observer sees the checks and can stop",
        &[Balanced, Interruptible],
        observer,
    );
}

fn balanced(subject: &Subject<'_>) -> Verdict {
    for (seed, n, m, mass) in [(1, 8, 8, 1.0), (2, 3, 11, 5.0), (3, 12, 2, 0.1)] {
        let problem = subject.generic(seed, n, m, mass)?;
        let s = subject.solve("generic", &problem)?;
        if !subject.expect.delegates && s.solver != subject.solver(&problem)?.name() {
            return Err(format!("the solution names its solver `{}`", s.solver));
        }
        if s.require_converged().is_err() {
            return Err("`require_converged` refuses a converged answer".to_owned());
        }
    }
    // Large enough for the passes in parallel chunks.
    let size = subject.expect.max_size;
    subject
        .solve("generic, large", &subject.generic(4, size, size - 1, 1.0)?)
        .map(|_| ())
}

/// KL-relaxed problems with an entropic term: form of the plan, marginal equations and objective say it all.
fn relaxed(subject: &Subject<'_>) -> Verdict {
    for (seed, mass, ga, gb) in [
        (5, 1.0, 1.0, 1.0),
        (6, 3.0, 0.3, 2.0),
        (7, 1.0, 0.5, f64::INFINITY),
        (8, 1.0, f64::INFINITY, 0.5),
    ] {
        let problem = relaxed_problem(seed, mass, ga, gb)?;
        subject.solve(&format!("γ = ({ga}, {gb}), masses {mass} and 1"), &problem)?;
    }
    Ok(())
}

/// Masses `mass` and 1.
pub(super) fn relaxed_problem(seed: u64, mass: f64, ga: f64, gb: f64) -> Result<Problem, String> {
    let base = generic(seed, 5, 6, 1.0)?;
    let a = base
        .a()
        .weights()
        .iter()
        .map(|w| w * mass)
        .collect::<Vec<_>>();
    let a = text(Measure::new(a))?;
    text(Problem::relaxed(
        a,
        base.b().clone(),
        base.shared_cost(),
        ga,
        gb,
    ))
}

/// Moves 60 % of the smaller mass.
pub(super) fn partial_problem(seed: u64, mass: f64) -> Result<Problem, String> {
    let base = generic(seed, 6, 5, mass)?;
    text(Problem::partial(
        base.a().clone(),
        base.b().clone(),
        base.shared_cost(),
        0.6 * mass,
    ))
}

fn partial(subject: &Subject<'_>) -> Verdict {
    for (seed, mass) in [(9, 1.0), (10, 7.0)] {
        subject.solve("60 % of the mass", &partial_problem(seed, mass)?)?;
    }
    // The whole of the smaller side.
    let a = text(Measure::new(vec![0.3, 0.2, 0.1]))?;
    let b = text(Measure::new(vec![0.5, 0.5, 0.5]))?;
    let cost = Arc::new(text(DenseCost::new(
        3,
        3,
        vec![1.0, 2.0, 0.5, 0.1, 0.7, 3.0, 0.4, 0.6, 0.8],
    ))?);
    let problem = text(Problem::partial(a, b, cost, 0.6))?;
    subject
        .solve("all of the smaller mass", &problem)
        .map(|_| ())
}

fn one_iteration(subject: &Subject<'_>) -> Verdict {
    let size = subject.expect.max_size;
    // A small one may be solved within the limit.
    for problem in [
        subject.generic(12, 9, 10, 1.0)?,
        subject.generic(18, size, size, 1.0)?,
    ] {
        let mut options = subject.options(subject.reg(&problem));
        options.max_iter = Some(1);
        let solver = subject.make(&options)?;
        let s = solver
            .solve(&problem)
            .map_err(|e| format!("max_iter = 1 is an error, not an answer: {e}"))?;
        let limited = s.convergence.termination == Termination::IterationLimit;
        match s.convergence.iterations {
            Some(0) if limited => {
                return Err("max_iter = 1: stopped by it, but counts no iteration".to_owned());
            }
            Some(0 | 1) => {}
            Some(more) => return Err(format!("max_iter = 1: did {more} iterations")),
            None => return Err("max_iter = 1: the iterations are not counted".to_owned()),
        }
        unfinished(
            subject,
            "max_iter = 1",
            &problem,
            s,
            Termination::IterationLimit,
        )?;
    }
    Ok(())
}

/// Either a full answer, or one that says `termination`, is refused by `require_converged`, and is honest.
pub(super) fn unfinished(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    s: Solution,
    termination: Termination,
) -> Verdict {
    if s.convergence.converged() {
        return subject.converged(name, problem, s).map(|_| ());
    }
    if s.convergence.termination != termination {
        return Err(format!(
            "{name}: stopped by {}, not {termination}",
            s.convergence.termination
        ));
    }
    verify::honest_answer(name, problem, &s)?;
    match s.require_converged() {
        Err(Error::NotConverged { termination: t, .. }) if t == termination => Ok(()),
        Err(e) => Err(format!(
            "{name}: `require_converged` gives another error: {e}"
        )),
        Ok(_) => Err(format!("{name}: `require_converged` lets it pass")),
    }
}

fn without_certificate(subject: &Subject<'_>) -> Verdict {
    let size = subject.expect.max_size;
    let (small, large) = (
        subject.generic(13, 5, 5, 1.0)?,
        subject.generic(17, size, size, 1.0)?,
    );
    for problem in [&small, &large] {
        let solver = subject.solver(problem)?;
        let mut context = Context::new().certified(Certify::Off);
        let s = solver
            .solve_with(problem, &mut context)
            .map_err(|e| format!("refused: {e}"))?;
        uncertified("switched off", &s)?;
        let with = subject.solve("with a certificate", problem)?;
        subject.expect_value(
            "without",
            "transport_cost",
            s.transport_cost,
            with.transport_cost,
            subject.slack(problem),
        )?;
        let batch = Batch::Separate(vec![problem.clone(), problem.clone()]);
        for answer in solver.solve_batch(&batch, &mut context) {
            let answer = answer.map_err(|e| format!("refused in a batch: {e}"))?;
            uncertified("switched off for a batch", &answer)?;
        }
    }
    Ok(())
}

/// Only a bracket that comes for free may be there.
fn uncertified(name: &str, s: &Solution) -> Verdict {
    if s.certificate.is_some() && s.certify_time > Duration::ZERO {
        return Err(format!("{name}: a certificate was computed all the same"));
    }
    Ok(())
}

fn deadline(subject: &Subject<'_>) -> Verdict {
    let size = subject.expect.max_size;
    let problem = subject.generic(14, size, size, 1.0)?;
    let mut context = Context::new().time_limit(Duration::ZERO);
    let s = subject
        .solver(&problem)?
        .solve_with(&problem, &mut context)
        .map_err(|e| format!("a deadline is an error, not an answer: {e}"))?;
    stopped(
        subject,
        "deadline in the past",
        &problem,
        s,
        Termination::TimeLimit,
    )
}

fn cancelled(subject: &Subject<'_>) -> Verdict {
    let size = subject.expect.max_size;
    let problem = subject.generic(15, size, size, 1.0)?;
    let token = CancelToken::new();
    token.cancel();
    let mut context = Context::new().cancelled_by(&token);
    let s = subject
        .solver(&problem)?
        .solve_with(&problem, &mut context)
        .map_err(|e| format!("a cancellation is an error, not an answer: {e}"))?;
    stopped(
        subject,
        "cancelled before the start",
        &problem,
        s,
        Termination::Cancelled,
    )
}

/// An answer to a solve that had to stop from its start on. A full one is excused only where the solver makes no check
/// above its tolerance: the same call that tells the observer tells the solver to stop.
fn stopped(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    s: Solution,
    termination: Termination,
) -> Verdict {
    if s.convergence.converged() && makes_unmet_checks(subject, problem)? {
        return Err(format!(
            "{name}: solved in full, though it makes checks above its tolerance, at which it must stop"
        ));
    }
    unfinished(subject, name, problem, s, termination)
}

/// Whether a solve that nobody disturbs makes a check above its tolerance.
fn makes_unmet_checks(subject: &Subject<'_>, problem: &Problem) -> Result<bool, String> {
    let unmet = Arc::new(AtomicBool::new(false));
    let watch = {
        let unmet = Arc::clone(&unmet);
        move |p: &Progress| {
            unmet.fetch_or(p.error > p.tol, Ordering::Relaxed);
            ControlFlow::Continue(())
        }
    };
    let solver = subject.solver(problem)?;
    let mut context = Context::new().observed(watch);
    subject.run("undisturbed", solver.as_ref(), problem, &mut context)?;
    Ok(unmet.load(Ordering::Relaxed))
}

/// The iterations reported are no fewer than the solver had done at a check.
pub(super) fn counted(name: &str, s: &Solution, seen: u64) -> Verdict {
    match s.convergence.iterations {
        Some(count) if count < seen => Err(format!(
            "{name}: reports {count} iterations, but had done {seen} at its last check"
        )),
        _ => Ok(()),
    }
}

fn observer(subject: &Subject<'_>) -> Verdict {
    let size = subject.expect.max_size;
    let problem = subject.generic(16, size, size, 1.0)?;
    let solver = subject.solver(&problem)?;
    let calls = Arc::new(AtomicU64::new(0));
    let in_order = Arc::new(AtomicBool::new(true));
    let last = Arc::new(AtomicU64::new(0));
    let watch = {
        let (calls, in_order, last) =
            (Arc::clone(&calls), Arc::clone(&in_order), Arc::clone(&last));
        move |p: &Progress| {
            calls.fetch_add(1, Ordering::Relaxed);
            let ordered = last.swap(p.iteration, Ordering::Relaxed) <= p.iteration;
            let sane = !p.error.is_nan() && p.tol >= 0.0 && p.problem == 3;
            in_order.fetch_and(ordered && sane, Ordering::Relaxed);
            ControlFlow::Continue(())
        }
    };
    let mut context = Context::new().observed(watch).for_problem(3);
    context.keep_history = true;
    let s = subject.run("observed", solver.as_ref(), &problem, &mut context)?;
    if calls.load(Ordering::Relaxed) == 0 {
        return Err("the observer was never called".to_owned());
    }
    if !in_order.load(Ordering::Relaxed) {
        return Err(
            "a check came with NaN, without the problem's index, or out of order".to_owned(),
        );
    }
    if s.convergence.history.is_empty() {
        return Err("the history that was asked for is empty".to_owned());
    }
    counted("observed", &s, last.load(Ordering::Relaxed))?;
    // Break at the first check: a solver that was not done there must stop.
    let unmet = Arc::new(AtomicBool::new(false));
    let breaker = {
        let unmet = Arc::clone(&unmet);
        move |p: &Progress| {
            unmet.fetch_or(p.error > p.tol, Ordering::Relaxed);
            ControlFlow::Break(())
        }
    };
    let mut context = Context::new().observed(breaker);
    let s = solver
        .solve_with(&problem, &mut context)
        .map_err(|e| format!("a break is an error, not an answer: {e}"))?;
    if s.convergence.converged()
        && unmet.load(Ordering::Relaxed)
        && problem.marginals() == Marginals::Balanced
    {
        return Err(
            "the observer asked to stop above the tolerance, and the solve went on".to_owned(),
        );
    }
    unfinished(
        subject,
        "stopped by its observer",
        &problem,
        s,
        Termination::Cancelled,
    )
}
