//! The kernel matrix K = exp(−(C − r⊕c)/ε) over the positive weights, with row and column minima r, c taken off.

use std::sync::Arc;

use ot_kernels::Elem;
use ot_kernels::exp::gibbs_row;
use ot_kernels::reduce::{col_min_update, extremes};
use ot_kernels::scaling::price;
use rayon::prelude::*;
use solver_api::cost::row_of;
use solver_api::{Cost, CostRange, Error, Measure, Problem, check_feasible};

use crate::NAME;
use crate::iterate::{NEGLIGIBLE, least_weight, safe_exponent};
use crate::narrow::{LEAST_ENTRIES, REACH};
use ot_kernels::aligned::{Aligned, LINE};

/// Rows that one task of a parallel pass handles at least: 2¹⁶ entries.
pub(crate) const ENTRIES_A_TASK: usize = 1 << 16;
/// Mass, over the whole, that lost entries may have without being looked for in the plan.
const NEGLIGIBLE_LOSS: f64 = 1e-14;

/// Largest costs beside which no product with a kernel entry underflows that could count.
const ORDINARY: std::ops::RangeInclusive<f64> = 1e-6..=1e100;

/// How a kernel entry is stored.
pub(crate) trait Stored: Elem + Default {
    /// Exponents above −LARGEST give normal numbers.
    const LARGEST: f64;
    /// Remaining spread over ε that leaves scalings ample room.
    const SAFE: f64;
    /// The smallest normal number.
    const SMALLEST: Self;
    /// Largest relative error of an entry by its storage alone.
    const ROUNDING: f64;
    /// The smallest positive weight, over the mass, that products in this type may carry.
    const LEAST_WEIGHT: f64;
    /// The error to which matrix products in this type bring a problem safely, where f64 takes over.
    const PRODUCTS_REACH: f64;

    /// The entries themselves, if they are f64.
    fn as_f64(k: &[Self]) -> Option<&[f64]>;

    /// The entries themselves, if they are f32.
    fn as_f32(k: &[Self]) -> Option<&[f32]>;
}

impl Stored for f64 {
    const LARGEST: Self = 708.0;
    const SAFE: Self = 600.0;
    const SMALLEST: Self = Self::MIN_POSITIVE;
    const ROUNDING: Self = 0.0;
    const LEAST_WEIGHT: Self = NEGLIGIBLE;
    const PRODUCTS_REACH: Self = 0.0;

    fn as_f64(k: &[Self]) -> Option<&[f64]> {
        Some(k)
    }

    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }
}

impl Stored for f32 {
    const LARGEST: f64 = 87.0;
    const SAFE: f64 = 80.0;
    const SMALLEST: Self = Self::MIN_POSITIVE;
    const ROUNDING: f64 = 1.0 / (1 << 24) as f64;
    const LEAST_WEIGHT: f64 = 1e-15;
    const PRODUCTS_REACH: f64 = REACH;

    fn as_f64(_: &[Self]) -> Option<&[f64]> {
        None
    }

    fn as_f32(k: &[Self]) -> Option<&[f32]> {
        Some(k)
    }
}

/// The entries of positive weight: zero weights take no part in the iteration.
#[derive(Debug, Default)]
pub(crate) struct Support {
    pub(crate) rows: Vec<u32>,
    pub(crate) cols: Vec<u32>,
    /// Whether `cols` are all columns, so that rows need no gathering.
    whole: bool,
}

impl Support {
    /// The rows and columns that the two predicates accept.
    pub(crate) fn select(
        &mut self,
        (n, m): (usize, usize),
        row: impl Fn(usize) -> bool,
        col: impl Fn(usize) -> bool,
    ) {
        self.rows.clear();
        self.rows.extend((0..n as u32).filter(|&i| row(i as usize)));
        self.cols.clear();
        self.cols.extend((0..m as u32).filter(|&j| col(j as usize)));
        self.whole = self.cols.len() == m;
    }

    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.rows.len(), self.cols.len())
    }

    /// Entries whose minimum is +∞ have no allowed pair. Their weight is known to be rounding, or no plan existed.
    fn drop_isolated(&mut self, r: &mut Vec<f64>, c: &mut Vec<f64>) {
        for (entries, minima) in [(&mut self.rows, r), (&mut self.cols, c)] {
            if minima.contains(&f64::INFINITY) {
                let mut kept = minima.iter().map(|x| *x < f64::INFINITY);
                entries.retain(|_| kept.next().unwrap_or(false));
                minima.retain(|x| *x < f64::INFINITY);
                self.whole = false;
            }
        }
    }

    /// Row `i` of the support, its columns alone. `wide` has as many entries as the cost has columns, `narrow` as
    /// the support has.
    pub(crate) fn row<'a>(
        &self,
        cost: &'a dyn Cost,
        i: usize,
        wide: &'a mut [f64],
        narrow: &'a mut [f64],
    ) -> &'a [f64] {
        let row = row_of(cost, self.rows[i] as usize, wide);
        if self.whole {
            return row;
        }
        for (out, &j) in narrow.iter_mut().zip(&self.cols) {
            *out = row[j as usize];
        }
        narrow
    }
}

