//! Potentials on a tree of points, with a linear bound in each cell.
//!
//! For c(x, y) − v(y) a bound by the box and the largest v of a cell is weak, because potentials of optimal transport slope as steeply
//! as the cost does. With v(y) ≤ α + ⟨β, y⟩ on the cell, β by regression, the least of ‖x − y‖² − ⟨β, y⟩ over the box is known
//! coordinate by coordinate; so it is for ‖x − y‖₁. Other costs are bounded by both: the least distance with the largest v, and a
//! linear function below the cost (`bounds.rs`).

use std::ops::Range;

use solver_api::Ground;

use super::bounds;
use super::kd::{Kd, LEAF};

/// Potentials of the points of a [`Kd`], −∞ where a point takes no part, with their linear bounds.
#[derive(Debug, Default)]
pub(super) struct Field {
    /// Padded to whole leaves with −∞.
    pub(super) values: Vec<f64>,
    slope: Vec<f64>,
    offset: Vec<f64>,
    /// The largest value of each cell.
    most: Vec<f64>,
}

/// Up to so many coordinates a bound's slope is a regression on all of them together.
const TOGETHER: usize = 6;

/// Leaves of a cell, values, and their mean and number.
type Sample<'a> = (Range<usize>, &'a [f64], f64, f64);

/// Slopes of the values on each coordinate for itself.
fn slopes_alone(
    kd: &Kd,
    (low, high): (&[f64], &[f64]),
    (leaves, values, mean, count): Sample<'_>,
    slope: &mut [f64],
) {
    let d = kd.dim;
    for k in 0..d {
        let middle = 0.5 * low[k] + 0.5 * high[k];
        let (mut y, mut yy, mut yv) = (0.0, 0.0, 0.0);
        for leaf in leaves.clone() {
            let panel = &kd.panel(leaf)[k * LEAF..][..LEAF];
            for (x, &v) in panel.iter().zip(&values[leaf * LEAF..][..LEAF]) {
                if v > f64::NEG_INFINITY {
                    let x = x - middle;
                    y += x;
                    yy += x * x;
                    yv += x * (v - mean);
                }
            }
        }
        let spread = yy - y * y / count;
        if spread > 0.0 && spread.is_finite() && (yv / spread).is_finite() {
            slope[k] = yv / spread;
        }
    }
}

/// Slopes on all coordinates together, by the normal equations: coordinates of a cell may go together, as those of colours do,
/// and each for itself would count what they share again.
fn slopes_together(
    kd: &Kd,
    (low, high): (&[f64], &[f64]),
    (leaves, values, mean, count): Sample<'_>,
    slope: &mut [f64],
) {
    /// What is added to the diagonal, as a part of its largest entry.
    const RIDGE: f64 = 1e-6;
    let d = kd.dim;
    let mut sums = [0.0; TOGETHER];
    let mut right = [0.0; TOGETHER];
    let mut matrix = [[0.0; TOGETHER]; TOGETHER];
    for leaf in leaves {
        let mut about = [[0.0; LEAF]; TOGETHER];
        let mut off = [0.0; LEAF];
        let mut used = [0.0; LEAF];
        for ((off, used), &v) in off.iter_mut().zip(&mut used).zip(&values[leaf * LEAF..]) {
            if v > f64::NEG_INFINITY {
                (*off, *used) = (v - mean, 1.0);
            }
        }
        let panel = kd.panel(leaf).chunks_exact(LEAF);
        for (k, (about, panel)) in about.iter_mut().zip(panel).enumerate() {
            let middle = 0.5 * low[k] + 0.5 * high[k];
            for ((a, x), used) in about.iter_mut().zip(panel).zip(&used) {
                *a = used * (x - middle);
            }
        }
        let dot =
            |x: &[f64; LEAF], y: &[f64; LEAF]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        for k in 0..d {
            sums[k] += about[k].iter().sum::<f64>();
            right[k] += dot(&about[k], &off);
            for l in 0..=k {
                matrix[k][l] += dot(&about[k], &about[l]);
            }
        }
    }
    let mut largest = 0.0_f64;
    for k in 0..d {
        for l in 0..=k {
            matrix[k][l] -= sums[k] * sums[l] / count;
        }
        largest = largest.max(matrix[k][k]);
    }
    // Cholesky; a coordinate that says nothing of its own has no slope.
    for k in 0..d {
        matrix[k][k] += RIDGE * largest;
        for l in 0..=k {
            let known: f64 = (0..l).map(|i| matrix[k][i] * matrix[l][i]).sum();
            let rest = matrix[k][l] - known;
            matrix[k][l] = match (k == l, rest > 0.0) {
                (true, true) => rest.sqrt(),
                (true, false) => f64::INFINITY,
                _ => rest / matrix[l][l],
            };
        }
        let known: f64 = (0..k).map(|i| matrix[k][i] * right[i]).sum();
        right[k] = (right[k] - known) / matrix[k][k];
    }
    for k in (0..d).rev() {
        let known: f64 = (k + 1..d).map(|i| matrix[i][k] * slope[i]).sum();
        slope[k] = (right[k] - known) / matrix[k][k];
    }
    if slope.iter().any(|s| !s.is_finite()) {
        slope.fill(0.0);
    }
}

