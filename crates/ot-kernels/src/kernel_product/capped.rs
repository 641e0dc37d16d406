//! The step of [`scale_rows`](super::scale_rows) for marginals that are upper bounds: a scaling that would be larger than
//! its cap stops there, and its row keeps room.

use super::pass::{add_backwards, is_far, pass, rows};
use super::{ProductWorkspace, R, add_partials, split_rows};
use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, run};

struct CappedRows<'a, T> {
    k: &'a [T],
    v: &'a [f64],
    a: &'a [f64],
    caps: &'a [f64],
    u: &'a mut [f64],
    sums: &'a mut [f64],
    out: &'a mut [f64],
}

impl<T: Elem> Kernel for CappedRows<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, m) = (self.a.len(), self.v.len());
        let (k, v, out) = (self.k.as_ptr(), self.v.as_ptr(), self.out.as_mut_ptr());
        self.out.fill(0.0);
        let far = is_far::<T>(n, m);
        let mut i = 0;
        while i < n {
            let count = R.min(n - i);
            let mut u = [0.0; R];
            // SAFETY: k holds n rows of m (checked by the caller of the kernel), v and out hold m; i < n.
            unsafe {
                let block = rows(k, m, i, n);
                let s = pass::<B, T, true, false>(block, block, [0.0; R], v, out, m, far);
                for r in 0..count {
                    let (scaled, cap) = (self.a[i + r] / s[r], self.caps[i + r]);
                    // Not `min`, which passes over a NaN.
                    u[r] = if cap < scaled { cap } else { scaled };
                }
                add_backwards::<B, T>(block, u, out, m);
                self.sums[i..i + count].copy_from_slice(&s[..count]);
            }
            self.u[i..i + count].copy_from_slice(&u[..count]);
            i += R;
        }
    }
}

/// One half-step of Sinkhorn for a ≥ P1 that reads K once: `s = K v`, `u_i = min(caps_i, a_i / s_i)`, `out = Kᵀ u`. A row
/// that nothing reaches (`s_i` = 0) stands at its cap.
///
/// `k` is row-major, `a.len()` × `v.len()`; the weights `a` are positive. `u` and `sums` go out with the scaling and with
/// s. Threads as in [`scale_rows`](super::scale_rows). Nothing is allocated.
///
/// Per element of K: 8 (or 4) bytes from memory once, the same again from the second-level cache, 4 flops.
///
/// # Panics
/// If the lengths do not match, or `workspace` was made for another number of columns.
pub fn scale_rows_capped<T: Elem>(
    k: &[T],
    v: &[f64],
    a: &[f64],
    caps: &[f64],
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) {
    scale_rows_capped_with(isa(), k, v, a, caps, u, sums, out, workspace);
}

/// [`scale_rows_capped`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// As [`scale_rows_capped`].
pub fn scale_rows_capped_with<T: Elem>(
    isa: Isa,
    k: &[T],
    v: &[f64],
    a: &[f64],
    caps: &[f64],
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) {
    let (n, m) = (a.len(), v.len());
    assert_eq!(
        k.len(),
        n * m,
        "scale_rows_capped: k is not a.len() × v.len()"
    );
    assert!(
        caps.len() == n && u.len() == n && sums.len() == n,
        "scale_rows_capped: caps, u or sums differ from a in length"
    );
    assert_eq!(
        out.len(),
        m,
        "scale_rows_capped: out and v differ in length"
    );
    assert_eq!(
        workspace.columns, m,
        "scale_rows_capped: the workspace is for another number of columns"
    );
    let chunks = workspace.threads.min(n.div_ceil(R)).max(1);
    let partial = &mut workspace.partial[..(chunks - 1) * m];
    let rows = CappedRows {
        k,
        v,
        a,
        caps,
        u,
        sums,
        out,
    };
    scale_chunks(isa, chunks, rows, partial);
    add_partials(out, partial);
}

/// Splits the rows in two until one chunk is left; the left half keeps `out`, the right half takes the next accumulator.
fn scale_chunks<T: Elem>(isa: Isa, chunks: usize, rows: CappedRows<'_, T>, partial: &mut [f64]) {
    if chunks == 1 {
        run(isa, rows);
        return;
    }
    let m = rows.v.len();
    let left = chunks / 2;
    let at = split_rows(rows.a.len(), left, chunks);
    let (k0, k1) = rows.k.split_at(at * m);
    let (a0, a1) = rows.a.split_at(at);
    let (c0, c1) = rows.caps.split_at(at);
    let (u0, u1) = rows.u.split_at_mut(at);
    let (s0, s1) = rows.sums.split_at_mut(at);
    let (p0, p1) = partial.split_at_mut((left - 1) * m);
    let (out1, p1) = p1.split_at_mut(m);
    let part = |k, a, caps, u, sums, out| CappedRows {
        k,
        v: rows.v,
        a,
        caps,
        u,
        sums,
        out,
    };
    let (first, second) = (
        part(k0, a0, c0, u0, s0, rows.out),
        part(k1, a1, c1, u1, s1, out1),
    );
    rayon::join(
        || scale_chunks(isa, left, first, p0),
        || scale_chunks(isa, chunks - left, second, p1),
    );
}
