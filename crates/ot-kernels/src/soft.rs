//! Rows of an entropic plan that is kept in f32: what a Newton step on the potentials needs of a dense plan.
//!
//! Differences of potentials and cost are taken in f64 and rounded once, so that the error of an exponent x is
//! 2⁻²⁴·|x|, however large potentials and cost are themselves.

use crate::dispatch::{Isa, isa};
use crate::exp::exp_lanes;
use crate::simd::{Backend, Elem, Kernel, Lanes, Lanes64, run, sealed::Sealed};

/// Exponents below it give 0 in f32 and have no part in an entropy sum.
const LOWEST: f64 = -1e4;

struct Weigh<'a, C> {
    cost: &'a [C],
    g: &'a [f64],
    shift: f64,
    inv_eps: f64,
    out: &'a mut [f32],
}

impl<C: Elem> Kernel for Weigh<'_, C> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let n = self.out.len();
        let (wide, narrow) = (<B::D as Lanes>::N, <<f32 as Sealed>::V<B> as Lanes>::N);
        let (cost, g, out) = (self.cost.as_ptr(), self.g.as_ptr(), self.out.as_mut_ptr());
        // SAFETY: the three slices have length n (checked by `weigh_row_with`), each index is below n.
        unsafe {
            let (shift, inv_eps) = (B::D::splat(self.shift), B::D::splat(self.inv_eps));
            let lowest = B::D::splat(LOWEST);
            let mut j = 0;
            while j + wide <= n {
                let x = B::D::load(g.add(j)).sub(C::load64::<B::D>(cost.add(j)));
                x.sub(shift).mul(inv_eps).max(lowest).store_f32(out.add(j));
                j += wide;
            }
            if j < n {
                let rest = n - j;
                let c = C::load64_part::<B::D>(cost.add(j), rest, C::ZERO);
                let x = B::D::load_part(g.add(j), rest, 0.0).sub(c);
                x.sub(shift)
                    .mul(inv_eps)
                    .max(lowest)
                    .store_f32_part(out.add(j), rest);
            }
            // The row is in the first-level cache now; meanwhile the one after it is asked for.
            type V<B> = <f32 as Sealed>::V<B>;
            let next = cost.wrapping_add(n);
            let line = 64 / size_of::<C>();
            let mut sums = [<V<B>>::splat(0.0); 4];
            let mut j = 0;
            while j + 4 * narrow <= n {
                for at in (j..j + 4 * narrow).step_by(line) {
                    B::prefetch(next.wrapping_add(at));
                }
                for (k, sum) in sums.iter_mut().enumerate() {
                    let p = out.add(j + k * narrow);
                    let e = exp_lanes(<V<B>>::load(p));
                    e.store(p);
                    *sum = sum.add(e);
                }
                j += 4 * narrow;
            }
            let mut total = 0.0;
            for sum in sums {
                total += f64::from(sum.sum());
            }
            let mut sum = <V<B>>::splat(0.0);
            while j < n {
                let rest = (n - j).min(narrow);
                let x = <V<B>>::load_part(out.add(j), rest, LOWEST as f32);
                let e = exp_lanes(x);
                e.store_part(out.add(j), rest);
                sum = sum.add(e);
                j += rest;
            }
            total + f64::from(sum.sum())
        }
    }
}

/// `out_j = exp((g_j − c_j − shift)·inv_eps)` in f32, and their sum. A forbidden pair (c = +∞) gives 0.
///
/// With `shift` = max_j (g_j − c_j) nothing overflows and the sum is at least 1. The sum is kept in f32 registers, 64
/// partial sums on AVX-512: its relative error is about 2⁻²⁴·√(n/64). 8 (or 4) bytes read, 4 written and read again
/// in the first-level cache, 20 flops an element.
///
/// # Panics
/// If the lengths differ.
pub fn weigh_row<C: Elem>(
    cost_row: &[C],
    g: &[f64],
    shift: f64,
    inv_eps: f64,
    out: &mut [f32],
) -> f64 {
    weigh_row_with(isa(), cost_row, g, shift, inv_eps, out)
}

/// [`weigh_row`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn weigh_row_with<C: Elem>(
    isa: Isa,
    cost_row: &[C],
    g: &[f64],
    shift: f64,
    inv_eps: f64,
    out: &mut [f32],
) -> f64 {
    let n = out.len();
    assert!(
        cost_row.len() == n && g.len() == n,
        "weigh_row: lengths differ"
    );
    let cost = cost_row;
    run(
        isa,
        Weigh {
            cost,
            g,
            shift,
            inv_eps,
            out,
        },
    )
}

/// To which power [`reweigh_row`] takes the entries of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// 1/2.
    Root,
    /// 1.
    One,
    /// 2.
    Square,
    /// 4.
    Fourth,
}

