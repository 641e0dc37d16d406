//! The fused Sinkhorn step with products in f32: for the iterations before the last ones of an f32-stored kernel.
//!
//! Widening every element to f64 takes longer than reading it: at n = 1000 (in the outer cache) and at n = 5000 (in
//! memory) this step takes half and 0.6 of the time of [`scale_rows`](super::scale_rows).

use super::{ProductWorkspace, R, RowScaling, add_partials, pass, split_rows};
use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, Lanes, Lanes64, run};

/// Rows whose part of `Kᵀ u` is summed in f32 before it is added to the sum in f64: few enough for an error of
/// some 2⁻²⁴, enough to make the additions cheap.
const SUMMED: usize = 64;

struct Narrow<'a> {
    k: &'a [f32],
    v: &'a [f32],
    a: &'a [f64],
    u: &'a mut [f64],
    sums: &'a mut [f64],
    out: &'a mut [f64],
    /// The part of `out` that is not added yet.
    part: &'a mut [f32],
}

impl Kernel for Narrow<'_> {
    type Out = RowScaling;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> RowScaling {
        let (n, m) = (self.a.len(), self.v.len());
        let mut seen = RowScaling::NONE;
        self.out.fill(0.0);
        self.part.fill(0.0);
        let part = self.part.as_mut_ptr();
        let mut i = 0;
        while i < n {
            // SAFETY: k holds n rows of m (checked by the caller of the kernel), v holds m; i < n.
            let (block, s) = unsafe {
                let block = pass::rows(self.k.as_ptr(), m, i, n);
                (block, dots::<B>(block, self.v.as_ptr(), m))
            };
            let mut u = [0.0_f32; R];
            for r in 0..R.min(n - i) {
                let (a, s) = (self.a[i + r], f64::from(s[r]));
                seen.see(s, self.u[i + r], a);
                let scaling = if a == 0.0 { 0.0 } else { a / s };
                self.u[i + r] = scaling;
                self.sums[i + r] = s;
                u[r] = scaling as f32;
            }
            // SAFETY: as above; part and out hold m.
            unsafe { add::<B>(block, u, part, m) };
            i += R;
            if i.is_multiple_of(SUMMED) || i >= n {
                // SAFETY: as above.
                unsafe { widen::<B>(part, self.out.as_mut_ptr(), m) };
            }
        }
        seen
    }
}

/// `s_r = Σ_j K_rj v_j`.
///
/// # Safety
/// The instruction set of `B` is available; the rows and `v` are valid for `m` elements.
#[inline(always)]
unsafe fn dots<B: Backend>(k: [*const f32; R], v: *const f32, m: usize) -> [f32; R] {
    let lanes = <B::S as Lanes>::N;
    // SAFETY: j + lanes ≤ m for whole registers and j + part ≤ m for the others.
    unsafe {
        let mut sums = [B::S::splat(0.0); R];
        let mut j = 0;
        while j + lanes <= m {
            let v_j = B::S::load(v.add(j));
            for r in 0..R {
                sums[r] = B::S::load(k[r].add(j)).fma(v_j, sums[r]);
            }
            j += lanes;
        }
        if j < m {
            let v_j = B::S::load_part(v.add(j), m - j, 0.0);
            for r in 0..R {
                sums[r] = B::S::load_part(k[r].add(j), m - j, 0.0).fma(v_j, sums[r]);
            }
        }
        let mut s = [0.0; R];
        for r in 0..R {
            s[r] = sums[r].sum();
        }
        s
    }
}

/// `part_j += Σ_r u_r K_rj` from the last j to the first, whose elements are still in the first-level cache, while
/// the rows after these are on their way to the second.
///
/// # Safety
/// As [`dots`], with `part` in the place of `v`.
#[inline(always)]
unsafe fn add<B: Backend>(k: [*const f32; R], u: [f32; R], part: *mut f32, m: usize) {
    let lanes = <B::S as Lanes>::N;
    // SAFETY: j + lanes ≤ m for whole registers and j + rest ≤ m for the others; a prefetch may point anywhere.
    unsafe {
        let mut scale = [B::S::splat(0.0); R];
        for r in 0..R {
            scale[r] = B::S::splat(u[r]);
        }
        let mut j = m - m % lanes;
        if j < m {
            let rest = m - j;
            let mut o = B::S::load_part(part.add(j), rest, 0.0);
            for r in 0..R {
                o = B::S::load_part(k[r].add(j), rest, 0.0).fma(scale[r], o);
            }
            o.store_part(part.add(j), rest);
        }
        while j > 0 {
            j -= lanes;
            let mut o = B::S::load(part.add(j));
            for r in 0..R {
                B::prefetch_outer(k[r].wrapping_add(R * m + j));
                o = B::S::load(k[r].add(j)).fma(scale[r], o);
            }
            o.store(part.add(j));
        }
    }
}

