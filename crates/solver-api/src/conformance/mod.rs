//! The conformance suite: what every solver must satisfy, stated once and run with one call.
//!
//! Switch the feature `conformance` on in the dev-dependencies of the crate that holds the solver:
//!
//! ```toml
//! [dev-dependencies]
//! solver-api = { version = "0.1", features = ["conformance"] }
//! ```
//!
//! and hand over how the solver is made, and what you expect of it:
//!
//! ```no_run
//! # use solver_api::{Capability, Error, Options, Solver};
//! # fn conforms(my_solver: fn(&Options) -> Result<Box<dyn Solver>, Error>) {
//! use solver_api::conformance::{Expect, run};
//!
//! // In a test:
//! run(
//!     |options: &Options| my_solver(options),
//!     &Expect::new().capabilities(&[
//!         Capability::Balanced,
//!         Capability::Exact,
//!         Capability::Deterministic,
//!     ]),
//! );
//! # }
//! ```
//!
//! A [`Factory`](crate::Factory) is passed as `|options| factory.build(options)`. The suite builds the solver anew
//! with a `reg` that suits each problem (for solvers with [`Capability::Entropic`]), with the tolerance that
//! [`Expect`] states, and with `max_iter` = 1 where the limit itself is tested.
//!
//! What is checked, one file a section:
//!
//! | section | states |
//! |---|---|
//! | `input` | bad input is refused with argument, index and value; odd but valid input gets a correct answer |
//! | `output` | no NaN, figures that the plan confirms, limits and cancellation that say so |
//! | `certificates` | lower ≤ optimum ≤ upper, on every problem, also for answers that did not converge |
//! | `equivariance` | permutation, transposition, C → s·C, C → C + c, masses × t |
//! | `determinism` | the same bits again; other numbers of threads within the tolerance |
//! | `closed_forms` | one dimension, point masses, planted permutations, translations, 2×2, product costs |
//! | `partial` | what moves and what stays of a partial problem, and what the multiplier of its mass says |
//! | `batches` | a batch answers like its problems one by one; a warm start changes the iterations only |
//! | `watched` | brackets at every check hold; an observer sees each problem of a batch, and can stop one of them |
//! | `properties` | all of it on generated problems: ties, zeros, duplicates, forbidden pairs |
//!
//! Each answer of each section is verified from its plan and potentials alone: entries, marginals, values, the form
//! of an entropic plan, and the bracket, against an exact oracle of the suite's own up to 12×12.
//!
//! A solver that takes certain costs only states them as its [`Expect::domain`]. The sections `input` to `watched` are then
//! about problems of that domain, and what needs other costs is skipped.
//!
//! The capabilities must equal the solver's declaration, so that nothing passes by declaring nothing. Every check
//! that passed is printed, and every one that was skipped, with its reason (`cargo test -- --nocapture`).

mod batches;
mod cases;
mod certificates;
mod closed_forms;
mod determinism;
mod domain;
mod entropic;
mod equivariance;
mod expect;
mod input;
mod oracle;
mod output;
mod partial;
mod properties;
mod subject;
#[cfg(test)]
mod tests;
mod verify;
mod watched;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use domain::Draw;
pub use expect::Expect;

use crate::{Capability, Error, Options, Solver};
use subject::Subject;

/// A section runs its checks one by one.
type Section = fn(&mut Suite<'_>);

/// What a check says: nothing, or what is wrong, with problem and figures.
type Verdict = Result<(), String>;

/// How one check of the suite ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Passed,
    /// Not run, and why.
    Skipped(String),
    /// What is wrong: the problem and the figures.
    Failed(String),
}

/// One check of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section, named like its file.
    pub section: &'static str,
    /// The check.
    pub check: &'static str,
    /// How it ended.
    pub status: Status,
}

/// All checks of a run, in order.
#[derive(Debug, Clone)]
pub struct Report {
    /// The solver's name.
    pub solver: String,
    /// The checks.
    pub entries: Vec<Entry>,
}

impl Report {
    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|e| matches!(e.status, Status::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "conformance of `{}`", self.solver)?;
        for Entry {
            section,
            check,
            status,
        } in &self.entries
        {
            match status {
                Status::Passed => writeln!(f, "  passed   {section}: {check}")?,
                Status::Skipped(why) => writeln!(f, "  skipped  {section}: {check} ({why})")?,
                Status::Failed(why) => {
                    writeln!(f, "  FAILED   {section}: {check}\n             {why}")?;
                }
            }
        }
        Ok(())
    }
}

