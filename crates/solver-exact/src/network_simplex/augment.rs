//! Shortest augmenting paths on the candidate lists.
//!
//! With good duals nearly all mass fits on tight pairs, and what is left over finds its place by short
//! searches. Each search is Dijkstra's from one source with mass left, over reduced costs on the lists
//! and back along pairs that carry flow; it ends at the first column with room, shifts the potentials
//! of what it has seen, and moves mass along its path (Jonker and Volgenant 1987, with capacities).
//! Nothing depends on its success: mass that finds no path, or whose search exceeds the budget, is
//! left to the greedy start, and the simplex makes the result exact.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::engine::Watch;
use super::lists::Lists;
use super::start::Placement;
use super::tree::NONE;

/// Scratch and result of the augmentations.
#[derive(Debug, Default)]
pub(crate) struct Augment {
    /// Units on each list entry.
    flow: Vec<i64>,
    /// The next entry that carries flow into the same column.
    chain: Vec<u32>,
    /// The first such entry of each column.
    head: Vec<u32>,
    /// Whether an entry is on its column's chain.
    chained: Vec<bool>,
    column_distance: Vec<f64>,
    row_distance: Vec<f64>,
    /// The entry by which a column was reached, and the entry by which a row was.
    column_entry: Vec<u32>,
    row_entry: Vec<u32>,
    settled: Vec<u32>,
    touched: Vec<u32>,
    rows: Vec<u32>,
    heap: BinaryHeap<(Reverse<u64>, u32)>,
    /// List entries read.
    work: u64,
}

