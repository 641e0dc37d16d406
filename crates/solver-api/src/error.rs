//! What can go wrong, as data: every variant names the argument, the value and the rule that it breaks.

use crate::feasibility::Infeasible;
use crate::solution::Termination;

/// Why a problem could not be stated or solved.
///
/// An answer that merely missed its tolerance is not an error: it is a [`Solution`](crate::Solution) whose
/// [`Convergence`](crate::Convergence) says so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A weight is NaN, infinite or negative.
    #[error("`{argument}`[{index}] is {}: weights must be finite and not negative", number(*.value))]
    InvalidWeight {
        /// `a`, `b` or the name the caller gave.
        argument: &'static str,
        /// Position in the weight vector.
        index: usize,
        /// The offending value.
        value: f64,
    },
    /// The weights sum to less than [`Measure::LEAST_MASS`](crate::Measure::LEAST_MASS) or to more than a finite number,
    /// or there are none.
    #[error(
        "`{argument}` has mass {} over {len} entries: the sum must be finite, and {:e} or more",
        number(*.mass),
        crate::Measure::LEAST_MASS
    )]
    InvalidMass {
        /// `a` or `b`.
        argument: &'static str,
        /// The sum.
        mass: f64,
        /// The number of entries.
        len: usize,
    },
    /// A cost entry is NaN or −∞, or breaks another rule.
    #[error("`cost`[{row}, {col}] is {}: {rule}", number(*.value))]
    InvalidCost {
        /// Row (source index).
        row: usize,
        /// Column (target index).
        col: usize,
        /// The offending value.
        value: f64,
        /// The rule.
        rule: &'static str,
    },
    /// An entry of a plan is NaN, infinite or negative.
    #[error("`plan`[{row}, {col}] is {}: entries must be finite and not negative", number(*.value))]
    InvalidPlan {
        /// Row (source index).
        row: usize,
        /// Column (target index).
        col: usize,
        /// The offending value.
        value: f64,
    },
    /// A coordinate is not finite, or a point is not one the ground metric is defined for.
    #[error("`{argument}`[{row}, {col}] is {}: {rule}", number(*.value))]
    InvalidPoint {
        /// `x` or `y`.
        argument: &'static str,
        /// Index of the point.
        row: usize,
        /// Index of the coordinate.
        col: usize,
        /// The offending value.
        value: f64,
        /// The rule.
        rule: &'static str,
    },
    /// Two arguments do not fit together.
    #[error("`{argument}` has shape {found}, but {expected}")]
    ShapeMismatch {
        /// The argument.
        argument: &'static str,
        /// Its shape, such as `3×4`.
        found: String,
        /// What it has to fit, as a clause.
        expected: String,
    },
    /// The two masses of a balanced problem differ.
    #[error(
        "`b` has mass {} but `a` has mass {}: a balanced problem needs equal masses (within {tolerance:e} relative); normalize both, or relax the marginals",
        number(*.b_mass),
        number(*.a_mass)
    )]
    MassMismatch {
        /// Total of `a`.
        a_mass: f64,
        /// Total of `b`.
        b_mass: f64,
        /// Relative tolerance in force.
        tolerance: f64,
    },
    /// The largest cost times a mass is more than a number can hold with room for sums.
    #[error(
        "`cost` reaches {} and `{argument}` has mass {}: the largest cost times the mass must be at most {:e}; rescale one of them",
        number(*.cost),
        number(*.mass),
        crate::Problem::LARGEST_VALUE
    )]
    ValueOverflow {
        /// The allowed cost of the largest magnitude.
        cost: f64,
        /// `a` or `b`, whichever is heavier.
        argument: &'static str,
        /// Its mass.
        mass: f64,
    },
    /// A parameter is outside of its range, or can't be read.
    #[error("`{name}` = {value}: {rule}")]
    InvalidSetting {
        /// The parameter.
        name: String,
        /// Its value as text.
        value: String,
        /// The rule.
        rule: String,
    },
    /// The backend has no setting of that name.
    #[error("`{name}` = {value}: `{backend}` has no such setting; it has {}", listed(.known))]
    UnknownSetting {
        /// The backend.
        backend: String,
        /// The setting asked for.
        name: String,
        /// Its value as text.
        value: String,
        /// The settings it has.
        known: Vec<String>,
    },
    /// The tolerance asked for is below what the number type can reach.
    #[error(
        "`tol` = {tol:e}: `{solver}` reaches {reachable:e} at best on this problem; ask for that or more"
    )]
    UnreachableTolerance {
        /// The solver.
        solver: String,
        /// The tolerance asked for.
        tol: f64,
        /// The smallest tolerance that works.
        reachable: f64,
    },
    /// The solver does not handle this kind of problem.
    #[error("`{solver}` can't solve this problem: it lacks `{needs}`{}", list_hint(.instead))]
    Unsupported {
        /// The solver.
        solver: String,
        /// The missing capability.
        needs: String,
        /// Solvers that have it, where known.
        instead: Vec<String>,
    },
    /// The Gibbs kernel exp(−C/ε) leaves the range of the number type.
    #[error(
        "`{solver}` refuses reg = {reg:e}: {reason}; use `sinkhorn-stabilized`, or reg = {safe_reg:e} or more"
    )]
    KernelUnderflow {
        /// The solver.
        solver: String,
        /// The regularization asked for, in cost units.
        reg: f64,
        /// A regularization that surely works: remaining spread / 600.
        safe_reg: f64,
        /// What left the normal range.
        reason: String,
    },
    /// No plan over the allowed pairs has the marginals asked for.
    #[error("infeasible: {0}")]
    Infeasible(Box<Infeasible>),
    /// A solution was required to have converged, and has not.
    #[error(
        "`{solver}` stopped by {termination}{} with marginal errors {source_error:e} and {target_error:e}",
        after(*.iterations)
    )]
    NotConverged {
        /// The solver.
        solver: String,
        /// How it ended.
        termination: Termination,
        /// Iterations done, where they are counted.
        iterations: Option<u64>,
        /// L1 error of the source marginal over the mass.
        source_error: f64,
        /// L1 error of the target marginal over the mass.
        target_error: f64,
    },
    /// No backend of that name is compiled in.
    #[error("`backend` = {name}: no such backend is compiled in; there are {}", .known.join(", "))]
    UnknownBackend {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The backend is compiled in, but can't run on this machine.
    #[error("backend `{backend}` is not available here: {reason}")]
    Unavailable {
        /// The backend.
        backend: String,
        /// Why not.
        reason: String,
    },
    /// Solving would need more memory than is sensible.
    #[error("`{solver}` would need {bytes} bytes for {what}, more than its limit of {limit}")]
    TooLarge {
        /// The solver.
        solver: String,
        /// What for.
        what: String,
        /// Bytes needed.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A solver that can't be interrupted would take too long.
    #[error(
        "`cost` has {pairs} allowed pairs, but `{solver}`, which can't be interrupted, takes at most `max_pairs` = {max_pairs}: raise it, or choose another backend"
    )]
    TooManyPairs {
        /// The solver.
        solver: String,
        /// Allowed pairs of positive weight.
        pairs: u64,
        /// What it takes.
        max_pairs: u64,
    },
    /// A third-party solver under a backend failed in a way of its own.
    #[error("`{solver}` failed: {message}")]
    Backend {
        /// The backend.
        solver: String,
        /// What it said.
        message: String,
    },
}

