//! What the last pass says: the cost of the plan, and a bracket around the optimum without ε.

use ot_kernels::Elem;

use super::Posed;
use super::iterate::{End, Lazily, Run};
use super::pass::Sums;

impl Run<'_, '_> {
    /// The answer at the present potentials; a pass is made where it is not known what they pay.
    pub(super) fn finished(mut self, end: End) -> Lazily {
        if self.sums.prices.is_empty() {
            self.is_wide = end == End::Stalled;
            self.pass_told(self.is_wide, true, &|_| true);
        }
        let Posed { x, y, .. } = self.posed;
        let masses = |ratios: &[f64], w: &[f64]| -> Vec<f64> {
            ratios.iter().zip(w).map(|(r, w)| r * w).collect()
        };
        let (sent, received) = (
            masses(&self.sums.rows, x.weights()),
            masses(&self.sums.cols, y.weights()),
        );
        let paid = self.paid();
        let bracket = self.bracket(self.is_wide);
        Lazily {
            paid,
            f: x.restored(&self.f),
            g: y.restored(&self.g),
            sent: x.restored(&sent),
            received: y.restored(&received),
            error: self.error,
            end,
            passes: self.passes,
            pairs: self.pairs,
            coarse_steps: self.coarse_steps,
            bracket,
        }
    }

    /// ⟨P, C⟩ from the last pass, which was priced.
    fn paid(&self) -> f64 {
        let Posed { x, y, eps, .. } = self.posed;
        let dot = |ratios: &[f64], w: &[f64], p: &[f64]| -> f64 {
            let terms = ratios.iter().zip(w).zip(p);
            terms.map(|((r, w), p)| r * w * p).sum()
        };
        let logs: f64 = (self.sums.prices.iter().zip(x.weights()))
            .map(|(p, w)| p * w)
            .sum();
        dot(&self.sums.rows, x.weights(), &self.f) + dot(&self.sums.cols, y.weights(), &self.g)
            - eps * logs
    }

    /// Both ends from the last pass. Below: f with what the largest exponent of each column leaves to g, or the other
    /// way round, satisfies f + g ≤ C. Above: the plan P with x_i = min(1, a_i/r_i) and y_j = min(1, b_j/c_j) on both
    /// sides stays within a and b and costs no more than P; what it leaves is at most 1 − Σ x_i r_i + Σ (1 − y_j) c_j,
    /// and no unit of that costs more than the largest cost.
    pub(super) fn bracket(&self, wide: bool) -> Option<(f64, f64)> {
        let Posed { x, y, eps, .. } = self.posed;
        if self.sums.prices.is_empty()
            || !self.posed.is_balanced()
            || (self.posed.least < 0.0 || self.posed.least.is_nan())
        {
            return None;
        }
        let Sums {
            rows,
            cols,
            row_tops,
            col_tops,
            magnitude,
            ..
        } = &self.sums;
        let off = if wide {
            rounding::<f64>(*magnitude)
        } else {
            rounding::<f32>(*magnitude)
        };
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let (a, b) = (x.weights(), y.weights());
        let dual = dot(&self.f, a) + dot(&self.g, b);
        let given = dot(row_tops, a).min(dot(col_tops, b));
        // No cost is negative here, and no optimum.
        let lower = (dual - eps * (given + off)).max(0.0);
        let kept: f64 = rows
            .iter()
            .zip(a)
            .map(|(r, a)| a * (r * (1.0 - off)).min((1.0 - off) / (1.0 + off)))
            .sum();
        let cut: f64 = cols
            .iter()
            .zip(b)
            .map(|(c, b)| b * (c * (1.0 + off) - 1.0).max(0.0))
            .sum();
        let most = self.posed.least + self.posed.spread;
        let paid = self.paid();
        let upper = paid + off * (paid.abs() + eps) + (1.0 - kept + cut).max(0.0) * most;
        (lower <= upper).then_some((lower, upper))
    }
}

/// What a pass in T may err by, relative to its sums.
#[must_use]
pub fn rounding<T: Elem>(magnitude: f64) -> f64 {
    let unit = if size_of::<T>() == size_of::<f32>() {
        f64::from(f32::EPSILON)
    } else {
        f64::EPSILON
    };
    unit * (4.0 + 0.5 * magnitude)
}
