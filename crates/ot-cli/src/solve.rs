//! `ot solve`.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kantorovich::{
    Auto, Capabilities, Capability, Context, CostKind, DenseCost, Error, Options, Problem, Reg,
    Registry, Solver,
};

use crate::Cli;
use crate::args::{SolveArgs, SolverArgs};
use crate::exit::{Exit, Failure};
use crate::input::{Inputs, prior};
use crate::interrupt::{self, Solving};
use crate::memory::{self, Meter};
use crate::output::Outputs;
use crate::progress::Line;
use crate::report::{self, Measured, Report};
use crate::tree;

/// More threads than any machine has: a slip of the finger, not a wish.
const MOST_THREADS: usize = 1024;

/// Solves, writes the files asked for, and returns the report with its exit status.
pub(crate) fn run(cli: &Cli<'_>, args: &SolveArgs) -> Result<(String, Exit), Failure> {
    let chosen = Chosen::new(cli.registry, args)?;
    let mut context = context(&args.solver)?;
    let outputs = Outputs::check(args)?;
    let mut inputs = Inputs::read(args)?;

    let started = Instant::now();
    let hint = |error| Failure::from(cli.registry.with_hint(error));
    let (n, m, problem) = {
        let cost = inputs.cost()?;
        let (n, m) = cost.shape();
        let (a, b) = inputs.measures((n, m), args.normalize)?;
        let problem = match (args.gamma_a, args.gamma_b, args.mass) {
            (_, _, Some(mass)) => Problem::partial(a, b, cost, mass)?,
            (gamma_a, gamma_b, None) if !softens(gamma_a) && !softens(gamma_b) => {
                Problem::new(a, b, cost)?
            }
            (gamma_a, gamma_b, None) => {
                let hard = f64::INFINITY;
                Problem::relaxed(a, b, cost, gamma_a.unwrap_or(hard), gamma_b.unwrap_or(hard))?
            }
        };
        (n, m, problem)
    };
    if let Some(potentials) = inputs.warm.take() {
        potentials
            .check(n, m)
            .map_err(|e| Failure::option("warm", e))?;
        context = context.warm(potentials);
    }
    if let Some(limit) = time_limit(&args.solver)? {
        context = context.time_limit(limit.saturating_sub(started.elapsed()));
    }
    let (name, capabilities) = chosen.backend(&problem, &context).map_err(hint)?;
    let described = report::describe(&problem);
    let problem = if wants_matrix(&problem, &capabilities) {
        context.install(|| written_out(&problem, &name))?
    } else {
        problem
    };

    let meter = Meter::start(cli.memory);
    let line = cli.progress.then(|| Line::start(&name));
    if let Some(line) = &line {
        context = context.observed(line.observer());
    }
    context = context.cancelled_by(interrupt::token());
    let pool = context.clone();
    // Others don't heed the token: there the first signal ends the process.
    let heeds = capabilities.has(Capability::Interruptible);
    let solving = heeds.then(Solving::begin);
    let solution =
        on_a_fresh_thread(|| pool.install(|| chosen.solver().solve_with(&problem, &mut context)));
    drop(solving);
    drop(line);
    let solution = solution?.map_err(hint)?;
    let measured = Measured {
        seconds: started
            .elapsed()
            .saturating_sub(solution.certify_time)
            .as_secs_f64(),
        extra_bytes: meter.extra(),
        peak_bytes: meter.process_peak(),
    };

    outputs.write(&solution)?;
    let report = Report::new(&problem, &solution, measured);
    let text = if args.json {
        report
            .to_json()
            .map_err(|e| Failure::usage(e.to_string()))?
    } else {
        report.to_text(described, &problem, &solution, &args.solver.backend)
    };
    let exit = if solution.convergence.converged() {
        Exit::Solved
    } else {
        Exit::NotConverged
    };
    Ok((text, exit))
}

/// The stack of the thread that solves, as large as that of a main thread.
const STACK: usize = 8 << 20;

/// Runs `work` where nothing was solved before: memory that solvers keep on their threads from one solve to the next
/// counts for every solve that is measured.
fn on_a_fresh_thread<R: Send>(work: impl FnOnce() -> R + Send) -> Result<R, Failure> {
    let builder = thread::Builder::new().stack_size(STACK);
    thread::scope(|scope| match builder.spawn_scoped(scope, work) {
        Ok(thread) => match thread.join() {
            Ok(result) => Ok(result),
            Err(panic) => resume_unwind(panic),
        },
        Err(error) => Err(Failure::usage(format!("cannot start a thread: {error}"))),
    })
}

