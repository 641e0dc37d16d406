//! What happens at a check: history, observer, deadline, and whether the bracket is narrow enough.

use std::time::Instant;

use solver_api::{
    Certificate, Certify, Check, Context, DensePlan, Error, ImplicitPlan, Plan, Potentials,
    Problem, Progress, Termination, certify,
};

use crate::bracket::Bracket;
use crate::instance::Instance;
use crate::rows::Passes;
use crate::settings::{PlanKind, Settings};

/// A plan of the iteration: P_ij = a_i b_j exp((f_i + g_j − C_ij)/ε) on the instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gibbs<'a> {
    pub(crate) f: &'a [f64],
    pub(crate) g: &'a [f64],
    pub(crate) eps: f64,
}

/// The circumstances of a solve, and what has been seen.
pub(crate) struct Monitor<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) instance: &'a Instance,
    pub(crate) settings: &'a Settings,
    pub(crate) context: &'a Context,
    pub(crate) started: Instant,
    pub(crate) history: Vec<Check>,
}

impl Monitor<'_> {
    /// Iterations that are left.
    pub(crate) fn left(&self, done: u64) -> u64 {
        self.settings.max_iter.saturating_sub(done)
    }

    /// Tells the observer of an iteration between two looks at the bracket, the last of which found the gap `error`.
    pub(crate) fn between(&self, iteration: u64, error: f64) -> Option<Termination> {
        self.context.check(&Progress {
            problem: self.context.problem_index,
            iteration,
            part: None,
            error,
            tol: self.settings.tol,
            certificate: None,
            elapsed: self.started.elapsed(),
        })
    }

    /// A check at the plan `own`, whose bracket has been found: why the solve ends here, if it does. Where the plan
    /// itself is to be returned, its own bracket must be as narrow as asked for.
    pub(crate) fn check(
        &mut self,
        iteration: u64,
        bracket: &Bracket,
        own: Gibbs<'_>,
    ) -> Result<Option<Termination>, Error> {
        let tol = self.settings.tol;
        let mut error = bracket.gap().max(0.0);
        if error <= tol && self.settings.plan() != PlanKind::Sparse {
            let plan = self.plan(own)?;
            let potentials = self.potentials(bracket);
            error = certify(self.problem, &plan, &potentials)
                .relative_gap(self.problem)
                .max(0.0);
        }
        if error.is_nan() {
            error = f64::INFINITY;
        }
        let elapsed = self.started.elapsed();
        if self.context.keep_history {
            self.history.push(Check {
                iteration,
                error,
                elapsed,
            });
        }
        let shown = self.context.certify == Certify::EveryCheck && self.context.is_observed();
        let told = self.context.check(&Progress {
            problem: self.context.problem_index,
            iteration,
            part: None,
            error,
            tol,
            certificate: shown.then(|| self.certificate(bracket)),
            elapsed,
        });
        Ok(if error <= tol {
            Some(Termination::Converged)
        } else {
            told
        })
    }

    /// The bracket in the caller's units.
    fn certificate(&self, bracket: &Bracket) -> Certificate {
        let mass = self.problem.mass();
        let (low, spread) = (self.instance.low, self.instance.spread);
        let lift = |value: f64| mass * (value * spread + low);
        Certificate {
            lower: lift(bracket.lower),
            upper: lift(bracket.upper),
        }
        .ordered(|| self.potentials(bracket).terms(self.problem))
    }

    /// Potentials that are feasible up to rounding, in the caller's units.
    pub(crate) fn potentials(&self, bracket: &Bracket) -> Potentials {
        self.instance
            .feasible(self.problem.shape(), &bracket.f, &bracket.g)
    }

    /// The plan `own` in the caller's units, implicit if that is asked for and its ε can be divided by.
    pub(crate) fn plan(&self, own: Gibbs<'_>) -> Result<Plan, Error> {
        let (problem, instance) = (self.problem, self.instance);
        let reg = own.eps * instance.spread;
        if self.settings.plan() == PlanKind::Implicit && reg.is_normal() && (1.0 / reg).is_finite()
        {
            let wide = instance.to_caller(problem.shape(), own.f, own.g);
            let mass = problem.mass();
            let plan = ImplicitPlan::new(
                problem.shared_cost(),
                wide.f.into(),
                wide.g.into(),
                problem.a().shared_weights(),
                problem.b().weights().iter().map(|b| b / mass).collect(),
                reg,
            )?;
            return Ok(plan.into());
        }
        self.written_out(own)
    }

    fn written_out(&self, own: Gibbs<'_>) -> Result<Plan, Error> {
        let (problem, instance) = (self.problem, self.instance);
        let (n, m) = instance.shape();
        let mut kernel = vec![0.0; n * m];
        Passes::new(instance).kernel(instance, own.f, own.g, own.eps, &mut kernel);
        let (all_n, all_m) = problem.shape();
        let mut data = vec![0.0; all_n * all_m];
        for (k, row) in kernel.chunks_exact(m.max(1)).enumerate() {
            let out = &mut data[instance.rows[k] as usize * all_m..][..all_m];
            let a = problem.mass() * instance.a[k];
            for ((x, &j), b) in row.iter().zip(&instance.cols).zip(&instance.b) {
                out[j as usize] = x * b * a;
            }
        }
        Ok(DensePlan::from_solver(all_n, all_m, data)?.into())
    }
}
