//! What the caller expects of the solver under test.

use std::sync::Arc;

use super::domain::{Domain, Draw};
use crate::solver::{Capabilities, Capability};
use crate::{Error, Options, Problem};

/// What the solver under test is expected to be able to do, and how accurately.
///
/// The capabilities must equal the solver's own declaration: a solver that declares less would otherwise pass by
/// having its sections skipped.
#[derive(Debug, Clone)]
pub struct Expect {
    pub(super) capabilities: Capabilities,
    pub(super) accuracy: Option<f64>,
    pub(super) tol: Option<f64>,
    pub(super) marginal_error: Option<f64>,
    pub(super) reg: f64,
    pub(super) max_size: usize,
    pub(super) iteration_limit: bool,
    pub(super) cases: u32,
    pub(super) delegates: bool,
    pub(super) options: Options,
    pub(super) domain: Option<Domain>,
}

impl Default for Expect {
    fn default() -> Self {
        Self::new()
    }
}

impl Expect {
    /// No capabilities, and the accuracy of a solver in double precision.
    #[must_use]
    pub fn new() -> Self {
        Self {
            capabilities: Capabilities::default(),
            accuracy: None,
            tol: None,
            marginal_error: None,
            reg: 0.2,
            max_size: 128,
            iteration_limit: true,
            cases: 64,
            delegates: false,
            options: Options::default(),
            domain: None,
        }
    }

    /// The capabilities, all of them.
    #[must_use]
    pub fn capabilities(mut self, list: &[Capability]) -> Self {
        self.capabilities = Capabilities::of(list);
        self
    }

    /// How far values may lie from what they should be, relative to mass × spread of the cost: 1e-9 for exact
    /// solvers and 1e-6 for others unless set here. A stochastic solver states its tolerance with this.
    #[must_use]
    pub fn accuracy(mut self, accuracy: f64) -> Self {
        self.accuracy = Some(accuracy);
        self
    }

    /// The tolerance to ask for. Default: 1e-10 for entropic solvers, their own for the rest.
    #[must_use]
    pub fn tol(mut self, tol: f64) -> Self {
        self.tol = Some(tol);
        self
    }

    /// The largest marginal error (L1 over the mass) of a converged answer. Default: the tolerance for entropic
    /// solvers, 1e-12 for exact ones, the accuracy for the rest.
    #[must_use]
    pub fn marginal_error(mut self, error: f64) -> Self {
        self.marginal_error = Some(error);
        self
    }

    /// The regularization that entropic solvers are tested with, as a share of the spread of the cost: 0.2.
    /// Sinkhorn's iterations contract by 1 − 4·e^{−spread/reg} or better, so that it ends after some 1000 of them on
    /// any problem without forbidden pairs; a smaller share tests patience rather than correctness.
    #[must_use]
    pub fn reg(mut self, share_of_spread: f64) -> Self {
        self.reg = share_of_spread;
        self
    }

    /// The number of points on a side of the largest problems: 128. Slow solvers lower it.
    #[must_use]
    pub fn max_size(mut self, size: usize) -> Self {
        self.max_size = size.max(2);
        self
    }

    /// The solver has no iterations to limit: `max_iter` is not set on it.
    #[must_use]
    pub fn without_iteration_limit(mut self) -> Self {
        self.iteration_limit = false;
        self
    }

    /// The number of generated problems of each property: 64.
    #[must_use]
    pub fn cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// The solver hands problems to others, and its answers bear their names.
    #[must_use]
    pub fn delegates(mut self) -> Self {
        self.delegates = true;
        self
    }

    /// Options that every solver of the run is built with: a precision, a seed. `reg` and `tol` are set by the
    /// suite.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The solver takes certain costs only, and `make` makes balanced problems with such a cost: of the shape, the mass
    /// and the numbers that it is given. The suite's checks of generated problems are run on these; those whose
    /// problems have costs of their own are skipped, with `name` as the reason, and that such a problem is refused is a
    /// check of its own.
    ///
    /// ```
    /// # use solver_api::conformance::Expect;
    /// # use solver_api::{Ground, Problem};
    /// let expect = Expect::new().domain("points on a line", |draw| {
    ///     let (n, m) = draw.shape();
    ///     let (a, b) = (draw.weights(n), draw.weights(m));
    ///     let (x, y) = (draw.numbers(n), draw.numbers(m));
    ///     Problem::from_points(&a, &b, &x, &y, 1, Ground::SqEuclidean)
    /// });
    /// ```
    #[must_use]
    pub fn domain(
        mut self,
        name: impl Into<String>,
        make: impl Fn(&mut Draw) -> Result<Problem, Error> + Send + Sync + 'static,
    ) -> Self {
        self.domain = Some(Domain {
            name: name.into(),
            make: Arc::new(make),
        });
        self
    }

    pub(super) fn has(&self, capability: Capability) -> bool {
        self.capabilities.has(capability)
    }

    pub(super) fn value_accuracy(&self) -> f64 {
        let default = if self.has(Capability::Exact) {
            1e-9
        } else {
            1e-6
        };
        self.accuracy.unwrap_or(default)
    }

    pub(super) fn asked_tol(&self) -> Option<f64> {
        let default = self.has(Capability::Entropic).then_some(1e-10);
        self.tol.or(default)
    }

    pub(super) fn converged_error(&self) -> f64 {
        let default = if self.has(Capability::Entropic) {
            self.asked_tol().unwrap_or(1e-10)
        } else if self.has(Capability::Exact) {
            1e-12
        } else {
            self.value_accuracy()
        };
        self.marginal_error.unwrap_or(default)
    }
}
