//! What is true of every answer, re-measured from its plan and potentials alone.

use super::oracle::{self, matrix};
use super::subject::{Subject, rounding, value_scale};
use super::{Verdict, entropic};
use crate::certificate::kl;
use crate::{Capability, Certificate, Marginals, Problem, Solution, measure};

/// x ≤ limit, which is false for NaN.
pub(super) fn at_most(x: f64, limit: f64) -> bool {
    x <= limit
}

/// Problems up to this many points on a side are compared with the oracle.
const ORACLE_SIZE: usize = 12;

/// A converged answer: finite, honest about its marginals and values, within its bracket, and of the form that its
/// kind of solver promises.
pub(super) fn answer(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    s: &Solution,
) -> Verdict {
    let measured = honest(name, problem, s)?;
    let allowed = subject.expect.converged_error();
    for (side, error) in [("source", measured.source), ("target", measured.target)] {
        if error > allowed {
            return Err(format!(
                "{name}: claims {} with a {side} marginal error of {error:e}, allowed {allowed:e}",
                s.convergence.termination
            ));
        }
    }
    let bracket = certificate(name, problem, s)?;
    if problem.marginals() == Marginals::Balanced {
        centred(name, problem, s)?;
    }
    if subject.has(Capability::Entropic) {
        entropic::form(subject, name, problem, s, &measured)?;
    } else if subject.has(Capability::Exact) && s.reg != 0.0 {
        return Err(format!("{name}: an exact answer reports reg = {}", s.reg));
    }
    if subject.has(Capability::Exact) {
        optimal(subject, name, problem, s, bracket)?;
    }
    near_optimum(subject, name, problem, s)
}

/// An answer that need not have converged: no NaN, figures that its plan confirms, and a bracket that holds.
pub(super) fn honest_answer(name: &str, problem: &Problem, s: &Solution) -> Verdict {
    honest(name, problem, s)?;
    certificate(name, problem, s).map(|_| ())
}

/// Marginals and values of a plan, summed from its entries.
pub(super) struct Measured {
    /// Entries, row-major.
    pub(super) plan: Vec<f64>,
    pub(super) rows: Vec<f64>,
    pub(super) cols: Vec<f64>,
    pub(super) transport_cost: f64,
    /// Marginal errors as [`Convergence`](crate::Convergence) defines them.
    source: f64,
    target: f64,
}

fn honest(name: &str, problem: &Problem, s: &Solution) -> Result<Measured, String> {
    let numbers = [
        ("transport_cost", s.transport_cost),
        ("objective", s.objective),
        ("mass", s.mass),
        ("source_error", s.convergence.source_error),
        ("target_error", s.convergence.target_error),
    ];
    if let Some((what, value)) = numbers.iter().find(|(_, v)| !v.is_finite()) {
        return Err(format!("{name}: {what} is {value}"));
    }
    let (n, m) = problem.shape();
    if s.plan.shape() != (n, m) {
        return Err(format!(
            "{name}: the plan has shape {:?}, not {n}×{m}",
            s.plan.shape()
        ));
    }
    let (a, b) = (problem.a().weights(), problem.b().weights());
    if (s.potentials.f.len(), s.potentials.g.len()) != (n, m) {
        return Err(format!(
            "{name}: the potentials don't have {n} and {m} entries"
        ));
    }
    for (side, potential, weights) in [("f", &s.potentials.f, a), ("g", &s.potentials.g, b)] {
        for (k, (&p, &w)) in potential.iter().zip(weights).enumerate() {
            // Only an entry without a partner may be +∞, and of a positive weight only in a relaxed problem.
            let relaxed = matches!(problem.marginals(), Marginals::Relaxed { .. });
            let infinite_is_fine = p == f64::INFINITY && (w == 0.0 || relaxed);
            if !(p.is_finite() || infinite_is_fine) {
                return Err(format!("{name}: {side}[{k}] is {p}, its weight {w}"));
            }
        }
    }
    let measured = measure_plan(name, problem, s)?;
    let mass = problem.mass();
    let close = |what: &str, found: f64, wanted: f64, slack: f64| -> Verdict {
        if (found - wanted).abs() <= slack {
            return Ok(());
        }
        Err(format!(
            "{name}: reports {what} {found:e}, its plan says {wanted:e}"
        ))
    };
    let moved = measure::sum(&measured.rows);
    close("mass", s.mass, moved, 1e-11 * mass.max(moved))?;
    let slack = 10.0 * rounding(problem) * (1.0 + moved / mass);
    close(
        "transport_cost",
        s.transport_cost,
        measured.transport_cost,
        slack,
    )?;
    let slack = |error: f64| 1e-11 * (1.0 + error);
    let how = &s.convergence;
    close(
        "source_error",
        how.source_error,
        measured.source,
        slack(measured.source),
    )?;
    close(
        "target_error",
        how.target_error,
        measured.target,
        slack(measured.target),
    )?;
    Ok(measured)
}

