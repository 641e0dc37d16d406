//! Scaling with a stored kernel, for large ε: plain, over-relaxed, or with Anderson acceleration.
//!
//! The kernel K_ij = exp((f̂_i + ĝ_j − C_ij)/ε) carries potentials that were *absorbed*; the scalings u, v carry what they
//! have moved since, and are absorbed again before they leave the range in which no lost entry of K can count
//! (Schmitzer, *Stabilized sparse scaling algorithms for entropy regularized transport problems*, 2019). An iteration
//! reads K once: rows are scaled exactly, and the same pass yields the column sums of that very plan.
//!
//! Large ε needs no more; below, ε falls by stages, and each starts from the potentials of the one before.

use ot_kernels::exp::gibbs_row;
use ot_kernels::kernel_product::{ProductWorkspace, scale_rows, scale_rows_soft};
use ot_kernels::pricing::Entry;
use rayon::prelude::*;

use crate::anderson::Anderson;
use crate::dual::{Dual, Point};
use crate::newton::log_ratio;
use crate::path::{End, Followed, Stage, Watch, Work};

/// How potentials move from one iteration to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceleration {
    /// Sinkhorn's own step.
    Plain,
    /// Steps of both sides lengthened by ω, which follows from the contraction that is observed; a step that would lower
    /// the dual is taken plainly instead.
    OverRelaxation,
    /// Anderson's mixing of the last iterates; a mixture that raises the error is dropped.
    Anderson,
}

/// Settings of [`scale`].
#[derive(Debug, Clone, Copy)]
pub struct Scaling {
    /// How potentials move.
    pub acceleration: Acceleration,
    /// The regularization asked for.
    pub reg: f64,
    /// The L1 error of both marginals to reach.
    pub tol: f64,
    /// max − min of the cost over allowed pairs.
    pub spread: f64,
    /// Iterations, over all stages.
    pub max_iter: u64,
    /// Threads of the current pool that passes may use.
    pub threads: usize,
    /// Whether larger ε come first. Without it the first stage is `reg`.
    pub by_stages: bool,
}

/// Stages begin at this part of the spread and fall by this factor.
const BEGIN: f64 = 0.1;
const FACTOR: f64 = 4.0;
/// The error at which a stage above `reg` is left, and the iterations that it gets.
const STAGE_ERROR: f64 = 1e-2;
const STAGE_ITERATIONS: u64 = 200;
/// Potentials are absorbed when one has moved by so many ε. Entries below e^−708 of their row were lost when K was
/// made; after moves of both sides they are below e^−500 still.
const ABSORB: f64 = 100.0;
/// By how much, relative to it, rounding may lower the dual.
const VALUE_SLACK: f64 = 1e-11;
/// By how many ε a mixture may differ from the plain step.
const LONGEST_MIX: f64 = 30.0;
/// Iterations between two reports; the error is looked at after each.
const TELL_EVERY: u64 = 10;
/// Iterations without a better error after which rounding has won.
const IDLE: u64 = 2000;

/// K with the potentials in it, and the vectors of an iteration.
struct Kernel<'a, T> {
    dual: Dual<'a, T>,
    k: Vec<f64>,
    eps: f64,
    f_in: Vec<f64>,
    g_in: Vec<f64>,
    /// log a − p f̂/γa, p = γa/(γa + ε): rows are scaled by e^{that} / (K v)^p.
    log_mass: Vec<f64>,
    lengthened: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    s: Vec<f64>,
    t: Vec<f64>,
    product: ProductWorkspace,
}

impl<'a, T: Entry> Kernel<'a, T> {
    fn new(dual: Dual<'a, T>, threads: usize) -> Self {
        let (n, m) = dual.shape();
        let threads = if n * m < 1 << 17 { 1 } else { threads };
        Self {
            dual,
            k: vec![0.0; n * m],
            eps: 0.0,
            f_in: vec![0.0; n],
            g_in: vec![0.0; m],
            log_mass: vec![0.0; n],
            lengthened: vec![0.0; n],
            u: vec![0.0; n],
            v: vec![0.0; m],
            s: vec![0.0; n],
            t: vec![0.0; m],
            product: ProductWorkspace::new(m, threads),
        }
    }

    fn power(&self) -> f64 {
        1.0 / (1.0 + self.dual.row_softness(self.eps))
    }