/// The solver that was asked for.
enum Chosen {
    Named(Box<dyn Solver>),
    Auto(Auto),
}

impl Chosen {
    /// Builds it with the options; an option that it can't honour is an error that names the option.
    fn new(registry: &Registry, args: &SolveArgs) -> Result<Self, Failure> {
        // Only asks whether the name is known, before anything else is said about it.
        let factory = registry.get(&args.solver.backend)?;
        check_numbers(args)?;
        let demands = demands(args);
        for (option, capability) in &demands {
            if !factory.capabilities().has(*capability) {
                return Err(lacks(registry, args, option, *capability));
            }
        }
        let mut options = options(&args.solver)?;
        // Paths on a tree are computed when needed as they are, whatever a backend does with points.
        let lazy = args.lazy && tree::file(args).is_none();
        if lazy && options.set.get("cost").is_some_and(|cost| cost != "lazy") {
            let rule = "`cost` is lazy beside `--lazy`: leave one of the two out";
            return Err(Failure::option("set", rule));
        }
        options.prior = args.prior.as_deref().map(prior).transpose()?;
        // Who can do either has a setting for it.
        let has_choice = factory.settings().iter().any(|s| s.name == "cost");
        if lazy && has_choice && !options.set.contains_key("cost") {
            options.set.insert("cost".to_owned(), "lazy".to_owned());
        }
        if args.solver.backend != Auto::NAME || !factory.name().eq(Auto::NAME) {
            return Ok(Self::Named(registry.build(&args.solver.backend, &options)?));
        }
        let needed: Vec<_> = demands.iter().map(|(_, c)| *c).collect();
        let capable = registry.restricted_to(&needed);
        if let (true, Some((option, capability))) = (capable.is_empty(), demands.last()) {
            return Err(lacks(registry, args, option, *capability));
        }
        Ok(Self::Auto(if lazy {
            capable.auto_lazily(&options)?
        } else {
            capable.auto(&options)?
        }))
    }

    fn solver(&self) -> &dyn Solver {
        match self {
            Self::Named(solver) => solver.as_ref(),
            Self::Auto(auto) => auto,
        }
    }

    /// The backend that will be asked first.
    fn backend(
        &self,
        problem: &Problem,
        context: &Context,
    ) -> Result<(String, Capabilities), Error> {
        match self {
            Self::Named(solver) => Ok((solver.name().to_owned(), solver.capabilities())),
            Self::Auto(auto) => {
                let (name, capabilities) = auto.pick(problem, context)?;
                Ok((name.to_owned(), capabilities.clone()))
            }
        }
    }
}

/// Whether a weight on a marginal relaxes it: an infinite one keeps it hard.
fn softens(gamma: Option<f64>) -> bool {
    gamma.is_some_and(|gamma| gamma != f64::INFINITY)
}

/// What is wrong for any backend is said before what this one lacks.
fn check_numbers(args: &SolveArgs) -> Result<(), Error> {
    let positive = |value: &f64| *value > 0.0;
    for (name, value, rule) in [
        (
            "gamma_a",
            args.gamma_a,
            "must be positive (inf: a hard marginal)",
        ),
        (
            "gamma_b",
            args.gamma_b,
            "must be positive (inf: a hard marginal)",
        ),
        (
            "mass",
            args.mass,
            "must be positive, and at most the smaller of the two masses",
        ),
    ] {
        if let Some(value) = value.filter(|value| !positive(value)) {
            return Err(Error::setting(name, value, rule));
        }
    }
    Ok(())
}

/// Options that only some backends can honour.
fn demands(args: &SolveArgs) -> Vec<(&'static str, Capability)> {
    let all = [
        ("mass", Capability::Partial, args.mass.is_some()),
        ("gamma-a", Capability::Relaxed, softens(args.gamma_a)),
        ("gamma-b", Capability::Relaxed, softens(args.gamma_b)),
        ("lazy", Capability::LazyCost, args.lazy),
        ("warm", Capability::WarmStart, args.warm.is_some()),
        (
            "time-limit",
            Capability::Interruptible,
            args.solver.time_limit.is_some(),
        ),
    ];
    let given = all.into_iter().filter(|(.., given)| *given);
    given
        .map(|(option, capability, _)| (option, capability))
        .collect()
}

