//! The distance W_p, and its derivatives.

use solver_api::{CostKind, Error, Ground, Marginals, Problem, Solution};

use crate::input::require;
use crate::objective::{self, WeightGradient};
use crate::points::PointGradient;

/// W_p = (min Σ P d^p)^{1/p} and its (sub)gradients, of an exact solution.
#[derive(Debug, Clone, Copy)]
pub struct Wasserstein<'a> {
    /// The distance.
    pub value: f64,
    /// ∂W_p/∂(W_p^p).
    outer: f64,
    problem: &'a Problem,
    solution: &'a Solution,
}

/// W_p of a balanced problem whose cost is d^p, at mass 1: (transport cost / mass)^{1/p}. An entropic solution gives the
/// p-th root of ⟨P, C⟩, which is larger; its gradients are refused, because they would be those of another function.
///
/// # Errors
/// p < 1; a problem that is not balanced; a cost of points that is not d^p for this p (`sqeuclidean` is d² of the
/// Euclidean distance, a metric is d itself, `power:P` with P = p is d^p; matrices are taken at the caller's word); a
/// solution that has not converged.
pub fn wasserstein<'a>(
    problem: &'a Problem,
    solution: &'a Solution,
    p: f64,
) -> Result<Wasserstein<'a>, Error> {
    require(problem, solution)?;
    if !(p >= 1.0 && p.is_finite()) {
        return Err(Error::setting("p", p, "must be finite and at least 1"));
    }
    if problem.marginals() != Marginals::Balanced {
        return Err(Error::setting(
            "problem",
            "not balanced",
            "W_p is for equal masses",
        ));
    }
    if let CostKind::Points(points) = problem.cost().kind() {
        let power = match points.ground() {
            Ground::SqEuclidean => 2.0,
            Ground::Power(q) => *q,
            Ground::Euclidean
            | Ground::Cityblock
            | Ground::Chebyshev
            | Ground::Minkowski(_)
            | Ground::Arc => 1.0,
            _ => p,
        };
        if power != p {
            let rule = format!(
                "the cost `{}` is the power {power} of a distance",
                points.ground()
            );
            return Err(Error::setting("p", p, rule));
        }
    }
    let mean = (solution.transport_cost / problem.mass()).max(0.0);
    let value = mean.powf(1.0 / p);
    // At 0 the root of p > 1 has no slope; a subgradient is 0.
    let outer = if p == 1.0 {
        1.0
    } else if value > 0.0 {
        value.powf(1.0 - p) / p
    } else {
        0.0
    };
    Ok(Wasserstein {
        value,
        outer: outer / problem.mass(),
        problem,
        solution,
    })
}

impl Wasserstein<'_> {
    /// ∂W_p/∂(a, b), for directions that keep the masses.
    ///
    /// # Errors
    /// An entropic solution.
    pub fn weights(&self) -> Result<WeightGradient, Error> {
        self.exact()?;
        let mut out = objective::weights(self.problem, self.solution)?;
        let scale = |v: &mut Vec<f64>| v.iter_mut().for_each(|d| *d *= self.outer);
        scale(&mut out.a);
        scale(&mut out.b);
        Ok(out)
    }

    /// ∂W_p/∂(X, Y).
    ///
    /// # Errors
    /// An entropic solution; a cost without points.
    pub fn points(&self) -> Result<PointGradient, Error> {
        self.exact()?;
        let mut out = objective::points(self.problem, self.solution)?;
        let scale = |v: &mut Vec<f64>| v.iter_mut().for_each(|d| *d *= self.outer);
        scale(&mut out.x);
        scale(&mut out.y);
        Ok(out)
    }

    fn exact(&self) -> Result<(), Error> {
        if self.solution.reg == 0.0 {
            return Ok(());
        }
        Err(Error::unsupported(self.solution.solver.clone(), "exact"))
    }
}
