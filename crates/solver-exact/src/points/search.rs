//! The pairs of least reduced cost: for each leaf of one tree a search through the other, which goes on only where a cell's bound is
//! below what it has found, and so reads a few leaves.

use std::ops::Range;

use ot_kernels::screen::{Products, SPAN, STRIP, above};
use rayon::prelude::*;

use super::field::Field;
use super::kd::{BLOCK, Kd, LEAF, reduced_costs};
use super::narrow::{Narrow, Screen};

/// The level at which a search goes no further down, but reads all leaves: with many coordinates a bound costs as much as
/// the pairs of two leaves, and excludes little.
fn grain(dim: usize) -> usize {
    match dim {
        ..4 => 0,
        4..7 => 2,
        _ => 4,
    }
}

/// The level of the cells of `x` whose points are searched for together: leaves, or where pairs are screened blocks of what one
/// cell of `y` is held in cache for.
fn together(x: &Kd) -> usize {
    match x.narrow {
        Some(_) => BLOCK.min(x.levels.len() - 2),
        None => 0,
    }
}

/// Leaves of one task.
const TASK: usize = 64;

/// Looks for the `most` targets of least reduced cost of every point of `x`, below its bound where there is one: `tell` gets
/// what was found and the points of each cell, and fills what its task brings. Tasks run side by side and come in order.
pub(super) fn search<R: Default + Send>(
    x: &Kd,
    y: &Kd,
    field: &Field,
    most: usize,
    below: impl Fn(usize) -> f64 + Sync,
    tell: impl Fn(&mut R, &Kept, Range<usize>) + Sync,
) -> Vec<R> {
    let level = together(x);
    let rows = LEAF << level;
    let tasks = x.leaves().div_ceil(TASK);
    let run = |search: &mut Search, task: usize| {
        let mut found = R::default();
        let end = x.len().min((task + 1) * TASK * LEAF);
        for first in (task * TASK * LEAF..end).step_by(rows) {
            let points = first..end.min(first + rows);
            search.kept.begin(points.clone().map(&below));
            if search.kept.limit() > f64::NEG_INFINITY {
                search.find(x, level, first / rows, y, field);
            }
            tell(&mut found, &search.kept, points);
        }
        found
    };
    let new = || Search::new(most.min(y.len()), rows);
    (0..tasks).into_par_iter().map_init(new, run).collect()
}

/// A search and its memory.
#[derive(Debug)]
struct Search {
    kept: Kept,
    stack: Vec<(f64, u32)>,
    screen: Screen,
    products: Vec<Products>,
}

impl Search {
    fn new(most: usize, rows: usize) -> Self {
        Self {
            kept: Kept::new(most, rows),
            stack: Vec::new(),
            screen: Screen::default(),
            products: vec![Products::default(); (LEAF << BLOCK) / SPAN],
        }
    }

