//! The columns of a comparison, the same on the terminal and on the page.

use crate::report::Figures;
use crate::show;

/// A figure of each row.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) value: fn(&Figures) -> Option<f64>,
    pub(crate) shown: fn(f64) -> String,
    pub(crate) kind: Kind,
}

/// Where a column stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everywhere.
    Answer,
    /// Everywhere but in what must not change from run to run.
    Measurement,
    /// On the page, which has room for it.
    Detail,
}

const fn column(
    name: &'static str,
    value: fn(&Figures) -> Option<f64>,
    shown: fn(f64) -> String,
    kind: Kind,
) -> Column {
    Column {
        name,
        value,
        shown,
        kind,
    }
}

pub(crate) const ITERATIONS: &str = "iterations";

/// In order, after the backend's name.
pub(crate) const COLUMNS: [Column; 10] = [
    column(
        "cost",
        |f| Some(f.transport_cost),
        show::value,
        Kind::Answer,
    ),
    column("error", |f| f.error, show::relative, Kind::Answer),
    column("lower", |f| f.lower, show::value, Kind::Answer),
    column("upper", |f| f.upper, show::value, Kind::Answer),
    column("gap", |f| f.gap, show::relative, Kind::Answer),
    column(
        "marginals",
        |f| Some(f.source_error.max(f.target_error)),
        show::relative,
        Kind::Answer,
    ),
    column(
        ITERATIONS,
        |f| f.iterations.map(|k| k as f64),
        |k| show::count(k as u64),
        Kind::Answer,
    ),
    column(
        "time",
        |f| Some(f.seconds),
        show::seconds,
        Kind::Measurement,
    ),
    column(
        "certificate",
        |f| Some(f.certify_seconds),
        show::seconds,
        Kind::Detail,
    ),
    column(
        "memory",
        |f| f.extra_bytes.map(|b| b as f64),
        |b| show::bytes(b as u64),
        Kind::Measurement,
    ),
];
