//! Rounding: from any plan P ≥ 0 to one that satisfies the marginal condition exactly.
//!
//! Altschuler, Weed and Rigollet (2017), algorithm 2: scale rows down to a, columns down to b, and send what is
//! missing by the product of the two remainders. Partial problems send only up to their mass. Where pairs are
//! forbidden the remainder goes along allowed pairs, and reroutes the plan where it must. The rounded plan is never
//! written out: it is the plan with two scalings, plus the remainder.

use ot_kernels::reduce::{RoundedRow, rounded_row};

use crate::cost::{Cost, GridCost, row_of, tree_of};
use crate::feasibility::{UNROUTED, may_forbid};
use crate::flow::Routing;
use crate::lanes::{dot, paid};
use crate::plan::{GridPlan, Plan, PlanRow, SparsePlan, is_sound};
use crate::problem::{Marginals, Problem};
use crate::rows::{add_up, fold_rows};
use crate::separable::{grid_of, price_of_product, prices_of};
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
    round_measured(problem, plan, &plan.marginals().0, None)
}

/// [`round`], given what each source of the plan sends and perhaps what each target gets. Neither need be right for
/// the bound to hold: what scaling leaves is found from the plan itself, rows that send too much prove nothing, and
/// columns that turn out otherwise are summed again.
pub(crate) fn round_measured(
    problem: &Problem,
    plan: &Plan,
    sent: &[f64],
    received: Option<&[f64]>,
) -> RoundedPlan {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let mut row_scale: Vec<f64> = a.iter().zip(sent).map(|(&a, &r)| shrink(a, r)).collect();
    let forbidden = may_forbid(problem.cost()) && problem.cost().range().forbidden > 0;
    // Where no row is scaled down by more than rounding, the columns sum to what is received.
    let on_grid = plan.on_grid().zip(grid_of(problem.cost()));
    let on_grid = on_grid.filter(|(plan, grid)| plan.fits(grid));
    let known = received
        .filter(|_| on_grid.is_none() && !forbidden && row_scale.iter().all(|x| *x > 1.0 - 1e-14));
    let mut cols = match known {
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
    if forbidden {
        return round_on_allowed(problem, plan, row_scale, col_scale, rest_b);
    }
    if let Some((plan, grid)) = on_grid {
        return round_on_grid(problem, plan, grid, row_scale, col_scale, rest_b);
    }
    let (rounded, summed) = round_by_product(problem, plan, row_scale, col_scale, rest_b);
    if known.is_some() {
        let off = |(x, y): (&f64, &f64)| (x - y).abs();
        let off: f64 = summed.iter().zip(&cols).map(off).sum();
        let right = off <= 1e-12 * problem.mass();
        if !right {
            return round_measured(problem, plan, sent, None);
        }
    }
    rounded
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

/// What one chunk of rows of [`round_by_product`] comes to.
struct ProductParts {
    /// Each row: what it misses, ⟨P, C⟩ of what it sends, the cost of spreading one unit like the remainder, and
    /// what it sends.
    rows: Vec<[f64; 4]>,
    columns: Vec<f64>,
    scratch: Vec<f64>,
    costs: Vec<f64>,
}

/// The product of the two remainders, priced in the same pass that finds the rows' remainder. Returns the column
/// sums of diag(x) P too.
fn round_by_product(
    problem: &Problem,
    plan: &Plan,
    row_scale: Vec<f64>,
    col_scale: Vec<f64>,
    rest_b: Vec<f64>,
) -> (RoundedPlan, Vec<f64>) {
    let (a, cost) = (problem.a().weights(), problem.cost());
    let (n, m) = plan.shape();
    let total_b = measure::sum(&rest_b);
    // A sparse plan on a grid or a tree needs no row of the cost.
    let spreads = match plan {
        Plan::Sparse(_) => grid_of(cost).map(|grid| prices_of(grid, &rest_b)),
        _ => None,
    };
    let on_tree = tree_of(cost).filter(|_| matches!(plan, Plan::Sparse(_)));
    let spreads = spreads.or_else(|| Some(on_tree?.prices(&rest_b)));
    let parts = fold_rows(
        n,
        plan.entries_per_row(),
        || ProductParts {
            rows: Vec::new(),
            columns: vec![0.0; m],
            scratch: plan.scratch(),
            costs: vec![0.0; m],
        },
        |part, i| {
            let (x, row) = (row_scale[i], plan.row(i, &mut part.scratch));
            if row.is_empty() && a[i] == 0.0 {
                part.rows.push([0.0; 4]);
                return;
            }
            let row = match row {
                row @ PlanRow::Sparse(cols, values) if spreads.is_some() => {
                    row.add_to(x, &mut part.columns);
                    let entries = cols.iter().map(|&j| j as usize).zip(values);
                    let price = |(j, p): (usize, &f64)| paid(p * col_scale[j], cost.entry(i, j));
                    RoundedRow {
                        sent: row.dot(&col_scale),
                        paid: entries.map(price).sum(),
                        spread: spreads.as_ref().map_or(0.0, |s| s[i]),
                        sound: row.is_sound(),
                    }
                }
                PlanRow::Dense(p) => {
                    let row_cost = row_of(cost, i, &mut part.costs);
                    rounded_row(p, &col_scale, row_cost, &rest_b, x, &mut part.columns)
                }
                row @ PlanRow::Sparse(..) => {
                    let row_cost = row_of(cost, i, &mut part.costs);
                    row.add_to(x, &mut part.columns);
                    let sent = row.dot(&col_scale);
                    let short = total_b > 0.0 && x * sent < a[i];
                    RoundedRow {
                        sent,
                        paid: row.weighted_price(&col_scale, row_cost),
                        // A whole row of the cost, which most rows of a sparse plan don't ask for.
                        spread: if short { dot(row_cost, &rest_b) } else { 0.0 },
                        sound: row.is_sound(),
                    }
                }
            };
            let (mut sent, mut paid) = (x * row.sent, x * row.paid);
            // NaN or negative mass is no plan, and proves no upper bound.
            if !row.sound || exceeds(sent, a[i]) {
                (sent, paid) = (0.0, f64::INFINITY);
            }
            let spread = if total_b > 0.0 {
                row.spread / total_b
            } else {
                0.0
            };
            part.rows.push([(a[i] - sent).max(0.0), paid, spread, sent]);
        },
    );
    let summed = add_up(m, parts.iter().map(|part| &part.columns));
    let by_row: Vec<[f64; 4]> = parts.into_iter().flat_map(|part| part.rows).collect();
    let rest_a: Vec<f64> = by_row.iter().map(|r| r[0]).collect();
    let total_a = measure::sum(&rest_a);
    let missing = match problem.marginals() {
        Marginals::Partial { mass } => missed(mass, by_row.iter().map(|r| r[3])).min(total_a),
        _ => total_a,
    };
    let share = if total_a > 0.0 {
        missing / total_a
    } else {
        0.0
    };
    let priced: Vec<f64> = by_row.iter().map(|r| r[1] + share * r[0] * r[2]).collect();
    let remainder = if missing > 0.0 && total_b > 0.0 {
        let u = rest_a.iter().map(|r| r * share).collect();
        let v = rest_b.iter().map(|r| r / total_b).collect();
        Remainder::RankOne { u, v }
    } else {
        Remainder::None
    };
    let rounded = RoundedPlan {
        row_scale,
        col_scale,
        remainder,
        transport_cost: measure::sum(&priced),
    };
    (rounded, summed)
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
            assert_eq!(
                round_measured(&problem, &plan, &[0.5, 0.5], None).transport_cost,
                inf
            );
            let right = round_measured(&problem, &plan, &[1.0, 0.5], None).transport_cost;
            assert_eq!(right, round(&problem, &plan).transport_cost);
        }
    }

    #[test]
    fn a_wrong_word_on_what_is_received_changes_nothing() {
        let problem =
            Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &[0.0, 1.0, 1.0, 0.0]).unwrap();
        let plan = Plan::from(DensePlan::new(2, 2, vec![0.5, 0.0, 0.25, 0.25]).unwrap());
        let alone = round(&problem, &plan).transport_cost;
        for received in [[0.5, 0.5], [0.75, 0.25]] {
            let rounded = round_measured(&problem, &plan, &[0.5, 0.5], Some(&received));
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
