//! The first basis: a greedy flow by rows, hung up as a strongly feasible tree.
//!
//! Each source sends to its cheapest columns (by reduced cost) that still have room. Every arc carries
//! flow and the arcs form a forest, so each of its trees, hung from the root by any of its sources, is
//! strongly feasible: no big-M is needed, and the potential of each top is free to take the value that
//! a warm start suggests.

use super::cost::CostView;
use super::lists::Lists;
use super::tree::{NONE, Tree};

/// Mass that is placed before the greedy start.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    /// (source, column, units).
    pub(crate) arcs: Vec<(u32, u32, i64)>,
    /// Of arcs that were placed from the leaves of a tree on: whether the leaf was the source.
    pub(crate) upwards: Vec<bool>,
    /// Units left at sources, room left in columns.
    pub(crate) left: Vec<i64>,
    pub(crate) room: Vec<i64>,
    /// Whether the arcs may close cycles. They do not where each was sent along as much as one of its ends had left,
    /// and nothing after that from this end: then every tree of the forest has one node at most that is not served,
    /// and an arc between two such nodes joins two trees.
    pub(crate) has_cycles: bool,
}

impl Placement {
    /// Nothing is placed.
    pub(crate) fn begin(&mut self, supply: &[i64], demand: &[i64]) {
        self.has_cycles = false;
        self.arcs.clear();
        self.upwards.clear();
        self.left.clear();
        self.left.extend_from_slice(supply);
        self.room.clear();
        self.room.extend_from_slice(demand);
    }

    /// Sends from source `i` to column `j` what the one has left and the other has room for; says whether that is
    /// anything.
    pub(crate) fn send(&mut self, i: u32, j: u32) -> bool {
        let (left, room) = (&mut self.left[i as usize], &mut self.room[j as usize]);
        let units = (*left).min(*room);
        if units > 0 {
            self.arcs.push((i, j, units));
            *left -= units;
            *room -= units;
        }
        units > 0
    }
}

/// Scratch of the greedy start.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// Arcs of the forest.
    arcs: Vec<(u32, u32, i64)>,
    /// Room left in each column.
    room: Vec<i64>,
    /// Signed potentials of the columns that have room, `+∞` for the others.
    open: Vec<f64>,
    /// Sources left over because all their allowed columns are full.
    stuck: Vec<(u32, i64)>,
    /// Incident arcs of each node, as chained lists.
    head: Vec<u32>,
    chain: Vec<u32>,
    stack: Vec<(u32, u32, u32)>,
    found: Vec<(f64, u32)>,
    /// The walk of [`Start::cancel_cycles`]: its path, each node's place on it, the arc that led
    /// there, the next arc to try, and the arcs of the cycle at hand.
    path: Vec<u32>,
    place: Vec<u32>,
    by: Vec<u32>,
    cursor: Vec<u32>,
    cycle: Vec<u32>,
}

impl Start {
    /// Builds the tree's basis. Sinks' potentials are read from the tree, as is each top's; whether all
    /// of the flow stays on allowed pairs is returned.
    pub(crate) fn greedy(
        &mut self,
        cost: &CostView<'_>,
        lists: &Lists,
        placed: &Placement,
        tree: &mut Tree,
        buffer: &mut [f64],
        compact: bool,
    ) -> bool {
        let (n, m) = (placed.left.len(), placed.room.len());
        self.arcs.clear();
        self.arcs.extend_from_slice(&placed.arcs);
        self.stuck.clear();
        self.room.clear();
        self.room.extend_from_slice(&placed.room);
        self.open.clear();
        self.open.extend_from_slice(&tree.potential[n..n + m]);
        for (open, &room) in self.open.iter_mut().zip(&self.room) {
            if room == 0 {
                *open = f64::INFINITY;
            }
        }
        for i in (0..n).filter(|&i| placed.left[i] > 0) {
            let left = self.send_by_list(i, placed.left[i], lists);
            if left > 0 {
                self.send_by_row(i, left, cost, buffer);
            }
        }
        let feasible = self.stuck.is_empty();
        self.place_stuck();
        if compact && feasible && self.join(placed, tree, cost) {
            return true;
        }
        tree.detach_all();
        self.chain_arcs(n, m);
        if placed.has_cycles {
            self.cancel_cycles(n, m, cost);
        }
        self.hang(n, tree);
        tree.close();
        feasible
    }

