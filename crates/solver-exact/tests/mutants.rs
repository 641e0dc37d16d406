//! The conformance suite sees through a solver that does not do what it declares: a wrapper around the network simplex
//! with one thing wrong at a time, each caught by the check that is meant for it.
#![cfg(feature = "network-simplex")]

use std::time::Duration;

use solver_api::conformance::{Expect, Report, Status, check};
use solver_api::{
    Batch, CancelToken, Capabilities, Capability, Certify, Context, Error, Factory, Marginals,
    Problem, Solution, Solver,
};
use solver_exact::NetworkSimplexFactory;

/// What is wrong with the wrapper.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    IgnoresDeadline,
    IgnoresToken,
    DropsWarmStart,
    AlwaysCertifies,
    ReportsReg,
    CountsNothing,
    ForgetsHistory,
    MovesLess,
    LosesMultiplier,
    RaisesPotentials,
    TradesMultiplier,
    KeepsBack,
}

struct Wrapper {
    inner: Box<dyn Solver>,
    fault: Fault,
}

impl Wrapper {
    fn context(&self, context: &Context) -> Context {
        let mut context = context.clone();
        match self.fault {
            Fault::IgnoresDeadline => context = context.time_limit(Duration::MAX),
            Fault::IgnoresToken => context = context.cancelled_by(&CancelToken::new()),
            Fault::DropsWarmStart => context.warm_start = None,
            Fault::AlwaysCertifies => context.certify = Certify::AtEnd,
            Fault::ForgetsHistory => context.keep_history = false,
            _ => {}
        }
        context
    }

    /// The problem that is solved in place of the one that was asked.
    fn mistaken(&self, problem: &Problem) -> Result<Problem, Error> {
        match (self.fault, problem.marginals()) {
            (Fault::MovesLess, Marginals::Partial { mass }) => Problem::partial(
                problem.a().clone(),
                problem.b().clone(),
                problem.shared_cost(),
                0.999 * mass,
            ),
            // Takes what one pair less could not.
            (Fault::KeepsBack, Marginals::Partial { mass }) if mass > 4.0 => Problem::partial(
                problem.a().clone(),
                problem.b().clone(),
                problem.shared_cost(),
                4.0,
            ),
            _ => Ok(problem.clone()),
        }
    }

    fn spoil(&self, mut solution: Solution) -> Solution {
        match self.fault {
            Fault::ReportsReg => solution.reg = 1.0,
            Fault::CountsNothing => solution.convergence.iterations = Some(0),
            Fault::LosesMultiplier => solution.potentials.lambda = 0.0,
            Fault::RaisesPotentials => {
                solution.potentials.f.iter_mut().for_each(|f| *f += 0.1);
                solution.potentials.lambda -= 0.1;
            }
            Fault::TradesMultiplier => {
                solution.potentials.f.iter_mut().for_each(|f| *f -= 0.1);
                solution.potentials.lambda += 0.1;
            }
            _ => {}
        }
        solution
    }
}

impl Solver for Wrapper {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let problem = &self.mistaken(problem)?;
        let answer = self.inner.solve_with(problem, &mut self.context(context));
        answer.map(|s| self.spoil(s))
    }

    /// Nothing is wrong with batches: single solves must give the fault away.
    fn solve_batch(&self, batch: &Batch, context: &mut Context) -> Vec<Result<Solution, Error>> {
        self.inner.solve_batch(batch, context)
    }
}

fn report(fault: Fault) -> Report {
    let expect = Expect::new().cases(8).capabilities(&[
        Capability::Balanced,
        Capability::Partial,
        Capability::Exact,
        Capability::ForbiddenPairs,
        Capability::WarmStart,
        Capability::Interruptible,
        Capability::Deterministic,
    ]);
    let build = |options: &_| -> Result<Box<dyn Solver>, Error> {
        let inner = NetworkSimplexFactory.build(options)?;
        Ok(Box::new(Wrapper { inner, fault }))
    };
    check(build, &expect)
}

#[test]
fn the_honest_wrapper_conforms() {
    let report = report(Fault::None);
    assert!(report.failures().next().is_none(), "{report}");
}

#[test]
fn each_fault_is_caught_by_its_check() {
    for (fault, check, word) in [
        (
            Fault::IgnoresDeadline,
            "a deadline in the past stops the solve",
            "solved in full",
        ),
        (
            Fault::IgnoresToken,
            "a cancelled token stops the solve",
            "solved in full",
        ),
        (
            Fault::DropsWarmStart,
            "a warm start is looked at",
            "as many iterations",
        ),
        (
            Fault::AlwaysCertifies,
            "the certificate can be switched off",
            "all the same",
        ),
        (
            Fault::ReportsReg,
            "balanced answers are what they claim",
            "reg = 1",
        ),
        (
            Fault::CountsNothing,
            "an observer sees the checks and can stop",
            "reports 0 iterations",
        ),
        (
            Fault::CountsNothing,
            "a limit of one iteration is kept and reported",
            "counts no iteration",
        ),
        (
            Fault::MovesLess,
            "any share of any masses moves",
            "source_error",
        ),
        (
            Fault::LosesMultiplier,
            "λ is the slope of the value",
            "no slope",
        ),
        (
            Fault::RaisesPotentials,
            "potentials are at most 0, and 0 where room is kept",
            "is above 0",
        ),
        (
            Fault::TradesMultiplier,
            "potentials are at most 0, and 0 where room is kept",
            "room is kept",
        ),
        (
            Fault::KeepsBack,
            "forbidden pairs bound what can move",
            "an answer",
        ),
        (
            Fault::ForgetsHistory,
            "an observer sees the checks and can stop",
            "history",
        ),
    ] {
        let report = report(fault);
        let said = report.failures().any(|e| {
            e.check == check && matches!(&e.status, Status::Failed(why) if why.contains(word))
        });
        assert!(said, "{fault:?} is not caught by `{check}`:\n{report}");
    }
}
