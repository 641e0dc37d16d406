//! Rounding: from any plan P ≥ 0 to one that satisfies the marginal condition exactly.
//!
//! Altschuler, Weed and Rigollet (2017), algorithm 2: scale rows down to a, columns down to b, and send what is
//! missing by the product of the two remainders. Partial problems send only up to their mass. Where pairs are
//! forbidden the remainder goes along allowed pairs, and reroutes the plan where it must. The rounded plan is never
//! written out: it is the plan with two scalings, plus the remainder.

mod by_rows;

use by_rows::{round_by_product, round_in_order};

use crate::cost::{Cost, CostKind, GridCost, row_of};
use crate::feasibility::{UNROUTED, may_forbid};
use crate::flow::Routing;
use crate::plan::{GridPlan, Plan, PlanRow, SparsePlan, is_sound};
use crate::problem::{Marginals, Problem};
use crate::rows::fold_rows;
use crate::separable::{grid_of, price_of_product};
use crate::{Error, assert_shape, measure};

/// A feasible plan diag(x) P diag(y)·factor + remainder, in terms of the plan it was rounded from.
#[derive(Debug, Clone)]
pub struct RoundedPlan {
    /// Scaling of each source, ≤ 1 on hard sides of balanced and partial problems.
    pub row_scale: Vec<f64>,
    /// Scaling of each target.
    pub col_scale: Vec<f64>,
    /// What scaling left to be sent.
    pub remainder: Remainder,
    /// ⟨P, C⟩ of the rounded plan; +∞ if the remainder found no allowed way.
    pub transport_cost: f64,
}

/// The mass that scaling left over.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Remainder {
    /// Nothing is missing.
    None,
    /// u ⊗ v.
    RankOne {
        /// Source factor.
        u: Vec<f64>,
        /// Target factor; sums to the mass sent over the mass of `u`.
        v: Vec<f64>,
    },
    /// Changes (i, j, ΔP_ij), negative ones take flow back.
    Changes(Vec<(u32, u32, f64)>),
}

impl RoundedPlan {
    /// The rounded plan as a sparse one: for plans that are themselves sparse, or small.
    pub fn to_sparse(&self, plan: &Plan) -> Result<SparsePlan, Error> {
        let (n, m) = plan.shape();
        if (self.row_scale.len(), self.col_scale.len()) != (n, m) {
            let (rows, cols) = (self.row_scale.len(), self.col_scale.len());
            let expected = format!("what was rounded is {rows}×{cols}");
            return Err(Error::shape("plan", &[n, m], expected));
        }
        let mut triples = Vec::new();
        plan.for_each_above(0.0, |i, j, p| {
            triples.push((
                i as u32,
                j as u32,
                p * self.row_scale[i] * self.col_scale[j],
            ));
        });
        match &self.remainder {
            Remainder::None => {}
            Remainder::RankOne { u, v } => {
                for (i, &ui) in u.iter().enumerate().filter(|(_, u)| **u > 0.0) {
                    for (j, &vj) in v.iter().enumerate().filter(|(_, v)| **v > 0.0) {
                        triples.push((i as u32, j as u32, ui * vj));
                    }
                }
            }
            Remainder::Changes(changes) => triples.extend_from_slice(changes),
        }
        // What is taken back may be more than is there, by rounding.
        let mut rounded = SparsePlan::sum_of(n, m, triples);
        rounded.clip();
        Ok(rounded)
    }
}

/// Rounds `plan` to the marginal condition of a balanced or partial problem. Three streaming passes over the plan
/// and one over the cost, O(n + m) memory (an implicit plan on a grid: axis by axis, n·Σ dims); with forbidden pairs, a flow for what is left. A plan with entries that are
/// negative or not finite costs +∞.
///
/// # Panics
/// If the plan has another shape than the problem.
#[must_use]
pub fn round(problem: &Problem, plan: &Plan) -> RoundedPlan {
    assert_shape("plan", plan.shape(), problem.shape());
    round_measured(problem, plan, &plan.marginals().0, None).0
}

