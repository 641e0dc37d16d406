//! The loop that all iterations share: checks, limits, history.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use solver_api::{Check, Context, Convergence, Error, Progress, Termination};

/// When an iteration ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) tol: f64,
    pub(crate) max_iter: u64,
}

impl Limits {
    /// # Errors
    /// A setting outside of its range.
    pub(crate) fn check(self) -> Result<(), Error> {
        if !(self.tol > 0.0 && self.tol.is_finite()) {
            let rule = "must be positive and finite";
            return Err(Error::setting("tol", self.tol, rule));
        }
        if self.max_iter == 0 {
            return Err(Error::setting("max_iter", 0, "must be at least 1"));
        }
        Ok(())
    }
}

/// How a step came out.
pub(crate) enum Step {
    /// By how much it is off; +∞ if that isn't known yet.
    Off(f64),
    /// Its numbers are none.
    Failed,
}

impl Step {
    /// NaN is a failure.
    pub(crate) fn of(error: f64) -> Self {
        if error.is_nan() {
            Self::Failed
        } else {
            Self::Off(error)
        }
    }
}

/// Takes steps until one is off by no more than the tolerance, or something else ends it. `step` gets the number of the
/// step, from 1 on.
///
/// # Errors
/// [`Error::NotConverged`] where the numbers failed.
pub(crate) fn drive<E: From<Error>>(
    name: &str,
    limits: Limits,
    context: &Context,
    mut step: impl FnMut(u64) -> Result<Step, E>,
) -> Result<Convergence, E> {
    let started = Instant::now();
    let mut history = Vec::new();
    let (mut iteration, mut last) = (0, f64::INFINITY);
    let termination = loop {
        iteration += 1;
        match step(iteration)? {
            Step::Failed => {
                let failed = Error::NotConverged {
                    solver: name.to_owned(),
                    termination: Termination::NumericalFailure,
                    iterations: Some(iteration),
                    source_error: 0.0,
                    target_error: last,
                };
                return Err(failed.into());
            }
            Step::Off(error) => last = error,
        }
        if last <= limits.tol {
            break Termination::Converged;
        }
        if iteration >= limits.max_iter {
            break Termination::IterationLimit;
        }
        let elapsed = started.elapsed();
        if context.keep_history {
            history.push(Check {
                iteration,
                error: last,
                elapsed,
            });
        }
        let progress = Progress {
            problem: context.problem_index,
            iteration,
            part: None,
            error: last,
            tol: limits.tol,
            certificate: None,
            elapsed,
        };
        if let Some(termination) = context.check(&progress) {
            break termination;
        }
    };
    Ok(Convergence {
        termination,
        iterations: Some(iteration),
        source_error: 0.0,
        target_error: last,
        history,
    })
}

/// The largest, NaN if there is one: it must not get lost.
pub(crate) fn worst(errors: impl IntoIterator<Item = f64>) -> f64 {
    let worse = |most: f64, e: f64| if e <= most { most } else { e };
    errors.into_iter().fold(
        0.0,
        |most, e| if most.is_nan() { most } else { worse(most, e) },
    )
}

/// Room for the tasks of a step, as many as run at once; kept from step to step.
pub(crate) struct Rooms<R>(Mutex<Vec<R>>);

impl<R: Default> Rooms<R> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Lends one that is free, or a new one.
    pub(crate) fn lend<T>(&self, work: impl FnOnce(&mut R) -> T) -> T {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock is let go before the work begins.
        let taken = free().pop();
        let mut room = taken.unwrap_or_default();
        let done = work(&mut room);
        free().push(room);
        done
    }
}

/// Makes it at least `len` long and lends that much of it.
pub(crate) fn stretched(room: &mut Vec<f64>, len: usize) -> &mut [f64] {
    if room.len() < len {
        room.resize(len, 0.0);
    }
    &mut room[..len]
}

/// The width of a bracket around a least value, over its upper end; over a millionth of `spread`, the range of what is
/// averaged, where that is more, since a bracket around 0 has no relative width.
pub(crate) fn relative(gap: f64, upper: f64, spread: f64) -> f64 {
    let scale = upper.abs().max(1e-6 * spread);
    if scale > 0.0 { gap / scale } else { gap }
}