    /// Takes potentials into K: one exponential a pair. Where the source marginal is relaxed it takes f of the hard one,
    /// with which K's rows have sums of order 1.
    fn absorb(&mut self, f: &[f64], g: &[f64], eps: f64) {
        self.eps = eps;
        for (to, f) in self.f_in.iter_mut().zip(f) {
            *to = self.dual.hard(*f, eps);
        }
        self.g_in.copy_from_slice(g);
        let f = &self.f_in;
        let (dual, m, inv_eps) = (&self.dual, g.len(), 1.0 / eps);
        let rows = ((1 << 16) / m).max(1);
        self.k
            .par_chunks_mut(rows * m)
            .enumerate()
            .for_each(|(at, part)| {
                for (k, row) in part.chunks_exact_mut(m).enumerate() {
                    let i = at * rows + k;
                    gibbs_row(dual.row(i), f[i], g, inv_eps, row);
                }
            });
        let part = self.power() / self.dual.gamma_a;
        for ((l, a), f) in self.log_mass.iter_mut().zip(self.dual.a).zip(f) {
            *l = a.ln() - part * f;
        }
        for (u, a) in self.u.iter_mut().zip(self.dual.a) {
            *u = *a;
        }
    }

    /// One pass from the potentials g of `point`: rows scaled by ω of their step, everything else of the point. For
    /// ω = 1 rows are exact, whatever f was.
    fn pass(&mut self, point: &mut Point, omega: f64) {
        let (inv_eps, power) = (1.0 / self.eps, self.power());
        for (j, v) in self.v.iter_mut().enumerate() {
            *v = self.dual.b[j] * ((point.g[j] - self.g_in[j]) * inv_eps).exp();
        }
        let (u, sums, out) = (&mut self.u, &mut self.s, &mut self.t);
        if power * omega == 1.0 {
            let a = self.dual.a;
            scale_rows(&self.k, &self.v, a, 1.0, u, sums, out, &mut self.product);
        } else {
            let log_a = if omega == 1.0 {
                &self.log_mass
            } else {
                for ((l, w), u) in self.lengthened.iter_mut().zip(&self.log_mass).zip(&*u) {
                    *l = omega * w + (1.0 - omega) * u.ln();
                }
                &self.lengthened
            };
            scale_rows_soft(
                &self.k,
                &self.v,
                log_a,
                power * omega,
                u,
                sums,
                out,
                &mut self.product,
            );
        }
        let dual = &self.dual;
        for i in 0..self.u.len() {
            // A scaling beyond the range of numbers has a potential still.
            point.f[i] = if self.u[i] > 0.0 {
                self.f_in[i] + self.eps * (self.u[i] / dual.a[i]).ln()
            } else {
                power * (self.f_in[i] - self.eps * self.s[i].ln())
            };
            point.sent[i] = self.u[i] * self.s[i];
        }
        for j in 0..self.v.len() {
            point.received[j] = self.v[j] * self.t[j];
            point.wanted[j] = dual.wanted(j, point.g[j]);
        }
    }

    /// How far potentials have moved since they were absorbed, in units of ε.
    fn moved(&self, point: &Point) -> f64 {
        let of_f = point.f.iter().zip(&self.f_in);
        let of_g = point.g.iter().zip(&self.g_in);
        of_f.map(|(f, built)| (self.dual.hard(*f, self.eps) - built).abs())
            .chain(of_g.map(|(g, built)| (g - built).abs()))
            .fold(0.0_f64, f64::max)
            / self.eps
    }
}

/// Σ_i |(P1)_i − what it should be|: 0 where rows were scaled exactly.
fn row_error<T>(dual: &Dual<'_, T>, point: &Point) -> f64 {
    let wanted = |i: usize| {
        if dual.gamma_a.is_infinite() {
            dual.a[i]
        } else {
            dual.a[i] * (-point.f[i] / dual.gamma_a).exp()
        }
    };
    let off = |(i, s): (usize, &f64)| (s - wanted(i)).abs();
    point.sent.iter().enumerate().map(off).sum()
}

/// The value of the dual at any pair of potentials, up to a constant.
fn dual_value<T>(dual: &Dual<'_, T>, point: &Point) -> f64 {
    let side = |potential: &[f64], weights: &[f64], gamma: f64| -> f64 {
        let term = |(p, w): (&f64, &f64)| {
            if gamma.is_infinite() {
                p * w
            } else {
                -gamma * w * (-p / gamma).exp_m1()
            }
        };
        potential.iter().zip(weights).map(term).sum()
    };
    let mass: f64 = point.sent.iter().sum();
    side(&point.f, dual.a, dual.gamma_a) + side(&point.g, dual.b, dual.gamma_b) - point.eps * mass
}

