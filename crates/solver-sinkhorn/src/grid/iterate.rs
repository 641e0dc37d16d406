//! The iteration on a grid: u = a / K v, v = b / Kᵀ u, first with products in f32, then in f64.
//!
//! Products in f32 run at twice the rate and bring the error to some 4e-7; what they miss, the iterations in f64 after
//! them correct, and those alone decide how a solve ends.

use std::time::Instant;

use ot_kernels::scaling::{divide, divide_into, measure, rescale};
use ot_kernels::separable::{Axis, multiply};
use solver_api::{Check, Context, Progress, Termination};

use super::cut::Cut;
use crate::iterate::{Ended, Limits, OutOfRange, STALLED_CHECKS, in_range, least_weight};
use crate::kernel::Stored;
use crate::narrow::REACH;

/// Exponents of one axis up to which its kernel is made of normal numbers in f32.
const LARGEST_F32: f64 = 80.0;
/// Iterations in f32 without a smaller error after which rounding has won.
const IDLE: u32 = 8;

/// Vectors over the cells of the box.
#[derive(Debug)]
pub(crate) struct Vectors {
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
    pub(crate) u: Vec<f64>,
    pub(crate) v: Vec<f64>,
    /// K v, then Kᵀ u.
    pub(crate) t: Vec<f64>,
    room: Vec<f64>,
    share: bool,
}

/// The same in f32.
struct Narrow {
    a: Vec<f32>,
    b: Vec<f32>,
    u: Vec<f32>,
    v: Vec<f32>,
    t: Vec<f32>,
    room: Vec<f32>,
}

impl Vectors {
    pub(crate) fn new(cut: &Cut, share: bool) -> Self {
        let cells = cut.cells();
        Self {
            a: cut.a.clone(),
            b: cut.b.clone(),
            u: vec![0.0; cells],
            v: cut.b.clone(),
            t: vec![0.0; cells],
            room: vec![0.0; cells],
            share,
        }
    }

    /// v = b·exp(g/ε) up to a factor, kept in the middle of the range.
    pub(crate) fn warm(&mut self, cut: &Cut, g: &[f64], reg: f64) {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        cut.each(|k, cell| {
            let x = g[cell] / reg;
            self.t[k] = if x.is_finite() { x } else { 0.0 };
            if self.b[k] > 0.0 {
                (low, high) = (low.min(self.t[k]), high.max(self.t[k]));
            }
        });
        let middle = 0.5 * low + 0.5 * high;
        for ((v, x), b) in self.v.iter_mut().zip(&self.t).zip(&self.b) {
            *v = b * (x - middle).clamp(-300.0, 300.0).exp();
        }
    }

    /// Puts the weights for what is not a normal number, so that potentials are numbers.
    pub(crate) fn repair(&mut self) {
        let sides = [(&mut self.u, &self.a), (&mut self.v, &self.b)];
        for (x, w) in sides {
            for (x, &w) in x.iter_mut().zip(w) {
                if !(x.is_normal() && *x > 0.0 && (*x / w).is_normal()) {
                    *x = w;
                }
            }
        }
    }

    /// Σ u_i K_ij C_ij v_j: axis by axis the product with the kernel of that axis times its cost.
    pub(crate) fn price(&mut self, cut: &Cut) -> f64 {
        let mut total = 0.0;
        let mut out = vec![0.0; self.v.len()];
        for k in 0..cut.axes() {
            let (unit, axes) = cut.priced(k);
            multiply(&axes, &self.v, &mut out, &mut self.room, self.share);
            total += unit * ot_kernels::reduce::dot(&self.u, &out);
        }
        total
    }
}

/// Where a solve stands in time.
struct Clock<'a> {
    limits: Limits,
    context: &'a Context,
    started: Instant,
    history: Vec<Check>,
    iteration: u64,
}

impl Clock<'_> {
    /// Whether anybody is to see this iteration.
    fn strikes(&self) -> bool {
        self.iteration.is_multiple_of(self.limits.check_every) || self.iteration == 1
    }

    /// Tells history and observer; what they say.
    fn check(&mut self, error: f64, add: impl FnOnce(&mut Progress)) -> Option<Termination> {
        let mut progress = Progress {
            problem: self.context.problem_index,
            iteration: self.iteration,
            part: None,
            error,
            tol: self.limits.tol,
            certificate: None,
            elapsed: self.started.elapsed(),
        };
        if self.context.keep_history {
            self.history.push(Check {
                iteration: self.iteration,
                error,
                elapsed: progress.elapsed,
            });
        }
        add(&mut progress);
        self.context.check(&progress)
    }
}

/// u = a / K v and t = Kᵀ u from v. The error of the pair (u, v).
fn step(axes: &[&Axis<f64>], x: &mut Vectors, least: (f64, f64)) -> Result<f64, String> {
    multiply(axes, &x.v, &mut x.u, &mut x.room, x.share);
    let (low, largest) = divide_into(&x.a, &mut x.u);
    in_range::<f64>(low, largest, least.0, "K v")?;
    multiply(axes, &x.u, &mut x.t, &mut x.room, x.share);
    let columns = measure(&x.b, &x.t, &x.v);
    in_range::<f64>(columns.least, columns.largest, least.1, "Kᵀ u")?;
    Ok(columns.error)
}

