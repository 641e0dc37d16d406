//! Points in a kd-tree without pointers, potentials on them with a linear bound in each cell, and the pairs of least
//! reduced cost.
//!
//! A cell is an aligned run of points in kd-order; its children are the two halves. For c(x, y) − v(y) a bound by the box
//! and the largest v of a cell is weak, because potentials of optimal transport slope as steeply as the cost does. With
//! v(y) ≤ α + ⟨β, y⟩ on the cell, β by regression, the least of ‖x − y‖² − ⟨β, y⟩ over the box is known coordinate by
//! coordinate, and the search reads a few leaves; so it is for ‖x − y‖₁. Other costs are bounded by both: the least distance with
//! the largest v, and a linear function below the cost (see `bounds.rs`).

use std::ops::Range;

use ot_kernels::near::{RUN, distance, reduced};
use rayon::prelude::*;
use solver_api::Ground;

use super::bounds;

/// Points of a leaf.
pub(super) const LEAF: usize = RUN;

/// A cloud in kd-order with the boxes of its cells.
#[derive(Debug)]
pub(super) struct Kd {
    dim: usize,
    len: usize,
    /// Leaf by leaf, in each one coordinate after the other; the last point fills the last leaf.
    panels: Vec<f64>,
    /// The first cell of each level, leaves first; one more at the end.
    levels: Vec<usize>,
    low: Vec<f64>,
    high: Vec<f64>,
    ground: Ground,
}

