//! Compares every backend of a registry on real problems with known optima: a table for the terminal, a JSON
//! record that serves as a baseline, and a self-contained page.
//!
//! It is a library, so that a solver of your own gets the comparison as well: hand [`run()`] your factory beside
//! those of the registry. `cargo xtask compare` is this call with a command line around it.
//!
//! | step | module |
//! |---|---|
//! | which problems | [`case`] |
//! | solve and measure | [`run`](mod@run) |
//! | what was found | [`report`] |
//! | show it | [`table`], [`page`] |
//! | has it become worse? | [`baseline`] |
#![forbid(unsafe_code)]

pub mod baseline;
pub mod case;
mod columns;
mod error;
pub mod page;
pub mod picture;
mod plan_pairs;
pub mod report;
pub mod run;
pub mod show;
pub mod table;

pub use error::Error;
pub use report::Report;
pub use run::{Args, Event, MemoryMeter, Unmetered, run};
