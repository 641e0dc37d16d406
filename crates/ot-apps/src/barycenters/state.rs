//! All measures' potentials and the mean, from round to round.
//!
//! ln t_k = ln Kᵀ(p_k / K v_k), ln q = Σ_k λ_k ln t_k, and ln v_k goes towards ln q − ln t_k, by as much as `momentum.rs`
//! says. Steps of all measures add up to 0 with their weights λ, as ln v does. Between rounds the kernel may be exchanged
//! for that of another ε: a path of ε carries the potentials ε·ln v over, a proximal iteration (`ipot.rs`) the logarithms
//! themselves.

use ot_kernels::exp::exp;
use ot_kernels::linear::add_scaled;
use rayon::prelude::*;

use super::inputs::Inputs;
use super::kernel::{Kernel, Room};
use super::momentum::Momentum;
use crate::drive::{Rooms, worst};

/// Measures of a task on a matrix: their products share one read of it. The same number for any number of threads, so
/// that the bits are.
const TOGETHER: usize = 16;
/// Entries of the mean that a task takes.
const CELLS: usize = 2048;

/// What takes the blur of the entropy out (Janati et al., algorithm 1): d with d ∘ K d = q at its end.
struct Debias {
    log_d: Vec<f64>,
    step: Vec<f64>,
    blurred: Vec<f64>,
    room: Room,
}

/// Vectors of all measures stand one after another.
pub(super) struct State<'a> {
    lambda: &'a [f64],
    together: usize,
    /// Weights of the measures, or their logarithms.
    p: Vec<f64>,
    log_v: Vec<f64>,
    step: Vec<f64>,
    log_t: Vec<f64>,
    log_q: Vec<f64>,
    q: Vec<f64>,
    errors: Vec<f64>,
    debias: Option<Debias>,
    momentum: Option<Momentum>,
    /// α and β of this round.
    factors: (f64, f64),
    rooms: Rooms<Room>,
    /// Whether ln v is set for the next round as it stands, and there is no mean yet that its plans belong to.
    fresh: bool,
}

/// How the means are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Making {
    pub(super) debiased: bool,
    /// The least μ of its momentum, if it has any.
    pub(super) momentum: Option<f64>,
}

impl<'a> State<'a> {
    pub(super) fn new(inputs: &'a Inputs, kernel: &Kernel<'_>, making: Making) -> Self {
        let (count, m) = (inputs.count(), inputs.support());
        Self {
            lambda: &inputs.lambda,
            together: if inputs.grid.is_some() { 1 } else { TOGETHER },
            p: kernel.weights(inputs),
            log_v: vec![0.0; count * m],
            step: vec![
                0.0;
                if making.momentum.is_some() {
                    count * m
                } else {
                    0
                }
            ],
            log_t: vec![0.0; count * m],
            log_q: vec![0.0; m],
            q: vec![0.0; m],
            errors: vec![0.0; count],
            debias: making.debiased.then(|| Debias {
                log_d: vec![0.0; m],
                step: vec![0.0; m],
                blurred: vec![0.0; m],
                room: Room::default(),
            }),
            momentum: making.momentum.map(Momentum::new),
            factors: (1.0, 0.0),
            rooms: Rooms::new(),
            fresh: true,
        }
    }

    /// The mean up to a factor. Far from the end the logarithms may all be below those of numbers: then it is scaled.
    pub(super) fn mean(&self) -> Vec<f64> {
        if self.q.iter().any(|q| *q > 0.0) {
            return self.q.clone();
        }
        let most = self.log_q.iter().copied().fold(f64::MIN, f64::max);
        self.log_q.iter().map(|q| (q - most).exp()).collect()
    }

    /// ln v of all measures after one plain projection: potentials over ε.
    pub(super) fn log_v(&self) -> Vec<f64> {
        let mut v = self.log_t.clone();
        for v in v.chunks_exact_mut(self.q.len()) {
            v.iter_mut().zip(&self.log_q).for_each(|(v, q)| *v = q - *v);
        }
        v
    }

    /// The next round's kernel is that of an ε smaller by `factor`: potentials stay, ln v grows.
    pub(super) fn carry(&mut self, factor: f64) {
        self.log_v = self.log_v();
        self.log_v.iter_mut().for_each(|v| *v *= factor);
        self.step.fill(0.0);
        if let Some(debias) = &mut self.debias {
            debias.log_d.iter_mut().for_each(|d| *d *= factor);
            debias.step.fill(0.0);
        }
        if let Some(momentum) = &mut self.momentum {
            momentum.forget();
        }
        self.fresh = true;
    }

