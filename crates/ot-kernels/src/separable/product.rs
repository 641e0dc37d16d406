//! Products along the axes of an array with (·, +) and with (+, min): one micro-kernel for both.
//!
//! The matrix of an axis is packed once into panels of 32 columns; a tile of 6 lines × 4 registers of outputs stays in
//! registers over a whole column of the panel.

use rayon::prelude::*;

use super::{WORK_TO_SHARE, in_turns, lines_a_task};
use crate::aligned::Aligned;
use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, Lanes, run};

/// Columns of a panel.
const PANEL: usize = 32;

/// The matrix of one axis, packed: panels of columns of its transpose.
#[derive(Debug, Clone, Default)]
pub struct Axis<T> {
    d: usize,
    panels: Aligned<T>,
}

impl<T: Elem + Default> Axis<T> {
    /// Packs `k`, row-major d × d: `out_i = Σ_j k_ij x_j`.
    ///
    /// # Panics
    /// If `k` is not d × d, or d is 0.
    #[must_use]
    pub fn new(k: &[T], d: usize) -> Self {
        assert!(d > 0 && k.len() == d * d, "Axis: k is not d × d");
        let mut panels = Aligned::default();
        panels.stretch(d.div_ceil(PANEL) * d * PANEL);
        for (p, panel) in panels.chunks_exact_mut(d * PANEL).enumerate() {
            for (j, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                for (i, entry) in (p * PANEL..d).zip(row) {
                    *entry = k[i * d + j];
                }
            }
        }
        Self { d, panels }
    }

    /// Cells along the axis.
    #[must_use]
    pub fn len(&self) -> usize {
        self.d
    }

    /// The `rest` lines of `x`, d × rest, into `out`, rest × d.
    ///
    /// # Safety
    /// The instruction set of `B` is available.
    #[inline(always)]
    pub(super) unsafe fn lines<B: Backend>(&self, x: &[T], rest: usize, out: &mut [T]) {
        assert!(x.len() == self.d * rest && out.len() == x.len());
        let lines = Lines {
            axis: self,
            x,
            rest,
            first: 0,
            out,
            semiring: core::marker::PhantomData::<Sum>,
        };
        // SAFETY: the caller's promise.
        unsafe { lines.run::<B>() }
    }

    /// Never true: an axis has cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.d == 0
    }
}

/// What takes the place of multiplication and addition.
pub trait Semiring: Send + Sync + 'static {
    /// The sum of nothing.
    #[doc(hidden)]
    fn nothing<E: Elem>() -> E;
    /// `acc ⊕ a ⊗ b`.
    ///
    /// # Safety
    /// The instruction set of `V` is available.
    #[doc(hidden)]
    unsafe fn accumulate<V: Lanes>(a: V, b: V, acc: V) -> V;
}

/// (·, +): the usual product.
#[derive(Debug, Clone, Copy)]
pub enum Sum {}

/// (+, min): `out_i = min_j (c_ij + x_j)`. What is not a number is passed over.
#[derive(Debug, Clone, Copy)]
pub enum Least {}

impl Semiring for Sum {
    #[inline(always)]
    fn nothing<E: Elem>() -> E {
        E::ZERO
    }
    #[inline(always)]
    unsafe fn accumulate<V: Lanes>(a: V, b: V, acc: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { a.fma(b, acc) }
    }
}

impl Semiring for Least {
    #[inline(always)]
    fn nothing<E: Elem>() -> E {
        E::INFINITY
    }
    #[inline(always)]
    unsafe fn accumulate<V: Lanes>(a: V, b: V, acc: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { a.add(b).min(acc) }
    }
}

/// Lines `first..` of an array d × rest against the packed matrix; `out` has d entries for each.
struct Lines<'a, T, S> {
    axis: &'a Axis<T>,
    x: &'a [T],
    rest: usize,
    first: usize,
    out: &'a mut [T],
    semiring: core::marker::PhantomData<S>,
}