/// Scales until the L1 error of both marginals is below the tolerance. Time O(n·m) an iteration, memory 8·n·m bytes.
/// The arguments are those of [`follow`](crate::path::follow).
pub fn scale<T: Entry>(
    dual: Dual<'_, T>,
    scaling: Scaling,
    start: Option<&[f64]>,
    watch: &mut Watch<'_>,
) -> Followed {
    let (n, m) = dual.shape();
    let g = start.map_or_else(|| vec![0.0; m], <[f64]>::to_vec);
    let begin = if scaling.by_stages && start.is_none() {
        (BEGIN * scaling.spread).max(scaling.reg)
    } else {
        scaling.reg
    };
    let mut point = Point::new(n, g, begin);
    let mut kernel = Kernel::new(dual, scaling.threads);
    let mut work = Work::default();
    balance(&dual, &mut point);
    // f for g, in the log domain: the first kernel has potentials in it that fit.
    fit_rows(&dual, &mut point);
    let end = loop {
        work.levels += 1;
        kernel.absorb(&point.f, &point.g, point.eps);
        let last = point.eps <= scaling.reg;
        let mut stage = Run {
            kernel: &mut kernel,
            scaling,
            tol: if last { scaling.tol } else { STAGE_ERROR },
            limit: if last { u64::MAX } else { STAGE_ITERATIONS },
            work: &mut work,
        };
        let end = stage.run(&mut point, watch);
        if last || end == End::Stopped {
            break end;
        }
        point.eps = (point.eps / FACTOR).max(scaling.reg);
        fit_rows(&dual, &mut point);
    };
    Followed {
        point,
        end,
        work,
        paid: None,
        plan: None,
    }
}

/// f that fits g at the point's ε: every row of its plan is what it should be, and no entry is beyond range. n·m
/// exponentials.
pub fn fit_rows<T: Entry>(dual: &Dual<'_, T>, point: &mut Point) {
    let eps = point.eps;
    let tilted: Vec<f64> = (point.g.iter().zip(dual.b))
        .map(|(g, b)| g + eps * b.ln())
        .collect();
    point.f.par_iter_mut().enumerate().for_each(|(i, f)| {
        let log_sum = ot_kernels::reduce::row_log_sum_exp(dual.row(i), &tilted, 1.0 / eps);
        *f = dual.row_update(i, log_sum, eps).0;
    });
}

/// Shifts g to where both sides of a relaxed problem have the same mass, with f that fits: a start from 0 may have a mass
/// beyond the range of numbers. Two or three fits; none where both marginals are hard.
pub fn balance<T: Entry>(dual: &Dual<'_, T>, point: &mut Point) {
    if dual.is_balanced() {
        return;
    }
    for _ in 0..BALANCINGS {
        fit_rows(dual, point);
        let shift = dual.best_shift(point);
        if shift.abs() <= point.eps {
            return;
        }
        point.g.iter_mut().for_each(|g| *g -= shift);
    }
}

/// Each leaves ε/(γ + ε) of the shift.
const BALANCINGS: usize = 4;

/// One stage.
struct Run<'k, 'a, T> {
    kernel: &'k mut Kernel<'a, T>,
    scaling: Scaling,
    tol: f64,
    limit: u64,
    work: &'k mut Work,
}

