//! Transport plans: dense, sparse, or implied by potentials.

mod grid;
mod implicit;
mod sparse;

use std::sync::Arc;

pub(crate) use grid::GridPlan;
use ot_kernels::exp::gibbs_row;

use crate::cost::{Cost, row_of};
use crate::lanes::paid;
use crate::rows::{add_up, fold_rows};
use crate::separable::grid_of;
use crate::{Error, measure};

/// A transport plan P ≥ 0, n×m, in the caller's units of mass.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Plan {
    /// Every entry in memory.
    Dense(DensePlan),
    /// The non-zeros in rows.
    Sparse(SparsePlan),
    /// P_ij = r_i s_j exp((f_i + g_j − C_ij)/ε), computed when asked for.
    Implicit(ImplicitPlan),
}

/// All entries, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct DensePlan {
    n: usize,
    m: usize,
    data: Vec<f64>,
}

/// Non-zeros in compressed rows, columns ascending within a row.
#[derive(Debug, Clone, PartialEq)]
pub struct SparsePlan {
    n: usize,
    m: usize,
    row_start: Vec<usize>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

/// P_ij = r_i s_j exp((f_i + g_j − C_ij)/ε): O(n + m) memory beyond the cost. With the cost of a grid, products and
/// sums go axis by axis, n·Σ dims operations instead of n².
#[derive(Debug, Clone)]
pub struct ImplicitPlan {
    cost: Arc<dyn Cost>,
    f: Arc<[f64]>,
    g: Arc<[f64]>,
    r: Arc<[f64]>,
    s: Arc<[f64]>,
    reg: f64,
}

/// One row of a plan.
#[derive(Debug, Clone, Copy)]
pub enum PlanRow<'a> {
    /// All m entries.
    Dense(&'a [f64]),
    /// Columns (ascending) and values of the non-zeros.
    Sparse(&'a [u32], &'a [f64]),
}

impl PlanRow<'_> {
    /// Visits (j, P_ij) for the non-zero entries, j ascending.
    #[inline]
    pub fn visit(self, mut visit: impl FnMut(usize, f64)) {
        match self {
            Self::Dense(row) => {
                for (j, &p) in row.iter().enumerate() {
                    if p != 0.0 {
                        visit(j, p);
                    }
                }
            }
            Self::Sparse(cols, values) => {
                for (&j, &p) in cols.iter().zip(values) {
                    visit(j as usize, p);
                }
            }
        }
    }
}

/// Whether this may be the entry of a plan: a finite number that is not negative.
pub(crate) fn is_sound(p: f64) -> bool {
    (0.0..f64::INFINITY).contains(&p)
}

impl PlanRow<'_> {
    /// Whether nothing is stored.
    pub(crate) fn is_empty(self) -> bool {
        let (Self::Dense(values) | Self::Sparse(_, values)) = self;
        values.is_empty()
    }

    /// Whether every entry is sound. One pass without branches.
    pub(crate) fn is_sound(self) -> bool {
        let (Self::Dense(values) | Self::Sparse(_, values)) = self;
        values.iter().fold(true, |sound, &p| sound & is_sound(p))
    }

    /// Σ_j P_ij C_ij for row `i` of `cost`; a sparse row asks for its own entries only.
    pub(crate) fn price_of(self, cost: &dyn Cost, i: usize, scratch: &mut [f64]) -> f64 {
        match self {
            Self::Dense(_) => self.price(row_of(cost, i, scratch)),
            Self::Sparse(cols, values) => cols
                .iter()
                .zip(values)
                .map(|(&j, &p)| paid(p, cost.entry(i, j as usize)))
                .sum(),
        }
    }

    /// [`PlanRow::price_of`], and [`PlanRow::is_sound`]: for a sparse row in the same loop.
    pub(crate) fn price_and_check(
        self,
        cost: &dyn Cost,
        i: usize,
        scratch: &mut [f64],
    ) -> (f64, bool) {
        match self {
            Self::Dense(_) => (self.price_of(cost, i, scratch), self.is_sound()),
            Self::Sparse(cols, values) => {
                let mut sound = true;
                let prices = cols.iter().zip(values).map(|(&j, &p)| {
                    sound &= is_sound(p);
                    paid(p, cost.entry(i, j as usize))
                });
                (prices.sum(), sound)
            }
        }
    }
}

