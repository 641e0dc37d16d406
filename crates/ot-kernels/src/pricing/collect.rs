//! The pairs of a row that are violated, or cheapest, written down.

use super::{Entry, relaxed_key};
use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Kernel, Lanes, run};

struct Collect<'a, T> {
    c: &'a [T],
    p: &'a [f64],
    shift: f64,
    tol: f64,
    below: f64,
    out: &'a mut Vec<(f64, u32)>,
}

/// Registers whose keys are compared before anyone looks at what they say: hits are rare.
const TOGETHER: usize = 4;

impl<T: Entry> Kernel for Collect<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(mut self) {
        let len = self.c.len().min(self.p.len());
        let step = TOGETHER * B::D::N;
        let mut j = 0;
        while j + step <= len {
            // SAFETY: the instruction set is available, and `step` entries are left from j on.
            unsafe {
                if self.tol == 0.0 {
                    self.look::<B, true>(j);
                } else {
                    self.look::<B, false>(j);
                }
            }
            j += step;
        }
        for j in j..len {
            let key = relaxed_key(self.c[j].wide(), self.p[j], self.shift, self.tol);
            if key < self.below {
                self.out.push((key, j as u32));
            }
        }
    }
}

impl<T: Entry> Collect<'_, T> {
    /// # Safety
    /// The instruction set of `B` is available, and [`TOGETHER`] registers fit into both slices from `j` on.
    #[inline(always)]
    unsafe fn look<B: Backend, const PLAIN: bool>(&mut self, j: usize) {
        let mut keys = [0.0_f64; 32];
        let mut hits = 0_u32;
        // SAFETY: the caller's promise; registers have 8 lanes at most, so that `keys` holds them all.
        unsafe {
            let mut of = [B::D::splat(0.0); TOGETHER];
            let below = B::D::splat(self.below);
            for (k, of) in of.iter_mut().enumerate() {
                let at = j + k * B::D::N;
                let c = T::load64::<B::D>(self.c.as_ptr().add(at));
                let p = B::D::load(self.p.as_ptr().add(at));
                *of = relaxed::<B, PLAIN>(c, p, self.shift, self.tol);
                hits |= B::D::bits(of.lt(below)) << (k * B::D::N);
            }
            if hits == 0 {
                return;
            }
            for (k, of) in of.iter().enumerate() {
                of.store(keys.as_mut_ptr().add(k * B::D::N));
            }
        }
        while hits != 0 {
            let k = hits.trailing_zeros() as usize;
            self.out.push((keys[k], (j + k) as u32));
            hits &= hits - 1;
        }
    }
}

/// The key of [`row_price`](super::row_price), in the order of operations that it has there. Without a tolerance there
/// is nothing to relax.
///
/// # Safety
/// The instruction set of `B` is available.
#[inline(always)]
unsafe fn relaxed<B: Backend, const PLAIN: bool>(c: B::D, p: B::D, shift: f64, tol: f64) -> B::D {
    // SAFETY: the caller's promise.
    unsafe {
        let shifted = B::D::splat(shift);
        let reduced = c.add(p).sub(shifted);
        if PLAIN {
            return reduced;
        }
        let terms = c.abs().add(p.abs()).add(shifted.abs());
        reduced.add(B::D::splat(tol).mul(terms))
    }
}

/// Appends `(key, column)` for every column whose key of [`row_price`](super::row_price) is under `below`; returns how
/// many there were. Same traffic as [`row_price`](super::row_price).
pub fn row_collect<T: Entry>(
    c: &[T],
    p: &[f64],
    shift: f64,
    tol: f64,
    below: f64,
    out: &mut Vec<(f64, u32)>,
) -> usize {
    row_collect_with(isa(), c, p, shift, tol, below, out)
}

/// [`row_collect`] on a chosen instruction set (a narrower one where it is not available).
pub fn row_collect_with<T: Entry>(
    isa: Isa,
    c: &[T],
    p: &[f64],
    shift: f64,
    tol: f64,
    below: f64,
    out: &mut Vec<(f64, u32)>,
) -> usize {
    let before = out.len();
    run(
        isa,
        Collect {
            c,
            p,
            shift,
            tol,
            below,
            out: &mut *out,
        },
    );
    out.len() - before
}
