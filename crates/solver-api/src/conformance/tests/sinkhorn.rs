//! The entropic toy.

use super::*;
use crate::{Certify, ImplicitPlan, Marginals, Plan, Reg, certify};

/// Log-domain Sinkhorn, balanced and relaxed.
struct Entropic {
    reg: Reg,
    tol: f64,
    max_iter: u64,
    fault: Fault,
}

pub(super) const ENTROPIC: [Capability; 7] = [
    Capability::Balanced,
    Capability::Relaxed,
    Capability::Entropic,
    Capability::ForbiddenPairs,
    Capability::WarmStart,
    Capability::Interruptible,
    Capability::Deterministic,
];

pub(super) fn entropic(fault: Fault) -> impl Fn(&Options) -> Result<Box<dyn Solver>, Error> {
    move |options| {
        let mut reader = OptionReader::new("toy-sinkhorn", options);
        let solver = Entropic {
            reg: reader.reg()?.unwrap_or_default(),
            tol: reader.tol()?.unwrap_or(1e-9),
            max_iter: reader.max_iter()?.unwrap_or(5_000),
            fault,
        };
        reader.finish()?;
        Ok(Box::new(solver))
    }
}

/// One soft c-transform, damped by γ: f_i = −w ε log Σ_j b_j exp((g_j − C_ij)/ε) with w = γ/(γ + ε).
fn sweep(
    costs: &dyn Fn(usize, usize) -> f64,
    g: &[f64],
    b: &[f64],
    n: usize,
    reg: f64,
    gamma: f64,
) -> Vec<f64> {
    let damping = if gamma.is_finite() {
        gamma / (gamma + reg)
    } else {
        1.0
    };
    (0..n)
        .map(|i| {
            let on = || (0..g.len()).filter(|&j| b[j] > 0.0 && costs(i, j) < f64::INFINITY);
            let top = on()
                .map(|j| g[j] - costs(i, j))
                .fold(f64::NEG_INFINITY, f64::max);
            if top == f64::NEG_INFINITY {
                return f64::INFINITY;
            }
            let sum: f64 = on()
                .map(|j| b[j] * ((g[j] - costs(i, j) - top) / reg).exp())
                .sum();
            -damping * (top + reg * sum.ln())
        })
        .collect()
}

impl Solver for Entropic {
    fn name(&self) -> &str {
        "toy-sinkhorn"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&ENTROPIC)
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(self.name(), problem)?;
        check_feasible(problem)?;
        let mut spoilt = context.clone();
        match self.fault {
            Fault::IgnoresDeadline => spoilt = spoilt.time_limit(Duration::MAX),
            Fault::IgnoresToken => spoilt = spoilt.cancelled_by(&CancelToken::new()),
            Fault::DropsWarmStart => spoilt.warm_start = None,
            Fault::AlwaysCertifies if spoilt.certify == Certify::Off => {
                spoilt.certify = Certify::AtEnd;
            }
            _ => {}
        }
        let context = &spoilt;
        let (n, m) = problem.shape();
        let costs = oracle::matrix(problem);
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let (balanced, ga, gb) = match problem.marginals() {
            Marginals::Relaxed { gamma_a, gamma_b } => (false, gamma_a, gamma_b),
            _ => (true, f64::INFINITY, f64::INFINITY),
        };
        let mut reg = self.reg.resolve(problem);
        if self.fault == Fault::NotEquivariant {
            reg += 1e-4;
        }
        let unit = if balanced && self.fault != Fault::ForgetsMass {
            problem.mass()
        } else {
            1.0
        };
        let scaled = |w: &[f64]| w.iter().map(|w| w / unit).collect::<Vec<_>>();
        let (wa, wb) = (scaled(a), scaled(b));
        let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
        if let Some(warm) = &context.warm_start {
            warm.check(n, m)?;
            g.clone_from(&warm.g);
            // Far beyond the costs, potentials have no digit left for them.
            let most = 1e3 * problem.cost().range().max_abs();
            let trusted = |g: f64| self.fault == Fault::TrustsWarmStart || g.abs() <= most;
            g.iter_mut()
                .filter(|g| !(g.is_finite() && trusted(**g)))
                .for_each(|g| *g = 0.0);
        }
        let plan_of = |f: &[f64], g: &[f64]| {
            let s = b.iter().map(|b| b / unit).collect::<Vec<_>>();
            ImplicitPlan::new(
                problem.shared_cost(),
                f.into(),
                g.into(),
                a.into(),
                s.into(),
                reg,
            )
            .map(Plan::from)
        };
        let error_of = |plan: &Plan, f: &[f64], g: &[f64]| {
            let (rows, cols) = plan.marginals();
            let wanted = |w: f64, p: f64, gamma: f64| {
                if gamma.is_finite() {
                    w * (-p / gamma).exp()
                } else {
                    w
                }
            };
            let off_a: f64 = (0..n)
                .map(|i| (rows[i] - wanted(a[i], f[i], ga)).abs())
                .sum();
            let off_b: f64 = (0..m)
                .map(|j| (cols[j] - wanted(b[j], g[j], gb)).abs())
                .sum();
            off_a.max(off_b) / problem.mass()
        };
        let (mut termination, mut iterations, mut history) =
            (Termination::IterationLimit, 0, Vec::new());
        let limit = if self.fault == Fault::IgnoresLimit {
            5_000
        } else {
            self.max_iter
        };
        while iterations < limit {
            f = sweep(&|i, j| costs[i * m + j], &g, &wb, n, reg, ga);
            g = sweep(&|j, i| costs[i * m + j], &f, &wa, m, reg, gb);
            iterations += 1;
            let error = error_of(&plan_of(&f, &g)?, &f, &g);
            if context.keep_history {
                history.push(crate::Check {
                    iteration: iterations,
                    error,
                    elapsed: started.elapsed(),
                });
            }
            let mut here = progress(context, iterations, error, self.tol);
            if context.certify == Certify::EveryCheck && self.fault != Fault::NoBracket {
                let potentials = Potentials::new(f.clone(), g.clone());
                let mut bracket = certify(problem, &plan_of(&f, &g)?, &potentials);
                if self.fault == Fault::BracketTooHigh {
                    bracket.lower = bracket.upper;
                }
                here.certificate = Some(bracket);
            }
            if let Some(why) = context.check(&here) {
                termination = if error <= self.tol {
                    Termination::Converged
                } else {
                    why
                };
                break;
            }
            let early = self.fault == Fault::LyingConvergence && error < 1e-3;
            if error <= 0.5 * self.tol || early {
                termination = Termination::Converged;
                break;
            }
        }
        if self.fault == Fault::NotDeterministic {
            use std::sync::atomic::{AtomicU64, Ordering};
            static CALLS: AtomicU64 = AtomicU64::new(0);
            f[0] += 1e-15 * (CALLS.fetch_add(1, Ordering::Relaxed) % 7) as f64;
        }
        let outcome = Outcome {
            plan: plan_of(&f, &g)?,
            potentials: Potentials::new(f, g),
            reg,
            termination,
            iterations: Some(iterations),
            history,
            certificate: None,
        };
        let mut s = Solution::assemble(self.name(), problem, outcome, started, context);
        // Both pass where one side has a single point, and for the plans that the suite prices anyway.
        if let Some(bracket) = s.certificate.as_mut().filter(|_| !balanced && n.min(m) > 1) {
            match self.fault {
                Fault::RelaxedLowerTooHigh => bracket.lower = bracket.upper,
                Fault::RelaxedUpperTooLow => bracket.upper = bracket.lower,
                _ => {}
            }
        }
        Ok(s)
    }
}