/// The longest number that is shown as it stands: the largest 64-bit integer has 20 digits.
const LONGEST: usize = 20;

/// A number as messages show it: in powers of ten where it would be a row of zeros.
pub(crate) fn number(x: f64) -> String {
    if x == 0.0 {
        // Never −0.
        "0".to_owned()
    } else if !x.is_finite() || (1e-5..1e16).contains(&x.abs()) {
        x.to_string()
    } else {
        format!("{x:e}")
    }
}

/// A value of a setting, as messages show it: numbers are not rows of zeros, and integers keep all digits.
pub(crate) fn shown(value: impl ToString) -> String {
    let value = value.to_string();
    let zeros = value.trim_start_matches('-').starts_with("0.00000");
    if value.len() > LONGEST || zeros {
        value.parse().map_or(value, number)
    } else {
        value
    }
}

/// How long a solver ran, where it counts.
pub(crate) fn after(iterations: Option<u64>) -> String {
    iterations.map_or(String::new(), |k| format!(" after {k} iterations"))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn list_hint(instead: &[String]) -> String {
    if instead.is_empty() {
        String::new()
    } else {
        format!("; {} can", instead.join(", "))
    }
}

impl Error {
    /// A parameter outside of its range.
    pub fn setting(name: impl Into<String>, value: impl ToString, rule: impl Into<String>) -> Self {
        Self::InvalidSetting {
            name: name.into(),
            value: shown(value),
            rule: rule.into(),
        }
    }

    /// A missing capability of `solver`.
    pub fn unsupported(solver: impl Into<String>, needs: impl Into<String>) -> Self {
        Self::Unsupported {
            solver: solver.into(),
            needs: needs.into(),
            instead: Vec::new(),
        }
    }

    pub(crate) fn shape(argument: &'static str, found: &[usize], expected: String) -> Self {
        let found = found
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("×");
        Self::ShapeMismatch {
            argument,
            found,
            expected,
        }
    }
}

/// Panics unless `argument` has the problem's shape: where what a caller puts together can't fit.
#[track_caller]
pub(crate) fn assert_shape(argument: &str, (rows, cols): (usize, usize), (n, m): (usize, usize)) {
    assert!(
        (rows, cols) == (n, m),
        "`{argument}` is {rows}×{cols}, but the problem is {n}×{m}"
    );
}

/// Panics unless `argument` has as many entries as there are `of` what it belongs to.
#[track_caller]
pub(crate) fn assert_len(argument: &str, len: usize, wanted: usize, of: &str) {
    assert!(
        len == wanted,
        "`{argument}` has {len} entries, but there are {wanted} {of}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_rows_of_zeros() {
        let shown = |value: f64| Error::setting("reg", value, "rule").to_string();
        assert_eq!(shown(1e308), "`reg` = 1e308: rule");
        assert_eq!(shown(-1e-320), "`reg` = -1e-320: rule");
        assert_eq!(shown(0.25), "`reg` = 0.25: rule");
        assert_eq!(shown(1e-13), "`reg` = 1e-13: rule");
        assert_eq!(shown(-2.5e-6), "`reg` = -2.5e-6: rule");
        let error = Error::InvalidWeight {
            argument: "a",
            index: 1,
            value: -1e300,
        };
        assert!(error.to_string().starts_with("`a`[1] is -1e300: "));
        let most = Error::setting("seed", u64::MAX, "rule").to_string();
        assert_eq!(most, "`seed` = 18446744073709551615: rule");
    }
}