    /// Builds the tree arc by arc, where it may be compact: those that were placed hang from one another already, the
    /// others join trees.
    fn join(&self, placed: &Placement, tree: &mut Tree, cost: &CostView<'_>) -> bool {
        let n = placed.left.len();
        if placed.has_cycles {
            return false;
        }
        let Some((nodes, potential)) = tree.compact() else {
            return false;
        };
        for (k, &(i, j, units)) in self.arcs.iter().enumerate() {
            let (sink, cost) = (n as u32 + j, cost.entry(i as usize, j as usize));
            match placed.upwards.get(k) {
                Some(true) => nodes.hang(i, sink, units, cost),
                Some(false) => nodes.hang(sink, i, units, cost),
                None => nodes.join(i, sink, units, cost),
            }
        }
        nodes.close(|j| potential[n + j] < f64::INFINITY);
        true
    }

    fn send(&mut self, i: usize, j: usize, left: i64) -> i64 {
        let units = left.min(self.room[j]);
        self.arcs.push((i as u32, j as u32, units));
        self.room[j] -= units;
        if self.room[j] == 0 {
            self.open[j] = f64::INFINITY;
        }
        left - units
    }

    fn send_by_list(&mut self, i: usize, mut left: i64, lists: &Lists) -> i64 {
        let (columns, costs) = lists.row(i);
        while left > 0 {
            let mut least = f64::INFINITY;
            let mut best = NONE;
            for (&j, &c) in columns.iter().zip(costs) {
                let r = c + self.open[j as usize];
                if r < least {
                    least = r;
                    best = j;
                }
            }
            if best == NONE {
                break;
            }
            left = self.send(i, best as usize, left);
        }
        left
    }

    fn send_by_row(&mut self, i: usize, mut left: i64, cost: &CostView<'_>, buffer: &mut [f64]) {
        let row = cost.row(i, buffer);
        while left > 0 {
            let least = row.min(&self.open);
            if least == f64::INFINITY {
                self.stuck.push((i as u32, left));
                return;
            }
            self.found.clear();
            row.collect(&self.open, 0.0, 0.0, least.next_up(), &mut self.found);
            for k in 0..self.found.len() {
                if left > 0 {
                    left = self.send(i, self.found[k].1 as usize, left);
                }
            }
        }
    }

    fn place_stuck(&mut self) {
        let mut j = 0;
        while let Some((i, mut left)) = self.stuck.pop() {
            while left > 0 {
                while self.room[j] == 0 {
                    j += 1;
                }
                left = self.send(i as usize, j, left);
            }
        }
    }

    /// Chains the arcs at each of their ends.
    fn chain_arcs(&mut self, n: usize, m: usize) {
        self.head.clear();
        self.head.resize(n + m, NONE);
        self.chain.clear();
        for (k, &(i, j, _)) in self.arcs.iter().enumerate() {
            let k = 2 * k as u32;
            for (slot, node) in [(k, i as usize), (k + 1, n + j as usize)] {
                self.chain.push(self.head[node]);
                self.head[node] = slot;
            }
        }
    }

    /// The node at the far end of an arc, seen from the end that `slot` belongs to.
    fn far_end(&self, slot: u32, n: usize) -> u32 {
        let (i, j, _) = self.arcs[slot as usize / 2];
        if slot.is_multiple_of(2) {
            n as u32 + j
        } else {
            i
        }
    }

