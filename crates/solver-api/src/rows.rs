//! Passes over the rows of an n×m object: parallel, and with the same bits for any number of threads.

use rayon::prelude::*;

/// Row chunks of a pass. A fixed number, so that sums come out alike whatever the number of threads is.
const CHUNKS: usize = 16;
/// Below this many rows, or entries in all of them, a pass is one chunk and stays on the calling thread: waking
/// another costs as much as some ten thousand entries.
const ROWS_IN_LINE: usize = 128;
const ENTRIES_IN_LINE: usize = 1 << 15;

/// Folds `row` over 0..n in fixed chunks, each with an accumulator of its own, returned in row order. `entries` is
/// about what a row reads.
pub(crate) fn fold_rows<A: Send>(
    n: usize,
    entries: usize,
    start: impl Fn() -> A + Sync,
    row: impl Fn(&mut A, usize) + Sync,
) -> Vec<A> {
    let run = |from: usize, to: usize| {
        let mut accumulator = start();
        (from..to).for_each(|i| row(&mut accumulator, i));
        accumulator
    };
    if n < ROWS_IN_LINE || n.saturating_mul(entries) < ENTRIES_IN_LINE {
        return vec![run(0, n)];
    }
    let size = n.div_ceil(CHUNKS);
    (0..n.div_ceil(size))
        .into_par_iter()
        .map(|c| run(c * size, n.min((c + 1) * size)))
        .collect()
}

/// The sum of `parts`, each of length `m`, in their order.
pub(crate) fn add_up<'a>(m: usize, parts: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let mut total = vec![0.0; m];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
    }
    total
}
