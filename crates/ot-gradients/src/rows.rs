//! Passes over the rows of an n×m object: parallel, without allocation, and with the same bits for any number of
//! threads.

use std::ops::Range;

use rayon::prelude::*;

/// Row chunks of a pass. A fixed number, so that sums come out alike whatever the number of threads is.
const CHUNKS: usize = 16;
/// Below this many rows, or entries in all of them, a pass is one chunk and stays on the calling thread.
const ROWS_IN_LINE: usize = 64;
const ENTRIES_IN_LINE: usize = 1 << 15;

/// Fixed chunks of the rows 0..n, each with a room of its own that is made once and serves every pass.
#[derive(Debug)]
pub(crate) struct Chunks<S> {
    n: usize,
    size: usize,
    rooms: Vec<S>,
}

impl<S: Send> Chunks<S> {
    /// `entries` is about what a row reads; `make` gets the rows of its chunk.
    pub(crate) fn new(n: usize, entries: usize, make: impl Fn(Range<usize>) -> S) -> Self {
        let size = if n < ROWS_IN_LINE || n.saturating_mul(entries) < ENTRIES_IN_LINE {
            n.max(1)
        } else {
            n.div_ceil(CHUNKS)
        };
        let rooms = (0..n.div_ceil(size))
            .map(|c| make(c * size..n.min((c + 1) * size)))
            .collect();
        Self { n, size, rooms }
    }

    /// One pass: each chunk works on its rows in its room.
    pub(crate) fn pass(&mut self, work: impl Fn(&mut S, Range<usize>) + Sync) {
        let (n, size) = (self.n, self.size);
        if let [room] = &mut self.rooms[..] {
            work(room, 0..n);
            return;
        }
        self.rooms
            .par_iter_mut()
            .enumerate()
            .for_each(|(c, room)| work(room, c * size..n.min((c + 1) * size)));
    }

    /// The rooms in the order of their rows.
    pub(crate) fn rooms(&self) -> &[S] {
        &self.rooms
    }

    /// The rooms themselves.
    pub(crate) fn into_rooms(self) -> Vec<S> {
        self.rooms
    }
}

/// Writes the sum over `parts`, in their order, into `total`.
pub(crate) fn sum_into<'a>(total: &mut [f64], parts: impl Iterator<Item = &'a [f64]>) {
    total.fill(0.0);
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
    }
}
