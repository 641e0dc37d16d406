//! The path metric between sources and targets on a tree.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::Tree;
use crate::Error;
use crate::cost::{Cost, CostKind, CostRange};

/// C_ij = length of the path between source node x_i and target node y_j of a [`Tree`].
///
/// An entry takes O(log N), a row O(N + m) or O(m log N), whichever is less. Memory O(n + m) beside the tree, which
/// costs on it share. Nodes may be named many times.
#[derive(Debug, Clone)]
pub struct TreeCost {
    pub(super) tree: Arc<Tree>,
    /// The places of sources and targets.
    pub(super) sources: Arc<[u32]>,
    pub(super) targets: Arc<[u32]>,
    range: OnceLock<CostRange>,
}

impl TreeCost {
    /// The cost between n nodes `x` and m nodes `y` of `tree`.
    ///
    /// # Errors
    /// One of the two is empty, or names what is no node.
    pub fn new(tree: impl Into<Arc<Tree>>, x: &[usize], y: &[usize]) -> Result<Self, Error> {
        let tree = tree.into();
        Ok(Self {
            sources: places(&tree, "x", x)?,
            targets: places(&tree, "y", y)?,
            tree,
            range: OnceLock::new(),
        })
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// The place of each source on the tree (see [`Tree::places`]).
    #[must_use]
    pub fn source_places(&self) -> &[u32] {
        &self.sources
    }

    /// The place of each target.
    #[must_use]
    pub fn target_places(&self) -> &[u32] {
        &self.targets
    }

    /// The same cost with sources and targets exchanged. O(1).
    #[must_use]
    pub fn transposed(&self) -> Self {
        Self {
            tree: Arc::clone(&self.tree),
            sources: Arc::clone(&self.targets),
            targets: Arc::clone(&self.sources),
            range: self.range.clone(),
        }
    }

    /// Row `i` by a sweep over the tree: where many targets ask, each would walk up on its own.
    fn sweep_row(&self, source: u32, cols: Range<usize>, out: &mut [f64]) {
        let up = self.tree.parent_places();
        // Where the path from the source to each place turns: marked on the way up, handed down to all others.
        let mut turn = vec![u32::MAX; up.len()];
        let mut at = source;
        loop {
            turn[at as usize] = at;
            if at == 0 {
                break;
            }
            at = up[at as usize];
        }
        for k in 1..turn.len() {
            if turn[k] == u32::MAX {
                turn[k] = turn[up[k] as usize];
            }
        }
        for (out, &t) in out.iter_mut().zip(&self.targets[cols]) {
            *out = self.tree.through(source, t, turn[t as usize]);
        }
    }
}

fn places(tree: &Tree, argument: &'static str, nodes: &[usize]) -> Result<Arc<[u32]>, Error> {
    if nodes.is_empty() {
        let expected = "at least one node is needed".to_owned();
        return Err(Error::shape(argument, &[0], expected));
    }
    let place = |(k, &node): (usize, &usize)| {
        tree.places().get(node).copied().ok_or_else(|| {
            let rule = format!("must be a node of the tree, below {}", tree.len());
            Error::setting(format!("{argument}[{k}]"), node, rule)
        })
    };
    nodes.iter().enumerate().map(place).collect()
}

impl Cost for TreeCost {
    fn shape(&self) -> (usize, usize) {
        (self.sources.len(), self.targets.len())
    }

    fn row(&self, i: usize, out: &mut [f64]) {
        self.block(i..i + 1, 0..self.targets.len(), out);
    }

    fn range(&self) -> CostRange {
        *self.range.get_or_init(|| super::range::of(self))
    }

    fn block(&self, rows: Range<usize>, cols: Range<usize>, out: &mut [f64]) {
        let width = cols.len();
        if width == 0 {
            return;
        }
        // A walk to the turn takes a few steps, a sweep one for each node.
        let sweep = width.saturating_mul(4) > self.tree.len();
        for (out, i) in out.chunks_exact_mut(width).zip(rows) {
            let source = self.sources[i];
            if sweep {
                self.sweep_row(source, cols.clone(), out);
                continue;
            }
            for (out, &t) in out.iter_mut().zip(&self.targets[cols.clone()]) {
                *out = self.tree.path(source, t);
            }
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        self.tree.path(self.sources[i], self.targets[j])
    }

    fn kind(&self) -> CostKind<'_> {
        CostKind::Tree(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::tree::tests::scrambled;

    #[test]
    fn every_accessor_gives_the_same_bits() {
        for shape in 0..3 {
            let tree = Arc::new(scrambled(50, shape, 3));
            let (x, y) = ([4, 9, 9, 0, 31, 17], [2, 9, 48, 48, 30, 1, 5]);
            for y in [&y[..], &y[..2], &[7; 40]] {
                let cost = TreeCost::new(Arc::clone(&tree), &x, y).unwrap();
                let (n, m) = cost.shape();
                let mut row = vec![0.0; m];
                let mut block = vec![0.0; 2 * m];
                let mut range = CostRange::EMPTY;
                for i in 0..n {
                    cost.row(i, &mut row);
                    cost.block(i..(i + 2).min(n), 0..m, &mut block[..m * (n - i).min(2)]);
                    for j in 0..m {
                        assert_eq!(row[j], cost.entry(i, j));
                        assert_eq!(row[j], block[j]);
                        assert_eq!(row[j], cost.transposed().entry(j, i));
                        assert_eq!(Some(row[j]), tree.distance(x[i], y[j]));
                        range.include(row[j]);
                    }
                }
                assert_eq!(cost.range(), range);
            }
        }
    }

    #[test]
    fn what_is_no_node_is_named() {
        let tree = Arc::new(scrambled(5, 2, 1));
        let said = |x: &[usize], y: &[usize]| {
            TreeCost::new(Arc::clone(&tree), x, y)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            said(&[0], &[1, 5]),
            "`y[1]` = 5: must be a node of the tree, below 5"
        );
        assert_eq!(
            said(&[], &[1]),
            "`x` has shape 0, but at least one node is needed"
        );
    }
}
