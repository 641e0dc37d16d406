//! Spectral normalization: weight matrices divided by their largest singular value.
//!
//! Source: Miyato, Kataoka, Koyama and Yoshida, *Spectral normalization for generative adversarial networks* (ICLR 2018),
//! algorithm 1 and equation (12).

use ot_kernels::gemm::{ktu_batch, kv_batch};
use ot_kernels::neural::{dot, less_rank_one};
use serde::{Deserialize, Serialize};

use crate::Number;

/// How a weight matrix W is normalized: the layer multiplies by `bound`·W/σ instead, where σ = uᵀ W v is the largest singular
/// value as far as the power iteration has come.
///
/// u and v are kept from step to step, so that one iteration a step follows a matrix that moves slowly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spectral {
    /// Power iterations in each [`Network::normalize`](crate::Network::normalize). Default: 1, as the source has it.
    pub iterations: usize,
    /// The largest singular value of the matrix that multiplies. For a chain of linear layers and activations of slope at
    /// most 1 the product of all bounds is a Lipschitz constant, once σ has converged. Default: 1.
    pub bound: f64,
}

impl Default for Spectral {
    fn default() -> Self {
        Self {
            iterations: 1,
            bound: 1.0,
        }
    }
}

impl Spectral {
    pub(crate) fn rule(&self) -> Option<(&'static str, f64, &'static str)> {
        if self.iterations == 0 {
            return Some(("iterations", 0.0, "must be at least 1"));
        }
        let fits = self.bound > 0.0 && self.bound.is_finite();
        (!fits).then_some(("bound", self.bound, "must be positive and finite"))
    }
}

/// A σ below it is none: the matrix is 0, or has turned around since u and v were last renewed.
const LEAST: f64 = 1e-30;

/// What W is multiplied by, and the σ that it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale<T> {
    pub(crate) factor: T,
    pub(crate) sigma: T,
}

impl<T: Number> Scale<T> {
    pub(crate) fn none() -> Self {
        Self {
            factor: T::from_f64(1.0),
            sigma: T::from_f64(1.0),
        }
    }

    /// That of W, rows×columns, at the u and v that `vectors` holds.
    pub(crate) fn of(
        spectral: Spectral,
        weights: &[T],
        shape: (usize, usize),
        vectors: &[T],
    ) -> Self {
        let (u, v) = vectors.split_at(shape.0);
        let rows = weights.chunks_exact(shape.1);
        let sigma: T = rows.zip(u).map(|(row, u)| *u * dot(row, v)).sum();
        // Not `max`: what is not a number stays so.
        let least = T::from_f64(LEAST);
        let divisor = if sigma < least { least } else { sigma };
        Self {
            factor: T::from_f64(spectral.bound) / divisor,
            sigma,
        }
    }

    /// From the gradient G by factor·W that by W, equation (12): factor·(G − (⟨G, W⟩/σ) u vᵀ), u and v held constant.
    pub(crate) fn through(self, gradient: &mut [T], weights: &[T], vectors: &[T], rows: usize) {
        let (u, v) = vectors.split_at(rows);
        let along = if self.sigma < T::from_f64(LEAST) {
            T::ZERO
        } else {
            dot(gradient, weights) / self.sigma
        };
        less_rank_one(self.factor, along, u, v, gradient);
    }
}

/// v ← Wᵀu/‖Wᵀu‖, u ← W v/‖W v‖, so many times.
pub(crate) fn iterate<T: Number>(
    iterations: usize,
    weights: &[T],
    (rows, columns): (usize, usize),
    vectors: &mut [T],
) {
    let (u, v) = vectors.split_at_mut(rows);
    for _ in 0..iterations {
        ktu_batch(weights, rows, columns, u, v, 1);
        if !to_unit(v) {
            // u was orthogonal to all that W makes: from another u, the same every time.
            for (k, u) in u.iter_mut().enumerate() {
                *u = T::from_f64(1.0 + (k as f64 * 0.618_033_988_749_895).fract());
            }
            to_unit(u);
            ktu_batch(weights, rows, columns, u, v, 1);
            if !to_unit(v) {
                return;
            }
        }
        kv_batch(weights, rows, columns, v, u, 1);
        to_unit(u);
    }
}

/// Divides by the norm; `false` and nothing done where that is 0 or no number.
fn to_unit<T: Number>(x: &mut [T]) -> bool {
    let norm = x.iter().map(|x| x.wide().powi(2)).sum::<f64>().sqrt();
    // Below it squares have lost their digits, and the scale would overflow.
    if !(norm > 1e-140 && norm.is_finite()) {
        return false;
    }
    x.iter_mut().for_each(|x| *x = T::from_f64(x.wide() / norm));
    true
}
