//! The estimator: settings, their checks, and the fit.

use std::sync::Arc;

use solver_api::{
    Capability, Context, Convergence, Cost, DenseCost, Ground, Marginals, Plan, Problem, Solution,
    Solver,
};

use super::conditional::{self, Entropy};
use super::cost::{CostScale, Entries, KnownLabels, entries};
use super::domain::{Domain, Groups};
use super::fitted::{Adapted, Fit};
use super::group::{GroupNorm, Power};
use super::laplacian::{Laplacian, LaplacianSettings};
use super::majorize;
use crate::Error;
use crate::error::require;
use crate::transport::checked;

/// What is added to the transport problem.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Regularizer {
    /// Nothing: the solver's own problem (EMD, Sinkhorn, …).
    #[default]
    None,
    /// η Σ_j Σ_c (Σ_{i∈I_c} γ_ij + δ)^p: a target is to receive from one class of sources. Concave in the class sums, and
    /// minimized by majorization: each round is a solve whose cost is C + η∇, from the potentials of the last one. Courty,
    /// Flamary and Tuia (2014), algorithm 1, with their p = ½.
    #[doc(alias = "lpl1")]
    GroupLasso {
        /// η, at least 0.
        weight: f64,
        /// p, between 0 and 1. They have ½.
        power: f64,
        /// δ, positive: what keeps the slope finite at 0. Beside the mass of a target, 1/m, a small one separates more
        /// sharply.
        floor: f64,
    },
    /// η Σ_j Σ_c ‖γ_{I_c j}‖₂: convex, by conditional gradients. Courty et al. (2017), equation 14.
    L1L2 {
        /// η, at least 0.
        weight: f64,
    },
    /// Similar samples stay side by side. Courty et al. (2017), equations 15 to 17, by conditional gradients.
    Laplacian(LaplacianSettings),
}

impl Regularizer {
    /// The group lasso with p = ½ and the floor 1e-3.
    #[must_use]
    pub fn group_lasso(weight: f64) -> Self {
        Self::GroupLasso {
            weight,
            power: 0.5,
            floor: 1e-3,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let weight = match self {
            Self::None => 0.0,
            Self::GroupLasso {
                weight,
                power,
                floor,
            } => {
                if !(*power > 0.0 && *power < 1.0) {
                    return Err(Error::setting("power", power, "must be between 0 and 1"));
                }
                if !(*floor > 0.0 && floor.is_finite()) {
                    return Err(Error::setting("floor", floor, "must be positive"));
                }
                *weight
            }
            Self::L1L2 { weight } => *weight,
            Self::Laplacian(settings) => return settings.check(),
        };
        if !(weight >= 0.0 && weight.is_finite()) {
            let rule = "must be finite and not negative";
            return Err(Error::setting("class weight", weight, rule));
        }
        Ok(())
    }
}

/// What the plan's marginals must satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Mass {
    /// The weights of both domains.
    #[default]
    Balanced,
    /// The unbalanced variant: γ_a·KL(P1 ‖ a) + γ_b·KL(Pᵀ1 ‖ b) in its place, in units of the scaled cost. Samples without a
    /// counterpart may keep their mass. One of the two may be +∞.
    #[doc(alias = "reg_m")]
    Relaxed {
        /// Of the source.
        gamma_a: f64,
        /// Of the target.
        gamma_b: f64,
    },
}

/// What can be set of an [`Adaptation`].
#[derive(Debug, Clone)]
pub struct AdaptationSettings {
    /// The ground cost between samples. Default: the squared distance, whose plans are fitted to barycentric mappings.
    pub ground: Ground,
    /// Its unit. Default: the largest entry.
    pub scale: CostScale,
    /// Default: none.
    pub regularizer: Regularizer,
    /// Default: balanced.
    pub mass: Mass,
    /// What known labels of targets forbid. Default: flows between different classes.
    pub known_labels: KnownLabels,
    /// Rounds of a regularizer at most: majorizations, or steps of conditional gradients. Default: 100, a net; POT's group
    /// lasso has 10.
    #[doc(alias = "numItermax")]
    pub rounds: usize,
    /// A round that takes less than this part off the objective is the last. Default: 1e-5.
    #[doc(alias = "stopThr")]
    pub tol: f64,
}

