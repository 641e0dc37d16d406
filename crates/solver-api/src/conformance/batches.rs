//! A batch answers like its problems one by one, and a warm start changes nothing but the iterations.

use std::sync::Arc;

use super::cases::{Random, text};
use super::subject::Subject;
use super::{Suite, Verdict, verify};
use crate::{
    Batch, Capability, Context, Cost, DenseCost, Error, Measure, Potentials, Problem, Solution,
    Solver,
};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, WarmStart};
    suite.check_anywhere("separate problems", &[Balanced], separate);
    suite.check("pairs that share a cost", &[Balanced], shared_cost);
    suite.check_anywhere(
        "masses on one cost, separate and to many targets",
        &[Balanced],
        masses,
    );
    suite.check("one source, many targets", &[Balanced], one_to_many);
    suite.check_anywhere("a bad problem does not stop the rest", &[Balanced], one_bad);
    suite.check_anywhere("an empty batch", &[Balanced], |s| {
        let solver = s.solver(&s.generic(300, 3, 3, 1.0)?)?;
        let none = solver.solve_batch(&Batch::Separate(Vec::new()), &mut Context::default());
        if none.is_empty() {
            Ok(())
        } else {
            Err("answers to no questions".to_owned())
        }
    });
    suite.check_anywhere(
        "a warm start changes the iterations only",
        &[Balanced, WarmStart],
        warm,
    );
    suite.check_anywhere(
        "a warm start is looked at",
        &[Balanced, WarmStart],
        warm_counts,
    );
    suite.check_anywhere(
        "a useless warm start does no harm",
        &[Balanced],
        useless_warm,
    );
}

/// Problems whose iterations are counted, and how many each must need on average for the counts to tell something.
const STARTS: u64 = 3;
const MANY: u64 = 8;

fn same(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    found: &Solution,
    alone: &Solution,
) -> Verdict {
    let values = [alone.transport_cost, alone.objective];
    verify::same_value(subject, name, problem, found, values)
}

/// Each answer of the batch against a solve of its own, by the same solver.
fn compare(subject: &Subject<'_>, solver: &dyn Solver, batch: &Batch) -> Verdict {
    let answers = solver.solve_batch(batch, &mut Context::default());
    if answers.len() != batch.len() {
        return Err(format!(
            "{} answers to {} problems",
            answers.len(),
            batch.len()
        ));
    }
    for (k, answer) in answers.into_iter().enumerate() {
        let name = format!("problem {k} of the batch");
        let problem = text(batch.problem(k))?;
        let answer = answer.map_err(|e| format!("{name}: refused: {e}"))?;
        let answer = subject.converged(&name, &problem, answer)?;
        let alone = subject.run(&name, solver, &problem, &mut Context::default())?;
        same(subject, &name, &problem, &answer, &alone)?;
    }
    Ok(())
}

fn separate(subject: &Subject<'_>) -> Verdict {
    let sizes = [(3, 4), (7, 2), (1, 5), (6, 6), (12, 9)];
    let problems: Result<Vec<_>, _> = sizes
        .iter()
        .enumerate()
        .map(|(k, &(n, m))| subject.generic(310 + k as u64, n, m, 1.0 + k as f64))
        .collect();
    let problems = problems?;
    let solver = subject.solver(&problems[0])?;
    compare(subject, solver.as_ref(), &Batch::Separate(problems))
}

fn cost(random: &mut Random, n: usize, m: usize) -> Result<Arc<dyn Cost>, String> {
    Ok(Arc::new(text(DenseCost::new(
        n,
        m,
        random.vec(n * m, 0.0, 1.0),
    ))?))
}

fn shared_cost(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(320);
    let cost = cost(&mut random, 6, 7)?;
    let mut pairs = Vec::new();
    for k in 0..9 {
        let mut a = random.weights(6, 1.0);
        if k % 3 == 1 {
            // Zero weights at places that differ from problem to problem.
            a[k % 6] = 0.0;
            let total: f64 = a.iter().sum();
            a.iter_mut().for_each(|w| *w /= total);
        }
        pairs.push((
            text(Measure::new(a))?,
            text(Measure::new(random.weights(7, 1.0)))?,
        ));
    }
    // Two columns alike, and one of another mass.
    pairs.push(pairs[2].clone());
    pairs.push((
        text(Measure::new(random.weights(6, 4.0)))?,
        text(Measure::new(random.weights(7, 4.0)))?,
    ));
    let (a, b) = pairs[0].clone();
    let solver = subject.solver(&text(Problem::new(a, b, Arc::clone(&cost)))?)?;
    compare(subject, solver.as_ref(), &Batch::SharedCost { cost, pairs })
}

