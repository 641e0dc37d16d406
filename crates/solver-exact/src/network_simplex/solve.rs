//! From a problem of `solver-api` to the engine's slices, and from its basis to a solution.

use std::cell::RefCell;
use std::time::Instant;

use rayon::prelude::*;
use solver_api::{
    Batch, Capabilities, Capability, Certificate, Certify, Check as HistoryEntry, Context, Cost,
    CostKind, CostRange, DenseData, Error, Outcome as Answer, Plan, Potentials, Problem, Progress,
    Solution, Solver, SparsePlan, Termination, certify, check_feasible, round,
};

use super::cost::{CostView, Entries, Rows};
use super::engine::{IN_CACHE, Instance, Workspace};
use super::partial::{Dummies, Extended, price_of_dummies};
use super::pricing::{Progress as Step, Status};
use super::{NAME, Settings};
use crate::offset::{far_from_zero, lifted};

/// Bytes up to which a cost that is not stored as a matrix is written out once (its pairs of positive
/// weight only). Larger ones are computed again whenever a row is read.
const WRITE_OUT: usize = 1 << 28;

/// A stored matrix is copied without its rows and columns of zero weight where no more than one part in
/// this many is left: with images, mostly zero, that is most of the work saved.
const COMPRESS: usize = 4;

/// The primal network simplex method: exact optimum of balanced and partial problems, with plan and potentials.
///
/// Time: one thread, n = m = 2000, squared Euclidean costs: 0.03–0.1 s
/// (`cargo run --release -p solver-exact --example timing -- 2000 2`). Memory beyond
/// the cost: about 1.5 KB per source, 100 bytes per target, and a thirty-second of the matrix (f64) for
/// the starting duals.
///
/// Sources: Cunningham, *A network simplex method* (1976); Jonker and Volgenant, *A shortest augmenting
/// path algorithm* (1987); Peyré and Cuturi, *Computational optimal transport* (2019), chapter 3.
#[derive(Debug, Clone, Default)]
pub struct NetworkSimplex {
    settings: Settings,
}