impl<T: Entry> Run<'_, '_, T> {
    fn run(&mut self, point: &mut Point, watch: &mut Watch<'_>) -> End {
        let dual = self.kernel.dual;
        let eps = point.eps;
        let soft = 1.0 / (1.0 + dual.col_softness(eps));
        let mut mixing = Anderson::new(point.g.len());
        let mut relaxing = Relaxing::default();
        let mut next = point.g.clone();
        let mut plain = point.g.clone();
        // The best point of this stage, to fall back to.
        let mut good = point.g.clone();
        let (mut best, mut idle, mut done) = (f64::INFINITY, 0, 0);
        let (mut good_error, mut good_value) = (f64::INFINITY, f64::NEG_INFINITY);
        loop {
            let omega = match self.scaling.acceleration {
                Acceleration::OverRelaxation => relaxing.omega,
                _ => 1.0,
            };
            self.kernel.pass(point, omega);
            self.work.dense_passes += 1;
            self.work.steps += 1;
            done += 1;
            let rows = if omega == 1.0 {
                0.0
            } else {
                row_error(&dual, point)
            };
            let error = point.error().max(rows);
            let is_done = error <= self.tol;
            if is_done || done % TELL_EVERY == 0 {
                let stage = Stage {
                    eps,
                    error,
                    steps: self.work.steps,
                };
                if !watch(&stage, point) {
                    self.go_back(point, &good, error, good_error);
                    return End::Stopped;
                }
            }
            if is_done {
                return End::Converged;
            }
            idle = if error < best { 0 } else { idle + 1 };
            let is_over = done >= self.limit || self.work.steps >= self.scaling.max_iter;
            if is_over || idle > IDLE {
                self.go_back(point, &good, error, good_error);
                return End::Stalled;
            }
            // Where a mixture or a long step led astray, the plain step from the best point is a safe one.
            let bound = match self.scaling.acceleration {
                Acceleration::Plain => f64::INFINITY,
                Acceleration::OverRelaxation => 1e3,
                Acceleration::Anderson => 2.0,
            };
            let mut astray = error > bound * best.min(1e300) || error.is_nan();
            if self.scaling.acceleration == Acceleration::Anderson {
                // Plain steps never lower the dual; on a plateau its error says little.
                let value = dual_value(&dual, point);
                let is_lower = value < good_value - VALUE_SLACK * (value.abs() + eps);
                astray |= is_lower && error > best;
                if !astray {
                    good_value = good_value.max(value);
                }
            }
            if astray {
                mixing.clear();
                relaxing = Relaxing::default();
                best = f64::INFINITY;
                self.restore(point, &good);
            } else if error < best {
                (best, good_error) = (error, error);
                good.copy_from_slice(&point.g);
            }
            // A lengthened step keeps f, which a shift of g alone would leave behind.
            let shift = if omega == 1.0 {
                dual.best_shift(point)
            } else {
                0.0
            };
            let omega = if astray { 1.0 } else { omega };
            let omega = relaxing.look(error, || dual_value(&dual, point), omega);
            let length = match self.scaling.acceleration {
                Acceleration::OverRelaxation => omega,
                _ => 1.0,
            };
            for (j, next) in next.iter_mut().enumerate() {
                let step = eps * soft * log_ratio(point.wanted[j], point.received[j]);
                *next = point.g[j] + length * step - shift;
            }
            if self.scaling.acceleration == Acceleration::Anderson && !astray {
                plain.copy_from_slice(&next);
                mixing.mix(&point.g, &mut next, dual.b);
                // Differences that are nearly parallel give mixtures of any length.
                let far =
                    |(x, y): (&f64, &f64)| (x - y).abs() > LONGEST_MIX * eps || (x - y).is_nan();
                if next.iter().zip(&plain).any(far) {
                    next.copy_from_slice(&plain);
                    mixing.clear();
                }
            }
            point.g.copy_from_slice(&next);
            if self.kernel.moved(point) > ABSORB {
                // f belongs to the g before, which a shift or a mixture may have left far behind.
                fit_rows(&dual, point);
                self.kernel.absorb(&point.f, &point.g, eps);
            }
        }
    }

    /// Ends at the best point there was, if that is not this one.
    fn go_back(&mut self, point: &mut Point, good: &[f64], error: f64, good_error: f64) {
        if error > good_error || error.is_nan() {
            self.restore(point, good);
        }
    }

    /// The point of these potentials, with a kernel that has taken in nothing else.
    fn restore(&mut self, point: &mut Point, g: &[f64]) {
        point.g.copy_from_slice(g);
        fit_rows(&self.kernel.dual, point);
        self.kernel.absorb(&point.f, &point.g, point.eps);
        self.kernel.pass(point, 1.0);
        self.work.dense_passes += 1;
    }
}

/// Iterations that are watched before ω is chosen.
const LOOKED_AT: u32 = 12;
/// ω never gets closer to 2.
const LARGEST: f64 = 1.95;

/// ω from the contraction that plain steps show (Thibault, Chizat, Dossal and Papadakis, *Overrelaxed Sinkhorn–Knopp
/// algorithm for regularized optimal transport*, 2021): with the factor θ of one iteration the best is
/// 2/(1 + √(1 − θ)).
#[derive(Debug)]
struct Relaxing {
    omega: f64,
    seen: u32,
    last: f64,
    rate: f64,
    value: f64,
}

impl Default for Relaxing {
    fn default() -> Self {
        Self {
            omega: 1.0,
            seen: 0,
            last: f64::INFINITY,
            rate: 0.0,
            value: f64::NEG_INFINITY,
        }
    }
}

impl Relaxing {
    /// Looks at an error and chooses the next ω.
    fn look(&mut self, error: f64, value: impl FnOnce() -> f64, omega: f64) -> f64 {
        let ratio = (error / self.last).min(1.0);
        self.last = error;
        self.seen += 1;
        if omega == 1.0 {
            self.rate = if self.seen <= 3 {
                ratio
            } else {
                0.5 * (self.rate + ratio)
            };
            if self.seen >= LOOKED_AT && self.rate.is_finite() {
                self.omega = (2.0 / (1.0 + (1.0 - self.rate).max(0.0).sqrt())).min(LARGEST);
                self.value = value();
            }
            return 1.0;
        }
        // Looked at now and then: near the end a gain is below the rounding of the value.
        if self.seen.is_multiple_of(LOOKED_AT) {
            let now = value();
            if now < self.value - 1e-12 * self.value.abs() {
                self.omega = 1.0;
                self.seen = 0;
                self.rate = 0.0;
            }
            self.value = now;
        }
        self.omega
    }
}
