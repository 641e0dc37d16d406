//! Barycenters whose support moves: the best k points for squared distances, by any solver.
//!
//! Given plans P_k from the atoms x (weights b) to the clouds, the mean cost is least where each atom is the mean, over the
//! clouds, of where its mass goes: x_i ← Σ_k λ_k Σ_j (P_k)_ij y_kj / b_i. Plans and atoms are taken in turns; with an exact
//! solver the mean cost never rises. Weights, if they are to be found as well, go down the mean of the plans' potentials f_k,
//! which is the gradient of the mean cost by b, by a mirror step of the same round.
//!
//! Sources: Cuturi and Doucet, *Fast computation of Wasserstein barycenters* (2014), algorithm 2, with θ = 1; Álvarez-Esteban,
//! del Barrio, Cuesta-Albertos and Matrán, *A fixed-point approach to barycenters in Wasserstein space* (2016).

use std::collections::HashSet;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Capability, Context, Convergence, Ground, Measure, PointCost, Problem, Solver};

use super::cloud::{Cloud, check_numbers};
use super::inputs::check_lambda;
use super::solves::Solves;
use crate::Error;
use crate::drive::{Limits, Step, drive};
use crate::error::require;

/// More points than that are a slip, and no plan between them and a cloud is solved for in hours.
const MOST_ATOMS: usize = 1_000_000;
/// Draws of a place for an atom, until it is one that is free.
const DRAWS: usize = 64;

/// What can be set of [`FreeSupport`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreeSupportSettings {
    /// Points of the barycenter, a million at most.
    pub atoms: usize,
    /// Whether their weights are found as well; else they are equal, or those given. Default: off.
    pub weights: bool,
    /// How far the atoms may still move in a round, root mean square, over the like of the clouds' distances from their
    /// mean; where weights are found, also how much of them, L1. Default: 1e-5. With an exact solver they come to rest.
    pub tol: f64,
    /// Rounds at most. Default: 100.
    pub max_iter: u64,
    /// Starts, of which the one of the least mean cost is kept. Default: 1.
    pub starts: usize,
}

impl FreeSupportSettings {
    /// The defaults for `atoms` points.
    #[must_use]
    pub fn new(atoms: usize) -> Self {
        Self {
            atoms,
            weights: false,
            tol: 1e-5,
            max_iter: 100,
            starts: 1,
        }
    }
}

/// Barycenters of clouds for the squared Euclidean distance. Needs [`Capability::Balanced`]. A round takes one solve for
/// each cloud, atoms × points, from the potentials of the round before where the solver can start from them.
#[derive(Clone)]
pub struct FreeSupport<'a> {
    solver: &'a dyn Solver,
    settings: FreeSupportSettings,
}

/// Where a barycenter begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The atoms, atoms×dim, row-major.
    pub points: Vec<f64>,
    /// Their weights; equal if there are none.
    pub weights: Option<Measure>,
}

/// A barycenter of a free support.
#[derive(Debug, Clone)]
pub struct FreeBarycenter {
    /// Its points with their weights.
    pub cloud: Cloud,
    /// Σ_k λ_k ⟨P_k, C⟩ of plans from it: those of its last round, priced where the atoms went then. Any best plans cost as
    /// much or less.
    pub mean_cost: f64,
    /// How the rounds went: `target_error` is by how much the atoms moved at last.
    pub convergence: Convergence,
    /// Which start it came from.
    pub start: usize,
    /// The name of the solver.
    pub solver: String,
}

impl<'a> FreeSupport<'a> {
    /// The name in reports and errors.
    pub const NAME: &'static str = "free-support";

