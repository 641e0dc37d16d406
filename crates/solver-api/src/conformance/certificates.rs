//! Contract 3: the exact optimum lies in the bracket, on every problem, whatever the solver did.

use super::cases::{self, generic, text};
use super::output::{partial_problem, relaxed_problem};
use super::subject::Subject;
use super::{Suite, Verdict, verify};
use crate::{Capability, Context, Ground, Problem};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Entropic, Partial, Relaxed};
    suite.check("the bracket holds the exact optimum", &[Balanced], |s| {
        holds(s)
    });
    suite.check("also for relaxed problems", &[Relaxed, Entropic], |s| {
        for seed in 0..6 {
            let problem = relaxed_problem(40 + seed, 1.0 + seed as f64, 0.4, 1.5)?;
            s.solve("relaxed", &problem)?;
        }
        Ok(())
    });
    suite.check("also for partial problems", &[Partial], |s| {
        for seed in 0..6 {
            s.solve("partial", &partial_problem(60 + seed, 1.0)?)?;
        }
        Ok(())
    });
    let name = "also for answers that were stopped early";
    if suite.subject.expect.iteration_limit {
        suite.check(name, &[Balanced], stopped_early);
    } else {
        suite.skip(name, "the caller says there are no iterations to limit");
    }
}

fn holds(subject: &Subject<'_>) -> Verdict {
    for seed in 0..10 {
        let (n, m) = (2 + seed as usize, 12 - seed as usize);
        subject.solve("generic", &generic(20 + seed, n, m, 1.0)?)?;
    }
    // Few points of a line: many ties.
    let x: Vec<f64> = (0..9).map(|k| f64::from(k % 3)).collect();
    let y: Vec<f64> = (0..6).map(|k| f64::from(k % 4)).collect();
    let (a, b) = (vec![1.0 / 9.0; 9], vec![1.0 / 6.0; 6]);
    for ground in [Ground::SqEuclidean, Ground::Cityblock] {
        let problem = text(Problem::from_points(&a, &b, &x, &y, 1, ground))?;
        let (a, b, cost) = cases::parts(&problem);
        subject.solve("ties on a line", &cases::dense(&a, &b, &cost)?)?;
    }
    Ok(())
}

/// The bracket does not trust the solver: it holds for whatever one iteration leaves behind.
fn stopped_early(subject: &Subject<'_>) -> Verdict {
    for seed in 0..6 {
        let problem = generic(30 + seed, 8, 7, 1.0)?;
        for limit in [1, 2, 5] {
            let mut options = subject.options(subject.reg(&problem));
            options.max_iter = Some(limit);
            let s = subject
                .make(&options)?
                .solve_with(&problem, &mut Context::default())
                .map_err(|e| format!("max_iter = {limit}: {e}"))?;
            verify::honest_answer(&format!("max_iter = {limit}"), &problem, &s)?;
        }
    }
    Ok(())
}