    /// Goes down the cells of `y` whose bound is below what the rows of a cell of `x` keep.
    fn find(&mut self, x: &Kd, level: usize, cell: usize, y: &Kd, field: &Field) {
        let rows = x.box_of(x.levels[level] + cell);
        let root = y.levels[y.levels.len() - 1] - 1;
        let mut limit = self.kept.limit();
        self.stack.clear();
        self.stack.push((field.least(y, root, rows), root as u32));
        let mut level_of = y.levels.len() - 2;
        let grain = match (&x.narrow, &y.narrow) {
            (Some(_), Some(_)) => BLOCK,
            _ => grain(x.dim),
        };
        while let Some((bound, at)) = self.stack.pop() {
            if bound >= limit {
                continue;
            }
            let at = at as usize;
            while y.levels[level_of] > at {
                level_of -= 1;
            }
            while y.levels[level_of + 1] <= at {
                level_of += 1;
            }
            if level_of <= grain {
                let first = (at - y.levels[level_of]) << level_of;
                let leaves = first..y.leaves().min(first + (1 << level_of));
                let any = match (&x.narrow, &y.narrow) {
                    (Some(of_x), Some(of_y)) => {
                        self.screen((x, of_x), cell << level, (y, of_y), leaves, field)
                    }
                    _ => leaves.fold(false, |any, other| {
                        any | self.kept.read(x, cell, y, other, field)
                    }),
                };
                if any {
                    limit = self.kept.limit();
                }
                continue;
            }
            let first = y.levels[level_of - 1] + 2 * (at - y.levels[level_of]);
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
        self.kept.sort();
    }

    /// Pairs of the kept rows, which begin with a leaf of `x`, and some leaves of `y`: those that products in single precision
    /// do not rule out. Whether anything was found.
    fn screen(
        &mut self,
        (x, of_x): (&Kd, &Narrow),
        leaf: usize,
        (y, of_y): (&Kd, &Narrow),
        leaves: Range<usize>,
        field: &Field,
    ) -> bool {
        let (begun, rows) = (leaf * LEAF, self.kept.rows());
        let points = leaves.start * LEAF..y.len().min(leaves.end * LEAF);
        let runs = points.start / SPAN..points.end.div_ceil(SPAN);
        let screen = &mut self.screen;
        screen.meet(
            (x, of_x),
            begun..begun + rows,
            (y, of_y),
            points,
            &field.values,
        );
        let columns = of_y.runs(runs.clone(), x.dim);
        let offsets = &screen.offsets[..];
        let mut any = false;
        for strip in (0..rows).step_by(STRIP) {
            let count = STRIP.min(rows - strip);
            let asked = &self.kept.limits[strip..strip + count];
            if asked.iter().all(|&limit| limit == f64::NEG_INFINITY) {
                continue;
            }
            let mut limits = [f32::INFINITY; STRIP];
            for (r, l) in limits.iter_mut().enumerate().take(count) {
                *l = screen.limit(strip + r, self.kept.limits[strip + r]);
            }
            let i = begun + strip;
            let run = of_x.runs(i / SPAN..i / SPAN + 1, x.dim);
            let products = &mut self.products[..];
            let mut found = above(run, i % SPAN, columns, offsets, &limits, products);
            while found != 0 {
                let k = found.trailing_zeros() as usize;
                found &= found - 1;
                let products = self.products[k];
                for r in 0..count {
                    let mut hits = products.above[r];
                    while hits != 0 {
                        let l = hits.trailing_zeros() as usize;
                        hits &= hits - 1;
                        if products.sums[r][l] > limits[r] {
                            let j = (runs.start + k) * SPAN + l;
                            let key = x.cost(i + r, y, j) - field.values[j];
                            if self.kept.offer(strip + r, key, j as u32) {
                                any = true;
                                limits[r] = screen.limit(strip + r, self.kept.limits[strip + r]);
                            }
                        }
                    }
                }
            }
        }
        any
    }
}

/// Rows of up to so many are kept in order as they come, longer ones as heaps that are sorted in the end.
const IN_ORDER: usize = 64;

/// The nearest targets of a few rows, by reduced cost.
#[derive(Debug)]
pub(super) struct Kept {
    most: usize,
    /// Reduced costs and targets of each row in ascending order; while a search goes on and rows are long, heaps with the largest
    /// first.
    keys: Vec<f64>,
    targets: Vec<u32>,
    found: Vec<usize>,
    /// What a key of each row must be below, and what it had to be when the search began.
    limits: Vec<f64>,
    below: Vec<f64>,
    scratch: Vec<(f64, u32)>,
}

impl Kept {
    fn new(most: usize, rows: usize) -> Self {
        Self {
            most,
            keys: vec![f64::INFINITY; most * rows],
            targets: vec![0; most * rows],
            found: Vec::with_capacity(rows),
            limits: Vec::with_capacity(rows),
            below: Vec::with_capacity(rows),
            scratch: Vec::new(),
        }
    }

    fn begin(&mut self, below: impl Iterator<Item = f64>) {
        self.below.clear();
        self.below.extend(below);
        self.limits.clear();
        self.limits.extend_from_slice(&self.below);
        self.found.clear();
        self.found.resize(self.below.len(), 0);
        if self.most <= IN_ORDER {
            self.keys.fill(f64::INFINITY);
        }
    }

    fn rows(&self) -> usize {
        self.below.len()
    }

