//! Where samples come from.

use ot_nn::Number;
use rand::RngExt;
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use solver_api::Measure;

use crate::Error;

/// A distribution on R^d that can be drawn from.
pub trait Sampler: Send + Sync {
    /// d.
    fn dim(&self) -> usize;

    /// Draws whole rows of d numbers, as many as `rows` has room for; the same from the same state of `rng`.
    fn draw(&self, rng: &mut Pcg64, rows: &mut [f64]);
}

/// Points with weights, drawn with replacement.
#[derive(Debug, Clone)]
pub struct Empirical {
    points: Vec<f64>,
    dim: usize,
    /// Sums of the weights up to each point; none if they are equal.
    sums: Option<Vec<f64>>,
}

impl Empirical {
    /// Rows of `dim` numbers, each as likely as any other.
    ///
    /// # Errors
    /// No points, parts of rows, and numbers that are not finite.
    pub fn new(points: Vec<f64>, dim: usize) -> Result<Self, Error> {
        if dim == 0 || points.is_empty() || !points.len().is_multiple_of(dim) {
            let expected = format!("rows of {dim} take a multiple of that many, at least one");
            let found = format!("{} numbers", points.len());
            return Err(Error::shape("points", found, expected));
        }
        finite("points", &points)?;
        Ok(Self {
            points,
            dim,
            sums: None,
        })
    }

    /// The same, drawn by weights.
    ///
    /// # Errors
    /// As [`Empirical::new`], and weights that are not one for each point.
    pub fn weighted(points: Vec<f64>, dim: usize, weights: &Measure) -> Result<Self, Error> {
        let mut made = Self::new(points, dim)?;
        let count = made.len();
        if weights.len() != count {
            let found = format!("{} weights", weights.len());
            return Err(Error::shape(
                "weights",
                found,
                format!("there are {count} points"),
            ));
        }
        let mass = weights.mass();
        let mut sum = 0.0;
        let sums = weights.weights().iter().map(|w| {
            sum += w / mass;
            sum
        });
        let mut sums: Vec<f64> = sums.collect();
        // Rounding may leave the sum of all below 1: what is drawn beyond it is the last point of some weight.
        let whole = sums.last().copied().unwrap_or(1.0);
        for sum in sums.iter_mut().rev().take_while(|sum| **sum == whole) {
            *sum = 1.0;
        }
        made.sums = Some(sums);
        Ok(made)
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len() / self.dim
    }

    /// Never: there is one at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The points, row by row.
    #[must_use]
    pub fn points(&self) -> &[f64] {
        &self.points
    }
}

impl Sampler for Empirical {
    fn dim(&self) -> usize {
        self.dim
    }

    fn draw(&self, rng: &mut Pcg64, rows: &mut [f64]) {
        let count = self.len();
        for row in rows.chunks_exact_mut(self.dim) {
            let place = match &self.sums {
                None => rng.random_range(0..count),
                Some(sums) => {
                    let at: f64 = rng.random();
                    // A point without weight is never the first above.
                    sums.partition_point(|sum| *sum <= at).min(count - 1)
                }
            };
            row.copy_from_slice(&self.points[place * self.dim..(place + 1) * self.dim]);
        }
    }
}

/// N(mean, L Lᵀ).
#[derive(Debug, Clone)]
pub struct Gaussian {
    mean: Vec<f64>,
    /// L, row by row; the unit matrix if there is none.
    factor: Option<Vec<f64>>,
}

impl Gaussian {
    /// N(mean, I).
    ///
    /// # Errors
    /// No dimension, and numbers that are not finite.
    pub fn new(mean: Vec<f64>) -> Result<Self, Error> {
        if mean.is_empty() {
            return Err(Error::shape(
                "mean",
                "of dimension 0",
                "it takes one at least",
            ));
        }
        finite("mean", &mean)?;
        Ok(Self { mean, factor: None })
    }

    /// N(mean, L Lᵀ) with a lower triangle L, d×d: above its diagonal everything is taken for 0.
    ///
    /// # Errors
    /// As [`Gaussian::new`], and a triangle of another shape.
    pub fn with_factor(mean: Vec<f64>, factor: Vec<f64>) -> Result<Self, Error> {
        let plain = Self::new(mean)?;
        let dim = plain.mean.len();
        if factor.len() != dim * dim {
            let found = format!("{} numbers", factor.len());
            return Err(Error::shape(
                "factor",
                found,
                format!("`mean` has {dim}: {dim}×{dim}"),
            ));
        }
        finite("factor", &factor)?;
        Ok(Self {
            factor: Some(factor),
            ..plain
        })
    }

    /// d numbers.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// L Lᵀ, row by row, in O(d³).
    #[must_use]
    pub fn covariance(&self) -> Vec<f64> {
        let dim = self.mean.len();
        let entry = |i: usize, j: usize| match &self.factor {
            None => f64::from(u8::from(i == j)),
            Some(l) => (0..=i.min(j))
                .map(|k| l[i * dim + k] * l[j * dim + k])
                .sum(),
        };
        let places = (0..dim).flat_map(|i| (0..dim).map(move |j| (i, j)));
        places.map(|(i, j)| entry(i, j)).collect()
    }
}

impl Sampler for Gaussian {
    fn dim(&self) -> usize {
        self.mean.len()
    }

    fn draw(&self, rng: &mut Pcg64, rows: &mut [f64]) {
        let dim = self.mean.len();
        for row in rows.chunks_exact_mut(dim) {
            row.iter_mut().for_each(|x| *x = rng.sample(StandardNormal));
            if let Some(factor) = &self.factor {
                // From the last on: what it is made of stands before it.
                for k in (0..dim).rev() {
                    let triangle = &factor[k * dim..=k * dim + k];
                    row[k] = triangle.iter().zip(&*row).map(|(l, n)| l * n).sum();
                }
            }
            row.iter_mut().zip(&self.mean).for_each(|(x, m)| *x += m);
        }
    }
}

/// Rows that a closure draws.
pub struct FromFn<F> {
    dim: usize,
    draw: F,
}

impl<F: Fn(&mut Pcg64, &mut [f64]) + Send + Sync> FromFn<F> {
    /// `draw` fills one row of `dim` numbers.
    pub fn new(dim: usize, draw: F) -> Self {
        Self { dim, draw }
    }
}

impl<F: Fn(&mut Pcg64, &mut [f64]) + Send + Sync> Sampler for FromFn<F> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn draw(&self, rng: &mut Pcg64, rows: &mut [f64]) {
        for row in rows.chunks_exact_mut(self.dim) {
            (self.draw)(rng, row);
        }
    }
}

/// `count` samples in T, through f64.
pub(crate) fn draw<T: Number>(
    sampler: &dyn Sampler,
    rng: &mut Pcg64,
    count: usize,
    wide: &mut Vec<f64>,
    rows: &mut [T],
) {
    wide.resize(count * sampler.dim(), 0.0);
    sampler.draw(rng, wide);
    for (row, wide) in rows.iter_mut().zip(wide) {
        *row = T::from_f64(*wide);
    }
}

fn finite(argument: &'static str, numbers: &[f64]) -> Result<(), Error> {
    match numbers.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        None => Ok(()),
        Some((place, value)) => Err(Error::NotFinite {
            argument,
            place,
            value: *value,
        }),
    }
}