    /// With checked settings.
    ///
    /// # Errors
    /// A solver without the capability, and settings outside of their range.
    pub fn new(solver: &'a dyn Solver, settings: FreeSupportSettings) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        for (name, value) in [("atoms", settings.atoms), ("starts", settings.starts)] {
            if value == 0 {
                return Err(Error::setting(name, 0, "must be at least 1"));
            }
        }
        if settings.atoms > MOST_ATOMS {
            let rule = format!("must be at most {MOST_ATOMS}");
            return Err(Error::setting("atoms", settings.atoms, &rule));
        }
        let checked = Self { solver, settings };
        checked.limits().check()?;
        Ok(checked)
    }

    fn limits(&self) -> Limits {
        Limits {
            tol: self.settings.tol,
            max_iter: self.settings.max_iter,
        }
    }

    /// The barycenter of `clouds`, each counted with its weight in `lambda`, from atoms that are drawn among their points:
    /// a cloud by λ and a point by its weight. The same `seed` gives the same answer for any number of threads.
    ///
    /// # Errors
    /// No clouds at all, clouds of different dimension, weights that are none, and what the solver refuses.
    pub fn fit(
        &self,
        clouds: &[Cloud],
        lambda: &[f64],
        seed: u64,
        context: &Context,
    ) -> Result<FreeBarycenter, Error> {
        let inputs = Inputs::new(clouds, lambda)?;
        let mut best: Option<FreeBarycenter> = None;
        for start in 0..self.settings.starts {
            let points = inputs.draw(self.settings.atoms, seed.wrapping_add(start as u64));
            let equal = Measure::uniform(self.settings.atoms)?;
            let mut found = self.descend(&inputs, points, equal, context)?;
            found.start = start;
            if best.as_ref().is_none_or(|b| found.mean_cost < b.mean_cost) {
                best = Some(found);
            }
            if context.interrupted().is_some() {
                break;
            }
        }
        // There is a start, or `new` would have refused.
        best.ok_or_else(|| Error::setting("starts", 0, "must be at least 1"))
    }

    /// The same from given atoms: `atoms` and `starts` of the settings have no say.
    ///
    /// # Errors
    /// As [`FreeSupport::fit`], and a start of another shape than the clouds have.
    pub fn fit_from(
        &self,
        clouds: &[Cloud],
        lambda: &[f64],
        start: &Start,
        context: &Context,
    ) -> Result<FreeBarycenter, Error> {
        let inputs = Inputs::new(clouds, lambda)?;
        let dim = inputs.dim;
        check_numbers("start", &start.points, dim)?;
        let weights = match &start.weights {
            Some(weights) => weights.clone(),
            None => Measure::uniform((start.points.len() / dim).max(1))?,
        };
        let cloud = Cloud::new("start", start.points.clone(), dim, weights)?;
        self.descend(
            &inputs,
            start.points.clone(),
            cloud.weights().clone(),
            context,
        )
    }

    fn descend(
        &self,
        inputs: &Inputs<'_>,
        x: Vec<f64>,
        b: Measure,
        context: &Context,
    ) -> Result<FreeBarycenter, Error> {
        let (dim, count) = (inputs.dim, inputs.clouds.len());
        let solves = Solves::new(self.solver, count, context);
        let mut atoms = Atoms::new(x, b, dim);
        let mut best: Option<Best> = None;
        let mut last = f64::INFINITY;
        let convergence = drive(Self::NAME, self.limits(), context, |_| {
            let at: Arc<[f64]> = atoms.x.clone().into();
            let plans = solves.all(
                count,
                |k| {
                    let cloud = inputs.clouds[k];
                    let (x, y) = (Arc::clone(&at), cloud.shared_points());
                    let cost = PointCost::new(x, y, dim, Ground::SqEuclidean)?;
                    let (b, a) = (atoms.b.clone(), cloud.weights().clone());
                    Ok(Problem::new(b, a, Arc::new(cost))?)
                },
                |k, solution| {
                    let y = inputs.clouds[k].points();
                    Ok(Sent {
                        means: solution.plan.barycentric_projection(y, dim)?,
                        cost: solution.transport_cost,
                        f: solution.potentials.f,
                        solver: solution.solver,
                    })
                },
            );
            let plans = match plans {
                Ok(plans) => plans,
                // What was stopped is no answer; the check that follows says why it ends.
                Err(_) if context.interrupted().is_some() => return Ok(Step::Off(last)),
                Err(error) => return Err(error),
            };
            let (moved, cost) = atoms.go_to_the_means(&plans, &inputs.lambda);
            if best.as_ref().is_none_or(|best| cost < best.cost) {
                let solver = plans.first().map(|sent| sent.solver.clone());
                best = Some(Best {
                    x: atoms.x.clone(),
                    b: atoms.b.clone(),
                    cost,
                    solver: solver.unwrap_or_default(),
                });
            }
            last = moved / inputs.size;
            if self.settings.weights {
                last = last.max(atoms.reweigh(&plans, &inputs.lambda)?);
            }
            Ok(Step::of(last))
        })?;
        let Some(best) = best else {
            return Err(Error::Stopped {
                what: "rounds",
                termination: convergence.termination,
                done: 0,
                count: 1,
            });
        };
        Ok(FreeBarycenter {
            cloud: Cloud::new("barycenter", best.x, dim, best.b)?,
            mean_cost: best.cost,
            convergence,
            start: 0,
            solver: best.solver,
        })
    }
}