impl Kd {
    /// Of row-major `points`, already in kd-order ([`kd_order`](ot_kernels::order::kd)).
    pub(super) fn new(points: &[f64], dim: usize, ground: &Ground) -> Self {
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
            ground: ground.clone(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn leaves(&self) -> usize {
        self.levels[1]
    }

    fn panel(&self, leaf: usize) -> &[f64] {
        &self.panels[leaf * LEAF * self.dim..][..LEAF * self.dim]
    }

    fn box_of(&self, cell: usize) -> (&[f64], &[f64]) {
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
        self.ground.of(distance(self.ground.metric(), far))
    }

    /// What it costs from point i to point j of the other cloud, with the sum over coordinates in ascending order.
    pub(super) fn cost(&self, i: usize, other: &Self, j: usize) -> f64 {
        let apart = (0..self.dim).map(|k| self.coordinate(i, k) - other.coordinate(j, k));
        self.ground.of(distance(self.ground.metric(), apart))
    }
}

/// Potentials of the points of a [`Kd`], −∞ where a point takes no part, with their linear bounds.
#[derive(Debug, Default)]
pub(super) struct Field {
    /// Padded to whole leaves with −∞.
    values: Vec<f64>,
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
            let panel = &kd.panels[(leaf * d + k) * LEAF..][..LEAF];
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
                let points = k * run..((k + 1) * run).min(kd.len);
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
    fn least(&self, kd: &Kd, cell: usize, of_x: (&[f64], &[f64])) -> f64 {
        let d = kd.dim;
        let of_y = kd.box_of(cell);
        let slope = &self.slope[cell * d..][..d];
        let offset = self.offset[cell];
        match &kd.ground {
            Ground::SqEuclidean => bounds::squares(of_x, of_y, slope) - offset,
            Ground::Cityblock => bounds::sizes(of_x, of_y, slope) - offset,
            ground => {
                let least = bounds::distance_least(ground, of_x, of_y);
                let linear = bounds::linear(ground, of_x, of_y, slope);
                (least - self.most[cell]).max(linear - offset)
            }
        }
    }
}

/// The level at which a search goes no further down, but reads all leaves: with many coordinates a bound costs as much as
/// the pairs of two leaves, and excludes little.
fn grain(dim: usize) -> usize {
    match dim {
        ..4 => 0,
        4..7 => 2,
        _ => 4,
    }
}

/// Leaves of one task.
const TASK: usize = 64;

/// Looks for the `most` targets of least reduced cost of every point of `x`, below its bound where there is one: `tell` gets
/// the searcher and the points of each leaf, and fills what its task brings. Tasks run side by side and come in order.
pub(super) fn search<R: Default + Send>(
    x: &Kd,
    y: &Kd,
    field: &Field,
    most: usize,
    below: impl Fn(usize) -> f64 + Sync,
    tell: impl Fn(&mut R, &Nearest, Range<usize>) + Sync,
) -> Vec<R> {
    let tasks = x.leaves().div_ceil(TASK);
    let run = |nearest: &mut Nearest, task: usize| {
        let mut found = R::default();
        for leaf in task * TASK..x.leaves().min((task + 1) * TASK) {
            let points = leaf * LEAF..x.len().min((leaf + 1) * LEAF);
            let mut bounds = [f64::NEG_INFINITY; LEAF];
            for (bound, i) in bounds.iter_mut().zip(points.clone()) {
                *bound = below(i);
            }
            nearest.find(x, leaf, y, field, &bounds);
            tell(&mut found, nearest, points);
        }
        found
    };
    let new = || Nearest::new(most.min(y.len()));
    (0..tasks).into_par_iter().map_init(new, run).collect()
}

/// All reduced costs between two leaves, and the least of each row.
fn reduced_costs(
    x: &Kd,
    rows: usize,
    y: &Kd,
    leaf: usize,
    values: &[f64; LEAF],
    keys: &mut [[f64; LEAF]; LEAF],
    lows: &mut [f64; LEAF],
) {
    let ground = &x.ground;
    let panels = (x.panel(rows), y.panel(leaf));
    if ground.is_metric() {
        return reduced(ground.metric(), panels.0, panels.1, values, keys, lows);
    }
    reduced(
        ground.metric(),
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
            *key -= v;
            *low = low.min(*key);
        }
    }
}

/// Rows of up to so many are kept in order as they come, longer ones as heaps that are sorted in the end.
const IN_ORDER: usize = 64;

/// The nearest targets of the rows of one leaf, by reduced cost.
#[derive(Debug)]
pub(super) struct Nearest {
    most: usize,
    /// Reduced costs and targets of each row in ascending order; while a search goes on and rows are long, heaps with the largest
    /// first.
    keys: Vec<f64>,
    targets: Vec<u32>,
    found: [usize; LEAF],
    /// What a key of each row must be below.
    limits: [f64; LEAF],
    stack: Vec<(f64, u32)>,
    scratch: Vec<(f64, u32)>,
}

impl Nearest {
    fn new(most: usize) -> Self {
        Self {
            most,
            keys: vec![f64::INFINITY; most * LEAF],
            targets: vec![0; most * LEAF],
            found: [0; LEAF],
            limits: [f64::INFINITY; LEAF],
            stack: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The reduced costs c(x, y) − v(y) of row `r` of the leaf, ascending, with their targets.
    pub(super) fn row(&self, r: usize) -> impl Iterator<Item = (f64, u32)> + '_ {
        let at = r * self.most;
        let end = at + self.found[r];
        let keys = self.keys[at..end].iter().copied();
        keys.zip(self.targets[at..end].iter().copied())
    }

    /// The largest key that still counts in some row.
    fn limit(&self) -> f64 {
        self.limits
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max)
    }

    /// Finds, for each row of a leaf of `x`, the targets of least reduced cost among those `below` its bound.
    fn find(&mut self, x: &Kd, leaf: usize, y: &Kd, field: &Field, below: &[f64; LEAF]) {
        self.found = [0; LEAF];
        if below.iter().all(|&bound| bound == f64::NEG_INFINITY) {
            return;
        }
        if self.most <= IN_ORDER {
            self.keys.fill(f64::INFINITY);
        }
        let rows = x.box_of(leaf);
        let root = y.levels[y.levels.len() - 1] - 1;
        self.limits = *below;
        let mut limit = self.limit();
        self.stack.clear();
        self.stack.push((field.least(y, root, rows), root as u32));
        let mut level_of = y.levels.len() - 2;
        let grain = grain(x.dim);
        while let Some((bound, cell)) = self.stack.pop() {
            if bound >= limit {
                continue;
            }
            let cell = cell as usize;
            while y.levels[level_of] > cell {
                level_of -= 1;
            }
            while y.levels[level_of + 1] <= cell {
                level_of += 1;
            }
            if level_of <= grain {
                let first = (cell - y.levels[level_of]) << level_of;
                for other in first..y.leaves().min(first + (1 << level_of)) {
                    if self.read(x, leaf, y, other, field, below) {
                        limit = self.limit();
                    }
                }
                continue;
            }
            let first = y.levels[level_of - 1] + 2 * (cell - y.levels[level_of]);
            let mut children = [(f64::INFINITY, first as u32), (f64::INFINITY, 0)];
            children[0].0 = field.least(y, first, rows);
            if first + 1 < y.levels[level_of] {
                children[1] = (field.least(y, first + 1, rows), first as u32 + 1);
            }
            if children[0].0 < children[1].0 {
                children.swap(0, 1);
            }
            for child in children {
                if child.0 < limit {
                    self.stack.push(child);
                }
            }
        }
        if self.most > IN_ORDER {
            self.sort();
        }
    }

