//! Scans of cost rows against potentials: what the network simplex spends its memory bandwidth on.
//!
//! A row `c` of the cost is read once, in order. Potentials are *signed*: with `f_i + g_j ≤ c_ij` the
//! simplex stores `p_i = f_i` for a source and `p_j = −g_j` for a sink, so that the reduced cost of a
//! pair is `c_ij + p_j − p_i`, and shifting a whole subtree is one addition. A column that takes no
//! part has `p_j = +∞`; a forbidden pair has `c_ij = +∞`; both then lose every comparison.
//!
//! The loops are written once, over fixed-size lanes, and compiled for each [`Isa`]; costs stored as
//! `f32` are widened in registers, never into a second array.

mod collect;
mod entering;

pub use collect::{row_collect, row_collect_with};
pub use entering::{
    first_entering, first_entering_with, row_entering, row_entering_with, row_min, row_min_with,
};

use crate::dispatch::{Isa, isa};
use crate::simd::Elem;

/// A number type that a cost matrix is stored in.
pub trait Entry: Elem {
    /// The value in double precision (exact).
    fn wide(self) -> f64;
}

impl Entry for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}

impl Entry for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

/// Compiles one `#[inline(always)]` body for every instruction set behind a safe dispatcher.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $with:ident = $body:ident <T>( $($arg:ident : $ty:ty),* $(,)? ) -> $ret:ty) => {
        $(#[$doc])*
        #[inline]
        pub fn $name<T: Entry>($($arg: $ty),*) -> $ret {
            $with(isa(), $($arg),*)
        }

        #[doc = concat!("[`", stringify!($name), "`] on a chosen instruction set (a narrower one where it is not available).")]
        pub fn $with<T: Entry>(isa: Isa, $($arg: $ty),*) -> $ret {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2<T: Entry>($($arg: $ty),*) -> $ret {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")]
                fn avx512<T: Entry>($($arg: $ty),*) -> $ret {
                    $body($($arg),*)
                }
                if isa == Isa::Avx512 && isa.is_available() {
                    // SAFETY: `is_available` has just found every feature that `avx512` enables.
                    return unsafe { avx512($($arg),*) };
                }
                if isa >= Isa::Avx2 && Isa::Avx2.is_available() {
                    // SAFETY: `is_available` has just found every feature that `avx2` enables.
                    return unsafe { avx2($($arg),*) };
                }
            }
            let _ = isa;
            $body($($arg),*)
        }
    };
}

/// Lanes of the f64 scans: four AVX-512 registers, enough to hide the latency of `min`.
const LANES: usize = 32;