/// Where the atoms' mass goes in one cloud.
struct Sent {
    /// The mean place of each atom's mass.
    means: Vec<f64>,
    cost: f64,
    f: Vec<f64>,
    solver: String,
}

struct Best {
    x: Vec<f64>,
    b: Measure,
    cost: f64,
    solver: String,
}

struct Atoms {
    x: Vec<f64>,
    b: Measure,
    dim: usize,
    /// Σ of the squares of the largest gradients so far.
    slopes: f64,
}

impl Atoms {
    fn new(x: Vec<f64>, b: Measure, dim: usize) -> Self {
        Self {
            x,
            b,
            dim,
            slopes: 0.0,
        }
    }

    /// Moves every atom of some weight. Returns how far, root mean square, and the mean cost of the plans from where the
    /// atoms are now: what it was less Σ b_i ‖Δx_i‖², for each atom stands at the mean of where its mass goes.
    fn go_to_the_means(&mut self, plans: &[Sent], lambda: &[f64]) -> (f64, f64) {
        let mut moved = 0.0;
        let atoms = self.x.chunks_exact_mut(self.dim).zip(self.b.weights());
        for (i, (x, &b)) in atoms.enumerate().filter(|(_, (_, b))| **b > 0.0) {
            for (c, x) in x.iter_mut().enumerate() {
                let means = plans.iter().map(|sent| sent.means[i * self.dim + c]);
                let next: f64 = means.zip(lambda).map(|(mean, l)| mean * l).sum();
                moved += b * (next - *x) * (next - *x);
                *x = next;
            }
        }
        let cost: f64 = plans
            .iter()
            .zip(lambda)
            .map(|(sent, l)| l * sent.cost)
            .sum();
        (moved.sqrt(), cost - moved)
    }

    /// A mirror step along the mean of the potentials, as long as those before it say (Duchi, Hazan and Singer 2011). How
    /// much weight it moves.
    fn reweigh(&mut self, plans: &[Sent], lambda: &[f64]) -> Result<f64, Error> {
        let b = self.b.weights();
        let slope = |i: usize| -> f64 {
            let slopes = plans.iter().zip(lambda).map(|(sent, l)| l * sent.f[i]);
            slopes.sum()
        };
        let mut slopes: Vec<f64> = (0..b.len())
            .map(|i| if b[i] > 0.0 { slope(i) } else { 0.0 })
            .collect();
        let mean: f64 = slopes.iter().zip(b).map(|(g, b)| g * b).sum();
        let mut steepest = 0.0_f64;
        for (g, b) in slopes.iter_mut().zip(b) {
            *g = if *b > 0.0 { *g - mean } else { 0.0 };
            steepest = steepest.max(g.abs());
        }
        self.slopes += steepest * steepest;
        if self.slopes == 0.0 {
            return Ok(0.0);
        }
        let length = (b.len() as f64).ln().max(1.0).sqrt() / self.slopes.sqrt();
        let next: Vec<f64> = b
            .iter()
            .zip(&slopes)
            .map(|(b, g)| b * (-length * g).exp())
            .collect();
        let next = Measure::named("barycenter", next)?.normalized();
        let moved = next.weights().iter().zip(b).map(|(n, b)| (n - b).abs());
        let moved = moved.sum();
        self.b = next;
        Ok(moved)
    }
}

