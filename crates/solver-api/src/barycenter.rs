//! Barycenters as a capability: what is not a solve has a trait of its own.

use std::sync::Arc;

use crate::{Certificate, Context, Convergence, Cost, Error, Measure};

/// Who can average measures: argmin over q of Σ_k λ_k·OT(p_k, q), on a fixed support.
///
/// Source: Agueh and Carlier, *Barycenters in the Wasserstein space* (2011).
pub trait Barycenters: Send + Sync {
    /// Its name in reports and errors.
    fn name(&self) -> &str;

    /// The barycenter of `measures` (K of them, one entry for each of the n rows of `cost`) on the m points that the
    /// columns of `cost` stand for, each measure counted with its weight in `lambda` (K entries, as weights of a
    /// [`Measure`]; only their ratios matter). Each measure is taken at mass 1, and so is the answer.
    ///
    /// # Errors
    /// Shapes that do not match, no measure at all, weights that a [`Measure`] refuses, forbidden pairs where the
    /// method knows none, and settings that do not suit the cost.
    fn barycenter(
        &self,
        cost: &Arc<dyn Cost>,
        measures: &[Measure],
        lambda: &[f64],
        context: &mut Context,
    ) -> Result<Barycenter, Error>;
}

/// A barycenter, and how good it is.
#[derive(Debug, Clone)]
pub struct Barycenter {
    /// The weights on the support, mass 1.
    pub weights: Measure,
    /// How the iteration went; both errors are those of the worst of the plans to the measures.
    pub convergence: Convergence,
    /// A bracket around the least Σ_k λ_k·OT(p_k, q), λ of sum 1 and measures of mass 1, without any regularization: no
    /// measure on the support reaches less than its lower end, and [`Barycenter::weights`] reaches its upper end. None
    /// where the context wants none, or the method has none.
    pub certificate: Option<Certificate>,
}
