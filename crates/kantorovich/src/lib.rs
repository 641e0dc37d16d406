//! Optimal transport with interchangeable, certified solvers: the crate to depend on.
