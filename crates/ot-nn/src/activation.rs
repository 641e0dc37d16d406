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
