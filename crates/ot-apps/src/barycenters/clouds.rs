//! The clouds that a free support is a mean of.

use std::collections::HashSet;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Ground, Measure, PointCost};

use super::cloud::Cloud;
use super::inputs::check_lambda;
use crate::Error;

/// Draws of a place for an atom, until it is one that is free.
const DRAWS: usize = 64;

/// Clouds that count, and the size of all of them.
pub(super) struct Inputs<'a> {
    pub(super) clouds: Vec<&'a Cloud>,
    pub(super) lambda: Vec<f64>,
    pub(super) dim: usize,
    /// Root mean square of the distances from the mean; 1 where that is 0.
    pub(super) size: f64,
}

impl<'a> Inputs<'a> {
    /// From atoms at `x` to the points of cloud k.
    pub(super) fn cost(&self, k: usize, x: &Arc<[f64]>) -> Result<PointCost, Error> {
        let y = self.clouds[k].shared_points();
        Ok(PointCost::new(
            Arc::clone(x),
            y,
            self.dim,
            Ground::SqEuclidean,
        )?)
    }

    pub(super) fn new(clouds: &'a [Cloud], lambda: &[f64]) -> Result<Self, Error> {
        check_lambda(clouds.len(), lambda)?;
        let lambda = Measure::named("lambda", lambda)?.normalized();
        let mut dim = 0;
        for (k, cloud) in clouds.iter().enumerate() {
            if k > 0 && cloud.dim() != dim {
                return Err(solver_api::Error::ShapeMismatch {
                    argument: "clouds",
                    found: format!("n×{}", cloud.dim()),
                    expected: format!("clouds before cloud {k} are n×{dim}"),
                }
                .into());
            }
            dim = cloud.dim();
        }
        let counted = || {
            clouds
                .iter()
                .zip(lambda.weights())
                .filter(|(_, l)| **l > 0.0)
        };
        let clouds: Vec<_> = counted().map(|(cloud, _)| cloud).collect();
        let lambda: Vec<f64> = counted().map(|(_, l)| *l).collect();
        let mut mean = vec![0.0; dim];
        each(&clouds, &lambda, |y, w| {
            mean.iter_mut().zip(y).for_each(|(mean, y)| *mean += w * y);
        });
        let mut size = 0.0;
        each(&clouds, &lambda, |y, w| {
            let square: f64 = y.iter().zip(&mean).map(|(y, m)| (y - m) * (y - m)).sum();
            size += w * square;
        });
        Ok(Self {
            clouds,
            lambda,
            dim,
            size: if size > 0.0 { size.sqrt() } else { 1.0 },
        })
    }

    /// Points of the clouds, drawn; no point twice, if there are enough.
    pub(super) fn draw(&self, atoms: usize, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut pick = |weights: &[f64]| {
            let mut left: f64 = rng.random();
            let reached = weights.iter().position(|w| {
                left -= w;
                *w > 0.0 && left < 0.0
            });
            // Rounding may leave a little beyond the last one.
            reached.or_else(|| weights.iter().rposition(|w| *w > 0.0))
        };
        let mut points = Vec::with_capacity(atoms * self.dim);
        let mut taken = HashSet::new();
        // Once most places are taken, further draws find none.
        let mut spare = DRAWS * self.clouds.iter().map(|cloud| cloud.len()).sum::<usize>();
        for _ in 0..atoms {
            // Atoms at one place would stay together under a blurred plan: each gets its own as long as there are some.
            let (mut k, mut place) = (0, 0);
            for _ in 0..DRAWS.min(spare).max(1) {
                k = pick(&self.lambda).unwrap_or(0);
                place = pick(self.clouds[k].weights().weights()).unwrap_or(0);
                if taken.insert((k, place)) {
                    break;
                }
                spare = spare.saturating_sub(1);
            }
            let cloud = self.clouds[k];
            points.extend_from_slice(&cloud.points()[place * self.dim..(place + 1) * self.dim]);
        }
        points
    }
}

fn each(clouds: &[&Cloud], lambda: &[f64], mut visit: impl FnMut(&[f64], f64)) {
    for (cloud, lambda) in clouds.iter().zip(lambda) {
        let points = cloud.points().chunks_exact(cloud.dim());
        for (y, a) in points.zip(cloud.weights().weights()) {
            visit(y, lambda * a);
        }
    }
}