/// How rows are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// One after another, as matrix products want them.
    Packed,
    /// Each from the start of a cache line, for products with one vector.
    Aligned,
}

/// `m` entries rounded up to whole cache lines, and by one more line where rows would start a multiple of 4096 bytes
/// apart and compete for the same lines of the first-level cache.
fn aligned_width<T>(m: usize, copied: bool) -> usize {
    // Where there may be a copy in f32, its rows start at a cache line as well.
    let line = LINE
        / if copied {
            size_of::<f32>()
        } else {
            size_of::<T>()
        };
    let width = m.next_multiple_of(line);
    if m > 0 && (width * size_of::<T>()).is_multiple_of(4096) {
        width + line
    } else {
        width
    }
}

/// K with what was taken off the cost, so that f_i = r_i − ε log (K v)_i.
#[derive(Debug, Default)]
pub(crate) struct Kernel<T> {
    /// n rows over the support.
    pub(crate) k: Aligned<T>,
    /// Entries of a stored row: m, or more, and then those beyond m are 0.
    pub(crate) width: usize,
    /// Row minima of the cost.
    pub(crate) r: Vec<f64>,
    /// Column minima of what is left.
    pub(crate) c: Vec<f64>,
    /// ε.
    pub(crate) reg: f64,
    /// An upper bound of what is left of the cost, over allowed pairs.
    spread_bound: f64,
    /// Allowed pairs whose entry is not a normal number, stored as zeros.
    pub(crate) lost: usize,
}

impl<T: Stored> Kernel<T> {
    /// Fills the kernel: two passes over the rows of the cost and one exponential an entry. The buffers are
    /// reused. Entries of the support without an allowed pair leave it.
    pub(crate) fn build(
        &mut self,
        cost: &dyn Cost,
        support: &mut Support,
        reg: f64,
        rows: Rows,
    ) -> Result<(), Error> {
        self.reg = reg;
        self.subtract_minima(cost, support);
        support.drop_isolated(&mut self.r, &mut self.c);
        if !(self.magnitude() * 4.0).is_finite() {
            return Err(self.refusal(
                cost,
                support,
                1.0,
                "sums of the costs overflow; scale costs and reg down".to_owned(),
            ));
        }
        let (n, m) = support.shape();
        self.width = match rows {
            Rows::Packed => m,
            Rows::Aligned => aligned_width::<T>(m, n.saturating_mul(m) >= LEAST_ENTRIES),
        };
        self.exponentiate(cost, support)
    }

    /// r, c and the bound on what is left.
    fn subtract_minima(&mut self, cost: &dyn Cost, support: &Support) {
        let (n, m) = support.shape();
        let wide = cost.shape().1;
        let size = (ENTRIES_A_TASK / m.max(1)).max(1);
        self.r.clear();
        self.r.resize(n, 0.0);
        let pass = |first: usize, r: &mut [f64], c: &mut [f64]| {
            let (mut wide, mut narrow) = (vec![0.0; wide], vec![0.0; m]);
            let mut largest = 0.0_f64;
            for (k, r) in r.iter_mut().enumerate() {
                let row = support.row(cost, first + k, &mut wide, &mut narrow);
                let (least, most) = extremes(row);
                *r = least;
                if least < f64::INFINITY {
                    col_min_update(row, least, c);
                    largest = largest.max(most - least);
                }
            }
            largest
        };
        self.c.clear();
        self.c.resize(m, f64::INFINITY);
        self.spread_bound = if n <= size {
            pass(0, &mut self.r, &mut self.c)
        } else {
            let parts: Vec<(f64, Vec<f64>)> = self
                .r
                .par_chunks_mut(size)
                .enumerate()
                .map(|(k, r)| {
                    let mut c = vec![f64::INFINITY; m];
                    (pass(k * size, r, &mut c), c)
                })
                .collect();
            // Minima don't depend on the order they are taken in.
            parts.iter().fold(0.0, |largest, (part, c)| {
                for (least, &c) in self.c.iter_mut().zip(c) {
                    *least = least.min(c);
                }
                part.max(largest)
            })
        };
    }

