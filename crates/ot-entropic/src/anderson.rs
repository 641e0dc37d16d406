//! Anderson mixing: the next iterate from the last few, so that their residuals cancel as far as they can.
//!
//! Source: Anderson, *Iterative procedures for nonlinear integral equations* (1965); type II in Fang and Saad, *Two classes
//! of multisecant methods for nonlinear acceleration* (2009).

/// Iterates that are mixed.
const DEPTH: usize = 5;
/// Added to the diagonal of the normal equations, relative to it: the differences become parallel near the end.
const REGULARIZATION: f64 = 1e-10;

/// Differences of the last iterates and of their residuals.
#[derive(Debug, Clone)]
pub struct Anderson {
    x_before: Vec<f64>,
    r_before: Vec<f64>,
    /// Rings of [`DEPTH`] differences.
    dx: Vec<Vec<f64>>,
    dr: Vec<Vec<f64>>,
    /// How many are filled, and which is the next to be overwritten.
    filled: usize,
    at: usize,
    started: bool,
    residual: Vec<f64>,
}

impl Anderson {
    /// Room for iterates of `len` entries.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            x_before: vec![0.0; len],
            r_before: vec![0.0; len],
            dx: vec![vec![0.0; len]; DEPTH],
            dr: vec![vec![0.0; len]; DEPTH],
            filled: 0,
            at: 0,
            started: false,
            residual: vec![0.0; len],
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.at = 0;
        self.started = false;
    }

    /// `next` comes in as the plain step from `x` and goes out as the mixture. Residuals are weighed by `weights`.
    ///
    /// # Panics
    /// If the lengths are not the one given to [`Anderson::new`].
    pub fn mix(&mut self, x: &[f64], next: &mut [f64], weights: &[f64]) {
        let len = self.residual.len();
        assert!(
            x.len() == len && next.len() == len && weights.len() == len,
            "mix: lengths differ"
        );
        for ((r, n), x) in self.residual.iter_mut().zip(&*next).zip(x) {
            *r = n - x;
        }
        if self.started {
            let (dx, dr) = (&mut self.dx[self.at], &mut self.dr[self.at]);
            for j in 0..len {
                dx[j] = x[j] - self.x_before[j];
                dr[j] = self.residual[j] - self.r_before[j];
            }
            self.at = (self.at + 1) % DEPTH;
            self.filled = (self.filled + 1).min(DEPTH);
        }
        self.started = true;
        self.x_before.copy_from_slice(x);
        self.r_before.copy_from_slice(&self.residual);
        if self.filled == 0 {
            return;
        }
        let dot = |x: &[f64], y: &[f64]| -> f64 {
            let terms = x.iter().zip(y).zip(weights);
            terms.map(|((x, y), w)| x * y * w).sum()
        };
        let k = self.filled;
        let mut matrix = [[0.0; DEPTH]; DEPTH];
        let mut right = [0.0; DEPTH];
        for p in 0..k {
            for q in 0..=p {
                matrix[p][q] = dot(&self.dr[p], &self.dr[q]);
                matrix[q][p] = matrix[p][q];
            }
            right[p] = dot(&self.dr[p], &self.residual);
        }
        for (p, row) in matrix.iter_mut().enumerate().take(k) {
            row[p] *= 1.0 + REGULARIZATION;
        }
        let Some(theta) = solve(matrix, right, k) else {
            self.clear();
            return;
        };
        for j in 0..len {
            let mut back = 0.0;
            for p in 0..k {
                back += theta[p] * (self.dx[p][j] + self.dr[p][j]);
            }
            next[j] -= back;
        }
    }
}

/// The solution of a small positive definite system by Cholesky factorization, if it is one.
fn solve(mut a: [[f64; DEPTH]; DEPTH], mut b: [f64; DEPTH], k: usize) -> Option<[f64; DEPTH]> {
    for p in 0..k {
        for q in 0..=p {
            let mut sum = a[p][q];
            for l in 0..q {
                sum -= a[p][l] * a[q][l];
            }
            if p == q {
                if !(sum > 0.0 && sum.is_finite()) {
                    return None;
                }
                a[p][p] = sum.sqrt();
            } else {
                a[p][q] = sum / a[q][q];
            }
        }
    }
    for p in 0..k {
        for l in 0..p {
            b[p] -= a[p][l] * b[l];
        }
        b[p] /= a[p][p];
    }
    for p in (0..k).rev() {
        for l in p + 1..k {
            b[p] -= a[l][p] * b[l];
        }
        b[p] /= a[p][p];
    }
    b[..k].iter().all(|b| b.is_finite()).then_some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_is_solved_in_a_few_steps() {
        // x ← M x + c with five different eigenvalues: five differences suffice.
        let rates = [0.99, 0.9, 0.5, 0.2, -0.3];
        let step =
            |x: &[f64]| -> Vec<f64> { x.iter().zip(&rates).map(|(x, r)| r * x + 1.0).collect() };
        let mut mixing = Anderson::new(5);
        let mut x = vec![0.0; 5];
        let mut steps = 0;
        let error = |x: &[f64]| {
            let off = x
                .iter()
                .zip(&rates)
                .map(|(x, r)| (x - 1.0 / (1.0 - r)).abs());
            off.fold(0.0_f64, f64::max)
        };
        while error(&x) > 1e-9 && steps < 40 {
            let mut next = step(&x);
            mixing.mix(&x, &mut next, &[1.0; 5]);
            x = next;
            steps += 1;
        }
        assert!(steps <= 12, "{steps} steps");
    }
}
