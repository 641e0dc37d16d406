//! Certificates: a bracket around the true optimum of the unregularized problem, for any plan and any potentials.
//!
//! Weak duality gives the lower end from a pair that is feasible by construction (a c-transform), rounding the
//! upper end. Neither trusts the solver. The bracket holds in floating point up to 1e-12 of Σ|f|a + Σ|g|b.

use crate::cost::{Cost, row_of};
use crate::measure;
use crate::partial::partial_lower;
use crate::plan::{Plan, is_sound};
use crate::problem::{Marginals, Problem};
use crate::rounding::{Off, harden_rows, round_measured};
use crate::rows::fold_rows;
use crate::transform::{
    Potentials, both_c_transforms, c_transform_to_source, c_transform_to_target,
};
use crate::{assert_len, assert_shape};

/// What the ends of a bracket err by, relative to the terms that they are sums of.
const ROUNDING: f64 = 1e-12;

/// lower ≤ optimum ≤ upper, in the caller's units.
///
/// Balanced and partial: of ⟨P, C⟩. Relaxed: of ⟨P, C⟩ + γa·KL(P1 ‖ a) + γb·KL(Pᵀ1 ‖ b).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certificate {
    /// The value of a feasible dual pair.
    pub lower: f64,
    /// The value of a feasible plan.
    pub upper: f64,
}

impl Certificate {
    /// upper − lower: not negative, unless one of them is wrong.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.upper - self.lower
    }

    /// (upper − lower) / (mass · spread of the cost over allowed pairs); 0 where the spread is 0.
    #[must_use]
    pub fn relative_gap(&self, problem: &Problem) -> f64 {
        let scale = problem.mass() * problem.cost().range().spread();
        if scale > 0.0 { self.gap() / scale } else { 0.0 }
    }

    /// The bracket with its ends in order where they cross by rounding alone: by no more than 1e-12 of `terms`, which
    /// says what the terms of their sums come to in absolute value ([`Potentials::terms`]). The lower end then comes
    /// down. Ends that cross by more stay: one of them is wrong, and that must be seen.
    #[must_use]
    pub fn ordered(self, terms: impl FnOnce() -> f64) -> Self {
        let Self { lower, upper } = self;
        let crosses = lower > upper;
        Self {
            lower: if crosses && lower - upper <= ROUNDING * terms() {
                upper
            } else {
                lower
            },
            upper,
        }
    }

    /// Whether `value` lies in the bracket, widened by `slack`.
    #[must_use]
    pub fn contains(&self, value: f64, slack: f64) -> bool {
        self.lower - slack <= value && value <= self.upper + slack
    }
}

/// The bracket from a plan and potentials. Balanced: three passes over the cost and three over the plan, O(n + m)
/// memory. A plan with entries that are negative or not finite proves no upper bound.
///
/// # Panics
/// If the plan or the potentials have other shapes than the problem.
#[must_use]
pub fn certify(problem: &Problem, plan: &Plan, potentials: &Potentials) -> Certificate {
    assert_shape("plan", plan.shape(), problem.shape());
    potentials.assert_fits(problem);
    let sent = match problem.marginals() {
        Marginals::Relaxed { .. } => Vec::new(),
        _ => plan.marginals().0,
    };
    certify_measured(problem, plan, potentials, &sent, None).0
}

/// [`certify`], given what each source of the plan sends and perhaps what each target gets: one or two passes over
/// the plan less. Returns too by how much these were off, where a pass over the plan has seen it.
pub(crate) fn certify_measured(
    problem: &Problem,
    plan: &Plan,
    potentials: &Potentials,
    sent: &[f64],
    received: Option<&[f64]>,
) -> (Certificate, Off) {
    let (lower, (upper, off)) = match problem.marginals() {
        Marginals::Relaxed { gamma_a, gamma_b } => {
            let upper = relaxed_value(problem, plan, gamma_a, gamma_b);
            let lower = relaxed_lower(problem, potentials, gamma_a, gamma_b);
            (lower, (upper, Off::default()))
        }
        marginals => {
            let (rounded, off) = round_measured(problem, plan, sent, received);
            let lower = match marginals {
                Marginals::Partial { mass } => partial_lower(problem, potentials, mass),
                _ => balanced_lower(problem, potentials),
            };
            (lower, (rounded.transport_cost, off))
        }
    };
    let bracket = Certificate { lower, upper };
    (bracket.ordered(|| potentials.terms(problem)), off)
}

