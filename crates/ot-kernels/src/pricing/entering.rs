//! The scans that a pivot waits for, in registers: the least reduced cost of a row, and who has it.

use super::{Entry, relaxed_key, row_price_with};
use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Kernel, Lanes, run};

/// `c_j + p_j` over a row.
#[derive(Clone, Copy)]
struct Sums<'a, T> {
    c: &'a [T],
    p: &'a [f64],
}

impl<T: Entry> Sums<'_, T> {
    /// The lane-wise least.
    ///
    /// # Safety
    /// The instruction set of `B` is available, and the slices have equal lengths.
    #[inline(always)]
    unsafe fn least<B: Backend>(self) -> B::D {
        let (len, lanes) = (self.c.len(), B::D::N);
        // SAFETY: every index is below the common length.
        unsafe {
            let mut least = [B::D::splat(f64::INFINITY); 4];
            let mut j = 0;
            while j + 4 * lanes <= len {
                for (k, l) in least.iter_mut().enumerate() {
                    *l = self.at::<B>(j + k * lanes).min(*l);
                }
                j += 4 * lanes;
            }
            while j + lanes <= len {
                least[0] = self.at::<B>(j).min(least[0]);
                j += lanes;
            }
            if j < len {
                least[1] = self.tail::<B>(j).min(least[1]);
            }
            least[0].min(least[1]).min(least[2].min(least[3]))
        }
    }

    /// # Safety
    /// As [`Sums::least`], and a whole register fits from `j` on.
    #[inline(always)]
    unsafe fn at<B: Backend>(self, j: usize) -> B::D {
        // SAFETY: the caller's promise.
        unsafe { T::load64::<B::D>(self.c.as_ptr().add(j)).add(B::D::load(self.p.as_ptr().add(j))) }
    }

    /// # Safety
    /// As [`Sums::least`], and less than a register is left from `j` on.
    #[inline(always)]
    unsafe fn tail<B: Backend>(self, j: usize) -> B::D {
        let rest = self.c.len() - j;
        // SAFETY: the caller's promise.
        unsafe {
            T::load64_part::<B::D>(self.c.as_ptr().add(j), rest, T::INFINITY).add(B::D::load_part(
                self.p.as_ptr().add(j),
                rest,
                f64::INFINITY,
            ))
        }
    }

    /// The first column at `value`.
    ///
    /// # Safety
    /// As [`Sums::least`].
    #[inline(always)]
    unsafe fn first_at<B: Backend>(self, value: f64) -> Option<usize> {
        let (len, lanes) = (self.c.len(), B::D::N);
        let all = (1_u32 << lanes) - 1;
        // SAFETY: every index is below the common length.
        unsafe {
            let value = B::D::splat(value);
            for j in (0..len).step_by(lanes) {
                let sums = if j + lanes <= len {
                    self.at::<B>(j)
                } else {
                    self.tail::<B>(j)
                };
                let hits = !B::D::bits(sums.not_le(value)) & all;
                if hits != 0 {
                    return Some(j + hits.trailing_zeros() as usize);
                }
            }
        }
        None
    }
}

struct Least<'a, T>(Sums<'a, T>);

impl<T: Entry> Kernel for Least<'_, T> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        // SAFETY: `sums` has cut the slices to one length.
        unsafe { self.0.least::<B>().smallest() }
    }
}

struct Violated<'a, T>(Sums<'a, T>, f64);

impl<T: Entry> Kernel for Violated<'_, T> {
    type Out = Option<usize>;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> Option<usize> {
        // SAFETY: `sums` has cut the slices to one length.
        unsafe {
            let least = self.0.least::<B>();
            if B::D::bits(least.lt(B::D::splat(self.1))) == 0 {
                return None;
            }
            self.0.first_at::<B>(least.smallest())
        }
    }
}

/// Rows that are looked at together: they share the loads of the potentials.
const TOGETHER: usize = 4;

