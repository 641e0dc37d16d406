//! The least and the largest cost between two clouds of many coordinates: all pairs in single precision, and those that may be
//! the nearest or the farthest once more with all digits.

use std::ops::Range;

use ot_kernels::screen::{Products, SPAN, STRIP, above, packed};
use rayon::prelude::*;

use super::{Cost, CostRange, PointCost};

/// Rows of a task, and runs that they are multiplied with at a time.
const ROWS: usize = 128;
const RUNS: usize = 16;

/// Of all pairs of a task, the part that may be looked at once more.
const MOST: usize = 32;

/// A cloud about a centre, in units of the largest coordinate of both.
struct Side {
    points: Vec<f64>,
    /// ‖x‖².
    squares: Vec<f64>,
    longest: f64,
}

impl Side {
    fn new(points: &[f64], centre: &[f64], extent: f64) -> Self {
        let moved = points.chunks_exact(centre.len()).flat_map(|p| {
            let about = p.iter().zip(centre);
            about.map(move |(x, c)| (x - c) / extent)
        });
        let points: Vec<f64> = moved.collect();
        let square = |p: &[f64]| p.iter().map(|x| x * x).sum::<f64>();
        let squares: Vec<f64> = points.chunks_exact(centre.len()).map(square).collect();
        let longest = squares.iter().copied().fold(0.0, f64::max).sqrt();
        Self {
            points,
            squares,
            longest,
        }
    }
}

/// Which end of the range is looked for.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Nearest,
    Farthest,
}

impl End {
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Nearest => one.min(other),
            Self::Farthest => one.max(other),
        }
    }
}

/// All pairs of both sides, of which those at one end are looked at once more.
struct Pass<'a> {
    cost: &'a PointCost,
    end: End,
    x: &'a Side,
    y: &'a Side,
    /// Packed points and offsets of `y`, signed so that pairs at the end have the largest products.
    rows: Vec<f32>,
    columns: Vec<f32>,
    offsets: Vec<f32>,
    /// What rounding may do to half a squared distance, in single precision for a row of length 1, and in double precision.
    narrow: f64,
    exact: f64,
    /// Half a squared distance that was seen.
    seen: f64,
}

/// The range with the bits that a pass over all pairs would find, for a ground that grows with the Euclidean distance; `None`
/// where pairs that are alike are so many that such a pass is the faster way. 4 d flops a pair.
pub(super) fn of(cost: &PointCost, centre: &[f64]) -> Option<CostRange> {
    let ((n, m), dim) = (cost.shape(), cost.dim());
    let far = |points: &[f64], from: &[f64]| -> f64 {
        let apart = points.chunks_exact(dim).flat_map(|p| p.iter().zip(from));
        apart.map(|(x, c)| (x - c).abs()).fold(0.0, f64::max)
    };
    let extent = far(cost.x(), centre).max(far(cost.y(), centre));
    if !(extent.is_normal() && extent.recip().is_normal()) {
        return None;
    }
    let origin = vec![0.0; dim];
    let largest = far(cost.x(), &origin).max(far(cost.y(), &origin));
    let (x, y) = (
        Side::new(cost.x(), centre, extent),
        Side::new(cost.y(), centre, extent),
    );
    let mut range = CostRange::EMPTY;
    let d = dim as f64;
    for end in [End::Nearest, End::Farthest] {
        let sign = if end == End::Nearest { 1.0 } else { -1.0 };
        let signed: Vec<f64> = x.points.iter().map(|x| sign * x).collect();
        let halves = y.squares.iter().map(|s| (-0.5 * sign * s) as f32);
        let mut offsets: Vec<f32> = halves.collect();
        offsets.resize(m.next_multiple_of(SPAN), f32::NEG_INFINITY);
        let mut pass = Pass {
            cost,
            end,
            x: &x,
            y: &y,
            rows: packed(&signed, dim),
            columns: packed(&y.points, dim),
            offsets,
            narrow: (d + 8.0) * f64::from(f32::EPSILON) * (0.5 * y.longest * y.longest + y.longest),
            exact: 32.0 * d * f64::EPSILON * (d + largest / extent),
            seen: 0.0,
        };
        // Two rows, so that no task begins with nothing.
        let rows = [0, n / 2].into_iter();
        pass.seen = rows
            .flat_map(|i| (0..m).map(move |j| (i, j)))
            .map(|(i, j)| pass.half(i, j))
            .reduce(|one, other| end.of(one, other))?;
        let found: Option<Vec<CostRange>> = (0..n.div_ceil(ROWS))
            .into_par_iter()
            .map(|k| pass.rows(k * ROWS..n.min((k + 1) * ROWS)))
            .collect();
        range = found?.into_iter().fold(range, CostRange::union);
    }
    Some(range)
}

impl Pass<'_> {
    /// Half the squared distance of a pair.
    fn half(&self, i: usize, j: usize) -> f64 {
        let dim = self.cost.dim();
        let x = &self.x.points[i * dim..][..dim];
        let y = &self.y.points[j * dim..][..dim];
        let squares = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y));
        0.5 * squares.sum::<f64>()
    }

    /// What products of row `i` are above for every pair at least as near, or as far, as `seen`.
    fn limit(&self, i: usize, seen: f64) -> f32 {
        let half = 0.5 * self.x.squares[i];
        let sharp = match self.end {
            End::Nearest => half - seen,
            End::Farthest => seen - half,
        };
        let rounding = self.narrow * (1.0 + 2.0 * half.sqrt());
        let lost = self.cost.dim() as f64 * f64::from(f32::MIN_POSITIVE);
        ((sharp - rounding - lost - self.exact) as f32).next_down()
    }

    /// Some rows with all columns.
    fn rows(&self, rows: Range<usize>) -> Option<CostRange> {
        let (m, dim) = (self.cost.shape().1, self.cost.dim());
        let mut range = CostRange::EMPTY;
        let mut products = [Products::default(); RUNS];
        let mut seen = self.seen;
        let mut left = (rows.len() * m / MOST).max(4 * m);
        let columns = self.columns.chunks(RUNS * SPAN * dim);
        let blocks = columns.zip(self.offsets.chunks(RUNS * SPAN)).enumerate();
        for (block, (columns, offsets)) in blocks {
            for i in rows.clone().step_by(STRIP) {
                let run = &self.rows[i / SPAN * SPAN * dim..][..SPAN * dim];
                let mut limits = [f32::INFINITY; STRIP];
                for (limit, i) in limits.iter_mut().zip(i..rows.end) {
                    *limit = self.limit(i, seen);
                }
                let mut found = above(run, i % SPAN, columns, offsets, &limits, &mut products);
                while found != 0 {
                    let k = found.trailing_zeros() as usize;
                    found &= found - 1;
                    for (r, mut hits) in products[k].above.into_iter().enumerate() {
                        while hits != 0 {
                            let j = (block * RUNS + k) * SPAN + hits.trailing_zeros() as usize;
                            hits &= hits - 1;
                            left = left.checked_sub(1)?;
                            range.include(self.cost.entry(i + r, j));
                            seen = self.end.of(seen, self.half(i + r, j));
                        }
                    }
                }
            }
        }
        Some(range)
    }
}
