//! Joint distribution optimal transport: the plan between samples with labels and samples with a model's predictions.

use std::sync::Arc;
use std::time::Instant;

use solver_api::{
    Capability, Certify, Context, Convergence, DenseCost, Ground, Plan, Problem, Progress, Solver,
    Termination,
};

use super::cost::{CostScale, KnownLabels, entries};
use super::domain::{Domain, Groups};
use super::estimator::round;
use super::predictor::{Features, Logistic, Predictor, Ridge};
use crate::Error;
use crate::error::require;

/// The model that is learned on the target, and the loss between labels and its predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum JdotModel {
    /// Ridge regression on one-hot labels, one output a class; squared loss.
    Ridge {
        /// Linear, or with a Gaussian kernel.
        features: Features,
        /// λ of λ‖f‖², positive.
        ridge: f64,
    },
    /// Multinomial logistic regression; cross-entropy.
    Logistic {
        /// Linear, or with a Gaussian kernel.
        features: Features,
        /// λ of λ‖f‖², positive.
        ridge: f64,
    },
}

/// What can be set of [`Jdot`].
#[derive(Debug, Clone)]
pub struct JdotSettings {
    /// Default: linear ridge regression with λ = 1e-2. λ has the unit of the features: with points in units of about their
    /// largest distance, the default suits.
    pub model: JdotModel,
    /// α, the weight of the distance between samples beside the loss between labels. Default: 1, with the cost divided by its
    /// largest entry: the paper's choice.
    pub alpha: f64,
    /// Default: the squared distance.
    pub ground: Ground,
    /// Default: the largest entry.
    pub scale: CostScale,
    /// Rounds at most. Default: 20.
    pub rounds: usize,
    /// A round that takes less than this part off the objective is the last. Default: 1e-5.
    pub tol: f64,
}

impl Default for JdotSettings {
    fn default() -> Self {
        Self {
            model: JdotModel::Ridge {
                features: Features::Linear,
                ridge: 1e-2,
            },
            alpha: 1.0,
            ground: Ground::SqEuclidean,
            scale: CostScale::Max,
            rounds: 20,
            tol: 1e-5,
        }
    }
}

/// Learns a classifier f for the target by min_{γ, f} Σ_ij γ_ij (α C_ij + L(y_i, f(x_j))) + λ‖f‖², in turns: a solve for γ
/// at the present predictions, and a regression of f on the labels that γ sends. With an exact solver the objective never
/// rises; an entropic one adds its entropy to it, and must have an absolute ε. Needs [`Capability::Balanced`].
///
/// Source: Courty, Flamary, Habrard and Rakotomamonjy, *Joint distribution optimal transportation for domain adaptation*
/// (2017), algorithm 1; 004.
#[derive(Clone)]
pub struct Jdot<'a> {
    solver: &'a dyn Solver,
    settings: JdotSettings,
}

