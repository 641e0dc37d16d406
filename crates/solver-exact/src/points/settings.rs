//! The settings of [`ExactPoints`](super::ExactPoints), each default with its reason.

use solver_api::Error;

use super::NAME;
use crate::network_simplex::settings::SMALLEST_TOL;

/// What can be set. `Settings::default()` is right for nearly everything; [`ExactPoints::new`](super::ExactPoints::new)
/// checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Pivots after which the solve ends with `IterationLimit` and the feasible plan it has. Default (`None`): no limit.
    #[doc(alias("numItermax", "max_iterations"))]
    pub max_iter: Option<u64>,
    /// The relative gap (upper − lower)/(mass · spread) that is promised. The method is exact: a certificate that is wider
    /// ends as `Stalled`. Default: 1e-9.
    pub tol: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_iter: None,
            tol: 1e-9,
        }
    }
}

impl Settings {
    /// The settings themselves, or an error that names the first that is out of its range.
    pub fn checked(self) -> Result<Self, Error> {
        if self.max_iter == Some(0) {
            return Err(Error::setting("max_iter", 0, "must be at least 1"));
        }
        if !(self.tol.is_finite() && self.tol > 0.0) {
            return Err(Error::setting(
                "tol",
                self.tol,
                "must be positive and finite",
            ));
        }
        if self.tol < SMALLEST_TOL {
            return Err(Error::UnreachableTolerance {
                solver: NAME.to_owned(),
                tol: self.tol,
                reachable: SMALLEST_TOL,
            });
        }
        Ok(self)
    }
}