impl Default for AdaptationSettings {
    fn default() -> Self {
        Self {
            ground: Ground::SqEuclidean,
            scale: CostScale::Max,
            regularizer: Regularizer::None,
            mass: Mass::Balanced,
            known_labels: KnownLabels::Forbid,
            rounds: 100,
            tol: 1e-5,
        }
    }
}

impl AdaptationSettings {
    fn check(&self) -> Result<(), Error> {
        self.regularizer.check()?;
        if self.rounds == 0 {
            return Err(Error::setting("rounds", 0, "must be at least 1"));
        }
        if !(self.tol >= 0.0 && self.tol < 1.0) {
            let rule = "must be from 0 to less than 1";
            return Err(Error::setting("tol", self.tol, rule));
        }
        if let KnownLabels::Penalize(limit) = self.known_labels
            && !(limit >= 0.0 && limit.is_finite())
        {
            let rule = "must be finite and not negative: a multiple of the largest cost";
            return Err(Error::setting("known_labels", limit, rule));
        }
        let by_gradients = matches!(
            self.regularizer,
            Regularizer::L1L2 { .. } | Regularizer::Laplacian(_)
        );
        if by_gradients && self.mass != Mass::Balanced {
            let rule = "must be balanced beside a regularizer that is minimized by conditional gradients, which move between \
                        plans of the same marginals";
            return Err(Error::setting("mass", "relaxed", rule));
        }
        Ok(())
    }
}

/// Domain adaptation by optimal transport: a plan between the samples of two domains, along which samples and labels go
/// from one to the other. Needs [`Capability::Balanced`], or [`Capability::Relaxed`] for [`Mass::Relaxed`]; labels of
/// targets that forbid pairs need [`Capability::ForbiddenPairs`].
///
/// An entropic solver under a regularizer must have an *absolute* ε (`Reg::Absolute`), as the rounds change the cost and an
/// objective belongs to one ε: with [`CostScale::Max`] that is the relative one.
///
/// Sources: Courty, Flamary and Tuia, *Domain adaptation with regularized optimal transport* (2014); Courty, Flamary, Tuia
/// and Rakotomamonjy, *Optimal transport for domain adaptation* (2017).
#[derive(Clone)]
pub struct Adaptation<'a> {
    solver: &'a dyn Solver,
    settings: AdaptationSettings,
}

