//! Algorithm 1 of the source, as printed:
//!
//! ```text
//! b ← 1/m,  G ← exp(−C/β),  Γ ← 11ᵀ
//! for t = 1, 2, …
//!     Q ← G ⊙ Γ
//!     L times:  a ← μ / Q b,  b ← ν / Qᵀ a
//!     Γ ← diag(a) Q diag(b)
//! ```
//!
//! Γ is never multiplied up. With φ and ψ the sums of the logarithms of all a and b so far,
//!
//! Γ_ij = exp(φ_i + ψ_j − t·C_ij/β):
//!
//! potentials, and ε = β/t. Q is evaluated from them anew in every iteration, one exponential an entry. It is evaluated
//! with the warm-started scalings inside, exp(φ + ln a + ψ + ln b − (t + 1)·C/β), whose rows then sum to about their
//! weights: that b is kept from one iteration to the next means that the potentials are extrapolated linearly in t.
//! The L scaling steps are products with Q. Where one of those leaves the range of safe numbers, the step is done in
//! the log domain instead, where nothing can; neither differs from the printed algorithm but by rounding.
//!
//! All is relative to the product of the weights (Γ_ij = μ_i ν_j exp(…)), so that tiny weights don't underflow either.

use ot_kernels::aligned::Aligned;
use ot_kernels::kernel_product::{ProductWorkspace, scale_rows};
use solver_api::{Error, Termination};

use crate::NAME;
use crate::accelerated::{Ended, off};
use crate::bracket::Bracket;
use crate::checkpoint::{Reader, Writer};
use crate::instance::Instance;
use crate::monitor::{Gibbs, Monitor};
use crate::rows::{List, Passes};

/// Products between this and its reciprocal, and scalings made of them, lose nothing.
const SAFE: f64 = 1e-140;
/// Entries of the plan above this share of the smaller weight are looked at by a check.
const KEEP: f64 = 1e-9;
/// Marginal error up to which warm potentials are any good, and the smallest ε at which they are taken up: scaling
/// steps repair bad ones there, and would not at a smaller one.
const WARM: f64 = 0.3;
const WARM_LAST: f64 = 2e-3;
/// Entries from which products are shared among threads.
const ENTRIES_TO_SHARE: usize = 1 << 17;

/// Where the iteration stands: after t iterations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalings {
    t: u64,
    /// What t began at: 0, unless warm.
    first: u64,
    /// Σ ln a and Σ ln b, relative to the weights.
    phi: Vec<f64>,
    psi: Vec<f64>,
    /// ln a and ln b of the last iteration.
    a: Vec<f64>,
    b: Vec<f64>,
}

impl Scalings {
    /// Γ = 11ᵀ and b = 1/m. Of warm potentials only those count that iterations could have led to: as many as make the
    /// ε at which the potentials are any good then count as done.
    pub(crate) fn new(instance: &Instance, beta: f64, warm: Option<Vec<f64>>) -> Self {
        let (n, m) = instance.shape();
        let mut fresh = Self {
            t: 0,
            first: 0,
            phi: instance.a.iter().map(|a| -a.ln()).collect(),
            psi: instance.log_b.iter().map(|b| -b).collect(),
            a: vec![0.0; n],
            b: vec![0.0; m],
        };
        let Some(warm) = warm else { return fresh };
        let (mut passes, mut f, mut received) = (Passes::new(instance), vec![0.0; n], vec![0.0; m]);
        let mut t = 1;
        while beta / t as f64 >= WARM_LAST {
            let eps = beta / t as f64;
            passes.soft(instance, &warm, eps, &mut f, &mut received, None);
            let off = off(&received, &instance.b);
            if off > WARM || off.is_nan() {
                break;
            }
            (fresh.t, fresh.first) = (t, t);
            let scaled = |out: &mut [f64], p: &[f64], by: f64| {
                out.iter_mut().zip(p).for_each(|(o, p)| *o = p / by);
            };
            scaled(&mut fresh.phi, &f, eps);
            scaled(&mut fresh.psi, &warm, eps);
            // Potentials that stay as they are grow by the same logarithms in every iteration.
            scaled(&mut fresh.a, &f, beta);
            scaled(&mut fresh.b, &warm, beta);
            t *= 4;
        }
        fresh
    }

