//! Products with a stored row-major kernel matrix K, and the fused Sinkhorn step that reads K once.
//!
//! K is stored in f64 or f32; vectors and accumulators are f64 in both cases, except in [`scale_rows_narrow`], whose
//! products are f32. Rows go in blocks of eight: a
//! block streams in from memory for `K v`, and is then added to `Kᵀ u` out of the second-level cache. One pass
//! over memory serves both products.
//!
//! Where K comes from memory, one read of it is the floor, and the steps stay within a third of it. Where K comes from
//! the outer cache (n = 1000) the floor is the rate at which lines enter the first-level cache, and every element
//! is still loaded twice through the same ports: on Zen 4, with one 512-bit load a cycle, the products alone, all of
//! their rows in the first-level cache, take 1.0 (f32) to 1.4 times (f64) as long as reading K once, and loads and
//! lines add up rather than overlap. Blocks of 1 to 8 rows, both products in one loop, and prefetches of either kind
//! all came out between 1.8 and 2.2 times one read.
//!
//! Several threads work on fixed row chunks, each with a column accumulator of its own, which are added in
//! order: the same thread count and instruction set give the same bits.

mod capped;
mod gram;
mod narrow;
mod pass;
mod soft;

pub use self::capped::{scale_rows_capped, scale_rows_capped_with};
pub use self::gram::{gram, gram_with};
pub use self::narrow::{NarrowKernel, Reference, scale_rows_narrow, scale_rows_narrow_with};
use self::pass::{add_backwards, is_far, pass, rows};
pub use self::soft::{SoftScaling, scale_rows_soft, scale_rows_soft_with};
use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, Lanes, run};

/// Rows that are processed together: enough sums in flight to hide the latency of the multiply-adds, few enough
/// that 8 × 5000 f64 (320 KB) stay in a second-level cache.
const R: usize = 8;

/// What [`scale_rows`] saw on its way, over the rows with a positive weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowScaling {
    /// The smallest `s_i = (K v)_i`; NaN if one is NaN, +∞ if no row has a positive weight.
    pub min_sum: f64,
    /// The largest `s_i`; NaN if one is NaN, 0 if no row has a positive weight.
    pub max_sum: f64,
    /// `Σ_i |u_i s_i − a_i|` with `u` as it came in: the L1 error of the row marginal of diag(u) K diag(v)
    /// before this step.
    pub row_error: f64,
}

impl RowScaling {
    const NONE: Self = Self {
        min_sum: f64::INFINITY,
        max_sum: 0.0,
        row_error: 0.0,
    };

    #[inline(always)]
    fn see(&mut self, s: f64, u: f64, a: f64) {
        self.row_error += (u * s - a).abs();
        if a > 0.0 {
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
        self.row_error += o.row_error;
        if o.min_sum < self.min_sum || o.min_sum.is_nan() {
            self.min_sum = o.min_sum;
        }
        if o.max_sum > self.max_sum || o.max_sum.is_nan() {
            self.max_sum = o.max_sum;
        }
        self
    }
}

/// Column accumulators for the threads beyond the first: `(threads − 1)·m` numbers, made once.
#[derive(Clone, Debug)]
pub struct ProductWorkspace {
    threads: usize,
    columns: usize,
    partial: Vec<f64>,
    /// For products in f32: v, and a part of the column sums for each thread.
    narrow: Vec<f32>,
}

impl ProductWorkspace {
    /// For products with `columns` columns on `threads` threads (0 counts as 1).
    #[must_use]
    pub fn new(columns: usize, threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            threads,
            columns,
            partial: vec![0.0; (threads - 1) * columns],
            narrow: Vec::new(),
        }
    }

    /// The number of row chunks, which is the number of threads that can work.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }
}

struct ScaleRows<'a, T> {
    k: &'a [T],
    v: &'a [f64],
    a: &'a [f64],
    power: f64,
    u: &'a mut [f64],
    sums: &'a mut [f64],
    out: &'a mut [f64],
}

/// Whether `Kᵀ u` of one block runs in the same loop as `K v` of the next: the bits are the same, and measured
/// at n = 500 to 5000 it pays where widening f32 would otherwise come on top of waiting for memory, unless rows
/// a multiple of 4096 bytes apart compete for the same lines of the first-level cache.
fn overlap<T>(n: usize, m: usize) -> bool {
    let row = m * size_of::<T>();
    size_of::<T>() < 8 && n * row > 16 << 20 && !row.is_multiple_of(4096)
}

