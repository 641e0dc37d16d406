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
