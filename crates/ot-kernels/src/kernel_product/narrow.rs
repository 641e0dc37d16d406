//! The fused Sinkhorn step with products in f32: for all iterations but the few that have to be exact.
//!
//! Widening every element to f64 takes longer than reading it: at n = 1000 (in the outer cache) and at n = 5000 (in
//! memory) this step takes half and 0.6 of the time of [`scale_rows`](super::scale_rows).
//!
//! Blocks of eight rows, their sums first and their part of `Kᵀ u` then, from the last column back. Measured against it
//! in one run at n = 300 to 2000, the two in one loop (`Kᵀ u` of one block with `K v` of the next, blocks of 2, 3, 4 or
//! 6 rows, always from the first column on or there and back) took 1.0 to 1.9 times as long, 1.06 to 1.16 at n = 1000:
//! what overlapping gains is lost on shorter blocks. (Rows of 4n bytes, which do not all start at a cache line. Where
//! they do, the bare products of blocks of three in one loop take 1.55 times one read at n = 1008, those of eight 1.78;
//! from n = 1500 on the other way round.)

use super::{Extremes, ProductWorkspace, R, RowScaling, add_partials, pass, split_rows};
use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Kernel, Lanes, Lanes64, run};

/// Rows whose part of `Kᵀ u` is summed in f32 before it is added to the sum in f64: few enough for an error of
/// some 2⁻²⁴, enough to make the additions cheap.
const SUMMED: usize = 64;

/// K in f32, up to scalings: K_ij = rows_i · entries_ij · cols_j.
#[derive(Clone, Copy, Debug)]
pub struct NarrowKernel<'a> {
    /// Row-major, `rows.len()` × `cols.len()`.
    pub entries: &'a [f32],
    /// What was taken off the rows.
    pub rows: &'a [f64],
    /// What was taken off the columns.
    pub cols: &'a [f64],
}

/// A step that is known better than products in f32 can tell: they are then asked for the differences to it alone,
/// and are off by their rounding of those. All zeros if nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// The scalings of the columns.
    pub v: &'a [f64],
    /// K v.
    pub s: &'a [f64],
    /// The scalings of the rows.
    pub u: &'a [f64],
    /// Kᵀ u.
    pub t: &'a [f64],
}

impl Reference<'_> {
    fn split_rows_at(self, row: usize) -> (Self, Self) {
        let ((s0, s1), (u0, u1)) = (self.s.split_at(row), self.u.split_at(row));
        (
            Self {
                s: s0,
                u: u0,
                ..self
            },
            Self {
                s: s1,
                u: u1,
                ..self
            },
        )
    }
}

struct Narrow<'a> {
    k: NarrowKernel<'a>,
    reference: Reference<'a>,
    v: &'a [f32],
    a: &'a [f64],
    u: &'a mut [f64],
    sums: &'a mut [f64],
    out: &'a mut [f64],
    /// The part of `out` that is not added yet.
    part: &'a mut [f32],
}

/// Up to R numbers from `i` on, and zeros.
#[inline(always)]
fn block(x: &[f64], i: usize, count: usize) -> [f64; R] {
    let mut block = [0.0; R];
    block[..count].copy_from_slice(&x[i..i + count]);
    block
}

impl Kernel for Narrow<'_> {
    type Out = RowScaling;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> RowScaling {
        let (n, m) = (self.a.len(), self.v.len());
        let k = self.k.entries.as_ptr();
        // SAFETY: the instruction set is available.
        let mut seen = unsafe { Extremes::<B::D>::new() };
        self.out.fill(0.0);
        self.part.fill(0.0);
        let part = self.part.as_mut_ptr();
        let mut i = 0;
        while i < n {
            let count = R.min(n - i);
            let (a, u) = (block(self.a, i, count), block(self.u, i, count));
            let known = (
                block(self.reference.s, i, count),
                block(self.reference.u, i, count),
            );
            let scale = block(self.k.rows, i, count);
            // SAFETY: k holds n rows of m (checked by the caller of the kernel), v and part hold m; i < n.
            let (s, u) = unsafe {
                let rows = pass::rows(k, m, i, n);
                let dots = dots::<B>(rows, self.v.as_ptr(), m);
                let (s, u, steps) = seen.step(&dots, &a, &u, &scale, known);
                add::<B>(rows, steps, part, m);
                (s, u)
            };
            self.u[i..i + count].copy_from_slice(&u[..count]);
            self.sums[i..i + count].copy_from_slice(&s[..count]);
            i += R;
            if i.is_multiple_of(SUMMED) || i >= n {
                // SAFETY: as above.
                unsafe { widen::<B>(part, self.out.as_mut_ptr(), m) };
            }
        }
        // SAFETY: the instruction set is available.
        unsafe { seen.seen() }
    }
}

