//! W_p^p of labels on a line, in closed form.

use solver_api::Context;

use super::{Loss, Rows, Sums};
use crate::Error;

/// W_p^p between distributions over labels at ascending positions x_1 < … < x_K, p ≥ 1.
///
/// p = 1: Σ (x_{k+1} − x_k)·|φ_k| with φ_k = Σ_{j≤k} (h_j − y_j), whose gradient is Σ_{j≥k} (x_{j+1} − x_j) sgn φ_j
/// (004; its sum is K times the part of this that is tangent to the simplex). p > 1: the coupling in order, and its
/// potentials along the staircase of its pairs. The gradient is less its mean; where φ_k = 0 it is one of many. O(K) time
/// for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct LineWasserstein {
    positions: Vec<f64>,
    p: f64,
}

impl LineWasserstein {
    /// At `positions`, one for each label.
    ///
    /// # Errors
    /// Fewer than two positions, some that are not finite or not ascending, p below 1 or not finite, and a largest
    /// distance whose power is no number.
    pub fn new(positions: impl Into<Vec<f64>>, p: f64) -> Result<Self, Error> {
        let positions = positions.into();
        if !(p >= 1.0 && p.is_finite()) {
            let rule =
                "must be finite and at least 1: the coupling in order is that of convex costs";
            return Err(Error::setting("p", p, rule));
        }
        let [first, .., last] = *positions else {
            let rule = "must be at least 2: there is nothing to tell apart";
            return Err(Error::setting("labels", positions.len(), rule));
        };
        if let Some(k) = positions.iter().position(|x| !x.is_finite()) {
            return Err(Error::setting(
                &format!("positions[{k}]"),
                positions[k],
                "must be finite",
            ));
        }
        if let Some(k) = positions.windows(2).position(|w| w[0] >= w[1]) {
            let rule = format!("must be larger than the position before, {}", positions[k]);
            return Err(Error::setting(
                &format!("positions[{}]", k + 1),
                positions[k + 1],
                &rule,
            ));
        }
        if !(last - first).powf(p).is_finite() {
            let rule = "powers of the largest distance must be numbers";
            return Err(Error::setting("p", p, rule));
        }
        Ok(Self { positions, p })
    }

    /// Bins of equal width from 0 to 1.
    ///
    /// # Errors
    /// Fewer than two bins, p below 1 or not finite.
    pub fn bins(labels: usize, p: f64) -> Result<Self, Error> {
        let step = 1.0 / (labels.max(2) - 1) as f64;
        Self::new((0..labels).map(|k| step * k as f64).collect::<Vec<_>>(), p)
    }

    fn price(&self, i: usize, j: usize) -> f64 {
        let distance = (self.positions[i] - self.positions[j]).abs();
        if self.p == 2.0 {
            distance * distance
        } else {
            distance.powf(self.p)
        }
    }

    /// Value and gradient at p = 1.
    fn crossings(&self, h: &[f64], y: &[f64], gradient: &mut [f64]) -> f64 {
        let (mut value, mut phi) = (0.0, 0.0);
        for k in 0..h.len() - 1 {
            phi += h[k] - y[k];
            let length = self.positions[k + 1] - self.positions[k];
            value += length * phi.abs();
            gradient[k] = if phi == 0.0 {
                0.0
            } else {
                length * phi.signum()
            };
        }
        gradient[h.len() - 1] = 0.0;
        for k in (0..h.len() - 1).rev() {
            gradient[k] += gradient[k + 1];
        }
        value
    }

    /// Value and potential f: each step of the staircase goes on along one side, and its pair is tight. Pairs without
    /// mass keep f⊕g ≤ c, since costs of differences are Monge (Hoffman, 1963).
    fn staircase(&self, h: &[f64], y: &[f64], gradient: &mut [f64]) -> f64 {
        let last = h.len() - 1;
        let (mut i, mut j, mut value) = (0, 0, 0.0);
        let (mut own, mut other) = (h[0], y[0]);
        gradient[0] = 0.0;
        let mut g = self.price(0, 0);
        loop {
            let price = self.price(i, j);
            // What rounding leaves at the end belongs to nobody.
            let mass = own.min(other).max(0.0);
            value += mass * price;
            (own, other) = (own - mass, other - mass);
            if i < last && (own <= other || j == last) {
                i += 1;
                own = h[i];
                gradient[i] = self.price(i, j) - g;
            } else if j < last {
                j += 1;
                other = y[j];
                g = self.price(i, j) - gradient[i];
            } else {
                return value;
            }
        }
    }
}

impl Loss for LineWasserstein {
    fn name(&self) -> String {
        format!("line-wasserstein, p = {}", self.p)
    }

    fn labels(&self) -> Option<usize> {
        Some(self.positions.len())
    }

    fn evaluate(
        &self,
        rows: Rows<'_>,
        _memory: &mut [f64],
        sums: &mut Sums<'_>,
        _context: &mut Context,
    ) -> Result<(), Error> {
        rows.check(self.positions.len(), false)?;
        rows.check_masses()?;
        let labels = rows.labels();
        let mut gradient = vec![0.0; labels];
        for (row, (h, y)) in rows.pairs().enumerate() {
            let value = if self.p == 1.0 {
                self.crossings(h, y, &mut gradient)
            } else {
                self.staircase(h, y, &mut gradient)
            };
            let mean = gradient.iter().sum::<f64>() / labels as f64;
            sums.add(row, value, gradient.iter().map(|g| g - mean));
        }
        Ok(())
    }
}
