//! The solver of discrete problems: a training between the points as distributions, rounded to a plan, with potentials from
//! the critics and therefore a bracket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use solver_api::{
    Capabilities, Capability, Check, Context, CostKind, Error, Ground, Outcome, Plan, PointCost,
    Potentials, Problem, Progress, Solution, Solver, SparsePlan, Termination, check_feasible,
};

use crate::best::{Best, Depth};
use crate::cloud::{Cloud, Frame};
use crate::{JointCost, SMALLEST_TOL, Settings, Spot, SpotSettings};

/// The backend's name.
pub const NAME: &str = "spot";
/// What it does not take.
const NEEDS: &str =
    "costs other than squared Euclidean, Euclidean and city-block distances of points";
/// Up to this width the rate is the one that is set; from there on it falls as one over the width.
const NARROW: f64 = 32.0;
/// η of the first step, over the cost's Lipschitz constant.
const FIRST_ETA: f64 = 0.5;

/// SPOT between point clouds.
///
/// Numbers are f32 inside. Time: a step of b samples and two networks of h hidden units takes about 24·b·h² flops and as much
/// again for each step of the critics; a check at most O((n + m)²·dim). Memory: 20 to 320 pairs of places a point for the plan,
/// beside the points, and the networks with batches of b·h numbers; no array of n·m.
///
/// Two solves of one seed are the same to the bit, unless a deadline cuts the schedule: it then ends where the time allows.
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

    /// [`Solver::solve_with`], and the part of the plan's mass that no pair of the generator carries: the north-west corner sends
    /// it. The last look draws up to 16 times as many samples to have it under 0.05; where it is more, the clouds hold more points
    /// than pairs were drawn, or the generator is not where they are, and the plan's cost says little of the training.
    ///
    /// # Errors
    /// As [`Solver::solve_with`].
    pub fn solve_counted(
        &self,
        problem: &Problem,
        context: &mut Context,
    ) -> Result<(Solution, f64), Error> {
        self.run(problem, context)
    }

    fn run(&self, problem: &Problem, context: &Context) -> Result<(Solution, f64), Error> {
        let started = Instant::now();
        self.accepts(problem)?;
        check_feasible(problem)?;
        let cost = self.points(problem)?;
        let frame = Frame::new(cost, (problem.a(), problem.b()));
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
        // Where the cost is next to nothing, beside what it is between the ends of the clouds, no tolerance is relative to it.
        let least = SMALLEST_TOL * problem.mass() * frame.largest(cost.ground());
        let mut best = Best::default();
        let mut history = Vec::new();
        let mut looked = 0;
        let mut pace = context.deadline().map(Pace::new);
        let look = |spot: &Spot<f32>, best: &mut Best, depth| {
            let of = (problem, spot, (&x, &y), unit);
            best.look(of, depth, set.seed, context).map_err(failed)
        };
        let termination = loop {
            if let Some(termination) = context.interrupted() {
                break termination;
            }
            match spot.step_unless(&|| context.interrupted().is_some()) {
                Ok(Some(_)) => {}
                // What has been stopped goes no further.
                Ok(None) => continue,
                Err(crate::Error::Diverged { .. }) => break Termination::NumericalFailure,
                Err(error) => return Err(failed(error)),
            }
            let last = spot.steps() >= spot.settings().steps;
            let planned = pace
                .as_ref()
                .is_some_and(|pace| pace.plans_at(spot.steps()));
            if !spot.steps().is_multiple_of(set.check_every) && !last && !planned {
                continue;
            }
            let begun = Instant::now();
            let depth = match (last, &pace) {
                (true, _) => Depth::Full,
                (_, Some(_)) => Depth::Brief,
                _ => Depth::Plain,
            };
            look(&spot, &mut best, depth)?;
            looked = spot.steps();
            if let Some(pace) = &mut pace {
                pace.looking += begun.elapsed();
                if planned && !last {
                    spot.end_after(pace.plan(spot.steps(), begun.elapsed(), set));
                }
            }
            // A gap of 0 is one of 0, whatever the cost.
            let error = match best.gap() {
                0.0 => 0.0,
                gap => gap / best.upper().max(least / set.tol),
            };
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
        // What was stopped has an answer, too, and one of all its steps.
        let stopped = matches!(termination, Termination::TimeLimit | Termination::Cancelled);
        if looked == 0 || (stopped && looked < spot.steps()) {
            look(&spot, &mut best, Depth::Brief)?;
        }
        let (n, m) = problem.shape();
        let (plan, remainder) = match best.plan {
            Some(best) => (best.plan, best.remainder),
            None => (SparsePlan::from_triples(n, m, Vec::new())?, 1.0),
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
        let judged = solution.judged_by_certificate(|bracket| {
            bracket.gap() <= (set.tol * bracket.upper.abs()).max(least)
        });
        Ok((judged, remainder))
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
            // Adam moves what a layer says by its rate times the units that it sums over.
            rate: set.rate * (NARROW / set.hidden as f64).min(1.0),
            seed: set.seed,
            ..SpotSettings::default()
        };
        let samplers = vec![x.sampler()?, y.sampler()?];
        Spot::with_perceptrons(samplers, cost, (set.hidden, 2), settings)
    }
}

