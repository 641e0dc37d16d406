//! Which cells are near a cell in slack: blocks of cells with a bound of their potentials that is linear in the place.
//!
//! A block of 4 × 4 (× 4) blocks knows slopes s and a rest r with g_j ≤ r + s·(j − corner) for its cells. Over the block
//! C_ij − g_j is then at least a sum of minima along the axes, each of a convex function on an interval. Potentials of
//! squared distances bend by about one cell's cost a cell, so that the bound is off by the square of a block's side.

use std::ops::Range;

use solver_api::GridCost;

use crate::near::{Aimed, Finder};

/// Blocks of a block along each axis.
const SIDE: usize = 4;
/// Axes at most.
const AXES: usize = 3;

/// One size of blocks.
struct Blocks {
    shape: [usize; AXES],
    /// Cells along each axis of a block.
    side: [usize; AXES],
    slope: Vec<[f64; AXES]>,
    rest: Vec<f64>,
}

/// Cells and blocks of one potential.
pub(super) struct Tree {
    dims: [usize; AXES],
    /// Cost of a step along each axis: costs are this times the squared distance in cells.
    unit: [f64; AXES],
    /// From blocks of 4 cells a side up to one block of all.
    sizes: Vec<Blocks>,
    g: Vec<f64>,
}

/// Cells that take part, as sources and as targets.
pub(super) struct Cells<'a> {
    pub(super) grid: &'a GridCost,
    pub(super) rows: &'a [u32],
    pub(super) cols: &'a [u32],
}

/// About as many pairs per cell as there are cells in a ball of radius √(limit·ε).
impl Finder for Cells<'_> {
    fn aimed(&self, potentials: &[f64]) -> Aimed<'_> {
        let cells = self.grid.dims().iter().product();
        let mut g = vec![f64::NEG_INFINITY; cells];
        let mut number = vec![u32::MAX; cells];
        for (j, (&cell, &potential)) in self.cols.iter().zip(potentials).enumerate() {
            g[cell as usize] = potential;
            number[cell as usize] = j as u32;
        }
        let tree = Tree::new(self.grid, g);
        Box::new(move |rows: Range<usize>, bounds: &[f64], most: usize| {
            let (mut counts, mut found) = (Vec::new(), Vec::new());
            for (&cell, &bound) in self.rows[rows].iter().zip(bounds) {
                let before = found.len();
                if before > most {
                    break;
                }
                let visit = |j: usize, c: f64| found.push((number[j], c));
                tree.near(cell as usize, bound, visit);
                counts.push((found.len() - before) as u32);
            }
            (counts, found)
        })
    }
}

/// Dimensions with ones before them.
fn padded(dims: &[usize]) -> [usize; AXES] {
    let mut out = [1; AXES];
    out[AXES - dims.len()..].copy_from_slice(dims);
    out
}

/// The place of a cell or block.
pub(super) fn place(shape: &[usize; AXES], cell: usize) -> [usize; AXES] {
    let below = cell / shape[2];
    [below / shape[1], below % shape[1], cell % shape[2]]
}

impl Tree {
    /// The tree of `g` over the cells of a grid with squared distances; −∞ for cells that take no part. O(n log n).
    pub(super) fn new(grid: &GridCost, g: Vec<f64>) -> Self {
        let dims = padded(grid.dims());
        let mut unit = [0.0; AXES];
        for k in 0..grid.dims().len() {
            let by_distance = grid.by_distance(k);
            unit[AXES - grid.dims().len() + k] = by_distance.get(1).copied().unwrap_or(0.0);
        }
        let mut tree = Self {
            dims,
            unit,
            sizes: Vec::new(),
            g,
        };
        let mut side = SIDE;
        loop {
            let blocks = tree.blocks(side);
            let is_one = blocks.rest.len() == 1;
            tree.sizes.push(blocks);
            if is_one {
                return tree;
            }
            side *= SIDE;
        }
    }

    fn blocks(&self, side: usize) -> Blocks {
        let side = self.dims.map(|d| side.min(d));
        let mut shape = [0; AXES];
        for k in 0..AXES {
            shape[k] = self.dims[k].div_ceil(side[k]);
        }
        let count = shape.iter().product();
        let block_of = |at: &[usize; AXES]| {
            let b = [at[0] / side[0], at[1] / side[1], at[2] / side[2]];
            (b[0] * shape[1] + b[1]) * shape[2] + b[2]
        };
        let cells = || {
            let finite = self.g.iter().enumerate();
            let finite = finite.filter(|(_, g)| **g > f64::NEG_INFINITY);
            finite.map(|(cell, &g)| {
                let at = place(&self.dims, cell);
                let mut inside = [0.0; AXES];
                for k in 0..AXES {
                    inside[k] = (at[k] % side[k]) as f64;
                }
                (block_of(&at), inside, g)
            })
        };
        // Least squares along each axis: counts, and sums of g, of places, their squares and products.
        let mut sums = vec![[0.0; 2 + 3 * AXES]; count];
        for (block, at, g) in cells() {
            let s = &mut sums[block];
            s[0] += 1.0;
            s[1] += g;
            for k in 0..AXES {
                s[2 + k] += at[k];
                s[2 + AXES + k] += at[k] * at[k];
                s[2 + 2 * AXES + k] += at[k] * g;
            }
        }
        let slope: Vec<[f64; AXES]> = sums
            .iter()
            .map(|s| {
                let mut slope = [0.0; AXES];
                for (k, slope) in slope.iter_mut().enumerate() {
                    let spread = s[2 + AXES + k] * s[0] - s[2 + k] * s[2 + k];
                    if spread > 0.0 {
                        *slope = (s[2 + 2 * AXES + k] * s[0] - s[2 + k] * s[1]) / spread;
                    }
                }
                slope
            })
            .collect();
        let mut rest = vec![f64::NEG_INFINITY; count];
        for (block, at, g) in cells() {
            let s = &slope[block];
            let linear = s[0] * at[0] + s[1] * at[1] + s[2] * at[2];
            rest[block] = rest[block].max(g - linear);
        }
        Blocks {
            shape,
            side,
            slope,
            rest,
        }
    }