impl Power {
    /// All of them, ascending.
    pub const ALL: [Self; 4] = [Self::Root, Self::One, Self::Square, Self::Fourth];

    /// As a number.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Root => 0.5,
            Self::One => 1.0,
            Self::Square => 2.0,
            Self::Fourth => 4.0,
        }
    }
}

struct Reweigh<'a, const SQUARINGS: i32> {
    row: &'a mut [f32],
    scale: f32,
    weights: &'a [f32],
    least: f32,
}

impl<const SQUARINGS: i32> Kernel for Reweigh<'_, SQUARINGS> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        type V<B> = <f32 as Sealed>::V<B>;
        let (n, lanes) = (self.row.len(), <V<B> as Lanes>::N);
        let (row, weights) = (self.row.as_mut_ptr(), self.weights.as_ptr());
        // SAFETY: both slices have length n (checked by `reweigh_row_with`), each index is below n.
        unsafe {
            let (scale, least) = (<V<B>>::splat(self.scale), <V<B>>::splat(self.least));
            let zero = <V<B>>::splat(0.0);
            let changed = |e: V<B>, w: V<B>| {
                let e = e.mul(scale);
                let e = <V<B>>::select(e.lt(least), zero, e);
                let e = match SQUARINGS {
                    -1 => e.sqrt(),
                    0 => e,
                    1 => e.mul(e),
                    _ => {
                        let square = e.mul(e);
                        square.mul(square)
                    }
                };
                e.mul(w)
            };
            let mut sums = [zero; 4];
            let mut j = 0;
            while j + 4 * lanes <= n {
                for (k, sum) in sums.iter_mut().enumerate() {
                    let at = j + k * lanes;
                    B::prefetch(row.wrapping_add(at + n));
                    let e = changed(<V<B>>::load(row.add(at)), <V<B>>::load(weights.add(at)));
                    e.store(row.add(at));
                    *sum = sum.add(e);
                }
                j += 4 * lanes;
            }
            let mut total = 0.0;
            for sum in sums {
                total += f64::from(sum.sum());
            }
            let mut sum = zero;
            while j < n {
                let rest = (n - j).min(lanes);
                let w = <V<B>>::load_part(weights.add(j), rest, 0.0);
                let e = changed(<V<B>>::load_part(row.add(j), rest, 0.0), w);
                e.store_part(row.add(j), rest);
                sum = sum.add(e);
                j += rest;
            }
            total + f64::from(sum.sum())
        }
    }
}

/// `row_j ← (scale·row_j)^power · weights_j`, and their sum: the row of a plan at other potentials, and at an ε that is a
/// power of two times the one before, without its cost and without exponentials. What would be below the smallest normal
/// number after the least of `weights` is 0. 4 bytes read and written, 4 read in cache, at most 6 flops an element.
///
/// # Panics
/// If the lengths differ.
pub fn reweigh_row(
    row: &mut [f32],
    scale: f32,
    power: Power,
    weights: &[f32],
    lightest: f32,
) -> f64 {
    reweigh_row_with(isa(), row, scale, power, weights, lightest)
}

/// [`reweigh_row`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn reweigh_row_with(
    isa: Isa,
    row: &mut [f32],
    scale: f32,
    power: Power,
    weights: &[f32],
    lightest: f32,
) -> f64 {
    assert_eq!(row.len(), weights.len(), "reweigh_row: lengths differ");
    // Subnormal numbers are slow on many machines: none comes up on the way either.
    let least = f32::MIN_POSITIVE / lightest.clamp(f32::MIN_POSITIVE, 1.0);
    match power {
        Power::Root => {
            let least = (least * least).max(f32::MIN_POSITIVE);
            run(
                isa,
                Reweigh::<-1> {
                    row,
                    scale,
                    weights,
                    least,
                },
            )
        }
        Power::One => run(
            isa,
            Reweigh::<0> {
                row,
                scale,
                weights,
                least,
            },
        ),
        Power::Square => {
            let least = least.sqrt();
            run(
                isa,
                Reweigh::<1> {
                    row,
                    scale,
                    weights,
                    least,
                },
            )
        }
        Power::Fourth => {
            let least = least.sqrt().sqrt();
            run(
                isa,
                Reweigh::<2> {
                    row,
                    scale,
                    weights,
                    least,
                },
            )
        }
    }
}

struct Above<'a> {
    row: &'a [f32],
    least: f32,
    found: &'a mut Vec<u32>,
}

impl Kernel for Above<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        type V<B> = <f32 as Sealed>::V<B>;
        let (n, lanes) = (self.row.len(), <V<B> as Lanes>::N);
        let row = self.row.as_ptr();
        // SAFETY: each index is below n.
        unsafe {
            let least = <V<B>>::splat(self.least);
            let mut j = 0;
            while j < n {
                let rest = (n - j).min(lanes);
                let x = if rest == lanes {
                    <V<B>>::load(row.add(j))
                } else {
                    <V<B>>::load_part(row.add(j), rest, self.least)
                };
                let mut hits = <V<B>>::bits(least.lt(x));
                while hits != 0 {
                    self.found.push(j as u32 + hits.trailing_zeros());
                    hits &= hits - 1;
                }
                j += rest;
            }
        }
    }
}

