//! The cost C′ = C − ε·log(α / (a⊗b)).

use std::sync::{Arc, OnceLock};

use crate::cost::{Cost, CostRange, row_of};

/// C_ij − (ε log α_ij − row_i − col_j): α in full, or as a part of `rows` and `cols`, which hold ε log a and ε log b, or
/// those less ε log u and ε log v.
#[derive(Debug)]
pub(super) struct Tilted {
    pub(super) cost: Arc<dyn Cost>,
    pub(super) reg: f64,
    /// α, row-major, where it has no product form.
    pub(super) alpha: Option<Arc<[f64]>>,
    pub(super) rows: Vec<f64>,
    pub(super) cols: Vec<f64>,
    pub(super) range: OnceLock<CostRange>,
}

impl Tilted {
    #[inline]
    fn shift(&self, i: usize, j: usize) -> f64 {
        let sides = self.rows[i] + self.cols[j];
        match &self.alpha {
            // log 0 = −∞, and the pair is forbidden.
            Some(alpha) => sides - self.reg * alpha[i * self.cols.len() + j].ln(),
            None => sides,
        }
    }
}

impl Cost for Tilted {
    fn shape(&self) -> (usize, usize) {
        self.cost.shape()
    }

    fn row(&self, i: usize, out: &mut [f64]) {
        self.cost.row(i, out);
        for (j, c) in out.iter_mut().enumerate() {
            *c += self.shift(i, j);
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        self.cost.entry(i, j) + self.shift(i, j)
    }

    fn range(&self) -> CostRange {
        *self.range.get_or_init(|| {
            let (n, m) = self.shape();
            let mut scratch = vec![0.0; m];
            let mut range = CostRange::EMPTY;
            for i in 0..n {
                for &c in row_of(self, i, &mut scratch) {
                    range.include(c);
                }
            }
            range
        })
    }
}
