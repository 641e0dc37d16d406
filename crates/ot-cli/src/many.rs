//! What the commands over many problems share: who solves and under which limits, the line of progress, and the figures.

use std::time::Instant;

use kantorovich::{
    Auto, Capability, Certify, Context, Convergence, Options, Reg, Solver, Termination,
};
use serde::Serialize;

use crate::Cli;
use crate::args::SolverArgs;
use crate::exit::{Exit, Failure};
use crate::interrupt::{self, Solving};
use crate::memory::Meter;
use crate::progress::Line;
use crate::solve;

/// Who solves all problems, checked before anything is read.
pub(crate) struct Job<'a> {
    cli: &'a Cli<'a>,
    args: &'a SolverArgs,
    options: Options,
    solver: Box<dyn Solver>,
}

/// How the work ended, and what it took.
pub(crate) struct Ended {
    pub(crate) termination: Option<Termination>,
    seconds: f64,
    extra_bytes: Option<u64>,
    peak_bytes: Option<u64>,
}

impl Ended {
    /// The same of work that kept what it had at a stop.
    pub(crate) fn stopped(mut self, termination: Option<Termination>) -> Self {
        self.termination = self.termination.or(termination);
        self
    }
}

impl<'a> Job<'a> {
    /// `of` says what the problems have in place of a tree, `draws` whether the application itself takes --seed.
    pub(crate) fn new(
        cli: &'a Cli<'a>,
        args: &'a SolverArgs,
        of: &str,
        draws: bool,
    ) -> Result<Self, Failure> {
        let names_tree = |pair: &String| pair.starts_with("tree=");
        if args.set.iter().any(names_tree) {
            let rule = format!("`tree` is a part of `ot solve`'s problems: {of}");
            return Err(Failure::option("set", rule));
        }
        let mut options = solve::options(args)?;
        // The seed is that of the application; a backend that is named and has one draws from it, too.
        let factory = cli.registry.get(&args.backend)?;
        let settings = factory.settings();
        let seeded = settings.iter().any(|setting| setting.name == "seed");
        if args.backend == Auto::NAME || !seeded {
            options.seed = None;
            if !draws && let Some(seed) = args.seed {
                return Err(Failure::option(
                    "seed",
                    format!("{seed}: nothing is drawn here"),
                ));
            }
        }
        let solver = cli.registry.build(&args.backend, &options)?;
        if args.time_limit.is_some() && !solver.capabilities().has(Capability::Interruptible) {
            let problem = format!("`{}` lacks `{}`", args.backend, Capability::Interruptible);
            return Err(Failure::option("time-limit", problem));
        }
        Ok(Self {
            cli,
            args,
            options,
            solver,
        })
    }

    /// The same with an absolute regularization, for who learns its unit from the data. Where the choice of the backend is
    /// ours, `preferred` solves, if it is there and takes the options.
    pub(crate) fn with_reg(self, reg: Reg, preferred: Option<&str>) -> Result<Self, Failure> {
        let options = Options {
            reg: Some(reg.check()?),
            ..self.options
        };
        let registry = self.cli.registry;
        let ours = preferred.filter(|_| self.args.backend == Auto::NAME);
        let solver = match ours.and_then(|name| registry.build(name, &options).ok()) {
            Some(solver) => solver,
            None => registry.build(&self.args.backend, &options)?,
        };
        Ok(Self {
            options,
            solver,
            ..self
        })
    }

    pub(crate) fn solver(&self) -> &dyn Solver {
        self.solver.as_ref()
    }

    /// Does the work under the limits that were given, with a line of progress for a terminal. A stop is no failure: the
    /// work says what it has in `None`.
    pub(crate) fn run<R>(
        &self,
        what: &str,
        work: impl FnOnce(&Context) -> Result<R, ot_apps::Error>,
    ) -> Result<(Option<R>, Ended), Failure> {
        let mut context = solve::context(self.args)?.certified(Certify::Off);
        let line = self.cli.progress.then(|| Line::start(what));
        if let Some(line) = &line {
            context = context.observed(line.observer());
        }
        let meter = Meter::start(self.cli.memory);
        let started = Instant::now();
        if let Some(limit) = solve::time_limit(self.args)? {
            context = context.time_limit(limit);
        }
        context = context.cancelled_by(interrupt::token());
        let heeds = self.solver.capabilities().has(Capability::Interruptible);
        let solving = heeds.then(Solving::begin);
        let done = work(&context);
        drop(solving);
        drop(line);
        let (result, termination) = match done {
            Ok(result) => (Some(result), None),
            Err(ot_apps::Error::Stopped { termination, .. }) => (None, Some(termination)),
            // The input was right, and there is no answer all the same: the report says why.
            Err(ot_apps::Error::Transport(kantorovich::Error::NotConverged {
                termination: termination @ Termination::NumericalFailure,
                ..
            })) => (None, Some(termination)),
            // A solve that was itself cut short is the same stop; what is wrong with the input is so at any time.
            Err(error) => match context.interrupted() {
                Some(termination) if error.is_stop() => (None, Some(termination)),
                _ => return Err(self.failure(error)),
            },
        };
        let ended = Ended {
            termination,
            seconds: started.elapsed().as_secs_f64(),
            extra_bytes: meter.extra(),
            peak_bytes: meter.process_peak(),
        };
        Ok((result, ended))
    }

