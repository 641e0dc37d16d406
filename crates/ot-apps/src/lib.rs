//! Applications of optimal transport, generic over the solver.
//!
//! Every application takes any [`Solver`](solver_api::Solver), says which capability it needs, and refuses a solver without
//! it by an error that names what is missing. No backend is known here by name.
//!
//! | application | question | needs |
//! |---|---|---|
//! | [`Retrieval`] | which class model does an image reach at the least cost? | `balanced` |
//! | [`DissimilarityClassifier`] | the same, by a small network that reads the costs to all models | `balanced` |
//! | [`Neighbours`] | which classes have the nearest images? | `balanced` |
//! | [`Distances`] | how far are all pairs of many measures apart? | `balanced` |
//! | [`KernelClassifier`] | which side of a margin, by exp(−d/t)? | nothing: tables |
//! | [`AlignedRetrieval`] | the same, after the plan has said how to move, scale and turn the image | `balanced` |
//! | [`Adaptation`] | where do samples and labels of one domain arrive in another? | `balanced`, or `relaxed` |
//! | [`adaptation::ProportionEstimation`] | which shares of the source's classes does the target have? | `balanced` |
//! | [`adaptation::LinearAdaptation`] | which linear map takes the moments of one domain to the other's? | nothing |
//! | [`adaptation::Jdot`] | which classifier of the target agrees with the plan that it makes cheap? | `balanced` |
//! | [`Coupling`] | where does the plan between all samples and labelled ones send a sample? | `balanced` |
//! | [`ChannelTransfer`] | which levels of red, green and blue take the place of an image's own? | `balanced` |
//! | [`PaletteTransfer`] | which colours take the place of an image's own? | `balanced` |
//! | [`FilterLearner`] | which convolution makes the plan couple equal labels? | `balanced`, `entropic` |
//! | [`RetrievalFilterLearner`] | which convolution brings images near to the models of their class? | `balanced` |
//! | [`ClassModels`] | which few measures stand for a class? | nothing, `balanced`, [`Barycenters`](solver_api::Barycenters), or both |
//! | [`ModelLearner`] | how must models move to tell classes apart? | `balanced` |
//! | [`Bregman`], [`IpotBarycenter`] | what is the mean of measures on a fixed support? | nothing: they are backends of barycenters themselves |
//! | [`UnbalancedBarycenter`] | the same of measures of different mass | nothing |
//! | [`FixedSupport`] | the same along any solver's potentials | `balanced` |
//! | [`FreeSupport`] | which k points are the mean of clouds? | `balanced` |
//! | [`learning`] | which labels, where some mistakes are worse than others? | nothing; a loss by a solver: `balanced` or `relaxed` |
//!
//! The same seed gives the same answer for any number of threads: they share steps of a fixed size, each on one thread.
//! What the observer, the deadline or the token of a context stops is [`Error::Stopped`]; `predict_so_far` of a classifier
//! of images gives what was answered until then ([`SoFar`]), and [`Distances::fill`] leaves it in its table.
//!
//! ```
//! use ot_apps::{Images, ModelSet, Retrieval, Samples, Score, pixel_cost};
//! use solver_api::{Context, Ground};
//! use solver_exact::NetworkSimplex;
//!
//! // Bars that stand and bars that lie, in images of 3×3.
//! let train = Images::from_u8("train", (3, 3), &[
//!     9, 0, 0, 9, 0, 0, 9, 0, 0,
//!     0, 0, 0, 0, 0, 0, 9, 9, 9,
//! ])?;
//! let query = Images::from_u8("query", (3, 3), &[0, 9, 0, 0, 9, 0, 0, 9, 0])?;
//! let context = Context::default();
//! let models = ModelSet::fit(&Samples, &train, &[1, 2], 1, 0, &context)?;
//! let solver = NetworkSimplex::default();
//! let classifier = Retrieval::new(&solver, pixel_cost((3, 3), &Ground::Euclidean)?, models, Score::TransportCost)?;
//! assert_eq!(classifier.predict(&query, &context)?.predictions(), [1]);
//! # Ok::<(), ot_apps::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod adaptation;
pub mod alignment;
pub mod barycenters;
pub mod bernoulli;
pub mod class_models;
pub mod colour;
pub mod coupling;
mod cuts;
pub mod dissimilarity;
pub mod distances;
mod drive;
mod error;
pub mod filter;
pub mod images;
pub mod learning;
pub mod neighbours;
pub mod retrieval;
pub mod scores;
mod search;
mod steps;
pub mod svm;
mod transport;

pub use adaptation::{Adaptation, AdaptationSettings, Adapted, Domain};
pub use alignment::{
    AffineMap, AlignedRetrieval, AlignedRetrieved, Alignment, AlignmentSettings, Linear,
    PlanMoments, Registered, ScaleRule,
};
pub use barycenters::{
    Bregman, BregmanDomain, BregmanSettings, Cloud, FixedSupport, FixedSupportSettings,
    FreeBarycenter, FreeSupport, FreeSupportSettings, IpotBarycenter, IpotBarycenterSettings,
    UnbalancedBarycenter, UnbalancedBarycenterSettings,
};
pub use bernoulli::{BernoulliMixture, BernoulliSettings};
pub use class_models::{
    Bernoulli, ClassFit, ClassModels, ClusterBarycenters, KMeansSettings, LearnedModels,
    LearnerSettings, Medoids, ModelLearner, ModelSet, Samples, WassersteinKMeans,
};
pub use colour::{
    ChannelMap, ChannelTransfer, ColourImage, Palette, PaletteMap, PaletteSettings, PaletteTransfer,
};
pub use coupling::{Coupled, Coupling, CouplingRule, FittedCoupling};
pub use dissimilarity::{
    Dissimilar, DissimilarityClassifier, DissimilaritySettings, FittedDissimilarity,
};
pub use distances::{DistanceTable, Distances};
pub use error::Error;
pub use filter::{
    CouplingLoss, Filter, FilterLearner, FilterSettings, LearnedFilter, RetrievalFilterLearner,
    RetrievalFilterSettings, RetrievalLoss,
};
pub use images::{Images, pixel_cost};
pub use neighbours::{FittedNeighbours, Neighbours, Voted};
pub use retrieval::{ModelCost, Retrieval, Retrieved, Score};
pub use steps::SoFar;
pub use svm::{KernelClassifier, SvmSettings, exponential_kernel};
