//! The step of [`scale_rows`](super::scale_rows) for KL-relaxed marginals: the scaling is a power of the sum, taken in
//! logarithms, since a weight to a large power would leave the range where the scaling itself does not.

use super::pass::{add_backwards, is_far, pass, rows};
use super::{ProductWorkspace, R, add_partials, split_rows};
use crate::dispatch::{Isa, isa};
use crate::scaling::soften_lanes;
use crate::simd::{Backend, Elem, Kernel, run};

/// What [`scale_rows_soft`] saw on its way, over the rows with a weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftScaling {
    /// The smallest `s_i = (K v)_i`; NaN if one is NaN, +∞ if no row has a weight.
    pub min_sum: f64,
    /// The largest `s_i`; NaN if one is NaN, 0 if no row has a weight.
    pub max_sum: f64,
    /// `Σ_i u_i s_i`: the mass of diag(u) K diag(v), added up in the order of the rows.
    pub sent: f64,
}

impl SoftScaling {
    const NONE: Self = Self {
        min_sum: f64::INFINITY,
        max_sum: 0.0,
        sent: 0.0,
    };

    #[inline(always)]
    fn see(&mut self, s: f64, u: f64, log_a: f64) {
        if log_a > f64::NEG_INFINITY {
            self.sent += u * s;
            // A NaN enters, and stays because no comparison with it is true.
            if s < self.min_sum || s.is_nan() {
                self.min_sum = s;
            }
            if s > self.max_sum || s.is_nan() {
                self.max_sum = s;
            }
        }
    }

    fn join(mut self, o: Self) -> Self {
        self.sent += o.sent;
        if o.min_sum < self.min_sum || o.min_sum.is_nan() {
            self.min_sum = o.min_sum;
        }
        if o.max_sum > self.max_sum || o.max_sum.is_nan() {
            self.max_sum = o.max_sum;
        }
        self
    }
}

struct SoftRows<'a, T> {
    k: &'a [T],
    v: &'a [f64],
    log_a: &'a [f64],
    power: f64,
    u: &'a mut [f64],
    sums: &'a mut [f64],
    out: &'a mut [f64],
}

impl<T: Elem> Kernel for SoftRows<'_, T> {
    type Out = SoftScaling;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> SoftScaling {
        let (n, m) = (self.log_a.len(), self.v.len());
        let (k, v, out) = (self.k.as_ptr(), self.v.as_ptr(), self.out.as_mut_ptr());
        let mut seen = SoftScaling::NONE;
        self.out.fill(0.0);
        let far = is_far::<T>(n, m);
        let mut i = 0;
        while i < n {
            let count = R.min(n - i);
            let mut log_a = [f64::NEG_INFINITY; R];
            log_a[..count].copy_from_slice(&self.log_a[i..i + count]);
            let mut u = [0.0; R];
            // SAFETY: k holds n rows of m (checked by the caller of the kernel), v and out hold m; i < n. The three
            // arrays of `soften_lanes` have R elements, a multiple of the lanes of every register.
            let s = unsafe {
                let block = rows(k, m, i, n);
                let s = pass::<B, T, true, false>(block, block, [0.0; R], v, out, m, far);
                soften_lanes::<B::D>(log_a.as_ptr(), self.power, s.as_ptr(), u.as_mut_ptr(), R);
                add_backwards::<B, T>(block, u, out, m);
                s
            };
            for r in 0..count {
                seen.see(s[r], u[r], log_a[r]);
            }
            self.u[i..i + count].copy_from_slice(&u[..count]);
            self.sums[i..i + count].copy_from_slice(&s[..count]);
            i += R;
        }
        seen
    }
}

/// One half-step of Sinkhorn for KL-relaxed marginals that reads K once: `s = K v`,
/// `u_i = exp(log_a_i − power·ln s_i)` (0 where `log_a_i` = −∞), `out = Kᵀ u`.
///
/// `k` is row-major, `log_a.len()` × `v.len()`; `power` is γ/(γ+ε), 1 for a hard marginal. `u` and `sums` go out with
/// the scaling and with s. Threads as in [`scale_rows`](super::scale_rows). Nothing is allocated.
///
/// Per element of K: 8 (or 4) bytes from memory once, the same again from the second-level cache, 4 flops. Per row: one
/// logarithm and one exponential.
///
/// # Panics
/// If the lengths do not match, or `workspace` was made for another number of columns.
pub fn scale_rows_soft<T: Elem>(
    k: &[T],
    v: &[f64],
    log_a: &[f64],
    power: f64,
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) -> SoftScaling {
    scale_rows_soft_with(isa(), k, v, log_a, power, u, sums, out, workspace)
}

/// [`scale_rows_soft`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// As [`scale_rows_soft`].
pub fn scale_rows_soft_with<T: Elem>(
    isa: Isa,
    k: &[T],
    v: &[f64],
    log_a: &[f64],
    power: f64,
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) -> SoftScaling {
    let (n, m) = (log_a.len(), v.len());
    assert_eq!(
        k.len(),
        n * m,
        "scale_rows_soft: k is not log_a.len() × v.len()"
    );
    assert!(
        u.len() == n && sums.len() == n,
        "scale_rows_soft: u or sums differ from log_a in length"
    );
    assert_eq!(out.len(), m, "scale_rows_soft: out and v differ in length");
    assert_eq!(
        workspace.columns, m,
        "scale_rows_soft: the workspace is for another number of columns"
    );
    let chunks = workspace.threads.min(n.div_ceil(R)).max(1);
    let partial = &mut workspace.partial[..(chunks - 1) * m];
    let seen = soft_chunks(isa, chunks, k, v, log_a, power, u, sums, out, partial);
    add_partials(out, partial);
    seen
}

/// Splits the rows as [`scale_rows`](super::scale_rows) does.
fn soft_chunks<T: Elem>(
    isa: Isa,
    chunks: usize,
    k: &[T],
    v: &[f64],
    log_a: &[f64],
    power: f64,
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    partial: &mut [f64],
) -> SoftScaling {
    if chunks == 1 {
        return run(
            isa,
            SoftRows {
                k,
                v,
                log_a,
                power,
                u,
                sums,
                out,
            },
        );
    }
    let m = v.len();
    let left = chunks / 2;
    let rows = split_rows(log_a.len(), left, chunks);
    let (k0, k1) = k.split_at(rows * m);
    let (a0, a1) = log_a.split_at(rows);
    let (u0, u1) = u.split_at_mut(rows);
    let (s0, s1) = sums.split_at_mut(rows);
    let (p0, p1) = partial.split_at_mut((left - 1) * m);
    let (out1, p1) = p1.split_at_mut(m);
    let (x, y) = rayon::join(
        || soft_chunks(isa, left, k0, v, a0, power, u0, s0, out, p0),
        || soft_chunks(isa, chunks - left, k1, v, a1, power, u1, s1, out1, p1),
    );
    x.join(y)
}
