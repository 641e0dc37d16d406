//! Barycenters whose support moves: the best k points for squared distances, by any solver.
//!
//! Given plans P_k from the atoms x (weights b) to the clouds, the mean cost is least where each atom is the mean, over the
//! clouds, of where its mass goes: x_i ← Σ_k λ_k Σ_j (P_k)_ij y_kj / b_i. Plans and atoms are taken in turns; with an exact
//! solver the mean cost never rises.
//!
//! Weights, if they are to be found as well, are improved where the atoms stand: the mean cost is convex in b, the mean of the
//! plans' potentials f_k is a subgradient, and mirror steps have a bracket (the mean of all cuts). While the atoms
//! still move, a few steps are enough; once they rest, the steps go on until the bracket is closed, and the atoms follow the
//! best weights of it.
//!
//! Sources: Cuturi and Doucet, *Fast computation of Wasserstein barycenters* (2014), algorithm 2, with θ = 1; Álvarez-Esteban,
//! del Barrio, Cuesta-Albertos and Matrán, *A fixed-point approach to barycenters in Wasserstein space* (2016).

use std::sync::Arc;

use solver_api::transform::c_transform_to_target;
use solver_api::{Capability, Context, Convergence, Measure, Problem, Solver};

use super::cloud::{Cloud, check_numbers};
use super::clouds::Inputs;
use super::solves::Solves;
use crate::Error;
use crate::cuts::Cuts;
use crate::drive::{Limits, Step, drive};
use crate::error::require;

/// More points than that are a slip, and no plan between them and a cloud is solved for in hours.
const MOST_ATOMS: usize = 1_000_000;
/// Steps of the weights between two moves of atoms that do not rest yet.
const FEW_STEPS: u64 = 10;

