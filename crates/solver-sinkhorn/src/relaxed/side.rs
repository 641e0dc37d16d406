//! What one side of a relaxed problem brings to the iteration.

use solver_api::Error;

/// ε/γ from which on powers of sums have no digits left.
const LARGEST_RATIO: f64 = 1e150;
/// Logarithms of weights below this part of the largest don't count: e^−700 of it.
const DEEPEST: f64 = 700.0;

/// Weights and exponents of one marginal, on the support.
///
/// The update of the potential is f = τ (r − ε log ŝ) with ŝ = K v̂ and τ = γ/(γ + ε), hence the scaling
/// û = a e^{(f − r)/ε} = a e^{−r/(γ + ε)} ŝ^{−τ}: a weight to begin with, and a power.
#[derive(Debug)]
pub(super) struct Side {
    /// Its argument.
    name: &'static str,
    gamma: f64,
    /// log(w e^{−r/(γ + ε)}) − top; −∞ in the columns that only fill up the rows.
    pub(super) log_weights: Vec<f64>,
    /// The largest of them, taken off.
    pub(super) top: f64,
    /// τ = γ/(γ + ε).
    pub(super) power: f64,
    /// 1 − τ = ε/(γ + ε), to its last digit for large γ.
    pub(super) rest: f64,
    /// ε/γ.
    pub(super) ratio: f64,
    /// The least weight that must not underflow in a scaling.
    pub(super) least: f64,
}

impl Side {
    /// The side of weights `w` on `support`, with the minima `r` that were taken off its costs; `width` entries.
    pub(super) fn new(
        name: &'static str,
        gamma: f64,
        w: &[f64],
        support: &[u32],
        r: &[f64],
        reg: f64,
        width: usize,
    ) -> Result<Self, Error> {
        let ratio = if gamma.is_infinite() {
            0.0
        } else {
            reg / gamma
        };
        if ratio > LARGEST_RATIO {
            let rule = format!(
                "must be at least {:e} of `reg` = {reg:e}",
                1.0 / LARGEST_RATIO
            );
            return Err(Error::setting(name, gamma, rule));
        }
        let rest = ratio / (1.0 + ratio);
        let mut log_weights = vec![f64::NEG_INFINITY; width];
        for ((out, &i), r) in log_weights.iter_mut().zip(support).zip(r) {
            *out = w[i as usize].ln() - r / reg * rest;
        }
        let top = log_weights.iter().fold(f64::NEG_INFINITY, |t, &x| x.max(t));
        let mut least = 0.0_f64;
        for x in &mut log_weights {
            *x -= top;
            if *x >= crate::iterate::NEGLIGIBLE.ln() {
                least = least.min(*x);
            }
        }
        Ok(Self {
            name,
            gamma,
            log_weights,
            top,
            power: 1.0 / (1.0 + ratio),
            rest,
            ratio,
            least: least.exp(),
        })
    }

    /// What the rounding of the logarithms does to a marginal.
    pub(super) fn noise(&self) -> f64 {
        if self.top == f64::NEG_INFINITY {
            return 0.0;
        }
        let lowest = self.log_weights.iter().filter(|x| **x >= -DEEPEST);
        let depth = lowest.fold(0.0_f64, |t, x| t.max(-x));
        f64::EPSILON * (depth + self.top.abs().min(1e9))
    }

    /// The argument and its value.
    pub(super) fn named(&self) -> (&'static str, f64) {
        (self.name, self.gamma)
    }
}
