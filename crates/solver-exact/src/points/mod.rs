//! Exact optimal transport between point clouds without a matrix.
//!
//! | step | file |
//! |---|---|
//! | points of positive weight, each place once, about their means | `side.rs` |
//! | both clouds in kd-order; groups of four become points, until a few hundred are left | `hierarchy.rs` |
//! | what a distance costs; trees without pointers | `tariff.rs`, `kd.rs` |
//! | linear bounds on potentials in their cells, the pairs of least reduced cost | `field.rs`, `bounds.rs`, `search.rs` |
//! | … in many dimensions all pairs in single precision, a block at a time | `narrow.rs` |
//! | the pairs that count: nearest targets of each source, nearest sources of each target | `graph.rs` |
//! | exact duals of the coarsest level, then level by level, temperature by temperature | `duals.rs` |
//! | … Newton steps on the entropic semi-dual over the pairs, and their preconditioner | `semidual.rs`, `levels.rs`, `shares.rs` |
//! | mass along the forest of the plan, or along augmenting paths; the rest at a price | `engine.rs`, `crossover.rs` |
//! | the network simplex on lists, and sweeps over all pairs, until one finds nothing | `engine.rs`, `sweep.rs` |
//! | potentials of points of weight zero | `idle.rs` |
//! | the caller's check, and where the time goes | `watch.rs`, `meter.rs` |
//!
//! Tree, units, lists, forest and paths are those of [`network_simplex`](crate::network_simplex). Only the tree and the last
//! sweep decide about correctness; everything before is there to leave them little to do.

mod bounds;
mod crossover;
mod duals;
mod engine;
mod factory;
mod field;
mod graph;
mod hierarchy;
mod idle;
mod kd;
mod levels;
mod meter;
mod narrow;
mod search;
mod semidual;
mod shares;
mod side;
mod solve;
mod sweep;
mod tariff;
#[cfg(test)]
mod testing;
mod watch;

pub use crate::network_simplex::Settings;
pub use factory::ExactPointsFactory;
pub use solve::ExactPoints;

/// The backend's name.
pub const NAME: &str = "exact-points";
