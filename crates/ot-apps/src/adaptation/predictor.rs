//! The models of JDOT: regressions on soft labels, linear or with a Gaussian kernel.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::Domain;
use crate::Error;

/// What a model is linear in.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Features {
    /// The points themselves, and a constant.
    Linear,
    /// Gaussian kernels exp(−‖x − x_j‖²/2σ²) at the samples of the target, and a constant.
    Gaussian {
        /// σ, in units of the points.
        width: f64,
    },
}

impl Features {
    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Gaussian { width } if !(*width > 0.0 && width.is_finite()) => {
                Err(Error::setting("width", width, "must be positive"))
            }
            _ => Ok(()),
        }
    }
}

/// A model of K outputs on the m points of the target.
pub(super) trait Predictor: Send + Sync {
    /// Fits Σ_j b_j Σ_c y_jc L_c(f(x_j)) + λ‖f‖² to soft labels, m×K, and returns λ‖f‖².
    fn fit(&mut self, labels: &[f64]) -> Result<f64, Error>;

    /// L_c(f(x_j)) for each class and each point of the target, K×m.
    fn losses(&self, out: &mut [f64]);

    /// Outputs at any points, points×K.
    fn scores(&self, points: &[f64]) -> Vec<f64>;
}

/// The features of points: rows φ(x) with ‖f‖² = ‖W‖² of the weights but the constant's. With a kernel, φ = L⁻¹k(x) for the
/// Cholesky factor of K = L Lᵀ, so that one form serves both.
struct Basis {
    features: Features,
    centres: Vec<f64>,
    dim: usize,
    factor: Option<faer::linalg::solvers::Llt<f64>>,
    /// Of the target, m×(p + 1).
    rows: Mat<f64>,
    weights: Vec<f64>,
}

/// Added to the kernel's diagonal, so that samples that coincide don't make it singular.
const JITTER: f64 = 1e-9;

impl Basis {
    fn new(target: &Domain, features: Features) -> Result<Self, Error> {
        let mut basis = Self {
            features,
            centres: Vec::new(),
            dim: target.dim(),
            factor: None,
            rows: Mat::zeros(0, 0),
            weights: target.weights().weights().to_vec(),
        };
        if let Features::Gaussian { width } = features {
            basis.centres = target.points().to_vec();
            let mut gram = basis.kernel(target.points(), width);
            (0..gram.nrows()).for_each(|j| gram[(j, j)] += JITTER);
            let factor = gram.llt(Side::Lower).map_err(|_| {
                let rule = "makes the kernel of the target singular: choose a smaller one";
                Error::setting("width", width, rule)
            })?;
            basis.factor = Some(factor);
        }
        basis.rows = basis.of(target.points());
        Ok(basis)
    }

    fn kernel(&self, x: &[f64], width: f64) -> Mat<f64> {
        let (dim, y) = (self.dim, &self.centres);
        let factor = -0.5 / (width * width);
        Mat::from_fn(x.len() / dim, y.len() / dim, |i, j| {
            let (x, y) = (&x[i * dim..(i + 1) * dim], &y[j * dim..(j + 1) * dim]);
            let d: f64 = x.iter().zip(y).map(|(p, q)| (p - q) * (p - q)).sum();
            (factor * d).exp()
        })
    }

    fn of(&self, x: &[f64]) -> Mat<f64> {
        let (dim, rows) = (self.dim, x.len() / self.dim);
        match (self.features, &self.factor) {
            (Features::Gaussian { width }, Some(factor)) => {
                let mut columns = self.kernel(x, width).transpose().to_owned();
                faer::linalg::triangular_solve::solve_lower_triangular_in_place(
                    factor.L(),
                    columns.as_mut(),
                    faer::Par::Seq,
                );
                let m = columns.nrows();
                Mat::from_fn(
                    rows,
                    m + 1,
                    |i, t| if t < m { columns[(t, i)] } else { 1.0 },
                )
            }
            _ => Mat::from_fn(
                rows,
                dim + 1,
                |i, t| {
                    if t < dim { x[i * dim + t] } else { 1.0 }
                },
            ),
        }
    }

    /// φᵀ diag(b) φ, with λ on the diagonal but the constant's.
    fn gram(&self, ridge: f64) -> Mat<f64> {
        let p = self.rows.ncols();
        let scaled = Mat::from_fn(self.rows.nrows(), p, |j, t| {
            self.weights[j].sqrt() * self.rows[(j, t)]
        });
        let mut gram = scaled.transpose() * &scaled;
        (0..p - 1).for_each(|t| gram[(t, t)] += ridge);
        gram
    }

    /// λ‖W‖² without the constant's row.
    fn penalty(&self, w: &Mat<f64>, ridge: f64) -> f64 {
        let mut sum = 0.0;
        for c in 0..w.ncols() {
            sum += (0..w.nrows() - 1)
                .map(|t| w[(t, c)] * w[(t, c)])
                .sum::<f64>();
        }
        ridge * sum
    }
}

