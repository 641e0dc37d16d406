//! Layers: what each makes of a batch, and what it makes of a gradient.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::activation::Activation;
use crate::convolution::{Convolution, Room};
use crate::linear::Linear;
use crate::patches::Conv;
use crate::spectral::{Scale, Spectral, iterate};
use crate::{Error, Number};

/// Power iterations that a new network starts with, so that the first step already knows its σ.
const FIRST_ITERATIONS: usize = 16;

/// Rows and matrices of more numbers fit in no memory.
const MOST: usize = 1 << 40;

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
    /// Sums over patches of images, plus a bias for each filter.
    Convolution {
        /// Images, patches and filters.
        conv: Conv,
        /// Whether and how the kernel, a matrix of filters × (channels·kernel²), is divided by its largest singular value,
        /// as the source does. The map itself may be steeper, by up to the number of patches that a pixel is in.
        spectral: Option<Spectral>,
    },
    /// The transpose of a convolution, from small images to large ones, plus a bias for each filter: for generators.
    TransposedConvolution {
        /// Images, patches and filters.
        conv: Conv,
        /// As for a convolution; the kernel is a matrix of channels × (filters·kernel²).
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

/// A layer with weights.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Affine {
    Linear(Linear),
    Convolution(Convolution),
}

impl Affine {
    /// The lengths of rows that come in and go out.
    pub(crate) fn shape(&self) -> (usize, usize) {
        match self {
            Self::Linear(linear) => (linear.inputs, linear.outputs),
            Self::Convolution(convolution) => convolution.shape(),
        }
    }

    /// Rows and columns of the weight matrix.
    fn matrix(&self) -> (usize, usize) {
        match self {
            Self::Linear(linear) => (linear.outputs, linear.inputs),
            Self::Convolution(convolution) => convolution.matrix(),
        }
    }

    fn biases(&self) -> usize {
        match self {
            Self::Linear(linear) => linear.outputs,
            Self::Convolution(convolution) => convolution.biases(),
        }
    }
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

    /// A convolution.
    #[must_use]
    pub fn convolution(conv: Conv) -> Self {
        Self::Convolution {
            conv,
            spectral: None,
        }
    }

    /// The transpose of a convolution.
    #[must_use]
    pub fn transposed_convolution(conv: Conv) -> Self {
        Self::TransposedConvolution {
            conv,
            spectral: None,
        }
    }

    /// The same layer with its weight matrix normalized. Layers without weights are left as they are.
    #[must_use]
    pub fn normalized(mut self, by: Spectral) -> Self {
        match &mut self {
            Self::Linear { spectral, .. }
            | Self::Convolution { spectral, .. }
            | Self::TransposedConvolution { spectral, .. } => *spectral = Some(by),
            Self::LeakyRelu { .. } | Self::Tanh | Self::Softmax => {}
        }
        self
    }

    pub(crate) fn spectral(self) -> Option<Spectral> {
        match self {
            Self::Linear { spectral, .. }
            | Self::Convolution { spectral, .. }
            | Self::TransposedConvolution { spectral, .. } => spectral,
            Self::LeakyRelu { .. } | Self::Tanh | Self::Softmax => None,
        }
    }

    pub(crate) fn affine(self) -> Option<Affine> {
        match self {
            Self::Linear {
                inputs, outputs, ..
            } => Some(Affine::Linear(Linear { inputs, outputs })),
            Self::Convolution { conv, .. } => {
                Some(Affine::Convolution(Convolution::new(conv, false)))
            }
            Self::TransposedConvolution { conv, .. } => {
                Some(Affine::Convolution(Convolution::new(conv, true)))
            }
            Self::LeakyRelu { .. } | Self::Tanh | Self::Softmax => None,
        }
    }

    pub(crate) fn activation(self) -> Option<Activation> {
        match self {
            Self::LeakyRelu { slope } => Some(Activation::Leaky(slope)),
            Self::Tanh => Some(Activation::Tanh),
            Self::Softmax => Some(Activation::Softmax),
            _ => None,
        }
    }

    /// The lengths of rows that come in and go out, where the layer decides.
    pub(crate) fn shape(self) -> Option<(usize, usize)> {
        self.affine().map(|affine| affine.shape())
    }

    /// Rows and columns of the weight matrix.
    pub(crate) fn matrix(self) -> Option<(usize, usize)> {
        self.affine().map(|affine| affine.matrix())
    }

