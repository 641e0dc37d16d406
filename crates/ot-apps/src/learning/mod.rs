//! Learning to predict distributions over labels with a ground metric: 003 and the losses of 004.
//!
//! A [`LabelCost`] says what it costs to predict one label for another, a [`Loss`](losses::Loss) what a predicted
//! distribution costs, a [`Model`] ([`Linear`], a [`NetworkModel`], or one of your own) makes predictions from features, and [`train`] minimizes the mean loss by stochastic
//! gradients; [`WassersteinClassifier`] is all of that with `fit` and `predict`.
//!
//! ```
//! use std::sync::Arc;
//! use ot_apps::learning::losses::{EntropicSettings, EntropicWasserstein, WeightedSum};
//! use ot_apps::learning::{LabelCost, Training, WassersteinClassifier};
//! use solver_api::Context;
//!
//! // Three classes in an order, told by one feature.
//! let (x, labels) = ([0.1, 0.2, 0.9, 1.1, 2.0, 2.1], [10, 10, 20, 20, 30, 30]);
//! let metric = LabelCost::ordered(3, 1.0)?.scaled();
//! let loss = EntropicWasserstein::new(&metric, EntropicSettings::default())?;
//! let loss = WeightedSum::with_kl(Arc::new(loss), 0.5)?;
//! let training = Training { epochs: 200, rate: 0.1, ..Training::default() };
//! let classifier = WassersteinClassifier::new(Arc::new(loss), training)?;
//! let fitted = classifier.fit(&x, 1, &labels, &Context::default())?;
//! assert_eq!(fitted.predict(&[0.0, 1.0, 2.2])?, [10, 20, 30]);
//! # Ok::<(), ot_apps::Error>(())
//! ```

mod classifier;
mod labels;
pub mod losses;
mod model;
mod network;
mod optimizer;
mod targets;
mod train;

pub use classifier::{FittedClassifier, Predictor, WassersteinClassifier};
pub use labels::LabelCost;
pub use model::{Head, Linear, Model};
pub use network::NetworkModel;
pub use optimizer::Optimizer;
pub use targets::Targets;
pub use train::{History, Training, train};