impl NetworkSimplex {
    /// A solver with these settings, checked.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            settings: settings.checked()?,
        })
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn solve_in(
        &self,
        problem: &Problem,
        context: &Context,
        scratch: &mut Scratch,
    ) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(NAME, problem)?;
        check_feasible(problem)?;
        let (n, m) = problem.shape();
        if let Some(warm) = &context.warm_start {
            warm.check(n, m)?;
        }
        scratch.gather(problem, context);
        let mut range = scratch.write_out(problem.cost());
        if scratch.dummies.is_some() {
            range = scratch.add_dummies(problem, context);
        }
        let Scratch {
            workspace,
            a,
            b,
            rows,
            columns,
            narrow,
            wide,
            warm,
            low,
            dummies,
            ..
        } = scratch;
        let (low, dummies) = (*low, *dummies);
        let lazy = Computed(problem.cost());
        let (all_rows, all_columns) = (rows.len() == n, columns.is_empty());
        let written = !(wide.is_empty() && narrow.is_empty());
        let stored_rows = (!all_rows && !written).then_some(&rows[..]);
        let entries = if !wide.is_empty() {
            Entries::F64(wide)
        } else if !narrow.is_empty() {
            Entries::F32(narrow)
        } else {
            stored(problem.cost()).unwrap_or(Entries::Rows(&lazy))
        };
        let mut cost = CostView {
            entries,
            columns: b.len(),
            rows: stored_rows,
        };
        let extended = dummies.map(|dummies| Extended {
            cost: CostView {
                columns: dummies.m,
                ..cost
            },
            dummies,
        });
        if let Some(extended) = &extended
            && !written
        {
            (cost.entries, cost.rows) = (Entries::Rows(extended), None);
        }
        let instance = Instance {
            supply: a,
            demand: b,
            cost,
            moved: dummies.map(|d| d.moved(problem)),
            range: (range.min - low, range.max - low),
            warm: context.warm_start.is_some().then_some(&warm[..]),
            max_pivots: self.settings.max_iter.unwrap_or(u64::MAX),
            in_cache: IN_CACHE,
            bracket: context.certify == Certify::EveryCheck && context.is_observed(),
        };
        let mut stopped = None;
        let mut history = Vec::new();
        let outcome = workspace.solve(&instance, &mut |step: &Step| {
            stopped = stopped.or(if step.value.is_some() {
                let elapsed = started.elapsed();
                let bracket = step
                    .bracket
                    .map(|(lower, upper)| Certificate { lower, upper });
                // Without a bracket nobody knows how far the optimum is.
                let error = bracket.map_or(f64::INFINITY, |c| c.relative_gap(problem));
                let certificate = bracket.map(|c| lifted(c, low, problem));
                if context.keep_history {
                    history.push(HistoryEntry {
                        iteration: step.pivots,
                        error,
                        elapsed,
                    });
                }
                context.check(&Progress {
                    problem: context.problem_index,
                    iteration: step.pivots,
                    part: None,
                    error,
                    tol: self.settings.tol,
                    certificate,
                    elapsed,
                })
            } else {
                context.interrupted()
            });
            stopped.is_none()
        });
        let source = |i: usize| if all_rows { i } else { rows[i] as usize };
        let column = |j: usize| if all_columns { j } else { columns[j] as usize };
        let mut triples = Vec::with_capacity(a.len() + b.len());
        workspace.flows(&instance.cost, |i, j, mass| {
            if dummies.is_none_or(|d| d.is_real(i, j)) {
                triples.push((source(i) as u32, column(j) as u32, mass));
            }
        });
        let mut potentials = Potentials::new(vec![0.0; n], vec![0.0; m]);
        if let Some(dummies) = dummies {
            let (f, g) = (|i| workspace.f(i), |j| workspace.g(j));
            dummies.settle(f, g, low, &mut potentials, source, column);
        } else {
            for i in 0..a.len() {
                potentials.f[source(i)] = workspace.f(i) + low;
            }
            for j in (0..b.len()).filter(|&j| b[j] > 0.0) {
                let g = workspace.g(j);
                // A weight without an allowed pair, so small that the check of feasibility let it pass: any potential
                // will do.
                potentials.g[column(j)] = if g == f64::NEG_INFINITY { 0.0 } else { g };
            }
        }
        let plan = Plan::Sparse(SparsePlan::from_triples(n, m, triples)?);
        let mut termination = match outcome.status {
            Status::Optimal => Termination::Optimal,
            Status::IterationLimit => Termination::IterationLimit,
            Status::Stopped => stopped.unwrap_or(Termination::Cancelled),
            // The maximum flow above has settled this: nothing comes here.
            Status::Infeasible => Termination::NumericalFailure,
        };
        let mut certificate = None;
        if termination == Termination::Optimal && context.certify != Certify::Off {
            let begun = Instant::now();
            let bracket = if dummies.is_some() && low == 0.0 {
                // Without the dummies' own weights, whose potentials are large and cancel.
                certify(problem, &plan, &potentials)
            } else {
                let upper = if low == 0.0 {
                    round(problem, &plan).transport_cost
                } else {
                    workspace.upper(&instance)
                };
                let lower = workspace.lower(&instance);
                Certificate { lower, upper }
            };
            if bracket.relative_gap(problem) > self.settings.tol {
                termination = Termination::Stalled;
            }
            certificate = Some((lifted(bracket, low, problem), begun.elapsed()));
        }
        let answer = Answer {
            plan,
            potentials,
            reg: 0.0,
            termination,
            iterations: Some(outcome.pivots),
            history,
            certificate,
        };
        Ok(Solution::assemble(NAME, problem, answer, started, context))
    }
}

