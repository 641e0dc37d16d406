//! Entropic barycenters on a fixed support by iterated Bregman projections.
//!
//! q minimizes Σ_k λ_k (⟨P_k, C⟩ + ε KL(P_k ‖ 1)) over plans from p_k to q. With K = exp(−C/ε) the projections are
//! u_k = p_k / K v_k, q = Π_k (Kᵀ u_k)^{λ_k}, v_k = q / Kᵀ u_k, from v_k = 1 on, so that Π_k v_k^{λ_k} = 1 throughout.
//!
//! Why this and not descent along any solver's potentials ([`FixedSupport`](super::FixedSupport)): it converges linearly
//! without a step size, and an iteration on all measures together is two matrix products, where a step of a descent is one
//! solve for each measure. With squared distances it blurs by about √(ε/2); `debiased` takes that out again.
//!
//! Sources: Benamou, Carlier, Cuturi, Nenna and Peyré, *Iterative Bregman projections for regularized transportation
//! problems* (2015), section 3.2; Solomon et al., *Convolutional Wasserstein distances* (2015), algorithm 2, for grids;
//! Janati, Cuturi and Gramfort, *Debiased Sinkhorn barycenters* (2020), algorithm 1; Schmitzer, *Stabilized sparse scaling
//! algorithms* (2019), for the path of ε.

use std::sync::Arc;

use solver_api::{
    Barycenter, Barycenters, Certificate, Certify, Context, Convergence, Cost, Error, Measure, Reg,
};

use super::bracket::bracket;
use super::inputs::{Inputs, Masses};
use super::kernel::Kernel;
use super::logs::Logs;
use super::momentum::LEAST;
use super::scalings::Scalings;
use super::state::{Making, State};
use crate::drive::{Limits, Step, drive};

/// Scalings are about as large as the reciprocals of the kernel, whose least entry has to be a number: beyond a spread of
/// the cost of this many ε it takes logarithms.
const LARGEST_EXPONENT: f64 = 600.0;
/// Where the path of ε begins, as a part of the cost's spread, and how it goes down.
const FIRST: f64 = 0.02;
const FACTOR: f64 = 0.25;
/// Rounds at an ε that is on the way at most, and the error that is good enough there.
const ON_THE_WAY: u64 = 20;
const GOOD_ENOUGH: f64 = 0.05;

/// In which numbers a round is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BregmanDomain {
    /// In scalings where the cost spreads over no more than 600 ε, else, or where these leave the range of doubles all the
    /// same, in logarithms.
    #[default]
    Auto,
    /// In scalings u, v: two products with exp(−C/ε), one exponential and one logarithm an entry. Refuses an ε for which
    /// these leave the range of doubles.
    Scalings,
    /// In ln u, ln v, at any ε: two to four times the time a round on grids, and a little more on a matrix; where the
    /// cost spreads over more than 660 ε, exponentials of all pairs on a matrix. ε comes down to `reg` on a path.
    Logarithms,
}

/// What can be set of [`Bregman`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BregmanSettings {
    /// Regularization ε. Default: 4e-3 of the largest cost, near the least that scalings admit (the spread of the cost
    /// over 600): a barycenter's blur is no help, and below that a round costs more.
    pub reg: Reg,
    /// The largest of the measures' marginal errors, L1 at mass 1, at which it ends; with `debiased` also what the fixed
    /// point is off by. Default: 1e-3: the last thousandth of the mass takes as long as all before it, and a picture shows
    /// none of it. Debiased means sharpen long after that: their error falls as one over the iterations.
    pub tol: f64,
    /// Iterations at most. Default: 1000.
    pub max_iter: u64,
    /// Takes the blur of the entropy out, for costs that are the same on both sides. Default: off.
    pub debiased: bool,
    /// In which numbers. Default: [`BregmanDomain::Auto`].
    pub domain: BregmanDomain,
}

impl Default for BregmanSettings {
    fn default() -> Self {
        Self {
            reg: Reg::Relative(4e-3),
            tol: 1e-3,
            max_iter: 1000,
            debiased: false,
            domain: BregmanDomain::Auto,
        }
    }
}

/// Barycenters by iterated Bregman projections. Time O(n·m·K) an iteration, or O(n·Σ dims·K) for a cost that is a
/// [`GridCost`](solver_api::GridCost) or the matrix of one; memory O(n·m + (n + m)·K), or O(n·K) for a grid.
#[derive(Debug, Clone, Default)]
pub struct Bregman {
    settings: BregmanSettings,
}

impl Bregman {
    /// The name in reports and errors.
    pub const NAME: &str = "bregman";

