//! A cost matrix in memory, as f64 or f32.

use std::sync::Arc;

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{Cost, CostKind, CostRange, ENTRY_RULE, scan_row};
use crate::Error;

/// The entries of a [`DenseCost`], row-major. Nothing converts one into the other behind the caller's back.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DenseData {
    /// Double precision.
    F64(Arc<[f64]>),
    /// Single precision: half the memory and half the traffic.
    F32(Arc<[f32]>),
}

/// An n×m matrix of costs, checked when made: finite, or +∞ for a forbidden pair. Cheap to clone.
#[doc(alias = "M")]
#[derive(Debug, Clone)]
pub struct DenseCost {
    n: usize,
    m: usize,
    data: DenseData,
    range: CostRange,
}

impl DenseCost {
    /// `data` holds n·m entries, row by row. One pass over them, no copy of an `Arc`.
    pub fn new(n: usize, m: usize, data: impl Into<Arc<[f64]>>) -> Result<Self, Error> {
        let data = data.into();
        check_len(n, m, data.len())?;
        let range = rows_range(n, m, |i| scan_row(i, &data[i * m..(i + 1) * m]))?;
        Ok(Self {
            n,
            m,
            data: DenseData::F64(data),
            range,
        })
    }

    /// Single-precision entries, kept as they are.
    pub fn from_f32(n: usize, m: usize, data: impl Into<Arc<[f32]>>) -> Result<Self, Error> {
        let data = data.into();
        check_len(n, m, data.len())?;
        let range = rows_range(n, m, |i| {
            let mut range = CostRange::EMPTY;
            for (col, &value) in data[i * m..(i + 1) * m].iter().enumerate() {
                if value.is_nan() || value == f32::NEG_INFINITY {
                    let value = f64::from(value);
                    return Err(Error::InvalidCost {
                        row: i,
                        col,
                        value,
                        rule: ENTRY_RULE,
                    });
                }
                range.include(f64::from(value));
            }
            Ok(range)
        })?;
        Ok(Self {
            n,
            m,
            data: DenseData::F32(data),
            range,
        })
    }

    /// Copies an ndarray view of any memory order.
    pub fn from_array(cost: ArrayView2<'_, f64>) -> Result<Self, Error> {
        let (n, m) = cost.dim();
        Self::new(n, m, cost.iter().copied().collect::<Vec<_>>())
    }

    /// Any cost, written out: n·m entries of memory.
    pub fn materialize(cost: &dyn Cost) -> Result<Self, Error> {
        let (n, m) = cost.shape();
        let mut data = vec![0.0; n * m];
        data.par_chunks_exact_mut(m.max(1))
            .enumerate()
            .for_each(|(i, row)| cost.row(i, row));
        Self::new(n, m, data)
    }

    /// The entries.
    #[must_use]
    pub fn data(&self) -> &DenseData {
        &self.data
    }

    /// The entries if they are stored as f64.
    #[must_use]
    pub fn as_f64(&self) -> Option<&[f64]> {
        match &self.data {
            DenseData::F64(data) => Some(data),
            DenseData::F32(_) => None,
        }
    }
}

fn check_len(n: usize, m: usize, len: usize) -> Result<(), Error> {
    if n == 0 || m == 0 {
        let rule = "a cost needs at least one row and one column".to_owned();
        return Err(Error::shape("cost", &[n, m], rule));
    }
    if n.checked_mul(m) != Some(len) {
        return Err(Error::shape(
            "cost",
            &[len],
            format!("{n}×{m} entries are declared"),
        ));
    }
    Ok(())
}

fn rows_range(
    n: usize,
    m: usize,
    row: impl Fn(usize) -> Result<CostRange, Error> + Send + Sync,
) -> Result<CostRange, Error> {
    if n * m < 1 << 16 {
        return (0..n).try_fold(CostRange::EMPTY, |range, i| Ok(range.union(row(i)?)));
    }
    // Rows are scanned in parallel, but the first bad entry is the one reported.
    let parts: Vec<_> = (0..n).into_par_iter().map(row).collect();
    parts
        .into_iter()
        .try_fold(CostRange::EMPTY, |range, part| Ok(range.union(part?)))
}

impl Cost for DenseCost {
    fn shape(&self) -> (usize, usize) {
        (self.n, self.m)
    }

    fn row(&self, i: usize, out: &mut [f64]) {
        self.block(i..i + 1, 0..self.m, out);
    }

    fn block(&self, rows: std::ops::Range<usize>, cols: std::ops::Range<usize>, out: &mut [f64]) {
        for (out_row, i) in out.chunks_exact_mut(cols.len()).zip(rows) {
            let (start, end) = (i * self.m + cols.start, i * self.m + cols.end);
            match &self.data {
                DenseData::F64(data) => out_row.copy_from_slice(&data[start..end]),
                DenseData::F32(data) => {
                    for (wide, &narrow) in out_row.iter_mut().zip(&data[start..end]) {
                        *wide = f64::from(narrow);
                    }
                }
            }
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        match &self.data {
            DenseData::F64(data) => data[i * self.m + j],
            DenseData::F32(data) => f64::from(data[i * self.m + j]),
        }
    }

    fn row_f32(&self, i: usize, out: &mut [f32]) {
        let at = i * self.m..(i + 1) * self.m;
        match &self.data {
            DenseData::F32(data) => out.copy_from_slice(&data[at]),
            DenseData::F64(data) => {
                for (narrow, &wide) in out.iter_mut().zip(&data[at]) {
                    *narrow = wide as f32;
                }
            }
        }
    }

    fn range(&self) -> CostRange {
        self.range
    }

    fn kind(&self) -> CostKind<'_> {
        CostKind::Dense(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_negative_infinity_are_refused_with_their_place() {
        let error = DenseCost::new(2, 2, vec![0.0, 1.0, f64::NAN, 2.0]).unwrap_err();
        assert!(
            matches!(error, Error::InvalidCost { row: 1, col: 0, .. }),
            "{error}"
        );
        let error = DenseCost::from_f32(1, 2, vec![0.0, f32::NEG_INFINITY]).unwrap_err();
        assert!(
            matches!(error, Error::InvalidCost { row: 0, col: 1, .. }),
            "{error}"
        );
        assert!(DenseCost::new(1, 2, vec![0.0, -1e301]).is_err());
        assert!(DenseCost::new(2, 2, vec![0.0; 3]).is_err());
        assert!(DenseCost::new(0, 2, vec![]).is_err());
        assert!(DenseCost::new(usize::MAX, 2, vec![0.0; 3]).is_err());
    }

    #[test]
    fn range_skips_forbidden_pairs() {
        let cost = DenseCost::new(2, 2, vec![-1.0, f64::INFINITY, 3.0, 2.0]).unwrap();
        assert_eq!(
            cost.range(),
            CostRange {
                min: -1.0,
                max: 3.0,
                forbidden: 1
            }
        );
        assert_eq!((cost.range().spread(), cost.range().max_abs()), (4.0, 3.0));
    }
}