impl Solver for NetworkSimplex {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Balanced,
            Capability::Partial,
            Capability::Exact,
            Capability::ForbiddenPairs,
            Capability::WarmStart,
            Capability::Interruptible,
            Capability::Deterministic,
        ])
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let (n, m) = problem.shape();
        if n * m > KEPT {
            return self.solve_in(problem, context, &mut Scratch::default());
        }
        // Taken, not borrowed: an observer may solve another problem on this thread meanwhile.
        let mut scratch = SCRATCH.take();
        let solution = self.solve_in(problem, context, &mut scratch);
        SCRATCH.set(scratch);
        solution
    }

    /// Problems run side by side; each thread keeps its memory from one problem to the next.
    fn solve_batch(&self, batch: &Batch, context: &mut Context) -> Vec<Result<Solution, Error>> {
        let context = &*context;
        context.install(|| {
            (0..batch.len())
                .into_par_iter()
                .map_init(Scratch::default, |scratch, k| {
                    self.solve_in(&batch.problem(k)?, &context.for_problem(k), scratch)
                })
                .collect()
        })
    }
}

/// Entries of a problem up to which a thread keeps its memory from one single solve to the next: some hundred
/// kilobytes, which to allocate anew takes as long as to solve.
const KEPT: usize = 1 << 14;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The memory of a solve.
#[derive(Debug, Default)]
struct Scratch {
    workspace: Workspace,
    /// Positive weights, and the rows they stand in.
    a: Vec<f64>,
    rows: Vec<u32>,
    /// Weights of the columns the engine sees, and which these are (empty: all).
    b: Vec<f64>,
    columns: Vec<u32>,
    /// The cost of positive weights alone, where it is written out.
    wide: Vec<f64>,
    narrow: Vec<f32>,
    row: Vec<f64>,
    warm: Vec<f64>,
    /// What is taken off all costs that are written out.
    low: f64,
    /// Of a partial problem.
    dummies: Option<Dummies>,
}

impl Scratch {
    /// Weights, and whether zeros are compressed out of the columns.
    fn gather(&mut self, problem: &Problem, context: &Context) {
        let (n, m) = problem.shape();
        let positive = |w: &[f64], index: &mut Vec<u32>| {
            index.clear();
            index.extend((0..w.len() as u32).filter(|&k| w[k as usize] > 0.0));
        };
        let (a, b) = (problem.a().weights(), problem.b().weights());
        positive(a, &mut self.rows);
        positive(b, &mut self.columns);
        self.a.clear();
        self.a.extend(self.rows.iter().map(|&i| a[i as usize]));
        let left = self.rows.len() * self.columns.len();
        let compress = match stored(problem.cost()) {
            Some(_) => left * COMPRESS <= n * m,
            None => left * size_of::<f64>() <= WRITE_OUT,
        };
        if !compress {
            self.columns.clear();
        }
        self.b.clear();
        self.warm.clear();
        let warm = context.warm_start.as_ref().map(|p| &p.g[..]);
        if compress {
            self.b.extend(self.columns.iter().map(|&j| b[j as usize]));
            self.warm
                .extend(self.columns.iter().filter_map(|&j| Some(warm?[j as usize])));
        } else {
            self.b.extend_from_slice(b);
            self.warm.extend_from_slice(warm.unwrap_or(&[]));
        }
        self.dummies = Dummies::add(problem, &mut self.a, &mut self.b);
    }

    /// Completes a partial problem: what is written out gets the dummies' row and column, and so does a stored cost that
    /// the caches hold; larger ones are read where they stand. Returns the range with the dummies.
    fn add_dummies(&mut self, problem: &Problem, context: &Context) -> CostRange {
        // The price of the pair of both must be right for every entry: a sample will not do.
        let mut range = problem.cost().range();
        let lowered = CostRange {
            min: range.min - self.low,
            max: range.max - self.low,
            ..range
        };
        let price = price_of_dummies(&lowered);
        let (rows, columns) = (self.a.len(), self.b.len());
        let Some(dummies) = &mut self.dummies else {
            return range;
        };
        dummies.price = price;
        if let Some(given) = &context.warm_start {
            dummies.warm(&mut self.warm, given.lambda, self.low);
        }
        if self.wide.is_empty() && self.narrow.is_empty() && rows * columns <= IN_CACHE {
            let whole = problem.shape().1;
            let row = |i: u32| i as usize * whole..(i as usize + 1) * whole;
            match stored(problem.cost()) {
                Some(Entries::F64(c)) => {
                    let kept = self.rows.iter().flat_map(|&i| &c[row(i)]);
                    self.wide.extend(kept);
                }
                Some(Entries::F32(c)) => {
                    let kept = self.rows.iter().flat_map(|&i| &c[row(i)]);
                    self.narrow.extend(kept);
                }
                _ => {}
            }
        }
        if !self.wide.is_empty() {
            dummies.extend(&mut self.wide, price);
        } else if !self.narrow.is_empty() {
            // Any price above −min C will do, and the next number of f32 is.
            dummies.extend(&mut self.narrow, price as f32);
        }
        range.include(self.low);
        range.include(self.low + price);
        range
    }

