//! The plan on a grid as a list of near pairs: few cells of each one's targets carry mass once ε is small beside the
//! cost of some cells' distance.
//!
//! The twin of [`crate::list`] without a matrix: pairs are found by a tree of blocks ([`Tree`]), about as many per cell as
//! there are cells in a ball of radius √(limit·ε).

use ot_kernels::exp::exp_in_place;
use rayon::prelude::*;
use solver_api::GridCost;

use super::tree::Tree;
use crate::dual::{Dual, Point};
use crate::list::Reach;
use crate::newton::{EDGE, SparseSystem, Store};

/// Sources of one task, and tasks at a time: what they find is not kept twice.
const ROWS: usize = 512;
const TASKS: usize = 8;
/// Pairs that a task may find: more of them are those of potentials that are far off.
const MOST_IN_A_TASK: usize = 2400 * ROWS;

/// What a task finds: pairs of each source, their targets and costs.
type Found = (Vec<u32>, Vec<(u32, f64)>);

/// Near pairs of cells with their costs and the plan on them: 20 bytes a pair.
pub(super) struct Near<'a> {
    pub(super) dual: Dual<'a, f64>,
    grid: &'a GridCost,
    /// Cells of the sources and targets.
    rows: &'a [u32],
    cols: &'a [u32],
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
    pub(super) fn new(
        dual: Dual<'a, f64>,
        grid: &'a GridCost,
        rows: &'a [u32],
        cols: &'a [u32],
        most: usize,
    ) -> Self {
        Self {
            dual,
            grid,
            rows,
            cols,
            start: Vec::new(),
            targets: Vec::new(),
            costs: Vec::new(),
            plan: Vec::new(),
            built_f: Vec::new(),
            built_g: Vec::new(),
            beyond: 0.0,
            silent: 0.0,
            tilted: vec![0.0; cols.len()],
            system: SparseSystem::default(),
            fresh: false,
            most,
        }
    }

    /// Finds the pairs at `point`, whose f belongs to its g. `false` where there are too many.
    pub(super) fn build(&mut self, point: &Point, reach: Reach) -> bool {
        if !point.f.iter().all(|f| f.is_finite()) {
            return false;
        }
        let limit = reach.limit() * point.eps;
        let cells = self.grid.dims().iter().product();
        let mut g = vec![f64::NEG_INFINITY; cells];
        let mut number = vec![u32::MAX; cells];
        for (j, (&cell, &potential)) in self.cols.iter().zip(&point.g).enumerate() {
            g[cell as usize] = potential;
            number[cell as usize] = j as u32;
        }
        let tree = Tree::new(self.grid, g);
        self.start.clear();
        self.start.push(0);
        self.targets.clear();
        self.costs.clear();
        let chunks: Vec<_> = self.rows.chunks(ROWS).zip(point.f.chunks(ROWS)).collect();
        for tasks in chunks.chunks(TASKS) {
            let parts: Vec<Found> = tasks
                .par_iter()
                .map(|(rows, f)| {
                    let (mut counts, mut found) = (Vec::new(), Vec::new());
                    for (&cell, f) in rows.iter().zip(*f) {
                        let before = found.len();
                        if before > MOST_IN_A_TASK {
                            break;
                        }
                        let visit = |j: usize, c: f64| found.push((number[j], c));
                        tree.near(cell as usize, f + limit, visit);
                        counts.push((found.len() - before) as u32);
                    }
                    (counts, found)
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
                    let rest = (self.rows.len() - rows) as f64 * 1.1 / rows as f64;
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
    pub(super) fn is_valid(&self, point: &Point) -> bool {
        let most = |now: &[f64], built: &[f64]| {
            let rises = now.iter().zip(built).map(|(x, y)| x - y);
            rises.fold(f64::NEG_INFINITY, f64::max)
        };
        let rise = most(&point.f, &self.built_f) + most(&point.g, &self.built_g);
        self.beyond - rise >= self.silent * point.eps
    }

    /// The slack up to which pairs were listed.
    pub(super) fn width(&self) -> f64 {
        self.beyond
    }

    fn spans(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let spans = self.start.windows(2);
        spans.map(|w| (w[0] as usize, w[1] as usize))
    }

    fn build_system(&mut self, point: &Point) {
        self.fresh = true;
        self.system.graph.begin(self.cols.len());
        for (i, w) in self.start.windows(2).enumerate() {
            let (from, to) = (w[0] as usize, w[1] as usize);
            let least = EDGE * point.sent[i];
            let edges = self.targets[from..to].iter().zip(&self.plan[from..to]);
            let heavy = edges.filter(|(_, p)| **p > least);
            self.system.graph.push_row(heavy.map(|(j, p)| (*j, *p)));
        }
        self.system.prepare(&self.dual, point);
        // Long waves over a grid take a diagonal preconditioner hundreds of products, however many edges there are.
        self.system.jacobi = false;
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
