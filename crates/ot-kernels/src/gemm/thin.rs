//! Products with one side of at most [`MOST`]: points of the plane into a layer, or out of it.
//!
//! A general product is slow there: it packs what is used once. These are passes over the long side, with the short one in
//! registers. 2 flops for each entry of the long side and each of the short ones.

use super::Matrix;
use crate::dispatch::isa;
use crate::simd::{Backend, Elem, Kernel, Lanes, run};

/// The short side.
pub(super) const MOST: usize = 4;

/// The long side: [`MOST`] rows of it, turned, stand on the stack.
const LONG: usize = 1024;

/// A long side below is as fast by the general product.
const LEAST: usize = 16;

macro_rules! by_width {
    ($width:expr, $kernel:ident $fields:tt) => {
        match $width {
            1 => run(isa(), $kernel::<E, 1> $fields),
            2 => run(isa(), $kernel::<E, 2> $fields),
            3 => run(isa(), $kernel::<E, 3> $fields),
            _ => run(isa(), $kernel::<E, MOST> $fields),
        }
    };
}

/// Which of the passes a product is.
#[derive(Clone, Copy)]
enum Pass {
    Expand,
    Contract,
    Collect,
    CollectTurned,
}

/// Does the product where one side is thin enough; `false` where it is not.
pub(super) fn multiply<E: Elem>(
    factor: E,
    a: Matrix<'_, E>,
    b: Matrix<'_, E>,
    add: bool,
    out: &mut [E],
) -> bool {
    let (rows, terms) = a.shape();
    let columns = b.shape().1;
    let long = |n: usize| (LEAST..=LONG).contains(&n);
    let short = |n: usize| (1..=MOST).contains(&n);
    // Blocks of columns of longer rows are pages apart.
    let middle = |n: usize| (LEAST..=LONG / 2).contains(&n);
    let (pass, room) = if short(terms) && long(columns) && !a.turned {
        (Pass::Expand, terms * columns)
    } else if short(columns) && long(terms) && !a.turned {
        (Pass::Contract, terms * columns)
    } else if short(rows) && middle(columns) && a.turned && !b.turned {
        (Pass::Collect, 0)
    } else if short(columns) && long(rows) && a.turned && !b.turned {
        (Pass::CollectTurned, rows * columns)
    } else {
        return false;
    };
    // Clearing it takes time: no more than it needs.
    if room <= 256 {
        pass.run(factor, a, b, add, out, &mut [E::ZERO; 256]);
    } else {
        pass.run(factor, a, b, add, out, &mut [E::ZERO; MOST * LONG]);
    }
    true
}

impl Pass {
    fn run<E: Elem>(
        self,
        factor: E,
        a: Matrix<'_, E>,
        b: Matrix<'_, E>,
        add: bool,
        out: &mut [E],
        room: &mut [E],
    ) {
        let (rows, terms) = a.shape();
        let columns = b.shape().1;
        let (left, right) = (a.entries, b.entries);
        match self {
            Self::Expand => {
                let (small, wide) = (left, row_major(b, room));
                by_width!(
                    terms,
                    Expand {
                        factor,
                        small,
                        wide,
                        add,
                        out
                    }
                );
            }
            Self::Contract => {
                let (long, wide) = (left, row_major(b.turned(), room));
                by_width!(
                    columns,
                    Contract {
                        factor,
                        long,
                        wide,
                        add,
                        out
                    }
                );
            }
            Self::Collect => {
                let (small, long) = (left, right);
                by_width!(
                    rows,
                    Collect {
                        factor,
                        small,
                        long,
                        add,
                        out
                    }
                );
            }
            Self::CollectTurned => {
                let (small, long) = (right, left);
                let sums = &mut room[..rows * columns];
                let collected = &mut *sums;
                by_width!(
                    columns,
                    Collect {
                        factor,
                        small,
                        long,
                        add: false,
                        out: collected
                    }
                );
                for (i, out) in out.chunks_exact_mut(columns).enumerate() {
                    for (j, out) in out.iter_mut().enumerate() {
                        let sum = sums[j * rows + i];
                        *out = if add { out.plus(sum) } else { sum };
                    }
                }
            }
        }
    }
}

/// The rows of a matrix with few of them, turned into `room` where they do not stand so.
fn row_major<'a, E: Elem>(matrix: Matrix<'a, E>, room: &'a mut [E]) -> &'a [E] {
    if !matrix.turned {
        return matrix.entries;
    }
    let (rows, columns) = matrix.shape();
    for (c, entries) in matrix.entries.chunks_exact(rows).enumerate() {
        for (r, x) in entries.iter().enumerate() {
            room[r * columns + c] = *x;
        }
    }
    &room[..rows * columns]
}

/// Rows of `D` numbers times `D` long rows.
struct Expand<'a, E, const D: usize> {
    factor: E,
    small: &'a [E],
    wide: &'a [E],
    add: bool,
    out: &'a mut [E],
}

impl<E: Elem, const D: usize> Kernel for Expand<'_, E, D> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, lanes) = (self.wide.len() / D, <E::V<B> as Lanes>::N);
        let wide = self.wide.as_ptr();
        let rows = self.small.as_chunks::<D>().0;
        for (small, out) in rows.iter().zip(self.out.chunks_exact_mut(n)) {
            let out = out.as_mut_ptr();
            // SAFETY: the instruction set is there (the caller's promise); j + part ≤ n, the length of `out` and of each of
            // the D rows of `wide`.
            unsafe {
                let mut scaled = [<E::V<B>>::splat(E::ZERO); D];
                for d in 0..D {
                    scaled[d] = <E::V<B>>::splat(small[d].times(self.factor));
                }
                let mut j = 0;
                while j < n {
                    let part = (n - j).min(lanes);
                    let mut sum = if self.add {
                        <E::V<B>>::load_part(out.add(j), part, E::ZERO)
                    } else {
                        <E::V<B>>::splat(E::ZERO)
                    };
                    if part == lanes {
                        for d in 0..D {
                            sum = scaled[d].fma(<E::V<B>>::load(wide.add(d * n + j)), sum);
                        }
                        sum.store(out.add(j));
                    } else {
                        for d in 0..D {
                            let w = <E::V<B>>::load_part(wide.add(d * n + j), part, E::ZERO);
                            sum = scaled[d].fma(w, sum);
                        }
                        sum.store_part(out.add(j), part);
                    }
                    j += part;
                }
            }
        }
    }
}

