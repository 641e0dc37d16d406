//! Small matrices: from and to row-major slices, and what `faer` may refuse.

use faer::{Mat, MatRef};
use solver_api::Error;

use super::NAME;

/// Singular values below so many times the largest, for each row, are 0.
pub(super) const RANK: f64 = 4.0 * f64::EPSILON;

pub(super) fn from_rows(rows: &[f64], cols: usize) -> Mat<f64> {
    Mat::from_fn(rows.len() / cols.max(1), cols, |i, j| rows[i * cols + j])
}

pub(super) fn to_rows(matrix: MatRef<'_, f64>) -> Vec<f64> {
    let entry = |i| (0..matrix.ncols()).map(move |j| matrix[(i, j)]);
    (0..matrix.nrows()).flat_map(entry).collect()
}

/// ‖A‖² (Frobenius).
pub(super) fn squares(matrix: MatRef<'_, f64>) -> f64 {
    let column = |j| (0..matrix.nrows()).map(move |i| matrix[(i, j)]);
    (0..matrix.ncols()).flat_map(column).map(|v| v * v).sum()
}

/// The largest |entry|; 1 where all are 0.
pub(super) fn largest(matrix: MatRef<'_, f64>) -> f64 {
    let column = |j| (0..matrix.nrows()).map(move |i| matrix[(i, j)]);
    let all = (0..matrix.ncols()).flat_map(column);
    let most = all.fold(0.0_f64, |most, v| most.max(v.abs()));
    if most > 0.0 { most } else { 1.0 }
}

/// W, D, V of A = W D Vᵀ, square.
pub(super) struct Singular {
    pub(super) w: Mat<f64>,
    pub(super) d: Vec<f64>,
    pub(super) v: Mat<f64>,
}

impl Singular {
    pub(super) fn of(matrix: MatRef<'_, f64>) -> Result<Self, Error> {
        // Near 1, so that squares inside stay in the range of numbers.
        let unit = largest(matrix);
        let scaled = Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)] / unit);
        let svd = scaled.thin_svd().map_err(|_| failed("singular values"))?;
        let d = svd.S().column_vector();
        Ok(Self {
            w: svd.U().to_owned(),
            d: (0..d.nrows()).map(|k| d[k] * unit).collect(),
            v: svd.V().to_owned(),
        })
    }

    /// The number of singular values that are more than rounding.
    pub(super) fn rank(&self) -> usize {
        let least = self
            .d
            .first()
            .map_or(0.0, |d| d * RANK * self.d.len() as f64);
        self.d.iter().take_while(|d| **d > least).count()
    }
}

/// F⁺, the pseudo-inverse.
pub(super) fn pseudo_inverse(factor: MatRef<'_, f64>) -> Result<Mat<f64>, Error> {
    let parts = Singular::of(factor)?;
    let rank = parts.rank();
    let scaled = Mat::from_fn(parts.v.nrows(), rank, |i, k| parts.v[(i, k)] / parts.d[k]);
    Ok(&scaled * parts.w.get(.., ..rank).transpose())
}

/// An iteration of the library that did not come to an end.
pub(super) fn failed(what: &str) -> Error {
    Error::Backend {
        solver: NAME.to_owned(),
        message: format!("the {what} of a matrix did not converge"),
    }
}
