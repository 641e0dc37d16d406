//! The iteration: the sources' potentials at the multiplier of now, then the targets' and the multiplier together.
//!
//! u_i = min(w e^{−r_i/ε} a_i, a_i / (K v)_i) is f_i ≤ 0 at w = e^{λ/ε}, with r the row minima that were taken off the cost;
//! v_j = min(e^{−c_j/ε} b_j, b_j / (δ t_j)) with t = Kᵀ u is g_j ≤ 0, and δ the growth of w. Both are exact maximizations of
//! the concave dual over a block of it, so that the dual rises until both agree. K is read once an iteration.
//!
//! After the row update no source sends more than it has, and those below their cap send all of it. What the same pair
//! sends to the targets follows from t, and tells what is left: columns beyond b, columns with g_j < 0 that miss b, and
//! the mass.

use std::time::Instant;

use ot_kernels::kernel_product::{ProductWorkspace, scale_rows_capped};
use solver_api::{Check, Context, Progress, Termination};

use super::multiplier::growth;
use crate::iterate::{Ended, Limits, OutOfRange, STALLED_CHECKS};
use crate::kernel::{Kernel, Stored};

/// Scalings whose sums are below this leave nothing behind that underflows and counts.
const LARGEST_SUM: f64 = 1e250;

/// A change of log w between two checks beyond which the iteration is on its way: rounding moves it by far less.
const RISING: f64 = 1e-4;

/// Vectors of one solve, made once; masses are over the mass that moves.
#[derive(Debug)]
pub(super) struct Scalings {
    pub(super) a: Vec<f64>,
    pub(super) b: Vec<f64>,
    /// (r_i − low)/ε, and caps of u at the multiplier of now.
    depth: Vec<f64>,
    pub(super) cap_a: Vec<f64>,
    /// Caps of v: they don't change.
    pub(super) cap_b: Vec<f64>,
    pub(super) u: Vec<f64>,
    pub(super) v: Vec<f64>,
    /// K v and Kᵀ u.
    pub(super) s: Vec<f64>,
    t: Vec<f64>,
    /// What each target gets at g = 0.
    full: Vec<f64>,
    /// What the weights b are multiplied by in v, so that those of any size stay in range; w is less by as much.
    pub(super) part: f64,
    /// log w: (λ − low)/ε − log part.
    pub(super) log_w: f64,
    /// The least r.
    pub(super) low: f64,
    product: ProductWorkspace,
}

impl Scalings {
    /// Starts at g = 0 and a small λ; `b` has an entry for each stored column.
    pub(super) fn new<T: Stored>(
        a: Vec<f64>,
        b: Vec<f64>,
        kernel: &Kernel<T>,
        threads: usize,
    ) -> Self {
        let (n, m) = (a.len(), b.len());
        let low = kernel.r.iter().copied().fold(f64::INFINITY, f64::min);
        let depth = kernel.r.iter().map(|r| (r - low) / kernel.reg).collect();
        let part = 1.0 / b.iter().sum::<f64>();
        let mut cap_b = vec![0.0; m];
        for ((cap, b), c) in cap_b.iter_mut().zip(&b).zip(&kernel.c) {
            *cap = part * b * (-c / kernel.reg).exp();
        }
        // The most that moves is then the mass, before any cap is met.
        let log_w = -a.iter().sum::<f64>().ln();
        Self {
            v: cap_b.clone(),
            a,
            b,
            depth,
            cap_a: vec![0.0; n],
            cap_b,
            u: vec![0.0; n],
            s: vec![0.0; n],
            t: vec![0.0; m],
            full: vec![0.0; m],
            part,
            log_w,
            low,
            product: ProductWorkspace::new(m, threads),
        }
    }

    /// u, s and t at the v and w of now. What columns and mass are off by, or `None` where a number left its range.
    fn rows<T: Stored>(&mut self, kernel: &Kernel<T>) -> Option<f64> {
        for ((cap, a), depth) in self.cap_a.iter_mut().zip(&self.a).zip(&self.depth) {
            *cap = a * (self.log_w - depth).exp();
        }
        scale_rows_capped(
            &kernel.k,
            &self.v,
            &self.a,
            &self.cap_a,
            &mut self.u,
            &mut self.s,
            &mut self.t,
            &mut self.product,
        );
        let (mut off, mut mass) = (0.0, 0.0);
        for (((v, t), b), cap) in self.v.iter().zip(&self.t).zip(&self.b).zip(&self.cap_b) {
            let got = v * t;
            mass += got;
            off += if v < cap {
                (got - b).abs()
            } else {
                (got - b).max(0.0)
            };
        }
        let (sum_u, sum_v) = (self.u.iter().sum::<f64>(), self.v.iter().sum::<f64>());
        let sound = sum_u <= LARGEST_SUM && sum_v <= LARGEST_SUM && off.is_finite();
        (sound && !kernel.may_miss(sum_u, sum_v)).then(|| f64::max(off, (mass - 1.0).abs()))
    }

    /// v and w from t.
    fn columns(&mut self) -> bool {
        let live = self.b.iter().take_while(|b| **b > 0.0).count();
        let caps = self.cap_b.iter().zip(&self.t);
        self.full
            .iter_mut()
            .zip(caps)
            .for_each(|(q, (cap, t))| *q = cap * t);
        let Some(delta) = growth(&self.full[..live], &self.b[..live]) else {
            return false;
        };
        for (j, v) in self.v[..live].iter_mut().enumerate() {
            *v = (self.b[j] / (delta * self.t[j])).min(self.cap_b[j]);
        }
        self.log_w += delta.ln();
        self.log_w.is_finite()
    }

    /// Iterates to the end. The pair (u, v) that was measured last is the one that stands.
    pub(super) fn iterate<T: Stored>(
        &mut self,
        kernel: &Kernel<T>,
        limits: Limits,
        context: &Context,
        started: Instant,
        mut at_check: impl FnMut(&Self, &mut Progress),
    ) -> Result<Ended, OutOfRange> {
        let stop_at_once = context.interrupted();
        let (mut best, mut idle, mut history) = (f64::INFINITY, 0, Vec::new());
        let mut checked_at = self.log_w;
        let mut iteration = 0;
        loop {
            iteration += 1;
            let Some(error) = self.rows(kernel) else {
                return Err(OutOfRange {
                    reason: format!("scalings up to e^{:.0} left the normal range", self.log_w),
                    iterations: iteration,
                });
            };
            let done = error <= limits.stop;
            let mut end = if done {
                Some(Termination::Converged)
            } else if iteration >= limits.max_iter {
                Some(Termination::IterationLimit)
            } else {
                None
            };
            if end.is_some() || iteration % limits.check_every == 0 || iteration == 1 {
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
                at_check(self, &mut progress);
                let told = context.check(&progress);
                if !done && told.is_some() {
                    end = told;
                }
                // Where cheap pairs are full and others wait for a larger multiplier, that rises while the error stands.
                let rises = (self.log_w - checked_at).abs() > RISING;
                checked_at = self.log_w;
                (best, idle) = if error < best || rises {
                    (best.min(error), 0)
                } else {
                    (best, idle + 1)
                };
                if idle >= STALLED_CHECKS && end.is_none() {
                    end = Some(Termination::Stalled);
                }
            }
            if let Some(termination) = stop_at_once.or(end) {
                return Ok(Ended {
                    termination,
                    iterations: iteration,
                    history,
                });
            }
            if !self.columns() {
                return Err(OutOfRange {
                    reason: "the kernel entries that are left can't move the mass".to_owned(),
                    iterations: iteration,
                });
            }
        }
    }
}
