//! The loops over a tile.

use super::{LANES, QUAD, SIDE};
use crate::simd::{Backend, Elem, Kernel, Lanes};

/// 2^x of a register. `CLAMPED`: what leaves the normal numbers becomes the last one that does not; otherwise the caller
/// knows that nothing does.
///
/// # Safety
/// The instruction set of `V` is available.
#[inline(always)]
unsafe fn exp2_lanes<V: Lanes, const CLAMPED: bool>(x: V) -> V {
    let c = V::E::EXP;
    // SAFETY: the caller's promise; no memory is touched.
    unsafe {
        let x = if CLAMPED {
            x.min(V::splat(c.highest2)).max(V::splat(c.lowest2))
        } else {
            x
        };
        let magic = V::splat(c.magic);
        let t = x.add(magic);
        let r = x.sub(t.sub(magic));
        let mut p = V::splat(c.poly2[0]);
        for &coefficient in &c.poly2[1..] {
            p = p.fma(r, V::splat(coefficient));
        }
        p.add_exponent(t)
    }
}

/// Extremes of the columns' biases, and the largest ‖v‖².
pub(super) struct Reach {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) square: f64,
}

/// Columns about the rows' centre: v, and (g − ‖v‖²)/ε + shift.
pub(super) struct Points<'a, T> {
    pub(super) y: &'a [f64],
    pub(super) g: &'a [f64],
    pub(super) b: &'a [f64],
    pub(super) centre: &'a [f64],
    pub(super) per_unit: f64,
    pub(super) shift: f64,
    pub(super) bias: &'a mut [T],
    pub(super) weights: &'a mut [T],
    pub(super) coords: &'a mut [T],
}

impl<T: Elem> Kernel for Points<'_, T> {
    type Out = Reach;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> Reach {
        let lanes = <B::D as Lanes>::N;
        let (y, coords) = (self.y.as_ptr(), self.coords.as_mut_ptr());
        // SAFETY: `take_columns` has checked that g, b, bias and weights hold SIDE entries, y and coords SIDE for each
        // coordinate; lanes divide SIDE.
        unsafe {
            let (per_unit, shift) = (B::D::splat(self.per_unit), B::D::splat(self.shift));
            let mut low = B::D::splat(f64::INFINITY);
            let mut high = B::D::splat(f64::NEG_INFINITY);
            let mut most = B::D::splat(0.0);
            let mut j = 0;
            while j < SIDE {
                let mut square = B::D::splat(0.0);
                for (k, &c) in self.centre.iter().enumerate() {
                    let v = B::D::load(y.add(k * SIDE + j)).sub(B::D::splat(c));
                    square = v.fma(v, square);
                    T::store64(v, coords.add(k * SIDE + j));
                }
                let g = B::D::load(self.g.as_ptr().add(j));
                let bias = g.sub(square).fma(per_unit, shift);
                // In this order a NaN stays.
                low = low.min(bias);
                high = high.max(bias);
                most = most.max(square);
                T::store64(bias, self.bias.as_mut_ptr().add(j));
                T::store64(
                    B::D::load(self.b.as_ptr().add(j)),
                    self.weights.as_mut_ptr().add(j),
                );
                j += lanes;
            }
            Reach {
                low: low.smallest(),
                high: high.largest(),
                square: most.largest(),
            }
        }
    }
}

/// Exponents ((f + g) − C)/ε of a tile of costs, in f64 and then rounded.
pub(super) struct Costs<'a, T> {
    pub(super) costs: &'a [f64],
    pub(super) f: &'a [f64],
    pub(super) g: &'a [f64],
    pub(super) b: &'a [f64],
    pub(super) per_unit: f64,
    pub(super) weights: &'a mut [T],
    pub(super) exponents: &'a mut [T],
}

impl<T: Elem> Kernel for Costs<'_, T> {
    type Out = Reach;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> Reach {
        let lanes = <B::D as Lanes>::N;
        // SAFETY: `take_costs` has checked that costs holds SIDE entries for each of f, g and b SIDE; weights hold SIDE
        // and exponents SIDE² entries; lanes divide SIDE.
        unsafe {
            let per_unit = B::D::splat(self.per_unit);
            let mut low = B::D::splat(f64::INFINITY);
            let mut high = B::D::splat(f64::NEG_INFINITY);
            for (i, &f) in self.f.iter().enumerate() {
                let f = B::D::splat(f);
                let mut j = 0;
                while j < SIDE {
                    let c = B::D::load(self.costs.as_ptr().add(i * SIDE + j));
                    let g = B::D::load(self.g.as_ptr().add(j));
                    let x = f.add(g).sub(c).mul(per_unit);
                    low = low.min(x);
                    high = high.max(x);
                    T::store64(x, self.exponents.as_mut_ptr().add(i * SIDE + j));
                    j += lanes;
                }
            }
            let mut j = 0;
            while j < SIDE {
                let b = B::D::load(self.b.as_ptr().add(j));
                T::store64(b, self.weights.as_mut_ptr().add(j));
                j += lanes;
            }
            Reach {
                low: low.smallest(),
                high: high.largest(),
                square: 0.0,
            }
        }
    }
}

