//! The plan as a list of near pairs: few targets of each source carry mass once ε is small.
//!
//! The twin of [`crate::list`] without a matrix: what finds the pairs is the grid's or the clouds' own ([`Finder`]).

pub(crate) mod follow;

use std::ops::Range;

use ot_kernels::exp::exp_in_place;
use rayon::prelude::*;

use crate::dual::{Dual, Point};
use crate::list::Reach;
use crate::newton::{EDGE, Preconditioner, SparseSystem, Store};

/// Sources of one task, and tasks at a time: what they find is not kept twice.
const ROWS: usize = 512;
const TASKS: usize = 8;
/// Pairs that a task may find: more of them are those of potentials that are far off.
const MOST_IN_A_TASK: usize = 2400 * ROWS;

/// What a task finds: the number of pairs of each source, their targets and costs.
pub(crate) type Found = (Vec<u32>, Vec<(u32, f64)>);

/// Finds the pairs of these sources with C_ij − g_j below the bound of each; may break off after `most` of them.
pub(crate) type Aimed<'a> = Box<dyn Fn(Range<usize>, &[f64], usize) -> Found + Sync + 'a>;

/// What knows which pairs are near.
pub(crate) trait Finder: Sync {
    /// For these potentials of the targets.
    fn aimed(&self, g: &[f64]) -> Aimed<'_>;
}

/// Near pairs with their costs and the plan on them: 20 bytes a pair.
pub(crate) struct Near<'a> {
    pub(crate) dual: Dual<'a, f64>,
    finder: &'a dyn Finder,
    preconditioner: Preconditioner,
    start: Vec<u32>,
    targets: Vec<u32>,
    costs: Vec<f64>,
    plan: Vec<f64>,
    /// Potentials when it was built, and the slack that all other pairs had then.
    built_f: Vec<f64>,
    built_g: Vec<f64>,
    beyond: f64,
    silent: f64,
    tilted: Vec<f64>,
    system: SparseSystem,
    fresh: bool,
    /// Pairs that there is room for.
    most: usize,
}

impl<'a> Near<'a> {
    pub(crate) fn new(
        dual: Dual<'a, f64>,
        finder: &'a dyn Finder,
        preconditioner: Preconditioner,
        most: usize,
    ) -> Self {
        Self {
            dual,
            finder,
            preconditioner,
            start: Vec::new(),
            targets: Vec::new(),
            costs: Vec::new(),
            plan: Vec::new(),
            built_f: Vec::new(),
            built_g: Vec::new(),
            beyond: 0.0,
            silent: 0.0,
            tilted: vec![0.0; dual.b.len()],
            system: SparseSystem::default(),
            fresh: false,
            most,
        }
    }

    /// Finds the pairs at `point`, whose f belongs to its g. `false` where there are too many.
    pub(crate) fn build(&mut self, point: &Point, reach: Reach) -> bool {
        if !point.f.iter().all(|f| f.is_finite()) {
            return false;
        }
        let limit = reach.limit() * point.eps;
        let aimed = self.finder.aimed(&point.g);
        self.start.clear();
        self.start.push(0);
        self.targets.clear();
        self.costs.clear();
        let all = point.f.len();
        for first in (0..all).step_by(ROWS * TASKS) {
            let parts: Vec<Found> = (first..all.min(first + ROWS * TASKS))
                .step_by(ROWS)
                .collect::<Vec<_>>()
                .into_par_iter()
                .map(|from| {
                    let rows = from..all.min(from + ROWS);
                    let bounds: Vec<f64> =
                        point.f[rows.clone()].iter().map(|f| f + limit).collect();
                    aimed(rows, &bounds, MOST_IN_A_TASK)
                })
                .collect();
            for (counts, found) in parts {
                if self.targets.len() + found.len() > self.most || found.len() > MOST_IN_A_TASK {
                    return false;
                }
                // Room for what the rows so far let expect, and no more.
                let rows = self.start.len() - 1 + counts.len();
                let seen = self.targets.len() + found.len();
                if self.targets.capacity() < seen {
                    let rest = (all - rows) as f64 * 1.1 / rows as f64;
                    let more = found.len() + (rest * seen as f64) as usize;
                    self.targets.reserve_exact(more);
                    self.costs.reserve_exact(more);
                }
                let mut end = self.targets.len() as u32;
                for count in counts {
                    end += count;
                    self.start.push(end);
                }
                self.targets.extend(found.iter().map(|(j, _)| *j));
                self.costs.extend(found.iter().map(|(_, c)| *c));
            }
            // Twice as many as there is room for, if all rows are like those so far.
            let rows = self.start.len() - 1;
            if self.targets.len() as f64 * all as f64 > 2.0 * self.most as f64 * rows as f64 {
                return false;
            }
        }
        self.plan.clear();
        self.plan.reserve_exact(self.targets.len());
        self.plan.resize(self.targets.len(), 0.0);
        self.built_f.clone_from(&point.f);
        self.built_g.clone_from(&point.g);
        (self.beyond, self.silent) = (limit, reach.silent);
        self.fresh = false;
        // A source without any pair has a potential that is far off.
        self.start.windows(2).all(|w| w[0] < w[1])
    }

