//! The form that a regularized answer must have.

use super::Verdict;
use super::oracle::matrix;
use super::subject::Subject;
use super::verify::{Measured, at_most};
use crate::certificate::kl;
use crate::{Marginals, Problem, Solution, measure};

/// P_ij = a_i b_j exp((f_i + g_j + λ − C_ij)/ε) (balanced: at mass 1; λ = 0 unless partial), the objective that belongs to it, and the soft
/// c-transform at zero weights. With the marginals, that is all there is to prove of an entropic answer.
pub(super) fn form(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    s: &Solution,
    measured: &Measured,
) -> Verdict {
    let m = problem.b().len();
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let (f, g) = (&s.potentials.f, &s.potentials.g);
    let (costs, reg) = (matrix(problem), s.reg);
    if !at_most(f64::MIN_POSITIVE, reg) {
        return Err(format!("{name}: an entropic answer reports reg = {reg}"));
    }
    let balanced = problem.marginals() == Marginals::Balanced;
    let unit = if balanced { problem.mass() } else { 1.0 };
    let accuracy = subject.expect.value_accuracy();
    let (mut entropy, mut reference) = (Vec::new(), 0.0);
    for (k, &p) in measured.plan.iter().enumerate() {
        let (i, j) = (k / m, k % m);
        reference += a[i] * (b[j] / unit);
        if a[i] == 0.0 || b[j] == 0.0 || costs[k] == f64::INFINITY {
            continue;
        }
        let wanted =
            a[i] * (b[j] / unit) * ((f[i] + g[j] + s.potentials.lambda - costs[k]) / reg).exp();
        if (p - wanted).abs() > accuracy * p.max(wanted) + 1e-14 * problem.mass() {
            return Err(format!(
                "{name}: P[{i}, {j}] = {p:e}, but its potentials say {wanted:e}"
            ));
        }
        if p > 0.0 {
            entropy.push(p * (p / a[i] * (unit / b[j])).ln());
        }
    }
    let mut objective = measured.transport_cost
        + reg * (measure::sum(&entropy) - measure::sum(&measured.rows) + reference);
    if let Marginals::Relaxed { gamma_a, gamma_b } = problem.marginals() {
        for (gamma, p, w) in [(gamma_a, &measured.rows, a), (gamma_b, &measured.cols, b)] {
            objective += if gamma.is_finite() {
                gamma * kl(p, w)
            } else {
                0.0
            };
        }
    }
    let slack = subject.slack(problem) + 1e-12 * (reg * problem.mass() + objective.abs());
    subject.expect_value(name, "objective", s.objective, objective, slack)?;
    soft_extension(name, problem, s, &costs, unit)
}

fn soft_extension(
    name: &str,
    problem: &Problem,
    s: &Solution,
    costs: &[f64],
    unit: f64,
) -> Verdict {
    let (n, m) = problem.shape();
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let (f, g) = (&s.potentials.f, &s.potentials.g);
    let transform = |terms: Vec<(f64, f64)>| -> f64 {
        let top = terms.iter().fold(f64::NEG_INFINITY, |t: f64, x| t.max(x.1));
        let sum: f64 = terms
            .iter()
            .map(|(w, e)| w / unit * ((e - top) / s.reg).exp())
            .sum();
        let soft = if top == f64::NEG_INFINITY {
            f64::INFINITY
        } else {
            -top - s.reg * sum.ln()
        };
        match problem.marginals() {
            Marginals::Partial { .. } => (soft - s.potentials.lambda).min(0.0),
            _ => soft,
        }
    };
    let row = |i: usize| {
        (0..m)
            .filter(|&j| b[j] > 0.0)
            .map(|j| (b[j], g[j] - costs[i * m + j]))
            .collect()
    };
    let col = |j: usize| {
        (0..n)
            .filter(|&i| a[i] > 0.0)
            .map(|i| (a[i], f[i] - costs[i * m + j]))
            .collect()
    };
    let sources = (0..n)
        .filter(|&i| a[i] == 0.0)
        .map(|i| ("f", i, f[i], transform(row(i))));
    let targets = (0..m)
        .filter(|&j| b[j] == 0.0)
        .map(|j| ("g", j, g[j], transform(col(j))));
    let scale = problem.cost().range().max_abs() + s.reg;
    for (side, k, found, wanted) in sources.chain(targets) {
        // +∞ equals +∞; the difference of the two is NaN.
        if found != wanted && !at_most((found - wanted).abs(), 1e-9 * scale) {
            return Err(format!(
                "{name}: {side}[{k}], of weight zero, is {found:e}; its soft c-transform is {wanted:e}"
            ));
        }
    }
    Ok(())
}