/// Σ potential·weight over positive weights, skipping +∞.
pub(crate) fn paired(potential: &[f64], weights: &[f64]) -> f64 {
    let terms: Vec<f64> = potential
        .iter()
        .zip(weights)
        .filter(|(p, w)| **w > 0.0 && p.is_finite())
        .map(|(p, w)| p * w)
        .collect();
    measure::sum(&terms)
}

/// Potentials with what is not a number set to 0: any start gives a valid bound, only a weaker one.
pub(crate) fn usable(potential: &[f64]) -> Vec<f64> {
    potential
        .iter()
        .map(|&v| if v.is_finite() { v } else { 0.0 })
        .collect()
}

/// A lower bound that knows what no potentials are needed for: without negative costs no plan has a negative ⟨P, C⟩, and
/// KL terms are not negative either, so that it holds for all three conditions on the marginals. Exactly 0: an upper end,
/// which is a sum of terms that are not negative, can't fall below it by rounding.
pub(crate) fn above_zero(lower: f64, cost: &dyn Cost) -> f64 {
    use crate::cost::{CostKind, Ground};
    // Distances and functions of them need no look at their pairs.
    let is_distance = match cost.kind() {
        CostKind::Grid(_) => true,
        CostKind::Points(points) => {
            !matches!(points.ground(), Ground::Cosine | Ground::OfDistance(..))
        }
        _ => false,
    };
    if is_distance || cost.range().min >= 0.0 {
        lower.max(0.0)
    } else {
        lower
    }
}

/// ⟨f, a⟩ + ⟨g, b⟩ of a hard-feasible pair: the better of the transforms started from f and from g, and 0 at least where no
/// cost is negative.
///
/// # Panics
/// If the potentials have other lengths than the problem's weights.
#[must_use]
pub fn balanced_lower(problem: &Problem, potentials: &Potentials) -> f64 {
    potentials.assert_fits(problem);
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let cost = problem.cost();
    let in_a = |i: usize| a[i] > 0.0;
    let in_b = |j: usize| b[j] > 0.0;
    // Both starts side by side: two passes over the cost for four transforms.
    let (start_f, start_g) = (usable(&potentials.f), usable(&potentials.g));
    let (g_of_f, f_of_g) = both_c_transforms(cost, &start_f, in_a, &start_g, in_b);
    let (g, f) = both_c_transforms(cost, &f_of_g, in_a, &g_of_f, in_b);
    let from_f = paired(&f, a) + paired(&g_of_f, b);
    let from_g = paired(&f_of_g, a) + paired(&g, b);
    above_zero(from_f.max(from_g), cost)
}

/// γ⟨w, 1 − e^{−p/γ}⟩, the conjugate of γ·KL(· ‖ w); ⟨p, w⟩ for γ = ∞. +∞ stands for no partner: γ·w.
fn conjugate(potential: &[f64], weights: &[f64], gamma: f64) -> f64 {
    if gamma.is_infinite() {
        return paired(potential, weights);
    }
    let terms: Vec<f64> = potential
        .iter()
        .zip(weights)
        .filter(|(_, w)| **w > 0.0)
        .map(|(p, w)| {
            let exponent = -p / gamma;
            // A tiny weight and a large exponent, or a tiny γ, have a product that neither factor can spoil.
            let excess = if exponent > 1.0 {
                (w.ln() + exponent).exp() - w
            } else {
                w * exponent.exp_m1()
            };
            -gamma * excess
        })
        .collect();
    measure::sum(&terms)
}

/// The dual value after c-transforms and the best constant shift between the two sides.
fn relaxed_lower(problem: &Problem, potentials: &Potentials, gamma_a: f64, gamma_b: f64) -> f64 {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let cost = problem.cost();
    let (in_a, in_b) = (|i: usize| a[i] > 0.0, |j: usize| b[j] > 0.0);
    let g = c_transform_to_target(cost, &usable(&potentials.f), in_a);
    let f = c_transform_to_source(cost, &g, in_b);
    let value = |shift: f64| {
        let up: Vec<f64> = f.iter().map(|f| f + shift).collect();
        let down: Vec<f64> = g.iter().map(|g| g - shift).collect();
        conjugate(&up, a, gamma_a) + conjugate(&down, b, gamma_b)
    };
    let lower = value(0.0).max(value(best_shift(&f, &g, problem, gamma_a, gamma_b)));
    above_zero(lower, cost)
}

