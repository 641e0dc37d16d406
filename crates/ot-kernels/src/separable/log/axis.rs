//! What the sums along one axis need to know of its cost.

use super::{BLOCK, LARGEST_TILT, LARGEST_WHOLE, MIDDLE, UNSEEN};
use crate::aligned::Aligned;
use crate::separable::product::Axis;

/// One axis whose cost depends on the distance of two cells only.
#[derive(Debug, Clone)]
pub struct LogAxis {
    pub(super) d: usize,
    /// Blocks in a line.
    pub(super) blocks: usize,
    pub(super) tables: Tables,
}

#[derive(Debug, Clone)]
pub(super) enum Tables {
    Whole(Axis<f64>),
    Blocks(Blocks),
    Direct(Direct),
}

/// For each distance D = I − J + blocks − 1 of two blocks, in units of ε.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    /// c_{i₀j} for j in J: `[D][j]`.
    pub(super) from: Aligned<f64>,
    /// The same, `[j][D]`, rows `stride` apart.
    pub(super) from_turned: Aligned<f64>,
    pub(super) stride: usize,
    /// c_{ij₀} − c_{i₀j₀} for i in I: `[D][i]`.
    pub(super) to: Aligned<f64>,
    /// exp(−(c_ij − c_{i₀j} − c_{ij₀} + c_{i₀j₀})): `[D][j][i]`.
    pub(super) between: Aligned<f64>,
    /// How far below the largest bound a pair of blocks is left out.
    pub(super) span: f64,
}

/// The cost by distance.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    /// c(|t|) at t + d − 1, in units of ε, and room for a register more.
    pub(super) cost: Vec<f64>,
    /// Weights of the terms, at the same places.
    pub(super) weights: Option<Vec<f64>>,
}

impl LogAxis {
    /// `c[t]` is the cost of two cells at distance t, for t < d, in the units of 1/`inv_eps`. With `weights`, each term
    /// of a sum is multiplied by `weights[t]`, which is from 0 to 1.
    ///
    /// Time and memory O(d): 8 KB for 64 cells; O(d²) where the axis is short beside ε.
    ///
    /// # Panics
    /// If `c` is empty, or `weights` has another length.
    #[must_use]
    pub fn new(c: &[f64], inv_eps: f64, weights: Option<&[f64]>) -> Self {
        let d = c.len();
        assert!(d > 0, "LogAxis: no cells");
        assert!(
            weights.is_none_or(|w| w.len() == d),
            "LogAxis: lengths differ"
        );
        let blocks = d.div_ceil(BLOCK);
        let tables = if c
            .iter()
            .all(|c| (0.0..=LARGEST_WHOLE).contains(&(c * inv_eps)))
        {
            let entry = |e: usize| {
                let t = (e / d).abs_diff(e % d);
                (-c[t] * inv_eps).exp() * weights.map_or(1.0, |w| w[t])
            };
            Tables::Whole(Axis::new(&(0..d * d).map(entry).collect::<Vec<_>>(), d))
        } else if let Some(tables) = Blocks::new(c, inv_eps, weights) {
            Tables::Blocks(tables)
        } else {
            Tables::Direct(Direct::new(c, inv_eps, weights))
        };
        Self { d, blocks, tables }
    }

    /// Cells along the axis.
    #[must_use]
    pub fn len(&self) -> usize {
        self.d
    }

    /// Never true: an axis has cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.d == 0
    }

    /// Which way is taken: kernel products, pairs of blocks, or every exponent.
    #[must_use]
    pub fn way(&self) -> Way {
        match self.tables {
            Tables::Whole(_) => Way::Product,
            Tables::Blocks(_) => Way::Blocks,
            Tables::Direct(_) => Way::Exponents,
        }
    }
}

/// How an axis is summed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A kernel product of exponentials.
    Product,
    /// Pairs of blocks of eight.
    Blocks,
    /// Every exponent is looked at.
    Exponents,
}

impl Blocks {
    /// Nothing if the exponents leave the range.
    fn new(c: &[f64], inv_eps: f64, weights: Option<&[f64]>) -> Option<Self> {
        let d = c.len();
        let blocks = d.div_ceil(BLOCK);
        let distances = 2 * blocks - 1;
        // Blocks reach beyond the last cell, where only their range matters: a parabola through the last three.
        let mut long = c.to_vec();
        while long.len() < BLOCK * blocks + BLOCK {
            let t = long.len();
            let at = |back: usize| if back <= t { long[t - back] } else { 0.0 };
            long.push(match t {
                1 => long[0],
                2 => 2.0 * at(1) - at(2),
                _ => 3.0 * (at(1) - at(2)) + at(3),
            });
        }
        let cost = |t: isize| long[t.unsigned_abs()];
        let weight = |t: isize| {
            let w = |w: &[f64]| w.get(t.unsigned_abs()).copied().unwrap_or(0.0);
            weights.map_or(1.0, w)
        };
        let stride = distances + BLOCK;
        let mut tables = Self {
            from: Aligned::default(),
            from_turned: Aligned::default(),
            stride,
            to: Aligned::default(),
            between: Aligned::default(),
            span: 0.0,
        };
        tables.from.stretch(distances * BLOCK);
        tables.from_turned.stretch(BLOCK * stride);
        tables.to.stretch(distances * BLOCK);
        tables.between.stretch(distances * BLOCK * BLOCK);
        let (mut lowest, mut highest) = (0.0_f64, 0.0_f64);
        for distance in 0..distances {
            let t = (distance as isize + 1 - blocks as isize) * BLOCK as isize;
            for b in 0..BLOCK {
                let j = b as isize;
                let from = cost(t + MIDDLE - j);
                tables.from[distance * BLOCK + b] = from * inv_eps;
                tables.from_turned[b * stride + distance] = from * inv_eps;
                // The index of an output plays the same part.
                tables.to[distance * BLOCK + b] = (cost(t + j - MIDDLE) - cost(t)) * inv_eps;
                for a in 0..BLOCK {
                    let i = a as isize;
                    let to = cost(t + i - MIDDLE) - cost(t);
                    // In units of the cost first: with whole numbers there is no rounding.
                    let tilt = -((cost(t + i - j) - from) - to) * inv_eps;
                    lowest = lowest.min(tilt);
                    highest = highest.max(tilt);
                    tables.between[(distance * BLOCK + b) * BLOCK + a] =
                        weight(t + i - j) * tilt.exp();
                }
            }
        }
        tables.span = highest - lowest + UNSEEN + ((BLOCK * blocks) as f64).ln();
        // What is not a number is out of range, too.
        (-lowest <= LARGEST_TILT && highest <= LARGEST_TILT).then_some(tables)
    }
}

impl Direct {
    fn new(c: &[f64], inv_eps: f64, weights: Option<&[f64]>) -> Self {
        let d = c.len();
        let by_distance = |values: &[f64], scale: f64| -> Vec<f64> {
            (0..2 * d - 1 + BLOCK)
                .map(|k| {
                    let value = values.get((k + 1).abs_diff(d));
                    value.map_or(0.0, |v| v * scale)
                })
                .collect()
        };
        Self {
            cost: by_distance(c, inv_eps),
            weights: weights.map(|w| by_distance(w, 1.0)),
        }
    }
}