fn measure_plan(name: &str, problem: &Problem, s: &Solution) -> Result<Measured, String> {
    let (n, m) = problem.shape();
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let costs = matrix(problem);
    let mut plan = vec![0.0; n * m];
    let mut bad = None;
    let mut scratch = s.plan.scratch();
    for i in 0..n {
        s.plan.row(i, &mut scratch).visit(|j, p| {
            plan[i * m + j] = p;
            let rule = if !(p.is_finite() && p >= 0.0) {
                "must be finite and not negative"
            } else if a[i] == 0.0 || b[j] == 0.0 {
                "stands at an entry of weight zero"
            } else if costs[i * m + j] == f64::INFINITY {
                "stands on a forbidden pair"
            } else {
                return;
            };
            bad = bad.or(Some((i, j, p, rule)));
        });
    }
    if let Some((i, j, p, rule)) = bad {
        return Err(format!("{name}: P[{i}, {j}] = {p:e} {rule}"));
    }
    let column = |j: usize| (0..n).map(|i| plan[i * m + j]).collect::<Vec<_>>();
    let rows: Vec<f64> = plan.chunks_exact(m).map(measure::sum).collect();
    let cols: Vec<f64> = (0..m).map(|j| measure::sum(&column(j))).collect();
    let paid: Vec<f64> = plan
        .iter()
        .zip(&costs)
        .map(|(p, c)| if *p == 0.0 { 0.0 } else { p * c })
        .collect();
    let off = |have: &[f64], wanted: &dyn Fn(usize) -> f64, excess_only: bool| {
        let one = |(k, h): (usize, &f64)| {
            let d = h - wanted(k);
            if excess_only { d.max(0.0) } else { d.abs() }
        };
        have.iter().enumerate().map(one).sum::<f64>() / problem.mass()
    };
    let soft = |w: f64, p: f64, gamma: f64| {
        if gamma.is_infinite() || w == 0.0 {
            w
        } else {
            w * (-p / gamma).exp()
        }
    };
    let (f, g) = (&s.potentials.f, &s.potentials.g);
    let (source, target) = match problem.marginals() {
        Marginals::Balanced => (off(&rows, &|i| a[i], false), off(&cols, &|j| b[j], false)),
        Marginals::Partial { mass } => {
            let missing = (measure::sum(&rows) - mass).abs() / mass;
            let (source, target) = (off(&rows, &|i| a[i], true), off(&cols, &|j| b[j], true));
            (source.max(missing), target.max(missing))
        }
        Marginals::Relaxed { gamma_a, gamma_b } => (
            off(&rows, &|i| soft(a[i], f[i], gamma_a), false),
            off(&cols, &|j| soft(b[j], g[j], gamma_b), false),
        ),
    };
    Ok(Measured {
        transport_cost: measure::sum(&paid),
        plan,
        rows,
        cols,
        source,
        target,
    })
}

