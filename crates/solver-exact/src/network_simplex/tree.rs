//! The spanning tree: the basis of the transport problem, stored without arcs.
//!
//! Nodes are sources `0..n`, sinks `n..n+m` and the root `n+m`. A node's basic arc joins it to its
//! parent, and the bipartition gives its direction: always from source to sink. Children of the root
//! are tops of components; their arcs are artificial, point to the root and carry no flow in any
//! feasible solution (nothing leaves the root), so they need no cost, however large.
//!
//! The nodes are threaded in preorder; with the size and the last node of each subtree, moving a
//! subtree costs the length of its stem and of the cycle, and shifting potentials costs the smaller of
//! the two sides.
//!
//! The tree stays *strongly feasible* (Cunningham 1976): every arc without flow points to the root, that
//! is, a sink's arc always carries flow. The leaving arc is the last blocking one of the cycle, and the
//! method terminates however degenerate the problem is.

use super::compact::{self, Compact};

/// "No node": beyond every index.
pub(crate) const NONE: u32 = u32::MAX;

/// One node, in half a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
struct Node {
    /// Units on the basic arc between this node and its parent.
    flow: i64,
    parent: u32,
    /// Nodes in the subtree, this one included.
    size: u32,
    /// The last node of the subtree in preorder.
    last: u32,
}

/// A strongly feasible spanning tree with its flows and signed potentials.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// The next node of each in preorder (cyclic through the root), and the one before: apart from the records,
    /// because potential updates run along them and nothing else.
    thread: Vec<u32>,
    back: Vec<u32>,
    /// Signed potentials: `p_i = f_i` on sources, `p_j = −g_j` on sinks; `c_ij + p_j − p_i = 0` on
    /// basic arcs.
    pub(crate) potential: Vec<f64>,
    sources: u32,
    sinks: u32,
    /// Where `is_compact`, all but the potentials is in there.
    compact: Box<Compact>,
    is_compact: bool,
    /// The preorder of a tree that is being built.
    order: Vec<u32>,
}

impl Tree {
    /// For `n` sources and `m` sinks; potentials are 0. The tree itself is built next: [`Tree::detach_all`] or
    /// [`Tree::compact`].
    pub(crate) fn reset(&mut self, n: usize, m: usize) {
        (self.sources, self.sinks) = (n as u32, m as u32);
        self.potential.clear();
        self.potential.resize(n + m + 1, 0.0);
    }

    /// Empties the tree, to be built by [`Tree::append`].
    pub(crate) fn detach_all(&mut self) {
        let root = self.root();
        let detached = Node {
            flow: 0,
            parent: NONE,
            size: 1,
            last: root,
        };
        self.nodes.clear();
        self.nodes.resize(root as usize + 1, detached);
        self.thread.clear();
        self.thread.resize(root as usize + 1, root);
        self.back.clear();
        self.back.resize(root as usize + 1, root);
        self.is_compact = false;
        self.order.clear();
    }

    /// A tree of sets of bits, emptied to be built arc by arc, where the nodes are few enough. Then only pivots,
    /// potentials, the value, parents and flows are to be asked for. The potentials come along.
    pub(super) fn compact(&mut self) -> Option<(&mut Compact, &[f64])> {
        let (n, m) = (self.sources as usize, self.sinks as usize);
        self.is_compact = n + m < compact::MOST;
        if !self.is_compact {
            return None;
        }
        self.compact.reset(n, m);
        Some((&mut self.compact, &self.potential))
    }

    /// Σ flow × cost, in units, where the tree knows its costs.
    pub(crate) fn value(&self) -> Option<f64> {
        self.is_compact.then(|| self.compact.value())
    }

    pub(crate) fn root(&self) -> u32 {
        self.sources + self.sinks
    }

    pub(crate) fn sources(&self) -> usize {
        self.sources as usize
    }

    fn is_source(&self, node: u32) -> bool {
        node < self.sources
    }

    /// [`NONE`], or the root where the tree is compact, of nodes that take no part.
    pub(crate) fn parent(&self, node: u32) -> u32 {
        if self.is_compact {
            return self.compact.parent(node);
        }
        self.nodes[node as usize].parent
    }

    pub(crate) fn flow(&self, node: u32) -> i64 {
        if self.is_compact {
            return self.compact.flow(node);
        }
        self.nodes[node as usize].flow
    }

    pub(crate) fn next(&self, node: u32) -> u32 {
        self.thread[node as usize]
    }

    #[cfg(test)]
    fn previous(&self, node: u32) -> u32 {
        self.back[node as usize]
    }