    /// Whether every pair that is not listed carries less than e^{−silent}.
    pub(crate) fn is_valid(&self, point: &Point) -> bool {
        let most = |now: &[f64], built: &[f64]| {
            let rises = now.iter().zip(built).map(|(x, y)| x - y);
            rises.fold(f64::NEG_INFINITY, f64::max)
        };
        let rise = most(&point.f, &self.built_f) + most(&point.g, &self.built_g);
        self.beyond - rise >= self.silent * point.eps
    }

    /// The slack up to which pairs were listed.
    pub(crate) fn width(&self) -> f64 {
        self.beyond
    }

    fn spans(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let spans = self.start.windows(2);
        spans.map(|w| (w[0] as usize, w[1] as usize))
    }

    fn build_system(&mut self, point: &Point) {
        self.fresh = true;
        self.system.graph.begin(self.dual.b.len());
        for (i, w) in self.start.windows(2).enumerate() {
            let (from, to) = (w[0] as usize, w[1] as usize);
            let least = EDGE * point.sent[i];
            let edges = self.targets[from..to].iter().zip(&self.plan[from..to]);
            let heavy = edges.filter(|(_, p)| **p > least);
            self.system.graph.push_row(heavy.map(|(j, p)| (*j, *p)));
        }
        self.system.prepare(&self.dual, point);
        self.system.precondition(self.preconditioner);
    }
}

impl Store for Near<'_> {
    fn pass(&mut self, point: &mut Point) {
        self.fresh = false;
        let (eps, inv_eps) = (point.eps, 1.0 / point.eps);
        for ((t, g), b) in self.tilted.iter_mut().zip(&point.g).zip(self.dual.b) {
            *t = g + eps * b.ln();
        }
        point.received.fill(0.0);
        let mut from = 0;
        for (i, &to) in self.start[1..].iter().enumerate() {
            let to = to as usize;
            let (cols, costs) = (&self.targets[from..to], &self.costs[from..to]);
            let plan = &mut self.plan[from..to];
            from = to;
            let mut shift = f64::NEG_INFINITY;
            for ((p, &j), c) in plan.iter_mut().zip(cols).zip(costs) {
                *p = self.tilted[j as usize] - c;
                shift = shift.max(*p);
            }
            for p in plan.iter_mut() {
                *p = (*p - shift) * inv_eps;
            }
            exp_in_place(plan);
            let sum: f64 = plan.iter().sum();
            let (f, sent) = self.dual.row_update(i, shift * inv_eps + sum.ln(), eps);
            (point.f[i], point.sent[i]) = (f, sent);
            let scale = sent / sum;
            for (p, &j) in plan.iter_mut().zip(cols) {
                *p *= scale;
                point.received[j as usize] += *p;
            }
        }
        point.wanted.copy_from_slice(self.dual.b);
    }

    fn entropy(&mut self, point: &Point, rows: &mut [f64], cols: &mut [f64]) {
        let inv_eps = 1.0 / point.eps;
        cols.fill(0.0);
        for ((i, row), (from, to)) in rows.iter_mut().enumerate().zip(self.spans()) {
            let mut sum = 0.0;
            for e in from..to {
                let j = self.targets[e] as usize;
                let h = self.plan[e] * ((point.f[i] + point.g[j] - self.costs[e]) * inv_eps);
                sum += h;
                cols[j] += h;
            }
            *row = sum;
        }
    }

    fn solve(
        &mut self,
        point: &Point,
        rows: Option<&[f64]>,
        cols: &[f64],
        y: &mut [f64],
        tol: f64,
    ) -> usize {
        if !self.fresh {
            self.build_system(point);
        }
        self.system.solve(rows, cols, y, tol)
    }
}