    pub(crate) fn parameters(self) -> usize {
        self.weights() + self.affine().map_or(0, |affine| affine.biases())
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
            Self::Linear {
                inputs, outputs, ..
            } => {
                for (name, value) in [("inputs", inputs), ("outputs", outputs)] {
                    if value == 0 {
                        return refuse(name, 0.0, "must be at least 1");
                    }
                }
                if inputs.saturating_mul(outputs) > MOST {
                    return refuse("inputs", inputs as f64, "times `outputs` is beyond 2^40");
                }
                Ok(())
            }
            Self::Convolution { conv, .. } | Self::TransposedConvolution { conv, .. } => {
                if let Some((name, value, rule)) = conv.rule() {
                    return refuse(name, value, rule);
                }
                let transposed = matches!(self, Self::TransposedConvolution { .. });
                let (_, down, along) = if transposed {
                    conv.transposed_output()
                } else {
                    conv.output()
                };
                if down == 0 || along == 0 {
                    let rule = "leaves no pixel of images of that size";
                    return refuse("kernel", conv.kernel as f64, rule);
                }
                let counts = [
                    conv.channels
                        .saturating_mul(conv.height)
                        .saturating_mul(conv.width),
                    conv.filters.saturating_mul(down).saturating_mul(along),
                    (conv.channels * conv.filters).saturating_mul(conv.kernel * conv.kernel),
                ];
                if counts.iter().any(|count| *count > MOST) {
                    let rule = "with the other sizes takes more than 2^40 numbers";
                    return refuse("channels", conv.channels as f64, rule);
                }
                Ok(())
            }
            Self::LeakyRelu { slope } if !(0.0..1.0).contains(&slope) => {
                refuse("slope", slope, "must be from 0 to below 1")
            }
            Self::LeakyRelu { .. } | Self::Tanh | Self::Softmax => Ok(()),
        }
    }

    /// Weights drawn from ±√(6/(inputs + outputs)), uniformly, and biases of 0 (Glorot and Bengio, 2010); of a convolution,
    /// what a sum takes in and what a number goes to.
    pub(crate) fn draw<T: Number>(self, rng: &mut impl Rng, parameters: &mut [T]) {
        let fans = match self {
            Self::Linear {
                inputs, outputs, ..
            } => inputs + outputs,
            Self::Convolution { conv, .. } | Self::TransposedConvolution { conv, .. } => {
                (conv.channels + conv.filters) * conv.kernel * conv.kernel
            }
            Self::LeakyRelu { .. } | Self::Tanh | Self::Softmax => return,
        };
        let most = (6.0 / fans as f64).sqrt();
        for w in &mut parameters[..self.weights()] {
            *w = T::from_f64(most * (2.0 * rng.random::<f64>() - 1.0));
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
}

/// What a layer with weights holds, for one pass.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a, T> {
    pub(crate) affine: Affine,
    pub(crate) parameters: &'a [T],
    /// u and v, where it is normalized; otherwise nothing.
    pub(crate) vectors: &'a [T],
    pub(crate) scale: Scale<T>,
}

/// What follows the product of a layer with weights.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending<T> {
    /// Nothing: rows are tangents.
    Nothing,
    /// The bias, and a rectifier of that slope.
    Bias(Option<T>),
}

impl<T: Number> Own<'_, T> {
    /// Rows that come in, to rows that go out. Those after the first `values` are tangents.
    pub(crate) fn forward(
        &self,
        values: usize,
        slope: Option<T>,
        x: &[T],
        room: &mut Room<T>,
        out: &mut [T],
    ) {
        let (inputs, outputs) = self.affine.shape();
        let (x, more) = x.split_at(values * inputs);
        let (out, more_out) = out.split_at_mut(values * outputs);
        let (parameters, factor) = (self.parameters, self.scale.factor);
        let rows = [
            (Ending::Bias(slope), x, out),
            (Ending::Nothing, more, more_out),
        ];
        for (ending, x, out) in rows.into_iter().filter(|(_, x, _)| !x.is_empty()) {
            match self.affine {
                Affine::Linear(linear) => linear.forward(parameters, factor, ending, x, out),
                Affine::Convolution(convolution) => {
                    convolution.forward(parameters, factor, ending, x, room, out);
                }
            }
        }
    }

    /// The gradient by what came in, from that by what went out.
    pub(crate) fn by_x(&self, by_out: &[T], room: &mut Room<T>, by_x: &mut [T]) {
        let (parameters, factor) = (self.parameters, self.scale.factor);
        match self.affine {
            Affine::Linear(linear) => linear.by_x(parameters, factor, by_out, by_x),
            Affine::Convolution(convolution) => {
                convolution.by_x(parameters, factor, by_out, room, by_x);
            }
        }
    }

    /// The gradient by the parameters, through the normalization. Rows after the first `values` are tangents.
    pub(crate) fn by_parameters(
        &self,
        values: usize,
        x: &[T],
        by_out: &[T],
        room: &mut Room<T>,
        by_parameters: &mut [T],
    ) {
        let (inputs, outputs) = self.affine.shape();
        let (x, more) = x.split_at(values * inputs);
        let (by_out, by_more) = by_out.split_at(values * outputs);
        // Values first, even none of them: they replace what stands there.
        for (tangents, x, by_out) in [(false, x, by_out), (true, more, by_more)] {
            if tangents && x.is_empty() {
                continue;
            }
            match self.affine {
                Affine::Linear(linear) => linear.by_parameters(x, by_out, tangents, by_parameters),
                Affine::Convolution(convolution) => {
                    convolution.by_parameters(x, by_out, tangents, room, by_parameters);
                }
            }
        }
        if !self.vectors.is_empty() {
            let (rows, columns) = self.affine.matrix();
            let weights = &self.parameters[..rows * columns];
            let by_weights = &mut by_parameters[..rows * columns];
            self.scale.through(by_weights, weights, self.vectors, rows);
        }
    }
}
