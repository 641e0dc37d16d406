//! Columns that are done, measured and rounded together: ⟨P, C⟩ and the cost of a feasible plan as matrix products over
//! blocks of rows. No second n×m matrix, and no pass over a plan.
//!
//! The plan is diag(u) K diag(v), whose rows are right: u = a / K v. What its columns exceed is scaled away by y ≤ 1,
//! and the mass that is then missing, r of the sources and c of the targets, is sent by the product of the two. The
//! cost of that is Σ_j v_j y_j ((K∘C)ᵀu)_j + rᵀ C c / Σc, of which the first product tells ⟨P, C⟩ as well.

use std::ops::Range;

use ot_kernels::gemm::{ktu_batch_add, kv_batch};
use solver_api::{Cost, Measured, Termination};

use crate::blocks::{Blocks, Part};
use crate::columns::{Columns, Slot};
use crate::kernel::{Kernel, Stored, Support};
use crate::routes::Routes;

/// Columns that are measured together at most: enough to share the entries of a block, few enough to hand on soon.
pub(crate) const TOGETHER: usize = 256;

/// Finished columns, and room to measure them.
pub(crate) struct Finished<'a> {
    shape: (usize, usize),
    pub(crate) slots: Vec<(Slot<'a>, Termination)>,
    /// Weights at mass 1 and scalings, one column after another.
    a: Vec<f64>,
    b: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    /// Kᵀ u.
    t: Vec<f64>,
    /// (K∘C)ᵀ u in units of [`unit`], and ⟨P, C⟩.
    paid: Vec<f64>,
    costs: Vec<f64>,
    /// v y, and what the targets lack then.
    kept: Vec<f64>,
    rest: Vec<f64>,
    blocks: Blocks,
    /// Of a block of rows, a column after another: scalings, K v, C c.
    part: Vec<f64>,
    sums: Vec<f64>,
    spread: Vec<f64>,
}