/// argmax over t of the dual at (f + t, g − t): the two marginal masses are equal there.
fn best_shift(f: &[f64], g: &[f64], problem: &Problem, gamma_a: f64, gamma_b: f64) -> f64 {
    // log Σ w e^{−p/γ}, by its largest exponent; γ = ∞ leaves log Σ w.
    let log_mass = |p: &[f64], w: &[f64], gamma: f64| {
        let inverse = if gamma.is_infinite() {
            0.0
        } else {
            -1.0 / gamma
        };
        let terms = || p.iter().zip(w).filter(|(p, w)| **w > 0.0 && p.is_finite());
        let top = terms().fold(f64::NEG_INFINITY, |t: f64, (p, _)| t.max(p * inverse));
        top + terms()
            .map(|(p, w)| w * (p * inverse - top).exp())
            .sum::<f64>()
            .ln()
    };
    let difference =
        log_mass(f, problem.a().weights(), gamma_a) - log_mass(g, problem.b().weights(), gamma_b);
    let finite = |gamma: f64| {
        if gamma.is_infinite() {
            0.0
        } else {
            1.0 / gamma
        }
    };
    let shift = difference / (finite(gamma_a) + finite(gamma_b));
    if shift.is_finite() { shift } else { 0.0 }
}

/// R(P) = ⟨P, C⟩ + γa·KL(P1 ‖ a) + γb·KL(Pᵀ1 ‖ b) with a hard side (γ = ∞) rounded first, and with the plan's mass
/// scaled to its best value. Entries outside of the supports of a and b count as zero.
fn relaxed_value(problem: &Problem, plan: &Plan, gamma_a: f64, gamma_b: f64) -> f64 {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let cost = problem.cost();
    let (n, m) = plan.shape();
    let (mut x, mut y, mut extra) = (vec![1.0; n], vec![1.0; m], Vec::new());
    if gamma_a.is_infinite() {
        (x, extra) = harden_rows(cost, plan, a, b);
    } else if gamma_b.is_infinite() {
        // Sources of weight zero are left out below, so their mass must not count here.
        let support: Vec<f64> = a.iter().map(|w| f64::from(*w > 0.0)).collect();
        let cols = plan.apply_transpose(&support).unwrap_or_default();
        y = b
            .iter()
            .zip(&cols)
            .map(|(&b, &c)| if c > 0.0 { b / c } else { 0.0 })
            .collect();
        extra = cheapest_sources(problem, &cols);
    }
    if let Some((rows, cols, paid)) = plan.scaled_on_grid(cost, a, &x, b, &y) {
        let paid = if is_sound(paid) { paid } else { f64::INFINITY };
        return relaxed_sum(problem, (gamma_a, gamma_b), rows, cols, paid, extra);
    }
    let parts = fold_rows(
        n,
        m,
        || (Vec::new(), vec![0.0; m], plan.scratch(), vec![0.0; m]),
        |(rows, cols, scratch, costs): &mut (Vec<[f64; 2]>, Vec<f64>, _, _), i| {
            let (mut sent, mut paid, mut sound) = (0.0, 0.0, true);
            if a[i] > 0.0 {
                let row_cost = row_of(cost, i, costs);
                plan.row(i, scratch).visit(|j, p| {
                    if b[j] > 0.0 {
                        sound &= is_sound(p);
                        let p = x[i] * p * y[j];
                        sent += p;
                        paid += p * row_cost[j];
                        cols[j] += p;
                    }
                });
            }
            // NaN or negative mass is no plan, and proves no upper bound.
            rows.push([sent, if sound { paid } else { f64::INFINITY }]);
        },
    );
    let (mut rows, mut cols, mut paid) = (Vec::with_capacity(n), vec![0.0; m], 0.0);
    for part in parts {
        paid += part.0.iter().map(|r| r[1]).sum::<f64>();
        rows.extend(part.0.iter().map(|r| r[0]));
        cols.iter_mut().zip(&part.1).for_each(|(c, p)| *c += p);
    }
    relaxed_sum(problem, (gamma_a, gamma_b), rows, cols, paid, extra)
}

