//! The linear mapping between Gaussians of the moments of two domains.

use faer::{Mat, MatRef, Side};

use super::Domain;
use super::domain::check_rows;
use crate::Error;

/// The map x ↦ A (x − m_s) + m_t between Gaussians with the means and covariances of two domains, and its inverse:
/// A = Σ_s^{−½} (Σ_s^½ Σ_t Σ_s^½)^½ Σ_s^{−½}. Needs no solver. Flamary, Lounici and Ferrari, *Concentration bounds for linear
/// Monge mapping estimation and optimal transport domain adaptation* (2019), equation 4.
#[derive(Debug, Clone)]
pub struct LinearAdaptation {
    forth: Mat<f64>,
    back: Mat<f64>,
    mean_source: Vec<f64>,
    mean_target: Vec<f64>,
    squared: f64,
}

impl LinearAdaptation {
    /// From the weighted moments of both; `ridge` ≥ 0 is added to the variances, in units of the points squared. O(n·dim² +
    /// dim³).
    ///
    /// # Errors
    /// Domains of different dimension, a ridge that is negative, covariances that stay singular: fewer samples than
    /// dimensions want a ridge.
    pub fn fit(source: &Domain, target: &Domain, ridge: f64) -> Result<Self, Error> {
        source.check_beside(target)?;
        if !(ridge >= 0.0 && ridge.is_finite()) {
            let rule = "must be finite and not negative";
            return Err(Error::setting("ridge", ridge, rule));
        }
        let (mean_source, from) = moments(source, ridge);
        let (mean_target, to) = moments(target, ridge);
        let (root, inverse) = roots(&from, source.argument(), ridge)?;
        let (root_of_target, inverse_of_target) = roots(&to, target.argument(), ridge)?;
        let (middle, _) = roots_only(&(&root * &to * &root), source.argument(), ridge)?;
        let (other, _) = roots_only(
            &(&root_of_target * &from * &root_of_target),
            source.argument(),
            ridge,
        )?;
        let trace = |m: &Mat<f64>| (0..m.nrows()).map(|t| m[(t, t)]).sum::<f64>();
        let means = mean_source.iter().zip(&mean_target);
        let apart: f64 = means.map(|(s, t)| (s - t) * (s - t)).sum();
        Ok(Self {
            forth: &inverse * &middle * &inverse,
            back: &inverse_of_target * &other * &inverse_of_target,
            squared: (apart + trace(&from) + trace(&to) - 2.0 * trace(&middle)).max(0.0),
            mean_source,
            mean_target,
        })
    }

    /// W₂² between the two Gaussians.
    #[must_use]
    pub fn distance_squared(&self) -> f64 {
        self.squared
    }

    /// Where points of the source arrive. O(points·dim²).
    ///
    /// # Errors
    /// Points of another dimension, numbers that are not finite.
    pub fn transform(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        apply(&self.forth, &self.mean_source, &self.mean_target, x)
    }

    /// Where points of the target come from.
    ///
    /// # Errors
    /// As [`LinearAdaptation::transform`].
    pub fn inverse_transform(&self, y: &[f64]) -> Result<Vec<f64>, Error> {
        apply(&self.back, &self.mean_target, &self.mean_source, y)
    }
}

/// A (x − from) + to for each row.
fn apply(a: &Mat<f64>, from: &[f64], to: &[f64], x: &[f64]) -> Result<Vec<f64>, Error> {
    let dim = from.len();
    let rows = check_rows("points", x, dim)?;
    let centred: Vec<f64> = x
        .iter()
        .zip(from.iter().cycle())
        .map(|(x, m)| x - m)
        .collect();
    // A is symmetric: rows times A.
    let moved = MatRef::from_row_major_slice(&centred, rows, dim) * a;
    let mut out = Vec::with_capacity(x.len());
    for i in 0..rows {
        out.extend((0..dim).map(|t| moved[(i, t)] + to[t]));
    }
    Ok(out)
}

/// Mean and covariance, with the ridge.
fn moments(domain: &Domain, ridge: f64) -> (Vec<f64>, Mat<f64>) {
    let (n, dim) = (domain.len(), domain.dim());
    let weights = domain.weights().weights();
    let mut mean = vec![0.0; dim];
    for (x, w) in domain.points().chunks_exact(dim).zip(weights) {
        mean.iter_mut().zip(x).for_each(|(m, v)| *m += w * v);
    }
    let factor = Mat::from_fn(n, dim, |i, t| {
        weights[i].sqrt() * (domain.points()[i * dim + t] - mean[t])
    });
    let mut covariance = factor.transpose() * &factor;
    (0..dim).for_each(|t| covariance[(t, t)] += ridge);
    (mean, covariance)
}

