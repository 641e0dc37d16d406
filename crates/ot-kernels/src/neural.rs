//! Passes over rows between the products of a small network, in the first- or second-level cache.
//!
//! Loops are plain and compiled for each instruction set: multiplications and additions are rounded each for itself, so
//! that all paths give the same bits but for [`tanh`], [`dot`] and [`all_finite`]'s sums.

use crate::dispatch::{Isa, isa};
use crate::exp::exp_lanes;
use crate::simd::{Backend, Elem, Kernel, Lanes, run};

/// Partial sums in flight.
const IN_FLIGHT: usize = 32;

#[inline(always)]
fn rectified<E: Elem>(x: E, slope: E) -> E {
    let less = x.times(slope);
    if x > E::ZERO { x } else { less }
}

struct Finish<'a, E> {
    bias: &'a [E],
    slope: Option<E>,
    out: &'a mut [E],
}

impl<E: Elem> Kernel for Finish<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        for row in self.out.chunks_exact_mut(self.bias.len()) {
            let row = row.iter_mut().zip(self.bias);
            match self.slope {
                None => {
                    for (o, b) in row {
                        *o = o.plus(*b);
                    }
                }
                Some(slope) => {
                    for (o, b) in row {
                        *o = rectified(o.plus(*b), slope);
                    }
                }
            }
        }
    }
}

/// What follows a product: `bias` is added to each row of `out`, and where there is a `slope` the rectifier max(x, slope·x)
/// follows (slope at 0). 3 flops an element, read and written once.
///
/// # Panics
/// If `out` is not rows as long as `bias`.
pub fn finish<E: Elem>(bias: &[E], slope: Option<E>, out: &mut [E]) {
    finish_with(isa(), bias, slope, out);
}

/// [`finish`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If `out` is not rows as long as `bias`.
pub fn finish_with<E: Elem>(isa: Isa, bias: &[E], slope: Option<E>, out: &mut [E]) {
    assert!(!bias.is_empty() && out.len().is_multiple_of(bias.len()));
    run(isa, Finish { bias, slope, out });
}

struct FinishRows<'a, E> {
    bias: &'a [E],
    slope: Option<E>,
    width: usize,
    out: &'a mut [E],
}

impl<E: Elem> Kernel for FinishRows<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        for (row, b) in self.out.chunks_exact_mut(self.width).zip(self.bias) {
            match self.slope {
                None => {
                    for o in row {
                        *o = o.plus(*b);
                    }
                }
                Some(slope) => {
                    for o in row {
                        *o = rectified(o.plus(*b), slope);
                    }
                }
            }
        }
    }
}

/// [`finish`] with one bias a row: channels of an image.
///
/// # Panics
/// If `out` is not as many rows of one length as there are biases.
pub fn finish_rows<E: Elem>(bias: &[E], slope: Option<E>, out: &mut [E]) {
    assert!(!bias.is_empty() && out.len().is_multiple_of(bias.len()));
    let width = out.len() / bias.len();
    if width > 0 {
        run(
            isa(),
            FinishRows {
                bias,
                slope,
                width,
                out,
            },
        );
    }
}

struct Leaky<'a, E> {
    slope: E,
    out: &'a [E],
    by: &'a mut [E],
}

impl<E: Elem> Kernel for Leaky<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let slope = self.slope;
        for (g, o) in self.by.iter_mut().zip(self.out) {
            let less = g.times(slope);
            *g = if *o > E::ZERO { *g } else { less };
        }
    }
}

/// The gradient through a rectifier, in place, from the sign of what went out: `by` where `out` > 0, else `slope·by`.
///
/// # Panics
/// If the lengths differ.
pub fn leaky_back<E: Elem>(slope: E, out: &[E], by: &mut [E]) {
    leaky_back_with(isa(), slope, out, by);
}

/// [`leaky_back`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn leaky_back_with<E: Elem>(isa: Isa, slope: E, out: &[E], by: &mut [E]) {
    assert_eq!(out.len(), by.len(), "leaky_back: lengths differ");
    run(isa, Leaky { slope, out, by });
}

struct LeakyOf<'a, E> {
    slope: E,
    x: &'a mut [E],
}

impl<E: Elem> Kernel for LeakyOf<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        for x in self.x {
            *x = rectified(*x, self.slope);
        }
    }
}

/// max(x, slope·x), in place; the slope is taken at 0.
pub fn leaky<E: Elem>(slope: E, x: &mut [E]) {
    run(isa(), LeakyOf { slope, x });
}

struct Tanh<'a, E>(&'a mut [E]);

impl<E: Elem> Kernel for Tanh<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, lanes) = (self.0.len(), <E::V<B> as Lanes>::N);
        let x = self.0.as_mut_ptr();
        let mut j = 0;
        while j < n {
            let part = (n - j).min(lanes);
            // SAFETY: j + part ≤ n, and a register is read before it is written.
            unsafe {
                tanh_lanes(<E::V<B>>::load_part(x.add(j), part, E::ZERO))
                    .store_part(x.add(j), part);
            }
            j += part;
        }
    }
}

