//! The optimal coupling of two Gaussians: both are images of one standard normal vector.

use faer::{Mat, MatRef};
use solver_api::Error;

use super::Gaussian;
use super::matrix::{Singular, pseudo_inverse, squares, to_rows};
use super::moments::shape;

/// y = to + A (x − from): the optimal map between two Gaussians.
#[derive(Debug, Clone, PartialEq)]
pub struct AffineMap {
    matrix: Vec<f64>,
    from: Vec<f64>,
    to: Vec<f64>,
}

impl AffineMap {
    /// A, d×d row-major. Symmetric and positive semidefinite where the source's covariance is regular; elsewhere any
    /// matrix that is right on the subspace of the source, and 0 across it.
    #[must_use]
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// The mean of the source.
    #[must_use]
    pub fn from(&self) -> &[f64] {
        &self.from
    }

    /// The mean of the target.
    #[must_use]
    pub fn to(&self) -> &[f64] {
        &self.to
    }

    /// The images of points of the same dimension, row-major. O(n d²).
    ///
    /// # Errors
    /// A number of coordinates that is no multiple of d.
    pub fn apply(&self, points: &[f64]) -> Result<Vec<f64>, Error> {
        let d = self.from.len();
        if !points.len().is_multiple_of(d) {
            let expected = format!("points of dimension {d} are needed");
            return Err(shape("points", &[points.len()], expected));
        }
        let mut images = Vec::with_capacity(points.len());
        for x in points.chunks_exact(d) {
            for (row, to) in self.matrix.chunks_exact(d).zip(&self.to) {
                let terms = row.iter().zip(x).zip(&self.from);
                images.push(to + terms.map(|((a, x), m)| a * (x - m)).sum::<f64>());
            }
        }
        Ok(images)
    }
}

/// Turns of the standard normal vectors of both sides that make them one: X = m + F W ξ, Y = n + G V ξ.
pub(super) struct Coupling {
    /// F W and G V.
    pub(super) source: Mat<f64>,
    pub(super) target: Mat<f64>,
    /// W Vᵀ.
    pub(super) turn: Mat<f64>,
    pub(super) singular: Vec<f64>,
    /// W and V.
    pub(super) w: Mat<f64>,
    pub(super) v: Mat<f64>,
}

impl Coupling {
    /// E⟨X − m, Y − n⟩ = tr(FᵀG V Wᵀ), largest for the singular vectors of FᵀG.
    pub(super) fn of(p: &Gaussian, q: &Gaussian) -> Result<Self, Error> {
        let (f, g) = (p.factor.as_ref(), q.factor.as_ref());
        let product = f.transpose() * g;
        let mut parts = Singular::of(product.as_ref())?;
        let rank = parts.rank();
        // Where nothing correlates any turn is optimal: that one is taken which pairs directions in which both vary.
        let rest = rank..parts.d.len();
        if !rest.is_empty() {
            parts.w = aligned(f, &parts.w, rank)?;
            parts.v = aligned(g, &parts.v, rank)?;
        }
        Ok(Self {
            source: f * &parts.w,
            target: g * &parts.v,
            turn: &parts.w * parts.v.transpose(),
            singular: parts.d,
            w: parts.w,
            v: parts.v,
        })
    }
}

/// The columns of `turn` from `rank` on, turned among themselves so that F takes them to vectors of descending length.
fn aligned(factor: MatRef<'_, f64>, turn: &Mat<f64>, rank: usize) -> Result<Mat<f64>, Error> {
    let free = turn.get(.., rank..);
    let images = factor * free;
    let order = Singular::of(images.as_ref())?.v;
    let turned = free * &order;
    Ok(Mat::from_fn(turn.nrows(), turn.ncols(), |i, k| {
        if k < rank {
            turn[(i, k)]
        } else {
            turned[(i, k - rank)]
        }
    }))
}

impl Gaussian {
    pub(super) fn check_dim(&self, other: &Self, argument: &'static str) -> Result<(), Error> {
        if other.dim() == self.dim() {
            return Ok(());
        }
        let expected = format!("the other Gaussian has dimension {}", self.dim());
        Err(shape(argument, &[other.dim()], expected))
    }

    /// W₂² to another Gaussian of the same dimension, the squared Bures–Wasserstein distance. O(d³).
    ///
    /// ```
    /// use solver_exact::closed::gaussian::Gaussian;
    ///
    /// let p = Gaussian::new(&[0.0, 0.0], &[4.0, 0.0, 0.0, 1.0])?;
    /// let q = Gaussian::new(&[3.0, 0.0], &[1.0, 0.0, 0.0, 0.0])?; // flat
    /// assert!((p.distance_squared(&q)? - (9.0 + 1.0 + 1.0)).abs() < 1e-14);
    /// # Ok::<(), solver_api::Error>(())
    /// ```
    ///
    /// # Errors
    /// Another dimension; singular values that the library does not find.
    pub fn distance_squared(&self, other: &Self) -> Result<f64, Error> {
        self.check_dim(other, "other")?;
        let means = self.mean.iter().zip(&other.mean);
        let means: f64 = means.map(|(m, n)| (m - n) * (m - n)).sum();
        let coupling = Coupling::of(self, other)?;
        Ok(means + squares((&coupling.source - &coupling.target).as_ref()))
    }

    /// The optimal map to another Gaussian: A = G V Wᵀ F⁺, which is Σ^{-½} (Σ^½ T Σ^½)^½ Σ^{-½} where Σ is regular. The
    /// way back is `other.map_to(self)`. O(d³).
    ///
    /// # Errors
    /// Another dimension; a source on a subspace with a target that has more directions than it can reach: then the optimal
    /// plan is no map (the distance is defined all the same).
    pub fn map_to(&self, other: &Self) -> Result<AffineMap, Error> {
        self.check_dim(other, "other")?;
        let d = self.dim();
        let coupling = Coupling::of(self, other)?;
        let inverse = pseudo_inverse(self.factor.as_ref())?;
        // The target as a function of the source's standard normal vector.
        let target = &other.factor * coupling.turn.transpose();
        let matrix = &target * &inverse;
        let missed = &target - &matrix * &self.factor;
        if squares(missed.as_ref()) > 1e-14 * squares(other.factor.as_ref()) {
            let rank = Singular::of(self.factor.as_ref())?.rank();
            let rule =
                "of the source's covariance: on so small a subspace no map makes the target of it";
            return Err(Error::setting("rank", format!("{rank} of {d}"), rule));
        }
        let is_regular = Singular::of(self.factor.as_ref())?.rank() == d;
        let entry = |i, j| {
            if is_regular {
                0.5 * (matrix[(i, j)] + matrix[(j, i)])
            } else {
                matrix[(i, j)]
            }
        };
        Ok(AffineMap {
            matrix: to_rows(Mat::from_fn(d, d, entry).as_ref()),
            from: self.mean.clone(),
            to: other.mean.clone(),
        })
    }
}
