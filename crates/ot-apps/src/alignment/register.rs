//! Plan, map, plan: one measure is moved towards others until the value stops falling.

use std::sync::Arc;

use solver_api::{
    Batch, Capability, Context, DenseCost, Ground, Measure, PointCost, Problem, Solution, Solver,
};

use super::moments::{self, PlanMoments};
use super::{AffineMap, Alignment, Linear};
use crate::Error;
use crate::error::require;
use crate::retrieval::Score;
use crate::transport::checked;

/// Maps that move no point of the measures by more than this part of their extent are the same.
const SAME: f64 = 1e-9;

/// A measure on points of the plane.
pub(super) struct Cloud {
    pub(super) weights: Measure,
    pub(super) points: Vec<[f64; 2]>,
}

impl Cloud {
    /// Checked: a point for each weight. Weights of zero are left out.
    pub(super) fn new(
        argument: &'static str,
        weights: &Measure,
        points: &[[f64; 2]],
    ) -> Result<Self, Error> {
        if points.len() != weights.len() {
            return Err(Error::Shape {
                argument,
                found: points.len(),
                expected: format!("there are {} weights: one point each", weights.len()),
            });
        }
        moments::finite(argument, points)?;
        let with_mass = || {
            let pairs = weights.weights().iter().zip(points);
            pairs.filter(|(w, _)| **w > 0.0)
        };
        Ok(Self {
            weights: Measure::named(argument, with_mass().map(|p| *p.0).collect::<Vec<_>>())?
                .normalized(),
            points: with_mass().map(|p| *p.1).collect(),
        })
    }

    fn mean(&self) -> [f64; 2] {
        moments::mean(self.weights.weights(), &self.points)
    }

    /// How far its points are from the origin.
    fn reach(&self) -> f64 {
        let far = self.points.iter().flatten();
        far.fold(0.0, |most: f64, v| most.max(v.abs()))
    }
}

/// What [`Alignment::register`] found.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The map from x towards y.
    pub map: AffineMap,
    /// The score of the moved measure, at mass 1.
    pub score: f64,
    /// The ε of the score's solve, 0 for an exact one: scores at different ones are no measure of each other.
    pub reg: f64,
    /// Solves that it took.
    pub solves: usize,
    /// How many of them ended short of the solver's tolerance.
    pub unconverged: usize,
}

/// Where one target stands.
struct State {
    map: AffineMap,
    /// The value at `map`, once it is known, and the ε that it was found with.
    value: f64,
    reg: f64,
    solution: Option<Solution>,
    settled: bool,
    solves: usize,
    unconverged: usize,
}

/// The solver, and what is asked of it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) solver: &'a dyn Solver,
    pub(super) ground: &'a Ground,
    pub(super) score: Score,
}