/// Appends the columns with `row_j > least`, ascending.
pub fn row_above(row: &[f32], least: f32, found: &mut Vec<u32>) {
    row_above_with(isa(), row, least, found);
}

/// [`row_above`] on a chosen instruction set (or the widest available below it).
pub fn row_above_with(isa: Isa, row: &[f32], least: f32, found: &mut Vec<u32>) {
    run(isa, Above { row, least, found });
}

struct AddRow<'a, E> {
    row: &'a [E],
    scale: f64,
    sums: &'a mut [f64],
}

impl<E: Elem> Kernel for AddRow<'_, E> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.row.len(), <B::D as Lanes>::N);
        let (row, sums) = (self.row.as_ptr(), self.sums.as_mut_ptr());
        // SAFETY: both slices have length n (checked by `add_row_with`), each index is below n.
        unsafe {
            let scale = B::D::splat(self.scale);
            let mut totals = [B::D::splat(0.0); 2];
            let mut j = 0;
            while j + 2 * lanes <= n {
                for (k, total) in totals.iter_mut().enumerate() {
                    let at = j + k * lanes;
                    let e = E::load64::<B::D>(row.add(at));
                    *total = total.add(e);
                    e.fma(scale, B::D::load(sums.add(at))).store(sums.add(at));
                }
                j += 2 * lanes;
            }
            let mut total = totals[0].add(totals[1]);
            while j < n {
                let rest = (n - j).min(lanes);
                let e = E::load64_part::<B::D>(row.add(j), rest, E::ZERO);
                total = total.add(e);
                let sum = B::D::load_part(sums.add(j), rest, 0.0);
                e.fma(scale, sum).store_part(sums.add(j), rest);
                j += rest;
            }
            total.sum()
        }
    }
}

/// `sums_j += scale·row_j`, in f64; returns Σ_j row_j.
///
/// # Panics
/// If the lengths differ.
pub fn add_row<E: Elem>(row: &[E], scale: f64, sums: &mut [f64]) -> f64 {
    add_row_with(isa(), row, scale, sums)
}

/// [`add_row`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn add_row_with<E: Elem>(isa: Isa, row: &[E], scale: f64, sums: &mut [f64]) -> f64 {
    assert_eq!(row.len(), sums.len(), "add_row: lengths differ");
    run(isa, AddRow { row, scale, sums })
}

struct Entropy<'a, C> {
    cost: &'a [C],
    g: &'a [f64],
    weights: &'a [f32],
    scale: f64,
    shift: f64,
    inv_eps: f64,
    sums: &'a mut [f64],
}

impl<C: Elem> Kernel for Entropy<'_, C> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.weights.len(), <B::D as Lanes>::N);
        let (cost, g) = (self.cost.as_ptr(), self.g.as_ptr());
        let (weights, sums) = (self.weights.as_ptr(), self.sums.as_mut_ptr());
        // SAFETY: the four slices have length n (checked by `entropy_row_with`), each index is below n.
        unsafe {
            let (scale, shift) = (B::D::splat(self.scale), B::D::splat(self.shift));
            let (inv_eps, lowest) = (B::D::splat(self.inv_eps), B::D::splat(LOWEST));
            let mut total = B::D::splat(0.0);
            let mut j = 0;
            while j + lanes <= n {
                let x = B::D::load(g.add(j)).sub(C::load64::<B::D>(cost.add(j)));
                let x = x.add(shift).mul(inv_eps).max(lowest);
                let h = B::D::load_f32(weights.add(j)).mul(scale).mul(x);
                total = total.add(h);
                h.add(B::D::load(sums.add(j))).store(sums.add(j));
                j += lanes;
            }
            if j < n {
                let rest = n - j;
                let c = C::load64_part::<B::D>(cost.add(j), rest, C::ZERO);
                let x = B::D::load_part(g.add(j), rest, 0.0).sub(c);
                let x = x.add(shift).mul(inv_eps).max(lowest);
                let h = B::D::load_f32_part(weights.add(j), rest, 0.0)
                    .mul(scale)
                    .mul(x);
                total = total.add(h);
                h.add(B::D::load_part(sums.add(j), rest, 0.0))
                    .store_part(sums.add(j), rest);
            }
            total.sum()
        }
    }
}

