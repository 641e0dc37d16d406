//! The optimum of any solver as a loss.

use solver_api::{Batch, Capability, Certify, Context, Measure, Problem, Solution, Solver};

use super::{Loss, Rows, Sums};
use crate::Error;
use crate::error::require;
use crate::learning::LabelCost;

/// A solver's [`objective`](Solution::objective) between prediction and target: the exact W_p^p of 003, definition 3.1,
/// from an exact solver, and from an entropic one the loss with reference h⊗y.
///
/// The gradient is that of the envelope theorem: the potential f, less its mean; a subgradient where the optimum has a
/// kink, as an exact one has. Relaxed: γa(1 − e^{−f/γa}) + ε(Σy − e^{−f/γa}). Time of one batched solve for all rows.
#[derive(Clone)]
pub struct TransportLoss<'a> {
    solver: &'a dyn Solver,
    cost: LabelCost,
    gammas: Option<(f64, f64)>,
}

impl<'a> TransportLoss<'a> {
    /// Between distributions of equal mass. Needs [`Capability::Balanced`].
    ///
    /// # Errors
    /// A solver without the capability.
    pub fn new(solver: &'a dyn Solver, cost: LabelCost) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        Ok(Self {
            solver,
            cost,
            gammas: None,
        })
    }

    /// Between measures of any masses, with the prices of [`Problem::relaxed`]. Needs [`Capability::Relaxed`].
    ///
    /// # Errors
    /// A solver without the capability; prices that are not positive.
    pub fn relaxed(
        solver: &'a dyn Solver,
        cost: LabelCost,
        gamma_a: f64,
        gamma_b: f64,
    ) -> Result<Self, Error> {
        require(solver, Capability::Relaxed)?;
        // The same rule as that of every problem, asked once.
        let one = Measure::uniform(cost.labels())?;
        Problem::relaxed(one.clone(), one, cost.shared(), gamma_a, gamma_b)?;
        Ok(Self {
            solver,
            cost,
            gammas: Some((gamma_a, gamma_b)),
        })
    }

    fn batch(&self, rows: &Rows<'_>) -> Result<Batch, Error> {
        let sides = rows.pairs().map(|(h, y)| {
            let h = Measure::named("prediction", h)?;
            Ok((h, Measure::named("target", y)?))
        });
        let Some((gamma_a, gamma_b)) = self.gammas else {
            // Softmaxes add up to 1 but for rounding; a solver wants equal masses to 1e-9.
            let pairs = sides.map(|pair| pair.map(|(h, y)| (rescaled(&h, y.mass()), y)));
            return Ok(Batch::SharedCost {
                cost: self.cost.shared(),
                pairs: pairs.collect::<Result<_, Error>>()?,
            });
        };
        let problem = |pair: Result<(Measure, Measure), Error>| {
            let (h, y) = pair?;
            Ok(Problem::relaxed(
                h,
                y,
                self.cost.shared(),
                gamma_a,
                gamma_b,
            )?)
        };
        let problems = sides.map(problem).collect::<Result<_, Error>>()?;
        Ok(Batch::Separate(problems))
    }

    fn slope(&self, f: f64, reg: f64, other: f64) -> f64 {
        match self.gammas {
            None => f,
            Some((gamma, _)) if gamma.is_infinite() => f + reg * (other - 1.0),
            Some((gamma, _)) => -gamma * (-f / gamma).exp_m1() + reg * (other - (-f / gamma).exp()),
        }
    }
}

/// `h` at mass `mass`, which it has but for rounding.
fn rescaled(h: &Measure, mass: f64) -> Measure {
    let factor = mass / h.mass();
    let weights: Vec<f64> = h.weights().iter().map(|w| w * factor).collect();
    Measure::new(weights).unwrap_or_else(|_| h.clone())
}

impl Loss for TransportLoss<'_> {
    fn name(&self) -> String {
        self.solver.name().to_owned()
    }

    fn labels(&self) -> Option<usize> {
        Some(self.cost.labels())
    }

    fn evaluate(
        &self,
        rows: Rows<'_>,
        _memory: &mut [f64],
        sums: &mut Sums<'_>,
        context: &mut Context,
    ) -> Result<(), Error> {
        rows.check(self.cost.labels(), false)?;
        if self.gammas.is_none() {
            rows.check_masses()?;
        }
        let labels = rows.labels();
        let batch = self.batch(&rows)?;
        let mut quiet = context.for_problem(0).certified(Certify::Off);
        let solutions = self.solver.solve_batch(&batch, &mut quiet);
        for (row, (solution, (_, y))) in solutions.into_iter().zip(rows.pairs()).enumerate() {
            let Solution {
                potentials,
                objective,
                reg,
                ..
            } = solution?.require_converged()?;
            let other: f64 = y.iter().sum();
            let slope = |k: usize| self.slope(potentials.f[k], reg, other);
            let mean = match self.gammas {
                None => (0..labels).map(slope).sum::<f64>() / labels as f64,
                Some(_) => 0.0,
            };
            sums.add(row, objective, (0..labels).map(|k| slope(k) - mean));
        }
        Ok(())
    }
}
