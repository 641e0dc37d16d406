//! Models of classes: a few measures that stand for all samples of a class.
//!
//! | models | what stands for a class |
//! |---|---|
//! | [`Samples`] | samples drawn at random |
//! | [`Medoids`] | the samples in the middle of clusters by transport cost |
//! | [`Bernoulli`] | the components of a mixture of Bernoullis |
//! | [`ClusterBarycenters`] | the barycenters of clusters of pixels (Euclidean k-means) |
//! | [`WassersteinKMeans`] | the barycenters of clusters by transport cost |
//!
//! A [`ModelLearner`] moves any of them until they tell the classes apart.
//!
//! Source: 000, section 3.2.

mod clusters;
mod kmeans;
mod learner;
mod medoids;

use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_pcg::Pcg64;
use solver_api::{Barycenters, Certify, Context, Cost, Measure};

pub use kmeans::{KMeansSettings, WassersteinKMeans};
pub use learner::{LearnedModels, LearnerSettings, LearningStep, ModelLearner};
pub use medoids::Medoids;

use crate::bernoulli::{BernoulliMixture, BernoulliSettings};
use crate::images::by_class;
use crate::{Error, Images, steps};

/// What stands for a class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassFit {
    /// The models, mass 1 each.
    pub measures: Vec<Measure>,
    /// Solves, and barycenters, that ended short of their tolerance on the way.
    pub unconverged: usize,
}

impl From<Vec<Measure>> for ClassFit {
    /// Models that no solve was needed for.
    fn from(measures: Vec<Measure>) -> Self {
        Self {
            measures,
            unconverged: 0,
        }
    }
}

/// A way to model a class. One of your own needs `fit_class`.
pub trait ClassModels: Send + Sync {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// `models` measures of mass 1 on the pixels, which stand for `images`, all of one class. `images` has at least as
    /// many. The same seed gives the same models.
    ///
    /// # Errors
    /// Whatever it may refuse.
    fn fit_class(
        &self,
        images: &Images,
        models: usize,
        seed: u64,
        context: &mut Context,
    ) -> Result<ClassFit, Error>;
}

/// Fitted models of all classes: built once, for any number of queries.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSet {
    size: (usize, usize),
    labels: Vec<i64>,
    measures: Vec<Measure>,
    unconverged: usize,
}

impl ModelSet {
    /// Fits `models` models to each class of `images`, with one of `labels` for each. Classes are fitted side by side on
    /// the threads of `context`, whose observer hears of each class; the models depend on the seed alone.
    ///
    /// # Errors
    /// Labels missing, fewer than two classes, a class with fewer samples than models, no models, and what `kind` refuses.
    pub fn fit(
        kind: &dyn ClassModels,
        images: &Images,
        labels: &[i64],
        models: usize,
        seed: u64,
        context: &Context,
    ) -> Result<Self, Error> {
        if models == 0 {
            return Err(Error::setting("models", 0, "must be at least 1"));
        }
        let classes: Vec<_> = by_class(labels, images.len())?.into_iter().collect();
        if let Some((class, places)) = classes.iter().find(|(_, p)| p.len() < models) {
            return Err(Error::TooFewSamples {
                models,
                class: *class,
                samples: places.len(),
            });
        }
        let fitted = steps::run(context, "classes", classes.len(), |k, own| {
            let images = images.select(&classes[k].1);
            // Another stream for each class, and none of them the seed itself.
            kind.fit_class(&images, models, stream(seed, k as u64), own)
        })?;
        let mut set = Self {
            size: images.size(),
            labels: Vec::new(),
            measures: Vec::new(),
            unconverged: 0,
        };
        for ((class, _), fit) in classes.into_iter().zip(fitted) {
            set.labels.extend(fit.measures.iter().map(|_| class));
            set.measures.extend(fit.measures);
            set.unconverged += fit.unconverged;
        }
        Ok(set)
    }

