//! Compares every backend of a registry on real problems with known optima: a table for the terminal, a JSON
//! record that serves as a baseline, and a self-contained page.
//!
//! It is a library, so that a solver of your own gets the comparison as well: hand [`run()`] your factory beside
//! those of the registry. `cargo xtask compare` is this call with a command line around it.
//!
//! ```no_run
//! use kantorovich::Registry;
//! use ot_compare::table::{Timings, render};
//! use ot_compare::{Args, Unmetered, checkout, run};
//!
//! let registry = Registry::new(); // .with(MyFactory)
//! let args = Args { problems: vec!["digits".into()], ..Args::default() };
//! let report = run(&checkout(), &registry, &args, &mut Unmetered, &mut |_| {})?;
//! print!("{}", render(&report, Timings::Shown));
//! # Ok::<(), ot_compare::Error>(())
//! ```
//!
//! | step | module |
//! |---|---|
//! | which problems | [`case`] |
//! | solve and measure | [`run`](mod@run) |
//! | what a smaller ε costs and buys | [`sweep`] |
//! | what applications gain and cost | [`applications`] |
//! | trainings between what can only be drawn from (feature `spot`) | `continuous` |
//! | what was found | [`report`] |
//! | show it | [`table`], [`page`] |
//! | has it become worse? | [`baseline`] |
#![forbid(unsafe_code)]

pub mod applications;
pub mod baseline;
pub mod case;
mod columns;
#[cfg(feature = "spot")]
pub mod continuous;
mod error;
pub mod page;
pub mod picture;
mod plan_pairs;
pub mod report;
pub mod run;
pub mod show;
pub mod sweep;
pub mod table;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use report::Report;
pub use run::{Args, Event, MemoryMeter, Unmetered, run};

/// The checkout that this crate was built from, fixtures and all: the root to hand to [`run()`], be the crate a member
/// of a workspace, a path or a git dependency.
#[must_use]
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
        .to_owned()
}
