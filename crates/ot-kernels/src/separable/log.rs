//! Log-sum-exp along the axes of an array: kernel products that neither overflow nor underflow, at any ε.
//!
//! A line of d entries is cut into blocks of eight. Between block J of inputs and block I of outputs the exponent is
//! split at the middles i₀ of I and j₀ of J:
//!
//! h_j − c_ij = (h_j − c_{i₀j}) − (c_{ij₀} − c_{i₀j₀}) − (c_ij − c_{i₀j} − c_{ij₀} + c_{i₀j₀}).
//!
//! The last term is small (for (i−j)²/ε it is at most 32/ε; for |i−j|/ε it is 0 unless I = J), so that its exponential,
//! an 8 × 8 matrix, is made once for each distance of two blocks. The first two are shifted by their maxima. A pair of
//! blocks costs one exponential of a register and 64 multiply-adds; a pair whose terms can't be seen beside the largest
//! ones costs a comparison, and with small ε nearly all do.
//!
//! At either end there is another way. Where an axis is short beside ε (no exponent c/ε above 660), the exponentials of
//! a line less its maximum are multiplied by the kernel: what underflows can't be seen. Where the last term would leave
//! the range of f64 (ε < 0.1 for unit spacing), every exponent is looked at, and those that can be seen beside the
//! largest one are evaluated.
//!
//! Every term is positive: relative errors are those of the exponents.

use rayon::prelude::*;

use super::product::Axis;
use super::{WORK_TO_SHARE, in_turns, lines_a_task};
use crate::aligned::Aligned;
use crate::dispatch::{Isa, isa};
use crate::exp::exp_lanes;
use crate::simd::{Backend, Kernel, Lanes, run};

/// Entries of a block.
const BLOCK: usize = 8;
/// Where in a block its middle is.
const MIDDLE: isize = 4;
/// Exponents of the matrices of block pairs stay within this: their products with sums stay far inside of f64.
const LARGEST_TILT: f64 = 320.0;
/// e⁻⁴⁰ = 4e-18: what is smaller than that beside the largest term is not seen.
const UNSEEN: f64 = 40.0;
/// Lines that are gathered at a time: a cache line of neighbours.
const TOGETHER: usize = 8;
/// The same before a kernel product.
const MULTIPLIED: usize = 24;
/// Exponents of a kernel that is multiplied as a whole: a line's sums are at least e⁻⁶⁶⁰ of its largest term, and what
/// underflows is 1e-20 of that.
const LARGEST_WHOLE: f64 = 660.0;

/// One axis whose cost depends on the distance of two cells only.
#[derive(Debug, Clone)]
pub struct LogAxis {
    d: usize,
    /// Blocks in a line.
    blocks: usize,
    tables: Tables,
}

#[derive(Debug, Clone)]
enum Tables {
    Whole(Axis<f64>),
    Blocks(Blocks),
    Direct(Direct),
}

/// For each distance D = I − J + blocks − 1 of two blocks, in units of ε.
#[derive(Debug, Clone)]
struct Blocks {
    /// c_{i₀j} for j in J: `[D][j]`.
    from: Aligned<f64>,
    /// The same, `[j][D]`, rows `stride` apart.
    from_turned: Aligned<f64>,
    stride: usize,
    /// c_{ij₀} − c_{i₀j₀} for i in I: `[D][i]`.
    to: Aligned<f64>,
    /// exp(−(c_ij − c_{i₀j} − c_{ij₀} + c_{i₀j₀})): `[D][j][i]`.
    between: Aligned<f64>,
    /// How far below the largest bound a pair of blocks is left out.
    span: f64,
}

