//! Models that are moved, pixel by pixel, until they tell the classes apart.

use std::sync::Arc;
use std::time::Instant;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use solver_api::{Capability, Context, Cost, Measure, Solver};

use super::{ModelSet, sparse, stream};
use crate::error::require;
use crate::images::by_class;
use crate::retrieval::{Score, on_pixels};
use crate::search::{Answer, Near, Search};
use crate::{Error, Images, steps};

/// Each pixel of a model starts with at least this part of an even share: steps multiply, and 0 would stay 0.
const FLOOR: f64 = 1e-3;
/// A step changes the logarithm of a pixel by no more than this: longer ones, as steep costs ask for, are cut as a whole.
const LONGEST: f64 = 0.5;
/// Samples at most that tell whether what was learned is better than what there was before.
const TOLD: usize = 500;
/// Steps whose figures have room from the start.
const ROOM: usize = 1 << 12;
/// Where slope·|μ| is above it, σ′ is below a fiftieth of its largest: such a sample moves nothing, and is not solved for.
const FAR: f64 = 5.3;

/// What can be set of a [`ModelLearner`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnerSettings {
    /// Samples to be learned from, one after another in random order; where there are fewer, they come again.
    /// Default: 20 000.
    pub samples: usize,
    /// Samples of a step. Default: 200.
    pub batch: usize,
    /// The length of the first step: about how far the logarithm of a pixel may move. It falls to 0 along a line.
    /// Default: 0.05.
    pub rate: f64,
    /// How sharply right is told from wrong: the loss of a sample is σ(slope·μ). Default: 30.
    pub slope: f64,
    /// Pixels below this part of the largest of their model are left out of the transport, as by
    /// [`ModelSet::sparsified`]. Default: 0.2.
    pub cutoff: f64,
}

impl Default for LearnerSettings {
    fn default() -> Self {
        Self {
            samples: 20_000,
            batch: 200,
            rate: 0.05,
            slope: 30.0,
            cutoff: 0.2,
        }
    }
}

impl LearnerSettings {
    fn check(&self) -> Result<(), Error> {
        for (name, count) in [("samples", self.samples), ("batch", self.batch)] {
            if count == 0 {
                return Err(Error::setting(name, 0, "must be at least 1"));
            }
        }
        for (name, value) in [("rate", self.rate), ("slope", self.slope)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(name, value, "must be positive and finite"));
            }
        }
        if !(0.0..1.0).contains(&self.cutoff) {
            let rule = "must be from 0 to below 1, a part of the largest pixel of a model";
            return Err(Error::setting("cutoff", self.cutoff, rule));
        }
        Ok(())
    }

    /// How many times the less a cost may be for both to matter: |μ| ≤ FAR / slope.
    fn ratio(&self) -> f64 {
        let most = FAR / self.slope;
        if most < 1.0 {
            (1.0 + most) / (1.0 - most)
        } else {
            f64::INFINITY
        }
    }
}

/// Learns models for [`Retrieval`](crate::Retrieval): those of any [`ClassModels`](super::ClassModels) are moved so that
/// samples come nearer to the models of their own class and away from those of others.
///
/// Of a sample x let d⁺ be the least objective to a model of its class and d⁻ the least to another's. The loss is
/// σ(slope·μ) with μ = (d⁺ − d⁻) / (d⁺ + d⁻), which is above 0 where retrieval is wrong. The derivative of an objective by
/// the weights of a model is the potential g on it (000, appendix B; Cuturi and Doucet 2014, section 4.2), so a sample
/// that is solved for tells how to move two models. A step multiplies the weights by exp(−rate·gradient), which keeps
/// them positive, and their mass is made 1 again.
///
/// Needs [`Capability::Balanced`]. Retrieval should take the same cost and [`Score::Objective`].
///
/// Sources: Sato and Yamada, *Generalized learning vector quantization* (1995); Kivinen and Warmuth, *Exponentiated
/// gradient versus gradient descent for linear predictors* (1997).
pub struct ModelLearner<'a> {
    solver: &'a dyn Solver,
    cost: Arc<dyn Cost>,
    settings: LearnerSettings,
}

