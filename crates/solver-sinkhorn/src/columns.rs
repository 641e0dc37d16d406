//! Problems with one cost as the columns of matrix products: S = K V, U = A / S, T = Kᵀ U, V = B / T.
//!
//! A column that is done leaves, and the next problem takes its place; when none waits, the last column moves there,
//! so that products never carry finished work. Vectors are in the number type of the kernel here. With f32 the
//! columns are brought to an error of 1e-6, and f64 vectors do the rest, one problem at a time.

use std::ops::Range;
use std::time::Instant;

use ot_kernels::gemm::{ktu_batch, kv_batch};
use ot_kernels::scaling::{divide, divide_into, measure};
use solver_api::{
    Certify, Check, Context, Error, Problem, Progress, Solution, Termination, check_feasible,
};

use crate::Sinkhorn;
use crate::finished::Finished;
use crate::iterate::{Ended, Limits, STALLED_CHECKS, Sofar, Vectors, in_range, least_weight};
use crate::kernel::{Kernel, Rows, Stored, Support};
use crate::solve::resolve_reg;

/// Columns of one product at most: enough to hide packing the kernel, few enough to stay in the cache.
const WIDEST: usize = 512;
/// Columns that are worth a product: fewer are finished one by one.
const FEWEST: usize = 3;

/// Checks without progress after which products in f32 have given what they can.
const IDLE_IN_F32: u32 = 3;

/// A problem of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) index: usize,
    pub(crate) problem: &'a Problem,
}

/// What the columns share.
pub(crate) struct Group<'a, T> {
    solver: &'a Sinkhorn,
    context: &'a Context,
    support: Support,
    kernel: Kernel<T>,
    limits: Limits,
}

/// One column of a product: a problem on its way.
pub(crate) struct Slot<'a> {
    pub(crate) member: Member<'a>,
    context: Context,
    started: Instant,
    least: (f64, f64),
    /// Extremes of K v.
    sums: (f64, f64),
    sofar: Sofar,
    best: f64,
    idle: u32,
}

/// Matrices with a column of length n or m for each slot, one after another.
struct Columns<'a, T> {
    n: usize,
    m: usize,
    slots: Vec<Slot<'a>>,
    a: Vec<T>,
    b: Vec<T>,
    u: Vec<T>,
    v: Vec<T>,
    t: Vec<T>,
}

/// What becomes of a column after an iteration.
enum Fate {
    GoOn,
    /// The measured pair is the answer.
    Ends(Termination),
    /// Products in f32 have done what they can: an iteration in f64 tells whether it was enough.
    Verify,
    /// Out of range: to be solved alone, which knows more ways, or refuses.
    Leave,
}