impl<'a> Finished<'a> {
    pub(crate) fn new(shape: (usize, usize)) -> Self {
        Self {
            shape,
            slots: Vec::new(),
            a: Vec::new(),
            b: Vec::new(),
            u: Vec::new(),
            v: Vec::new(),
            t: Vec::new(),
            paid: Vec::new(),
            costs: Vec::new(),
            kept: Vec::new(),
            rest: Vec::new(),
            blocks: Blocks::default(),
            part: Vec::new(),
            sums: Vec::new(),
            spread: Vec::new(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() >= TOGETHER
    }

    /// Column `k` of `columns`, whose slot has been taken, with the pair that was measured last.
    pub(crate) fn push(
        &mut self,
        slot: Slot<'a>,
        end: Termination,
        columns: &Columns<'_, f64>,
        k: usize,
    ) {
        let (rows, cols) = (columns.rows(k), columns.cols(k));
        self.a.extend_from_slice(&columns.a[rows.clone()]);
        self.u.extend_from_slice(&columns.u[rows]);
        self.b.extend_from_slice(&columns.b[cols.clone()]);
        self.v.extend_from_slice(&columns.v[cols.clone()]);
        self.t.extend_from_slice(&columns.t[cols]);
        self.slots.push((slot, end));
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        for x in [
            &mut self.a,
            &mut self.b,
            &mut self.u,
            &mut self.v,
            &mut self.t,
        ] {
            x.clear();
        }
    }

    fn rows(&self, k: usize) -> Range<usize> {
        k * self.shape.0..(k + 1) * self.shape.0
    }

    fn cols(&self, k: usize) -> Range<usize> {
        k * self.shape.1..(k + 1) * self.shape.1
    }

    /// The rows `rows` of U, one column after another.
    fn gather(&mut self, rows: &Range<usize>) {
        self.part.clear();
        for u in self.u.chunks_exact(self.shape.0) {
            self.part.extend_from_slice(&u[rows.clone()]);
        }
    }

    /// (K∘C)ᵀ u and ⟨P, C⟩ of every column: 2·n·m flops each.
    pub(crate) fn measure<T: Stored>(
        &mut self,
        cost: &dyn Cost,
        support: &Support,
        kernel: &Kernel<T>,
    ) {
        self.paid.clear();
        self.paid.resize(self.v.len(), 0.0);
        for rows in Blocks::of(self.shape) {
            self.gather(&rows);
            let r = rows.len();
            self.blocks.load(rows, Part::Paid, cost, support, kernel);
            let paid = &self.blocks.paid;
            ktu_batch_add(paid, r, self.shape.1, &self.part, &mut self.paid);
        }
        self.costs.clear();
        for k in 0..self.slots.len() {
            let cols = self.cols(k);
            let terms = self.v[cols.clone()].iter().zip(&self.paid[cols]);
            self.costs
                .push(kernel.unit() * terms.map(|(v, w)| v * w).sum::<f64>());
        }
    }

    /// The cost of each measured plan rounded to its marginals, in the caller's units, for a cost without forbidden
    /// pairs: 4·n·m flops a column. Nothing where the rows turn out to send too much.
    pub(crate) fn round<T: Stored>(
        &mut self,
        cost: &dyn Cost,
        support: &Support,
        kernel: &Kernel<T>,
    ) -> Vec<Option<f64>> {
        let ((n, m), count) = (self.shape, self.slots.len());
        self.kept.resize(count * m, 0.0);
        self.rest.resize(count * m, 0.0);
        let mut lacking = vec![0.0; count];
        let mut costs = vec![0.0; count];
        for k in 0..count {
            let cols = self.cols(k);
            let (kept, rest) = (&mut self.kept[cols.clone()], &mut self.rest[cols.clone()]);
            let (b, t) = (&self.b[cols.clone()], &self.t[cols.clone()]);
            let (v, paid) = (&self.v[cols.clone()], &self.paid[cols]);
            for j in 0..m {
                let got = v[j] * t[j];
                // y = b / got where the column gets too much.
                let y = if got > b[j] { b[j] / got } else { 1.0 };
                kept[j] = v[j] * y;
                rest[j] = (b[j] - got * y).max(0.0);
            }
            lacking[k] = rest.iter().sum();
            costs[k] = kept.iter().zip(paid).map(|(v, w)| v * w).sum();
        }
        let mut sound = vec![true; count];
        for rows in Blocks::of((n, m)) {
            let (first, r) = (rows.start, rows.len());
            self.blocks.load(rows, Part::Cost, cost, support, kernel);
            self.sums.resize(r * count, 0.0);
            self.spread.resize(r * count, 0.0);
            kv_batch(&self.blocks.k, r, m, &self.kept, &mut self.sums, 1);
            kv_batch(&self.blocks.cost, r, m, &self.rest, &mut self.spread, 1);
            for k in 0..count {
                let here = k * n + first..k * n + first + r;
                let (a, u) = (&self.a[here.clone()], &self.u[here]);
                let part = k * r..(k + 1) * r;
                let (sums, spread) = (&self.sums[part.clone()], &self.spread[part]);
                let (mut more, mut within) = (0.0, true);
                for i in 0..r {
                    let sent = u[i] * sums[i];
                    // Beyond what rounding explains, no upper bound is proved.
                    within &= sent <= a[i] * (1.0 + 1e-9);
                    more += (a[i] - sent).max(0.0) * spread[i];
                }
                sound[k] &= within;
                if lacking[k] > 0.0 {
                    costs[k] += more / lacking[k];
                }
            }
        }
        (0..count)
            .map(|k| {
                let cost = self.slots[k].0.member.problem.mass() * (kernel.unit() * costs[k]);
                (sound[k] && cost.is_finite()).then_some(cost)
            })
            .collect()
    }

    /// Whether the entries that are not lost are known to admit a plan, for each of `columns`: the measured one,
    /// with its columns scaled down to b, and what is then missing along entries of the kernel
    /// ([`Routes::serve`]). 2·n·m flops a column; `false` says nothing.
    pub(crate) fn reach<T: Stored>(
        &mut self,
        columns: &[usize],
        cost: &dyn Cost,
        support: &Support,
        kernel: &Kernel<T>,
    ) -> Vec<bool> {
        let (n, m) = self.shape;
        let (mut v, mut rest_b) = (Vec::new(), Vec::new());
        if columns.is_empty() {
            return Vec::new();
        }
        for &k in columns {
            let cols = self.cols(k);
            let entries = self.b[cols.clone()].iter().zip(&self.t[cols.clone()]);
            for ((&b, &t), &x) in entries.zip(&self.v[cols]) {
                let y = if x * t > b { b / (x * t) } else { 1.0 };
                v.push(x * y);
                rest_b.push((b - x * t * y).max(0.0));
            }
        }
        let mut rest_a = vec![0.0; n * columns.len()];
        for rows in Blocks::of((n, m)) {
            let (first, r) = (rows.start, rows.len());
            self.blocks.load(rows, Part::Kernel, cost, support, kernel);
            self.sums.resize(r * columns.len(), 0.0);
            kv_batch(&self.blocks.k, r, m, &v, &mut self.sums, 1);
            for (at, &k) in columns.iter().enumerate() {
                for (i, s) in self.sums[at * r..(at + 1) * r].iter().enumerate() {
                    let i = first + i;
                    let left = self.a[k * n + i] - self.u[k * n + i] * s;
                    rest_a[at * n + i] = left.max(0.0);
                }
            }
        }
        let routes = Routes::new(&kernel.k, n, m);
        let rest = rest_a.chunks_exact(n).zip(rest_b.chunks_exact_mut(m));
        rest.zip(v.chunks_exact(m))
            .zip(columns)
            .map(|(((rest_a, rest_b), v), &k)| {
                let u = &self.u[self.rows(k)];
                routes.serve(rest_a, rest_b, |i, j| {
                    let entry: f64 = kernel.k[i * m + j].into();
                    u[i] * entry * v[j]
                })
            })
            .collect()
    }

    /// s and t = b / v of column `k`, 1 where there is no weight: the pair that was measured.
    pub(crate) fn pair(&self, k: usize, s: &mut [f64], t: &mut [f64]) {
        let quotients = |out: &mut [f64], weights: &[f64], scalings: &[f64]| {
            for ((out, &w), &x) in out.iter_mut().zip(weights).zip(scalings) {
                *out = if w > 0.0 { w / x } else { 1.0 };
            }
        };
        quotients(s, &self.a[self.rows(k)], &self.u[self.rows(k)]);
        quotients(t, &self.b[self.cols(k)], &self.v[self.cols(k)]);
    }

    /// Whether the numbers of column `k` are those of its plan: not where entries that the kernel has lost might
    /// count, or where a number overflowed.
    pub(crate) fn is_known<T: Stored>(&self, k: usize, kernel: &Kernel<T>) -> bool {
        let (u, v) = (&self.u[self.rows(k)], &self.v[self.cols(k)]);
        !kernel.may_miss(u.iter().sum(), v.iter().sum()) && self.costs[k].is_finite()
    }

    /// Marginals and cost of column `k` for [`solver_api::Solution::assemble_measured`]; nothing where they are not
    /// known: then the plan has to be asked.
    pub(crate) fn measured<T: Stored>(
        &self,
        k: usize,
        support: &Support,
        kernel: &Kernel<T>,
    ) -> Option<Measured> {
        if !self.is_known(k, kernel) {
            return None;
        }
        let problem = self.slots[k].0.member.problem;
        let (n, m) = problem.shape();
        let mass = problem.mass();
        let (mut sent, mut received) = (vec![0.0; n], vec![0.0; m]);
        // u = a / K v: the rows are right, up to rounding.
        for (&i, a) in support.rows.iter().zip(&self.a[self.rows(k)]) {
            sent[i as usize] = mass * a;
        }
        let v = &self.v[self.cols(k)];
        for ((&j, v), t) in support.cols.iter().zip(v).zip(&self.t[self.cols(k)]) {
            received[j as usize] = mass * (v * t);
        }
        Some(Measured {
            sent,
            received,
            transport_cost: mass * self.costs[k],
        })
    }
}
