//! What takes n·m pairs with any other cost, in one sweep up the tree and one down: O(N + n + m).

use ot_kernels::wide::Wide;

use super::{Tree, TreeCost};
use crate::cost::{Cost, CostKind};

/// The cost on a tree, if it is one.
pub(crate) fn tree_of(cost: &dyn Cost) -> Option<&TreeCost> {
    match cost.kind() {
        CostKind::Tree(tree) => Some(tree),
        _ => None,
    }
}

impl TreeCost {
    /// min_i (C_ij − f_i) for each target, over the sources that `uses` accepts and whose f is finite.
    pub(crate) fn least_to_targets(&self, f: &[f64], uses: impl Fn(usize) -> bool) -> Vec<f64> {
        least(&self.tree, &self.sources, f, uses, &self.targets)
    }

    /// min_j (C_ij − g_j) for each source, over the targets that `uses` accepts and whose g is finite.
    pub(crate) fn least_to_sources(&self, g: &[f64], uses: impl Fn(usize) -> bool) -> Vec<f64> {
        least(&self.tree, &self.targets, g, uses, &self.sources)
    }

    /// Σ_j C_ij v_j for each source, v ≥ 0: going down an edge, what lies below comes nearer and the rest goes away.
    pub(crate) fn prices(&self, v: &[f64]) -> Vec<f64> {
        let tree = &self.tree;
        let mut below = vec![0.0; tree.len()];
        for (&p, v) in self.targets.iter().zip(v) {
            below[p as usize] += v;
        }
        for k in (1..below.len()).rev() {
            below[tree.up[k] as usize] += below[k];
        }
        let total = below[0];
        let mut prices = vec![Wide::ZERO; below.len()];
        let at_root = (1..below.len()).map(|k| tree.length[k] * below[k]);
        prices[0] = at_root.fold(Wide::ZERO, |sum, paid| sum + paid);
        for k in 1..prices.len() {
            let change = tree.length[k] * (total - 2.0 * below[k]);
            prices[k] = prices[tree.up[k] as usize] + change;
        }
        let price = |&p: &u32| prices[p as usize].value().max(0.0);
        self.sources.iter().map(price).collect()
    }
}

/// min over `from` of the path to each of `to` less the potential. Sums along the way keep twice the digits: a chain
/// of a million edges loses none.
fn least(
    tree: &Tree,
    from: &[u32],
    potential: &[f64],
    uses: impl Fn(usize) -> bool,
    to: &[u32],
) -> Vec<f64> {
    let mut best = vec![Wide::INFINITY; tree.len()];
    for (k, (&p, &v)) in from.iter().zip(potential).enumerate() {
        if v.is_finite() && uses(k) && Wide::from(-v) < best[p as usize] {
            best[p as usize] = Wide::from(-v);
        }
    }
    for k in (1..best.len()).rev() {
        let (at, way) = (tree.up[k] as usize, best[k] + tree.length[k]);
        if way < best[at] {
            best[at] = way;
        }
    }
    for k in 1..best.len() {
        let way = best[tree.up[k] as usize] + tree.length[k];
        if way < best[k] {
            best[k] = way;
        }
    }
    to.iter().map(|&p| best[p as usize].value()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cost::DenseCost;
    use crate::cost::tree::tests::scrambled;
    use crate::transform::{c_transform_to_source, c_transform_to_target};

    #[test]
    fn transforms_and_prices_are_those_of_the_matrix() {
        for shape in 0..3 {
            let tree = Arc::new(scrambled(40, shape, 5));
            let (x, y) = ([3, 3, 8, 21, 0, 39], [5, 8, 8, 30, 11]);
            let cost = TreeCost::new(tree, &x, &y).unwrap();
            let dense = DenseCost::materialize(&cost).unwrap();
            let f = [0.3, -1.0, 2.0, f64::INFINITY, 0.0, -7.0];
            let g = [1.5, 0.25, -3.0, 0.0, 4.0];
            let close = |a: &[f64], b: &[f64]| {
                let off = a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
                assert!(off.fold(0.0, f64::max) < 1e-14, "{a:?} {b:?}");
            };
            let uses = |k: usize| k != 1;
            close(
                &c_transform_to_target(&cost, &f, uses),
                &c_transform_to_target(&dense, &f, uses),
            );
            close(
                &c_transform_to_source(&cost, &g, uses),
                &c_transform_to_source(&dense, &g, uses),
            );
            let none = c_transform_to_target(&cost, &f, |_| false);
            assert_eq!(none, [f64::INFINITY; 5]);
            let v = [0.5, 0.0, 2.0, 1.0, 0.125];
            let mut row = [0.0; 5];
            let by_row: Vec<f64> = (0..6)
                .map(|i| {
                    dense.row(i, &mut row);
                    row.iter().zip(v).map(|(c, v)| c * v).sum()
                })
                .collect();
            close(&cost.prices(&v), &by_row);
        }
    }
}
