//! Optimal transport between continuous distributions by push-forward networks.
#![forbid(unsafe_code)]

mod best;
mod cloud;
mod continuous;
pub mod cost;
mod critic;
mod discrete;
mod error;
mod factory;
mod generator;
mod nearest;
mod sampler;
mod samples;
mod saved;
mod settings;
mod train;

pub use continuous::{ContinuousSolver, Estimate, Look};
pub use cost::{AllPairs, Cityblock, Euclidean, JointCost, SqEuclidean};
pub use critic::critic;
pub use discrete::{NAME, SpotSolver};
pub use error::Error;
pub use factory::{SMALLEST_TOL, Settings, SpotFactory};
pub use generator::{Generator, perceptron};
pub use sampler::{Empirical, FromFn, Gaussian, Sampler};
pub use samples::Samples;
pub use settings::SpotSettings;
pub use train::{Spot, Step};
