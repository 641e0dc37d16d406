//! The solver of discrete problems: a training between the points as distributions, rounded to a plan, with potentials from
//! the critics and therefore a bracket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use solver_api::{
    Capabilities, Capability, Check, Context, CostKind, Error, Ground, Outcome, Plan, PointCost,
    Potentials, Problem, Progress, Solution, Solver, SparsePlan, Termination, check_feasible,
};

use crate::best::Best;
use crate::cloud::{Cloud, Frame};
use crate::{JointCost, Settings, Spot, SpotSettings};

/// The backend's name.
pub const NAME: &str = "spot";
/// What it does not take.
const NEEDS: &str =
    "costs other than squared Euclidean, Euclidean and city-block distances of points";
/// η of the first step, over the cost's Lipschitz constant.
const FIRST_ETA: f64 = 0.5;

/// SPOT between point clouds.
///
/// Numbers are f32 inside. Time: a step of b samples and two networks of h hidden units takes about 24·b·h² flops and as much
/// again for each step of the critics; a check O((n + m)²·dim). Memory O(n + m) beside the cost and the networks.
///
/// The generator has a density and the points have none: a plan between n points is as good as n allows the generator to follow
/// them, and its bracket says how good that is. What it is for is the opposite case: distributions that can only be drawn from
/// ([`Spot`]).
#[derive(Debug, Clone, Default)]
pub struct SpotSolver {
    settings: Settings,
}

impl SpotSolver {
    /// With checked settings.
    ///
    /// # Errors
    /// A setting outside of its range.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { settings })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn points<'a>(&self, problem: &'a Problem) -> Result<&'a PointCost, Error> {
        match problem.cost().kind() {
            CostKind::Points(points)
                if matches!(
                    points.ground(),
                    Ground::SqEuclidean | Ground::Euclidean | Ground::Cityblock
                ) =>
            {
                Ok(points)
            }
            _ => Err(Error::unsupported(NAME, NEEDS)),
        }
    }

    fn run(&self, problem: &Problem, context: &Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.accepts(problem)?;
        check_feasible(problem)?;
        let cost = self.points(problem)?;
        let frame = Frame::new(cost);
        let Some((joint, lipschitz, unit)) = frame.cost(cost.ground()) else {
            return Err(Error::unsupported(NAME, NEEDS));
        };
        let x = Cloud::new(cost.x(), problem.a(), &frame);
        let y = Cloud::new(cost.y(), problem.b(), &frame);
        let set = &self.settings;
        let failed = |error: crate::Error| Error::Backend {
            solver: NAME.to_owned(),
            message: error.to_string(),
        };
        let mut spot = self.training(&x, &y, joint, lipschitz).map_err(failed)?;
        let spread = problem.cost().range().spread();
        let unit_of_gap = if spread > 0.0 {
            problem.mass() * spread
        } else {
            1.0
        };
        let mut best = Best::default();
        let mut history = Vec::new();
        let mut looked = 0;
        let mut pace = Pace::new(context.deadline());
        let look = |spot: &Spot<f32>, best: &mut Best| {
            let looking = best.look(problem, spot, (&x, &y), unit, set.seed, context);
            looking.map_err(failed)
        };
        let termination = loop {
            if let Some(termination) = context.interrupted() {
                break termination;
            }
            match spot.step() {
                Ok(_) => {}
                Err(crate::Error::Diverged { .. }) => break Termination::NumericalFailure,
                Err(error) => return Err(failed(error)),
            }
            let last = spot.steps() >= spot.settings().steps;
            let early = pace.is_first_look(spot.steps());
            if !spot.steps().is_multiple_of(set.check_every) && !last && !early {
                continue;
            }
            pace.looks(spot.steps());
            look(&spot, &mut best)?;
            looked = spot.steps();
            if let Some(steps) = pace.looked(set) {
                spot.end_after(steps);
            }
            let error = best.gap() / unit_of_gap;
            let elapsed = started.elapsed();
            if context.keep_history {
                history.push(Check {
                    iteration: looked,
                    error,
                    elapsed,
                });
            }
            let progress = Progress {
                problem: context.problem_index,
                iteration: looked,
                part: None,
                error,
                tol: set.tol,
                certificate: None,
                elapsed,
            };
            if let Some(termination) = context.check(&progress) {
                break termination;
            }
            if error <= set.tol {
                break Termination::Converged;
            }
            if last && spot.steps() < set.max_iter {
                // The schedule was cut to what the deadline allows.
                break Termination::TimeLimit;
            }
            if last {
                break Termination::IterationLimit;
            }
        };
        // What was stopped has an answer, too.
        if looked == 0 {
            look(&spot, &mut best)?;
        }
        let (n, m) = problem.shape();
        let plan = match best.plan {
            Some((_, plan)) => plan,
            None => SparsePlan::from_triples(n, m, Vec::new())?,
        };
        let potentials = best.potentials.map(|(_, potentials)| potentials);
        let outcome = Outcome {
            plan: Plan::from(plan),
            potentials: potentials.unwrap_or_else(|| Potentials::new(vec![0.0; n], vec![0.0; m])),
            reg: 0.0,
            termination,
            iterations: Some(spot.steps()),
            history,
            certificate: None,
        };
        let solution = Solution::assemble(NAME, problem, outcome, started, context);
        Ok(solution.judged_by_certificate(problem, set.tol))
    }

    fn training(
        &self,
        x: &Cloud,
        y: &Cloud,
        cost: Arc<dyn JointCost<f32>>,
        lipschitz: f64,
    ) -> Result<Spot<f32>, crate::Error> {
        let set = &self.settings;
        let settings = SpotSettings {
            eta: set.eta * lipschitz,
            first_eta: FIRST_ETA.min(set.eta) * lipschitz,
            steps: set.max_iter,
            critic_steps: set.critic_steps,
            batch: set.batch,
            rate: set.rate,
            seed: set.seed,
            ..SpotSettings::default()
        };
        let samplers = vec![x.sampler()?, y.sampler()?];
        Spot::with_perceptrons(samplers, cost, (set.hidden, 2), settings)
    }
}

