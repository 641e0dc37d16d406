//! Passes over rows between the products of a small network, in the first- or second-level cache.
//!
//! Loops are plain and compiled for each instruction set: multiplications and additions are rounded each for itself, so
//! that all paths give the same bits but for [`tanh`], [`dot`] and [`all_finite`]'s sums.

mod adam;
mod sums;
mod tanh;
mod turn;

pub use adam::{AdamStep, adam};
pub use sums::{add_row_sums, column_sums, dot};
pub use tanh::{tanh, tanh_with};
pub use turn::turn;

use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, run};

/// Partial sums in flight.
const IN_FLIGHT: usize = 32;

#[inline(always)]
fn rectified<E: Elem>(x: E, slope: E) -> E {
    let less = x.times(slope);
    if x > E::ZERO { x } else { less }
}

struct Finish<'a, E> {
    bias: &'a [E],
    slope: Option<E>,
    out: &'a mut [E],
}

impl<E: Elem> Kernel for Finish<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        for row in self.out.chunks_exact_mut(self.bias.len()) {
            let row = row.iter_mut().zip(self.bias);
            match self.slope {
                None => {
                    for (o, b) in row {
                        *o = o.plus(*b);
                    }
                }
                Some(slope) => {
                    for (o, b) in row {
                        *o = rectified(o.plus(*b), slope);
                    }
                }
            }
        }
    }
}

/// What follows a product: `bias` is added to each row of `out`, and where there is a `slope` the rectifier max(x, slope·x)
/// follows (slope at 0). 3 flops an element, read and written once.
///
/// # Panics
/// If `out` is not rows as long as `bias`.
pub fn finish<E: Elem>(bias: &[E], slope: Option<E>, out: &mut [E]) {
    finish_with(isa(), bias, slope, out);
}

/// [`finish`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If `out` is not rows as long as `bias`.
pub fn finish_with<E: Elem>(isa: Isa, bias: &[E], slope: Option<E>, out: &mut [E]) {
    assert!(!bias.is_empty() && out.len().is_multiple_of(bias.len()));
    run(isa, Finish { bias, slope, out });
}

struct FinishRows<'a, E> {
    bias: &'a [E],
    slope: Option<E>,
    width: usize,
    out: &'a mut [E],
}

impl<E: Elem> Kernel for FinishRows<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        for (row, b) in self.out.chunks_exact_mut(self.width).zip(self.bias) {
            match self.slope {
                None => {
                    for o in row {
                        *o = o.plus(*b);
                    }
                }
                Some(slope) => {
                    for o in row {
                        *o = rectified(o.plus(*b), slope);
                    }
                }
            }
        }
    }
}

/// [`finish`] with one bias a row: channels of an image.
///
/// # Panics
/// If `out` is not as many rows of one length as there are biases.
pub fn finish_rows<E: Elem>(bias: &[E], slope: Option<E>, out: &mut [E]) {
    assert!(!bias.is_empty() && out.len().is_multiple_of(bias.len()));
    let width = out.len() / bias.len();
    if width > 0 {
        run(
            isa(),
            FinishRows {
                bias,
                slope,
                width,
                out,
            },
        );
    }
}

struct Leaky<'a, E> {
    slope: E,
    out: &'a [E],
    by: &'a mut [E],
}

impl<E: Elem> Kernel for Leaky<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let slope = self.slope;
        for (g, o) in self.by.iter_mut().zip(self.out) {
            let less = g.times(slope);
            *g = if *o > E::ZERO { *g } else { less };
        }
    }
}

/// The gradient through a rectifier, in place, from the sign of what went out: `by` where `out` > 0, else `slope·by`.
///
/// # Panics
/// If the lengths differ.
pub fn leaky_back<E: Elem>(slope: E, out: &[E], by: &mut [E]) {
    leaky_back_with(isa(), slope, out, by);
}

/// [`leaky_back`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn leaky_back_with<E: Elem>(isa: Isa, slope: E, out: &[E], by: &mut [E]) {
    assert_eq!(out.len(), by.len(), "leaky_back: lengths differ");
    run(isa, Leaky { slope, out, by });
}

struct LeakyOf<'a, E> {
    slope: E,
    x: &'a mut [E],
}

impl<E: Elem> Kernel for LeakyOf<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        for x in self.x {
            *x = rectified(*x, self.slope);
        }
    }
}

/// max(x, slope·x), in place; the slope is taken at 0.
pub fn leaky<E: Elem>(slope: E, x: &mut [E]) {
    run(isa(), LeakyOf { slope, x });
}

struct TanhBack<'a, E> {
    out: &'a [E],
    by: &'a mut [E],
}

impl<E: Elem> Kernel for TanhBack<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let one = E::from_f64(1.0);
        for (g, t) in self.by.iter_mut().zip(self.out) {
            *g = g.times(one.minus(t.times(*t)));
        }
    }
}

/// The gradient through tanh, in place, from what went out: `by·(1 − out²)`.
///
/// # Panics
/// If the lengths differ.
pub fn tanh_back<E: Elem>(out: &[E], by: &mut [E]) {
    assert_eq!(out.len(), by.len(), "tanh_back: lengths differ");
    run(isa(), TanhBack { out, by });
}

struct RankOne<'a, E> {
    factor: E,
    pull: E,
    u: &'a [E],
    v: &'a [E],
    x: &'a mut [E],
}

impl<E: Elem> Kernel for RankOne<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let factor = self.factor;
        for (row, u) in self.x.chunks_exact_mut(self.v.len()).zip(self.u) {
            let pull = self.pull.times(*u);
            for (x, v) in row.iter_mut().zip(self.v) {
                *x = factor.times(x.minus(pull.times(*v)));
            }
        }
    }
}

/// `x = factor·(x − pull·u vᵀ)`, x row by row. 3 flops an element, read and written once.
///
/// # Panics
/// If x has not as many rows as u, of as many numbers as v.
pub fn less_rank_one<E: Elem>(factor: E, pull: E, u: &[E], v: &[E], x: &mut [E]) {
    assert_eq!(x.len(), u.len() * v.len(), "less_rank_one: shapes differ");
    if !v.is_empty() {
        run(
            isa(),
            RankOne {
                factor,
                pull,
                u,
                v,
                x,
            },
        );
    }
}

struct AllFinite<'a, E>(&'a [E]);

impl<E: Elem> Kernel for AllFinite<'_, E> {
    type Out = bool;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> bool {
        let mut sums = [E::ZERO; IN_FLIGHT];
        let chunks = self.0.chunks_exact(IN_FLIGHT);
        let rest = chunks.remainder();
        for chunk in chunks {
            for k in 0..IN_FLIGHT {
                sums[k] = sums[k].plus(chunk[k].times(E::ZERO));
            }
        }
        let mut all = E::ZERO;
        for x in rest {
            all = all.plus(x.times(E::ZERO));
        }
        for x in sums {
            all = all.plus(x);
        }
        all == E::ZERO
    }
}

/// Whether no number is NaN or infinite: a product with 0 is NaN for those, and sums of such products stay so. 2 flops an
/// element, read once, no branches.
#[must_use]
pub fn all_finite<E: Elem>(x: &[E]) -> bool {
    run(isa(), AllFinite(x))
}