/// R lines × Q registers. `part` outputs are stored, (Q − 1)·lanes < `part` ≤ Q·lanes.
///
/// # Safety
/// The instruction set of `V` is available. Valid are `x` for (d − 1)·rest + R elements, `panel` for (d − 1)·PANEL +
/// Q·lanes, and `out` for (R − 1)·d + part.
#[inline(always)]
unsafe fn tile<S: Semiring, V: Lanes, const R: usize, const Q: usize>(
    x: *const V::E,
    rest: usize,
    d: usize,
    panel: *const V::E,
    out: *mut V::E,
    part: usize,
) {
    // SAFETY: j < d, r < R and q < Q.
    unsafe {
        let mut sums = [[V::splat(S::nothing()); Q]; R];
        for j in 0..d {
            let mut k = [sums[0][0]; Q];
            for q in 0..Q {
                k[q] = V::load(panel.add(j * PANEL + q * V::N));
            }
            for r in 0..R {
                let x = V::splat(*x.add(j * rest + r));
                for q in 0..Q {
                    sums[r][q] = S::accumulate(x, k[q], sums[r][q]);
                }
            }
        }
        let left = part - (Q - 1) * V::N;
        for r in 0..R {
            for q in 0..Q {
                let to = out.add(r * d + q * V::N);
                if q + 1 < Q || left == V::N {
                    sums[r][q].store(to);
                } else {
                    sums[r][q].store_part(to, left);
                }
            }
        }
    }
}

impl<T: Elem, S: Semiring> Kernel for Lines<'_, T, S> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (d, rest) = (self.axis.d, self.rest);
        let lines = self.out.len() / d;
        let lanes = <T::V<B> as Lanes>::N;
        // 24 sums of a wide register file, 12 of a narrow one.
        let most = if lanes * size_of::<T>() >= 64 { 4 } else { 2 };
        let (x, out) = (self.x.as_ptr(), self.out.as_mut_ptr());
        // SAFETY: tiles end at the last line (first + lines ≤ rest) and at the last register of a panel; `x` holds
        // d·rest elements (checked by `pass`), `panels` whole panels.
        unsafe {
            let x = x.add(self.first);
            for p in 0..d.div_ceil(PANEL) {
                let columns = (d - p * PANEL).min(PANEL);
                let panel = self.axis.panels.as_ptr().add(p * d * PANEL);
                let mut line = 0;
                while line < lines {
                    let count = match lines - line {
                        6.. => 6,
                        4.. => 4,
                        _ => 1,
                    };
                    let x = x.add(line);
                    let mut c = 0;
                    while c < columns {
                        let wide = (columns - c).div_ceil(lanes).min(most);
                        let part = (columns - c).min(wide * lanes);
                        let out = out.add(line * d + p * PANEL + c);
                        let k = panel.add(c);
                        match (count, wide) {
                            (6, 4) => tile::<S, T::V<B>, 6, 4>(x, rest, d, k, out, part),
                            (6, 3) => tile::<S, T::V<B>, 6, 3>(x, rest, d, k, out, part),
                            (6, 2) => tile::<S, T::V<B>, 6, 2>(x, rest, d, k, out, part),
                            (6, _) => tile::<S, T::V<B>, 6, 1>(x, rest, d, k, out, part),
                            (4, 4) => tile::<S, T::V<B>, 4, 4>(x, rest, d, k, out, part),
                            (4, 3) => tile::<S, T::V<B>, 4, 3>(x, rest, d, k, out, part),
                            (4, 2) => tile::<S, T::V<B>, 4, 2>(x, rest, d, k, out, part),
                            (4, _) => tile::<S, T::V<B>, 4, 1>(x, rest, d, k, out, part),
                            (_, 4) => tile::<S, T::V<B>, 1, 4>(x, rest, d, k, out, part),
                            (_, 3) => tile::<S, T::V<B>, 1, 3>(x, rest, d, k, out, part),
                            (_, 2) => tile::<S, T::V<B>, 1, 2>(x, rest, d, k, out, part),
                            (_, _) => tile::<S, T::V<B>, 1, 1>(x, rest, d, k, out, part),
                        }
                        c += wide * lanes;
                    }
                    line += count;
                }
            }
        }
    }
}