    fn sort(&mut self) {
        for (r, &found) in self.found.iter().enumerate() {
            let at = r * self.most..r * self.most + found;
            let (keys, targets) = (&mut self.keys[at.clone()], &mut self.targets[at]);
            self.scratch.clear();
            let pairs = keys.iter().copied().zip(targets.iter().copied());
            self.scratch.extend(pairs);
            self.scratch
                .sort_unstable_by(|p, q| p.0.total_cmp(&q.0).then(p.1.cmp(&q.1)));
            for ((key, target), pair) in keys.iter_mut().zip(targets).zip(&self.scratch) {
                (*key, *target) = *pair;
            }
        }
    }

    /// All pairs of two leaves; whether anything was found.
    fn read(
        &mut self,
        x: &Kd,
        rows: usize,
        y: &Kd,
        leaf: usize,
        field: &Field,
        below: &[f64; LEAF],
    ) -> bool {
        let mut values = [0.0; LEAF];
        values.copy_from_slice(&field.values[leaf * LEAF..][..LEAF]);
        let mut keys = [[0.0; LEAF]; LEAF];
        let mut lows = [0.0; LEAF];
        reduced_costs(x, rows, y, leaf, &values, &mut keys, &mut lows);
        let mut any = false;
        for (r, keys) in keys.iter().enumerate() {
            if lows[r] >= self.limits[r] {
                continue;
            }
            any = true;
            for (l, &key) in keys.iter().enumerate() {
                if key < self.limits[r] {
                    self.insert(r, key, (leaf * LEAF + l) as u32);
                    self.limits[r] = self.worst(r).min(below[r]);
                }
            }
        }
        any
    }

    /// What a key of row `r` must be below to be among the nearest.
    fn worst(&self, r: usize) -> f64 {
        match self.most {
            ..=IN_ORDER => self.keys[(r + 1) * self.most - 1],
            most if self.found[r] == most => self.keys[r * most],
            _ => f64::INFINITY,
        }
    }

    fn insert(&mut self, r: usize, key: f64, target: u32) {
        if self.most > IN_ORDER {
            return self.push(r, key, target);
        }
        let keys = &mut self.keys[r * self.most..][..self.most];
        let targets = &mut self.targets[r * self.most..][..self.most];
        if key >= keys[self.most - 1] {
            return;
        }
        let mut at = self.most - 1;
        while at > 0 && keys[at - 1] > key {
            keys[at] = keys[at - 1];
            targets[at] = targets[at - 1];
            at -= 1;
        }
        (keys[at], targets[at]) = (key, target);
        self.found[r] = (self.found[r] + 1).min(self.most);
    }

    /// Into a row's heap, in the place of its largest where it is full. O(log most).
    fn push(&mut self, r: usize, key: f64, target: u32) {
        let found = self.found[r];
        let keys = &mut self.keys[r * self.most..][..self.most];
        let targets = &mut self.targets[r * self.most..][..self.most];
        let mut at = found;
        if found < self.most {
            self.found[r] += 1;
            while at > 0 && keys[(at - 1) / 2] < key {
                let above = (at - 1) / 2;
                (keys[at], targets[at]) = (keys[above], targets[above]);
                at = above;
            }
        } else if key < keys[0] {
            at = 0;
            loop {
                let mut child = 2 * at + 1;
                if child + 1 < found && keys[child + 1] > keys[child] {
                    child += 1;
                }
                if child >= found || keys[child] <= key {
                    break;
                }
                (keys[at], targets[at]) = (keys[child], targets[child]);
                at = child;
            }
        } else {
            return;
        }
        (keys[at], targets[at]) = (key, target);
    }
}
