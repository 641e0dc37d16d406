//! Barycenters on a fixed support by any solver: descent along its potentials.
//!
//! The mean cost F(q) = Σ_k λ_k OT(p_k, q) is convex, and the mean of the potentials g_k of the plans to q is a subgradient of
//! it. Mirror steps q ← q e^{−η ḡ} / Σ keep q a measure; η = √(ln m) / √(Σ ‖ḡ‖²) of all rounds so far needs no setting, and
//! F comes down to its least as 1/√t.
//!
//! Every round has a cut as well: for any measure F ≥ Σ_k λ_k ⟨f_k, p_k⟩ + ⟨ḡ, ·⟩ with f_k the c-transform of g_k. The mean of
//! all cuts, weighted as their steps, is least at one point of the support: that is the lower end of a bracket whose upper
//! end is the best F seen. It closes as 1/√t too.
//!
//! Sources: Cuturi and Doucet, *Fast computation of Wasserstein barycenters* (2014), algorithm 1; Nesterov, *Primal-dual
//! subgradient methods for convex problems* (2009), for the bracket; Duchi, Hazan and Singer (2011), for η.

use std::sync::Arc;

use solver_api::transform::c_transform_to_source;
use solver_api::{
    Barycenter, Barycenters, Capability, Certificate, Context, Cost, Error as ApiError, Measure,
    Problem, Solver,
};

use super::inputs::{Inputs, Masses};
use super::solves::Solves;
use crate::Error;
use crate::cuts::Cuts;
use crate::drive::{Limits, Step, drive, relative};
use crate::error::require;

/// What can be set of [`FixedSupport`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixedSupportSettings {
    /// The relative gap at which it ends: of the bracket around the least mean cost, over its upper end. Default: 0.1: half
    /// of the gap takes four times the rounds.
    pub tol: f64,
    /// Rounds at most, each one solve for every measure. Default: 1000.
    pub max_iter: u64,
}

impl Default for FixedSupportSettings {
    fn default() -> Self {
        Self {
            tol: 0.1,
            max_iter: 1000,
        }
    }
}

/// Barycenters on a fixed support with any solver inside. Needs [`Capability::Balanced`]. A round takes one solve for each
/// measure, from the potentials of the round before where the solver can start from them.
///
/// An entropic solver's potentials belong to its own mean cost: the bracket is that of the unregularized one all the same,
/// and closes no further than its bias.
#[derive(Clone)]
pub struct FixedSupport<'a> {
    solver: &'a dyn Solver,
    settings: FixedSupportSettings,
}

impl<'a> FixedSupport<'a> {
    /// The name in reports and errors.
    pub const NAME: &'static str = "fixed-support";

    /// With checked settings.
    ///
    /// # Errors
    /// A solver without the capability, and settings outside of their range.
    pub fn new(solver: &'a dyn Solver, settings: FixedSupportSettings) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        let checked = Self { solver, settings };
        checked.limits().check()?;
        Ok(checked)
    }

    fn limits(&self) -> Limits {
        Limits {
            tol: self.settings.tol,
            max_iter: self.settings.max_iter,
        }
    }

    fn descend(&self, inputs: &Inputs, context: &Context) -> Result<Barycenter, Error> {
        let (count, m) = (inputs.count(), inputs.support());
        let solves = Solves::new(self.solver, count, context);
        let cost = &inputs.cost;
        let spread = cost.range().spread();
        let mut cuts = Cuts::new(m, cost.range().min);
        let mut q = Measure::uniform(m)?;
        let mut best: Option<(Measure, f64)> = None;
        let mut last = f64::INFINITY;
        let convergence = drive(Self::NAME, self.limits(), context, |_| {
            let round = solves.all(
                count,
                |k| {
                    let (p, q) = (inputs.measures[k].clone(), q.clone());
                    Ok(Problem::new(p, q, Arc::clone(cost))?)
                },
                |k, solution| {
                    let g = solution.potentials.g;
                    let f = c_transform_to_source(cost.as_ref(), &g, |_| true);
                    let p = inputs.measures[k].weights();
                    let pairs = f.iter().zip(p).filter(|(_, p)| **p > 0.0);
                    Ok((
                        pairs.map(|(f, p)| f * p).sum::<f64>(),
                        g,
                        solution.transport_cost,
                    ))
                },
            );
            let round = match round {
                Ok(round) => round,
                // What was stopped is no answer; the check that follows says why it ends.
                Err(_) if context.interrupted().is_some() => return Ok(Step::Off(last)),
                Err(error) => return Err(error),
            };
            let mut slope = vec![0.0; m];
            let (mut level, mut value) = (0.0, 0.0);
            for ((paired, g, cost), lambda) in round.iter().zip(&inputs.lambda) {
                level += lambda * paired;
                value += lambda * cost;
                slope.iter_mut().zip(g).for_each(|(s, g)| *s += lambda * g);
            }
            if best.as_ref().is_none_or(|(_, least)| value < *least) {
                best = Some((q.clone(), value));
            }
            let upper = best.as_ref().map_or(value, |(_, least)| *least);
            q = cuts.step(&q, level, slope)?;
            last = relative(cuts.gap(upper, spread), upper, spread);
            Ok(Step::of(last))
        })?;
        let Some((weights, upper)) = best else {
            return Err(Error::Stopped {
                what: "rounds",
                termination: convergence.termination,
                done: 0,
                count: 1,
            });
        };
        let lower = cuts.lower();
        Ok(Barycenter {
            weights,
            convergence,
            certificate: Some(Certificate { lower, upper }.ordered(|| upper.abs())),
        })
    }
}

impl Barycenters for FixedSupport<'_> {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn barycenter(
        &self,
        cost: &Arc<dyn Cost>,
        measures: &[Measure],
        lambda: &[f64],
        context: &mut Context,
    ) -> Result<Barycenter, ApiError> {
        let inputs = Inputs::new(Self::NAME, cost, measures, lambda, Masses::One)?;
        self.descend(&inputs, context).map_err(|error| match error {
            Error::Transport(error) => error,
            other => ApiError::Backend {
                solver: self.solver.name().to_owned(),
                message: other.to_string(),
            },
        })
    }
}
