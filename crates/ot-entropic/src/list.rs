//! The plan as a list of candidates: the second phase of a path, where few pairs carry mass.
//!
//! A pair is on the list if its slack C_ij − f_i − g_j was below (T₀ + D)·ε when the list was built ([`Reach`]). All
//! others carry less than e^{−T₀} of a_i b_j each, as long as the potentials have not risen by more than D·ε together.
//! Where the source marginal is relaxed, f is here what would send all of a_i ([`Dual::hard`]), and e^{−T₀} is relative
//! to what the row does send.

use ot_kernels::exp::exp_in_place;
use ot_kernels::pricing::{Entry, row_collect, row_min};
use rayon::prelude::*;

use crate::dual::{Dual, Point};
use crate::newton::{EDGE, SparseSystem, Store};

/// How far a list reaches, in units of ε.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// T₀: what is left out carries less than e^{−T₀} of a_i b_j.
    pub silent: f64,
    /// D: by how much potentials may rise before the list must be built again.
    pub drift: f64,
}

impl Reach {
    /// On the way: e^{−18} = 1.5e-8 is far below the errors that levels are left with.
    pub const WAY: Self = Self {
        silent: 18.0,
        drift: 14.0,
    };
    /// The same with further pairs, so that steps of many ε leave the list valid.
    pub const FAR: Self = Self {
        drift: 4.0 * Self::WAY.drift,
        ..Self::WAY
    };
    /// At the end: e^{−35} = 6e-16 is below the rounding of the sums, and potentials hardly move any more.
    pub const END: Self = Self {
        silent: 35.0,
        drift: 3.0,
    };

    /// The slack up to which pairs are listed, in units of ε.
    #[must_use]
    pub fn limit(self) -> f64 {
        self.silent + self.drift
    }
}

/// Up to so many thousandths of all pairs a list is short.
const SHORT: usize = 10;

/// Candidate pairs with their costs and the plan on them.
#[derive(Debug)]
pub struct List<'a, T> {
    dual: Dual<'a, T>,
    start: Vec<u32>,
    cols: Vec<u32>,
    costs: Vec<f64>,
    plan: Vec<f64>,
    /// Potentials when the list was built, and the slack that all other pairs had then.
    built_f: Vec<f64>,
    built_g: Vec<f64>,
    beyond: f64,
    reach: Reach,
    tilted: Vec<f64>,
    system: SparseSystem,
    fresh: bool,
    /// How often it was built from the whole cost.
    pub builds: usize,
}

/// Entries of a plan, row by row.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    start: Vec<u32>,
    cols: Vec<u32>,
    mass: Vec<f64>,
}

impl Entries {
    /// Source `i`: targets and masses.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let at = self.start[i] as usize..self.start[i + 1] as usize;
        (&self.cols[at.clone()], &self.mass[at])
    }
}

/// The part of all pairs, from every sixteenth row, with a slack below `limit`.
pub fn density<T: Entry>(dual: &Dual<'_, T>, point: &Point, limit: f64) -> f64 {
    let (n, m) = dual.shape();
    let negated: Vec<f64> = point.g.iter().map(|g| -g).collect();
    let mut found = Vec::new();
    let mut seen = 0;
    for i in (0..n).step_by(16) {
        let f = dual.hard(point.f[i], point.eps);
        row_collect(dual.row(i), &negated, f, 0.0, limit, &mut found);
        seen += m;
    }
    found.len() as f64 / seen as f64
}

impl<'a, T: Entry> List<'a, T> {
    /// The list at `point`: one pass over the cost.
    #[must_use]
    pub fn build(dual: Dual<'a, T>, point: &Point, reach: Reach) -> Self {
        let mut list = Self {
            dual,
            start: Vec::new(),
            cols: Vec::new(),
            costs: Vec::new(),
            plan: Vec::new(),
            built_f: Vec::new(),
            built_g: Vec::new(),
            beyond: 0.0,
            reach,
            tilted: vec![0.0; dual.b.len()],
            system: SparseSystem::default(),
            fresh: false,
            builds: 0,
        };
        list.rebuild(point, reach);
        list
    }

    /// How far to reach on the way: while a list is short, further pairs on it cost less than building it again.
    #[must_use]
    pub fn way(&self) -> Reach {
        let (n, m) = self.dual.shape();
        if self.len() < SHORT * n * m / 1000 {
            Reach::FAR
        } else {
            Reach::WAY
        }
    }

    /// Builds it anew from the whole cost.
    pub fn rebuild(&mut self, point: &Point, reach: Reach) {
        self.reach = reach;
        let limit = reach.limit() * point.eps;
        let n = self.dual.a.len();
        let negated: Vec<f64> = point.g.iter().map(|g| -g).collect();
        let dual = &self.dual;
        let chunk = n.div_ceil(8).max(1);
        type Part = (Vec<u32>, Vec<(f64, u32)>, Vec<f64>);
        let parts: Vec<Part> = (0..n.div_ceil(chunk))
            .into_par_iter()
            .map(|c| {
                let (mut counts, mut found) = (Vec::new(), Vec::new());
                let rows = c * chunk..n.min((c + 1) * chunk);
                let mut f = Vec::with_capacity(chunk);
                for i in rows {
                    let row = dual.row(i);
                    let mut f_i = dual.hard(point.f[i], point.eps);
                    let mut collect = |f| row_collect(row, &negated, f, 0.0, limit, &mut found);
                    let mut count = collect(f_i);
                    if count == 0 {
                        // A source potential of another g may be this far off.
                        f_i = row_min(row, &negated);
                        count = collect(f_i);
                    }
                    counts.push(count as u32);
                    f.push(f_i);
                }
                (counts, found, f)
            })
            .collect();
        self.start.clear();
        self.start.push(0);
        self.cols.clear();
        self.costs.clear();
        self.built_f.clear();
        let mut i = 0;
        for (counts, found, f) in parts {
            self.built_f.extend(f);
            let mut found = found.into_iter();
            for count in counts {
                let row = dual.row(i);
                for (_, j) in found.by_ref().take(count as usize) {
                    self.cols.push(j);
                    self.costs.push(row[j as usize].wide());
                }
                self.start.push(self.cols.len() as u32);
                i += 1;
            }
        }
        self.plan.clear();
        self.plan.resize(self.cols.len(), 0.0);
        self.built_g.clone_from(&point.g);
        self.beyond = limit;
        self.fresh = false;
        self.builds += 1;
    }