/// [`round`], given what each source of the plan sends and perhaps what each target gets. Neither need be right for
/// the bound to hold: what scaling leaves is found from the plan itself, and where rows or columns turn out otherwise
/// the plan is scaled by what they are. Returns how far they were off too.
pub(crate) fn round_measured(
    problem: &Problem,
    plan: &Plan,
    sent: &[f64],
    received: Option<&[f64]>,
) -> (RoundedPlan, Off) {
    let a = problem.a().weights();
    let row_scale: Vec<f64> = a.iter().zip(sent).map(|(&a, &r)| shrink(a, r)).collect();
    // Where no row is scaled down by more than rounding, the columns sum to what is received.
    let known = received.filter(|_| row_scale.iter().all(|x| *x > 1.0 - 1e-14));
    let first = round_rows(problem, plan, &row_scale, known);
    let mut off = Off::default();
    let Some(found) = first.found else {
        return (first.plan, off);
    };
    let mass = problem.mass();
    let apart = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - y).abs()).sum::<f64>() / mass
    };
    if let Some(received) = known {
        let lost = (found.summed.iter().zip(&found.col_scale)).map(|(c, y)| c * (1.0 - y));
        let lost = lost.sum::<f64>() / mass;
        off.target = apart(&found.summed, received);
        // Scaling of columns takes from rows too. Rounding of entries shows on both sides alike.
        let apart = apart(&found.sent, sent);
        off.source = (apart - lost).max(if off.target > ROUNDING {
            apart.min(off.target)
        } else {
            0.0
        });
        for off in [&mut off.source, &mut off.target] {
            *off = if *off > ROUNDING { *off } else { 0.0 };
        }
    }
    let excess = |(sent, a): (&f64, &f64)| *sent > a * (1.0 + ROUNDING);
    if off.target <= ROUNDING && !found.sent.iter().zip(a).any(excess) {
        return (first.plan, off);
    }
    // What rows send was seen behind the columns' scaling, which is undone by its least factor.
    let least = found.col_scale.iter().fold(1.0_f64, |t, y| t.min(*y));
    let row_scale: Vec<f64> = (row_scale.iter().zip(a).zip(&found.sent))
        .map(|((x, &a), &sent)| x * shrink(a * least, sent))
        .collect();
    (round_rows(problem, plan, &row_scale, None).plan, off)
}

/// By how much what a solver says of its plan's marginals differs from their sums, L1 over the mass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Off {
    pub(crate) source: f64,
    pub(crate) target: f64,
}

/// Sums in another order, and products of scalings, differ by so much relative to themselves.
const ROUNDING: f64 = 1e-13;

/// A rounded plan, and the sums that were found on the way, where it is rounded row by row.
struct Rounded {
    plan: RoundedPlan,
    found: Option<Found>,
}

struct Found {
    /// What each source sends, scaled on both sides.
    sent: Vec<f64>,
    /// Column sums of diag(x) P.
    summed: Vec<f64>,
    col_scale: Vec<f64>,
}

/// Rounds diag(`row_scale`) P, whose columns may be known to sum to `received`.
fn round_rows(
    problem: &Problem,
    plan: &Plan,
    row_scale: &[f64],
    received: Option<&[f64]>,
) -> Rounded {
    let b = problem.b().weights();
    let mut row_scale = row_scale.to_vec();
    let forbidden = may_forbid(problem.cost()) && problem.cost().range().forbidden > 0;
    let on_grid = plan.on_grid().zip(grid_of(problem.cost()));
    let on_grid = on_grid.filter(|(plan, grid)| plan.fits(grid));
    let mut cols = match received.filter(|_| on_grid.is_none() && !forbidden) {
        Some(received) => received.to_vec(),
        None => plan.apply_transpose(&row_scale).unwrap_or_default(),
    };
    let col_scale: Vec<f64> = b.iter().zip(&cols).map(|(&b, &c)| shrink(b, c)).collect();
    if let Marginals::Partial { mass } = problem.marginals() {
        let kept: Vec<f64> = cols.iter().zip(&col_scale).map(|(c, y)| c * y).collect();
        let share = shrink(mass, measure::sum(&kept));
        row_scale
            .iter_mut()
            .chain(&mut cols)
            .for_each(|x| *x *= share);
    }
    let rest_b: Vec<f64> = b
        .iter()
        .zip(&cols)
        .zip(&col_scale)
        .map(|((&b, c), y)| (b - c * y).max(0.0))
        .collect();
    let alone = |plan| Rounded { plan, found: None };
    if forbidden {
        return alone(round_on_allowed(
            problem, plan, row_scale, col_scale, rest_b,
        ));
    }
    if let Some((plan, grid)) = on_grid {
        return alone(round_on_grid(
            problem, plan, grid, row_scale, col_scale, rest_b,
        ));
    }
    match plan {
        // Long lists of points have no rows of a cost to spread a remainder by.
        Plan::Sparse(sparse) if matches!(problem.cost().kind(), CostKind::Points(_)) => {
            round_in_order(problem, sparse, row_scale, col_scale, &rest_b)
        }
        _ => round_by_product(problem, plan, row_scale, col_scale, rest_b),
    }
}

