//! From a problem to a solution.

use std::sync::Arc;
use std::time::Instant;

use solver_api::{
    Batch, Capabilities, Capability, Certify, Context, Error, ImplicitPlan, Marginals, Measured,
    Outcome, Plan, Potentials, Precision, Problem, Solution, Solver, Termination, certify,
    check_feasible,
};

use crate::NAME;
use crate::grid::grid_of;
use crate::iterate::{Ended, Limits, Sofar, Vectors, iterate, lightest};
use crate::kernel::{Kernel, Rows, Stored, Support};
use crate::partial::moves_all;
use crate::relaxed::Pair;
use crate::settings::Settings;

/// Entries of the kernel from which an iteration is shared among threads: below, waking them costs more.
pub(crate) const ENTRIES_TO_SHARE: usize = 1 << 17;

/// Kernel-domain Sinkhorn. See the [crate](crate) for when to choose it.
///
/// Time O(n·m) an iteration; memory O(n + m) and 12·n·m bytes: 8 for the kernel and 4 for its copy in f32, which is
/// made when it pays. 8·n·m with products in f64, 4·n·m with an f32 kernel.
#[derive(Debug, Clone, Default)]
pub struct Sinkhorn {
    pub(crate) settings: Settings,
}

/// Everything a solve needs room for; one problem after another can use it.
#[derive(Debug, Default)]
pub(crate) struct Workspace<T> {
    pub(crate) support: Support,
    pub(crate) kernel: Kernel<T>,
    pub(crate) vectors: Vectors,
    pub(crate) pair: Pair,
}

/// A refusal names `sinkhorn-stabilized`, which does not move a given mass.
fn only_here(error: Error) -> Error {
    match error {
        Error::KernelUnderflow {
            reg,
            safe_reg,
            reason,
            ..
        } => {
            let rule = format!(
                "is too small to move a given mass by `{NAME}`: {reason}; {safe_reg:e} or more surely works, and an exact \
                 backend needs none"
            );
            Error::setting("reg", reg, rule)
        }
        other => other,
    }
}

/// Whether the balanced iteration gave up where that of partial problems, which finds a multiplier too, may go on.
fn is_lost(solution: &Result<Solution, Error>) -> bool {
    match solution {
        Ok(solution) => matches!(
            solution.convergence.termination,
            Termination::Stalled | Termination::NumericalFailure
        ),
        Err(error) => matches!(error, Error::KernelUnderflow { .. }),
    }
}

impl Sinkhorn {
    /// A solver with checked settings.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { settings })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Solves one problem on `threads` threads of the current pool.
    pub(crate) fn solve_one<T: Stored>(
        &self,
        problem: &Problem,
        context: &Context,
        threads: usize,
        work: &mut Workspace<T>,
    ) -> Result<Solution, Error> {
        match problem.marginals() {
            Marginals::Relaxed { gamma_a, gamma_b } => {
                return self.solve_relaxed(problem, (gamma_a, gamma_b), context, threads, work);
            }
            Marginals::Partial { mass } => {
                if moves_all(problem, mass) {
                    let solution = self.solve_all(problem, mass, context, threads, work);
                    if !is_lost(&solution) {
                        return solution.map_err(only_here);
                    }
                }
                let solution = self.solve_partial(problem, mass, context, threads, work);
                return solution.map_err(only_here);
            }
            _ => {}
        }
        if let Some(grid) = grid_of(problem) {
            return self.solve_on_grid(problem, grid, context, threads);
        }
        let started = Instant::now();
        self.capabilities().require(NAME, problem)?;
        check_feasible(problem)?;
        let reg = resolve_reg(&self.settings, problem)?;
        let (a, b, mass) = (problem.a().weights(), problem.b().weights(), problem.mass());
        let Workspace {
            support,
            kernel,
            vectors,
            ..
        } = work;
        support.select(problem.shape(), |i| a[i] > 0.0, |j| b[j] > 0.0);
        kernel.build(problem.cost(), support, reg, Rows::Aligned)?;
        let (n, m) = support.shape();
        let share = n.saturating_mul(m) >= ENTRIES_TO_SHARE;
        vectors.start(
            support.rows.iter().map(|&i| a[i as usize] / mass),
            // Columns that only fill up the rows have no weight, and take no part.
            (support.cols.iter().map(|&j| b[j as usize] / mass))
                .chain(std::iter::repeat_n(0.0, kernel.width - m)),
            if share { threads } else { 1 },
        );
        *kernel = std::mem::take(kernel).check_reach(
            problem.cost(),
            support,
            &vectors.a,
            &vectors.b[..m],
        )?;
        if let Some(warm) = &context.warm_start {
            warm_start(warm, problem, support, kernel, 1.0, &mut vectors.t)?;
        }
        let sofar = Sofar::default();
        self.run(problem, context, started, sofar, support, kernel, vectors)
    }

