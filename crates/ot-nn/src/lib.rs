//! A small reverse-mode engine: what the applications that learn need beyond a linear model, and no more.
//!
//! A [`Network`] is a chain of [`Layer`]s between rows of features and rows of outputs. Its parameters are one slice, so that
//! any optimizer can move them; [`Network::forward`] keeps on a [`Tape`] what [`Network::backward`] needs, and nothing is
//! allocated once a tape has seen a batch of that size. Numbers are f64, or f32 ([`Number`]).
//!
//! | layer | out | parameters |
//! |---|---|---|
//! | [`Layer::Linear`] | W x + b | K·D weights and K biases |
//! | [`Layer::Convolution`] | sums over patches of images, plus b | F·C·k² weights and F biases |
//! | [`Layer::TransposedConvolution`] | its transpose, from small images to large ones | C·F·k² weights and F biases |
//! | [`Layer::LeakyRelu`] | max(x, slope·x) | none |
//! | [`Layer::Tanh`] | tanh x | none |
//! | [`Layer::Softmax`] | e^x over its sum, row by row | none |
//!
//! [`Network::forward_tangents`] pushes directions along, for Jacobians and their traces, and has a gradient of its own.
//!
//! A layer with weights can be [`normalized`](Layer::normalized): its matrix is divided by its largest singular value
//! ([`Spectral`]), which power iterations follow from step to step ([`Network::normalize`]). A layer of another kind is a variant
//! of [`Layer`] with an arm in each `match` of `layer.rs`.
//!
//! | besides | |
//! |---|---|
//! | [`Adam`], [`Sgd`] | move parameters ([`Optimizer`]), and refuse gradients that are not finite |
//! | [`clip_value`], [`clip_norm`] | keep gradients small |
//! | [`cross_entropy`], [`soft_cross_entropy`] | losses of scores, with gradients |
//! | [`check_finite`], [`all_finite`] | find what is no number |
//! | [`Checkpoint`] | files from which a training goes on, to the same bits |
//!
//! The same seed, number type and instruction set give the same bits: everything is on one thread and in one order.
//!
//! ```
//! use ot_nn::{Adam, Layer, Network, Optimizer, Tape};
//!
//! // x² on four numbers, by a network of eight hidden units.
//! let layers = [Layer::linear(1, 8), Layer::Tanh, Layer::linear(8, 1)];
//! let mut network: Network = Network::new(&layers, 0)?;
//! let (x, y) = ([-1.0, -0.5, 0.5, 1.0], [1.0, 0.25, 0.25, 1.0]);
//! let (mut tape, mut adam) = (Tape::default(), Adam::new(0.02));
//! let mut gradient = vec![0.0; network.parameters().len()];
//! for _ in 0..800 {
//!     let out = network.forward(&x, &mut tape)?;
//!     let by_out: Vec<f64> = out.iter().zip(&y).map(|(o, y)| o - y).collect();
//!     network.backward(&by_out, &mut tape, &mut gradient)?;
//!     adam.step(&gradient, network.parameters_mut())?;
//! }
//! let out = network.forward(&x, &mut tape)?;
//! assert!(out.iter().zip(&y).all(|(o, y)| (o - y).abs() < 0.02));
//! # Ok::<(), ot_nn::Error>(())
//! ```
#![forbid(unsafe_code)]

mod activation;
mod checkpoint;
mod clip;
mod convolution;
mod error;
mod finite;
mod layer;
mod linear;
mod loss;
mod network;
mod number;
mod optimizer;
mod patches;
mod spectral;
mod tape;

pub use checkpoint::Checkpoint;
pub use clip::{clip_norm, clip_value};
pub use error::Error;
pub use finite::{all_finite, check_finite};
pub use layer::Layer;
pub use loss::{cross_entropy, soft_cross_entropy};
pub use network::Network;
pub use number::Number;
pub use optimizer::{Adam, Optimizer, OptimizerState, Sgd};
pub use patches::Conv;
pub use spectral::Spectral;
pub use tape::Tape;
