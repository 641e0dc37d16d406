//! Empirical risk minimization: 003, equation (1), by stochastic gradients.

use std::ops::Range;
use std::time::Instant;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use solver_api::Context;

use super::losses::{Loss, Rows, Sums};
use super::optimizer::{Optimizer, Steps};
use super::{Head, Model, Targets};
use crate::{Error, steps};

/// What can be set of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Passes over the samples. Default: 50.
    pub epochs: usize,
    /// Samples of a step. Default: 100, as large as keeps matrix products busy.
    pub batch: usize,
    /// Length of the steps. Default: 0.01, for the default optimizer.
    pub rate: f64,
    /// The factor of the rate from epoch to epoch. Default: 0.95, so that the last steps average over what is random.
    pub decay: f64,
    /// How steps are made. Default: Adam.
    pub optimizer: Optimizer,
    /// The penalty l2/2·‖weights‖² beside the mean loss. Default: 0.
    pub l2: f64,
    /// How scores become predictions. Default: softmax.
    pub head: Head,
    /// The part of the samples that is held out, drawn at random, to watch the loss on. Default: 0.
    pub validation: f64,
    /// Ends after that many epochs without a new least loss (of the held out samples, where there are any; else of the
    /// training). Parameters are then those of the least. Default: none.
    pub patience: Option<usize>,
    /// Of the order of the samples, and of those held out. Default: 0.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 50,
            batch: 100,
            rate: 0.01,
            decay: 0.95,
            optimizer: Optimizer::default(),
            l2: 0.0,
            head: Head::Softmax,
            validation: 0.0,
            patience: None,
            seed: 0,
        }
    }
}

impl Training {
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (name, value) in [("epochs", self.epochs), ("batch", self.batch)] {
            if value == 0 {
                return Err(Error::setting(name, 0, "must be at least 1"));
            }
        }
        if self.patience == Some(0) {
            return Err(Error::setting("patience", 0, "must be at least 1"));
        }
        for (name, value) in [("rate", self.rate), ("decay", self.decay)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(name, value, "must be positive and finite"));
            }
        }
        if !(self.l2 >= 0.0 && self.l2.is_finite()) {
            return Err(Error::setting(
                "l2",
                self.l2,
                "must be finite and not negative",
            ));
        }
        if !(0.0..1.0).contains(&self.validation) {
            let rule = "must be from 0 to below 1, a part of the samples";
            return Err(Error::setting("validation", self.validation, rule));
        }
        self.optimizer.check()
    }
}

/// How a training went.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Mean loss of each epoch, with the parameters as they were in each step; without the penalty.
    pub training: Vec<f64>,
    /// Mean loss of the held out samples after each epoch; empty without any.
    pub validation: Vec<f64>,
    /// The epoch, from 0, whose parameters were kept: the last one, or that of the least loss with `patience`.
    pub kept: usize,
}