fn singular(ridge: f64) -> Error {
    Error::setting("ridge", ridge, "is too small: the system is singular")
}

fn flat(rows: &Mat<f64>) -> Vec<f64> {
    let (n, k) = (rows.nrows(), rows.ncols());
    (0..n * k).map(|e| rows[(e / k, e % k)]).collect()
}

/// Ridge regression on one-hot labels; L_c(f) = ‖e_c − f‖².
pub(super) struct Ridge {
    basis: Basis,
    factor: faer::linalg::solvers::Llt<f64>,
    w: Mat<f64>,
    ridge: f64,
}

impl Ridge {
    pub(super) fn new(
        target: &Domain,
        classes: usize,
        features: Features,
        ridge: f64,
    ) -> Result<Self, Error> {
        let basis = Basis::new(target, features)?;
        let gram = basis.gram(ridge);
        let factor = gram.llt(Side::Lower).map_err(|_| singular(ridge))?;
        Ok(Self {
            w: Mat::zeros(basis.rows.ncols(), classes),
            basis,
            factor,
            ridge,
        })
    }
}

impl Predictor for Ridge {
    fn fit(&mut self, labels: &[f64]) -> Result<f64, Error> {
        let (m, classes) = (self.basis.rows.nrows(), self.w.ncols());
        let right = Mat::from_fn(m, classes, |j, c| {
            self.basis.weights[j] * labels[j * classes + c]
        });
        self.w = self.factor.solve(self.basis.rows.transpose() * right);
        Ok(self.basis.penalty(&self.w, self.ridge))
    }

    fn losses(&self, out: &mut [f64]) {
        let f = &self.basis.rows * &self.w;
        let (m, classes) = (f.nrows(), f.ncols());
        for j in 0..m {
            let squares: f64 = (0..classes).map(|c| f[(j, c)] * f[(j, c)]).sum();
            for c in 0..classes {
                out[c * m + j] = squares - 2.0 * f[(j, c)] + 1.0;
            }
        }
    }

    fn scores(&self, points: &[f64]) -> Vec<f64> {
        flat(&(self.basis.of(points) * &self.w))
    }
}

/// Multinomial logistic regression; L_c(f) = −log softmax(f)_c.
pub(super) struct Logistic {
    basis: Basis,
    /// Of the bound ½·φᵀ diag(b) φ + 2λ of the Hessian of each class.
    factor: faer::linalg::solvers::Llt<f64>,
    w: Mat<f64>,
    ridge: f64,
}

/// Steps of the bound optimization in a fit, and the relative fall at which they end.
const STEPS: usize = 200;
const FALL: f64 = 1e-7;

impl Logistic {
    pub(super) fn new(
        target: &Domain,
        classes: usize,
        features: Features,
        ridge: f64,
    ) -> Result<Self, Error> {
        let basis = Basis::new(target, features)?;
        // Böhning (1992): the Hessian of the log-partition is at most ½(1 − 11ᵀ/K) ≤ ½.
        let mut bound = basis.gram(4.0 * ridge);
        let p = bound.nrows();
        bound *= faer::Scale(0.5);
        // The constant alone has no ridge; a hair keeps the factor regular where all features are constant.
        bound[(p - 1, p - 1)] += 1e-12;
        let factor = bound.llt(Side::Lower).map_err(|_| singular(ridge))?;
        Ok(Self {
            w: Mat::zeros(p, classes),
            basis,
            factor,
            ridge,
        })
    }

    /// Probabilities of rows of scores.
    fn softmax(f: &mut Mat<f64>) {
        let classes = f.ncols();
        for j in 0..f.nrows() {
            let most = (0..classes).map(|c| f[(j, c)]).fold(f64::MIN, f64::max);
            let sum: f64 = (0..classes).map(|c| (f[(j, c)] - most).exp()).sum();
            for c in 0..classes {
                f[(j, c)] = (f[(j, c)] - most).exp() / sum;
            }
        }
    }

    fn value(&self, labels: &[f64], w: &Mat<f64>) -> f64 {
        let f = &self.basis.rows * w;
        let classes = f.ncols();
        let mut sum = 0.0;
        for j in 0..f.nrows() {
            let most = (0..classes).map(|c| f[(j, c)]).fold(f64::MIN, f64::max);
            let log = most
                + (0..classes)
                    .map(|c| (f[(j, c)] - most).exp())
                    .sum::<f64>()
                    .ln();
            let own: f64 = (0..classes)
                .map(|c| labels[j * classes + c] * (log - f[(j, c)]))
                .sum();
            sum += self.basis.weights[j] * own;
        }
        sum + self.basis.penalty(w, self.ridge)
    }
}