/// Runs the whole suite, prints what passed and what was skipped, and panics if anything failed.
///
/// `build` makes the solver under test from options. A run takes a second or so for a fast solver.
///
/// # Panics
/// If a check fails, with all failures in the message. It is meant for tests.
pub fn run(build: impl Fn(&Options) -> Result<Box<dyn Solver>, Error>, expect: &Expect) {
    let report = check(build, expect);
    println!("{report}");
    let failures: Vec<String> = report
        .failures()
        .map(|e| match &e.status {
            Status::Failed(why) => format!("{}: {}: {why}", e.section, e.check),
            _ => String::new(),
        })
        .collect();
    assert!(
        failures.is_empty(),
        "`{}` does not conform:\n{}",
        report.solver,
        failures.join("\n")
    );
}

/// Runs the whole suite without printing or panicking.
#[must_use]
pub fn check(
    build: impl Fn(&Options) -> Result<Box<dyn Solver>, Error>,
    expect: &Expect,
) -> Report {
    let subject = Subject {
        build: &build,
        expect,
    };
    let mut suite = Suite {
        subject: &subject,
        section: "declaration",
        entries: Vec::new(),
    };
    let solver = subject.make(&subject.options(subject.has(Capability::Entropic).then_some(1.0)));
    let name = solver.as_ref().map_or("?", |s| s.name()).to_owned();
    suite.check_anywhere("capabilities equal those expected", &[], |_| {
        let declared = solver?.capabilities();
        if declared == expect.capabilities {
            return Ok(());
        }
        let names = |c: &crate::Capabilities| {
            c.iter()
                .map(Capability::name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        Err(format!(
            "declared: {}; expected: {}",
            names(&declared),
            names(&expect.capabilities)
        ))
    });
    let sections: [(&'static str, Section); 10] = [
        ("input", input::section),
        ("output", output::section),
        ("certificates", certificates::section),
        ("equivariance", equivariance::section),
        ("determinism", determinism::section),
        ("closed_forms", closed_forms::section),
        ("partial", partial::section),
        ("batches", batches::section),
        ("watched", watched::section),
        ("properties", properties::section),
    ];
    for (section, run) in sections {
        suite.section = section;
        run(&mut suite);
    }
    Report {
        solver: name,
        entries: suite.entries,
    }
}

/// The run as the sections see it.
struct Suite<'a> {
    subject: &'a Subject<'a>,
    section: &'static str,
    entries: Vec<Entry>,
}

impl Suite<'_> {
    /// Runs `body`, whose problems have costs of its own, if the solver has all of `needs` and takes any cost.
    fn check(
        &mut self,
        check: &'static str,
        needs: &[Capability],
        body: impl FnOnce(&Subject<'_>) -> Verdict,
    ) {
        let able = needs.iter().all(|c| self.subject.has(*c));
        match &self.subject.expect.domain {
            // What it lacks is the better reason to skip.
            Some(domain) if able => {
                let why = format!("the solver takes {} only", domain.name);
                self.skip(check, &why);
            }
            _ => self.check_anywhere(check, needs, body),
        }
    }

    /// Runs `body`, whose problems are in the solver's domain if it has one, if the solver has all of `needs`; a panic of
    /// the solver is a failure like any other.
    fn check_anywhere(
        &mut self,
        check: &'static str,
        needs: &[Capability],
        body: impl FnOnce(&Subject<'_>) -> Verdict,
    ) {
        let subject = self.subject;
        let status = if let Some(lacks) = needs.iter().find(|c| !subject.has(**c)) {
            Status::Skipped(format!("the solver lacks `{lacks}`"))
        } else {
            match catch_unwind(AssertUnwindSafe(|| body(subject))) {
                Ok(Ok(())) => Status::Passed,
                Ok(Err(why)) => Status::Failed(why),
                Err(panic) => {
                    let said = panic
                        .downcast_ref::<String>()
                        .cloned()
                        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                    Status::Failed(format!("panicked: {}", said.unwrap_or_default()))
                }
            }
        };
        self.entries.push(Entry {
            section: self.section,
            check,
            status,
        });
    }

    fn skip(&mut self, check: &'static str, why: &str) {
        self.entries.push(Entry {
            section: self.section,
            check,
            status: Status::Skipped(why.to_owned()),
        });
    }
}
