//! The class proportions of a domain without labels: those at which the labelled one is cheapest to transport.
//!
//! With α_k the samples of class k at mass 1 and h the proportions, F(h) = OT(Σ_k h_k α_k, β) is convex, and a potential f of
//! its plan has F(h') ≥ ⟨f^c, β⟩ + Σ_k h'_k ⟨f, α_k⟩ for all h'. With g in the place of f^c this holds for the entropic objective as
//! well where each row of e^{(f ⊕ g − C)/ε} has mass 1 under β, as after a half step for f.
//!
//! Source: Freulon, Bigot and Hejblum, *CytOpt: optimal transport with domain adaptation for interpreting flow cytometry
//! data* (2023); Redko, Courty, Flamary and Tuia, *Optimal transport for multi-source domain adaptation under target shift*
//! (2019).

use std::collections::BTreeMap;
use std::sync::Arc;

use solver_api::transform::c_transform_to_target;
use solver_api::{
    Capability, Certificate, Certify, Context, Convergence, DenseCost, Ground, Measure, Problem,
    Solver,
};

use super::cost::{CostScale, KnownLabels, entries};
use super::domain::{Domain, Groups};
use crate::Error;
use crate::cuts::Cuts;
use crate::drive::{Limits, Step, drive, relative};
use crate::error::require;
use crate::transport::checked;

/// What can be set of a [`ProportionEstimation`].
#[derive(Debug, Clone)]
pub struct ProportionSettings {
    /// Default: the squared distance.
    pub ground: Ground,
    /// Default: the largest entry.
    pub scale: CostScale,
    /// The relative gap at which it ends: of the bracket around the least objective, over its upper end. Default: 0.02; half
    /// of the gap takes four times the rounds.
    pub tol: f64,
    /// Rounds at most, each of them a solve. Default: 300.
    pub max_iter: u64,
}

impl Default for ProportionSettings {
    fn default() -> Self {
        Self {
            ground: Ground::SqEuclidean,
            scale: CostScale::Max,
            tol: 0.02,
            max_iter: 300,
        }
    }
}

/// Estimates the class proportions of the target by min_h OT(Σ_k h_k α_k, β): mirror descent along any solver's potentials,
/// from equal proportions. Needs [`Capability::Balanced`]. A round takes a solve, from the potentials of the round before
/// where the solver can start from them; memory n·m for the cost.
///
/// An entropic solver's objective has its ε in it: classes are told apart that are farther from each other than its blur.
#[derive(Clone)]
pub struct ProportionEstimation<'a> {
    solver: &'a dyn Solver,
    settings: ProportionSettings,
}

impl<'a> ProportionEstimation<'a> {
    /// The name in errors.
    const NAME: &'static str = "proportions";