    /// Iterations done.
    fn done(&self) -> u64 {
        self.t - self.first
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.count(self.t);
        to.count(self.first);
        for part in [&self.phi, &self.psi, &self.a, &self.b] {
            to.numbers(part);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>, n: usize, m: usize) -> Option<Self> {
        Some(Self {
            t: from.count()?,
            first: from.count()?,
            phi: from.numbers(n)?,
            psi: from.numbers(m)?,
            a: from.numbers(n)?,
            b: from.numbers(m)?,
        })
    }
}

/// The memory of the iteration: one more n×m array.
struct Work {
    kernel: Aligned<f64>,
    passes: Passes,
    product: ProductWorkspace,
    f: Vec<f64>,
    g: Vec<f64>,
    u: Vec<f64>,
    s: Vec<f64>,
    v: Vec<f64>,
    t: Vec<f64>,
    list: List,
}

impl Work {
    fn new(instance: &Instance, threads: usize) -> Result<Self, Error> {
        let (n, m) = instance.shape();
        let mut kernel = Aligned::default();
        kernel.reset(n * m).map_err(|_| Error::TooLarge {
            solver: NAME.to_owned(),
            what: format!("the kernel of {n}×{m} entries"),
            bytes: (n as u64 * m as u64).saturating_mul(8),
            limit: isize::MAX as u64,
        })?;
        let share = n * m >= ENTRIES_TO_SHARE;
        Ok(Self {
            kernel,
            passes: Passes::new(instance),
            product: ProductWorkspace::new(m, if share { threads } else { 1 }),
            f: vec![0.0; n],
            g: vec![0.0; m],
            u: vec![0.0; n],
            s: vec![0.0; n],
            v: vec![0.0; m],
            t: vec![0.0; m],
            list: List::default(),
        })
    }

