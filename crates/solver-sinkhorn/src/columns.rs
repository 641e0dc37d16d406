//! Columns of matrix products, a problem each: S = K V, U = A / S, T = Kᵀ U, V = B / T, with vectors in f32 or f64.
//!
//! Where a column leaves, the last one takes its place, so that products never carry finished work.

use std::ops::Range;
use std::time::Instant;

use ot_kernels::gemm::{ktu_batch, ktu_batch_add, kv_batch};
use ot_kernels::scaling::{Seen, divide, divide_into, measure};
use solver_api::{Check, Context, Cost, Problem, Progress, Termination};

use crate::blocks::{Blocks, Part};
use crate::iterate::{Sofar, in_range};
use crate::kernel::{Kernel, Stored, Support};

/// Checks without progress after which products in f32 have given what they can.
pub(crate) const IDLE_IN_F32: u32 = 3;

/// A problem of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) index: usize,
    pub(crate) problem: &'a Problem,
}

/// One column of a product: a problem on its way.
pub(crate) struct Slot<'a> {
    pub(crate) member: Member<'a>,
    pub(crate) context: Context,
    pub(crate) started: Instant,
    /// The least weights that must not underflow in a scaling.
    pub(crate) least: (f64, f64),
    /// Extremes of K v.
    pub(crate) sums: (f64, f64),
    pub(crate) sofar: Sofar,
    pub(crate) best: f64,
    pub(crate) idle: u32,
    /// The error of the iteration before, in f32.
    pub(crate) last: f64,
    /// Why the solve ends with the next iteration, if it must.
    pub(crate) end: Option<Termination>,
}

/// Matrices with a column of length n or m for each slot, one after another.
pub(crate) struct Columns<'a, T> {
    n: usize,
    m: usize,
    pub(crate) slots: Vec<Slot<'a>>,
    /// Weights at mass 1.
    pub(crate) a: Vec<T>,
    pub(crate) b: Vec<T>,
    pub(crate) u: Vec<T>,
    pub(crate) v: Vec<T>,
    /// Kᵀ u.
    pub(crate) t: Vec<T>,
}

impl Slot<'_> {
    /// The weights at mass 1, on the support.
    pub(crate) fn weights<'s>(
        &'s self,
        support: &'s Support,
    ) -> (
        impl Iterator<Item = f64> + 's,
        impl Iterator<Item = f64> + 's,
    ) {
        let problem = self.member.problem;
        let mass = problem.mass();
        let at_one = move |weights: &'s [f64], at: &'s [u32]| {
            at.iter().map(move |&i| weights[i as usize] / mass)
        };
        (
            at_one(problem.a().weights(), &support.rows),
            at_one(problem.b().weights(), &support.cols),
        )
    }

    /// Tells the context, and says why the solve must stop, if it must.
    pub(crate) fn check(&mut self, error: f64, tol: f64) -> Option<Termination> {
        if !self.context.keep_history && !self.context.is_observed() {
            return None;
        }
        let (iteration, elapsed) = (self.sofar.iterations, self.started.elapsed());
        if self.context.keep_history {
            self.sofar.history.push(Check {
                iteration,
                error,
                elapsed,
            });
        }
        self.context.check(&Progress {
            problem: self.context.problem_index,
            iteration,
            part: None,
            error,
            tol,
            certificate: None,
            elapsed,
        })
    }
}

impl<'a, T: Stored> Columns<'a, T> {
    pub(crate) fn new(n: usize, m: usize) -> Self {
        Self {
            n,
            m,
            slots: Vec::new(),
            a: Vec::new(),
            b: Vec::new(),
            u: Vec::new(),
            v: Vec::new(),
            t: Vec::new(),
        }
    }

    pub(crate) fn rows(&self, k: usize) -> Range<usize> {
        k * self.n..(k + 1) * self.n
    }

