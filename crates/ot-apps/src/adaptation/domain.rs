//! Samples of a domain: points, weights, and what is known of their labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use solver_api::Measure;

use crate::Error;

/// How far the weights of a domain may sum from one.
const SUM_TOL: f64 = 1e-9;

/// Points of one domain, n×dim row-major, with weights that sum to one and labels for all of them, some or none. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    argument: &'static str,
    points: Arc<[f64]>,
    dim: usize,
    weights: Measure,
    labels: Arc<[Option<i64>]>,
}

impl Domain {
    /// Equal weights and no labels; errors call the points `argument`. O(n·dim).
    ///
    /// # Errors
    /// No points, parts of rows, numbers that are not finite.
    pub fn new(
        argument: &'static str,
        points: impl Into<Arc<[f64]>>,
        dim: usize,
    ) -> Result<Self, Error> {
        let points = points.into();
        let len = check_rows(argument, &points, dim)?;
        Ok(Self {
            argument,
            dim,
            weights: Measure::uniform(len)?,
            labels: vec![None; len].into(),
            points,
        })
    }

    /// With a label for each point.
    ///
    /// # Errors
    /// Another number of labels than of points.
    pub fn labelled(self, labels: &[i64]) -> Result<Self, Error> {
        let labels: Vec<_> = labels.iter().map(|label| Some(*label)).collect();
        self.partly_labelled(&labels)
    }

    /// With labels for some of the points.
    ///
    /// # Errors
    /// Another number of entries than of points.
    pub fn partly_labelled(self, labels: &[Option<i64>]) -> Result<Self, Error> {
        if labels.len() != self.len() {
            return Err(Error::LabelCount {
                argument: self.argument,
                found: labels.len(),
                expected: self.len(),
                of: "points",
            });
        }
        Ok(Self {
            labels: labels.into(),
            ..self
        })
    }

    /// With a weight for each point.
    ///
    /// # Errors
    /// Another number of weights than of points, weights that are negative or not finite, or that do not sum to one within
    /// 1e-9: class weights and floors of regularizers refer to mass 1.
    pub fn weighted(self, weights: &[f64]) -> Result<Self, Error> {
        if weights.len() != self.len() {
            return Err(Error::Shape {
                argument: "weights",
                found: weights.len(),
                expected: format!("`{}` has {} points", self.argument, self.len()),
            });
        }
        let weights = Measure::named("weights", weights)?;
        if (weights.mass() - 1.0).abs() > SUM_TOL {
            let rule = format!(
                "weights of `{}` must sum to 1: divide them by their sum",
                self.argument
            );
            return Err(Error::setting("sum of weights", weights.mass(), &rule));
        }
        let weights = weights.normalized();
        Ok(Self { weights, ..self })
    }

    /// With weights that give each class the part of the mass that `proportions` says, equal within a class: where the
    /// classes of the other domain are known to have other shares (target shift).
    ///
    /// # Errors
    /// A point without a label, a class without a proportion or without points, proportions that are none or do not sum to
    /// one.
    pub fn proportioned(self, proportions: &BTreeMap<i64, f64>) -> Result<Self, Error> {
        let counts = self.counts()?;
        for class in proportions.keys() {
            if !counts.contains_key(class) {
                return Err(Error::ClassWithoutSamples {
                    argument: self.argument,
                    class: *class,
                });
            }
        }
        let mut weights = Vec::with_capacity(self.len());
        for label in self.full_labels()? {
            let Some(part) = proportions.get(&label) else {
                let rule = format!(
                    "is a class of `{}` and must have a proportion",
                    self.argument
                );
                return Err(Error::setting("class", label, &rule));
            };
            weights.push(part / counts[&label] as f64);
        }
        self.weighted(&weights)
    }

    /// Some of the points with their labels; weights are scaled to sum to one.
    ///
    /// # Errors
    /// None, or no weight among them.
    ///
    /// # Panics
    /// If one is beyond the last.
    pub fn select(&self, rows: &[usize]) -> Result<Self, Error> {
        let dim = self.dim;
        let mut points = Vec::with_capacity(rows.len() * dim);
        for &i in rows {
            points.extend_from_slice(&self.points[i * dim..(i + 1) * dim]);
        }
        check_rows(self.argument, &points, dim)?;
        let weights: Vec<f64> = rows.iter().map(|&i| self.weights.weights()[i]).collect();
        Ok(Self {
            argument: self.argument,
            points: points.into(),
            dim,
            weights: Measure::named("weights", weights)?.normalized(),
            labels: rows.iter().map(|&i| self.labels[i]).collect(),
        })
    }

    /// The name that errors call it.
    #[must_use]
    pub fn argument(&self) -> &'static str {
        self.argument
    }

    /// The number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Never true: a domain has points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The points, n×dim row-major.
    #[must_use]
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// The points, shared.
    pub(crate) fn shared_points(&self) -> Arc<[f64]> {
        Arc::clone(&self.points)
    }

    /// Numbers in a point.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The weights.
    #[must_use]
    pub fn weights(&self) -> &Measure {
        &self.weights
    }

    /// The labels, `None` where there is none.
    #[must_use]
    pub fn labels(&self) -> &[Option<i64>] {
        &self.labels
    }

    /// All labels.
    ///
    /// # Errors
    /// A point without one.
    pub fn full_labels(&self) -> Result<Vec<i64>, Error> {
        let known: Vec<i64> = self.labels.iter().filter_map(|label| *label).collect();
        if known.len() == self.len() {
            return Ok(known);
        }
        Err(Error::LabelCount {
            argument: self.argument,
            found: known.len(),
            expected: self.len(),
            of: "points",
        })
    }

    /// Points of each class.
    fn counts(&self) -> Result<BTreeMap<i64, usize>, Error> {
        let mut counts = BTreeMap::new();
        for label in self.full_labels()? {
            *counts.entry(label).or_default() += 1;
        }
        Ok(counts)
    }

    /// An error where the two have points of different dimension.
    pub(crate) fn check_beside(&self, other: &Self) -> Result<(), Error> {
        if self.dim == other.dim {
            return Ok(());
        }
        let rule = format!(
            "numbers a point, but `{}` has {}: domains must have the same dimension",
            other.argument, other.dim
        );
        Err(Error::setting(self.argument, self.dim, &rule))
    }
}

/// The classes of labels in ascending order, and the place of each label among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) classes: Vec<i64>,
    pub(crate) of: Vec<usize>,
}

impl Groups {
    /// Of labels.
    ///
    /// # Errors
    /// One class only: there is nothing to tell apart.
    pub(crate) fn new(argument: &'static str, labels: &[i64]) -> Result<Self, Error> {
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        if let [class] = classes[..] {
            return Err(Error::OneClass { argument, class });
        }
        let place = |label| classes.binary_search(label).unwrap_or_default();
        let of = labels.iter().map(place).collect();
        Ok(Self { classes, of })
    }

    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }
}

/// The number of rows of `dim` finite numbers.
pub(crate) fn check_rows(
    argument: &'static str,
    values: &[f64],
    dim: usize,
) -> Result<usize, Error> {
    if dim == 0 || values.is_empty() || !values.len().is_multiple_of(dim) {
        return Err(Error::Shape {
            argument,
            found: values.len(),
            expected: format!("rows of {dim} take a positive multiple of that many"),
        });
    }
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(values.len() / dim),
        Some(at) => Err(Error::Entry {
            argument,
            row: at / dim,
            col: at % dim,
            value: values[at],
            rule: "points must be finite numbers",
        }),
    }
}
