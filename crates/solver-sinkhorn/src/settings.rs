//! The settings of [`Sinkhorn`](crate::Sinkhorn), each default with its reason.

use solver_api::{Error, Precision, Reference, Reg};

/// What can be set. `Settings::default()` is right for most problems; [`Sinkhorn::new`](crate::Sinkhorn::new) checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Regularization ε. Default: 1e-2 of the largest cost, where the kernel entries of a problem with costs from
    /// 0 to max stay above e⁻¹⁰⁰, far inside of f64, and the bias is a few per cent.
    #[doc(alias("epsilon", "blur", "lambda"))]
    pub reg: Reg,
    /// The larger of the two marginal L1 errors over the mass at which the solve ends. Default (`None`):
    /// [`DEFAULT_TOL`], or [`DEFAULT_TOL_F32`] with an f32 kernel; where rounding in large exponents is in the way of
    /// that, what is reachable up to [`LARGEST_DEFAULT_TOL`].
    #[doc(alias("stopThr", "threshold"))]
    pub tol: Option<f64>,
    /// Iterations (a row and a column update each). Default: 100 000, which is minutes at n = 1000 and therefore a
    /// net against hanging, not a budget.
    #[doc(alias("numItermax", "max_iterations"))]
    pub max_iter: u64,
    /// Iterations between two checks for observers, deadlines and the history. The tolerance is tested after
    /// every iteration, at no extra pass. Default: 10, rare enough for clocks to cost nothing at n = 10 and often
    /// enough to stop within 0.1 s at n = 5000.
    pub check_every: u64,
    /// How the kernel matrix is stored. Default: f64. With f32 it takes half the memory or, with the copy that
    /// `products` needs of an f64 kernel, a third; but the plan's true marginals can't be trusted below
    /// [`SMALLEST_TOL_F32`].
    pub precision: Precision,
    /// The products of iterations that need not be exact. Default: f32, which halves the time of an iteration; those
    /// that decide (where the solve ends, what it returns) are in f64 in any case, and the answer is right to the
    /// same tolerance. A copy of the kernel takes 4 bytes an entry more with `precision` f64: with f64 here there is
    /// none. Matrix products of batches with one cost are in `precision`.
    /// Relaxed problems have theirs in `precision`.
    pub products: Precision,
    /// What the entropic term is relative to. Default: a⊗b, with which values do not depend on how the points of a
    /// measure are split.
    #[doc(alias = "prior")]
    pub reference: Reference,
}

/// The default of `tol` with an f64 kernel: tighter than the 1e-8 to which values are compared.
pub const DEFAULT_TOL: f64 = 1e-9;
/// No default is larger than this: costs that are larger yet beside `reg` are refused.
pub const LARGEST_DEFAULT_TOL: f64 = 1e-6;
/// The default of `tol` with an f32 kernel.
pub const DEFAULT_TOL_F32: f64 = 1e-6;
/// An f32 kernel is off by 2⁻²⁴ = 6e-8 relative in every entry, and so may be the marginals of the plan.
pub const SMALLEST_TOL_F32: f64 = 2e-7;

impl Default for Settings {
    fn default() -> Self {
        Self {
            reg: Reg::default(),
            tol: None,
            max_iter: 100_000,
            check_every: 10,
            precision: Precision::F64,
            products: Precision::F32,
            reference: Reference::marginals(),
        }
    }
}

impl Settings {
    /// The defaults with another regularization.
    #[must_use]
    pub fn with_reg(reg: Reg) -> Self {
        Self {
            reg,
            ..Self::default()
        }
    }

    /// The tolerance asked for, or its default.
    #[must_use]
    pub fn tol(&self) -> f64 {
        self.tol.unwrap_or(match self.precision {
            Precision::F32 => DEFAULT_TOL_F32,
            Precision::F64 => DEFAULT_TOL,
        })
    }

    /// The tolerance in force on a problem on which `reachable` is the smallest that works.
    pub(crate) fn tol_beside(&self, reachable: f64) -> f64 {
        let tol = self.tol();
        if self.tol.is_none() && reachable <= LARGEST_DEFAULT_TOL {
            tol.max(reachable)
        } else {
            tol
        }
    }

    /// An error that names the first setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        self.reg.check()?;
        let tol = self.tol();
        if !(tol > 0.0 && tol.is_finite()) {
            return Err(Error::setting("tol", tol, "must be positive and finite"));
        }
        if self.max_iter == 0 {
            return Err(Error::setting("max_iter", 0, "must be at least 1"));
        }
        if self.check_every == 0 {
            return Err(Error::setting("check_every", 0, "must be at least 1"));
        }
        if self.precision == Precision::F32 && tol < SMALLEST_TOL_F32 {
            return Err(Error::UnreachableTolerance {
                solver: format!("{} with precision=f32", crate::NAME),
                tol,
                reachable: SMALLEST_TOL_F32,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_checked() {
        assert!(Settings::default().check().is_ok());
        let bad = [
            Settings {
                tol: Some(f64::NAN),
                ..Settings::default()
            },
            Settings {
                max_iter: 0,
                ..Settings::default()
            },
            Settings {
                check_every: 0,
                ..Settings::default()
            },
            Settings::with_reg(Reg::Absolute(-1.0)),
            Settings {
                tol: Some(1e-9),
                precision: Precision::F32,
                ..Settings::default()
            },
        ];
        for settings in bad {
            assert!(settings.check().is_err(), "{settings:?}");
        }
    }

    #[test]
    fn the_default_tolerance_follows_the_precision() {
        let narrow = Settings {
            precision: Precision::F32,
            ..Settings::default()
        };
        assert_eq!(narrow.tol(), 1e-6);
        assert!(narrow.check().is_ok());
    }
}
