//! What a fit found: the plan, and what goes along it.

use std::sync::{Arc, OnceLock};

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use solver_api::{Convergence, Cost, DenseCost, Plan};

use super::Domain;
use super::labels::{ClassTable, LabelTable};
use super::maps::{LearnedMap, MapSettings};
use super::nearest::{nearest, nearest_labels};
use crate::Error;

/// The plan of a fit and its figures, in units of the scaled cost.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    pub(crate) plan: Plan,
    pub(crate) transport_cost: f64,
    pub(crate) objective: f64,
    pub(crate) history: Vec<f64>,
    pub(crate) solver: String,
    pub(crate) reg: f64,
    pub(crate) convergence: Convergence,
}

/// [`Adaptation`](super::Adaptation) with its plan between two domains.
#[derive(Debug, Clone)]
pub struct Adapted {
    source: Domain,
    target: Domain,
    cost: Arc<DenseCost>,
    unit: f64,
    fit: Fit,
    sent: Vec<f64>,
    received: Vec<f64>,
    forth: OnceLock<Vec<f64>>,
    back: OnceLock<Vec<f64>>,
}

impl Adapted {
    pub(super) fn new(
        source: &Domain,
        target: &Domain,
        cost: Arc<DenseCost>,
        unit: f64,
        fit: Fit,
    ) -> Result<Self, Error> {
        let (sent, received) = fit.plan.marginals();
        Ok(Self {
            source: source.clone(),
            target: target.clone(),
            cost,
            unit,
            fit,
            sent,
            received,
            forth: OnceLock::new(),
            back: OnceLock::new(),
        })
    }

    /// The source that it was fitted to.
    #[must_use]
    pub fn source(&self) -> &Domain {
        &self.source
    }

    /// The target that it was fitted to.
    #[must_use]
    pub fn target(&self) -> &Domain {
        &self.target
    }

    /// The plan, n×m, of mass 1 if it is balanced.
    #[doc(alias = "coupling_")]
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.fit.plan
    }

    /// The scaled cost, n×m, with what known labels forbid.
    #[must_use]
    pub fn cost(&self) -> &dyn Cost {
        self.cost.as_ref()
    }

    /// What the ground cost was divided by; 1 where it was not.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// ⟨P, C⟩ with the scaled cost.
    #[must_use]
    pub fn transport_cost(&self) -> f64 {
        self.fit.transport_cost
    }

    /// The solver's objective with the regularizer.
    #[must_use]
    pub fn objective(&self) -> f64 {
        self.fit.objective
    }

    /// The objective at the start and after each round.
    #[must_use]
    pub fn history(&self) -> &[f64] {
        &self.fit.history
    }

    /// ε in units of the scaled cost; 0 of an exact solver.
    #[must_use]
    pub fn reg(&self) -> f64 {
        self.fit.reg
    }

    /// Who solved.
    #[must_use]
    pub fn solver(&self) -> &str {
        &self.fit.solver
    }

    /// How it went: of the solve, or of the last one with the rounds for iterations.
    #[must_use]
    pub fn convergence(&self) -> &Convergence {
        &self.fit.convergence
    }

    /// The mass that each sample of the source sends, and each of the target receives.
    #[must_use]
    pub fn marginals(&self) -> (&[f64], &[f64]) {
        (&self.sent, &self.received)
    }

    /// Where the samples of the source arrive, n×dim: the barycentric mapping x̂_i = Σ_j P_ij y_j / Σ_j P_ij. One that sends
    /// no mass is moved as its nearest neighbour that does. O(n·m·dim) at the first call, then nothing.
    #[must_use]
    pub fn adapted(&self) -> &[f64] {
        self.forth.get_or_init(|| {
            let sums = self.sums(false);
            images(&self.source, sums, &self.sent)
        })
    }

    /// The same of the target on the source, m×dim.
    #[must_use]
    pub fn adapted_back(&self) -> &[f64] {
        self.back.get_or_init(|| {
            let sums = self.sums(true);
            images(&self.target, sums, &self.received)
        })
    }

    /// Where any points of the source domain arrive: x + x̂_i − x_i for the nearest sample x_i of the source, which for the
    /// samples themselves is the barycentric mapping. Ferradans et al. (2014); O(points·n·dim).
    ///
    /// # Errors
    /// Points of another dimension, numbers that are not finite.
    pub fn transform(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        displaced(x, &self.source, self.adapted())
    }

    /// Where points of the target domain come from, the same way.
    ///
    /// # Errors
    /// As [`Adapted::transform`].
    pub fn inverse_transform(&self, y: &[f64]) -> Result<Vec<f64>, Error> {
        displaced(y, &self.target, self.adapted_back())
    }

    /// A smooth map that is fitted to the barycentric mapping, for points that are far from all samples.
    ///
    /// # Errors
    /// Settings outside of their ranges, a system that can't be solved.
    pub fn learn_map(&self, settings: MapSettings) -> Result<LearnedMap, Error> {
        LearnedMap::fit(settings, &self.source, self.adapted(), &self.sent)
    }

    /// Labels of the target from those of the source: for each target the shares of classes in what it receives, m×K.
    ///
    /// # Errors
    /// No label at all.
    pub fn target_labels(&self) -> Result<LabelTable, Error> {
        self.transform_labels(self.source.labels())
    }

    /// Labels of the source from those that are known of the target, n×K.
    ///
    /// # Errors
    /// No label at all.
    pub fn source_labels(&self) -> Result<LabelTable, Error> {
        self.inverse_transform_labels(self.target.labels())
    }

    /// [`Adapted::target_labels`] for other labels of the source, `None` where there is none. Redko et al. (2019);
    /// O(n·m).
    ///
    /// # Errors
    /// Another number of labels than of samples; no label at all.
    pub fn transform_labels(&self, labels: &[Option<i64>]) -> Result<LabelTable, Error> {
        LabelTable::along(&self.fit.plan, labels, self.source.argument())
    }

    /// [`Adapted::source_labels`] for other labels of the target.
    ///
    /// # Errors
    /// As [`Adapted::transform_labels`].
    pub fn inverse_transform_labels(&self, labels: &[Option<i64>]) -> Result<LabelTable, Error> {
        LabelTable::against(&self.fit.plan, labels, self.target.argument())
    }

    /// The mass from each class of the source to each class of the target. Samples without a label count for none. O(n·m).
    ///
    /// # Errors
    /// A side without labels.
    pub fn class_table(&self) -> Result<ClassTable, Error> {
        ClassTable::new(&self.fit.plan, &self.source, &self.target)
    }

    /// The class of each of `points` of the target domain: that of the nearest adapted sample of the source, by Euclidean
    /// distance. O(points·n·dim).
    ///
    /// # Errors
    /// Labels missing in the source, points of another dimension, numbers that are not finite.
    pub fn predict(&self, points: &[f64]) -> Result<Vec<i64>, Error> {
        let labels = self.source.full_labels()?;
        nearest_labels(self.adapted(), &labels, points, self.source.dim())
    }

    /// Σ_j P_ij y_j, or with `back` Σ_i P_ij x_i.
    fn sums(&self, back: bool) -> Vec<f64> {
        let (n, m) = self.fit.plan.shape();
        let dim = self.source.dim();
        let (rows, points) = if back {
            (m, self.source.points())
        } else {
            (n, self.target.points())
        };
        let mut sums = vec![0.0; rows * dim];
        if matches!(self.fit.plan, Plan::Sparse(_)) {
            self.fit.plan.for_each_above(0.0, |i, j, p| {
                let (to, from) = if back { (j, i) } else { (i, j) };
                let from = &points[from * dim..(from + 1) * dim];
                let to = &mut sums[to * dim..(to + 1) * dim];
                to.iter_mut().zip(from).for_each(|(t, v)| *t += p * v);
            });
            return sums;
        }
        let made;
        let entries = if let Plan::Dense(plan) = &self.fit.plan {
            plan.data()
        } else {
            made = self.fit.plan.to_dense();
            made.data()
        };
        let plan = MatRef::from_row_major_slice(entries, n, m);
        let plan = if back { plan.transpose() } else { plan };
        let points = MatRef::from_row_major_slice(points, plan.ncols(), dim);
        let out = MatMut::from_row_major_slice_mut(&mut sums, rows, dim);
        matmul(out, Accum::Replace, plan, points, 1.0, Par::Seq);
        sums
    }
}