    /// Models of the caller's own: each image of `models` is one, with its class in `labels`.
    ///
    /// # Errors
    /// Labels missing, and fewer than two classes.
    pub fn new(models: &Images, labels: &[i64]) -> Result<Self, Error> {
        by_class(labels, models.len())?;
        let measures = (0..models.len()).map(|i| models.measure(i));
        Ok(Self {
            size: models.size(),
            labels: labels.to_vec(),
            measures: measures.collect::<Result<_, _>>()?,
            unconverged: 0,
        })
    }

    /// Other models of the same classes.
    fn with_measures(&self, measures: Vec<Measure>) -> Self {
        Self {
            measures,
            ..self.clone()
        }
    }

    /// An error unless all of `classes` have a model.
    ///
    /// # Errors
    /// The first class without one.
    pub fn require_classes(&self, classes: &[i64]) -> Result<(), Error> {
        match classes.iter().find(|class| !self.labels.contains(class)) {
            Some(&class) => Err(Error::ClassWithoutSamples {
                argument: "labels",
                class,
            }),
            None => Ok(()),
        }
    }

    /// How many models there are, of all classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.measures.len()
    }

    /// Never true: there are two classes or more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.measures.is_empty()
    }

    /// Solves, and barycenters, of the fit that ended short of their tolerance; what they gave was used all the same.
    #[must_use]
    pub fn unconverged(&self) -> usize {
        self.unconverged
    }

    /// Height and width of the images.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The class of each model, in ascending order after [`ModelSet::fit`].
    #[must_use]
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// The models, mass 1 each.
    #[must_use]
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// The models with every pixel below `cutoff` times the largest of its model left out, at mass 1 again. Dense models
    /// (of Bernoullis, of entropic barycenters) lose little by it, and exact solvers much of their work.
    ///
    /// # Errors
    /// A cutoff that is not from 0 to below 1.
    pub fn sparsified(&self, cutoff: f64) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&cutoff) {
            let rule = "must be from 0 to below 1, a part of the largest pixel of a model";
            return Err(Error::setting("cutoff", cutoff, rule));
        }
        Ok(Self {
            measures: self
                .measures
                .iter()
                .map(|measure| sparse(measure.weights(), cutoff))
                .collect::<Result<_, Error>>()?,
            ..self.clone()
        })
    }
}

/// The weights that are not below `cutoff` times the largest, at mass 1.
fn sparse(weights: &[f64], cutoff: f64) -> Result<Measure, Error> {
    let least = cutoff * weights.iter().fold(0.0, |most: f64, &w| most.max(w));
    let kept = weights.iter().map(|&w| if w >= least { w } else { 0.0 });
    Ok(Measure::named("models", kept.collect::<Vec<_>>())?.normalized())
}