    /// Iterates from where `vectors` stand to the solution.
    pub(crate) fn run<T: Stored>(
        &self,
        problem: &Problem,
        context: &Context,
        started: Instant,
        sofar: Sofar,
        support: &Support,
        kernel: &Kernel<T>,
        vectors: &mut Vectors,
    ) -> Result<Solution, Error> {
        let limits = self.limits_or_refusal(problem, support, kernel, kernel.noise())?;
        let watched = context.certify == Certify::EveryCheck && context.is_observed();
        let ended = iterate(
            kernel,
            vectors,
            limits,
            sofar,
            context,
            started,
            |vectors, progress| {
                if watched {
                    let parts = implied(problem, support, kernel, &vectors.s, &vectors.t);
                    progress.certificate = parts
                        .ok()
                        .map(|(plan, potentials)| certify(problem, &plan, &potentials));
                }
            },
        );
        let mut measured = None;
        let ended = match ended {
            Ok(ended) => {
                measured = measure(problem, support, kernel, vectors);
                ended
            }
            Err(out) => {
                let refusal =
                    kernel.refusal(problem.cost(), support, lightest(problem), out.reason);
                if !matches!(refusal, Error::KernelUnderflow { safe_reg, .. } if safe_reg <= kernel.reg)
                {
                    return Err(refusal);
                }
                // No larger reg would help: masses of blocks that differ by less than rounding drift apart.
                vectors.repair();
                Ended {
                    termination: Termination::NumericalFailure,
                    iterations: out.iterations,
                    history: Vec::new(),
                }
            }
        };
        let (s, t) = (&vectors.s, &vectors.t);
        self.finish(
            problem, context, started, ended, support, kernel, s, t, measured,
        )
    }

    /// The solution of the pair (s, t), whose plan has the last word on whether it converged: measured already, or
    /// by a pass over it.
    pub(crate) fn finish<T: Stored>(
        &self,
        problem: &Problem,
        context: &Context,
        started: Instant,
        ended: Ended,
        support: &Support,
        kernel: &Kernel<T>,
        s: &[f64],
        t: &[f64],
        measured: Option<Measured>,
    ) -> Result<Solution, Error> {
        let (plan, potentials) = implied(problem, support, kernel, s, t)?;
        let outcome = Outcome {
            plan,
            potentials,
            reg: kernel.reg,
            termination: ended.termination,
            iterations: Some(ended.iterations),
            history: ended.history,
            certificate: None,
        };
        let solution = match measured {
            Some(measured) => {
                Solution::assemble_measured(NAME, problem, outcome, measured, started, context)
            }
            None => Solution::assemble(NAME, problem, outcome, started, context),
        };
        self.confirm(solution, problem, support, kernel)
    }

