//! From a problem to a solution.

use std::time::Instant;

use solver_api::{
    Capabilities, Capability, Context, Error, Outcome, Problem, Solution, Solver, check_feasible,
};

use crate::NAME;
use crate::accelerated::{self, Ended, Path};
use crate::bracket::Bracket;
use crate::checkpoint::State;
use crate::instance::Instance;
use crate::monitor::{Gibbs, Monitor};
use crate::printed::{self, Scalings};
use crate::settings::{PlanKind, Schedule, Settings};

/// Inexact proximal point. See the [crate](crate) for when to choose it.
///
/// Time O(n·m) a printed iteration, and less once few pairs carry mass on the accelerated path. Memory: 8·n·m bytes for
/// the scaled cost, as much again for the printed schedule's kernel, half as much for the accelerated one's first, dense
/// plan in f32.
#[derive(Debug, Clone, Default)]
pub struct Ipot {
    settings: Settings,
}

impl Ipot {
    /// A solver with checked settings.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { settings })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// β in units of the instance's spread.
    fn beta(&self, problem: &Problem, instance: &Instance) -> Result<f64, Error> {
        let beta = self.settings.beta.resolve(problem);
        let relative = beta / instance.spread;
        if (1e-12..=1e12).contains(&relative) {
            return Ok(relative);
        }
        let rule = "must lie between 1e-12 and 1e12 of the spread of the cost";
        Err(Error::setting("reg", beta, rule))
    }

    fn run(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(NAME, problem)?;
        check_feasible(problem)?;
        let (n, m) = problem.shape();
        if let Some(warm) = &context.warm_start {
            warm.check(n, m)?;
        }
        let instance = Instance::new(problem)?;
        let beta = self.beta(problem, &instance)?;
        let mut state = match &context.resume {
            Some(saved) => State::load(saved, problem, &instance, &self.settings, beta)?,
            None => {
                let warm = context
                    .warm_start
                    .as_ref()
                    .and_then(|warm| instance.warm(warm));
                match self.settings.schedule {
                    Schedule::Accelerated => {
                        State::Accelerated(Path::new(&instance, beta, &self.settings, warm))
                    }
                    Schedule::Printed => State::Printed(Scalings::new(&instance, beta, warm)),
                }
            }
        };
        let mut bracket = Bracket::default();
        let mut monitor = Monitor {
            problem,
            instance: &instance,
            settings: &self.settings,
            context,
            started,
            history: Vec::new(),
        };
        let ended = match &mut state {
            State::Accelerated(path) => accelerated::run(path, beta, &mut bracket, &mut monitor)?,
            State::Printed(scalings) => printed::run(scalings, beta, &mut bracket, &mut monitor)?,
        };
        let solution = self.finish(ended, &bracket, monitor)?;
        if context.keep_checkpoint {
            context.checkpoint = Some(state.save(&instance, &self.settings, beta));
        }
        Ok(solution)
    }

    fn finish(
        &self,
        ended: Ended,
        bracket: &Bracket,
        mut monitor: Monitor<'_>,
    ) -> Result<Solution, Error> {
        let problem = monitor.problem;
        let plan = match self.settings.plan() {
            PlanKind::Sparse => bracket.plan(problem, monitor.instance)?.into(),
            _ => monitor.plan(Gibbs {
                f: &ended.f,
                g: &ended.g,
                eps: ended.eps,
            })?,
        };
        let outcome = Outcome {
            plan,
            potentials: monitor.potentials(bracket),
            reg: 0.0,
            termination: ended.termination,
            iterations: Some(ended.iterations),
            history: std::mem::take(&mut monitor.history),
            certificate: None,
        };
        let solution = Solution::assemble(NAME, problem, outcome, monitor.started, monitor.context);
        let tol = self.settings.tol;
        Ok(solution.judged_by_certificate(|bracket| bracket.relative_gap(problem) <= tol))
    }
}

impl Solver for Ipot {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Balanced,
            Capability::Exact,
            Capability::ForbiddenPairs,
            Capability::WarmStart,
            Capability::Interruptible,
            Capability::Deterministic,
        ])
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        match context.pool() {
            Some(pool) => pool.install(|| self.run(problem, context)),
            None => self.run(problem, context),
        }
    }
}