/// How fast a training goes, so that its schedule of η and rates is over before its deadline.
struct Pace {
    deadline: Instant,
    /// When the first step was begun.
    begun: Instant,
    /// In looks, so far.
    looking: Duration,
    /// At which step the end is planned next. Twice is enough, and η never falls.
    next: Option<u64>,
}

impl Pace {
    /// Steps before the first plan. By then caches are warm.
    const STEPS: u64 = 50;
    /// The part of the time until the deadline that is planned for.
    const PLANNED: f64 = 0.9;
    /// The last look, which draws more, as a multiple of the first.
    const LAST_LOOK: f64 = 4.0;

    fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            begun: Instant::now(),
            looking: Duration::ZERO,
            next: Some(Self::STEPS),
        }
    }

    fn plans_at(&self, steps: u64) -> bool {
        self.next == Some(steps)
    }

    /// After how many steps in all the training should end: `steps` are done, and a look has just taken `look`.
    fn plan(&mut self, steps: u64, look: Duration, set: &Settings) -> u64 {
        let now = Instant::now();
        let stepping = now.duration_since(self.begun).saturating_sub(self.looking);
        let left = self.deadline.saturating_duration_since(now);
        let end = planned_end(
            steps,
            [stepping, look, left].map(|t| t.as_secs_f64()),
            set.check_every,
        );
        let end = end.min(set.max_iter);
        self.next = (steps == Self::STEPS && end / 2 > steps).then_some(end / 2);
        end
    }
}

/// Steps in all, from those done, the seconds that they took, those of a look, and those that are left.
fn planned_end(steps: u64, [stepping, look, left]: [f64; 3], check_every: u64) -> u64 {
    let each = stepping / steps as f64 + look / check_every as f64;
    let usable = Pace::PLANNED * left - Pace::LAST_LOOK * look;
    let more = (usable / each.max(f64::MIN_POSITIVE)).max(1.0);
    steps.saturating_add(more as u64)
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
        self.run(problem, context).map(|(solution, _)| solution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 50 steps of 1 ms each; looks of 10 ms every 100 steps make that 1.1 ms.
    #[test]
    fn plans_end_in_time() {
        let times = |left: f64| [0.05, 0.01, left];
        let end = planned_end(50, times(2.0), 100);
        let planned = (0.9 * 2.0 - 0.04) / 0.0011;
        assert!((end as f64 - 50.0 - planned).abs() <= 1.0, "{end}");
        // Whatever is left, there is one more step, and no overflow.
        assert_eq!(planned_end(50, times(0.0), 100), 51);
        assert_eq!(planned_end(50, [0.0, 0.0, f64::MAX], 100), u64::MAX);
    }
}
