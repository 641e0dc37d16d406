//! Where the time goes.

use std::time::{Duration, Instant};

use solver_api::Phase;

/// The parts of a solve, in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// Both clouds in kd-order, and their levels.
    Hierarchy,
    /// The near pairs of all levels; how often they were made.
    Lists,
    /// Newton steps.
    Newton,
    /// Mass along the forest or paths.
    Placement,
    /// Pivots.
    Simplex,
    /// Sweeps over all pairs.
    Sweeps,
}

const NAMES: [&str; 6] = [
    "hierarchy",
    "lists",
    "newton",
    "placement",
    "simplex",
    "sweeps",
];

/// Times and counts of the parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter([(Duration, u64); NAMES.len()]);

impl Meter {
    /// Adds what has passed since `begun`.
    pub(super) fn add(&mut self, part: Part, begun: Instant, count: u64) {
        let (time, counted) = &mut self.0[part as usize];
        *time += begun.elapsed();
        *counted += count;
    }

    pub(super) fn phases(&self) -> Vec<Phase> {
        let parts = NAMES.iter().zip(&self.0);
        let phase = |(&name, &(time, count)): (&&'static str, &(Duration, u64))| Phase {
            name,
            time,
            count,
        };
        parts.map(phase).collect()
    }
}
