//! What a distance costs.

use ot_kernels::near::distance;
use solver_api::Ground;

use super::bounds;

/// A cost that grows with a distance, less what every pair costs at least: clouds that are far apart have costs that are large and
/// nearly alike, and tolerances are relative to the terms of a reduced cost. (Squares come about the clouds' means instead.)
#[derive(Debug, Clone)]
pub(super) struct Tariff {
    pub(super) ground: Ground,
    pub(super) base: f64,
}

impl Tariff {
    /// For pairs of two clouds, row-major.
    pub(super) fn between(ground: &Ground, x: &[f64], y: &[f64], dim: usize) -> Self {
        let base = match ground {
            Ground::SqEuclidean => 0.0,
            _ => {
                let (x, y) = (corners(x, dim), corners(y, dim));
                bounds::distance_least(ground, (&x.0, &x.1), (&y.0, &y.1))
            }
        };
        Self {
            ground: ground.clone(),
            base: if base.is_finite() { base } else { 0.0 },
        }
    }

    pub(super) fn of(&self, distance: f64) -> f64 {
        self.ground.of(distance) - self.base
    }

    /// Between points that are so far apart along each axis.
    pub(super) fn along(&self, differences: impl Iterator<Item = f64> + Clone) -> f64 {
        self.of(distance(self.ground.metric(), differences))
    }
}

/// The box around row-major points.
fn corners(points: &[f64], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut low, mut high) = (vec![f64::INFINITY; dim], vec![f64::NEG_INFINITY; dim]);
    for point in points.chunks_exact(dim) {
        for ((l, h), x) in low.iter_mut().zip(&mut high).zip(point) {
            (*l, *h) = (l.min(*x), h.max(*x));
        }
    }
    (low, high)
}
