//! One pass over all pairs of two clouds that count.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ot_kernels::Elem;
use ot_kernels::lazy::{SIDE, Tile};
use rayon::prelude::*;

use super::cloud::Cloud;

/// Chunks of rows: a fixed number, so that sums come out alike whatever the number of threads is.
const CHUNKS: usize = 16;
/// Tiles after which the sums of rows go from T to f64.
const DRAIN: usize = 16;

/// What pairs of two clouds cost, in the clouds' orders.
pub trait Pairs: Sync {
    /// Writes the entries of `rows` × `cols` into `out`, row-major.
    fn block(&self, rows: Range<usize>, cols: Range<usize>, out: &mut [f64]);
}

/// Told the part of a pass that is done, from the threads that do it; `false` stops the pass.
pub type Tick<'a> = dyn Fn(f64) -> bool + Sync + 'a;

/// Two clouds, with what their pairs cost: ‖x − y‖² where nothing else is given.
#[derive(Clone, Copy)]
pub struct Between<'a> {
    /// The sources.
    pub x: &'a Cloud,
    /// The targets.
    pub y: &'a Cloud,
    /// The cost of their pairs.
    pub cost: Option<&'a dyn Pairs>,
}

/// Sums of a pass, and what it was.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// Σ_j b_j E_ij with E = exp((f + g − C)/ε): what row i sends over its weight.
    pub rows: Vec<f64>,
    /// Σ_i a_i E_ij.
    pub cols: Vec<f64>,
    /// Σ_j b_j E_ij (f_i + g_j − C_ij)/ε, where it was asked for.
    pub prices: Vec<f64>,
    /// The largest exponent of each row and each column, or the floor of the pass where all were left out; where
    /// prices were asked for.
    pub row_tops: Vec<f64>,
    /// The same of columns.
    pub col_tops: Vec<f64>,
    /// What the rounding of exponents was relative to, at most.
    pub magnitude: f64,
    /// Pairs whose exponential was taken.
    pub pairs: u64,
}

/// Buffers of passes in T, made once.
#[derive(Debug)]
pub struct Passes<T> {
    chunks: Vec<Chunk<T>>,
    /// g of whole tiles, and the largest of each tile.
    g: Vec<f64>,
    highest: Vec<f64>,
}

#[derive(Debug)]
struct Chunk<T> {
    tile: Tile<T>,
    cols: Vec<f64>,
    tops: Vec<f64>,
    costs: Vec<f64>,
    magnitude: f64,
    pairs: u64,
}