    /// The reduced costs c(x, y) − v(y) of row `r` of the cell, ascending, with their targets.
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

    fn sort(&mut self) {
        if self.most <= IN_ORDER {
            return;
        }
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
    fn read(&mut self, x: &Kd, rows: usize, y: &Kd, leaf: usize, field: &Field) -> bool {
        let mut values = [0.0; LEAF];
        values.copy_from_slice(&field.values[leaf * LEAF..][..LEAF]);
        let mut keys = [[0.0; LEAF]; LEAF];
        let mut lows = [0.0; LEAF];
        reduced_costs(x, rows, y, leaf, &values, &mut keys, &mut lows);
        let mut any = false;
        for r in 0..self.rows() {
            if lows[r] >= self.limits[r] {
                continue;
            }
            any = true;
            for (l, &key) in keys[r].iter().enumerate() {
                self.offer(r, key, (leaf * LEAF + l) as u32);
            }
        }
        any
    }

    /// Keeps a pair of row `r` if it is among the nearest; whether it is.
    fn offer(&mut self, r: usize, key: f64, target: u32) -> bool {
        let counts = key < self.limits[r];
        if counts {
            self.insert(r, key, target);
            self.limits[r] = self.worst(r).min(self.below[r]);
        }
        counts
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

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::super::testing::squares;
    use super::*;

    /// Every pair below its bound that is among the nearest, with the bits of all pairs one by one: leaves and blocks, points that
    /// take no part, potentials of all sizes, clouds that are far from where their coordinates begin, and points in one place.
    #[test]
    fn it_finds_what_all_pairs_have() {
        let mut rng = Pcg64::seed_from_u64(11);
        for (round, dim) in [1, 2, 3, 4, 5, 8, 17, 40]
            .into_iter()
            .cycle()
            .take(40)
            .enumerate()
        {
            let (n, m) = (rng.random_range(1..400), rng.random_range(1..600));
            let (far, steep) = ([0.0, 0.0, 1e4][round % 3], [0.1, 1.0, 30.0][round % 3]);
            let mut cloud = |n: usize| -> Vec<f64> {
                let grid = round % 4 == 3;
                let at = |_| far + rng.random::<f64>();
                let points = (0..n * dim).map(at);
                points
                    .map(|x| if grid { (3.0 * x).round() } else { x })
                    .collect()
            };
            let (x, y) = (cloud(n), cloud(m));
            let (x, y) = (Kd::new(&x, dim, &squares()), Kd::new(&y, dim, &squares()));
            assert_eq!(x.narrow.is_some(), dim >= 4);
            let values: Vec<f64> = (0..m)
                .map(|j| match j % 7 {
                    3 => f64::NEG_INFINITY,
                    _ => steep * rng.random::<f64>(),
                })
                .collect();
            let mut field = Field::default();
            field.set(&y, &values);
            for most in [1, 8, 100] {
                let below = |i: usize| match i % 5 {
                    0 => f64::NEG_INFINITY,
                    1 => 0.4 * dim as f64 - steep,
                    _ => f64::INFINITY,
                };
                let parts = search(
                    &x,
                    &y,
                    &field,
                    most,
                    below,
                    |found: &mut Vec<_>, kept, points| {
                        for (r, i) in points.enumerate() {
                            let row: Vec<f64> = kept.row(r).map(|(key, _)| key).collect();
                            for (key, j) in kept.row(r) {
                                assert_eq!(key, x.cost(i, &y, j as usize) - values[j as usize]);
                            }
                            found.push((i, row));
                        }
                    },
                );
                let found: Vec<_> = parts.into_iter().flatten().collect();
                assert_eq!(found.len(), n);
                for (k, (i, row)) in found.into_iter().enumerate() {
                    let keys = (0..m).map(|j| x.cost(i, &y, j) - values[j]);
                    let mut all: Vec<f64> = keys.filter(|&key| key < below(i)).collect();
                    all.sort_unstable_by(f64::total_cmp);
                    all.truncate(most);
                    assert_eq!((k, row), (i, all), "{dim} {n} {m} {most}");
                }
            }
        }
    }
}