impl<D: Lanes64> Extremes<D> {
    /// s = s₀ + rows · dots and u = a / s, 0 where a = 0, for rows whose step was (s₀, u₀) until now, and the step
    /// of u over their scales. What is seen are the sums over the scales: the size of the numbers in f32.
    ///
    /// # Safety
    /// The instruction set of `D` is available.
    #[inline(always)]
    unsafe fn step(
        &mut self,
        dots: &[f32; R],
        a: &[f64; R],
        u: &[f64; R],
        scale: &[f64; R],
        known: ([f64; R], [f64; R]),
    ) -> ([f64; R], [f64; R], [f32; R]) {
        let (mut sums, mut scaled, mut steps) = ([0.0; R], [0.0; R], [0.0; R]);
        let mut r = 0;
        while r < R {
            // SAFETY: R is a multiple of the lanes of every register, and r < R.
            unsafe {
                let zero = D::splat(0.0);
                let (a, u) = (D::load(a.as_ptr().add(r)), D::load(u.as_ptr().add(r)));
                let scale = D::load(scale.as_ptr().add(r));
                let (s0, u0) = (known.0.as_ptr().add(r), known.1.as_ptr().add(r));
                let s = D::load_f32(dots.as_ptr().add(r)).fma(scale, D::load(s0));
                let weighs = zero.lt(a);
                let relative = s.div(scale);
                let counted = D::select(weighs, relative, D::splat(f64::INFINITY));
                self.least = D::select(counted.lt(self.least), counted, self.least);
                let counted = D::select(weighs, relative, zero);
                self.largest = D::select(self.largest.lt(counted), counted, self.largest);
                self.total = self.total.add(counted);
                self.error = self.error.add(u.mul(s).sub(a).abs());
                let u = D::select(weighs, a.div(s), zero);
                s.store(sums.as_mut_ptr().add(r));
                u.store(scaled.as_mut_ptr().add(r));
                let step = u.sub(D::load(u0)).mul(scale);
                step.store_f32(steps.as_mut_ptr().add(r));
            }
            r += D::N;
        }
        (sums, scaled, steps)
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
        B::S::sum_each(sums)
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

struct Differences<'a> {
    x: &'a [f64],
    from: &'a [f64],
    scale: &'a [f64],
    out: &'a mut [f32],
}

impl Kernel for Differences<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let n = self.out.len();
        let mut j = 0;
        // SAFETY: the four slices have n elements (checked by the caller of the kernel).
        unsafe {
            while j + B::D::N <= n {
                let x = B::D::load(self.x.as_ptr().add(j));
                let x = x.sub(B::D::load(self.from.as_ptr().add(j)));
                x.mul(B::D::load(self.scale.as_ptr().add(j)))
                    .store_f32(self.out.as_mut_ptr().add(j));
                j += B::D::N;
            }
        }
        while j < n {
            self.out[j] = ((self.x[j] - self.from[j]) * self.scale[j]) as f32;
            j += 1;
        }
    }
}

/// [`scale_rows`](super::scale_rows) for balanced marginals with products in f32: `s = K v`, `u_i = a_i / s_i`
/// (0 where `a_i = 0`), `out = Kᵀ u`, each off by some 2⁻²² of its difference to `reference`. The differences of `v`
/// and `u`, times the scales of the columns and rows, are rounded to f32 on the way: what is not a normal f32 comes
/// out as 0 or ∞, in the sums too. The extremes that are returned are those of `s` over the scales of the rows.
///
/// Threads as in [`scale_rows`](super::scale_rows); the first call with a workspace makes room in it. Per element:
/// 4 bytes from memory once, the same again from the second-level cache, 4 flops.
///
/// # Panics
/// If the lengths do not match, or `workspace` was made for another number of columns.
pub fn scale_rows_narrow(
    k: NarrowKernel<'_>,
    reference: Reference<'_>,
    v: &[f64],
    a: &[f64],
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) -> RowScaling {
    scale_rows_narrow_with(isa(), k, reference, v, a, u, sums, out, workspace)
}

/// [`scale_rows_narrow`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// As [`scale_rows_narrow`].
pub fn scale_rows_narrow_with(
    isa: Isa,
    k: NarrowKernel<'_>,
    reference: Reference<'_>,
    v: &[f64],
    a: &[f64],
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) -> RowScaling {
    let (n, m) = (a.len(), v.len());
    assert!(
        k.entries.len() == n * m && k.rows.len() == n && k.cols.len() == m,
        "scale_rows_narrow: k is not a.len() × v.len()"
    );
    assert!(
        reference.v.len() == m
            && reference.s.len() == n
            && reference.u.len() == n
            && reference.t.len() == m,
        "scale_rows_narrow: the reference is not a.len() × v.len()"
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
    run(
        isa,
        Differences {
            x: v,
            from: reference.v,
            scale: k.cols,
            out: narrow,
        },
    );
    let partial = &mut workspace.partial[..(chunks - 1) * m];
    let seen = split(
        isa, chunks, k, reference, narrow, a, u, sums, out, partial, parts,
    );
    add_partials(out, partial);
    for ((out, scale), t) in out.iter_mut().zip(k.cols).zip(reference.t) {
        *out = *out * scale + t;
    }
    seen
}

/// As `scale_chunks`, with `parts` for every thread.
fn split(
    isa: Isa,
    chunks: usize,
    k: NarrowKernel<'_>,
    reference: Reference<'_>,
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
                reference,
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
    let (e0, e1) = k.entries.split_at(rows * m);
    let (r0, r1) = k.rows.split_at(rows);
    let part = |entries, rows| NarrowKernel { entries, rows, ..k };
    let (k0, k1) = (part(e0, r0), part(e1, r1));
    let (reference0, reference1) = reference.split_rows_at(rows);
    let (a0, a1) = a.split_at(rows);
    let (u0, u1) = u.split_at_mut(rows);
    let (s0, s1) = sums.split_at_mut(rows);
    let (p0, p1) = partial.split_at_mut((left - 1) * m);
    let (out1, p1) = p1.split_at_mut(m);
    let (q0, q1) = parts.split_at_mut(left * m);
    let right = chunks - left;
    let (x, y) = rayon::join(
        || split(isa, left, k0, reference0, v, a0, u0, s0, out, p0, q0),
        || split(isa, right, k1, reference1, v, a1, u1, s1, out1, p1, q1),
    );
    x.join(y)
}
