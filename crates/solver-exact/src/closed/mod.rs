//! Closed forms: optimal plans without a search, for the costs that have one.
//!
//! | backend | costs | time |
//! |---|---|---|
//! | [`Line`] | points on a line, a convex function of their distance | O((n + m) log(n + m)), by radix about O(n + m) |
//! | [`Circle`] | points on a circle, arc length | the same |
//! | [`tree`] | nodes of a tree, length of the path | O(N + n + m) for N nodes |
//! | [`gaussian`] | squared Euclidean, by means and covariances: a lower bound for samples | O((n + m) d² + d³) |
//!
//! [`sliced`] averages lines in many directions.
//!
//! Each accepts its own costs only, which [`Solver::accepts`](solver_api::Solver::accepts) says before a solve: so `auto`
//! picks them where they are right.

#[cfg(feature = "circle")]
pub mod circle;
#[cfg(feature = "gaussian")]
pub mod gaussian;
#[cfg(feature = "line")]
pub mod line;
#[cfg(any(feature = "line", feature = "circle", feature = "tree"))]
mod settings;
pub mod sliced;
#[cfg(any(feature = "line", feature = "circle"))]
mod sorted;
mod staircase;
#[cfg(feature = "tree")]
pub mod tree;
#[cfg(feature = "line")]
mod value;

#[cfg(feature = "circle")]
pub use circle::{Circle, CircleFactory};
#[cfg(feature = "line")]
pub use line::{Line, LineFactory};
#[cfg(any(feature = "line", feature = "circle", feature = "tree"))]
pub use settings::Settings;
