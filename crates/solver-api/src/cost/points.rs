//! A cost between two point clouds, computed when asked for.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ndarray::ArrayView2;
use ot_kernels::pairwise::{self, PackedPoints};
use rayon::prelude::*;

use super::{Cost, CostKind, CostRange, Ground, LARGEST};
use crate::Error;

/// C_ij = ground(x_i, y_j) for points x (n×d) and y (m×d). Memory O((n + m)·d); a row costs O(m·d) time.
///
/// Sums over coordinates run in ascending order without fused multiply-add, in every accessor and on every
/// instruction set, so that an entry has the same bits wherever it is computed.
#[derive(Debug, Clone)]
pub struct PointCost {
    n: usize,
    m: usize,
    dim: usize,
    x: Arc<[f64]>,
    y: Arc<[f64]>,
    // What the kernels read: unit vectors for the cosine (norms of 1e±200 would overflow), the points
    // themselves otherwise.
    x_rows: Arc<[f64]>,
    y_packed: Arc<PackedPoints<f64>>,
    ground: Ground,
    range: OnceLock<CostRange>,
}

impl PointCost {
    /// `x` holds n points and `y` m points of dimension `dim`, row-major.
    ///
    /// Coordinates must be finite, differences must not overflow, the cosine refuses the origin, `arc` wants
    /// `dim` = 1, and `atanh:S` refuses an S that a distance reaches (a bounding box decides where it can;
    /// otherwise, and for closures, all pairs are computed once).
    pub fn new(
        x: impl Into<Arc<[f64]>>,
        y: impl Into<Arc<[f64]>>,
        dim: usize,
        ground: Ground,
    ) -> Result<Self, Error> {
        let (x, y) = (x.into(), y.into());
        let n = count("x", &x, dim)?;
        let m = count("y", &y, dim)?;
        ground.check_parameter()?;
        if matches!(ground, Ground::Arc) && dim != 1 {
            let expected = "`arc` takes positions in turns, one number a point".to_owned();
            return Err(Error::shape("x", &[n, dim], expected));
        }
        let x_rows = prepared("x", &x, dim, &ground)?;
        let y_rows = prepared("y", &y, dim, &ground)?;
        let y_packed = Arc::new(PackedPoints::new(&y_rows, dim));
        let cost = Self {
            n,
            m,
            dim,
            x,
            y,
            x_rows,
            y_packed,
            ground,
            range: OnceLock::new(),
        };
        cost.check_reach()?;
        Ok(cost)
    }

    /// Copies two ndarray views, n×d and m×d.
    pub fn from_arrays(
        x: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
        ground: Ground,
    ) -> Result<Self, Error> {
        if x.ncols() != y.ncols() {
            let expected = format!("`x` has points of dimension {}", x.ncols());
            return Err(Error::shape("y", y.shape(), expected));
        }
        let rows = |p: ArrayView2<'_, f64>| p.iter().copied().collect::<Vec<_>>();
        Self::new(rows(x), rows(y), x.ncols(), ground)
    }

    /// The source points, n×d row-major, as given.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// The target points, m×d row-major, as given.
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// The dimension of the points.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The ground cost.
    #[must_use]
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// No distance may overflow, or reach the pole of atanh, or be NaN by a closure's fault.
    fn check_reach(&self) -> Result<(), Error> {
        if matches!(self.ground, Ground::OfDistance(..)) {
            let range = super::validate(self)?;
            // Just made, so nobody can have set it before.
            let _ = self.range.set(range);
            return Ok(());
        }
        if matches!(self.ground, Ground::Cosine | Ground::Arc) {
            return Ok(());
        }
        // The corner-to-corner vector of the box around both clouds bounds every difference.
        let zero = vec![0.0; self.dim];
        let mut extent = vec![0.0; self.dim];
        for k in 0..self.dim {
            let column = || {
                let of = |p: &'_ Arc<[f64]>| {
                    p.iter()
                        .skip(k)
                        .step_by(self.dim)
                        .copied()
                        .collect::<Vec<_>>()
                };
                of(&self.x).into_iter().chain(of(&self.y))
            };
            extent[k] =
                column().fold(f64::NEG_INFINITY, f64::max) - column().fold(f64::INFINITY, f64::min);
        }
        let bound = self.ground.between(&extent, &zero);
        if bound <= LARGEST {
            return Ok(());
        }
        if let Ground::Atanh(s) = self.ground {
            if !Ground::Euclidean.between(&extent, &zero).is_finite() {
                return Err(self.overflow());
            }
            let mut row = vec![0.0; self.m];
            for i in 0..self.n {
                self.row(i, &mut row);
                if row.iter().any(|c| !c.is_finite()) {
                    let rule = "s must lie above the largest distance between the points";
                    return Err(Error::setting("metric", format!("atanh:{s}"), rule));
                }
            }
            return Ok(());
        }
        Err(self.overflow())
    }

    fn overflow(&self) -> Error {
        let at = (0..self.x.len()).max_by(|&i, &k| self.x[i].abs().total_cmp(&self.x[k].abs()));
        let at = at.unwrap_or(0);
        Error::InvalidPoint {
            argument: "x",
            row: at / self.dim,
            col: at % self.dim,
            value: self.x[at],
            rule: "the ground cost over this range overflows; rescale the points",
        }
    }
}