/// The cost by distance.
#[derive(Debug, Clone)]
struct Direct {
    /// c(|t|) at t + d − 1, in units of ε, and room for a register more.
    cost: Vec<f64>,
    /// Weights of the terms, at the same places.
    weights: Option<Vec<f64>>,
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

/// ln x for normal x > 0; −∞ below, NaN for what is not finite. Branch-free, so that loops over it are vectorized on every instruction set.
///
/// x = 2^k·m with m from √½ to √2, ln m = 2 artanh((m − 1)/(m + 1)) by its series: 22 flops, about 2 ulp.
#[inline(always)]
fn ln(x: f64) -> f64 {
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    const MAGIC: u64 = 0x4338_0000_0000_0000;
    const MANTISSA: u64 = (1 << 52) - 1;
    let shifted = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    let m = f64::from_bits((shifted & MANTISSA).wrapping_add(ROOT_HALF));
    let exponent = (shifted >> 52).wrapping_sub(1023);
    let k = f64::from_bits(MAGIC.wrapping_add(exponent)) - f64::from_bits(MAGIC);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut p = 1.0 / 21.0;
    p = p * z + 1.0 / 19.0;
    p = p * z + 1.0 / 17.0;
    p = p * z + 1.0 / 15.0;
    p = p * z + 1.0 / 13.0;
    p = p * z + 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z + 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    p = p * z + 1.0 / 3.0;
    // ln 2 in two parts, the first with 21 zeros at its end.
    let low = k * 1.908_214_929_270_587_7e-10 + 2.0 * s * z * p;
    // 0 · x is 0, or NaN for what is not finite.
    let y = k * 6.931_471_803_691_238e-1 + (2.0 * s + low) + 0.0 * x;
    if x < f64::MIN_POSITIVE {
        f64::NEG_INFINITY
    } else {
        y
    }
}

/// What the lines of one task need room for.
#[derive(Debug, Default)]
struct Room {
    /// Lines side by side, each `padded` long.
    h: Aligned<f64>,
    /// Largest exponents of block pairs: `[J][I]`, rows `padded blocks` apart.
    most: Aligned<f64>,
    /// Logarithm of the unit of each output of a line, and its sum in that unit.
    unit: Aligned<f64>,
    sum: Aligned<f64>,
}

/// Some lines of an array d × rest, from `first` on; `out` has d entries for each.
struct Lines<'a> {
    axis: &'a LogAxis,
    x: &'a [f64],
    rest: usize,
    first: usize,
    out: &'a mut [f64],
    room: &'a mut Room,
}

impl Kernel for Lines<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (d, blocks, rest) = (self.axis.d, self.axis.blocks, self.rest);
        if let Tables::Whole(axis) = &self.axis.tables {
            // SAFETY: the caller's promise.
            unsafe { self.multiply::<B>(axis) };
            return;
        }
        let padded = blocks * BLOCK + BLOCK;
        let across = blocks.next_multiple_of(BLOCK);
        self.room.h.stretch(TOGETHER * padded);
        self.room.most.stretch(blocks * across);
        self.room.unit.stretch(padded);
        self.room.sum.stretch(padded);
        let Room { h, most, unit, sum } = self.room;
        let groups = self.out.chunks_mut(TOGETHER * d);
        for (first, out) in (self.first..).step_by(TOGETHER).zip(groups) {
            let count = out.len() / d;
            for h in h.chunks_exact_mut(padded) {
                h[d..].fill(f64::NEG_INFINITY);
            }
            for (j, x) in self.x.chunks_exact(rest).enumerate() {
                for (line, &x) in x[first..first + count].iter().enumerate() {
                    h[line * padded + j] = x;
                }
            }
            for (h, out) in h.chunks_exact(padded).zip(out.chunks_exact_mut(d)) {
                let top = h
                    .iter()
                    .fold(f64::NEG_INFINITY, |t, &h| if h > t { h } else { t });
                let known = h.iter().fold(true, |known, h| known & !h.is_nan());
                if !known || top == f64::INFINITY {
                    out.fill(f64::NAN);
                    continue;
                }
                if top == f64::NEG_INFINITY {
                    out.fill(f64::NEG_INFINITY);
                    continue;
                }
                // SAFETY: the instruction set is there (the caller's promise); the rooms have the lengths asked for.
                unsafe {
                    match &self.axis.tables {
                        Tables::Blocks(tables) => {
                            in_blocks::<B>(tables, blocks, across, h, most, unit, sum);
                        }
                        Tables::Direct(tables) => one_by_one::<B>(tables, d, h, unit, sum),
                        Tables::Whole(_) => {}
                    }
                }
                for ((out, unit), &sum) in out.iter_mut().zip(unit.iter()).zip(sum.iter()) {
                    *out = unit + ln(sum);
                }
            }
        }
    }
}

