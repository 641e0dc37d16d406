//! Derivatives of [`Solution::objective`] by the envelope theorem: at an optimum only the explicit dependence counts.
//!
//! The objective is the maximum of its dual (DESIGN.md, section 3; Peyré and Cuturi, *Computational optimal transport*,
//! proposition 4.6 and section 9.1; Séjourné et al., *Sinkhorn divergences for unbalanced optimal transport*, section
//! 3): its derivative is that of the dual's terms at the optimal potentials. Without regularization (`reg` = 0) it is a
//! subgradient, one of many where potentials or plan are not unique.
//!
//! | by | balanced | relaxed, reference a⊗b | partial, without reg |
//! |---|---|---|---|
//! | C | P | P | P |
//! | a_i | f_i | γa(1 − e^{−f_i/γa}) + ε(Σb − e^{−f_i/γa}); γa = ∞: f_i + ε(Σb − 1) | f_i |
//! | x_i | Σ_j P_ij ∂c(x_i, y_j)/∂x | the same | the same |
//!
//! and b_j, y_j alike. Balanced masses can't change alone: directions add up to nothing on either side, or to the same on
//! both. At a weight of zero the derivative is one-sided (towards mass), by the potential's (soft) c-transform; it is +∞
//! where the entry has no allowed partner and the marginal is hard.

use solver_api::{Error, Marginals, Plan, Problem, Solution};

use crate::extend;
use crate::input::{points_of, require, shape};
use crate::points::{PointGradient, chain_rule};

/// The gradient of a value with respect to the weights of both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightGradient {
    /// n entries, in units of value over mass.
    pub a: Vec<f64>,
    /// m entries.
    pub b: Vec<f64>,
}

impl WeightGradient {
    /// `self + factor·other`.
    pub(crate) fn add(&mut self, factor: f64, a: &[f64], b: &[f64]) {
        self.a.iter_mut().zip(a).for_each(|(s, o)| *s += factor * o);
        self.b.iter_mut().zip(b).for_each(|(s, o)| *s += factor * o);
    }
}

/// γ(1 − e^{−f/γ}), which is f for γ = ∞: what the relaxed marginal pays for a bit of mass.
fn relaxed_price(f: f64, gamma: f64) -> f64 {
    if gamma.is_infinite() {
        f
    } else {
        -gamma * (-f / gamma).exp_m1()
    }
}

/// e^{−f/γ}, the part of the mass that moves; 1 for γ = ∞.
fn moved(f: f64, gamma: f64) -> f64 {
    if gamma.is_infinite() {
        1.0
    } else {
        (-f / gamma).exp()
    }
}

/// ∂objective/∂(a, b), with a⊗b as reference of the entropy. O(n + m), and O(m) (O(n)) more for each relaxed source
/// (target) without weight.
///
/// # Errors
/// A solution of another shape, or one that has not converged; a partial problem with `reg` > 0.
pub fn weights(problem: &Problem, solution: &Solution) -> Result<WeightGradient, Error> {
    require(problem, solution)?;
    let potentials = &solution.potentials;
    let reg = solution.reg;
    match problem.marginals() {
        Marginals::Balanced => Ok(WeightGradient {
            a: potentials.f.clone(),
            b: potentials.g.clone(),
        }),
        Marginals::Relaxed { gamma_a, gamma_b } => {
            let (a, b) = (problem.a(), problem.b());
            let (f, g) = if reg > 0.0 {
                let weights = (a.weights(), b.weights());
                extend::soft(problem.cost(), weights, potentials, (gamma_a, gamma_b), reg)
            } else {
                (potentials.f.clone(), potentials.g.clone())
            };
            let side = |p: &[f64], gamma: f64, other: f64| -> Vec<f64> {
                p.iter()
                    .map(|&p| relaxed_price(p, gamma) + reg * (other - moved(p, gamma)))
                    .collect()
            };
            Ok(WeightGradient {
                a: side(&f, gamma_a, b.mass()),
                b: side(&g, gamma_b, a.mass()),
            })
        }
        Marginals::Partial { .. } if reg == 0.0 => Ok(WeightGradient {
            a: potentials.f.clone(),
            b: potentials.g.clone(),
        }),
        _ => Err(Error::setting(
            "problem",
            "partial",
            "the gradient of a partial objective is known for reg = 0 only",
        )),
    }
}

/// ∂objective/∂(a, b) of a problem whose entropy has a fixed reference α, which does not move with the weights:
/// γa(1 − e^{−f_i/γa}), and f_i for a hard marginal. This is the gradient of 003's relaxed loss (α = e⁻¹·11ᵀ); see
/// [`loss`](crate::loss).
///
/// `f` and `g` are the potentials of P_ij = α_ij exp((f_i + g_j − C_ij)/ε) (balanced: times the mass). At a weight of zero
/// the derivative is −∞: the entropy there is h·log h of a first bit h. O(n + m).
///
/// # Errors
/// Lengths that are not those of the weights; NaN; a partial problem.
pub fn weights_fixed_reference(
    problem: &Problem,
    f: &[f64],
    g: &[f64],
) -> Result<WeightGradient, Error> {
    let (n, m) = problem.shape();
    for (argument, v, len) in [("f", f, n), ("g", g, m)] {
        if v.len() != len {
            return Err(shape(
                argument,
                &[v.len()],
                format!("the problem is {n}×{m}"),
            ));
        }
        if let Some(at) = v.iter().position(|x| x.is_nan()) {
            let rule = "potentials must be numbers";
            return Err(Error::setting(format!("{argument}[{at}]"), v[at], rule));
        }
    }
    let (gamma_a, gamma_b) = match problem.marginals() {
        Marginals::Balanced => (f64::INFINITY, f64::INFINITY),
        Marginals::Relaxed { gamma_a, gamma_b } => (gamma_a, gamma_b),
        _ => {
            let rule = "a fixed reference is for balanced and relaxed problems";
            return Err(Error::setting("problem", "partial", rule));
        }
    };
    // The slope of h·log h at 0, whatever potential stands there; one without a partner sends nothing.
    let side = |p: &[f64], w: &[f64], gamma: f64| -> Vec<f64> {
        p.iter()
            .zip(w)
            .map(|(&p, &w)| {
                if w == 0.0 && p.is_finite() {
                    f64::NEG_INFINITY
                } else {
                    relaxed_price(p, gamma)
                }
            })
            .collect()
    };
    Ok(WeightGradient {
        a: side(f, problem.a().weights(), gamma_a),
        b: side(g, problem.b().weights(), gamma_b),
    })
}

/// ∂objective/∂C: the plan itself, whatever the marginals are. Nothing is copied.
#[must_use]
pub fn cost(solution: &Solution) -> &Plan {
    &solution.plan
}

/// ∂objective/∂(X, Y) through the ground cost. Streams the plan's rows: time O(n·m·d), for a sparse plan its non-zeros
/// times d; memory O((n + m)·d).
///
/// # Errors
/// A solution of another shape, or one that has not converged; a cost without points; `Ground::OfDistance` (give
/// [`cost`] and its slope to [`chain_rule_of_distance`](crate::chain_rule_of_distance)).
pub fn points(problem: &Problem, solution: &Solution) -> Result<PointGradient, Error> {
    require(problem, solution)?;
    chain_rule(points_of(problem)?, &solution.plan)
}
