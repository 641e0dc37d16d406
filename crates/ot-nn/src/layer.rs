//! Layers: what each makes of a batch, and what it makes of a gradient.

use ot_kernels::gemm::{ktu_batch, kv_batch};
use rand::{Rng, RngExt};

use crate::Error;

/// A map from rows to rows.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Layer {
    /// W x + b, with W of `outputs`×`inputs`.
    Linear {
        /// Length of the rows that come in.
        inputs: usize,
        /// Length of the rows that go out.
        outputs: usize,
    },
    /// x where x > 0, and `slope`·x elsewhere; the slope is taken at 0, too.
    LeakyRelu {
        /// From 0, which is a plain rectifier, to below 1. Customary: 0.01 to 0.2.
        slope: f64,
    },
    /// tanh x.
    Tanh,
    /// e^x over its sum, row by row.
    Softmax,
}

impl Layer {
    /// W x + b.
    #[must_use]
    pub fn linear(inputs: usize, outputs: usize) -> Self {
        Self::Linear { inputs, outputs }
    }

    /// The lengths of rows that come in and go out, where the layer decides.
    pub(crate) fn shape(self) -> Option<(usize, usize)> {
        match self {
            Self::Linear { inputs, outputs } => Some((inputs, outputs)),
            _ => None,
        }
    }

    pub(crate) fn parameters(self) -> usize {
        self.weights() + self.shape().map_or(0, |(_, outputs)| outputs)
    }

    /// The first of the parameters, which a penalty makes smaller; biases follow.
    pub(crate) fn weights(self) -> usize {
        self.shape().map_or(0, |(inputs, outputs)| inputs * outputs)
    }

    pub(crate) fn check(self, layer: usize) -> Result<(), Error> {
        let refuse = |name, value, rule| {
            Err(Error::Layer {
                layer,
                name,
                value,
                rule,
            })
        };
        match self {
            Self::Linear { inputs: 0, .. } => refuse("inputs", 0.0, "must be at least 1"),
            Self::Linear { outputs: 0, .. } => refuse("outputs", 0.0, "must be at least 1"),
            Self::LeakyRelu { slope } if !(0.0..1.0).contains(&slope) => {
                refuse("slope", slope, "must be from 0 to below 1")
            }
            _ => Ok(()),
        }
    }

    /// Weights drawn from ±√(6/(inputs + outputs)), uniformly, and biases of 0 (Glorot and Bengio, 2010).
    pub(crate) fn draw(self, rng: &mut impl Rng, parameters: &mut [f64]) {
        if let Self::Linear { inputs, outputs } = self {
            let most = (6.0 / (inputs + outputs) as f64).sqrt();
            for w in &mut parameters[..inputs * outputs] {
                *w = most * (2.0 * rng.random::<f64>() - 1.0);
            }
        }
    }

    /// Rows of `width` that come in, to rows that go out.
    pub(crate) fn forward(self, parameters: &[f64], x: &[f64], width: usize, out: &mut [f64]) {
        match self {
            Self::Linear { inputs, outputs } => {
                let (weights, biases) = parameters.split_at(inputs * outputs);
                kv_batch(weights, outputs, inputs, x, out, 1);
                for row in out.chunks_exact_mut(outputs) {
                    row.iter_mut().zip(biases).for_each(|(o, b)| *o += b);
                }
            }
            Self::LeakyRelu { slope } => {
                for (o, &x) in out.iter_mut().zip(x) {
                    *o = if x > 0.0 { x } else { slope * x };
                }
            }
            Self::Tanh => out.iter_mut().zip(x).for_each(|(o, x)| *o = x.tanh()),
            Self::Softmax => {
                for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    out.iter_mut()
                        .zip(x)
                        .for_each(|(o, x)| *o = (x - most).exp());
                    let sum: f64 = out.iter().sum();
                    out.iter_mut().for_each(|o| *o /= sum);
                }
            }
        }
    }

    /// The gradients by parameters and by what came in, from that by what went out. `turned` is room of as many numbers as
    /// `by_out`.
    pub(crate) fn backward(
        self,
        parameters: &[f64],
        pass: &Pass<'_>,
        by_out: &[f64],
        turned: &mut [f64],
        by_parameters: &mut [f64],
        by_x: &mut [f64],
    ) {
        let Pass { x, out, width } = *pass;
        match self {
            Self::Linear { inputs, outputs } => {
                let (rows, weights) = (x.len() / inputs, &parameters[..inputs * outputs]);
                ktu_batch(weights, outputs, inputs, by_out, by_x, 1);
                for (row, by) in by_out.chunks_exact(outputs).enumerate() {
                    for (k, g) in by.iter().enumerate() {
                        turned[k * rows + row] = *g;
                    }
                }
                let (by_weights, by_biases) = by_parameters.split_at_mut(inputs * outputs);
                ktu_batch(x, rows, inputs, &turned[..rows * outputs], by_weights, 1);
                for (b, column) in by_biases.iter_mut().zip(turned.chunks_exact(rows.max(1))) {
                    *b = column.iter().sum();
                }
            }
            Self::LeakyRelu { slope } => {
                for ((by, g), x) in by_x.iter_mut().zip(by_out).zip(x) {
                    *by = if *x > 0.0 { *g } else { slope * g };
                }
            }
            Self::Tanh => {
                for ((by, g), t) in by_x.iter_mut().zip(by_out).zip(out) {
                    *by = g * (1.0 - t * t);
                }
            }
            Self::Softmax => {
                let rows = by_x.chunks_exact_mut(width).zip(by_out.chunks_exact(width));
                for ((by, g), h) in rows.zip(out.chunks_exact(width)) {
                    let mean: f64 = g.iter().zip(h).map(|(g, h)| g * h).sum();
                    for k in 0..width {
                        by[k] = h[k] * (g[k] - mean);
                    }
                }
            }
        }
    }
}

/// What came in and went out, in rows of `width` where they are of one length.
pub(crate) struct Pass<'a> {
    pub(crate) x: &'a [f64],
    pub(crate) out: &'a [f64],
    pub(crate) width: usize,
}