impl<'a> ModelLearner<'a> {
    /// With checked settings, on pixels with `cost` (see [`pixel_cost`](crate::pixel_cost)).
    ///
    /// # Errors
    /// A solver without the capability, and settings outside of their range.
    pub fn new(
        solver: &'a dyn Solver,
        cost: Arc<dyn Cost>,
        settings: LearnerSettings,
    ) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        settings.check()?;
        Ok(Self {
            solver,
            cost,
            settings,
        })
    }

    /// Moves the models of `start` by `images` and their labels. The seed decides in which order they come; the observer
    /// of `context` hears of every step. Time: a few solves a sample (those models that may be the nearest of their side),
    /// on all threads.
    ///
    /// # Errors
    /// Labels missing, one class only, a class without models, images of another size than the models, what the solver
    /// refuses, and [`Error::Stopped`] by the context.
    pub fn fit(
        &self,
        start: &ModelSet,
        images: &Images,
        labels: &[i64],
        seed: u64,
        context: &Context,
    ) -> Result<LearnedModels, Error> {
        let set = &self.settings;
        images.same_size("images", "models", start.size())?;
        on_pixels(self.cost.as_ref(), start.size())?;
        let classes: Vec<i64> = by_class(labels, images.len())?.into_keys().collect();
        start.require_classes(&classes)?;
        let batch = set.batch.min(set.samples);
        let steps = set.samples.div_ceil(batch);
        // Of the steps, not of the samples of each, the observer is told.
        let quiet = context.for_step(context.threads())?;
        let mut models = Weights::new(start);
        let first = models.measures(set.cutoff)?;
        let cost = Arc::clone(&self.cost);
        let mut search = Search::new(self.solver, cost, first, Score::Objective);
        search.prepare(&quiet)?;
        let before = search.clone();
        let own: Vec<Vec<bool>> = (start.labels().iter())
            .map(|label| start.labels().iter().map(|l| l == label).collect())
            .collect();
        // What samples say of the models of a search.
        let ask = |search: &Search<'_>, drawn: &[usize]| {
            steps::run(&quiet, "samples", drawn.len(), |k, context| {
                let label = labels[drawn[k]];
                // Every class has a model.
                let model = start.labels().iter().position(|l| *l == label).unwrap_or(0);
                let query = images.measure(drawn[k])?;
                search.nearest_of_sides(&query, &own[model], set.ratio(), context)
            })
        };
        let mut order = Order::new(images.len(), seed);
        let mut history = Vec::with_capacity(steps.min(ROOM));
        let started = Instant::now();
        for step in 0..steps {
            let drawn: Vec<usize> = (&mut order).take(batch).collect();
            let found = ask(&search, &drawn)?;
            models.clear();
            let seen = self.told(start, &found, &drawn, labels, |sides| {
                models.learn(sides, set.slope)
            });
            history.push(seen);
            // Samples that fall to a model grow fewer with the number of models.
            let share = start.len() as f64 / batch as f64;
            models.step(set.rate * share * (steps - step) as f64 / steps as f64);
            search = search.moved(models.measures(set.cutoff)?);
            steps::tell(context, "steps", (step, steps), seen.loss, started)?;
        }
        // By the same samples: a learner that made things worse gives back what there was.
        let drawn: Vec<usize> = (&mut order).take(set.samples.min(TOLD)).collect();
        let [first, last] = [&before, &search].map(|search| {
            let found = ask(search, &drawn)?;
            let by = |[own, other]: &[Near; 2]| loss([own.score, other.score], set.slope).0;
            Ok::<_, Error>(self.told(start, &found, &drawn, labels, by).loss)
        });
        let improved = last? < first?;
        let measures = if improved {
            models.measures(set.cutoff)?
        } else {
            Weights::new(start).measures(set.cutoff)?
        };
        Ok(LearnedModels {
            models: start.with_measures(measures),
            history,
            improved,
        })
    }

    /// The figures of samples, whose losses `by` tells where both sides matter.
    fn told(
        &self,
        start: &ModelSet,
        found: &[Answer],
        drawn: &[usize],
        labels: &[i64],
        mut by: impl FnMut(&[Near; 2]) -> f64,
    ) -> LearningStep {
        let mut seen = LearningStep::default();
        for (answer, &sample) in found.iter().zip(drawn) {
            // Nearer by the ratio and more, on the side where the nearest of all is.
            let right = start.labels()[answer.nearest()] == labels[sample];
            let far = if right { 0.0 } else { 1.0 };
            seen.loss += answer.sides.as_ref().map_or(far, &mut by);
            seen.wrong += usize::from(!right);
            seen.unconverged += answer.unconverged;
            seen.samples += 1;
        }
        seen.loss /= seen.samples.max(1) as f64;
        seen
    }
}