fn one_to_many(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(330);
    let cost = cost(&mut random, 5, 8)?;
    let source = text(Measure::new(random.weights(5, 2.0)))?;
    let targets: Result<Vec<_>, String> = (0..6)
        .map(|_| text(Measure::new(random.weights(8, 2.0))))
        .collect();
    let targets = targets?;
    let first = text(Problem::new(
        source.clone(),
        targets[0].clone(),
        Arc::clone(&cost),
    ))?;
    let solver = subject.solver(&first)?;
    compare(
        subject,
        solver.as_ref(),
        &Batch::OneToMany {
            cost,
            source,
            targets,
        },
    )
}

/// Pairs of several masses, and one source with several targets, that have a cost in common.
fn masses(subject: &Subject<'_>) -> Verdict {
    let (cost, pairs) = subject.sharing(335, (6, 7), 5, |k| [1.0, 4.0, 0.5, 1e6, 1.0][k])?;
    let (a, b) = pairs[0].clone();
    let first = text(Problem::new(a.clone(), b.clone(), Arc::clone(&cost)))?;
    let solver = subject.solver(&first)?;
    let many = Batch::OneToMany {
        cost: Arc::clone(&cost),
        source: a,
        targets: vec![b, pairs[4].1.clone()],
    };
    compare(subject, solver.as_ref(), &Batch::SharedCost { cost, pairs })?;
    compare(subject, solver.as_ref(), &many)
}

/// Wrong masses, wrong lengths: errors in their places, answers in the others.
fn one_bad(subject: &Subject<'_>) -> Verdict {
    let (cost, mut pairs) = subject.sharing(340, (4, 4), 5, |_| 1.0)?;
    let times = |w: &Measure, t: f64| w.weights().iter().map(|w| w * t).collect::<Vec<_>>();
    pairs[1].1 = text(Measure::new(times(&pairs[1].1, 2.0)))?;
    let half = |w: &Measure| [times(w, 0.5), vec![0.5 * w.mass()]].concat();
    pairs[3].0 = text(Measure::new(half(&pairs[3].0)))?;
    let first = text(Problem::new(
        pairs[0].0.clone(),
        pairs[0].1.clone(),
        Arc::clone(&cost),
    ))?;
    let solver = subject.solver(&first)?;
    let batch = Batch::SharedCost { cost, pairs };
    let answers = solver.solve_batch(&batch, &mut Context::default());
    if answers.len() != 5 {
        return Err(format!("{} answers to 5 problems", answers.len()));
    }
    for (k, answer) in answers.into_iter().enumerate() {
        match (k, answer) {
            (1, Err(Error::MassMismatch { .. })) | (3, Err(Error::ShapeMismatch { .. })) => {}
            (1 | 3, Err(e)) => return Err(format!("problem {k}: another error than its own: {e}")),
            (1 | 3, Ok(_)) => return Err(format!("problem {k} is bad, but was answered")),
            (_, Err(e)) => return Err(format!("problem {k} is good, but was refused: {e}")),
            (_, Ok(s)) => {
                subject.converged(&format!("problem {k}"), &text(batch.problem(k))?, s)?;
            }
        }
    }
    Ok(())
}

fn warm(subject: &Subject<'_>) -> Verdict {
    let size = subject.expect.max_size.min(40);
    let problem = subject.generic(350, size, size, 1.0)?;
    let solver = subject.solver(&problem)?;
    let cold = subject.run("cold", solver.as_ref(), &problem, &mut Context::default())?;
    let mut context = Context::new().warm(cold.potentials.clone());
    let again = subject.run(
        "from its own potentials",
        solver.as_ref(),
        &problem,
        &mut context,
    )?;
    same(subject, "from its own potentials", &problem, &again, &cold)?;
    let counts = (again.convergence.iterations, cold.convergence.iterations);
    if let (Some(again), Some(cold)) = counts
        && again > cold
    {
        return Err(format!(
            "from its own potentials it took {again} iterations, cold {cold}"
        ));
    }
    Ok(())
}