impl<T: Elem> Kernel for ScaleRows<'_, T> {
    type Out = RowScaling;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> RowScaling {
        let (n, m) = (self.a.len(), self.v.len());
        let (k, v, out) = (self.k.as_ptr(), self.v.as_ptr(), self.out.as_mut_ptr());
        let mut seen = RowScaling::NONE;
        // SAFETY: the instruction set is available.
        let mut wide = unsafe { Extremes::<B::D>::new() };
        self.out.fill(0.0);
        let (overlap, far) = (overlap::<T>(n, m), is_far::<T>(n, m));
        let mut before = [k; R];
        let mut u = [0.0; R];
        let mut i = 0;
        while i < n {
            // SAFETY: k holds n rows of m (checked by the caller of the kernel), v and out hold m; i < n.
            let s = unsafe {
                let now = rows(k, m, i, n);
                let s = if i == 0 || !overlap {
                    pass::<B, T, true, false>(now, before, u, v, out, m, far)
                } else {
                    pass::<B, T, true, true>(now, before, u, v, out, m, far)
                };
                before = now;
                s
            };
            if self.power == 1.0 && i + R <= n {
                let block = i..i + R;
                // SAFETY: the three slices have R elements.
                u = unsafe { wide.scale(&s, &self.a[block.clone()], &self.u[block.clone()]) };
                self.u[block.clone()].copy_from_slice(&u);
                self.sums[block].copy_from_slice(&s);
            } else {
                u = [0.0; R];
                for r in 0..R.min(n - i) {
                    let a = self.a[i + r];
                    seen.see(s[r], self.u[i + r], a);
                    u[r] = if a == 0.0 {
                        0.0
                    } else if self.power == 1.0 {
                        a / s[r]
                    } else {
                        (a / s[r]).powf(self.power)
                    };
                    self.u[i + r] = u[r];
                    self.sums[i + r] = s[r];
                }
            }
            i += R;
            if !overlap || i >= n {
                // SAFETY: as above.
                unsafe { add_backwards::<B, T>(before, u, out, m) };
            }
        }
        // SAFETY: the instruction set is available.
        seen.join(unsafe { wide.seen() })
    }
}

/// [`RowScaling`] for whole blocks of rows, lane by lane.
struct Extremes<D> {
    least: D,
    largest: D,
    /// Sum over the rows with a weight: NaN if one is, which comparisons pass over.
    total: D,
    error: D,
}

impl<D: Lanes<E = f64>> Extremes<D> {
    /// # Safety
    /// The instruction set of `D` is available.
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                least: D::splat(f64::INFINITY),
                largest: D::splat(0.0),
                total: D::splat(0.0),
                error: D::splat(0.0),
            }
        }
    }

    /// u = a / s, 0 where a = 0; `u` are the scalings until now.
    ///
    /// # Safety
    /// The instruction set of `D` is available; `a` and `u` have R elements.
    #[inline(always)]
    unsafe fn scale(&mut self, s: &[f64; R], a: &[f64], u: &[f64]) -> [f64; R] {
        let mut scaled = [0.0; R];
        let mut r = 0;
        while r < R {
            // SAFETY: R is a multiple of the lanes of every register, and r < R.
            unsafe {
                let zero = D::splat(0.0);
                let s = D::load(s.as_ptr().add(r));
                let (a, u) = (D::load(a.as_ptr().add(r)), D::load(u.as_ptr().add(r)));
                let weighs = zero.lt(a);
                let counted = D::select(weighs, s, D::splat(f64::INFINITY));
                self.least = D::select(counted.lt(self.least), counted, self.least);
                let counted = D::select(weighs, s, zero);
                self.largest = D::select(self.largest.lt(counted), counted, self.largest);
                self.total = self.total.add(counted);
                self.error = self.error.add(u.mul(s).sub(a).abs());
                D::select(weighs, a.div(s), zero).store(scaled.as_mut_ptr().add(r));
            }
            r += D::N;
        }
        scaled
    }

    /// # Safety
    /// The instruction set of `D` is available.
    #[inline(always)]
    unsafe fn seen(self) -> RowScaling {
        // SAFETY: the caller's promise.
        unsafe {
            let nan = self.total.sum().is_nan();
            RowScaling {
                min_sum: if nan { f64::NAN } else { self.least.smallest() },
                max_sum: if nan {
                    f64::NAN
                } else {
                    self.largest.largest()
                },
                row_error: self.error.sum(),
            }
        }
    }
}

