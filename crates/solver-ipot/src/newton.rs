//! Newton's method on the semi-dual of the entropic problem at one ε: the inner solver of the accelerated schedule.
//!
//! max over g of ⟨f(g), a⟩ + ⟨g, b⟩ with f(g) the soft c-transform. The gradient is b − Pᵀ1 and the Hessian the graph
//! Laplacian of the plan's entries over ε. Steps are clipped, and taken back where they help neither the dual value
//! nor the marginal error; a scaling step, which always helps, is what is left then.

use crate::instance::Instance;
use crate::laplacian::Laplacian;
use crate::rows::{List, Passes};

/// What brings potentials to the entropic optimum at an ε: the part of the schedule that can be exchanged.
pub(crate) trait Inner {
    /// From g to a marginal L1 error of `target` at `eps`, in at most `limit` iterations (passes over the cost).
    /// `stop` is asked before each.
    fn level(
        &mut self,
        instance: &Instance,
        g: &mut [f64],
        eps: f64,
        target: f64,
        limit: u64,
        stop: &mut dyn FnMut() -> bool,
    ) -> Level;

    /// dg/dε on the path of entropic optima, at the potentials of the last level.
    fn slope(&mut self, instance: &Instance, g: &[f64], eps: f64, slope: &mut [f64]);

    /// Entries of the plan and f at the potentials of the last level, and the passes for use between levels.
    fn parts(&mut self) -> (&List, &[f64], &mut Passes);
}

/// How a level ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    /// ‖Pᵀ1 − b‖₁; rows are exact.
    pub(crate) error: f64,
    /// Iterations spent.
    pub(crate) iterations: u64,
    /// The error before the first of them.
    pub(crate) first: f64,
    /// Whether `stop` said so.
    pub(crate) stopped: bool,
}

/// Entries above this share of the smaller of their two weights make the graph.
const KEEP: f64 = 1e-7;
/// Steps are clipped at this many ε.
const CLIP: f64 = 12.0;
/// A column with less than this share of its weight is scaled before Newton's method is any use.
const STARVED: f64 = 0.25;
/// Scaling steps in a row for starved columns.
const SCALINGS: u32 = 6;
/// How far linear systems are solved, and in how many steps.
const INNER: (f64, usize) = (1e-2, 250);
/// Halvings of a step before it is given up.
const HALVINGS: u32 = 5;
/// Iterations without a better error after which rounding has been reached.
const IDLE: u32 = 6;

/// The memory of the method.
#[derive(Debug)]
pub(crate) struct Newton {
    passes: Passes,
    list: List,
    laplacian: Laplacian,
    f: Vec<f64>,
    received: Vec<f64>,
    trial: Vec<f64>,
    step: Vec<f64>,
    best: Vec<f64>,
}

impl Newton {
    pub(crate) fn new(instance: &Instance) -> Self {
        let (n, m) = instance.shape();
        Self {
            passes: Passes::new(instance),
            list: List::default(),
            laplacian: Laplacian::default(),
            f: vec![0.0; n],
            received: vec![0.0; m],
            trial: vec![0.0; m],
            step: vec![0.0; m],
            best: vec![0.0; m],
        }
    }

    /// The plan of g: dual value and error.
    fn look(&mut self, instance: &Instance, g: &[f64], eps: f64) -> (f64, f64) {
        let list = Some((&mut self.list, KEEP));
        self.passes
            .soft(instance, g, eps, &mut self.f, &mut self.received, list);
        let paired = |p: &[f64], w: &[f64]| p.iter().zip(w).map(|(p, w)| p * w).sum::<f64>();
        let error = self
            .received
            .iter()
            .zip(&instance.b)
            .map(|(c, b)| (c - b).abs())
            .sum();
        (paired(&self.f, &instance.a) + paired(g, &instance.b), error)
    }

    /// The marginal error of g at ε.
    pub(crate) fn error(&mut self, instance: &Instance, g: &[f64], eps: f64) -> f64 {
        self.look(instance, g, eps).1
    }