    /// K itself.
    fn exponentiate(&mut self, cost: &dyn Cost, support: &Support) -> Result<(), Error> {
        let (n, m) = support.shape();
        let width = self.width;
        let entries = n.saturating_mul(width);
        if self.k.reset(entries).is_err() {
            return Err(Error::TooLarge {
                solver: NAME.to_owned(),
                what: format!("the kernel of {n}×{m} entries"),
                bytes: (entries as u64).saturating_mul(size_of::<T>() as u64),
                limit: isize::MAX as u64,
            });
        }
        let (inverse, wide) = (1.0 / self.reg, cost.shape().1);
        let may_lose = self.spread_bound * inverse >= T::LARGEST;
        let rows = (ENTRIES_A_TASK / m.max(1)).max(1);
        let (r, c) = (&self.r, &self.c);
        let fill = |first: usize, k: &mut [T]| {
            let (mut wide, mut narrow) = (vec![0.0; wide], vec![0.0; m]);
            let mut lost = 0;
            for (i, k) in k.chunks_exact_mut(width.max(1)).enumerate() {
                let k = &mut k[..m];
                let row = support.row(cost, first + i, &mut wide, &mut narrow);
                gibbs_row(row, r[first + i], c, inverse, k);
                if may_lose {
                    for (k, &entry) in k.iter_mut().zip(row) {
                        if *k < T::SMALLEST {
                            *k = T::default();
                            lost += usize::from(entry < f64::INFINITY);
                        }
                    }
                }
            }
            lost
        };
        self.lost = if n <= rows {
            fill(0, &mut self.k)
        } else {
            self.k
                .par_chunks_mut(rows * width)
                .enumerate()
                .map(|(chunk, k)| fill(chunk * rows, k))
                .sum()
        };
        Ok(())
    }

    /// Whether lost entries might count in the plan of the scalings with these sums: a lost entry is below the
    /// smallest normal number.
    pub(crate) fn may_miss(&self, sum_u: f64, sum_v: f64) -> bool {
        let missed = sum_u * T::SMALLEST.into() * sum_v;
        let negligible = missed <= NEGLIGIBLE_LOSS;
        self.lost > 0 && !negligible
    }

    /// Σ u_i K_ij C_ij v_j, for a kernel whose entries are exact: one pass over K and the cost.
    pub(crate) fn price(
        &self,
        cost: &dyn Cost,
        support: &Support,
        u: &[f64],
        v: &[f64],
    ) -> Option<f64> {
        let (n, m) = support.shape();
        let rows = (ENTRIES_A_TASK / m.max(1)).max(1);
        // Costs of ordinary size are taken as they are stored.
        let unit = Some(self.unit()).filter(|unit| !ORDINARY.contains(unit));
        let pass = |first: usize, u: &[f64]| -> Option<f64> {
            let (mut wide, mut narrow) = (vec![0.0; cost.shape().1], vec![0.0; m]);
            let mut scaled = vec![0.0; if unit.is_some() { m } else { 0 }];
            let mut paid = 0.0;
            for (i, u) in (first..).zip(u) {
                let mut row = support.row(cost, i, &mut wide, &mut narrow);
                if let Some(unit) = unit {
                    let inverse = 1.0 / unit;
                    for (x, c) in scaled.iter_mut().zip(row) {
                        *x = c * inverse;
                    }
                    row = &scaled;
                }
                let k = T::as_f64(&self.k[i * self.width..][..m])?;
                paid += u * price(k, row, &v[..m]);
            }
            Some(paid * unit.unwrap_or(1.0))
        };
        if n <= rows {
            return pass(0, u);
        }
        let parts: Vec<Option<f64>> = u
            .par_chunks(rows)
            .enumerate()
            .map(|(chunk, u)| pass(chunk * rows, u))
            .collect();
        parts.into_iter().sum()
    }

