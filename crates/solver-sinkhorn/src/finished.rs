//! Columns that are done, measured together: one more iteration in f64 whatever the products before it were
//! stored in, and ⟨P, C⟩, as matrix products over blocks of rows. No second n×m matrix, and no pass over a plan.

use std::ops::Range;

use ot_kernels::exp::gibbs_row;
use ot_kernels::gemm::{ktu_batch, kv_batch};
use ot_kernels::scaling::{divide, measure};
use solver_api::{Cost, Measured};

use crate::columns::Slot;
use crate::kernel::{Kernel, Stored, Support};
use crate::routes::Routes;

/// Columns that are measured together at most: enough to share the entries of a block, few enough to hand on soon.
pub(crate) const TOGETHER: usize = 128;
/// Kernel entries of a block of rows.
const ENTRIES: usize = 1 << 17;

/// Finished columns, and room to measure them.
pub(crate) struct Finished<'a, E> {
    shape: (usize, usize),
    pub(crate) slots: Vec<(Slot<'a>, E)>,
    /// Weights at mass 1 and scalings, one column after another.
    a: Vec<f64>,
    b: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    /// s = K v, t = Kᵀ u.
    s: Vec<f64>,
    t: Vec<f64>,
    costs: Vec<f64>,
    blocks: Blocks,
}

/// Rows of the kernel in f64, and their products.
#[derive(Default)]
struct Blocks {
    /// K and, for the price, K∘C below it.
    k: Vec<f64>,
    wide: Vec<f64>,
    narrow: Vec<f64>,
    products: Vec<f64>,
    u: Vec<f64>,
    t: Vec<f64>,
}

impl Blocks {
    /// The rows `rows` of K, and of K∘C if `priced`, as `kernel` has them: a lost entry is 0.
    fn load<T: Stored>(
        &mut self,
        rows: Range<usize>,
        priced: bool,
        cost: &dyn Cost,
        support: &Support,
        kernel: &Kernel<T>,
    ) {
        let m = support.shape().1;
        let count = rows.len() * m;
        self.wide.resize(cost.shape().1, 0.0);
        self.narrow.resize(m, 0.0);
        self.k.resize(if priced { 2 * count } else { count }, 0.0);
        let (k, kc) = self.k.split_at_mut(count);
        for (at, i) in rows.enumerate() {
            let here = at * m..(at + 1) * m;
            let (k, stored) = (&mut k[here.clone()], &kernel.k[i * m..(i + 1) * m]);
            let row = support.row(cost, i, &mut self.wide, &mut self.narrow);
            if T::ROUNDING == 0.0 {
                k.iter_mut().zip(stored).for_each(|(k, &x)| *k = x.into());
            } else {
                gibbs_row(row, kernel.r[i], &kernel.c, 1.0 / kernel.reg, k);
                for (k, &x) in k.iter_mut().zip(stored) {
                    *k = if x > T::default() { *k } else { 0.0 };
                }
            }
            if priced {
                for ((kc, &k), &c) in kc[here].iter_mut().zip(&*k).zip(row) {
                    *kc = if k > 0.0 { k * c } else { 0.0 };
                }
            }
        }
    }
}

