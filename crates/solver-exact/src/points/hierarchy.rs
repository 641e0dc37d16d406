//! Clouds in kd-order and what is left of them when groups of four become one point.

use ot_kernels::order;

use super::kd::Kd;
use super::tariff::Tariff;

/// Points of a group: aligned runs in kd-order.
const GROUP: usize = 4;

/// A weighted cloud in kd-order.
#[derive(Debug)]
pub(super) struct Cloud {
    pub(super) kd: Kd,
    points: Vec<f64>,
    dim: usize,
    tariff: Tariff,
    pub(super) weights: Vec<f64>,
}

impl Cloud {
    /// Of row-major points; where each of them stood comes with it.
    pub(super) fn sorted(
        points: &[f64],
        dim: usize,
        weights: &[f64],
        tariff: &Tariff,
    ) -> (Self, Vec<u32>) {
        let order = order::kd(points, dim);
        let at = |&i: &u32| &points[i as usize * dim..][..dim];
        let sorted: Vec<f64> = order.iter().flat_map(at).copied().collect();
        let weights = order.iter().map(|&i| weights[i as usize]).collect();
        (Self::new(sorted, dim, weights, tariff), order)
    }

    fn new(points: Vec<f64>, dim: usize, weights: Vec<f64>, tariff: &Tariff) -> Self {
        Self {
            kd: Kd::new(&points, dim, tariff),
            tariff: tariff.clone(),
            points,
            dim,
            weights,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Groups at their centres of mass.
    pub(super) fn coarser(&self) -> Self {
        let dim = self.dim;
        let groups = self.len().div_ceil(GROUP);
        let (mut points, mut weights) =
            (Vec::with_capacity(groups * dim), Vec::with_capacity(groups));
        for (x, w) in self
            .points
            .chunks(GROUP * dim)
            .zip(self.weights.chunks(GROUP))
        {
            let mass: f64 = w.iter().sum();
            for k in 0..dim {
                // About a point of the group, so that groups far from the origin keep their digits.
                let first = x[k];
                let moved = x.chunks_exact(dim).zip(w);
                let moved: f64 = moved.map(|(x, w)| w / mass * (x[k] - first)).sum();
                points.push(first + moved);
            }
            weights.push(mass);
        }
        Self::new(points, dim, weights, &self.tariff)
    }
}
