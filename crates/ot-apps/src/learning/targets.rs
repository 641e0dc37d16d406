//! What predictions are compared with: a distribution over labels for each sample.

use crate::Error;

/// N rows of K weights, finite and not negative, each row with a positive sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    labels: usize,
    weights: Vec<f64>,
}

impl Targets {
    /// Rows of `labels` weights, one row for each sample. Balanced losses want rows of sum 1: see
    /// [`normalized`](Self::normalized).
    ///
    /// # Errors
    /// Parts of rows, weights that are negative, infinite or NaN, and rows that are zero everywhere.
    pub fn new(labels: usize, weights: impl Into<Vec<f64>>) -> Result<Self, Error> {
        let weights = weights.into();
        check_labels(labels)?;
        if weights.is_empty() || !weights.len().is_multiple_of(labels) {
            return Err(Error::Shape {
                argument: "targets",
                found: weights.len(),
                expected: format!("rows of {labels} labels take a positive multiple of that many"),
            });
        }
        for (row, weights) in weights.chunks_exact(labels).enumerate() {
            if let Some(col) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
                return Err(Error::Entry {
                    argument: "targets",
                    row,
                    col,
                    value: weights[col],
                    rule: "weights must be finite and not negative",
                });
            }
            let mass: f64 = weights.iter().sum();
            if !(mass > 0.0 && mass.is_finite()) {
                let rule = "weights must have a positive and finite sum";
                return Err(Error::setting(&format!("targets[{row}]"), mass, rule));
            }
        }
        Ok(Self { labels, weights })
    }

    /// All weight on one label for each sample.
    ///
    /// # Errors
    /// No samples, fewer than two labels, and a label that is not below `labels`.
    pub fn from_classes(labels: usize, classes: &[usize]) -> Result<Self, Error> {
        let sets: Vec<_> = classes.iter().map(std::slice::from_ref).collect();
        Self::from_sets(labels, &sets)
    }

    /// Equal weights of sum 1 on the labels of each sample's set, such as the tags of an image.
    ///
    /// # Errors
    /// No samples, fewer than two labels, a label that is not below `labels` or comes twice in a set, and empty sets.
    pub fn from_sets(labels: usize, sets: &[impl AsRef<[usize]>]) -> Result<Self, Error> {
        check_labels(labels)?;
        let mut weights = vec![0.0; sets.len() * labels];
        for (row, set) in sets.iter().enumerate() {
            let set = set.as_ref();
            let place = |rule: &str, label: usize| {
                Err(Error::setting(
                    &format!("labels of sample {row}"),
                    label,
                    rule,
                ))
            };
            if set.is_empty() {
                let rule = "every sample needs at least one label";
                return place(rule, 0);
            }
            for &label in set {
                if label >= labels {
                    return place(
                        &format!("must be below the number of labels, {labels}"),
                        label,
                    );
                }
                let weight = &mut weights[row * labels + label];
                if *weight > 0.0 {
                    return place("comes twice", label);
                }
                *weight = 1.0 / set.len() as f64;
            }
        }
        Self::new(labels, weights)
    }

    /// Every row divided by its sum.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        for row in self.weights.chunks_exact_mut(self.labels) {
            let mass: f64 = row.iter().sum();
            row.iter_mut().for_each(|w| *w /= mass);
        }
        self
    }

    /// K.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// N; never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len() / self.labels
    }

    /// Never true: there is a sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// All weights, row by row.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The weights of one sample.
    ///
    /// # Panics
    /// If there is no such sample.
    #[must_use]
    pub fn row(&self, sample: usize) -> &[f64] {
        &self.weights[sample * self.labels..(sample + 1) * self.labels]
    }

    /// The rows of `samples`, in that order.
    ///
    /// # Panics
    /// If there is no sample, or none with such an index.
    #[must_use]
    pub fn select(&self, samples: &[usize]) -> Self {
        assert!(!samples.is_empty(), "a selection of targets needs a sample");
        let weights = samples.iter().flat_map(|&i| self.row(i)).copied();
        Self {
            labels: self.labels,
            weights: weights.collect(),
        }
    }
}

fn check_labels(labels: usize) -> Result<(), Error> {
    if labels >= 2 {
        return Ok(());
    }
    let rule = "must be at least 2: there is nothing to tell apart";
    Err(Error::setting("labels", labels, rule))
}