/// R(P) of marginals, ⟨P, C⟩ and entries to be added.
fn relaxed_sum(
    problem: &Problem,
    (gamma_a, gamma_b): (f64, f64),
    mut rows: Vec<f64>,
    mut cols: Vec<f64>,
    mut paid: f64,
    extra: Vec<(usize, usize, f64)>,
) -> f64 {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let cost = problem.cost();
    for (i, j, t) in extra {
        rows[i] += t;
        cols[j] += t;
        paid += t * cost.entry(i, j);
    }
    let soft = |gamma: f64, p: &[f64], w: &[f64]| {
        if gamma.is_infinite() {
            0.0
        } else {
            gamma * kl(p, w)
        }
    };
    let here = paid + soft(gamma_a, &rows, a) + soft(gamma_b, &cols, b);
    // P = 0 is allowed where no side is hard, and bounds what a bad plan may claim.
    let nothing = gamma_a * problem.a().mass() + gamma_b * problem.b().mass();
    if here.is_nan() {
        // What is no plan leaves NaN in KL. With a hard side `nothing` is +∞, which is always true.
        nothing
    } else {
        here.min(nothing)
    }
}

/// For each target without mass: the cheapest allowed source, with the target's weight.
fn cheapest_sources(problem: &Problem, cols: &[f64]) -> Vec<(usize, usize, f64)> {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let (n, m) = problem.shape();
    if (0..m).all(|j| cols[j] != 0.0 || b[j] == 0.0) {
        return Vec::new();
    }
    let mut best = vec![(f64::INFINITY, 0); m];
    let mut scratch = vec![0.0; m];
    for i in (0..n).filter(|&i| a[i] > 0.0) {
        for (best, &c) in best.iter_mut().zip(row_of(problem.cost(), i, &mut scratch)) {
            if c < best.0 {
                *best = (c, i);
            }
        }
    }
    (0..m)
        .filter(|&j| cols[j] == 0.0 && b[j] > 0.0 && best[j].0.is_finite())
        .map(|j| (best[j].1, j, b[j]))
        .collect()
}

/// p log(p/q) − p + q = q·((1 + x) log(1 + x) − x) with x = (p − q)/q. Near p = q the difference of the two is all there
/// is of it, and a large γ makes its rounding seen: there by its series.
fn relative(p: f64, q: f64) -> f64 {
    let x = (p - q) / q;
    if x.abs() > 1e-3 {
        return p * (p / q).ln() - p + q;
    }
    // Σ_{k ≥ 2} (−x)^k / (k (k − 1)), cut off below 1e-18 of the first term.
    let rest = [1.0 / 30.0, 1.0 / 20.0, 1.0 / 12.0, 1.0 / 6.0, 0.5];
    let sum = rest.iter().fold(1.0 / 42.0, |sum, term| term - x * sum);
    q * x * x * sum
}

