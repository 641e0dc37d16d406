//! Runs backends on problems and measures what comes out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kantorovich::{Auto, Registry};
use solver_api::{
    Capability, Certify, Context, Factory, Options, Problem, Reg, Solution, Solver, certify,
};

use crate::case::{self, Case};
#[cfg(feature = "spot")]
use crate::continuous;
use crate::report::{
    BackendInfo, FORMAT, Figures, Outcome, PhaseFigures, ProblemReport, Report, Row, Setup,
};
use crate::{Error, applications, plan_pairs, sweep};

/// What to compare, and how.
#[derive(Debug, Clone)]
pub struct Args {
    /// Backends by name; all if empty.
    pub backends: Vec<String>,
    /// Problems by name or group; all if empty.
    pub problems: Vec<String>,
    /// Solves per row at most. A row stops earlier once its solves have taken [`ROW_BUDGET`] together.
    pub repeat: usize,
    /// Threads that a solve may use.
    pub threads: usize,
    /// Leaves out the larger problems and the ε sweep.
    pub quick: bool,
    /// Limit of one solve, for solvers that can be interrupted. Exact ones get [`EXACT_PATIENCE`] times as much: an
    /// unfinished simplex says little.
    pub time_limit: Duration,
    /// For the record: date.
    pub date: String,
    /// For the record: command line.
    pub command: String,
    /// For the record: machine.
    pub machine: String,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            backends: Vec::new(),
            problems: Vec::new(),
            repeat: 5,
            threads: 1,
            quick: false,
            time_limit: Duration::from_secs(3),
            date: String::new(),
            command: String::new(),
            machine: String::new(),
        }
    }
}

impl Args {
    /// Whether trainings are run without being named: they take a minute.
    #[cfg(feature = "spot")]
    fn wants_trainings(&self) -> bool {
        let spot = kantorovich::spot::NAME;
        let asked = self.backends.is_empty() || self.backends.iter().any(|name| name == spot);
        self.problems.is_empty() && asked && !self.quick
    }

    /// Whether the rows of this backend are asked for. `auto` only repeats one of the others and must be named.
    pub(crate) fn wants_backend(&self, name: &str) -> bool {
        if self.backends.is_empty() {
            name != Auto::NAME
        } else {
            self.backends.iter().any(|wanted| wanted == name)
        }
    }
}

/// What `--problems` takes beside problems and their groups.
#[cfg(feature = "spot")]
pub(crate) const GROUPS: [&str; 2] = [applications::GROUP, continuous::GROUP];
#[cfg(not(feature = "spot"))]
pub(crate) const GROUPS: [&str; 1] = [applications::GROUP];

/// Must be named: what the one says of samples is a bound, and the other learns, which takes longer than a row may.
const BY_NAME_ALONE: [&str; 2] = ["gaussian", "spot"];
/// How much longer an exact solver may take than an entropic one.
pub const EXACT_PATIENCE: u32 = 4;
/// No row is solved again once its solves have taken this long together.
pub const ROW_BUDGET: Duration = Duration::from_millis(600);
/// Regularizations of entropic backends, relative to the largest cost: their bias shows as these fall. At the last a
/// kernel underflows on most problems, which shows who has more than that.
pub const REG_RELATIVE: [f64; 3] = [1e-2, 1e-3, 1e-5];
/// A solver that can't be interrupted is not given more pairs (of positive weights) than this.
const UNINTERRUPTIBLE_PAIRS: usize = 30_000;
/// Exact figures may move this much between versions and machines; it is what the fixtures are good for.
const EXACT_TOLERANCE: f64 = 1e-9;
/// Entropic figures depend on where the marginal tolerance stopped the iteration.
const ENTROPIC_TOLERANCE: f64 = 1e-6;

/// Told before each row, and of the total before the first.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// There will be this many rows.
    Rows(usize),
    /// Now comes this one.
    Row {
        /// The problem's name.
        problem: &'a str,
        /// Backend and setting.
        label: &'a str,
    },
}