/// What can be set of [`FreeSupport`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreeSupportSettings {
    /// Points of the barycenter, a million at most.
    pub atoms: usize,
    /// Whether their weights are found as well; else they are equal, or those given. Default: off.
    pub weights: bool,
    /// How far the atoms may still move in a round, root mean square, over the like of the clouds' distances from their
    /// mean. Default: 1e-5. With an exact solver they come to rest.
    pub tol: f64,
    /// Where weights are found: the relative gap at which they are good, of the bracket around the least mean cost of these
    /// atoms, over its upper end. Default: 0.02; half of it takes four times the rounds.
    pub gap: f64,
    /// Rounds at most, each one solve for every cloud. Default: 100, and 10 000 where weights are found.
    pub max_iter: Option<u64>,
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
            gap: 0.02,
            max_iter: None,
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
    /// How the rounds went: `target_error` is by how much the atoms moved at last; where weights are found, what the gap says
    /// in the same measure, if that is more: it is at `tol` where the gap is at `gap`.
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
        if !(settings.gap > 0.0 && settings.gap.is_finite()) {
            let rule = "must be positive and finite";
            return Err(Error::setting("gap", settings.gap, rule));
        }
        let checked = Self { solver, settings };
        checked.limits().check()?;
        Ok(checked)
    }

    fn limits(&self) -> Limits {
        let usual = if self.settings.weights { 10_000 } else { 100 };
        Limits {
            tol: self.settings.tol,
            max_iter: self.settings.max_iter.unwrap_or(usual),
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
        let mut weights = self.settings.weights.then(|| Search::new(atoms.b.len()));
        let mut best = Best(None);
        // How far the atoms moved, over `size`.
        let mut moved = f64::INFINITY;
        let convergence = drive(Self::NAME, self.limits(), context, |_| {
            let at: Arc<[f64]> = atoms.x.clone().into();
            let plans = solves.all(
                count,
                |k| {
                    let cost = inputs.cost(k, &at)?;
                    let (b, a) = (atoms.b.clone(), inputs.clouds[k].weights().clone());
                    Ok(Problem::new(b, a, Arc::new(cost))?)
                },
                |k, solution| {
                    let cloud = inputs.clouds[k];
                    let f = solution.potentials.f;
                    let paired = if self.settings.weights {
                        let g = c_transform_to_target(&inputs.cost(k, &at)?, &f, |_| true);
                        let used = g.iter().zip(cloud.weights().weights());
                        used.filter(|(_, a)| **a > 0.0).map(|(g, a)| g * a).sum()
                    } else {
                        0.0
                    };
                    Ok(Sent {
                        means: solution.plan.barycentric_projection(cloud.points(), dim)?,
                        cost: solution.transport_cost,
                        f,
                        paired,
                        solver: solution.solver,
                    })
                },
            );
            let plans = match plans {
                Ok(plans) => plans,
                // What was stopped is no answer; the check that follows says why it ends.
                Err(_) if context.interrupted().is_some() => return Ok(Step::Off(moved)),
                Err(error) => return Err(error),
            };
            let Some(search) = &mut weights else {
                let distance = best.follow(&mut atoms, &plans, &inputs.lambda);
                moved = distance / inputs.size;
                return Ok(Step::of(moved));
            };
            let next = search.step(&atoms.b, plans, &inputs.lambda)?;
            let gap = search.gap();
            let good = gap <= self.settings.gap;
            if good || search.steps >= FEW_STEPS && moved > self.settings.tol {
                if let Some((b, plans)) = search.settle() {
                    atoms.b = b;
                    moved = best.follow(&mut atoms, &plans, &inputs.lambda) / inputs.size;
                }
            } else {
                atoms.b = next;
            }
            if gap.is_nan() {
                return Ok(Step::Failed);
            }
            let short = if good { 0.0 } else { gap / self.settings.gap };
            Ok(Step::of(moved.max(short * self.settings.tol)))
        })?;
        // What ended before its weights were good is an answer too.
        if let Some((b, plans)) = weights.as_mut().and_then(Search::settle) {
            atoms.b = b;
            best.follow(&mut atoms, &plans, &inputs.lambda);
        }
        let Some(best) = best.0 else {
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
    /// ⟨g, a⟩ with g the c-transform of f, where weights are found.
    paired: f64,
    solver: String,
}

/// The best atoms so far.
struct Best(Option<Found>);

struct Found {
    x: Vec<f64>,
    b: Measure,
    cost: f64,
    solver: String,
}

impl Best {
    /// Moves the atoms to where their plans send them, and remembers them if they are the best. How far they went.
    fn follow(&mut self, atoms: &mut Atoms, plans: &[Sent], lambda: &[f64]) -> f64 {
        let (distance, cost) = atoms.go_to_the_means(plans, lambda);
        if self.0.as_ref().is_none_or(|best| cost < best.cost) {
            let solver = plans.first().map(|sent| sent.solver.clone());
            self.0 = Some(Found {
                x: atoms.x.clone(),
                b: atoms.b.clone(),
                cost,
                solver: solver.unwrap_or_default(),
            });
        }
        distance
    }
}

struct Atoms {
    x: Vec<f64>,
    b: Measure,
    dim: usize,
}

impl Atoms {
    fn new(x: Vec<f64>, b: Measure, dim: usize) -> Self {
        Self { x, b, dim }
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
        (moved.sqrt(), mean_cost(plans, lambda) - moved)
    }
}

fn mean_cost(plans: &[Sent], lambda: &[f64]) -> f64 {
    plans
        .iter()
        .zip(lambda)
        .map(|(sent, l)| l * sent.cost)
        .sum()
}

/// The search for weights while the atoms stand still.
struct Search {
    cuts: Cuts,
    steps: u64,
    /// The weights of the least mean cost so far, it, and their plans.
    best: Option<(Measure, f64, Vec<Sent>)>,
}

impl Search {
    fn new(atoms: usize) -> Self {
        // Squares of distances are not below 0.
        Self {
            cuts: Cuts::new(atoms, 0.0),
            steps: 0,
            best: None,
        }
    }

    /// The next weights, from the plans at `b`.
    fn step(&mut self, b: &Measure, plans: Vec<Sent>, lambda: &[f64]) -> Result<Measure, Error> {
        let mut slope = vec![0.0; b.len()];
        let mut level = 0.0;
        for (sent, lambda) in plans.iter().zip(lambda) {
            level += lambda * sent.paired;
            slope
                .iter_mut()
                .zip(&sent.f)
                .for_each(|(s, f)| *s += lambda * f);
        }
        self.steps += 1;
        let cost = mean_cost(&plans, lambda);
        if self.best.as_ref().is_none_or(|(_, least, _)| cost < *least) {
            self.best = Some((b.clone(), cost, plans));
        }
        self.cuts.step(b, level, slope)
    }

    /// The width of the bracket over its upper end, 0 where that is 0.
    fn gap(&self) -> f64 {
        let upper = self.best.as_ref().map_or(0.0, |(_, least, _)| *least);
        let gap = self.cuts.gap(upper, upper);
        if upper > 0.0 { gap / upper } else { gap }
    }

    /// The best weights with their plans; the next search begins anew.
    fn settle(&mut self) -> Option<(Measure, Vec<Sent>)> {
        let (b, _, plans) = self.best.take()?;
        *self = Self::new(b.len());
        Some((b, plans))
    }
}
