//! Gradient steps on draws of the training samples.

use std::sync::Arc;
use std::time::Instant;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use solver_api::{Capability, Certify, Context, Cost, Ground, Solver};

use super::{CouplingLoss, Filter, RetrievalLoss};
use crate::class_models::{ModelSet, stream};
use crate::error::require;
use crate::images::by_class;
use crate::{Error, Images};

/// What can be set of a [`FilterLearner`].
#[derive(Debug, Clone)]
pub struct FilterSettings {
    /// Rows and columns of the filter. Default: 3.
    pub side: usize,
    /// The cost between filtered images. Default: the distance.
    pub ground: Ground,
    /// Steps, each on a draw of its own. Default: 60.
    pub steps: usize,
    /// Samples of each class in a draw, and as many representatives, none of them twice. Default: 6; a class with fewer
    /// gives what it has, half of it to each side.
    pub draw: usize,
    /// The length of a step: a weight moves by about as much, where those of the first filter are at most 1. Default: 0.03.
    pub rate: f64,
}

impl Default for FilterSettings {
    fn default() -> Self {
        Self {
            side: 3,
            ground: Ground::Euclidean,
            steps: 60,
            draw: 6,
            rate: 0.03,
        }
    }
}

/// Learns a filter by gradient steps, from the identity on, through the plans of any entropic solver.
///
/// Needs [`Capability::Balanced`] and [`Capability::Entropic`]. Steps are those of Adam, uphill.
///
/// Sources: 000, section 3.4; Kingma and Ba, *Adam: a method for stochastic optimization* (2015), with its constants.
pub struct FilterLearner<'a> {
    solver: &'a dyn Solver,
    settings: FilterSettings,
}

/// Weights of the past in Adam's averages of the gradient and of its square.
const MEMORY: [f64; 2] = [0.9, 0.999];

impl<'a> FilterLearner<'a> {
    /// With checked settings; ε of `solver` is a part of the mean cost (see [`CouplingLoss`]).
    ///
    /// # Errors
    /// A solver without the capabilities, an even side, no steps, nothing to draw, a rate that is not positive.
    pub fn new(solver: &'a dyn Solver, settings: FilterSettings) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        require(solver, Capability::Entropic)?;
        Filter::identity(settings.side)?;
        counts(settings.steps, settings.draw)?;
        positive("rate", settings.rate)?;
        Ok(Self { solver, settings })
    }

    /// Learns from `images` and their labels. The seed decides the draws; the observer of `context` hears of every step.
    /// Time: steps × that of a [`CouplingLoss::gradient`] on the drawn.
    ///
    /// # Errors
    /// Labels missing, one class only, a class with one sample, and what a step refuses.
    pub fn fit(
        &self,
        images: &Images,
        labels: &[i64],
        seed: u64,
        context: &mut Context,
    ) -> Result<LearnedFilter, Error> {
        let set = &self.settings;
        let classes = by_class(labels, images.len())?;
        if let Some((class, _)) = classes.iter().find(|(_, places)| places.len() < 2) {
            let found = format!("one sample of class {class}");
            let rule = "every class needs two or more: samples and representatives are drawn apart";
            return Err(Error::setting("labels", found, rule));
        }
        context.certify = Certify::Off;
        let start = Filter::identity(set.side)?;
        let (weights, history) = climb(
            start.weights(),
            set.steps,
            set.rate,
            context,
            |step, w, own| {
                let mut rng = Pcg64::seed_from_u64(stream(seed, step as u64));
                let (mut x, mut y) = (Vec::new(), Vec::new());
                for places in classes.values() {
                    let mut places = places.clone();
                    let each = set.draw.min(places.len() / 2);
                    let (drawn, _) = places.partial_shuffle(&mut rng, 2 * each);
                    x.extend_from_slice(&drawn[..each]);
                    y.extend_from_slice(&drawn[each..]);
                }
                let of =
                    |places: &[usize]| -> Vec<i64> { places.iter().map(|&i| labels[i]).collect() };
                let loss = CouplingLoss::new(
                    self.solver,
                    set.ground.clone(),
                    (images.select(&x), &of(&x)),
                    (images.select(&y), &of(&y)),
                )?;
                loss.gradient(&Filter::new(set.side, w)?, own)
            },
        )?;
        Ok(LearnedFilter {
            filter: Filter::new(set.side, weights)?,
            history,
        })
    }
}

/// What can be set of a [`RetrievalFilterLearner`].
#[derive(Debug, Clone)]
pub struct RetrievalFilterSettings {
    /// Rows and columns of the filter. Default: 3.
    pub side: usize,
    /// Steps, each on a draw of its own. Default: 40.
    pub steps: usize,
    /// Queries of each class in a draw. Default: 3; a class with fewer gives what it has.
    pub draw: usize,
    /// The length of a step: a logarithm of a weight moves by about as much. Default: 0.1.
    pub rate: f64,
    /// t of the probabilities, in units of the cost. Default: 0.05, for log(1 + d) between digits.
    pub temperature: f64,
}

impl Default for RetrievalFilterSettings {
    fn default() -> Self {
        Self {
            side: 3,
            steps: 40,
            draw: 3,
            rate: 0.1,
            temperature: 0.05,
        }
    }
}

