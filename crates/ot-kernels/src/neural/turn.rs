//! Rows to columns.

use crate::dispatch::isa;
use crate::simd::{Backend, Elem, Kernel, Lanes, run};

struct Turn<'a, E> {
    from: &'a [E],
    apart: usize,
    rows: usize,
    columns: usize,
    to: &'a mut [E],
    to_apart: usize,
}

impl<E: Elem> Kernel for Turn<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let Self {
            from,
            apart,
            rows,
            columns,
            to,
            to_apart,
        } = self;
        let lanes = <E::V<B> as Lanes>::N;
        let whole = (rows - rows % lanes, columns - columns % lanes);
        for r in (0..whole.0).step_by(lanes) {
            for c in (0..whole.1).step_by(lanes) {
                let (from, to) = (&from[r * apart + c..], &mut to[c * to_apart + r..]);
                // SAFETY: a square of lanes rows and columns from here is within both (checked by the caller: the last of
                // `rows` and of `columns` is), and the instruction set is there.
                unsafe {
                    <E::V<B>>::transpose(from.as_ptr(), apart, to.as_mut_ptr(), to_apart);
                }
            }
        }
        for r in 0..rows {
            let first = if r < whole.0 { whole.1 } else { 0 };
            for c in first..columns {
                to[c * to_apart + r] = from[r * apart + c];
            }
        }
    }
}

/// `to`(c, r) = `from`(r, c) for so many rows and columns, rows of each so many numbers apart. Read and written once.
///
/// # Panics
/// If those rows are not within `from`, or what they become not within `to`.
pub fn turn<E: Elem>(
    from: &[E],
    apart: usize,
    (rows, columns): (usize, usize),
    to: &mut [E],
    to_apart: usize,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    let fits = columns <= apart && (rows - 1) * apart + columns <= from.len();
    assert!(fits, "turn: rows beyond what is there");
    let fits = rows <= to_apart && (columns - 1) * to_apart + rows <= to.len();
    assert!(fits, "turn: no room for that many columns");
    run(
        isa(),
        Turn {
            from,
            apart,
            rows,
            columns,
            to,
            to_apart,
        },
    );
}