/// Trains `model` on the rows of `x`, its inputs for each sample, towards `targets`, and leaves it with the parameters
/// that [`History`] says.
///
/// One epoch costs the model's forward and backward products and the loss of all samples. Memory: the model three times,
/// a batch, and [`Loss::memory`] numbers for each sample. The trainer's own work is on one thread (a solver inside of
/// the loss has those of `context`), so that the seed alone decides the answer. The observer of `context` hears of every
/// epoch, with the mean loss as `error`.
///
/// # Errors
/// Settings outside of their range; shapes of model, loss, samples and targets that differ; features that are not finite;
/// what the loss refuses; [`Error::Stopped`]; parameters that leave the range of numbers, where the rate is too large.
pub fn train(
    model: &mut dyn Model,
    loss: &dyn Loss,
    x: &[f64],
    targets: &Targets,
    training: &Training,
    context: &Context,
) -> Result<History, Error> {
    training.check()?;
    check_shapes(model, loss, x, targets)?;
    let mut rng = Pcg64::seed_from_u64(training.seed);
    let mut order: Vec<usize> = (0..targets.len()).collect();
    let held = (training.validation * targets.len() as f64).round() as usize;
    if held > 0 {
        order.shuffle(&mut rng);
    }
    let held = order.split_off(targets.len() - held);
    if order.is_empty() {
        let rule = "leaves no samples to train with";
        return Err(Error::setting("validation", training.validation, rule));
    }
    let samples = order.len();
    let mut run = Run {
        weights: model.weights(),
        model,
        loss,
        x,
        targets,
        training,
        memory: vec![0.0; targets.len() * loss.memory(targets.labels())],
        room: Room::default(),
        // Solvers inside must not be taken for epochs by who watches.
        context: context.for_step(context.threads())?,
    };
    let mut steps = Steps::new(training.optimizer);
    let mut history = History {
        training: Vec::new(),
        validation: Vec::new(),
        kept: 0,
    };
    let (mut best, mut kept) = (f64::INFINITY, Vec::new());
    let (begun, mut rate) = (Instant::now(), training.rate);
    for epoch in 0..training.epochs {
        order.shuffle(&mut rng);
        let mut sum = 0.0;
        for batch in order.chunks(training.batch) {
            sum += run.step(batch, rate, &mut steps)?;
        }
        history.training.push(sum / samples as f64);
        let mut seen = sum / samples as f64;
        if !held.is_empty() {
            seen = run.mean_loss(&held)?;
            history.validation.push(seen);
        }
        if !seen.is_finite() {
            let rule = format!("the loss has left the range of numbers in epoch {epoch}: lower it");
            return Err(Error::setting("rate", training.rate, &rule));
        }
        rate *= training.decay;
        if training.patience.is_none() || seen < best {
            best = seen;
            history.kept = epoch;
            if training.patience.is_some() {
                kept.clear();
                kept.extend_from_slice(run.model.parameters());
            }
        }
        if training
            .patience
            .is_some_and(|patience| epoch - history.kept >= patience)
        {
            break;
        }
        let of = (epoch, training.epochs);
        steps::tell(context, "epochs", of, seen, begun)?;
    }
    if !kept.is_empty() {
        run.model.parameters_mut().copy_from_slice(&kept);
    }
    Ok(history)
}

fn check_shapes(
    model: &dyn Model,
    loss: &dyn Loss,
    x: &[f64],
    targets: &Targets,
) -> Result<(), Error> {
    let (labels, outputs) = (targets.labels(), model.outputs());
    if outputs != labels {
        let rule = format!("the model has {outputs} outputs: one for each label");
        return Err(Error::setting("labels", labels, &rule));
    }
    if let Some(made) = loss.labels().filter(|made| *made != labels) {
        let rule = format!("the loss is made for {made}");
        return Err(Error::setting("labels", labels, &rule));
    }
    check_features(x, model.inputs(), Some(targets.len()))?;
    Ok(())
}

/// The number of samples of `x`.
///
/// # Errors
/// Parts of rows, none, another number than of `samples`, and what is not finite.
pub(crate) fn check_features(
    x: &[f64],
    inputs: usize,
    samples: Option<usize>,
) -> Result<usize, Error> {
    let expected = match samples {
        Some(samples) => format!(
            "{samples} samples of {inputs} features take {}",
            samples * inputs
        ),
        None => format!("samples of {inputs} features take a positive multiple of that many"),
    };
    let fits = x.len().is_multiple_of(inputs) && !x.is_empty();
    if !fits || samples.is_some_and(|samples| samples != x.len() / inputs) {
        return Err(Error::Shape {
            argument: "x",
            found: x.len(),
            expected,
        });
    }
    match x.iter().position(|x| !x.is_finite()) {
        None => Ok(x.len() / inputs),
        Some(at) => Err(Error::Entry {
            argument: "x",
            row: at / inputs,
            col: at % inputs,
            value: x[at],
            rule: "features must be finite",
        }),
    }
}

