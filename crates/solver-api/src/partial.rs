//! The lower end of a partial problem's bracket: f, g ≤ 0 and a multiplier λ of the mass.
//!
//! Weak duality: for a plan of mass S with P1 ≤ a and Pᵀ1 ≤ b, and f_i + g_j + λ ≤ C_ij,
//! ⟨P, C⟩ ≥ ⟨f, P1⟩ + ⟨g, Pᵀ1⟩ + λS ≥ ⟨f, a⟩ + ⟨g, b⟩ + λS. A pair that is off by δ costs δ·S, no more.

use crate::certificate::{paired, usable};
use crate::problem::Problem;
use crate::transform::{Potentials, both_c_transforms};

/// ⟨f, a⟩ + ⟨g, b⟩ + S·λ with f, g ≤ 0 and f_i + g_j + λ ≤ C_ij. Two passes over the cost.
///
/// One side is kept, cut off at 0, and the best of the other side and λ follow from its transform: from f and from g, and
/// once more from what these give. That raises the bound of potentials that are far from optimal, such as soft ones, and
/// leaves those that are optimal where they are.
pub(crate) fn partial_lower(problem: &Problem, potentials: &Potentials, mass: f64) -> f64 {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let cost = problem.cost();
    let (in_a, in_b) = (|i: usize| a[i] > 0.0, |j: usize| b[j] > 0.0);
    let below = |p: &[f64]| usable(p).iter().map(|p| p.min(0.0)).collect::<Vec<_>>();
    let mut kept = (below(&potentials.f), below(&potentials.g));
    // λ = min C with f = g = 0 is feasible too: the bound of moving everything at the cheapest price.
    let cheapest = cost.range().min;
    let mut best = if cheapest.is_finite() {
        mass * cheapest
    } else {
        f64::NEG_INFINITY
    };
    for _ in 0..2 {
        let (f, g) = &kept;
        let (to_target, to_source) = both_c_transforms(cost, f, in_a, g, in_b);
        let (new_f, lambda) = under_price(to_source, a, mass);
        let from_g = paired(&new_f, a) + paired(g, b) + mass * lambda;
        let (new_g, lambda) = under_price(to_target, b, mass);
        let from_f = paired(f, a) + paired(&new_g, b) + mass * lambda;
        // What is no number is no bound.
        best = best.max(from_g).max(from_f);
        kept = (new_f, new_g);
    }
    best
}

/// min(0, r − λ) and λ where Σ w_i min(0, r_i − λ) + S·λ is largest: at the price up to which the weights hold S. An end
/// at that price gets 0 exactly, whatever it weighs.
fn under_price(r: Vec<f64>, w: &[f64], mass: f64) -> (Vec<f64>, f64) {
    let mut by_price: Vec<(f64, f64)> = r
        .iter()
        .zip(w)
        .filter(|(r, w)| r.is_finite() && **w > 0.0)
        .map(|(r, w)| (*r, *w))
        .collect();
    by_price.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
    let mut lambda = by_price.last().map_or(0.0, |last| last.0);
    let mut held = 0.0;
    for &(r, w) in &by_price {
        held += w;
        if held >= mass {
            lambda = r;
            break;
        }
    }
    let below = |r: f64| (r - lambda).min(0.0);
    (r.into_iter().map(below).collect(), lambda)
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
