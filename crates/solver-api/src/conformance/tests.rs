//! The suite on two toy solvers, and on the same solvers with one thing wrong at a time.

mod domain;

use std::time::{Duration, Instant};

use super::*;
use crate::backend::OptionReader;
use crate::{
    CancelToken, Capabilities, Certificate, Certify, Context, DensePlan, ImplicitPlan, Marginals,
    Outcome, Plan, Potentials, Problem, Progress, Reg, Solution, Termination, certify,
    check_feasible,
};

/// What is wrong with a toy.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    WrongValue,
    WrongPlan,
    NotANumber,
    Negative,
    LyingCertificate,
    LyingConvergence,
    NotEquivariant,
    NotDeterministic,
    ForgetsMass,
    IgnoresLimit,
    IgnoresObserver,
    Panics,
    DeclaresLess,
    SkipsFeasibility,
    AcceptsAnySetting,
    StopsBatch,
    TrustsWarmStart,
    MixesIndices,
    OneStopStopsAll,
    NoBracket,
    BracketTooHigh,
    RelaxedLowerTooHigh,
    RelaxedUpperTooLow,
    IgnoresDeadline,
    IgnoresToken,
    DropsWarmStart,
    AlwaysCertifies,
    ReportsReg,
    CountsNothing,
}

/// Exact, by the suite's own oracle.
struct Exact {
    fault: Fault,
}

const EXACT: [Capability; 5] = [
    Capability::Balanced,
    Capability::Exact,
    Capability::ForbiddenPairs,
    Capability::Interruptible,
    Capability::Deterministic,
];

fn exact(fault: Fault) -> impl Fn(&Options) -> Result<Box<dyn Solver>, Error> {
    move |options| {
        let mut reader = OptionReader::new("toy-exact", options);
        reader.tol()?;
        reader.max_iter()?;
        if fault != Fault::AcceptsAnySetting {
            reader.finish()?;
        }
        Ok(Box::new(Exact { fault }))
    }
}

fn progress(context: &Context, iteration: u64, error: f64, tol: f64) -> Progress {
    Progress {
        problem: context.problem_index,
        iteration,
        part: None,
        error,
        tol,
        certificate: None,
        elapsed: Duration::ZERO,
    }
}

impl Solver for Exact {
    fn name(&self) -> &str {
        "toy-exact"
    }

    fn capabilities(&self) -> Capabilities {
        let less = if self.fault == Fault::DeclaresLess {
            2
        } else {
            5
        };
        Capabilities::of(&EXACT[..less])
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        Capabilities::of(&EXACT).require(self.name(), problem)?;
        if self.fault != Fault::SkipsFeasibility {
            check_feasible(problem)?;
        }
        let (n, m) = problem.shape();
        assert!(self.fault != Fault::Panics || n != 7, "a toy's panic");
        let Some(mut best) = oracle::optimum(problem) else {
            return Err(Error::Backend {
                solver: "toy-exact".into(),
                message: "no plan".into(),
            });
        };
        let mass = problem.mass();
        let mut termination = Termination::Optimal;
        match self.fault {
            Fault::WrongPlan if n * m > 1 => best.plan.iter_mut().for_each(|p| *p *= 1.0 + 1e-6),
            Fault::NotANumber if n == 5 => best.f[0] = f64::NAN,
            Fault::Negative if n > 1 && m > 1 => best.plan[m - 1] -= 1e-3 * mass,
            _ => {}
        }
        let entry = progress(
            context,
            1,
            if self.fault == Fault::IgnoresObserver {
                1.0
            } else {
                0.0
            },
            1e-12,
        );
        let stop = context.check(&entry);
        if self.fault != Fault::IgnoresObserver
            && let Some(why) = stop
        {
            termination = why;
        }
        let outcome = Outcome {
            plan: DensePlan::from_solver(n, m, best.plan)?.into(),
            potentials: Potentials::new(best.f, best.g),
            reg: if self.fault == Fault::ReportsReg {
                1.0
            } else {
                0.0
            },
            termination,
            iterations: Some(u64::from(self.fault != Fault::CountsNothing)),
            history: if context.keep_history {
                vec![crate::Check {
                    iteration: 1,
                    error: 0.0,
                    elapsed: Duration::ZERO,
                }]
            } else {
                Vec::new()
            },
            certificate: None,
        };
        let mut s = Solution::assemble(self.name(), problem, outcome, started, context);
        let spread = problem.cost().range().spread();
        match self.fault {
            Fault::WrongValue => s.transport_cost += 1e-7 * mass * spread,
            Fault::LyingCertificate => {
                let shift = 1e-6 * mass * spread;
                s.certificate = s.certificate.map(|c| Certificate {
                    lower: c.lower + shift,
                    upper: c.upper + shift,
                });
            }
            _ => {}
        }
        Ok(s)
    }

