//! A classifier of the costs to all models, where retrieval takes the least of them.
//!
//! Source: Pękalska and Duin, *The dissimilarity representation for pattern recognition* (2005), chapter 4: a sample is
//! described by how far it is from a few prototypes, and any classifier reads the description.

use std::sync::Arc;

use ot_nn::Layer;
use solver_api::{Context, Cost, Solver};

use crate::images::by_class;
use crate::learning::losses::KullbackLeibler;
use crate::learning::{FittedClassifier, Linear, NetworkModel, Training, WassersteinClassifier};
use crate::retrieval::Retrieved;
use crate::{Error, Images, ModelSet, Retrieval, Score, scores};

/// Slope of the hidden units below 0.
const LEAK: f64 = 0.01;

/// What can be set of a [`DissimilarityClassifier`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DissimilaritySettings {
    /// Units of the hidden layer between costs and classes; with 0 there is none, and the classes are a linear softmax of
    /// the costs. Default: 256.
    pub hidden: usize,
    /// How the network is trained. Default: that of [`Training`] with a weight penalty of 1e-4.
    pub training: Training,
}

impl Default for DissimilaritySettings {
    fn default() -> Self {
        Self {
            hidden: 256,
            training: Training {
                l2: 1e-4,
                ..Training::default()
            },
        }
    }
}

/// Classifies an image by its costs to all models: a small network reads them together.
///
/// Of the costs c to M models the network sees (c − min c) / mean(c − min c), so that the unit of the cost is no matter,
/// each standardized over the training images. A query takes one batch of M solves; fitting takes one for each image.
/// Needs [`Capability::Balanced`](solver_api::Capability::Balanced).
#[derive(Clone)]
pub struct DissimilarityClassifier<'a> {
    retrieval: Retrieval<'a>,
    settings: DissimilaritySettings,
}

impl<'a> DissimilarityClassifier<'a> {
    /// Costs to `models` by `solver`, on pixels with `cost` (see [`pixel_cost`](crate::pixel_cost)).
    ///
    /// # Errors
    /// As [`Retrieval::new`], and a setting of the training outside of its range.
    pub fn new(
        solver: &'a dyn Solver,
        cost: Arc<dyn Cost>,
        models: ModelSet,
        score: Score,
        settings: DissimilaritySettings,
    ) -> Result<Self, Error> {
        settings.training.check()?;
        Ok(Self {
            retrieval: Retrieval::new(solver, cost, models, score)?.exhaustive(),
            settings,
        })
    }

    /// Learns to tell `labels` from the costs of `images`, which may be other classes than those of the models. The seed
    /// of the training draws the network; the observer of `context` hears of every image, and then of every epoch.
    ///
    /// Memory: two numbers for each image and model.
    ///
    /// # Errors
    /// Labels missing, one class only, images of another size than the models, what the solver refuses, and
    /// [`Error::Stopped`] by the context.
    pub fn fit(
        &self,
        images: &Images,
        labels: &[i64],
        context: &Context,
    ) -> Result<FittedDissimilarity<'a>, Error> {
        by_class(labels, images.len())?;
        self.fit_costs(&self.costs(images, context)?, labels, context)
    }

    /// The costs of `images` to all models, for [`fit_costs`](Self::fit_costs) with one setting after another.
    ///
    /// # Errors
    /// As [`Retrieval::predict`].
    pub fn costs(&self, images: &Images, context: &Context) -> Result<Retrieved, Error> {
        self.retrieval.predict(images, context)
    }

    /// [`fit`](Self::fit) from costs that are known.
    ///
    /// # Errors
    /// Costs to another number of models, labels missing, one class only, and [`Error::Stopped`] by the context.
    pub fn fit_costs(
        &self,
        found: &Retrieved,
        labels: &[i64],
        context: &Context,
    ) -> Result<FittedDissimilarity<'a>, Error> {
        by_class(labels, found.predictions().len())?;
        let models = self.retrieval.models().len();
        let mut x = relative(found, models)?;
        let scaling = Scaling::of(&x, models);
        scaling.apply(&mut x);
        let training = self.settings.training;
        let reader = WassersteinClassifier::new(Arc::new(KullbackLeibler), training)?;
        let reader = reader.fit_model(&x, models, labels, context, |inputs, outputs| {
            Ok(match self.settings.hidden {
                0 => Box::new(Linear::zeros(inputs, outputs)?),
                hidden => {
                    let units = Layer::LeakyRelu { slope: LEAK };
                    let seed = training.seed;
                    Box::new(NetworkModel::two_layers(
                        inputs, hidden, outputs, units, seed,
                    )?)
                }
            })
        })?;
        Ok(FittedDissimilarity {
            retrieval: self.retrieval.clone(),
            scaling,
            reader,
            unconverged: found.unconverged(),
        })
    }
}

