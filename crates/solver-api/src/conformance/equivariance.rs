//! Contract 4: what a change of the problem that changes nothing essential does to the answer.

use super::cases::{Random, parts, text, with_marginals_of};
use super::domain;
use super::output::{partial_problem, relaxed_problem};
use super::subject::{Subject, rounding};
use super::{Suite, Verdict, verify};
use crate::{Capability, Marginals, Problem, Solution};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Entropic, Partial, Relaxed};
    let balanced = |s: &Subject<'_>| -> Result<Vec<Problem>, String> {
        Ok(vec![s.generic(101, 6, 5, 1.0)?, s.generic(102, 4, 9, 2.5)?])
    };
    let relaxed = || -> Result<Vec<Problem>, String> {
        Ok(vec![
            relaxed_problem(103, 1.7, 0.6, 1.1)?,
            relaxed_problem(104, 1.0, 0.6, f64::INFINITY)?,
        ])
    };
    let partial = || Ok::<_, String>(vec![partial_problem(105, 1.0)?]);
    suite.check_anywhere("permutation", &[Balanced], |s| {
        each(s, balanced(s)?, permuted)
    });
    suite.check_anywhere("transposition", &[Balanced], |s| {
        each(s, balanced(s)?, transposed)
    });
    suite.check("C → s·C", &[Balanced], |s| each(s, balanced(s)?, scaled));
    suite.check("C → C + c", &[Balanced], |s| {
        each(s, balanced(s)?, shifted)
    });
    suite.check_anywhere("masses × t", &[Balanced], |s| {
        each(s, balanced(s)?, heavier)
    });
    suite.check("relaxed: permutation", &[Relaxed, Entropic], |s| {
        each(s, relaxed()?, permuted)
    });
    suite.check("relaxed: transposition", &[Relaxed, Entropic], |s| {
        each(s, relaxed()?, transposed)
    });
    suite.check("relaxed: C, reg and γ × s", &[Relaxed, Entropic], |s| {
        each(s, relaxed()?, scaled)
    });
    suite.check("partial: permutation", &[Partial], |s| {
        each(s, partial()?, permuted)
    });
    suite.check("partial: transposition", &[Partial], |s| {
        each(s, partial()?, transposed)
    });
    suite.check("partial: C → s·C", &[Partial], |s| {
        each(s, partial()?, scaled)
    });
    suite.check("partial: C → C + c", &[Partial], |s| {
        each(s, partial()?, shifted)
    });
    suite.check("partial: masses × t", &[Partial], |s| {
        each(s, partial()?, heavier)
    });
}