    /// g_j ← g_j + ε ln(b_j / c_j): the other half of a Sinkhorn step. Where a column has underflowed, the hard
    /// c-transform stands in.
    fn scale(&mut self, instance: &Instance, g: &mut [f64], eps: f64) {
        let lost = |c: f64| c <= f64::MIN_POSITIVE || c.is_nan();
        if self.received.iter().any(|&c| lost(c)) {
            self.passes.hard_columns(instance, &self.f, &mut self.trial);
        }
        for (j, g) in g.iter_mut().enumerate() {
            let c = self.received[j];
            *g = if lost(c) {
                self.trial[j]
            } else {
                *g + eps * (instance.b[j] / c).ln()
            };
        }
    }
}

impl Inner for Newton {
    fn level(
        &mut self,
        instance: &Instance,
        g: &mut [f64],
        eps: f64,
        target: f64,
        limit: u64,
        stop: &mut dyn FnMut() -> bool,
    ) -> Level {
        let (n, m) = instance.shape();
        let (mut value, mut error) = self.look(instance, g, eps);
        let mut level = Level {
            error,
            iterations: 0,
            first: error,
            stopped: false,
        };
        let (mut least, mut idle, mut scalings) = (f64::INFINITY, 0, 0);
        loop {
            if error < 0.9 * least {
                (least, idle) = (error, 0);
                self.best.copy_from_slice(g);
            } else {
                idle += 1;
            }
            if error <= target || idle >= IDLE || level.iterations >= limit {
                break;
            }
            if stop() {
                level.stopped = true;
                break;
            }
            level.iterations += 1;
            let starved = |(c, b): (&f64, &f64)| *c < STARVED * b;
            if scalings < SCALINGS && self.received.iter().zip(&instance.b).any(starved) {
                scalings += 1;
                self.scale(instance, g, eps);
                (value, error) = self.look(instance, g, eps);
                continue;
            }
            self.laplacian.begin(&self.list, n, m);
            let (received, b) = (&self.received, &instance.b);
            let fill = |rf: &mut [f64], rg: &mut [f64]| {
                rf.fill(0.0);
                for ((r, c), b) in rg.iter_mut().zip(received).zip(b) {
                    *r = eps * (b - c);
                }
            };
            let (_, step) = self.laplacian.solve(&self.list, fill, INNER.0, INNER.1);
            for (s, x) in self.step.iter_mut().zip(step) {
                *s = x.clamp(-CLIP * eps, CLIP * eps);
            }
            let slope: f64 = (self.step.iter().zip(&instance.b).zip(&self.received))
                .map(|((s, b), c)| s * (b - c))
                .sum();
            let (mut length, mut taken) = (1.0, false);
            for _ in 0..HALVINGS {
                let mut trial = std::mem::take(&mut self.trial);
                for ((t, g), s) in trial.iter_mut().zip(&*g).zip(&self.step) {
                    *t = g + length * s;
                }
                let (new_value, new_error) = self.look(instance, &trial, eps);
                taken = (new_value > value && new_value >= value + 1e-4 * length * slope)
                    || new_error < 0.9 * error;
                if taken {
                    g.copy_from_slice(&trial);
                    (value, error) = (new_value, new_error);
                }
                self.trial = trial;
                if taken {
                    break;
                }
                length *= 0.3;
            }
            if !taken {
                self.look(instance, g, eps);
                self.scale(instance, g, eps);
                (value, error) = self.look(instance, g, eps);
            }
        }
        if error > least {
            g.copy_from_slice(&self.best);
            (_, error) = self.look(instance, g, eps);
        }
        level.error = error;
        level
    }

    fn slope(&mut self, instance: &Instance, g: &[f64], eps: f64, slope: &mut [f64]) {
        let (n, m) = instance.shape();
        self.laplacian.begin(&self.list, n, m);
        let (list, f) = (&self.list, &self.f);
        let fill = |rf: &mut [f64], rg: &mut [f64]| {
            rg.fill(0.0);
            for i in 0..n {
                let (cols, mass) = list.row(i);
                let mut sum = 0.0;
                for (&j, p) in cols.iter().zip(mass) {
                    let j = j as usize;
                    // P ln(P / ab), by its exponent.
                    let term = p * (f[i] + g[j] - instance.entry(i, j)) / eps;
                    sum += term;
                    rg[j] += term;
                }
                rf[i] = -sum;
            }
        };
        let (_, y) = self.laplacian.solve(&self.list, fill, INNER.0, INNER.1);
        slope.copy_from_slice(y);
    }

    fn parts(&mut self) -> (&List, &[f64], &mut Passes) {
        (&self.list, &self.f, &mut self.passes)
    }
}
