//! A cost between two point clouds, computed when asked for.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ndarray::ArrayView2;
use ot_kernels::pairwise::{self, Metric, PackedPoints};
use rayon::prelude::*;

use super::scale::{Scale, extents};
use super::{Cost, CostKind, CostRange, Ground, LARGEST, Shape, extremes};
use crate::Error;

/// Up to so many pairs the range is found by looking at all of them.
const PAIRS_IN_LINE: usize = 1 << 20;

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
    // What the kernels read: unit vectors for the cosine (norms of 1e±200 would overflow), scaled points where the
    // squares of Euclidean distances would leave the range of f64, the points themselves otherwise.
    x_rows: Arc<[f64]>,
    y_packed: Arc<PackedPoints<f64>>,
    scale: Option<Scale>,
    ground: Ground,
    range: OnceLock<CostRange>,
}

impl PointCost {
    /// `x` holds n points and `y` m points of dimension `dim`, row-major.
    ///
    /// Coordinates must be finite, the largest cost must be within 1e300, the cosine refuses the origin, `arc` wants
    /// `dim` = 1, points that differ must not all be at a cost below the normal numbers of f64 (squared distances
    /// of points 1e-170 apart are 1e-340, which is no number but 0), and `atanh:S` refuses an S that a distance reaches (a bounding box decides where it can;
    /// otherwise, and for closures of which nothing is known, all pairs are computed once).
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
        let extents = extents([&x, &y], dim);
        let spread = extents.iter().copied().fold(0.0, f64::max);
        let scale = (ground.metric() == Metric::Euclidean)
            .then(|| Scale::of(spread))
            .flatten();
        let rows = |argument, points: &Arc<[f64]>| match scale {
            Some(scale) => Ok(scaled(points, &extents, scale)),
            None => prepared(argument, points, dim, &ground),
        };
        let (x_rows, y_rows) = (rows("x", &x)?, rows("y", &y)?);
        let y_packed = Arc::new(PackedPoints::new(&y_rows, dim));
        let cost = Self {
            n,
            m,
            dim,
            x,
            y,
            x_rows,
            y_packed,
            scale,
            ground,
            range: OnceLock::new(),
        };
        cost.check_reach(&extents)?;
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

    /// No distance may overflow, or reach the pole of atanh, or be NaN by a closure's fault. `extents` is the
    /// corner-to-corner vector of the box around both clouds, which bounds every difference.
    fn check_reach(&self, extents: &[f64]) -> Result<(), Error> {
        if let Ground::OfDistance(_, _, Shape::Any) = self.ground {
            let range = super::validate(self)?;
            // Just made, so nobody can have set it before.
            let _ = self.range.set(range);
            return Ok(());
        }
        if matches!(self.ground, Ground::Cosine | Ground::Arc) {
            return Ok(());
        }
        let zero = vec![0.0; self.dim];
        self.ground
            .check_promise(Ground::Euclidean.between(extents, &zero))?;
        let bound = self.ground.between(extents, &zero);
        // A cost as small as the differences themselves is a distance, and has their digits.
        let spread = Ground::Chebyshev.between(extents, &zero);
        let is_named = !matches!(self.ground, Ground::OfDistance(..));
        if is_named && bound < f64::MIN_POSITIVE && bound < spread {
            let rule = "the ground cost underflows over this whole range; rescale the points";
            return Err(self.refused(rule));
        }
        if bound <= LARGEST {
            return Ok(());
        }
        if let Ground::Atanh(s) = self.ground
            && Ground::Euclidean.between(extents, &zero).is_finite()
        {
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
        Err(self.refused("the ground cost over this range overflows; rescale the points"))
    }

    /// The error that names the largest coordinate.
    fn refused(&self, rule: &'static str) -> Error {
        let largest = |argument, points: &[f64]| {
            let at = (0..points.len()).max_by(|&i, &k| points[i].abs().total_cmp(&points[k].abs()));
            let at = at.unwrap_or(0);
            (argument, at, points[at])
        };
        let (x, y) = (largest("x", &self.x), largest("y", &self.y));
        let (argument, at, value) = if y.2.abs() > x.2.abs() { y } else { x };
        Error::InvalidPoint {
            argument,
            row: at / self.dim,
            col: at % self.dim,
            value,
            rule,
        }
    }
}

/// The points in units in which squares of differences are normal numbers. A coordinate that all points share adds
/// nothing to any distance: it is left out, because it may lie too far from the others to be scaled with them. (One
/// that they do not share is within 2⁵⁴ times its extent, and so stays finite.)
fn scaled(points: &[f64], extents: &[f64], scale: Scale) -> Arc<[f64]> {
    let of_axis = |(&v, &extent): (&f64, &f64)| if extent == 0.0 { 0.0 } else { v * scale.there };
    points
        .iter()
        .zip(extents.iter().cycle())
        .map(of_axis)
        .collect()
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
        if let Some(scale) = self.scale {
            out.iter_mut().for_each(|d| *d *= scale.back);
        }
        self.ground.of_all(out);
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        // What the kernels read is packed; only unchanged points are at hand one by one.
        if self.scale.is_some() || matches!(self.ground, Ground::Cosine) {
            let mut entry = [0.0];
            self.block(i..i + 1, j..j + 1, &mut entry);
            return entry[0];
        }
        let at = |k: usize| k * self.dim..(k + 1) * self.dim;
        self.ground.between(&self.x[at(i)], &self.y[at(j)])
    }

