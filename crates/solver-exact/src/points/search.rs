//! The pairs of least reduced cost: for each leaf of one tree a search through the other, which goes on only where a cell's bound is
//! below what it has found, and so reads a few leaves.

use std::ops::Range;

use rayon::prelude::*;

use super::field::Field;
use super::kd::{Kd, LEAF, reduced_costs};

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
