//! The same regular grid on both sides, with a cost that is a sum over axes.

use std::ops::Range;

use super::{Cost, CostKind, CostRange};
use crate::Error;

/// A ground cost that splits into one term for each axis.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum GridGround {
    /// Σ (x_k − y_k)².
    SqEuclidean,
    /// Σ |x_k − y_k|.
    Cityblock,
}

/// C_ij = Σ_k h(spacing_k·(i_k − j_k)) between the cells of a grid with `dims` cells along each axis, in
/// row-major (C) order. Memory O(Σ dims); exp(−C/ε) is a Kronecker product of small kernels, and what takes n² pairs
/// with any other cost (c-transforms, an implicit plan's marginals and cost, rounding) takes n·Σ dims here.
#[derive(Debug, Clone, PartialEq)]
pub struct GridCost {
    dims: Vec<usize>,
    spacing: Vec<f64>,
    ground: GridGround,
    // by_distance[k][|i_k − j_k|]
    by_distance: Vec<Vec<f64>>,
    cells: usize,
}

impl GridCost {
    /// A grid with unit spacing.
    pub fn new(dims: &[usize], ground: GridGround) -> Result<Self, Error> {
        Self::with_spacing(dims, &vec![1.0; dims.len()], ground)
    }

    /// A grid with its own spacing along each axis.
    pub fn with_spacing(
        dims: &[usize],
        spacing: &[f64],
        ground: GridGround,
    ) -> Result<Self, Error> {
        let cells = dims
            .iter()
            .try_fold(1_usize, |cells, &d| cells.checked_mul(d));
        let Some(cells) = cells.filter(|&c| c > 0 && !dims.is_empty()) else {
            let expected = "a grid needs one or more axes of at least one cell".to_owned();
            return Err(Error::shape("grid", dims, expected));
        };
        if spacing.len() != dims.len() {
            let expected = format!("the grid has {} axes", dims.len());
            return Err(Error::shape("spacing", &[spacing.len()], expected));
        }
        if let Some(bad) = spacing.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(Error::setting(
                "spacing",
                bad,
                "must be finite and positive",
            ));
        }
        let term = |t: f64| match ground {
            GridGround::SqEuclidean => t * t,
            GridGround::Cityblock => t.abs(),
        };
        let by_distance = dims
            .iter()
            .zip(spacing)
            .map(|(&d, &s)| (0..d).map(|t| term(s * t as f64)).collect())
            .collect();
        let grid = Self {
            dims: dims.to_vec(),
            spacing: spacing.to_vec(),
            ground,
            by_distance,
            cells,
        };
        if grid.range().max > super::LARGEST {
            return Err(Error::setting(
                "spacing",
                format!("{spacing:?}"),
                "the cost overflows",
            ));
        }
        Ok(grid)
    }

    /// Cells along each axis.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Distance between neighbours along each axis.
    #[must_use]
    pub fn spacing(&self) -> &[f64] {
        &self.spacing
    }

    /// The ground cost.
    #[must_use]
    pub fn ground(&self) -> GridGround {
        self.ground
    }

    /// The cost along axis `k` of two cells at each distance 0..`dims[k]`: the full cost is the sum over axes.
    #[must_use]
    pub fn by_distance(&self, k: usize) -> &[f64] {
        &self.by_distance[k]
    }

    /// The cost along axis `k`, `dims[k]` × `dims[k]` row-major.
    #[must_use]
    pub fn axis_cost(&self, k: usize) -> Vec<f64> {
        let (d, c) = (self.dims[k], self.by_distance(k));
        (0..d * d).map(|e| c[(e / d).abs_diff(e % d)]).collect()
    }
}

impl Cost for GridCost {
    fn shape(&self) -> (usize, usize) {
        (self.cells, self.cells)
    }

    fn row(&self, i: usize, out: &mut [f64]) {
        // Axis by axis: `out` holds the partial sums of the leading axes, each spread over one more axis.
        // Going from the back keeps the sources of a step unharmed.
        out[0] = 0.0;
        let mut filled = 1;
        let mut below = self.cells;
        for (k, &d) in self.dims.iter().enumerate() {
            below /= d;
            let at = (i / below) % d;
            let axis = &self.by_distance[k];
            for p in (0..filled).rev() {
                let partial = out[p];
                // Cells after this one, nearest last, then those before it.
                let (before, after) = out[p * d..(p + 1) * d].split_at_mut(at);
                for (out, &c) in after.iter_mut().zip(axis).rev() {
                    *out = partial + c;
                }
                for (out, &c) in before.iter_mut().rev().zip(&axis[1..]) {
                    *out = partial + c;
                }
            }
            filled *= d;
        }
    }

    fn block(&self, rows: Range<usize>, cols: Range<usize>, out: &mut [f64]) {
        if cols.len() == self.cells {
            for (out_row, i) in out.chunks_exact_mut(self.cells).zip(rows) {
                self.row(i, out_row);
            }
            return;
        }
        for (out_row, i) in out.chunks_exact_mut(cols.len()).zip(rows) {
            for (c, j) in out_row.iter_mut().zip(cols.clone()) {
                *c = self.entry(i, j);
            }
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        let mut below = self.cells;
        let mut total = 0.0;
        for (k, &d) in self.dims.iter().enumerate() {
            below /= d;
            total += self.by_distance[k][((i / below) % d).abs_diff((j / below) % d)];
        }
        total
    }

    fn range(&self) -> CostRange {
        let max = self
            .by_distance
            .iter()
            .map(|axis| axis.iter().fold(0.0, |s: f64, &c| s.max(c)));
        CostRange {
            min: 0.0,
            max: max.sum(),
            forbidden: 0,
        }
    }

    fn kind(&self) -> CostKind<'_> {
        CostKind::Grid(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DenseCost, Ground, PointCost};
    use super::*;

    #[test]
    fn equals_the_cost_of_its_cell_centres() {
        let dims = [2, 3, 4];
        let centres: Vec<f64> = (0..24)
            .flat_map(|c| {
                [
                    (c / 12) as f64 * 0.5,
                    (c / 4 % 3) as f64 * 2.0,
                    (c % 4) as f64,
                ]
            })
            .collect();
        for (ground, metric) in [
            (GridGround::SqEuclidean, Ground::SqEuclidean),
            (GridGround::Cityblock, Ground::Cityblock),
        ] {
            let grid = GridCost::with_spacing(&dims, &[0.5, 2.0, 1.0], ground).unwrap();
            let points = PointCost::new(centres.clone(), centres.clone(), 3, metric).unwrap();
            let dense = DenseCost::materialize(&grid).unwrap();
            for i in 0..24 {
                for j in 0..24 {
                    assert_eq!(grid.entry(i, j), points.entry(i, j));
                    assert_eq!(grid.entry(i, j), dense.entry(i, j));
                }
            }
            assert_eq!(grid.range(), points.range());
        }
        assert!(GridCost::new(&[], GridGround::Cityblock).is_err());
        assert!(GridCost::new(&[3, 0], GridGround::Cityblock).is_err());
        assert!(GridCost::with_spacing(&[3], &[0.0], GridGround::Cityblock).is_err());
    }
}