/// Generalized KL(p ‖ q) = Σ p log(p/q) − Σp + Σq; +∞ where p > 0 = q.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn kl(p: &[f64], q: &[f64]) -> f64 {
    assert_len("q", q.len(), p.len(), "entries of `p`");
    let terms: Vec<f64> = p
        .iter()
        .zip(q)
        .map(|(&p, &q)| {
            if p == 0.0 {
                q
            } else if q == 0.0 {
                f64::INFINITY
            } else {
                relative(p, q)
            }
        })
        .collect();
    measure::sum(&terms)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Measure;
    use crate::cost::DenseCost;
    use crate::plan::DensePlan;

    #[test]
    fn an_optimal_pair_closes_the_bracket() {
        let problem =
            Problem::from_slices(&[1.0, 2.0], &[2.0, 1.0], &[0.0, 3.0, 1.0, 0.0]).unwrap();
        let plan = Plan::from(DensePlan::new(2, 2, vec![1.0, 0.0, 1.0, 1.0]).unwrap());
        let bracket = certify(
            &problem,
            &plan,
            &Potentials::new(vec![-1.0, 0.0], vec![1.0, 0.0]),
        );
        assert_eq!((bracket.lower, bracket.upper), (1.0, 1.0));
        // Any other pair still brackets.
        let plan = Plan::from(DensePlan::new(2, 2, vec![0.3; 4]).unwrap());
        let bracket = certify(
            &problem,
            &plan,
            &Potentials::new(vec![7.0, f64::NAN], vec![0.0, 9.0]),
        );
        assert!(bracket.lower <= 1.0 && bracket.upper >= 1.0, "{bracket:?}");
    }

    #[test]
    fn without_negative_costs_no_bound_is_negative() {
        // Potentials that pay the sources for mass that the targets don't want, and satisfy f⊕g ≤ C already.
        let a = Measure::new(vec![0.9, 0.1]).unwrap();
        let b = Measure::new(vec![0.1, 0.9]).unwrap();
        let bad = Potentials::new(vec![-9.0, 0.0], vec![9.0, 0.0]);
        let plan = Plan::from(DensePlan::new(2, 2, vec![0.1, 0.8, 0.0, 0.1]).unwrap());
        for (low, wanted) in [(0.0, 0.0), (-1.0, f64::NEG_INFINITY)] {
            let entries = vec![low, 9.0, 9.0, low];
            let cost = || Arc::new(DenseCost::new(2, 2, entries.clone()).unwrap());
            let relaxed = |gamma_a: f64, gamma_b: f64| {
                Problem::relaxed(a.clone(), b.clone(), cost(), gamma_a, gamma_b).unwrap()
            };
            let problems = [
                Problem::new(a.clone(), b.clone(), cost()).unwrap(),
                relaxed(f64::INFINITY, 1e9),
                relaxed(1e9, 1e9),
            ];
            for (k, problem) in problems.iter().enumerate() {
                let bracket = certify(problem, &plan, &bad);
                assert!(bracket.lower <= bracket.upper);
                if wanted == 0.0 {
                    assert_eq!(bracket.lower, 0.0, "{k}");
                } else {
                    // The same potentials prove less there: nothing is cut off.
                    assert!(bracket.lower < -1.0, "{k} {bracket:?}");
                }
            }
            // A part of the mass moves for nothing, or is paid for it.
            let part = Problem::partial(a.clone(), b.clone(), cost(), 0.2).unwrap();
            assert!(certify(&part, &plan, &bad).lower <= 0.2 * low);
        }
    }

    #[test]
    fn kl_keeps_its_digits_where_its_arguments_meet() {
        let q = 0.7_f64;
        for x in [
            1e-2_f64, 1.1e-3, 9e-4, 1e-5, 1e-8, -1e-8, -9e-4, -1.1e-3, -0.1,
        ] {
            let p = q * (1.0 + x);
            let x: f64 = (p - q) / q;
            let series: f64 = (2..60).map(|k| (-x).powi(k) / f64::from(k * (k - 1))).sum();
            let wanted = q * series;
            assert!((kl(&[p], &[q]) / wanted - 1.0).abs() < 1e-9, "{x}");
            if x.abs() < 1e-3 {
                assert!((kl(&[p], &[q]) / wanted - 1.0).abs() < 1e-15, "{x}");
            }
        }
        assert_eq!(kl(&[q], &[q]), 0.0);
    }

    #[test]
    fn ends_that_cross_by_rounding_are_put_in_order() {
        let crossed = |by: f64| Certificate {
            lower: 1.0 + by,
            upper: 1.0,
        };
        assert_eq!(crossed(1e-15).ordered(|| 2.0).gap(), 0.0);
        assert_eq!(crossed(1e-9).ordered(|| 2.0), crossed(1e-9));
        assert_eq!(crossed(-0.5).ordered(|| 2.0), crossed(-0.5));
        // Thirds and sevenths: whichever way the sums are rounded.
        for k in 1..200_u32 {
            let weight = |j: u32| 1.0 / f64::from(j);
            let (a, b) = ([weight(k), weight(k + 1)], [weight(k + 1), weight(k)]);
            let cost = [0.1 * weight(k), 0.3, 0.7, 0.2 * weight(3)];
            let problem = Problem::from_slices(&a, &b, &cost).unwrap();
            let plan = DensePlan::new(2, 2, vec![a[1], a[0] - a[1], 0.0, a[1]]).unwrap();
            let best = Potentials::new(vec![cost[1] - cost[3], 0.0], vec![0.0, cost[3]]);
            assert!(certify(&problem, &plan.into(), &best).gap() >= 0.0);
        }
    }

    #[test]
    #[should_panic(expected = "`plan` is 1×1, but the problem is 2×2")]
    fn a_plan_of_another_shape_is_named() {
        let problem = Problem::from_slices(&[1.0; 2], &[1.0; 2], &[1.0; 4]).unwrap();
        let plan = DensePlan::new(1, 1, vec![1.0]).unwrap();
        let _ = certify(
            &problem,
            &plan.into(),
            &Potentials::new(vec![0.0; 2], vec![0.0; 2]),
        );
    }

    #[test]
    #[should_panic(expected = "`g` has 1 entries, but there are 2 targets")]
    fn potentials_of_another_length_are_named() {
        let problem = Problem::from_slices(&[1.0; 2], &[1.0; 2], &[1.0; 4]).unwrap();
        let plan = DensePlan::new(2, 2, vec![0.5; 4]).unwrap();
        let _ = certify(
            &problem,
            &plan.into(),
            &Potentials::new(vec![0.0; 2], vec![0.0]),
        );
    }

    #[test]
    fn relaxed_bracket_closes_on_one_pair() {
        // min over p of p·c + γa KL(p|a) + γb KL(p|b): p = (a^γa b^γb e^{−c})^{1/(γa+γb)}.
        let (a, b, c, ga, gb) = (2.0, 0.5, 0.3, 0.7, 1.9);
        let p: f64 = ((ga * f64::ln(a) + gb * f64::ln(b) - c) / (ga + gb)).exp();
        let f = -ga * (p / a).ln();
        let g = -gb * (p / b).ln();
        let cost = Arc::new(DenseCost::new(1, 1, vec![c]).unwrap());
        let (ma, mb) = (
            Measure::new(vec![a]).unwrap(),
            Measure::new(vec![b]).unwrap(),
        );
        let problem = Problem::relaxed(ma.clone(), mb.clone(), cost.clone(), ga, gb).unwrap();
        let plan = Plan::from(DensePlan::new(1, 1, vec![p]).unwrap());
        let bracket = certify(&problem, &plan, &Potentials::new(vec![f + 3.0], vec![g]));
        assert!(bracket.gap().abs() < 1e-14, "{bracket:?}");
        // One hard side: the plan is b, whatever the plan given.
        let hard = Problem::relaxed(ma, mb, cost, ga, f64::INFINITY).unwrap();
        let best = b * c + ga * kl(&[b], &[a]);
        let bracket = certify(&hard, &plan, &Potentials::new(vec![0.0], vec![0.0]));
        assert!((bracket.lower - best).abs() < 1e-14 && (bracket.upper - best).abs() < 1e-14);
    }

    #[test]
    fn mass_outside_of_the_support_does_not_lower_the_upper_end() {
        // The hard source must send 1 to target 0 at cost 5; the plan sends half of it to a target of weight 0.
        let cost = Arc::new(DenseCost::new(1, 2, vec![5.0, 0.0]).unwrap());
        let one = Measure::new(vec![1.0]).unwrap();
        let target = Measure::new(vec![1.0, 0.0]).unwrap();
        let plan = Plan::from(DensePlan::new(1, 2, vec![0.5, 0.5]).unwrap());
        let p = Potentials::new(vec![0.0], vec![0.0; 2]);
        let inf = f64::INFINITY;
        let problem = Problem::relaxed(one, target, cost, inf, 1.0).unwrap();
        assert_eq!(certify(&problem, &plan, &p).upper, 5.0);
        let turned = problem.transposed().unwrap();
        let plan = Plan::from(DensePlan::new(2, 1, vec![0.5, 0.5]).unwrap());
        let p = Potentials::new(vec![0.0; 2], vec![0.0]);
        assert_eq!(certify(&turned, &plan, &p).upper, 5.0);
    }

    #[test]
    fn a_plan_that_is_none_proves_nothing() {
        let cost = Arc::new(DenseCost::new(1, 2, vec![1.0, 2.0]).unwrap());
        let (a, b) = (Measure::uniform(1).unwrap(), Measure::uniform(2).unwrap());
        let problem = Problem::relaxed(a, b, cost, 0.5, 0.5).unwrap();
        for bad in [f64::NAN, -0.3, f64::INFINITY] {
            let plan = Plan::from(DensePlan::from_solver(1, 2, vec![0.4, bad]).unwrap());
            let bracket = certify(&problem, &plan, &Potentials::new(vec![0.0], vec![0.0; 2]));
            assert_eq!(bracket.upper, 1.0);
        }
        let problem = Problem::from_slices(&[1.0, 1.0], &[1.0, 1.0], &[0.0, 1.0, 1.0, 0.0]);
        for bad in [f64::NAN, -0.3, f64::INFINITY] {
            let plan = DensePlan::from_solver(2, 2, vec![bad, 0.0, 0.0, 0.0]).unwrap();
            let zero = Potentials::new(vec![0.0; 2], vec![0.0; 2]);
            let bracket = certify(problem.as_ref().unwrap(), &plan.into(), &zero);
            assert_eq!(bracket.upper, f64::INFINITY);
        }
    }
}
