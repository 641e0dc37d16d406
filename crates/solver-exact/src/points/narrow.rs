//! Points in single precision, by which a search rules out pairs a block at a time: with many coordinates trees exclude little,
//! and a product of two numbers of half the length is a sixth of the work of a difference and its square.

use std::ops::Range;

use ot_kernels::screen::{SPAN, packed};
use solver_api::Ground;

use super::tariff::Tariff;

/// Coordinates from which on pairs are screened.
const FROM: usize = 4;

/// Squares of norms up to which products are far from where single precision ends.
const FARTHEST: f64 = 1e30;

/// The points of a tree once more.
#[derive(Debug)]
pub(super) struct Narrow {
    runs: Vec<f32>,
    /// ‖x‖² of each point.
    pub(super) squares: Vec<f64>,
    /// The largest ‖x‖ of each run.
    largest: Vec<f64>,
}

impl Narrow {
    /// Of row-major points, where it pays.
    pub(super) fn of(points: &[f64], dim: usize, tariff: &Tariff) -> Option<Self> {
        if dim < FROM || !matches!(tariff.ground, Ground::SqEuclidean) {
            return None;
        }
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let squares: Vec<f64> = points.chunks_exact(dim).map(square).collect();
        if !squares.iter().all(|&s| s < FARTHEST) {
            return None;
        }
        let most = |run: &[f64]| run.iter().copied().fold(0.0, f64::max).sqrt();
        Some(Self {
            runs: packed(points, dim),
            largest: squares.chunks(SPAN).map(most).collect(),
            squares,
        })
    }

    pub(super) fn runs(&self, runs: Range<usize>, dim: usize) -> &[f32] {
        &self.runs[runs.start * SPAN * dim..runs.end * SPAN * dim]
    }

    /// The largest norm of some runs.
    pub(super) fn largest(&self, runs: Range<usize>) -> f64 {
        self.largest[runs].iter().copied().fold(0.0, f64::max)
    }

    /// What (v(y) − ‖y‖²)/2 + ⟨x, y⟩ is above in single precision for every y with ‖x − y‖² − v(y) < `limit`, where ‖y‖ and the
    /// offset are no larger than these: rounding of both points, d products and their sum are taken off, with room for as much again.
    pub(super) fn limit(&self, i: usize, limit: f64, largest: f64, offset: f64, dim: usize) -> f32 {
        let square = self.squares[i];
        let size = offset + square.sqrt() * largest;
        let rounding = (dim as f64 + 8.0) * f64::from(f32::EPSILON) * size;
        // What is smaller than every normal number is lost.
        let lost = dim as f64 * f64::from(f32::MIN_POSITIVE);
        let sharp = 0.5 * (square - limit);
        // The terms of a key are rounded too, in double precision.
        let exact = 64.0 * f64::EPSILON * (square + size + limit.abs());
        let least = sharp - rounding - lost - exact;
        // No number where something overflows: then nothing is ruled out.
        let least = if least.is_nan() {
            f64::NEG_INFINITY
        } else {
            least
        };
        (least as f32).next_down()
    }
}
