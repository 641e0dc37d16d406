//! Contract 5: the same bits again, and agreement between numbers of threads.

use super::subject::Subject;
use super::{Suite, Verdict, verify};
use crate::{Capability, Context, Problem, Solution};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Deterministic};
    suite.check_anywhere(
        "the same bits on a second solve",
        &[Balanced, Deterministic],
        again,
    );
    suite.check_anywhere("one thread and two agree", &[Balanced], threads);
}

/// Everything that a caller may compare.
fn bits(s: &Solution) -> Vec<u64> {
    let mut values = vec![s.transport_cost, s.objective, s.mass];
    values.extend(s.certificate.iter().flat_map(|c| [c.lower, c.upper]));
    values.extend(s.potentials.f.iter().chain(&s.potentials.g));
    values.extend(s.plan.to_triples(0.0).iter().map(|t| t.2));
    let mut bits: Vec<u64> = values.into_iter().map(f64::to_bits).collect();
    bits.extend(s.convergence.iterations);
    bits
}

fn problems(subject: &Subject<'_>) -> Result<Vec<Problem>, String> {
    let size = subject.expect.max_size;
    Ok(vec![
        subject.generic(201, 7, 9, 1.0)?,
        subject.generic(202, size, size - 1, 1.0)?,
    ])
}

fn with_threads(
    subject: &Subject<'_>,
    problem: &Problem,
    threads: usize,
) -> Result<Solution, String> {
    let context = Context::new().with_threads(threads);
    let mut context = context.map_err(|e| format!("no pool of {threads} threads: {e}"))?;
    let solver = subject.solver(problem)?;
    subject.run(
        &format!("{threads} threads"),
        solver.as_ref(),
        problem,
        &mut context,
    )
}

fn again(subject: &Subject<'_>) -> Verdict {
    for problem in problems(subject)? {
        for threads in [1, 2] {
            let first = bits(&with_threads(subject, &problem, threads)?);
            let second = bits(&with_threads(subject, &problem, threads)?);
            if first != second {
                return Err(format!(
                    "{:?} on {threads} threads: two solves of the same problem differ",
                    problem.shape()
                ));
            }
        }
        // One solver, used twice: nothing may be left behind in it.
        let solver = subject.solver(&problem)?;
        let one = subject.run(
            "first use",
            solver.as_ref(),
            &problem,
            &mut Context::default(),
        )?;
        let two = subject.run(
            "second use",
            solver.as_ref(),
            &problem,
            &mut Context::default(),
        )?;
        if bits(&one) != bits(&two) {
            return Err("a solver gives other bits when it is used again".to_owned());
        }
    }
    Ok(())
}

fn threads(subject: &Subject<'_>) -> Verdict {
    for problem in problems(subject)? {
        let one = with_threads(subject, &problem, 1)?;
        let two = with_threads(subject, &problem, 2)?;
        let values = [one.transport_cost, one.objective];
        verify::same_value(subject, "two threads against one", &problem, &two, values)?;
    }
    Ok(())
}
