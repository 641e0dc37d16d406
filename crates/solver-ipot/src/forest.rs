//! From a plan to an almost-vertex: cycles of its support are cancelled, each in the direction that does not raise the
//! cost, until a forest is left. At most n + m − 1 entries, the same marginals, no larger a cost.
//!
//! Entries are inserted one by one, the largest first. One that joins two trees becomes an edge; one that closes a
//! cycle sends mass around it until an edge is empty, which leaves. O(path) an entry; paths are as long as the trees
//! are deep, some tens of edges. This is the push phase of a crossover, one sweep of it: no search for entering edges
//! outside of the plan, and no claim that the vertex is the best one. That is for the bracket to say.

const NONE: u32 = u32::MAX;
/// Rounding of a sum of weights, relative to it.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// Trees over the n sources and, behind them, the m targets.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    sources: usize,
    parent: Vec<u32>,
    /// Mass and cost of the edge to the parent.
    flow: Vec<f64>,
    cost: Vec<f64>,
    /// Union-find over trees, with sizes at its roots: trees only ever join.
    tree: Vec<u32>,
    size: Vec<u32>,
    /// Which climb a node was last seen by.
    seen: Vec<u32>,
    climb: u32,
    /// Nodes, every parent before its children.
    order: Vec<u32>,
    /// The sum of all weights from a node down.
    below: Vec<f64>,
    stack: Vec<u32>,
}

impl Forest {
    /// No edges.
    pub(crate) fn clear(&mut self, n: usize, m: usize) {
        self.sources = n;
        let nodes = n + m;
        let reset = |v: &mut Vec<u32>, x: u32| {
            v.clear();
            v.resize(nodes, x);
        };
        reset(&mut self.parent, NONE);
        reset(&mut self.size, 1);
        reset(&mut self.seen, 0);
        self.tree.clear();
        self.tree.extend(0..nodes as u32);
        for v in [&mut self.flow, &mut self.cost] {
            v.clear();
            v.resize(nodes, 0.0);
        }
        self.climb = 0;
    }

    fn is_source(&self, node: u32) -> bool {
        (node as usize) < self.sources
    }

    fn root(&mut self, mut node: u32) -> u32 {
        while self.tree[node as usize] != node {
            let up = self.tree[self.tree[node as usize] as usize];
            self.tree[node as usize] = up;
            node = up;
        }
        node
    }

    /// Takes `mass` from source i to target j at `cost` into the plan that the forest holds.
    pub(crate) fn insert(&mut self, i: usize, j: usize, mass: f64, cost: f64) {
        if !self.join(i, j, mass, cost) {
            self.cancel(i as u32, (self.sources + j) as u32, mass, cost);
        }
    }

    /// The same if that joins two trees; whether it did. Of edges that come the largest first, those that do are the
    /// maximum spanning forest.
    pub(crate) fn join(&mut self, i: usize, j: usize, mass: f64, cost: f64) -> bool {
        let (u, v) = (i as u32, (self.sources + j) as u32);
        let (tree_u, tree_v) = (self.root(u), self.root(v));
        if tree_u != tree_v {
            let (child, parent) = if self.size[tree_u as usize] <= self.size[tree_v as usize] {
                self.tree[tree_u as usize] = tree_v;
                self.size[tree_v as usize] += self.size[tree_u as usize];
                (u, v)
            } else {
                self.tree[tree_v as usize] = tree_u;
                self.size[tree_u as usize] += self.size[tree_v as usize];
                (v, u)
            };
            self.hang(child, NONE, parent, mass, cost);
        }
        tree_u != tree_v
    }

    /// The edge (u, v) closes a cycle with the tree.
    fn cancel(&mut self, u: u32, v: u32, mass: f64, cost: f64) {
        let top = self.meet(u, v);
        // One unit more on the new edge is one less on those next to its ends, one more on the next, and so on.
        let falls = |forest: &Self, node: u32, from_u: bool| forest.is_source(node) == from_u;
        let mut change = cost;
        // The edges with the least mass among those that fall, and those that rise, with the side they are on.
        let (mut falling, mut rising) = ((f64::INFINITY, NONE, u), (f64::INFINITY, NONE, u));
        for (start, from_u) in [(u, true), (v, false)] {
            let mut node = start;
            while node != top {
                let k = node as usize;
                let least = if falls(self, node, from_u) {
                    change -= self.cost[k];
                    &mut falling
                } else {
                    change += self.cost[k];
                    &mut rising
                };
                if self.flow[k] < least.0 {
                    *least = (self.flow[k], node, start);
                }
                node = self.parent[k];
            }
        }
        let more = change < 0.0;
        let limit = if more { falling } else { rising };
        // All of the new edge's mass can go: the tree stays as it is.
        let emptied = !more && mass <= limit.0;
        let theta = if emptied { mass } else { limit.0 };
        for (start, from_u) in [(u, true), (v, false)] {
            let mut node = start;
            while node != top {
                let k = node as usize;
                let gains = falls(self, node, from_u) != more;
                self.flow[k] = if gains {
                    self.flow[k] + theta
                } else {
                    (self.flow[k] - theta).max(0.0)
                };
                node = self.parent[k];
            }
        }
        if emptied {
            return;
        }
        let (_, leaving, side) = limit;
        let other = if side == u { v } else { u };
        let left = if more { mass + theta } else { mass - theta };
        self.hang(side, leaving, other, left, cost);
    }

