//! Optimal transport between continuous distributions by push-forward networks: SPOT.
//!
//! A [`Generator`] makes joint samples (G_1(Z), …, G_m(Z)) of a latent variable Z; their law is the plan. Critics λ_k of
//! Lipschitz constant 1 say how far its marginals are from those asked for (W₁), and the mean cost says what it costs:
//!
//! min over G, max over λ of E c(G_1(Z), …, G_m(Z)) + η Σ_k (E λ_k(G_k(Z)) − E λ_k(X_k)).
//!
//! [`Spot`] trains it by steps of Adam in turns (algorithm 3), for any number of marginals ([`Sampler`]) and any cost that has
//! gradients ([`JointCost`]). Four things are not in the source: the networks of the generator
//! start as the same one ([`Generator::alike`]), η grows ([`SpotSettings`] says why), steps get shorter towards the end, and the
//! generator that counts is a running mean. [`SpotSolver`] is the same between points as a backend: its plan
//! is that of the pairs of nearest points, its potentials are −η λ, and so its bracket holds like anybody's.
//!
//! | file | |
//! |---|---|
//! | `train.rs`, `saved.rs`, `settings.rs` | algorithm 3, its state on disk, its settings |
//! | `answers.rs` | samples, estimates and potentials of its running means |
//! | `drive.rs` | the loop that all trainings but the flow's have in common |
//! | `generator.rs`, `critic.rs` | networks with the room that a step needs |
//! | `sampler.rs`, `samples.rs`, `cost.rs` | what comes in, what comes out, what it costs |
//! | `images.rs`, `convolutional.rs`, `sobel.rs` | images: drawn from, made and judged by convolutions, compared by their edges |
//! | `rules.rs` | ranges of settings |
//! | `continuous.rs` | [`ContinuousSolver`]: train, sample, estimate, potentials |
//! | `rot/` | [`Rot`]: the regularized dual, to compare with |
//! | `daspot/` | domain adaptation: a plan and two classifiers, trained together ([`daspot::Daspot`]) |
//! | `flow/` | the same with a density: a neural differential equation ([`FlowSpot`]) |
//! | `discrete.rs`, `factory.rs`, `cloud.rs`, `best.rs`, `nearest.rs` | the backend between points |
//!
//! ```
//! use std::sync::Arc;
//!
//! use ot_nn::Network;
//! use solver_api::Context;
//! use solver_spot::*;
//!
//! // Two Gaussians in the plane, 5 apart.
//! let samplers: Vec<Arc<dyn Sampler>> = vec![
//!     Arc::new(Gaussian::new(vec![-2.5, 0.0])?),
//!     Arc::new(Gaussian::new(vec![2.5, 0.0])?),
//! ];
//! let judge = |seed| Network::new(&critic(2, 8, 1, 0.2), seed);
//! let network = Network::<f32>::new(&perceptron(2, 8, 2, 2, 0.2), 0)?;
//! let generator = Generator::alike(network, 2)?;
//! let settings = SpotSettings { steps: 8000, ..SpotSettings::default() };
//! let critics = vec![judge(2)?, judge(3)?];
//! let mut spot = Spot::new(generator, critics, samplers, Arc::new(Euclidean), settings)?;
//! spot.train(&Context::default(), &mut |look| println!("{}: {}", look.step, look.estimate.cost))?;
//! let estimate = spot.estimate(10_000, 1)?;
//! assert!((estimate.cost - 5.0).abs() < 0.1, "{estimate:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: 002, chapter 3.
#![forbid(unsafe_code)]

mod answers;
mod best;
mod cloud;
mod continuous;
mod convolutional;
pub mod cost;
mod critic;
pub mod daspot;
mod discrete;
mod drive;
mod error;
mod factory;
pub mod flow;
mod generator;
mod images;
mod nearest;
mod rot;
mod rules;
mod sampler;
mod samples;
mod saved;
mod settings;
mod sobel;
mod train;

pub use continuous::{ContinuousSolver, Estimate, Look};
pub use convolutional::{image_critic, image_generator, keep_variance};
pub use cost::{AllPairs, Cityblock, Euclidean, JointCost, SqEuclidean};
pub use critic::critic;
pub use discrete::{NAME, SpotSolver};
pub use error::Error;
pub use factory::{SMALLEST_TOL, Settings, SpotFactory};
pub use flow::{Flow, FlowSettings, FlowSpot};
pub use generator::{Generator, perceptron};
pub use images::Images;
pub use rot::{Regularizer, Rot, RotSettings, RotStep};
pub use sampler::{Empirical, FromFn, Gaussian, Sampler};
pub use samples::Samples;
pub use settings::SpotSettings;
pub use sobel::Sobel;
pub use train::{Spot, Step, StepCost};