impl<'a> Jdot<'a> {
    /// Checks the settings and the solver.
    ///
    /// # Errors
    /// A setting outside of its range, and a solver without the capability.
    pub fn new(solver: &'a dyn Solver, settings: JdotSettings) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        let (features, ridge) = match settings.model {
            JdotModel::Ridge { features, ridge } | JdotModel::Logistic { features, ridge } => {
                (features, ridge)
            }
        };
        features.check()?;
        if !(ridge > 0.0 && ridge.is_finite()) {
            return Err(Error::setting("ridge", ridge, "must be positive"));
        }
        if !(settings.alpha >= 0.0 && settings.alpha.is_finite()) {
            let rule = "must be finite and not negative";
            return Err(Error::setting("alpha", settings.alpha, rule));
        }
        if settings.rounds == 0 {
            return Err(Error::setting("rounds", 0, "must be at least 1"));
        }
        if !(settings.tol >= 0.0 && settings.tol < 1.0) {
            let rule = "must be from 0 to less than 1";
            return Err(Error::setting("tol", settings.tol, rule));
        }
        Ok(Self { solver, settings })
    }

    /// Fits the model. A round is a solve, O(n·m·K) for the losses and the labels that are sent, and the regression
    /// (linear: O(m·dim²), kernel: O(m²·K) after O(m³) once).
    ///
    /// # Errors
    /// Labels missing in the source, one class only, domains of different dimension, what the ground cost or the solver
    /// refuses, a stop.
    pub fn fit(
        &self,
        source: &Domain,
        target: &Domain,
        context: &mut Context,
    ) -> Result<FittedJdot, Error> {
        let pool = context.clone();
        pool.install(|| self.fit_here(source, target, context))
    }

    fn fit_here(
        &self,
        source: &Domain,
        target: &Domain,
        context: &Context,
    ) -> Result<FittedJdot, Error> {
        let started = Instant::now();
        let set = &self.settings;
        let groups = Groups::new(source.argument(), &source.full_labels()?)?;
        let (n, m, count) = (source.len(), target.len(), groups.len());
        let between = entries(source, target, &set.ground, set.scale, KnownLabels::Ignore)?;
        let mut scaled = between.values;
        scaled.iter_mut().for_each(|c| *c *= set.alpha);
        let mut own = context.for_step(context.threads())?;
        own.certify = Certify::Off;
        let mut model: Box<dyn Predictor> = match set.model {
            JdotModel::Ridge { features, ridge } => {
                Box::new(Ridge::new(target, count, features, ridge)?)
            }
            JdotModel::Logistic { features, ridge } => {
                Box::new(Logistic::new(target, count, features, ridge)?)
            }
        };
        let mut changed = scaled.clone();
        // Of each target a loss for each class: nothing until there is a model.
        let mut losses = vec![0.0; count * m];
        let mut sent = vec![0.0; m * count];
        let (mut reg, mut history) = (None, Vec::<f64>::new());
        for done in 0..=set.rounds {
            for (i, (out, c)) in changed
                .chunks_exact_mut(m)
                .zip(scaled.chunks_exact(m))
                .enumerate()
            {
                let losses = &losses[groups.of[i] * m..(groups.of[i] + 1) * m];
                for ((out, c), l) in out.iter_mut().zip(c).zip(losses) {
                    *out = c + l;
                }
            }
            let cost = Arc::new(DenseCost::new(n, m, changed.as_slice())?);
            let (a, b) = (source.weights().clone(), target.weights().clone());
            let problem = Problem::new(a, b, cost)?;
            let solution = round(self.solver, &problem, &mut reg, &mut own)?;
            sent.fill(0.0);
            let mut scratch = solution.plan.scratch();
            for (i, &class) in groups.of.iter().enumerate() {
                let row = solution.plan.row(i, &mut scratch);
                row.visit(|j, p| sent[j * count + class] += p);
            }
            let without: f64 = (0..m)
                .flat_map(|j| (0..count).map(move |c| (j, c)))
                .map(|(j, c)| sent[j * count + c] * losses[c * m + j])
                .sum();
            for (row, b) in sent.chunks_exact_mut(count).zip(target.weights().weights()) {
                let total: f64 = row.iter().sum();
                if total > 0.0 && *b > 0.0 {
                    row.iter_mut().for_each(|s| *s /= total);
                }
            }
            let penalty = model.fit(&sent)?;
            model.losses(&mut losses);
            let with: f64 = target
                .weights()
                .weights()
                .iter()
                .enumerate()
                .map(|(j, b)| {
                    let losses = (0..count).map(|c| sent[j * count + c] * losses[c * m + j]);
                    b * losses.sum::<f64>()
                })
                .sum();
            let objective = solution.objective - without + with + penalty;
            let fall = history
                .last()
                .map_or(f64::INFINITY, |last| (last - objective) / objective.abs());
            history.push(objective);
            let told = Progress {
                problem: context.problem_index,
                iteration: done as u64,
                part: None,
                error: fall,
                tol: set.tol,
                certificate: None,
                elapsed: started.elapsed(),
            };
            let stop = context.check(&told);
            if fall <= set.tol || done == set.rounds {
                let mut convergence = solution.convergence;
                convergence.iterations = Some(done as u64);
                if fall > set.tol && convergence.converged() {
                    convergence.termination = Termination::IterationLimit;
                }
                return Ok(FittedJdot {
                    classes: groups.classes,
                    plan: solution.plan,
                    transport_cost: solution.transport_cost - without,
                    history,
                    convergence,
                    solver: solution.solver,
                    dim: target.dim(),
                    model,
                });
            }
            if let Some(termination) = stop {
                return Err(stopped(termination, done, set.rounds));
            }
            own.warm_start = Some(Arc::new(solution.potentials));
        }
        // Not reached: the last round returns.
        Err(stopped(Termination::IterationLimit, set.rounds, set.rounds))
    }
}

fn stopped(termination: Termination, done: usize, count: usize) -> Error {
    Error::Stopped {
        what: "rounds",
        termination,
        done,
        count,
    }
}

/// [`Jdot`] with its classifier.
pub struct FittedJdot {
    classes: Vec<i64>,
    plan: Plan,
    transport_cost: f64,
    history: Vec<f64>,
    convergence: Convergence,
    solver: String,
    dim: usize,
    model: Box<dyn Predictor>,
}

impl std::fmt::Debug for FittedJdot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FittedJdot")
            .field("classes", &self.classes)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

impl FittedJdot {
    /// The classes, ascending.
    #[must_use]
    pub fn classes(&self) -> &[i64] {
        &self.classes
    }

    /// The last plan, n×m.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// α⟨P, C⟩ of it.
    #[must_use]
    pub fn transport_cost(&self) -> f64 {
        self.transport_cost
    }

    /// The objective after each round, the first without labels.
    #[must_use]
    pub fn history(&self) -> &[f64] {
        &self.history
    }

    /// How it went: of the last solve, with the rounds for iterations.
    #[must_use]
    pub fn convergence(&self) -> &Convergence {
        &self.convergence
    }

    /// Who solved.
    #[must_use]
    pub fn solver(&self) -> &str {
        &self.solver
    }

    /// The model's scores of points of the target domain, points×classes: regressions of one-hot labels, or probabilities.
    ///
    /// # Errors
    /// Points of another dimension, numbers that are not finite.
    pub fn scores(&self, points: &[f64]) -> Result<Vec<f64>, Error> {
        super::domain::check_rows("points", points, self.dim)?;
        Ok(self.model.scores(points))
    }

    /// The class of the largest score; the first of equals.
    ///
    /// # Errors
    /// As [`FittedJdot::scores`].
    pub fn predict(&self, points: &[f64]) -> Result<Vec<i64>, Error> {
        let scores = self.scores(points)?;
        let rows = scores.chunks_exact(self.classes.len());
        Ok(rows
            .map(|row| {
                let best = row.iter().enumerate().fold((0, f64::MIN), |best, (k, &s)| {
                    if s > best.1 { (k, s) } else { best }
                });
                self.classes[best.0]
            })
            .collect())
    }
}