    fn solve_batch(
        &self,
        batch: &crate::Batch,
        context: &mut Context,
    ) -> Vec<Result<Solution, Error>> {
        let mut answers = Vec::new();
        let mut stopped = false;
        for k in 0..batch.len() {
            let index = if self.fault == Fault::MixesIndices {
                0
            } else {
                k
            };
            let mut inner = context.for_problem(index);
            if stopped && self.fault == Fault::OneStopStopsAll {
                let token = CancelToken::new();
                token.cancel();
                inner = inner.cancelled_by(&token);
            }
            let answer = batch
                .problem(k)
                .and_then(|p| self.solve_with(&p, &mut inner));
            let failed = answer.is_err();
            stopped |= answer.as_ref().is_ok_and(|s| !s.convergence.converged());
            answers.push(answer);
            if failed && self.fault == Fault::StopsBatch {
                break;
            }
        }
        answers
    }
}

/// Log-domain Sinkhorn, balanced and relaxed.
struct Entropic {
    reg: Reg,
    tol: f64,
    max_iter: u64,
    fault: Fault,
}

const ENTROPIC: [Capability; 7] = [
    Capability::Balanced,
    Capability::Relaxed,
    Capability::Entropic,
    Capability::ForbiddenPairs,
    Capability::WarmStart,
    Capability::Interruptible,
    Capability::Deterministic,
];

fn entropic(fault: Fault) -> impl Fn(&Options) -> Result<Box<dyn Solver>, Error> {
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
            let on = || (0..g.len()).filter(|&j| b[j] > 0.0 && costs(i, j).is_finite());
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

fn expect_exact() -> Expect {
    Expect::new()
        .capabilities(&EXACT)
        .max_size(20)
        .cases(24)
        .without_iteration_limit()
}

fn expect_entropic() -> Expect {
    Expect::new().capabilities(&ENTROPIC).max_size(20).cases(16)
}

#[test]
fn an_exact_solver_conforms() {
    run(exact(Fault::None), &expect_exact());
}

#[test]
fn an_entropic_solver_conforms() {
    run(entropic(Fault::None), &expect_entropic());
}

fn caught(report: &Report, fault: Fault, word: &str) {
    let said: Vec<String> = report.failures().map(|e| format!("{e:?}")).collect();
    assert!(!said.is_empty(), "{fault:?} went unnoticed:\n{report}");
    assert!(
        said.iter().any(|s| s.contains(word)),
        "{fault:?} is not called {word}: {said:#?}"
    );
}

#[test]
fn wrong_exact_solvers_are_caught() {
    for (fault, word) in [
        (Fault::WrongValue, "transport_cost"),
        (Fault::WrongPlan, "marginal error"),
        (Fault::NotANumber, "NaN"),
        (Fault::Negative, "negative"),
        (Fault::LyingCertificate, "outside of the bracket"),
        (Fault::IgnoresObserver, "asked to stop"),
        (Fault::Panics, "a toy's panic"),
        (Fault::DeclaresLess, "expected"),
        (Fault::SkipsFeasibility, "Infeasible"),
        (Fault::AcceptsAnySetting, "no-such-setting"),
        (Fault::StopsBatch, "answers to"),
        (Fault::MixesIndices, "never saw it"),
        (Fault::OneStopStopsAll, "beside one that was stopped"),
        (Fault::ReportsReg, "reports reg = 1"),
        (Fault::CountsNothing, "reports 0 iterations"),
    ] {
        caught(&check(exact(fault), &expect_exact().cases(4)), fault, word);
    }
}

#[test]
fn wrong_entropic_solvers_are_caught() {
    for (fault, word) in [
        (Fault::LyingConvergence, "marginal error"),
        (Fault::NotEquivariant, "equivariance"),
        (Fault::NotDeterministic, "determinism"),
        (Fault::ForgetsMass, "potentials say"),
        (Fault::IgnoresLimit, "iterations"),
        (Fault::NoBracket, "no bracket at this check"),
        (Fault::BracketTooHigh, "on the way"),
        (Fault::RelaxedLowerTooHigh, "a planted relaxed optimum"),
        (Fault::RelaxedUpperTooLow, "a planted relaxed optimum"),
        (Fault::TrustsWarmStart, "a useless warm start does no harm"),
        (
            Fault::IgnoresDeadline,
            "deadline in the past: solved in full",
        ),
        (
            Fault::IgnoresToken,
            "cancelled before the start: solved in full",
        ),
        (Fault::DropsWarmStart, "a warm start is looked at"),
        (Fault::AlwaysCertifies, "a certificate was computed"),
    ] {
        caught(
            &check(entropic(fault), &expect_entropic().cases(4)),
            fault,
            word,
        );
    }
}

#[test]
fn skipped_checks_are_named_with_their_reason() {
    let report = check(exact(Fault::None), &expect_exact().cases(4)).to_string();
    assert!(report.contains(
        "skipped  output: relaxed answers are what they claim (the solver lacks `relaxed`)"
    ));
    assert!(report.contains("passed   closed_forms: a planted permutation"));
}
