//! What a scaling algorithm does between two kernel products, element by element: scalings from sums, and how far
//! they are from their marginal.
//!
//! In f64 or f32 throughout, the sums in registers included: one for each lane, added in a fixed order.

use crate::dispatch::{Isa, isa};
use crate::exp::exp_lanes;
use crate::simd::{Backend, Elem, Kernel, Lanes, Lanes64, run};

/// What a column update saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Σ |v t − b|; NaN or infinite if anything was.
    pub error: f64,
    /// The smallest t where b > 0; a NaN is passed over.
    pub least: f64,
    /// The largest t where b > 0; a NaN is passed over.
    pub largest: f64,
}

/// Loads the lanes from `j` on, those beyond `n` as zeros.
///
/// # Safety
/// The instruction set of `V` is available, and `x` is valid for `n` elements; `j < n`.
#[inline(always)]
unsafe fn at<V: Lanes>(x: *const V::E, j: usize, n: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        if j + V::N <= n {
            V::load(x.add(j))
        } else {
            V::load_part(x.add(j), n - j, V::E::ZERO)
        }
    }
}

/// Stores the lanes from `j` on, those below `n`.
///
/// # Safety
/// As [`at`].
#[inline(always)]
unsafe fn put<V: Lanes>(v: V, x: *mut V::E, j: usize, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if j + V::N <= n {
            v.store(x.add(j));
        } else {
            v.store_part(x.add(j), n - j);
        }
    }
}

struct Measure<'a, T> {
    b: &'a [T],
    t: &'a [T],
    v: &'a [T],
}

impl<T: Elem> Kernel for Measure<'_, T> {
    type Out = Seen;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> Seen {
        let n = self.b.len();
        // SAFETY: the three slices have n elements (checked by the caller of the kernel).
        unsafe {
            let (zero, infinity) = (T::V::<B>::splat(T::ZERO), T::V::<B>::splat(T::INFINITY));
            let (mut error, mut least, mut largest) = (zero, infinity, zero);
            let mut j = 0;
            while j < n {
                let b: T::V<B> = at(self.b.as_ptr(), j, n);
                let t: T::V<B> = at(self.t.as_ptr(), j, n);
                let v: T::V<B> = at(self.v.as_ptr(), j, n);
                error = error.add(v.mul(t).sub(b).abs());
                let weighs = zero.lt(b);
                let low = T::V::<B>::select(weighs, t, infinity);
                let high = T::V::<B>::select(weighs, t, zero);
                least = T::V::<B>::select(low.lt(least), low, least);
                largest = T::V::<B>::select(largest.lt(high), high, largest);
                j += T::V::<B>::N;
            }
            Seen {
                error: error.sum().into(),
                least: least.smallest().into(),
                largest: largest.largest().into(),
            }
        }
    }
}

/// The column error of the pair whose products are `t`, and the extremes of `t`. Per element: 24 (or 12) bytes
/// read, 4 flops.
///
/// # Panics
/// If the lengths differ.
pub fn measure<T: Elem>(b: &[T], t: &[T], v: &[T]) -> Seen {
    measure_with(isa(), b, t, v)
}

/// [`measure`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn measure_with<T: Elem>(isa: Isa, b: &[T], t: &[T], v: &[T]) -> Seen {
    assert!(
        b.len() == t.len() && b.len() == v.len(),
        "measure: lengths differ"
    );
    run(isa, Measure { b, t, v })
}

struct Divide<'a, T> {
    b: &'a [T],
    t: &'a [T],
    v: &'a mut [T],
}

impl<T: Elem> Kernel for Divide<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let n = self.b.len();
        let out = self.v.as_mut_ptr();
        // SAFETY: the three slices have n elements (checked by the caller of the kernel).
        unsafe {
            let zero = T::V::<B>::splat(T::ZERO);
            let mut j = 0;
            while j < n {
                let b: T::V<B> = at(self.b.as_ptr(), j, n);
                let t: T::V<B> = at(self.t.as_ptr(), j, n);
                put(T::V::<B>::select(zero.lt(b), b.div(t), zero), out, j, n);
                j += T::V::<B>::N;
            }
        }
    }
}

/// v = b / t, and 0 where b = 0. Per element: 16 (or 8) bytes read, 8 (or 4) written, a division.
///
/// # Panics
/// If the lengths differ.
pub fn divide<T: Elem>(b: &[T], t: &[T], v: &mut [T]) {
    divide_with(isa(), b, t, v);
}

