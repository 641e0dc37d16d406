//! The iteration: u = ã (K v)^{−τa}, v = b̃ (Kᵀ u)^{−τb}, with K read once for both, until both marginal equations hold.
//!
//! *The shift.* Along (f + λ, g − λ) the plan is the same and only the γ terms change, by as much as λ/γ; coordinate
//! ascent alone crosses that direction in steps of ε/γ. In closed form, and jointly with the update of f, the best shift
//! of g costs nothing: it multiplies v̂ by a number, hence ŝ = K v̂ and û. So u and v are iterated up to a factor each
//! (which also keeps any masses in range), and the factors follow from the shift that is best for the pair: its two
//! marginal equations then agree in mass.
//!
//! With v̂ = e^q v: û = e^{top_a − τa q} u, the mass sent is e^{top_a + (1 − τa) q} Σ u s, and the mass that the target
//! equation wants, Σ b e^{−g/γb}, is e^{top_b/τb − (ε/γb) q} Σ v t with the t that v was made of.
//!
//! *The mixing.* log t, up to its factor, is a fixed point; [Anderson mixing](ot_entropic::anderson) of the last few
//! iterates takes a third of the iterations and less. A mixture after which the error is well above the least seen is taken
//! back, and the plain iteration goes on from before it.
//!
//! After the row update the source equation holds exactly, and the same pass over K yields Kᵀ u, hence the error of the
//! target equation for that very pair: it is measured after every iteration, and that pair is the one returned.

use std::time::Instant;

use ot_entropic::anderson::Anderson;
use ot_kernels::kernel_product::{ProductWorkspace, scale_rows_soft};
use ot_kernels::reduce::plain_sum;
use ot_kernels::scaling::{measure, soften};
use solver_api::{Check, Context, Error, Problem, Progress, Termination};

use super::side::Side;
use crate::iterate::{Ended, Limits, OutOfRange, STALLED_CHECKS, in_range};
use crate::kernel::{Kernel, Stored};

/// What the potentials may be off by, over ε, whatever the tolerance is.
const LEAST_DIGITS: f64 = 1e-7;
/// A mixture is taken back where the error is above so many times the least one.
const WORSE: f64 = 2.0;
/// After so many of them the plain iteration has the rest.
const MOST_WORSE: usize = 10;

/// Both sides of a problem, and the mass that errors are relative to.
#[derive(Debug)]
pub(super) struct Sides {
    pub(super) a: Side,
    pub(super) b: Side,
    pub(super) mass: f64,
}

impl Sides {
    pub(super) fn noise(&self) -> f64 {
        self.a.noise() + self.b.noise()
    }

    /// Refuses a γ so large that the shift between the potentials, in units of ε, costs them too many digits: f + g would
    /// not imply the plan any more.
    pub(super) fn check_shift(&self, shift: f64, problem: &Problem, tol: f64) -> Result<(), Error> {
        if shift.abs() * f64::EPSILON <= tol.max(LEAST_DIGITS) {
            return Ok(());
        }
        let (a, b) = (self.a.named(), self.b.named());
        let finite = |gamma: f64| if gamma.is_finite() { gamma } else { 0.0 };
        let (name, gamma) = if finite(a.1) >= finite(b.1) { a } else { b };
        let rule = format!(
            "is so large beside `reg` that the masses {:e} and {:e}, which differ, need potentials of {:.0e}·reg: lower \
             it, rescale the masses, or keep the marginals hard (inf)",
            problem.a().mass(),
            problem.b().mass(),
            shift.abs()
        );
        Err(Error::setting(name, gamma, rule))
    }
}

/// Vectors of one solve, made once: the pair that was measured last, each side up to a factor.
#[derive(Debug)]
pub(crate) struct Pair {
    /// u = ã s^{−τa}, v = b̃ t^{−τb}.
    pub(super) u: Vec<f64>,
    pub(super) v: Vec<f64>,
    /// s = K v.
    pub(super) s: Vec<f64>,
    /// Kᵀ u of the iteration before, which v is made of.
    pub(super) t: Vec<f64>,
    /// Kᵀ u of the iteration that was measured last.
    pub(super) next_t: Vec<f64>,
    /// v t, what the target equation wants, up to a factor.
    wanted: Vec<f64>,
    /// Σ v t.
    received: f64,
    /// Σ u s.
    pub(super) sent: f64,
    product: ProductWorkspace,
    mixture: Mixture,
}