/// Samples without end: all of them in random order, and again in another one.
struct Order {
    places: Vec<usize>,
    next: usize,
    rng: Pcg64,
}

impl Order {
    fn new(count: usize, seed: u64) -> Self {
        Self {
            places: (0..count).collect(),
            next: count,
            rng: Pcg64::seed_from_u64(stream(seed, 0)),
        }
    }
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.next == self.places.len() {
            self.places.shuffle(&mut self.rng);
            self.next = 0;
        }
        self.next += 1;
        self.places.get(self.next - 1).copied()
    }
}

/// The weights of all models, none of them 0, and the gradients of a step.
struct Weights {
    weights: Vec<Vec<f64>>,
    gradients: Vec<Vec<f64>>,
}

impl Weights {
    fn new(models: &ModelSet) -> Self {
        let (height, width) = models.size();
        let least = FLOOR / (height * width) as f64;
        let raised = |m: &Measure| m.weights().iter().map(|w| w + least).collect();
        let weights: Vec<Vec<f64>> = models.measures().iter().map(raised).collect();
        Self {
            gradients: vec![vec![0.0; height * width]; weights.len()],
            weights,
        }
    }

    fn measures(&self, cutoff: f64) -> Result<Vec<Measure>, Error> {
        self.weights.iter().map(|w| sparse(w, cutoff)).collect()
    }

    fn clear(&mut self) {
        self.gradients.iter_mut().for_each(|g| g.fill(0.0));
    }

    /// The loss of a sample, with its gradient added for both models.
    fn learn(&mut self, [own, other]: &[Near; 2], slope: f64) -> f64 {
        let (loss, by) = loss([own.score, other.score], slope);
        for (near, by) in [own, other].into_iter().zip(by) {
            let gradient = &mut self.gradients[near.target];
            gradient
                .iter_mut()
                .zip(&near.g)
                .for_each(|(s, g)| *s += by * g);
        }
        loss
    }

    /// Against the gradients, at mass 1 again.
    fn step(&mut self, rate: f64) {
        for (weights, gradient) in self.weights.iter_mut().zip(&self.gradients) {
            // Potentials are known up to a constant, which mass 1 takes out: here already, so that the bound on a step is
            // on what moves.
            let total: f64 = weights.iter().sum();
            let pairs = || weights.iter().zip(gradient);
            let mean = pairs().map(|(w, g)| w * g).sum::<f64>() / total;
            // Of the pixels that have more than an even share; what is next to nothing may be pushed as far.
            let even = total / weights.len() as f64;
            let longest = pairs().filter(|(w, _)| **w >= even);
            let longest = longest.fold(0.0, |most: f64, (_, g)| most.max((g - mean).abs()));
            let rate = if rate * longest > LONGEST {
                LONGEST / longest
            } else {
                rate
            };
            for (w, g) in weights.iter_mut().zip(gradient) {
                *w *= (rate * (mean - g)).clamp(-LONGEST, LONGEST).exp();
            }
            let total: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= total);
        }
    }
}

/// σ(slope·μ) and its derivatives by d⁺ and d⁻; ½ and none where both are 0.
fn loss([own, other]: [f64; 2], slope: f64) -> (f64, [f64; 2]) {
    let sum = own + other;
    if sum <= 0.0 {
        return (0.5, [0.0; 2]);
    }
    let s = 1.0 / (1.0 + (-slope * (own - other) / sum).exp());
    let by = slope * s * (1.0 - s) * 2.0 / sum;
    (s, [by * (other / sum), -by * (own / sum)])
}

/// What [`ModelLearner::fit`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedModels {
    models: ModelSet,
    history: Vec<LearningStep>,
    improved: bool,
}

/// The samples of a step, before it was taken: they had not been learned from, until they come again.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LearningStep {
    /// How many there were.
    pub samples: usize,
    /// How many of them were told wrong.
    pub wrong: usize,
    /// Their mean loss.
    pub loss: f64,
    /// Solves that ended short of their tolerance; what they said was learned from all the same.
    pub unconverged: usize,
}