/// The bracket is there, is in order, and holds the optimum where that is known.
fn certificate(name: &str, problem: &Problem, s: &Solution) -> Result<Certificate, String> {
    let Some(bracket) = s.certificate else {
        return Err(format!(
            "{name}: no certificate, though nothing switched it off"
        ));
    };
    let (lower, upper) = (bracket.lower, bracket.upper);
    let slack = rounding(problem) + certificate_rounding(problem, s);
    if !at_most(lower, upper + slack) {
        return Err(format!(
            "{name}: the bracket [{lower:e}, {upper:e}] is upside down"
        ));
    }
    let (n, m) = problem.shape();
    if n.max(m) <= ORACLE_SIZE
        && let Some(best) = oracle::optimum(problem)
    {
        if best.open(problem) > 1e-10 || !best.allowed(problem) {
            return Err(format!("{name}: the suite's oracle failed on this problem"));
        }
        if bracket.contains(best.value, slack) {
            return Ok(bracket);
        }
        return Err(format!(
            "{name}: the optimum {:e} lies outside of the bracket [{lower:e}, {upper:e}] by more than {slack:e}",
            best.value
        ));
    }
    if let Marginals::Relaxed { gamma_a, gamma_b } = problem.marginals() {
        relaxed_bracket(name, problem, bracket, gamma_a, gamma_b, slack)?;
    }
    Ok(bracket)
}

/// 1e-12 of Σ|f|a + Σ|g|b + |λ|·mass.
fn certificate_rounding(problem: &Problem, s: &Solution) -> f64 {
    let size = |p: &[f64], w: &[f64]| {
        let terms = p.iter().zip(w).filter(|(p, w)| **w > 0.0 && p.is_finite());
        terms.map(|(p, w)| p.abs() * w).sum::<f64>()
    };
    1e-12
        * (size(&s.potentials.f, problem.a().weights())
            + size(&s.potentials.g, problem.b().weights())
            + s.potentials.lambda.abs() * problem.mass())
}

/// The lower end stays below R of plans that the suite knows, where no side is hard.
fn relaxed_bracket(
    name: &str,
    problem: &Problem,
    bracket: Certificate,
    gamma_a: f64,
    gamma_b: f64,
    slack: f64,
) -> Verdict {
    if gamma_a.is_infinite() || gamma_b.is_infinite() {
        return Ok(());
    }
    let (a, b) = (problem.a(), problem.b());
    let costs = matrix(problem);
    let m = b.len();
    // No transport at all, and the product plan at three masses.
    for share in [0.0, 0.25, 0.5, 1.0] {
        let total = share * problem.mass();
        let rows: Vec<f64> = a.weights().iter().map(|w| w / a.mass() * total).collect();
        let cols: Vec<f64> = b.weights().iter().map(|w| w / b.mass() * total).collect();
        let paid = costs.iter().enumerate().map(|(k, c)| {
            let p = rows[k / m] * cols[k % m];
            if p == 0.0 { 0.0 } else { p / total * c }
        });
        let value =
            paid.sum::<f64>() + gamma_a * kl(&rows, a.weights()) + gamma_b * kl(&cols, b.weights());
        if bracket.lower > value + slack {
            return Err(format!(
                "{name}: the lower bound {:e} lies above {value:e}, the value of a plan",
                bracket.lower
            ));
        }
    }
    Ok(())
}

/// ⟨f, a⟩ = ⟨g, b⟩, where one shift is all the freedom there is.
fn centred(name: &str, problem: &Problem, s: &Solution) -> Verdict {
    if problem.cost().range().forbidden > 0 {
        return Ok(());
    }
    let pair = |p: &[f64], w: &[f64]| {
        let terms = p.iter().zip(w).filter(|(_, w)| **w > 0.0);
        measure::sum(&terms.map(|(p, w)| p * w).collect::<Vec<_>>())
    };
    let (fa, gb) = (
        pair(&s.potentials.f, problem.a().weights()),
        pair(&s.potentials.g, problem.b().weights()),
    );
    let slack = rounding(problem) + 10.0 * certificate_rounding(problem, s);
    if (fa - gb).abs() > slack {
        return Err(format!(
            "{name}: ⟨f, a⟩ = {fa:e} but ⟨g, b⟩ = {gb:e}: not centred"
        ));
    }
    Ok(())
}

