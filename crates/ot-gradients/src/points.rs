//! From a gradient in the cost to one in the points: ∂x_i = Σ_j G_ij ∂c(x_i, y_j)/∂x, row by row.

use std::ops::Range;
use std::sync::Arc;

use ot_kernels::linear::pull;
use solver_api::{Cost, Error, Ground, Plan, PlanRow, PointCost};

use crate::ground::{Differentiable, Slope};
use crate::input::shape;
use crate::rows::{Chunks, sum_into};

/// The gradient of a value with respect to the entries of an n×m cost, a row at a time: a plan for the objective,
/// something like it for other values. Nothing needs n·m numbers unless asked for.
pub trait CostGradient: Sync {
    /// (n, m).
    fn shape(&self) -> (usize, usize);

    /// Room for [`CostGradient::row`].
    fn scratch(&self) -> Vec<f64>;

    /// Row `i`. Entries may be negative. `scratch` comes from [`CostGradient::scratch`].
    fn row<'a>(&'a self, i: usize, scratch: &'a mut [f64]) -> PlanRow<'a>;

    /// About what a pass reads of each row.
    fn entries_per_row(&self) -> usize {
        self.shape().1
    }

    /// All entries, row-major: n·m numbers.
    fn to_dense(&self) -> Vec<f64> {
        let (n, m) = self.shape();
        let (mut data, mut scratch) = (vec![0.0; n * m], self.scratch());
        for (i, out) in data.chunks_exact_mut(m.max(1)).enumerate() {
            self.row(i, &mut scratch).visit(|j, p| out[j] = p);
        }
        data
    }
}

impl CostGradient for Plan {
    fn shape(&self) -> (usize, usize) {
        Self::shape(self)
    }

    fn scratch(&self) -> Vec<f64> {
        Self::scratch(self)
    }

    fn row<'a>(&'a self, i: usize, scratch: &'a mut [f64]) -> PlanRow<'a> {
        Self::row(self, i, scratch)
    }

    fn entries_per_row(&self) -> usize {
        match self {
            Self::Sparse(plan) => plan.nnz().div_ceil(Self::shape(self).0.max(1)),
            _ => Self::shape(self).1,
        }
    }
}

/// The gradient of a value with respect to the points of both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct PointGradient {
    /// n×dim, row-major, in units of value over length.
    pub x: Vec<f64>,
    /// m×dim, row-major.
    pub y: Vec<f64>,
    /// The dimension of the points.
    pub dim: usize,
}

impl PointGradient {
    /// `self + factor·other`.
    pub(crate) fn add(&mut self, factor: f64, x: &[f64], y: &[f64]) {
        self.x.iter_mut().zip(x).for_each(|(s, o)| *s += factor * o);
        self.y.iter_mut().zip(y).for_each(|(s, o)| *s += factor * o);
    }
}

/// The chain rule through the ground cost of `cost`. Time O(n·m·dim) (for a sparse gradient: its entries times dim),
/// memory O((n + m)·dim). What holds at distance 0 is said under [Distance 0](crate#distance-0).
///
/// # Errors
/// Shapes that differ; `Ground::OfDistance`, whose derivative nobody knows: see [`chain_rule_of_distance`].
pub fn chain_rule(cost: &PointCost, gradient: &dyn CostGradient) -> Result<PointGradient, Error> {
    chain(cost, gradient, None)
}

/// [`chain_rule`] through h(‖x − y‖₂) for an h of the caller's (`Ground::OfDistance`), whose derivative is `slope`.
///
/// # Errors
/// Shapes that differ; a ground cost that is not `Ground::OfDistance`.
pub fn chain_rule_of_distance(
    cost: &PointCost,
    gradient: &dyn CostGradient,
    slope: Slope<'_>,
) -> Result<PointGradient, Error> {
    chain(cost, gradient, Some(slope))
}

fn chain(
    cost: &PointCost,
    gradient: &dyn CostGradient,
    slope: Option<Slope<'_>>,
) -> Result<PointGradient, Error> {
    let (n, m) = cost.shape();
    let found = gradient.shape();
    if found != (n, m) {
        let expected = format!("the cost is {n}×{m}");
        return Err(shape("gradient", &[found.0, found.1], expected));
    }
    let ground = Differentiable::new(cost.ground(), slope)?;
    let chain = ChainRule::new(cost, ground)?;
    let make = |rows: Range<usize>| (gradient.scratch(), chain.pulls(rows));
    let mut chunks = Chunks::new(n, gradient.entries_per_row() * cost.dim(), make);
    chunks.pass(|(scratch, pulls), rows| {
        for i in rows {
            match gradient.row(i, scratch) {
                PlanRow::Dense(weights) => chain.add_row(i, weights, pulls),
                PlanRow::Sparse(cols, weights) => {
                    for (&j, &w) in cols.iter().zip(weights) {
                        chain.add_pair(i, j as usize, w, pulls);
                    }
                }
            }
        }
    });
    Ok(chain.total(chunks.into_rooms().into_iter().map(|room| room.1)))
}

