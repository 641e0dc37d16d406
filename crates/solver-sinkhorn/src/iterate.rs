//! The iteration: u = a / K v, v = b / Kᵀ u, with K read once for both, until both marginals are right.
//!
//! After the row update the row marginal of diag(u) K diag(v) is exact, and the same pass over K yields Kᵀ u, hence
//! the column error of that very pair: it is measured after every iteration at no cost, and the pair that was
//! measured is the one that is returned.

use std::time::Instant;

use ot_kernels::kernel_product::{ProductWorkspace, scale_rows};
use solver_api::{Check, Context, Progress, Termination};

use crate::kernel::{Kernel, Stored};

/// Weights below this part of the mass may underflow in a scaling: they are below the rounding of every sum.
const NEGLIGIBLE: f64 = 1e-200;
/// Checks without any progress after which rounding has won. In exact arithmetic the error never rises.
const STALLED_CHECKS: u32 = 100;

/// Vectors of one solve, made once.
#[derive(Debug)]
pub(crate) struct Vectors {
    /// Weights at mass 1, on the support.
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    /// s = K v.
    pub(crate) s: Vec<f64>,
    /// t = Kᵀ u of the iteration before: v = b / t.
    pub(crate) t: Vec<f64>,
    next_t: Vec<f64>,
    product: ProductWorkspace,
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
}

/// How an iteration ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) termination: Termination,
    pub(crate) iterations: u64,
    pub(crate) history: Vec<Check>,
}

/// A scaling or a kernel product left the normal range: the reason.
#[derive(Debug)]
pub(crate) struct OutOfRange(pub(crate) String);

/// Iterates from `vectors.t`. On return `vectors.s` and `vectors.t` belong to the pair that was measured last.
/// `at_check` sees each progress before the context does and may add to it.
pub(crate) fn iterate<T: Stored>(
    kernel: &Kernel<T>,
    vectors: &mut Vectors,
    limits: Limits,
    context: &Context,
    started: Instant,
    mut at_check: impl FnMut(&Vectors, &mut Progress),
) -> Result<Ended, OutOfRange> {
    let stop_at_once = context.interrupted();
    let least = |w: &[f64]| {
        w.iter()
            .filter(|w| **w >= NEGLIGIBLE)
            .fold(1.0_f64, |t, w| t.min(*w))
    };
    let (least_a, least_b) = (least(&vectors.a), least(&vectors.b));
    let mut history = Vec::new();
    let (mut best, mut idle) = (f64::INFINITY, 0);
    for (v, (b, t)) in vectors.v.iter_mut().zip(vectors.b.iter().zip(&vectors.t)) {
        *v = b / t;
    }
    let mut iteration = 0;
    loop {
        iteration += 1;
        let x = &mut *vectors;
        let seen = scale_rows(
            &kernel.k,
            &x.v,
            &x.a,
            1.0,
            &mut x.u,
            &mut x.s,
            &mut x.next_t,
            &mut x.product,
        );
        let columns = update(&x.b, &x.next_t, &mut x.v);
        in_range("K v", seen.min_sum, seen.max_sum, least_a)?;
        in_range("Kᵀ u", columns.least, columns.largest, least_b)?;
        let error = columns.error;
        let done = error <= limits.stop;
        let last = iteration >= limits.max_iter;
        let mut end = if done {
            Some(Termination::Converged)
        } else if last {
            Some(Termination::IterationLimit)
        } else {
            None
        };
        if end.is_some() || iteration % limits.check_every == 0 || iteration == 1 {
            let mut progress = Progress {
                problem: context.problem_index,
                iteration,
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
            if error < best {
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
        // Only now: the pair that was measured is (s, t).
        std::mem::swap(&mut vectors.t, &mut vectors.next_t);
    }
}

/// What one column update saw.
struct Columns {
    error: f64,
    least: f64,
    largest: f64,
}

/// Σ_j |v_j t_j − b_j|, the extremes of t where b > 0, and v = b / t. Eight strands, so that it vectorizes.
fn update(b: &[f64], t: &[f64], v: &mut [f64]) -> Columns {
    const LANES: usize = 8;
    let mut error = [0.0_f64; LANES];
    let mut least = [f64::INFINITY; LANES];
    let mut largest = [0.0_f64; LANES];
    let mut see = |k: usize, b: f64, t: f64, v: &mut f64| {
        error[k] += (*v * t - b).abs();
        // A NaN makes the error NaN, which no tolerance accepts, and is caught below.
        let relevant = b > 0.0;
        let (low, high) = if relevant {
            (t, t)
        } else {
            (f64::INFINITY, 0.0)
        };
        least[k] = if low < least[k] { low } else { least[k] };
        largest[k] = if high > largest[k] { high } else { largest[k] };
        *v = b / t;
    };
    let whole = b.len() - b.len() % LANES;
    let (head, tail) = v.split_at_mut(whole);
    let blocks = head.chunks_exact_mut(LANES).zip(b.chunks_exact(LANES));
    for ((v, b), t) in blocks.zip(t.chunks_exact(LANES)) {
        for k in 0..LANES {
            see(k, b[k], t[k], &mut v[k]);
        }
    }
    for (k, v) in tail.iter_mut().enumerate() {
        see(k, b[whole + k], t[whole + k], v);
    }
    let error = error.iter().sum::<f64>();
    Columns {
        error,
        // A NaN or an infinity anywhere has made the error NaN or infinite.
        least: if error.is_finite() {
            least.into_iter().fold(f64::INFINITY, f64::min)
        } else {
            f64::NAN
        },
        largest: largest.into_iter().fold(0.0, f64::max),
    }
}

/// Whether products between `least` and `largest`, and the scalings made of them, are normal numbers.
fn in_range(what: &str, least: f64, largest: f64, weight: f64) -> Result<(), OutOfRange> {
    // NaN fails the first comparison.
    if least >= f64::MIN_POSITIVE && largest <= f64::MAX && weight / largest >= f64::MIN_POSITIVE {
        return Ok(());
    }
    Err(OutOfRange(format!(
        "{what} or the scaling made of it left the normal range, with entries from {least:e} to {largest:e}"
    )))
}
