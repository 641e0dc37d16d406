//! Layers without parameters, in place: each gradient needs no more than what went out.

use ot_kernels::neural::{leaky, leaky_back, tanh, tanh_back};

use crate::Number;

/// A layer without parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    Leaky(f64),
    Tanh,
    Softmax,
}

impl Activation {
    /// Rows of `width`, to what goes out.
    pub(crate) fn forward<T: Number>(self, x: &mut [T], width: usize) {
        match self {
            Self::Leaky(slope) => leaky(T::from_f64(slope), x),
            Self::Tanh => tanh(x),
            Self::Softmax => x.chunks_exact_mut(width).for_each(softmax),
        }
    }

    /// Tangents of what came in, to those of what went out, block by block of as many rows as `out`. Not of a softmax, which
    /// the network refuses.
    pub(crate) fn push<T: Number>(self, out: &[T], tangents: &mut [T]) {
        for block in tangents.chunks_exact_mut(out.len().max(1)) {
            match self {
                Self::Leaky(slope) => leaky_back(T::from_f64(slope), out, block),
                Self::Tanh => tanh_back(out, block),
                Self::Softmax => {}
            }
        }
    }

    /// The gradients by what went out and by its tangents, to those by what came in and by its tangents.
    pub(crate) fn pull<T: Number>(
        self,
        out: &[T],
        tangents: &[T],
        by: &mut [T],
        by_tangents: &mut [T],
    ) {
        self.backward(out, out.len().max(1), by);
        if self == Self::Tanh {
            // ẏ = (1 − y²)ẋ, and y' = 1 − y²: x̄ = (1 − y²)ȳ − 2 y ẏ·(the gradient by ẏ).
            let blocks = tangents.chunks_exact(out.len().max(1));
            for (t, by_t) in blocks.zip(by_tangents.chunks_exact(out.len().max(1))) {
                for k in 0..out.len() {
                    by[k] -= T::from_f64(2.0) * out[k] * t[k] * by_t[k];
                }
            }
        }
        self.push(out, by_tangents);
    }

    /// The gradient by what went out, to that by what came in.
    pub(crate) fn backward<T: Number>(self, out: &[T], width: usize, by: &mut [T]) {
        match self {
            Self::Leaky(slope) => leaky_back(T::from_f64(slope), out, by),
            Self::Tanh => tanh_back(out, by),
            Self::Softmax => {
                let rows = by.chunks_exact_mut(width).zip(out.chunks_exact(width));
                rows.for_each(|(by, h)| softmax_back(h, by));
            }
        }
    }
}

fn softmax<T: Number>(row: &mut [T]) {
    let most = row.iter().fold(row[0], |m, x| if *x > m { *x } else { m });
    row.iter_mut().for_each(|x| *x = (*x - most).exp());
    let sum: T = row.iter().copied().sum();
    row.iter_mut().for_each(|x| *x = *x / sum);
}

fn softmax_back<T: Number>(h: &[T], by: &mut [T]) {
    let mean: T = by.iter().zip(h).map(|(g, h)| *g * *h).sum();
    for (g, h) in by.iter_mut().zip(h) {
        *g = *h * (*g - mean);
    }
}
