//! Estimators: a model, a loss and a training, with `fit` and `predict`.

use std::sync::Arc;

use solver_api::Context;

use super::losses::Loss;
use super::train::{History, Training, check_features, train};
use super::{Head, Linear, Model, Targets};
use crate::images::by_class;
use crate::{Error, scores};

/// Samples whose scores are computed at once.
const ROWS: usize = 256;

/// A classifier that is trained with a loss between distributions over its labels. The model is a linear softmax, or any
/// [`Model`].
#[derive(Clone)]
pub struct WassersteinClassifier<'a> {
    loss: Arc<dyn Loss + 'a>,
    training: Training,
    classes: Option<Vec<i64>>,
}

impl<'a> WassersteinClassifier<'a> {
    /// With `loss`. Label k of the loss is the k-th smallest class, unless [`with_classes`](Self::with_classes) says
    /// otherwise.
    ///
    /// # Errors
    /// A setting outside of its range.
    pub fn new(loss: Arc<dyn Loss + 'a>, training: Training) -> Result<Self, Error> {
        training.check()?;
        Ok(Self {
            loss,
            training,
            classes: None,
        })
    }

    /// With `classes` in the order of the ground metric's labels. Each must come in the training.
    ///
    /// # Errors
    /// Fewer than two classes, one that comes twice, another number than the loss is made for.
    pub fn with_classes(mut self, classes: &[i64]) -> Result<Self, Error> {
        let mut sorted = classes.to_vec();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
            return Err(Error::setting("classes", twice[0], "comes twice"));
        }
        self.check_count(classes.len())?;
        self.classes = Some(classes.to_vec());
        Ok(self)
    }

    fn check_count(&self, classes: usize) -> Result<(), Error> {
        if classes < 2 {
            let rule = "must be at least 2: there is nothing to tell apart";
            return Err(Error::setting("number of classes", classes, rule));
        }
        match self.loss.labels() {
            Some(made) if made != classes => {
                let rule = format!("the loss is made for {made} labels: give it as many classes");
                Err(Error::setting("number of classes", classes, &rule))
            }
            _ => Ok(()),
        }
    }

    /// Trains a linear softmax on the rows of `x`, `dim` features each, with one of `labels` for each. See [`train`] for
    /// time, memory and threads.
    ///
    /// # Errors
    /// Labels missing, one class only, a class of [`with_classes`](Self::with_classes) without samples or a label that is
    /// none of them, another number of classes than the loss is made for, and what [`train`] refuses.
    pub fn fit(
        &self,
        x: &[f64],
        dim: usize,
        labels: &[i64],
        context: &Context,
    ) -> Result<FittedClassifier, Error> {
        self.fit_model(x, dim, labels, context, |inputs, outputs| {
            Ok(Box::new(Linear::zeros(inputs, outputs)?))
        })
    }

    /// [`fit`](Self::fit) of the model that `make` makes for a number of inputs and one of outputs.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit), and of `make`.
    pub fn fit_model(
        &self,
        x: &[f64],
        dim: usize,
        labels: &[i64],
        context: &Context,
        make: impl FnOnce(usize, usize) -> Result<Box<dyn Model>, Error>,
    ) -> Result<FittedClassifier, Error> {
        let (classes, places) = self.places(x, dim, labels)?;
        let targets = Targets::from_classes(classes.len(), &places)?;
        let (model, history) = self.train(x, dim, &targets, context, make)?;
        Ok(FittedClassifier {
            predictor: Predictor {
                model,
                head: self.training.head,
                history,
            },
            classes,
        })
    }

    /// Trains a linear model towards distributions over labels, such as sets of tags or spectra.
    ///
    /// # Errors
    /// What [`train`] refuses.
    pub fn fit_targets(
        &self,
        x: &[f64],
        dim: usize,
        targets: &Targets,
        context: &Context,
    ) -> Result<Predictor, Error> {
        self.fit_targets_model(x, dim, targets, context, |inputs, outputs| {
            Ok(Box::new(Linear::zeros(inputs, outputs)?))
        })
    }

    /// [`fit_targets`](Self::fit_targets) of the model that `make` makes.
    ///
    /// # Errors
    /// What [`train`] and `make` refuse.
    pub fn fit_targets_model(
        &self,
        x: &[f64],
        dim: usize,
        targets: &Targets,
        context: &Context,
        make: impl FnOnce(usize, usize) -> Result<Box<dyn Model>, Error>,
    ) -> Result<Predictor, Error> {
        let (model, history) = self.train(x, dim, targets, context, make)?;
        Ok(Predictor {
            model,
            head: self.training.head,
            history,
        })
    }

    fn train(
        &self,
        x: &[f64],
        dim: usize,
        targets: &Targets,
        context: &Context,
        make: impl FnOnce(usize, usize) -> Result<Box<dyn Model>, Error>,
    ) -> Result<(Box<dyn Model>, History), Error> {
        if dim == 0 {
            return Err(Error::setting("dim", 0, "must be at least 1"));
        }
        let mut model = make(dim, targets.labels())?;
        if model.inputs() != dim {
            let rule = format!("the samples have {dim} features: one for each");
            return Err(Error::setting("model's inputs", model.inputs(), &rule));
        }
        let training = &self.training;
        let history = train(
            model.as_mut(),
            self.loss.as_ref(),
            x,
            targets,
            training,
            context,
        )?;
        Ok((model, history))
    }

    /// The classes in order, and which of them each sample is of.
    fn places(
        &self,
        x: &[f64],
        dim: usize,
        labels: &[i64],
    ) -> Result<(Vec<i64>, Vec<usize>), Error> {
        if dim == 0 {
            return Err(Error::setting("dim", 0, "must be at least 1"));
        }
        let samples = check_features(x, dim, None)?;
        let found = by_class(labels, samples)?;
        let classes = match &self.classes {
            None => found.keys().copied().collect(),
            Some(classes) => {
                if let Some(&class) = classes.iter().find(|class| !found.contains_key(class)) {
                    return Err(Error::ClassWithoutSamples {
                        argument: "labels",
                        class,
                    });
                }
                classes.clone()
            }
        };
        self.check_count(classes.len())?;
        let mut places = vec![0; samples];
        for (class, members) in found {
            let Some(place) = classes.iter().position(|c| *c == class) else {
                return Err(Error::setting("labels", class, "is none of the classes"));
            };
            members
                .into_iter()
                .for_each(|sample| places[sample] = place);
        }
        Ok((classes, places))
    }
}

