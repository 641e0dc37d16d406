//! Domain adaptation: samples with labels in one domain, samples without in another, and a plan between them.
//!
//! | what | type |
//! |---|---|
//! | samples, weights, labels | [`Domain`] |
//! | the estimator: EMD, Sinkhorn, group lasso, Laplacian, unbalanced | [`Adaptation`], [`Adapted`] |
//! | out of sample | [`Adapted::transform`], [`LearnedMap`] |
//! | a plan that a smooth map can follow, and the map | [`MappingEstimation`], [`FittedMapping`] |
//! | moments alone | [`LinearAdaptation`] |
//! | a classifier of the target, learned with the plan | [`Jdot`], [`FittedJdot`] |
//! | the class proportions of the target | [`ProportionEstimation`], [`Proportions`] |
//! | settings without labels of the target | [`reverse_validation`] |
//! | labels along the plan | [`LabelTable`], [`ClassTable`] |
//!
//! Sources: Courty, Flamary and Tuia, *Domain adaptation with regularized optimal transport* (2014); Courty, Flamary, Tuia
//! and Rakotomamonjy, *Optimal transport for domain adaptation* (2017); 002, section 2.5.

mod conditional;
mod cost;
mod domain;
mod estimator;
mod fitted;
mod group;
mod jdot;
mod labels;
mod laplacian;
mod linear;
mod majorize;
mod mapping;
mod maps;
mod nearest;
mod predictor;
mod proportions;
mod validation;

pub use cost::{CostScale, KnownLabels};
pub use domain::Domain;
pub use estimator::{Adaptation, AdaptationSettings, Mass, Regularizer};
pub use fitted::Adapted;
pub use jdot::{FittedJdot, Jdot, JdotModel, JdotSettings};
pub use labels::{ClassTable, LabelTable};
pub use laplacian::{LaplacianSettings, Similarity, Smooth};
pub use linear::LinearAdaptation;
pub use mapping::{FittedMapping, MappingEstimation, MappingSettings};
pub use maps::{LearnedMap, MapKind, MapSettings};
pub use nearest::nearest_labels;
pub use predictor::Features;
pub use proportions::{ProportionEstimation, ProportionSettings, Proportions};
pub use validation::{Candidate, Validated, ValidationSettings, reverse_validation};
