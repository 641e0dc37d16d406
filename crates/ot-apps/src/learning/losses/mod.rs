//! Losses between predicted and true distributions over labels, and their gradients by the prediction.
//!
//! | loss | of | a row costs |
//! |---|---|---|
//! | [`KullbackLeibler`] | Σ y log(y/h): the baseline of 003 | O(K) |
//! | [`SquaredError`] | Σ (h − y)²/K: the baseline of 004 | O(K) |
//! | [`EntropicWasserstein`] | 003, equation (6) and algorithm 1, all rows of a batch in one product | O(K²) an iteration |
//! | [`RelaxedWasserstein`] | 003, equation (8): any masses | O(K²) an iteration |
//! | [`TransportLoss`] | the optimum of any [`Solver`](solver_api::Solver) | a solve |
//! | [`LineWasserstein`] | W_p^p of labels on a line, in closed form | O(K) |
//! | [`HierarchicalEmd`] | 004's EMD^ρ on a tree of labels | O(nodes) |
//! | [`WeightedSum`] | W + α·KL and the like | the sum |
//!
//! One of your own implements [`Loss`].

mod entropic;
mod line;
mod plain;
mod relaxed;
mod sum;
mod transport;
mod tree;

pub use entropic::{EntropicReference, EntropicSettings, EntropicWasserstein};
pub use line::LineWasserstein;
pub use plain::{KullbackLeibler, SquaredError};
pub use relaxed::{RelaxedSettings, RelaxedWasserstein};
pub use sum::WeightedSum;
pub use transport::TransportLoss;
pub use tree::HierarchicalEmd;

use solver_api::Context;

use crate::Error;

/// Rows of a balanced loss have equal masses to this, relative.
const EQUAL_MASSES: f64 = 1e-6;

/// A loss ℓ(h, y) of a prediction h and a target y over the same K labels, for many rows at once.
pub trait Loss: Send + Sync {
    /// Its name in reports.
    fn name(&self) -> String;

    /// The number of labels that it is made for, or `None` where it takes any.
    fn labels(&self) -> Option<usize> {
        None
    }

    /// Numbers that it keeps for each sample between epochs, to start the next time from. All 0 is a sample that it has
    /// not seen.
    fn memory(&self, labels: usize) -> usize {
        let _ = labels;
        0
    }

    /// Adds `sums.scale` times ℓ of each row to `sums.values`, and `sums.scale` times ∂ℓ/∂h to `sums.gradient`. Losses
    /// between distributions of equal mass say their gradient up to a constant for each row, which a softmax takes away.
    ///
    /// `memory` has [`Loss::memory`] numbers for each row, row by row. `context` is that of solvers inside: deadline,
    /// token and threads.
    ///
    /// # Errors
    /// Predictions and targets that it is not defined for, naming row and label; whatever a solver inside refuses.
    ///
    /// # Panics
    /// It may where `memory`, values or gradient are not as long as `rows` ask for: [`evaluate`] makes them.
    fn evaluate(
        &self,
        rows: Rows<'_>,
        memory: &mut [f64],
        sums: &mut Sums<'_>,
        context: &mut Context,
    ) -> Result<(), Error>;
}

/// Predictions and targets, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    labels: usize,
    prediction: &'a [f64],
    target: &'a [f64],
}

impl<'a> Rows<'a> {
    /// `prediction` and `target` of as many rows of `labels` numbers.
    ///
    /// # Errors
    /// Parts of rows, and numbers of rows that differ.
    pub fn new(labels: usize, prediction: &'a [f64], target: &'a [f64]) -> Result<Self, Error> {
        if labels == 0 || !prediction.len().is_multiple_of(labels) {
            return Err(Error::Shape {
                argument: "prediction",
                found: prediction.len(),
                expected: format!("rows of {labels} labels take a multiple of that many"),
            });
        }
        if prediction.len() != target.len() {
            return Err(Error::Shape {
                argument: "target",
                found: target.len(),
                expected: format!("the prediction has {}: one for each", prediction.len()),
            });
        }
        Ok(Self {
            labels,
            prediction,
            target,
        })
    }

