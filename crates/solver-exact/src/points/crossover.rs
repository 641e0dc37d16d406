//! From a forest that carries nearly all mass to a basis: what is not served yet goes to the root at a price, and the
//! price rises until nobody pays it.
//!
//! Far arcs for the last mass would be a basis too, but their costs are a thousand times those of their neighbours, and
//! each pulls the potentials of its whole component to where no pair of the lists belongs. (Measured, 100 000 points in the
//! plane: 180 000 pivots to mend what 2000 such arcs spoil.) A price a little above the potentials spoils little.

use crate::network_simplex::start::Placement;
use crate::network_simplex::tree::{NONE, Tree};

/// Scratch of [`hang`](Self::hang).
#[derive(Debug, Default)]
pub(super) struct Crossover {
    /// The arcs at each node, and where they begin.
    start: Vec<u32>,
    arcs: Vec<u32>,
    stack: Vec<(u32, u32, u32)>,
}

impl Crossover {
    /// Hangs every tree of the forest from the root: by its node that has mass or room left, if one has, else by a source.
    pub(super) fn hang(&mut self, placed: &Placement, tree: &mut Tree) {
        let (n, m) = (placed.left.len(), placed.room.len());
        self.start.clear();
        self.start.resize(n + m + 1, 0);
        for &(i, j, _) in &placed.arcs {
            self.start[i as usize + 1] += 1;
            self.start[n + j as usize + 1] += 1;
        }
        for k in 0..n + m {
            self.start[k + 1] += self.start[k];
        }
        let mut next = self.start.clone();
        self.arcs.clear();
        self.arcs.resize(2 * placed.arcs.len(), 0);
        for (k, &(i, j, _)) in placed.arcs.iter().enumerate() {
            for node in [i as usize, n + j as usize] {
                self.arcs[next[node] as usize] = k as u32;
                next[node] += 1;
            }
        }
        tree.detach_all();
        let unserved = (0..n).filter(|&i| placed.left[i] > 0);
        let open = (0..m).filter(|&j| placed.room[j] > 0).map(|j| n + j);
        for top in unserved.chain(open).chain(0..n) {
            if tree.parent(top as u32) == NONE {
                let left = if top < n {
                    placed.left[top]
                } else {
                    placed.room[top - n]
                };
                self.hang_tree(top as u32, left, placed, tree);
            }
        }
        tree.close();
    }

    fn hang_tree(&mut self, top: u32, left: i64, placed: &Placement, tree: &mut Tree) {
        let n = placed.left.len() as u32;
        let root = tree.root();
        self.stack.clear();
        self.stack.push((top, root, NONE));
        while let Some((node, parent, by)) = self.stack.pop() {
            let flow = if by == NONE {
                left
            } else {
                placed.arcs[by as usize].2
            };
            tree.append(node, parent, flow);
            for &arc in &self.arcs
                [self.start[node as usize] as usize..self.start[node as usize + 1] as usize]
            {
                if arc != by {
                    let (i, j, _) = placed.arcs[arc as usize];
                    let far = if node < n { n + j } else { i };
                    self.stack.push((far, node, arc));
                }
            }
        }
    }
}

/// Raises the price of all mass that goes to the root; how many nodes pay it.
///
/// Those that pay already `reach` more than one on the other side, beyond the largest cost, pay no more: the pair of the two is
/// violated, and where many plans are as good as another potentials would rise without end, and lose their digits.
pub(super) fn raise(tree: &mut Tree, by: f64, reach: f64, tops: &mut Vec<u32>) -> usize {
    let root = tree.root();
    tops.clear();
    tree.find_child(root, |top| {
        if tree.flow(top) > 0 {
            tops.push(top);
        }
        false
    });
    let is_source = |tree: &Tree, top: u32| (top as usize) < tree.sources();
    let (mut highest, mut lowest) = (f64::NEG_INFINITY, f64::INFINITY);
    for &top in tops.iter() {
        let p = tree.potential[top as usize];
        if is_source(tree, top) {
            highest = highest.max(p);
        } else {
            lowest = lowest.min(p);
        }
    }
    for &top in tops.iter() {
        let p = tree.potential[top as usize];
        if is_source(tree, top) && p < lowest + reach {
            tree.shift(top, by);
        } else if !is_source(tree, top) && p > highest - reach {
            tree.shift(top, -by);
        }
    }
    tops.len()
}
