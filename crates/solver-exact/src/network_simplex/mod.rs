//! The network simplex method for the transport problem.
//!
//! From a problem to its optimal basis:
//!
//! | step | file |
//! |---|---|
//! | masses become whole units, so that flows are exact | `flow.rs` |
//! | in the caches: starting duals by a few entropic iterations, mass along the tree of their largest entries | `entropic.rs` |
//! | beyond: starting duals from a grouped problem of a sixteenth of the entries, solved by the same engine | `coarse.rs` |
//! | … smoothed on candidate lists by a few entropic half-steps | `warm.rs` |
//! | most of the mass is placed: along a spanning forest of the lists; equal weights by short augmenting paths | `forest.rs`, `augment.rs` |
//! | the rest greedily; the flow is hung up as a strongly feasible tree | `start.rs` |
//! | pivots until no pair violates dual feasibility: row by row in the caches, beyond on lists first | `pricing.rs`, `lists.rs` |
//! | the tree itself, without arcs; of a small problem, as sets of bits | `tree.rs`, `compact.rs` |
//! | partial problems: dummies take what does not move | `partial.rs` |
//! | how costs are read | `cost.rs` |
//! | all of it in order; the ways to start, mass on forbidden pairs, the caller's check meanwhile | `engine.rs`; `engine/` |
//! | from and to the vocabulary of `solver-api` | `solve.rs`, `settings.rs`, `factory.rs` |
//!
//! Only the tree, the units and the last sweep decide about correctness; everything before is there to
//! leave them little to do.

pub(crate) mod augment;
mod coarse;
mod compact;
pub(crate) mod cost;
pub(crate) mod engine;
mod entropic;
mod factory;
pub(crate) mod flow;
pub(crate) mod forest;
pub(crate) mod lists;
mod partial;
pub(crate) mod pricing;
pub mod settings;
mod solve;
pub(crate) mod start;
pub(crate) mod tree;
mod warm;

pub use factory::NetworkSimplexFactory;
pub use settings::Settings;
pub use solve::NetworkSimplex;

/// The backend's name.
pub const NAME: &str = "network-simplex";

/// Optimal potentials of positive masses with a finite cost, row-major.
#[cfg(feature = "exact-points")]
pub(crate) fn dense(cost: &[f64], a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let high = cost.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = cost.iter().copied().fold(f64::INFINITY, f64::min);
    let instance = engine::Instance {
        supply: a,
        demand: b,
        cost: cost::CostView {
            entries: cost::Entries::F64(cost),
            columns: b.len(),
            rows: None,
        },
        moved: None,
        range: (low, high),
        warm: None,
        max_pivots: u64::MAX,
        in_cache: engine::IN_CACHE,
        bracket: false,
    };
    let mut workspace = engine::Workspace::default();
    workspace.solve(&instance, &mut |_| true);
    let f = (0..a.len()).map(|i| workspace.f(i)).collect();
    let g = (0..b.len()).map(|j| workspace.g(j)).collect();
    (f, g)
}