/// The same in f32, and on to the next v. Where it fails, v stands as it was.
fn narrow_step(
    axes: &[&Axis<f32>],
    x: &mut Narrow,
    share: bool,
    least: (f64, f64),
) -> Result<f64, String> {
    multiply(axes, &x.v, &mut x.u, &mut x.room, share);
    let (low, largest) = divide_into(&x.a, &mut x.u);
    in_range::<f32>(low, largest, least.0, "K v")?;
    multiply(axes, &x.u, &mut x.t, &mut x.room, share);
    let columns = rescale(&x.b, &x.v, &mut x.t);
    in_range::<f32>(columns.least, columns.largest, least.1, "Kᵀ u")?;
    if columns.error.is_finite() {
        std::mem::swap(&mut x.v, &mut x.t);
        Ok(columns.error)
    } else {
        Err("the marginals are no numbers".to_owned())
    }
}

/// Iterates from `vectors.v`. On return (u, v) is the pair that was measured last, and t = Kᵀ u.
pub(crate) fn iterate(
    cut: &Cut,
    vectors: &mut Vectors,
    limits: Limits,
    context: &Context,
    started: Instant,
    mut at_check: impl FnMut(&Vectors, &mut Progress),
) -> Result<Ended, OutOfRange> {
    let mut clock = Clock {
        limits,
        context,
        started,
        history: Vec::new(),
        iteration: 0,
    };
    let stop_at_once = context.interrupted();
    let mut told = stop_at_once;
    let lightest = |w: &[f64]| {
        let positive = w.iter().filter(|w| **w > 0.0);
        positive.fold(1.0_f64, |t, &w| t.min(w))
    };
    let weights = lightest(&vectors.a).min(lightest(&vectors.b));
    // Observers that certify need numbers in f64.
    let in_f32 = limits.narrow
        && told.is_none()
        && limits.max_iter > 2
        && cut.exponent() <= LARGEST_F32
        && weights >= <f32 as Stored>::LEAST_WEIGHT;
    if in_f32 {
        told = narrowly(cut, vectors, &mut clock);
    }
    let least = (least_weight(&vectors.a), least_weight(&vectors.b));
    let axes = cut.wide();
    let (mut best, mut idle) = (f64::INFINITY, 0);
    loop {
        clock.iteration += 1;
        let error = step(&axes, vectors, least).map_err(|reason| OutOfRange {
            reason,
            iterations: clock.iteration,
        })?;
        let done = error <= limits.stop;
        let mut end = told;
        if clock.iteration >= limits.max_iter {
            end = end.or(Some(Termination::IterationLimit));
        }
        if done {
            end = Some(Termination::Converged);
        }
        if end.is_some() || clock.strikes() {
            let said = clock.check(error, |progress| at_check(vectors, progress));
            if !done && end.is_none() {
                end = said;
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
        // Told to stop before it began: whatever the first iteration says.
        if let Some(termination) = stop_at_once.or(end) {
            return Ok(Ended {
                termination,
                iterations: clock.iteration,
                history: clock.history,
            });
        }
        let x = &mut *vectors;
        divide(&x.b, &x.t, &mut x.v);
    }
}

/// Iterations in f32, as far as they lead; `vectors.v` is what they came to. What a check said to stop for.
fn narrowly(cut: &Cut, vectors: &mut Vectors, clock: &mut Clock<'_>) -> Option<Termination> {
    let narrow = |x: &[f64]| -> Vec<f32> { x.iter().map(|&x| x as f32).collect() };
    let cells = vectors.v.len();
    let mut x = Narrow {
        a: narrow(&vectors.a),
        b: narrow(&vectors.b),
        u: vec![0.0; cells],
        v: narrow(&vectors.v),
        t: vec![0.0; cells],
        room: vec![0.0; cells],
    };
    let least = (least_weight(&vectors.a), least_weight(&vectors.b));
    let axes = cut.narrow();
    let reach = REACH.max(0.8 * clock.limits.stop);
    let (mut best, mut idle) = (f64::INFINITY, 0);
    let (first, mut told) = (clock.iteration, None);
    // The last iteration is one in f64.
    while clock.iteration + 1 < clock.limits.max_iter {
        let Ok(error) = narrow_step(&axes, &mut x, vectors.share, least) else {
            break;
        };
        clock.iteration += 1;
        if clock.strikes() {
            told = clock.check(error, |_| ());
        }
        if error < best {
            (best, idle) = (error, 0);
        } else {
            idle += 1;
        }
        if told.is_some() || error <= reach || idle >= IDLE {
            break;
        }
    }
    // Without a step `vectors.v` is better than its copy.
    if clock.iteration > first {
        for (wide, &v) in vectors.v.iter_mut().zip(&x.v) {
            *wide = v.into();
        }
    }
    told
}