/// Anderson mixing of log t, and what it falls back to.
#[derive(Debug)]
struct Mixture {
    anderson: Anderson,
    x: Vec<f64>,
    next: Vec<f64>,
    /// The plain step from the best t.
    plain: Vec<f64>,
    least: f64,
    worse: usize,
    /// Whether the present t is a mixture.
    is_mixed: bool,
}

impl Default for Mixture {
    fn default() -> Self {
        Self {
            anderson: Anderson::new(0),
            x: Vec::new(),
            next: Vec::new(),
            plain: Vec::new(),
            least: f64::INFINITY,
            worse: 0,
            is_mixed: false,
        }
    }
}

impl Mixture {
    fn start(&mut self, width: usize) {
        if self.x.len() == width {
            self.anderson.clear();
        } else {
            self.anderson = Anderson::new(width);
            for vector in [&mut self.x, &mut self.next, &mut self.plain] {
                vector.clear();
                vector.resize(width, 0.0);
            }
        }
        (self.least, self.worse, self.is_mixed) = (f64::INFINITY, 0, false);
    }

    /// `next_t` comes in as what the iteration makes of `t`, whose pair has this error, and goes out as what to go on from.
    fn mix(&mut self, error: f64, t: &[f64], next_t: &mut [f64], weights: &[f64]) {
        self.is_mixed = false;
        if self.worse >= MOST_WORSE {
            return;
        }
        if error > WORSE * self.least {
            next_t.copy_from_slice(&self.plain);
            self.anderson.clear();
            self.worse += 1;
            // The plain step may do no better: then from there on.
            self.least = f64::INFINITY;
            return;
        }
        if error < self.least {
            self.least = error;
            self.plain.copy_from_slice(next_t);
        }
        // Padding, and targets that nothing reaches.
        let log = |t: f64| if t > 0.0 { t.ln() } else { 0.0 };
        for ((x, next), (t, to)) in
            (self.x.iter_mut().zip(&mut self.next)).zip(t.iter().zip(&*next_t))
        {
            (*x, *next) = (log(*t), log(*to));
        }
        self.anderson.mix(&self.x, &mut self.next, weights);
        for (to, next) in next_t.iter_mut().zip(&self.next) {
            if *to > 0.0 {
                *to = next.exp();
            }
        }
        self.is_mixed = true;
    }

    /// Puts the plain step in place of a mixture that left the range of numbers, and mixes no more.
    fn take_back(&mut self, t: &mut [f64]) -> bool {
        if self.is_mixed {
            t.copy_from_slice(&self.plain);
            (self.is_mixed, self.worse) = (false, MOST_WORSE);
            return true;
        }
        false
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            u: Vec::new(),
            v: Vec::new(),
            s: Vec::new(),
            t: Vec::new(),
            next_t: Vec::new(),
            wanted: Vec::new(),
            received: 0.0,
            sent: 0.0,
            product: ProductWorkspace::new(0, 1),
            mixture: Mixture::default(),
        }
    }
}

impl Pair {
    /// Makes room; t = 1, which is g = 0 up to what was taken off the cost.
    pub(super) fn start(&mut self, n: usize, width: usize, threads: usize) {
        for (vector, len, value) in [
            (&mut self.u, n, 0.0),
            (&mut self.s, n, 1.0),
            (&mut self.v, width, 0.0),
            (&mut self.t, width, 1.0),
            (&mut self.next_t, width, 1.0),
            (&mut self.wanted, width, 0.0),
        ] {
            vector.clear();
            vector.resize(len, value);
        }
        (self.received, self.sent) = (0.0, 0.0);
        self.product = ProductWorkspace::new(width, threads);
        self.mixture.start(width);
    }

