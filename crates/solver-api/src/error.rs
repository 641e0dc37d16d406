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
    #[error("`{argument}`[{index}] is {value}: weights must be finite and not negative")]
    InvalidWeight {
        /// `a`, `b` or the name the caller gave.
        argument: &'static str,
        /// Position in the weight vector.
        index: usize,
        /// The offending value.
        value: f64,
    },
    /// The weights sum to zero or to more than a finite number, or there are none.
    #[error("`{argument}` has mass {mass} over {len} entries: the sum must be positive and finite")]
    InvalidMass {
        /// `a` or `b`.
        argument: &'static str,
        /// The sum.
        mass: f64,
        /// The number of entries.
        len: usize,
    },
    /// A cost entry is NaN or −∞, or breaks another rule.
    #[error("`cost`[{row}, {col}] is {value}: {rule}")]
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
    /// A coordinate is not finite, or a point is not one the ground metric is defined for.
    #[error("`{argument}`[{row}, {col}] is {value}: {rule}")]
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
        "`b` has mass {b_mass} but `a` has mass {a_mass}: a balanced problem needs equal masses (within {tolerance:e} relative); normalize both, or relax the marginals"
    )]
    MassMismatch {
        /// Total of `a`.
        a_mass: f64,
        /// Total of `b`.
        b_mass: f64,
        /// Relative tolerance in force.
        tolerance: f64,
    },
    /// A parameter is outside of its range, unknown, or can't be read.
    #[error("`{name}` = {value}: {rule}")]
    InvalidSetting {
        /// The parameter.
        name: String,
        /// Its value as text.
        value: String,
        /// The rule.
        rule: String,
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
        "`{solver}` stopped by {termination} after {iterations} iterations with marginal errors {source_error:e} and {target_error:e}"
    )]
    NotConverged {
        /// The solver.
        solver: String,
        /// How it ended.
        termination: Termination,
        /// Iterations done.
        iterations: u64,
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
            value: value.to_string(),
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