impl Lines<'_> {
    /// All lines by kernel products.
    ///
    /// # Safety
    /// The instruction set of `B` is available.
    #[inline(always)]
    unsafe fn multiply<B: Backend>(self, axis: &Axis<f64>) {
        let (d, rest, lanes) = (axis.len(), self.rest, B::D::N);
        let Room { h, unit, .. } = self.room;
        h.stretch(MULTIPLIED * d);
        unit.stretch(MULTIPLIED);
        let groups = self.out.chunks_mut(MULTIPLIED * d);
        for (first, out) in (self.first..).step_by(MULTIPLIED).zip(groups) {
            let count = out.len() / d;
            let unit = &mut unit[..count];
            unit.fill(f64::NEG_INFINITY);
            for x in self.x.chunks_exact(rest) {
                for (unit, &x) in unit.iter_mut().zip(&x[first..first + count]) {
                    *unit = if x > *unit { x } else { *unit };
                }
            }
            for unit in unit.iter_mut() {
                // A line without a term is −∞ in any unit.
                *unit = if *unit == f64::NEG_INFINITY {
                    0.0
                } else {
                    *unit
                };
            }
            let h = &mut h[..d * count];
            for (h, x) in h.chunks_exact_mut(count).zip(self.x.chunks_exact(rest)) {
                for ((h, x), unit) in h.iter_mut().zip(&x[first..first + count]).zip(unit.iter()) {
                    *h = x - unit;
                }
            }
            let (whole, part) = (h.len() / lanes * lanes, h.len() % lanes);
            let p = h.as_mut_ptr();
            // SAFETY: the instruction set is there; all registers but the last are whole, and that has `part` lanes.
            unsafe {
                for j in (0..whole).step_by(lanes) {
                    exp_lanes(B::D::load(p.add(j))).store(p.add(j));
                }
                if part > 0 {
                    exp_lanes(B::D::load_part(p.add(whole), part, 0.0))
                        .store_part(p.add(whole), part);
                }
            }
            // SAFETY: the instruction set is there.
            unsafe { axis.lines::<B>(h, count, out) };
            for (out, unit) in out.chunks_exact_mut(d).zip(unit.iter()) {
                out.iter_mut().for_each(|y| *y = unit + ln(*y));
            }
        }
    }
}

/// One line by pairs of blocks: `unit` and `sum` of each output.
///
/// # Safety
/// The instruction set of `B` is available. Valid are `h`, `unit` and `sum` for blocks·8 elements, `most` for
/// blocks·across, and `across` is `blocks` rounded up to 8.
#[inline(always)]
unsafe fn in_blocks<B: Backend>(
    tables: &Blocks,
    blocks: usize,
    across: usize,
    h: &[f64],
    most: &mut [f64],
    unit: &mut [f64],
    sum: &mut [f64],
) {
    let lanes = B::D::N;
    // Registers of a block: one or two.
    let parts = BLOCK / lanes;
    let (from, turned) = (tables.from.as_ptr(), tables.from_turned.as_ptr());
    let (to, between) = (tables.to.as_ptr(), tables.between.as_ptr());
    let (h, most) = (h.as_ptr(), most.as_mut_ptr());
    // SAFETY: block indices are below `blocks` and distances below 2·blocks − 1, but for lanes of `turned` beyond the
    // last block, for which its rows have room.
    unsafe {
        let none = B::D::splat(f64::NEG_INFINITY);
        for j in 0..blocks {
            let mut i = 0;
            while i < blocks {
                let at = turned.add(i + blocks - 1 - j);
                let mut top = none;
                for b in 0..BLOCK {
                    let h = B::D::splat(*h.add(j * BLOCK + b));
                    top = h.sub(B::D::load(at.add(b * tables.stride))).max(top);
                }
                top.store(most.add(j * across + i));
                i += lanes;
            }
        }
        let mut w = [0.0; BLOCK];
        for i in 0..blocks {
            let mut top = [none; 2];
            for j in 0..blocks {
                let to = to.add((i + blocks - 1 - j) * BLOCK);
                let m = B::D::splat(*most.add(j * across + i));
                for r in 0..parts {
                    top[r] = m.sub(B::D::load(to.add(r * lanes))).max(top[r]);
                }
            }
            let span = B::D::splat(tables.span);
            let mut sums = [B::D::splat(0.0); 2];
            for j in 0..blocks {
                let distance = i + blocks - 1 - j;
                let m = B::D::splat(*most.add(j * across + i));
                let mut bound = [none; 2];
                let mut seen = 0;
                for r in 0..parts {
                    bound[r] = m
                        .sub(B::D::load(to.add(distance * BLOCK + r * lanes)))
                        .sub(top[r]);
                    seen |= B::D::bits(B::D::splat(0.0).lt(bound[r].add(span)));
                }
                if seen == 0 {
                    continue;
                }
                for r in 0..parts {
                    let h = B::D::load(h.add(j * BLOCK + r * lanes));
                    let c = B::D::load(from.add(distance * BLOCK + r * lanes));
                    exp_lanes(h.sub(c).sub(m)).store(w.as_mut_ptr().add(r * lanes));
                }
                let between = between.add(distance * BLOCK * BLOCK);
                for r in 0..parts {
                    let mut here = [B::D::splat(0.0); 2];
                    for b in 0..BLOCK {
                        let k = B::D::load(between.add(b * BLOCK + r * lanes));
                        here[b % 2] = B::D::splat(w[b]).fma(k, here[b % 2]);
                    }
                    sums[r] = exp_lanes(bound[r]).fma(here[0].add(here[1]), sums[r]);
                }
            }
            for r in 0..parts {
                top[r].store(unit.as_mut_ptr().add(i * BLOCK + r * lanes));
                sums[r].store(sum.as_mut_ptr().add(i * BLOCK + r * lanes));
            }
        }
    }
}

