//! Ground metrics on labels: what it costs to say one label where another is right.

use std::sync::Arc;

use solver_api::{Cost, DenseCost, Ground, PointCost, Tree, TreeCost};

use crate::Error;

/// K×K costs between labels, finite and not negative: row κ is what is predicted, column κ' what is right. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LabelCost {
    labels: usize,
    matrix: Arc<[f64]>,
    cost: Arc<DenseCost>,
}

impl LabelCost {
    /// A matrix of the caller's own, K² entries row by row. O(K²) time and memory, as every way to make one.
    ///
    /// # Errors
    /// Fewer than two labels, another number of entries, one that is negative, infinite or NaN, and a matrix of zeros: it
    /// tells no labels apart.
    pub fn new(labels: usize, matrix: impl Into<Arc<[f64]>>) -> Result<Self, Error> {
        let matrix = matrix.into();
        if labels < 2 {
            let rule = "must be at least 2: there is nothing to tell apart";
            return Err(Error::setting("labels", labels, rule));
        }
        if Some(matrix.len()) != labels.checked_mul(labels) {
            return Err(Error::Shape {
                argument: "matrix",
                found: matrix.len(),
                expected: format!("{labels} labels take {labels}×{labels} costs"),
            });
        }
        if let Some(at) = matrix.iter().position(|c| !(c.is_finite() && *c >= 0.0)) {
            return Err(Error::Entry {
                argument: "matrix",
                row: at / labels,
                col: at % labels,
                value: matrix[at],
                rule: "costs between labels must be finite and not negative",
            });
        }
        if matrix.iter().all(|c| *c == 0.0) {
            let rule = "costs between labels must not be zero everywhere: they tell none apart";
            return Err(Error::setting("matrix", 0.0, rule));
        }
        let cost = Arc::new(DenseCost::new(labels, labels, Arc::clone(&matrix))?);
        Ok(Self {
            labels,
            matrix,
            cost,
        })
    }

    /// |κ − κ'|^p between labels in an order, such as digits: 003, section 6.1. p = 0 is the 0-1 metric.
    ///
    /// # Errors
    /// Fewer than two labels; p that is negative or not finite, or too large for (K − 1)^p to be a number.
    pub fn ordered(labels: usize, p: f64) -> Result<Self, Error> {
        check_power(p)?;
        let entry = |k: usize| {
            let far = (k / labels).abs_diff(k % labels);
            if far == 0 { 0.0 } else { (far as f64).powf(p) }
        };
        let largest = (labels.max(2) as f64 - 1.0).powf(p);
        if !largest.is_finite() {
            let rule = "powers of the largest distance between labels must be numbers";
            return Err(Error::setting("p", p, rule));
        }
        Self::new(labels, square(labels)?.map(entry).collect::<Vec<_>>())
    }

    /// Between the points of a lattice of height×width, a unit apart, row by row.
    ///
    /// # Errors
    /// Fewer than two points, and what `ground` refuses.
    pub fn lattice((height, width): (usize, usize), ground: &Ground) -> Result<Self, Error> {
        let labels = height.saturating_mul(width);
        square(labels)?;
        let places = (0..labels).flat_map(|k| [(k / width) as f64, (k % width) as f64]);
        Self::between(&places.collect::<Vec<_>>(), 2, ground)
    }

    /// Between the rows of `vectors`, one of `dim` numbers for each label.
    ///
    /// # Errors
    /// Parts of rows, numbers that are not finite, and what `ground` refuses.
    pub fn between(vectors: &[f64], dim: usize, ground: &Ground) -> Result<Self, Error> {
        if dim == 0 || !vectors.len().is_multiple_of(dim) {
            return Err(Error::Shape {
                argument: "vectors",
                found: vectors.len(),
                expected: format!("rows of {dim} take a multiple of that many"),
            });
        }
        let labels = vectors.len() / dim;
        square(labels)?;
        let points = PointCost::new(vectors.to_vec(), vectors.to_vec(), dim, ground.clone())?;
        let mut matrix = vec![0.0; labels * labels];
        points.block(0..labels, 0..labels, &mut matrix);
        Self::new(labels, matrix)
    }

