//! Smoothing the starting duals on the candidate lists.
//!
//! The duals of the grouped problem are right on a large scale and ragged from one column to the next.
//! A few entropic half-steps (Sinkhorn on the columns, soft minima on the rows) over the lists alone,
//! at temperatures from a fifth of a list's width down, even them out: that is what greedy assignment
//! and short augmenting paths need. Single precision is plenty: nothing is certified here.

use ot_kernels::pricing;

use super::engine::{Instance, Watch};
use super::lists::Lists;

/// The first temperature, as a part of the mean width of a list: entries beyond a list's end weigh
/// less than e⁻⁵ of its best.
const FIRST: f64 = 0.2;

/// Temperatures, each half of the one before. Measured: fewer leave more to the simplex, more gain nothing.
const LEVELS: usize = 6;

/// Half-steps at each temperature, and over-relaxation of all but the last. Equal weights go on to short augmenting
/// paths, which mend what is rough; others to a forest that is as good as the duals.
const EQUAL: (usize, f64) = (2, 1.3);
const GENERAL: (usize, f64) = (6, 1.5);

/// No column moves further than this many temperatures in one step.
const LARGEST_STEP: f32 = 20.0;

/// Scratch of the smoothing.
#[derive(Debug, Default)]
pub(super) struct Smoothing {
    /// −p/ε of each column.
    scaled: Vec<f32>,
    /// Mass that each column attracts.
    sums: Vec<f32>,
    buffer: Vec<f32>,
}

impl Smoothing {
    /// Moves the columns' signed potentials `p`; `low` is the least cost, `equal` says whether the
    /// weights of each side are. Returns the last temperature, 0 where
    /// the lists tell nothing or it was stopped.
    pub(super) fn run(
        &mut self,
        instance: &Instance<'_>,
        lists: &Lists,
        low: f64,
        equal: bool,
        p: &mut [f64],
        watch: &mut Watch<'_, '_>,
    ) -> f64 {
        let (passes, omega) = if equal { EQUAL } else { GENERAL };
        let n = instance.supply.len();
        let mass: f64 = instance.supply.iter().sum();
        self.buffer.clear();
        self.buffer.resize(lists.room(), 0.0);
        let mut eps = FIRST * mean_width(lists, n, p);
        for step in 0..LEVELS * passes {
            let inv_eps = 1.0 / eps;
            if !(inv_eps.is_finite() && inv_eps > 0.0 && watch.goes_on(n * lists.room())) {
                return 0.0;
            }
            self.scaled.clear();
            self.scaled.extend(p.iter().map(|p| (-p * inv_eps) as f32));
            self.sums.clear();
            self.sums.resize(p.len(), 0.0);
            for i in 0..n {
                let (columns, costs) = lists.row(i);
                pricing::entropic_list(
                    columns,
                    costs,
                    low,
                    inv_eps,
                    &self.scaled,
                    (instance.supply[i] / mass) as f32,
                    &mut self.buffer,
                    &mut self.sums,
                );
            }
            let last = step + 1 == LEVELS * passes;
            let stride = if last { eps } else { omega * eps };
            for ((p, &sum), &b) in p.iter_mut().zip(&self.sums).zip(instance.demand) {
                if b > 0.0 {
                    let ratio = ((b / mass) as f32).ln() - sum.max(1e-30).ln();
                    // Not a number where a weight underflows in single precision: then nothing moves.
                    let ratio = ratio.clamp(-LARGEST_STEP, LARGEST_STEP);
                    if ratio.is_finite() {
                        *p -= stride * f64::from(ratio);
                    }
                }
            }
            if step % passes == passes - 1 && !last {
                eps *= 0.5;
            }
        }
        eps
    }
}

/// The mean distance between the best and the last reduced cost on a list, over a sample of sources.
fn mean_width(lists: &Lists, n: usize, p: &[f64]) -> f64 {
    let mut width = 0.0;
    let mut rows = 0.0_f64;
    for i in (0..n).step_by((n / 256).max(1)) {
        let (columns, costs) = lists.row(i);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (&j, &c) in columns.iter().zip(costs) {
            let reduced = c + p[j as usize];
            low = low.min(reduced);
            high = high.max(reduced);
        }
        if high > low {
            width += high - low;
            rows += 1.0;
        }
    }
    width / rows.max(1.0)
}
