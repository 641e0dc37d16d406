//! What solvers between continuous distributions have in common.

use solver_api::{Context, Convergence};

use crate::{Error, Samples};

/// A solver that learns a transport plan between distributions that it can only draw from.
///
/// Object-safe; numbers are f64 whatever the networks compute in.
pub trait ContinuousSolver: Send {
    /// The name in reports.
    fn name(&self) -> &str;

    /// The dimension of each marginal.
    fn dims(&self) -> &[usize];

    /// Trains until the steps are done (an iteration limit: nobody knows whether it rests), the estimate rests (converged), or
    /// `context` ends it. `watch` sees each [`Look`]; the context's
    /// observer sees its progress. Called again, it goes on where it ended.
    ///
    /// The errors of the marginals in the answer are the critics' W₁ distances, in units of the samples: no L1.
    ///
    /// # Errors
    /// [`Error::Diverged`].
    fn train(
        &mut self,
        context: &Context,
        watch: &mut dyn FnMut(&Look),
    ) -> Result<Convergence, Error>;

    /// `count` samples of the plan.
    ///
    /// # Errors
    /// A count of 0, or beyond 2^31.
    fn sample(&self, count: usize, seed: u64) -> Result<Samples, Error>;

    /// The cost of the plan, from `count` samples of it, and how far its marginals are from those asked for.
    ///
    /// # Errors
    /// A count of 0, or beyond 2^31.
    fn estimate(&self, count: usize, seed: u64) -> Result<Estimate, Error>;

    /// The potential of marginal `k` at points, row by row. Up to a constant, and as good as the training: it is no bound
    /// before a c-transform has made it one.
    ///
    /// # Errors
    /// No such marginal, and parts of rows.
    fn potential(&self, k: usize, rows: &[f64]) -> Result<Vec<f64>, Error>;
}

/// What samples say of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Mean cost of the samples.
    pub cost: f64,
    /// Its standard error; +∞ where `cost` says nothing: of a single block of samples, and where there is no plan yet.
    pub std_error: f64,
    /// Mean λ_k(made) − mean λ_k(real) of each marginal on samples that were not trained on: what its critic still sees of
    /// W₁. Around 0 it sees nothing; a better critic may.
    pub apart: Vec<f64>,
}

/// A look at a training on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Steps of the generator so far.
    pub step: u64,
    /// η now.
    pub eta: f64,
    /// The running mean's estimate, from a thousand samples, the same at each look.
    pub estimate: Estimate,
}
