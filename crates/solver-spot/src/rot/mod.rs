//! The regularized dual with networks as potentials: ROT, which source 002 compares SPOT with.
//!
//! max over u, v of E u(X) + E v(Y) − E Ω*(u(X) + v(Y) − c(X, Y)), X and Y independent, where Ω* is the conjugate of the
//! regularization ([`Regularizer`]). Ascent by batches: all pairs of a batch are used. The plan has the density
//! h = Ω*′(u + v − c) over μ⊗ν; there is nothing that makes samples of it but drawing pairs and keeping them by h.
//!
//! Source: 002, section 3.6.1; Seguy et al., *Large-scale optimal transport and mapping estimation* (2018), algorithm 1.

mod settings;
mod train;

pub use settings::{Regularizer, RotSettings};
pub use train::{Rot, RotStep};