impl DensePlan {
    /// `data` holds n·m entries, row-major: finite, and not negative.
    pub fn new(n: usize, m: usize, data: Vec<f64>) -> Result<Self, Error> {
        let plan = Self::from_solver(n, m, data)?;
        if let Some(at) = plan.data.iter().position(|&p| !is_sound(p)) {
            return Err(Error::InvalidPlan {
                row: at / m,
                col: at % m,
                value: plan.data[at],
            });
        }
        Ok(plan)
    }

    /// [`DensePlan::new`] for what a solver computed, whose entries are not looked at here:
    /// [`Solution::assemble`](crate::Solution::assemble) does, and where one is NaN, infinite or negative it ends as
    /// [`NumericalFailure`](crate::Termination::NumericalFailure).
    pub fn from_solver(n: usize, m: usize, data: Vec<f64>) -> Result<Self, Error> {
        if n.checked_mul(m) != Some(data.len()) {
            return Err(Error::shape(
                "plan",
                &[data.len()],
                format!("{n}×{m} entries are declared"),
            ));
        }
        Ok(Self { n, m, data })
    }

    /// The entries, row-major.
    #[must_use]
    pub fn data(&self) -> &[f64] {
        &self.data
    }
}

impl From<DensePlan> for Plan {
    fn from(plan: DensePlan) -> Self {
        Self::Dense(plan)
    }
}

impl From<SparsePlan> for Plan {
    fn from(plan: SparsePlan) -> Self {
        Self::Sparse(plan)
    }
}

impl From<ImplicitPlan> for Plan {
    fn from(plan: ImplicitPlan) -> Self {
        Self::Implicit(plan)
    }
}