fn count(argument: &'static str, points: &[f64], dim: usize) -> Result<usize, Error> {
    if dim == 0 || points.is_empty() || !points.len().is_multiple_of(dim) {
        let expected = format!("one or more points of dimension {dim} ≥ 1 are needed");
        return Err(Error::shape(argument, &[points.len()], expected));
    }
    if let Some(at) = points.iter().position(|v| !v.is_finite()) {
        let (row, col, value) = (at / dim, at % dim, points[at]);
        let rule = "coordinates must be finite";
        return Err(Error::InvalidPoint {
            argument,
            row,
            col,
            value,
            rule,
        });
    }
    Ok(points.len() / dim)
}

fn prepared(
    argument: &'static str,
    points: &Arc<[f64]>,
    dim: usize,
    ground: &Ground,
) -> Result<Arc<[f64]>, Error> {
    if !matches!(ground, Ground::Cosine) {
        return Ok(Arc::clone(points));
    }
    let mut unit = points.to_vec();
    for (row, point) in unit.chunks_exact_mut(dim).enumerate() {
        // Scaling by the largest coordinate first keeps the norm in range for 1e±200.
        let largest = point.iter().fold(0.0_f64, |s, v| s.max(v.abs()));
        if largest == 0.0 {
            let rule = "the cosine is undefined for the zero vector";
            return Err(Error::InvalidPoint {
                argument,
                row,
                col: 0,
                value: 0.0,
                rule,
            });
        }
        point.iter_mut().for_each(|v| *v /= largest);
        let norm = point.iter().map(|v| v * v).sum::<f64>().sqrt();
        point.iter_mut().for_each(|v| *v /= norm);
    }
    Ok(unit.into())
}

impl Cost for PointCost {
    fn shape(&self) -> (usize, usize) {
        (self.n, self.m)
    }

    fn row(&self, i: usize, out: &mut [f64]) {
        self.block(i..i + 1, 0..self.m, out);
    }

    fn block(&self, rows: Range<usize>, cols: Range<usize>, out: &mut [f64]) {
        if cols.is_empty() {
            return;
        }
        let x = &self.x_rows[rows.start * self.dim..rows.end * self.dim];
        pairwise::block(
            self.ground.metric(),
            x,
            &self.y_packed,
            cols.start,
            cols.len(),
            out,
        );
        if !self.ground.is_metric() {
            out.iter_mut().for_each(|c| *c = self.ground.of(*c));
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        if matches!(self.ground, Ground::Cosine) {
            let mut entry = [0.0];
            self.block(i..i + 1, j..j + 1, &mut entry);
            return entry[0];
        }
        let at = |k: usize| k * self.dim..(k + 1) * self.dim;
        self.ground.between(&self.x[at(i)], &self.y[at(j)])
    }

    fn range(&self) -> CostRange {
        *self.range.get_or_init(|| {
            let of_row = |row: &mut Vec<f64>, i: usize| {
                self.row(i, row);
                let mut range = CostRange::EMPTY;
                row.iter().for_each(|&c| range.include(c));
                range
            };
            (0..self.n)
                .into_par_iter()
                .map_init(|| vec![0.0; self.m], of_row)
                .reduce(|| CostRange::EMPTY, CostRange::union)
        })
    }

    fn kind(&self) -> CostKind<'_> {
        CostKind::Points(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accessor_gives_the_same_bits() {
        let x: Vec<f64> = (0..15).map(|k| (k as f64 * 0.731).sin()).collect();
        let y: Vec<f64> = (0..21).map(|k| (k as f64 * 1.37).cos()).collect();
        for name in super::super::ground::NAMES
            .split(", ")
            .filter(|n| *n != "arc")
        {
            let ground = Ground::parse(&name.replace(":P", ":3").replace(":S", ":9")).unwrap();
            let cost = PointCost::new(x.clone(), y.clone(), 3, ground.clone()).unwrap();
            let dense = super::super::DenseCost::materialize(&cost).unwrap();
            for i in 0..5 {
                for j in 0..7 {
                    assert_eq!(cost.entry(i, j), dense.entry(i, j), "{name}");
                    if name != "cosine" {
                        let direct = ground.between(&x[3 * i..3 * i + 3], &y[3 * j..3 * j + 3]);
                        assert_eq!(cost.entry(i, j), direct, "{name}");
                    }
                }
            }
            assert_eq!(cost.range(), dense.range(), "{name}");
        }
    }

    #[test]
    fn bad_points_are_refused() {
        let build = |x: &[f64], y: &[f64], dim, ground| PointCost::new(x, y, dim, ground);
        assert!(build(&[0.0, f64::NAN], &[0.0, 0.0], 2, Ground::Euclidean).is_err());
        assert!(build(&[0.0, 1.0, 2.0], &[0.0, 0.0], 2, Ground::Euclidean).is_err());
        assert!(build(&[], &[0.0], 1, Ground::Euclidean).is_err());
        assert!(build(&[1e200, 0.0], &[0.0, 0.0], 2, Ground::SqEuclidean).is_err());
        assert!(build(&[0.0, 0.0], &[1.0, 0.0], 2, Ground::Cosine).is_err());
        assert!(build(&[0.0, 0.0], &[1.0, 0.0], 2, Ground::Arc).is_err());
        assert!(build(&[0.0], &[2.0], 1, Ground::Atanh(2.0)).is_err());
        assert!(build(&[0.0], &[2.0], 1, Ground::Atanh(2.1)).is_ok());
        assert!(build(&[0.0], &[1.0], 1, Ground::of_distance("nan", |_| f64::NAN)).is_err());
    }
}
