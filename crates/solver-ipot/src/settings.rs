//! The settings of [`Ipot`](crate::Ipot), each default with its reason.

use std::str::FromStr;

use solver_api::{Error, Reg};

use crate::NAME;

/// How the proximal steps follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// The exact path of the method (ε = β/t after t steps of β), followed by tangents and sparse Newton steps: some tens
    /// of them to the optimum.
    #[default]
    Accelerated,
    /// Algorithm 1 as printed: proximal steps of one β, L scaling steps each, scalings warm-started.
    Printed,
}

/// Which plan is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanKind {
    /// An (almost) vertex near the iteration's plan: at most n + m − 1 entries, exact marginals, and a cost that is
    /// the upper end of the bracket.
    Sparse,
    /// The iteration's own plan, written out: positive nearly everywhere.
    Dense,
    /// The same as potentials and ε: O(n + m) memory beside the cost.
    Implicit,
}

/// What can be set. [`Ipot::new`](crate::Ipot::new) checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The step β of a proximal iteration: after t of them the plan is that of ε = β/t. The accelerated schedule stops
    /// at ε = β first where that is larger than a tenth of the spread; a smaller one is on its way in any case. Default:
    /// 1e-2 of the largest cost.
    ///
    /// The printed schedule with a small β may end in a *cycle*: one scaling step an iteration no longer keeps up with a
    /// kernel that changes by exp(−C/β), and the iterates come back to where they were. Of 40 random problems of 9×8, after
    /// 20 000 iterations with L = 1, 10 had not converged at β = 0.01 of the largest cost, with gaps up to 7e-2 that no
    /// longer fell; 3 at β = 0.1, with gaps up to 6e-6. The answer then is
    /// [`Termination::IterationLimit`](solver_api::Termination::IterationLimit) with a bracket that holds and is not narrow,
    /// never a claim of convergence. Use an [`inner`](Self::inner) from 10 on (1 and 2 of the 40, gaps up to 7e-6 and 1e-8)
    /// or the accelerated schedule, which solves them all and hardly asks for β.
    #[doc(alias("reg", "epsilon"))]
    pub beta: Reg,
    /// Inner scaling steps L of a printed iteration. Default: 1, as the source recommends; it may cycle where β is small
    /// ([`beta`](Self::beta)). The accelerated schedule solves its inner problems to the end and has no use for it.
    pub inner: u64,
    /// Default: accelerated, because the printed one needs from 10³ to 10⁵ iterations.
    pub schedule: Schedule,
    /// (upper − lower) / (mass · spread of the cost) at which the solve ends. Default: 1e-9, ten times better than
    /// what values are compared to.
    #[doc(alias("stopThr", "threshold"))]
    pub tol: f64,
    /// Iterations: printed ones, or Newton steps of the accelerated schedule. Default: 100 000, the length of the
    /// source's figures; the accelerated schedule takes some tens.
    #[doc(alias("numItermax", "max_iterations"))]
    pub max_iter: u64,
    /// Printed iterations between two checks of the bracket. Default: 20; a check costs as much as three to five
    /// iterations. The accelerated schedule checks whenever ε has fallen by a fixed factor.
    pub check_every: u64,
    /// Default (`None`): sparse with the accelerated schedule, whose aim is the optimum, and implicit with the printed
    /// one, whose iterates are what one asks for.
    pub plan: Option<PlanKind>,
}

/// Values of potentials are sums of costs along the paths of a tree: below this relative gap, double precision
/// promises nothing.
pub const SMALLEST_TOL: f64 = 1e-12;

impl Default for Settings {
    fn default() -> Self {
        Self {
            beta: Reg::default(),
            inner: 1,
            schedule: Schedule::default(),
            tol: 1e-9,
            max_iter: 100_000,
            check_every: 20,
            plan: None,
        }
    }
}

impl Settings {
    /// Algorithm 1 as printed, with this β.
    #[must_use]
    pub fn printed(beta: Reg) -> Self {
        Self {
            beta,
            schedule: Schedule::Printed,
            ..Self::default()
        }
    }

    /// The plan that is returned.
    #[must_use]
    pub fn plan(&self) -> PlanKind {
        self.plan.unwrap_or(match self.schedule {
            Schedule::Accelerated => PlanKind::Sparse,
            Schedule::Printed => PlanKind::Implicit,
        })
    }

    /// An error that names the first setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        self.beta.check()?;
        if !(self.tol > 0.0 && self.tol.is_finite()) {
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
        for (name, value) in [
            ("max_iter", self.max_iter),
            ("inner", self.inner),
            ("check_every", self.check_every),
        ] {
            if value == 0 {
                return Err(Error::setting(name, 0, "must be at least 1"));
            }
        }
        Ok(())
    }
}

/// What `schedule` may be.
pub(crate) const SCHEDULES: &str = "must be accelerated or printed";
/// What `plan` may be.
pub(crate) const PLANS: &str = "must be sparse, dense or implicit";

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "accelerated" => Ok(Self::Accelerated),
            "printed" => Ok(Self::Printed),
            other => Err(Error::setting("schedule", other, SCHEDULES)),
        }
    }
}

impl FromStr for PlanKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "sparse" => Ok(Self::Sparse),
            "dense" => Ok(Self::Dense),
            "implicit" => Ok(Self::Implicit),
            other => Err(Error::setting("plan", other, PLANS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_checked() {
        let good = Settings::default();
        assert!(good.check().is_ok());
        for bad in [
            Settings {
                tol: f64::NAN,
                ..good.clone()
            },
            Settings {
                tol: 1e-14,
                ..good.clone()
            },
            Settings {
                max_iter: 0,
                ..good.clone()
            },
            Settings {
                inner: 0,
                ..good.clone()
            },
            Settings {
                check_every: 0,
                ..good.clone()
            },
            Settings {
                beta: Reg::Absolute(0.0),
                ..good.clone()
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_plan_follows_the_schedule() {
        assert_eq!(Settings::default().plan(), PlanKind::Sparse);
        assert_eq!(
            Settings::printed(Reg::Relative(0.1)).plan(),
            PlanKind::Implicit
        );
    }
}
