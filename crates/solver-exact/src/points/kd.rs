//! Points in a kd-tree without pointers: a cell is an aligned run of points in kd-order, and its children are the two halves.

use std::ops::Range;

use ot_kernels::near::{RUN, distance, reduced};
use solver_api::Ground;

use super::narrow::Narrow;
use super::tariff::Tariff;

/// Points of a leaf.
pub(super) const LEAF: usize = RUN;

/// The level of a block, of 128 points: the cells that pairs are screened for together.
pub(super) const BLOCK: usize = 4;

/// A cloud in kd-order with the boxes of its cells.
#[derive(Debug)]
pub(super) struct Kd {
    pub(super) dim: usize,
    len: usize,
    /// Leaf by leaf, in each one coordinate after the other; the last point fills the last leaf.
    panels: Vec<f64>,
    /// The first cell of each level, leaves first; one more at the end.
    pub(super) levels: Vec<usize>,
    low: Vec<f64>,
    high: Vec<f64>,
    pub(super) tariff: Tariff,
    /// Where pairs are screened.
    pub(super) narrow: Option<Narrow>,
}

impl Kd {
    /// Of row-major `points`, already in kd-order ([`kd_order`](ot_kernels::order::kd)).
    pub(super) fn new(points: &[f64], dim: usize, tariff: &Tariff) -> Self {
        let len = points.len() / dim;
        let leaves = len.div_ceil(LEAF);
        let mut panels = vec![0.0; leaves * LEAF * dim];
        for j in 0..leaves * LEAF {
            let point = &points[j.min(len - 1) * dim..][..dim];
            let (leaf, at) = (j / LEAF, j % LEAF);
            for (k, &x) in point.iter().enumerate() {
                panels[(leaf * dim + k) * LEAF + at] = x;
            }
        }
        let mut levels = vec![0];
        let mut cells = leaves;
        let mut all = 0;
        loop {
            all += cells;
            levels.push(all);
            if cells == 1 {
                break;
            }
            cells = cells.div_ceil(2);
        }
        let mut low = vec![f64::INFINITY; all * dim];
        let mut high = vec![f64::NEG_INFINITY; all * dim];
        for (corner, panel) in panels.chunks_exact(LEAF).enumerate() {
            for &x in panel {
                low[corner] = low[corner].min(x);
                high[corner] = high[corner].max(x);
            }
        }
        for level in 1..levels.len() - 1 {
            let (below, first) = (levels[level - 1], levels[level]);
            for child in below..first {
                let cell = first + (child - below) / 2;
                for k in 0..dim {
                    low[cell * dim + k] = low[cell * dim + k].min(low[child * dim + k]);
                    high[cell * dim + k] = high[cell * dim + k].max(high[child * dim + k]);
                }
            }
        }
        Self {
            dim,
            len,
            panels,
            levels,
            low,
            high,
            tariff: tariff.clone(),
            narrow: Narrow::of(points, dim, tariff),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn leaves(&self) -> usize {
        self.levels[1]
    }

    pub(super) fn panel(&self, leaf: usize) -> &[f64] {
        &self.panels[leaf * LEAF * self.dim..][..LEAF * self.dim]
    }

    pub(super) fn panels(&self, leaves: Range<usize>) -> &[f64] {
        let size = LEAF * self.dim;
        &self.panels[leaves.start * size..leaves.end * size]
    }

    pub(super) fn box_of(&self, cell: usize) -> (&[f64], &[f64]) {
        let at = cell * self.dim;
        (&self.low[at..at + self.dim], &self.high[at..at + self.dim])
    }

    fn coordinate(&self, j: usize, k: usize) -> f64 {
        self.panels[(j / LEAF * self.dim + k) * LEAF + j % LEAF]
    }

    /// No pair of the two clouds costs more.
    pub(super) fn farthest(&self, other: &Self) -> f64 {
        let root = |kd: &Self| kd.levels[kd.levels.len() - 1] - 1;
        let (low, high) = self.box_of(root(self));
        let (from, to) = other.box_of(root(other));
        let axes = low.iter().zip(high).zip(from.iter().zip(to));
        let far = axes.map(|((l, h), (f, t))| (t - l).max(h - f));
        let ground = &self.tariff.ground;
        let far = distance(ground.metric(), far);
        self.tariff.of(match ground {
            // No pair reaches the pole, but the corners of the boxes may.
            Ground::Atanh(s) => far.min(s * (1.0 - 0.5 * f64::EPSILON)),
            _ => far,
        })
    }

    /// What it costs from point i to point j of the other cloud, with the sum over coordinates in ascending order.
    pub(super) fn cost(&self, i: usize, other: &Self, j: usize) -> f64 {
        let apart = (0..self.dim).map(|k| self.coordinate(i, k) - other.coordinate(j, k));
        self.tariff.along(apart)
    }
}

/// All reduced costs between two leaves, and the least of each row.
pub(super) fn reduced_costs(
    x: &Kd,
    rows: usize,
    y: &Kd,
    leaf: usize,
    values: &[f64; LEAF],
    keys: &mut [[f64; LEAF]; LEAF],
    lows: &mut [f64; LEAF],
) {
    let Tariff { ground, base } = &x.tariff;
    let panels = (x.panel(rows), y.panel(leaf));
    if ground.is_metric() {
        return reduced(
            ground.metric(),
            *base,
            panels.0,
            panels.1,
            values,
            keys,
            lows,
        );
    }
    reduced(
        ground.metric(),
        0.0,
        panels.0,
        panels.1,
        &[0.0; LEAF],
        keys,
        lows,
    );
    for (keys, low) in keys.iter_mut().zip(lows) {
        ground.of_all(keys);
        *low = f64::INFINITY;
        for (key, v) in keys.iter_mut().zip(values) {
            *key = (*key - base) - v;
            *low = low.min(*key);
        }
    }
}
