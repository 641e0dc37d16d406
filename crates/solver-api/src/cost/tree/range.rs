//! The least and the largest distance between two sets of nodes, without all pairs.

use super::TreeCost;
use crate::cost::{Cost, CostRange};

/// Up to so many pairs all of them are looked at.
const PAIRS_IN_LINE: usize = 1 << 14;

const NONE: u32 = u32::MAX;

/// The places of a subtree that matter: the shallowest and the deepest source, and target.
#[derive(Clone, Copy)]
struct Extremes {
    near: [u32; 2],
    far: [u32; 2],
}

/// The range over all pairs: O(N + n + m) from some size on, and then to a unit in the last place.
pub(super) fn of(cost: &TreeCost) -> CostRange {
    let (n, m) = cost.shape();
    let mut range = CostRange::EMPTY;
    if n.saturating_mul(m) <= PAIRS_IN_LINE {
        let mut row = vec![0.0; m];
        for i in 0..n {
            cost.row(i, &mut row);
            row.iter().for_each(|&c| range.include(c));
        }
        return range;
    }
    let tree = &cost.tree;
    let none = Extremes {
        near: [NONE; 2],
        far: [NONE; 2],
    };
    let mut found = vec![none; tree.len()];
    for (side, places) in [&cost.sources, &cost.targets].into_iter().enumerate() {
        for &p in places.iter() {
            found[p as usize].near[side] = p;
            found[p as usize].far[side] = p;
        }
    }
    // A node that is source and target.
    if found.iter().any(|e| e.near[0] != NONE && e.near[1] != NONE) {
        range.include(0.0);
    }
    let deeper = |u: u32, v: u32| tree.depth[u as usize] > tree.depth[v as usize];
    let better = |old: u32, new: u32, far: bool| {
        let takes = old == NONE
            || (new != NONE && deeper(if far { new } else { old }, if far { old } else { new }));
        if takes { new } else { old }
    };
    for k in (1..tree.len()).rev() {
        let at = tree.up[k];
        let (here, above) = (found[k], found[at as usize]);
        // Of pairs that turn at the parent: one from this branch, the other from the branches so far.
        for (own, others) in [(here.near, above.near), (here.far, above.far)] {
            for (u, v) in [(own[0], others[1]), (own[1], others[0])] {
                if u != NONE && v != NONE {
                    range.include(tree.through(u, v, at));
                }
            }
        }
        let above = &mut found[at as usize];
        for side in 0..2 {
            above.near[side] = better(above.near[side], here.near[side], false);
            above.far[side] = better(above.far[side], here.far[side], true);
        }
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::tree::tests::scrambled;
    use std::sync::Arc;

    #[test]
    fn the_range_of_many_pairs_is_that_of_all() {
        for (shape, step) in [(0, 1), (1, 1), (2, 1), (0, 3), (2, 2)] {
            let n = 400;
            let tree = Arc::new(scrambled(n, shape, 11));
            // Sets that overlap, and disjoint ones.
            for offset in [0, n / 2] {
                let x: Vec<usize> = (0..n / 2).step_by(step).collect();
                let y: Vec<usize> = (offset..offset + n / 2).collect();
                let cost = TreeCost::new(Arc::clone(&tree), &x, &y).unwrap();
                assert!(x.len() * y.len() > PAIRS_IN_LINE || step > 1);
                let (mut row, mut range) = (vec![0.0; y.len()], CostRange::EMPTY);
                for i in 0..x.len() {
                    cost.row(i, &mut row);
                    row.iter().for_each(|&c| range.include(c));
                }
                let found = of(&cost);
                assert!(
                    (found.max - range.max).abs() <= 4e-16 * range.max,
                    "{found:?} {range:?}"
                );
                assert!(
                    (found.min - range.min).abs() <= 4e-16 * range.max,
                    "{found:?} {range:?}"
                );
                assert_eq!(found.forbidden, 0);
            }
        }
    }
}