    /// Makes `node` a child of `parent`: what was above it up to `last` turns around, and the edge above `last` goes.
    fn hang(&mut self, node: u32, last: u32, parent: u32, mass: f64, cost: f64) {
        let (mut node, mut above, mut mass, mut cost) = (node, parent, mass, cost);
        loop {
            let k = node as usize;
            let next = std::mem::replace(&mut self.parent[k], above);
            mass = std::mem::replace(&mut self.flow[k], mass);
            cost = std::mem::replace(&mut self.cost[k], cost);
            if next == NONE || node == last {
                return;
            }
            (above, node) = (node, next);
        }
    }

    /// The lowest node above both.
    fn meet(&mut self, u: u32, v: u32) -> u32 {
        self.climb += 1;
        let (mut x, mut y) = (u, v);
        loop {
            for node in [&mut x, &mut y] {
                if *node == NONE {
                    continue;
                }
                if self.seen[*node as usize] == self.climb {
                    return *node;
                }
                self.seen[*node as usize] = self.climb;
                *node = self.parent[*node as usize];
            }
        }
    }

    /// Every edge once: (source, target, mass).
    pub(crate) fn edges(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        (0..self.parent.len())
            .filter(|&k| self.parent[k] != NONE)
            .map(|k| {
                let (low, high) = (
                    k.min(self.parent[k] as usize),
                    k.max(self.parent[k] as usize),
                );
                (low, high - self.sources, self.flow[k])
            })
    }

    /// ⟨P, C⟩ of the edges.
    pub(crate) fn price(&self) -> f64 {
        self.flow.iter().zip(&self.cost).map(|(p, c)| p * c).sum()
    }

    /// Puts every parent before its children.
    pub(crate) fn sort(&mut self) {
        self.order.clear();
        self.climb += 1;
        for node in 0..self.parent.len() as u32 {
            let mut at = node;
            while at != NONE && self.seen[at as usize] != self.climb {
                self.seen[at as usize] = self.climb;
                self.stack.push(at);
                at = self.parent[at as usize];
            }
            while let Some(at) = self.stack.pop() {
                self.order.push(at);
            }
        }
    }

    /// The masses of the edges anew from the marginals: no rounding of many cycles is left. An edge whose mass is no more
    /// than the rounding of the weights below it, whose difference it is, carries nothing. `rest` is scratch.
    pub(crate) fn settle(&mut self, a: &[f64], b: &[f64], rest: &mut Vec<f64>) {
        self.sort();
        rest.clear();
        rest.extend(a.iter().chain(b));
        self.below.clone_from(rest);
        for &node in self.order.iter().rev() {
            let (k, parent) = (node as usize, self.parent[node as usize]);
            if parent != NONE {
                let certain = rest[k] > ROUNDING * self.below[k];
                let mass = if certain { rest[k] } else { 0.0 };
                self.flow[k] = mass;
                rest[parent as usize] -= mass;
                self.below[parent as usize] += self.below[k];
            }
        }
    }

    /// Potentials that are tight on the edges, as near to the given ones as that allows: each tree is shifted to the
    /// same mean difference on both sides. Edges that carry less than `cut` of the smaller of their weights, or than
    /// `least`, tie nothing: what they may be off by costs less than a wrong tie. Call after [`Forest::settle`] or [`Forest::sort`].
    pub(crate) fn tighten(
        &self,
        (a, b): (&[f64], &[f64]),
        (cut, least): (f64, f64),
        f: &mut [f64],
        g: &mut [f64],
        work: &mut Tight,
    ) {
        let nodes = self.parent.len();
        let weight = |k: usize| if k < a.len() { a[k] } else { b[k - a.len()] };
        work.potential.clear();
        work.potential.resize(nodes, 0.0);
        work.root.clear();
        work.root.extend(0..nodes as u32);
        work.shift.clear();
        work.shift.resize(nodes, [0.0; 2]);
        for &node in &self.order {
            let (k, parent) = (node as usize, self.parent[node as usize]);
            let old = |k: usize| if k < f.len() { f[k] } else { g[k - f.len()] };
            let tied = parent != NONE && {
                let p = parent as usize;
                self.flow[k] >= least.max(cut * weight(k).min(weight(p)))
            };
            if tied {
                work.root[k] = work.root[parent as usize];
                work.potential[k] = self.cost[k] - work.potential[parent as usize];
            } else {
                work.potential[k] = old(k);
            }
            // What the shift of the tree's sources has to be for this node.
            let off = old(k) - work.potential[k];
            let (w, sign) = (weight(k), if k < a.len() { 1.0 } else { -1.0 });
            let sums = &mut work.shift[work.root[k] as usize];
            sums[0] += w * sign * off;
            sums[1] += w;
        }
        for k in 0..nodes {
            let [off, w] = work.shift[work.root[k] as usize];
            let shift = off / w;
            if k < f.len() {
                f[k] = work.potential[k] + shift;
            } else {
                g[k - f.len()] = work.potential[k] - shift;
            }
        }
    }
}

/// Memory of [`Forest::tighten`].
#[derive(Debug, Default)]
pub(crate) struct Tight {
    potential: Vec<f64>,
    root: Vec<u32>,
    shift: Vec<[f64; 2]>,
}