impl Augment {
    /// Moves as much mass as possible within `budget` list entries, as long as nobody stops it. `sources` and `sinks` are signed
    /// potentials, feasible on the lists, and stay so; pairs that carry flow are tight.
    pub(crate) fn run(
        &mut self,
        lists: &Lists,
        supply: &[i64],
        demand: &[i64],
        sources: &mut [f64],
        sinks: &mut [f64],
        budget: u64,
        placed: &mut Placement,
        watch: &mut Watch<'_, '_>,
    ) {
        let (n, m) = (supply.len(), demand.len());
        let entries = n * lists.room();
        refill(&mut self.flow, entries, 0);
        refill(&mut self.chain, entries, NONE);
        refill(&mut self.chained, entries, false);
        refill(&mut self.head, m, NONE);
        refill(&mut self.column_distance, m, f64::INFINITY);
        refill(&mut self.row_distance, n, f64::INFINITY);
        refill(&mut self.column_entry, m, NONE);
        refill(&mut self.row_entry, n, NONE);
        placed.begin(supply, demand);
        placed.has_cycles = true;
        self.work = 0;
        self.fill_tight(lists, sources, sinks, placed);
        'sources: for i in 0..n {
            while placed.left[i] > 0 && self.work < budget {
                let before = self.work;
                let found = self.search(i, lists, sources, sinks, placed);
                if !watch.goes_on((self.work - before) as usize) {
                    break 'sources;
                }
                if !found {
                    break;
                }
            }
        }
        self.note_arcs(lists, placed);
    }

    /// Notes every pair that carries flow.
    fn note_arcs(&self, lists: &Lists, placed: &mut Placement) {
        for i in 0..placed.left.len() {
            let at = i * lists.room();
            for (k, &j) in lists.row(i).0.iter().enumerate() {
                if self.flow[at + k] > 0 {
                    placed.arcs.push((i as u32, j, self.flow[at + k]));
                }
            }
        }
    }

    /// Sources fill their tight pairs first.
    fn fill_tight(
        &mut self,
        lists: &Lists,
        sources: &mut [f64],
        sinks: &[f64],
        placed: &mut Placement,
    ) {
        for i in 0..placed.left.len() {
            let (columns, costs) = lists.row(i);
            let mut least = f64::INFINITY;
            for (&j, &c) in columns.iter().zip(costs) {
                least = least.min(c + sinks[j as usize]);
            }
            if least == f64::INFINITY {
                continue;
            }
            sources[i] = least;
            for (k, (&j, &c)) in columns.iter().zip(costs).enumerate() {
                let j = j as usize;
                if c + sinks[j] == least && placed.room[j] > 0 && placed.left[i] > 0 {
                    let units = placed.left[i].min(placed.room[j]);
                    self.add(i * lists.room() + k, j, units);
                    placed.left[i] -= units;
                    placed.room[j] -= units;
                }
            }
        }
    }

    fn add(&mut self, entry: usize, j: usize, units: i64) {
        self.flow[entry] += units;
        if !self.chained[entry] {
            self.chained[entry] = true;
            self.chain[entry] = self.head[j];
            self.head[j] = entry as u32;
        }
    }

    /// One search from source `i`; `false` where no column with room can be reached.
    fn search(
        &mut self,
        i: usize,
        lists: &Lists,
        sources: &mut [f64],
        sinks: &mut [f64],
        placed: &mut Placement,
    ) -> bool {
        self.heap.clear();
        self.rows.clear();
        self.touched.clear();
        self.settled.clear();
        self.reach(i, 0.0, NONE, lists, sources, sinks);
        let mut end = None;
        while let Some((Reverse(bits), j)) = self.heap.pop() {
            let j = j as usize;
            let distance = f64::from_bits(bits);
            if distance > self.column_distance[j] {
                continue;
            }
            if placed.room[j] > 0 {
                end = Some((j, distance));
                break;
            }
            self.settled.push(j as u32);
            self.back(j, distance, lists, sources, sinks);
        }
        if let Some((j, distance)) = end {
            for &r in &self.rows {
                sources[r as usize] += distance - self.row_distance[r as usize];
            }
            for &s in &self.settled {
                sinks[s as usize] += distance - self.column_distance[s as usize];
            }
            self.move_mass(i, j, lists, placed);
        }
        for &r in &self.rows {
            self.row_distance[r as usize] = f64::INFINITY;
        }
        for &t in &self.touched {
            self.column_distance[t as usize] = f64::INFINITY;
        }
        end.is_some()
    }

    /// Row `i` is at `distance`: its list relaxes the columns.
    fn reach(
        &mut self,
        i: usize,
        distance: f64,
        by: u32,
        lists: &Lists,
        sources: &[f64],
        sinks: &[f64],
    ) {
        self.row_distance[i] = distance;
        self.row_entry[i] = by;
        self.rows.push(i as u32);
        let (columns, costs) = lists.row(i);
        let at = i * lists.room();
        self.work += columns.len() as u64;
        for (k, (&column, &c)) in columns.iter().zip(costs).enumerate() {
            let j = column as usize;
            let there = distance + (c + sinks[j] - sources[i]).max(0.0);
            if there < self.column_distance[j] {
                if self.column_distance[j] == f64::INFINITY {
                    self.touched.push(column);
                }
                self.column_distance[j] = there;
                self.column_entry[j] = (at + k) as u32;
                self.heap.push((Reverse(there.to_bits()), column));
            }
        }
    }

    /// From a settled column back along the pairs that carry flow; spent ones leave the chain.
    fn back(&mut self, j: usize, distance: f64, lists: &Lists, sources: &[f64], sinks: &[f64]) {
        let mut before = NONE;
        let mut entry = self.head[j];
        while entry != NONE {
            let next = self.chain[entry as usize];
            if self.flow[entry as usize] == 0 {
                self.chained[entry as usize] = false;
                if before == NONE {
                    self.head[j] = next;
                } else {
                    self.chain[before as usize] = next;
                }
            } else {
                let r = entry as usize / lists.room();
                if self.row_distance[r] == f64::INFINITY {
                    self.reach(r, distance, entry, lists, sources, sinks);
                }
                before = entry;
            }
            entry = next;
        }
    }

    /// Moves the bottleneck of the path that ends at column `end`.
    fn move_mass(&mut self, start: usize, end: usize, lists: &Lists, placed: &mut Placement) {
        let room = lists.room();
        let mut units = placed.left[start].min(placed.room[end]);
        let mut j = end;
        loop {
            let r = self.column_entry[j] as usize / room;
            if r == start && self.row_entry[r] == NONE {
                break;
            }
            let entry = self.row_entry[r] as usize;
            units = units.min(self.flow[entry]);
            j = lists.column(entry);
        }
        let mut j = end;
        loop {
            let by = self.column_entry[j] as usize;
            self.add(by, j, units);
            let r = by / room;
            if r == start && self.row_entry[r] == NONE {
                break;
            }
            let entry = self.row_entry[r] as usize;
            self.flow[entry] -= units;
            j = lists.column(entry);
        }
        placed.left[start] -= units;
        placed.room[end] -= units;
    }
}

fn refill<T: Clone>(v: &mut Vec<T>, len: usize, value: T) {
    v.clear();
    v.resize(len, value);
}