/// One half-step of Sinkhorn that reads K once: `s = K v`, `u_i = (a_i / s_i)^power` (0 where `a_i = 0`),
/// `out = Kᵀ u`.
///
/// `k` is row-major, `a.len()` × `v.len()`; `power` is 1 for balanced marginals; relaxed ones
/// are better served by [`scale_rows_soft`].
/// `u` comes in as the current scaling, for [`RowScaling::row_error`], and goes out as the new one; `sums`
/// gets `s`. The work is split into as many row chunks as `workspace` was made for, run on the current rayon
/// pool. Nothing is allocated.
///
/// Per element: 8 (or 4) bytes from memory once, the same again from the second-level cache, 4 flops.
///
/// # Panics
/// If the lengths do not match, or `workspace` was made for another number of columns.
pub fn scale_rows<T: Elem>(
    k: &[T],
    v: &[f64],
    a: &[f64],
    power: f64,
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) -> RowScaling {
    scale_rows_with(isa(), k, v, a, power, u, sums, out, workspace)
}

/// [`scale_rows`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// As [`scale_rows`].
pub fn scale_rows_with<T: Elem>(
    isa: Isa,
    k: &[T],
    v: &[f64],
    a: &[f64],
    power: f64,
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) -> RowScaling {
    let (n, m) = (a.len(), v.len());
    assert_eq!(k.len(), n * m, "scale_rows: k is not a.len() × v.len()");
    assert!(
        u.len() == n && sums.len() == n,
        "scale_rows: u or sums differ from a in length"
    );
    assert_eq!(out.len(), m, "scale_rows: out and v differ in length");
    assert_eq!(
        workspace.columns, m,
        "scale_rows: the workspace is for another number of columns"
    );
    let chunks = workspace.threads.min(n.div_ceil(R)).max(1);
    let partial = &mut workspace.partial[..(chunks - 1) * m];
    let seen = scale_chunks(isa, chunks, k, v, a, power, u, sums, out, partial);
    add_partials(out, partial);
    seen
}

/// Splits the rows in two until one chunk is left; the left half keeps `out`, the right half takes the next
/// accumulator.
fn scale_chunks<T: Elem>(
    isa: Isa,
    chunks: usize,
    k: &[T],
    v: &[f64],
    a: &[f64],
    power: f64,
    u: &mut [f64],
    sums: &mut [f64],
    out: &mut [f64],
    partial: &mut [f64],
) -> RowScaling {
    if chunks == 1 {
        return run(
            isa,
            ScaleRows {
                k,
                v,
                a,
                power,
                u,
                sums,
                out,
            },
        );
    }
    let m = v.len();
    let left = chunks / 2;
    let rows = split_rows(a.len(), left, chunks);
    let (k0, k1) = k.split_at(rows * m);
    let (a0, a1) = a.split_at(rows);
    let (u0, u1) = u.split_at_mut(rows);
    let (s0, s1) = sums.split_at_mut(rows);
    let (p0, p1) = partial.split_at_mut((left - 1) * m);
    let (out1, p1) = p1.split_at_mut(m);
    let (x, y) = rayon::join(
        || scale_chunks(isa, left, k0, v, a0, power, u0, s0, out, p0),
        || scale_chunks(isa, chunks - left, k1, v, a1, power, u1, s1, out1, p1),
    );
    x.join(y)
}

/// The rows of the first `left` of `chunks` chunks: whole blocks, so that chunks differ by a block at most.
fn split_rows(n: usize, left: usize, chunks: usize) -> usize {
    (n.div_ceil(R) * left / chunks * R).min(n)
}

fn add_partials(out: &mut [f64], partial: &[f64]) {
    if out.is_empty() {
        return;
    }
    for part in partial.chunks_exact(out.len()) {
        for (out, x) in out.iter_mut().zip(part) {
            *out += x;
        }
    }
}

struct Kv<'a, T> {
    k: &'a [T],
    v: &'a [f64],
    out: &'a mut [f64],
}