impl Plan {
    /// (n, m).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::Dense(p) => (p.n, p.m),
            Self::Sparse(p) => (p.n, p.m),
            Self::Implicit(p) => p.cost.shape(),
        }
    }

    /// Row `i`. `scratch` comes from [`Plan::scratch`] and is written only where the row must be computed.
    pub fn row<'a>(&'a self, i: usize, scratch: &'a mut [f64]) -> PlanRow<'a> {
        match self {
            Self::Dense(p) => PlanRow::Dense(&p.data[i * p.m..(i + 1) * p.m]),
            Self::Sparse(p) => {
                let (cols, values) = p.row_entries(i);
                PlanRow::Sparse(cols, values)
            }
            Self::Implicit(p) => PlanRow::Dense(p.row_into(i, scratch)),
        }
    }

    /// P_ij. O(1) dense, O(log) sparse, one cost entry implicit.
    #[must_use]
    pub fn entry(&self, i: usize, j: usize) -> f64 {
        match self {
            Self::Dense(p) => p.data[i * p.m + j],
            Self::Sparse(p) => {
                let (cols, values) = p.row_entries(i);
                cols.binary_search(&(j as u32)).map_or(0.0, |k| values[k])
            }
            Self::Implicit(p) if p.r[i] == 0.0 || p.s[j] == 0.0 => 0.0,
            Self::Implicit(p) => {
                let (cost, mut entry) = ([p.cost.entry(i, j)], [0.0]);
                gibbs_row(&cost, p.f[i], &p.g[j..=j], 1.0 / p.reg, &mut entry);
                entry[0] * (p.r[i] * p.s[j])
            }
        }
    }

    /// Scratch space for [`Plan::row`]: empty unless rows must be computed.
    #[must_use]
    pub fn scratch(&self) -> Vec<f64> {
        match self {
            Self::Implicit(_) => vec![0.0; 2 * self.shape().1],
            _ => Vec::new(),
        }
    }

    /// Visits (i, j, P_ij) for all entries above `threshold`, row by row.
    pub fn for_each_above(&self, threshold: f64, mut visit: impl FnMut(usize, usize, f64)) {
        let mut scratch = self.scratch();
        for i in 0..self.shape().0 {
            self.row(i, &mut scratch).visit(|j, p| {
                if p > threshold {
                    visit(i, j, p);
                }
            });
        }
    }

    /// About what a pass reads of each row.
    pub(crate) fn entries_per_row(&self) -> usize {
        match self {
            Self::Sparse(plan) => plan.nnz().div_ceil(plan.n.max(1)),
            _ => self.shape().1,
        }
    }

    /// Both marginals, P1 and Pᵀ1, in one pass.
    #[must_use]
    pub fn marginals(&self) -> (Vec<f64>, Vec<f64>) {
        let (n, m) = self.shape();
        if let Some(plan) = self.on_grid() {
            return (plan.apply(None), plan.apply_transpose(None));
        }
        let parts = fold_rows(
            n,
            self.entries_per_row(),
            || (Vec::new(), vec![0.0; m], self.scratch()),
            |(rows, cols, scratch), i| {
                let row = self.row(i, scratch);
                rows.push(row.sum());
                row.add_to(1.0, cols);
            },
        );
        let cols = add_up(m, parts.iter().map(|part| &part.1));
        (parts.into_iter().flat_map(|part| part.0).collect(), cols)
    }

    /// What `of` says of each row, in order; `start` makes the scratch space that it gets.
    fn each_row<S: Send, T: Send>(
        &self,
        start: impl Fn() -> S + Sync,
        of: impl Fn(usize, PlanRow<'_>, &mut S) -> T + Sync,
    ) -> Vec<T> {
        let parts = fold_rows(
            self.shape().0,
            self.entries_per_row(),
            || (Vec::new(), self.scratch(), start()),
            |(said, scratch, own), i| said.push(of(i, self.row(i, scratch), own)),
        );
        parts.into_iter().flat_map(|part| part.0).collect()
    }

    /// P v.
    pub fn apply(&self, v: &[f64]) -> Result<Vec<f64>, Error> {
        let m = self.shape().1;
        if v.len() != m {
            return Err(Error::shape(
                "v",
                &[v.len()],
                format!("the plan has {m} columns"),
            ));
        }
        if let Some(plan) = self.on_grid() {
            return Ok(plan.apply(Some(v)));
        }
        Ok(self.each_row(|| (), |_, row, ()| row.dot(v)))
    }

    /// Pᵀ u, streaming rows.
    pub fn apply_transpose(&self, u: &[f64]) -> Result<Vec<f64>, Error> {
        let (n, m) = self.shape();
        if u.len() != n {
            return Err(Error::shape(
                "u",
                &[u.len()],
                format!("the plan has {n} rows"),
            ));
        }
        if let Some(plan) = self.on_grid() {
            return Ok(plan.apply_transpose(Some(u)));
        }
        let parts = fold_rows(
            n,
            self.entries_per_row(),
            || (vec![0.0; m], self.scratch()),
            |(cols, scratch), i| self.row(i, scratch).add_to(u[i], cols),
        );
        Ok(add_up(m, parts.iter().map(|part| &part.0)))
    }

    /// ⟨P, C⟩ over the non-zeros of the plan.
    ///
    /// # Panics
    /// If the cost has another shape than the plan.
    #[must_use]
    pub fn transport_cost(&self, cost: &dyn Cost) -> f64 {
        let ((n, m), (rows, cols)) = (self.shape(), cost.shape());
        assert!(
            (n, m) == (rows, cols),
            "`cost` is {rows}×{cols}, but the plan is {n}×{m}"
        );
        if let (Some(plan), Some(grid)) = (self.on_grid(), grid_of(cost))
            && plan.fits(grid)
        {
            return plan.price(grid);
        }
        let prices = self.each_row(
            || self.cost_scratch(m),
            |i, row, costs| row.price_of(cost, i, costs),
        );
        measure::sum(&prices)
    }

    /// Scratch space for [`PlanRow::price_of`]: a sparse plan asks for single entries and needs none.
    pub(crate) fn cost_scratch(&self, m: usize) -> Vec<f64> {
        if matches!(self, Self::Sparse(_)) {
            Vec::new()
        } else {
            vec![0.0; m]
        }
    }

    /// Barycentric projection: the mean target point of each source, n×d row-major, for target points `y`
    /// (m×d). A source without mass gets NaN-free zeros.
    pub fn barycentric_projection(&self, y: &[f64], dim: usize) -> Result<Vec<f64>, Error> {
        let (n, m) = self.shape();
        if dim == 0 || y.len() != m * dim {
            return Err(Error::shape(
                "y",
                &[y.len()],
                format!("{m} points of dimension {dim} are needed"),
            ));
        }
        if let Some(plan) = self.on_grid() {
            return Ok(plan.barycentric_projection(y, dim));
        }
        let parts = fold_rows(
            n,
            self.entries_per_row(),
            || (Vec::new(), self.scratch()),
            |(rows, scratch), i| {
                let start = rows.len();
                rows.resize(start + dim, 0.0);
                let mean = &mut rows[start..];
                let mut mass = 0.0;
                self.row(i, scratch).visit(|j, p| {
                    mass += p;
                    for (t, &v) in mean.iter_mut().zip(&y[j * dim..(j + 1) * dim]) {
                        *t += p * v;
                    }
                });
                if mass > 0.0 {
                    mean.iter_mut().for_each(|t| *t /= mass);
                }
            },
        );
        Ok(parts.into_iter().flat_map(|part| part.0).collect())
    }

    /// The number of non-zero entries (computed for implicit plans).
    #[must_use]
    pub fn nnz(&self) -> usize {
        if let Self::Sparse(p) = self {
            return p.nnz();
        }
        let mut count = 0;
        self.for_each_above(0.0, |_, _, _| count += 1);
        count
    }

    /// All entries in memory: n·m numbers.
    #[must_use]
    pub fn to_dense(&self) -> DensePlan {
        let (n, m) = self.shape();
        let mut data = vec![0.0; n * m];
        self.for_each_above(0.0, |i, j, p| data[i * m + j] = p);
        DensePlan { n, m, data }
    }

    /// The entries above `threshold` as triples.
    #[must_use]
    pub fn to_triples(&self, threshold: f64) -> Vec<(u32, u32, f64)> {
        let mut triples = Vec::new();
        self.for_each_above(threshold, |i, j, p| triples.push((i as u32, j as u32, p)));
        triples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::DenseCost;

    fn three_forms() -> (DenseCost, [Plan; 3]) {
        let cost = DenseCost::new(2, 3, vec![0.0, 1.0, f64::INFINITY, 2.0, 0.5, 1.0]).unwrap();
        let shared: Arc<dyn Cost> = Arc::new(cost.clone());
        let vector = |v: &[f64]| -> Arc<[f64]> { v.into() };
        let implicit = Plan::from(
            ImplicitPlan::new(
                shared,
                vector(&[0.1, -0.2]),
                vector(&[0.0, 0.3, 0.2]),
                vector(&[0.5, 0.5]),
                vector(&[0.2, 0.3, 0.5]),
                0.7,
            )
            .unwrap(),
        );
        let dense = Plan::from(implicit.to_dense());
        let sparse = SparsePlan::from_triples(2, 3, implicit.to_triples(0.0)).unwrap();
        (cost, [dense, Plan::from(sparse), implicit])
    }

    #[test]
    fn all_forms_answer_alike() {
        let (cost, plans) = three_forms();
        let reference = &plans[0];
        for plan in &plans {
            assert_eq!(plan.nnz(), 5);
            assert_eq!(plan.marginals(), reference.marginals());
            assert_eq!(
                plan.apply(&[1.0, 2.0, 3.0]).unwrap(),
                reference.apply(&[1.0, 2.0, 3.0]).unwrap()
            );
            assert_eq!(
                plan.apply_transpose(&[1.0, 2.0]).unwrap(),
                reference.apply_transpose(&[1.0, 2.0]).unwrap()
            );
            assert_eq!(plan.transport_cost(&cost), reference.transport_cost(&cost));
            assert_eq!(plan.entry(1, 2), reference.entry(1, 2));
            assert_eq!(plan.entry(0, 2), 0.0);
            let y = [0.0, 0.0, 1.0, 0.0, 0.0, 2.0];
            assert_eq!(
                plan.barycentric_projection(&y, 2).unwrap(),
                reference.barycentric_projection(&y, 2).unwrap()
            );
            assert!(plan.apply(&[1.0]).is_err() && plan.apply_transpose(&[1.0]).is_err());
        }
    }

    #[test]
    fn a_weight_of_zero_silences_any_potential() {
        let cost: Arc<dyn Cost> = Arc::new(DenseCost::new(1, 3, vec![0.0, -1e3, 1.0]).unwrap());
        for g in [f64::INFINITY, 1e300, 0.0] {
            let (f, g, r, s) = ([0.0], [0.0, g, 0.0], [1.0], [0.5, 0.0, 0.5]);
            let plan = ImplicitPlan::new(
                Arc::clone(&cost),
                f.as_slice().into(),
                g.as_slice().into(),
                r.as_slice().into(),
                s.as_slice().into(),
                1e-2,
            );
            let (_, cols) = Plan::from(plan.unwrap()).marginals();
            assert_eq!((cols[0], cols[1]), (0.5, 0.0));
        }
    }

    #[test]
    fn entries_without_a_partner_carry_nothing() {
        let inf = f64::INFINITY;
        let cost = Arc::new(DenseCost::new(2, 2, vec![0.0, inf, inf, inf]).unwrap());
        let vector = |v: [f64; 2]| -> Arc<[f64]> { v.to_vec().into() };
        let plan = ImplicitPlan::new(
            cost,
            vector([0.0, inf]),
            vector([0.0, inf]),
            vector([0.5, 0.5]),
            vector([0.5, 0.5]),
            1.0,
        );
        let plan = Plan::from(plan.unwrap());
        assert_eq!(plan.to_dense().data(), [0.25, 0.0, 0.0, 0.0]);
        assert_eq!(
            (plan.entry(0, 1), plan.entry(1, 0), plan.entry(1, 1)),
            (0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn triples_add_up_and_stay_inside() {
        let plan =
            SparsePlan::from_triples(1, 2, vec![(0, 1, 0.5), (0, 1, 0.25), (0, 0, 0.0)]).unwrap();
        assert_eq!(plan.row_entries(0), ([1].as_slice(), [0.75].as_slice()));
        assert!(SparsePlan::from_triples(1, 2, vec![(0, 2, 1.0)]).is_err());
        assert!(SparsePlan::from_triples(usize::MAX, 2, vec![]).is_err());
    }

    #[test]
    fn entries_that_are_none_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, -1e-300] {
            let refused = |error: Error| matches!(error, Error::InvalidPlan { row: 1, col: 0, value } if value.to_bits() == bad.to_bits());
            assert!(refused(
                DensePlan::new(2, 2, vec![0.5, 0.0, bad, 0.5]).unwrap_err()
            ));
            let triples = vec![(0, 0, 0.5), (1, 0, bad)];
            assert!(refused(
                SparsePlan::from_triples(2, 2, triples).unwrap_err()
            ));
        }
    }
}