/// Peak memory of the process, which only the binary's allocator knows. Asked at the first solve of each row, on threads
/// that have solved nothing before.
pub trait MemoryMeter {
    /// Forgets the peak so far.
    fn start(&mut self);
    /// Bytes by which the peak since then exceeded what was in use.
    fn extra(&mut self) -> Option<u64>;
}

/// No meter: the report says so.
#[derive(Debug, Clone, Copy)]
pub struct Unmetered;

impl MemoryMeter for Unmetered {
    fn start(&mut self) {}

    fn extra(&mut self) -> Option<u64> {
        None
    }
}

/// What a row may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) repeat: usize,
    /// No more solves once they have taken this long together.
    pub(crate) budget: Duration,
    /// Of one solve.
    pub(crate) time_limit: Duration,
    pub(crate) threads: usize,
}

/// A backend with one setting.
pub(crate) struct Variant<'a> {
    pub(crate) backend: &'a str,
    pub(crate) setting: String,
    /// Relative to the largest cost, where the backend is entropic.
    pub(crate) reg: Option<f64>,
    tolerance: f64,
    exact: bool,
    pub(crate) uninterruptible: bool,
    exact_without_matrix: bool,
    pub(crate) solver: Result<Box<dyn Solver>, solver_api::Error>,
}

impl Variant<'_> {
    /// Whether the problem's costs are among those that the solver is for. What else it lacks, a row tells.
    pub(crate) fn is_for(&self, problem: &Problem) -> bool {
        self.solver.as_ref().map_or(true, |solver| {
            solver.accepts(problem).is_ok()
                || solver
                    .capabilities()
                    .require(self.backend, problem)
                    .is_err()
        })
    }

    pub(crate) fn label(&self) -> String {
        self.row(Outcome::Skipped {
            message: String::new(),
        })
        .label()
    }

    pub(crate) fn row(&self, outcome: Outcome) -> Row {
        Row {
            backend: self.backend.to_owned(),
            setting: self.setting.clone(),
            tolerance: self.tolerance,
            outcome,
        }
    }
}