impl Alignment<'_> {
    /// Moves the measure `a` on the points `x` towards `b` on `y`, (row, column) each, and scores it there by `solver` at
    /// the cost `ground`. Weights are normalized to mass 1. Needs [`Capability::Balanced`].
    ///
    /// With a translation it starts where the centres of mass agree, for which no plan is needed. Then, at most `rounds`
    /// times: the plan at the present map, and the map that fits x (as it was given) to y by that plan. A round that
    /// raises the value of its plan is taken back; the last fit is scored without a plan of its own where plans are not
    /// those of the scores. It takes rounds + 1 solves at most, one for [`Linear::Fixed`], and the memory of a dense cost,
    /// n·m of the weights that are not zero.
    ///
    /// # Errors
    /// A solver without the capability, other numbers of points than of weights, points that are no numbers, what the
    /// ground cost and the solver refuse, and a solve that was stopped or whose numbers failed.
    pub fn register(
        &self,
        solver: &dyn Solver,
        ground: &Ground,
        score: Score,
        (a, x): (&Measure, &[[f64; 2]]),
        (b, y): (&Measure, &[[f64; 2]]),
        context: &mut Context,
    ) -> Result<Registered, Error> {
        require(solver, Capability::Balanced)?;
        let (source, target) = (Cloud::new("x", a, x)?, [Cloud::new("y", b, y)?]);
        let asked = Asked {
            solver,
            ground,
            score,
        };
        let mut all = self.register_all(&asked, &source, &target, context)?;
        all.pop().ok_or(Error::Shape {
            argument: "y",
            found: 0,
            expected: "there is one target".to_owned(),
        })
    }

    /// [`Alignment::register`] towards each of `targets`, one batch for all of them in each round.
    pub(super) fn register_all(
        &self,
        asked: &Asked<'_>,
        source: &Cloud,
        targets: &[Cloud],
        context: &mut Context,
    ) -> Result<Vec<Registered>, Error> {
        let set = &self.settings;
        let start = |target: &Cloud| State {
            map: if set.translation {
                let (from, to) = (source.mean(), target.mean());
                AffineMap::translation(to[0] - from[0], to[1] - from[1])
            } else {
                AffineMap::IDENTITY
            },
            value: f64::INFINITY,
            reg: 0.0,
            solution: None,
            settled: set.linear == Linear::Fixed,
            solves: 0,
            unconverged: 0,
        };
        let mut states: Vec<State> = targets.iter().map(start).collect();
        // Where plans are not those of the scores, the score is asked for at the end.
        let apart = set.plan_ground.is_some() || self.plans.is_some();
        let plans = Asked {
            solver: self.plans.unwrap_or(asked.solver),
            ground: set.plan_ground.as_ref().unwrap_or(asked.ground),
            ..*asked
        };
        let wanted = |s: &State| (!apart || !s.settled).then_some(s.map);
        let first: Vec<_> = states.iter().map(wanted).collect();
        plans.solve(source, targets, &first, &mut states, context)?;
        for round in 1..=set.rounds {
            let next = self.next(source, targets, &mut states)?;
            if apart && round == set.rounds {
                for (state, next) in states.iter_mut().zip(next) {
                    state.map = next.unwrap_or(state.map);
                }
                break;
            }
            plans.solve(source, targets, &next, &mut states, context)?;
        }
        if apart {
            states.iter_mut().for_each(|s| s.value = f64::INFINITY);
            let last: Vec<_> = states.iter().map(|s| Some(s.map)).collect();
            asked.solve(source, targets, &last, &mut states, context)?;
        }
        Ok(states.into_iter().map(State::registered).collect())
    }

    /// The fit to each plan; none where all is settled, or where the fit is the map that the plan was solved at.
    fn next(
        &self,
        source: &Cloud,
        targets: &[Cloud],
        states: &mut [State],
    ) -> Result<Vec<Option<AffineMap>>, Error> {
        let reach = source.reach();
        let mut next = Vec::with_capacity(states.len());
        for (state, target) in states.iter_mut().zip(targets) {
            let plan = state.solution.as_ref().map(|s| &s.plan);
            let Some(plan) = plan.filter(|_| !state.settled) else {
                next.push(None);
                continue;
            };
            let map = self.fit(&PlanMoments::of(plan, &source.points, &target.points)?);
            state.settled = map.differs(&state.map, reach) <= SAME * (1.0 + reach);
            next.push((!state.settled).then_some(map));
        }
        Ok(next)
    }
}

impl Asked<'_> {
    /// Tries `maps`, one batch for all: a map that lowers the value is kept with its plan; one that does not ends it.
    fn solve(
        &self,
        source: &Cloud,
        targets: &[Cloud],
        maps: &[Option<AffineMap>],
        states: &mut [State],
        context: &mut Context,
    ) -> Result<(), Error> {
        let tried = || (0..maps.len()).filter_map(|k| Some((k, maps[k]?)));
        let problem = |(k, map)| self.problem(source, &targets[k], &map);
        let problems: Vec<_> = tried().map(problem).collect::<Result<_, Error>>()?;
        if problems.is_empty() {
            return Ok(());
        }
        let batch = Batch::Separate(problems);
        let solutions = self.solver.solve_batch(&batch, context);
        for ((k, map), solution) in tried().zip(solutions) {
            let (state, solution) = (&mut states[k], checked(solution?)?);
            state.solves += 1;
            state.unconverged += usize::from(!solution.convergence.converged());
            let value = match self.score {
                Score::TransportCost => solution.transport_cost,
                Score::Objective => solution.objective,
            };
            if value < state.value {
                (state.map, state.value, state.reg) = (map, value, solution.reg);
                state.solution = Some(solution);
            } else {
                state.settled = true;
            }
        }
        Ok(())
    }

    fn problem(&self, source: &Cloud, target: &Cloud, map: &AffineMap) -> Result<Problem, Error> {
        let moved: Vec<f64> = source.points.iter().flat_map(|&x| map.apply(x)).collect();
        let fixed: Vec<f64> = target.points.as_flattened().to_vec();
        let cost = PointCost::new(moved, fixed, 2, self.ground.clone())?;
        let cost = Arc::new(DenseCost::materialize(&cost)?);
        Ok(Problem::new(
            source.weights.clone(),
            target.weights.clone(),
            cost,
        )?)
    }
}

impl State {
    fn registered(self) -> Registered {
        Registered {
            map: self.map,
            score: self.value,
            reg: self.reg,
            solves: self.solves,
            unconverged: self.unconverged,
        }
    }
}
