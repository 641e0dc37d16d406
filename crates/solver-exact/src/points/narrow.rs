//! Points in single precision, by which a search rules out pairs a block at a time: with many coordinates trees exclude little,
//! and a product of two numbers of half the length is a sixth of the work of a difference and its square.
//!
//! With points x = c + x̃ and y = c' + ỹ about the middles of their blocks and D = c − c',
//! ‖x − y‖² − v(y) < t is the same as
//! ⟨x̃, ỹ⟩ + (v(y) − ‖ỹ‖²)/2 + ⟨D, ỹ⟩ > (‖x̃ + D‖² − t)/2. The sum of what does not depend on x comes from double precision and
//! varies little where the blocks exchange mass, as v falls there as the cost does: so the digits of single precision are those of
//! the blocks, and not of the clouds.

use std::ops::Range;

use ot_kernels::screen::{SPAN, along, packed};
use solver_api::Ground;

use super::kd::{BLOCK, Kd, LEAF};
use super::tariff::Tariff;

/// Coordinates from which on pairs are screened.
const FROM: usize = 4;

/// Points of a block.
const POINTS: usize = LEAF << BLOCK;

/// Squares of norms up to which products are far from where single precision ends.
const FARTHEST: f64 = 1e30;

/// The points of a tree once more, each about the middle of its block.
#[derive(Debug)]
pub(super) struct Narrow {
    runs: Vec<f32>,
    /// The middle of each block, and its largest coordinate.
    middles: Vec<f64>,
    largest: f64,
    /// ‖x̃‖² of each point.
    squares: Vec<f64>,
}

impl Narrow {
    /// Of row-major points, where it pays.
    pub(super) fn of(points: &[f64], dim: usize, tariff: &Tariff) -> Option<Self> {
        if dim < FROM || !matches!(tariff.ground, Ground::SqEuclidean) {
            return None;
        }
        let mut middles = Vec::new();
        let mut moved = Vec::with_capacity(points.len());
        for block in points.chunks(POINTS * dim) {
            let count = (block.len() / dim) as f64;
            let from = middles.len();
            middles.extend((0..dim).map(|k| {
                let along = block.iter().skip(k).step_by(dim);
                along.map(|x| x / count).sum::<f64>()
            }));
            let about = block.iter().zip(middles[from..].iter().cycle());
            moved.extend(about.map(|(x, c)| x - c));
        }
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let squares: Vec<f64> = moved.chunks_exact(dim).map(square).collect();
        let largest = points.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let small = squares.iter().all(|&s| s < FARTHEST) && largest * largest < FARTHEST;
        small.then(|| Self {
            runs: packed(&moved, dim),
            middles,
            largest,
            squares,
        })
    }

    pub(super) fn runs(&self, runs: Range<usize>, dim: usize) -> &[f32] {
        &self.runs[runs.start * SPAN * dim..runs.end * SPAN * dim]
    }

    fn middle(&self, point: usize, dim: usize) -> &[f64] {
        &self.middles[point / POINTS * dim..][..dim]
    }
}

/// What is added to the products of two blocks, and what they have to be above.
#[derive(Debug, Default)]
pub(super) struct Screen {
    apart: Vec<f64>,
    sums: Vec<f64>,
    /// Padded to whole runs with −∞.
    pub(super) offsets: Vec<f32>,
    /// Half of ‖x̃ + D‖², and what rounding may take off a product with the row.
    rows: Vec<(f64, f64)>,
}

