//! Persistent candidate lists: for each source the few columns whose reduced cost was lowest when its
//! row was last read. Pivots are chosen from the lists; whole rows are read only when lists run dry.

use super::tree::Tree;

/// Fixed room per source, costs copied beside the columns so that pricing never touches the matrix.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    room: usize,
    length: Vec<u32>,
    columns: Vec<u32>,
    costs: Vec<f64>,
}

/// A pair that violates dual feasibility.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) key: f64,
    pub(crate) cost: f64,
    pub(crate) source: u32,
    pub(crate) column: u32,
}

/// The reduced cost relaxed by `tol` of the magnitudes it is made of, as in the pricing kernels.
#[inline(always)]
pub(crate) fn relaxed(c: f64, p: f64, shift: f64, tol: f64) -> f64 {
    (c + p - shift) + tol * (c.abs() + p.abs() + shift.abs())
}

impl Lists {
    pub(crate) fn reset(&mut self, sources: usize, room: usize) {
        self.room = room;
        self.length.clear();
        self.length.resize(sources, 0);
        self.columns.clear();
        self.columns.resize(sources * room, 0);
        self.costs.clear();
        self.costs.resize(sources * room, 0.0);
    }

    /// Keeps the `room` entries of lowest reduced cost of each list.
    pub(crate) fn narrow(&mut self, room: usize, sinks: &[f64], scratch: &mut Vec<(f64, u32)>) {
        if room >= self.room {
            return;
        }
        for i in 0..self.length.len() {
            let (from, to) = (i * self.room, i * room);
            let len = self.length[i] as usize;
            scratch.clear();
            for k in 0..len {
                let (j, c) = (self.columns[from + k], self.costs[from + k]);
                scratch.push((c + sinks[j as usize], k as u32));
            }
            let kept = len.min(room);
            if len > room {
                scratch.select_nth_unstable_by(room - 1, |a, b| a.0.total_cmp(&b.0));
                scratch[..room].sort_unstable_by_key(|x| x.1);
            }
            for k in 0..kept {
                let at = from + scratch[k].1 as usize;
                self.columns[to + k] = self.columns[at];
                self.costs[to + k] = self.costs[at];
            }
            self.length[i] = kept as u32;
        }
        self.room = room;
    }

    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// The column of an entry, counted through all sources' rooms.
    pub(crate) fn column(&self, entry: usize) -> usize {
        self.columns[entry] as usize
    }

    /// Replaces a source's list.
    pub(crate) fn set(&mut self, i: usize, found: &[(f64, u32)], cost: impl Fn(usize) -> f64) {
        let at = i * self.room;
        let len = found.len().min(self.room);
        for (k, &(_, j)) in found[..len].iter().enumerate() {
            self.columns[at + k] = j;
            self.costs[at + k] = cost(j as usize);
        }
        self.length[i] = len as u32;
    }

    pub(crate) fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let at = i * self.room;
        let end = at + self.length[i] as usize;
        (&self.columns[at..end], &self.costs[at..end])
    }

    /// Adds `(column, cost)` to a source's list; when it is full, the entry of the highest reduced cost
    /// makes room.
    pub(crate) fn insert(&mut self, i: usize, column: u32, cost: f64, potential: &[f64]) {
        let at = i * self.room;
        let len = self.length[i] as usize;
        let columns = &mut self.columns[at..at + self.room];
        let costs = &mut self.costs[at..at + self.room];
        if columns[..len].contains(&column) {
            return;
        }
        let place = if len < self.room {
            self.length[i] += 1;
            len
        } else {
            let mut worst = 0;
            let mut highest = f64::NEG_INFINITY;
            for k in 0..len {
                let r = costs[k] + potential[columns[k] as usize];
                if r > highest {
                    highest = r;
                    worst = k;
                }
            }
            worst
        };
        columns[place] = column;
        costs[place] = cost;
    }

    /// The most violated entry of a source's list, if any is violated.
    #[inline]
    pub(crate) fn best(&self, i: usize, tree: &Tree, tol: f64) -> Option<Candidate> {
        let (columns, costs) = self.row(i);
        let sinks = &tree.potential[tree.sources()..];
        let shift = tree.potential[i];
        let mut best = 0.0;
        let mut place = usize::MAX;
        for (k, (&j, &c)) in columns.iter().zip(costs).enumerate() {
            let key = relaxed(c, sinks[j as usize], shift, tol);
            if key < best {
                best = key;
                place = k;
            }
        }
        (place != usize::MAX).then(|| Candidate {
            key: best,
            cost: costs[place],
            source: i as u32,
            column: columns[place],
        })
    }
}
