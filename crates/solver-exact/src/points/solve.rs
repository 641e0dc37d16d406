//! From a problem of `solver-api` to the engine's clouds, and from its basis to a solution.

use std::time::{Duration, Instant};

use solver_api::{
    Capabilities, Capability, Certificate, Check as HistoryEntry, Context, CostKind, Error, Ground,
    Outcome, Plan, PointCost, Potentials, Problem, Progress, Solution, Solver, SparsePlan,
    Termination,
};

use super::engine::{COARSEST, Instance, solve};
use super::side::{Side, between_points};
use super::tariff::Tariff;
use super::watch::Stage;
use super::{NAME, Settings};
use crate::network_simplex::pricing::Status;

/// What it lacks for other costs.
const NEEDS: &str = "costs that do not grow with a distance between points";

/// Exact optimal transport between point clouds without an n×m array: plan, potentials and a certificate. The cost is the squared
/// Euclidean distance, or any other that grows with a distance ([`Ground::is_increasing`]).
///
/// Time, two clouds of n random points in the plane with random weights, one thread: about n^1.15, 100 000 points in 5 s
/// (`cargo run --release -p solver-exact --example points -- 100000 2 random`). In many dimensions trees prune less and
/// less, and lists cost O(n·m·d). Memory about 1.6 KB a point.
///
/// The certificate is a sweep over all pairs by trees that leave out only what a bound excludes.
///
/// Sources: the network simplex of this crate (Cunningham, 1976); Mérigot, *A multiscale approach to optimal transport*
/// (2011) and Schmitzer, *A sparse multiscale algorithm for dense optimal transport* (2016) for the idea of levels; the
/// entropic semi-dual of Cuturi and Peyré (2018).
#[derive(Debug, Clone, Default)]
pub struct ExactPoints {
    settings: Settings,
}

impl ExactPoints {
    /// A solver with these settings, checked.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            settings: settings.checked_for(NAME)?,
        })
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

fn points_of(problem: &Problem) -> Result<&PointCost, Error> {
    match problem.cost().kind() {
        CostKind::Points(points) if points.ground().is_increasing() => Ok(points),
        _ => Err(Error::unsupported(NAME, NEEDS)),
    }
}

/// From the engine's coordinates back to the caller's.
struct Back {
    /// The engine's units in one of the caller's, along each axis and for each side: x is stretched where y is squeezed.
    of_x: Vec<f64>,
    of_y: Vec<f64>,
    /// Both without the stretching.
    scale: f64,
    /// The engine's costs in one of the caller's, over `scale`.
    again: f64,
    /// The difference of the means, and half its square.
    apart: Vec<f64>,
    half: f64,
    /// What the engine takes off each cost, in its units.
    base: f64,
}

impl Back {
    /// A potential of a point of the first side (`sign` 1) or the second (−1). With x' = Sx and y' = S⁻¹y the products ⟨x', y'⟩ are
    /// those of x and y, so that ‖x − y‖² = ‖x' − y'‖² + (‖x‖² − ‖x'‖²) + (‖y‖² − ‖y'‖²).
    fn potential(&self, value: f64, point: &[f64], sign: f64) -> f64 {
        let factors = if sign > 0.0 { &self.of_x } else { &self.of_y };
        let mut own = 0.0;
        for ((p, by), apart) in point.iter().zip(factors).zip(&self.apart) {
            let (x, stretched) = (p / by, p / self.scale);
            own += (x - stretched) * (x + stretched) + sign * 2.0 * x * apart;
        }
        let value = if sign > 0.0 { value + self.base } else { value };
        value / self.scale / self.again + (own + self.half)
    }
}

/// By how much the cost of a plan as the engine adds it up may differ from the problem's own sum.
const ROUNDING: f64 = 1e-12;
/// Coordinates between which squares of differences are normal numbers, where points cannot be brought there.
const SMALLEST: f64 = 1e-130;
const LARGEST: f64 = 1e150;
/// In largest coordinates of points of mass: how far those of weight zero may be to have their potentials by trees.
const FAR: f64 = 1e6;
const OUT_OF_RANGE: &str = "functions of a distance between points whose largest coordinate is not between 1e-130 and 1e150";

