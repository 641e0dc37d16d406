//! The first levels of a path on a sample of rows and columns: a sixteenth of the pairs, and potentials that are off by
//! the sampling error, which is below ε while ε is large.
//!
//! The sample is systematic: equally spaced points of the cumulated weights, so that the heavy entries are in it and the
//! sampled measures are as close to the whole ones as their order allows.

use ot_kernels::pricing::Entry;
use ot_kernels::reduce::col_min_update;
use ot_kernels::soft::{add_row, weigh_row};

use crate::dual::Dual;
use crate::newton::log_ratio;

/// One of so many rows and columns is sampled.
const EVERY: usize = 4;
/// Below so many rows or columns a sample is not worth it.
const LEAST: usize = 600;

/// A sampled problem.
#[derive(Debug)]
pub struct Sample {
    rows: Vec<u32>,
    cols: Vec<u32>,
    a: Vec<f64>,
    b: Vec<f64>,
    cost: Vec<f64>,
}

/// The entries at which equally spaced points of the cumulated weights fall, with how many fall there.
fn systematic(weights: &[f64], count: usize) -> (Vec<u32>, Vec<f64>) {
    let (mut at, mut share) = (Vec::new(), Vec::new());
    let mut sum = 0.0;
    let mut next = 0.5;
    for (k, w) in weights.iter().enumerate() {
        sum += w * count as f64;
        let mut hits = 0.0;
        while next < sum && next < count as f64 {
            hits += 1.0;
            next += 1.0;
        }
        if hits > 0.0 {
            at.push(k as u32);
            share.push(hits / count as f64);
        }
    }
    // A last point may be lost to rounding.
    let total: f64 = share.iter().sum();
    share.iter_mut().for_each(|w| *w /= total);
    (at, share)
}

impl Sample {
    /// Of `dual`, if it is large enough and the sample forbids no pair.
    #[must_use]
    pub fn of<T: Entry>(dual: &Dual<'_, T>) -> Option<Self> {
        let (n, m) = dual.shape();
        if n.min(m) < LEAST {
            return None;
        }
        let (rows, a) = systematic(dual.a, n / EVERY);
        let (cols, b) = systematic(dual.b, m / EVERY);
        let mut cost = Vec::with_capacity(rows.len() * cols.len());
        for &i in &rows {
            let row = dual.row(i as usize);
            cost.extend(cols.iter().map(|&j| row[j as usize].wide()));
        }
        cost.iter().all(|c| c.is_finite()).then_some(Self {
            rows,
            cols,
            a,
            b,
            cost,
        })
    }

    /// The sampled problem.
    #[must_use]
    pub fn dual<T>(&self, whole: &Dual<'_, T>) -> Dual<'_, f64> {
        Dual {
            cost: &self.cost,
            a: &self.a,
            b: &self.b,
            gamma_a: whole.gamma_a,
            gamma_b: whole.gamma_b,
        }
    }

    /// Potentials g of all columns that fit the sampled rows' f: one pass over those rows, in f32.
    pub fn extend<T: Entry>(&self, whole: &Dual<'_, T>, f: &[f64], eps: f64, g: &mut [f64]) {
        let mut least = vec![f64::INFINITY; g.len()];
        for (&i, f) in self.rows.iter().zip(f) {
            col_min_update(whole.row(i as usize), *f, &mut least);
        }
        let mut sums = vec![0.0; g.len()];
        let mut row = vec![0.0_f32; g.len()];
        for ((&i, f), a) in self.rows.iter().zip(f).zip(&self.a) {
            // exp((least_j + f_i − c_ij)/ε) ≤ 1.
            weigh_row(whole.row(i as usize), &least, -f, 1.0 / eps, &mut row);
            add_row(&row, *a, &mut sums);
        }
        let soft = 1.0 / (1.0 + whole.col_softness(eps));
        for ((g, least), sum) in g.iter_mut().zip(&least).zip(&sums) {
            // A column without an allowed sampled row starts from 0.
            *g = if least.is_finite() {
                soft * (least + eps * log_ratio(1.0, *sum))
            } else {
                0.0
            };
        }
    }

    /// How far the potentials of the sampled columns by every other row are from those by the rows between, in units of ε,
    /// in the mean over their mass and without a constant.
    #[must_use]
    pub fn noise(&self, f: &[f64], eps: f64) -> f64 {
        let m = self.b.len();
        let half = |parity: usize| {
            let rows = || (parity..f.len()).step_by(2);
            let mut least = vec![f64::INFINITY; m];
            for i in rows() {
                col_min_update(&self.cost[i * m..(i + 1) * m], f[i], &mut least);
            }
            let mut sums = vec![0.0; m];
            let mut row = vec![0.0_f32; m];
            for i in rows() {
                let cost = &self.cost[i * m..(i + 1) * m];
                weigh_row(cost, &least, -f[i], 1.0 / eps, &mut row);
                add_row(&row, self.a[i], &mut sums);
            }
            let potential = |(least, sum): (&f64, &f64)| least / eps - sum.ln();
            least.iter().zip(&sums).map(potential).collect::<Vec<_>>()
        };
        let (even, odd) = (half(0), half(1));
        let apart = || even.iter().zip(&odd).map(|(e, o)| e - o).zip(&self.b);
        let mean: f64 = apart().map(|(d, b)| d * b).sum();
        apart().map(|(d, b)| (d - mean).abs() * b).sum()
    }

    /// (rows, columns) of the sample.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows.len(), self.cols.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_entries_are_sampled_and_shares_sum_to_one() {
        let mut weights = vec![1e-4; 1000];
        weights[17] = 0.5;
        weights[900] = 0.4;
        let (at, share) = systematic(&weights, 250);
        assert!((share.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        let of = |k: u32| at.iter().position(|&i| i == k).map(|p| share[p]);
        assert!((of(17).unwrap_or(0.0) - 0.5).abs() < 0.01);
        assert!((of(900).unwrap_or(0.0) - 0.4).abs() < 0.01);
    }
}
