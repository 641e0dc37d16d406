//! Trees: paths between nodes, and costs that are their lengths.

mod between;
mod range;
mod sweep;

use ot_kernels::wide::Wide;

pub use between::TreeCost;
pub(crate) use sweep::tree_of;

use super::LARGEST;
use crate::Error;

/// A rooted tree with lengths on its edges; nodes are numbered as the caller numbers them, in any order.
///
/// Inside, nodes have *places*: their positions in an order in which parents come before their children and every
/// subtree is an interval. A sweep over all nodes, upward or downward, is a loop over places, and nothing is recursive.
/// Of the children of a node the one with the most descendants comes first, so that two nodes find their lowest common
/// ancestor in O(log N) steps along heavy paths (Harel and Tarjan, 1984).
///
/// Depths are kept with twice the digits of f64, so that short distances far from the root are as exact as others.
/// 40 bytes a node.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The place of each node, and the node at each place.
    place: Vec<u32>,
    node: Vec<u32>,
    /// By place: the parent's place (the root's own: 0), the edge to it, the top of the heavy path, the depth.
    up: Vec<u32>,
    length: Vec<f64>,
    head: Vec<u32>,
    depth: Vec<Wide>,
}

impl Tree {
    /// A tree of N ≥ 1 nodes from the parent of each and the length of the edge to it. The root is its own parent; its
    /// length is not used. O(N) time and memory.
    ///
    /// # Errors
    /// Lengths of another number than the parents; a length (the root's too) that is negative or not finite; a parent
    /// that is no node; no root, or more than one (there is no way between two trees: join them below a new root with
    /// edges of a length of your choice); nodes on a cycle; a path from the root longer than 5e299; more than 2³² − 2
    /// nodes. Each names the node.
    pub fn new(parent: &[usize], length: &[f64]) -> Result<Self, Error> {
        let n = parent.len();
        check_numbers(parent, length)?;
        let root = only_root(parent)?;
        // The children of each node, one after another.
        let mut first = vec![0_u32; n + 1];
        let edges = || (0..n).filter(|&k| k != root);
        edges().for_each(|k| first[parent[k] + 1] += 1);
        (0..n).for_each(|k| first[k + 1] += first[k]);
        let (mut children, mut next) = (vec![0_u32; n - 1], first.clone());
        for k in edges() {
            let at = &mut next[parent[k]];
            children[*at as usize] = k as u32;
            *at += 1;
        }
        let below = |k: usize| &children[first[k] as usize..first[k + 1] as usize];
        // Parents before children.
        let mut order = Vec::with_capacity(n);
        order.push(root as u32);
        let mut at = 0;
        while at < order.len() {
            order.extend_from_slice(below(order[at] as usize));
            at += 1;
        }
        if order.len() < n {
            return Err(cycle(parent, &order));
        }
        let mut size = next;
        size.truncate(n);
        size.fill(1);
        for &k in order[1..].iter().rev() {
            size[parent[k as usize]] += size[k as usize];
        }
        let mut tree = Self {
            place: vec![0; n],
            node: vec![0; n],
            up: vec![0; n],
            length: vec![0.0; n],
            head: vec![0; n],
            depth: vec![Wide::ZERO; n],
        };
        for &k in &order {
            let k = k as usize;
            let p = tree.place[k];
            tree.node[p as usize] = k as u32;
            let heavy = below(k).iter().copied().max_by_key(|&c| size[c as usize]);
            let mut free = p + 1;
            let others = below(k).iter().copied().filter(|&c| Some(c) != heavy);
            for c in heavy.into_iter().chain(others) {
                let (c, q) = (c as usize, free as usize);
                free += size[c];
                tree.place[c] = q as u32;
                tree.up[q] = p;
                tree.length[q] = length[c];
                let is_heavy = q as u32 == p + 1;
                tree.head[q] = if is_heavy {
                    tree.head[p as usize]
                } else {
                    q as u32
                };
                tree.depth[q] = tree.depth[p as usize] + length[c];
                if tree.depth[q].value() > LARGEST / 2.0 {
                    let rule = format!(
                        "paths from the root must be at most 5e299 long, and that to node {c} is longer"
                    );
                    return Err(Error::setting(format!("length[{c}]"), length[c], rule));
                }
            }
        }
        Ok(tree)
    }