/// A matrix with potentials of its columns and rows.
#[derive(Clone, Copy)]
struct Matrix<'a, T> {
    c: &'a [T],
    p: &'a [f64],
    shifts: &'a [f64],
}

impl<'a, T: Entry> Matrix<'a, T> {
    fn new(c: &'a [T], p: &'a [f64], shifts: &'a [f64]) -> Self {
        assert_eq!(
            c.len(),
            p.len() * shifts.len(),
            "the matrix has not an entry for each pair of potentials"
        );
        Self { c, p, shifts }
    }

    /// The lane-wise least `c + p` of the rows from `i` on.
    ///
    /// # Safety
    /// The instruction set of `B` is available, and there are so many rows.
    #[inline(always)]
    unsafe fn least<B: Backend>(self, i: usize) -> [B::D; TOGETHER] {
        let m = self.p.len();
        // SAFETY: rows i.. i + TOGETHER are in c, whose size `new` has checked.
        unsafe {
            let c = self.c.as_ptr().add(i * m);
            let mut least = [B::D::splat(f64::INFINITY); TOGETHER];
            let mut j = 0;
            while j + B::D::N <= m {
                let p = B::D::load(self.p.as_ptr().add(j));
                for (r, l) in least.iter_mut().enumerate() {
                    *l = T::load64::<B::D>(c.add(r * m + j)).add(p).min(*l);
                }
                j += B::D::N;
            }
            if j < m {
                let p = B::D::load_part(self.p.as_ptr().add(j), m - j, f64::INFINITY);
                for (r, l) in least.iter_mut().enumerate() {
                    let c = T::load64_part::<B::D>(c.add(r * m + j), m - j, T::INFINITY);
                    *l = c.add(p).min(*l);
                }
            }
            least
        }
    }

    /// [`Matrix::least`] of one row.
    ///
    /// # Safety
    /// The instruction set of `B` is available, and there is such a row.
    #[inline(always)]
    unsafe fn least_of_one<B: Backend>(self, i: usize) -> B::D {
        let m = self.p.len();
        let c = &self.c[i * m..(i + 1) * m];
        // SAFETY: the slices have equal lengths.
        unsafe { Sums { c, p: self.p }.least::<B>() }
    }
}

struct FirstViolated<'a, T> {
    matrix: Matrix<'a, T>,
    tol: f64,
    from: usize,
}

impl<T: Entry> FirstViolated<'_, T> {
    /// The row and the column of its least `c + p`.
    ///
    /// # Safety
    /// The instruction set of `B` is available, and `least` is the lane-wise least of row `i`.
    #[inline(always)]
    unsafe fn pair<B: Backend>(&self, i: usize, least: B::D) -> Option<(usize, usize)> {
        let Matrix { c, p, .. } = self.matrix;
        let c = &c[i * p.len()..(i + 1) * p.len()];
        // SAFETY: the slices have equal lengths.
        let j = unsafe { Sums { c, p }.first_at::<B>(least.smallest())? };
        Some((i, j))
    }
}

impl<T: Entry> Kernel for FirstViolated<'_, T> {
    type Out = Option<(usize, usize)>;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> Self::Out {
        let shifts = self.matrix.shifts;
        let mut i = self.from;
        // SAFETY: the rows asked for are below the number of shifts.
        unsafe {
            while i + TOGETHER <= shifts.len() {
                let least = self.matrix.least::<B>(i);
                for (r, least) in least.into_iter().enumerate() {
                    let bar = B::D::splat(bar(shifts[i + r], self.tol));
                    if B::D::bits(least.lt(bar)) != 0 {
                        return self.pair::<B>(i + r, least);
                    }
                }
                i += TOGETHER;
            }
            while i < shifts.len() {
                let least = self.matrix.least_of_one::<B>(i);
                let bar = B::D::splat(bar(shifts[i], self.tol));
                if B::D::bits(least.lt(bar)) != 0 {
                    return self.pair::<B>(i, least);
                }
                i += 1;
            }
        }
        None
    }
}

