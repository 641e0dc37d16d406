//! Soft and hard minima of one row of a cost matrix, and the minima of all columns, row by row.

use crate::dispatch::{Isa, isa};
use crate::exp::exp_lanes;
use crate::simd::{Backend, Elem, Kernel, Lanes, run, sealed::Sealed};

struct LogSumExp<'a, C> {
    cost: &'a [C],
    g: &'a [f64],
    inv_eps: f64,
}

impl<C: Elem> LogSumExp<'_, C> {
    /// `g_j − C_ij` from j on, whole registers or the rest of the row filled with −∞.
    ///
    /// # Safety
    /// The instruction set of `D` is available; j is below the length, which both slices have.
    #[inline(always)]
    unsafe fn slack<B: Backend>(&self, j: usize) -> B::D {
        let rest = self.g.len() - j;
        // SAFETY: j + lanes or j + rest is at most the length.
        unsafe {
            let (c, g) = (self.cost.as_ptr().add(j), self.g.as_ptr().add(j));
            if rest >= <B::D as Lanes>::N {
                B::D::load(g).sub(C::load64::<B::D>(c))
            } else {
                B::D::load_part(g, rest, f64::NEG_INFINITY).sub(C::load64_part::<B::D>(
                    c,
                    rest,
                    C::ZERO,
                ))
            }
        }
    }
}

impl<C: Elem> Kernel for LogSumExp<'_, C> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.g.len(), <B::D as Lanes>::N);
        // SAFETY: j < n; the slices have equal lengths (checked by `row_log_sum_exp_with`).
        unsafe {
            let mut largest = B::D::splat(f64::NEG_INFINITY);
            for j in (0..n).step_by(lanes) {
                largest = largest.max(self.slack::<B>(j));
            }
            let largest = largest.largest();
            if largest.is_infinite() {
                return largest;
            }
            let (shift, inv_eps) = (B::D::splat(largest), B::D::splat(self.inv_eps));
            let mut sum = B::D::splat(0.0);
            for j in (0..n).step_by(lanes) {
                sum = sum.add(exp_lanes(self.slack::<B>(j).sub(shift).mul(inv_eps)));
            }
            largest * self.inv_eps + sum.sum().ln()
        }
    }
}

/// `ln Σ_j exp((g_j − C_ij)·inv_eps)`, in f64 whatever the cost row is stored in; `inv_eps` is positive and
/// finite. −∞ for a row without an allowed pair (all C = +∞ or all g = −∞), +∞ where a g is +∞.
///
/// The largest exponent is found first, so that nothing overflows: two reads of the row, the second from the
/// first- or second-level cache. Per element: 16 (or 12) bytes, 20 flops.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn row_log_sum_exp<C: Elem>(cost_row: &[C], g: &[f64], inv_eps: f64) -> f64 {
    row_log_sum_exp_with(isa(), cost_row, g, inv_eps)
}

/// [`row_log_sum_exp`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn row_log_sum_exp_with<C: Elem>(isa: Isa, cost_row: &[C], g: &[f64], inv_eps: f64) -> f64 {
    assert_eq!(cost_row.len(), g.len(), "row_log_sum_exp: lengths differ");
    run(
        isa,
        LogSumExp {
            cost: cost_row,
            g,
            inv_eps,
        },
    )
}

struct LogSumExpF32<'a> {
    cost: &'a [f32],
    g: &'a [f32],
    inv_eps: f32,
}

type S<B> = <f32 as Sealed>::V<B>;

impl LogSumExpF32<'_> {
    /// As [`LogSumExp::slack`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn slack<B: Backend>(&self, j: usize) -> S<B> {
        let rest = self.g.len() - j;
        // SAFETY: j + lanes or j + rest is at most the length.
        unsafe {
            let (c, g) = (self.cost.as_ptr().add(j), self.g.as_ptr().add(j));
            if rest >= <S<B> as Lanes>::N {
                <S<B>>::load(g).sub(<S<B>>::load(c))
            } else {
                <S<B>>::load_part(g, rest, f32::NEG_INFINITY).sub(<S<B>>::load_part(c, rest, 0.0))
            }
        }
    }
}

impl Kernel for LogSumExpF32<'_> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.g.len(), <S<B> as Lanes>::N);
        // SAFETY: j < n; the slices have equal lengths (checked by `row_log_sum_exp_f32_with`).
        unsafe {
            let mut largest = <S<B>>::splat(f32::NEG_INFINITY);
            for j in (0..n).step_by(lanes) {
                largest = largest.max(self.slack::<B>(j));
            }
            let largest = largest.largest();
            if largest.is_infinite() {
                return f64::from(largest);
            }
            let (shift, inv_eps) = (<S<B>>::splat(largest), <S<B>>::splat(self.inv_eps));
            let mut sum = <S<B>>::splat(0.0);
            for j in (0..n).step_by(lanes) {
                sum = sum.add(exp_lanes(self.slack::<B>(j).sub(shift).mul(inv_eps)));
            }
            f64::from(largest) * f64::from(self.inv_eps) + f64::from(sum.sum()).ln()
        }
    }
}

