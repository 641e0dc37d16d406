//! Smooth maps that are fitted to where samples arrive.

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef, Side};

use super::Domain;
use super::domain::check_rows;
use crate::Error;

/// Which maps are fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum MapKind {
    /// x ↦ A x + c.
    Affine,
    /// x ↦ Σ_i k(x, x_i) w_i + c, k(x, x′) = exp(−‖x − x′‖²/2σ²).
    Gaussian {
        /// σ, in units of the points.
        width: f64,
    },
}

/// What can be set of a [`LearnedMap`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapSettings {
    /// Default: affine.
    pub kind: MapKind,
    /// The weight η of the ridge: of ‖A − 1‖² (affine; beside 0 the map tends to a translation), of the norm of the kernel's
    /// space (Gaussian). Default: 1e-3.
    pub ridge: f64,
}

impl Default for MapSettings {
    fn default() -> Self {
        Self {
            kind: MapKind::Affine,
            ridge: 1e-3,
        }
    }
}

impl MapSettings {
    pub(super) fn check(&self) -> Result<(), Error> {
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return Err(Error::setting("ridge", self.ridge, "must be positive"));
        }
        match self.kind {
            MapKind::Gaussian { width } if !(width > 0.0 && width.is_finite()) => {
                Err(Error::setting("width", width, "must be positive"))
            }
            _ => Ok(()),
        }
    }
}

/// A smooth map, the least squares of Σ_i w_i ‖T(x_i) − x̂_i‖² + η‖T‖² with w the masses that samples send, which sum to one:
/// one half of the alternation of Perrot et al., *Mapping estimation for discrete optimal transport* (2016).
#[derive(Debug, Clone)]
pub struct LearnedMap {
    kind: MapKind,
    dim: usize,
    /// Centres of the Gaussian kernel.
    centres: Vec<f64>,
    /// (features)×dim.
    weights: Mat<f64>,
    /// η‖T‖².
    roughness: f64,
}

impl LearnedMap {
    /// O(n·dim² + dim³), or O(n²·dim + n³) with a kernel.
    pub(super) fn fit(
        settings: MapSettings,
        source: &Domain,
        images: &[f64],
        masses: &[f64],
    ) -> Result<Self, Error> {
        settings.check()?;
        let (n, dim) = (source.len(), source.dim());
        let total: f64 = masses.iter().sum();
        let root = |i: usize| (masses[i] / total).sqrt();
        let x = source.points();
        let eta = settings.ridge;
        let unsolved = || Error::setting("ridge", eta, "is too small: the system is singular");
        let weights = match settings.kind {
            MapKind::Affine => {
                let f = Mat::from_fn(n, dim + 1, |i, t| {
                    root(i) * if t < dim { x[i * dim + t] } else { 1.0 }
                });
                let y = Mat::from_fn(n, dim, |i, t| root(i) * images[i * dim + t]);
                let mut gram = f.transpose() * &f;
                let mut right = f.transpose() * &y;
                // The translation is free; the matrix is drawn to the identity.
                for t in 0..dim {
                    gram[(t, t)] += eta;
                    right[(t, t)] += eta;
                }
                let llt = gram.llt(Side::Lower).map_err(|_| unsolved())?;
                llt.solve(&right)
            }
            MapKind::Gaussian { width } => {
                // With K = (k(x_i, x_j)) and D = diag(w): (K + η D⁻¹ − …) in the symmetric form
                // (D^½ K D^½ + η) z = D^½ (x̂ − c), weights D^½ z, and c the offset at which these sum to zero.
                let k = kernel(x, x, dim, width);
                let gram = Mat::from_fn(n, n, |i, j| {
                    root(i) * k[(i, j)] * root(j) + if i == j { eta } else { 0.0 }
                });
                let right = Mat::from_fn(n, dim + 1, |i, t| {
                    root(i) * if t < dim { images[i * dim + t] } else { 1.0 }
                });
                let llt = gram.llt(Side::Lower).map_err(|_| unsolved())?;
                let solved = llt.solve(&right);
                let sum = |t: usize| (0..n).map(|i| root(i) * solved[(i, t)]).sum::<f64>();
                let ones = sum(dim);
                let offset: Vec<f64> = (0..dim).map(|t| sum(t) / ones).collect();
                Mat::from_fn(n + 1, dim, |i, t| {
                    if i < n {
                        root(i) * (solved[(i, t)] - offset[t] * solved[(i, dim)])
                    } else {
                        offset[t]
                    }
                })
            }
        };
        let finite =
            (0..weights.ncols()).all(|t| (0..weights.nrows()).all(|i| weights[(i, t)].is_finite()));
        if !finite {
            return Err(unsolved());
        }
        let roughness = match settings.kind {
            MapKind::Affine => {
                let off = |s: usize, t: usize| weights[(s, t)] - if s == t { 1.0 } else { 0.0 };
                let all = (0..dim).flat_map(|s| (0..dim).map(move |t| (s, t)));
                all.map(|(s, t)| off(s, t) * off(s, t)).sum::<f64>()
            }
            MapKind::Gaussian { width } => {
                let linear = weights.as_ref().subrows(0, n);
                let images = kernel(x, x, dim, width) * linear;
                let all = (0..n).flat_map(|i| (0..dim).map(move |t| (i, t)));
                all.map(|e| linear[e] * images[e]).sum::<f64>()
            }
        };
        Ok(Self {
            kind: settings.kind,
            roughness: eta * roughness,
            dim,
            centres: match settings.kind {
                MapKind::Affine => Vec::new(),
                MapKind::Gaussian { .. } => x.to_vec(),
            },
            weights,
        })
    }

