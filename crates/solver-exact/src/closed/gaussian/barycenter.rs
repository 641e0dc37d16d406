//! Barycenters of Gaussians.

use faer::Mat;
use solver_api::{Error, Measure};

use super::Gaussian;
use super::coupling::Coupling;
use super::matrix::{largest, squares};
use super::moments::shape;

/// A barycenter, and how the iteration ended.
#[derive(Debug, Clone)]
pub struct Barycenter {
    /// The barycenter, or where the iteration stopped.
    pub gaussian: Gaussian,
    /// Iterations done.
    pub iterations: u64,
    /// What the last one changed the covariance by, relative to it (Frobenius norm).
    pub change: f64,
    /// Whether that is at most the tolerance.
    pub converged: bool,
}

/// argmin over Gaussians of Σ_k λ_k W₂²(·, `gaussians[k]`), with λ the weights at mass 1; it is the barycenter among
/// all measures.
///
/// The fixed point S = S^{-½} (Σ_k λ_k (S^½ Σ_k S^½)^½)² S^{-½} of Álvarez-Esteban, del Barrio, Cuesta-Albertos and
/// Matrán, *A fixed-point approach to barycenters in Wasserstein space* (2016), theorem 4.2; in factors, S = F Fᵀ, a
/// step is F ← Σ_k λ_k F_k V_k W_kᵀ with FᵀF_k = W_k D_k V_kᵀ, without an inverse. It begins at the mean of the
/// covariances, and ends where a step changes S by `tol` at most, relative to it, or after `max_iter` steps. Converges
/// for regular covariances, linearly; for singular ones it settles at a point where no step changes anything, which is
/// the barycenter where all share their subspace. O(K d³) a step.
///
/// # Errors
/// No Gaussians; other numbers of weights, or dimensions; `tol` not positive, or `max_iter` 0.
pub fn barycenter(
    gaussians: &[Gaussian],
    weights: &Measure,
    tol: f64,
    max_iter: u64,
) -> Result<Barycenter, Error> {
    let (count, k) = (gaussians.len(), weights.len());
    let Some(first) = gaussians.first().filter(|_| count == k) else {
        let expected = format!("there are {k} weights: one Gaussian for each is needed");
        return Err(shape("gaussians", &[count], expected));
    };
    for other in gaussians {
        first.check_dim(other, "gaussians")?;
    }
    if !(tol > 0.0 && tol.is_finite()) {
        return Err(Error::setting("tol", tol, "must be positive and finite"));
    }
    if max_iter == 0 {
        return Err(Error::setting("max_iter", 0, "must be at least 1"));
    }
    let d = first.dim();
    let share = weights.weights().iter().map(|w| w / weights.mass());
    let parts: Vec<(f64, &Gaussian)> = share.zip(gaussians).filter(|part| part.0 > 0.0).collect();
    let mut mean = vec![0.0; d];
    let mut start = vec![0.0; d * d];
    for (share, part) in &parts {
        mean.iter_mut()
            .zip(&part.mean)
            .for_each(|(m, v)| *m += share * v);
        start
            .iter_mut()
            .zip(part.covariance())
            .for_each(|(s, v)| *s += share * v);
    }
    let mut here = Gaussian::new(&mean, &start)?;
    let (mut iterations, mut change) = (0, f64::INFINITY);
    while iterations < max_iter && (change > tol || change.is_nan()) {
        let mut next: Mat<f64> = Mat::zeros(d, d);
        for (share, part) in &parts {
            let turn = Coupling::of(&here, part)?.turn;
            let step = &part.factor * turn.transpose();
            next = Mat::from_fn(d, d, |i, j| next[(i, j)] + share * step[(i, j)]);
        }
        let there = Gaussian::from_factor(mean.clone(), next);
        change = apart(&there.product(), &here.product());
        here = there;
        iterations += 1;
    }
    Ok(Barycenter {
        gaussian: here,
        iterations,
        change,
        converged: change <= tol,
    })
}

/// ‖S − T‖ / ‖S‖, of matrices of any size.
fn apart(s: &Mat<f64>, t: &Mat<f64>) -> f64 {
    let unit = largest(s.as_ref()).max(largest(t.as_ref()));
    let of = |entry: &dyn Fn(usize, usize) -> f64| {
        let scaled = Mat::from_fn(s.nrows(), s.ncols(), |i, j| entry(i, j) / unit);
        squares(scaled.as_ref()).sqrt()
    };
    let off = of(&|i, j| s[(i, j)] - t[(i, j)]);
    if off == 0.0 {
        0.0
    } else {
        off / of(&|i, j| s[(i, j)])
    }
}