    pub(crate) fn cols(&self, k: usize) -> Range<usize> {
        k * self.m..(k + 1) * self.m
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// A column more, with column scaling `v`, or from the start: v = b, which is potentials of zero.
    pub(crate) fn push(&mut self, slot: Slot<'a>, support: &Support, v: Option<&[T]>) {
        let (a, b) = slot.weights(support);
        self.a.extend(a.map(T::from_f64));
        self.b.extend(b.map(T::from_f64));
        match v {
            Some(v) => self.v.extend_from_slice(v),
            None => {
                let from = self.b.len() - self.m;
                self.v.extend_from_slice(&self.b[from..]);
            }
        }
        self.slots.push(slot);
        self.u.resize(self.a.len(), T::ZERO);
        self.t.resize(self.b.len(), T::ZERO);
    }

    /// Takes slot `k` out. Its column stays where it is until [`Columns::close_gap`].
    pub(crate) fn take(&mut self, k: usize) -> Slot<'a> {
        self.slots.swap_remove(k)
    }

    /// The last column moves to the place of column `k`, whose slot has left, as the last slot has.
    pub(crate) fn close_gap(&mut self, k: usize) {
        let last = self.slots.len();
        let (rows, cols) = (self.rows(last), self.cols(last));
        let (to_row, to_col) = (self.rows(k).start, self.cols(k).start);
        for matrix in [&mut self.a, &mut self.u] {
            matrix.copy_within(rows.clone(), to_row);
            matrix.truncate(rows.start);
        }
        for matrix in [&mut self.b, &mut self.v, &mut self.t] {
            matrix.copy_within(cols.clone(), to_col);
            matrix.truncate(cols.start);
        }
    }

    /// U = A / K V and T = Kᵀ U: 4·n·m flops a column.
    pub(crate) fn multiply(&mut self, k: &[T]) {
        let (n, m) = (self.n, self.m);
        kv_batch(k, n, m, &self.v, &mut self.u, 1);
        let columns = self.a.chunks_exact(n).zip(self.u.chunks_exact_mut(n));
        for (slot, (a, u)) in self.slots.iter_mut().zip(columns) {
            slot.sums = divide_into(a, u);
        }
        ktu_batch(k, n, m, &self.u, &mut self.t, 1);
    }

    /// What the products say of column `k`; nothing where a number left the range of `T`.
    pub(crate) fn look(&self, k: usize) -> Option<Seen> {
        let (slot, cols) = (&self.slots[k], self.cols(k));
        let seen = measure(&self.b[cols.clone()], &self.t[cols.clone()], &self.v[cols]);
        let fits = in_range::<T>(slot.sums.0, slot.sums.1, slot.least.0, "K v")
            .and_then(|()| in_range::<T>(seen.least, seen.largest, slot.least.1, "Kᵀ u"));
        (fits.is_ok() && seen.error.is_finite()).then_some(seen)
    }

    /// V = B / T in column `k`.
    pub(crate) fn update(&mut self, k: usize) {
        let cols = self.cols(k);
        divide(
            &self.b[cols.clone()],
            &self.t[cols.clone()],
            &mut self.v[cols],
        );
    }
}

impl Columns<'_, f64> {
    /// [`Columns::multiply`] with the kernel in f64: as it is stored, or computed again in blocks of rows.
    pub(crate) fn multiply_wide<T: Stored>(
        &mut self,
        cost: &dyn Cost,
        support: &Support,
        kernel: &Kernel<T>,
        room: &mut Room,
    ) {
        if let Some(k) = T::as_f64(&kernel.k) {
            self.multiply(k);
            return;
        }
        let (n, m) = (self.n, self.m);
        self.t.fill(0.0);
        for slot in &mut self.slots {
            slot.sums = (f64::INFINITY, 0.0);
        }
        for rows in Blocks::of((n, m)) {
            let r = rows.len();
            room.blocks
                .load(rows.clone(), Part::Kernel, cost, support, kernel);
            room.u.resize(r * self.slots.len(), 0.0);
            kv_batch(&room.blocks.k, r, m, &self.v, &mut room.u, 1);
            let columns = room.u.chunks_exact_mut(r).zip(&mut self.slots);
            for (k, (u, slot)) in columns.enumerate() {
                let here = k * n + rows.start..k * n + rows.end;
                let (least, largest) = divide_into(&self.a[here.clone()], u);
                slot.sums = (slot.sums.0.min(least), slot.sums.1.max(largest));
                self.u[here].copy_from_slice(u);
            }
            ktu_batch_add(&room.blocks.k, r, m, &room.u, &mut self.t);
        }
    }
}

/// Room for a kernel in blocks of rows.
#[derive(Debug, Default)]
pub(crate) struct Room {
    blocks: Blocks,
    u: Vec<f64>,
}