impl Field {
    /// O(n·d) for each level of the tree.
    pub(super) fn set(&mut self, kd: &Kd, values: &[f64]) {
        let d = kd.dim;
        let cells = kd.levels[kd.levels.len() - 1];
        self.values.clear();
        self.values.extend_from_slice(values);
        self.values.resize(kd.leaves() * LEAF, f64::NEG_INFINITY);
        self.slope.clear();
        self.slope.resize(cells * d, 0.0);
        self.offset.clear();
        self.offset.resize(cells, f64::NEG_INFINITY);
        self.most.clear();
        self.most.resize(cells, f64::NEG_INFINITY);
        for level in 0..kd.levels.len() - 1 {
            let run = LEAF << level;
            for (k, cell) in (kd.levels[level]..kd.levels[level + 1]).enumerate() {
                let points = k * run..((k + 1) * run).min(kd.len());
                self.bound(kd, cell, points);
            }
        }
    }

    /// β by regression on each coordinate for itself, then the least α.
    fn bound(&mut self, kd: &Kd, cell: usize, points: Range<usize>) {
        let d = kd.dim;
        let leaves = points.start / LEAF..points.end.div_ceil(LEAF);
        let (mut count, mut mean) = (0.0, 0.0);
        for &v in &self.values[points.clone()] {
            if v > f64::NEG_INFINITY {
                count += 1.0;
                mean += v;
            }
        }
        if count == 0.0 {
            return;
        }
        let values = self.values[points.clone()].iter();
        self.most[cell] = values.copied().fold(f64::NEG_INFINITY, f64::max);
        mean /= count;
        let slope = &mut self.slope[cell * d..][..d];
        let (low, high) = kd.box_of(cell);
        let mut size = mean.abs();
        let of = (leaves.clone(), &self.values[..], mean, count);
        if d <= TOGETHER {
            slopes_together(kd, (low, high), of, slope);
        } else {
            slopes_alone(kd, (low, high), of, slope);
        }
        for k in 0..d {
            size += slope[k].abs() * low[k].abs().max(high[k].abs());
        }
        let mut offset = f64::NEG_INFINITY;
        let mut left = [0.0; LEAF];
        for leaf in leaves {
            left.copy_from_slice(&self.values[leaf * LEAF..][..LEAF]);
            for (panel, s) in kd.panel(leaf).chunks_exact(LEAF).zip(slope.iter()) {
                for (left, x) in left.iter_mut().zip(panel) {
                    *left -= s * x;
                }
            }
            offset = left.iter().fold(offset, |most, &v| most.max(v));
        }
        // What rounding may have taken off it, here and where it is used.
        let slack = 8.0 * f64::EPSILON * (d as f64 + 2.0) * (size + offset.abs());
        self.offset[cell] = offset + slack;
    }

    /// No pair between a point of the box and one of the cell has a reduced cost c(x, y) − v(y) below this.
    pub(super) fn least(&self, kd: &Kd, cell: usize, of_x: (&[f64], &[f64])) -> f64 {
        let d = kd.dim;
        let of_y = kd.box_of(cell);
        let slope = &self.slope[cell * d..][..d];
        let offset = self.offset[cell];
        let base = kd.tariff.base;
        match &kd.tariff.ground {
            Ground::SqEuclidean => bounds::squares(of_x, of_y, slope) - offset,
            Ground::Cityblock => bounds::sizes(of_x, of_y, slope) - base - offset,
            ground => {
                let least = bounds::distance_least(ground, of_x, of_y);
                let linear = bounds::linear(ground, of_x, of_y, slope);
                (least - base - self.most[cell]).max(linear - base - offset)
            }
        }
    }
}
