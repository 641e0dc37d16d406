//! Ranges of settings: a value by its name, whether it fits, and what it must be.

use crate::Error;

/// A setting, its value, whether that is within its range, and what the range is.
pub(crate) type Rule = (&'static str, f64, bool, &'static str);

/// The first that does not fit.
pub(crate) fn all(rules: impl IntoIterator<Item = Rule>) -> Result<(), Error> {
    match rules.into_iter().find(|(_, _, fits, _)| !fits) {
        None => Ok(()),
        Some((name, value, _, rule)) => Err(Error::Setting { name, value, rule }),
    }
}

pub(crate) fn positive(name: &'static str, value: f64) -> Rule {
    let fits = value > 0.0 && value.is_finite();
    (name, value, fits, "must be positive and finite")
}

pub(crate) fn not_negative(name: &'static str, value: f64) -> Rule {
    let fits = value >= 0.0 && value.is_finite();
    (name, value, fits, "must be finite and not negative")
}

/// From 0 to 1.
pub(crate) fn part(name: &'static str, value: f64) -> Rule {
    let fits = (0.0..=1.0).contains(&value);
    (name, value, fits, "must be from 0 to 1")
}

/// From 0 to below 1.
pub(crate) fn less_than_all(name: &'static str, value: f64) -> Rule {
    let fits = (0.0..1.0).contains(&value);
    (name, value, fits, "must be from 0 to below 1")
}

pub(crate) fn some(name: &'static str, count: u64) -> Rule {
    (name, count as f64, count > 0, "must be at least 1")
}
