//! Problems with one cost on their way through matrix products: in f32 as long as those tell enough, then in f64.
//!
//! Products in f32 run at twice the rate, and bring a column to an error of 4e-7. There it joins the columns in f64,
//! which wait until there are enough of them for a product, and alone decide how a solve ends.
//! What is done is measured and certified together. A column that f32 can't carry starts again in f64.

use std::time::Instant;

use solver_api::{
    Certificate, Certify, Context, Error, Outcome, Plan, Potentials, Precision, Problem, Solution,
    Termination, balanced_lower_bounds, check_feasible,
};

use crate::columns::{Columns, IDLE_IN_F32, Member, Room, Slot};
use crate::finished::Finished;
use crate::iterate::{Limits, STALLED_CHECKS, Sofar, Vectors, least_weight};
use crate::kernel::{Kernel, Rows, Stored, Support};
use crate::solve::{implied, resolve_reg};
use crate::{NAME, Sinkhorn};

/// Columns of one product at most: enough to hide packing the kernel, few enough to stay in the cache.
const WIDEST: usize = 512;
/// Columns that are worth a product: fewer are finished one by one.
const FEWEST: usize = 3;
/// The same where a product has to compute the kernel again.
const FEWEST_COMPUTED: usize = 12;
/// Columns that wait in f64 for others while products in f32 go on.
const ENOUGH: usize = 256;
/// Iterations in f32 between two looks at their progress.
const LOOK: u64 = 10;
/// An iteration that leaves more than this part of a small error is one for f64.
const SLOW_IN_F32: f64 = 0.85;
/// Mass, over the whole, that entries lost in f32 may have while products in f32 make sense.
const MISSED_IN_F32: f64 = 1e-9;

/// What the columns share.
pub(crate) struct Group<'a, T> {
    solver: &'a Sinkhorn,
    context: &'a Context,
    support: Support,
    kernel: Kernel<T>,
    limits: Limits,
    narrow: Narrow,
    /// Whether certificates are made together.
    brackets: bool,
}

/// An f64 kernel rounded to f32.
#[derive(Default)]
struct Narrow {
    k: Vec<f32>,
    lost: usize,
}

impl Narrow {
    fn of(k: &[f64]) -> Self {
        let mut lost = 0;
        let entry = |&x: &f64| {
            let narrow = x as f32;
            if narrow < f32::MIN_POSITIVE {
                lost += usize::from(x > 0.0);
                return 0.0;
            }
            narrow
        };
        let k = k.iter().map(entry).collect();
        Self { k, lost }
    }
}

/// What becomes of a column in f32.
enum Fate {
    GoOn,
    /// The next iteration is one in f64.
    Widen,
    /// The solve ends with this iteration, which is to be done again in f64.
    Ends(Termination),
    /// Out of the range of f32.
    Leave,
}

/// What becomes of a column in f64.
enum Wide {
    GoOn,
    /// The measured pair is the answer.
    Ends(Termination),
    /// Out of range: to be solved alone, which knows more ways, or refuses.
    Leave,
}

/// Columns in f32 and in f64, and those that are done.
struct Flow<'m> {
    narrow: Columns<'m, f32>,
    wide: Columns<'m, f64>,
    finished: Finished<'m>,
    room: Room,
    v: Vec<f64>,
}