impl<T: Elem> Passes<T> {
    /// Room for passes over points of dimension `dim`.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        let chunk = || Chunk {
            tile: Tile::new(dim),
            cols: Vec::new(),
            tops: Vec::new(),
            costs: Vec::new(),
            magnitude: 0.0,
            pairs: 0,
        };
        Self {
            chunks: (0..CHUNKS).map(|_| chunk()).collect(),
            g: Vec::new(),
            highest: Vec::new(),
        }
    }

    /// Row and column sums at potentials `f`, `g`, and with `priced` the rows' prices. Pairs whose exponent is below
    /// `floor` may be left out: each sum is then short by at most e^floor, since weights sum to 1. Returns `false`
    /// where `tick` stopped it.
    ///
    /// n·m evaluations of the exponential less those of tiles left out.
    pub fn run(
        &mut self,
        between: Between<'_>,
        (f, g): (&[f64], &[f64]),
        eps: f64,
        floor: f64,
        priced: bool,
        sums: &mut Sums,
        tick: &Tick<'_>,
    ) -> bool {
        let Between { x, y, cost } = between;
        let (n, m, dim) = (x.len(), y.len(), x.dim());
        let tiles = y.tiles();
        self.g.clear();
        self.g.extend_from_slice(g);
        self.g.resize(tiles * SIDE, g[m - 1]);
        self.highest.clear();
        let highest = |g: &[f64]| g.iter().fold(f64::NEG_INFINITY, |t: f64, g| t.max(*g));
        self.highest.extend(self.g.chunks_exact(SIDE).map(highest));
        sums.rows.clear();
        sums.rows.resize(n, 0.0);
        sums.prices.clear();
        sums.prices.resize(if priced { n } else { 0 }, 0.0);
        sums.row_tops.clear();
        sums.row_tops.resize(if priced { n } else { 0 }, floor);
        let per_chunk = x.tiles().div_ceil(CHUNKS);
        let (done, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (g, highest) = (&self.g, &self.highest);
        let work =
            |at: usize, chunk: &mut Chunk<T>, rows: &mut [f64], [prices, tops]: [&mut [f64]; 2]| {
                chunk.cols.clear();
                chunk.cols.resize(tiles * SIDE, 0.0);
                chunk.tops.clear();
                chunk
                    .tops
                    .resize(if priced { tiles * SIDE } else { 0 }, floor);
                (chunk.magnitude, chunk.pairs) = (0.0, 0);
                for (k, rows) in rows.chunks_mut(SIDE).enumerate() {
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    let tile = at * per_chunk + k;
                    let range = tile * SIDE..tile * SIDE + rows.len();
                    let f = &f[range.clone()];
                    let a = &x.scaled(tile)[..rows.len()];
                    if cost.is_some() {
                        chunk.tile.take_rows_of_costs(f, a, eps);
                    } else {
                        let points = &x.points()[range.start * dim..range.end * dim];
                        chunk.tile.take_rows(points, f, a, eps);
                    }
                    let top = f.iter().fold(f64::NEG_INFINITY, |t: f64, f| t.max(*f));
                    let prices = if priced {
                        &mut prices[k * SIDE..][..rows.len()]
                    } else {
                        &mut []
                    };
                    let mut held = 0;
                    for c in 0..tiles {
                        let (g, b) = (&g[c * SIDE..][..SIDE], y.scaled(c));
                        let bounds = if let Some(cost) = cost {
                            block(cost, range.clone(), c, m, &mut chunk.costs);
                            chunk.tile.take_costs(&chunk.costs, g, b)
                        } else {
                            if top + highest[c] - x.apart(tile, y, c) < floor * eps {
                                continue;
                            }
                            chunk.tile.take_columns(y.panel(c), g, b)
                        };
                        if bounds.most < floor {
                            continue;
                        }
                        chunk.magnitude = chunk.magnitude.max(bounds.magnitude);
                        chunk.pairs += (rows.len() * SIDE) as u64;
                        let cols = if cost.is_some() {
                            chunk.tile.weigh_costs(priced)
                        } else {
                            chunk.tile.weigh(priced)
                        };
                        for (sum, col) in chunk.cols[c * SIDE..][..SIDE].iter_mut().zip(cols) {
                            let col: f64 = (*col).into();
                            *sum += col;
                        }
                        if priced {
                            let tops = &mut chunk.tops[c * SIDE..][..SIDE];
                            chunk.tile.raise_columns(tops);
                        }
                        held += 1;
                        if held == DRAIN {
                            chunk.tile.drain(rows, prices);
                            held = 0;
                        }
                    }
                    chunk.tile.drain(rows, prices);
                    if priced {
                        chunk.tile.raise_rows(&mut tops[k * SIDE..][..rows.len()]);
                    }
                    let tiles_done = 1 + done.fetch_add(1, Ordering::Relaxed);
                    if !tick(tiles_done as f64 / x.tiles() as f64) {
                        stopped.store(true, Ordering::Relaxed);
                    }
                }
            };
        let size = per_chunk * SIDE;
        let chunks = self.chunks.par_iter_mut().enumerate();
        if priced {
            chunks
                .zip(sums.rows.par_chunks_mut(size))
                .zip(sums.prices.par_chunks_mut(size))
                .zip(sums.row_tops.par_chunks_mut(size))
                .for_each(|((((at, chunk), rows), prices), tops)| {
                    work(at, chunk, rows, [prices, tops]);
                });
        } else {
            chunks
                .zip(sums.rows.par_chunks_mut(size))
                .for_each(|((at, chunk), rows)| work(at, chunk, rows, [&mut [], &mut []]));
        }
        sums.cols.clear();
        sums.cols.resize(m, 0.0);
        sums.col_tops.clear();
        sums.col_tops.resize(if priced { m } else { 0 }, floor);
        (sums.magnitude, sums.pairs) = (0.0, 0);
        for chunk in &self.chunks[..x.tiles().div_ceil(per_chunk)] {
            for (all, part) in sums.cols.iter_mut().zip(&chunk.cols) {
                *all += part;
            }
            for (all, part) in sums.col_tops.iter_mut().zip(&chunk.tops) {
                *all = all.max(*part);
            }
            sums.magnitude = sums.magnitude.max(chunk.magnitude);
            sums.pairs += chunk.pairs;
        }
        // From weights in units of their mean.
        for (sums, count) in [
            (&mut sums.rows, m),
            (&mut sums.prices, m),
            (&mut sums.cols, n),
        ] {
            sums.iter_mut().for_each(|s| *s /= count as f64);
        }
        !stopped.load(Ordering::Relaxed)
    }
}

/// The entries of a tile, [`SIDE`] to a row: the last column fills the last tile.
fn block(cost: &dyn Pairs, rows: Range<usize>, tile: usize, m: usize, out: &mut Vec<f64>) {
    let n = rows.len();
    let cols = tile * SIDE..m.min((tile + 1) * SIDE);
    let width = cols.len();
    out.resize(n * SIDE, 0.0);
    cost.block(rows, cols, &mut out[..n * width]);
    if width < SIDE {
        for i in (0..n).rev() {
            let last = out[(i + 1) * width - 1];
            out.copy_within(i * width..(i + 1) * width, i * SIDE);
            out[i * SIDE + width..(i + 1) * SIDE].fill(last);
        }
    }
}