/// The chain rule through one cost, for rows that come in any order.
pub(crate) struct ChainRule<'a> {
    cost: &'a PointCost,
    ground: Differentiable<'a>,
    /// Coordinate k of all targets together.
    y_by_axis: Vec<f64>,
    /// The Euclidean distances of the same points, where the derivative is a function of them.
    distances: Option<PointCost>,
}

/// What some rows have given so far.
#[derive(Debug)]
pub(crate) struct Pulls {
    first: usize,
    x: Vec<f64>,
    y_by_axis: Vec<f64>,
    weights: Vec<f64>,
}

impl<'a> ChainRule<'a> {
    pub(crate) fn of(cost: &'a PointCost) -> Result<Self, Error> {
        Self::new(cost, Differentiable::new(cost.ground(), None)?)
    }

    fn new(cost: &'a PointCost, ground: Differentiable<'a>) -> Result<Self, Error> {
        let ((_, m), dim) = (cost.shape(), cost.dim());
        let mut y_by_axis = vec![0.0; m * dim];
        for (j, point) in cost.y().chunks_exact(dim).enumerate() {
            point
                .iter()
                .enumerate()
                .for_each(|(k, &v)| y_by_axis[k * m + j] = v);
        }
        let distances = if ground.is_radial() && !ground.is_square() {
            let points = |p: &[f64]| -> Arc<[f64]> { p.into() };
            let (x, y) = (points(cost.x()), points(cost.y()));
            Some(PointCost::new(x, y, dim, Ground::Euclidean)?)
        } else {
            None
        };
        Ok(Self {
            cost,
            ground,
            y_by_axis,
            distances,
        })
    }

    /// Empty sums for some rows.
    pub(crate) fn pulls(&self, rows: Range<usize>) -> Pulls {
        let ((_, m), dim) = (self.cost.shape(), self.cost.dim());
        Pulls {
            first: rows.start,
            x: vec![0.0; rows.len() * dim],
            y_by_axis: vec![0.0; m * dim],
            weights: vec![0.0; if self.ground.is_radial() { m } else { 0 }],
        }
    }

    /// Adds a whole row of weights.
    pub(crate) fn add_row(&self, i: usize, weights: &[f64], pulls: &mut Pulls) {
        if !self.ground.is_radial() {
            for (j, &w) in weights.iter().enumerate() {
                if w != 0.0 {
                    self.add_pair(i, j, w, pulls);
                }
            }
            return;
        }
        let ((_, m), dim) = (self.cost.shape(), self.cost.dim());
        let mut over = std::mem::take(&mut pulls.weights);
        match &self.distances {
            None => over.iter_mut().zip(weights).for_each(|(o, w)| *o = 2.0 * w),
            Some(distances) => {
                distances.row(i, &mut over);
                for (j, (o, &w)) in over.iter_mut().zip(weights).enumerate() {
                    let d = *o;
                    *o = if w == 0.0 || d == 0.0 {
                        0.0
                    } else if d < 1e-280 {
                        // The quotient below would overflow.
                        self.add_pair(i, j, w, pulls);
                        0.0
                    } else {
                        w * (self.ground.slope(d) / d)
                    };
                }
            }
        }
        let x = &self.cost.x()[i * dim..(i + 1) * dim];
        let own = (i - pulls.first) * dim;
        for (k, &x) in x.iter().enumerate() {
            let axis = k * m..(k + 1) * m;
            let back = &mut pulls.y_by_axis[axis.clone()];
            pulls.x[own + k] += pull(x, &self.y_by_axis[axis], &over, back);
        }
        pulls.weights = over;
    }

    /// Adds one pair.
    pub(crate) fn add_pair(&self, i: usize, j: usize, w: f64, pulls: &mut Pulls) {
        let ((_, m), dim) = (self.cost.shape(), self.cost.dim());
        let own = (i - pulls.first) * dim;
        self.ground.add(
            &self.cost.x()[i * dim..(i + 1) * dim],
            &self.cost.y()[j * dim..(j + 1) * dim],
            w,
            &mut pulls.x[own..own + dim],
            &mut pulls.y_by_axis[j..],
            m,
        );
    }

    /// All rows together, given in their order.
    pub(crate) fn total(&self, parts: impl Iterator<Item = Pulls>) -> PointGradient {
        let ((n, m), dim) = (self.cost.shape(), self.cost.dim());
        let parts: Vec<Pulls> = parts.collect();
        let mut x = Vec::with_capacity(n * dim);
        parts.iter().for_each(|part| x.extend_from_slice(&part.x));
        let mut by_axis = vec![0.0; m * dim];
        sum_into(&mut by_axis, parts.iter().map(|part| &part.y_by_axis[..]));
        let mut y = vec![0.0; m * dim];
        for (k, axis) in by_axis.chunks_exact(m).enumerate() {
            axis.iter()
                .enumerate()
                .for_each(|(j, &v)| y[j * dim + k] = v);
        }
        PointGradient { x, y, dim }
    }
}
