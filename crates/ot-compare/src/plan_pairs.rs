//! The plan of a small case by an exact and an entropic solver, in an order in which its shape shows.

use ot_data::fixtures::{Fixture, FixtureCost};
use solver_api::Solution;

use crate::picture::{DrawnPlan, PlanPair, shares, triples};

/// Drawings of more cells than this would be heavy, and too fine to see.
const MOST_CELLS: usize = 60_000;
/// Cells below this share of the largest are not drawn.
const FAINTEST: f64 = 1e-3;

/// Whether the plans of `fixture` are drawn: it is small, and its points have an order.
pub(crate) fn is_drawn(fixture: &Fixture) -> bool {
    let (n, m) = fixture.cost.dim();
    n * m <= MOST_CELLS
        && matches!(&fixture.cost, FixtureCost::Points { x, .. } if x.ncols() == 1 || is_colours(fixture))
}

fn is_colours(fixture: &Fixture) -> bool {
    fixture.entry.kind == "colours"
}

/// The first exact and the first two entropic of `solved`, if there is an exact one.
pub(crate) fn pair(fixture: &Fixture, solved: &[(String, Solution)]) -> Option<PlanPair> {
    let FixtureCost::Points { x, y, .. } = &fixture.cost else {
        return None;
    };
    let (x, y) = (triples(x), triples(y));
    // Positions on the line, or how light a colour is.
    let key = |p: &[f64; 3]| {
        if is_colours(fixture) {
            0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]
        } else {
            p[0]
        }
    };
    let order = |points: &[[f64; 3]]| {
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|&i, &j| key(&points[i]).total_cmp(&key(&points[j])));
        order
    };
    let (rows, cols) = (order(&x), order(&y));
    let exact = solved.iter().find(|(_, s)| s.reg == 0.0)?;
    let entropic = solved.iter().filter(|(_, s)| s.reg > 0.0).take(2);
    let plans = std::iter::once(exact)
        .chain(entropic)
        .map(|(label, solution)| drawn(label, solution, &rows, &cols))
        .collect();
    let sorted = |w: Vec<f64>, order: &[usize]| {
        let w = shares(&w);
        order.iter().map(|&i| w[i]).collect::<Vec<_>>()
    };
    let colours = is_colours(fixture).then(|| {
        let of = |p: &[[f64; 3]], order: &[usize]| order.iter().map(|&i| p[i]).collect();
        [of(&x, &rows), of(&y, &cols)]
    });
    Some(PlanPair {
        title: fixture.entry.title.clone(),
        plans,
        colours,
        marginals: [
            sorted(fixture.a.to_vec(), &rows),
            sorted(fixture.b.to_vec(), &cols),
        ],
    })
}

fn drawn(label: &str, solution: &Solution, rows: &[usize], cols: &[usize]) -> DrawnPlan {
    let rank = |order: &[usize]| {
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(k, &i)| rank[i] = k);
        rank
    };
    let (row_of, col_of) = (rank(rows), rank(cols));
    let mut entries = Vec::new();
    let mut largest = 0.0_f64;
    solution.plan.for_each_above(0.0, |i, j, p| {
        largest = largest.max(p);
        entries.push((row_of[i], col_of[j], p / solution.mass));
    });
    entries.retain(|e| e.2 * solution.mass > FAINTEST * largest);
    DrawnPlan {
        label: label.to_owned(),
        entries,
    }
}
