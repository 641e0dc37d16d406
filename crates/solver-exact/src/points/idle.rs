//! Potentials of points of weight zero: their c-transforms, by the trees.

use ot_kernels::order;

use super::field::Field;
use super::kd::Kd;
use super::sweep::transform;
use super::tariff::Tariff;

/// Points of weight zero in kd-order.
pub(super) struct Idle {
    kd: Option<Kd>,
    order: Vec<u32>,
    /// In the order of the tree.
    potentials: Vec<f64>,
}

impl Idle {
    /// Of row-major points.
    pub(super) fn new(points: &[f64], dim: usize, tariff: &Tariff) -> Self {
        let order = order::kd(points, dim);
        let at = |&i: &u32| &points[i as usize * dim..][..dim];
        let sorted: Vec<f64> = order.iter().flat_map(at).copied().collect();
        Self {
            kd: (!order.is_empty()).then(|| Kd::new(&sorted, dim, tariff)),
            potentials: vec![f64::INFINITY; order.len()],
            order,
        }
    }

    /// No more than what keeps every pair with these points in bounds, that have the potentials u.
    pub(super) fn lower(&mut self, points: &Kd, u: &[f64], field: &mut Field) {
        if let Some(kd) = &self.kd {
            let mut least = Vec::new();
            transform(points, u, kd, field, &mut least);
            for (p, least) in self.potentials.iter_mut().zip(least) {
                *p = p.min(least);
            }
        }
    }

    /// The same with those of the other side.
    pub(super) fn lower_by(&mut self, other: &Self, field: &mut Field) {
        if let Some(kd) = &other.kd {
            self.lower(kd, &other.potentials, field);
        }
    }

    /// In the order of the points as they came.
    pub(super) fn restored(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.order.len()];
        for (&k, p) in self.order.iter().zip(&self.potentials) {
            out[k as usize] = *p;
        }
        out
    }
}