    /// v and what the target equation wants of it, from t.
    fn update_columns(&mut self, b: &Side) {
        soften(&b.log_weights, b.power, &self.t, &mut self.v);
        for ((w, v), t) in self.wanted.iter_mut().zip(&self.v).zip(&self.t) {
            *w = v * t;
        }
        self.received = plain_sum(&self.wanted);
    }

    /// q, the best shift of g in units of ε beside v itself.
    pub(super) fn shift(&self, sides: &Sides) -> f64 {
        let (a, b) = (&sides.a, &sides.b);
        let terms = [
            self.received.ln(),
            b.top * (1.0 + b.ratio),
            -a.top,
            -self.sent.ln(),
        ];
        let excess: f64 = terms.iter().sum();
        // Masses that differ by rounding alone are equal: for a large γ the shift would be a multiple of that rounding.
        let sums = ((self.u.len() + self.v.len()) as f64).sqrt();
        let logs: f64 = terms.iter().map(|x| x.abs()).sum();
        let rounding = f64::EPSILON * (sums + 8.0 * (1.0 + logs));
        let q = excess / (a.rest + b.ratio);
        if excess.abs() <= rounding || !q.is_finite() {
            0.0
        } else {
            q
        }
    }

    /// The mass of the plan.
    pub(super) fn mass(&self, sides: &Sides) -> f64 {
        if self.sent > 0.0 {
            let shift = self.shift(sides);
            (sides.a.top + sides.a.rest * shift + self.sent.ln()).exp()
        } else {
            0.0
        }
    }
}

/// Iterates from `pair.t`. On return `pair` is what was measured last. `at_check` sees each progress before the context
/// does and may add to it. Each iteration: one read of K, n + m logarithms and exponentials.
pub(super) fn iterate<T: Stored>(
    kernel: &Kernel<T>,
    sides: &Sides,
    pair: &mut Pair,
    limits: Limits,
    context: &Context,
    started: Instant,
    mut at_check: impl FnMut(&Pair, &mut Progress),
) -> Result<Ended, OutOfRange> {
    let mut history = Vec::new();
    let (mut best, mut idle) = (f64::INFINITY, 0);
    let mut iteration = 0;
    pair.update_columns(&sides.b);
    loop {
        iteration += 1;
        let seen = {
            let x = &mut *pair;
            scale_rows_soft(
                &kernel.k,
                &x.v,
                &sides.a.log_weights,
                sides.a.power,
                &mut x.u,
                &mut x.s,
                &mut x.next_t,
                &mut x.product,
            )
        };
        pair.sent = seen.sent;
        // What is wanted, in the units of u K v.
        let unit = seen.sent / pair.received;
        pair.wanted.iter_mut().for_each(|w| *w *= unit);
        let columns = measure(&pair.wanted, &pair.next_t, &pair.v);
        let checked = in_range::<f64>(seen.min_sum, seen.max_sum, sides.a.least, "K v")
            .and_then(|()| in_range::<f64>(columns.least, columns.largest, sides.b.least, "Kᵀ u"))
            .and_then(|()| {
                if unit.is_normal() && columns.error.is_finite() {
                    Ok(())
                } else {
                    Err("the mass of the scaled kernel left the normal range".to_owned())
                }
            });
        if let Err(reason) = checked {
            if pair.mixture.take_back(&mut pair.t) {
                pair.update_columns(&sides.b);
                continue;
            }
            return Err(OutOfRange {
                reason,
                iterations: iteration,
            });
        }
        // Over the mass; and where less than that is moved, over what is, since the plan is to be right as well.
        let error = columns.error / seen.sent * (pair.mass(sides) / sides.mass).max(1.0);
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
            at_check(pair, &mut progress);
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
        if let Some(termination) = end {
            return Ok(Ended {
                termination,
                iterations: iteration,
                history,
            });
        }
        // The factor that t is free in: left alone it would grow by `unit` an iteration, and leave the range.
        pair.next_t.iter_mut().for_each(|t| *t /= unit);
        // Only now: the pair that was measured is (s, t).
        let Pair {
            mixture,
            t,
            next_t,
            wanted,
            ..
        } = &mut *pair;
        mixture.mix(error, t, next_t, wanted);
        std::mem::swap(t, next_t);
        pair.update_columns(&sides.b);
    }
}