    /// The number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.node.len()
    }

    /// Never true: a tree has a root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.node.is_empty()
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> usize {
        self.node[0] as usize
    }

    /// The parent of a node; `None` for the root, and for what is no node.
    #[must_use]
    pub fn parent(&self, node: usize) -> Option<usize> {
        let place = *self.place.get(node)?;
        (place > 0).then(|| self.node[self.up[place as usize] as usize] as usize)
    }

    /// The length of the edge from a node to its parent; `None` for the root, and for what is no node.
    #[must_use]
    pub fn length(&self, node: usize) -> Option<f64> {
        let place = *self.place.get(node)?;
        (place > 0).then(|| self.length[place as usize])
    }

    /// The length of the path between two nodes, to a few units in its last place; `None` where one is no node.
    /// O(log N).
    #[must_use]
    pub fn distance(&self, u: usize, v: usize) -> Option<f64> {
        let place = |node: usize| self.place.get(node).copied();
        Some(self.path(place(u)?, place(v)?))
    }

    /// The place of each node.
    #[must_use]
    pub fn places(&self) -> &[u32] {
        &self.place
    }

    /// For each place, that of the parent, which is smaller; the root's is its own, 0.
    #[must_use]
    pub fn parent_places(&self) -> &[u32] {
        &self.up
    }

    /// For each place, the length of the edge to the parent; the root's is 0.
    #[must_use]
    pub fn lengths_by_place(&self) -> &[f64] {
        &self.length
    }

    /// The lowest common ancestor of two places.
    fn meeting(&self, mut u: u32, mut v: u32) -> u32 {
        let head = |p: u32| self.head[p as usize];
        while head(u) != head(v) {
            // The path that begins at the later place does not hold the ancestor.
            if head(u) > head(v) {
                u = self.up[head(u) as usize];
            } else {
                v = self.up[head(v) as usize];
            }
        }
        u.min(v)
    }

    /// The length of the path between two places that meet at a third.
    fn through(&self, u: u32, v: u32, at: u32) -> f64 {
        let depth = |p: u32| self.depth[p as usize];
        let above = depth(at);
        (depth(u) - above).value() + (depth(v) - above).value()
    }

    fn path(&self, u: u32, v: u32) -> f64 {
        self.through(u, v, self.meeting(u, v))
    }
}

/// What can be said of each node alone.
fn check_numbers(parent: &[usize], length: &[f64]) -> Result<(), Error> {
    let n = parent.len();
    if n == 0 || n >= u32::MAX as usize {
        let expected = "a tree has 1 to 2^32 - 2 nodes".to_owned();
        return Err(Error::shape("parent", &[n], expected));
    }
    if length.len() != n {
        let expected = format!("there are {n} parents, one for each node");
        return Err(Error::shape("length", &[length.len()], expected));
    }
    for (k, (&p, &l)) in parent.iter().zip(length).enumerate() {
        if p >= n {
            let rule = format!("a parent must be a node, below {n}; the root is its own parent");
            return Err(Error::setting(format!("parent[{k}]"), p, rule));
        }
        if !(l >= 0.0 && l.is_finite()) {
            let rule = "lengths must be finite and not negative";
            return Err(Error::setting(format!("length[{k}]"), l, rule));
        }
    }
    Ok(())
}

fn only_root(parent: &[usize]) -> Result<usize, Error> {
    let mut roots = (0..parent.len()).filter(|&k| parent[k] == k);
    let Some(root) = roots.next() else {
        return Err(cycle(parent, &[]));
    };
    if let Some(second) = roots.next() {
        let rule = format!(
            "a second root beside {root}: there is no way between two trees; join them below one root"
        );
        return Err(Error::setting(format!("parent[{second}]"), second, rule));
    }
    Ok(root)
}

