//! The suite on two toy solvers, and on the same solvers with one thing wrong at a time.

mod domain;
mod sinkhorn;

use std::time::{Duration, Instant};

use super::*;
use crate::backend::OptionReader;
use crate::{
    CancelToken, Capabilities, Certificate, Context, DensePlan, Outcome, Potentials, Problem,
    Progress, Solution, Termination, check_feasible,
};
use sinkhorn::{ENTROPIC, entropic};

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
