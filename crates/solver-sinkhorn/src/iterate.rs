//! The iteration: u = a / K v, v = b / Kᵀ u, with K read once for both, until both marginals are right.
//!
//! After the row update the row marginal of diag(u) K diag(v) is exact, and the same pass over K yields Kᵀ u, hence
//! the column error of that very pair: it is measured after every iteration at no cost, and the pair that was
//! measured is the one that is returned.
//!
//! Most iterations have their products in f32 (`narrow.rs` says which); those that decide anything are in f64.

use std::time::Instant;

use ot_kernels::kernel_product::{ProductWorkspace, scale_rows};
use ot_kernels::scaling::{divide, measure};
use solver_api::{Check, Context, Problem, Progress, Termination};

use crate::kernel::{Kernel, Stored};
use crate::narrow::{Narrow, Pace, step};

/// Weights below this part of the mass may underflow in a scaling: they are below the rounding of every sum.
pub(crate) const NEGLIGIBLE: f64 = 1e-200;
/// What [`safe_exponent`] shares between exponents and weights: e^660 leaves e^48 on either side of it.
const SAFE_WITH_WEIGHTS: f64 = 660.0;
/// Checks without any progress after which rounding has won. In exact arithmetic the error never rises.
pub(crate) const STALLED_CHECKS: u32 = 100;

/// Vectors of one solve, made once.
#[derive(Debug)]
pub(crate) struct Vectors {
    /// Weights at mass 1, on the support.
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
    /// u = a / s, v = b / t.
    pub(crate) u: Vec<f64>,
    pub(crate) v: Vec<f64>,
    /// s = K v.
    pub(crate) s: Vec<f64>,
    /// t = Kᵀ u of the iteration before: v = b / t.
    pub(crate) t: Vec<f64>,
    /// Kᵀ u of the iteration that was measured last.
    pub(crate) next_t: Vec<f64>,
    pub(crate) product: ProductWorkspace,
    pub(crate) narrow: Narrow,
}

impl Default for Vectors {
    fn default() -> Self {
        Self {
            a: Vec::new(),
            b: Vec::new(),
            u: Vec::new(),
            v: Vec::new(),
            s: Vec::new(),
            t: Vec::new(),
            next_t: Vec::new(),
            product: ProductWorkspace::new(0, 1),
            narrow: Narrow::default(),
        }
    }
}

impl Vectors {
    /// Takes the weights and makes room; t = 1, which is g = 0 up to what was taken off the cost.
    pub(crate) fn start(
        &mut self,
        a: impl Iterator<Item = f64>,
        b: impl Iterator<Item = f64>,
        threads: usize,
    ) {
        self.a.clear();
        self.a.extend(a);
        self.b.clear();
        self.b.extend(b);
        let (n, m) = (self.a.len(), self.b.len());
        for (vector, len) in [
            (&mut self.u, n),
            (&mut self.s, n),
            (&mut self.v, m),
            (&mut self.next_t, m),
        ] {
            vector.clear();
            vector.resize(len, 0.0);
        }
        self.t.clear();
        self.t.resize(m, 1.0);
        self.product = ProductWorkspace::new(m, threads);
    }

    /// Puts 1 for what is not a normal number, so that potentials are numbers.
    pub(crate) fn repair(&mut self) {
        for x in self.s.iter_mut().chain(&mut self.t) {
            if !(x.is_normal() && *x > 0.0) {
                *x = 1.0;
            }
        }
    }
}

/// When an iteration ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The tolerance asked for, which observers see.
    pub(crate) tol: f64,
    /// The measured error at which to stop: the tolerance less what rounding may hide.
    pub(crate) stop: f64,
    pub(crate) max_iter: u64,
    pub(crate) check_every: u64,
    /// Whether products may be in f32.
    pub(crate) narrow: bool,
}

/// Where an iteration goes on from: nothing, unless a batch handed the problem over.
#[derive(Debug, Default)]
pub(crate) struct Sofar {
    pub(crate) iterations: u64,
    pub(crate) history: Vec<Check>,
}

/// How an iteration ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) termination: Termination,
    pub(crate) iterations: u64,
    pub(crate) history: Vec<Check>,
}

/// A scaling or a kernel product left the normal range.
#[derive(Debug)]
pub(crate) struct OutOfRange {
    pub(crate) reason: String,
    pub(crate) iterations: u64,
}