impl<'a, T: Stored> Group<'a, T> {
    /// Builds the kernel for the union of the supports; nothing if the columns can't run together.
    pub(crate) fn new(
        solver: &'a Sinkhorn,
        members: &[Member<'_>],
        context: &'a Context,
    ) -> Option<Self> {
        let first = members.first()?.problem;
        let (n, m) = first.shape();
        let (mut row, mut col) = (vec![false; n], vec![false; m]);
        for member in members {
            let weights = |w: &[f64], has: &mut [bool]| {
                has.iter_mut().zip(w).for_each(|(h, w)| *h |= *w > 0.0);
            };
            weights(member.problem.a().weights(), &mut row);
            weights(member.problem.b().weights(), &mut col);
        }
        let mut support = Support::default();
        support.select((n, m), |i| row[i], |j| col[j]);
        let reg = resolve_reg(solver.settings(), first).ok()?;
        let mut kernel = Kernel::default();
        kernel
            .build(first.cost(), &mut support, reg, Rows::Packed)
            .ok()?;
        // Where no pair is allowed, each problem is to be told that it is infeasible.
        if kernel.k.is_empty() {
            return None;
        }
        let limits = solver.limits(kernel.noise()).ok()?;
        // Certificates at every check would cost more than the products save.
        let watched = context.certify == Certify::EveryCheck && context.is_observed();
        (!watched).then_some(Self {
            solver,
            context,
            support,
            kernel,
            limits,
        })
    }

    /// Solves `members` on this thread. A problem that is missing from the answer is to be solved alone.
    pub(crate) fn solve<'m>(
        &self,
        members: impl Iterator<Item = &'m Member<'m>>,
    ) -> Vec<(usize, Result<Solution, Error>)> {
        let mut results = Vec::new();
        let mut waiting = members.copied().filter_map(|member| {
            if let Err(error) = check_feasible(member.problem) {
                return Some(Err((member.index, Err(error))));
            }
            self.slot(member).map(Ok)
        });
        let mut next = |results: &mut Vec<_>| {
            for candidate in waiting.by_ref() {
                match candidate {
                    Ok(slot) => return Some(slot),
                    Err(failed) => results.push(failed),
                }
            }
            None
        };
        let (n, m) = self.support.shape();
        let mut columns = Columns::<T>::new(n, m);
        while columns.slots.len() < WIDEST
            && let Some(slot) = next(&mut results)
        {
            columns.push(slot, &self.support);
        }
        let mut finished = Finished::new((n, m));
        let mut vectors = Vectors::default();
        while columns.slots.len() >= FEWEST {
            columns.multiply(&self.kernel);
            let interrupted = self.context.interrupted();
            // From the last to the first, so that a column that moves up has had its turn.
            for k in (0..columns.slots.len()).rev() {
                let fate = self.judge(&mut columns, k, interrupted);
                if matches!(fate, Fate::GoOn) {
                    columns.update(k);
                    continue;
                }
                let cols = columns.cols(k);
                match next(&mut results) {
                    Some(slot) => {
                        let old = std::mem::replace(&mut columns.slots[k], slot);
                        self.leave(&mut finished, old, fate, &columns.v[cols]);
                        columns.fill(k, &self.support);
                    }
                    None => {
                        let old = columns.slots.swap_remove(k);
                        self.leave(&mut finished, old, fate, &columns.v[cols]);
                        columns.close_gap(k);
                    }
                }
                if finished.is_full() {
                    self.hand_out(&mut finished, &mut vectors, &mut results);
                }
            }
        }
        self.hand_out(&mut finished, &mut vectors, &mut results);
        for k in 0..columns.slots.len() {
            results.extend(self.refine(&mut columns, k, &mut vectors));
        }
        results
    }

