//! What can be set on a closed form.

use solver_api::{Error, OptionReader, Options, SettingSpec, Solution, Termination};

use solver_api::Problem;

/// The settings of the closed forms that are exact: [`Line`](super::Line), [`Circle`](super::Circle) and
/// [`TreeSolver`](super::tree::TreeSolver).
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The relative gap (upper − lower)/(mass · spread) that is promised. The form is exact; a certificate that is wider, by
    /// more than rounding, ends as `Stalled`, and a gap below 1e-12 is refused by every solve. Default: 1e-9, as of the
    /// other exact backends.
    #[doc(alias = "stopThr")]
    pub tol: f64,
}

/// Below this relative gap double precision promises nothing.
const SMALLEST_TOL: f64 = 1e-12;

impl Default for Settings {
    fn default() -> Self {
        Self { tol: 1e-9 }
    }
}

impl Settings {
    /// The settings themselves, or an error that names the one that is out of its range.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        if !(self.tol.is_finite() && self.tol > 0.0) {
            return Err(Error::setting(
                "tol",
                self.tol,
                "must be positive and finite",
            ));
        }
        Ok(self)
    }

    /// An error for a tolerance out of reach. Said of the problems that the form is for alone: whoever asks all backends with
    /// one tolerance does not hear of this one where another is to solve the problem.
    pub(crate) fn check_reach(&self, solver: &str) -> Result<(), Error> {
        if self.tol < SMALLEST_TOL {
            return Err(Error::UnreachableTolerance {
                solver: solver.to_owned(),
                tol: self.tol,
                reachable: SMALLEST_TOL,
            });
        }
        Ok(())
    }

    /// From options: `tol`, and nothing else.
    pub(crate) fn read(solver: &str, options: &Options) -> Result<Self, Error> {
        let mut reader = OptionReader::new(solver, options);
        let mut settings = Self::default();
        if let Some(tol) = reader.tol()? {
            settings.tol = tol;
        }
        reader.finish()?;
        Ok(settings)
    }

    pub(crate) fn specs() -> Vec<SettingSpec> {
        vec![SettingSpec {
            name: "tol",
            default: format!("{:e}", Self::default().tol),
            doc: "relative gap promised; the form is exact, so this only refuses what cannot be reached",
        }]
    }

    /// An answer whose bracket is wider than promised says so. `rounding` is what its ends may be off by beside their own
    /// digits.
    pub(crate) fn judge(
        &self,
        problem: &Problem,
        solution: &mut Solution,
        rounding: impl Fn() -> f64,
    ) {
        let wide = (solution.certificate).is_some_and(|c| {
            // Where the bracket is within rounding, nobody needs to know the spread.
            let gap = c.gap();
            gap.is_nan()
                || gap > 1e-15 * c.upper.abs()
                    && c.relative_gap(problem) > self.tol
                    && gap > rounding()
        });
        if wide && solution.convergence.termination == Termination::Optimal {
            solution.convergence.termination = Termination::Stalled;
        }
    }
}
