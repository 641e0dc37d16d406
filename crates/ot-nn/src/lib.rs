//! A small reverse-mode engine: what the applications that learn need beyond a linear model, and no more.
//!
//! A [`Network`] is a chain of [`Layer`]s between rows of features and rows of outputs. Its parameters are one slice, so that
//! any optimizer can move them; [`Network::forward`] keeps on a [`Tape`] what [`Network::backward`] needs, and nothing is
//! allocated once a tape has seen a batch of that size.
//!
//! | layer | out | parameters |
//! |---|---|---|
//! | [`Layer::Linear`] | W x + b | K·D weights and K biases |
//! | [`Layer::LeakyRelu`] | max(x, slope·x) | none |
//! | [`Layer::Tanh`] | tanh x | none |
//! | [`Layer::Softmax`] | e^x over its sum, row by row | none |
//!
//! A layer of another kind is a variant of [`Layer`] with an arm in each `match` of `layer.rs`. [`Adam`] and [`Sgd`] move
//! parameters.
//!
//! ```
//! use ot_nn::{Adam, Layer, Network, Optimizer, Tape};
//!
//! // x² on four numbers, by a network of eight hidden units.
//! let layers = [Layer::linear(1, 8), Layer::Tanh, Layer::linear(8, 1)];
//! let mut network = Network::new(&layers, 0)?;
//! let (x, y) = ([-1.0, -0.5, 0.5, 1.0], [1.0, 0.25, 0.25, 1.0]);
//! let (mut tape, mut adam) = (Tape::default(), Adam::new(0.02));
//! let mut gradient = vec![0.0; network.parameters().len()];
//! for _ in 0..800 {
//!     let out = network.forward(&x, &mut tape)?;
//!     let by_out: Vec<f64> = out.iter().zip(&y).map(|(o, y)| o - y).collect();
//!     network.backward(&by_out, &mut tape, &mut gradient)?;
//!     adam.step(&gradient, network.parameters_mut());
//! }
//! let out = network.forward(&x, &mut tape)?;
//! assert!(out.iter().zip(&y).all(|(o, y)| (o - y).abs() < 0.02));
//! # Ok::<(), ot_nn::Error>(())
//! ```
#![forbid(unsafe_code)]

mod layer;
mod network;
mod optimizer;

pub use layer::Layer;
pub use network::{Network, Tape};
pub use optimizer::{Adam, Optimizer, Sgd};

/// Why a network could not be made or asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No layers, a layer without inputs or outputs, or a slope that is no number.
    #[error("layer {layer}: `{name}` = {value}: {rule}")]
    Layer {
        /// Its place in the chain.
        layer: usize,
        /// What is wrong with it.
        name: &'static str,
        /// The value.
        value: f64,
        /// The rule.
        rule: &'static str,
    },
    /// Two layers, or a layer and a batch, that do not fit.
    #[error("`{argument}` has {found} numbers, but {expected}")]
    Shape {
        /// The argument.
        argument: &'static str,
        /// How many there are.
        found: usize,
        /// What is expected, as a clause.
        expected: String,
    },
}