    /// A column leaves the products, to be measured unless it is to be solved alone.
    fn leave<'m>(
        &self,
        finished: &mut Finished<'m, Option<Termination>>,
        slot: Slot<'m>,
        fate: Fate,
        v: &[T],
    ) {
        match fate {
            Fate::Ends(termination) => finished.push(slot, Some(termination), v, &self.support),
            Fate::Verify => finished.push(slot, None, v, &self.support),
            Fate::GoOn | Fate::Leave => {}
        }
    }

    /// Measures the finished columns, and makes solutions of them.
    fn hand_out(
        &self,
        finished: &mut Finished<'_, Option<Termination>>,
        vectors: &mut Vectors,
        results: &mut Vec<(usize, Result<Solution, Error>)>,
    ) {
        let Some((slot, _)) = finished.slots.first() else {
            return;
        };
        let cost = slot.member.problem.shared_cost();
        finished.measure(cost.as_ref(), &self.support, &self.kernel);
        // Lost entries may be the fault of the shared minima, or leave no plan: alone, a problem is told.
        let lossy = self.kernel.lost > 0;
        let doubtful: Vec<usize> = (0..finished.slots.len())
            .filter(|&k| lossy && finished.slots[k].1.is_some_and(in_doubt))
            .collect();
        let reached = finished.reach(&doubtful, cost.as_ref(), &self.support, &self.kernel);
        let proven = |k: usize| {
            let at = doubtful.binary_search(&k);
            at.is_ok_and(|at| reached[at])
        };
        for k in 0..finished.slots.len() {
            let error = finished.error(k);
            let member = finished.slots[k].0.member;
            vectors.make_room(self.support.shape());
            finished.pair(k, &mut vectors.s, &mut vectors.t);
            let measured = finished.measured(k, &self.support, &self.kernel);
            let (slot, end) = &mut finished.slots[k];
            if end.is_none() && error <= self.limits.stop {
                slot.check(error, self.limits.tol);
                *end = Some(Termination::Converged);
            }
            let sofar = std::mem::take(&mut slot.sofar);
            let Some(termination) = *end else {
                vectors.weigh(slot.weights(&self.support));
                let solution = self.alone(slot, sofar, vectors);
                results.extend(self.accept(member, solution, false));
                continue;
            };
            let ended = Ended {
                termination,
                iterations: sofar.iterations,
                history: sofar.history,
            };
            let solution = self.solver.finish(
                member.problem,
                &slot.context,
                slot.started,
                ended,
                &self.support,
                &self.kernel,
                &vectors.s,
                &vectors.t,
                measured,
            );
            let sure = self.has_all(member) && proven(k);
            results.extend(self.accept(member, solution, sure));
        }
        finished.clear();
    }

    /// Whether no other problem of the group has entries that this one lacks: its minima are then those shared.
    fn has_all(&self, member: Member<'_>) -> bool {
        let (a, b) = (member.problem.a(), member.problem.b());
        (a.support_len(), b.support_len()) == self.support.shape()
    }

    /// A column for `member`, unless its weights are too small for the number type.
    fn slot<'m>(&self, member: Member<'m>) -> Option<Slot<'m>> {
        let problem = member.problem;
        let mass = problem.mass();
        let least = |w: &[f64]| {
            let positive = w.iter().filter(|w| **w > 0.0);
            positive.fold(f64::INFINITY, |t, w| t.min(w / mass))
        };
        let (a, b) = (least(problem.a().weights()), least(problem.b().weights()));
        (a >= T::LEAST_WEIGHT && b >= T::LEAST_WEIGHT).then(|| Slot {
            member,
            context: self.context.for_problem(member.index),
            started: Instant::now(),
            least: (least_weight(&[a]), least_weight(&[b])),
            sums: (0.0, 0.0),
            sofar: Sofar::default(),
            best: f64::INFINITY,
            idle: 0,
        })
    }

    /// What becomes of column `k` after the products.
    fn judge(
        &self,
        columns: &mut Columns<'_, T>,
        k: usize,
        interrupted: Option<Termination>,
    ) -> Fate {
        let cols = columns.cols(k);
        let seen = measure(
            &columns.b[cols.clone()],
            &columns.t[cols.clone()],
            &columns.v[cols],
        );
        let slot = &mut columns.slots[k];
        slot.sofar.iterations += 1;
        let iteration = slot.sofar.iterations;
        let fits = in_range::<T>(slot.sums.0, slot.sums.1, slot.least.0, "K v")
            .and_then(|()| in_range::<T>(seen.least, seen.largest, slot.least.1, "Kᵀ u"));
        if fits.is_err() || !seen.error.is_finite() {
            return Fate::Leave;
        }
        let refines = T::PRODUCTS_REACH > 0.0;
        let more = iteration < self.limits.max_iter;
        // Products in f32 are off by a part of what they measure: some room below the mark saves a second try.
        if refines && more && seen.error <= T::PRODUCTS_REACH.max(0.8 * self.limits.stop) {
            return Fate::Verify;
        }
        if !refines && seen.error <= self.limits.stop {
            slot.check(seen.error, self.limits.tol);
            return Fate::Ends(Termination::Converged);
        }
        if !more {
            slot.check(seen.error, self.limits.tol);
            return Fate::Ends(Termination::IterationLimit);
        }
        if let Some(termination) = interrupted {
            return Fate::Ends(termination);
        }
        if iteration.is_multiple_of(self.limits.check_every) || iteration == 1 {
            if let Some(termination) = slot.check(seen.error, self.limits.tol) {
                return Fate::Ends(termination);
            }
            if seen.error < slot.best {
                (slot.best, slot.idle) = (seen.error, 0);
            } else {
                slot.idle += 1;
                if refines && slot.idle >= IDLE_IN_F32 {
                    return Fate::Verify;
                }
                if slot.idle >= STALLED_CHECKS {
                    return Fate::Ends(Termination::Stalled);
                }
            }
        }
        Fate::GoOn
    }

    /// Column `k` brought to its end with f64 vectors.
    fn refine(
        &self,
        columns: &mut Columns<'_, T>,
        k: usize,
        vectors: &mut Vectors,
    ) -> Option<(usize, Result<Solution, Error>)> {
        columns.hand_over(k, &self.support, vectors);
        let slot = &mut columns.slots[k];
        let sofar = std::mem::take(&mut slot.sofar);
        let member = slot.member;
        let solution = self.alone(slot, sofar, vectors);
        self.accept(member, solution, false)
    }

    /// f64 vectors go on with one problem from where the products left it.
    fn alone(
        &self,
        slot: &Slot<'_>,
        sofar: Sofar,
        vectors: &mut Vectors,
    ) -> Result<Solution, Error> {
        self.solver.run(
            slot.member.problem,
            &slot.context,
            slot.started,
            sofar,
            &self.support,
            &self.kernel,
            vectors,
        )
    }

    /// Lost kernel entries may be the fault of the shared minima: alone, a problem has minima of its own. If `sure`,
    /// a solve alone would start from the same kernel and find that it admits a plan.
    fn accept(
        &self,
        member: Member<'_>,
        solution: Result<Solution, Error>,
        sure: bool,
    ) -> Option<(usize, Result<Solution, Error>)> {
        let doubtful = match &solution {
            Ok(solution) => in_doubt(solution.convergence.termination) && !sure,
            Err(_) => true,
        };
        (!(doubtful && self.kernel.lost > 0)).then_some((member.index, solution))
    }
}

