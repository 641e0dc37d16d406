//! All pairs against the potentials, with the trees: which of them violate dual feasibility, and the bound that follows.

use super::field::Field;
use super::graph::Fields;
use super::kd::Kd;
use super::search::search;
use crate::network_simplex::lists::{Lists, relaxed};
use crate::network_simplex::tree::Tree;

/// Violated pairs of a source that enter its list at most, or half of the list.
const PER_SOURCE: usize = 8;

/// Puts every source's most violated pairs on its list. `tol` is the tolerance relative to the terms of a reduced cost; pairs
/// must violate by four times what pivots ask for, or the two would disagree for ever.
pub(super) fn sweep(
    x: &Kd,
    y: &Kd,
    tree: &Tree,
    lists: &mut Lists,
    tol: f64,
    fields: &mut Fields,
    g: &mut Vec<f64>,
) -> usize {
    let (n, m) = (x.len(), y.len());
    g.clear();
    g.extend(tree.potential[n..n + m].iter().map(|p| -p));
    fields.g.set(y, g);
    let (sources, sinks) = (&tree.potential[..n], &tree.potential[n..n + m]);
    let parts = search(
        x,
        y,
        &fields.g,
        PER_SOURCE.max(lists.room() / 2),
        |i| sources[i] - 4.0 * tol * sources[i].abs(),
        |pairs: &mut Vec<(u32, u32, f64)>, nearest, points| {
            for (r, i) in points.enumerate() {
                for (_, j) in nearest.row(r) {
                    let c = x.cost(i, y, j as usize);
                    if relaxed(c, sinks[j as usize], sources[i], 4.0 * tol) < 0.0 {
                        pairs.push((i as u32, j, c));
                    }
                }
            }
        },
    );
    let (mut violated, mut last) = (0, None);
    for (i, j, c) in parts.into_iter().flatten() {
        lists.insert(i as usize, j, c, sinks);
        violated += usize::from(last != Some(i));
        last = Some(i);
    }
    violated
}

/// The least cost less u over the points of `x`, for each point of `y`: u's c-transform.
pub(super) fn transform(x: &Kd, u: &[f64], y: &Kd, field: &mut Field, out: &mut Vec<f64>) {
    field.set(x, u);
    let parts = search(
        y,
        x,
        field,
        1,
        |_| f64::INFINITY,
        |found: &mut Vec<f64>, nearest, points| {
            let least = |r| nearest.row(r).next().map_or(0.0, |(key, _)| key);
            found.extend((0..points.len()).map(least));
        },
    );
    out.clear();
    out.extend(parts.into_iter().flatten());
}