    /// One round. Returns the largest error of its plans, whose sums over the measures are right, and whose sums over the
    /// support are off the last round's q by it; +∞ in the first round, NaN where numbers failed. `own` is the kernel
    /// between the points of the support, for a debiased mean.
    pub(super) fn round(&mut self, kernel: &Kernel<'_>, own: &Kernel<'_>) -> f64 {
        self.project(kernel);
        let fresh = std::mem::replace(&mut self.fresh, false);
        self.average();
        let moved = self.take_blur_out(own, fresh);
        self.exponentiate();
        let error = worst(self.errors.iter().copied().chain([moved]));
        // Momentum may overshoot for a round; logarithms tell.
        if error.is_nan() || !self.log_q.iter().all(|q| q.is_finite()) {
            return f64::NAN;
        }
        if fresh {
            return f64::INFINITY;
        }
        if let Some(momentum) = &mut self.momentum {
            momentum.learn(error);
        }
        error
    }

    /// Moves v and projects, measure by measure.
    fn project(&mut self, kernel: &Kernel<'_>) {
        let m = self.q.len();
        let n = self.p.len() / self.lambda.len();
        let (together, fresh) = (self.together, self.fresh);
        if let Some(momentum) = &mut self.momentum {
            self.factors = momentum.factors();
        }
        let (alpha, beta) = self.factors;
        let (projections, q, log_q, rooms) =
            (kernel.projections(), &self.q, &self.log_q, &self.rooms);
        // Without momentum there are no steps to remember.
        let steps = if self.momentum.is_some() {
            together * m
        } else {
            0
        };
        let mut none = Vec::new();
        let steps: Vec<&mut [f64]> = if steps > 0 {
            self.step.chunks_mut(steps).collect()
        } else {
            none.resize_with(self.errors.len().div_ceil(together), Default::default);
            none
        };
        let tasks = self.log_t.par_chunks_mut(together * m);
        let tasks = tasks.zip(self.p.par_chunks(together * n));
        let tasks = tasks.zip(self.log_v.par_chunks_mut(together * m));
        let tasks = tasks.zip(steps);
        let tasks = tasks.zip(self.errors.par_chunks_mut(together));
        tasks.for_each(|((((t, p), v), steps), errors)| {
            if !fresh {
                let each = v.chunks_exact_mut(m).zip(t.chunks_exact(m));
                if steps.is_empty() {
                    for (v, t) in each {
                        v.iter_mut()
                            .zip(t)
                            .zip(log_q)
                            .for_each(|((v, t), q)| *v = q - t);
                    }
                } else {
                    for ((v, t), step) in each.zip(steps.chunks_exact_mut(m)) {
                        let all = v.iter_mut().zip(t).zip(log_q).zip(step);
                        all.for_each(|(((v, t), q), step)| {
                            *step = alpha * (q - t - *v) + beta * *step;
                            *v += *step;
                        });
                    }
                }
            }
            rooms.lend(|room| projections.project(v, p, t, q, errors, room));
        });
    }

    /// ln q, the weighted geometric mean.
    fn average(&mut self) {
        let (m, t, lambda) = (self.q.len(), &self.log_t, self.lambda);
        let parts = self.log_q.par_chunks_mut(CELLS).enumerate();
        parts.for_each(|(part, q)| {
            let from = part * CELLS;
            q.fill(0.0);
            for (t, lambda) in t.chunks_exact(m).zip(lambda) {
                add_scaled(*lambda, &t[from..from + q.len()], q);
            }
        });
    }

    fn exponentiate(&mut self) {
        let parts = self.q.par_chunks_mut(CELLS);
        parts
            .zip(self.log_q.par_chunks(CELLS))
            .for_each(|(q, logs)| exp(logs, q));
    }

    /// Multiplies q by d and takes d's own step, d ← √(d q / K d): by how much d ∘ K d was off q.
    fn take_blur_out(&mut self, own: &Kernel<'_>, fresh: bool) -> f64 {
        let (alpha, beta) = if fresh { (1.0, 0.0) } else { self.factors };
        let Some(debias) = &mut self.debias else {
            return 0.0;
        };
        own.projections()
            .spread(&debias.log_d, &mut debias.blurred, &mut debias.room);
        let mut moved = 0.0;
        let of_q = self.log_q.iter_mut().zip(&debias.blurred);
        let of_d = debias.log_d.iter_mut().zip(&mut debias.step);
        for ((d, step), (q, blurred)) in of_d.zip(of_q) {
            *q += *d;
            moved += ((*d + blurred).exp() - q.exp()).abs();
            *step = 0.5 * alpha * (*q - blurred - *d) + beta * *step;
            *d += *step;
        }
        moved
    }
}
