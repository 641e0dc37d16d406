//! Models that can be trained: the hook, and the linear one.

use std::ops::Range;

use ot_kernels::gemm::{ktu_batch, kv_batch};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::Error;

/// A map from D features to K scores with parameters that can be moved: the hook for any differentiable model.
///
/// All arrays hold rows, one for each sample of a batch. The trainer calls [`forward`](Self::forward) and then
/// [`backward`](Self::backward) on the same batch, so that what the first computes may be kept for the second. It checks
/// shapes before; an implementation may panic where rows are not whole.
pub trait Model: Send + Sync {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// D.
    fn inputs(&self) -> usize;

    /// K.
    fn outputs(&self) -> usize;

    /// All parameters.
    fn parameters(&self) -> &[f64];

    /// All parameters, to be moved.
    fn parameters_mut(&mut self) -> &mut [f64];

    /// Which of the parameters are weights, which a penalty makes smaller; biases are not.
    fn weights(&self) -> Vec<Range<usize>>;

    /// Scores of the rows of `x`, B×D, into `scores`, B×K.
    fn scores(&self, x: &[f64], scores: &mut [f64]);

    /// [`scores`](Self::scores) before a [`backward`](Self::backward).
    fn forward(&mut self, x: &[f64], scores: &mut [f64]) {
        self.scores(x, scores);
    }

    /// The gradient by the parameters, as long as they are, from that by the scores, B×K.
    fn backward(&mut self, x: &[f64], by_scores: &[f64], gradient: &mut [f64]);
}

/// Scores W x + b. 2·K·D flops a sample forward, as many backward; memory K·(D + 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    /// W row by row, then b.
    parameters: Vec<f64>,
    /// Gradients by the scores, label by label.
    turned: Vec<f64>,
}

impl Linear {
    /// With W = 0 and b = 0: the training problem of a convex loss has one minimum, and no draw is needed.
    ///
    /// # Errors
    /// No inputs, or no outputs.
    pub fn zeros(inputs: usize, outputs: usize) -> Result<Self, Error> {
        for (name, value) in [("inputs", inputs), ("outputs", outputs)] {
            if value == 0 {
                return Err(Error::setting(name, 0, "must be at least 1"));
            }
        }
        Ok(Self {
            inputs,
            outputs,
            parameters: vec![0.0; outputs * (inputs + 1)],
            turned: Vec::new(),
        })
    }

    /// With weights drawn from ±`scale`, uniformly.
    ///
    /// # Errors
    /// As [`Linear::zeros`], and a scale that is negative or not finite.
    pub fn random(inputs: usize, outputs: usize, scale: f64, seed: u64) -> Result<Self, Error> {
        if !(scale >= 0.0 && scale.is_finite()) {
            return Err(Error::setting(
                "scale",
                scale,
                "must be finite and not negative",
            ));
        }
        let mut model = Self::zeros(inputs, outputs)?;
        let mut rng = Pcg64::seed_from_u64(seed);
        let weights = &mut model.parameters[..inputs * outputs];
        for w in weights {
            *w = scale * (2.0 * rng.random::<f64>() - 1.0);
        }
        Ok(model)
    }

    /// W, K×D.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.parameters[..self.inputs * self.outputs]
    }

    /// b.
    #[must_use]
    pub fn biases(&self) -> &[f64] {
        &self.parameters[self.inputs * self.outputs..]
    }
}

impl Model for Linear {
    fn name(&self) -> &str {
        "linear"
    }

    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [f64] {
        &mut self.parameters
    }

    fn weights(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.inputs * self.outputs).collect()
    }

    fn scores(&self, x: &[f64], scores: &mut [f64]) {
        kv_batch(self.coefficients(), self.outputs, self.inputs, x, scores, 1);
        for row in scores.chunks_exact_mut(self.outputs) {
            row.iter_mut().zip(self.biases()).for_each(|(s, b)| *s += b);
        }
    }

    fn backward(&mut self, x: &[f64], by_scores: &[f64], gradient: &mut [f64]) {
        let (k, rows) = (self.outputs, by_scores.len() / self.outputs);
        self.turned.resize(by_scores.len(), 0.0);
        for (row, by) in by_scores.chunks_exact(k).enumerate() {
            for (label, g) in by.iter().enumerate() {
                self.turned[label * rows + row] = *g;
            }
        }
        let (weights, biases) = gradient.split_at_mut(self.inputs * k);
        ktu_batch(x, rows, self.inputs, &self.turned, weights, 1);
        for (b, column) in biases.iter_mut().zip(self.turned.chunks_exact(rows.max(1))) {
            *b = column.iter().sum();
        }
    }
}

/// How scores become predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Head {
    /// e^s over the sum: distributions.
    #[default]
    Softmax,
    /// log(1 + e^s): positive numbers of any sum, for losses that take any mass.
    Softplus,
}

/// The smallest prediction: losses with an infinite slope at 0 stay numbers, and gradients by the scores are not seen to
/// differ.
const SMALLEST: f64 = 1e-100;

impl Head {
    /// Predictions in place of the scores, row by row; none is below 1e-100.
    ///
    /// # Panics
    /// If there are no labels.
    pub fn predict(self, labels: usize, scores: &mut [f64]) {
        match self {
            Self::Softmax => {
                for row in scores.chunks_exact_mut(labels) {
                    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let mut sum = 0.0;
                    for s in row.iter_mut() {
                        *s = (*s - most).exp();
                        sum += *s;
                    }
                    row.iter_mut().for_each(|s| *s = (*s / sum).max(SMALLEST));
                }
            }
            Self::Softplus => {
                for s in scores {
                    let positive = s.max(0.0);
                    *s = (positive + (-s.abs()).exp().ln_1p()).max(SMALLEST);
                }
            }
        }
    }

    /// The gradient by the scores in place of that by the predictions.
    ///
    /// # Panics
    /// If there are no labels.
    pub fn pull(self, labels: usize, predictions: &[f64], gradient: &mut [f64]) {
        match self {
            Self::Softmax => {
                let rows = predictions.chunks_exact(labels);
                for (h, g) in rows.zip(gradient.chunks_exact_mut(labels)) {
                    let mut mean = 0.0;
                    for (h, g) in h.iter().zip(&mut *g) {
                        *g *= h;
                        mean += *g;
                    }
                    h.iter().zip(g).for_each(|(h, g)| *g -= mean * h);
                }
            }
            // d/ds log(1 + e^s) = 1 − e^{−h}.
            Self::Softplus => {
                let pairs = predictions.iter().zip(gradient);
                pairs.for_each(|(h, g)| *g *= -(-h).exp_m1());
            }
        }
    }
}
