//! Optimal transport between continuous distributions by push-forward networks.
#![forbid(unsafe_code)]

mod cost;
mod critic;
mod error;
pub mod flow;
mod generator;
mod sampler;
mod settings;
mod train;

pub use cost::{Euclidean, JointCost, SqEuclidean};
pub use error::Error;
pub use flow::{Flow, FlowSettings, FlowSpot};
pub use generator::{Generator, perceptron};
pub use sampler::{Empirical, FromFn, Gaussian, Sampler};
pub use settings::SpotSettings;
pub use train::{Spot, Step};