    /// Whether every pair that is not listed carries less than e^{−T₀}.
    #[must_use]
    pub fn is_valid(&self, point: &Point) -> bool {
        self.beyond - self.rise(point) >= self.reach.silent * point.eps
    }

    /// By how much a slack may have shrunk since the list was built.
    fn rise(&self, point: &Point) -> f64 {
        let most = |rises: &mut dyn Iterator<Item = f64>| rises.fold(f64::NEG_INFINITY, f64::max);
        let of_f = point.f.iter().zip(&self.built_f);
        let of_g = point.g.iter().zip(&self.built_g);
        most(&mut of_f.map(|(f, built)| self.dual.hard(*f, point.eps) - built))
            + most(&mut of_g.map(|(g, built)| g - built))
    }

    /// Drops the pairs that a list built now would not have, where that is certain and at least half of them. `point` is
    /// that of the last pass.
    pub fn prune(&mut self, point: &Point) {
        let limit = self.reach.limit() * point.eps;
        if self.beyond - self.rise(point) < limit {
            return;
        }
        let n = self.dual.a.len();
        let slack = |i: usize, e: usize, list: &Self| {
            let f = list.dual.hard(point.f[i], point.eps);
            list.costs[e] - f - point.g[list.cols[e] as usize]
        };
        let near = (0..n)
            .map(|i| {
                let (from, to) = self.span(i);
                (from..to).filter(|&e| slack(i, e, self) < limit).count()
            })
            .sum::<usize>();
        if 2 * near > self.cols.len() {
            return;
        }
        let mut kept = 0;
        let mut from = 0;
        for i in 0..n {
            let to = self.start[i + 1] as usize;
            for e in from..to {
                if slack(i, e, self) < limit {
                    self.cols[kept] = self.cols[e];
                    self.costs[kept] = self.costs[e];
                    self.plan[kept] = self.plan[e];
                    kept += 1;
                }
            }
            from = to;
            self.start[i + 1] = kept as u32;
        }
        self.cols.truncate(kept);
        self.costs.truncate(kept);
        self.plan.truncate(kept);
        self.built_f.clear();
        let f = point.f.iter();
        (self.built_f).extend(f.map(|f| self.dual.hard(*f, point.eps)));
        self.built_g.clone_from(&point.g);
        self.beyond = limit;
        self.fresh = false;
    }

    fn span(&self, i: usize) -> (usize, usize) {
        (self.start[i] as usize, self.start[i + 1] as usize)
    }

    /// The number of candidates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cols.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cols.is_empty()
    }

    /// Source `i` of the plan of the last pass: targets, masses and costs.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[f64], &[f64]) {
        let (from, to) = self.span(i);
        (
            &self.cols[from..to],
            &self.plan[from..to],
            &self.costs[from..to],
        )
    }

    /// ⟨P, C⟩ of the plan of the last pass.
    #[must_use]
    pub fn paid(&self) -> f64 {
        let paid: Vec<f64> = self
            .plan
            .iter()
            .zip(&self.costs)
            .map(|(p, c)| p * c)
            .collect();
        ot_kernels::reduce::sum(&paid)
    }

    /// The plan of the last pass. The list is empty afterwards, until it is built again.
    pub(crate) fn take(&mut self) -> Entries {
        self.costs.clear();
        Entries {
            start: std::mem::replace(&mut self.start, vec![0; self.dual.a.len() + 1]),
            cols: std::mem::take(&mut self.cols),
            mass: std::mem::take(&mut self.plan),
        }
    }

    fn build_system(&mut self, point: &Point) {
        self.fresh = true;
        self.system.graph.begin(self.dual.b.len());
        for i in 0..self.dual.a.len() {
            let (from, to) = (self.start[i] as usize, self.start[i + 1] as usize);
            let least = EDGE * point.sent[i];
            let edges = self.cols[from..to].iter().zip(&self.plan[from..to]);
            self.system
                .graph
                .push_row(edges.filter(|(_, p)| **p > least).map(|(j, p)| (*j, *p)));
        }
        self.system.prepare(&self.dual, point);
    }
}

impl<T: Entry> Store for List<'_, T> {
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
            let (cols, costs) = (&self.cols[from..to], &self.costs[from..to]);
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
        for (j, t) in point.wanted.iter_mut().enumerate() {
            *t = self.dual.wanted(j, point.g[j]);
        }
    }

    fn entropy(&mut self, point: &Point, rows: &mut [f64], cols: &mut [f64]) {
        let inv_eps = 1.0 / point.eps;
        cols.fill(0.0);
        for (i, row) in rows.iter_mut().enumerate() {
            let (from, to) = self.span(i);
            let mut sum = 0.0;
            for e in from..to {
                let j = self.cols[e] as usize;
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