/// The tile itself. `D`: the dimension of the points, 0 for one that is known at run time, `usize::MAX` where exponents
/// are given.
pub(super) struct Weigh<'a, T, const D: usize> {
    pub(super) dim: usize,
    pub(super) rows: usize,
    pub(super) bias: &'a [T],
    pub(super) weights: &'a [T],
    pub(super) factors: &'a [T],
    pub(super) sums: &'a mut [T],
    pub(super) prices: &'a mut [T],
    pub(super) tops: &'a mut [T],
    pub(super) col_bias: &'a [T],
    pub(super) col_weights: &'a [T],
    pub(super) col_coords: &'a [T],
    pub(super) col_sums: &'a mut [T],
    pub(super) col_tops: &'a mut [T],
    pub(super) exponents: &'a [T],
    pub(super) priced: bool,
    pub(super) clamped: bool,
}

impl<T: Elem, const D: usize> Kernel for Weigh<'_, T, D> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.priced, self.clamped) {
                (false, false) => self.tile::<B, false, false>(),
                (false, true) => self.tile::<B, false, true>(),
                // Priced passes are few: one form for both.
                (true, _) => self.tile::<B, true, true>(),
            }
        }
    }
}

impl<T: Elem, const D: usize> Weigh<'_, T, D> {
    /// For each pair: d multiply-adds for the exponent and an addition, 2^x, and one multiply-add for either sum.
    ///
    /// # Safety
    /// The instruction set of `B` is available.
    #[inline(always)]
    unsafe fn tile<B: Backend, const PRICED: bool, const CLAMPED: bool>(self) {
        let lanes = <T::V<B> as Lanes>::N;
        let dim = if D == 0 { self.dim } else { D };
        let (sums, prices) = (self.sums.as_mut_ptr(), self.prices.as_mut_ptr());
        let (tops, col_tops) = (self.tops.as_mut_ptr(), self.col_tops.as_mut_ptr());
        let (col_bias, col_weights) = (self.col_bias.as_ptr(), self.col_weights.as_ptr());
        let (coords, col_sums) = (self.col_coords.as_ptr(), self.col_sums.as_mut_ptr());
        self.col_sums.fill(T::ZERO);
        if PRICED {
            self.col_tops.fill(T::from_f64(f64::NEG_INFINITY));
        }
        // SAFETY: rows ≤ SIDE is a multiple of QUAD; sums, prices and tops hold LANES entries for each of SIDE rows, a register
        // no more than LANES lanes; the columns' arrays hold SIDE entries (coords for each coordinate), exponents
        // SIDE² where D says that they are given; lanes divide SIDE. Checked or made so by `Tile`.
        unsafe {
            let zero = <T::V<B>>::splat(T::ZERO);
            let mut i = 0;
            while i < self.rows {
                let (mut sum, mut price, mut top) = ([zero; QUAD], [zero; QUAD], [zero; QUAD]);
                let (mut bias, mut weight) = ([zero; QUAD], [zero; QUAD]);
                for q in 0..QUAD {
                    let at = (i + q) * LANES;
                    sum[q] = <T::V<B>>::load(sums.add(at));
                    if PRICED {
                        price[q] = <T::V<B>>::load(prices.add(at));
                        top[q] = <T::V<B>>::load(tops.add(at));
                    }
                    bias[q] = <T::V<B>>::splat(*self.bias.get_unchecked(i + q));
                    weight[q] = <T::V<B>>::splat(*self.weights.get_unchecked(i + q));
                }
                let factors = self
                    .factors
                    .as_ptr()
                    .add(if D == usize::MAX { 0 } else { i * dim });
                let mut j = 0;
                while j < SIDE {
                    let mut x = [zero; QUAD];
                    if D == usize::MAX {
                        for q in 0..QUAD {
                            let at = (i + q) * SIDE + j;
                            x[q] = <T::V<B>>::load(self.exponents.as_ptr().add(at));
                        }
                    } else {
                        let g = <T::V<B>>::load(col_bias.add(j));
                        for q in 0..QUAD {
                            x[q] = bias[q].add(g);
                        }
                        for k in 0..dim {
                            let v = <T::V<B>>::load(coords.add(k * SIDE + j));
                            for q in 0..QUAD {
                                let u = <T::V<B>>::splat(*factors.add(q * dim + k));
                                x[q] = v.fma(u, x[q]);
                            }
                        }
                    }
                    let b = <T::V<B>>::load(col_weights.add(j));
                    let mut col = <T::V<B>>::load(col_sums.add(j));
                    for q in 0..QUAD {
                        let e = exp2_lanes::<_, CLAMPED>(x[q]);
                        sum[q] = e.fma(b, sum[q]);
                        col = e.fma(weight[q], col);
                        if PRICED {
                            // An exponent of −∞ belongs to no mass.
                            let lowest = <T::V<B>>::splat(T::EXP.lowest2);
                            price[q] = e.mul(b).fma(x[q].max(lowest), price[q]);
                            top[q] = x[q].max(top[q]);
                        }
                    }
                    if PRICED {
                        let mut col_top = <T::V<B>>::load(col_tops.add(j));
                        for q in 0..QUAD {
                            col_top = x[q].max(col_top);
                        }
                        col_top.store(col_tops.add(j));
                    }
                    col.store(col_sums.add(j));
                    j += lanes;
                }
                for q in 0..QUAD {
                    let at = (i + q) * LANES;
                    sum[q].store(sums.add(at));
                    if PRICED {
                        price[q].store(prices.add(at));
                        top[q].store(tops.add(at));
                    }
                }
                i += QUAD;
            }
        }
    }
}