/// The factor that brings `have` down to `want`; 1 where there is room.
fn shrink(want: f64, have: f64) -> f64 {
    if have > want { want / have } else { 1.0 }
}

/// What a partial plan misses of its mass. (Its sources may hold many times as much: what they keep would tell only a
/// few digits of what they send.)
fn missed(mass: f64, sent: impl Iterator<Item = f64>) -> f64 {
    (mass - measure::sum(&sent.collect::<Vec<_>>())).max(0.0)
}

/// Whether a row that was to be scaled down to `want` sends more, beyond rounding, or what is no number.
fn exceeds(sent: f64, want: f64) -> bool {
    let within = sent <= want * (1.0 + 1e-9);
    !within
}

/// [`round_by_product`] of an implicit plan on a grid: axis by axis.
fn round_on_grid(
    problem: &Problem,
    mut plan: GridPlan<'_>,
    grid: &GridCost,
    row_scale: Vec<f64>,
    col_scale: Vec<f64>,
    rest_b: Vec<f64>,
) -> RoundedPlan {
    let a = problem.a().weights();
    plan.scale(&row_scale, &col_scale);
    let (sent, paid) = (plan.apply(None), plan.price(grid));
    // What is no number is no plan, and proves no upper bound.
    let exceeding = sent.iter().zip(a).any(|(&sent, &a)| exceeds(sent, a));
    let rest_a: Vec<f64> = a.iter().zip(&sent).map(|(a, s)| (a - s).max(0.0)).collect();
    let (total_a, total_b) = (measure::sum(&rest_a), measure::sum(&rest_b));
    let missing = match problem.marginals() {
        Marginals::Partial { mass } => missed(mass, sent.into_iter()).min(total_a),
        _ => total_a,
    };
    let (remainder, spread) = if missing > 0.0 && total_b > 0.0 {
        let share = missing / total_a;
        let u: Vec<f64> = rest_a.iter().map(|r| r * share).collect();
        let v: Vec<f64> = rest_b.iter().map(|r| r / total_b).collect();
        let spread = price_of_product(grid, &u, &v);
        (Remainder::RankOne { u, v }, spread)
    } else {
        (Remainder::None, 0.0)
    };
    let transport_cost = if exceeding || !is_sound(paid) {
        f64::INFINITY
    } else {
        paid + spread
    };
    RoundedPlan {
        row_scale,
        col_scale,
        remainder,
        transport_cost,
    }
}

/// The remainder goes along allowed pairs.
fn round_on_allowed(
    problem: &Problem,
    plan: &Plan,
    row_scale: Vec<f64>,
    col_scale: Vec<f64>,
    rest_b: Vec<f64>,
) -> RoundedPlan {
    let (a, cost) = (problem.a().weights(), problem.cost());
    let (n, m) = plan.shape();
    let parts = fold_rows(
        n,
        plan.entries_per_row(),
        || (Vec::new(), plan.scratch(), vec![0.0; m]),
        |(out, scratch, costs): &mut (Vec<[f64; 3]>, _, _), i| {
            let (mut sent, mut paid, mut sound) = (0.0, 0.0, true);
            let mut pay = |j: usize, p: f64, c: f64| {
                sound &= is_sound(p);
                let p = row_scale[i] * p * col_scale[j];
                sent += p;
                // Mass that scaling took off a forbidden pair costs nothing there, not 0 · ∞.
                paid += if p == 0.0 { 0.0 } else { p * c };
            };
            match plan.row(i, scratch) {
                row @ PlanRow::Dense(_) => {
                    let row_cost = row_of(cost, i, costs);
                    row.visit(|j, p| pay(j, p, row_cost[j]));
                }
                row @ PlanRow::Sparse(..) => row.visit(|j, p| pay(j, p, cost.entry(i, j))),
            }
            if !sound || exceeds(sent, a[i]) {
                (sent, paid) = (0.0, f64::INFINITY);
            }
            out.push([(a[i] - sent).max(0.0), paid, sent]);
        },
    );
    let by_row: Vec<[f64; 3]> = parts.into_iter().flat_map(|part| part.0).collect();
    let rest_a: Vec<f64> = by_row.iter().map(|r| r[0]).collect();
    let total_a = measure::sum(&rest_a);
    let missing = match problem.marginals() {
        Marginals::Partial { mass } => missed(mass, by_row.iter().map(|r| r[2])),
        _ => total_a,
    };
    let mut transport_cost = measure::sum(&by_row.iter().map(|r| r[1]).collect::<Vec<_>>());
    let base = |i: usize, j: usize| plan.entry(i, j) * row_scale[i] * col_scale[j];
    let mut routing = Routing::new(cost, Some(&base), rest_a, rest_b);
    let unrouted = routing.route(missing);
    let changes: Vec<_> = routing
        .changes()
        .map(|(i, j, t)| (i as u32, j as u32, t))
        .collect();
    transport_cost += changes
        .iter()
        .map(|&(i, j, t)| t * cost.entry(i as usize, j as usize))
        .sum::<f64>();
    // What is left beyond rounding has no allowed way: there is no feasible plan near this one. (Twice what the check of
    // feasibility lets pass: that much may be left here by as much rounding again.)
    if unrouted > 2.0 * UNROUTED * problem.mass() {
        transport_cost = f64::INFINITY;
    }
    let remainder = if changes.is_empty() {
        Remainder::None
    } else {
        Remainder::Changes(changes)
    };
    RoundedPlan {
        row_scale,
        col_scale,
        remainder,
        transport_cost,
    }
}

