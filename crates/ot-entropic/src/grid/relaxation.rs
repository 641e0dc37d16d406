//! The factor ω of over-relaxation, from the contraction that is observed.
//!
//! Near the solution an iteration with ω = 1 shrinks the slowest mode by η. With ω it shrinks by ρ, where
//! η = (ρ + ω − 1)²/(ω² ρ) (Young), and best by ω − 1 at ω = 2/(1 + √(1 − η)). So η follows from the ρ of any ω that is
//! still too small, and while ω is too small it grows. Too large a one only shows as ρ = ω − 1.

/// Errors above this are far from where contraction has a meaning: no over-relaxation.
const FAR: f64 = 0.5;
/// Iterations over which a rate is taken, at least.
const WINDOW: u64 = 8;
/// η stays below this.
const SLOWEST: f64 = 1.0 - 1e-7;
/// Iterations without a smaller error after which rounding has won.
const IDLE: u64 = 400;

#[derive(Debug)]
pub(super) struct Relaxation {
    omega: f64,
    /// No larger one after the dual fell.
    most: f64,
    /// Iterations and error at the start of the window.
    since: u64,
    mark: f64,
    /// Largest error of this window and the one before: errors oscillate with ω.
    high: f64,
    iteration: u64,
    dual: f64,
    /// Iterations with ω = 1 that are still to come.
    rest: u64,
    best: f64,
    idle: u64,
}

impl Relaxation {
    pub(super) fn new() -> Self {
        Self {
            omega: 1.0,
            most: 2.0,
            since: 0,
            mark: f64::INFINITY,
            high: 0.0,
            iteration: 0,
            dual: f64::NEG_INFINITY,
            rest: 0,
            best: f64::INFINITY,
            idle: 0,
        }
    }

    /// ω of the next half-iteration.
    pub(super) fn omega(&self) -> f64 {
        if self.rest > 0 { 1.0 } else { self.omega }
    }

    /// Whether the error has come as low as it can.
    pub(super) fn stalled(&self) -> bool {
        self.idle >= IDLE
    }

    /// Sees the error and the dual value of an iteration.
    pub(super) fn see(&mut self, error: f64, dual: f64, exact: bool) {
        self.iteration += 1;
        if error < self.best {
            (self.best, self.idle) = (error, 0);
        } else {
            self.idle += 1;
        }
        // In exact arithmetic the dual rises with ω = 1, and near the solution with any ω < 2.
        let slack = 1e-12 * dual.abs() + 1e-300;
        let fell = dual < self.dual - slack || !error.is_finite();
        self.dual = self.dual.max(dual);
        if fell && error > 1e-6 && self.rest == 0 && self.omega > 1.0 {
            self.most = 1.0 + 0.9 * (self.omega - 1.0);
            self.omega = 1.0 + 0.5 * (self.omega - 1.0);
            self.rest = 2;
            self.dual = f64::NEG_INFINITY;
            self.restart(error);
            return;
        }
        if self.rest > 0 {
            self.rest -= 1;
            self.restart(error);
            return;
        }
        if exact {
            return;
        }
        self.high = self.high.max(error);
        // As long as the oscillations at this ω.
        let window = WINDOW.max((2.0 / (2.0 - self.omega)) as u64);
        if self.iteration - self.since < window {
            return;
        }
        if self.mark.is_finite() && error < FAR {
            let rate = (self.high / self.mark).powf(1.0 / window as f64);
            if rate < 1.0 && rate > self.omega - 1.0 {
                let eta = (rate + self.omega - 1.0).powi(2) / (self.omega.powi(2) * rate);
                let eta = eta.min(SLOWEST);
                let best = 2.0 / (1.0 + (1.0 - eta).sqrt());
                self.omega = self.omega.max(best).min(self.most);
            }
        }
        (self.since, self.mark, self.high) = (self.iteration, self.high, 0.0);
    }

    fn restart(&mut self, _error: f64) {
        (self.since, self.mark, self.high) = (self.iteration, f64::INFINITY, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_best_factor_of_a_linear_iteration() {
        // Two variables with f* = √η g and g* = √η f.
        let eta: f64 = 0.999;
        let mut relaxation = Relaxation::new();
        let (mut f, mut g) = (0.3_f64, 0.3_f64);
        let mut iterations = 0;
        while g.abs() > 1e-10 {
            f += relaxation.omega() * (eta.sqrt() * g - f);
            let error = (g - eta.sqrt() * f).abs();
            g += relaxation.omega() * (eta.sqrt() * f - g);
            // The quadratic that the iteration climbs.
            let dual = -(f * f + g * g - 2.0 * eta.sqrt() * f * g);
            relaxation.see(error, dual, false);
            iterations += 1;
        }
        let best = 2.0 / (1.0 + (1.0 - eta).sqrt());
        assert!(
            (relaxation.omega() - best).abs() < 0.05,
            "{}",
            relaxation.omega()
        );
        // Plain: ln(1e-10)/ln(0.999) = 22 000.
        assert!(iterations < 1000, "{iterations}");
    }
}