/// [`divide`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths differ.
pub fn divide_with<T: Elem>(isa: Isa, b: &[T], t: &[T], v: &mut [T]) {
    assert!(
        b.len() == t.len() && b.len() == v.len(),
        "divide: lengths differ"
    );
    run(isa, Divide { b, t, v });
}

/// `out_j = exp(log_w_j − power·ln t_j)`, and 0 where `log_w_j` = −∞: logarithms lane by lane with the standard library
/// (about 5 ns each), exponentials in registers.
///
/// # Safety
/// The instruction set of `V` is available; the three pointers are valid for `n` elements, `out` for writing.
#[inline(always)]
pub(crate) unsafe fn soften_lanes<V: Lanes<E = f64>>(
    log_w: *const f64,
    power: f64,
    t: *const f64,
    out: *mut f64,
    n: usize,
) {
    // SAFETY: the caller's promise; j < n.
    unsafe {
        let (power, lowest) = (V::splat(power), V::splat(f64::MIN));
        let mut j = 0;
        while j < n {
            let w: V = at(log_w, j, n);
            let t: V = at(t, j, n);
            let x = t.map(f64::ln).fnma(power, w);
            // −∞ is below every number; and where it is not, a NaN of t stays.
            let none = w.lt(lowest);
            put(V::select(none, V::splat(0.0), exp_lanes(x)), out, j, n);
            j += V::N;
        }
    }
}

struct Soften<'a> {
    log_w: &'a [f64],
    power: f64,
    t: &'a [f64],
    out: &'a mut [f64],
}

impl Kernel for Soften<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let n = self.log_w.len();
        let (log_w, t) = (self.log_w.as_ptr(), self.t.as_ptr());
        // SAFETY: the three slices have n elements (checked by the caller of the kernel).
        unsafe { soften_lanes::<B::D>(log_w, self.power, t, self.out.as_mut_ptr(), n) }
    }
}

/// The scaling of a KL-relaxed marginal: `out_j = exp(log_w_j − power·ln t_j)`, and 0 where `log_w_j` = −∞. Per element:
/// 16 bytes read, 8 written, one logarithm and one exponential.
///
/// # Panics
/// If the lengths differ.
pub fn soften(log_w: &[f64], power: f64, t: &[f64], out: &mut [f64]) {
    soften_with(isa(), log_w, power, t, out);
}

/// [`soften`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn soften_with(isa: Isa, log_w: &[f64], power: f64, t: &[f64], out: &mut [f64]) {
    assert!(
        log_w.len() == t.len() && log_w.len() == out.len(),
        "soften: lengths differ"
    );
    run(
        isa,
        Soften {
            log_w,
            power,
            t,
            out,
        },
    );
}

struct Narrowed<'a> {
    k: &'a [f64],
    row: f64,
    cols: &'a [f64],
    out: &'a mut [f32],
}

impl Kernel for Narrowed<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, lanes) = (self.k.len(), B::D::N);
        // SAFETY: the three slices have n elements (checked by the caller of the kernel), j < n.
        unsafe {
            let (row, zero) = (B::D::splat(self.row), B::D::splat(0.0));
            let smallest = B::D::splat(f32::MIN_POSITIVE.into());
            let mut j = 0;
            while j < n {
                let k: B::D = at(self.k.as_ptr(), j, n);
                let x = k.mul(row).mul(at(self.cols.as_ptr(), j, n));
                let x = B::D::select(x.lt(smallest), zero, x);
                if j + lanes <= n {
                    x.store_f32(self.out.as_mut_ptr().add(j));
                } else {
                    x.store_f32_part(self.out.as_mut_ptr().add(j), n - j);
                }
                j += lanes;
            }
        }
    }
}

/// out_j = k_j · row · cols_j in f32, and 0 below its normal numbers. Per element: 16 bytes read, 4 written.
///
/// # Panics
/// If the lengths differ.
pub fn narrow_row(k: &[f64], row: f64, cols: &[f64], out: &mut [f32]) {
    narrow_row_with(isa(), k, row, cols, out);
}

/// [`narrow_row`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths differ.
pub fn narrow_row_with(isa: Isa, k: &[f64], row: f64, cols: &[f64], out: &mut [f32]) {
    assert!(
        k.len() == cols.len() && k.len() == out.len(),
        "narrow_row: lengths differ"
    );
    run(isa, Narrowed { k, row, cols, out });
}

struct Rescale<'a, T> {
    b: &'a [T],
    v: &'a [T],
    t: &'a mut [T],
}