/// Clouds that count, and the size of all of them.
struct Inputs<'a> {
    clouds: Vec<&'a Cloud>,
    lambda: Vec<f64>,
    dim: usize,
    /// Root mean square of the distances from the mean; 1 where that is 0.
    size: f64,
}

impl<'a> Inputs<'a> {
    fn new(clouds: &'a [Cloud], lambda: &[f64]) -> Result<Self, Error> {
        check_lambda(clouds.len(), lambda)?;
        let lambda = Measure::named("lambda", lambda)?.normalized();
        let mut dim = 0;
        for (k, cloud) in clouds.iter().enumerate() {
            if k > 0 && cloud.dim() != dim {
                return Err(solver_api::Error::ShapeMismatch {
                    argument: "clouds",
                    found: format!("n×{}", cloud.dim()),
                    expected: format!("clouds before cloud {k} are n×{dim}"),
                }
                .into());
            }
            dim = cloud.dim();
        }
        let counted = || {
            clouds
                .iter()
                .zip(lambda.weights())
                .filter(|(_, l)| **l > 0.0)
        };
        let clouds: Vec<_> = counted().map(|(cloud, _)| cloud).collect();
        let lambda: Vec<f64> = counted().map(|(_, l)| *l).collect();
        let mut mean = vec![0.0; dim];
        each(&clouds, &lambda, |y, w| {
            mean.iter_mut().zip(y).for_each(|(mean, y)| *mean += w * y);
        });
        let mut size = 0.0;
        each(&clouds, &lambda, |y, w| {
            let square: f64 = y.iter().zip(&mean).map(|(y, m)| (y - m) * (y - m)).sum();
            size += w * square;
        });
        Ok(Self {
            clouds,
            lambda,
            dim,
            size: if size > 0.0 { size.sqrt() } else { 1.0 },
        })
    }

    /// Points of the clouds, drawn; no point twice, if there are enough.
    fn draw(&self, atoms: usize, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut pick = |weights: &[f64]| {
            let mut left: f64 = rng.random();
            let reached = weights.iter().position(|w| {
                left -= w;
                *w > 0.0 && left < 0.0
            });
            // Rounding may leave a little beyond the last one.
            reached.or_else(|| weights.iter().rposition(|w| *w > 0.0))
        };
        let mut points = Vec::with_capacity(atoms * self.dim);
        let mut taken = HashSet::new();
        // Once most places are taken, further draws find none.
        let mut spare = DRAWS * self.clouds.iter().map(|cloud| cloud.len()).sum::<usize>();
        for _ in 0..atoms {
            // Atoms at one place would stay together under a blurred plan: each gets its own as long as there are some.
            let (mut k, mut place) = (0, 0);
            for _ in 0..DRAWS.min(spare).max(1) {
                k = pick(&self.lambda).unwrap_or(0);
                place = pick(self.clouds[k].weights().weights()).unwrap_or(0);
                if taken.insert((k, place)) {
                    break;
                }
                spare = spare.saturating_sub(1);
            }
            let cloud = self.clouds[k];
            points.extend_from_slice(&cloud.points()[place * self.dim..(place + 1) * self.dim]);
        }
        points
    }
}

fn each(clouds: &[&Cloud], lambda: &[f64], mut visit: impl FnMut(&[f64], f64)) {
    for (cloud, lambda) in clouds.iter().zip(lambda) {
        let points = cloud.points().chunks_exact(cloud.dim());
        for (y, a) in points.zip(cloud.weights().weights()) {
            visit(y, lambda * a);
        }
    }
}