    /// One iteration: Q, L scaling steps, Γ.
    fn step(&mut self, instance: &Instance, beta: f64, inner: u64, at: &mut Scalings) {
        let eps = beta / (at.t + 1) as f64;
        let combine = |out: &mut [f64], sum: &[f64], last: &[f64]| {
            out.iter_mut()
                .zip(sum)
                .zip(last)
                .for_each(|((o, s), l)| *o = (s + l) * eps);
        };
        combine(&mut self.f, &at.phi, &at.a);
        combine(&mut self.g, &at.psi, &at.b);
        self.passes
            .kernel(instance, &self.f, &self.g, eps, &mut self.kernel);
        // Relative to what Q holds already: v = ν·1.
        self.v.copy_from_slice(&instance.b);
        self.u.copy_from_slice(&instance.a);
        let mut done = 0;
        while done < inner {
            let (u, s, t) = (&mut self.u, &mut self.s, &mut self.t);
            let seen = scale_rows(
                &self.kernel,
                &self.v,
                &instance.a,
                1.0,
                u,
                s,
                t,
                &mut self.product,
            );
            let safe = |least: f64, largest: f64| least >= SAFE && largest <= 1.0 / SAFE;
            let column = self.t.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), &t| {
                // NaN fails the comparison below.
                (if t < l || t.is_nan() { t } else { l }, h.max(t))
            });
            if !(safe(seen.min_sum, seen.max_sum) && safe(column.0, column.1)) {
                break;
            }
            for ((v, b), t) in self.v.iter_mut().zip(&instance.b).zip(&self.t) {
                *v = b / t;
            }
            done += 1;
        }
        // ln a = what was inside of Q and ln(u/μ) = −ln(Q v).
        if done > 0 {
            at.a.iter_mut()
                .zip(&self.u)
                .zip(&instance.a)
                .for_each(|((l, u), a)| *l += (u / a).ln());
            at.b.iter_mut()
                .zip(&self.v)
                .zip(&instance.b)
                .for_each(|((l, v), b)| *l += (v / b).ln());
        }
        if done < inner {
            // The product that failed has left its mark on u, but v is that of the last good step, and all that counts.
            self.step_in_logs(instance, eps, inner - done, at);
        }
        at.phi.iter_mut().zip(&at.a).for_each(|(sum, a)| *sum += a);
        at.psi.iter_mut().zip(&at.b).for_each(|(sum, b)| *sum += b);
        at.t += 1;
    }

    /// Scaling steps in the log domain: three passes over the cost each.
    fn step_in_logs(&mut self, instance: &Instance, eps: f64, steps: u64, at: &mut Scalings) {
        for ((g, psi), b) in self.g.iter_mut().zip(&at.psi).zip(&at.b) {
            *g = (psi + b) * eps;
        }
        for _ in 0..steps {
            self.passes
                .soft(instance, &self.g, eps, &mut self.f, &mut self.t, None);
            self.passes.hard_columns(instance, &self.f, &mut self.g);
            self.passes
                .columns(instance, &self.f, &self.g, eps, &mut self.t);
            for (g, t) in self.g.iter_mut().zip(&self.t) {
                *g -= eps * t.ln();
            }
        }
        let split = |last: &mut [f64], potential: &[f64], sum: &[f64]| {
            for ((l, p), s) in last.iter_mut().zip(potential).zip(sum) {
                *l = p / eps - s;
            }
        };
        split(&mut at.a, &self.f, &at.phi);
        split(&mut at.b, &self.g, &at.psi);
    }

    /// Potentials of Γ after t ≥ 1 iterations; before the first, those of one row update at β.
    fn potentials(&mut self, beta: f64, at: &Scalings) -> f64 {
        let eps = beta / at.t.max(1) as f64;
        self.f
            .iter_mut()
            .zip(&at.phi)
            .for_each(|(f, phi)| *f = phi * eps);
        self.g
            .iter_mut()
            .zip(&at.psi)
            .for_each(|(g, psi)| *g = psi * eps);
        eps
    }
}

/// Iterates from `at` on.
pub(crate) fn run(
    at: &mut Scalings,
    beta: f64,
    bracket: &mut Bracket,
    monitor: &mut Monitor<'_>,
) -> Result<Ended, Error> {
    let (instance, settings) = (monitor.instance, monitor.settings);
    let mut work = Work::new(instance, monitor.context.threads())?;
    let mut soft = work.f.clone();
    let mut told = monitor.context.interrupted();
    loop {
        let limit = monitor.left(at.done()) == 0;
        if told.is_none() && !limit {
            work.step(instance, beta, settings.inner, at);
            told = monitor.context.interrupted();
        }
        let limit = monitor.left(at.done()) == 0;
        if told.is_none() && !limit && !at.done().is_multiple_of(settings.check_every) {
            continue;
        }
        let eps = work.potentials(beta, at);
        let list = Some((&mut work.list, KEEP));
        work.passes
            .soft(instance, &work.g, eps, &mut soft, &mut work.t, list);
        bracket.check(
            monitor.problem,
            instance,
            &mut work.passes,
            &work.list,
            (&soft, &work.g),
            off(&work.t, &instance.b),
        )?;
        if at.t == 0 {
            // Γ = 11ᵀ is no plan yet: its first row update stands in.
            work.f.copy_from_slice(&soft);
        }
        let own = Gibbs {
            f: &work.f,
            g: &work.g,
            eps,
        };
        let mut end = monitor.check(at.done(), bracket, own)?;
        if end != Some(Termination::Converged) {
            end = told
                .or(end)
                .or(limit.then_some(Termination::IterationLimit));
        }
        if let Some(termination) = end {
            return Ok(Ended {
                termination,
                iterations: at.done(),
                f: work.f,
                g: work.g,
                eps,
            });
        }
    }
}
