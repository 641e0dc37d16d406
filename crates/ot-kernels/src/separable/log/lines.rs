//! Lines of an array on their way through one axis.

use super::axis::{Blocks, Direct, LogAxis, Tables};
use super::{BLOCK, MULTIPLIED, TOGETHER, UNSEEN};
use crate::aligned::Aligned;
use crate::exp::exp_lanes;
use crate::ln::ln_lane as ln;
use crate::separable::product::Axis;
use crate::simd::{Backend, Kernel, Lanes};

/// What the lines of one task need room for: to be kept from call to call.
#[derive(Debug, Default)]
pub struct Room {
    /// Lines side by side, each `padded` long.
    h: Aligned<f64>,
    /// Largest exponents of block pairs: `[J][I]`, rows `padded blocks` apart.
    most: Aligned<f64>,
    /// Logarithm of the unit of each output of a line, and its sum in that unit.
    unit: Aligned<f64>,
    sum: Aligned<f64>,
}

/// Some lines of an array d × rest, from `first` on; `out` has d entries for each.
pub(super) struct Lines<'a> {
    pub(super) axis: &'a LogAxis,
    pub(super) x: &'a [f64],
    pub(super) rest: usize,
    pub(super) first: usize,
    pub(super) out: &'a mut [f64],
    pub(super) room: &'a mut Room,
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