/// [`row_log_sum_exp`] with every step in f32, about three times as fast. The error is that of the exponents,
/// 2·2⁻²⁴·(|g_j| + |C_ij|)·inv_eps, and n/16·2⁻²⁴ for the sum.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn row_log_sum_exp_f32(cost_row: &[f32], g: &[f32], inv_eps: f32) -> f64 {
    row_log_sum_exp_f32_with(isa(), cost_row, g, inv_eps)
}

/// [`row_log_sum_exp_f32`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn row_log_sum_exp_f32_with(isa: Isa, cost_row: &[f32], g: &[f32], inv_eps: f32) -> f64 {
    assert_eq!(
        cost_row.len(),
        g.len(),
        "row_log_sum_exp_f32: lengths differ"
    );
    run(
        isa,
        LogSumExpF32 {
            cost: cost_row,
            g,
            inv_eps,
        },
    )
}

struct RowMin<'a, C> {
    cost: &'a [C],
    g: &'a [f64],
}

impl<C: Elem> Kernel for RowMin<'_, C> {
    type Out = (f64, usize);
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> (f64, usize) {
        let (n, lanes) = (self.g.len(), <B::D as Lanes>::N);
        let (cost, g) = (self.cost.as_ptr(), self.g.as_ptr());
        let mut values = [f64::INFINITY; 16];
        let mut starts = [0.0; 16];
        // SAFETY: j + lanes ≤ n or j + rest ≤ n, and the slices have equal lengths (checked by
        // `row_min_arg_with`); the arrays hold 16 elements, no register has more lanes.
        unsafe {
            let mut best = B::D::splat(f64::INFINITY);
            let mut best_start = B::D::splat(0.0);
            let mut start = B::D::splat(0.0);
            let step = B::D::splat(lanes as f64);
            for j in (0..n).step_by(lanes) {
                let rest = n - j;
                let x = if rest >= lanes {
                    C::load64::<B::D>(cost.add(j)).sub(B::D::load(g.add(j)))
                } else {
                    C::load64_part::<B::D>(cost.add(j), rest, C::INFINITY).sub(B::D::load_part(
                        g.add(j),
                        rest,
                        0.0,
                    ))
                };
                // Strictly less: the first of equals stays.
                best_start = B::D::select(x.lt(best), start, best_start);
                best = x.min(best);
                start = start.add(step);
            }
            best.store(values.as_mut_ptr());
            best_start.store(starts.as_mut_ptr());
        }
        let mut found = (f64::INFINITY, 0);
        for lane in 0..lanes {
            let at = (values[lane], starts[lane] as usize + lane);
            if at.0 < found.0 || (at.0 == found.0 && at.0 < f64::INFINITY && at.1 < found.1) {
                found = at;
            }
        }
        found
    }
}

/// The smallest `C_ij − g_j` of a row and the lowest j that has it; (+∞, 0) for a row without an allowed pair.
/// NaN entries are passed over.
///
/// Per element: 16 (or 12) bytes, 1 subtraction, 2 comparisons.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn row_min_arg<C: Elem>(cost_row: &[C], g: &[f64]) -> (f64, usize) {
    row_min_arg_with(isa(), cost_row, g)
}

/// [`row_min_arg`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn row_min_arg_with<C: Elem>(isa: Isa, cost_row: &[C], g: &[f64]) -> (f64, usize) {
    assert_eq!(cost_row.len(), g.len(), "row_min_arg: lengths differ");
    run(isa, RowMin { cost: cost_row, g })
}

struct ColMin<'a, C> {
    cost: &'a [C],
    f: f64,
    out: &'a mut [f64],
}

impl<C: Elem> Kernel for ColMin<'_, C> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, lanes) = (self.out.len(), <B::D as Lanes>::N);
        let (cost, out) = (self.cost.as_ptr(), self.out.as_mut_ptr());
        // SAFETY: j + lanes ≤ n or j + rest ≤ n, and the slices have equal lengths (checked by
        // `col_min_update_with`).
        unsafe {
            let f = B::D::splat(self.f);
            for j in (0..n).step_by(lanes) {
                let rest = n - j;
                if rest >= lanes {
                    let x = C::load64::<B::D>(cost.add(j)).sub(f);
                    x.min(B::D::load(out.add(j))).store(out.add(j));
                } else {
                    let x = C::load64_part::<B::D>(cost.add(j), rest, C::ZERO).sub(f);
                    let old = B::D::load_part(out.add(j), rest, 0.0);
                    x.min(old).store_part(out.add(j), rest);
                }
            }
        }
    }
}

/// `out_j ← min(out_j, C_ij − f_i)`: over all rows, the minima of the columns without ever striding.
/// NaN entries are passed over.
///
/// Per element: 16 (or 12) bytes read, 8 written, 2 flops.
///
/// # Panics
/// If the lengths differ.
pub fn col_min_update<C: Elem>(cost_row: &[C], f_i: f64, out: &mut [f64]) {
    col_min_update_with(isa(), cost_row, f_i, out);
}

/// [`col_min_update`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths differ.
pub fn col_min_update_with<C: Elem>(isa: Isa, cost_row: &[C], f_i: f64, out: &mut [f64]) {
    assert_eq!(cost_row.len(), out.len(), "col_min_update: lengths differ");
    run(
        isa,
        ColMin {
            cost: cost_row,
            f: f_i,
            out,
        },
    );
}