/// No backend for an option: who else has it?
fn lacks(registry: &Registry, args: &SolveArgs, option: &str, capability: Capability) -> Failure {
    let others = registry.having(capability);
    let hint = if others.is_empty() {
        "no backend compiled in has it".to_owned()
    } else if args.solver.backend == Auto::NAME {
        format!("{} has it, but not the other options", others.join(", "))
    } else {
        format!("{} can", others.join(", "))
    };
    Failure::option(
        option,
        format!("`{}` lacks `{capability}`; {hint}", args.solver.backend),
    )
}

/// Settings that have an option of their own: no backend reads them from `--set`.
const OWN_OPTIONS: [&str; 7] = [
    "reg",
    "reg-rel",
    "tol",
    "max-iter",
    "time-limit",
    "seed",
    "threads",
];

pub(crate) fn options(args: &SolverArgs) -> Result<Options, Failure> {
    let mut options = Options {
        reg: match (args.reg, args.reg_rel) {
            (Some(reg), _) => Some(Reg::Absolute(reg).check()?),
            (None, Some(rel)) => Some(Reg::Relative(rel).check()?),
            (None, None) => None,
        },
        tol: args.tol,
        max_iter: args.max_iter,
        seed: args.seed,
        ..Options::default()
    };
    let mut tree_given = false;
    for pair in &args.set {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Failure::option(
                "set",
                format!("`{pair}` must be KEY=VALUE"),
            ));
        };
        if key == tree::NAME {
            // A part of the problem, which `Inputs` reads.
            if std::mem::replace(&mut tree_given, true) {
                return Err(Failure::option("set", format!("`{key}` is given twice")));
            }
            continue;
        }
        let hyphened = key.replace('_', "-");
        if OWN_OPTIONS.contains(&hyphened.as_str()) {
            let rule = format!("`{key}` has an option of its own: use `--{hyphened}`");
            return Err(Failure::option("set", rule));
        }
        let earlier = options.set.insert(key.to_owned(), value.to_owned());
        if earlier.is_some() {
            return Err(Failure::option("set", format!("`{key}` is given twice")));
        }
    }
    Ok(options)
}

pub(crate) fn context(args: &SolverArgs) -> Result<Context, Failure> {
    time_limit(args)?;
    let context = Context::new();
    match args.threads {
        None => Ok(context),
        Some(threads) if threads > MOST_THREADS => {
            let rule = format!("{threads} is more than {MOST_THREADS}");
            Err(Failure::option("threads", rule))
        }
        Some(threads) => Ok(context.with_threads(threads)?),
    }
}

pub(crate) fn time_limit(args: &SolverArgs) -> Result<Option<Duration>, Failure> {
    let Some(seconds) = args.time_limit else {
        return Ok(None);
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if !limit.is_zero() => Ok(Some(limit)),
        _ => {
            let rule = format!("{seconds:?} must be a number of seconds from 1e-9 to 1e19");
            Err(Failure::option("time-limit", rule))
        }
    }
}

/// Whether a backend that knows nothing of points or grids would ask for the same entries again and again.
fn wants_matrix(problem: &Problem, capabilities: &Capabilities) -> bool {
    if capabilities.has(Capability::LazyCost) {
        return false;
    }
    match problem.cost().kind() {
        CostKind::Points(_) | CostKind::Tree(_) => true,
        CostKind::Grid(_) => {
            // Most cells of an image can be empty, and an entry between two cells is a few additions.
            let (n, m) = problem.shape();
            let used = problem.a().support_len() as f64 * problem.b().support_len() as f64;
            let mostly_empty = used * 4.0 < n as f64 * m as f64;
            !capabilities.has(Capability::GridCost) && !mostly_empty
        }
        _ => false,
    }
}

/// The same problem with its cost as a matrix in memory, if it fits.
fn written_out(problem: &Problem, backend: &str) -> Result<Problem, Error> {
    let (n, m) = problem.shape();
    let bytes = (n as u64).saturating_mul(m as u64).saturating_mul(8);
    let limit = memory::available();
    if bytes > limit {
        return Err(Error::TooLarge {
            solver: backend.to_owned(),
            what: format!("the {n}×{m} cost matrix"),
            bytes,
            limit,
        });
    }
    let cost = Arc::new(DenseCost::materialize(problem.cost())?);
    problem.clone().with_cost(cost)
}