    /// [`Self::limits`], or why they can't be kept: `noise` is how much of the true error the measured one may miss.
    pub(crate) fn limits_or_refusal<T: Stored>(
        &self,
        problem: &Problem,
        support: &Support,
        kernel: &Kernel<T>,
        noise: f64,
    ) -> Result<Limits, Error> {
        self.limits(noise).map_err(|too_narrow| {
            // Where a regularization that surely works would reach the tolerance, it is this one that is to blame; and
            // so it is where nobody asked for a tolerance.
            let reason = "rounding in exponents this large moves the marginals".to_owned();
            let (tol, reg) = (self.settings.tol(), kernel.reg);
            let reached = |safe_reg: f64| 2.0 * noise * reg < tol * safe_reg;
            match kernel.refusal(problem.cost(), support, lightest(problem), reason.clone()) {
                refusal @ Error::KernelUnderflow { safe_reg, .. } if reached(safe_reg) => refusal,
                _ if self.settings.tol.is_none() => Error::KernelUnderflow {
                    solver: NAME.to_owned(),
                    reg,
                    // Half of the tolerance is for what does not change with it.
                    safe_reg: 4.0 * noise / tol * reg,
                    reason,
                },
                _ => too_narrow,
            }
        })
    }

    /// Where to stop, given how much of the true error the measured one may miss.
    pub(crate) fn limits(&self, noise: f64) -> Result<Limits, Error> {
        let reachable = 2.0 * noise;
        let tol = self.settings.tol_beside(reachable);
        if tol < reachable {
            return Err(Error::UnreachableTolerance {
                solver: NAME.to_owned(),
                tol,
                reachable,
            });
        }
        Ok(Limits {
            tol,
            stop: tol - noise,
            max_iter: self.settings.max_iter,
            check_every: self.settings.check_every,
            narrow: self.settings.products == Precision::F32,
        })
    }

    /// What the solution measured on its plan has the last word on whether it converged.
    pub(crate) fn confirm<T: Stored>(
        &self,
        mut solution: Solution,
        problem: &Problem,
        support: &Support,
        kernel: &Kernel<T>,
    ) -> Result<Solution, Error> {
        let seen = &mut solution.convergence;
        let error = seen.source_error.max(seen.target_error);
        let within = error <= self.settings.tol_beside(2.0 * kernel.noise());
        // Two marginals of one mass are never farther apart than twice that: a plan that is has lost its entries.
        let is_absurd = error > 3.0 || error.is_nan();
        if !within && kernel.lost > 0 && (seen.converged() || is_absurd) {
            let reason = format!(
                "{} kernel entries underflow, which leaves the plan with a marginal error of {error:e}",
                kernel.lost
            );
            return Err(kernel.refusal(problem.cost(), support, lightest(problem), reason));
        }
        if !within && seen.converged() {
            seen.termination = Termination::Stalled;
        }
        Ok(solution)
    }
}

/// ε in cost units, or why it can't be taken.
pub(crate) fn resolve_reg(settings: &Settings, problem: &Problem) -> Result<f64, Error> {
    settings.reg.resolve_in_range(problem)
}

/// t = exp(−(g·stretch − c)/ε) from potentials, up to a factor, and kept in the middle of the range. `stretch` is 1 for
/// hard targets and 1 + ε/γb for soft ones, whose potential is so much less than the soft minimum.
pub(crate) fn warm_start<T: Stored>(
    warm: &Potentials,
    problem: &Problem,
    support: &Support,
    kernel: &Kernel<T>,
    stretch: f64,
    t: &mut [f64],
) -> Result<(), Error> {
    let (n, m) = problem.shape();
    warm.check(n, m)?;
    let exponent = |(k, &j): (usize, &u32)| {
        let x = (kernel.c[k] - stretch * warm.g[j as usize]) / kernel.reg;
        if x.is_finite() { x } else { 0.0 }
    };
    let exponents = || support.cols.iter().enumerate().map(exponent);
    let low = exponents().fold(f64::INFINITY, f64::min);
    let high = exponents().fold(f64::NEG_INFINITY, f64::max);
    let middle = 0.5 * low + 0.5 * high;
    for (t, x) in t.iter_mut().zip(exponents()) {
        *t = (x - middle).clamp(-300.0, 300.0).exp();
    }
    Ok(())
}

