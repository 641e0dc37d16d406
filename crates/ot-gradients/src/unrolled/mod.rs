//! W_L = ⟨P_L, C⟩ after L Sinkhorn iterations and its exact derivatives, by reverse mode through the iterations
//! (SINKHORN-DIFFERENTIATE of 001; Genevay, Peyré and Cuturi, *Learning generative models with Sinkhorn divergences*,
//! 2018).
//!
//! As printed in 001: v_0 = 1; u_l = a ⊘ K v_l; v_{l+1} = b ⊘ Kᵀu_l; P_L = diag(u_L) K diag(v_L), so that P_L 1 = a. Here
//! it runs on u = a e^{f/ε} and v = b e^{g/ε}, with f and g in cost units, so that any ε is safe and weights of zero have
//! their one-sided derivatives:
//!
//! ```text
//! f_i = −ε log Σ_j β_j exp((g_j − C_ij)/ε)      β = v_0 at first, b later
//! g_j = −ε log Σ_i a_i exp((f_i − C_ij)/ε)
//! ```
//!
//! Backwards, with π_ij = β_j exp((f_i + g_j − C_ij)/ε) and σ_ij = a_i exp((f_i + g⁺_j − C_ij)/ε), whose rows (columns)
//! add up to 1: f̄_i = −Σ_j ḡ⁺_j σ_ij, ḡ_j = −Σ_i f̄_i π_ij, C̄_ij = Σ ḡ⁺_j σ_ij + f̄_i π_ij. One exponential an entry
//! serves both, since σ and π differ by a factor of the column.
//!
//! The column potentials of every √L-th iteration are kept and the others computed again: O(√L) vectors, and 3L passes
//! over the kernel in all.

mod pass;
mod reverse;

use solver_api::{Capability, Error, ImplicitPlan, Marginals, Plan, Problem, Reg, check_feasible};

use crate::input::{points_of, shape};
use crate::objective::WeightGradient;
use crate::points::{CostGradient, PointGradient};

pub use reverse::FactoredCostGradient;

/// L iterations of Sinkhorn at a fixed ε.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrolled {
    reg: Reg,
    steps: usize,
    start: Option<Vec<f64>>,
}

/// Which derivatives with respect to the cost or the points are wanted, beside those by the weights. Each of them asks
/// for work in every iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Wanted {
    /// None.
    #[default]
    Weights,
    /// ∂C as n·m numbers.
    Cost,
    /// ∂C as an object whose rows are computed when asked for: 2L vectors of n + m numbers, L exponentials an entry.
    FactoredCost,
    /// ∂X and ∂Y, memory O((n + m)·d).
    Points,
}

/// W_L and the plan behind it.
#[derive(Debug, Clone)]
pub struct UnrolledValue {
    /// ⟨P_L, C⟩.
    pub transport_cost: f64,
    /// P_L: its rows add up to a, its columns to b only as L grows.
    pub plan: Plan,
}

/// W_L and its derivatives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnrolledGradient {
    /// ⟨P_L, C⟩.
    pub transport_cost: f64,
    /// ∂W_L/∂(a, b), free of any constraint on the masses.
    pub weights: WeightGradient,
    /// ∂W_L/∂C, n·m row-major, for [`Wanted::Cost`].
    pub cost: Option<Vec<f64>>,
    /// ∂W_L/∂C for [`Wanted::FactoredCost`].
    pub factored: Option<FactoredCostGradient>,
    /// ∂W_L/∂(X, Y) for [`Wanted::Points`].
    pub points: Option<PointGradient>,
}

impl Unrolled {
    /// L = `steps` ≥ 1 iterations. `reg` is held fixed, also where it is relative to the largest cost.
    ///
    /// # Errors
    /// `reg` that is not positive and finite; no steps.
    pub fn new(reg: Reg, steps: usize) -> Result<Self, Error> {
        reg.check()?;
        if steps == 0 {
            return Err(Error::setting("steps", 0, "must be at least 1"));
        }
        Ok(Self {
            reg,
            steps,
            start: None,
        })
    }

    /// From ε·log v_0 (m entries, cost units) instead of v_0 = 1; it is a constant to the derivatives.
    ///
    /// # Errors
    /// An entry that is not finite.
    pub fn start_from(mut self, log_v: Vec<f64>) -> Result<Self, Error> {
        if let Some(at) = log_v.iter().position(|x| !x.is_finite()) {
            let rule = "must be finite";
            return Err(Error::setting(format!("log_v[{at}]"), log_v[at], rule));
        }
        self.start = Some(log_v);
        Ok(self)
    }

    /// W_L: L + 1 passes over the cost, one exponential an entry each.
    ///
    /// # Errors
    /// A problem that is not balanced, or infeasible; a start of another length; numbers that leave the range of f64.
    pub fn value(&self, problem: &Problem) -> Result<UnrolledValue, Error> {
        let mut forward = self.forward(problem)?;
        for _ in 0..self.steps {
            forward.step()?;
        }
        let transport_cost = forward.finish(&pass::Sink::None)?.transport_cost;
        let weights = |m: &solver_api::Measure| m.shared_weights();
        let plan = ImplicitPlan::new(
            problem.shared_cost(),
            forward.f.clone().into(),
            forward.g.clone().into(),
            weights(problem.a()),
            weights(problem.b()),
            forward.reg,
        )?;
        Ok(UnrolledValue {
            transport_cost,
            plan: plan.into(),
        })
    }

    /// W_L and its derivatives: 3L passes over the cost.
    ///
    /// # Errors
    /// As [`Unrolled::value`]; for [`Wanted::Points`] a cost without points, or `Ground::OfDistance`.
    pub fn gradient(&self, problem: &Problem, wanted: Wanted) -> Result<UnrolledGradient, Error> {
        if wanted == Wanted::Points {
            points_of(problem)?;
        }
        reverse::run(self.forward(problem)?, self.steps, wanted)
    }

    fn forward<'a>(&self, problem: &'a Problem) -> Result<pass::Forward<'a>, Error> {
        if problem.marginals() != Marginals::Balanced {
            return Err(Error::unsupported(
                "unrolled",
                match problem.marginals() {
                    Marginals::Relaxed { .. } => Capability::Relaxed.name(),
                    _ => Capability::Partial.name(),
                },
            ));
        }
        check_feasible(problem)?;
        let m = problem.shape().1;
        let start = match &self.start {
            Some(start) if start.len() != m => {
                let expected = format!("the problem has {m} targets");
                return Err(shape("log_v", &[start.len()], expected));
            }
            Some(start) => start.clone(),
            None => vec![0.0; m],
        };
        Ok(pass::Forward::new(
            problem,
            self.reg.resolve(problem),
            start,
        ))
    }
}

impl UnrolledGradient {
    /// ∂W_L/∂C as rows, whichever form was asked for.
    #[must_use]
    pub fn cost_gradient(&self) -> Option<&dyn CostGradient> {
        self.factored.as_ref().map(|f| f as &dyn CostGradient)
    }
}
