//! Points on a line and a convex function of their distance: the sorted coupling.
//!
//! With both sides in order, C_ij + C_kl ≤ C_il + C_kj for i ≤ k and j ≤ l (Monge, 1781; Hoffman, 1963): the
//! northwest-corner rule gives an optimal plan, and potentials along its staircase an optimal dual. A concave function of the
//! distance has no such order, and is refused.

use std::time::Instant;

use solver_api::{
    Capabilities, Capability, Check, Context, Error, Factory, LineCost, Options, Outcome, Plan,
    Potentials, Problem, Progress, SettingSpec, Solution, Solver, Termination,
};

use super::Settings;
use super::sorted::{Coupling, Side};
use super::value::value;

const NAME: &str = "line";
/// What it lacks for other costs.
const NEEDS: &str = "costs that are not a convex function of the distance on a line";

/// Exact transport on a line. Accepts balanced problems whose cost is of points of dimension 1 (or of the cells of a grid of
/// one axis) and [convex there](solver_api::Ground::is_convex_on_a_line).
///
/// Time O(n + m) beside the order of the points, which a radix sort finds in about as much, each side on a thread of its own.
/// Memory 60 bytes a point beside the plan. Plan of at most n + m − 1 entries, potentials, certificate in
/// O((n + m) log(n + m)).
#[derive(Debug, Clone, Default)]
pub struct Line {
    settings: Settings,
}

impl Line {
    /// A solver with these settings, checked.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let settings = settings.checked()?;
        Ok(Self { settings })
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Line {
    /// The optimal cost alone, without a plan and potentials: about a quarter of the time of a solve, on the threads of
    /// `context`. Time O(n + m) beside the order of the points, memory 16 bytes a point. The same bits for any number of
    /// threads.
    ///
    /// # Errors
    /// As [`Solver::accepts`].
    pub fn transport_cost(&self, problem: &Problem, context: &Context) -> Result<f64, Error> {
        self.accepts(problem)?;
        let Some(cost) = LineCost::of(problem.cost()) else {
            return Err(Error::unsupported(NAME, NEEDS));
        };
        let (a, b) = (problem.a().weights(), problem.b().weights());
        Ok(context.install(|| value(&cost, a, b)))
    }
}

/// What every sorted form can do.
pub(super) fn capabilities() -> Capabilities {
    Capabilities::of(&[
        Capability::Balanced,
        Capability::Exact,
        Capability::LazyCost,
        Capability::Interruptible,
        Capability::Deterministic,
    ])
}

/// The one check of a closed form: how the solve ends, and the history that was asked for.
pub(super) struct Look {
    termination: Termination,
    history: Vec<Check>,
}

/// Tells the observer that the points are in order, and hears whether to stop.
pub(super) fn look(context: &Context, tol: f64, started: Instant) -> Look {
    let progress = Progress {
        problem: context.problem_index,
        iteration: 0,
        part: None,
        error: f64::INFINITY,
        tol,
        certificate: None,
        elapsed: started.elapsed(),
    };
    let check = Check {
        iteration: progress.iteration,
        error: progress.error,
        elapsed: progress.elapsed,
    };
    Look {
        termination: context.check(&progress).unwrap_or(Termination::Optimal),
        history: context.keep_history.then_some(check).into_iter().collect(),
    }
}

/// A solution of a coupling.
pub(super) fn assembled(
    name: &str,
    problem: &Problem,
    (coupling, x, y): (&Coupling, &Side, &Side),
    potentials: Potentials,
    look: Look,
    (started, context): (Instant, &Context),
) -> Result<Solution, Error> {
    let (plan, measured) = coupling.plan(x, y, problem.shape())?;
    let outcome = Outcome {
        plan: Plan::Sparse(plan),
        potentials,
        reg: 0.0,
        termination: look.termination,
        iterations: None,
        history: look.history,
        certificate: None,
    };
    Ok(Solution::assemble_measured(
        name, problem, outcome, measured, started, context,
    ))
}

impl Solver for Line {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Error> {
        self.capabilities().require(NAME, problem)?;
        match LineCost::of(problem.cost()) {
            Some(_) => Ok(()),
            None => Err(Error::unsupported(NAME, NEEDS)),
        }
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.accepts(problem)?;
        self.settings.check_reach(NAME)?;
        let Some(cost) = LineCost::of(problem.cost()) else {
            return Err(Error::unsupported(NAME, NEEDS));
        };
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let (x, y) =
            context.install(|| rayon::join(|| Side::of(cost.x(), a), || Side::of(cost.y(), b)));
        let look = look(context, self.settings.tol, started);
        let coupling = Coupling::of(&x, &y, &cost);
        let (n, m) = problem.shape();
        let potentials = Potentials::new(x.spread(&coupling.f, n), y.spread(&coupling.g, m));
        let mut solution = context.install(|| {
            let parts = (&coupling, &x, &y);
            assembled(NAME, problem, parts, potentials, look, (started, context))
        })?;
        self.settings.judge(problem, &mut solution, || 0.0);
        Ok(solution)
    }
}

/// Makes [`Line`] from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineFactory;

impl Factory for LineFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "points on a line, convex costs: exact by sorting, a million points in a blink"
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Settings::specs()
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        Ok(Box::new(Line::new(Settings::read(NAME, options)?)?))
    }
}