/// The first row from `from` on in which [`row_entering`] finds a pair, and that pair's column. `c` is row-major with
/// `p.len()` columns, and `shifts` has an entry for each row. Many short rows at once: a call for each would take
/// longer than reading it. 8 (4) bytes and 2 flops per entry.
///
/// # Panics
/// If the lengths do not match.
#[must_use]
pub fn first_entering<T: Entry>(
    c: &[T],
    p: &[f64],
    shifts: &[f64],
    tol: f64,
    from: usize,
) -> Option<(usize, usize)> {
    first_entering_with(isa(), c, p, shifts, tol, from)
}

/// [`first_entering`] on a chosen instruction set (a narrower one where it is not available).
///
/// # Panics
/// If the lengths do not match.
#[must_use]
pub fn first_entering_with<T: Entry>(
    isa: Isa,
    c: &[T],
    p: &[f64],
    shifts: &[f64],
    tol: f64,
    from: usize,
) -> Option<(usize, usize)> {
    let matrix = Matrix::new(c, p, shifts);
    let mut from = from;
    loop {
        let (i, j) = run(isa, FirstViolated { matrix, tol, from })?;
        let row = &c[i * p.len()..(i + 1) * p.len()];
        if relaxed_key(row[j].wide(), p[j], shifts[i], tol) < 0.0 {
            return Some((i, j));
        }
        if let Some(j) = row_entering_with(isa, row, p, shifts[i], tol) {
            return Some((i, j as usize));
        }
        from = i + 1;
    }
}

/// What the least `c + p` of a row is at least where no pair of it is violated: |c| + |p| is at least |c + p|. Basic
/// pairs are above it, for theirs is 0 to an ulp.
#[inline(always)]
fn bar(shift: f64, tol: f64) -> f64 {
    shift - 1.9 * tol.min(0.01) * shift.abs()
}

fn sums<'a, T: Entry>(c: &'a [T], p: &'a [f64]) -> Sums<'a, T> {
    let len = c.len().min(p.len());
    Sums {
        c: &c[..len],
        p: &p[..len],
    }
}

/// min over j of `c_j + p_j`: one half of a c-transform. 8 (4) + 8 bytes and 2 flops per entry.
///
/// Reads `min(c.len(), p.len())` entries; `+∞` on an empty row.
#[must_use]
pub fn row_min<T: Entry>(c: &[T], p: &[f64]) -> f64 {
    row_min_with(isa(), c, p)
}

/// [`row_min`] on a chosen instruction set (a narrower one where it is not available).
#[must_use]
pub fn row_min_with<T: Entry>(isa: Isa, c: &[T], p: &[f64]) -> f64 {
    run(isa, Least(sums(c, p)))
}

/// The first column of the least `c_j + p_j`, if that pair is violated: if its key of
/// [`row_price`](super::row_price) is negative. Where it is violated within its own rounding only, the first
/// column of the least key, if that is negative. 8 (4) + 8 bytes and 2 flops per entry, and a second pass over
/// the row in cache where something is violated.
#[must_use]
pub fn row_entering<T: Entry>(c: &[T], p: &[f64], shift: f64, tol: f64) -> Option<u32> {
    row_entering_with(isa(), c, p, shift, tol)
}

/// [`row_entering`] on a chosen instruction set (a narrower one where it is not available).
#[must_use]
pub fn row_entering_with<T: Entry>(
    isa: Isa,
    c: &[T],
    p: &[f64],
    shift: f64,
    tol: f64,
) -> Option<u32> {
    let j = run(isa, Violated(sums(c, p), bar(shift, tol)))?;
    if relaxed_key(c[j].wide(), p[j], shift, tol) < 0.0 {
        return Some(j as u32);
    }
    let least = row_price_with(isa, c, p, shift, tol);
    if least >= 0.0 {
        return None;
    }
    let key = |(c, p): (&T, &f64)| relaxed_key(c.wide(), *p, shift, tol);
    c.iter()
        .zip(p)
        .map(key)
        .position(|k| k == least)
        .map(|j| j as u32)
}