    /// About the largest cost, and a power of two: K∘C underflows less often in this unit, and by it nothing is rounded.
    pub(crate) fn unit(&self) -> f64 {
        let size = self.magnitude();
        if size > 0.0 && size.is_finite() {
            // In the range whose reciprocals are normal too.
            2.0_f64.powi((size.log2().floor() as i32).clamp(-1021, 1021))
        } else {
            1.0
        }
    }

    /// The size of the numbers that exponents are made of.
    pub(crate) fn magnitude(&self) -> f64 {
        let largest = |v: &[f64]| v.iter().fold(0.0_f64, |t, x| t.max(x.abs()));
        largest(&self.r) + largest(&self.c).max(self.spread_bound)
    }

    /// How far the marginals measured on K may be from those of the plan that the potentials imply, over the
    /// mass: the rounding of the potentials and of the exponents, and that of the storage.
    pub(crate) fn noise(&self) -> f64 {
        // Sums of k terms in vector lanes lose far less than √k roundings.
        let sums = (self.r.len().max(self.c.len()) as f64).sqrt();
        let exponents = 4.0 * self.magnitude() / self.reg;
        0.5 * f64::EPSILON * (16.0 + sums + exponents) + 1.01 * T::ROUNDING
    }

    /// Refuses if the pairs whose entry is still normal admit no plan with these weights. Free unless entries
    /// were lost.
    pub(crate) fn check_reach(
        self,
        cost: &dyn Cost,
        support: &Support,
        a: &[f64],
        b: &[f64],
    ) -> Result<Self, Error>
    where
        Self: Clone,
    {
        if self.lost == 0 {
            return Ok(self);
        }
        let lost = self.lost;
        let lightest = least_weight(a).min(least_weight(b));
        let pairs = Arc::new(NormalPairs {
            shape: support.shape(),
            kernel: self,
        });
        let verdict = Measure::new(a)
            .and_then(|a| Problem::new(a, Measure::new(b)?, Arc::clone(&pairs) as Arc<dyn Cost>))
            .and_then(|problem| check_feasible(&problem));
        // The problem is gone, so that nothing is cloned here.
        let kernel = Arc::unwrap_or_clone(pairs).kernel;
        match verdict {
            Ok(()) => Ok(kernel),
            Err(Error::Infeasible(_)) => Err(kernel.refusal(
                cost,
                support,
                lightest,
                format!("{lost} kernel entries underflow and the others admit no plan"),
            )),
            Err(other) => Err(other),
        }
    }

    /// The refusal of contract 2, for weights from `lightest` on. Streams the cost once for the spread that is left.
    pub(crate) fn refusal(
        &self,
        cost: &dyn Cost,
        support: &Support,
        lightest: f64,
        reason: String,
    ) -> Error {
        let (n, m) = support.shape();
        let (mut wide, mut narrow) = (vec![0.0; cost.shape().1], vec![0.0; m]);
        let mut spread = 0.0_f64;
        for i in 0..n {
            let row = support.row(cost, i, &mut wide, &mut narrow);
            for (&entry, &c) in row.iter().zip(&self.c) {
                let left = entry - self.r[i] - c;
                if left < f64::INFINITY {
                    spread = spread.max(left);
                }
            }
        }
        Error::KernelUnderflow {
            solver: NAME.to_owned(),
            reg: self.reg,
            safe_reg: spread / safe_exponent(T::SAFE, lightest),
            reason,
        }
    }
}

impl<T: Clone> Clone for Kernel<T> {
    fn clone(&self) -> Self {
        Self {
            k: self.k.clone(),
            r: self.r.clone(),
            c: self.c.clone(),
            ..*self
        }
    }
}

/// The pairs with a normal kernel entry, as a cost that forbids all others.
#[derive(Debug, Clone)]
struct NormalPairs<T> {
    shape: (usize, usize),
    kernel: Kernel<T>,
}

impl<T: Stored> Cost for NormalPairs<T> {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn row(&self, i: usize, out: &mut [f64]) {
        for (out, &k) in out.iter_mut().zip(&self.kernel.k[i * self.kernel.width..]) {
            *out = if k > T::default() { 0.0 } else { f64::INFINITY };
        }
    }

    fn range(&self) -> CostRange {
        let zero = |k: &&T| **k == T::default();
        let rows = self.kernel.k.chunks_exact(self.kernel.width.max(1));
        let forbidden: usize = rows
            .map(|k| k[..self.shape.1].iter().filter(zero).count())
            .sum();
        CostRange {
            min: 0.0,
            max: 0.0,
            forbidden: forbidden as u64,
        }
    }
}