impl Screen {
    /// For some rows of a block of `x` and the points of a block of `y` with these potentials.
    pub(super) fn meet(
        &mut self,
        (x, of_x): (&Kd, &Narrow),
        rows: Range<usize>,
        (y, of_y): (&Kd, &Narrow),
        columns: Range<usize>,
        values: &[f64],
    ) {
        let dim = x.dim;
        let (from, to) = (
            of_x.middle(rows.start, dim),
            of_y.middle(columns.start, dim),
        );
        self.apart.clear();
        self.apart.extend(from.iter().zip(to).map(|(x, y)| x - y));
        sums_along(y, columns.clone(), to, &self.apart, &mut self.sums);
        let (mut low, mut high, mut size) = (f64::INFINITY, f64::NEG_INFINITY, 0.0_f64);
        let mut longest = 0.0_f64;
        for (sum, j) in self.sums.iter_mut().zip(columns.clone()) {
            let (v, square) = (values[j], of_y.squares[j]);
            if v > f64::NEG_INFINITY {
                size = size.max(sum.abs()).max(v.abs());
                longest = longest.max(square);
                *sum += 0.5 * (v - square);
                (low, high) = (low.min(*sum), high.max(*sum));
            } else {
                *sum = f64::NEG_INFINITY;
            }
        }
        let level = if low <= high {
            0.5 * low + 0.5 * high
        } else {
            0.0
        };
        let spread = (high - level).max(0.0);
        self.offsets.clear();
        self.offsets
            .extend(self.sums.iter().map(|sum| (sum - level) as f32));
        let whole = columns.len().next_multiple_of(SPAN);
        self.offsets.resize(whole, f32::NEG_INFINITY);
        let longest = longest.sqrt();
        sums_along(x, rows.clone(), from, &self.apart, &mut self.sums);
        let square: f64 = self.apart.iter().map(|d| d * d).sum();
        let distance = square.sqrt();
        self.rows.clear();
        self.rows.extend(self.sums.iter().zip(rows).map(|(sum, i)| {
            let own = of_x.squares[i];
            let length = own.sqrt();
            let half = 0.5 * (own + square) + sum;
            // Rounding of both points and of the offset, d products and their sum, with room for as much again; what is smaller
            // than every normal number is lost.
            let narrow = (dim as f64 + 8.0) * f64::from(f32::EPSILON) * (spread + length * longest)
                + dim as f64 * f64::from(f32::MIN_POSITIVE);
            // And of the terms of a key in double precision.
            let reach = distance + length + longest;
            let exact = 16.0
                * (dim as f64 + 8.0)
                * f64::EPSILON
                * (reach * (reach + of_x.largest + of_y.largest) + size);
            (half - level, narrow + exact)
        }));
    }

    /// What an offset and a product in single precision are above for every point whose reduced cost from row `r` is below `limit`.
    pub(super) fn limit(&self, r: usize, limit: f64) -> f32 {
        let (half, rounding) = self.rows[r];
        let least = half - 0.5 * limit - rounding - 16.0 * f64::EPSILON * limit.abs();
        // No number where something overflows: then nothing is ruled out.
        let least = if least.is_nan() {
            f64::NEG_INFINITY
        } else {
            least
        };
        (least as f32).next_down()
    }
}

/// ⟨by, x − middle⟩ of some points in a row, from the first of a leaf on.
fn sums_along(kd: &Kd, points: Range<usize>, middle: &[f64], by: &[f64], out: &mut Vec<f64>) {
    let leaves = points.start / LEAF..points.end.div_ceil(LEAF);
    out.clear();
    out.resize(leaves.len() * LEAF, 0.0);
    along(kd.panels(leaves), middle, by, out);
    out.truncate(points.len());
}

#[cfg(test)]
mod tests {
    use ot_kernels::screen::{Products, STRIP, above};
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::super::testing::squares;
    use super::*;

    /// Every pair is above what its own reduced cost asks for, however close; and most are below what a hundredth less would.
    #[test]
    fn no_pair_is_ruled_out_by_rounding() {
        let mut rng = Pcg64::seed_from_u64(4);
        for (dim, far) in [(4, 0.0), (9, 1e5), (16, 3.0), (50, 0.0)] {
            let mut cloud = |n: usize| -> Vec<f64> {
                (0..n * dim).map(|_| far + rng.random::<f64>()).collect()
            };
            let (x, y) = (cloud(POINTS), cloud(POINTS - 3));
            let (x, y) = (Kd::new(&x, dim, &squares()), Kd::new(&y, dim, &squares()));
            let (Some(of_x), Some(of_y)) = (&x.narrow, &y.narrow) else {
                panic!("{dim} coordinates are screened");
            };
            let values: Vec<f64> = (0..y.len()).map(|_| 5.0 * rng.random::<f64>()).collect();
            let mut screen = Screen::default();
            screen.meet((&x, of_x), 0..x.len(), (&y, of_y), 0..y.len(), &values);
            let columns = of_y.runs(0..POINTS / SPAN, dim);
            let mut products = [Products::default(); POINTS / SPAN];
            let mut ruled_out = 0;
            for i in (0..x.len()).step_by(STRIP) {
                let run = of_x.runs(i / SPAN..i / SPAN + 1, dim);
                let all = [f32::NEG_INFINITY; STRIP];
                above(run, i % SPAN, columns, &screen.offsets, &all, &mut products);
                for (r, j) in (0..STRIP).flat_map(|r| (0..y.len()).map(move |j| (r, j))) {
                    let key = x.cost(i + r, &y, j) - values[j];
                    let sum = products[j / SPAN].sums[r][j % SPAN];
                    assert!(
                        sum > screen.limit(i + r, key.next_up()),
                        "{dim} {i} {r} {j}"
                    );
                    ruled_out += usize::from(sum <= screen.limit(i + r, key - 0.01 - 1e-3 * far));
                }
            }
            assert!(ruled_out > 9 * x.len() * y.len() / 10, "{dim} {ruled_out}");
        }
    }
}