    /// η‖T‖², what the ridge adds to the least squares.
    #[must_use]
    pub fn roughness(&self) -> f64 {
        self.roughness
    }

    /// The images of points, rows of the domain's dimension. O(points·dim²), or O(points·n·dim) with a kernel.
    ///
    /// # Errors
    /// Points of another dimension, numbers that are not finite.
    pub fn transform(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        let (dim, rows) = (self.dim, check_rows("x", x, self.dim)?);
        let last = self.weights.nrows() - 1;
        let linear = self.weights.as_ref().subrows(0, last);
        let features = match self.kind {
            MapKind::Affine => MatRef::from_row_major_slice(x, rows, dim).to_owned(),
            MapKind::Gaussian { width } => kernel(x, &self.centres, dim, width),
        };
        let out = features * linear;
        let mut moved = Vec::with_capacity(x.len());
        for i in 0..rows {
            moved.extend((0..dim).map(|t| out[(i, t)] + self.weights[(last, t)]));
        }
        Ok(moved)
    }
}

/// k(x_i, y_j) of rows of `dim`.
fn kernel(x: &[f64], y: &[f64], dim: usize, width: f64) -> Mat<f64> {
    let factor = -0.5 / (width * width);
    Mat::from_fn(x.len() / dim, y.len() / dim, |i, j| {
        let (x, y) = (&x[i * dim..(i + 1) * dim], &y[j * dim..(j + 1) * dim]);
        let d: f64 = x.iter().zip(y).map(|(p, q)| (p - q) * (p - q)).sum();
        (factor * d).exp()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud() -> (Domain, Vec<f64>) {
        let x: Vec<f64> = (0..24).map(|k| (1.7 * f64::from(k)).sin() * 2.0).collect();
        // A symmetric matrix and a translation.
        let images: Vec<f64> = x
            .chunks_exact(2)
            .flat_map(|p| [2.0 * p[0] + 0.5 * p[1] + 1.0, 0.5 * p[0] + p[1] - 3.0])
            .collect();
        (Domain::new("source", x, 2).expect("points"), images)
    }

    #[test]
    fn an_affine_map_is_found_again() {
        let (source, images) = cloud();
        let settings = MapSettings {
            kind: MapKind::Affine,
            ridge: 1e-12,
        };
        let map = LearnedMap::fit(settings, &source, &images, &[1.0 / 12.0; 12]).expect("a map");
        let moved = map.transform(&[1.0, 2.0, -3.0, 0.5]).expect("points");
        for (m, w) in moved.iter().zip([4.0, -0.5, -4.75, -4.0]) {
            assert!((m - w).abs() < 1e-8, "{moved:?}");
        }
        // A heavy ridge leaves a translation: by the difference of the means.
        let heavy = MapSettings {
            ridge: 1e12,
            ..settings
        };
        let map = LearnedMap::fit(heavy, &source, &images, &[1.0 / 12.0; 12]).expect("a map");
        let mean = |v: &[f64], t: usize| v.iter().skip(t).step_by(2).sum::<f64>() / 12.0;
        let moved = map.transform(&[1.0, 2.0]).expect("points");
        for t in 0..2 {
            let wanted = [1.0, 2.0][t] + mean(&images, t) - mean(source.points(), t);
            assert!((moved[t] - wanted).abs() < 1e-6, "{moved:?}");
        }
    }

    #[test]
    fn a_kernel_map_interpolates_and_its_weights_sum_to_zero() {
        let (source, images) = cloud();
        let fit = |ridge: f64, masses: &[f64]| {
            let kind = MapKind::Gaussian { width: 0.5 };
            LearnedMap::fit(MapSettings { kind, ridge }, &source, &images, masses).expect("a map")
        };
        let map = fit(1e-10, &[1.0 / 12.0; 12]);
        let moved = map.transform(source.points()).expect("points");
        let off = moved.iter().zip(&images).map(|(m, w)| (m - w).abs());
        assert!(off.fold(0.0, f64::max) < 1e-5);
        let masses: Vec<f64> = (0..12).map(|k| f64::from(k % 3) / 12.0).collect();
        let map = fit(0.3, &masses);
        for t in 0..2 {
            let sum: f64 = (0..12).map(|i| map.weights[(i, t)]).sum();
            assert!(sum.abs() < 1e-10);
        }
        // Stationary: Σ_i w_i k_ij r_i + η (K z)_j = 0 in the offset, which is Σ w_i r_i = 0.
        let moved = map.transform(source.points()).expect("points");
        for t in 0..2 {
            let rest = (0..12).map(|i| masses[i] * (moved[2 * i + t] - images[2 * i + t]));
            assert!(rest.sum::<f64>().abs() < 1e-10);
        }
    }
}