/// Sums over masses; what has no mass is moved as the nearest that has.
fn images(domain: &Domain, mut sums: Vec<f64>, masses: &[f64]) -> Vec<f64> {
    let dim = domain.dim();
    let mut still = Vec::new();
    for (i, (row, &mass)) in sums.chunks_exact_mut(dim).zip(masses).enumerate() {
        if mass > 0.0 {
            row.iter_mut().for_each(|v| *v /= mass);
        } else {
            still.push(i);
        }
    }
    for i in still {
        let x = &domain.points()[i * dim..(i + 1) * dim];
        let mut best = (f64::INFINITY, None);
        for (k, other) in domain.points().chunks_exact(dim).enumerate() {
            if masses[k] > 0.0 {
                let d: f64 = x.iter().zip(other).map(|(p, q)| (p - q) * (p - q)).sum();
                if d < best.0 {
                    best = (d, Some(k));
                }
            }
        }
        for t in 0..dim {
            let moved = best
                .1
                .map_or(0.0, |k| sums[k * dim + t] - domain.points()[k * dim + t]);
            sums[i * dim + t] = x[t] + moved;
        }
    }
    sums
}

/// points + image − sample of the nearest sample.
fn displaced(points: &[f64], domain: &Domain, images: &[f64]) -> Result<Vec<f64>, Error> {
    let dim = domain.dim();
    let found = nearest(points, domain.points(), dim)?;
    let mut moved = points.to_vec();
    for (row, k) in moved.chunks_exact_mut(dim).zip(found) {
        let sample = &domain.points()[k * dim..(k + 1) * dim];
        let image = &images[k * dim..(k + 1) * dim];
        for ((v, x), to) in row.iter_mut().zip(sample).zip(image) {
            // In this order a sample itself arrives at its image exactly.
            *v = (*v - x) + to;
        }
    }
    Ok(moved)
}