/// Exact solvers close the bracket, equal the oracle, and their potentials are feasible.
fn optimal(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    s: &Solution,
    bracket: Certificate,
) -> Verdict {
    let m = problem.b().len();
    let slack = subject.expect.value_accuracy() * s.objective.abs()
        + rounding(problem)
        + 2.0 * certificate_rounding(problem, s);
    let gap = bracket.gap();
    if !at_most(gap, slack) {
        return Err(format!(
            "{name}: the bracket [{:e}, {:e}] is open by {gap:e}, allowed {slack:e}",
            bracket.lower, bracket.upper
        ));
    }
    if let Some(best) = small_optimum(problem) {
        subject.expect_value(name, "transport_cost", s.transport_cost, best, slack)?;
    }
    if problem.marginals() != Marginals::Balanced {
        return Ok(());
    }
    let (f, g) = (&s.potentials.f, &s.potentials.g);
    for (k, &c) in matrix(problem).iter().enumerate() {
        let over = f[k / m] + g[k % m] - c;
        let ulp = 1e-12 * (f[k / m].abs() + g[k % m].abs() + c.abs());
        let room = ulp + subject.expect.value_accuracy() * problem.cost().range().spread();
        if over > room && over.is_finite() {
            return Err(format!(
                "{name}: f[{}] + g[{}] exceeds the cost by {over:e}, allowed {room:e}",
                k / m,
                k % m
            ));
        }
    }
    Ok(())
}

/// Solvers that approximate the unregularized optimum come within their accuracy of it.
fn near_optimum(subject: &Subject<'_>, name: &str, problem: &Problem, s: &Solution) -> Verdict {
    if subject.has(Capability::Exact) || subject.has(Capability::Entropic) {
        return Ok(());
    }
    match small_optimum(problem) {
        None => Ok(()),
        Some(best) => {
            let slack = subject.slack(problem);
            subject.expect_value(name, "transport_cost", s.transport_cost, best, slack)
        }
    }
}

fn small_optimum(problem: &Problem) -> Option<f64> {
    let (n, m) = problem.shape();
    let small = n.max(m) <= ORACLE_SIZE;
    small
        .then(|| oracle::optimum(problem))
        .flatten()
        .map(|best| best.value)
}

/// Two answers to what must be the same question, up to a factor and a shift of the value.
pub(super) fn same_value(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    found: &Solution,
    wanted: [f64; 2],
) -> Verdict {
    let slack = 2.0 * subject.slack(problem) + 1e-12 * value_scale(problem);
    subject.expect_value(
        name,
        "transport_cost",
        found.transport_cost,
        wanted[0],
        slack,
    )?;
    subject.expect_value(name, "objective", found.objective, wanted[1], slack)
}

/// The same entries, within the accuracy, relative to the mass.
pub(super) fn same_numbers(
    name: &str,
    what: &str,
    found: &[f64],
    wanted: &[f64],
    slack: f64,
) -> Verdict {
    if found.len() != wanted.len() {
        return Err(format!(
            "{name}: {what} has {} entries, not {}",
            found.len(),
            wanted.len()
        ));
    }
    for (k, (x, y)) in found.iter().zip(wanted).enumerate() {
        if x != y && !at_most((x - y).abs(), slack) {
            return Err(format!(
                "{name}: {what}[{k}] is {x:e}, should be {y:e} (allowed {slack:e})"
            ));
        }
    }
    Ok(())
}
