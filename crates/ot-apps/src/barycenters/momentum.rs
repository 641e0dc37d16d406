//! How far a round goes beyond its projection.
//!
//! A round of projections is a fixed-point map of ln v whose derivative M, at the fixed point, has its eigenvalues in
//! [0, ρ], ρ < 1: it maximizes the dual over u and over v in turns. Steps δ ← α (M v − v) + β δ (Polyak, *Some methods of
//! speeding up the convergence of iteration methods*, 1964) with μ = 1 − ρ, α = 4/(1 + √μ)², β = ((1 − √μ)/(1 + √μ))² bring
//! the rate from 1 − μ to about 1 − 2√μ. μ is read off the errors: a mode that decays by z a round under (α, β) has
//! μ = (1 + β − z − β/z)/α.

/// Rounds over which a rate is measured.
const WINDOW: usize = 6;
/// By how much the rate may lag behind the one expected before μ is set anew.
const LAG: f64 = 0.02;
/// The smallest μ where the map stays the same: β stays below 0.94.
pub(super) const LEAST: f64 = 2.5e-4;
/// And where it is another one now and then: β stays below 0.82.
pub(super) const LEAST_ON_THE_WAY: f64 = 2.5e-3;
/// Where errors grow by this over their least since the last change, the steps start again.
const GROWN: f64 = 1.5;
/// The error (L1, at mass 1) from which on the map is taken for a linear one.
const NEAR: f64 = 0.5;

/// The present α and β.
#[derive(Debug, Clone)]
pub(super) struct Momentum {
    mu: f64,
    least_mu: f64,
    errors: [f64; WINDOW + 1],
    seen: usize,
    least: f64,
    restarted: bool,
}

impl Momentum {
    /// Plain projections at first.
    pub(super) fn new(least_mu: f64) -> Self {
        Self {
            mu: 1.0,
            least_mu,
            errors: [f64::INFINITY; WINDOW + 1],
            seen: 0,
            least: f64::INFINITY,
            restarted: false,
        }
    }

    /// As it began.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.least_mu);
    }

    /// (α, β) of the next step; β is 0 where steps start again.
    pub(super) fn factors(&mut self) -> (f64, f64) {
        let (alpha, beta) = factors(self.mu);
        if std::mem::take(&mut self.restarted) {
            return (1.0, 0.0);
        }
        (alpha, beta)
    }

    /// Learns from the error of a round.
    pub(super) fn learn(&mut self, error: f64) {
        if !(error <= NEAR || self.mu < 1.0) {
            return;
        }
        self.errors.rotate_left(1);
        self.errors[WINDOW] = error;
        self.seen += 1;
        if error > GROWN * self.least {
            self.change((4.0 * self.mu).min(1.0));
            self.restarted = true;
            return;
        }
        self.least = self.least.min(error);
        if self.seen <= WINDOW {
            return;
        }
        let (alpha, beta) = factors(self.mu);
        let z = (error / self.errors[0]).powf(1.0 / WINDOW as f64);
        if z > beta.sqrt() + LAG && z < 1.0 {
            let mu = ((1.0 + beta - z - beta / z) / alpha).clamp(self.least_mu, 1.0);
            if mu < 0.9 * self.mu {
                self.change(mu);
            }
        }
    }

    fn change(&mut self, mu: f64) {
        self.mu = mu;
        self.seen = 0;
        self.least = f64::INFINITY;
    }
}

fn factors(mu: f64) -> (f64, f64) {
    let root = mu.sqrt();
    let beta = (1.0 - root) / (1.0 + root);
    (4.0 / ((1.0 + root) * (1.0 + root)), beta * beta)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds to 1e-10 of a diagonal map, with and without momentum.
    fn rounds(eigenvalues: &[f64], fast: bool) -> usize {
        let mut x = vec![1.0; eigenvalues.len()];
        let mut step = vec![0.0; x.len()];
        let mut momentum = Momentum::new(LEAST);
        for round in 1..100_000 {
            let off: Vec<f64> = x.iter().zip(eigenvalues).map(|(x, m)| m * x - x).collect();
            let error = off.iter().map(|o| o.abs()).sum::<f64>();
            if error < 1e-10 {
                return round;
            }
            momentum.learn(error);
            let (alpha, beta) = if fast { momentum.factors() } else { (1.0, 0.0) };
            for ((x, step), off) in x.iter_mut().zip(&mut step).zip(off) {
                *step = alpha * off + beta * *step;
                *x += *step;
            }
        }
        usize::MAX
    }

    #[test]
    fn the_square_root_of_the_rounds() {
        let spectrum: Vec<f64> = (0..40).map(|k| 0.99 * f64::from(k) / 39.0).collect();
        let (plain, fast) = (rounds(&spectrum, false), rounds(&spectrum, true));
        assert!(plain > 1800 && fast < 300, "{plain} and {fast} rounds");
        assert_eq!(rounds(&[0.0, 0.0], true), 2);
    }
}