/// Ends that lost kernel entries may be to blame for.
fn in_doubt(termination: Termination) -> bool {
    matches!(
        termination,
        Termination::IterationLimit | Termination::Stalled
    )
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
    fn check(&mut self, error: f64, tol: f64) -> Option<Termination> {
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
            error,
            tol,
            certificate: None,
            elapsed,
        })
    }
}

impl<'a, T: Stored> Columns<'a, T> {
    fn new(n: usize, m: usize) -> Self {
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

    fn rows(&self, k: usize) -> Range<usize> {
        k * self.n..(k + 1) * self.n
    }

    fn cols(&self, k: usize) -> Range<usize> {
        k * self.m..(k + 1) * self.m
    }

    /// A column more.
    fn push(&mut self, slot: Slot<'a>, support: &Support) {
        let k = self.slots.len();
        for matrix in [&mut self.a, &mut self.u] {
            matrix.resize((k + 1) * self.n, T::ZERO);
        }
        for matrix in [&mut self.b, &mut self.v, &mut self.t] {
            matrix.resize((k + 1) * self.m, T::ZERO);
        }
        self.slots.push(slot);
        self.fill(k, support);
    }

    /// Column `k` for the problem in slot `k`: weights at mass 1, and v = b, which is potentials of zero.
    fn fill(&mut self, k: usize, support: &Support) {
        let (rows, cols) = (self.rows(k), self.cols(k));
        let (a, b) = self.slots[k].weights(support);
        for (out, weight) in self.a[rows].iter_mut().zip(a) {
            *out = T::from_f64(weight);
        }
        for (out, weight) in self.b[cols.clone()].iter_mut().zip(b) {
            *out = T::from_f64(weight);
        }
        self.v[cols.clone()].copy_from_slice(&self.b[cols]);
    }

    /// The last column moves to the place of column `k`, whose slot has left, as the last slot has.
    fn close_gap(&mut self, k: usize) {
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
    fn multiply(&mut self, kernel: &Kernel<T>) {
        let (n, m) = (self.n, self.m);
        kv_batch(&kernel.k, n, m, &self.v, &mut self.u, 1);
        let columns = self.a.chunks_exact(n).zip(self.u.chunks_exact_mut(n));
        for (slot, (a, u)) in self.slots.iter_mut().zip(columns) {
            slot.sums = divide_into(a, u);
        }
        ktu_batch(&kernel.k, n, m, &self.u, &mut self.t, 1);
    }

    /// V = B / T in column `k`.
    fn update(&mut self, k: usize) {
        let cols = self.cols(k);
        divide(
            &self.b[cols.clone()],
            &self.t[cols.clone()],
            &mut self.v[cols],
        );
    }

    /// The measured pair of column `k` in f64: weights, s = a / u and t = b / v.
    fn hand_over(&self, k: usize, support: &Support, vectors: &mut Vectors) {
        vectors.weigh(self.slots[k].weights(support));
        let quotients = |out: &mut [f64], weights: &[T], scalings: &[T]| {
            for ((out, &w), &x) in out.iter_mut().zip(weights).zip(scalings) {
                let (w, x): (f64, f64) = (w.into(), x.into());
                *out = if w > 0.0 { w / x } else { 1.0 };
            }
        };
        quotients(&mut vectors.s, &self.a[self.rows(k)], &self.u[self.rows(k)]);
        quotients(&mut vectors.t, &self.b[self.cols(k)], &self.v[self.cols(k)]);
    }
}
