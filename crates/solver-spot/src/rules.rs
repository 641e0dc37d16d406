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

/// Of Adam's steps.
pub(crate) fn rate(name: &'static str, value: f64) -> Rule {
    let fits = value > 0.0 && value <= 1.0;
    (name, value, fits, "must be positive and at most 1")
}

/// What there is room for at once.
pub(crate) fn room(name: &'static str, count: usize, least: usize) -> Rule {
    let fits = (least..=1 << 24).contains(&count);
    let rule = if least == 1 {
        "must be from 1 to 2^24"
    } else {
        "must be from 2 to 2^24"
    };
    (name, count as f64, fits, rule)
}

pub(crate) fn some(name: &'static str, count: u64) -> Rule {
    (name, count as f64, count > 0, "must be at least 1")
}