/// A training under way.
struct Run<'a> {
    model: &'a mut dyn Model,
    weights: Vec<Range<usize>>,
    loss: &'a dyn Loss,
    x: &'a [f64],
    targets: &'a Targets,
    training: &'a Training,
    memory: Vec<f64>,
    room: Room,
    context: Context,
}

/// What a batch needs, kept from step to step.
#[derive(Default)]
struct Room {
    x: Vec<f64>,
    y: Vec<f64>,
    memory: Vec<f64>,
    h: Vec<f64>,
    values: Vec<f64>,
    by_scores: Vec<f64>,
    gradient: Vec<f64>,
}

/// Copies rows of `width` numbers.
fn gather(from: &[f64], width: usize, rows: &[usize], to: &mut Vec<f64>) {
    to.clear();
    for &row in rows {
        to.extend_from_slice(&from[row * width..(row + 1) * width]);
    }
}

impl Run<'_> {
    /// Predictions, values and gradients of `samples`, times `scale`.
    fn evaluate(&mut self, samples: &[usize], scale: f64) -> Result<(), Error> {
        let (inputs, labels) = (self.model.inputs(), self.targets.labels());
        let width = self.loss.memory(labels);
        let room = &mut self.room;
        gather(self.x, inputs, samples, &mut room.x);
        gather(self.targets.weights(), labels, samples, &mut room.y);
        gather(&self.memory, width, samples, &mut room.memory);
        room.h.resize(room.y.len(), 0.0);
        self.model.forward(&room.x, &mut room.h);
        self.training.head.predict(labels, &mut room.h);
        if room.h.iter().any(|h| !h.is_finite()) {
            let rule = "scores have left the range of numbers: lower it, or bring the features to a common scale";
            return Err(Error::setting("rate", self.training.rate, rule));
        }
        room.values.clear();
        room.values.resize(samples.len(), 0.0);
        room.by_scores.clear();
        room.by_scores.resize(room.y.len(), 0.0);
        let mut sums = Sums {
            scale,
            values: &mut room.values,
            gradient: &mut room.by_scores,
        };
        let rows = Rows::new(labels, &room.h, &room.y)?;
        self.loss
            .evaluate(rows, &mut room.memory, &mut sums, &mut self.context)?;
        if width > 0 {
            for (&row, held) in samples.iter().zip(room.memory.chunks_exact(width)) {
                self.memory[row * width..(row + 1) * width].copy_from_slice(held);
            }
        }
        Ok(())
    }

    /// One step, and the sum of the losses before it.
    fn step(&mut self, samples: &[usize], rate: f64, steps: &mut Steps) -> Result<f64, Error> {
        let scale = 1.0 / samples.len() as f64;
        self.evaluate(samples, scale)?;
        let labels = self.targets.labels();
        let room = &mut self.room;
        self.training
            .head
            .pull(labels, &room.h, &mut room.by_scores);
        room.gradient.resize(self.model.parameters().len(), 0.0);
        self.model
            .backward(&room.x, &room.by_scores, &mut room.gradient);
        if self.training.l2 > 0.0 {
            for weights in &self.weights {
                let own = &self.model.parameters()[weights.clone()];
                for (g, w) in room.gradient[weights.clone()].iter_mut().zip(own) {
                    *g += self.training.l2 * w;
                }
            }
        }
        let parameters = self.model.parameters_mut();
        steps
            .take(rate, &room.gradient, parameters)
            .map_err(|error| match error {
                Error::Network(ot_nn::Error::NotFinite { .. }) => {
                    let rule = "the gradient has left the range of numbers: lower it";
                    Error::setting("rate", self.training.rate, rule)
                }
                other => other,
            })?;
        Ok(self.room.values.iter().sum::<f64>() / scale)
    }

    fn mean_loss(&mut self, samples: &[usize]) -> Result<f64, Error> {
        let mut sum = 0.0;
        for batch in samples.chunks(self.training.batch) {
            self.evaluate(batch, 1.0)?;
            sum += self.room.values.iter().sum::<f64>();
        }
        Ok(sum / samples.len() as f64)
    }
}
