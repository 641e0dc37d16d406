//! How the command ends.

use std::process::ExitCode;

use kantorovich::Error;

/// The exit status of `ot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: solved to tolerance, or listed, or helped.
    Solved,
    /// 2: bad input or usage. One line on standard error, nothing on standard output.
    Usage,
    /// 3: an answer that did not reach its tolerance, printed all the same.
    NotConverged,
    /// 4: no plan exists. One line with the proof on standard error, nothing on standard output.
    Infeasible,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Solved => 0,
            Self::Usage => 2,
            Self::NotConverged => 3,
            Self::Infeasible => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why there is no answer to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    exit: Exit,
}

impl Failure {
    /// Bad input or usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit: Exit::Usage,
        }
    }

    /// The same with the option that it is about in front.
    pub(crate) fn option(option: &str, problem: impl std::fmt::Display) -> Self {
        Self::usage(format!("{}: {problem}", named(option)))
    }

    /// The same with where it happened in front.
    pub(crate) fn within(self, place: &str) -> Self {
        Self {
            message: format!("{place}: {}", self.message),
            ..self
        }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error {
            Error::Infeasible(_) => Exit::Infeasible,
            _ => Exit::Usage,
        };
        Self {
            message: error.to_string(),
            exit,
        }
    }
}

/// A message on one line: what file names and arguments bring along is escaped.
pub(crate) fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.trim().chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// An option as it is written; what is in angle brackets is an argument without one.
pub(crate) fn named(option: &str) -> String {
    if option.starts_with('<') {
        option.to_owned()
    } else {
        format!("--{option}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_on_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[1m\tc "), "a\\nb\\u{1b}[1m\\tc");
    }

    #[test]
    fn only_infeasibility_has_its_own_status() {
        let proof = kantorovich::Infeasible {
            sources: vec![1],
            targets: vec![],
            supply: 0.5,
            capacity: 0.0,
        };
        let failure = Failure::from(Error::Infeasible(Box::new(proof)));
        assert_eq!(failure.exit().code(), 4);
        assert!(failure.message().contains("{1}"));
        let failure = Failure::from(Error::unsupported("sinkhorn", "partial"));
        assert_eq!(failure.exit().code(), 2);
    }
}