/// Iterates from `vectors.t`. On return `vectors.s` and `vectors.t` belong to the pair that was measured last.
/// `at_check` sees each progress before the context does and may add to it.
pub(crate) fn iterate<T: Stored>(
    kernel: &Kernel<T>,
    vectors: &mut Vectors,
    limits: Limits,
    sofar: Sofar,
    context: &Context,
    started: Instant,
    mut at_check: impl FnMut(&Vectors, &mut Progress),
) -> Result<Ended, OutOfRange> {
    let stop_at_once = context.interrupted();
    let least = (least_weight(&vectors.a), least_weight(&vectors.b));
    let Sofar {
        iterations: before,
        mut history,
    } = sofar;
    let (mut best, mut idle) = (f64::INFINITY, 0);
    let lightest = |w: &[f64]| {
        w.iter()
            .fold(1.0_f64, |t, &w| if w > 0.0 { t.min(w) } else { t })
    };
    // What a batch hands over has had its products in f32, or is nearly done.
    let narrow = limits.narrow
        && before == 0
        && limits.max_iter > 1
        && stop_at_once.is_none()
        && lightest(&vectors.a).min(lightest(&vectors.b)) >= T::LEAST_WEIGHT;
    let mut pace = Pace::new(narrow, kernel, vectors, limits.stop, least);
    // Told to stop after an iteration with products in f32, which is then done again.
    let mut stopped = None;
    divide(&vectors.b, &vectors.t, &mut vectors.v);
    let mut iteration = before;
    loop {
        iteration += 1;
        let narrow = pace.is_narrow();
        let x = &mut *vectors;
        let seen = if narrow {
            step(kernel, x)
        } else {
            let (u, s, next_t) = (&mut x.u, &mut x.s, &mut x.next_t);
            scale_rows(&kernel.k, &x.v, &x.a, 1.0, u, s, next_t, &mut x.product)
        };
        let columns = measure(&vectors.b, &vectors.next_t, &vectors.v);
        if narrow {
            if !pace.stands(kernel, seen, columns) || iteration >= limits.max_iter {
                // The same v again: this iteration is yet to be done.
                pace.pause();
                iteration -= 1;
                continue;
            }
        } else {
            in_range::<f64>(seen.min_sum, seen.max_sum, least.0, "K v")
                .and_then(|()| in_range::<f64>(columns.least, columns.largest, least.1, "Kᵀ u"))
                .map_err(|reason| OutOfRange {
                    reason,
                    iterations: iteration,
                })?;
        }
        let error = columns.error;
        let done = !narrow && error <= limits.stop;
        if let Some(told) = stopped {
            if let Some(check) = history.last_mut() {
                check.error = error;
            }
            return Ok(Ended {
                termination: if done { Termination::Converged } else { told },
                iterations: iteration,
                history,
            });
        }
        let last = iteration >= limits.max_iter;
        let mut end = if done {
            Some(Termination::Converged)
        } else if last {
            Some(Termination::IterationLimit)
        } else {
            None
        };
        if end.is_some() || iteration % limits.check_every == 0 || iteration == before + 1 {
            let mut progress = Progress {
                problem: context.problem_index,
                iteration,
                part: None,
                error,
                tol: limits.tol,
                certificate: None,
                elapsed: started.elapsed(),
            };
            if context.keep_history {
                history.push(Check {
                    iteration,
                    error,
                    elapsed: progress.elapsed,
                });
            }
            at_check(vectors, &mut progress);
            let told = context.check(&progress);
            if !done && told.is_some() {
                end = told;
            }
            if narrow {
                // Its errors are not to be compared with those of exact iterations.
                (best, idle) = (f64::INFINITY, 0);
                if end.is_some() {
                    // What is returned is exact.
                    stopped = end;
                    pace.finish();
                    iteration -= 1;
                    continue;
                }
            } else if error < best {
                (best, idle) = (error, 0);
            } else {
                idle += 1;
                if idle >= STALLED_CHECKS && end.is_none() {
                    end = Some(Termination::Stalled);
                }
            }
        }
        if let Some(termination) = stop_at_once.or(end) {
            return Ok(Ended {
                termination,
                iterations: iteration,
                history,
            });
        }
        if !narrow {
            pace.choose(kernel, vectors, iteration, error);
        }
        // Only now: the pair that was measured is (s, t).
        std::mem::swap(&mut vectors.t, &mut vectors.next_t);
        divide(&vectors.b, &vectors.t, &mut vectors.v);
    }
}

/// The largest exponents of kernel entries beside which scalings stay in range, if `lightest` is the smallest weight at
/// mass 1 that counts: they are weights over products. At most `safe`, and at least 199.
pub(crate) fn safe_exponent(safe: f64, lightest: f64) -> f64 {
    safe.min(SAFE_WITH_WEIGHTS + lightest.max(NEGLIGIBLE).ln())
}

/// The smallest weight of a problem at mass 1 that must not underflow in a scaling.
pub(crate) fn lightest(problem: &Problem) -> f64 {
    let mass = problem.mass();
    let sides = [problem.a().weights(), problem.b().weights()];
    let weights = sides.iter().flat_map(|w| w.iter()).map(|w| w / mass);
    weights.filter(|w| *w >= NEGLIGIBLE).fold(1.0_f64, f64::min)
}

/// The smallest weight that must not underflow in a scaling.
pub(crate) fn least_weight(weights: &[f64]) -> f64 {
    let relevant = weights.iter().filter(|w| **w >= NEGLIGIBLE);
    relevant.fold(1.0_f64, |t, w| t.min(*w))
}

/// Whether products between `least` and `largest`, and the scalings made of them for weights from `weight` on, are
/// normal numbers of `T`.
pub(crate) fn in_range<T: Stored>(
    least: f64,
    largest: f64,
    weight: f64,
    what: &str,
) -> Result<(), String> {
    let smallest = T::SMALLEST.into();
    // NaN fails the first comparison. 1 / least, which bounds a scaling, is then finite too.
    if least >= smallest && largest <= 1.0 / smallest && weight / largest >= smallest {
        return Ok(());
    }
    Err(format!(
        "{what} or the scaling made of it left the normal range, with entries from {least:e} to {largest:e}"
    ))
}