/// A trained model.
pub struct Predictor {
    model: Box<dyn Model>,
    head: Head,
    history: History,
}

impl Predictor {
    /// Predicted weights of all labels for each row of `x`, row by row: distributions, after a softmax. Time of the model.
    ///
    /// # Errors
    /// Rows of another length, and features that are not finite.
    pub fn predict_proba(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        let (dim, labels) = (self.model.inputs(), self.model.outputs());
        let samples = check_features(x, dim, None)?;
        let mut h = vec![0.0; samples * labels];
        for (x, h) in x.chunks(ROWS * dim).zip(h.chunks_mut(ROWS * labels)) {
            self.model.scores(x, h);
        }
        self.head.predict(labels, &mut h);
        Ok(h)
    }

    /// The label with the largest weight for each row of `x`; the first of equals.
    ///
    /// # Errors
    /// As [`predict_proba`](Self::predict_proba).
    pub fn predict_labels(&self, x: &[f64]) -> Result<Vec<usize>, Error> {
        let h = self.predict_proba(x)?;
        Ok(h.chunks_exact(self.model.outputs()).map(largest).collect())
    }

    /// The model with the parameters that were learned.
    #[must_use]
    pub fn model(&self) -> &dyn Model {
        self.model.as_ref()
    }

    /// How the training went.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }
}

fn largest(row: &[f64]) -> usize {
    let mut best = 0;
    for (k, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = k;
        }
    }
    best
}

/// [`WassersteinClassifier`] with what it learned.
pub struct FittedClassifier {
    predictor: Predictor,
    classes: Vec<i64>,
}

impl FittedClassifier {
    /// The class of each label.
    #[must_use]
    pub fn classes(&self) -> &[i64] {
        &self.classes
    }

    /// The trained model.
    #[must_use]
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// Predicted weights of the classes, in their order, for each row of `x`.
    ///
    /// # Errors
    /// Rows of another length, and features that are not finite.
    pub fn predict_proba(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        self.predictor.predict_proba(x)
    }

    /// The class of each row of `x`.
    ///
    /// # Errors
    /// As [`predict_proba`](Self::predict_proba).
    pub fn predict(&self, x: &[f64]) -> Result<Vec<i64>, Error> {
        let labels = self.predictor.predict_labels(x)?;
        Ok(labels.into_iter().map(|k| self.classes[k]).collect())
    }

    /// The part of the rows of `x` whose class is that of `labels`.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and another number of labels.
    pub fn accuracy(&self, x: &[f64], labels: &[i64]) -> Result<f64, Error> {
        scores::accuracy(&self.predict(x)?, labels)
    }
}
