//! Transport between Gaussians: the Bures–Wasserstein distance, its map, barycenters, and a bound for samples.
//!
//! Between N(m, Σ) and N(n, T), whether or not the covariances are regular,
//!
//! W₂² = ‖m − n‖² + tr Σ + tr T − 2 tr (Σ^½ T Σ^½)^½
//!
//! (Dowson and Landau, *The Fréchet distance between multivariate normal distributions*, 1982; Olkin and Pukelsheim 1982).
//! With factors Σ = F Fᵀ, T = G Gᵀ and the singular values FᵀG = W D Vᵀ it is ‖m − n‖² + ‖F W − G V‖², a sum of squares
//! that loses no digits where the two are near, and needs no inverse and no root of a matrix. Of samples the factor
//! comes from the points themselves, so that small variances keep their digits.
//!
//! For any two measures of these moments W₂² is at least as large (Gelbrich, *On a formula for the L² Wasserstein metric
//! between measures on Euclidean and Hilbert spaces*, 1990), and as large where one is the image of the other under
//! x ↦ A x + c with A symmetric and positive.
//!
//! | what | file |
//! |---|---|
//! | [`Gaussian`]: moments, given or of samples | `moments.rs` |
//! | [`Gaussian::distance_squared`], [`Gaussian::map_to`] | `coupling.rs` |
//! | [`barycenter`] | `barycenter.rs` |
//! | the backend: a bracket for samples | `solve.rs`, `factory.rs` |
//! | matrices from and to slices | `matrix.rs` |

mod barycenter;
mod coupling;
mod factory;
mod matrix;
mod moments;
mod solve;

pub use barycenter::{Barycenter, barycenter};
pub use coupling::AffineMap;
pub use factory::GaussianFactory;
pub use moments::Gaussian;
pub use solve::GaussianSolver;

/// The backend's name.
pub const NAME: &str = "gaussian";
