//! Labelled points of the source, drawn class by class.

use std::sync::{PoisonError, RwLock};

use ot_nn::{Number, check_finite};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::{Error, Sampler};

/// Each class has a list of its points.
const MOST_CLASSES: usize = 1 << 20;

/// Points with labels from 0 on.
#[derive(Debug, Clone)]
pub struct Labelled<T: Number = f32> {
    points: Vec<T>,
    dim: usize,
    labels: Vec<usize>,
    /// Which points are of each class.
    members: Vec<Vec<usize>>,
}

impl<T: Number> Labelled<T> {
    /// Rows of `dim` numbers, with a label below `classes` for each. Memory: the points once.
    ///
    /// # Errors
    /// No points, parts of rows, numbers that are not finite, other labels than points, labels that are not below `classes`, and
    /// no class or more than 2^20.
    pub fn new(
        points: Vec<T>,
        dim: usize,
        labels: Vec<usize>,
        classes: usize,
    ) -> Result<Self, Error> {
        rows("points", &points, dim)?;
        if labels.len() != points.len() / dim {
            let expected = format!("there are {} points", points.len() / dim);
            return Err(Error::shape(
                "labels",
                format!("{} of them", labels.len()),
                expected,
            ));
        }
        if classes == 0 || classes > MOST_CLASSES {
            return Err(Error::Setting {
                name: "classes",
                value: classes as f64,
                rule: "must be from 1 to 2^20",
            });
        }
        let mut members = vec![Vec::new(); classes];
        for (place, label) in labels.iter().enumerate() {
            match members.get_mut(*label) {
                Some(of) => of.push(place),
                None => {
                    let expected = format!("there are {classes} classes");
                    return Err(Error::shape(
                        "labels",
                        format!("{label} at {place}"),
                        expected,
                    ));
                }
            }
        }
        Ok(Self {
            points,
            dim,
            labels,
            members,
        })
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: there is one at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Length of the points.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many classes there are, those without points among them.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.members.len()
    }

    /// The points, row by row.
    #[must_use]
    pub fn points(&self) -> &[T] {
        &self.points
    }

    /// Their labels.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The share of each class.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let share = |of: &Vec<usize>| of.len() as f64 / self.len() as f64;
        self.members.iter().map(share).collect()
    }

    fn row(&self, place: usize) -> &[T] {
        &self.points[place * self.dim..(place + 1) * self.dim]
    }
}

/// Whole rows of finite numbers, one at least.
pub(crate) fn rows<T: Number>(
    argument: &'static str,
    points: &[T],
    dim: usize,
) -> Result<(), Error> {
    if dim == 0 || points.is_empty() || !points.len().is_multiple_of(dim) {
        let expected = format!("rows of {dim} take a multiple of that many, at least one");
        return Err(Error::shape(
            argument,
            format!("{} numbers", points.len()),
            expected,
        ));
    }
    Ok(check_finite(argument, points)?)
}

/// A labelled source whose class shares can be moved while others draw from it.
#[derive(Debug)]
pub(crate) struct Shared<T: Number> {
    source: Labelled<T>,
    /// Sums of the shares up to each class.
    sums: RwLock<Vec<f64>>,
}

impl<T: Number> Shared<T> {
    pub(crate) fn new(source: Labelled<T>) -> Self {
        let shares = source.shares();
        let made = Self {
            sums: RwLock::new(shares.clone()),
            source,
        };
        made.set_shares(&shares);
        made
    }

    /// Classes without points keep a share of 0; the others are scaled to sum to 1.
    pub(crate) fn set_shares(&self, shares: &[f64]) {
        let mut sums = self.sums.write().unwrap_or_else(PoisonError::into_inner);
        let of = |k: usize| {
            if self.source.members[k].is_empty() {
                0.0
            } else {
                shares[k]
            }
        };
        let total: f64 = (0..shares.len()).map(of).sum();
        let mut sum = 0.0;
        for (k, to) in sums.iter_mut().enumerate() {
            sum += of(k) / total;
            *to = sum;
        }
        // What rounding leaves above the last sum is of the last class that has points.
        let whole = sum;
        sums.iter_mut()
            .rev()
            .take_while(|s| **s == whole)
            .for_each(|s| *s = 1.0);
    }

    fn place(&self, sums: &[f64], rng: &mut Pcg64) -> usize {
        let at: f64 = rng.random();
        let class = sums.partition_point(|sum| *sum <= at).min(sums.len() - 1);
        let members = &self.source.members[class];
        members[rng.random_range(0..members.len())]
    }

    /// Rows and labels of as many points as `rows` has room for.
    pub(crate) fn draw_labelled(&self, rng: &mut Pcg64, rows: &mut [T], labels: &mut [usize]) {
        let sums = self.sums.read().unwrap_or_else(PoisonError::into_inner);
        for (row, label) in rows.chunks_exact_mut(self.source.dim).zip(labels) {
            let place = self.place(&sums, rng);
            row.copy_from_slice(self.source.row(place));
            *label = self.source.labels[place];
        }
    }
}

impl<T: Number> Sampler for Shared<T> {
    fn dim(&self) -> usize {
        self.source.dim
    }

    fn draw(&self, rng: &mut Pcg64, rows: &mut [f64]) {
        let sums = self.sums.read().unwrap_or_else(PoisonError::into_inner);
        for row in rows.chunks_exact_mut(self.source.dim) {
            let from = self.source.row(self.place(&sums, rng));
            row.iter_mut().zip(from).for_each(|(to, v)| *to = v.wide());
        }
    }
}

/// Points of the target.
#[derive(Debug)]
pub(crate) struct Points<T: Number> {
    pub(crate) points: Vec<T>,
    pub(crate) dim: usize,
}

impl<T: Number> Points<T> {
    pub(crate) fn draw_rows(&self, rng: &mut Pcg64, rows: &mut [T]) {
        for row in rows.chunks_exact_mut(self.dim) {
            let place = rng.random_range(0..self.points.len() / self.dim);
            row.copy_from_slice(&self.points[place * self.dim..(place + 1) * self.dim]);
        }
    }
}

impl<T: Number> Sampler for Points<T> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn draw(&self, rng: &mut Pcg64, rows: &mut [f64]) {
        for row in rows.chunks_exact_mut(self.dim) {
            let place = rng.random_range(0..self.points.len() / self.dim);
            let from = &self.points[place * self.dim..(place + 1) * self.dim];
            row.iter_mut().zip(from).for_each(|(to, v)| *to = v.wide());
        }
    }
}