impl<'a, E> Finished<'a, E> {
    pub(crate) fn new(shape: (usize, usize)) -> Self {
        Self {
            shape,
            slots: Vec::new(),
            a: Vec::new(),
            b: Vec::new(),
            u: Vec::new(),
            v: Vec::new(),
            s: Vec::new(),
            t: Vec::new(),
            costs: Vec::new(),
            blocks: Blocks::default(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() >= TOGETHER
    }

    /// A column with column scaling `v`.
    pub(crate) fn push<T: Stored>(&mut self, slot: Slot<'a>, end: E, v: &[T], support: &Support) {
        let (a, b) = slot.weights(support);
        self.a.extend(a);
        self.b.extend(b);
        self.v.extend(v.iter().map(|&v| -> f64 { v.into() }));
        self.slots.push((slot, end));
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        for x in [&mut self.a, &mut self.b, &mut self.v] {
            x.clear();
        }
    }

    fn rows(&self, k: usize) -> Range<usize> {
        k * self.shape.0..(k + 1) * self.shape.0
    }

    fn cols(&self, k: usize) -> Range<usize> {
        k * self.shape.1..(k + 1) * self.shape.1
    }

    /// s = K v, u = a / s, t = Kᵀ u and the cost of every column: 6·n·m flops each.
    pub(crate) fn measure<T: Stored>(
        &mut self,
        cost: &dyn Cost,
        support: &Support,
        kernel: &Kernel<T>,
    ) {
        let ((n, m), count) = (self.shape, self.slots.len());
        self.u.resize(count * n, 0.0);
        self.s.resize(count * n, 0.0);
        self.t.clear();
        self.t.resize(count * m, 0.0);
        self.costs.clear();
        self.costs.resize(count, 0.0);
        let size = (ENTRIES / m.max(1)).clamp(1, n);
        let x = &mut self.blocks;
        for first in (0..n).step_by(size) {
            let rows = first..n.min(first + size);
            let r = rows.len();
            x.load(rows.clone(), true, cost, support, kernel);
            x.products.resize(2 * r * count, 0.0);
            kv_batch(&x.k, 2 * r, m, &self.v, &mut x.products, 1);
            x.u.resize(r * count, 0.0);
            for k in 0..count {
                let (s, paid) = x.products[2 * r * k..2 * r * (k + 1)].split_at(r);
                let at = k * n + first..k * n + first + r;
                self.s[at.clone()].copy_from_slice(s);
                let u = &mut x.u[k * r..(k + 1) * r];
                divide(&self.a[at.clone()], s, u);
                self.u[at].copy_from_slice(u);
                self.costs[k] += u.iter().zip(paid).map(|(u, w)| u * w).sum::<f64>();
            }
            x.t.resize(m * count, 0.0);
            ktu_batch(&x.k[..r * m], r, m, &x.u, &mut x.t, 1);
            self.t.iter_mut().zip(&x.t).for_each(|(t, x)| *t += x);
        }
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
        let size = (ENTRIES / m.max(1)).clamp(1, n);
        let x = &mut self.blocks;
        for first in (0..n).step_by(size) {
            let rows = first..n.min(first + size);
            let r = rows.len();
            x.load(rows, false, cost, support, kernel);
            x.products.resize(r * columns.len(), 0.0);
            kv_batch(&x.k, r, m, &v, &mut x.products, 1);
            for (at, &k) in columns.iter().enumerate() {
                for (i, s) in x.products[at * r..(at + 1) * r].iter().enumerate() {
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

    /// Σ |v t − b| of column `k`.
    pub(crate) fn error(&self, k: usize) -> f64 {
        let cols = self.cols(k);
        measure(&self.b[cols.clone()], &self.t[cols.clone()], &self.v[cols]).error
    }

    /// s and t = b / v of column `k`, 1 where there is no weight: the pair that was measured.
    pub(crate) fn pair(&self, k: usize, s: &mut [f64], t: &mut [f64]) {
        for ((out, &a), &x) in s
            .iter_mut()
            .zip(&self.a[self.rows(k)])
            .zip(&self.s[self.rows(k)])
        {
            *out = if a > 0.0 { x } else { 1.0 };
        }
        for ((out, &b), &v) in t
            .iter_mut()
            .zip(&self.b[self.cols(k)])
            .zip(&self.v[self.cols(k)])
        {
            *out = if b > 0.0 { b / v } else { 1.0 };
        }
    }

    /// Marginals and cost of column `k` for [`solver_api::Solution::assemble_measured`]; nothing where entries that
    /// the kernel has lost might count, or where a number overflowed: then the plan has to be asked.
    pub(crate) fn measured<T: Stored>(
        &self,
        k: usize,
        support: &Support,
        kernel: &Kernel<T>,
    ) -> Option<Measured> {
        let (u, v) = (&self.u[self.rows(k)], &self.v[self.cols(k)]);
        let known = !kernel.may_miss(u.iter().sum(), v.iter().sum());
        if !(known && self.costs[k].is_finite()) {
            return None;
        }
        let problem = self.slots[k].0.member.problem;
        let (n, m) = problem.shape();
        let mass = problem.mass();
        let (mut sent, mut received) = (vec![0.0; n], vec![0.0; m]);
        for ((&i, u), s) in support.rows.iter().zip(u).zip(&self.s[self.rows(k)]) {
            sent[i as usize] = mass * (u * s);
        }
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