/// A seed for part `k` of what has the seed `seed` (SplitMix64).
pub(crate) fn stream(seed: u64, k: u64) -> u64 {
    let mut z = seed.wrapping_add((k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Places of `amount` of `n` samples, drawn without replacement, in the order of the draw.
pub(crate) fn draw(n: usize, amount: usize, seed: u64) -> Vec<usize> {
    sample(&mut Pcg64::seed_from_u64(seed), n, amount.min(n)).into_vec()
}

/// Samples drawn at random.
#[derive(Debug, Clone, Copy, Default)]
pub struct Samples;

impl ClassModels for Samples {
    fn name(&self) -> &str {
        "samples"
    }

    fn fit_class(
        &self,
        images: &Images,
        models: usize,
        seed: u64,
        _context: &mut Context,
    ) -> Result<ClassFit, Error> {
        let drawn = draw(images.len(), models, seed).into_iter();
        let samples: Result<Vec<_>, Error> = drawn.map(|i| images.measure(i)).collect();
        Ok(samples?.into())
    }
}

/// The components of a mixture of Bernoullis: their probabilities as weights of pixels.
#[derive(Debug, Clone, Default)]
pub struct Bernoulli {
    settings: BernoulliSettings,
}

impl Bernoulli {
    /// With checked settings.
    ///
    /// # Errors
    /// A setting outside of its range.
    pub fn new(settings: BernoulliSettings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { settings })
    }

    /// The mixture of `models` components of `images`, which are divided by their largest pixel first.
    ///
    /// # Errors
    /// As [`BernoulliMixture::fit`].
    pub fn mixture(
        &self,
        images: &Images,
        models: usize,
        seed: u64,
        context: &Context,
    ) -> Result<BernoulliMixture, Error> {
        let most = images.max();
        let value = |p: &f64| match self.settings.threshold {
            Some(t) => f64::from(u8::from(p / most >= t)),
            None => p / most,
        };
        let x: Vec<f64> = images.pixels().iter().map(value).collect();
        BernoulliMixture::fit(&x, images.cells(), models, &self.settings, seed, context)
    }
}

impl ClassModels for Bernoulli {
    fn name(&self) -> &str {
        "bernoulli"
    }

    fn fit_class(
        &self,
        images: &Images,
        models: usize,
        seed: u64,
        context: &mut Context,
    ) -> Result<ClassFit, Error> {
        // The observer is told of classes; the deadline and the token hold inside of one, too.
        let mixture = self.mixture(images, models, seed, context)?;
        let component = |k| Ok(Measure::named("models", mixture.mean(k))?.normalized());
        let components: Result<Vec<_>, Error> = (0..models).map(component).collect();
        Ok(components?.into())
    }
}

/// Barycenters of clusters of samples; clusters are those of Euclidean k-means on the pixels, which takes matrix
/// products alone. With one model it is the barycenter of the class.
#[derive(Clone)]
pub struct ClusterBarycenters<'a> {
    barycenters: &'a dyn Barycenters,
    cost: Arc<dyn Cost>,
    samples: usize,
}

impl<'a> ClusterBarycenters<'a> {
    /// By `barycenters` on pixels with `cost` (see [`pixel_cost`](crate::pixel_cost)), of at most `samples` samples of a
    /// class, drawn at random.
    ///
    /// # Errors
    /// No samples.
    pub fn new(
        barycenters: &'a dyn Barycenters,
        cost: Arc<dyn Cost>,
        samples: usize,
    ) -> Result<Self, Error> {
        if samples == 0 {
            return Err(Error::setting("samples", 0, "must be at least 1"));
        }
        Ok(Self {
            barycenters,
            cost,
            samples,
        })
    }
}

impl ClassModels for ClusterBarycenters<'_> {
    fn name(&self) -> &str {
        "barycenter"
    }

    fn fit_class(
        &self,
        images: &Images,
        models: usize,
        seed: u64,
        context: &mut Context,
    ) -> Result<ClassFit, Error> {
        let images = images.select(&draw(images.len(), self.samples.max(models), seed));
        let clusters = clusters::of_pixels(&images, models, seed);
        let measures = measures(&images)?;
        let mut fit = ClassFit::from(Vec::with_capacity(models));
        for cluster in clusters {
            let members: Vec<_> = cluster.iter().map(|&i| measures[i].clone()).collect();
            let own = &mut fit.unconverged;
            let model = average(self.barycenters, &self.cost, &members, context, own)?;
            fit.measures.push(model);
        }
        Ok(fit)
    }
}

/// The images as measures.
fn measures(images: &Images) -> Result<Vec<Measure>, Error> {
    (0..images.len()).map(|i| images.measure(i)).collect()
}

/// The barycenter with equal weights; an iteration that ended short of its tolerance is good enough for a model, and
/// `unconverged` counts it, but a deadline or a token ends everything.
fn average(
    barycenters: &dyn Barycenters,
    cost: &Arc<dyn Cost>,
    members: &[Measure],
    context: &mut Context,
    unconverged: &mut usize,
) -> Result<Measure, Error> {
    let equal = vec![1.0; members.len()];
    context.certify = Certify::Off;
    let answer = barycenters.barycenter(cost, members, &equal, context)?;
    if let Some(termination) = context.interrupted() {
        return Err(Error::Stopped {
            what: "barycenters",
            termination,
            done: 0,
            count: 1,
        });
    }
    *unconverged += usize::from(!answer.convergence.converged());
    Ok(answer.weights)
}