    /// Makes `node` the last child of `parent`, which must be on the path to the newest node: building a tree in
    /// preorder, node by node, until [`Tree::close`].
    pub(crate) fn append(&mut self, node: u32, parent: u32, flow: i64) {
        let x = &mut self.nodes[node as usize];
        x.parent = parent;
        x.flow = flow;
        self.order.push(node);
    }

    /// Threads the nodes after the last [`Tree::append`].
    pub(crate) fn close(&mut self) {
        let root = self.root();
        let mut tail = root;
        for &node in &self.order {
            let x = &mut self.nodes[node as usize];
            (x.size, x.last) = (1, node);
            self.back[node as usize] = tail;
            self.thread[tail as usize] = node;
            tail = node;
        }
        self.thread[tail as usize] = root;
        self.back[root as usize] = tail;
        for &node in self.order.iter().rev() {
            let x = self.nodes[node as usize];
            let parent = &mut self.nodes[x.parent as usize];
            if parent.size == 1 {
                parent.last = x.last;
            }
            parent.size += x.size;
        }
    }

    /// Brings the arc `source → sink` with the given cost and reduced cost into the basis; returns the units moved
    /// around its cycle, 0 for a degenerate pivot.
    pub(crate) fn pivot(&mut self, source: u32, sink: u32, cost: f64, reduced_cost: f64) -> i64 {
        if self.is_compact {
            return self
                .compact
                .pivot(source, sink, cost, reduced_cost, &mut self.potential);
        }
        let (join, leaving, source_side, units) = self.leaving_arc(source, sink);
        if units > 0 {
            self.push(source, sink, join, units);
        }
        // The leaving node's subtree is the side without the root; it is hung up again at the end of
        // the entering arc that lies inside it.
        let (inside, outside, shift) = if source_side {
            (source, sink, reduced_cost)
        } else {
            (sink, source, -reduced_cost)
        };
        self.hang(inside, outside, leaving, join, units);
        self.shift(inside, shift);
        units
    }

    /// Climbs from both ends of the entering arc to their join. Along the cycle, oriented from the join
    /// through `source → sink` back to the join, the arcs that lose flow belong to the sources on the
    /// source's side and to the sinks on the sink's side. The last one with the least flow leaves:
    /// a strict comparison climbing from the source, a weak one climbing from the sink.
    fn leaving_arc(&self, source: u32, sink: u32) -> (u32, u32, bool, i64) {
        let n = self.sources;
        let (mut s, mut t) = (source, sink);
        let (mut s_least, mut s_node) = (i64::MAX, NONE);
        let (mut t_least, mut t_node) = (i64::MAX, NONE);
        let mut x = &self.nodes[s as usize];
        let mut y = &self.nodes[t as usize];
        while s != t {
            if x.size <= y.size {
                if s < n && x.flow < s_least {
                    s_least = x.flow;
                    s_node = s;
                }
                s = x.parent;
                x = &self.nodes[s as usize];
            } else {
                if t >= n && y.flow <= t_least {
                    t_least = y.flow;
                    t_node = t;
                }
                t = y.parent;
                y = &self.nodes[t as usize];
            }
        }
        if t_least <= s_least {
            (s, t_node, false, t_least)
        } else {
            (s, s_node, true, s_least)
        }
    }

    /// Moves `units` around the cycle.
    fn push(&mut self, source: u32, sink: u32, join: u32, units: i64) {
        let n = self.sources;
        let mut s = source;
        while s != join {
            let x = &mut self.nodes[s as usize];
            x.flow += if s < n { -units } else { units };
            s = x.parent;
        }
        let mut t = sink;
        while t != join {
            let x = &mut self.nodes[t as usize];
            x.flow += if t < n { units } else { -units };
            t = x.parent;
        }
    }