impl<T: Elem> Kernel for Rescale<'_, T> {
    type Out = Seen;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> Seen {
        let n = self.b.len();
        let out = self.t.as_mut_ptr();
        // SAFETY: the three slices have n elements (checked by the caller of the kernel).
        unsafe {
            let (zero, infinity) = (T::V::<B>::splat(T::ZERO), T::V::<B>::splat(T::INFINITY));
            let (mut error, mut least, mut largest) = (zero, infinity, zero);
            let mut j = 0;
            while j < n {
                let b: T::V<B> = at(self.b.as_ptr(), j, n);
                let v: T::V<B> = at(self.v.as_ptr(), j, n);
                let t: T::V<B> = at(out, j, n);
                error = error.add(v.mul(t).sub(b).abs());
                let weighs = zero.lt(b);
                let low = T::V::<B>::select(weighs, t, infinity);
                let high = T::V::<B>::select(weighs, t, zero);
                least = T::V::<B>::select(low.lt(least), low, least);
                largest = T::V::<B>::select(largest.lt(high), high, largest);
                put(T::V::<B>::select(weighs, b.div(t), zero), out, j, n);
                j += T::V::<B>::N;
            }
            Seen {
                error: error.sum().into(),
                least: least.smallest().into(),
                largest: largest.largest().into(),
            }
        }
    }
}

/// [`measure`] and [`divide`] in one: t = b / t, the scaling that comes after `v`. Per element: 24 (or 12) bytes read,
/// 8 (or 4) written, a division.
///
/// # Panics
/// If the lengths differ.
pub fn rescale<T: Elem>(b: &[T], v: &[T], t: &mut [T]) -> Seen {
    rescale_with(isa(), b, v, t)
}

/// [`rescale`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn rescale_with<T: Elem>(isa: Isa, b: &[T], v: &[T], t: &mut [T]) -> Seen {
    assert!(
        b.len() == t.len() && b.len() == v.len(),
        "rescale: lengths differ"
    );
    run(isa, Rescale { b, v, t })
}

struct DivideInto<'a, T> {
    a: &'a [T],
    x: &'a mut [T],
}

impl<T: Elem> Kernel for DivideInto<'_, T> {
    type Out = (f64, f64);
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> (f64, f64) {
        let n = self.a.len();
        let x = self.x.as_mut_ptr();
        // SAFETY: both slices have n elements (checked by the caller of the kernel).
        unsafe {
            let (zero, infinity) = (T::V::<B>::splat(T::ZERO), T::V::<B>::splat(T::INFINITY));
            let (mut least, mut largest) = (infinity, zero);
            let mut j = 0;
            while j < n {
                let a: T::V<B> = at(self.a.as_ptr(), j, n);
                let s: T::V<B> = at(x, j, n);
                let weighs = zero.lt(a);
                let low = T::V::<B>::select(weighs, s, infinity);
                let high = T::V::<B>::select(weighs, s, zero);
                least = T::V::<B>::select(low.lt(least), low, least);
                largest = T::V::<B>::select(largest.lt(high), high, largest);
                put(T::V::<B>::select(weighs, a.div(s), zero), x, j, n);
                j += T::V::<B>::N;
            }
            (least.smallest().into(), largest.largest().into())
        }
    }
}

/// x = a / x, and 0 where a = 0. Returns the extremes of `x` as it came, where a > 0: (+∞, 0) if nowhere; a NaN is
/// passed over. Per element: 16 (or 8) bytes read, 8 (or 4) written, a division.
///
/// # Panics
/// If the lengths differ.
pub fn divide_into<T: Elem>(a: &[T], x: &mut [T]) -> (f64, f64) {
    divide_into_with(isa(), a, x)
}

/// [`divide_into`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths differ.
pub fn divide_into_with<T: Elem>(isa: Isa, a: &[T], x: &mut [T]) -> (f64, f64) {
    assert_eq!(a.len(), x.len(), "divide_into: lengths differ");
    run(isa, DivideInto { a, x })
}

struct Price<'a> {
    k: &'a [f64],
    c: &'a [f64],
    v: &'a [f64],
}

impl Kernel for Price<'_> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let n = self.k.len();
        // SAFETY: the three slices have n elements (checked by the caller of the kernel).
        unsafe {
            let zero = B::D::splat(0.0);
            let mut sum = zero;
            let mut j = 0;
            while j < n {
                let k: B::D = at(self.k.as_ptr(), j, n);
                let c: B::D = at(self.c.as_ptr(), j, n);
                let v: B::D = at(self.v.as_ptr(), j, n);
                sum = B::D::select(zero.lt(k), k.mul(c), zero).fma(v, sum);
                j += B::D::N;
            }
            sum.sum()
        }
    }
}

