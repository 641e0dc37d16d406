//! The settings of [`SinkhornStabilized`](crate::SinkhornStabilized), each default with its reason.

use ot_entropic::choose::Method;
use ot_entropic::lazy::Arithmetic;
use ot_entropic::scaling::Acceleration;
use solver_api::{Error, Reference, Reg};

/// Whether costs between points are written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CostMode {
    /// As a matrix while it takes no more than [`LARGEST_MATRIX`] bytes.
    #[default]
    Auto,
    /// As a matrix, whatever it takes.
    Matrix,
    /// Never: entries are computed when asked for.
    Lazy,
}

/// Bytes of the largest matrix that is made of points without being asked for.
pub const LARGEST_MATRIX: u64 = 1 << 30;

/// What can be set. [`SinkhornStabilized::new`](crate::SinkhornStabilized::new) checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Regularization ε. Default: 1e-2 of the largest cost, as for the other entropic backends.
    #[doc(alias("epsilon", "blur", "lambda"))]
    pub reg: Reg,
    /// The larger of the two marginal L1 errors over the mass at which the solve ends. Default (`None`):
    /// [`DEFAULT_TOL`], or what rounding in large exponents leaves reachable, up to [`LARGEST_DEFAULT_TOL`].
    #[doc(alias("stopThr", "threshold"))]
    pub tol: Option<f64>,
    /// Newton steps, or iterations of scaling. Default: 100 000, a net against hanging: a path takes some thirty steps.
    #[doc(alias("numItermax", "max_iterations"))]
    pub max_iter: u64,
    /// How to solve. Default: [`Method::Auto`], which measures the contraction of scaling and predicts.
    pub method: Method,
    /// What the entropic term is relative to. Default: a⊗b, as for the other entropic backends.
    #[doc(alias = "prior")]
    pub reference: Reference,
    /// Whether costs between points are written out. Default: while the matrix is small.
    pub cost: CostMode,
    /// The number type of exponentials where they are not. Default: single precision from a tolerance of 2e-5 on;
    /// it reaches 1e-5 and refuses less.
    pub arithmetic: Arithmetic,
}

/// The names of methods, as options give them.
pub const METHODS: [(&str, Method); 6] = [
    ("auto", Method::Auto),
    ("newton", Method::Newton),
    ("anderson", by(Acceleration::Anderson, false)),
    ("over-relaxation", by(Acceleration::OverRelaxation, false)),
    ("scaling", by(Acceleration::Plain, false)),
    ("epsilon-scaling", by(Acceleration::Plain, true)),
];

const fn by(acceleration: Acceleration, by_stages: bool) -> Method {
    Method::Scaling {
        acceleration,
        by_stages,
    }
}

/// No marginal error is that small.
const SMALLEST_TOL: f64 = 1e-15;

/// The default of `tol`: tighter than the 1e-8 to which values are compared.
pub const DEFAULT_TOL: f64 = 1e-9;
/// No default is larger than this.
pub const LARGEST_DEFAULT_TOL: f64 = 1e-6;

impl Default for Settings {
    fn default() -> Self {
        Self {
            reg: Reg::default(),
            tol: None,
            max_iter: 100_000,
            method: Method::Auto,
            reference: Reference::marginals(),
            cost: CostMode::Auto,
            arithmetic: Arithmetic::Auto,
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

    /// The tolerance in force where rounding leaves `reachable`.
    #[must_use]
    pub fn tol_beside(&self, reachable: f64) -> f64 {
        self.tol
            .unwrap_or_else(|| reachable.clamp(DEFAULT_TOL, LARGEST_DEFAULT_TOL))
    }

    /// Whether a cost between n and m points is computed when asked for.
    #[must_use]
    pub fn is_lazy_for(&self, n: usize, m: usize) -> bool {
        match self.cost {
            CostMode::Auto => (n as u64).saturating_mul(m as u64) > LARGEST_MATRIX / 8,
            CostMode::Matrix => false,
            CostMode::Lazy => true,
        }
    }

    /// An error that names the first setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        self.reg.check()?;
        if let Some(tol) = self.tol {
            if !(tol > 0.0 && tol.is_finite()) {
                return Err(Error::setting("tol", tol, "must be positive and finite"));
            }
            if tol < SMALLEST_TOL {
                let rule =
                    "must be at least 1e-15: sums of weights in f64 are not exact beyond that";
                return Err(Error::setting("tol", tol, rule));
            }
        }
        if self.max_iter == 0 {
            return Err(Error::setting("max_iter", 0, "must be at least 1"));
        }
        if self.cost == CostMode::Lazy && self.method != Method::Auto {
            let names = METHODS.iter().find(|(_, method)| *method == self.method);
            let rule = "must be auto beside cost=lazy, which has an iteration of its own";
            return Err(Error::setting("method", names.map_or("", |n| n.0), rule));
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
                tol: Some(1e-17),
                ..Settings::default()
            },
            Settings {
                tol: Some(f64::NAN),
                ..Settings::default()
            },
            Settings {
                max_iter: 0,
                ..Settings::default()
            },
            Settings::with_reg(Reg::Absolute(-1.0)),
            // It would be ignored.
            Settings {
                cost: CostMode::Lazy,
                method: Method::Newton,
                ..Settings::default()
            },
        ];
        for settings in bad {
            assert!(settings.check().is_err(), "{settings:?}");
        }
    }
}
