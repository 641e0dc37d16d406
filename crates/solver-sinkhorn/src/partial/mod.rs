//! Partial transport of a given mass S: min ⟨P, C⟩ + ε·KL(P ‖ a⊗b) over P1 ≤ a, Pᵀ1 ≤ b, 1ᵀP1 = S.
//!
//! P = a⊗b·exp((f⊕g + λ − C)/ε) with f, g ≤ 0, each 0 where its marginal keeps room. Benamou, Carlier, Cuturi, Nenna and
//! Peyré, *Iterative Bregman projections for regularized transportation problems* (2015), section 5, project on the three
//! conditions in turn; here the mass goes together with the targets (`multiplier.rs`), which takes fewer iterations and
//! needs no memory of corrections.
//!
//! Masses are over S inside. A reference a⊗b that is S times as heavy shifts λ by −ε·log S, and nothing else.

mod iterate;
mod multiplier;

use std::sync::Arc;
use std::time::Instant;

use solver_api::{
    Certify, Context, Error, ImplicitPlan, Outcome, Plan, Potentials, Problem, Solution, Solver,
    Termination, certify, check_feasible,
};

use self::iterate::Scalings;
use crate::iterate::{Ended, lightest};
use crate::kernel::{Kernel, Rows, Stored, Support};
use crate::solve::{ENTRIES_TO_SHARE, Workspace, resolve_reg};
use crate::{NAME, Sinkhorn};

/// The masses over what moves, where their product with a kernel entry is still a number.
const LARGEST_SHARE: f64 = 1e250;

/// Masses that differ by less are the same.
const SAME: f64 = 1e-12;

/// Whether all of both masses is to be moved: the problem is a balanced one.
pub(crate) fn moves_all(problem: &Problem, mass: f64) -> bool {
    problem.a().mass().max(problem.b().mass()) <= mass * (1.0 + SAME)
}

impl Sinkhorn {
    /// A partial problem that moves everything, as the balanced one that it is: no multiplier has to be found.
    pub(crate) fn solve_all<T: Stored>(
        &self,
        problem: &Problem,
        mass: f64,
        context: &Context,
        threads: usize,
        work: &mut Workspace<T>,
    ) -> Result<Solution, Error> {
        let started = Instant::now();
        let reg = resolve_reg(&self.settings, problem)?;
        let mut within = context.clone();
        if context.certify == Certify::AtEnd {
            // The one of the partial problem follows.
            within.certify = Certify::Off;
        }
        if let Some(warm) = &context.warm_start {
            warm.check(problem.shape().0, problem.shape().1)?;
            let f = warm.f.iter().map(|f| f + warm.lambda).collect();
            within.warm_start = Some(Arc::new(Potentials::new(f, warm.g.clone())));
        }
        let balanced = problem.clone().balanced()?;
        let solution = self.solve_one(&balanced, &within, threads, work)?;
        // No weight keeps room: f and g end at 0, and λ takes the rest. The reference is in the caller's units here.
        let top = |p: &[f64], w: &[f64]| {
            let weighed = p.iter().zip(w).filter(|(_, w)| **w > 0.0);
            weighed.fold(f64::NEG_INFINITY, |t, (p, _)| t.max(*p))
        };
        let Potentials { f, g, .. } = &solution.potentials;
        let (high_f, high_g) = (top(f, problem.a().weights()), top(g, problem.b().weights()));
        let below = |p: &[f64], top: f64| p.iter().map(|p| (p - top).min(0.0)).collect();
        let outcome = Outcome {
            plan: solution.plan,
            potentials: Potentials {
                lambda: high_f + high_g - reg * mass.ln(),
                ..Potentials::new(below(f, high_f), below(g, high_g))
            },
            reg,
            termination: solution.convergence.termination,
            iterations: solution.convergence.iterations,
            history: solution.convergence.history,
            certificate: None,
        };
        Ok(Solution::assemble(NAME, problem, outcome, started, context))
    }