    pub(crate) fn failure(&self, error: ot_apps::Error) -> Failure {
        match error {
            ot_apps::Error::Transport(error) => Failure::from(self.cli.registry.with_hint(error)),
            ot_apps::Error::Pair { row, col, error } => {
                let failure = Failure::from(self.cli.registry.with_hint(error));
                failure.within(&format!("row {row} to {col}"))
            }
            error => Failure::usage(error.to_string()),
        }
    }
}

/// The fields of `ot solve --json`, null where one problem's figure has no meaning for many.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Who solved; null where nothing was.
    pub(crate) backend: Option<String>,
    pub(crate) n: usize,
    pub(crate) m: usize,
    pub(crate) termination: String,
    pub(crate) converged: bool,
    pub(crate) transport_cost: Option<f64>,
    pub(crate) objective: Option<f64>,
    pub(crate) lower_bound: Option<f64>,
    pub(crate) upper_bound: Option<f64>,
    pub(crate) mass: Option<f64>,
    pub(crate) marginal_error: Option<MarginalError>,
    pub(crate) iterations: Option<u64>,
    pub(crate) seconds: f64,
    certify_seconds: Option<f64>,
    extra_bytes: Option<u64>,
    peak_bytes: Option<u64>,
}

/// By how much the sums of plans are off, the worst of all.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct MarginalError {
    pub(crate) source: Option<f64>,
    pub(crate) target: Option<f64>,
}

impl Figures {
    /// How one iteration over all of them went.
    pub(crate) fn settle(&mut self, convergence: &Convergence) {
        self.termination = convergence.termination.to_string();
        self.converged = convergence.converged();
        self.iterations = convergence.iterations;
        let finite = |error: f64| error.is_finite().then_some(error);
        self.marginal_error = Some(MarginalError {
            source: finite(convergence.source_error),
            target: finite(convergence.target_error),
        });
    }

    /// Of n×m things, solved `within` all tolerances or not.
    pub(crate) fn new(
        backend: Option<String>,
        (n, m): (usize, usize),
        within: bool,
        ended: &Ended,
    ) -> Self {
        let termination = match ended.termination {
            Some(termination) => termination.to_string(),
            None if within => Termination::Converged.to_string(),
            None => Termination::IterationLimit.to_string(),
        };
        Self {
            backend,
            n,
            m,
            termination,
            converged: within && ended.termination.is_none(),
            seconds: ended.seconds,
            extra_bytes: ended.extra_bytes,
            peak_bytes: ended.peak_bytes,
            ..Self::default()
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        if self.converged {
            Exit::Solved
        } else {
            Exit::NotConverged
        }
    }

    /// The backend for people.
    pub(crate) fn who(&self) -> String {
        let none = || "none: nothing was solved".to_owned();
        self.backend.clone().unwrap_or_else(none)
    }

    /// Termination, with a word for what fell short.
    pub(crate) fn verdict(&self) -> String {
        let verdict = if self.converged {
            ""
        } else {
            ": NOT all within their tolerance"
        };
        format!("{}{verdict}", self.termination)
    }
}

/// One object on one line.
pub(crate) fn json(report: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(report);
    Ok(json.map_err(|e| Failure::usage(e.to_string()))? + "\n")
}

/// Aligned lines of labels and values.
pub(crate) fn lines(pairs: &[(&str, String)]) -> String {
    let line = |(label, value): &(&str, String)| format!("{label:<15} {value}\n");
    pairs.iter().map(line).collect()
}

/// The one of `names` that an option has for its value.
pub(crate) fn one_of(
    option: &str,
    value: &str,
    names: &[&'static str],
) -> Result<&'static str, Failure> {
    let found = names.iter().find(|name| **name == value);
    found.copied().ok_or_else(|| {
        let problem = format!("`{value}` must be one of {}", names.join(", "));
        Failure::option(option, problem)
    })
}
