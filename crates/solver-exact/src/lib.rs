//! Exact optimal transport: network simplex and linear programming.
#![forbid(unsafe_code)]

#[cfg(any(feature = "lp-highs", feature = "lp-microlp", feature = "lp-minilp"))]
pub mod lp;