/// Compares the backends of `registry` on the fixtures of the repository at `root` and on a series over n. A backend that refuses, fails or panics costs its row and nothing else.
///
/// # Errors
/// A name that is not known, a fixture that can't be read, no threads.
pub fn run(
    root: &Path,
    registry: &Registry,
    args: &Args,
    meter: &mut dyn MemoryMeter,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Report, Error> {
    let begun = Instant::now();
    let chosen = choose(registry, &args.backends)?;
    let (named, others): (Vec<_>, Vec<_>) = args
        .problems
        .iter()
        .cloned()
        .partition(|name| GROUPS.contains(&name.as_str()));
    let mut cases = case::select(case::all(root, &others)?, &others, args.quick)?;
    if others.is_empty() && !named.is_empty() {
        cases.clear();
    }
    let is_named = |group: &str| named.iter().any(|name| name == group);
    let bench = match args.problems.is_empty() || is_named(applications::GROUP) {
        true => Some(applications::Bench::read(root)?),
        false => None,
    };
    #[cfg(feature = "spot")]
    let trainings = match args.wants_trainings() || is_named(continuous::GROUP) {
        true => Some(continuous::Bench::read(root)?),
        false => None,
    };
    let coarse = variants_of(&chosen, &[applications::REG]);
    let fine = variants_of(&chosen, &[applications::FINE_REG]);
    let users = [coarse.as_slice(), fine.as_slice()];
    let context = Context::default()
        .with_threads(args.threads)?
        .certified(Certify::Off);
    let variants = variants_of(&chosen, &REG_RELATIVE);
    let sweep = sweep::Plan::new(variants_of(&chosen, &sweep::REGS), &variants, &chosen);
    let effort = Effort {
        repeat: args.repeat,
        budget: ROW_BUDGET,
        time_limit: args.time_limit,
        threads: args.threads,
    };
    let swept = |about: &ProblemReport| !args.quick && sweep::is_swept(about);
    let extra = cases.iter().filter(|c| swept(&c.about)).count() * sweep.rows_to_solve();
    // A closed form has no rows on problems that are not its own, and what wants a matrix none on large ones, unless it was asked
    // for by name.
    let has_row = |variant: &Variant<'_>, about: &ProblemReport, problem: &Problem| {
        let fits = !about.is_large() || variant.exact_without_matrix;
        !args.backends.is_empty() || (fits && variant.is_for(problem))
    };
    let rows = |c: &Case| {
        let of_case = |v: &&Variant<'_>| has_row(v, &c.about, &c.problem);
        variants.iter().filter(of_case).count()
    };
    let uses = bench.as_ref().map_or(0, |bench| bench.rows(users));
    #[cfg(feature = "spot")]
    let uses = uses + trainings.as_ref().map_or(0, |bench| bench.rows(&variants));
    tell(Event::Rows(
        cases.iter().map(rows).sum::<usize>() + extra + uses,
    ));

    let mut report = Report {
        format: FORMAT,
        setup: Setup {
            date: args.date.clone(),
            command: args.command.clone(),
            machine: args.machine.clone(),
            threads: args.threads,
            repeat: args.repeat,
            quick: args.quick,
            total_seconds: 0.0,
        },
        backends: chosen.iter().map(|f| info(f.as_ref())).collect(),
        problems: Vec::new(),
        applications: Vec::new(),
        continuous: Vec::new(),
        peers: None,
        plans: Vec::new(),
    };
    for Case {
        problem,
        mut about,
        fixture,
    } in cases
    {
        let drawn = fixture.as_ref().filter(|f| plan_pairs::is_drawn(f));
        let mut plans = Vec::new();
        let of_case = |v: &&Variant<'_>| has_row(v, &about, &problem);
        let asked: Vec<&Variant<'_>> = variants.iter().filter(of_case).collect();
        for variant in asked {
            let label = variant.label();
            tell(Event::Row {
                problem: &about.name,
                label: &label,
            });
            let (outcome, solution) = solve_row(variant, &problem, &context, effort, meter);
            if let (Some(_), Some(solution)) = (drawn, solution) {
                plans.push((label, solution));
            }
            about.rows.push(variant.row(outcome));
        }
        if swept(&about) {
            let mut solve = |variant: &Variant<'_>| {
                tell(Event::Row {
                    problem: &about.name,
                    label: &variant.label(),
                });
                let effort = sweep::effort(effort);
                solve_row(variant, &problem, &context, effort, meter).0
            };
            let points = sweep.run(&about.rows, &mut solve);
            about.sweep = points;
        }
        if let Some(fixture) = drawn {
            report.plans.extend(plan_pairs::pair(fixture, &plans));
        }
        report.problems.push(about);
    }
    if let Some(bench) = bench {
        let limit = args.time_limit.saturating_mul(EXACT_PATIENCE);
        let fresh = || context.clone().time_limit(limit);
        let mut tell = |problem: &str, label: &str| tell(Event::Row { problem, label });
        report.applications = bench.run(users, &fresh, &mut tell);
    }
    #[cfg(feature = "spot")]
    if let Some(bench) = trainings {
        let limit = args.time_limit.saturating_mul(EXACT_PATIENCE);
        let fresh = || context.clone().time_limit(limit);
        let mut tell = |problem: &str, label: &str| tell(Event::Row { problem, label });
        report.continuous = bench.run(&variants, &fresh, &mut tell);
    }
    report.settle();
    report.setup.total_seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// Those that are wanted, in the order in which they are named first.
