//! The suite on a toy that takes points on a line only, and on the same with something wrong.

use super::super::Draw;
use super::*;
use crate::{Cost, CostKind, Ground};

/// The exact toy behind a door.
struct Narrow {
    inner: Exact,
    open: bool,
}

impl Solver for Narrow {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&NARROW)
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Error> {
        let on_a_line =
            |cost: &dyn Cost| matches!(cost.kind(), CostKind::Points(p) if p.dim() == 1);
        if self.open || on_a_line(problem.cost()) {
            return self.capabilities().require(self.name(), problem);
        }
        Err(Error::unsupported(self.name(), "costs off a line"))
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        self.accepts(problem)?;
        self.inner.solve_with(problem, context)
    }

    fn solve_batch(
        &self,
        batch: &crate::Batch,
        context: &mut Context,
    ) -> Vec<Result<Solution, Error>> {
        self.inner.solve_batch(batch, context)
    }
}

const NARROW: [Capability; 4] = [
    Capability::Balanced,
    Capability::Exact,
    Capability::Interruptible,
    Capability::Deterministic,
];

fn narrow(fault: Fault, open: bool) -> impl Fn(&Options) -> Result<Box<dyn Solver>, Error> {
    move |options| {
        let mut reader = OptionReader::new("toy-exact", options);
        reader.tol()?;
        reader.max_iter()?;
        if fault != Fault::AcceptsAnySetting {
            reader.finish()?;
        }
        let inner = Exact { fault };
        Ok(Box::new(Narrow { inner, open }))
    }
}

fn on_a_line(draw: &mut Draw) -> Result<Problem, Error> {
    let (n, m) = draw.shape();
    let (a, b) = (draw.weights(n), draw.weights(m));
    let (x, y) = (draw.numbers(n), draw.numbers(m));
    Problem::from_points(&a, &b, &x, &y, 1, Ground::SqEuclidean)
}

fn expect() -> Expect {
    expect_exact()
        .capabilities(&NARROW)
        .domain("points on a line", on_a_line)
}

#[test]
fn a_solver_of_some_problems_conforms_where_its_domain_is_stated() {
    run(narrow(Fault::None, false), &expect());
    // Stated as one of all problems, it fails by the first of them.
    let stated = expect_exact().capabilities(&NARROW).cases(1);
    let report = check(narrow(Fault::None, false), &stated);
    caught(&report, Fault::None, "costs off a line");
}

#[test]
fn what_needs_other_costs_is_skipped_and_the_rest_is_not() {
    let report = check(narrow(Fault::None, false), &expect().cases(4));
    let said = report.to_string();
    assert!(said.contains(
        "skipped  closed_forms: a planted permutation (the solver takes points on a line only)"
    ));
    for run in [
        "input: odd but valid problems of the domain are solved",
        "input: problems beyond the domain are refused",
        "output: a cancelled token stops the solve",
        "certificates: the bracket holds the exact optimum",
        "equivariance: permutation",
        "determinism: the same bits on a second solve",
        "batches: masses on one cost, separate and to many targets",
        "watched: one problem of a batch is stopped, the others go on",
        "properties: generated problems of the domain",
    ] {
        assert!(said.contains(&format!("passed   {run}")), "{run}:\n{said}");
    }
}

#[test]
fn wrong_solvers_of_a_domain_are_caught() {
    for (fault, word) in [
        (Fault::WrongValue, "transport_cost"),
        (Fault::WrongPlan, "marginal error"),
        (Fault::Negative, "negative"),
        (Fault::LyingCertificate, "outside of the bracket"),
        (Fault::IgnoresObserver, "asked to stop"),
        (Fault::AcceptsAnySetting, "no-such-setting"),
        (Fault::StopsBatch, "answers to"),
        (Fault::MixesIndices, "never saw it"),
        (Fault::OneStopStopsAll, "beside one that was stopped"),
        (Fault::ReportsReg, "reports reg = 1"),
        (Fault::CountsNothing, "reports 0 iterations"),
    ] {
        caught(
            &check(narrow(fault, false), &expect().cases(4)),
            fault,
            word,
        );
    }
    let report = check(narrow(Fault::None, true), &expect().cases(4));
    caught(&report, Fault::None, "takes a matrix of random costs");
    let fails = |_: &mut Draw| Err(Error::unsupported("nobody", "nothing"));
    let report = check(
        narrow(Fault::None, false),
        &expect().domain("nothing", fails),
    );
    caught(&report, Fault::None, "the domain `nothing` made no problem");
}
