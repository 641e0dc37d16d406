//! The backend: what the moments of two clouds tell of the transport between them.

use std::time::{Duration, Instant};

use faer::Mat;
use solver_api::{
    Capabilities, Capability, Certificate, Context, Cost, CostKind, Error, Ground, Outcome, Plan,
    PointCost, Potentials, Problem, Solution, Solver, SparsePlan, Termination,
};

use super::coupling::Coupling;
use super::matrix::pseudo_inverse;
use super::{Gaussian, NAME};
use crate::closed::staircase::staircase;
use ot_kernels::order::ascending;

/// Bures–Wasserstein between the moments of two weighted clouds with squared Euclidean costs.
///
/// The closed form is exact for Gaussians, and for clouds of which one is the image of the other under x ↦ A x + c with A
/// symmetric and positive; for any others it is a lower bound (Gelbrich 1990). A solution says which:
///
/// | field | is |
/// |---|---|
/// | `objective`, and the certificate's `lower` | the closed form, times the mass |
/// | `plan` | a plan between the points: both clouds in the coordinates in which the Gaussian plan is the identity, sorted along one direction of them; n + m − 1 entries, marginals exact |
/// | `transport_cost`, and the certificate's `upper` | ⟨P, C⟩ of that plan: at or above the optimum |
/// | `potentials` | the quadratic ones of the Gaussians, which prove the closed form as a lower bound |
/// | `termination` | `Converged`: the closed form has been found. How far the samples are from it is the bracket's gap |
///
/// O((n + m)(d² + log(n + m)) + d³) time; no pair of points is looked at that the plan does not use. Any other cost is
/// refused, and `auto` never picks it.
#[derive(Debug, Clone, Copy, Default)]
pub struct GaussianSolver;

impl GaussianSolver {
    fn points(problem: &Problem) -> Result<&PointCost, Error> {
        match problem.cost().kind() {
            CostKind::Points(points) if matches!(points.ground(), Ground::SqEuclidean) => {
                Ok(points)
            }
            _ => {
                let needs = "costs other than squared Euclidean distances between points";
                Err(Error::unsupported(NAME, needs))
            }
        }
    }
}

impl Solver for GaussianSolver {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Balanced,
            Capability::LazyCost,
            Capability::Deterministic,
        ])
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Error> {
        Self::points(problem)?;
        self.capabilities().require(NAME, problem)
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.accepts(problem)?;
        let points = Self::points(problem)?;
        let dim = points.dim();
        let (n, m) = problem.shape();
        let p = Gaussian::of_samples(problem.a(), points.x(), dim)?;
        let q = Gaussian::of_samples(problem.b(), points.y(), dim)?;
        let value = problem.mass() * p.distance_squared(&q)?;
        let common = Coordinates::of(&p, &q)?;
        let triples = plan_between(problem, points, (&p, &q), &common);
        let upper = upper_bound(problem, points, &triples);
        let outcome = Outcome {
            plan: Plan::Sparse(SparsePlan::from_triples(n, m, triples)?),
            potentials: potentials(points, &p, &q, &common),
            reg: 0.0,
            termination: Termination::Converged,
            iterations: None,
            history: Vec::new(),
            certificate: Some((
                Certificate {
                    lower: value,
                    upper,
                },
                Duration::ZERO,
            )),
        };
        let mut solution = Solution::assemble(NAME, problem, outcome, started, context);
        solution.objective = value;
        if let Some(bracket) = &mut solution.certificate {
            // The ends are sums of squares around the means: their rounding is that of the squares.
            let room = 1e-12 * problem.mass() * (p.trace() + q.trace()) + 1e-12 * value;
            *bracket = bracket.ordered(|| room * 1e12);
        }
        Ok(solution)
    }
}

/// Coordinates in which the Gaussian plan is the identity: ξ = WᵀF⁺(x − m) and η = VᵀG⁺(y − n), so that
/// (x − m)ᵀ(y − n) = ξᵀDη.
struct Coordinates {
    source: Mat<f64>,
    target: Mat<f64>,
    d: Vec<f64>,
}

impl Coordinates {
    fn of(p: &Gaussian, q: &Gaussian) -> Result<Self, Error> {
        let coupling = Coupling::of(p, q)?;
        Ok(Self {
            source: coupling.w.transpose() * pseudo_inverse(p.factor.as_ref())?,
            target: coupling.v.transpose() * pseudo_inverse(q.factor.as_ref())?,
            d: coupling.singular,
        })
    }