/// One pass over the first axis of `x`, d × rest, which becomes the last of `out`, rest × d.
fn pass<T: Elem, S: Semiring>(isa: Isa, axis: &Axis<T>, x: &[T], out: &mut [T], share: bool) {
    let d = axis.d;
    let rest = x.len() / d;
    assert!(x.len() == d * rest && out.len() == x.len());
    let lines = |first: usize, out: &mut [T]| {
        let semiring = core::marker::PhantomData::<S>;
        run(
            isa,
            Lines {
                axis,
                x,
                rest,
                first,
                out,
                semiring,
            },
        );
    };
    if !share || x.len().saturating_mul(d) < WORK_TO_SHARE {
        lines(0, out);
        return;
    }
    let size = lines_a_task(d);
    let tasks = out.par_chunks_mut(size * d).enumerate();
    tasks.for_each(|(task, out)| lines(task * size, out));
}

/// `out = (K_1 ⊗ … ⊗ K_D) x` for each array of a batch: arrays of Π d_k cells in row-major order, one after another.
/// `room` is as long as `out`. With `share`, passes over large arrays are shared among the current pool's threads; the
/// bits are the same. `axes` may mix the matrices of several products: any d_k × d_k matrix for each axis.
///
/// For each cell 2·Σ d_k flops, 8 (in f32: 4) bytes read and written for each axis. Floor: a matrix product's rate;
/// `cargo bench -p benches --bench separable` measures the ratio.
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn multiply<T: Elem>(axes: &[&Axis<T>], x: &[T], out: &mut [T], room: &mut [T], share: bool) {
    multiply_with(isa(), axes, x, out, room, share);
}

/// [`multiply`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn multiply_with<T: Elem>(
    isa: Isa,
    axes: &[&Axis<T>],
    x: &[T],
    out: &mut [T],
    room: &mut [T],
    share: bool,
) {
    along_all::<T, Sum>(isa, axes, x, out, room, share);
}

/// `out_i = min_j (C_ij + x_j)` for each array of a batch, C_ij = Σ_k c_k(i_k, j_k) the sum of the matrices of the
/// axes. +∞ where nothing is smaller. Otherwise as [`multiply`]: 2·Σ d_k flops a cell.
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn least<T: Elem>(axes: &[&Axis<T>], x: &[T], out: &mut [T], room: &mut [T], share: bool) {
    least_with(isa(), axes, x, out, room, share);
}

/// [`least`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn least_with<T: Elem>(
    isa: Isa,
    axes: &[&Axis<T>],
    x: &[T],
    out: &mut [T],
    room: &mut [T],
    share: bool,
) {
    along_all::<T, Least>(isa, axes, x, out, room, share);
}

fn along_all<T: Elem, S: Semiring>(
    isa: Isa,
    axes: &[&Axis<T>],
    x: &[T],
    out: &mut [T],
    room: &mut [T],
    share: bool,
) {
    let cells: usize = axes.iter().map(|axis| axis.d).product();
    assert!(!axes.is_empty() && cells > 0, "an array needs axes");
    assert!(
        x.len().is_multiple_of(cells) && out.len() == x.len() && room.len() == x.len(),
        "separable product: lengths do not match"
    );
    let arrays = x
        .chunks_exact(cells)
        .zip(out.chunks_exact_mut(cells))
        .zip(room.chunks_exact_mut(cells));
    // Array by array: all passes over one find it in the cache.
    for ((x, out), room) in arrays {
        in_turns(axes.len(), x, out, room, |k, from, to| {
            pass::<T, S>(isa, axes[k], from, to, share);
        });
    }
}