/// Marginals and cost of the plan, from the last iteration and one pass over kernel and cost: no exponentials.
/// Nothing with an f32 kernel, nor where a number that the kernel lacks might count.
fn measure<T: Stored>(
    problem: &Problem,
    support: &Support,
    kernel: &Kernel<T>,
    vectors: &Vectors,
) -> Option<Measured> {
    let (u, v) = (&vectors.u, &vectors.v);
    if kernel.may_miss(u.iter().sum(), v.iter().sum()) {
        return None;
    }
    let paid = kernel.price(problem.cost(), support, u, v)?;
    if !paid.is_finite() {
        return None;
    }
    let ((n, m), mass) = (problem.shape(), problem.mass());
    let (mut sent, mut received) = (vec![0.0; n], vec![0.0; m]);
    for ((&i, u), s) in support.rows.iter().zip(u).zip(&vectors.s) {
        sent[i as usize] = mass * (u * s);
    }
    for ((&j, v), t) in support.cols.iter().zip(v).zip(&vectors.next_t) {
        received[j as usize] = mass * (v * t);
    }
    Some(Measured {
        sent,
        received,
        transport_cost: mass * paid,
    })
}

/// The plan and the potentials of the pair (s, t): f = r − ε log s, g = c − ε log t.
pub(crate) fn implied<T: Stored>(
    problem: &Problem,
    support: &Support,
    kernel: &Kernel<T>,
    s: &[f64],
    t: &[f64],
) -> Result<(Plan, Potentials), Error> {
    let (n, m) = problem.shape();
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    // The support of a batch has entries that are zero in one problem and not in another.
    for (k, &i) in support.rows.iter().enumerate() {
        if a[i as usize] > 0.0 {
            f[i as usize] = kernel.r[k] - kernel.reg * s[k].ln();
        }
    }
    for (k, &j) in support.cols.iter().enumerate() {
        if b[j as usize] > 0.0 {
            g[j as usize] = kernel.c[k] - kernel.reg * t[k].ln();
        }
    }
    let mass = problem.mass();
    let s: Arc<[f64]> = b.iter().map(|b| b / mass).collect();
    let plan = ImplicitPlan::new(
        problem.shared_cost(),
        f.as_slice().into(),
        g.as_slice().into(),
        problem.a().shared_weights(),
        s,
        kernel.reg,
    )?;
    Ok((plan.into(), Potentials::new(f, g)))
}

impl Solver for Sinkhorn {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Balanced,
            Capability::Relaxed,
            Capability::Partial,
            Capability::Entropic,
            Capability::ForbiddenPairs,
            Capability::GridCost,
            Capability::WarmStart,
            Capability::Batch,
            Capability::Interruptible,
            Capability::Deterministic,
        ])
    }

    fn solve_batch(&self, batch: &Batch, context: &mut Context) -> Vec<Result<Solution, Error>> {
        let context = &*context;
        let plain = self.settings.reference.is_marginals();
        context.install(|| match (self.settings.precision, plain) {
            (Precision::F64, true) => self.solve_many::<f64>(batch, context),
            (Precision::F32, true) => self.solve_many::<f32>(batch, context),
            (Precision::F64, false) => self.solve_many_with_reference::<f64>(batch, context),
            (Precision::F32, false) => self.solve_many_with_reference::<f32>(batch, context),
        })
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let context = &*context;
        let threads = context.threads();
        context.install(|| match self.settings.precision {
            Precision::F64 => self.solve_with_reference::<f64>(problem, context, threads),
            Precision::F32 => self.solve_with_reference::<f32>(problem, context, threads),
        })
    }
}