fn choose(registry: &Registry, wanted: &[String]) -> Result<Vec<Arc<dyn Factory>>, Error> {
    if wanted.is_empty() {
        let all = registry
            .iter()
            .filter(|f| !BY_NAME_ALONE.contains(&f.name()));
        return Ok(all.map(Arc::clone).collect());
    }
    let mut chosen: Vec<Arc<dyn Factory>> = Vec::new();
    for name in wanted {
        let factory = registry.get(name)?;
        // Named twice, it is still one backend: each of its rows stands in the report once.
        if !chosen.iter().any(|f| f.name() == factory.name()) {
            chosen.push(factory);
        }
    }
    Ok(chosen)
}

fn info(factory: &dyn Factory) -> BackendInfo {
    BackendInfo {
        name: factory.name().to_owned(),
        summary: factory.summary().to_owned(),
        capabilities: factory
            .capabilities()
            .iter()
            .map(|c| c.name().to_owned())
            .collect(),
    }
}

/// The backends, each with its settings.
fn variants_of<'a>(chosen: &'a [Arc<dyn Factory>], regs: &[f64]) -> Vec<Variant<'a>> {
    let of_each = chosen.iter().map(|f| variants(f.as_ref(), regs));
    of_each.flatten().collect()
}

/// Entropic backends run at each of `regs`, relative to the largest cost, all others once.
pub(crate) fn variants<'a>(factory: &'a dyn Factory, regs: &[f64]) -> Vec<Variant<'a>> {
    let capabilities = factory.capabilities();
    let entropic = capabilities.has(Capability::Entropic) && !capabilities.has(Capability::Exact);
    let variant = |reg: Option<f64>, options: &Options| Variant {
        backend: factory.name(),
        setting: reg.map_or_else(String::new, |reg| format!("reg {reg:e}")),
        reg,
        tolerance: if entropic {
            ENTROPIC_TOLERANCE
        } else {
            EXACT_TOLERANCE
        },
        exact: capabilities.has(Capability::Exact),
        uninterruptible: !capabilities.has(Capability::Interruptible),
        exact_without_matrix: [
            Capability::Exact,
            Capability::LazyCost,
            Capability::Interruptible,
        ]
        .iter()
        .all(|c| capabilities.has(*c)),
        solver: factory.available().and_then(|()| factory.build(options)),
    };
    if !entropic {
        return vec![variant(None, &Options::default())];
    }
    let at = |reg: f64| {
        let options = Options {
            reg: Some(Reg::Relative(reg)),
            ..Options::default()
        };
        variant(Some(reg), &options)
    };
    regs.iter().copied().map(at).collect()
}

fn solve_row(
    variant: &Variant<'_>,
    problem: &Problem,
    context: &Context,
    effort: Effort,
    meter: &mut dyn MemoryMeter,
) -> (Outcome, Option<Solution>) {
    let solver = match &variant.solver {
        Ok(solver) => solver.as_ref(),
        Err(error) => return (refused(error), None),
    };
    let pairs = problem.a().support_len() * problem.b().support_len();
    if variant.uninterruptible && pairs > UNINTERRUPTIBLE_PAIRS {
        let message = format!(
            "{pairs} pairs; a solver that can't be interrupted is given at most {UNINTERRUPTIBLE_PAIRS}"
        );
        return (Outcome::Skipped { message }, None);
    }
    // Threads that have solved nothing yet: what solvers keep there from one solve to the next counts at the first.
    let context = match context.clone().with_threads(effort.threads) {
        Ok(fresh) => fresh,
        Err(error) => return (refused(&error), None),
    };
    context.install(|| ());
    let (mut seconds, mut extra_bytes, mut last) = (Vec::new(), None, None);
    let mut spent = Duration::ZERO;
    while seconds.is_empty() || (seconds.len() < effort.repeat && spent < effort.budget) {
        // Frees the previous plan before the meter starts.
        drop(last.take());
        if seconds.is_empty() {
            meter.start();
        }
        let patience = if variant.exact { EXACT_PATIENCE } else { 1 };
        let limit = effort.time_limit.saturating_mul(patience);
        let mut context = context.clone().time_limit(limit);
        let solved = catch_unwind(AssertUnwindSafe(|| {
            let inner = context.clone();
            inner.install(|| solver.solve_with(problem, &mut context))
        }));
        if seconds.is_empty() {
            extra_bytes = meter.extra();
        }
        match solved {
            Ok(Ok(solution)) => {
                spent += solution.solve_time;
                seconds.push(solution.solve_time.as_secs_f64());
                last = Some(solution);
            }
            Ok(Err(error)) => return (refused(&error), None),
            Err(_) => {
                let kind = "Panic".to_owned();
                let message = "the solver panicked; what it said is on standard error".to_owned();
                return (Outcome::Refused { kind, message }, None);
            }
        }
    }
    let Some(solution) = last else {
        // Not reached: the loop runs at least once and leaves only with a solution.
        let message = "no solve was made".to_owned();
        return (Outcome::Skipped { message }, None);
    };
    let figures = figures(problem, &solution, seconds, extra_bytes, &context);
    let numbers = [
        figures.transport_cost,
        figures.source_error,
        figures.target_error,
    ];
    if numbers.iter().any(|v| !v.is_finite()) {
        let kind = "NotFinite".to_owned();
        let message = format!(
            "the cost of its plan is {}, the marginal errors are {} and {}; it ended with {}",
            numbers[0], numbers[1], numbers[2], figures.termination
        );
        return (Outcome::Refused { kind, message }, None);
    }
    (Outcome::Solved(Box::new(figures)), Some(solution))
}