    fn range(&self) -> CostRange {
        *self.range.get_or_init(|| {
            if self.scale.is_none()
                && self.n.saturating_mul(self.m) >= PAIRS_IN_LINE
                && let Some(range) = extremes::of(self)
            {
                return range;
            }
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
    type OfDistance = fn(f64) -> f64;

    /// Every ground of a distance, as a function of the Euclidean distance in one dimension, with the largest distance
    /// it takes.
    fn grounds() -> Vec<(Ground, OfDistance, f64)> {
        vec![
            (Ground::Euclidean, |d| d, 1e300),
            (Ground::Cityblock, |d| d, 1e300),
            (Ground::Chebyshev, |d| d, 1e300),
            (Ground::Minkowski(1.0), |d| d, 1e300),
            (Ground::Minkowski(3.0), |d| d, 1e300),
            (Ground::Minkowski(100.0), |d| d, 1e300),
            (Ground::Log1p, f64::ln_1p, 1e300),
            (Ground::Atan, f64::atan, 1e300),
            (Ground::Asinh, f64::asinh, 1e300),
            (Ground::Atanh(3e302), |d| (d / 3e302).atanh(), 1e300),
            (Ground::Power(0.5), f64::sqrt, 1e300),
            (Ground::Power(1.0), |d| d, 1e300),
            (Ground::Power(1.5), |d| d.powf(1.5), 1e199),
            (Ground::SqEuclidean, |d| d * d, 1e149),
            (Ground::of_distance("half", |d| 0.5 * d), |d| 0.5 * d, 1e300),
        ]
    }

    /// `cost` by every accessor against `exact`.
    fn agrees(cost: &PointCost, exact: impl Fn(usize, usize) -> f64, tolerance: f64, name: &str) {
        let (n, m) = cost.shape();
        let mut all = vec![f64::NAN; n * m];
        cost.block(0..n, 0..m, &mut all);
        let dense = super::super::DenseCost::materialize(cost).unwrap();
        let (mut row, mut narrow) = (vec![f64::NAN; m], vec![f32::NAN; m]);
        let mut range = CostRange::EMPTY;
        for i in 0..n {
            cost.row(i, &mut row);
            cost.row_f32(i, &mut narrow);
            for j in 0..m {
                let (found, wanted) = (cost.entry(i, j), exact(i, j));
                assert!(
                    (found - wanted).abs() <= tolerance * wanted,
                    "{name} [{i}, {j}]: {found:e} ≠ {wanted:e}"
                );
                let mut one = [f64::NAN];
                cost.block(i..i + 1, j..j + 1, &mut one);
                let others = [row[j], all[i * m + j], one[0], dense.entry(i, j)];
                assert_eq!(others, [found; 4], "{name} [{i}, {j}]");
                assert_eq!(narrow[j], found as f32, "{name} [{i}, {j}]");
                range.include(found);
            }
        }
        assert_eq!(cost.range(), range, "{name}");
    }

    #[test]
    fn distances_on_a_line_at_any_scale() {
        for (ground, h, most) in grounds() {
            for exponent in (-300..=298).step_by(2) {
                let scale = 10_f64.powi(exponent);
                let farthest = 5.0 * scale;
                // Below the normal numbers there is nothing to compare with: that is refused, see below.
                if farthest > most || h(0.5 * scale) < f64::MIN_POSITIVE {
                    continue;
                }
                let name = format!("{ground} at {scale:e}");
                let of = |p: &[f64]| p.iter().map(|v| v * scale).collect::<Vec<_>>();
                let (x, y) = (of(&[0.0, 1.0, -2.0]), of(&[1.5, 1.0, 3.0, 0.0]));
                let cost = PointCost::new(x.clone(), y.clone(), 1, ground.clone()).unwrap();
                agrees(&cost, |i, j| h((x[i] - y[j]).abs()), 1e-13, &name);
                let direct = |i: usize, j: usize| ground.between(&x[i..=i], &y[j..=j]);
                agrees(&cost, direct, 0.0, &name);
                // The reviewer's two points.
                let pair = PointCost::new(vec![0.0], vec![scale], 1, ground.clone()).unwrap();
                agrees(&pair, |_, _| h(scale), 1e-13, &name);
            }
        }
    }

    #[test]
    fn clouds_that_were_single_precision() {
        for exponent in [-44, -30, -3, 4, 30, 37] {
            let narrow = |v: f32| f64::from(v * 10_f32.powi(exponent));
            let (x, y) = ([0.0, 1.25].map(narrow), [1.0, -0.5, 0.75].map(narrow));
            for ground in [Ground::Euclidean, Ground::Minkowski(9.0)] {
                let cost = PointCost::new(x, y, 1, ground.clone()).unwrap();
                let name = format!("{ground} at 1e{exponent}");
                agrees(&cost, |i, j| (x[i] - y[j]).abs(), 1e-13, &name);
            }
        }
    }

    #[test]
    fn clouds_in_space_at_any_scale_are_the_cloud_at_scale_one() {
        let x: Vec<f64> = (0..15).map(|k| (k as f64 * 0.731).sin()).collect();
        let y: Vec<f64> = (0..21).map(|k| (k as f64 * 1.37).cos()).collect();
        for ground in [
            Ground::Euclidean,
            Ground::Cityblock,
            Ground::Chebyshev,
            Ground::Minkowski(3.0),
            Ground::Minkowski(50.0),
        ] {
            let unit = PointCost::new(x.clone(), y.clone(), 3, ground.clone()).unwrap();
            for exponent in (-990..=990).step_by(15) {
                let scale = 2_f64.powi(exponent);
                let of = |p: &[f64]| p.iter().map(|v| v * scale).collect::<Vec<_>>();
                let cost = PointCost::new(of(&x), of(&y), 3, ground.clone()).unwrap();
                let name = format!("{ground} at {scale:e}");
                // A root of a sum as small as 1e-290 loses two digits.
                agrees(&cost, |i, j| scale * unit.entry(i, j), 1e-13, &name);
                if ground.metric() == Metric::Euclidean {
                    // Powers of two change no bit.
                    agrees(&cost, |i, j| scale * unit.entry(i, j), 0.0, &name);
                }
            }
        }
    }

    #[test]
    fn a_shared_coordinate_may_be_of_any_size() {
        for far in [1e9, 1e200, -1e300] {
            let (x, y) = (vec![far, 0.0], vec![far, 3e-200, far, 4e-170]);
            let cost = PointCost::new(x, y, 2, Ground::Euclidean).unwrap();
            agrees(&cost, |_, j| [3e-200, 4e-170][j], 1e-15, "shared");
        }
        // Far from the origin, differences are what the numbers leave of them.
        let cost = PointCost::new(vec![1e9], vec![1e9 + 0.5], 1, Ground::Euclidean).unwrap();
        assert_eq!(cost.entry(0, 0), 0.5);
    }

    #[test]
    fn costs_that_no_number_can_tell_are_refused() {
        let of = |x: f64, ground| PointCost::new(vec![0.0, 0.0], vec![x, 0.0], 1, ground);
        let refused = |result: Result<PointCost, Error>, word: &str| {
            let said = result.err().map(|e| e.to_string()).unwrap_or_default();
            assert!(said.contains(word) && said.contains('y'), "{said}");
        };
        refused(of(1e-170, Ground::SqEuclidean), "underflows");
        refused(of(1e-170, Ground::Power(2.0)), "underflows");
        refused(of(1e-170, Ground::Atanh(1e200)), "underflows");
        refused(of(1e160, Ground::SqEuclidean), "overflows");
        refused(of(2e300, Ground::Euclidean), "overflows");
        // Beside larger ones they are rounding; and equal points are at distance 0.
        let (x, y) = (vec![0.0], vec![1e-170, 1.0]);
        assert!(PointCost::new(x, y, 1, Ground::SqEuclidean).is_ok());
        assert!(of(0.0, Ground::SqEuclidean).is_ok());
        // Subnormal distances are all there is of them.
        assert_eq!(of(1e-310, Ground::Euclidean).unwrap().entry(0, 0), 1e-310);
    }
}