/// A power of two that brings `extent` near 1.
fn unit(extent: f64) -> f64 {
    if extent > 0.0 {
        (-extent.log2().floor().clamp(-1000.0, 1000.0)).exp2()
    } else {
        1.0
    }
}

/// Powers of two, no digit is lost, by which to stretch the axes of x, and to squeeze those of y, so that both spread alike:
/// then the optimal map is near the identity, potentials are flat, and what is near is near in reduced cost too. (Two thin
/// clouds at right angles, 5000 points: without it lists hold no plan at all.)
fn stretching(x: &Side, y: &Side) -> Vec<f64> {
    const MOST: f64 = 30.0;
    let ratio = 2.0 * (y.extent() / x.extent()).log2();
    let spreads = x.spread().into_iter().zip(y.spread());
    let by = spreads.map(|(x, y)| {
        let power = (0.25 * (ratio + (y / x).log2())).round();
        if power.is_finite() {
            power.clamp(-MOST, MOST).exp2()
        } else {
            1.0
        }
    });
    by.collect()
}

impl Solver for ExactPoints {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Balanced,
            Capability::Exact,
            Capability::LazyCost,
            Capability::Interruptible,
            Capability::Deterministic,
        ])
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Error> {
        self.capabilities().require(NAME, problem)?;
        points_of(problem).map(|_| ())
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(NAME, problem)?;
        let cost = points_of(problem)?;
        let (n, m) = problem.shape();
        let dim = cost.dim();
        let ground = cost.ground();
        let squares = matches!(ground, Ground::SqEuclidean);
        let mut x = Side::of(cost.x(), dim, problem.a().weights(), squares);
        let mut y = Side::of(cost.y(), dim, problem.b().weights(), squares);
        let mut of_x = match squares {
            true => stretching(&x, &y),
            false => vec![1.0; dim],
        };
        let mut of_y: Vec<f64> = of_x.iter().map(|by| 1.0 / by).collect();
        x.stretch(&of_x);
        y.stretch(&of_y);
        let extent = x.extent().max(y.extent());
        // A distance grows with its points; a function of one has units of its own.
        let scale = if ground.is_metric() {
            unit(extent)
        } else {
            1.0
        };
        if !ground.is_metric() && extent > 0.0 && !(SMALLEST..LARGEST).contains(&extent) {
            return Err(Error::unsupported(NAME, OUT_OF_RANGE));
        }
        let again = if squares { scale } else { 1.0 };
        for side in [&mut x, &mut y] {
            side.stretch(&vec![scale; dim]);
        }
        of_x.iter_mut().chain(&mut of_y).for_each(|by| *by *= scale);
        let apart: Vec<f64> = x.mean.iter().zip(&y.mean).map(|(x, y)| x - y).collect();
        let half = 0.5 * apart.iter().map(|d| d * d).sum::<f64>();
        let tariff = Tariff::between(ground, &x.points, &y.points, dim);
        let back = Back {
            of_x,
            of_y,
            scale,
            again,
            apart,
            half,
            base: tariff.base,
        };
        // What both ends of a bracket miss: the same for every plan and for all potentials.
        let rest = |side: &Side, sign: f64| -> f64 {
            let points = side.points.chunks_exact(dim).zip(&side.weights);
            points.map(|(x, w)| w * back.potential(0.0, x, sign)).sum()
        };
        let rest = rest(&x, 1.0) + rest(&y, -1.0);
        let whole = |v: f64| v / scale / again + rest;
        // Where they are that far away, a pass over all pairs is asked.
        let far = FAR * scale * extent;
        let near = |side: &Side| side.idle_points.iter().all(|x| x.abs() <= far);
        let extended = near(&x) && near(&y);
        let instance = Instance {
            idle: match extended {
                true => [&x.idle_points, &y.idle_points],
                false => [&[], &[]],
            },
            x: &x.points,
            y: &y.points,
            dim,
            tariff: &tariff,
            a: &x.weights,
            b: &y.weights,
            max_pivots: self.settings.max_iter.unwrap_or(u64::MAX),
            coarsest: COARSEST,
        };
        let (mut stopped, mut history) = (None, Vec::new());
        let mut check = |stage: &Stage| {
            let bracket = stage.bracket.filter(|b| b.0 > f64::NEG_INFINITY);
            let certificate = bracket.map(|(lower, upper)| Certificate {
                lower: whole(lower),
                upper: whole(upper),
            });
            let error = certificate.map_or(f64::INFINITY, |c| c.relative_gap(problem));
            let elapsed = started.elapsed();
            if context.keep_history {
                history.push(HistoryEntry {
                    iteration: stage.steps,
                    error,
                    elapsed,
                });
            }
            stopped = context.check(&Progress {
                problem: context.problem_index,
                iteration: stage.steps,
                part: None,
                error,
                tol: self.settings.tol,
                certificate,
                elapsed,
            });
            stopped.is_none()
        };
        let answer = context.install(|| solve(&instance, &mut check));
        let mut potentials = Potentials::new(vec![0.0; n], vec![0.0; m]);
        let all = |side: &Side, found: &[f64], sign: f64, out: &mut [f64]| {
            let points = side.points.chunks_exact(dim).zip(found);
            for (place, (point, &value)) in points.enumerate() {
                for &k in side.members(place) {
                    out[k as usize] = back.potential(value, point, sign);
                }
            }
        };
        all(&x, &answer.f, 1.0, &mut potentials.f);
        all(&y, &answer.g, -1.0, &mut potentials.g);
        if extended {
            let idle = |side: &Side, found: &[f64], sign: f64, out: &mut [f64]| {
                let points = side.idle_points.chunks_exact(dim).zip(found);
                for (&k, (point, &value)) in side.idle.iter().zip(points) {
                    out[k as usize] = back.potential(value, point, sign);
                }
            };
            idle(&x, &answer.idle[0], 1.0, &mut potentials.f);
            idle(&y, &answer.idle[1], -1.0, &mut potentials.g);
        }
        let triples = between_points(&answer.plan, &x, &y);
        let plan = Plan::Sparse(SparsePlan::from_triples(n, m, triples)?);
        let bracket = Certificate {
            lower: whole(answer.lower),
            upper: whole(answer.upper),
        };
        let mut termination = match answer.status {
            Status::Optimal => Termination::Optimal,
            Status::IterationLimit => Termination::IterationLimit,
            Status::Stopped => stopped.unwrap_or(Termination::Cancelled),
            // Costs are finite: nothing comes here.
            Status::Infeasible => Termination::NumericalFailure,
        };
        if termination == Termination::Optimal && bracket.relative_gap(problem) > self.settings.tol
        {
            termination = Termination::Stalled;
        }
        let outcome = Outcome {
            plan,
            potentials,
            reg: 0.0,
            termination,
            iterations: Some(answer.pivots),
            history,
            // The last sweep is part of the solve, whether anybody asked for a proof or not.
            certificate: Some((bracket, Duration::ZERO)),
        };
        let assemble = match extended {
            true => Solution::assemble_extended,
            false => Solution::assemble,
        };
        let mut solution =
            assemble(NAME, problem, outcome, started, context).with_phases(answer.phases);
        // The engine has distances of its own. Where they say something else than the problem's cost, the proof is of another problem.
        let off = (solution.transport_cost - bracket.upper).abs();
        let rounding = ROUNDING * bracket.upper.abs();
        if solution.convergence.termination == Termination::Optimal
            && off > rounding + self.settings.tol * problem.mass() * problem.cost().range().spread()
        {
            solution.convergence.termination = Termination::NumericalFailure;
        }
        Ok(solution)
    }
}