/// P1 without the mass sent to targets of weight zero, which the value of a relaxed plan leaves out.
fn mass_on_support(plan: &Plan, b: &[f64]) -> Vec<f64> {
    let support: Vec<f64> = b.iter().map(|w| f64::from(*w > 0.0)).collect();
    plan.apply(&support).unwrap_or_default()
}

/// One hard side of a relaxed problem: P with rows (or columns) scaled to the weights; a row without any mass
/// sends it where its cost is least. Returns the scaling and the extra entries.
pub(crate) fn harden_rows(
    cost: &dyn Cost,
    plan: &Plan,
    a: &[f64],
    b: &[f64],
) -> (Vec<f64>, Vec<(usize, usize, f64)>) {
    let rows = mass_on_support(plan, b);
    let mut costs = vec![0.0; cost.shape().1];
    let mut extra = Vec::new();
    let scale = rows
        .iter()
        .zip(a)
        .enumerate()
        .map(|(i, (&r, &a))| {
            if r > 0.0 {
                return a / r;
            }
            let row = row_of(cost, i, &mut costs);
            let reachable = (0..row.len()).filter(|&j| b[j] > 0.0 && row[j].is_finite());
            if let Some(j) = reachable.min_by(|&j, &k| row[j].total_cmp(&row[k]))
                && a > 0.0
            {
                extra.push((i, j, a));
            }
            0.0
        })
        .collect();
    (scale, extra)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::Measure;
    use crate::cost::{DenseCost, SparseCost};
    use crate::plan::DensePlan;

    fn assert_feasible(problem: &Problem, plan: &Plan, rounded: &RoundedPlan) {
        let sparse = Plan::from(rounded.to_sparse(plan).unwrap());
        let (rows, cols) = sparse.marginals();
        let mass = problem.mass();
        let moved: f64 = rows.iter().sum();
        assert!((moved - mass).abs() < 1e-12 * mass);
        let balanced = problem.marginals() == Marginals::Balanced;
        for (have, want) in rows
            .iter()
            .zip(problem.a().weights())
            .chain(cols.iter().zip(problem.b().weights()))
        {
            assert!(*have <= want + 1e-12 * mass && (!balanced || *have >= want - 1e-12 * mass));
        }
        sparse.for_each_above(f64::NEG_INFINITY, |_, _, p| assert!(p >= -1e-15 * mass));
        let cost = sparse.transport_cost(problem.cost());
        assert!(
            (cost - rounded.transport_cost).abs() <= 1e-12 * (1.0 + cost.abs()) * mass.max(1.0)
        );
    }

    proptest! {
        #[test]
        fn any_plan_becomes_feasible(
            a in prop::collection::vec(0.0..1.0_f64, 2..6),
            b in prop::collection::vec(0.0..1.0_f64, 2..6),
            seed in prop::collection::vec(0.0..2.0_f64, 36),
            share in 0.1..1.0_f64,
        ) {
            prop_assume!(a.iter().sum::<f64>() > 0.1 && b.iter().sum::<f64>() > 0.1);
            let (n, m) = (a.len(), b.len());
            let a = Measure::new(a).unwrap().normalized();
            let b = Measure::new(b).unwrap().normalized();
            let cost = Arc::new(DenseCost::new(n, m, seed[..n * m].to_vec()).unwrap());
            let plan = Plan::from(DensePlan::new(n, m, seed.iter().rev().take(n * m).map(|s| s * 0.2).collect()).unwrap());
            let balanced = Problem::new(a.clone(), b.clone(), cost.clone()).unwrap();
            assert_feasible(&balanced, &plan, &round(&balanced, &plan));
            let partial = Problem::partial(a, b, cost, share).unwrap();
            assert_feasible(&partial, &plan, &round(&partial, &plan));
        }
    }

    #[test]
    fn no_plan_gives_no_upper_bound() {
        let inf = f64::INFINITY;
        for cost in [[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, inf, 0.0]] {
            let problem = Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &cost).unwrap();
            for bad in [f64::NAN, -0.5, inf] {
                let plan = DensePlan::from_solver(2, 2, vec![0.5, bad, 0.0, 0.5]).unwrap();
                let rounded = round(&problem, &Plan::from(plan));
                assert_eq!(rounded.transport_cost, inf);
            }
        }
    }

    #[test]
    fn a_wrong_word_on_what_is_sent_proves_nothing() {
        let inf = f64::INFINITY;
        for cost in [[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, inf, 0.0]] {
            let problem = Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &cost).unwrap();
            let plan = Plan::from(DensePlan::new(2, 2, vec![0.5, 0.5, 0.0, 0.5]).unwrap());
            let wrong = round_measured(&problem, &plan, &[0.5, 0.5], None).0;
            if cost[2].is_finite() {
                // The row is scaled by what it sends.
                assert_feasible(&problem, &plan, &wrong);
                // A third of row 0 stays, and what both miss goes to target 0.
                assert!((wrong.transport_cost - 0.25).abs() < 1e-15);
            } else {
                assert_eq!(wrong.transport_cost, inf);
            }
            let right = round_measured(&problem, &plan, &[1.0, 0.5], None).0;
            let alone = round(&problem, &plan);
            assert_eq!(right.transport_cost, alone.transport_cost);
        }
    }

    #[test]
    fn a_wrong_word_on_what_is_received_changes_nothing() {
        let problem =
            Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &[0.0, 1.0, 1.0, 0.0]).unwrap();
        let plan = Plan::from(DensePlan::new(2, 2, vec![0.5, 0.0, 0.25, 0.25]).unwrap());
        let alone = round(&problem, &plan).transport_cost;
        for received in [[0.5, 0.5], [0.75, 0.25]] {
            let rounded = round_measured(&problem, &plan, &[0.5, 0.5], Some(&received)).0;
            assert_feasible(&problem, &plan, &rounded);
            assert!((rounded.transport_cost - alone).abs() < 1e-15);
        }
    }

    #[test]
    fn mass_of_a_weightless_source_on_a_forbidden_pair_is_dropped() {
        let cost = [0.0, 1.0, f64::INFINITY, 0.0];
        let problem = Problem::from_slices(&[1.0, 0.0], &[0.5, 0.5], &cost).unwrap();
        let plan = DensePlan::new(2, 2, vec![0.5, 0.5, 0.1, 0.0]).unwrap();
        let rounded = round(&problem, &Plan::from(plan));
        assert!((rounded.transport_cost - 0.5).abs() < 1e-15);
    }

    #[test]
    fn the_remainder_reroutes_the_plan_where_pairs_are_forbidden() {
        // Source 1 may reach target 0 only, which the plan has filled from source 0.
        let cost =
            SparseCost::from_triples(2, 2, vec![(0, 0, 1.0), (0, 1, 5.0), (1, 0, 2.0)]).unwrap();
        let half = Measure::new(vec![0.5, 0.5]).unwrap();
        let problem = Problem::new(half.clone(), half, Arc::new(cost)).unwrap();
        let plan = Plan::from(SparsePlan::from_triples(2, 2, vec![(0, 0, 0.5)]).unwrap());
        let rounded = round(&problem, &plan);
        assert_feasible(&problem, &plan, &rounded);
        assert!((rounded.transport_cost - 3.5).abs() < 1e-14);
    }
}
