//! Mean, covariance, and a factor of it.

use faer::{Mat, Side};
use solver_api::{Error, Measure};

use super::matrix::{RANK, failed, from_rows, largest, squares, to_rows};

/// What a symmetric matrix may miss symmetry and positivity by, relative to its largest entry: what is left of
/// covariances that were computed or stored in single precision is refused, of double precision is taken.
const SLACK: f64 = 1e-9;
/// Squares of coordinates, and sums of some, must be numbers.
const LARGEST: f64 = 1e150;

/// A Gaussian of any dimension d, given by its moments; the covariance may be singular. Memory 2 d² numbers.
#[derive(Debug, Clone)]
pub struct Gaussian {
    pub(super) mean: Vec<f64>,
    covariance: Vec<f64>,
    /// F with F Fᵀ = the covariance.
    pub(super) factor: Mat<f64>,
}

impl Gaussian {
    /// From a mean of d ≥ 1 entries and a d×d covariance, row-major. O(d³).
    ///
    /// # Errors
    /// Shapes that do not fit; entries that are not finite, or beyond 1e150 (the covariance: 1e300); a covariance that is
    /// not symmetric, or has an eigenvalue below −1e-9 times the largest.
    pub fn new(mean: &[f64], covariance: &[f64]) -> Result<Self, Error> {
        let d = mean.len();
        if d == 0 {
            return Err(shape(
                "mean",
                &[0],
                "at least one dimension is needed".to_owned(),
            ));
        }
        if d.checked_mul(d) != Some(covariance.len()) {
            let expected = format!("`mean` has {d} entries: {d}×{d} numbers are needed");
            return Err(shape("covariance", &[covariance.len()], expected));
        }
        check_mean(mean)?;
        let most = covariance.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        for i in 0..d {
            for j in 0..d {
                let (value, twin) = (covariance[i * d + j], covariance[j * d + i]);
                let name = || format!("covariance[{i}, {j}]");
                if !is_within(value, LARGEST * LARGEST) {
                    return Err(Error::setting(
                        name(),
                        value,
                        "must be a number within ±1e300",
                    ));
                }
                if (value - twin).abs() > SLACK * most {
                    let rule = format!("must be symmetric, and entry [{j}, {i}] is {twin:e}");
                    return Err(Error::setting(name(), value, rule));
                }
            }
        }
        // Near 1, so that no intermediate leaves the range of numbers.
        let unit = if most > 0.0 { most } else { 1.0 };
        let scaled = Mat::from_fn(d, d, |i, j| {
            0.5 * (covariance[i * d + j] / unit + covariance[j * d + i] / unit)
        });
        let eigen = scaled.self_adjoint_eigen(Side::Lower);
        let eigen = eigen.map_err(|_| failed("eigenvalues"))?;
        let (values, vectors) = (eigen.S().column_vector(), eigen.U());
        let (least, most) = (values[0], values[d - 1]);
        if least < -SLACK * most.max(0.0) {
            let rule = "is the least eigenvalue: a covariance has none below 0";
            return Err(Error::setting(
                "covariance",
                format!("{:e}", least * unit),
                rule,
            ));
        }
        let root = |k: usize| {
            let is_rounding = values[k] <= RANK * d as f64 * most;
            if is_rounding {
                0.0
            } else {
                values[k].sqrt() * unit.sqrt()
            }
        };
        Ok(Self {
            mean: mean.to_vec(),
            covariance: covariance.to_vec(),
            factor: Mat::from_fn(d, d, |i, k| vectors[(i, k)] * root(k)),
        })
    }

    /// The moments of weighted samples: `x` has a point of dimension `dim` for each weight, row-major; the covariance is
    /// that of the samples themselves (divided by the mass, not by n − 1). O(n d²) time, n·d numbers.
    ///
    /// # Errors
    /// Points that do not fit the weights or the dimension, are not finite, or beyond 1e150.
    pub fn of_samples(weights: &Measure, x: &[f64], dim: usize) -> Result<Self, Error> {
        let n = weights.len();
        if dim == 0 || n.checked_mul(dim) != Some(x.len()) {
            let expected = format!("there are {n} weights, and points of dimension {dim} ≥ 1");
            return Err(shape("x", &[x.len()], expected));
        }
        if let Some(at) = x.iter().position(|&v| !is_within(v, LARGEST)) {
            return Err(Error::InvalidPoint {
                argument: "x",
                row: at / dim,
                col: at % dim,
                value: x[at],
                rule: "coordinates must be within ±1e150",
            });
        }
        let mass = weights.mass();
        let share: Vec<f64> = weights.weights().iter().map(|w| w / mass).collect();
        let mut mean = vec![0.0; dim];
        // Twice: the second time what is left around the first has its digits wherever the cloud lies.
        for _ in 0..2 {
            let mut around = vec![0.0; dim];
            for (w, x) in share.iter().zip(x.chunks_exact(dim)) {
                let terms = around.iter_mut().zip(x).zip(&mean);
                terms.for_each(|((sum, x), mean)| *sum += w * (x - mean));
            }
            mean.iter_mut().zip(around).for_each(|(m, a)| *m += a);
        }
        // Rows without weight add nothing, and rows of 0 keep a cloud of few points as tall as it is wide.
        let used: Vec<usize> = (0..n).filter(|&i| share[i] > 0.0).collect();
        let rows = used.len().max(dim);
        let centred = Mat::from_fn(rows, dim, |r, k| match used.get(r) {
            Some(&i) => share[i].sqrt() * (x[i * dim + k] - mean[k]),
            None => 0.0,
        });
        let unit = largest(centred.as_ref());
        // Zᵀ Z = Rᵀ R.
        let triangle = Mat::from_fn(rows, dim, |r, k| centred[(r, k)] / unit).qr();
        let r = triangle.thin_R();
        let factor = Mat::from_fn(dim, dim, |i, k| if k <= i { r[(k, i)] * unit } else { 0.0 });
        let covariance = to_rows((&factor * factor.transpose()).as_ref());
        Ok(Self {
            mean,
            covariance,
            factor,
        })
    }

    /// From a mean and a factor F of the covariance F Fᵀ.
    pub(super) fn from_factor(mean: Vec<f64>, factor: Mat<f64>) -> Self {
        let covariance = to_rows((&factor * factor.transpose()).as_ref());
        Self {
            mean,
            covariance,
            factor,
        }
    }

    /// The dimension d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance, d×d row-major.
    #[must_use]
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }

    /// tr Σ.
    pub(super) fn trace(&self) -> f64 {
        squares(self.factor.as_ref())
    }

    /// F Fᵀ as a matrix.
    pub(super) fn product(&self) -> Mat<f64> {
        from_rows(&self.covariance, self.dim())
    }
}

/// Neither beyond `limit` nor NaN.
fn is_within(value: f64, limit: f64) -> bool {
    value.abs() <= limit
}

fn check_mean(mean: &[f64]) -> Result<(), Error> {
    match mean.iter().position(|&v| !is_within(v, LARGEST)) {
        Some(k) => Err(Error::setting(
            format!("mean[{k}]"),
            mean[k],
            "must be a number within ±1e150",
        )),
        None => Ok(()),
    }
}

pub(super) fn shape(argument: &'static str, found: &[usize], expected: String) -> Error {
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    Error::ShapeMismatch {
        argument,
        found: found.join("×"),
        expected,
    }
}
