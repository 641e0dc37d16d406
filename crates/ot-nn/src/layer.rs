//! Layers: what each makes of a batch, and what it makes of a gradient.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::linear::Linear;
use crate::spectral::{Scale, Spectral, iterate};
use crate::{Error, Number, activation};

/// Power iterations that a new network starts with, so that the first step already knows its σ.
const FIRST_ITERATIONS: usize = 16;

/// A map from rows to rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Layer {
    /// W x + b, with W of `outputs`×`inputs`.
    Linear {
        /// Length of the rows that come in.
        inputs: usize,
        /// Length of the rows that go out.
        outputs: usize,
        /// Whether and how W is divided by its largest singular value.
        spectral: Option<Spectral>,
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
        Self::Linear {
            inputs,
            outputs,
            spectral: None,
        }
    }

    /// The same layer with its weight matrix normalized. Layers without weights are left as they are.
    #[must_use]
    pub fn normalized(mut self, by: Spectral) -> Self {
        match &mut self {
            Self::Linear { spectral, .. } => *spectral = Some(by),
            Self::LeakyRelu { .. } | Self::Tanh | Self::Softmax => {}
        }
        self
    }

    pub(crate) fn spectral(self) -> Option<Spectral> {
        match self {
            Self::Linear { spectral, .. } => spectral,
            _ => None,
        }
    }

    /// The lengths of rows that come in and go out, where the layer decides.
    pub(crate) fn shape(self) -> Option<(usize, usize)> {
        match self {
            Self::Linear {
                inputs, outputs, ..
            } => Some((inputs, outputs)),
            _ => None,
        }
    }

    /// Rows and columns of the weight matrix; there is a bias for each row.
    pub(crate) fn matrix(self) -> Option<(usize, usize)> {
        match self {
            Self::Linear {
                inputs, outputs, ..
            } => Some((outputs, inputs)),
            _ => None,
        }
    }

    pub(crate) fn parameters(self) -> usize {
        self.matrix()
            .map_or(0, |(rows, columns)| rows * (columns + 1))
    }

    /// The first of the parameters, which a penalty makes smaller; biases follow.
    pub(crate) fn weights(self) -> usize {
        self.matrix().map_or(0, |(rows, columns)| rows * columns)
    }

    /// How many numbers u and v take.
    pub(crate) fn vectors(self) -> usize {
        match (self.spectral(), self.matrix()) {
            (Some(_), Some((rows, columns))) => rows + columns,
            _ => 0,
        }
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
        if let Some((name, value, rule)) = self.spectral().and_then(|s| s.rule()) {
            return refuse(name, value, rule);
        }
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
    pub(crate) fn draw<T: Number>(self, rng: &mut impl Rng, parameters: &mut [T]) {
        if let Some((inputs, outputs)) = self.shape() {
            let most = (6.0 / (inputs + outputs) as f64).sqrt();
            for w in &mut parameters[..self.weights()] {
                *w = T::from_f64(most * (2.0 * rng.random::<f64>() - 1.0));
            }
        }
    }

    /// u and v of a normalized layer: from a random direction, by the first iterations.
    pub(crate) fn draw_vectors<T: Number>(
        self,
        rng: &mut impl Rng,
        parameters: &[T],
        vectors: &mut [T],
    ) {
        if let (Some(_), Some(matrix)) = (self.spectral(), self.matrix()) {
            for u in &mut vectors[..matrix.0] {
                *u = T::from_f64(rng.sample(StandardNormal));
            }
            iterate(
                FIRST_ITERATIONS,
                &parameters[..self.weights()],
                matrix,
                vectors,
            );
        }
    }

    /// As many power iterations as the layer asks for.
    pub(crate) fn normalize<T: Number>(self, parameters: &[T], vectors: &mut [T]) {
        if let (Some(spectral), Some(matrix)) = (self.spectral(), self.matrix()) {
            iterate(
                spectral.iterations,
                &parameters[..self.weights()],
                matrix,
                vectors,
            );
        }
    }

    /// What the weights are multiplied by.
    pub(crate) fn scale<T: Number>(self, parameters: &[T], vectors: &[T]) -> Scale<T> {
        match (self.spectral(), self.matrix()) {
            (Some(spectral), Some(matrix)) => {
                Scale::of(spectral, &parameters[..self.weights()], matrix, vectors)
            }
            _ => Scale::none(),
        }
    }

    /// Rows of `width` that come in, to rows that go out.
    pub(crate) fn forward<T: Number>(
        self,
        parameters: &[T],
        scale: Scale<T>,
        x: &[T],
        width: usize,
        out: &mut [T],
    ) {
        match self {
            Self::Linear {
                inputs, outputs, ..
            } => Linear { inputs, outputs }.forward(parameters, scale.factor, x, out),
            Self::LeakyRelu { slope } => activation::leaky(T::from_f64(slope), x, out),
            Self::Tanh => activation::tanh(x, out),
            Self::Softmax => activation::softmax(x, width, out),
        }
    }

    /// The gradients by parameters and by what came in, from that by what went out: each where there is room for it.
    pub(crate) fn backward<T: Number>(
        self,
        own: Own<'_, T>,
        pass: &Pass<'_, T>,
        by_out: &[T],
        turned: &mut Vec<T>,
        by_parameters: Option<&mut [T]>,
        by_x: Option<&mut [T]>,
    ) {
        match self {
            Self::Linear {
                inputs, outputs, ..
            } => {
                let linear = Linear { inputs, outputs };
                if let Some(by_x) = by_x {
                    linear.by_x(own.parameters, own.scale.factor, by_out, by_x);
                }
                if let Some(by_parameters) = by_parameters {
                    linear.by_parameters(pass.x, by_out, turned, by_parameters);
                    own.through(self, by_parameters);
                }
            }
            Self::LeakyRelu { slope } => {
                if let Some(by_x) = by_x {
                    activation::leaky_back(T::from_f64(slope), pass.x, by_out, by_x);
                }
            }
            Self::Tanh => {
                if let Some(by_x) = by_x {
                    activation::tanh_back(pass.out, by_out, by_x);
                }
            }
            Self::Softmax => {
                if let Some(by_x) = by_x {
                    activation::softmax_back(pass.out, pass.width, by_out, by_x);
                }
            }
        }
    }
}

/// What came in and went out, in rows of `width` where they are of one length.
pub(crate) struct Pass<'a, T> {
    pub(crate) x: &'a [T],
    pub(crate) out: &'a [T],
    pub(crate) width: usize,
}

/// What a layer itself holds.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a, T> {
    pub(crate) parameters: &'a [T],
    pub(crate) vectors: &'a [T],
    pub(crate) scale: Scale<T>,
}

impl<T: Number> Own<'_, T> {
    /// From the gradient by the weights that multiplied, that by those before their normalization.
    fn through(&self, layer: Layer, by_parameters: &mut [T]) {
        if let (Some(_), Some((rows, _))) = (layer.spectral(), layer.matrix()) {
            let count = layer.weights();
            let weights = &self.parameters[..count];
            self.scale
                .through(&mut by_parameters[..count], weights, self.vectors, rows);
        }
    }
}
