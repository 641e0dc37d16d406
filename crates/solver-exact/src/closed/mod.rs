//! Closed forms: optimal plans without a search.

#[cfg(feature = "gaussian")]
pub mod gaussian;
#[cfg(feature = "tree")]
pub mod tree;

mod order;
pub mod sliced;
mod staircase;
