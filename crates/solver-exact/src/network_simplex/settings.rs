//! The settings of [`NetworkSimplex`](super::NetworkSimplex), each default with its reason.

use solver_api::{Error, OptionReader, Options, SettingSpec};

use super::NAME;

/// What can be set. `Settings::default()` is right for nearly everything;
/// [`NetworkSimplex::new`](super::NetworkSimplex::new) checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Pivots after which the solve ends with `IterationLimit` and the feasible plan it has. Default
    /// (`None`): no limit, because strongly feasible trees make the method finite and a time limit is the
    /// better net.
    #[doc(alias("numItermax", "max_iterations"))]
    pub max_iter: Option<u64>,
    /// The relative gap (upper − lower)/(mass · spread) that is promised. The method is exact: it always
    /// prices to a few ulp; a certificate that is wider than this all the same ends as `Stalled`. Default: 1e-9.
    pub tol: f64,
}

/// Potentials are sums of costs along paths of the tree: below this relative gap, double precision
/// promises nothing.
pub const SMALLEST_TOL: f64 = 1e-12;

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
        self.checked_for(NAME)
    }

    /// The same for a backend that shares them.
    pub(crate) fn checked_for(self, solver: &str) -> Result<Self, Error> {
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
                solver: solver.to_owned(),
                tol: self.tol,
                reachable: SMALLEST_TOL,
            });
        }
        Ok(self)
    }
}

impl Settings {
    /// From options, for a backend of this name.
    pub(crate) fn read(solver: &str, options: &Options) -> Result<Self, Error> {
        let mut reader = OptionReader::new(solver, options);
        let mut settings = Self::default();
        if let Some(tol) = reader.tol()? {
            settings.tol = tol;
        }
        settings.max_iter = reader.max_iter()?;
        reader.finish()?;
        Ok(settings)
    }

    pub(crate) fn specs() -> Vec<SettingSpec> {
        vec![
            SettingSpec {
                name: "tol",
                default: format!("{:e}", Self::default().tol),
                doc: "relative gap promised; the method is exact, so this only refuses what cannot be reached",
            },
            SettingSpec {
                name: "max_iter",
                default: "none".to_owned(),
                doc: "pivots",
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_out_of_reach_says_what_is_reachable() {
        let settings = Settings {
            tol: 1e-13,
            ..Settings::default()
        };
        let said = settings.checked().unwrap_err().to_string();
        assert_eq!(
            said,
            "`tol` = 1e-13: `network-simplex` reaches 1e-12 at best on this problem; ask for that or more"
        );
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        assert!(Settings::default().checked().is_ok());
        for tol in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-15] {
            assert!(
                Settings {
                    tol,
                    ..Settings::default()
                }
                .checked()
                .is_err()
            );
        }
        assert!(
            Settings {
                max_iter: Some(0),
                ..Settings::default()
            }
            .checked()
            .is_err()
        );
    }
}
