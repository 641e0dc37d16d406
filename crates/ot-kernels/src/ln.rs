//! Logarithms of slices, and the sums of them that weighted geometric means are made of.
//!
//! Method: x = 2^k·m with m from √½ to √2, ln m = 2 artanh((m − 1)/(m + 1)) by its series to the 21st power, ln 2 in two
//! parts. Written without branches on plain numbers: on every instruction set the compiler makes registers of it.
//!
//! Error where x is normal: at most 2 ulp, or 2 ulp of 1 near x = 1. What is below the smallest normal number is taken for
//! 0, as [`exp`](crate::exp) takes it, and has the logarithm −∞. Negative numbers and NaN have none: NaN.

use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Kernel, run};

/// ln x for x ≥ 0 and finite; −∞ below the normal numbers, NaN for what is not finite.
#[inline(always)]
pub(crate) fn ln_lane(x: f64) -> f64 {
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

/// The same for every number.
#[inline(always)]
fn ln_of_any(x: f64) -> f64 {
    let y = ln_lane(x);
    let y = if x == f64::INFINITY { x } else { y };
    if x < 0.0 { f64::NAN } else { y }
}

struct Ln<'a> {
    x: &'a [f64],
    out: &'a mut [f64],
}

impl Kernel for Ln<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = ln_of_any(x);
        }
    }
}

/// `out_j = ln x_j`. Reads 8 bytes an element, writes 8; 25 flops and a division.
///
/// # Panics
/// If the lengths differ.
pub fn ln(x: &[f64], out: &mut [f64]) {
    ln_with(isa(), x, out);
}

/// [`ln`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn ln_with(isa: Isa, x: &[f64], out: &mut [f64]) {
    assert_eq!(x.len(), out.len(), "ln: lengths differ");
    run(isa, Ln { x, out });
}

struct AddLn<'a> {
    weight: f64,
    x: &'a [f64],
    out: &'a mut [f64],
}

impl Kernel for AddLn<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let weight = self.weight;
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out += weight * ln_of_any(x);
        }
    }
}

/// `out_j += weight · ln x_j`: one factor of a weighted geometric mean. Reads 16 bytes an element, writes 8; 27 flops and
/// a division.
///
/// # Panics
/// If the lengths differ.
pub fn add_ln(weight: f64, x: &[f64], out: &mut [f64]) {
    add_ln_with(isa(), weight, x, out);
}

/// [`add_ln`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn add_ln_with(isa: Isa, weight: f64, x: &[f64], out: &mut [f64]) {
    assert_eq!(x.len(), out.len(), "add_ln: lengths differ");
    run(isa, AddLn { weight, x, out });
}
