//! The problem as the iterations see it: what can carry mass, at mass 1, with costs from 0 to 1.

use ot_kernels::aligned::Aligned;
use solver_api::cost::row_of;
use solver_api::{Error, Potentials, Problem};

use crate::NAME;

/// Weights at mass 1 and costs scaled to [0, 1], without what cannot carry mass. One n×m array of f64.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    /// Source and target of the problem that each row and column stands for.
    pub(crate) rows: Vec<u32>,
    pub(crate) cols: Vec<u32>,
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
    /// ln b: potentials are relative to the product of the weights.
    pub(crate) log_b: Vec<f64>,
    /// (C − low)/spread, row-major; +∞ for forbidden pairs.
    pub(crate) cost: Aligned<f64>,
    pub(crate) low: f64,
    /// 1 where all costs are alike.
    pub(crate) spread: f64,
    /// Whether all costs are alike.
    flat: bool,
    /// Whether some pairs are forbidden.
    pub(crate) masked: bool,
}

impl Instance {
    /// Reads the cost once. Fails where there is no memory for it, or nothing that may carry mass.
    pub(crate) fn new(problem: &Problem) -> Result<Self, Error> {
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let range = problem.cost().range();
        let mut one = Self {
            low: if range.min.is_finite() {
                range.min
            } else {
                0.0
            },
            spread: if range.spread() > 0.0 {
                range.spread()
            } else {
                1.0
            },
            flat: range.spread() == 0.0,
            masked: range.forbidden > 0,
            ..Self::default()
        };
        let positive = |w: &[f64]| -> Vec<u32> {
            (0..w.len() as u32)
                .filter(|&k| w[k as usize] > 0.0)
                .collect()
        };
        (one.rows, one.cols) = (positive(a), positive(b));
        one.read(problem)?;
        if one.masked && one.drop_lonely() {
            one.read(problem)?;
        }
        let mass = problem.mass();
        one.a = one.rows.iter().map(|&i| a[i as usize] / mass).collect();
        one.b = one.cols.iter().map(|&j| b[j as usize] / mass).collect();
        one.log_b = one.b.iter().map(|b| b.ln()).collect();
        Ok(one)
    }

    fn read(&mut self, problem: &Problem) -> Result<(), Error> {
        let (n, m) = (self.rows.len(), self.cols.len());
        let bytes = n.saturating_mul(m).saturating_mul(size_of::<f64>());
        self.cost
            .reset(n.saturating_mul(m))
            .map_err(|_| Error::TooLarge {
                solver: NAME.to_owned(),
                what: format!("the cost of {n}×{m} entries"),
                bytes: bytes as u64,
                limit: isize::MAX as u64,
            })?;
        let cost = problem.cost();
        let all = m == cost.shape().1;
        let mut scratch = vec![0.0; cost.shape().1];
        // A spread that is tiny or huge has a reciprocal that is not: divide.
        let (low, spread) = (self.low, self.spread);
        for (out, &i) in self.cost.chunks_exact_mut(m.max(1)).zip(&self.rows) {
            let row = row_of(cost, i as usize, &mut scratch);
            if all {
                out.iter_mut()
                    .zip(row)
                    .for_each(|(o, c)| *o = (c - low) / spread);
            } else {
                let picked = self.cols.iter().map(|&j| row[j as usize]);
                out.iter_mut()
                    .zip(picked)
                    .for_each(|(o, c)| *o = (c - low) / spread);
            }
        }
        Ok(())
    }

    /// Leaves out weights without an allowed partner: the check of feasibility lets them pass where they are rounding.
    fn drop_lonely(&mut self) -> bool {
        let m = self.cols.len().max(1);
        let mut met = vec![false; m];
        let mut rows = Vec::new();
        for (row, &i) in self.cost.chunks_exact(m).zip(&self.rows) {
            let mut any = false;
            for (met, c) in met.iter_mut().zip(row) {
                let allowed = *c < f64::INFINITY;
                *met |= allowed;
                any |= allowed;
            }
            if any {
                rows.push(i);
            }
        }
        let mut seen = met.iter();
        let before = (self.rows.len(), self.cols.len());
        self.cols.retain(|_| *seen.next().unwrap_or(&false));
        self.rows = rows;
        before != (self.rows.len(), self.cols.len())
    }

    /// (n, m).
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.rows.len(), self.cols.len())
    }

    /// Row i of the scaled cost.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        let m = self.cols.len();
        &self.cost[i * m..(i + 1) * m]
    }

    /// An entry of the scaled cost.
    pub(crate) fn entry(&self, i: usize, j: usize) -> f64 {
        self.cost[i * self.cols.len() + j]
    }

    /// Potentials of the problem from those of the instance: f⊕g ≤ C there is f⊕g ≤ (C − low)/spread here.
    pub(crate) fn to_caller(&self, shape: (usize, usize), f: &[f64], g: &[f64]) -> Potentials {
        self.widened(shape, f, g, self.spread)
    }

    /// The same for feasible potentials: where all costs are alike the best ones are known without rounding.
    pub(crate) fn feasible(&self, shape: (usize, usize), f: &[f64], g: &[f64]) -> Potentials {
        self.widened(shape, f, g, if self.flat { 0.0 } else { self.spread })
    }

    fn widened(&self, shape: (usize, usize), f: &[f64], g: &[f64], unit: f64) -> Potentials {
        let (mut wide_f, mut wide_g) = (vec![0.0; shape.0], vec![0.0; shape.1]);
        for (&i, f) in self.rows.iter().zip(f) {
            wide_f[i as usize] = f * unit + self.low;
        }
        for (&j, g) in self.cols.iter().zip(g) {
            wide_g[j as usize] = g * unit;
        }
        Potentials::new(wide_f, wide_g)
    }

    /// The target potential of the instance from one of the caller's, centred; `None` where it is of no use: not a
    /// number, or so large that costs are rounding beside it.
    pub(crate) fn warm(&self, potentials: &Potentials) -> Option<Vec<f64>> {
        let g = |j: &u32| potentials.g[*j as usize] / self.spread;
        let mean = self
            .cols
            .iter()
            .zip(&self.b)
            .map(|(j, b)| g(j) * b)
            .sum::<f64>();
        let g: Vec<f64> = self.cols.iter().map(|j| g(j) - mean).collect();
        g.iter().all(|g| g.abs() < 1e6).then_some(g)
    }
}
