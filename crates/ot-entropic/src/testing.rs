//! Problems for unit tests, and their plans in plain f64.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::dual::{Dual, Point};
use crate::path::{End, Path, follow};

/// Two clouds in a cube, with random weights.
pub(crate) struct Clouds {
    pub(crate) cost: Vec<f64>,
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
    pub(crate) spread: f64,
}

impl Clouds {
    pub(crate) fn new(n: usize, m: usize, dim: usize, seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut draw = |k: usize| -> Vec<f64> { (0..k).map(|_| rng.random()).collect() };
        let (x, y) = (draw(n * dim), draw(m * dim));
        let mut weights = |k: usize| -> Vec<f64> {
            let w: Vec<f64> = draw(k).iter().map(|w| w + 0.1).collect();
            let sum: f64 = w.iter().sum();
            w.iter().map(|w| w / sum).collect()
        };
        let (a, b) = (weights(n), weights(m));
        let apart = |i: usize, j: usize| -> f64 {
            (0..dim)
                .map(|k| (x[i * dim + k] - y[j * dim + k]).powi(2))
                .sum()
        };
        let cost: Vec<f64> = (0..n * m).map(|k| apart(k / m, k % m)).collect();
        let high = cost.iter().fold(0.0_f64, |t, c| t.max(*c));
        let low = cost.iter().fold(f64::INFINITY, |t, c| t.min(*c));
        Self {
            cost,
            a,
            b,
            spread: high - low,
        }
    }

    pub(crate) fn dual(&self, gamma_a: f64, gamma_b: f64) -> Dual<'_, f64> {
        Dual {
            cost: &self.cost,
            a: &self.a,
            b: &self.b,
            gamma_a,
            gamma_b,
        }
    }

    pub(crate) fn balanced(&self) -> Dual<'_, f64> {
        self.dual(f64::INFINITY, f64::INFINITY)
    }

    pub(crate) fn path(&self, reg: f64, tol: f64) -> Path {
        Path {
            reg,
            tol,
            spread: self.spread,
            threads: 1,
        }
    }

    /// The solution at `eps`.
    pub(crate) fn solved(&self, dual: Dual<'_, f64>, eps: f64, tol: f64) -> Point {
        let found = follow(dual, self.path(eps, tol), None, &mut |_, _| true);
        assert_eq!(found.end, End::Converged, "{eps:e} {:?}", found.work);
        found.point
    }
}

/// The plan of the potentials, row by row.
pub(crate) fn plan_of(dual: &Dual<'_, f64>, f: &[f64], g: &[f64], eps: f64) -> Vec<f64> {
    let m = g.len();
    let entry = |(k, c): (usize, &f64)| {
        let (i, j) = (k / m, k % m);
        dual.a[i] * dual.b[j] * ((f[i] + g[j] - c) / eps).exp()
    };
    dual.cost.iter().enumerate().map(entry).collect()
}

/// Its row sums and its column sums.
pub(crate) fn sums_of(plan: &[f64], n: usize, m: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut rows, mut cols) = (vec![0.0; n], vec![0.0; m]);
    for (k, p) in plan.iter().enumerate() {
        rows[k / m] += p;
        cols[k % m] += p;
    }
    (rows, cols)
}

/// Σ|x − y|.
pub(crate) fn apart(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y).abs()).sum()
}

/// Solves the dense, row-major system by Gauss's elimination with pivots.
pub(crate) fn solve_dense(mut matrix: Vec<f64>, mut x: Vec<f64>) -> Vec<f64> {
    let n = x.len();
    for k in 0..n {
        let size = |&i: &usize| matrix[i * n + k].abs();
        let pivot = (k..n).max_by(|i, j| size(i).total_cmp(&size(j)));
        let pivot = pivot.unwrap_or(k);
        for j in 0..n {
            matrix.swap(k * n + j, pivot * n + j);
        }
        x.swap(k, pivot);
        for i in k + 1..n {
            let by = matrix[i * n + k] / matrix[k * n + k];
            for j in k..n {
                matrix[i * n + j] -= by * matrix[k * n + j];
            }
            x[i] -= by * x[k];
        }
    }
    for k in (0..n).rev() {
        let rest: f64 = (k + 1..n).map(|j| matrix[k * n + j] * x[j]).sum();
        x[k] = (x[k] - rest) / matrix[k * n + k];
    }
    x
}