    /// Writes out the pairs of positive weight where `gather` decided so; returns the range of the cost,
    /// from a few rows where it is not known.
    fn write_out(&mut self, cost: &dyn Cost) -> CostRange {
        self.wide.clear();
        self.narrow.clear();
        self.row.clear();
        let m = cost.shape().1;
        let stored = stored(cost);
        self.low = 0.0;
        if stored.is_some() {
            let range = cost.range();
            if far_from_zero(&range) {
                return self.write_out_without_offset(cost, range);
            }
        }
        if self.columns.is_empty() {
            if stored.is_some() {
                return cost.range();
            }
            let mut range = CostRange::EMPTY;
            self.row.resize(m, 0.0);
            for &i in self.rows.iter().step_by((self.rows.len() / 16).max(1)) {
                cost.row(i as usize, &mut self.row);
                self.row.iter().for_each(|&c| range.include(c));
            }
            return range;
        }
        let columns = &self.columns;
        match stored {
            Some(Entries::F64(c)) => {
                for &i in &self.rows {
                    let row = &c[i as usize * m..][..m];
                    self.wide.extend(columns.iter().map(|&j| row[j as usize]));
                }
                return cost.range();
            }
            Some(Entries::F32(c)) => {
                for &i in &self.rows {
                    let row = &c[i as usize * m..][..m];
                    self.narrow.extend(columns.iter().map(|&j| row[j as usize]));
                }
                return cost.range();
            }
            _ => {}
        }
        let mut range = CostRange::EMPTY;
        self.row.resize(m, 0.0);
        for &i in &self.rows {
            cost.row(i as usize, &mut self.row);
            for &j in &self.columns {
                let c = self.row[j as usize];
                range.include(c);
                self.wide.push(c);
            }
        }
        if far_from_zero(&range) {
            self.low = range.min;
            self.wide.iter_mut().for_each(|c| *c -= range.min);
        }
        range
    }

    /// Writes out all pairs of positive weight less the least cost: potentials then are of the size of the costs'
    /// differences, and no digit of these is lost.
    fn write_out_without_offset(&mut self, cost: &dyn Cost, range: CostRange) -> CostRange {
        self.low = range.min;
        self.row.resize(cost.shape().1, 0.0);
        for &i in &self.rows {
            cost.row(i as usize, &mut self.row);
            if self.columns.is_empty() {
                self.wide.extend(self.row.iter().map(|c| c - range.min));
            } else {
                let kept = self.columns.iter().map(|&j| self.row[j as usize]);
                self.wide.extend(kept.map(|c| c - range.min));
            }
        }
        range
    }
}

/// The caller's own matrix, where there is one.
fn stored(cost: &dyn Cost) -> Option<Entries<'_>> {
    let CostKind::Dense(dense) = cost.kind() else {
        return None;
    };
    match dense.data() {
        DenseData::F64(c) => Some(Entries::F64(c)),
        DenseData::F32(c) => Some(Entries::F32(c)),
        _ => None,
    }
}

/// A cost that is computed whenever a row is read.
struct Computed<'a>(&'a dyn Cost);

impl Rows for Computed<'_> {
    fn row(&self, i: usize, out: &mut [f64]) {
        self.0.row(i, out);
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        self.0.entry(i, j)
    }
}
