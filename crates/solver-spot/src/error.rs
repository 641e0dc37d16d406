//! What can go wrong.

/// Why a training could not be set up, or had to end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting outside of its range.
    #[error("`{name}` = {value}: {rule}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The rule.
        rule: &'static str,
    },
    /// Two things that do not fit.
    #[error("`{argument}`: {found}, but {expected}")]
    Shape {
        /// The argument.
        argument: &'static str,
        /// What there is.
        found: String,
        /// What is expected, as a clause.
        expected: String,
    },
    /// A number that is none.
    #[error("`{argument}` has {value} at {place}: all must be finite")]
    NotFinite {
        /// The argument.
        argument: &'static str,
        /// Where.
        place: usize,
        /// The value.
        value: f64,
    },
    /// The training left the range of numbers, in this step. The running means, which samples and estimates are of, are those of
    /// the step before; critics may have gone on.
    #[error("step {step}: {what}: try a smaller `rate`, or `clip`")]
    Diverged {
        /// The step, from 1 on.
        step: u64,
        /// What is no number.
        what: String,
    },
    /// An integration that could not be carried to its end.
    #[error(transparent)]
    Integration(#[from] crate::flow::IntegrationError),
    /// A network of the engine.
    #[error(transparent)]
    Network(#[from] ot_nn::Error),
    /// Weights that are none.
    #[error(transparent)]
    Transport(#[from] solver_api::Error),
}

impl Error {
    pub(crate) fn shape(
        argument: &'static str,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Shape {
            argument,
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}
