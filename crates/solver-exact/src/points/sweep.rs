//! All pairs against the potentials, with the trees: which of them violate dual feasibility, and the bound that follows.

use super::graph::Fields;
use super::kd::{Field, Kd, LEAF, Nearest};
use crate::network_simplex::lists::{Lists, relaxed};
use crate::network_simplex::tree::Tree;

/// Violated pairs of a source that enter its list at most.
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
    let (sources, sinks) = tree.potential.split_at(n);
    g.clear();
    g.extend(sinks[..m].iter().map(|p| -p));
    fields.g.set(y, g);
    let mut nearest = Nearest::new(PER_SOURCE.min(m));
    let mut violated = 0;
    for leaf in 0..x.leaves() {
        let rows = leaf * LEAF..n.min((leaf + 1) * LEAF);
        let mut below = [f64::NEG_INFINITY; LEAF];
        for (below, p) in below.iter_mut().zip(&sources[rows.clone()]) {
            *below = p - 4.0 * tol * p.abs();
        }
        nearest.find(x, leaf, y, &fields.g, &below);
        for (r, i) in rows.enumerate() {
            let mut any = false;
            for (_, j) in nearest.row(r) {
                let c = x.cost(i, y, j as usize);
                if relaxed(c, sinks[j as usize], sources[i], 4.0 * tol) < 0.0 {
                    any = true;
                    lists.insert(i, j, c, sinks);
                }
            }
            violated += usize::from(any);
        }
    }
    violated
}

/// The least cost less u over the points of `x`, for each point of `y`: u's c-transform.
pub(super) fn transform(x: &Kd, u: &[f64], y: &Kd, field: &mut Field, out: &mut Vec<f64>) {
    field.set(x, u);
    let mut nearest = Nearest::new(1);
    out.clear();
    for leaf in 0..y.leaves() {
        nearest.find(y, leaf, x, field, &[f64::INFINITY; LEAF]);
        let rows = y.len().min((leaf + 1) * LEAF) - leaf * LEAF;
        out.extend((0..rows).map(|r| nearest.row(r).next().map_or(0.0, |(key, _)| key)));
    }
}
