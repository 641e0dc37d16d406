//! draft
#![forbid(unsafe_code)]
pub mod dense;
pub mod dual;
pub mod laplacian;
pub mod list;
pub mod newton;
pub mod path;
pub mod predict;
