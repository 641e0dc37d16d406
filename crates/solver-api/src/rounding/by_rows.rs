//! Rounding row by row, where every pair is allowed: the remainder goes by the product of what is missing, or in order.

use ot_kernels::reduce::{RoundedRow, rounded_row};

use super::{Found, Remainder, Rounded, RoundedPlan, exceeds, missed};
use crate::cost::{row_of, tree_of};
use crate::lanes::{dot, paid};
use crate::measure;
use crate::plan::{Plan, PlanRow, SparsePlan, is_sound};
use crate::problem::{Marginals, Problem};
use crate::rows::{add_up, fold_rows};
use crate::separable::{grid_of, prices_of};

/// What one chunk of rows of [`round_by_product`] comes to.
struct ProductParts {
    /// Each row: what it misses, ⟨P, C⟩ of what it sends, the cost of spreading one unit like the remainder, and
    /// what it sends.
    rows: Vec<[f64; 4]>,
    columns: Vec<f64>,
    scratch: Vec<f64>,
    costs: Vec<f64>,
}

/// The product of the two remainders, priced in the same pass that finds the rows' remainder.
pub(super) fn round_by_product(
    problem: &Problem,
    plan: &Plan,
    row_scale: Vec<f64>,
    col_scale: Vec<f64>,
    rest_b: Vec<f64>,
) -> Rounded {
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
            // NaN or negative mass is no plan, and proves no upper bound; nor does what sends more than there is.
            if !row.sound {
                (sent, paid) = (0.0, f64::INFINITY);
            } else if exceeds(sent, a[i]) {
                paid = f64::INFINITY;
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
    let sent: Vec<f64> = by_row.iter().map(|r| r[3]).collect();
    let (missing, share) = missing(problem, &rest_a, &sent);
    let priced: Vec<f64> = by_row.iter().map(|r| r[1] + share * r[0] * r[2]).collect();
    let remainder = if missing > 0.0 && total_b > 0.0 {
        let u = rest_a.iter().map(|r| r * share).collect();
        let v = rest_b.iter().map(|r| r / total_b).collect();
        Remainder::RankOne { u, v }
    } else {
        Remainder::None
    };
    rounded(row_scale, col_scale, remainder, &priced, sent, summed)
}

/// A sparse plan whose costs are computed one by one: what is missing goes from source to target in their order, as it
/// comes. O(n + m + entries).
pub(super) fn round_in_order(
    problem: &Problem,
    plan: &SparsePlan,
    row_scale: Vec<f64>,
    col_scale: Vec<f64>,
    rest_b: &[f64],
) -> Rounded {
    let (a, cost) = (problem.a().weights(), problem.cost());
    let mut summed = vec![0.0; col_scale.len()];
    let (mut rest_a, mut prices) = (Vec::with_capacity(a.len()), Vec::with_capacity(a.len()));
    let mut all_sent = Vec::with_capacity(a.len());
    for (i, (&a, &x)) in a.iter().zip(&row_scale).enumerate() {
        let (cols, values) = plan.row_entries(i);
        let (mut sent, mut price, mut sound) = (0.0, 0.0, true);
        for (&j, &p) in cols.iter().zip(values) {
            let j = j as usize;
            sound &= is_sound(p);
            summed[j] += x * p;
            let moved = x * p * col_scale[j];
            sent += moved;
            price += paid(moved, cost.entry(i, j));
        }
        // As in `round_by_product`.
        if !sound {
            (sent, price) = (0.0, f64::INFINITY);
        } else if exceeds(sent, a) {
            price = f64::INFINITY;
        }
        rest_a.push((a - sent).max(0.0));
        all_sent.push(sent);
        prices.push(price);
    }
    let (_, share) = missing(problem, &rest_a, &all_sent);
    let mut changes = Vec::new();
    let mut targets = rest_b.iter().copied().enumerate().filter(|t| t.1 > 0.0);
    let mut target = targets.next();
    for (i, rest) in rest_a.iter().enumerate() {
        let mut left = rest * share;
        while let Some((j, room)) = target.filter(|_| left > 0.0) {
            let moved = left.min(room);
            changes.push((i as u32, j as u32, moved));
            prices.push(moved * cost.entry(i, j));
            left -= moved;
            target = if room > moved {
                Some((j, room - moved))
            } else {
                targets.next()
            };
        }
    }
    let remainder = if changes.is_empty() {
        Remainder::None
    } else {
        Remainder::Changes(changes)
    };
    rounded(row_scale, col_scale, remainder, &prices, all_sent, summed)
}

/// What the sources miss of what they are to send, and as a part of what they have left.
fn missing(problem: &Problem, rest_a: &[f64], sent: &[f64]) -> (f64, f64) {
    let total = measure::sum(rest_a);
    let missing = match problem.marginals() {
        Marginals::Partial { mass } => missed(mass, sent.iter().copied()).min(total),
        _ => total,
    };
    (missing, if total > 0.0 { missing / total } else { 0.0 })
}

fn rounded(
    row_scale: Vec<f64>,
    col_scale: Vec<f64>,
    remainder: Remainder,
    prices: &[f64],
    sent: Vec<f64>,
    summed: Vec<f64>,
) -> Rounded {
    let found = Found {
        sent,
        summed,
        col_scale: col_scale.clone(),
    };
    let plan = RoundedPlan {
        row_scale,
        col_scale,
        remainder,
        transport_cost: measure::sum(prices),
    };
    Rounded {
        plan,
        found: Some(found),
    }
}