impl Predictor for Logistic {
    fn fit(&mut self, labels: &[f64]) -> Result<f64, Error> {
        let (m, classes) = (self.basis.rows.nrows(), self.w.ncols());
        let mut value = self.value(labels, &self.w);
        for _ in 0..STEPS {
            let mut off = &self.basis.rows * &self.w;
            Self::softmax(&mut off);
            for j in 0..m {
                for c in 0..classes {
                    off[(j, c)] = self.basis.weights[j] * (off[(j, c)] - labels[j * classes + c]);
                }
            }
            let mut gradient = self.basis.rows.transpose() * off;
            for c in 0..classes {
                for t in 0..gradient.nrows() - 1 {
                    gradient[(t, c)] += 2.0 * self.ridge * self.w[(t, c)];
                }
            }
            self.w -= self.factor.solve(gradient);
            let now = self.value(labels, &self.w);
            let fall = (value - now) / now.abs().max(f64::MIN_POSITIVE);
            value = now;
            if fall <= FALL {
                break;
            }
        }
        Ok(self.basis.penalty(&self.w, self.ridge))
    }

    fn losses(&self, out: &mut [f64]) {
        let mut f = &self.basis.rows * &self.w;
        Self::softmax(&mut f);
        let (m, classes) = (f.nrows(), f.ncols());
        for j in 0..m {
            for c in 0..classes {
                out[c * m + j] = -f[(j, c)].max(1e-300).ln();
            }
        }
    }

    fn scores(&self, points: &[f64]) -> Vec<f64> {
        let mut f = self.basis.of(points) * &self.w;
        Self::softmax(&mut f);
        flat(&f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Domain {
        let x: Vec<f64> = (0..16).map(|k| (1.9 * f64::from(k)).sin()).collect();
        let domain = Domain::new("target", x, 2).expect("points");
        let weights: Vec<f64> = (1..=8).map(|k| f64::from(k) / 36.0).collect();
        domain.weighted(&weights).expect("weights")
    }

    /// Soft labels of three classes.
    fn labels() -> Vec<f64> {
        let mut labels: Vec<f64> = (0..24).map(|k| 1.1 + (2.3 * f64::from(k)).cos()).collect();
        for row in labels.chunks_exact_mut(3) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|l| *l /= sum);
        }
        labels
    }

    /// Σ_j b_j Σ_c y_jc L_cj.
    fn loss(model: &dyn Predictor, labels: &[f64]) -> f64 {
        let mut losses = vec![0.0; 24];
        model.losses(&mut losses);
        let of = |j: usize| (0..3).map(move |c| (j, c));
        let terms = (0..8).flat_map(of);
        let terms =
            terms.map(|(j, c)| (j + 1) as f64 / 36.0 * labels[j * 3 + c] * losses[c * 8 + j]);
        terms.sum()
    }

    #[test]
    fn fits_are_stationary_for_both_features() {
        let (target, labels) = (target(), labels());
        for features in [Features::Linear, Features::Gaussian { width: 0.7 }] {
            let mut ridge = Ridge::new(&target, 3, features, 0.05).expect("a model");
            let penalty = ridge.fit(&labels).expect("a fit");
            let best = loss(&ridge, &labels) + penalty;
            let mut logistic = Logistic::new(&target, 3, features, 0.05).expect("a model");
            let penalty = logistic.fit(&labels).expect("a fit");
            let least = loss(&logistic, &labels) + penalty;
            assert!((least - logistic.value(&labels, &logistic.w)).abs() < 1e-12);
            let p = ridge.w.nrows();
            for (t, c) in [(0, 0), (1, 2), (p - 1, 1)] {
                for h in [1e-2, -1e-2] {
                    ridge.w[(t, c)] += h;
                    let moved = loss(&ridge, &labels) + ridge.basis.penalty(&ridge.w, 0.05);
                    assert!(moved > best, "{features:?} {t} {c}");
                    ridge.w[(t, c)] -= h;
                    let mut w = logistic.w.clone();
                    w[(t, c)] += h;
                    assert!(logistic.value(&labels, &w) > least, "{features:?} {t} {c}");
                }
            }
        }
    }

    #[test]
    fn scores_at_the_samples_are_those_of_the_losses() {
        let (target, labels) = (target(), labels());
        let features = Features::Gaussian { width: 0.7 };
        let mut model = Logistic::new(&target, 3, features, 0.01).expect("a model");
        model.fit(&labels).expect("a fit");
        let mut losses = vec![0.0; 24];
        model.losses(&mut losses);
        let scores = model.scores(target.points());
        for j in 0..8 {
            let sum: f64 = scores[j * 3..(j + 1) * 3].iter().sum();
            assert!((sum - 1.0).abs() < 1e-12);
            for c in 0..3 {
                assert!((losses[c * 8 + j] + scores[j * 3 + c].ln()).abs() < 1e-9);
            }
        }
    }
}
