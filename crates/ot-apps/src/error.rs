//! What an application may refuse, as data.

use solver_api::{Capability, Solver, Termination};

/// Why an application could not be set up, fitted or asked. Every message names the argument, the value and the rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A problem could not be stated or solved.
    #[error(transparent)]
    Transport(#[from] solver_api::Error),
    /// A network could not be made.
    #[error(transparent)]
    Network(#[from] ot_nn::Error),
    /// One of many problems could not be stated or solved.
    #[error("row {row} to {col}: {error}")]
    Pair {
        /// The source among the rows.
        row: usize,
        /// The target among the columns.
        col: usize,
        /// Why.
        error: solver_api::Error,
    },
    /// An array has not as many numbers as its shape says, or a shape is empty.
    #[error("`{argument}` has {found} values, but {expected}")]
    Shape {
        /// The argument.
        argument: &'static str,
        /// How many there are.
        found: usize,
        /// What is expected, as a clause.
        expected: String,
    },
    /// Images of two sizes meet.
    #[error(
        "`{argument}` has images of {}×{}, but `{other}` has images of {}×{}: they must be of one size",
        found.0, found.1, expected.0, expected.1
    )]
    ImageSize {
        /// The argument.
        argument: &'static str,
        /// Its height and width.
        found: (usize, usize),
        /// What it has to match.
        other: &'static str,
        /// The height and width of that.
        expected: (usize, usize),
    },
    /// A pixel is NaN, infinite or negative.
    #[error(
        "`{argument}`[{image}], row {row}, column {col} is {value}: pixels must be finite and not negative"
    )]
    Pixel {
        /// The argument.
        argument: &'static str,
        /// Index of the image.
        image: usize,
        /// Row of the pixel.
        row: usize,
        /// Column of the pixel.
        col: usize,
        /// Its value.
        value: f64,
    },
    /// A number of an array of rows breaks a rule.
    #[error("`{argument}`, row {row}, column {col} is {value}: {rule}")]
    Entry {
        /// The argument.
        argument: &'static str,
        /// Its row: the sample, or the label.
        row: usize,
        /// Its column: the label, or the feature.
        col: usize,
        /// Its value.
        value: f64,
        /// The rule.
        rule: &'static str,
    },
    /// An image has no mass to transport.
    #[error(
        "`{argument}`[{image}] is zero everywhere: an image needs a pixel above 0 to be a measure"
    )]
    EmptyImage {
        /// The argument.
        argument: &'static str,
        /// Index of the image.
        image: usize,
    },
    /// Not one label for each image.
    #[error("`{argument}` has {found} labels, but there are {expected} {of}: one label each")]
    LabelCount {
        /// The labels.
        argument: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        expected: usize,
        /// What they belong to.
        of: &'static str,
    },
    /// A class that was asked for has no samples.
    #[error("class {class} has no samples in `{argument}`: every class needs at least one")]
    ClassWithoutSamples {
        /// The labels.
        argument: &'static str,
        /// The class.
        class: i64,
    },
    /// More models are asked for than a class has samples.
    #[error(
        "`models` = {models}: class {class} has {samples} samples, and needs at least as many as models"
    )]
    TooFewSamples {
        /// Models asked for.
        models: usize,
        /// The class.
        class: i64,
        /// Its samples.
        samples: usize,
    },
    /// The observer, the deadline or the token of the context stopped it.
    #[error("stopped by {termination} after {done} of {count} {what}")]
    Stopped {
        /// What its steps are.
        what: &'static str,
        /// Why it stopped.
        termination: Termination,
        /// Steps done.
        done: usize,
        /// Steps to do.
        count: usize,
    },
    /// Nothing to tell apart.
    #[error("`{argument}` has one class only, {class}: a classifier needs two or more")]
    OneClass {
        /// The labels.
        argument: &'static str,
        /// The class.
        class: i64,
    },
}

impl Error {
    /// Whether a stop, and not a fault, is what ended it: [`Error::Stopped`], or a solve that was cancelled or ran out of
    /// time.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        match self {
            Self::Stopped { .. } => true,
            Self::Transport(error) | Self::Pair { error, .. } => matches!(
                error,
                solver_api::Error::NotConverged {
                    termination: Termination::Cancelled | Termination::TimeLimit,
                    ..
                }
            ),
            _ => false,
        }
    }

    /// What went wrong between a row and a column.
    pub(crate) fn of_pair(self, row: usize, col: usize) -> Self {
        match self {
            Self::Transport(error) => Self::Pair { row, col, error },
            other => other,
        }
    }

    /// A setting outside of its range.
    pub(crate) fn setting(name: &str, value: impl ToString, rule: &str) -> Self {
        Self::Transport(solver_api::Error::setting(name, value, rule))
    }
}

/// Refuses a solver without `capability`, by its name.
pub(crate) fn require(solver: &dyn Solver, capability: Capability) -> Result<(), Error> {
    if solver.capabilities().has(capability) {
        return Ok(());
    }
    let missing = solver_api::Error::unsupported(solver.name(), capability.name());
    Err(missing.into())
}
