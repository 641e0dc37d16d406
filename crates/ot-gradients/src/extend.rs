//! Soft potentials of entries without weight in a relaxed problem: what a first bit of mass there would do.

use ot_kernels::reduce::row_log_sum_exp;
use solver_api::cost::row_of;
use solver_api::{Cost, Potentials};

/// The potentials with entries of zero weight replaced by the best response to the other side: e^{−f/γ} of a new bit of
/// mass is what it sends, Σ_j b_j exp((f + g_j − C_ij)/ε), so that f = −γε/(γ + ε)·log Σ_j b_j exp((g_j − C_ij)/ε).
/// +∞ where there is no partner. O(m) for each such source, O(n) for each such target.
pub(crate) fn soft(
    cost: &dyn Cost,
    (a, b): (&[f64], &[f64]),
    potentials: &Potentials,
    (gamma_a, gamma_b): (f64, f64),
    reg: f64,
) -> (Vec<f64>, Vec<f64>) {
    let (f, g) = (&potentials.f, &potentials.g);
    (
        of_sources(cost, a, b, f, g, gamma_a, reg),
        of_targets(cost, a, b, f, g, gamma_b, reg),
    )
}

/// ε, or what is left of it where the marginal gives way: γε/(γ + ε).
fn softness(gamma: f64, reg: f64) -> f64 {
    reg / (1.0 + reg / gamma)
}

fn of_sources(
    cost: &dyn Cost,
    a: &[f64],
    b: &[f64],
    f: &[f64],
    g: &[f64],
    gamma: f64,
    reg: f64,
) -> Vec<f64> {
    let mut out = f.to_vec();
    if a.iter().all(|w| *w > 0.0) {
        return out;
    }
    let weighted: Vec<f64> = g
        .iter()
        .zip(b)
        .map(|(g, b)| {
            // A potential of +∞ has no partner.
            if *b > 0.0 && g.is_finite() {
                g + reg * b.ln()
            } else {
                f64::NEG_INFINITY
            }
        })
        .collect();
    let mut scratch = vec![0.0; b.len()];
    for i in (0..a.len()).filter(|&i| a[i] == 0.0) {
        let sent = row_log_sum_exp(row_of(cost, i, &mut scratch), &weighted, 1.0 / reg);
        out[i] = -softness(gamma, reg) * sent;
    }
    out
}

fn of_targets(
    cost: &dyn Cost,
    a: &[f64],
    b: &[f64],
    f: &[f64],
    g: &[f64],
    gamma: f64,
    reg: f64,
) -> Vec<f64> {
    let mut out = g.to_vec();
    let empty: Vec<usize> = (0..b.len()).filter(|&j| b[j] == 0.0).collect();
    if empty.is_empty() {
        return out;
    }
    // Running log-sum-exp of each column: the largest exponent so far, and the sum in its units.
    let mut top = vec![f64::NEG_INFINITY; empty.len()];
    let mut sum = vec![0.0_f64; empty.len()];
    let mut scratch = vec![0.0; b.len()];
    for i in (0..a.len()).filter(|&i| a[i] > 0.0 && f[i].is_finite()) {
        let row = row_of(cost, i, &mut scratch);
        for (k, &j) in empty.iter().enumerate() {
            let x = (f[i] - row[j]) / reg + a[i].ln();
            if x > top[k] {
                sum[k] = sum[k] * (top[k] - x).exp() + 1.0;
                top[k] = x;
            } else if x > f64::NEG_INFINITY {
                sum[k] += (x - top[k]).exp();
            }
        }
    }
    for (k, &j) in empty.iter().enumerate() {
        out[j] = -softness(gamma, reg) * (top[k] + sum[k].ln());
    }
    out
}