/// How fast a training goes, so that its schedule of η and rates is over before its deadline.
struct Pace {
    deadline: Option<Instant>,
    /// When the first step was begun; steps at the last look, and when it was begun.
    begun: Instant,
    look: (u64, Instant),
    /// In looks, so far.
    looking: Duration,
}

impl Pace {
    /// Steps before the first look where there is a deadline. By then caches are warm.
    const STEPS: u64 = 50;
    /// The part of the time until the deadline that is planned for.
    const PLANNED: f64 = 0.9;

    fn new(deadline: Option<Instant>) -> Self {
        let now = Instant::now();
        Self {
            deadline,
            begun: now,
            look: (0, now),
            looking: Duration::ZERO,
        }
    }

    /// Whether it is time to see how fast it goes. There is a plan then, whatever comes.
    fn is_first_look(&self, steps: u64) -> bool {
        self.deadline.is_some() && self.look.0 == 0 && steps == Self::STEPS
    }

    fn looks(&mut self, steps: u64) {
        self.look = (steps, Instant::now());
    }

    /// After how many steps the training should end, once a look is over; `None` without a deadline.
    fn looked(&mut self, set: &Settings) -> Option<u64> {
        let (steps, begun) = self.look;
        let (now, deadline) = (Instant::now(), self.deadline?);
        let look = now.duration_since(begun);
        let stepping = begun
            .duration_since(self.begun)
            .saturating_sub(self.looking);
        self.looking += look;
        let step =
            stepping.as_secs_f64() / steps as f64 + look.as_secs_f64() / set.check_every as f64;
        let left = Self::PLANNED * deadline.saturating_duration_since(now).as_secs_f64();
        // The last look is planned for, too.
        let more = ((left - look.as_secs_f64()) / step.max(f64::MIN_POSITIVE)).max(1.0);
        Some(steps.saturating_add(more as u64).min(set.max_iter))
    }
}

impl Solver for SpotSolver {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Balanced,
            Capability::LazyCost,
            Capability::Interruptible,
            Capability::Deterministic,
        ])
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Error> {
        self.capabilities().require(NAME, problem)?;
        self.points(problem).map(|_| ())
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        self.run(problem, context)
    }
}