/// Solutions, each with the index of its problem. One that is missing is to be solved alone.
type Results = Vec<(usize, Result<Solution, Error>)>;

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
        let in_f32 = solver.settings().products == Precision::F32;
        let narrow = T::as_f64(&kernel.k)
            .filter(|_| in_f32)
            .map_or_else(Narrow::default, Narrow::of);
        // With forbidden pairs, what rounding leaves finds its way by a flow: one problem at a time.
        let brackets = context.certify != Certify::Off && first.cost().range().forbidden == 0;
        (!watched).then_some(Self {
            solver,
            context,
            support,
            kernel,
            limits,
            narrow,
            brackets,
        })
    }

    /// Solves `members` on this thread. A problem that is missing from the answer is to be solved alone.
    pub(crate) fn solve<'m>(&self, members: impl Iterator<Item = &'m Member<'m>>) -> Results {
        let (n, m) = self.support.shape();
        let mut results = Vec::new();
        let mut waiting = members.copied();
        let mut flow = Flow {
            narrow: Columns::new(n, m),
            wide: Columns::new(n, m),
            finished: Finished::new((n, m)),
            room: Room::default(),
            v: Vec::new(),
        };
        loop {
            while flow.narrow.len() < WIDEST
                && flow.wide.len() < WIDEST
                && let Some(member) = waiting.next()
            {
                self.start(member, &mut flow, &mut results);
            }
            if flow.narrow.len() < FEWEST {
                self.widen_all(&mut flow);
            }
            if flow.wide.len() < ENOUGH && flow.narrow.len() > 0 {
                self.iterate_narrow(&mut flow);
            } else if flow.wide.len() >= self.fewest() {
                self.iterate_wide(&mut flow, &mut results);
            } else {
                break;
            }
        }
        self.hand_out(&mut flow.finished, &mut results);
        let mut vectors = Vectors::default();
        for k in 0..flow.wide.len() {
            results.extend(self.refine(&mut flow.wide, k, &mut vectors));
        }
        results
    }

    /// Columns that are worth a product in f64.
    fn fewest(&self) -> usize {
        if T::as_f64(&self.kernel.k).is_some() {
            FEWEST
        } else {
            FEWEST_COMPUTED
        }
    }

    /// The kernel in f32.
    fn narrow(&self) -> &[f32] {
        T::as_f32(&self.kernel.k).unwrap_or(&self.narrow.k)
    }

    /// A column for `member`, in f32 if its weights allow it; none if they are too small for the kernel's type.
    fn start<'m>(&self, member: Member<'m>, flow: &mut Flow<'m>, results: &mut Results) {
        let problem = member.problem;
        if let Err(error) = check_feasible(problem) {
            results.push((member.index, Err(error)));
            return;
        }
        let mass = problem.mass();
        let least = |w: &[f64]| {
            let positive = w.iter().filter(|w| **w > 0.0);
            positive.fold(f64::INFINITY, |t, w| t.min(w / mass))
        };
        let (a, b) = (least(problem.a().weights()), least(problem.b().weights()));
        if a.min(b) < T::LEAST_WEIGHT {
            return;
        }
        let slot = Slot {
            member,
            context: self.context.for_problem(member.index),
            started: Instant::now(),
            least: (least_weight(&[a]), least_weight(&[b])),
            sums: (0.0, 0.0),
            sofar: Sofar::default(),
            best: f64::INFINITY,
            idle: 0,
            last: f64::INFINITY,
            end: None,
        };
        let in_f32 = self.solver.settings().products == Precision::F32;
        if in_f32 && a.min(b) >= f32::LEAST_WEIGHT && self.limits.max_iter > 1 {
            flow.narrow.push(slot, &self.support, None);
        } else {
            flow.wide.push(slot, &self.support, None);
        }
    }

    /// One iteration of all columns in f32.
    fn iterate_narrow(&self, flow: &mut Flow<'_>) {
        flow.narrow.multiply(self.narrow());
        let interrupted = self.context.interrupted();
        // From the last to the first, so that a column that moves up has had its turn.
        for k in (0..flow.narrow.len()).rev() {
            match self.judge_narrow(&mut flow.narrow, k, interrupted) {
                Fate::GoOn => flow.narrow.update(k),
                Fate::Widen => {
                    flow.narrow.update(k);
                    self.widen(flow, k);
                }
                Fate::Ends(termination) => {
                    let slot = &mut flow.narrow.slots[k];
                    slot.sofar.iterations -= 1;
                    slot.end = Some(termination);
                    self.widen(flow, k);
                }
                Fate::Leave => {
                    let mut slot = flow.narrow.take(k);
                    flow.narrow.close_gap(k);
                    // With an f32 kernel there is nothing wider here.
                    if T::as_f64(&self.kernel.k).is_some() {
                        slot.sofar = Sofar::default();
                        slot.idle = 0;
                        slot.best = f64::INFINITY;
                        flow.wide.push(slot, &self.support, None);
                    }
                }
            }
        }
    }

    /// Column `k` goes on in f64.
    fn widen(&self, flow: &mut Flow<'_>, k: usize) {
        let cols = flow.narrow.cols(k);
        flow.v.clear();
        flow.v
            .extend(flow.narrow.v[cols].iter().map(|&v| f64::from(v)));
        let mut slot = flow.narrow.take(k);
        flow.narrow.close_gap(k);
        (slot.best, slot.idle) = (f64::INFINITY, 0);
        flow.wide.push(slot, &self.support, Some(&flow.v));
    }

    fn widen_all(&self, flow: &mut Flow<'_>) {
        for k in (0..flow.narrow.len()).rev() {
            self.widen(flow, k);
        }
    }

    /// What becomes of column `k` after products in f32.
    fn judge_narrow(
        &self,
        columns: &mut Columns<'_, f32>,
        k: usize,
        interrupted: Option<Termination>,
    ) -> Fate {
        let seen = columns.look(k);
        let slot = &mut columns.slots[k];
        slot.sofar.iterations += 1;
        let iteration = slot.sofar.iterations;
        let Some(seen) = seen else {
            return Fate::Leave;
        };
        if let Some(termination) = interrupted {
            return Fate::Ends(termination);
        }
        if (iteration.is_multiple_of(self.limits.check_every) || iteration == 1)
            && let Some(termination) = slot.check(seen.error, self.limits.tol)
        {
            return Fate::Ends(termination);
        }
        // As long as an iteration takes much off the error, rounding is not what is left of it.
        let slow = seen.error > SLOW_IN_F32 * std::mem::replace(&mut slot.last, seen.error);
        let enough = seen.error <= self.limits.stop || seen.error <= f32::PRODUCTS_REACH && slow;
        if enough || iteration + 1 >= self.limits.max_iter {
            return Fate::Widen;
        }
        if iteration.is_multiple_of(LOOK) || iteration == 1 {
            if seen.error < slot.best {
                (slot.best, slot.idle) = (seen.error, 0);
            } else {
                slot.idle += 1;
                if slot.idle >= IDLE_IN_F32 {
                    return Fate::Widen;
                }
            }
            if self.narrow.lost > 0 && missed(columns, k) > MISSED_IN_F32 {
                return Fate::Leave;
            }
        }
        Fate::GoOn
    }

    /// One iteration of all columns in f64.
    fn iterate_wide(&self, flow: &mut Flow<'_>, results: &mut Results) {
        let Flow {
            wide,
            finished,
            room,
            ..
        } = flow;
        let Some(cost) = wide
            .slots
            .first()
            .map(|slot| slot.member.problem.shared_cost())
        else {
            return;
        };
        wide.multiply_wide(cost.as_ref(), &self.support, &self.kernel, room);
        let interrupted = self.context.interrupted();
        for k in (0..wide.len()).rev() {
            match self.judge_wide(wide, k, interrupted) {
                Wide::GoOn => wide.update(k),
                Wide::Ends(termination) => {
                    let slot = wide.take(k);
                    finished.push(slot, termination, wide, k);
                    wide.close_gap(k);
                    if finished.is_full() {
                        self.hand_out(finished, results);
                    }
                }
                Wide::Leave => {
                    wide.take(k);
                    wide.close_gap(k);
                }
            }
        }
    }

    /// What becomes of column `k` after products in f64.
    fn judge_wide(
        &self,
        columns: &mut Columns<'_, f64>,
        k: usize,
        interrupted: Option<Termination>,
    ) -> Wide {
        let seen = columns.look(k);
        let slot = &mut columns.slots[k];
        slot.sofar.iterations += 1;
        let iteration = slot.sofar.iterations;
        let Some(seen) = seen else {
            return Wide::Leave;
        };
        if seen.error <= self.limits.stop {
            slot.check(seen.error, self.limits.tol);
            return Wide::Ends(Termination::Converged);
        }
        if iteration >= self.limits.max_iter {
            slot.check(seen.error, self.limits.tol);
            return Wide::Ends(Termination::IterationLimit);
        }
        if let Some(termination) = slot.end.or(interrupted) {
            return Wide::Ends(termination);
        }
        if iteration.is_multiple_of(self.limits.check_every) || iteration == 1 {
            if let Some(termination) = slot.check(seen.error, self.limits.tol) {
                return Wide::Ends(termination);
            }
            if seen.error < slot.best {
                (slot.best, slot.idle) = (seen.error, 0);
            } else {
                slot.idle += 1;
                if slot.idle >= STALLED_CHECKS {
                    return Wide::Ends(Termination::Stalled);
                }
            }
        }
        Wide::GoOn
    }

    /// Measures and certifies the finished columns, and makes solutions of them.
    fn hand_out(&self, finished: &mut Finished<'_>, results: &mut Results) {
        let Some((slot, _)) = finished.slots.first() else {
            return;
        };
        let (support, kernel) = (&self.support, &self.kernel);
        let cost = slot.member.problem.shared_cost();
        let cost = cost.as_ref();
        finished.measure(cost, support, kernel);
        // Lost entries may be the fault of the shared minima, or leave no plan: alone, a problem is told.
        let lossy = kernel.lost > 0;
        let doubtful: Vec<usize> = (0..finished.slots.len())
            .filter(|&k| lossy && in_doubt(finished.slots[k].1))
            .collect();
        let reached = finished.reach(&doubtful, cost, support, kernel);
        let proven = |k: usize| {
            let at = doubtful.binary_search(&k);
            at.is_ok_and(|at| reached[at])
        };
        let (mut s, mut t) = (vec![0.0; support.shape().0], vec![0.0; support.shape().1]);
        let mut parts: Vec<Result<(Plan, Potentials), Error>> = Vec::new();
        for k in 0..finished.slots.len() {
            finished.pair(k, &mut s, &mut t);
            let problem = finished.slots[k].0.member.problem;
            parts.push(implied(problem, support, kernel, &s, &t));
        }
        let begun = Instant::now();
        let brackets = self.brackets(finished, &parts);
        let took = begun.elapsed();
        let each = took / u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (k, (parts, bracket)) in parts.into_iter().zip(brackets).enumerate() {
            let measured = finished.measured(k, support, kernel);
            let (slot, termination) = &mut finished.slots[k];
            let member = slot.member;
            let sofar = std::mem::take(&mut slot.sofar);
            // The time of the brackets is nobody's solve, and a part of it is each one's certificate.
            let started = slot.started + took.saturating_sub(each);
            let solution = parts.and_then(|(plan, potentials)| {
                let outcome = Outcome {
                    plan,
                    potentials,
                    reg: kernel.reg,
                    termination: *termination,
                    iterations: Some(sofar.iterations),
                    history: sofar.history,
                    certificate: bracket.map(|bracket| (bracket, each)),
                };
                let (problem, context) = (member.problem, &slot.context);
                let solution = match measured {
                    Some(measured) => Solution::assemble_measured(
                        NAME, problem, outcome, measured, started, context,
                    ),
                    None => Solution::assemble(NAME, problem, outcome, started, context),
                };
                self.solver.confirm(solution, problem, support, kernel)
            });
            let sure = self.has_all(member) && proven(k);
            results.extend(self.accept(member, solution, sure));
        }
        finished.clear();
    }

    /// The certificates of the finished columns, where they are wanted and can be made together.
    fn brackets(
        &self,
        finished: &mut Finished<'_>,
        parts: &[Result<(Plan, Potentials), Error>],
    ) -> Vec<Option<Certificate>> {
        let mut brackets = vec![None; parts.len()];
        let Some((slot, _)) = finished.slots.first() else {
            return brackets;
        };
        let cost = slot.member.problem.shared_cost();
        let known: Vec<usize> = (0..parts.len())
            .filter(|&k| self.brackets && finished.is_known(k, &self.kernel) && parts[k].is_ok())
            .collect();
        if known.is_empty() {
            return brackets;
        }
        let uppers = finished.round(cost.as_ref(), &self.support, &self.kernel);
        let columns: Vec<(&Problem, &Potentials)> = known
            .iter()
            .filter_map(|&k| {
                let (_, potentials) = parts[k].as_ref().ok()?;
                Some((finished.slots[k].0.member.problem, potentials))
            })
            .collect();
        let lowers = balanced_lower_bounds(cost.as_ref(), &columns);
        for (&k, lower) in known.iter().zip(lowers) {
            brackets[k] = uppers[k].map(|upper| Certificate { lower, upper });
        }
        brackets
    }

    /// Whether no other problem of the group has entries that this one lacks: its minima are then those shared.
    fn has_all(&self, member: Member<'_>) -> bool {
        let (a, b) = (member.problem.a(), member.problem.b());
        (a.support_len(), b.support_len()) == self.support.shape()
    }

    /// Column `k` goes on alone from where it is, with vectors in f64.
    fn refine(
        &self,
        columns: &mut Columns<'_, f64>,
        k: usize,
        vectors: &mut Vectors,
    ) -> Option<(usize, Result<Solution, Error>)> {
        let (b, v) = (&columns.b[columns.cols(k)], &columns.v[columns.cols(k)]);
        let slot = &mut columns.slots[k];
        let (a_at, b_at) = slot.weights(&self.support);
        vectors.start(a_at, b_at, 1);
        for ((t, &b), &v) in vectors.t.iter_mut().zip(b).zip(v) {
            *t = if b > 0.0 { b / v } else { 1.0 };
        }
        let sofar = std::mem::take(&mut slot.sofar);
        let member = slot.member;
        let solution = self.solver.run(
            member.problem,
            &slot.context,
            slot.started,
            sofar,
            &self.support,
            &self.kernel,
            vectors,
        );
        self.accept(member, solution, false)
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

/// Mass that entries below the range of f32 may carry in column `k`.
fn missed(columns: &Columns<'_, f32>, k: usize) -> f64 {
    let sum = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>();
    let (u, v) = (&columns.u[columns.rows(k)], &columns.v[columns.cols(k)]);
    sum(u) * f64::from(f32::MIN_POSITIVE) * sum(v)
}

/// Ends that lost kernel entries may be to blame for.
fn in_doubt(termination: Termination) -> bool {
    matches!(
        termination,
        Termination::IterationLimit | Termination::Stalled
    )
}