    /// K.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prediction.len() / self.labels
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prediction.is_empty()
    }

    /// h.
    #[must_use]
    pub fn prediction(&self) -> &'a [f64] {
        self.prediction
    }

    /// y.
    #[must_use]
    pub fn target(&self) -> &'a [f64] {
        self.target
    }

    /// h and y of each row.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [f64], &'a [f64])> + use<'a> {
        let rows = self.prediction.chunks_exact(self.labels);
        rows.zip(self.target.chunks_exact(self.labels))
    }

    /// An error unless there are as many labels as a loss is made for, and all numbers are finite and not negative;
    /// with `positive`, no prediction may be 0.
    pub(crate) fn check(&self, labels: usize, positive: bool) -> Result<(), Error> {
        if self.labels != labels {
            let rule = format!("the loss is made for {labels}");
            return Err(Error::setting("labels", self.labels, &rule));
        }
        let fine = |h: &f64| h.is_finite() && (*h > 0.0 || !positive && *h >= 0.0);
        let rule = if positive {
            "predictions must be finite and above 0: the loss has an infinite slope there"
        } else {
            "predictions must be finite and not negative"
        };
        self.entries("prediction", self.prediction, fine, rule)?;
        let fine = |y: &f64| y.is_finite() && *y >= 0.0;
        let rule = "weights must be finite and not negative";
        self.entries("target", self.target, fine, rule)
    }

    /// An error unless the masses of each row's sides are equal and positive.
    pub(crate) fn check_masses(&self) -> Result<(), Error> {
        for (row, (h, y)) in self.pairs().enumerate() {
            let (own, other) = (h.iter().sum::<f64>(), y.iter().sum::<f64>());
            if !(other > 0.0 && (own - other).abs() <= EQUAL_MASSES * other) {
                let rule = format!(
                    "its mass must be that of the target, {other}, and above 0; a relaxed loss takes others"
                );
                return Err(Error::setting(&format!("prediction[{row}]"), own, &rule));
            }
        }
        Ok(())
    }

    pub(crate) fn entries(
        &self,
        argument: &'static str,
        values: &[f64],
        fine: impl Fn(&f64) -> bool,
        rule: &'static str,
    ) -> Result<(), Error> {
        match values.iter().position(|v| !fine(v)) {
            None => Ok(()),
            Some(at) => Err(Error::Entry {
                argument,
                row: at / self.labels,
                col: at % self.labels,
                value: values[at],
                rule,
            }),
        }
    }
}

/// What a loss adds to.
#[derive(Debug)]
pub struct Sums<'a> {
    /// The factor of all that is added.
    pub scale: f64,
    /// One for each row.
    pub values: &'a mut [f64],
    /// As long as the prediction.
    pub gradient: &'a mut [f64],
}

impl Sums<'_> {
    /// Adds the value of one row, and its gradient label by label.
    pub(crate) fn add(&mut self, row: usize, value: f64, gradient: impl Iterator<Item = f64>) {
        self.values[row] += self.scale * value;
        let labels = self.gradient.len() / self.values.len();
        let own = &mut self.gradient[row * labels..(row + 1) * labels];
        for (sum, g) in own.iter_mut().zip(gradient) {
            *sum += self.scale * g;
        }
    }
}

/// The values of a loss, one for each row of `prediction`, and the gradient, as long as `prediction`.
///
/// # Errors
/// Parts of rows, and what the loss refuses.
pub fn evaluate(
    loss: &dyn Loss,
    labels: usize,
    prediction: &[f64],
    target: &[f64],
    context: &mut Context,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let rows = Rows::new(labels, prediction, target)?;
    let mut memory = vec![0.0; rows.len() * loss.memory(labels)];
    let (mut values, mut gradient) = (vec![0.0; rows.len()], vec![0.0; prediction.len()]);
    let mut sums = Sums {
        scale: 1.0,
        values: &mut values,
        gradient: &mut gradient,
    };
    loss.evaluate(rows, &mut memory, &mut sums, context)?;
    Ok((values, gradient))
}