    /// A number for each point of a cloud: mostly the coordinate in which both vary together most, with a part of all
    /// others, so that clouds with many equal coordinates (a grid) have an order all the same.
    fn along(&self, turn: &Mat<f64>, cloud: &[f64], mean: &[f64]) -> Vec<f64> {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let most = self.d.first().copied().unwrap_or(0.0);
        let part = |k: usize| {
            let share = if most > 0.0 { self.d[k] / most } else { 1.0 };
            share * (1.0 + 0.5 * (GOLDEN * k as f64).fract())
        };
        let row = Mat::from_fn(1, mean.len(), |_, k| part(k)) * turn;
        let project = |x: &[f64]| -> f64 {
            let terms = x.iter().zip(mean).enumerate();
            terms.map(|(k, (x, m))| row[(0, k)] * (x - m)).sum()
        };
        cloud.chunks_exact(mean.len()).map(project).collect()
    }

    /// ‖x − m‖² − ξᵀDξ for each point of a cloud.
    fn quadratic(&self, turn: &Mat<f64>, cloud: &[f64], mean: &[f64]) -> Vec<f64> {
        let dim = mean.len();
        let value = |x: &[f64]| -> f64 {
            let x: Vec<f64> = x.iter().zip(mean).map(|(x, m)| x - m).collect();
            let coordinate = |k: usize| (0..dim).map(|j| turn[(k, j)] * x[j]).sum::<f64>();
            let terms = (0..dim).map(|k| x[k] * x[k] - self.d[k] * coordinate(k).powi(2));
            terms.sum()
        };
        cloud.chunks_exact(dim).map(value).collect()
    }
}

/// The monotone plan along one direction of the common coordinates.
fn plan_between(
    problem: &Problem,
    points: &PointCost,
    (p, q): (&Gaussian, &Gaussian),
    common: &Coordinates,
) -> Vec<(u32, u32, f64)> {
    let at_x = ascending(&common.along(&common.source, points.x(), &p.mean));
    let at_y = ascending(&common.along(&common.target, points.y(), &q.mean));
    let gather =
        |w: &[f64], at: &[u32]| -> Vec<f64> { at.iter().map(|&k| w[k as usize]).collect() };
    let a = gather(problem.a().weights(), &at_x);
    let b = gather(problem.b().weights(), &at_y);
    let mut triples = Vec::with_capacity(a.len() + b.len());
    staircase(&a, &b, |i, j, mass| {
        if mass > 0.0 {
            triples.push((at_x[i], at_y[j], mass));
        }
    });
    triples
}

/// What the plan costs, and what its rounding at most costs to be sent.
fn upper_bound(problem: &Problem, points: &PointCost, triples: &[(u32, u32, f64)]) -> f64 {
    let (mut a, mut b) = (
        problem.a().weights().to_vec(),
        problem.b().weights().to_vec(),
    );
    let mut paid = 0.0;
    for &(i, j, mass) in triples {
        let (i, j) = (i as usize, j as usize);
        paid += mass * points.entry(i, j);
        a[i] -= mass;
        b[j] -= mass;
    }
    let missed: f64 = a.iter().chain(&b).map(|rest| rest.abs()).sum();
    // No pair is farther apart than the corners of the box around both clouds.
    let d = points.dim();
    let far: f64 = (0..d)
        .map(|k| {
            let all = || points.x().iter().chain(points.y()).skip(k).step_by(d);
            let low = all().fold(f64::INFINITY, |t, v| t.min(*v));
            let high = all().fold(f64::NEG_INFINITY, |t, v| t.max(*v));
            (high - low) * (high - low)
        })
        .sum();
    paid + missed * far
}

/// f(x) = ‖x − m‖² − ξᵀDξ + 2 δᵀ(x − m) + ‖δ‖²/2 and its twin g with −δ, where δ = m − n: what is left of
/// ‖x − y‖² − f − g is (ξ − η)ᵀD(ξ − η) ≥ 0. Their means add up to the closed form.
fn potentials(points: &PointCost, p: &Gaussian, q: &Gaussian, common: &Coordinates) -> Potentials {
    let delta: Vec<f64> = p.mean.iter().zip(&q.mean).map(|(m, n)| m - n).collect();
    let half = 0.5 * delta.iter().map(|v| v * v).sum::<f64>();
    let side = |turn: &Mat<f64>, cloud: &[f64], mean: &[f64], sign: f64| -> Vec<f64> {
        let mut values = common.quadratic(turn, cloud, mean);
        for (value, x) in values.iter_mut().zip(cloud.chunks_exact(mean.len())) {
            let terms = delta.iter().zip(x).zip(mean);
            *value += half + sign * 2.0 * terms.map(|((d, x), m)| d * (x - m)).sum::<f64>();
        }
        values
    };
    Potentials::new(
        side(&common.source, points.x(), &p.mean, 1.0),
        side(&common.target, points.y(), &q.mean, -1.0),
    )
}