/// [`DissimilarityClassifier`] with what it learned.
pub struct FittedDissimilarity<'a> {
    retrieval: Retrieval<'a>,
    scaling: Scaling,
    reader: FittedClassifier,
    unconverged: usize,
}

impl FittedDissimilarity<'_> {
    /// The class of each of `queries`, and its costs.
    ///
    /// # Errors
    /// As [`Retrieval::predict`].
    pub fn predict(&self, queries: &Images, context: &Context) -> Result<Dissimilar, Error> {
        self.predict_costs(self.retrieval.predict(queries, context)?)
    }

    /// [`predict`](Self::predict) from costs that are known.
    ///
    /// # Errors
    /// Costs to another number of models.
    pub fn predict_costs(&self, found: Retrieved) -> Result<Dissimilar, Error> {
        let mut x = relative(&found, self.retrieval.models().len())?;
        self.scaling.apply(&mut x);
        let probabilities = self.reader.predict_proba(&x)?;
        let classes = self.classes();
        let of = |weights: &[f64]| classes[scores::ranking(weights)[0]];
        Ok(Dissimilar {
            predictions: probabilities.chunks_exact(classes.len()).map(of).collect(),
            probabilities,
            costs: found,
        })
    }

    /// The classes, in the order of [`Dissimilar::probabilities`].
    #[must_use]
    pub fn classes(&self) -> &[i64] {
        self.reader.classes()
    }

    /// What reads the costs, with its history.
    #[must_use]
    pub fn reader(&self) -> &FittedClassifier {
        &self.reader
    }

    /// How many solves of the fit ended short of their tolerance; their costs were learned from all the same.
    #[must_use]
    pub fn unconverged(&self) -> usize {
        self.unconverged
    }
}

/// What [`FittedDissimilarity::predict`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Dissimilar {
    predictions: Vec<i64>,
    probabilities: Vec<f64>,
    costs: Retrieved,
}

impl Dissimilar {
    /// The class of each query.
    #[must_use]
    pub fn predictions(&self) -> &[i64] {
        &self.predictions
    }

    /// The weights of all classes for each query, row by row.
    #[must_use]
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// The costs that were read, and what retrieval by the least of them would have answered.
    #[must_use]
    pub fn costs(&self) -> &Retrieved {
        &self.costs
    }

    /// The part of the queries whose class is that of `labels`.
    ///
    /// # Errors
    /// Another number of labels than of queries.
    pub fn accuracy(&self, labels: &[i64]) -> Result<f64, Error> {
        scores::accuracy(&self.predictions, labels)
    }
}

/// (c − min c) / mean(c − min c) of each query; zeros where all costs are one.
fn relative(found: &Retrieved, models: usize) -> Result<Vec<f64>, Error> {
    let queries = found.predictions().len();
    let mut x = Vec::with_capacity(queries * models);
    for costs in (0..queries).map(|i| found.costs(i)) {
        if costs.len() != models {
            return Err(Error::Shape {
                argument: "costs",
                found: costs.len(),
                expected: format!("there are {models} models"),
            });
        }
        let values = || costs.iter().map(|cost| cost.value());
        let least = values().fold(f64::INFINITY, f64::min);
        let mean = values().map(|c| c - least).sum::<f64>() / models as f64;
        let scale = if mean > 0.0 { mean.recip() } else { 0.0 };
        x.extend(values().map(|c| (c - least) * scale));
    }
    Ok(x)
}

/// Mean and spread of each feature over the training images.
#[derive(Debug, Clone, PartialEq)]
struct Scaling {
    mean: Vec<f64>,
    factor: Vec<f64>,
}

impl Scaling {
    fn of(x: &[f64], dim: usize) -> Self {
        let rows = (x.len() / dim).max(1) as f64;
        let mut mean = vec![0.0; dim];
        let mut squares = vec![0.0; dim];
        for row in x.chunks_exact(dim) {
            row.iter().zip(&mut mean).for_each(|(v, m)| *m += v / rows);
        }
        for row in x.chunks_exact(dim) {
            for ((v, m), s) in row.iter().zip(&mean).zip(&mut squares) {
                *s += (v - m).powi(2) / rows;
            }
        }
        // Features are of size 1: one that changes by roundings alone says nothing, and is left as it is.
        let factor = |s: f64| if s > 1e-18 { s.sqrt().recip() } else { 1.0 };
        Self {
            mean,
            factor: squares.into_iter().map(factor).collect(),
        }
    }

    fn apply(&self, x: &mut [f64]) {
        for row in x.chunks_exact_mut(self.mean.len()) {
            for ((v, m), f) in row.iter_mut().zip(&self.mean).zip(&self.factor) {
                *v = (*v - m) * f;
            }
        }
    }
}
