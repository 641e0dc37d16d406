//! Barycenters by the inexact proximal point method: exact in the limit, at an ε that no iteration has to reach at once.
//!
//! Source: 002, section 2.5 and algorithm 2. The t-th step projects in the metric KL(· ‖ Γᵗ) of the last plans. Written out
//! for plans from p_k (rows) to q (columns), where the text has it so and the algorithm the other way round:
//!
//! H_k = G ∘ Γ_k, G = exp(−C/β); then L times a_k = p_k / H_k b_k, q = Π_k (b_k ∘ H_kᵀ a_k)^{λ_k}, b_k = q / H_kᵀ a_k;
//! and Γ_k ← diag(a_k) H_k diag(b_k).
//!
//! (In the printed algorithm a_k is taken from a q that nothing has set, and q from an a_k that belongs to the q before.)
//!
//! From Γ_k = 1 on, Γ_k after t steps is diag(u_k) G^∘t diag(v_k) with the products of all a_k and b_k so far for u_k and v_k,
//! so that a_k ∘ u_k = p_k / G^∘(t+1) (b_k ∘ v_k): the steps are those of Bregman projections at ε = β/t whose *scalings* go
//! on. G^∘t = exp(−t C/β) is shared by all measures and, on a grid, a product of small kernels. Nothing of size n·m is kept
//! for a measure, where the algorithm keeps K plans; and Π_k b_k^{λ_k} = 1, so that q = Π_k (G^∘tᵀ u_k)^{λ_k}.

use std::sync::Arc;

use solver_api::{Barycenter, Barycenters, Context, Cost, Error, Measure, Reg};

use super::bracket::bracket;
use super::bregman::Found;
use super::inputs::{Inputs, Masses};
use super::kernel::Kernel;
use super::logs::Logs;
use super::momentum::LEAST_ON_THE_WAY;
use super::state::{Making, State};
use crate::drive::{Limits, Step, drive, relative};

/// How often the bracket is looked at, in iterations.
const LOOK: u64 = 25;
/// The error at which the plans of an iteration are settled at any tolerance, and projections until then at most.
const SETTLED: f64 = 0.01;
const MOST: u64 = 200;

/// What can be set of [`IpotBarycenter`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IpotBarycenterSettings {
    /// Step size β: after t iterations the kernel is that of ε = β/t. Default: 0.1 of the largest cost. Smaller is sharper
    /// at once and slower to settle: 002 has 1e-3 and 50 iterations.
    pub beta: Reg,
    /// Projections of an iteration, L. Default: 1.
    pub inner: u64,
    /// Exactly L projections an iteration, as 002 has it. Default: off: they go beyond themselves by as much as the errors
    /// before say (`momentum.rs`), and there are more of them, 200 at most, until the plans are off their marginals by no
    /// more than ten times `tol`, or 0.01. As printed and with L = 1 ε falls faster than plans settle: they stay off by an
    /// amount that grows as β gets smaller, a quarter of the mass for β = 0.1 and nearly all of it for 1e-3.
    pub printed: bool,
    /// The relative gap at which it ends: that of the bracket around the least mean cost, over its upper end.
    /// Default: 0.1.
    pub tol: f64,
    /// Iterations at most. Default: 1000.
    pub max_iter: u64,
}

impl Default for IpotBarycenterSettings {
    fn default() -> Self {
        Self {
            beta: Reg::Relative(0.1),
            inner: 1,
            printed: false,
            tol: 0.1,
            max_iter: 1000,
        }
    }
}

/// Barycenters by the inexact proximal point method. Time O(n·m·K) an iteration, O(n^{3/2}·K) or about that for images;
/// memory O(n·m + (n + m)·K), for a grid cost (or its matrix) O(n·K). Every 25th iteration takes the bracket in addition,
/// some ten projections.
#[derive(Debug, Clone, Default)]
pub struct IpotBarycenter {
    settings: IpotBarycenterSettings,
}

impl IpotBarycenter {
    /// The name in reports and errors.
    pub const NAME: &str = "ipot-barycenter";

    /// With checked settings.
    ///
    /// # Errors
    /// A setting outside of its range.
    pub fn new(settings: IpotBarycenterSettings) -> Result<Self, Error> {
        settings.beta.check()?;
        if settings.inner == 0 {
            return Err(Error::setting("inner", 0, "must be at least 1"));
        }
        let checked = Self { settings };
        checked.limits().check()?;
        Ok(checked)
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &IpotBarycenterSettings {
        &self.settings
    }

    fn limits(&self) -> Limits {
        Limits {
            tol: self.settings.tol,
            max_iter: self.settings.max_iter,
        }
    }

    fn iterate<'a>(&self, inputs: &'a Inputs, context: &Context) -> Result<Found<'a>, Error> {
        let beta = self.settings.beta.resolve_beside(inputs.cost.as_ref());
        let spread = inputs.cost.range().spread();
        let mut kernel = Kernel::Logs(Logs::new(inputs, beta));
        let making = Making {
            momentum: (!self.settings.printed).then_some(LEAST_ON_THE_WAY),
            debiased: false,
        };
        let mut state = State::new(inputs, &kernel, making);
        let settled = (10.0 * self.settings.tol).min(SETTLED);
        let most = self.settings.inner.max(MOST);
        let (mut last, mut at) = (f64::INFINITY, beta);
        let mut convergence = drive(Self::NAME, self.limits(), context, |t| {
            at = beta / t as f64;
            kernel.set_reg(at);
            for projection in 1..=most {
                last = state.round(&kernel, &kernel);
                let enough = projection >= self.settings.inner;
                if (enough && (last <= settled || self.settings.printed))
                    || context.interrupted().is_some()
                {
                    break;
                }
            }
            if last.is_nan() {
                return Ok(Step::Failed);
            }
            if !t.is_multiple_of(LOOK) && t < self.settings.max_iter {
                return Ok(Step::Off(f64::INFINITY));
            }
            let q = Measure::named("barycenter", state.mean())?.normalized();
            let found = bracket(inputs, &kernel, at, &state.log_v(), &q)?;
            // Far from the end a plan to q may have no cost that is a number: then nothing is known yet.
            let gap = relative(found.gap(), found.upper, spread);
            Ok(Step::Off(if gap.is_nan() { f64::INFINITY } else { gap }))
        })?;
        // The tolerance is about the gap, the error about the plans.
        convergence.target_error = last;
        Ok(Found {
            q: state.mean(),
            log_v: state.log_v(),
            kernel: Some(kernel),
            reg: at,
            convergence,
        })
    }
}

impl Barycenters for IpotBarycenter {
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
        let context = context.clone();
        context
            .clone()
            .install(|| self.iterate(&inputs, &context)?.finish(&inputs, &context))
    }
}