impl<'a> Adaptation<'a> {
    /// Checks the settings and the solver.
    ///
    /// # Errors
    /// A setting outside of its range, and a solver without the capability.
    pub fn new(solver: &'a dyn Solver, settings: AdaptationSettings) -> Result<Self, Error> {
        settings.check()?;
        require(
            solver,
            match settings.mass {
                Mass::Balanced => Capability::Balanced,
                Mass::Relaxed { .. } => Capability::Relaxed,
            },
        )?;
        Ok(Self { solver, settings })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &AdaptationSettings {
        &self.settings
    }

    /// The plan between `source` and `target`. The cost takes O(n·m·dim) and a matrix of n·m numbers; then a solve, or a
    /// solve and O(n·m) (Laplacian: O(n·m·dim)) each round. A group regularizer needs labels of all sources.
    ///
    /// The observer of `context` hears of the solver's checks, or under a regularizer of rounds.
    ///
    /// # Errors
    /// Domains of different dimension, labels missing, one class only, what the ground cost or the solver refuses, an
    /// infeasible problem, a stop, and an ε that changes from round to round.
    pub fn fit(
        &self,
        source: &Domain,
        target: &Domain,
        context: &mut Context,
    ) -> Result<Adapted, Error> {
        let pool = context.clone();
        pool.install(|| self.fit_here(source, target, context))
    }

    fn fit_here(
        &self,
        source: &Domain,
        target: &Domain,
        context: &mut Context,
    ) -> Result<Adapted, Error> {
        let set = &self.settings;
        let groups = match set.regularizer {
            Regularizer::GroupLasso { .. } | Regularizer::L1L2 { .. } => {
                Some(Groups::new(source.argument(), &source.full_labels()?)?)
            }
            _ => None,
        };
        let Entries {
            values,
            unit,
            forbids,
        } = entries(source, target, &set.ground, set.scale, set.known_labels)?;
        if forbids {
            require(self.solver, Capability::ForbiddenPairs)?;
        }
        let cost = DenseCost::new(source.len(), target.len(), values)?;
        let cost = Arc::new(cost);
        let problem = self.problem(source, target, cost.clone())?;
        let fit = match (&set.regularizer, groups) {
            (Regularizer::Laplacian(of), _) if of.weight > 0.0 => {
                let penalty = Laplacian::new(*of, source, target)?;
                self.descend(&problem, &penalty, context)?
            }
            (Regularizer::L1L2 { weight }, Some(groups)) if *weight > 0.0 => {
                let penalty = GroupNorm::new(*weight, groups, target.len());
                self.descend(&problem, &penalty, context)?
            }
            (
                Regularizer::GroupLasso {
                    weight,
                    power,
                    floor,
                },
                Some(groups),
            ) if *weight > 0.0 => {
                let penalty = Power {
                    weight: *weight,
                    power: *power,
                    floor: *floor,
                };
                let limits = (set.rounds, set.tol);
                majorize::run(self.solver, &problem, penalty, &groups, limits, context)?
            }
            _ => Fit::of(checked(self.solver.solve_with(&problem, context)?)?),
        };
        Adapted::new(source, target, cost, unit, fit)
    }

    /// `cost` between the two domains, under the marginals of the settings.
    fn problem(
        &self,
        source: &Domain,
        target: &Domain,
        cost: Arc<dyn Cost>,
    ) -> Result<Problem, Error> {
        let (a, b) = (source.weights().clone(), target.weights().clone());
        Ok(match self.settings.mass {
            Mass::Balanced => Problem::new(a, b, cost)?,
            Mass::Relaxed { gamma_a, gamma_b } => Problem::relaxed(a, b, cost, gamma_a, gamma_b)?,
        })
    }

    fn descend(
        &self,
        problem: &Problem,
        penalty: &dyn conditional::Penalty,
        context: &Context,
    ) -> Result<Fit, Error> {
        let limits = (self.settings.rounds, self.settings.tol);
        conditional::run(self.solver, problem, penalty, limits, None, context)
    }
}

/// A solve of one round: the solution, and an error where its ε is not that of the first one.
pub(super) fn round(
    solver: &dyn Solver,
    problem: &Problem,
    reg: &mut Option<f64>,
    context: &mut Context,
) -> Result<Solution, Error> {
    let solution = checked(solver.solve_with(problem, context)?)?;
    let first = *reg.get_or_insert(solution.reg);
    if (solution.reg - first).abs() > 1e-9 * first.abs() {
        let rule = format!(
            "of this round, but {first} of the first: a regularizer changes the cost, so the solver's `reg` must be absolute"
        );
        return Err(Error::setting("reg", solution.reg, &rule));
    }
    Ok(solution)
}

impl Fit {
    /// What a solver found without a regularizer.
    pub(super) fn of(solution: Solution) -> Self {
        Self {
            plan: solution.plan,
            transport_cost: solution.transport_cost,
            objective: solution.objective,
            history: vec![solution.objective],
            solver: solution.solver,
            reg: solution.reg,
            convergence: solution.convergence,
        }
    }
}

/// The marginal errors of a plan beside `problem`, which is balanced.
pub(super) fn errors_of(plan: &Plan, problem: &Problem, convergence: &mut Convergence) {
    debug_assert_eq!(problem.marginals(), Marginals::Balanced);
    let (sent, received) = plan.marginals();
    let off = |found: &[f64], wanted: &[f64]| {
        let off = found.iter().zip(wanted).map(|(p, w)| (p - w).abs());
        off.sum::<f64>() / problem.mass()
    };
    convergence.source_error = off(&sent, problem.a().weights());
    convergence.target_error = off(&received, problem.b().weights());
}

/// Whether a balanced plan has entropy in its objective, and how much.
pub(super) fn entropy_of(reg: f64) -> Option<Entropy> {
    (reg > 0.0).then_some(Entropy { reg })
}
