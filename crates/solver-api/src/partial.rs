//! The lower end of a partial problem's bracket: f, g ≤ 0 and a multiplier λ of the mass.
//!
//! Weak duality: for a plan of mass S with P1 ≤ a and Pᵀ1 ≤ b, and f_i + g_j + λ ≤ C_ij,
//! ⟨P, C⟩ ≥ ⟨f, P1⟩ + ⟨g, Pᵀ1⟩ + λS ≥ ⟨f, a⟩ + ⟨g, b⟩ + λS. A pair that is off by δ costs δ·S, no more.

use crate::certificate::{paired, usable};
use crate::problem::Problem;
use crate::transform::{Potentials, c_transform_to_source, c_transform_to_target};

/// Masses this many times the one that moves are looked at a second time: a rounding error in a potential counts by
/// the whole of them.
const HEAVY: f64 = 16.0;

/// Roundings that a potential of the transforms may be off by.
const ROUNDINGS: f64 = 8.0 * f64::EPSILON;

/// ⟨f, a⟩ + ⟨g, b⟩ + S·λ with f, g ≤ 0 and f_i + g_j + λ ≤ C_ij. Two passes over the cost; four where little of the
/// masses moves.
pub(crate) fn partial_lower(problem: &Problem, potentials: &Potentials, mass: f64) -> f64 {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let cost = problem.cost();
    let start = usable(&potentials.f);
    let value = |lambda: f64| {
        let f: Vec<f64> = start.iter().map(|f| f.min(0.0) + lambda).collect();
        let clip = |v: Vec<f64>| v.into_iter().map(|v| v.min(0.0)).collect::<Vec<_>>();
        let g = clip(c_transform_to_target(cost, &f, |i| a[i] > 0.0));
        let shifted: Vec<f64> = g.iter().map(|g| g + lambda).collect();
        let f = clip(c_transform_to_source(cost, &shifted, |j| b[j] > 0.0));
        paired(&f, a) + paired(&g, b) + mass * lambda
    };
    // λ = min C with f = g = 0 is feasible too: the bound of moving everything at the cheapest price.
    let cheapest = cost.range().min;
    let trivial = if cheapest.is_finite() {
        mass * cheapest
    } else {
        f64::NEG_INFINITY
    };
    let lambda = if potentials.lambda.is_finite() {
        potentials.lambda
    } else {
        0.0
    };
    let best = value(lambda).max(trivial);
    if problem.a().mass().max(problem.b().mass()) <= HEAVY * mass {
        return best;
    }
    // A tight pair of an end with mass to spare leaves rounding where 0 belongs, and that is paid for all of its weight.
    // A slightly lower λ puts the 0 there, for as much less on the small mass.
    let largest = |p: &[f64]| p.iter().fold(0.0_f64, |t, p| t.max(p.abs()));
    let size = lambda.abs() + largest(&start) + largest(&usable(&potentials.g));
    best.max(value(lambda - ROUNDINGS * size))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Measure;
    use crate::certificate::certify;
    use crate::cost::DenseCost;
    use crate::plan::{DensePlan, Plan, SparsePlan};

    #[test]
    fn partial_bracket_holds() {
        // Move half the mass: the free pairs suffice, optimum 0; with mass 1.5 one unit of cost 1 is half used.
        let cost = Arc::new(DenseCost::new(2, 2, vec![0.0, 2.0, 2.0, 1.0]).unwrap());
        let ones = Measure::new(vec![1.0, 1.0]).unwrap();
        let problem = Problem::partial(ones.clone(), ones, cost, 1.5).unwrap();
        let plan = Plan::from(DensePlan::new(2, 2, vec![1.0, 0.0, 0.0, 0.5]).unwrap());
        let dual = Potentials {
            f: vec![-1.0, 0.0],
            g: vec![0.0, 0.0],
            lambda: 1.0,
        };
        let bracket = certify(&problem, &plan, &dual);
        assert_eq!((bracket.lower, bracket.upper), (0.5, 0.5));
        let bracket = certify(
            &problem,
            &plan,
            &Potentials::new(vec![0.0; 2], vec![0.0; 2]),
        );
        assert!(bracket.lower <= 0.5);
    }

    #[test]
    fn what_is_spared_does_not_blur_the_bound_of_a_small_mass() {
        // Rounding leaves f = −5e-17 at a source that keeps nearly all of its mass, 10¹² times what moves.
        let cost = vec![0.1 + 0.2, 0.7, 0.9, 0.3 + 1e-9];
        let cost = Arc::new(DenseCost::new(2, 2, cost).unwrap());
        let ones = Measure::new(vec![1.0, 1.0]).unwrap();
        let mass = 1e-12;
        let problem = Problem::partial(ones.clone(), ones, cost, mass).unwrap();
        let plan = Plan::from(SparsePlan::from_triples(2, 2, vec![(0, 0, mass)]).unwrap());
        let dual = Potentials {
            lambda: (0.1_f64 + 0.2).next_up(),
            ..Potentials::new(vec![0.0; 2], vec![0.0; 2])
        };
        let bracket = certify(&problem, &plan, &dual);
        assert!(
            bracket.gap() >= 0.0 && bracket.gap() <= 1e-14 * mass,
            "{bracket:?}"
        );
    }

    #[test]
    fn any_potentials_give_a_bound() {
        let cost = Arc::new(DenseCost::new(2, 2, vec![0.0, 2.0, 2.0, 1.0]).unwrap());
        let ones = Measure::new(vec![1.0, 1.0]).unwrap();
        let problem = Problem::partial(ones.clone(), ones, cost, 1.5).unwrap();
        for bad in [f64::NAN, f64::INFINITY, -1e300, 1e300, 3.0] {
            let dual = Potentials {
                f: vec![bad, 0.0],
                g: vec![0.0, bad],
                lambda: bad,
            };
            let lower = partial_lower(&problem, &dual, 1.5);
            assert!((0.0..=0.5).contains(&lower), "{bad}: {lower}");
        }
    }
}