/// The products of long rows with `D` long rows.
struct Contract<'a, E, const D: usize> {
    factor: E,
    long: &'a [E],
    wide: &'a [E],
    add: bool,
    out: &'a mut [E],
}

impl<E: Elem, const D: usize> Kernel for Contract<'_, E, D> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let n = self.wide.len() / D;
        let rows = self.long.chunks(8 * n).zip(self.out.chunks_mut(8 * D));
        for (long, out) in rows {
            for d in 0..D {
                let wide = &self.wide[d * n..][..n];
                // SAFETY: the instruction set is there (the caller's promise); `long` holds one to eight rows as long as
                // `wide`.
                let sums = unsafe { eight::<E, E::V<B>>(long, wide) };
                for (out, sum) in out.chunks_exact_mut(D).zip(sums) {
                    let sum = sum.times(self.factor);
                    out[d] = if self.add { out[d].plus(sum) } else { sum };
                }
            }
        }
    }
}

/// The sums of products of up to eight rows with one; rows beyond the last are the last again.
///
/// # Safety
/// The instruction set of `V` is available; `rows` holds one to eight rows as long as `wide`.
#[inline(always)]
unsafe fn eight<E: Elem, V: Lanes<E = E>>(rows: &[E], wide: &[E]) -> [E; 8] {
    let n = wide.len();
    let last = rows.len() / n - 1;
    // SAFETY: row·n + p + lanes (or part) stays within `rows`, and p + lanes (or part) within `wide`.
    unsafe {
        let mut starts = [rows.as_ptr(); 8];
        for r in 0..8 {
            starts[r] = rows.as_ptr().add(r.min(last) * n);
        }
        let mut sums = [V::splat(E::ZERO); 8];
        let mut p = 0;
        while p + V::N <= n {
            let x = V::load(wide.as_ptr().add(p));
            for r in 0..8 {
                sums[r] = V::load(starts[r].add(p)).fma(x, sums[r]);
            }
            p += V::N;
        }
        if p < n {
            let x = V::load_part(wide.as_ptr().add(p), n - p, E::ZERO);
            for r in 0..8 {
                sums[r] = V::load_part(starts[r].add(p), n - p, E::ZERO).fma(x, sums[r]);
            }
        }
        V::sum_each(sums)
    }
}

/// Sums over rows of `D` numbers each times a long row: `D` long rows.
struct Collect<'a, E, const D: usize> {
    factor: E,
    small: &'a [E],
    long: &'a [E],
    add: bool,
    out: &'a mut [E],
}

impl<E: Elem, const D: usize> Kernel for Collect<'_, E, D> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, lanes) = (self.out.len() / D, <E::V<B> as Lanes>::N);
        let given = Given {
            factor: self.factor,
            small: self.small.as_chunks::<D>().0,
            long: self.long.as_ptr(),
            add: self.add,
        };
        let out = self.out.as_mut_ptr();
        let mut j = 0;
        while j < n {
            let left = n - j;
            // SAFETY: the instruction set is there (the caller's promise), and so are the columns from j.
            unsafe {
                if left >= 4 * lanes {
                    columns::<E, E::V<B>, D, 4>(&given, out, n, j, lanes);
                    j += 4 * lanes;
                } else {
                    columns::<E, E::V<B>, D, 1>(&given, out, n, j, left.min(lanes));
                    j += left.min(lanes);
                }
            }
        }
    }
}

/// What all columns take in.
#[derive(Clone, Copy)]
struct Given<'a, E, const D: usize> {
    factor: E,
    small: &'a [[E; D]],
    long: *const E,
    add: bool,
}

/// `C` registers of columns from `j`, of which the only one may be the first `part` lanes.
///
/// # Safety
/// The instruction set of `V` is available; those columns are there.
#[inline(always)]
unsafe fn columns<E: Elem, V: Lanes<E = E>, const D: usize, const C: usize>(
    of: &Given<'_, E, D>,
    out: *mut E,
    n: usize,
    j: usize,
    part: usize,
) {
    // SAFETY: the caller's promise: row·n + j + C·lanes (or part) is within `long`, d·n + … within `out`.
    unsafe {
        let mut sums = [[V::splat(E::ZERO); C]; D];
        for (row, small) in of.small.iter().enumerate() {
            let from = of.long.add(row * n + j);
            let mut x = [V::splat(E::ZERO); C];
            for c in 0..C {
                x[c] = if part == V::N {
                    V::load(from.add(c * V::N))
                } else {
                    V::load_part(from, part, E::ZERO)
                };
            }
            for d in 0..D {
                let small = V::splat(small[d]);
                for c in 0..C {
                    sums[d][c] = small.fma(x[c], sums[d][c]);
                }
            }
        }
        let factor = V::splat(of.factor);
        for d in 0..D {
            for c in 0..C {
                let out = out.add(d * n + j + c * V::N);
                let before = if of.add {
                    V::load_part(out, part, E::ZERO)
                } else {
                    V::splat(E::ZERO)
                };
                sums[d][c].fma(factor, before).store_part(out, part);
            }
        }
    }
}
