//! Mapping estimation: a plan that a smooth map can follow, and the map.

use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use solver_api::{
    Capability, Certify, Context, DenseCost, Ground, Problem, Progress, Solver, Termination,
};

use super::Domain;
use super::conditional::{self, Penalty};
use super::cost::{CostScale, KnownLabels, entries};
use super::estimator::round;
use super::fitted::{Adapted, Fit};
use super::maps::{LearnedMap, MapSettings};
use crate::Error;
use crate::error::require;

/// What can be set of a [`MappingEstimation`].
#[derive(Debug, Clone)]
pub struct MappingSettings {
    /// The map and its ridge η. Default: affine, 1e-3.
    pub map: MapSettings,
    /// The weight of the fit Σ_i a_i ‖T(x_i) − x̂_i‖² + η‖T‖² beside ⟨γ, C⟩: 1/μ of the paper. Default: 1.
    pub weight: f64,
    /// The ground cost. Default: the squared distance.
    pub ground: Ground,
    /// Its unit. Default: the largest entry.
    pub scale: CostScale,
    /// Turns of plan and map at most. Default: 20.
    pub rounds: usize,
    /// Steps of conditional gradients in a turn at most. Default: 10.
    pub steps: usize,
    /// A turn that takes less than this part off the objective is the last. Default: 1e-5.
    pub tol: f64,
}

impl Default for MappingSettings {
    fn default() -> Self {
        Self {
            map: MapSettings::default(),
            weight: 1.0,
            ground: Ground::SqEuclidean,
            scale: CostScale::Max,
            rounds: 20,
            steps: 10,
            tol: 1e-5,
        }
    }
}

/// min_{γ, T} ⟨γ, C⟩ + w (Σ_i a_i ‖T(x_i) − x̂_i‖² + η‖T‖²), x̂_i = Σ_j γ_ij y_j / a_i, in turns: a ridge regression for T, and
/// conditional gradients for γ from where it is. The objective, to which an entropic solver adds its entropy, never rises;
/// such a solver must have an absolute ε. Needs [`Capability::Balanced`].
///
/// Source: Perrot, Courty, Flamary and Habrard, *Mapping estimation for discrete optimal transport* (2016), algorithm 1.
#[derive(Clone)]
pub struct MappingEstimation<'a> {
    solver: &'a dyn Solver,
    settings: MappingSettings,
}

impl<'a> MappingEstimation<'a> {
    /// Checks the settings and the solver.
    ///
    /// # Errors
    /// A setting outside of its range, and a solver without the capability.
    pub fn new(solver: &'a dyn Solver, settings: MappingSettings) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        settings.map.check()?;
        if !(settings.weight > 0.0 && settings.weight.is_finite()) {
            let rule = "must be positive and finite";
            return Err(Error::setting("weight", settings.weight, rule));
        }
        for (name, count) in [("rounds", settings.rounds), ("steps", settings.steps)] {
            if count == 0 {
                return Err(Error::setting(name, 0, "must be at least 1"));
            }
        }
        if !(settings.tol >= 0.0 && settings.tol < 1.0) {
            let rule = "must be from 0 to less than 1";
            return Err(Error::setting("tol", settings.tol, rule));
        }
        Ok(Self { solver, settings })
    }

    /// The plan and the map. A turn is a regression ([`Adapted::learn_map`]) and some solves with O(n·m·dim) each. Labels are
    /// carried along, and not looked at. The observer of `context` hears of turns.
    ///
    /// # Errors
    /// Domains of different dimension, what the ground cost or the solver refuses, a stop.
    pub fn fit(
        &self,
        source: &Domain,
        target: &Domain,
        context: &mut Context,
    ) -> Result<FittedMapping, Error> {
        let pool = context.clone();
        pool.install(|| self.fit_here(source, target, context))
    }

