//! The settings of [`TreeSolver`](super::TreeSolver), each default with its reason.

use solver_api::Error;

use super::NAME;

/// What can be set. `Settings::default()` is right for everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The relative gap (upper − lower)/(mass · spread) that is promised; a certificate that is wider, by more than rounding, ends as `Stalled`, and
    /// one below [`SMALLEST_TOL`] is refused by every solve. Default: 1e-9, as of the other exact backends.
    pub tol: f64,
}

/// Entries of the plan and potentials are sums that are rounded once; below this relative gap, a certificate in double
/// precision promises nothing.
pub const SMALLEST_TOL: f64 = 1e-12;

impl Default for Settings {
    fn default() -> Self {
        Self { tol: 1e-9 }
    }
}

impl Settings {
    /// The settings themselves, or an error that names the first that is out of its range.
    pub fn checked(self) -> Result<Self, Error> {
        if !(self.tol.is_finite() && self.tol > 0.0) {
            let rule = "must be positive and finite";
            return Err(Error::setting("tol", self.tol, rule));
        }
        Ok(self)
    }

    /// An error for a tolerance out of reach. Said of problems on trees alone: whoever asks all backends with one tolerance
    /// does not hear of this one where another is to solve the problem.
    pub(super) fn check_reach(&self) -> Result<(), Error> {
        if self.tol < SMALLEST_TOL {
            return Err(Error::UnreachableTolerance {
                solver: NAME.to_owned(),
                tol: self.tol,
                reachable: SMALLEST_TOL,
            });
        }
        Ok(())
    }
}