/// S^½ and S^{−½}.
fn roots(s: &Mat<f64>, argument: &str, ridge: f64) -> Result<(Mat<f64>, Mat<f64>), Error> {
    let (root, inverse) = roots_only(s, argument, ridge)?;
    inverse.map(|inverse| (root, inverse)).ok_or_else(|| {
        let rule = format!("leaves the covariance of `{argument}` singular: it needs a larger one");
        Error::setting("ridge", ridge, &rule)
    })
}

/// S^½, and S^{−½} where S is regular.
fn roots_only(
    s: &Mat<f64>,
    argument: &str,
    ridge: f64,
) -> Result<(Mat<f64>, Option<Mat<f64>>), Error> {
    let dim = s.nrows();
    // Products of three are symmetric up to rounding alone.
    let even = Mat::from_fn(dim, dim, |i, j| 0.5 * (s[(i, j)] + s[(j, i)]));
    let eigen = even.self_adjoint_eigen(Side::Lower).map_err(|_| {
        let rule = format!("the eigenvalues of the covariance of `{argument}` were not found");
        Error::setting("ridge", ridge, &rule)
    })?;
    let (values, u) = (eigen.S().column_vector(), eigen.U());
    let power = |of: &dyn Fn(f64) -> f64| {
        let scaled = Mat::from_fn(dim, dim, |i, k| u[(i, k)] * of(values[k]));
        scaled * u.transpose()
    };
    let largest = (0..dim).map(|k| values[k]).fold(0.0, f64::max);
    let least = (0..dim).map(|k| values[k]).fold(f64::INFINITY, f64::min);
    let regular = least > 1e-14 * largest;
    Ok((
        power(&|v| v.max(0.0).sqrt()),
        regular.then(|| power(&|v| 1.0 / v.sqrt())),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: usize, dim: usize, phase: f64) -> Vec<f64> {
        (0..n * dim)
            .map(|k| ((k * k) as f64 * 0.37 + phase).sin() + 0.2 * (k as f64 * phase).cos())
            .collect()
    }

    #[test]
    fn a_symmetric_map_is_found_again_and_undone() {
        let x = cloud(40, 3, 0.3);
        let a = [[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]];
        let moved: Vec<f64> = x
            .chunks_exact(3)
            .flat_map(|p| a.map(|row| row.iter().zip(p).map(|(r, v)| r * v).sum::<f64>() + 4.0))
            .collect();
        let source = Domain::new("source", x.clone(), 3).expect("points");
        let target = Domain::new("target", moved.clone(), 3).expect("points");
        let map = LinearAdaptation::fit(&source, &target, 0.0).expect("a map");
        let off = |found: &[f64], wanted: &[f64]| {
            let off = found.iter().zip(wanted).map(|(f, w)| (f - w).abs());
            off.fold(0.0, f64::max)
        };
        assert!(off(&map.transform(&x).expect("points"), &moved) < 1e-9);
        assert!(off(&map.inverse_transform(&moved).expect("points"), &x) < 1e-9);
        let paid: f64 = x.iter().zip(&moved).map(|(p, q)| (p - q) * (p - q)).sum();
        assert!((map.distance_squared() - paid / 40.0).abs() < 1e-9);
    }

    #[test]
    fn moments_arrive_and_singular_ones_want_a_ridge() {
        let source = Domain::new("source", cloud(9, 4, 1.0), 4).expect("points");
        let weights: Vec<f64> = (1..=9).map(|k| f64::from(k) / 45.0).collect();
        let source = source.weighted(&weights).expect("weights");
        let target = Domain::new("target", cloud(12, 4, 2.0), 4).expect("points");
        let map = LinearAdaptation::fit(&source, &target, 0.0).expect("a map");
        let arrived = map.transform(source.points()).expect("points");
        let arrived = Domain::new("arrived", arrived, 4).expect("points");
        let arrived = arrived.weighted(&weights).expect("weights");
        let ((m, s), (n, t)) = (moments(&arrived, 0.0), moments(&target, 0.0));
        for i in 0..4 {
            assert!((m[i] - n[i]).abs() < 1e-10);
            for j in 0..4 {
                assert!((s[(i, j)] - t[(i, j)]).abs() < 1e-10);
            }
        }
        let few = Domain::new("source", cloud(3, 4, 1.0), 4).expect("points");
        let said = |ridge| LinearAdaptation::fit(&few, &target, ridge).map(|_| ());
        assert_eq!(
            said(0.0).expect_err("singular").to_string(),
            "`ridge` = 0: leaves the covariance of `source` singular: it needs a larger one"
        );
        assert!(said(1e-6).is_ok());
        assert!(said(-1.0).is_err() && said(f64::NAN).is_err());
    }
}
