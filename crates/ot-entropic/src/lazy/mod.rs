//! Entropic transport between point clouds without a matrix: O(n + m) memory, and few passes over all pairs.
//!
//! A pass costs n·m exponentials, so the number of passes decides. Clusters of both clouds, at their centres of mass,
//! make a coarse problem that [`follow`](crate::path::follow) solves exactly. Its potentials, extended by a soft
//! c-transform, start the iteration, and its Hessian drives it: with the marginals r, c of the present plan a Newton step
//! solves df/ε = (a − r)/r − K dg/ε and dg/ε = (b − c)/c − Kᵀ df/ε. The first terms are taken from all points. K dg
//! and Kᵀ df are averages over neighbourhoods of radius √ε: the coarse plan has them too, as long as clusters are small
//! beside √ε. So one pass leaves a small part of the error, and three to five of them do what scaling takes hundreds for.
//! Where clusters are not that small, [Anderson mixing](crate::anderson) takes care of what the coarse plan does not see.
//! Where ε is so small that they say little, in many dimensions above all, few pairs carry mass: there
//! Newton steps on lists of them (`crate::near`) lead from a larger ε down.
//!
//! | file | holds |
//! |---|---|
//! | `cloud.rs` | points in kd-order, tiles, clusters |
//! | `pass.rs` | one pass over all pairs that count |
//! | `coarse.rs` | the coarse problem, extensions of its potentials, and Newton corrections by it |
//! | `near.rs` | which pairs carry mass, where they are few |
//! | `iterate.rs` | the iteration, its precision and its ends |
//! | `way.rs` | the way down on lists of near pairs |
//! | `answer.rs` | what the last pass says: cost and bracket |

mod answer;
pub mod cloud;
mod coarse;
mod iterate;
mod near;
pub mod pass;
mod way;

pub use answer::rounding;
pub use iterate::{Arithmetic, End, Lazily, NARROW_REACHES, Settings, Stage, Watch, solve};

use crate::lazy::cloud::Cloud;
use crate::lazy::pass::Pairs;

/// How costs between clouds that the iteration makes are computed.
pub trait Geometry: Sync {
    /// Whether the cost is ‖x − y‖², which tiles compute themselves.
    fn is_squared(&self) -> bool;

    /// Whether the mean of points is a point that stands for them.
    fn has_means(&self) -> bool;

    /// The cost of the pairs of two clouds, which are either those given or clusters of them.
    ///
    /// # Errors
    /// Where the cost refuses points of a cluster.
    fn pairs<'a>(&'a self, x: &Cloud, y: &Cloud) -> Result<Box<dyn Pairs + 'a>, String>;
}

/// The problem, at mass 1.
#[derive(Clone, Copy)]
pub struct Posed<'a> {
    /// Source points with weights of sum 1.
    pub x: &'a Cloud,
    /// Target points with weights of sum 1.
    pub y: &'a Cloud,
    /// What pairs of points cost.
    pub geometry: &'a dyn Geometry,
    /// max − min of the cost.
    pub spread: f64,
    /// The least cost.
    pub least: f64,
    /// The regularization.
    pub eps: f64,
    /// Weight of the source marginal, +∞ for a hard one.
    pub gamma_a: f64,
    /// Weight of the target marginal, +∞ for a hard one.
    pub gamma_b: f64,
}

impl Posed<'_> {
    /// 1/(1 + ε/γ) of either side.
    fn softness(&self) -> (f64, f64) {
        (
            1.0 / (1.0 + self.eps / self.gamma_a),
            1.0 / (1.0 + self.eps / self.gamma_b),
        )
    }

    fn is_balanced(&self) -> bool {
        self.gamma_a.is_infinite() && self.gamma_b.is_infinite()
    }
}

/// What a marginal of weight 1 should be at the potential p: e^{−p/γ}.
fn wanted(p: f64, gamma: f64) -> f64 {
    if gamma.is_infinite() {
        1.0
    } else {
        (-p / gamma).exp()
    }
}

#[cfg(test)]
mod tests;