    /// Cuts the arc above `leaving`, turns its subtree to have `inside` on top, and makes that the
    /// first child of `outside`; `units` is the flow of the entering arc.
    fn hang(&mut self, inside: u32, outside: u32, leaving: u32, join: u32, units: i64) {
        let nodes = &mut self.nodes[..];
        let thread = &mut self.thread[..];
        let back = &mut self.back[..];
        let cut = nodes[leaving as usize];
        let total = cut.size;

        // Cut the subtree out of the preorder and out of its ancestors.
        let before = back[leaving as usize];
        let after = thread[cut.last as usize];
        thread[before as usize] = after;
        back[after as usize] = before;
        let mut x = cut.parent;
        while x != join {
            let node = &mut nodes[x as usize];
            node.size -= total;
            if node.last == cut.last {
                node.last = before;
            }
            x = node.parent;
        }
        while x != NONE {
            let node = &mut nodes[x as usize];
            if node.last != cut.last {
                break;
            }
            node.last = before;
            x = node.parent;
        }

        // Turn the stem: each node's block follows the block of its former child.
        let first = nodes[inside as usize];
        let mut tail = first.last;
        let mut child = inside;
        // The former child's old preorder neighbours, subtree size and last node.
        let (mut child_last, mut child_size) = (first.last, first.size);
        let mut child_back = back[inside as usize];
        let mut child_next = thread[first.last as usize];
        let mut flow = first.flow;
        let mut x = first.parent;
        while child != leaving {
            let old = nodes[x as usize];
            let old_next = if old.last == child_last {
                child_next
            } else {
                thread[old.last as usize]
            };
            thread[tail as usize] = x;
            let old_back = std::mem::replace(&mut back[x as usize], tail);
            let node = &mut nodes[x as usize];
            node.parent = child;
            node.flow = flow;
            node.size = total - child_size;
            tail = child_back;
            if old.last != child_last {
                thread[child_back as usize] = child_next;
                back[child_next as usize] = child_back;
                tail = old.last;
            }
            (child_back, child_last, child_size) = (old_back, old.last, old.size);
            child_next = old_next;
            flow = old.flow;
            child = x;
            x = old.parent;
        }
        let mut y = leaving;
        while y != inside {
            let node = &mut nodes[y as usize];
            node.last = tail;
            y = node.parent;
        }

        // Hang it up as the first child of `outside`.
        let follower = thread[outside as usize];
        thread[outside as usize] = inside;
        thread[tail as usize] = follower;
        back[follower as usize] = tail;
        let top = &mut nodes[inside as usize];
        back[inside as usize] = outside;
        top.parent = outside;
        top.flow = units;
        top.size = total;
        top.last = tail;
        let mut x = outside;
        while x != join {
            let node = &mut nodes[x as usize];
            node.size += total;
            if node.last == outside {
                node.last = tail;
            }
            x = node.parent;
        }
        while x != NONE {
            let node = &mut nodes[x as usize];
            if node.last != outside {
                break;
            }
            node.last = tail;
            x = node.parent;
        }
    }

    /// The first child of a node of which `holds` is true.
    pub(crate) fn find_child(&self, node: u32, mut holds: impl FnMut(u32) -> bool) -> Option<u32> {
        let last = self.nodes[node as usize].last;
        let mut child = node;
        while child != last {
            child = if child == node {
                self.next(node)
            } else {
                self.next(self.nodes[child as usize].last)
            };
            if self.parent(child) != node {
                break;
            }
            if holds(child) {
                return Some(child);
            }
        }
        None
    }

    /// Adds `shift` to the subtree at `top`, or takes it off everywhere else: only differences count.
    pub(crate) fn shift(&mut self, top: u32, shift: f64) {
        let (size, last) = {
            let x = &self.nodes[top as usize];
            (x.size as usize, x.last)
        };
        let all = self.nodes[self.root() as usize].size as usize;
        let (mut x, mut y, count, by) = if 2 * size <= all {
            (top, last, size, shift)
        } else {
            let (after, before) = (self.thread[last as usize], self.back[top as usize]);
            (after, before, all - size, -shift)
        };
        // From both ends: each step waits for the one before it on its side.
        for _ in 0..count / 2 {
            self.potential[x as usize] += by;
            self.potential[y as usize] += by;
            x = self.thread[x as usize];
            y = self.back[y as usize];
        }
        if count % 2 == 1 {
            self.potential[x as usize] += by;
        }
    }

    /// Recomputes all potentials below the tops of the components, which keep theirs: rounding errors
    /// of the pivots vanish. `cost(i, j)` is the cost of a pair.
    pub(crate) fn recompute_potentials(&mut self, mut cost: impl FnMut(usize, usize) -> f64) {
        if self.is_compact {
            return self.compact.recompute_potentials(&mut self.potential);
        }
        let root = self.root();
        let n = self.sources;
        let mut x = self.next(root);
        while x != root {
            let parent = self.parent(x);
            if parent != root {
                let above = self.potential[parent as usize];
                self.potential[x as usize] = if x < n {
                    cost(x as usize, (parent - n) as usize) + above
                } else {
                    above - cost(parent as usize, (x - n) as usize)
                };
            }
            x = self.next(x);
        }
    }

    /// Cuts the arc above `node` with whatever flow it carries, and hangs its subtree from the root by
    /// a source: by the node itself, or by a child that supplies it. `false` where there is none.
    pub(crate) fn detach(&mut self, node: u32) -> bool {
        let root = self.root();
        let mut top = node;
        if !self.is_source(node) {
            match self.find_child(node, |child| self.flow(child) > 0) {
                Some(child) => top = child,
                None => return false,
            }
        }
        self.hang(top, root, node, root, 0);
        true
    }