/// One line, every exponent looked at.
///
/// # Safety
/// The instruction set of `B` is available. Valid are `h` for d elements rounded up to 8 (−∞ from d on), `unit` and
/// `sum` for d.
#[inline(always)]
unsafe fn one_by_one<B: Backend>(
    tables: &Direct,
    d: usize,
    h: &[f64],
    unit: &mut [f64],
    sum: &mut [f64],
) {
    let lanes = B::D::N;
    let h = h.as_ptr();
    // SAFETY: d − 1 − i + j + lanes ≤ 2d − 1 + 8, the length of the tables; j + lanes is at most d rounded up.
    unsafe {
        let none = B::D::splat(f64::NEG_INFINITY);
        for i in 0..d {
            let c = tables.cost.as_ptr().add(d - 1 - i);
            let mut top = none;
            for j in (0..d).step_by(lanes) {
                top = B::D::load(h.add(j)).sub(B::D::load(c.add(j))).max(top);
            }
            let top = top.largest();
            let (shift, seen) = (
                B::D::splat(top),
                B::D::splat(top - UNSEEN - (d as f64).ln()),
            );
            let mut total = B::D::splat(0.0);
            for j in (0..d).step_by(lanes) {
                let x = B::D::load(h.add(j)).sub(B::D::load(c.add(j)));
                if B::D::bits(seen.lt(x)) == 0 {
                    continue;
                }
                let e = exp_lanes(x.sub(shift));
                total = match &tables.weights {
                    Some(w) => e.fma(B::D::load(w.as_ptr().add(d - 1 - i + j)), total),
                    None => total.add(e),
                };
            }
            unit[i] = top;
            sum[i] = total.sum();
        }
    }
}

/// `out_i = ln Σ_j exp(x_j − Σ_k c_k(|i_k − j_k|))`, c in units of ε: the logarithm of a kernel product of e^x, safe at
/// any ε. `x` is one array of Π d_k cells, row-major; entries may be −∞ (no term); a line with +∞ or NaN gives NaN.
/// `room` is as long as `out`. With `share`, passes are shared among the current pool's threads; the bits are the same.
///
/// For each cell and axis of d cells: 2 d flops, an exponential and a logarithm where the axis is short beside ε; else
/// d/8 pairs of blocks, 13 instructions each where nothing is to be seen, 65 with exponential and products. Floor: the
/// exponentials of all pairs of a line, which it undercuts: `cargo bench -p benches --bench separable` measures it.
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn log_sum_exp(axes: &[&LogAxis], x: &[f64], out: &mut [f64], room: &mut [f64], share: bool) {
    log_sum_exp_with(isa(), axes, x, out, room, share);
}

/// [`log_sum_exp`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn log_sum_exp_with(
    isa: Isa,
    axes: &[&LogAxis],
    x: &[f64],
    out: &mut [f64],
    room: &mut [f64],
    share: bool,
) {
    let cells: usize = axes.iter().map(|axis| axis.d).product();
    assert!(!axes.is_empty(), "an array needs axes");
    assert!(
        x.len() == cells && out.len() == cells && room.len() == cells,
        "log_sum_exp: lengths do not match"
    );
    in_turns(axes.len(), x, out, room, |k, x, out| {
        let axis = axes[k];
        let d = axis.d;
        let rest = cells / d;
        let lines = |first: usize, out: &mut [f64], room: &mut Room| {
            run(
                isa,
                Lines {
                    axis,
                    x,
                    rest,
                    first,
                    out,
                    room,
                },
            );
        };
        if !share || cells.saturating_mul(d) < WORK_TO_SHARE {
            lines(0, out, &mut Room::default());
            return;
        }
        let size = lines_a_task(d).next_multiple_of(MULTIPLIED);
        out.par_chunks_mut(size * d).enumerate().for_each_init(
            Room::default,
            |room, (task, out)| {
                lines(task * size, out, room);
            },
        );
    });
}
