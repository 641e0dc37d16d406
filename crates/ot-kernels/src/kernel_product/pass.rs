//! The inner loops over the columns of one block of rows.

use super::R;
use crate::simd::{Backend, Elem, Lanes};

/// How far ahead of the loads memory is asked for. Eight streams change page too often for the hardware alone:
/// without this the fused step takes a quarter longer where K is in memory. In a cache it would only cost loads.
const PREFETCH_BYTES: usize = 512;
/// Bytes of a matrix that no cache is expected to hold.
const BEYOND_CACHES: usize = 16 << 20;

/// Whether a pass over n rows of m elements is to ask for memory ahead.
#[inline(always)]
pub(super) fn is_far<T>(n: usize, m: usize) -> bool {
    n * m * size_of::<T>() > BEYOND_CACHES
}

/// Pointers to the rows `first .. first + R`; rows from `last` on repeat the last one, and count for nothing.
///
/// # Safety
/// `k` is valid for `last` rows of `m` elements, and `first < last`.
#[inline(always)]
pub(super) unsafe fn rows<T>(k: *const T, m: usize, first: usize, last: usize) -> [*const T; R] {
    let mut rows = [k; R];
    for r in 0..R {
        // SAFETY: the row index is below `last`.
        rows[r] = unsafe { k.add((first + r).min(last - 1) * m) };
    }
    rows
}

/// `s_r = Σ_j K_rj v_j` for the rows `now` (if `DOT`), and `out_j += Σ_r u_r K_rj` for the rows `before` (if
/// `ADD`), in one loop over j; `far` is the word of [`is_far`].
///
/// # Safety
/// The instruction set of `B` is available. The row pointers, with `DOT` also `v` and with `ADD` also `out`,
/// are valid for `m` elements.
#[inline(always)]
pub(super) unsafe fn pass<B: Backend, T: Elem, const DOT: bool, const ADD: bool>(
    now: [*const T; R],
    before: [*const T; R],
    u: [f64; R],
    v: *const f64,
    out: *mut f64,
    m: usize,
    far: bool,
) -> [f64; R] {
    // Two loops, each without the question.
    // SAFETY: the caller's promise.
    unsafe {
        if far {
            pass_to::<B, T, DOT, ADD, true>(now, before, u, v, out, m)
        } else {
            pass_to::<B, T, DOT, ADD, false>(now, before, u, v, out, m)
        }
    }
}

#[inline(always)]
unsafe fn pass_to<B: Backend, T: Elem, const DOT: bool, const ADD: bool, const FAR: bool>(
    now: [*const T; R],
    before: [*const T; R],
    u: [f64; R],
    v: *const f64,
    out: *mut f64,
    m: usize,
) -> [f64; R] {
    let lanes = <B::D as Lanes>::N;
    // The rows that come from memory; the others are in a cache.
    let fresh = if DOT { now } else { before };
    // SAFETY: j + lanes ≤ m for whole registers and j + part ≤ m for the others; a prefetch may point anywhere.
    unsafe {
        let mut scale = [B::D::splat(0.0); R];
        for r in 0..R {
            scale[r] = B::D::splat(u[r]);
        }
        let mut sums = [B::D::splat(0.0); R];
        let mut j = 0;
        // From the first column on, wherever the row lies in memory: which elements share a lane decides the
        // rounding of the sums.
        while j + lanes <= m {
            for r in 0..if FAR { R } else { 0 } {
                B::prefetch(fresh[r].add(j).wrapping_byte_add(PREFETCH_BYTES));
            }
            if DOT {
                let v_j = B::D::load(v.add(j));
                for r in 0..R {
                    sums[r] = T::load64::<B::D>(now[r].add(j)).fma(v_j, sums[r]);
                }
            }
            if ADD {
                let mut o = B::D::load(out.add(j));
                for r in 0..R {
                    o = T::load64::<B::D>(before[r].add(j)).fma(scale[r], o);
                }
                o.store(out.add(j));
            }
            j += lanes;
        }
        if j < m {
            let part = m - j;
            if DOT {
                let v_j = B::D::load_part(v.add(j), part, 0.0);
                for r in 0..R {
                    let k = T::load64_part::<B::D>(now[r].add(j), part, T::ZERO);
                    sums[r] = k.fma(v_j, sums[r]);
                }
            }
            if ADD {
                let mut o = B::D::load_part(out.add(j), part, 0.0);
                for r in 0..R {
                    let k = T::load64_part::<B::D>(before[r].add(j), part, T::ZERO);
                    o = k.fma(scale[r], o);
                }
                o.store_part(out.add(j), part);
            }
        }
        if DOT { B::D::sum_each(sums) } else { [0.0; R] }
    }
}

/// `out_j += Σ_r u_r K_rj` from the last j to the first: after a pass over the same rows the last are still in
/// the first-level cache.
///
/// # Safety
/// The instruction set of `B` is available. The row pointers and `out` are valid for `m` elements.
#[inline(always)]
pub(super) unsafe fn add_backwards<B: Backend, T: Elem>(
    k: [*const T; R],
    u: [f64; R],
    out: *mut f64,
    m: usize,
) {
    let lanes = <B::D as Lanes>::N;
    // SAFETY: j + lanes ≤ m for whole registers and j + part ≤ m for the others.
    unsafe {
        let mut scale = [B::D::splat(0.0); R];
        for r in 0..R {
            scale[r] = B::D::splat(u[r]);
        }
        let mut j = m - m % lanes;
        if j < m {
            let part = m - j;
            let mut o = B::D::load_part(out.add(j), part, 0.0);
            for r in 0..R {
                let k = T::load64_part::<B::D>(k[r].add(j), part, T::ZERO);
                o = k.fma(scale[r], o);
            }
            o.store_part(out.add(j), part);
        }
        while j > 0 {
            j -= lanes;
            let mut o = B::D::load(out.add(j));
            for r in 0..R {
                o = T::load64::<B::D>(k[r].add(j)).fma(scale[r], o);
            }
            o.store(out.add(j));
        }
    }
}
