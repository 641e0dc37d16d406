//! Closed forms: optimal plans without a search, for the costs that have one.
//!
//! | backend | costs | time |
//! |---|---|---|
//! | [`Line`] | points on a line, a convex function of their distance | O((n + m) log(n + m)), by radix about O(n + m) |
//! | [`Circle`] | points on a circle, arc length | the same |
//!
//! Each accepts its own costs only, which [`Solver::accepts`](solver_api::Solver::accepts) says before a solve: so `auto`
//! picks them where they are right.

#[cfg(feature = "circle")]
pub mod circle;
#[cfg(feature = "line")]
pub mod line;
mod settings;
#[cfg(any(feature = "line", feature = "circle"))]
mod sorted;

#[cfg(feature = "circle")]
pub use circle::{Circle, CircleFactory};
#[cfg(feature = "line")]
pub use line::{Line, LineFactory};
pub use settings::Settings;
