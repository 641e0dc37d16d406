//! Barycenters: measures that are the nearest to several others, Σ_k λ_k OT(p_k, q) at its least.
//!
//! | method | support | what it minimizes | file |
//! |---|---|---|---|
//! | [`Bregman`] | fixed | the entropic mean cost, or its debiased form; scalings or logarithms, any ε | `bregman.rs` |
//! | [`IpotBarycenter`] | fixed | the mean cost itself, by proximal steps; memory of a grid's size for each measure | `ipot.rs` |
//! | [`UnbalancedBarycenter`] | fixed | the entropic mean cost with relaxed marginals, masses kept | `unbalanced.rs` |
//! | [`FixedSupport`] | fixed | the mean cost by any solver, along its potentials | `descent.rs` |
//! | [`FreeSupport`] | k points that move, and their weights | the mean cost by any solver, squared distances | `free.rs` |
//!
//! Those of a fixed support are [`Barycenters`](solver_api::Barycenters), as is the linear program of `solver-exact`, and
//! stand in for each other wherever a class model wants a mean. The first three need no solver. Every answer that has converged or
//! not carries a bracket around the least mean cost where the context wants one (`bracket.rs`).

mod bracket;
pub mod bregman;
mod cloud;
mod clouds;
pub mod descent;
pub mod free;
mod inputs;
pub mod ipot;
mod kernel;
mod logs;
mod momentum;
mod scalings;
mod solves;
mod state;
pub mod unbalanced;

pub use bregman::{Bregman, BregmanDomain, BregmanSettings};
pub use cloud::Cloud;
pub use descent::{FixedSupport, FixedSupportSettings};
pub use free::{FreeBarycenter, FreeSupport, FreeSupportSettings, Start};
pub use ipot::{IpotBarycenter, IpotBarycenterSettings};
pub use unbalanced::{UnbalancedBarycenter, UnbalancedBarycenterSettings};

use solver_api::Measure;

/// The entropy −Σ q ln q of a measure at mass 1, in nats: from 0 (all in one point) to ln n (the same everywhere). The
/// less, the sharper is a barycenter of images.
#[must_use]
pub fn entropy(q: &Measure) -> f64 {
    let mass = q.mass();
    let parts = q.weights().iter().map(|w| w / mass).filter(|q| *q > 0.0);
    -parts.map(|q| q * q.ln()).sum::<f64>()
}
