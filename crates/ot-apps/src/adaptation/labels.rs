//! Labels that go along a plan.

use std::collections::BTreeSet;

use solver_api::Plan;

use super::Domain;
use crate::Error;

/// Shares of classes for each sample, from the mass that came from labelled samples. Rows sum to one, or are 0 where nothing
/// came from any.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelTable {
    classes: Vec<i64>,
    shares: Vec<f64>,
}

impl LabelTable {
    /// From the rows of a plan to its columns.
    pub(super) fn along(
        plan: &Plan,
        labels: &[Option<i64>],
        argument: &'static str,
    ) -> Result<Self, Error> {
        let (n, m) = plan.shape();
        let (classes, places) = places(labels, n, argument)?;
        let count = classes.len();
        let mut shares = vec![0.0; m * count];
        plan.for_each_above(0.0, |i, j, p| {
            if let Some(class) = places[i] {
                shares[j * count + class] += p;
            }
        });
        Ok(Self { classes, shares }.normalized())
    }

    /// From the columns of a plan to its rows.
    pub(super) fn against(
        plan: &Plan,
        labels: &[Option<i64>],
        argument: &'static str,
    ) -> Result<Self, Error> {
        let (n, m) = plan.shape();
        let (classes, places) = places(labels, m, argument)?;
        let count = classes.len();
        let mut shares = vec![0.0; n * count];
        plan.for_each_above(0.0, |i, j, p| {
            if let Some(class) = places[j] {
                shares[i * count + class] += p;
            }
        });
        Ok(Self { classes, shares }.normalized())
    }

    fn normalized(mut self) -> Self {
        for row in self.shares.chunks_exact_mut(self.classes.len()) {
            let sum: f64 = row.iter().sum();
            if sum > 0.0 {
                row.iter_mut().for_each(|share| *share /= sum);
            }
        }
        self
    }

    /// The classes, ascending: one a column.
    #[must_use]
    pub fn classes(&self) -> &[i64] {
        &self.classes
    }

    /// The shares, samples×classes row-major.
    #[must_use]
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The class of the largest share of each sample, the first of equals; `None` where nothing came.
    #[must_use]
    pub fn predictions(&self) -> Vec<Option<i64>> {
        let rows = self.shares.chunks_exact(self.classes.len());
        rows.map(|row| {
            let best = row.iter().enumerate().fold((None, 0.0), |best, (k, &s)| {
                if s > best.1 { (Some(k), s) } else { best }
            });
            best.0.map(|k| self.classes[k])
        })
        .collect()
    }

    /// The part of `labels` that is predicted.
    ///
    /// # Errors
    /// Another number of labels than of samples.
    pub fn accuracy(&self, labels: &[i64]) -> Result<f64, Error> {
        let found = self.predictions();
        if labels.len() != found.len() || labels.is_empty() {
            return Err(Error::LabelCount {
                argument: "labels",
                found: labels.len(),
                expected: found.len(),
                of: "samples",
            });
        }
        let right = found.iter().zip(labels).filter(|(f, l)| **f == Some(**l));
        Ok(right.count() as f64 / labels.len() as f64)
    }
}

/// The mass between classes of two domains.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassTable {
    rows: Vec<i64>,
    cols: Vec<i64>,
    mass: Vec<f64>,
}

impl ClassTable {
    pub(super) fn new(plan: &Plan, source: &Domain, target: &Domain) -> Result<Self, Error> {
        let (n, m) = plan.shape();
        let (rows, from) = places(source.labels(), n, source.argument())?;
        let (cols, to) = places(target.labels(), m, target.argument())?;
        let mut mass = vec![0.0; rows.len() * cols.len()];
        plan.for_each_above(0.0, |i, j, p| {
            if let (Some(row), Some(col)) = (from[i], to[j]) {
                mass[row * cols.len() + col] += p;
            }
        });
        Ok(Self { rows, cols, mass })
    }

    /// The classes of the source, one a row.
    #[must_use]
    pub fn rows(&self) -> &[i64] {
        &self.rows
    }

    /// The classes of the target, one a column.
    #[must_use]
    pub fn cols(&self) -> &[i64] {
        &self.cols
    }

    /// The mass, rows×cols row-major.
    #[must_use]
    pub fn mass(&self) -> &[f64] {
        &self.mass
    }

    /// The part of the mass between labelled samples that stays within classes.
    #[must_use]
    pub fn kept(&self) -> f64 {
        let total: f64 = self.mass.iter().sum();
        let mut kept = 0.0;
        for (row, class) in self.mass.chunks_exact(self.cols.len()).zip(&self.rows) {
            let same = self.cols.iter().position(|col| col == class);
            kept += same.map_or(0.0, |col| row[col]);
        }
        if total > 0.0 { kept / total } else { 0.0 }
    }
}

/// The classes of labels, ascending, and the place of each label among them.
type Places = (Vec<i64>, Vec<Option<usize>>);

fn places(labels: &[Option<i64>], samples: usize, argument: &'static str) -> Result<Places, Error> {
    let known: BTreeSet<i64> = labels.iter().filter_map(|label| *label).collect();
    if labels.len() != samples || known.is_empty() {
        return Err(Error::LabelCount {
            argument,
            found: if known.is_empty() { 0 } else { labels.len() },
            expected: samples,
            of: "samples",
        });
    }
    let classes: Vec<i64> = known.into_iter().collect();
    let place = |label: &Option<i64>| label.and_then(|l| classes.binary_search(&l).ok());
    let places = labels.iter().map(place).collect();
    Ok((classes, places))
}