    /// Makes the flow a forest. A depth-first walk that meets its own path has found a cycle; mass
    /// moves around it in the direction that does not cost more until an arc is empty, and the walk
    /// goes back to before that arc.
    fn cancel_cycles(&mut self, n: usize, m: usize, cost: &CostView<'_>) {
        // Where a node stands on the path (counted from 1), 0 before the walk, DONE after it.
        const DONE: u32 = u32::MAX;
        self.place.clear();
        self.place.resize(n + m, 0);
        self.cursor.clear();
        self.cursor.extend_from_slice(&self.head);
        self.by.clear();
        self.by.resize(n + m, NONE);
        for top in 0..n {
            if self.place[top] != 0 {
                continue;
            }
            self.path.clear();
            self.path.push(top as u32);
            self.place[top] = 1;
            while let Some(&x) = self.path.last() {
                let slot = self.cursor[x as usize];
                if slot == NONE {
                    self.place[x as usize] = DONE;
                    self.path.pop();
                    continue;
                }
                self.cursor[x as usize] = self.chain[slot as usize];
                let arc = slot / 2;
                if self.arcs[arc as usize].2 == 0 || self.by[x as usize] == arc {
                    continue;
                }
                let y = self.far_end(slot, n);
                match self.place[y as usize] {
                    0 => {
                        self.by[y as usize] = arc;
                        self.path.push(y);
                        self.place[y as usize] = self.path.len() as u32;
                    }
                    DONE => {}
                    place => self.cancel(arc, place as usize, cost),
                }
            }
        }
    }

    /// Cancels the cycle that `closing` makes with the path from its `place`-th node on.
    fn cancel(&mut self, closing: u32, place: usize, cost: &CostView<'_>) {
        self.cycle.clear();
        self.cycle.push(closing);
        for &x in self.path[place..].iter().rev() {
            self.cycle.push(self.by[x as usize]);
        }
        // Arcs gain and lose in turn; the closing arc stands at an even place.
        let mut price = 0.0;
        let mut room = [i64::MAX; 2];
        for (k, &arc) in self.cycle.iter().enumerate() {
            let (i, j, units) = self.arcs[arc as usize];
            let c = cost.entry(i as usize, j as usize);
            if c.is_finite() {
                price += if k % 2 == 0 { c } else { -c };
            }
            room[k % 2] = room[k % 2].min(units);
        }
        let loser = usize::from(price <= 0.0);
        let units = room[loser];
        let mut first = self.path.len();
        for (k, &arc) in self.cycle.iter().enumerate() {
            let flow = &mut self.arcs[arc as usize].2;
            *flow += if k % 2 == loser { -units } else { units };
            if *flow == 0 && k > 0 {
                // The k-th arc of the cycle leads to the k-th node from the end of the path.
                first = first.min(self.path.len() - k);
            }
        }
        // The closing arc may live on: whoever comes to its ends again must find it.
        for &x in &self.path[first..] {
            self.place[x as usize] = 0;
            self.cursor[x as usize] = self.head[x as usize];
            self.by[x as usize] = NONE;
        }
        self.path.truncate(first);
        if let Some(&x) = self.path.last() {
            self.cursor[x as usize] = self.head[x as usize];
        }
    }

    /// Hangs every tree of the forest from the root by its first source.
    fn hang(&mut self, n: usize, tree: &mut Tree) {
        let root = tree.root();
        for top in 0..n as u32 {
            if tree.parent(top) != NONE {
                continue;
            }
            self.stack.clear();
            self.stack.push((top, root, NONE));
            while let Some((node, parent, arc)) = self.stack.pop() {
                let flow = if arc == NONE {
                    0
                } else {
                    self.arcs[arc as usize].2
                };
                tree.append(node, parent, flow);
                let mut slot = self.head[node as usize];
                while slot != NONE {
                    if slot / 2 != arc && self.arcs[slot as usize / 2].2 > 0 {
                        self.stack.push((self.far_end(slot, n), node, slot / 2));
                    }
                    slot = self.chain[slot as usize];
                }
            }
        }
    }
}