/// h_j = p_j·(g_j + shift − c_j)·inv_eps with p_j = scale·weights_j: `sums_j += h_j`, and Σ_j h_j. Exponents below
/// −1e4 count as −1e4: weights are 0 there. 12 (or 8) bytes read, 8 read and written in cache, 8 flops an element.
///
/// # Panics
/// If the lengths differ.
pub fn entropy_row<C: Elem>(
    cost_row: &[C],
    g: &[f64],
    weights: &[f32],
    scale: f64,
    shift: f64,
    inv_eps: f64,
    sums: &mut [f64],
) -> f64 {
    entropy_row_with(isa(), cost_row, g, weights, scale, shift, inv_eps, sums)
}

/// [`entropy_row`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn entropy_row_with<C: Elem>(
    isa: Isa,
    cost_row: &[C],
    g: &[f64],
    weights: &[f32],
    scale: f64,
    shift: f64,
    inv_eps: f64,
    sums: &mut [f64],
) -> f64 {
    let n = weights.len();
    assert!(
        cost_row.len() == n && g.len() == n && sums.len() == n,
        "entropy_row: lengths differ"
    );
    run(
        isa,
        Entropy {
            cost: cost_row,
            g,
            weights,
            scale,
            shift,
            inv_eps,
            sums,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_equal_the_plain_formulas() {
        for n in [1, 5, 16, 63, 64, 200] {
            let mut c: Vec<f64> = (0..n).map(|j| ((j * 29 % 37) as f64) / 37.0).collect();
            if n > 5 {
                c[3] = f64::INFINITY;
            }
            let g: Vec<f64> = (0..n).map(|j| (j as f64 * 0.7).sin()).collect();
            let (shift, inv_eps) = (0.9, 20.0);
            let x: Vec<f64> = (0..n).map(|j| (g[j] - c[j] - shift) * inv_eps).collect();
            for isa in Isa::available() {
                let mut out = vec![f32::NAN; n];
                let sum = weigh_row_with(isa, &c, &g, shift, inv_eps, &mut out);
                let wanted: f64 = x.iter().map(|x| x.exp()).sum();
                assert!((sum - wanted).abs() <= 3e-6 * wanted, "{isa:?} {n}");
                for (o, x) in out.iter().zip(&x) {
                    assert!((f64::from(*o) - x.exp()).abs() <= 5e-6 * x.exp() + 1e-37);
                }
                let mut found = vec![7];
                row_above_with(isa, &out, 1e-3, &mut found);
                let above = (0..n as u32).filter(|&j| out[j as usize] > 1e-3);
                assert!(found[1..].iter().copied().eq(above), "{isa:?} {n}");
                let mut sums = vec![1.0; n];
                let total = add_row_with(isa, &out, 2.0, &mut sums);
                let plain: f64 = out.iter().map(|o| f64::from(*o)).sum();
                assert!((total - plain).abs() <= 1e-14 * plain);
                for (s, o) in sums.iter().zip(&out) {
                    assert!((s - 1.0 - 2.0 * f64::from(*o)).abs() < 1e-14);
                }
                let mut sums = vec![1.0; n];
                let total = entropy_row_with(isa, &c, &g, &out, 0.5, -shift, inv_eps, &mut sums);
                let h = |j: usize| {
                    if x[j].is_finite() {
                        0.5 * f64::from(out[j]) * x[j]
                    } else {
                        0.0
                    }
                };
                assert!((total - (0..n).map(h).sum::<f64>()).abs() < 1e-12 * n as f64);
                for (j, s) in sums.iter().enumerate() {
                    assert!((s - 1.0 - h(j)).abs() < 1e-13);
                }
            }
        }
    }

    #[test]
    fn a_row_goes_to_other_potentials_and_another_eps() {
        for n in [1, 7, 64, 200] {
            let row: Vec<f32> = (0..n).map(|j| (-(j as f32 * 7.3) % 80.0).exp()).collect();
            let weights: Vec<f32> = (0..n).map(|j| (-(j as f32 * 0.37) % 3.0).exp()).collect();
            let scale = 0.75_f32;
            for isa in Isa::available() {
                for power in Power::ALL {
                    let mut out = row.clone();
                    let lightest = weights.iter().fold(1.0_f32, |t, w| t.min(*w));
                    let sum = reweigh_row_with(isa, &mut out, scale, power, &weights, lightest);
                    let mut wanted_sum = 0.0;
                    for j in 0..n {
                        let e = f64::from(row[j]) * f64::from(scale);
                        let wanted = e.powf(power.value()) * f64::from(weights[j]);
                        wanted_sum += wanted;
                        let error = (f64::from(out[j]) - wanted).abs();
                        assert!(error <= 1e-6 * wanted + 1e-36, "{isa:?} {n} {power:?} {j}");
                        assert!(out[j] == 0.0 || out[j].is_normal());
                    }
                    assert!((sum - wanted_sum).abs() <= 1e-6 * wanted_sum);
                }
            }
        }
    }
}