/// Learns a filter without negative weights for retrieval (see [`RetrievalLoss`]), from one with half of its weight in the
/// middle on. Steps are those of [`FilterLearner`], in the logarithms of the weights.
///
/// Needs [`Capability::Balanced`].
pub struct RetrievalFilterLearner<'a> {
    solver: &'a dyn Solver,
    cost: Arc<dyn Cost>,
    settings: RetrievalFilterSettings,
}

impl<'a> RetrievalFilterLearner<'a> {
    /// With checked settings, on pixels with `cost` (see [`pixel_cost`](crate::pixel_cost)).
    ///
    /// # Errors
    /// A solver without the capability, an even side, no steps, nothing to draw, a rate or a temperature that is not
    /// positive.
    pub fn new(
        solver: &'a dyn Solver,
        cost: Arc<dyn Cost>,
        settings: RetrievalFilterSettings,
    ) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        Filter::identity(settings.side)?;
        counts(settings.steps, settings.draw)?;
        positive("rate", settings.rate)?;
        positive("temperature", settings.temperature)?;
        Ok(Self {
            solver,
            cost,
            settings,
        })
    }

    /// Learns from `images` and their labels, told by `models`. The seed decides the draws; the observer of `context` hears
    /// of every step. Time: steps × draw × classes × models solves, on all threads.
    ///
    /// # Errors
    /// Labels missing, one class only, a class without models, images of another size than the models, and what a step
    /// refuses.
    pub fn fit(
        &self,
        images: &Images,
        labels: &[i64],
        models: &ModelSet,
        seed: u64,
        context: &mut Context,
    ) -> Result<LearnedFilter, Error> {
        let set = &self.settings;
        let classes = by_class(labels, images.len())?;
        let start = Filter::identity(set.side)?;
        // Half of the weight in the middle, and the other half for all.
        let even = 0.5 / start.weights().len() as f64;
        let start: Vec<f64> = start
            .weights()
            .iter()
            .map(|w| (0.5 * w + even).ln())
            .collect();
        let (theta, history) = climb(&start, set.steps, set.rate, context, |step, theta, own| {
            let mut rng = Pcg64::seed_from_u64(stream(seed, step as u64));
            let mut places = Vec::new();
            for of_class in classes.values() {
                let mut of_class = of_class.clone();
                let (drawn, _) = of_class.partial_shuffle(&mut rng, set.draw);
                places.extend_from_slice(drawn);
            }
            let drawn: Vec<i64> = places.iter().map(|&i| labels[i]).collect();
            let loss = RetrievalLoss::new(
                self.solver,
                Arc::clone(&self.cost),
                set.temperature,
                (images.select(&places), &drawn),
                models,
            )?;
            let filter = Filter::softmax(set.side, theta)?;
            // Of the steps, not of the queries of each, the observer is told.
            let (value, gradient) = loss.gradient(&filter, &own.for_step(own.threads())?)?;
            // Uphill in −loss; through the softmax, ∂θ = f·(∂f − ⟨∂f, f⟩).
            let pairs = || filter.weights().iter().zip(&gradient);
            let mean: f64 = pairs().map(|(f, g)| f * g).sum();
            Ok((-value, pairs().map(|(f, g)| -f * (g - mean)).collect()))
        })?;
        Ok(LearnedFilter {
            filter: Filter::softmax(set.side, &theta)?,
            history,
        })
    }
}

fn counts(steps: usize, draw: usize) -> Result<(), Error> {
    for (name, count) in [("steps", steps), ("draw", draw)] {
        if count == 0 {
            return Err(Error::setting(name, 0, "must be at least 1"));
        }
    }
    Ok(())
}

fn positive(name: &str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::setting(name, value, "must be positive and finite"))
}

/// `steps` steps of Adam uphill from `start`; `gradient` tells value and derivative at each. What comes out is the end and
/// the values on the way.
fn climb(
    start: &[f64],
    steps: usize,
    rate: f64,
    context: &mut Context,
    mut gradient: impl FnMut(usize, &[f64], &mut Context) -> Result<(f64, Vec<f64>), Error>,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let (mut at, mut history) = (start.to_vec(), Vec::with_capacity(steps));
    let mut means = vec![[0.0; 2]; at.len()];
    let mut fading = [1.0; 2];
    let started = Instant::now();
    for step in 0..steps {
        let (value, slope) = gradient(step, &at, context)?;
        history.push(value);
        for (fading, memory) in fading.iter_mut().zip(MEMORY) {
            *fading *= memory;
        }
        for ((at, g), means) in at.iter_mut().zip(slope).zip(&mut means) {
            for ((mean, memory), g) in means.iter_mut().zip(MEMORY).zip([g, g * g]) {
                *mean = memory * *mean + (1.0 - memory) * g;
            }
            let [mean, square] = [0, 1].map(|k| means[k] / (1.0 - fading[k]));
            *at += rate * mean / (square.sqrt() + 1e-8);
        }
        let left = (steps - step - 1) as f64;
        crate::steps::tell(context, "steps", (step, steps), left, started)?;
    }
    Ok((at, history))
}

/// What [`FilterLearner::fit`] and [`RetrievalFilterLearner::fit`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedFilter {
    filter: Filter,
    history: Vec<f64>,
}

impl LearnedFilter {
    /// The filter after the last step.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What each draw said before its step, to be raised: L(f), the part of the mass that goes between equal labels; for
    /// retrieval the mean of log p.
    #[must_use]
    pub fn history(&self) -> &[f64] {
        &self.history
    }
}