    /// With checked settings.
    ///
    /// # Errors
    /// A solver without the capability, and settings outside of their range.
    pub fn new(solver: &'a dyn Solver, settings: ProportionSettings) -> Result<Self, Error> {
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

    /// The proportions of `target`, of whose labels nothing is looked at. Within a class the weights of `source` stay in
    /// proportion. The observer of `context` hears of every round.
    ///
    /// # Errors
    /// Labels missing in the source, one class only, a class whose samples have no weight, domains of different dimension,
    /// what the solver refuses, and [`Error::Stopped`] before the first round is done.
    pub fn fit(
        &self,
        source: &Domain,
        target: &Domain,
        context: &mut Context,
    ) -> Result<Proportions, Error> {
        let pool = context.clone();
        pool.install(|| self.fit_here(source, target, context))
    }

    fn fit_here(
        &self,
        source: &Domain,
        target: &Domain,
        context: &Context,
    ) -> Result<Proportions, Error> {
        let set = &self.settings;
        let groups = Groups::new(source.argument(), &source.full_labels()?)?;
        let a = source.weights().weights();
        let mut masses = vec![0.0; groups.len()];
        for (&k, a) in groups.of.iter().zip(a) {
            masses[k] += a;
        }
        if let Some(empty) = masses.iter().position(|mass| *mass <= 0.0) {
            let class = groups.classes[empty];
            let rule = format!(
                "is a class of `{}` whose samples have no weight",
                source.argument()
            );
            return Err(Error::setting("class", class, &rule));
        }
        // ⟨·, α_k⟩ by these.
        let within: Vec<f64> = (groups.of.iter().zip(a))
            .map(|(&k, a)| a / masses[k])
            .collect();
        let between = entries(source, target, &set.ground, set.scale, KnownLabels::Ignore)?;
        let cost = Arc::new(DenseCost::new(source.len(), target.len(), between.values)?);
        let spread = solver_api::Cost::range(cost.as_ref()).spread();
        let warm = self.solver.capabilities().has(Capability::WarmStart);
        let mut own = context.for_step(context.threads())?;
        own.certify = Certify::Off;

        let mut cuts = Cuts::new(groups.len(), f64::NEG_INFINITY);
        let mut h = Measure::uniform(groups.len())?;
        let mut best: Option<(Measure, f64)> = None;
        let (mut last, mut short, mut solver) = (f64::INFINITY, 0, String::new());
        let convergence = drive(Self::NAME, self.limits(), context, |_| {
            let weights: Vec<f64> = (groups.of.iter().zip(&within))
                .map(|(&k, part)| h.weights()[k] * part)
                .collect();
            let source = Measure::named("weights", weights)?.normalized();
            let b = target.weights();
            let problem = Problem::new(source, b.clone(), Arc::clone(&cost) as _)?;
            let solution = match self.solver.solve_with(&problem, &mut own) {
                // What was stopped is no answer; the check that follows says why it ends.
                _ if context.interrupted().is_some() => return Ok(Step::Off(last)),
                solution => checked(solution?)?,
            };
            short += usize::from(!solution.convergence.converged());
            let (f, g) = (&solution.potentials.f, &solution.potentials.g);
            let mut slope = vec![0.0; groups.len()];
            for ((&k, part), f) in groups.of.iter().zip(&within).zip(f) {
                if *part > 0.0 {
                    slope[k] += part * f;
                }
            }
            let paired = |g: &[f64]| -> f64 {
                let pairs = g.iter().zip(b.weights()).filter(|(_, b)| **b > 0.0);
                pairs.map(|(g, b)| g * b).sum()
            };
            // Without an entropy the cut is made one by the c-transform, whatever the potentials are, and the value is the
            // plan's own; with one, the potentials are those of a half step.
            let (level, value) = if solution.reg > 0.0 {
                let level = paired(g);
                let rest: f64 = slope.iter().zip(h.weights()).map(|(s, h)| s * h).sum();
                (level, level + rest)
            } else {
                let g = c_transform_to_target(cost.as_ref(), f, |_| true);
                (paired(&g), solution.transport_cost)
            };
            if best.as_ref().is_none_or(|(_, least)| value < *least) {
                best = Some((h.clone(), value));
            }
            let upper = best.as_ref().map_or(value, |(_, least)| *least);
            h = cuts.step(&h, level, slope)?;
            last = relative(cuts.gap(upper, spread), upper, spread);
            if warm {
                own.warm_start = Some(Arc::new(solution.potentials));
            }
            solver = solution.solver;
            Ok::<_, Error>(Step::of(last))
        })?;
        let Some((shares, upper)) = best else {
            return Err(Error::Stopped {
                what: "rounds",
                termination: convergence.termination,
                done: 0,
                count: 1,
            });
        };
        let lower = cuts.lower();
        Ok(Proportions {
            classes: groups.classes,
            shares,
            bracket: Certificate { lower, upper }.ordered(|| upper.abs()),
            convergence,
            unconverged: short,
            solver,
        })
    }
}

/// What [`ProportionEstimation::fit`] found.
#[derive(Debug, Clone)]
pub struct Proportions {
    classes: Vec<i64>,
    shares: Measure,
    bracket: Certificate,
    convergence: Convergence,
    unconverged: usize,
    solver: String,
}

impl Proportions {
    /// The classes in ascending order.
    #[must_use]
    pub fn classes(&self) -> &[i64] {
        &self.classes
    }

    /// The share of each class, of sum 1.
    #[must_use]
    pub fn shares(&self) -> &[f64] {
        self.shares.weights()
    }

    /// Classes with their shares.
    #[must_use]
    pub fn by_class(&self) -> BTreeMap<i64, f64> {
        let shares = self.shares().iter().copied();
        self.classes.iter().copied().zip(shares).collect()
    }

    /// A bracket around the least transport cost over all proportions, in units of the scaled cost. Of an entropic solver
    /// it is around its least objective, and as good as its potentials.
    #[must_use]
    pub fn bracket(&self) -> Certificate {
        self.bracket
    }

    /// How the descent went.
    #[must_use]
    pub fn convergence(&self) -> &Convergence {
        &self.convergence
    }

    /// How many solves ended short of their tolerance; their potentials were descended along all the same.
    #[must_use]
    pub fn unconverged(&self) -> usize {
        self.unconverged
    }

    /// Who solved.
    #[must_use]
    pub fn solver(&self) -> &str {
        &self.solver
    }

    /// `source` with the shares of its classes, weights within a class in proportion as before: the balanced problem that
    /// suits the target.
    ///
    /// # Errors
    /// A point without a label, or with one that is none of the classes, and a class without weight.
    pub fn apply(&self, source: Domain) -> Result<Domain, Error> {
        let labels = source.full_labels()?;
        let shares = self.by_class();
        let mut masses = BTreeMap::<i64, f64>::new();
        let a = source.weights().weights();
        for (label, a) in labels.iter().zip(a) {
            *masses.entry(*label).or_default() += a;
        }
        for class in shares.keys() {
            if masses.get(class).is_none_or(|mass| *mass <= 0.0) {
                return Err(Error::ClassWithoutSamples {
                    argument: source.argument(),
                    class: *class,
                });
            }
        }
        let mut weights = Vec::with_capacity(a.len());
        for (label, a) in labels.iter().zip(a) {
            let Some(share) = shares.get(label) else {
                let rule = "is none of the classes whose proportions were estimated";
                return Err(Error::setting("class", label, rule));
            };
            weights.push(share * a / masses[label]);
        }
        source.weighted(&weights)
    }
}