fn figures(
    problem: &Problem,
    solution: &Solution,
    mut seconds: Vec<f64>,
    extra_bytes: Option<u64>,
    context: &Context,
) -> Figures {
    let begun = Instant::now();
    let (certificate, certify_time) = match solution.certificate {
        Some(own) => (own, solution.certify_time),
        None => {
            let bracket =
                context.install(|| certify(problem, &solution.plan, &solution.potentials));
            (bracket, begun.elapsed())
        }
    };
    seconds.sort_by(f64::total_cmp);
    let convergence = &solution.convergence;
    let finite = |v: f64| v.is_finite().then_some(v);
    Figures {
        termination: convergence.termination.to_string(),
        converged: convergence.converged(),
        transport_cost: solution.transport_cost,
        error: None,
        lower: finite(certificate.lower),
        upper: finite(certificate.upper),
        gap: None,
        source_error: convergence.source_error,
        target_error: convergence.target_error,
        iterations: convergence.iterations,
        runs: seconds.len(),
        seconds: median(&seconds),
        seconds_min: seconds[0],
        seconds_max: seconds[seconds.len() - 1],
        certify_seconds: certify_time.as_secs_f64(),
        extra_bytes,
        phases: solution
            .phases
            .iter()
            .map(|phase| PhaseFigures {
                name: phase.name.to_owned(),
                seconds: phase.time.as_secs_f64(),
                count: phase.count,
            })
            .collect(),
    }
}

/// Of a sorted list with at least one entry.
fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        0.5 * (sorted[half - 1] + sorted[half])
    }
}

fn refused(error: &solver_api::Error) -> Outcome {
    let debug = format!("{error:?}");
    let kind = debug.split([' ', '{', '(']).next().unwrap_or_default();
    Outcome::Refused {
        kind: kind.to_owned(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_named_twice_is_one() {
        let wanted = ["auto", "auto"].map(str::to_owned);
        let chosen = choose(&Registry::new(), &wanted).unwrap();
        let names: Vec<_> = chosen.iter().map(|f| f.name()).collect();
        assert_eq!(names, ["auto"]);
    }

    #[test]
    fn medians_of_odd_and_even_lists() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[1.0, 2.0, 4.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 8.0]), 3.0);
    }

    #[test]
    fn an_error_is_known_by_its_kind() {
        let error = solver_api::Error::unsupported("sinkhorn", "relaxed");
        let Outcome::Refused { kind, message } = refused(&error) else {
            panic!("an error is a refusal");
        };
        assert_eq!(kind, "Unsupported");
        assert!(message.contains("relaxed"));
    }
}
