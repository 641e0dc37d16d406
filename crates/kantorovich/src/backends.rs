//! The one place that knows which backends there are: a line for each, behind the feature of its name.

use std::sync::Arc;

use solver_api::Factory;

/// Every backend that this build has, in the order of listings.
pub(crate) fn compiled_in() -> Vec<Arc<dyn Factory>> {
    vec![
        #[cfg(feature = "network-simplex")]
        Arc::new(solver_exact::NetworkSimplexFactory),
        #[cfg(feature = "exact-points")]
        Arc::new(solver_exact::ExactPointsFactory),
        #[cfg(feature = "line")]
        Arc::new(solver_exact::closed::LineFactory),
        #[cfg(feature = "circle")]
        Arc::new(solver_exact::closed::CircleFactory),
        #[cfg(feature = "sinkhorn")]
        Arc::new(solver_sinkhorn::SinkhornFactory),
        #[cfg(feature = "sinkhorn-stabilized")]
        Arc::new(solver_stabilized::SinkhornStabilizedFactory),
        #[cfg(feature = "lp-minilp")]
        Arc::new(solver_exact::lp::MINILP),
        #[cfg(feature = "lp-microlp")]
        Arc::new(solver_exact::lp::MICROLP),
        #[cfg(feature = "lp-highs")]
        Arc::new(solver_exact::lp::HIGHS),
        #[cfg(feature = "ipot")]
        Arc::new(solver_ipot::IpotFactory),
        #[cfg(feature = "spot")]
        Arc::new(solver_spot::SpotFactory),
        #[cfg(feature = "tree")]
        Arc::new(solver_exact::closed::tree::TreeFactory),
        #[cfg(feature = "gaussian")]
        Arc::new(solver_exact::closed::gaussian::GaussianFactory),
    ]
}