impl LearnedModels {
    /// The models after the last step, or those from the start where [`LearnedModels::improved`] says so; without pixels
    /// below the cutoff.
    #[must_use]
    pub fn models(&self) -> &ModelSet {
        &self.models
    }

    /// Whether samples have a smaller loss by the models after the last step than by those from the start, which they are
    /// otherwise: a rate may be too long for a cost.
    #[must_use]
    pub fn improved(&self) -> bool {
        self.improved
    }

    /// The steps.
    #[must_use]
    pub fn history(&self) -> &[LearningStep] {
        &self.history
    }
}

#[cfg(test)]
mod tests {
    use solver_api::{Ground, Reg};
    use solver_exact::NetworkSimplex;
    use solver_sinkhorn::{Settings as SinkhornSettings, Sinkhorn};

    use super::*;
    use crate::pixel_cost;

    #[test]
    fn derivatives_of_the_loss_are_those_of_differences() {
        for slope in [1.0, 30.0] {
            for scores in [[1.0, 1.1], [0.7, 0.5], [2.0, 2.0]] {
                let (_, by) = loss(scores, slope);
                for k in 0..2 {
                    let at = |h: f64| {
                        let mut moved = scores;
                        moved[k] += h;
                        loss(moved, slope).0
                    };
                    let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert!(
                        (difference - by[k]).abs() <= 1e-7 * (1.0 + difference.abs()),
                        "{scores:?}: {difference} and {}",
                        by[k]
                    );
                }
            }
        }
        assert_eq!(loss([0.0; 2], 30.0), (0.5, [0.0; 2]));
    }

    /// Weights that are no ties.
    fn weights(n: usize, seed: usize) -> Vec<f64> {
        let weight = |j: usize| 1.0 + ((j * 37 + seed * 101) % 89) as f64 / 90.3;
        let total: f64 = (0..n).map(weight).sum();
        (0..n).map(|j| weight(j) / total).collect()
    }

    #[test]
    fn potentials_are_the_derivatives_of_scores() {
        let cost = pixel_cost((3, 4), &Ground::Log1p).expect("a cost");
        let exact = NetworkSimplex::default();
        let entropic = Sinkhorn::new(SinkhornSettings {
            tol: Some(1e-13),
            ..SinkhornSettings::with_reg(Reg::Relative(0.1))
        })
        .expect("valid");
        let query = Measure::new(weights(12, 0)).expect("valid");
        for solver in [&exact as &dyn Solver, &entropic] {
            let at = |moved: f64| {
                let models = (1..5).map(|k| {
                    let mut model = weights(12, k);
                    if k == 2 || k == 3 {
                        model[7] += moved;
                        model[2] -= moved;
                    }
                    Measure::new(model).expect("valid")
                });
                let cost = Arc::clone(&cost);
                let search = Search::new(solver, cost, models.collect(), Score::Objective);
                search.prepare(&Context::default()).expect("solved");
                // One of those that move on either side, and all of them near enough.
                let own = [false, true, false, true];
                let answer = search.nearest_of_sides(&query, &own, 1e9, &mut Context::default());
                answer.expect("solved").sides.expect("both")
            };
            let (before, after) = (at(-1e-6), at(1e-6));
            for (k, near) in at(0.0).into_iter().enumerate() {
                let difference = (after[k].score - before[k].score) / 2e-6;
                let moves = near.target == 1 || near.target == 2;
                let expected = if moves { near.g[7] - near.g[2] } else { 0.0 };
                assert_eq!(near.target, before[k].target);
                assert!(
                    (difference - expected).abs() < 1e-7 * (1.0 + expected.abs()),
                    "{}, side {k}: {difference} and {expected}",
                    solver.name()
                );
            }
        }
    }

    #[test]
    fn every_sample_comes_once_before_one_comes_twice() {
        let mut order = Order::new(7, 3);
        for _ in 0..3 {
            let mut round: Vec<usize> = (&mut order).take(7).collect();
            round.sort_unstable();
            assert_eq!(round, [0, 1, 2, 3, 4, 5, 6]);
        }
    }
}
