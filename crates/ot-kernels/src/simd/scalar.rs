//! One lane: single entries go through the same code as rows, and so get the same bits.

use super::{Elem, Lanes};

#[derive(Clone, Copy)]
pub(crate) struct Scalar<E>(pub(crate) E);

impl<E: Elem> Lanes for Scalar<E> {
    type E = E;
    type M = bool;
    const N: usize = 1;
    const FUSED: bool = false;

    #[inline(always)]
    unsafe fn splat(x: E) -> Self {
        Self(x)
    }
    #[inline(always)]
    unsafe fn load(p: *const E) -> Self {
        // SAFETY: valid for one element by the contract of `Lanes`.
        Self(unsafe { p.read() })
    }
    #[inline(always)]
    unsafe fn load_part(p: *const E, n: usize, fill: E) -> Self {
        // SAFETY: valid for n elements by the contract of `Lanes`.
        Self(if n > 0 { unsafe { p.read() } } else { fill })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut E) {
        // SAFETY: valid for one element by the contract of `Lanes`.
        unsafe { p.write(self.0) };
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut E, n: usize) {
        if n > 0 {
            // SAFETY: valid for n elements by the contract of `Lanes`.
            unsafe { p.write(self.0) };
        }
    }
    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        Self(self.0.plus(o.0))
    }
    #[inline(always)]
    unsafe fn sub(self, o: Self) -> Self {
        Self(self.0.minus(o.0))
    }
    #[inline(always)]
    unsafe fn mul(self, o: Self) -> Self {
        Self(self.0.times(o.0))
    }
    #[inline(always)]
    unsafe fn div(self, o: Self) -> Self {
        Self(self.0.over(o.0))
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(self.0.root())
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(self.0.magnitude())
    }
    #[inline(always)]
    unsafe fn min(self, o: Self) -> Self {
        if self.0 < o.0 { self } else { o }
    }
    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        if self.0 > o.0 { self } else { o }
    }
    #[inline(always)]
    unsafe fn fma(self, m: Self, a: Self) -> Self {
        Self(self.0.times(m.0).plus(a.0))
    }
    #[inline(always)]
    unsafe fn fnma(self, m: Self, a: Self) -> Self {
        Self(a.0.minus(self.0.times(m.0)))
    }
    #[inline(always)]
    unsafe fn lt(self, o: Self) -> bool {
        self.0 < o.0
    }
    #[inline(always)]
    #[allow(clippy::neg_cmp_op_on_partial_ord)] // true for NaN, as documented
    unsafe fn not_le(self, o: Self) -> bool {
        !(self.0 <= o.0)
    }
    #[inline(always)]
    unsafe fn bits(m: bool) -> u32 {
        u32::from(m)
    }
    #[inline(always)]
    unsafe fn select(m: bool, yes: Self, no: Self) -> Self {
        if m { yes } else { no }
    }
    #[inline(always)]
    unsafe fn add_exponent(self, t: Self) -> Self {
        Self(self.0.add_exponent(t.0))
    }
}
