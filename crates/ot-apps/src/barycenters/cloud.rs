//! Weighted points: what barycenters of a free support are made of.

use std::sync::Arc;

use solver_api::{Error as ApiError, Measure};

use crate::Error;

/// Points of one dimension with their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    points: Arc<[f64]>,
    dim: usize,
    weights: Measure,
}

impl Cloud {
    /// `points` is n×`dim`, row-major, with one weight for each point (of any sum above 0). Errors call it `argument`.
    ///
    /// # Errors
    /// No points, a number that is not finite, and another number of weights than of points.
    pub fn new(
        argument: &'static str,
        points: impl Into<Vec<f64>>,
        dim: usize,
        weights: Measure,
    ) -> Result<Self, Error> {
        let points = points.into();
        if dim == 0 || points.is_empty() || !points.len().is_multiple_of(dim) {
            return Err(Error::Shape {
                argument,
                found: points.len(),
                expected: format!("points of {dim} coordinates, one or more, are needed"),
            });
        }
        check_numbers(argument, &points, dim)?;
        if weights.len() != points.len() / dim {
            let expected = format!("`{argument}` has {} points", points.len() / dim);
            return Err(ApiError::ShapeMismatch {
                argument: "weights",
                found: weights.len().to_string(),
                expected,
            }
            .into());
        }
        Ok(Self {
            points: points.into(),
            dim,
            weights: weights.normalized(),
        })
    }

    /// The same with equal weights.
    ///
    /// # Errors
    /// As [`Cloud::new`].
    pub fn uniform(
        argument: &'static str,
        points: impl Into<Vec<f64>>,
        dim: usize,
    ) -> Result<Self, Error> {
        let points = points.into();
        let count = (points.len() / dim.max(1)).max(1);
        Self::new(argument, points, dim, Measure::uniform(count)?)
    }

    /// The coordinates, n×dim.
    #[must_use]
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    pub(super) fn shared_points(&self) -> Arc<[f64]> {
        Arc::clone(&self.points)
    }

    /// Coordinates of a point.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The weights, of mass 1.
    #[must_use]
    pub fn weights(&self) -> &Measure {
        &self.weights
    }

    /// Points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Never true: a cloud has points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }
}

/// # Errors
/// The first number that is not finite.
pub(super) fn check_numbers(
    argument: &'static str,
    points: &[f64],
    dim: usize,
) -> Result<(), Error> {
    match points.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(place) => Err(Error::Entry {
            argument,
            row: place / dim,
            col: place % dim,
            value: points[place],
            rule: "coordinates must be finite",
        }),
    }
}
