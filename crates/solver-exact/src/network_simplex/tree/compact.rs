//! The spanning tree of a small problem: the nodes below each are a set of bits.
//!
//! A pivot on a tree of a hundred nodes takes a fifth of a microsecond with preorder, sizes and last nodes, nearly all
//! of it for branches that nobody foresees. With sets the way up from an end of the entering arc ends where the other
//! end lies below, moving a subtree is a few bit operations a node, and nothing is threaded.

use super::{NONE, Node};

/// Nodes that fit.
pub(super) const MOST: usize = 256;

/// A set of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Set([u64; MOST / 64]);

impl Set {
    fn of(node: u8) -> Self {
        let mut set = Self::default();
        set.0[usize::from(node >> 6)] = 1 << (node & 63);
        set
    }

    fn has(&self, node: u8) -> bool {
        self.0[usize::from(node >> 6)] >> (node & 63) & 1 != 0
    }

    fn with(&self, o: &Self) -> Self {
        Self(std::array::from_fn(|k| self.0[k] | o.0[k]))
    }

    fn without(&self, o: &Self) -> Self {
        Self(std::array::from_fn(|k| self.0[k] & !o.0[k]))
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn each(&self, mut visit: impl FnMut(usize)) {
        for (k, &word) in self.0.iter().enumerate() {
            let mut word = word;
            while word != 0 {
                visit(64 * k + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }
}

/// Parents, flows, costs of basic arcs and subtrees, by node.
#[derive(Debug)]
pub(super) struct Compact {
    parent: [u8; MOST],
    flow: [i64; MOST],
    /// Of sinks, the negative: what a node's potential is above its parent's.
    cost: [f64; MOST],
    below: [Set; MOST],
    root: u8,
    sources: u8,
    /// Every node after its parent, unless the tree has changed since.
    order: Vec<u8>,
    is_ordered: bool,
}

impl Default for Compact {
    fn default() -> Self {
        Self {
            parent: [0; MOST],
            flow: [0; MOST],
            cost: [0.0; MOST],
            below: [Set::default(); MOST],
            root: 0,
            sources: 0,
            order: Vec::new(),
            is_ordered: false,
        }
    }
}

impl Compact {
    /// Becomes the tree of these nodes; `order` lists all that hang in it, each after its parent.
    pub(super) fn read(
        &mut self,
        nodes: &[Node],
        sources: u32,
        order: &[u32],
        mut cost: impl FnMut(usize, usize) -> f64,
    ) {
        self.root = (nodes.len() - 1) as u8;
        self.sources = sources as u8;
        for (below, at) in self.below[..nodes.len()].iter_mut().zip(0..) {
            *below = Set::of(at);
        }
        // The root is its own parent; nobody climbs beyond it.
        self.parent[..nodes.len()].fill(self.root);
        self.flow[..nodes.len()].fill(0);
        self.order.clear();
        self.order.extend(order.iter().map(|&x| x as u8));
        self.is_ordered = true;
        for &x in order.iter().rev() {
            let (at, node) = (x as usize, &nodes[x as usize]);
            let parent = node.parent as usize;
            self.parent[at] = parent as u8;
            self.flow[at] = node.flow;
            self.below[parent] = self.below[parent].with(&self.below[at]);
            if parent != usize::from(self.root) {
                let n = sources as usize;
                self.cost[at] = if at < n {
                    cost(at, parent - n)
                } else {
                    -cost(parent, at - n)
                };
            }
        }
    }

    /// Writes parents and flows back.
    pub(super) fn write(&self, nodes: &mut [Node]) {
        for (node, at) in nodes.iter_mut().zip(0..MOST) {
            if node.parent != NONE {
                node.parent = u32::from(self.parent[at]);
                node.flow = self.flow[at];
            }
        }
    }

    /// Σ flow × cost, in units.
    pub(super) fn value(&self) -> f64 {
        let paid = |x: usize| {
            if self.flow[x] > 0 {
                self.flow[x] as f64 * self.cost[x]
            } else {
                0.0
            }
        };
        let (n, root) = (usize::from(self.sources), usize::from(self.root));
        (0..n).map(paid).sum::<f64>() - (n..root).map(paid).sum::<f64>()
    }

    /// As [`super::Tree::recompute_potentials`].
    pub(super) fn recompute_potentials(&mut self, potential: &mut [f64]) {
        if !self.is_ordered {
            self.sort();
        }
        for &x in &self.order {
            let parent = self.parent[usize::from(x)];
            if parent != self.root {
                potential[usize::from(x)] =
                    potential[usize::from(parent)] + self.cost[usize::from(x)];
            }
        }
    }

    /// Puts the order right: from every node up to one that has its place, and back.
    fn sort(&mut self) {
        let all = self.below[usize::from(self.root)];
        let mut placed = [false; MOST];
        placed[usize::from(self.root)] = true;
        let mut path = [0; MOST];
        self.order.clear();
        all.each(|x| {
            let mut x = x as u8;
            let mut count = 0;
            while !std::mem::replace(&mut placed[usize::from(x)], true) {
                path[count] = x;
                count += 1;
                x = self.parent[usize::from(x)];
            }
            self.order.extend(path[..count].iter().rev());
        });
        self.is_ordered = true;
    }

    /// As [`super::Tree::pivot`], by the same rule.
    pub(super) fn pivot(
        &mut self,
        source: u32,
        sink: u32,
        cost: f64,
        reduced_cost: f64,
        potential: &mut [f64],
    ) -> i64 {
        self.is_ordered = false;
        let (source, sink) = (source as u8, sink as u8);
        let (join, leaving, source_side, units) = self.leaving_arc(source, sink);
        let (inside, outside, shift) = if source_side {
            (source, sink, reduced_cost)
        } else {
            (sink, source, -reduced_cost)
        };
        let moved = self.below[usize::from(leaving)];
        let (above, by) = self.turn(inside, outside, leaving, &moved, (units, cost));
        self.climb(above, join, by, |set| set.without(&moved));
        self.climb(outside, join, -units, |set| set.with(&moved));
        let all = self.below[usize::from(self.root)];
        if 2 * moved.len() <= all.len() {
            moved.each(|x| potential[x] += shift);
        } else {
            all.without(&moved).each(|x| potential[x] -= shift);
        }
        units
    }

    /// The join, the leaving node, whether it is on the source's side, and the units to move. Sources and sinks take
    /// turns on the way up; strict comparisons on the source's side, weak ones on the sink's.
    fn leaving_arc(&self, source: u8, sink: u8) -> (u8, u8, bool, i64) {
        let mut s = source;
        let (mut s_least, mut s_node) = (i64::MAX, self.root);
        loop {
            let at = usize::from(s);
            if self.below[at].has(sink) {
                break;
            }
            if self.flow[at] < s_least {
                (s_least, s_node) = (self.flow[at], s);
            }
            s = self.parent[at];
            if self.below[usize::from(s)].has(sink) {
                break;
            }
            s = self.parent[usize::from(s)];
        }
        let mut t = sink;
        let (mut t_least, mut t_node) = (i64::MAX, self.root);
        while t != s {
            let at = usize::from(t);
            if self.flow[at] <= t_least {
                (t_least, t_node) = (self.flow[at], t);
            }
            t = self.parent[at];
            if t == s {
                break;
            }
            t = self.parent[usize::from(t)];
        }
        if t_least <= s_least {
            (s, t_node, false, t_least)
        } else {
            (s, s_node, true, s_least)
        }
    }

    /// Turns the subtree `moved` of `leaving` to have `inside` on top, hung from `outside` by an arc that carries
    /// `units` at this `cost`; they leave the first arc of the stem and enter the second. Returns the node above the cut, and what
    /// its arc gains.
    fn turn(
        &mut self,
        inside: u8,
        outside: u8,
        leaving: u8,
        moved: &Set,
        (units, cost): (i64, f64),
    ) -> (u8, i64) {
        let (mut x, mut above, mut by) = (inside, outside, -units);
        // What the arc to the new parent carries and costs.
        let (mut carries, mut costs) = (units, if inside < self.sources { cost } else { -cost });
        let mut turned = Set::default();
        loop {
            let at = usize::from(x);
            let up = std::mem::replace(&mut self.parent[at], above);
            carries = std::mem::replace(&mut self.flow[at], carries) + by;
            costs = -std::mem::replace(&mut self.cost[at], costs);
            turned = std::mem::replace(&mut self.below[at], moved.without(&turned));
            by = -by;
            if x == leaving {
                return (up, by);
            }
            (x, above) = (up, x);
        }
    }

    /// Changes the sets of `from` and of those above it below `join`, and the flows of their arcs, by `by` and `-by`
    /// in turn.
    fn climb(&mut self, from: u8, join: u8, mut by: i64, change: impl Fn(&Set) -> Set) {
        let mut x = from;
        while x != join {
            let at = usize::from(x);
            self.flow[at] += by;
            self.below[at] = change(&self.below[at]);
            by = -by;
            x = self.parent[at];
        }
    }
}