    /// With checked settings.
    ///
    /// # Errors
    /// A setting outside of its range.
    pub fn new(settings: BregmanSettings) -> Result<Self, Error> {
        settings.reg.check()?;
        let checked = Self { settings };
        checked.limits().check()?;
        Ok(checked)
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &BregmanSettings {
        &self.settings
    }

    fn limits(&self) -> Limits {
        Limits {
            tol: self.settings.tol,
            max_iter: self.settings.max_iter,
        }
    }

    /// Whether logarithms are taken.
    fn takes_logs(&self, spread: f64, reg: f64) -> Result<bool, Error> {
        let fits = spread <= LARGEST_EXPONENT * reg;
        match self.settings.domain {
            BregmanDomain::Auto => Ok(!fits),
            BregmanDomain::Logarithms => Ok(true),
            BregmanDomain::Scalings if fits => Ok(false),
            BregmanDomain::Scalings => {
                let least = spread / LARGEST_EXPONENT;
                let rule = format!(
                    "is too small for costs that differ by {spread:e}: scalings need {least:e} or more"
                );
                Err(Error::setting("reg", reg, rule))
            }
        }
    }
}

impl Barycenters for Bregman {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn barycenter(
        &self,
        cost: &Arc<dyn Cost>,
        measures: &[Measure],
        lambda: &[f64],
        context: &mut Context,
    ) -> Result<Barycenter, Error> {
        let inputs = Inputs::new(Self::NAME, cost, measures, lambda, Masses::One)?;
        if self.settings.debiased {
            inputs.require_square("debiased")?;
        }
        let reg = self.settings.reg.resolve_beside(cost.as_ref());
        let logs = self.takes_logs(cost.range().spread(), reg)?;
        let context = context.clone();
        context.clone().install(|| {
            // Far below the distance of two points of the support steps beyond themselves can leave the range of numbers.
            let in_logs = || match self.in_logs(&inputs, reg, &context, Some(LEAST)) {
                Err(Error::NotConverged { .. }) => self.in_logs(&inputs, reg, &context, None),
                found => found,
            };
            let found = match self.settings.domain {
                _ if logs => in_logs()?,
                BregmanDomain::Auto => match self.in_scalings(&inputs, reg, &context) {
                    Err(Error::NotConverged { .. }) => in_logs()?,
                    found => found?,
                },
                _ => self.in_scalings(&inputs, reg, &context)?,
            };
            found.finish(&inputs, &context)
        })
    }
}

/// What an iteration leaves.
pub(super) struct Found<'a> {
    pub(super) q: Vec<f64>,
    pub(super) log_v: Vec<f64>,
    pub(super) kernel: Option<Kernel<'a>>,
    pub(super) reg: f64,
    pub(super) convergence: Convergence,
}

impl<'a> Found<'a> {
    /// q at mass 1, and its bracket where one is wanted.
    pub(super) fn finish(self, inputs: &'a Inputs, context: &Context) -> Result<Barycenter, Error> {
        let weights = Measure::named("barycenter", self.q)?.normalized();
        let certificate: Option<Certificate> = match context.certify {
            Certify::Off => None,
            _ => {
                let kernel = self.kernel;
                let kernel = kernel.unwrap_or_else(|| Kernel::Logs(Logs::new(inputs, self.reg)));
                Some(bracket(inputs, &kernel, self.reg, &self.log_v, &weights)?)
            }
        };
        Ok(Barycenter {
            weights,
            convergence: self.convergence,
            certificate,
        })
    }
}

impl Bregman {
    fn making(&self, momentum: Option<f64>) -> Making {
        Making {
            debiased: self.settings.debiased,
            momentum,
        }
    }

    /// Rows where no measure has weight are left out of the kernel; the support has all of them.
    fn with_all_rows(&self, inputs: &Inputs) -> Option<Inputs> {
        let whole = inputs.rows.len() == inputs.cost.shape().0;
        (self.settings.debiased && !whole).then(|| inputs.with_all_rows())
    }

    fn in_scalings<'a>(
        &self,
        inputs: &'a Inputs,
        reg: f64,
        context: &Context,
    ) -> Result<Found<'a>, Error> {
        let kernel = Kernel::Scalings(Scalings::new(inputs, reg));
        let own = self.with_all_rows(inputs);
        let own = own.map(|all| Kernel::Scalings(Scalings::new(&all, reg)));
        let own = own.as_ref().unwrap_or(&kernel);
        let mut state = State::new(inputs, &kernel, self.making(Some(LEAST)));
        let convergence = drive(Self::NAME, self.limits(), context, |_| {
            Ok(Step::of(state.round(&kernel, own)))
        })?;
        Ok(Found {
            q: state.mean(),
            log_v: state.log_v(),
            kernel: None,
            reg,
            convergence,
        })
    }

    fn in_logs<'a>(
        &self,
        inputs: &'a Inputs,
        reg: f64,
        context: &Context,
        momentum: Option<f64>,
    ) -> Result<Found<'a>, Error> {
        let mut at = reg.max(FIRST * inputs.cost.range().spread());
        let all = self.with_all_rows(inputs);
        let mut kernel = Kernel::Logs(Logs::new(inputs, at));
        let mut own = all.as_ref().map(|all| Kernel::Logs(Logs::new(all, at)));
        let mut state = State::new(inputs, &kernel, self.making(momentum));
        let mut here = 0;
        let convergence = drive(Self::NAME, self.limits(), context, |_| {
            here += 1;
            let error = state.round(&kernel, own.as_ref().unwrap_or(&kernel));
            if at <= reg || error.is_nan() {
                return Ok(Step::of(error));
            }
            if error <= GOOD_ENOUGH || here >= ON_THE_WAY {
                let next = (FACTOR * at).max(reg);
                state.carry(at / next);
                kernel.set_reg(next);
                if let Some(own) = &mut own {
                    own.set_reg(next);
                }
                (at, here) = (next, 0);
            }
            // What is on the way has not arrived, however little it is off.
            Ok(Step::Off(f64::INFINITY))
        })?;
        Ok(Found {
            q: state.mean(),
            log_v: state.log_v(),
            kernel: Some(kernel),
            reg: at,
            convergence,
        })
    }
}