    /// Less than C_ij − g_j of any cell j of a block, i at `from`.
    fn bound(&self, blocks: &Blocks, block: usize, at: &[usize; AXES], from: &[f64; AXES]) -> f64 {
        let slope = &blocks.slope[block];
        let mut sum = -blocks.rest[block];
        for k in 0..AXES {
            let low = (at[k] * blocks.side[k]) as f64;
            let high = (((at[k] + 1) * blocks.side[k]).min(self.dims[k]) - 1) as f64;
            if high > low || self.unit[k] > 0.0 {
                let lowest = from[k] + 0.5 * slope[k] / self.unit[k];
                let t = if lowest > low { lowest.min(high) } else { low };
                sum += self.unit[k] * (from[k] - t) * (from[k] - t) - slope[k] * (t - low);
            }
        }
        sum
    }

    /// Visits every cell j with C_ij − g_j ≤ `most`, with its cost: blocks in order, not cells.
    pub(super) fn near(&self, cell: usize, most: f64, mut visit: impl FnMut(usize, f64)) {
        let from = place(&self.dims, cell).map(|x| x as f64);
        let top = self.sizes.len() - 1;
        self.descend(top, 0, &from, most, &mut visit);
    }

    fn descend(
        &self,
        size: usize,
        block: usize,
        from: &[f64; AXES],
        most: f64,
        visit: &mut impl FnMut(usize, f64),
    ) {
        let blocks = &self.sizes[size];
        if blocks.rest[block] == f64::NEG_INFINITY {
            return;
        }
        let at = place(&blocks.shape, block);
        // Rounding of potentials and bounds.
        let slack = 1e-13 * (blocks.rest[block].abs() + most.abs());
        // What is not a number is looked at.
        if self.bound(blocks, block, &at, from) > most + slack {
            return;
        }
        let mut corner = [0; AXES];
        let mut end = [0; AXES];
        for k in 0..AXES {
            corner[k] = at[k] * blocks.side[k];
            end[k] = (corner[k] + blocks.side[k]).min(self.dims[k]);
        }
        if size == 0 {
            for x in corner[0]..end[0] {
                let c0 = self.unit[0] * (from[0] - x as f64).powi(2);
                for y in corner[1]..end[1] {
                    let c1 = c0 + self.unit[1] * (from[1] - y as f64).powi(2);
                    let row = (x * self.dims[1] + y) * self.dims[2];
                    for z in corner[2]..end[2] {
                        let c = c1 + self.unit[2] * (from[2] - z as f64).powi(2);
                        if c - self.g[row + z] <= most {
                            visit(row + z, c);
                        }
                    }
                }
            }
            return;
        }
        let below = &self.sizes[size - 1];
        let first = [0, 1, 2].map(|k| corner[k] / below.side[k]);
        let last = [0, 1, 2].map(|k| end[k].div_ceil(below.side[k]));
        for x in first[0]..last[0] {
            for y in first[1]..last[1] {
                for z in first[2]..last[2] {
                    let child = (x * below.shape[1] + y) * below.shape[2] + z;
                    self.descend(size - 1, child, from, most, visit);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;
    use solver_api::{Cost, GridGround};

    use super::*;

    #[test]
    fn it_finds_what_a_look_at_all_pairs_finds() {
        let mut rng = Pcg64::seed_from_u64(3);
        for dims in [
            vec![70],
            vec![1, 33],
            vec![21, 30],
            vec![9, 1, 18],
            vec![7, 9, 11],
        ] {
            let spacing: Vec<f64> = (0..dims.len()).map(|k| 0.7 + k as f64).collect();
            let grid = GridCost::with_spacing(&dims, &spacing, GridGround::SqEuclidean).unwrap();
            let n: usize = dims.iter().product();
            let range = grid.range().max;
            for noise in [0.0, 0.01, 1.0] {
                let g: Vec<f64> = (0..n)
                    .map(|j| {
                        let bent = grid.entry(j, n / 3) * 0.7 - 0.2 * grid.entry(j, 0);
                        match rng.random::<f64>() {
                            r if r < 0.2 => f64::NEG_INFINITY,
                            r => bent + noise * range * r,
                        }
                    })
                    .collect();
                let tree = Tree::new(&grid, g.clone());
                for i in 0..n {
                    let least = (0..n).fold(f64::INFINITY, |t, j| t.min(grid.entry(i, j) - g[j]));
                    let most = least + 0.03 * range;
                    let mut found = Vec::new();
                    tree.near(i, most, |j, c| {
                        assert!((c - grid.entry(i, j)).abs() < 1e-12 * range);
                        found.push(j);
                    });
                    found.sort_unstable();
                    let near = 1e-12 * range;
                    let sure = (0..n).filter(|&j| grid.entry(i, j) - g[j] < most - near);
                    let sure: Vec<usize> = sure.collect();
                    assert!(
                        sure.iter().all(|j| found.binary_search(j).is_ok()),
                        "{dims:?} {i}"
                    );
                    assert!(found.iter().all(|&j| grid.entry(i, j) - g[j] < most + near));
                }
            }
        }
    }
}
