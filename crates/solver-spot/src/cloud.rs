//! The points of a problem as the training sees them: those of some weight, moved and scaled to about unit size.

use std::sync::Arc;

use solver_api::{Ground, Measure, PointCost};

use crate::nearest::Nearest;
use crate::{Cityblock, Empirical, Error, Euclidean, JointCost, Sampler, SqEuclidean};

/// Where the middle of both clouds is, and how large they are.
pub(crate) struct Frame {
    centre: Vec<f64>,
    /// Half of the widest side of the box around them is 2 of these.
    unit: f64,
    widest: usize,
    /// The diagonal of that box, in units.
    diagonal: f64,
}

impl Frame {
    /// Around the points of some weight.
    pub(crate) fn new(cost: &PointCost, (a, b): (&Measure, &Measure)) -> Self {
        let dim = cost.dim();
        let (mut centre, mut reach) = (vec![0.0; dim], vec![0.0; dim]);
        let kept = |points, of| {
            let rows = <[f64]>::chunks_exact(points, dim).zip(Measure::weights(of));
            rows.filter(|(_, w)| **w > 0.0).map(|(row, _)| row)
        };
        for c in 0..dim {
            let all = || {
                kept(cost.x(), a)
                    .chain(kept(cost.y(), b))
                    .map(|row| &row[c])
            };
            let least = all().copied().fold(f64::INFINITY, f64::min);
            let most = all().copied().fold(f64::NEG_INFINITY, f64::max);
            centre[c] = least / 2.0 + most / 2.0;
            reach[c] = most / 2.0 - least / 2.0;
        }
        let widest = (0..dim).max_by(|i, j| f64::total_cmp(&reach[*i], &reach[*j]));
        let widest = widest.unwrap_or(0);
        let unit = if reach[widest] > 0.0 {
            reach[widest] / 2.0
        } else {
            1.0
        };
        let squares: f64 = reach.iter().map(|r| (r / unit) * (r / unit)).sum();
        Self {
            centre,
            unit,
            widest,
            diagonal: 2.0 * squares.sqrt(),
        }
    }

    /// The cost between opposite corners of the box around the clouds, or more.
    pub(crate) fn largest(&self, ground: &Ground) -> f64 {
        let far = self.diagonal * self.unit;
        match ground {
            Ground::SqEuclidean => far * far,
            Ground::Cityblock => far * (self.centre.len() as f64).sqrt(),
            _ => far,
        }
    }

    /// The cost in these units, its Lipschitz constant on both clouds, and what one unit of it is.
    pub(crate) fn cost(&self, ground: &Ground) -> Option<(Arc<dyn JointCost<f32>>, f64, f64)> {
        match ground {
            Ground::SqEuclidean => Some((
                Arc::new(SqEuclidean),
                // Where all points are one, any slope will do.
                2.0 * if self.diagonal > 0.0 {
                    self.diagonal
                } else {
                    1.0
                },
                self.unit * self.unit,
            )),
            Ground::Euclidean => Some((Arc::new(Euclidean), 1.0, self.unit)),
            Ground::Cityblock => Some((
                Arc::new(Cityblock),
                (self.centre.len() as f64).sqrt(),
                self.unit,
            )),
            _ => None,
        }
    }
}

/// One of the two.
pub(crate) struct Cloud {
    /// Which points have weight.
    pub(crate) kept: Vec<u32>,
    /// Theirs, of sum 1.
    pub(crate) weights: Vec<f64>,
    /// Where they are, in units.
    pub(crate) rows: Vec<f32>,
    /// Places in `kept`, along the widest axis.
    pub(crate) order: Vec<u32>,
    /// Among the kept points.
    pub(crate) nearest: Nearest,
    dim: usize,
}

impl Cloud {
    pub(crate) fn new(points: &[f64], weights: &Measure, frame: &Frame) -> Self {
        let (dim, mass) = (frame.centre.len(), weights.mass());
        let weights = weights.weights();
        let kept: Vec<u32> = (0..weights.len() as u32)
            .filter(|i| weights[*i as usize] > 0.0)
            .collect();
        let mut rows = Vec::with_capacity(kept.len() * dim);
        for i in &kept {
            let row = &points[*i as usize * dim..(*i as usize + 1) * dim];
            rows.extend(
                row.iter()
                    .zip(&frame.centre)
                    .map(|(p, c)| ((p - c) / frame.unit) as f32),
            );
        }
        let mut order: Vec<u32> = (0..kept.len() as u32).collect();
        let at = |i: &u32| rows[*i as usize * dim + frame.widest];
        order.sort_by(|i, j| at(i).total_cmp(&at(j)).then(i.cmp(j)));
        Self {
            weights: kept.iter().map(|i| weights[*i as usize] / mass).collect(),
            nearest: Nearest::new(&rows, dim, frame.widest, &order),
            kept,
            rows,
            order,
            dim,
        }
    }

    pub(crate) fn sampler(&self) -> Result<Arc<dyn Sampler>, Error> {
        let weights = Measure::new(self.weights.clone())?;
        Ok(Arc::new(Empirical::weighted(
            self.wide(),
            self.dim,
            &weights,
        )?))
    }

    pub(crate) fn wide(&self) -> Vec<f64> {
        self.rows.iter().map(|v| f64::from(*v)).collect()
    }

    /// Numbers of the kept points as those of all, 0 for the rest.
    pub(crate) fn spread(&self, of_kept: &[f64], len: usize) -> Vec<f64> {
        let mut all = vec![0.0; len];
        for (i, v) in self.kept.iter().zip(of_kept) {
            all[*i as usize] = *v;
        }
        all
    }
}
