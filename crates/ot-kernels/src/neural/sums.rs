//! Sums of rows, of columns and of products.

use super::IN_FLIGHT;
use crate::dispatch::isa;
use crate::simd::{Backend, Elem, Kernel, run};

struct ColumnSums<'a, E> {
    rows: &'a [E],
    sums: &'a mut [E],
}

impl<E: Elem> Kernel for ColumnSums<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let width = self.sums.len();
        if width == 1 {
            self.sums[0] = sum(self.rows);
            return;
        }
        self.sums.fill(E::ZERO);
        // Four rows at a time: sums are read and written a quarter as often.
        let fours = self.rows.chunks_exact(4 * width);
        let rest = fours.remainder();
        for four in fours {
            let (one, two) = four.split_at(2 * width);
            let ((a, b), (c, d)) = (one.split_at(width), two.split_at(width));
            for j in 0..width {
                let sum = a[j].plus(b[j]).plus(c[j].plus(d[j]));
                self.sums[j] = self.sums[j].plus(sum);
            }
        }
        for row in rest.chunks_exact(width) {
            for (sum, x) in self.sums.iter_mut().zip(row) {
                *sum = sum.plus(*x);
            }
        }
    }
}

#[inline(always)]
fn sum<E: Elem>(x: &[E]) -> E {
    let mut sums = [E::ZERO; IN_FLIGHT];
    let chunks = x.chunks_exact(IN_FLIGHT);
    let rest = chunks.remainder();
    for chunk in chunks {
        for k in 0..IN_FLIGHT {
            sums[k] = sums[k].plus(chunk[k]);
        }
    }
    let mut all = E::ZERO;
    for x in sums.iter().chain(rest) {
        all = all.plus(*x);
    }
    all
}

/// `sums_j = Σ` of column j of `rows`. One flop an element, read once.
///
/// # Panics
/// If `rows` is not rows as long as `sums`.
pub fn column_sums<E: Elem>(rows: &[E], sums: &mut [E]) {
    assert!(!sums.is_empty() && rows.len().is_multiple_of(sums.len()));
    run(isa(), ColumnSums { rows, sums });
}

struct RowSums<'a, E> {
    rows: &'a [E],
    width: usize,
    sums: &'a mut [E],
}

impl<E: Elem> Kernel for RowSums<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        for (out, row) in self.sums.iter_mut().zip(self.rows.chunks_exact(self.width)) {
            *out = out.plus(sum(row));
        }
    }
}

/// `sums_i += Σ` of row i of `rows`, `width` numbers each. One flop an element, read once.
///
/// # Panics
/// If there are not as many rows as sums.
pub fn add_row_sums<E: Elem>(rows: &[E], width: usize, sums: &mut [E]) {
    assert_eq!(
        rows.len(),
        width * sums.len(),
        "add_row_sums: not as many rows"
    );
    if width > 0 {
        run(isa(), RowSums { rows, width, sums });
    }
}

struct Dot<'a, E>(&'a [E], &'a [E]);

impl<E: Elem> Kernel for Dot<'_, E> {
    type Out = E;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> E {
        let mut sums = [E::ZERO; IN_FLIGHT];
        let (xs, ys) = (
            self.0.chunks_exact(IN_FLIGHT),
            self.1.chunks_exact(IN_FLIGHT),
        );
        let rest = xs.remainder().iter().zip(ys.remainder());
        for (x, y) in xs.zip(ys) {
            for k in 0..IN_FLIGHT {
                sums[k] = sums[k].plus(x[k].times(y[k]));
            }
        }
        let mut all = E::ZERO;
        for (x, y) in rest {
            all = all.plus(x.times(*y));
        }
        for x in sums {
            all = all.plus(x);
        }
        all
    }
}

/// `Σ x_j y_j` in the number type itself, in 32 partial sums. 2 flops an element.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn dot<E: Elem>(x: &[E], y: &[E]) -> E {
    assert_eq!(x.len(), y.len(), "dot: lengths differ");
    run(isa(), Dot(x, y))
}
