//! The Wasserstein loss of 003 (Frogner et al., *Learning with a Wasserstein loss*, 2015): algorithm 1.
//!
//! There the entropy is −H(T) = Σ T log T, whose kernel is K = e^{−λM−1} with λ = 1/ε: a fixed reference α = e⁻¹·11ᵀ. The
//! balanced plan is the same as with reference a⊗b, but the loss is not, and its gradient is
//!
//! - normalized: (log u)/λ less its plain mean, which is f + ε·log a less its plain mean: tangent to the simplex;
//! - relaxed: γa(1 − T1 ⊘ h), which is γa(1 − e^{−f/γa}). The plan must be that of 003's problem, which is not the one
//!   with reference a⊗b.

use solver_api::{Error, Marginals, Plan, Problem, Solution};

use crate::input::{require, shape};

/// The masses of the simplex are 1 to this.
const UNIT: f64 = 1e-9;

/// ⟨T, M⟩ − ε·H(T), equation (6) of 003, of a balanced solution at mass 1 with `reg` > 0: its objective moved from the
/// reference a⊗b to Lebesgue's, ε(Σ a log a + Σ b log b) more. O(n + m).
///
/// # Errors
/// As [`normalized`], but weights of zero are fine: 0·log 0 = 0.
pub fn value(problem: &Problem, solution: &Solution) -> Result<f64, Error> {
    simplex(problem, solution)?;
    let own = |w: &[f64]| -> f64 { w.iter().filter(|w| **w > 0.0).map(|w| w * w.ln()).sum() };
    let entropy = own(problem.a().weights()) + own(problem.b().weights());
    Ok(solution.objective + solution.reg * entropy)
}

/// Algorithm 1, normalized: ∂(⟨T, M⟩ − ε·H(T))/∂a, the part tangent to the simplex (its entries add up to 0). O(n).
///
/// # Errors
/// A solution that has not converged, has `reg` = 0 or is not of a balanced problem of mass 1. A weight of zero: the
/// entropy's slope is infinite there (with reference a⊗b it is not: [`objective::weights`](crate::objective::weights)).
pub fn normalized(problem: &Problem, solution: &Solution) -> Result<Vec<f64>, Error> {
    simplex(problem, solution)?;
    let a = problem.a().weights();
    if let Some(i) = a.iter().position(|w| *w == 0.0) {
        let rule = "the entropy −H has an infinite slope at a weight of zero; `objective::weights` has none";
        return Err(Error::setting(format!("a[{i}]"), 0.0, rule));
    }
    let mut alpha: Vec<f64> = solution
        .potentials
        .f
        .iter()
        .zip(a)
        .map(|(f, a)| f + solution.reg * a.ln())
        .collect();
    let mean = alpha.iter().sum::<f64>() / alpha.len() as f64;
    alpha.iter_mut().for_each(|v| *v -= mean);
    Ok(alpha)
}

/// Algorithm 1, relaxed: γa(1 − T1 ⊘ h) of the plan `t` of 003's relaxed problem (8), for `h` = a. For γa = ∞ there is no
/// such formula. One pass over the plan.
///
/// # Errors
/// A plan of another shape; a problem that is not relaxed, or has γa = ∞; a weight of zero, where the slope is −∞.
pub fn relaxed(problem: &Problem, t: &Plan) -> Result<Vec<f64>, Error> {
    let (n, m) = problem.shape();
    let found = t.shape();
    if found != (n, m) {
        let expected = format!("the problem is {n}×{m}");
        return Err(shape("plan", &[found.0, found.1], expected));
    }
    let Marginals::Relaxed { gamma_a, .. } = problem.marginals() else {
        let rule = "algorithm 1's relaxed gradient is that of a relaxed problem";
        return Err(Error::setting("problem", "not relaxed", rule));
    };
    if gamma_a.is_infinite() {
        let rule = "must be finite for the relaxed gradient; a hard side has `normalized`";
        return Err(Error::setting("gamma_a", gamma_a, rule));
    }
    let a = problem.a().weights();
    if let Some(i) = a.iter().position(|w| *w == 0.0) {
        let rule = "the entropy −H has an infinite slope at a weight of zero";
        return Err(Error::setting(format!("a[{i}]"), 0.0, rule));
    }
    let (sent, _) = t.marginals();
    Ok(sent
        .iter()
        .zip(a)
        .map(|(sent, a)| gamma_a * ((a - sent) / a))
        .collect())
}

fn simplex(problem: &Problem, solution: &Solution) -> Result<(), Error> {
    require(problem, solution)?;
    if problem.marginals() != Marginals::Balanced {
        let rule = "this form is for balanced problems; a relaxed one has `relaxed`";
        return Err(Error::setting("problem", "not balanced", rule));
    }
    if (problem.mass() - 1.0).abs() > UNIT {
        let rule = "weights must lie in the simplex: normalize them";
        return Err(Error::setting("mass", problem.mass(), rule));
    }
    if solution.reg > 0.0 {
        return Ok(());
    }
    let rule = "the entropic loss needs a regularized solution";
    Err(Error::setting("reg", solution.reg, rule))
}