#[inline(always)]
fn lower(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The least of a power of two of lanes, by halves: a chain of scalar minima would cost more than a short row.
#[inline(always)]
fn min_of<const N: usize>(lanes: &[f64; N]) -> f64 {
    let mut m = [f64::INFINITY; N];
    for l in 0..N {
        // Against +∞, so that a NaN (0·∞ under a zero tolerance) loses as +∞ does.
        m[l] = lower(lanes[l], m[l]);
    }
    let mut half = N / 2;
    while half > 0 {
        for l in 0..half {
            m[l] = lower(m[l + half], m[l]);
        }
        half /= 2;
    }
    m[0]
}

/// The smallest of `key(c_j, p_j)` over a row.
#[inline(always)]
fn scan_min<T: Entry>(c: &[T], p: &[f64], key: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    let len = c.len().min(p.len());
    let wide = len - len % LANES;
    let best = scan_lanes::<T, LANES>(&c[..wide], &p[..wide], f64::INFINITY, key);
    scan_lanes::<T, 8>(&c[wide..len], &p[wide..len], best, key)
}

#[inline(always)]
fn scan_lanes<T: Entry, const N: usize>(
    c: &[T],
    p: &[f64],
    start: f64,
    key: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut acc = [start; N];
    let mut cs = c.chunks_exact(N);
    let mut ps = p.chunks_exact(N);
    for (cc, pp) in (&mut cs).zip(&mut ps) {
        for l in 0..N {
            acc[l] = lower(key(cc[l].wide(), pp[l]), acc[l]);
        }
    }
    let mut best = min_of(&acc);
    for (cc, pp) in cs.remainder().iter().zip(ps.remainder()) {
        best = lower(key(cc.wide(), *pp), best);
    }
    best
}

#[inline(always)]
fn relaxed_key(c: f64, p: f64, shift: f64, tol: f64) -> f64 {
    (c + p - shift) + tol * (c.abs() + p.abs() + shift.abs())
}

#[inline(always)]
fn row_price_body<T: Entry>(c: &[T], p: &[f64], shift: f64, tol: f64) -> f64 {
    scan_min(c, p, |c, p| relaxed_key(c, p, shift, tol))
}

kernel! {
    /// min over j of the reduced cost relaxed by its own rounding error,
    /// `(c_j + p_j − shift) + tol·(|c_j| + |p_j| + |shift|)`: negative where a pair violates dual
    /// feasibility beyond `tol` of its own magnitude. 8 (4) + 8 bytes and 8 flops per entry.
    row_price, row_price_with = row_price_body<T>(c: &[T], p: &[f64], shift: f64, tol: f64) -> f64
}

#[inline(always)]
fn column_min_body<T: Entry>(c: &[T], shift: f64, out: &mut [f64]) {
    for (o, c) in out.iter_mut().zip(c) {
        *o = lower(c.wide() - shift, *o);
    }
}

kernel! {
    /// `out_j = min(out_j, c_j − shift)`: the other half of a c-transform, row by row.
    /// 8 (4) + 16 bytes and 2 flops per entry.
    column_min, column_min_with = column_min_body<T>(c: &[T], shift: f64, out: &mut [f64]) -> ()
}

/// exp in single precision for arguments in `[−87, 0]`; smaller ones give 0. Relative error below 3e-7.
///
/// The exponent comes from adding `1.5·2^23`, whose low mantissa bits then hold the rounded integer.
#[inline(always)]
fn exp_nonpositive(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    let live = x > -87.0;
    let x = if live { x } else { -87.0 };
    let t = x * std::f32::consts::LOG2_E + MAGIC;
    let k = t - MAGIC;
    let r = (x - k * LN2_HI) - k * LN2_LO;
    let mut q = 8.369_131e-3_f32;
    q = q * r + 4.166_877_4e-2;
    q = q * r + 1.666_668_5e-1;
    q = q * r + 0.5;
    q = q * r + 1.0;
    q = q * r + 1.0;
    let scale = f32::from_bits(t.to_bits().wrapping_add(127) << 23);
    if live { q * scale } else { 0.0 }
}

#[inline(always)]
fn entropic_list_body<T: Entry>(
    columns: &[u32],
    costs: &[T],
    base: f64,
    inv_eps: f64,
    g: &[f32],
    weight: f32,
    buf: &mut [f32],
    sums: &mut [f32],
) -> f32 {
    let len = columns.len().min(costs.len()).min(buf.len());
    let (columns, costs, buf) = (&columns[..len], &costs[..len], &mut buf[..len]);
    let mut highest = f32::NEG_INFINITY;
    for ((b, c), &j) in buf.iter_mut().zip(costs).zip(columns) {
        let t = g[j as usize] - ((c.wide() - base) * inv_eps) as f32;
        *b = t;
        highest = if t > highest { t } else { highest };
    }
    if highest == f32::NEG_INFINITY {
        return highest;
    }
    const W: usize = 16;
    let mut total = [0.0_f32; W];
    let mut chunks = buf.chunks_exact_mut(W);
    for bb in &mut chunks {
        for l in 0..W {
            let e = exp_nonpositive(bb[l] - highest);
            bb[l] = e;
            total[l] += e;
        }
    }
    let mut sum = 0.0;
    for t in total {
        sum += t;
    }
    for b in chunks.into_remainder() {
        *b = exp_nonpositive(*b - highest);
        sum += *b;
    }
    let scale = weight / sum;
    for (b, &j) in buf.iter().zip(columns) {
        sums[j as usize] += scale * b;
    }
    highest + sum.ln()
}

kernel! {
    /// One row of an entropic half-step over the listed columns, in single precision: with
    /// `t_k = g[columns_k] − (costs_k − base)·inv_eps`, adds `weight·exp(t_k) / Σ exp(t)` to the sums of the
    /// columns and returns `log Σ exp(t)` (`−∞` for a list without an allowed pair). `g` is in units of ε;
    /// `buf` is scratch. 12 (8) bytes streamed, two indexed accesses and one exp per entry.
    ///
    /// # Panics
    /// If a listed column is not an index of `g` and `sums`.
    entropic_list, entropic_list_with = entropic_list_body<T>(
        columns: &[u32], costs: &[T], base: f64, inv_eps: f64, g: &[f32], weight: f32, buf: &mut [f32],
        sums: &mut [f32]
    ) -> f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    fn row(len: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut c: Vec<f64> = (0..len).map(|_| rng.random_range(-2.0..5.0)).collect();
        let mut p: Vec<f64> = (0..len).map(|_| rng.random_range(-3.0..3.0)).collect();
        for j in 0..len {
            if rng.random_range(0..7) == 0 {
                c[j] = f64::INFINITY;
            }
            if rng.random_range(0..9) == 0 {
                p[j] = f64::INFINITY;
            }
        }
        (c, p)
    }

    #[test]
    fn minima_equal_the_plain_loop_on_every_path() {
        for isa in Isa::available() {
            for len in [0, 1, 15, 31, 32, 33, 64, 100, 257] {
                let (c, p) = row(len, len as u64);
                let want = c
                    .iter()
                    .zip(&p)
                    .fold(f64::INFINITY, |m, (c, p)| m.min(c + p));
                assert_eq!(row_min_with(isa, &c, &p), want, "{} {len}", isa.name());
                let narrow: Vec<f32> = c.iter().map(|&x| x as f32).collect();
                let want = narrow
                    .iter()
                    .zip(&p)
                    .fold(f64::INFINITY, |m, (&c, p)| m.min(f64::from(c) + p));
                assert_eq!(row_min_with(isa, &narrow, &p), want, "{} {len}", isa.name());
            }
        }
    }

    #[test]
    fn pricing_and_collection_agree_with_the_plain_loop() {
        for isa in Isa::available() {
            for len in [1, 16, 17, 48, 130] {
                let (c, p) = row(len, 100 + len as u64);
                let key = |j: usize| (c[j] + p[j] - 1.5) + 1e-3 * (c[j].abs() + p[j].abs() + 1.5);
                let want = (0..len).map(key).fold(f64::INFINITY, f64::min);
                let got = row_price_with(isa, &c, &p, 1.5, 1e-3);
                assert!(got == want || (got - want).abs() < 1e-14, "{got} {want}");
                let reduced = (0..len).map(|j| c[j] + p[j]).fold(f64::INFINITY, f64::min);
                let first = (0..len).position(|j| c[j] + p[j] == reduced);
                let first = first.filter(|&j| key(j) < 0.0);
                assert_eq!(
                    row_entering_with(isa, &c, &p, 1.5, 1e-3),
                    first.map(|j| j as u32)
                );
                let mut out = vec![(0.0, 7)];
                let found = row_collect_with(isa, &c, &p, 1.5, 1e-3, 0.25, &mut out);
                let cols: Vec<u32> = out[1..].iter().map(|x| x.1).collect();
                let want: Vec<u32> = (0..len)
                    .filter(|&j| key(j) < 0.25)
                    .map(|j| j as u32)
                    .collect();
                assert_eq!(cols, want);
                assert_eq!(found, want.len());
                out.clear();
                row_collect_with(isa, &c, &p, 0.0, 0.0, 0.0, &mut out);
                assert_eq!(out.len(), (0..len).filter(|&j| c[j] + p[j] < 0.0).count());
            }
        }
    }

    #[test]
    fn a_violation_within_its_own_rounding_hides_no_other() {
        // Column 0 is violated by more, but only to its own rounding; column 9 beyond that.
        let (mut c, mut p) = (vec![9.0; 20], vec![0.0; 20]);
        (c[0], p[0]) = (1e6, -1e6 - 0.5);
        (c[9], p[9]) = (-0.25, 0.0);
        for isa in Isa::available() {
            assert_eq!(row_entering_with(isa, &c, &p, 0.0, 1e-6), Some(9));
            assert_eq!(row_entering_with(isa, &c[..9], &p[..9], 0.0, 1e-6), None);
        }
    }

    #[test]
    fn column_minimum_keeps_the_lower_value() {
        for isa in Isa::available() {
            let (c, _) = row(77, 5);
            let mut out = vec![0.5; 77];
            column_min_with(isa, &c, 1.0, &mut out);
            for j in 0..77 {
                assert_eq!(out[j], (c[j] - 1.0).min(0.5));
            }
        }
    }

    #[test]
    fn entropic_list_equals_double_precision() {
        for isa in Isa::available() {
            for len in [1, 15, 16, 17, 150] {
                let (c, p) = row(len, 77 + len as u64);
                let g: Vec<f32> = p.iter().map(|&x| x.min(2.0) as f32).collect();
                let kept: Vec<u32> = (0..len as u32).filter(|&j| j % 3 != 1).collect();
                let costs: Vec<f64> = kept.iter().map(|&j| c[j as usize]).collect();
                let t = |j: usize| f64::from(g[j]) - (c[j] - 0.5) * 3.0;
                let top = kept
                    .iter()
                    .map(|&j| t(j as usize))
                    .fold(f64::NEG_INFINITY, f64::max);
                let (mut buf, mut sums) = (vec![0.0; len], vec![1.0; len]);
                let lse =
                    entropic_list_with(isa, &kept, &costs, 0.5, 3.0, &g, 0.7, &mut buf, &mut sums);
                if top == f64::NEG_INFINITY {
                    assert_eq!(lse, f32::NEG_INFINITY);
                    continue;
                }
                let total: f64 = kept.iter().map(|&j| (t(j as usize) - top).exp()).sum();
                assert!((f64::from(lse) - (top + total.ln())).abs() < 1e-5);
                for j in 0..len {
                    let share = if j % 3 == 1 {
                        0.0
                    } else {
                        (t(j) - top).exp() / total
                    };
                    assert!((f64::from(sums[j]) - (1.0 + 0.7 * share)).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn single_precision_exp_is_accurate_and_flushes_to_zero() {
        for k in 0..=8700 {
            let x = -(k as f32) / 100.0;
            let want = f64::from(x).exp();
            let got = f64::from(exp_nonpositive(x));
            let exact = if x > -87.0 { want } else { 0.0 };
            assert!(
                (got - exact).abs() <= 4e-6 * want,
                "{x}: {got} against {want}"
            );
        }
        assert_eq!(exp_nonpositive(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn many_rows_at_once_find_the_first_that_is_violated() {
        for isa in Isa::available() {
            for (n, m) in [(1, 1), (4, 8), (11, 21), (13, 40)] {
                // Every reduced cost is 1 but for one pair in each of two rows.
                for (first, second) in [(0, n - 1), (n / 2, n - 1), (n - 1, n - 1)] {
                    let mut c = vec![3.0; n * m];
                    let p = vec![-1.0; m];
                    let shifts = vec![1.0; n];
                    c[first * m + m - 1] = 1.5;
                    c[second * m] = 1.5;
                    let narrow: Vec<f32> = c.iter().map(|&c| c as f32).collect();
                    for from in 0..=n {
                        let want = [first, second].into_iter().find(|&i| i >= from);
                        // The second stands first where both are in one row.
                        let want = want.map(|i| (i, if i == second { 0 } else { m - 1 }));
                        let found = first_entering_with(isa, &c, &p, &shifts, 1e-12, from);
                        assert_eq!(found, want, "{} {n}×{m} from {from}", isa.name());
                        let found = first_entering_with(isa, &narrow, &p, &shifts, 1e-12, from);
                        assert_eq!(found, want);
                    }
                    // Violated by no more than its rounding may be.
                    c[first * m + m - 1] = 2.0 - 1e-15;
                    c[second * m] = 2.0 - 1e-15;
                    let found = first_entering_with(isa, &c, &p, &shifts, 1e-12, 0);
                    assert_eq!(found, None);
                }
            }
        }
    }
}
