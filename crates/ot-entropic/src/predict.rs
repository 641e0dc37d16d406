//! The tangent of the path: how the potentials move with ε.
//!
//! Differentiating the marginal conditions by ε gives the Newton matrix once more, with the row and column sums of
//! P log(P / a⊗b) on the right: (1 + ε/γa) r_i f'_i + Σ_j P_ij g'_j = Σ_j P_ij log(P_ij / a_i b_j), and the same for
//! columns. As ε → 0 potentials are linear in ε, up to terms that vanish exponentially: the tangent is then the path.

use crate::dual::{Dual, Point};
use crate::newton::{Store, is_negligible, shorten};

/// dg/dε at a point, and what it was made of.
#[derive(Debug, Clone, Default)]
pub struct Tangent {
    rows: Vec<f64>,
    cols: Vec<f64>,
    slope: Vec<f64>,
}

impl Tangent {
    /// Computes it for the plan that `store` has at `point`, to this relative residual; returns the products of the
    /// solve.
    pub fn find<T>(
        &mut self,
        dual: &Dual<'_, T>,
        store: &mut dyn Store,
        point: &Point,
        to: f64,
        residual: f64,
    ) -> usize {
        let (n, m) = dual.shape();
        self.rows.resize(n, 0.0);
        self.cols.resize(m, 0.0);
        self.slope.resize(m, 0.0);
        store.entropy(point, &mut self.rows, &mut self.cols);
        // The Newton step of this point is solved for along with it.
        let share = point.eps / (to - point.eps);
        for ((h, t), c) in self.cols.iter_mut().zip(&point.wanted).zip(&point.received) {
            *h += share * (t - c);
        }
        let products = store.solve(
            point,
            Some(&self.rows),
            &self.cols,
            &mut self.slope,
            residual,
        );
        let mass: f64 = point.wanted.iter().sum();
        for ((s, c), t) in self
            .slope
            .iter_mut()
            .zip(&point.received)
            .zip(&point.wanted)
        {
            if is_negligible(*c, *t, mass) {
                *s = 0.0;
            }
        }
        if dual.is_balanced() {
            // A shift of all potentials together would cost them digits.
            let of = |(s, t): (&f64, &f64)| s * t;
            let shift = self.slope.iter().zip(&point.wanted).map(of).sum::<f64>() / mass;
            self.slope.iter_mut().for_each(|s| *s -= shift);
        }
        products
    }

    /// dg/dε.
    #[must_use]
    pub fn slope(&self) -> &[f64] {
        &self.slope
    }
}

/// Potentials move by about so many ε at most on an ordinary path: log n times what ε is divided by.
const LONGEST: f64 = 24.0;

/// Moves `point` along its tangent to `eps`. Only g and ε are those of the new point afterwards. Where a part of the plan
/// hangs on by next to nothing the tangent may be far too long; it is shortened as Newton steps are.
pub fn predict(point: &mut Point, tangent: &Tangent, eps: f64) {
    let change = (eps - point.eps) / eps;
    for (g, slope) in point.g.iter_mut().zip(tangent.slope()) {
        if slope.is_finite() {
            *g += eps * shorten(change * slope, LONGEST);
        }
    }
    point.eps = eps;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::Dense;
    use crate::list::{List, Reach};
    use crate::testing::Clouds;

    const GAMMAS: [(f64, f64); 4] = [
        (f64::INFINITY, f64::INFINITY),
        (0.3, 0.1),
        (f64::INFINITY, 0.2),
        (0.05, f64::INFINITY),
    ];

    #[test]
    fn the_tangent_is_the_derivative_of_the_solution() {
        let clouds = Clouds::new(30, 25, 2, 1);
        let eps = 0.02 * clouds.spread;
        let h = 1e-4;
        for (gamma_a, gamma_b) in GAMMAS {
            let dual = clouds.dual(gamma_a, gamma_b);
            let mut point = clouds.solved(dual, eps, 1e-13);
            let high = clouds.solved(dual, eps * (1.0 + h), 1e-13).g;
            let low = clouds.solved(dual, eps * (1.0 - h), 1e-13).g;
            let mut wanted: Vec<f64> = (high.iter().zip(&low))
                .map(|(high, low)| (high - low) / (2.0 * h * eps))
                .collect();
            if dual.is_balanced() {
                // What is free is taken out of both.
                let of = |(s, b): (&f64, &f64)| s * b;
                let shift: f64 = wanted.iter().zip(dual.b).map(of).sum();
                wanted.iter_mut().for_each(|s| *s -= shift);
            }
            let scale = wanted.iter().fold(0.0_f64, |t, s| t.max(s.abs()));
            let mut list = List::build(dual, &point, Reach::END);
            let mut dense = Dense::new(dual, 1);
            (dense.exact, dense.most_products) = (true, 200);
            // The system of a dense plan is in f32.
            let stores: [(&mut dyn Store, f64); 2] = [(&mut list, 2e-6), (&mut dense, 2e-5)];
            for (which, (store, within)) in stores.into_iter().enumerate() {
                store.pass(&mut point);
                let mut tangent = Tangent::default();
                tangent.find(&dual, store, &point, 0.5 * eps, 1e-10);
                for (found, wanted) in tangent.slope().iter().zip(&wanted) {
                    assert!(
                        (found - wanted).abs() < within * scale,
                        "γ={gamma_a},{gamma_b} {which}: {found} for {wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_prediction_leaves_a_square_of_the_change() {
        let clouds = Clouds::new(40, 40, 2, 2);
        let eps = 0.05 * clouds.spread;
        for (gamma_a, gamma_b) in GAMMAS {
            let dual = clouds.dual(gamma_a, gamma_b);
            let from = clouds.solved(dual, eps, 1e-12);
            let mut list = List::build(dual, &from, Reach::END);
            list.pass(&mut from.clone());
            let mut tangent = Tangent::default();
            tangent.find(&dual, &mut list, &from, 0.9 * eps, 1e-8);
            let mut error_at = |change: f64, tangent: &Tangent| {
                let mut point = from.clone();
                predict(&mut point, tangent, eps * (1.0 - change));
                assert_eq!(point.eps, eps * (1.0 - change));
                list.pass(&mut point);
                point.error()
            };
            let (far, near) = (error_at(0.02, &tangent), error_at(0.01, &tangent));
            assert!((3.5..4.5).contains(&(far / near)), "{far:e} {near:e}");
            // Without the tangent it is the change itself.
            let nothing = Tangent {
                slope: vec![0.0; 40],
                ..Tangent::default()
            };
            assert!(error_at(0.01, &nothing) > 5.0 * near);
        }
    }

    #[test]
    fn a_tangent_that_is_no_number_or_too_long_does_no_harm() {
        let mut point = Point::new(1, vec![1.0; 4], 1.0);
        let tangent = Tangent {
            slope: vec![f64::NAN, f64::INFINITY, 1e300, -2.0],
            ..Tangent::default()
        };
        predict(&mut point, &tangent, 0.5);
        assert_eq!(point.g[..2], [1.0, 1.0]);
        assert!((point.g[2] - 1.0).abs() < 0.5 * (LONGEST + 700.0));
        assert_eq!(point.g[3], 2.0);
    }
}