    /// A partial problem that moves `mass`, on `threads` threads of the current pool.
    pub(crate) fn solve_partial<T: Stored>(
        &self,
        problem: &Problem,
        mass: f64,
        context: &Context,
        threads: usize,
        work: &mut Workspace<T>,
    ) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(NAME, problem)?;
        check_feasible(problem)?;
        let reg = resolve_reg(&self.settings, problem)?;
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let Workspace {
            support, kernel, ..
        } = work;
        support.select(problem.shape(), |i| a[i] > 0.0, |j| b[j] > 0.0);
        kernel.build(problem.cost(), support, reg, Rows::Aligned)?;
        let (n, m) = support.shape();
        let share = n.saturating_mul(m) >= ENTRIES_TO_SHARE;
        if problem.a().mass().max(problem.b().mass()) / mass > LARGEST_SHARE {
            let rule = "must be 1e-250 of the larger mass or more for this backend";
            return Err(Error::setting("mass", mass, rule));
        }
        let over_mass = |w: &[f64], kept: &[u32]| -> Vec<f64> {
            kept.iter().map(|&k| w[k as usize] / mass).collect()
        };
        let mut columns = over_mass(b, &support.cols);
        columns.resize(kernel.width, 0.0);
        let rows = over_mass(a, &support.rows);
        let mut scalings = Scalings::new(rows, columns, kernel, if share { threads } else { 1 });
        if let Some(warm) = &context.warm_start {
            warm.check(problem.shape().0, problem.shape().1)?;
            warm_start(warm, mass, support, kernel, &mut scalings);
        }
        let limits = self.limits_or_refusal(problem, support, kernel, kernel.noise())?;
        let watched = context.certify == Certify::EveryCheck && context.is_observed();
        let ended = scalings.iterate(kernel, limits, context, started, |scalings, progress| {
            if watched {
                let parts = implied(problem, mass, support, kernel, scalings);
                progress.certificate = parts.ok().map(|(p, f)| certify(problem, &p, &f));
            }
        });
        let ended: Ended = ended.map_err(|out| {
            kernel.refusal(problem.cost(), support, lightest(problem), out.reason)
        })?;
        let (plan, potentials) = implied(problem, mass, support, kernel, &scalings)?;
        let outcome = Outcome {
            plan,
            potentials,
            reg,
            termination: ended.termination,
            iterations: Some(ended.iterations),
            history: ended.history,
            certificate: None,
        };
        let mut solution = Solution::assemble(NAME, problem, outcome, started, context);
        let seen = &mut solution.convergence;
        let error = seen.source_error.max(seen.target_error);
        if seen.converged() && error > limits.tol {
            seen.termination = Termination::Stalled;
        }
        Ok(solution)
    }
}

/// v and w from potentials.
fn warm_start<T: Stored>(
    warm: &Potentials,
    mass: f64,
    support: &Support,
    kernel: &Kernel<T>,
    scalings: &mut Scalings,
) {
    for (k, &j) in support.cols.iter().enumerate() {
        let g = warm.g[j as usize].min(0.0);
        if g.is_finite() {
            let share = scalings.part * scalings.b[k];
            scalings.v[k] = share * ((g - kernel.c[k]) / kernel.reg).exp();
        }
    }
    let log_w = (warm.lambda - scalings.low) / kernel.reg + mass.ln() - scalings.part.ln();
    let (least, most) = (scalings.log_w - 300.0, scalings.log_w + 300.0);
    if log_w.is_finite() {
        scalings.log_w = log_w.clamp(least, most);
    }
}

/// The plan and the potentials of the scalings.
fn implied<T: Stored>(
    problem: &Problem,
    mass: f64,
    support: &Support,
    kernel: &Kernel<T>,
    scalings: &Scalings,
) -> Result<(Plan, Potentials), Error> {
    let (n, m) = problem.shape();
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    // Without the factor that v carries, and with it.
    let stored = scalings.low + kernel.reg * scalings.log_w;
    let lambda = stored + kernel.reg * scalings.part.ln();
    for (k, &i) in support.rows.iter().enumerate() {
        // 0 at the cap; a row that nothing reaches has s = 0.
        if scalings.u[k] < scalings.cap_a[k] {
            let sum = kernel.r[k] - kernel.reg * scalings.s[k].ln();
            f[i as usize] = (sum - stored).min(0.0);
        }
    }
    for (k, &j) in support.cols.iter().enumerate() {
        if scalings.v[k] < scalings.cap_b[k] {
            let log = (scalings.v[k] / (scalings.part * scalings.b[k])).ln();
            g[j as usize] = (kernel.c[k] + kernel.reg * log).min(0.0);
        }
    }
    let raised: Arc<[f64]> = f.iter().map(|f| f + lambda).collect();
    let over_mass: Arc<[f64]> = problem.b().weights().iter().map(|b| b / mass).collect();
    let plan = ImplicitPlan::new(
        problem.shared_cost(),
        raised,
        g.as_slice().into(),
        problem.a().shared_weights(),
        over_mass,
        kernel.reg,
    )?;
    let potentials = Potentials {
        lambda: lambda - kernel.reg * mass.ln(),
        ..Potentials::new(f, g)
    };
    Ok((plan.into(), potentials))
}
