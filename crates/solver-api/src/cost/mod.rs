//! The cost of moving a unit of mass from a source to a target: one object-safe trait, five ways to store it.

mod dense;
mod extremes;
mod grid;
mod ground;
mod line;
mod points;
mod scale;
mod sparse;
mod tree;

use std::fmt::Debug;
use std::ops::Range;

pub use dense::{DenseCost, DenseData};
pub use grid::{GridCost, GridGround};
pub use ground::{Ground, Shape};
pub(crate) use line::ArcCost;
pub use line::LineCost;
pub use points::PointCost;
pub use sparse::SparseCost;
pub(crate) use tree::tree_of;
pub use tree::{Tree, TreeCost};

/// The range of a cost over its allowed (finite) pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostRange {
    /// Smallest allowed entry; +∞ where nothing is allowed.
    pub min: f64,
    /// Largest allowed entry; −∞ where nothing is allowed.
    pub max: f64,
    /// The number of forbidden pairs (entries that are +∞).
    pub forbidden: u64,
}

impl CostRange {
    /// The range of no entries, which `include` widens.
    pub const EMPTY: Self = Self {
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        forbidden: 0,
    };

    /// max − min; 0 where nothing is allowed.
    #[must_use]
    pub fn spread(&self) -> f64 {
        if self.min <= self.max {
            self.max - self.min
        } else {
            0.0
        }
    }

    /// max |C| over allowed pairs: what a relative regularization refers to.
    #[must_use]
    pub fn max_abs(&self) -> f64 {
        if self.min <= self.max {
            self.max.abs().max(self.min.abs())
        } else {
            0.0
        }
    }

    /// Widens the range by one entry, which is finite or +∞.
    pub fn include(&mut self, entry: f64) {
        if entry == f64::INFINITY {
            self.forbidden += 1;
        } else {
            self.min = self.min.min(entry);
            self.max = self.max.max(entry);
        }
    }

    /// The range of two sets of entries together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            forbidden: self.forbidden + other.forbidden,
        }
    }
}

/// How a cost is stored, so that a solver can take the fast path or refuse.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CostKind<'a> {
    /// A row-major matrix; +∞ entries are forbidden pairs.
    Dense(&'a DenseCost),
    /// Two point clouds and a ground cost; entries are computed when asked for.
    Points(&'a PointCost),
    /// The same regular grid on both sides, with a cost that is a sum over axes.
    Grid(&'a GridCost),
    /// The allowed pairs in rows; everything else is forbidden.
    Sparse(&'a SparseCost),
    /// Paths between nodes of a tree.
    Tree(&'a TreeCost),
    /// Nothing but the accessors.
    Opaque,
}

/// An n×m cost. Entries are finite, or +∞ for a forbidden pair; never NaN, never −∞.
///
/// The accessors return the same bits for the same entry, whichever of them is asked.
///
/// A cost of your own needs `shape`, `row` and `range`; `kind` then says [`CostKind::Opaque`].
/// Implementations that can break the rule about NaN and −∞ are caught by [`validate`], which
/// [`Problem`](crate::Problem) calls on opaque costs.
#[doc(alias = "M")]
pub trait Cost: Debug + Send + Sync {
    /// (n, m): sources and targets.
    fn shape(&self) -> (usize, usize);

    /// Writes row `i` (m entries) into `out`.
    fn row(&self, i: usize, out: &mut [f64]);

    /// The range over allowed pairs. O(1) where it is known from construction; otherwise the first call
    /// streams all entries and the answer is kept.
    fn range(&self) -> CostRange;

    /// Writes the entries of `rows` × `cols` into `out`, row-major.
    fn block(&self, rows: Range<usize>, cols: Range<usize>, out: &mut [f64]) {
        let (_, m) = self.shape();
        let width = cols.len();
        if width == m {
            for (out_row, i) in out.chunks_exact_mut(m).zip(rows) {
                self.row(i, out_row);
            }
            return;
        }
        let mut whole = vec![0.0; m];
        for (out_row, i) in out.chunks_exact_mut(width).zip(rows) {
            self.row(i, &mut whole);
            out_row.copy_from_slice(&whole[cols.clone()]);
        }
    }

    /// One entry. The default computes a whole row: implementors that can do better should.
    fn entry(&self, i: usize, j: usize) -> f64 {
        let mut entry = [0.0];
        self.block(i..i + 1, j..j + 1, &mut entry);
        entry[0]
    }

    /// Writes row `i` rounded to single precision.
    fn row_f32(&self, i: usize, out: &mut [f32]) {
        let mut chunk = [0.0_f64; 256];
        let mut start = 0;
        for part in out.chunks_mut(chunk.len()) {
            let wide = &mut chunk[..part.len()];
            self.block(i..i + 1, start..start + part.len(), wide);
            for (narrow, &w) in part.iter_mut().zip(wide.iter()) {
                *narrow = w as f32;
            }
            start += part.len();
        }
    }

    /// How the cost is stored.
    fn kind(&self) -> CostKind<'_> {
        CostKind::Opaque
    }
}

/// A row of a cost without copying where the storage allows it.
///
/// `scratch` has m entries and is used for costs that are not stored as f64 rows.
pub fn row_of<'a>(cost: &'a dyn Cost, i: usize, scratch: &'a mut [f64]) -> &'a [f64] {
    if let CostKind::Dense(dense) = cost.kind()
        && let DenseData::F64(data) = dense.data()
    {
        let m = dense.shape().1;
        return &data[i * m..(i + 1) * m];
    }
    cost.row(i, scratch);
    scratch
}

/// Visits the allowed pairs of row `i` in ascending order of j. `scratch` has m entries.
pub fn visit_allowed(
    cost: &dyn Cost,
    i: usize,
    scratch: &mut [f64],
    mut visit: impl FnMut(usize, f64),
) {
    if let CostKind::Sparse(sparse) = cost.kind() {
        let (cols, values) = sparse.row_entries(i);
        for (&j, &c) in cols.iter().zip(values) {
            visit(j as usize, c);
        }
        return;
    }
    for (j, &c) in row_of(cost, i, scratch).iter().enumerate() {
        if c != f64::INFINITY {
            visit(j, c);
        }
    }
}

/// Checks every entry: none is NaN or −∞. Streams the whole cost once and returns its range.
pub fn validate(cost: &dyn Cost) -> Result<CostRange, crate::Error> {
    let (n, m) = cost.shape();
    let mut scratch = vec![0.0; m];
    let mut range = CostRange::EMPTY;
    for i in 0..n {
        cost.row(i, &mut scratch);
        range = range.union(scan_row(i, &scratch)?);
    }
    Ok(range)
}

/// The rule for a cost entry.
pub(crate) const ENTRY_RULE: &str =
    "a cost must be a number within ±1e300, or +inf for a forbidden pair";

/// Beyond this size the difference of two costs overflows, and an allowed pair would look like a forbidden one.
pub(crate) const LARGEST: f64 = 1e300;

/// Whether `value` obeys the rule for a cost entry.
pub(crate) fn is_entry(value: f64) -> bool {
    value.abs() <= LARGEST || value == f64::INFINITY
}

pub(crate) fn scan_row(row: usize, entries: &[f64]) -> Result<CostRange, crate::Error> {
    let mut range = CostRange::EMPTY;
    for (col, &value) in entries.iter().enumerate() {
        if !is_entry(value) {
            return Err(crate::Error::InvalidCost {
                row,
                col,
                value,
                rule: ENTRY_RULE,
            });
        }
        range.include(value);
    }
    Ok(range)
}
