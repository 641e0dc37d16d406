//! Exact optimal transport: network simplex and linear programming.
