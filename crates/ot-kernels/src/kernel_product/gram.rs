//! Kᵀ diag(w) K v with K read once: what conjugate gradients ask of a plan.

use super::pass::{is_far, pass, rows};
use super::{ProductWorkspace, R, add_backwards, add_partials, split_rows};
use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, run};

struct Gram<'a, T> {
    k: &'a [T],
    w: &'a [f64],
    v: &'a [f64],
    out: &'a mut [f64],
}

impl<T: Elem> Kernel for Gram<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, m) = (self.w.len(), self.v.len());
        let (k, v, out) = (self.k.as_ptr(), self.v.as_ptr(), self.out.as_mut_ptr());
        let far = is_far::<T>(n, m);
        self.out.fill(0.0);
        for i in (0..n).step_by(R) {
            // SAFETY: k holds n rows of m (checked by the caller of the kernel), v and out hold m; i < n.
            unsafe {
                let now = rows(k, m, i, n);
                let s = pass::<B, T, true, false>(now, now, [0.0; R], v, out, m, far);
                let mut u = [0.0; R];
                for r in 0..R.min(n - i) {
                    u[r] = self.w[i + r] * s[r];
                }
                add_backwards::<B, T>(now, u, out, m);
            }
        }
    }
}

/// `out = Kᵀ diag(w) K v`, reading K once; `k` is row-major, `w.len()` × `v.len()`.
///
/// Sums are in f64 whatever K is stored in. The work is split into as many row chunks as `workspace` was made for.
/// Per element: 8 (or 4) bytes from memory once, the same again from the second-level cache, 4 flops.
///
/// # Panics
/// If the lengths do not match, or `workspace` was made for another number of columns.
pub fn gram<T: Elem>(
    k: &[T],
    w: &[f64],
    v: &[f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) {
    gram_with(isa(), k, w, v, out, workspace);
}

/// [`gram`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// As [`gram`].
pub fn gram_with<T: Elem>(
    isa: Isa,
    k: &[T],
    w: &[f64],
    v: &[f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) {
    let (n, m) = (w.len(), v.len());
    assert_eq!(k.len(), n * m, "gram: k is not w.len() × v.len()");
    assert_eq!(out.len(), m, "gram: out and v differ in length");
    assert_eq!(
        workspace.columns, m,
        "gram: the workspace is for another number of columns"
    );
    let chunks = workspace.threads.min(n.div_ceil(R)).max(1);
    let partial = &mut workspace.partial[..(chunks - 1) * m];
    chunked(isa, chunks, k, w, v, out, partial);
    add_partials(out, partial);
}

/// The left half keeps `out`, the right half takes the next accumulator.
fn chunked<T: Elem>(
    isa: Isa,
    chunks: usize,
    k: &[T],
    w: &[f64],
    v: &[f64],
    out: &mut [f64],
    partial: &mut [f64],
) {
    if chunks == 1 {
        return run(isa, Gram { k, w, v, out });
    }
    let m = v.len();
    let left = chunks / 2;
    let rows = split_rows(w.len(), left, chunks);
    let (k0, k1) = k.split_at(rows * m);
    let (w0, w1) = w.split_at(rows);
    let (p0, p1) = partial.split_at_mut((left - 1) * m);
    let (out1, p1) = p1.split_at_mut(m);
    rayon::join(
        || chunked(isa, left, k0, w0, v, out, p0),
        || chunked(isa, chunks - left, k1, w1, v, out1, p1),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_two_products() {
        for (n, m) in [(1, 1), (7, 13), (16, 16), (37, 50), (64, 33)] {
            let k: Vec<f32> = (0..n * m)
                .map(|i| ((i * 37 % 101) as f32) / 101.0)
                .collect();
            let w: Vec<f64> = (0..n).map(|i| 0.5 + (i % 3) as f64).collect();
            let v: Vec<f64> = (0..m).map(|j| (j as f64).sin()).collect();
            let mut wanted = vec![0.0; m];
            for i in 0..n {
                let row = &k[i * m..(i + 1) * m];
                let s: f64 = row.iter().zip(&v).map(|(&k, v)| f64::from(k) * v).sum();
                for (out, &k) in wanted.iter_mut().zip(row) {
                    *out += w[i] * s * f64::from(k);
                }
            }
            for isa in Isa::available() {
                for threads in [1, 3] {
                    let mut out = vec![f64::NAN; m];
                    let mut workspace = ProductWorkspace::new(m, threads);
                    gram_with(isa, &k, &w, &v, &mut out, &mut workspace);
                    for (x, y) in out.iter().zip(&wanted) {
                        assert!((x - y).abs() <= 1e-12 * (n as f64), "{isa:?} {n}x{m}");
                    }
                }
            }
        }
    }
}