/// The error for nodes that the root does not reach: going up from one of them ends in a cycle.
fn cycle(parent: &[usize], reached: &[u32]) -> Error {
    let mut lost = vec![true; parent.len()];
    reached.iter().for_each(|&k| lost[k as usize] = false);
    let mut k = lost.iter().position(|&lost| lost).unwrap_or(0);
    (0..parent.len()).for_each(|_| k = parent[k]);
    let rule = "going up from this node leads back to it: a tree has no cycle, and a root that is its own parent";
    Error::setting(format!("parent[{k}]"), parent[k], rule)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tree of `n` nodes numbered at random, from a few words of entropy: chains, stars and what lies between.
    pub(crate) fn scrambled(n: usize, shape: u64, mut seed: u64) -> Tree {
        let mut word = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        let mut names: Vec<usize> = (0..n).collect();
        for k in (1..n).rev() {
            names.swap(k, word() % (k + 1));
        }
        let (mut parent, mut length) = (vec![0; n], vec![0.0; n]);
        for k in 0..n {
            let above = match shape % 3 {
                _ if k == 0 => 0,
                0 => k - 1,
                1 => word() % k.min(2),
                _ => word() % k,
            };
            parent[names[k]] = names[above];
            length[names[k]] = [0.0, 1.0, 0.25, 1e-9, 3.7][word() % 5];
        }
        Tree::new(&parent, &length).unwrap()
    }

    #[test]
    fn paths_are_those_that_a_walk_finds() {
        for shape in 0..3 {
            let tree = scrambled(60, shape, 7 + shape);
            let up = |mut k: usize| {
                let mut path = vec![(k, Wide::ZERO)];
                let mut far = Wide::ZERO;
                while let Some(p) = tree.parent(k) {
                    far = far + tree.length(k).unwrap();
                    k = p;
                    path.push((k, far));
                }
                path
            };
            for u in 0..60 {
                for v in 0..60 {
                    let (a, b) = (up(u), up(v));
                    let walked = a.iter().find_map(|(k, far)| {
                        let back = b.iter().find(|(j, _)| j == k)?;
                        Some((*far + back.1).value())
                    });
                    let (found, walked) = (tree.distance(u, v).unwrap(), walked.unwrap());
                    assert!((found - walked).abs() <= 4e-16 * walked, "{found} {walked}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_tree_is_named() {
        let said =
            |parent: &[usize], length: &[f64]| Tree::new(parent, length).unwrap_err().to_string();
        let one = [1.0; 4];
        assert_eq!(
            said(&[], &[]),
            "`parent` has shape 0, but a tree has 1 to 2^32 - 2 nodes"
        );
        assert_eq!(
            said(&[0, 0], &one),
            "`length` has shape 4, but there are 2 parents, one for each node"
        );
        assert_eq!(
            said(&[0, 0, 9, 0], &one),
            "`parent[2]` = 9: a parent must be a node, below 4; the root is its own parent"
        );
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            let text = said(&[0, 0], &[0.0, bad]);
            assert_eq!(
                text,
                format!("`length[1]` = {bad}: lengths must be finite and not negative")
            );
        }
        assert!(said(&[0, 1, 0, 0], &one).starts_with("`parent[1]` = 1: a second root beside 0"));
        // No root at all, and a cycle beside the root.
        assert!(said(&[1, 2, 0], &[1.0; 3]).contains("leads back to it"));
        let text = said(&[0, 2, 3, 2], &one);
        assert!(
            text.starts_with("`parent[2]` = 3: ") || text.starts_with("`parent[3]` = 2: "),
            "{text}"
        );
        assert!(said(&[0, 0, 1], &[0.0, 4e299, 4e299]).contains("5e299"));
    }

    #[test]
    fn a_chain_of_a_million_nodes_has_exact_short_paths() {
        let n = 1_000_000;
        let parent: Vec<usize> = (0..n).map(|k: usize| k.saturating_sub(1)).collect();
        let tree = Tree::new(&parent, &vec![0.1; n]).unwrap();
        assert_eq!(tree.distance(n - 1, n - 2), Some(0.1));
        assert_eq!(tree.distance(0, n - 1), Some(0.1 * (n - 1) as f64));
        assert_eq!(tree.distance(0, n), None);
    }
}