    /// Hangs the children of a sink, which all have arcs without flow and so are sources, from the root.
    pub(crate) fn detach_children(&mut self, sink: u32) {
        let root = self.root();
        loop {
            let child = self.next(sink);
            if child == root || self.parent(child) != sink {
                return;
            }
            self.hang(child, root, child, root, 0);
        }
    }

    /// Moves a leaf below `parent`, by an arc that carries `units`.
    pub(crate) fn rehang(&mut self, leaf: u32, parent: u32, units: i64) {
        self.hang(leaf, parent, leaf, self.root(), units);
    }

    /// Takes a leaf out of the tree.
    pub(crate) fn remove(&mut self, leaf: u32) {
        let cut = self.nodes[leaf as usize];
        let after = self.thread[leaf as usize];
        let before = self.back[leaf as usize];
        self.thread[before as usize] = after;
        self.back[after as usize] = before;
        let mut x = cut.parent;
        while x != NONE {
            let node = &mut self.nodes[x as usize];
            node.size -= 1;
            if node.last == leaf {
                node.last = before;
            }
            x = node.parent;
        }
        let node = &mut self.nodes[leaf as usize];
        (node.parent, node.flow) = (NONE, 0);
    }

    /// Threads a compact tree.
    #[cfg(test)]
    pub(crate) fn rethread(&mut self, demand: &[i64]) {
        if !self.is_compact {
            return;
        }
        let root = self.root();
        let n = self.sources as usize;
        let takes_part = |x: u32| (x as usize) < n || demand[x as usize - n] > 0;
        let arcs: Vec<(u32, i64)> = (0..root)
            .map(|x| {
                if takes_part(x) {
                    (self.parent(x), self.flow(x))
                } else {
                    (NONE, 0)
                }
            })
            .collect();
        self.detach_all();
        let mut stack = vec![root];
        while let Some(x) = stack.pop() {
            if x != root {
                let (parent, flow) = arcs[x as usize];
                self.append(x, parent, flow);
            }
            stack.extend((0..root).filter(|&y| arcs[y as usize].0 == x));
        }
        self.close();
    }

    /// Verifies every invariant: preorder, sizes, last nodes, strong feasibility and conservation.
    #[cfg(test)]
    pub(crate) fn check(&self, supply: &[i64], demand: &[i64]) {
        let n = self.sources();
        let root = self.root();
        let mut seen = vec![false; self.nodes.len()];
        let mut net: Vec<i64> = supply
            .iter()
            .copied()
            .chain(demand.iter().map(|d| -d))
            .chain([0])
            .collect();
        let mut order = vec![root];
        let mut x = self.next(root);
        while x != root {
            assert!(
                !std::mem::replace(&mut seen[x as usize], true),
                "the thread visits {x} twice"
            );
            assert_eq!(self.next(self.previous(x)), x);
            order.push(x);
            x = self.next(x);
        }
        let live = (0..root).filter(|&x| self.parent(x) != NONE).count();
        assert_eq!(order.len(), live + 1, "the thread misses nodes");
        assert!(
            (n..n + demand.len()).all(|x| (self.parent(x as u32) == NONE) == (demand[x - n] == 0))
        );
        let mut size = vec![1u32; self.nodes.len()];
        let mut last: Vec<u32> = (0..=root).collect();
        for &x in order.iter().skip(1).rev() {
            let p = self.parent(x) as usize;
            if size[p] == 1 {
                last[p] = last[x as usize];
            }
            size[p] += size[x as usize];
            let flow = self.flow(x);
            assert!(flow >= 0);
            if p as u32 == root {
                assert_eq!(flow, 0, "an artificial arc carries flow");
            } else {
                assert_ne!(self.is_source(x), self.is_source(p as u32));
                assert!(
                    self.is_source(x) || flow > 0,
                    "not strongly feasible at sink {x}"
                );
                let (s, t) = if (x as usize) < n {
                    (x as usize, p)
                } else {
                    (p, x as usize)
                };
                net[s] -= flow;
                net[t] += flow;
            }
        }
        for &x in &order {
            let node = &self.nodes[x as usize];
            assert_eq!(node.size, size[x as usize], "size of {x}");
            assert_eq!(node.last, last[x as usize], "last of {x}");
        }
        assert!(
            net.iter().all(|&x| x == 0),
            "flow is not conserved: {net:?}"
        );
    }
}