type Law = fn(&Subject<'_>, &Problem, &Solution) -> Verdict;

fn each(subject: &Subject<'_>, problems: Vec<Problem>, law: Law) -> Verdict {
    for problem in problems {
        let original = subject.solve("the original", &problem)?;
        law(subject, &problem, &original)?;
    }
    Ok(())
}

/// What the answer to a changed problem should be, in terms of the original answer.
struct Wanted {
    values: [f64; 2],
    /// Row-major, of the changed problem.
    plan: Vec<f64>,
    f: Vec<f64>,
    g: Vec<f64>,
}

fn compare(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    found: &Solution,
    wanted: &Wanted,
) -> Verdict {
    verify::same_value(subject, name, problem, found, wanted.values)?;
    // Generic costs: the optimal plan is unique; those of a domain need not be. Sub-optimal by δ, it may still differ by δ over the smallest
    // reduced cost, so approximate solvers are compared by values only.
    let unique = (subject.has(Capability::Exact) && subject.expect.domain.is_none())
        || subject.has(Capability::Entropic);
    if !unique {
        return Ok(());
    }
    let accuracy = subject
        .expect
        .value_accuracy()
        .sqrt()
        .min(1e3 * subject.expect.value_accuracy());
    let plan = found.plan.to_dense();
    verify::same_numbers(
        name,
        "the plan",
        plan.data(),
        &wanted.plan,
        accuracy * problem.mass(),
    )?;
    if !subject.has(Capability::Entropic) {
        return Ok(());
    }
    let range = problem.cost().range();
    let slack = accuracy * range.spread() + rounding(problem) / problem.mass();
    verify::same_numbers(name, "f", &found.potentials.f, &wanted.f, slack)?;
    verify::same_numbers(name, "g", &found.potentials.g, &wanted.g, slack)
}

fn permuted(subject: &Subject<'_>, problem: &Problem, original: &Solution) -> Verdict {
    let (n, m) = problem.shape();
    let mut random = Random::new(77);
    let (rows, cols) = (random.permutation(n), random.permutation(m));
    let pick = |v: &[f64], order: &[usize]| order.iter().map(|&k| v[k]).collect::<Vec<_>>();
    let matrix = |v: &[f64]| {
        let entries = rows
            .iter()
            .flat_map(|&i| cols.iter().map(move |&j| v[i * m + j]));
        entries.collect::<Vec<_>>()
    };
    let changed = if subject.expect.domain.is_some() {
        domain::permuted(problem, &rows, &cols)?
    } else {
        let (a, b, cost) = parts(problem);
        let changed = (pick(&a, &rows), pick(&b, &cols), matrix(&cost));
        with_marginals_of(problem, changed, 1.0, 1.0)?
    };
    let found = subject.solve("permuted", &changed)?;
    let wanted = Wanted {
        values: [original.transport_cost, original.objective],
        plan: matrix(original.plan.to_dense().data()),
        f: pick(&original.potentials.f, &rows),
        g: pick(&original.potentials.g, &cols),
    };
    compare(subject, "permuted", &changed, &found, &wanted)
}

fn transposed(subject: &Subject<'_>, problem: &Problem, original: &Solution) -> Verdict {
    let (n, m) = problem.shape();
    let changed = if subject.expect.domain.is_some() {
        domain::transposed(problem)?
    } else {
        text(problem.transposed())?
    };
    let found = subject.solve("transposed", &changed)?;
    let plan = original.plan.to_dense();
    let wanted = Wanted {
        values: [original.transport_cost, original.objective],
        plan: (0..n * m)
            .map(|k| plan.data()[(k % n) * m + k / n])
            .collect(),
        f: original.potentials.g.clone(),
        g: original.potentials.f.clone(),
    };
    compare(subject, "transposed", &changed, &found, &wanted)
}

/// C, reg and γ times s: values and potentials times s, the same plan.
fn scaled(subject: &Subject<'_>, problem: &Problem, original: &Solution) -> Verdict {
    let times = |v: &[f64], s: f64| v.iter().map(|v| v * s).collect::<Vec<_>>();
    for s in [3.7, 1024.0, 1e-3] {
        let (a, b, cost) = parts(problem);
        let changed = with_marginals_of(problem, (a, b, times(&cost, s)), s, 1.0)?;
        let name = format!("cost × {s}");
        let reg = subject.reg(problem).map(|r| r * s);
        let found = subject.solve_at(&name, &changed, reg)?;
        let wanted = Wanted {
            values: [s * original.transport_cost, s * original.objective],
            plan: original.plan.to_dense().data().to_vec(),
            f: times(&original.potentials.f, s),
            g: times(&original.potentials.g, s),
        };
        compare(subject, &name, &changed, &found, &wanted)?;
    }
    Ok(())
}

/// C + c at the same reg: values + c·mass, the same plan; centred potentials share the shift.
fn shifted(subject: &Subject<'_>, problem: &Problem, original: &Solution) -> Verdict {
    for c in [2.5, -10.0] {
        let (a, b, cost) = parts(problem);
        let cost = cost.iter().map(|v| v + c).collect();
        let changed = with_marginals_of(problem, (a, b, cost), 1.0, 1.0)?;
        let name = format!("cost + {c}");
        let found = subject.solve_at(&name, &changed, subject.reg(problem))?;
        let more = c * problem.mass();
        // A partial plan's shift goes to the multiplier of the mass instead.
        let share = if problem.marginals() == Marginals::Balanced {
            0.5 * c
        } else {
            0.0
        };
        let plus = |v: &[f64]| v.iter().map(|v| v + share).collect();
        let wanted = Wanted {
            values: [original.transport_cost + more, original.objective + more],
            plan: original.plan.to_dense().data().to_vec(),
            f: plus(&original.potentials.f),
            g: plus(&original.potentials.g),
        };
        compare(subject, &name, &changed, &found, &wanted)?;
    }
    Ok(())
}

/// Masses times t: values and plan times t, the same potentials.
fn heavier(subject: &Subject<'_>, problem: &Problem, original: &Solution) -> Verdict {
    let times = |v: &[f64], t: f64| v.iter().map(|v| v * t).collect::<Vec<_>>();
    for t in [7.3, 1e-3, 1e6] {
        let changed = if subject.expect.domain.is_some() {
            domain::heavier(problem, t)?
        } else {
            let (a, b, cost) = parts(problem);
            with_marginals_of(problem, (times(&a, t), times(&b, t), cost), 1.0, t)?
        };
        let name = format!("masses × {t}");
        let found = subject.solve_at(&name, &changed, subject.reg(problem))?;
        // A partial plan's reference a⊗b stays in the caller's units, t² times as heavy.
        let entropy = match problem.marginals() {
            Marginals::Partial { .. } => {
                let product = problem.a().mass() * problem.b().mass();
                original.reg * t * ((t - 1.0) * product - original.mass * t.ln())
            }
            _ => 0.0,
        };
        let wanted = Wanted {
            values: [
                t * original.transport_cost,
                t * original.objective + entropy,
            ],
            plan: times(original.plan.to_dense().data(), t),
            f: original.potentials.f.clone(),
            g: original.potentials.g.clone(),
        };
        compare(subject, &name, &changed, &found, &wanted)?;
    }
    Ok(())
}
