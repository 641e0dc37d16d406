//! The spanning tree of a small problem: the nodes below each are a set of bits.
//!
//! A pivot on a tree of a hundred nodes takes a fifth of a microsecond with preorder, sizes and last nodes, nearly all
//! of it for branches that nobody foresees. With sets the way up from an end of the entering arc ends where the other
//! end lies below, moving a subtree is a few bit operations a node, and nothing is threaded.

/// Nodes that fit.
pub(super) const MOST: usize = 256;

/// A set of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Set([u64; MOST / 64]);

impl Set {
    fn of(node: u8) -> Self {
        // Word by word: a set that was written in parts can't be read at once for a while.
        let word = |k: usize| u64::from(usize::from(node >> 6) == k) << (node & 63);
        Self(std::array::from_fn(word))
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
    /// Nodes and no arcs: each is the top of a tree of its own.
    pub(super) fn reset(&mut self, sources: usize, sinks: usize) {
        let root = sources + sinks;
        (self.sources, self.root) = (sources as u8, root as u8);
        // The root is its own parent; nobody climbs beyond it.
        self.parent[..=root].fill(self.root);
        self.flow[..=root].fill(0);
        self.cost[..=root].fill(0.0);
    }

    /// Hangs `child`, the top of a tree, from a node of another.
    pub(super) fn hang(&mut self, child: u32, parent: u32, flow: i64, cost: f64) {
        let at = child as usize;
        self.parent[at] = parent as u8;
        self.flow[at] = flow;
        self.cost[at] = self.signed(child as u8, cost);
    }

    /// Joins two trees by an arc.
    pub(super) fn join(&mut self, source: u32, sink: u32, flow: i64, cost: f64) {
        self.turn_up(sink as u8, source as u8, flow, cost);
    }

    /// Ends what [`Compact::reset`] began; `takes_part` tells which sinks do.
    pub(super) fn close(&mut self, takes_part: impl Fn(usize) -> bool) {
        let n = self.sources;
        let mut all = Set::of(self.root);
        for x in 0..self.root {
            if x >= n && !takes_part(usize::from(x - n)) {
                continue;
            }
            all = all.with(&Set::of(x));
            if x >= n && self.parent[usize::from(x)] == self.root {
                // Tops are sources. This sink receives something, and that from below.
                let from = |at: &u8| self.parent[usize::from(*at)] == x;
                if let Some(child) = (0..n).find(from) {
                    self.turn_up(child, self.root, 0, 0.0);
                }
            }
        }
        for (below, at) in self.below.iter_mut().zip(0..=self.root) {
            *below = Set::of(at);
        }
        self.below[usize::from(self.root)] = all;
        self.sort();
        for &x in self.order.iter().rev() {
            let parent = self.parent[usize::from(x)];
            if parent != self.root {
                let below = self.below[usize::from(x)];
                let above = &mut self.below[usize::from(parent)];
                *above = above.with(&below);
            }
        }
    }

    /// Turns a whole tree to have `x` on top, hung from `parent`.
    fn turn_up(&mut self, x: u8, parent: u8, flow: i64, cost: f64) {
        let (mut x, mut above, mut carries) = (x, parent, flow);
        let mut costs = self.signed(x, cost);
        while x != self.root {
            let at = usize::from(x);
            let up = std::mem::replace(&mut self.parent[at], above);
            carries = std::mem::replace(&mut self.flow[at], carries);
            costs = -std::mem::replace(&mut self.cost[at], costs);
            (x, above) = (up, x);
        }
    }

    fn signed(&self, child: u8, cost: f64) -> f64 {
        if child < self.sources { cost } else { -cost }
    }

    pub(super) fn parent(&self, node: u32) -> u32 {
        u32::from(self.parent[node as usize])
    }

    pub(super) fn flow(&self, node: u32) -> i64 {
        self.flow[node as usize]
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

    /// As [`super::tree::Tree::recompute_potentials`].
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

    /// As [`super::tree::Tree::pivot`], by the same rule.
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
        let (mut carries, mut costs) = (units, self.signed(inside, cost));
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