/// Σ_j K_j C_j v_j of one row, where K_j = 0 costs nothing even if C_j is infinite. Per element: 24 bytes read,
/// 3 flops.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn price(k: &[f64], c: &[f64], v: &[f64]) -> f64 {
    price_with(isa(), k, c, v)
}

/// [`price`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn price_with(isa: Isa, k: &[f64], c: &[f64], v: &[f64]) -> f64 {
    assert!(
        k.len() == c.len() && k.len() == v.len(),
        "price: lengths differ"
    );
    run(isa, Price { k, c, v })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_length<T: Elem>(tolerance: f64) {
        for isa in Isa::available() {
            for n in 0..40_usize {
                let numbers =
                    |f: fn(usize) -> f64| -> Vec<T> { (0..n).map(|k| T::from_f64(f(k))).collect() };
                let b = numbers(|k| (k % 3) as f64);
                let t = numbers(|k| 1.0 + k as f64);
                let v = numbers(|_| 0.5);
                let seen = measure_with(isa, &b, &t, &v);
                let terms = (0..n).map(|k| (0.5 * (1.0 + k as f64) - (k % 3) as f64).abs());
                assert!((seen.error - terms.sum::<f64>()).abs() < tolerance);
                let weighted = || (0..n).filter(|k| k % 3 > 0).map(|k| 1.0 + k as f64);
                assert_eq!(seen.least, weighted().fold(f64::INFINITY, f64::min));
                assert_eq!(seen.largest, weighted().fold(0.0, f64::max));
                let (mut quotients, mut in_place) = (numbers(|_| 9.0), t.clone());
                divide_with(isa, &b, &t, &mut quotients);
                let extremes = divide_into_with(isa, &b, &mut in_place);
                assert_eq!(quotients, in_place);
                assert_eq!(extremes, (seen.least, seen.largest));
                let mut at_once = t.clone();
                assert_eq!(rescale_with(isa, &b, &v, &mut at_once), seen);
                assert_eq!(at_once, quotients);
                for k in 0..n {
                    let (b, t): (f64, f64) = (b[k].into(), t[k].into());
                    let want = if b > 0.0 { T::from_f64(b / t) } else { T::ZERO };
                    assert_eq!(quotients[k], want);
                }
            }
        }
    }

    #[test]
    fn every_length_and_zero_weights() {
        every_length::<f64>(1e-12);
        every_length::<f32>(1e-3);
    }

    #[test]
    fn what_is_not_sent_costs_nothing() {
        for isa in Isa::available() {
            for n in 0..40_usize {
                let zero = |j: usize| j % 4 == 1;
                let k: Vec<f64> = (0..n).map(|j| f64::from(u8::from(!zero(j)))).collect();
                let c: Vec<f64> = (0..n)
                    .map(|j| if zero(j) { f64::INFINITY } else { j as f64 })
                    .collect();
                let v: Vec<f64> = (0..n).map(|j| (j + 1) as f64).collect();
                let want: usize = (0..n).filter(|&j| !zero(j)).map(|j| j * (j + 1)).sum();
                assert_eq!(price_with(isa, &k, &c, &v), want as f64);
            }
        }
    }

    #[test]
    fn what_f32_cannot_hold_is_zero() {
        for isa in Isa::available() {
            for n in 0..40_usize {
                let k: Vec<f64> = (0..n).map(|j| 10.0_f64.powi(-(j as i32))).collect();
                let cols: Vec<f64> = (0..n).map(|j| 0.5 + (j % 3) as f64).collect();
                let mut out = vec![9.0; n];
                narrow_row_with(isa, &k, 0.25, &cols, &mut out);
                for j in 0..n {
                    let want = k[j] * 0.25 * cols[j];
                    let lost = want < f64::from(f32::MIN_POSITIVE);
                    assert_eq!(out[j], if lost { 0.0 } else { want as f32 });
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_shows() {
        for isa in Isa::available() {
            let seen = measure_with(isa, &[1.0_f32, 1.0], &[f32::NAN, 1.0], &[1.0, 1.0]);
            assert!(seen.error.is_nan());
            let seen = measure_with(isa, &[1.0], &[0.0], &[1.0]);
            assert_eq!((seen.least, seen.error), (0.0, 1.0));
        }
    }
}