    fn fit_here(
        &self,
        source: &Domain,
        target: &Domain,
        context: &Context,
    ) -> Result<FittedMapping, Error> {
        let started = std::time::Instant::now();
        let set = &self.settings;
        let between = entries(source, target, &set.ground, set.scale, KnownLabels::Ignore)?;
        let cost = DenseCost::new(source.len(), target.len(), between.values)?;
        let cost = Arc::new(cost);
        let (a, b) = (source.weights().clone(), target.weights().clone());
        let problem = Problem::new(a, b, cost.clone())?;
        let mut own = context.for_step(context.threads())?;
        own.certify = Certify::Off;
        let adapted = |fit: Fit| Adapted::new(source, target, cost.clone(), between.unit, fit);
        let first = round(self.solver, &problem, &mut None, &mut own)?;
        let mut now = adapted(Fit::of(first))?;
        let mut map = now.learn_map(set.map)?;
        let mut follow = Follow {
            weight: set.weight,
            source: source.clone(),
            target: target.clone(),
            wanted: map.transform(source.points())?,
        };
        // Transport, and entropy if there is one, as the solver has them; then what the map adds.
        let total = |transport: f64, follow: &Follow, map: &LearnedMap, plan: &[f64]| {
            transport + follow.value(plan) + set.weight * map.roughness()
        };
        let plan = now.plan().to_dense();
        let mut history = vec![total(now.objective(), &follow, &map, plan.data())];
        let limits = (set.steps, set.tol);
        let mut termination = Termination::IterationLimit;
        for done in 1..=set.rounds {
            let start = Some(now.plan());
            let fit = conditional::run(self.solver, &problem, &follow, limits, start, &own)?;
            now = adapted(fit)?;
            let plan = now.plan().to_dense();
            let transport = now.objective() - follow.value(plan.data());
            map = now.learn_map(set.map)?;
            follow.wanted = map.transform(source.points())?;
            let objective = total(transport, &follow, &map, plan.data());
            let last = history.last().copied().unwrap_or(f64::INFINITY);
            let fall = (last - objective) / objective.abs().max(f64::MIN_POSITIVE);
            history.push(objective);
            let told = Progress {
                problem: context.problem_index,
                iteration: done as u64,
                part: None,
                error: fall,
                tol: set.tol,
                certificate: None,
                elapsed: started.elapsed(),
            };
            let stop = context.check(&told);
            if fall <= set.tol {
                termination = Termination::Converged;
                break;
            }
            if let Some(termination) = stop
                && done < set.rounds
            {
                return Err(Error::Stopped {
                    what: "turns",
                    termination,
                    done,
                    count: set.rounds,
                });
            }
        }
        Ok(FittedMapping {
            adapted: now,
            map,
            history,
            termination,
        })
    }
}

/// [`MappingEstimation`] with its plan and its map.
#[derive(Debug, Clone)]
pub struct FittedMapping {
    adapted: Adapted,
    map: LearnedMap,
    history: Vec<f64>,
    termination: Termination,
}

impl FittedMapping {
    /// The plan, and what goes along it.
    #[must_use]
    pub fn adapted(&self) -> &Adapted {
        &self.adapted
    }

    /// The map.
    #[must_use]
    pub fn map(&self) -> &LearnedMap {
        &self.map
    }

    /// The objective of the first plan with its map, and after each turn.
    #[must_use]
    pub fn history(&self) -> &[f64] {
        &self.history
    }

    /// Whether the turns settled.
    #[must_use]
    pub fn termination(&self) -> Termination {
        self.termination
    }

    /// Where points of the source arrive by the map.
    ///
    /// # Errors
    /// Points of another dimension, numbers that are not finite.
    pub fn transform(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        self.map.transform(x)
    }
}

/// w Σ_i a_i ‖t_i − x̂_i‖² for images t of a map.
struct Follow {
    weight: f64,
    source: Domain,
    target: Domain,
    wanted: Vec<f64>,
}

impl Follow {
    /// Σ_j P_ij y_j / a_i − t_i; 0 where a_i is.
    fn off(&self, plan: &[f64]) -> Vec<f64> {
        let (n, m, dim) = (self.source.len(), self.target.len(), self.source.dim());
        let mut off = vec![0.0; n * dim];
        matmul(
            MatMut::from_row_major_slice_mut(&mut off, n, dim),
            Accum::Replace,
            MatRef::from_row_major_slice(plan, n, m),
            MatRef::from_row_major_slice(self.target.points(), m, dim),
            1.0,
            Par::Seq,
        );
        let rows = off
            .chunks_exact_mut(dim)
            .zip(self.wanted.chunks_exact(dim))
            .zip(self.source.weights().weights());
        for ((off, wanted), a) in rows {
            for (o, t) in off.iter_mut().zip(wanted) {
                *o = if *a > 0.0 { *o / a - t } else { 0.0 };
            }
        }
        off
    }
}

impl Penalty for Follow {
    fn value(&self, plan: &[f64]) -> f64 {
        let off = self.off(plan);
        let rows = off.chunks_exact(self.source.dim());
        let rows = rows.zip(self.source.weights().weights());
        let squares = rows.map(|(off, a)| a * off.iter().map(|o| o * o).sum::<f64>());
        self.weight * squares.sum::<f64>()
    }

    fn gradient(&self, plan: &[f64], out: &mut [f64]) {
        let (n, m, dim) = (self.source.len(), self.target.len(), self.source.dim());
        let off = self.off(plan);
        matmul(
            MatMut::from_row_major_slice_mut(out, n, m),
            Accum::Replace,
            MatRef::from_row_major_slice(&off, n, dim),
            MatRef::from_row_major_slice(self.target.points(), m, dim).transpose(),
            2.0 * self.weight,
            Par::Seq,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_by_differences() {
        let points = |count: i32, phase: f64| -> Vec<f64> {
            (0..count)
                .map(|k| (1.3 * f64::from(k) + phase).sin())
                .collect()
        };
        let source = Domain::new("source", points(6, 0.0), 2).expect("points");
        let follow = Follow {
            weight: 0.6,
            source: source.weighted(&[0.2, 0.5, 0.3]).expect("weights"),
            target: Domain::new("target", points(8, 1.0), 2).expect("points"),
            wanted: points(6, 2.0),
        };
        let plan: Vec<f64> = (0..12).map(|k| 0.05 + 0.01 * f64::from(k % 5)).collect();
        conditional::tests::check_gradient(&follow, &plan);
    }
}