impl<T: Elem> Kernel for Kv<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, m) = (self.out.len(), self.v.len());
        let far = is_far::<T>(n, m);
        let mut i = 0;
        while i < n {
            // SAFETY: k holds n rows of m (checked by the caller of the kernel), v holds m; i < n; without ADD
            // no accumulator is needed.
            let s = unsafe {
                let k = rows(self.k.as_ptr(), m, i, n);
                let none = core::ptr::null_mut();
                pass::<B, T, true, false>(k, k, [0.0; R], self.v.as_ptr(), none, m, far)
            };
            let count = R.min(n - i);
            self.out[i..i + count].copy_from_slice(&s[..count]);
            i += R;
        }
    }
}

/// `out = K v` with a row-major K of `out.len()` × `v.len()`, stored in f64 or f32. One pass, 2 flops an
/// element.
///
/// # Panics
/// If the lengths do not match.
pub fn kv<T: Elem>(k: &[T], v: &[f64], out: &mut [f64], threads: usize) {
    kv_with(isa(), k, v, out, threads);
}

/// [`kv`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths do not match.
pub fn kv_with<T: Elem>(isa: Isa, k: &[T], v: &[f64], out: &mut [f64], threads: usize) {
    let (n, m) = (out.len(), v.len());
    assert_eq!(k.len(), n * m, "kv: k is not out.len() × v.len()");
    let chunks = threads.min(n.div_ceil(R)).max(1);
    if chunks == 1 {
        return run(isa, Kv { k, v, out });
    }
    let left = chunks / 2;
    let rows = split_rows(n, left, chunks);
    let (k0, k1) = k.split_at(rows * m);
    let (out0, out1) = out.split_at_mut(rows);
    rayon::join(
        || kv_with(isa, k0, v, out0, left),
        || kv_with(isa, k1, v, out1, chunks - left),
    );
}

struct Ktu<'a, T> {
    k: &'a [T],
    u: &'a [f64],
    out: &'a mut [f64],
}

impl<T: Elem> Kernel for Ktu<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, m) = (self.u.len(), self.out.len());
        let far = is_far::<T>(n, m);
        self.out.fill(0.0);
        let mut i = 0;
        while i < n {
            let mut u = [0.0; R];
            let count = R.min(n - i);
            u[..count].copy_from_slice(&self.u[i..i + count]);
            // SAFETY: k holds n rows of m (checked by the caller of the kernel), out holds m; i < n; without
            // DOT v is not read.
            unsafe {
                let k = rows(self.k.as_ptr(), m, i, n);
                let none = core::ptr::null();
                pass::<B, T, false, true>(k, k, u, none, self.out.as_mut_ptr(), m, far);
            }
            i += R;
        }
    }
}

/// `out = Kᵀ u` with a row-major K of `u.len()` × `out.len()`, stored in f64 or f32: rows are streamed and
/// added up, never strided. One pass, 2 flops an element. Threads as in [`scale_rows`].
///
/// # Panics
/// If the lengths do not match.
pub fn ktu<T: Elem>(k: &[T], u: &[f64], out: &mut [f64], workspace: &mut ProductWorkspace) {
    ktu_with(isa(), k, u, out, workspace);
}

/// [`ktu`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths do not match.
pub fn ktu_with<T: Elem>(
    isa: Isa,
    k: &[T],
    u: &[f64],
    out: &mut [f64],
    workspace: &mut ProductWorkspace,
) {
    let (n, m) = (u.len(), out.len());
    assert_eq!(k.len(), n * m, "ktu: k is not u.len() × out.len()");
    assert_eq!(
        workspace.columns, m,
        "ktu: the workspace is for another number of columns"
    );
    let chunks = workspace.threads.min(n.div_ceil(R)).max(1);
    let partial = &mut workspace.partial[..(chunks - 1) * m];
    ktu_chunks(isa, chunks, k, u, out, partial);
    add_partials(out, partial);
}

fn ktu_chunks<T: Elem>(
    isa: Isa,
    chunks: usize,
    k: &[T],
    u: &[f64],
    out: &mut [f64],
    partial: &mut [f64],
) {
    if chunks == 1 {
        return run(isa, Ktu { k, u, out });
    }
    let m = out.len();
    let left = chunks / 2;
    let rows = split_rows(u.len(), left, chunks);
    let (k0, k1) = k.split_at(rows * m);
    let (u0, u1) = u.split_at(rows);
    let (p0, p1) = partial.split_at_mut((left - 1) * m);
    let (out1, p1) = p1.split_at_mut(m);
    rayon::join(
        || ktu_chunks(isa, left, k0, u0, out, p0),
        || ktu_chunks(isa, chunks - left, k1, u1, out1, p1),
    );
}