/// `out_j += part_j`, and `part_j` starts again from 0.
///
/// # Safety
/// The instruction set of `B` is available; both pointers are valid for `m` elements.
#[inline(always)]
unsafe fn widen<B: Backend>(part: *mut f32, out: *mut f64, m: usize) {
    let lanes = <B::D as Lanes>::N;
    // SAFETY: j + lanes ≤ m for whole registers and j + rest ≤ m for the others.
    unsafe {
        let zero = B::D::splat(0.0);
        let mut j = 0;
        while j + lanes <= m {
            let sum = B::D::load(out.add(j)).add(B::D::load_f32(part.add(j)));
            sum.store(out.add(j));
            zero.store_f32(part.add(j));
            j += lanes;
        }
        if j < m {
            let rest = m - j;
            let more = B::D::load_f32_part(part.add(j), rest, 0.0);
            B::D::load_part(out.add(j), rest, 0.0)
                .add(more)
                .store_part(out.add(j), rest);
            zero.store_f32_part(part.add(j), rest);
        }
    }
}

/// [`scale_rows`](super::scale_rows) for balanced marginals with products in f32: `s = K v`, `u_i = a_i / s_i`
/// (0 where `a_i = 0`), `out = Kᵀ u`, off by some 2⁻²² relative. `v` and `u` are rounded to f32 on the way: what is
/// not a normal f32 comes out as 0 or ∞, in the sums too.
///
/// Threads as in [`scale_rows`](super::scale_rows); the first call with a workspace makes room in it. Per element:
/// 4 bytes from memory once, the same again from the second-level cache, 4 flops.
///
/// # Panics
/// If the lengths do not match, or `workspace` was made for another number of columns.
pub fn scale_rows_narrow(
    k: &[f32],
    v: &[f64],
    a: &[f64],
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) -> RowScaling {
    scale_rows_narrow_with(isa(), k, v, a, u, sums, out, workspace)
}

/// [`scale_rows_narrow`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// As [`scale_rows_narrow`].
pub fn scale_rows_narrow_with(
    isa: Isa,
    k: &[f32],
    v: &[f64],
    a: &[f64],
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) -> RowScaling {
    let (n, m) = (a.len(), v.len());
    assert_eq!(
        k.len(),
        n * m,
        "scale_rows_narrow: k is not a.len() × v.len()"
    );
    assert!(
        u.len() == n && sums.len() == n,
        "scale_rows_narrow: u or sums differ from a in length"
    );
    assert_eq!(
        out.len(),
        m,
        "scale_rows_narrow: out and v differ in length"
    );
    assert_eq!(
        workspace.columns, m,
        "scale_rows_narrow: the workspace is for another number of columns"
    );
    let chunks = workspace.threads.min(n.div_ceil(R)).max(1);
    workspace.narrow.resize((workspace.threads + 1) * m, 0.0);
    let (narrow, parts) = workspace.narrow.split_at_mut(m);
    for (x, &v) in narrow.iter_mut().zip(v) {
        *x = f32::from_f64(v);
    }
    let partial = &mut workspace.partial[..(chunks - 1) * m];
    let seen = split(isa, chunks, k, narrow, a, u, sums, out, partial, parts);
    add_partials(out, partial);
    seen
}

/// As `scale_chunks`, with `parts` for every thread.
fn split(
    isa: Isa,
    chunks: usize,
    k: &[f32],
    v: &[f32],
    a: &[f64],
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    partial: &mut [f64],
    parts: &mut [f32],
) -> RowScaling {
    let m = v.len();
    if chunks == 1 {
        let part = &mut parts[..m];
        return run(
            isa,
            Narrow {
                k,
                v,
                a,
                u,
                sums,
                out,
                part,
            },
        );
    }
    let left = chunks / 2;
    let rows = split_rows(a.len(), left, chunks);
    let (k0, k1) = k.split_at(rows * m);
    let (a0, a1) = a.split_at(rows);
    let (u0, u1) = u.split_at_mut(rows);
    let (s0, s1) = sums.split_at_mut(rows);
    let (p0, p1) = partial.split_at_mut((left - 1) * m);
    let (out1, p1) = p1.split_at_mut(m);
    let (q0, q1) = parts.split_at_mut(left * m);
    let (x, y) = rayon::join(
        || split(isa, left, k0, v, a0, u0, s0, out, p0, q0),
        || split(isa, chunks - left, k1, v, a1, u1, s1, out1, p1, q1),
    );
    x.join(y)
}