/// A solver that counts its iterations tells whether it looks at a warm start. From the potentials of its own answer
/// an entropic one has fewer to do. A simplex may have more, where its own start is the better one, but not as many
/// as from nowhere in every problem, from good potentials and from bad ones alike.
fn warm_counts(subject: &Subject<'_>) -> Verdict {
    let size = subject.expect.max_size;
    let mut counts = Vec::new();
    for seed in 351..351 + STARTS {
        let problem = subject.generic(seed, size, size, 1.0)?;
        let solver = subject.solver(&problem)?;
        let cold = subject.run("cold", solver.as_ref(), &problem, &mut Context::default())?;
        let mut random = Random::new(seed);
        let bad = Potentials::new(random.vec(size, -0.5, 0.5), random.vec(size, -0.5, 0.5));
        let from = |potentials: &Potentials| {
            let mut context = Context::new().warm(potentials.clone());
            let warm = subject.run("warm", solver.as_ref(), &problem, &mut context)?;
            Ok::<_, String>(warm.convergence.iterations)
        };
        let found = (
            cold.convergence.iterations,
            from(&cold.potentials)?,
            from(&bad)?,
        );
        let (Some(cold), Some(good), Some(bad)) = found else {
            return Ok(());
        };
        counts.push([cold, good, bad]);
    }
    let [cold, good] = [0, 1].map(|k| counts.iter().map(|c| c[k]).sum::<u64>());
    if cold < MANY * STARTS {
        return Ok(());
    }
    if subject.has(Capability::Entropic) && good >= cold {
        return Err(format!(
            "from its own potentials it took {good} iterations, cold {cold}"
        ));
    }
    let same = counts
        .iter()
        .all(|[cold, good, bad]| cold == good && cold == bad);
    if subject.has(Capability::Deterministic) && same {
        return Err(format!(
            "cold, from its own potentials and from random ones it took as many iterations: {counts:?}"
        ));
    }
    Ok(())
}

/// Potentials of another problem, random ones, and bad ones: a correct answer, or an error for what is no potential.
fn useless_warm(subject: &Subject<'_>) -> Verdict {
    let problem = subject.generic(360, 8, 6, 1.0)?;
    let solver = subject.solver(&problem)?;
    let cold = subject.run("cold", solver.as_ref(), &problem, &mut Context::default())?;
    let (n, m) = problem.shape();
    let mut random = Random::new(361);
    let mut potentials =
        |size: f64| Potentials::new(random.vec(n, -size, size), random.vec(m, -size, size));
    let mut useless: Vec<(String, Potentials)> = [0.0, 0.3, 3.0, 1e9, 1e300]
        .map(|size| {
            (
                format!("from random potentials of size {size:e}"),
                potentials(size),
            )
        })
        .into();
    // Beside a shift this large the costs are rounding.
    let shifted = Potentials::new(vec![1e300; n], vec![-1e300; m]);
    useless.push(("from potentials shifted by 1e300".to_owned(), shifted));
    for (name, potentials) in useless {
        let mut context = Context::new().warm(potentials);
        let found = subject.run(&name, solver.as_ref(), &problem, &mut context)?;
        same(subject, &name, &problem, &found, &cold)?;
    }
    let bad = [
        (
            "NaN potentials",
            Potentials::new(vec![f64::NAN; n], vec![0.0; m]),
        ),
        (
            "potentials of another shape",
            Potentials::new(vec![0.0; n + 1], vec![0.0; m]),
        ),
    ];
    for (name, bad) in bad {
        let mut context = Context::new().warm(bad);
        if let Ok(found) = solver.solve_with(&problem, &mut context) {
            let found = subject.converged(name, &problem, found)?;
            same(subject, name, &problem, &found, &cold)?;
        }
    }
    Ok(())
}