/// Below 0.55 x·P(x²), above 1 − 2/(e^{2x} + 1), with the sign of x.
///
/// # Safety
/// The instruction set of `V` is available.
#[inline(always)]
unsafe fn tanh_lanes<V: Lanes>(x: V) -> V {
    // SAFETY: the caller's promise; no memory is touched.
    unsafe {
        let (zero, one) = (V::splat(V::E::ZERO), V::splat(V::E::from_f64(1.0)));
        let y = x.abs();
        let square = y.mul(y);
        let mut p = V::splat(V::E::TANH[0]);
        for &coefficient in &V::E::TANH[1..] {
            p = p.fma(square, V::splat(coefficient));
        }
        let near = y.mul(p);
        let e = exp_lanes(y.add(y));
        let far = one.sub(V::splat(V::E::from_f64(2.0)).div(e.add(one)));
        let y = V::select(y.lt(V::splat(V::E::from_f64(0.55))), near, far);
        V::select(x.lt(zero), zero.sub(y), y)
    }
}

/// tanh x, in place: within 3 ulp in f64, 2 in f32. 50 flops and a division an element.
pub fn tanh<E: Elem>(x: &mut [E]) {
    tanh_with(isa(), x);
}

/// [`tanh`] on a chosen instruction set (or the widest available below it).
pub fn tanh_with<E: Elem>(isa: Isa, x: &mut [E]) {
    run(isa, Tanh(x));
}

struct TanhBack<'a, E> {
    out: &'a [E],
    by: &'a mut [E],
}

impl<E: Elem> Kernel for TanhBack<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let one = E::from_f64(1.0);
        for (g, t) in self.by.iter_mut().zip(self.out) {
            *g = g.times(one.minus(t.times(*t)));
        }
    }
}

/// The gradient through tanh, in place, from what went out: `by·(1 − out²)`.
///
/// # Panics
/// If the lengths differ.
pub fn tanh_back<E: Elem>(out: &[E], by: &mut [E]) {
    assert_eq!(out.len(), by.len(), "tanh_back: lengths differ");
    run(isa(), TanhBack { out, by });
}

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

struct RankOne<'a, E> {
    factor: E,
    pull: E,
    u: &'a [E],
    v: &'a [E],
    x: &'a mut [E],
}

impl<E: Elem> Kernel for RankOne<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let factor = self.factor;
        for (row, u) in self.x.chunks_exact_mut(self.v.len()).zip(self.u) {
            let pull = self.pull.times(*u);
            for (x, v) in row.iter_mut().zip(self.v) {
                *x = factor.times(x.minus(pull.times(*v)));
            }
        }
    }
}

/// `x = factor·(x − pull·u vᵀ)`, x row by row. 3 flops an element, read and written once.
///
/// # Panics
/// If x has not as many rows as u, of as many numbers as v.
pub fn less_rank_one<E: Elem>(factor: E, pull: E, u: &[E], v: &[E], x: &mut [E]) {
    assert_eq!(x.len(), u.len() * v.len(), "less_rank_one: shapes differ");
    if !v.is_empty() {
        run(
            isa(),
            RankOne {
                factor,
                pull,
                u,
                v,
                x,
            },
        );
    }
}

/// The numbers of one step of Adam.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<E> {
    /// β₁ and 1 − β₁.
    pub first: (E, E),
    /// β₂ and 1 − β₂.
    pub second: (E, E),
    /// The rate over 1 − β₁ᵗ.
    pub rate: E,
    /// 1/(1 − β₂ᵗ).
    pub scale: E,
    /// ε.
    pub eps: E,
}

struct Adam<'a, E> {
    step: AdamStep<E>,
    gradient: &'a [E],
    mean: &'a mut [E],
    squares: &'a mut [E],
    parameters: &'a mut [E],
}

impl<E: Elem> Kernel for Adam<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let AdamStep {
            first,
            second,
            rate,
            scale,
            eps,
        } = self.step;
        let means = self.mean.iter_mut().zip(self.squares);
        for (((m, v), g), theta) in means.zip(self.gradient).zip(self.parameters) {
            *m = first.0.times(*m).plus(first.1.times(*g));
            *v = second.0.times(*v).plus(second.1.times(*g).times(*g));
            let root = scale.times(*v).root().plus(eps);
            *theta = theta.minus(rate.times(*m).over(root));
        }
    }
}

/// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², θ ← θ − rate·m/(√(scale·v) + ε). Reads four numbers an element and writes
/// three; 9 flops, a root and a division.
///
/// # Panics
/// If the lengths differ.
pub fn adam<E: Elem>(
    step: AdamStep<E>,
    gradient: &[E],
    mean: &mut [E],
    squares: &mut [E],
    parameters: &mut [E],
) {
    let n = gradient.len();
    let fits = mean.len() == n && squares.len() == n && parameters.len() == n;
    assert!(fits, "adam: lengths differ");
    run(
        isa(),
        Adam {
            step,
            gradient,
            mean,
            squares,
            parameters,
        },
    );
}

struct AllFinite<'a, E>(&'a [E]);

impl<E: Elem> Kernel for AllFinite<'_, E> {
    type Out = bool;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> bool {
        let mut sums = [E::ZERO; IN_FLIGHT];
        let chunks = self.0.chunks_exact(IN_FLIGHT);
        let rest = chunks.remainder();
        for chunk in chunks {
            for k in 0..IN_FLIGHT {
                sums[k] = sums[k].plus(chunk[k].times(E::ZERO));
            }
        }
        let mut all = E::ZERO;
        for x in rest {
            all = all.plus(x.times(E::ZERO));
        }
        for x in sums {
            all = all.plus(x);
        }
        all == E::ZERO
    }
}

/// Whether no number is NaN or infinite: a product with 0 is NaN for those, and sums of such products stay so. 2 flops an
/// element, read once, no branches.
#[must_use]
pub fn all_finite<E: Elem>(x: &[E]) -> bool {
    run(isa(), AllFinite(x))
}