    /// Euclidean distances between word vectors of unit length, which `vectors` are brought to: 003, section 6.2.
    ///
    /// # Errors
    /// Parts of rows, numbers that are not finite, a vector of zeros.
    pub fn between_words(vectors: &[f64], dim: usize) -> Result<Self, Error> {
        let mut unit = vectors.to_vec();
        for (k, row) in unit.chunks_mut(dim.max(1)).enumerate() {
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            if !(norm > 0.0 && norm.is_finite()) {
                let rule = "must have a positive and finite length: it has no direction otherwise";
                return Err(Error::setting(&format!("vectors[{k}]"), norm, rule));
            }
            row.iter_mut().for_each(|v| *v /= norm);
        }
        Self::between(&unit, dim, &Ground::Euclidean)
    }

    /// Lengths of the paths between nodes of a tree, one node for each label.
    ///
    /// # Errors
    /// Fewer than two nodes, and entries of `nodes` that are none.
    pub fn tree(tree: impl Into<Arc<Tree>>, nodes: &[usize]) -> Result<Self, Error> {
        let (labels, tree) = (nodes.len(), tree.into());
        square(labels)?;
        if let Some(k) = nodes.iter().position(|node| *node >= tree.len()) {
            let rule = format!("must be a node of the tree, below {}", tree.len());
            return Err(Error::setting(&format!("nodes[{k}]"), nodes[k], &rule));
        }
        let paths = TreeCost::new(tree, nodes, nodes)?;
        let mut matrix = vec![0.0; labels * labels];
        paths.block(0..labels, 0..labels, &mut matrix);
        Self::new(labels, matrix)
    }

    /// Every cost to the power p ≥ 0: W_p^p of a metric d is the transport at cost d^p. Costs of 0 stay 0, for p = 0 too.
    ///
    /// # Errors
    /// p that is negative or not finite, and powers beyond the range of numbers.
    pub fn power(&self, p: f64) -> Result<Self, Error> {
        check_power(p)?;
        let power = |&c: &f64| if c == 0.0 { 0.0 } else { c.powf(p) };
        Self::new(
            self.labels,
            self.matrix.iter().map(power).collect::<Vec<_>>(),
        )
    }

    /// Divided by the largest cost, so that all are in [0, 1] (003, section 6.1, keeps its kernel in range in this way).
    #[must_use]
    pub fn scaled(&self) -> Self {
        let largest = self.largest();
        let matrix: Arc<[f64]> = self.matrix.iter().map(|c| c / largest).collect();
        // What was finite, not negative and somewhere positive still is.
        Self::new(self.labels, matrix).unwrap_or_else(|_| self.clone())
    }

    /// K.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// All entries, row by row.
    #[must_use]
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// What it costs to say `predicted` where `right` is right.
    ///
    /// # Panics
    /// If there is no such label.
    #[must_use]
    pub fn entry(&self, predicted: usize, right: usize) -> f64 {
        self.matrix[predicted * self.labels + right]
    }

    /// The largest entry; above 0.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.matrix.iter().fold(0.0, |most, &c| most.max(c))
    }

    /// As a cost for problems.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Cost> {
        Arc::clone(&self.cost) as Arc<dyn Cost>
    }
}

/// 0..K², or an error where that is too much or too little.
fn square(labels: usize) -> Result<std::ops::Range<usize>, Error> {
    if labels < 2 {
        let rule = "must be at least 2: there is nothing to tell apart";
        return Err(Error::setting("labels", labels, rule));
    }
    match labels.checked_mul(labels) {
        Some(pairs) => Ok(0..pairs),
        None => Err(Error::setting(
            "labels",
            labels,
            "is too large a number for K² costs",
        )),
    }
}

fn check_power(p: f64) -> Result<(), Error> {
    if p >= 0.0 && p.is_finite() {
        return Ok(());
    }
    Err(Error::setting("p", p, "must be finite and not negative"))
}
