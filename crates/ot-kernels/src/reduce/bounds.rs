//! What is asked of a row: its extremes, hard minima in both directions, and what is left of a plan's row after
//! rounding.

use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, Lanes, run};

struct Extremes<'a> {
    row: &'a [f64],
}

impl Kernel for Extremes<'_> {
    type Out = (f64, f64);
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> (f64, f64) {
        let (n, lanes) = (self.row.len(), <B::D as Lanes>::N);
        let row = self.row.as_ptr();
        // SAFETY: j + lanes ≤ n or j + rest ≤ n.
        unsafe {
            let (infinity, lowest) = (B::D::splat(f64::INFINITY), B::D::splat(f64::NEG_INFINITY));
            let (mut least, mut most) = (infinity, lowest);
            for j in (0..n).step_by(lanes) {
                let rest = n - j;
                let x = if rest >= lanes {
                    B::D::load(row.add(j))
                } else {
                    B::D::load_part(row.add(j), rest, f64::INFINITY)
                };
                least = x.min(least);
                most = B::D::select(x.lt(infinity), x, lowest).max(most);
            }
            (least.smallest(), most.largest())
        }
    }
}

/// The smallest entry of a row and the largest below +∞; +∞ and −∞ if there is none. NaN entries are passed over.
/// Per element: 8 bytes read, 3 flops.
#[must_use]
pub fn extremes(row: &[f64]) -> (f64, f64) {
    extremes_with(isa(), row)
}

/// [`extremes`] on a chosen instruction set (or the widest available below it): the same result on all.
#[must_use]
pub fn extremes_with(isa: Isa, row: &[f64]) -> (f64, f64) {
    run(isa, Extremes { row })
}

struct BothMinima<'a, C> {
    cost: &'a [C],
    f: f64,
    g: &'a [f64],
    out: &'a mut [f64],
}

impl<C: Elem> Kernel for BothMinima<'_, C> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.out.len(), <B::D as Lanes>::N);
        let (cost, g, out) = (self.cost.as_ptr(), self.g.as_ptr(), self.out.as_mut_ptr());
        // SAFETY: j + lanes ≤ n or j + rest ≤ n, and the slices have equal lengths (checked by
        // `both_minima_with`).
        unsafe {
            let f = B::D::splat(self.f);
            let mut least = B::D::splat(f64::INFINITY);
            for j in (0..n).step_by(lanes) {
                let rest = n - j;
                if rest >= lanes {
                    let c = C::load64::<B::D>(cost.add(j));
                    least = c.sub(B::D::load(g.add(j))).min(least);
                    c.sub(f).min(B::D::load(out.add(j))).store(out.add(j));
                } else {
                    let c = C::load64_part::<B::D>(cost.add(j), rest, C::INFINITY);
                    least = c.sub(B::D::load_part(g.add(j), rest, 0.0)).min(least);
                    let old = B::D::load_part(out.add(j), rest, 0.0);
                    c.sub(f).min(old).store_part(out.add(j), rest);
                }
            }
            least.smallest()
        }
    }
}

/// `out_j ← min(out_j, C_ij − f_i)`, and the smallest `C_ij − g_j` of the row (+∞ if there is none), in one read of
/// the row. NaN entries are passed over.
///
/// Per element: 24 (or 20) bytes read, 8 written, 4 flops.
///
/// # Panics
/// If the lengths differ.
pub fn both_minima<C: Elem>(cost_row: &[C], f_i: f64, g: &[f64], out: &mut [f64]) -> f64 {
    both_minima_with(isa(), cost_row, f_i, g, out)
}

/// [`both_minima`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths differ.
pub fn both_minima_with<C: Elem>(
    isa: Isa,
    cost_row: &[C],
    f_i: f64,
    g: &[f64],
    out: &mut [f64],
) -> f64 {
    assert!(
        cost_row.len() == out.len() && g.len() == out.len(),
        "both_minima: lengths differ"
    );
    run(
        isa,
        BothMinima {
            cost: cost_row,
            f: f_i,
            g,
            out,
        },
    )
}

/// What [`rounded_row`] found of a row p with column scalings y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoundedRow {
    /// Σ p_j y_j.
    pub sent: f64,
    /// Σ p_j y_j c_j, where nothing sent costs nothing.
    pub paid: f64,
    /// Σ c_j z_j.
    pub spread: f64,
    /// Whether every p_j is a number that is not negative.
    pub sound: bool,
}

struct Rounded<'a> {
    p: &'a [f64],
    y: &'a [f64],
    c: &'a [f64],
    z: &'a [f64],
    x: f64,
    columns: &'a mut [f64],
}

impl Kernel for Rounded<'_> {
    type Out = RoundedRow;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> RoundedRow {
        let (n, lanes) = (self.columns.len(), <B::D as Lanes>::N);
        let columns = self.columns.as_mut_ptr();
        // SAFETY: j + lanes ≤ n or j + rest ≤ n, and the slices have equal lengths (checked by
        // `rounded_row_with`).
        unsafe {
            let (zero, one) = (B::D::splat(0.0), B::D::splat(1.0));
            let x = B::D::splat(self.x);
            let (mut sent, mut paid, mut spread) = (zero, zero, zero);
            let mut unsound = zero;
            for j in (0..n).step_by(lanes) {
                let rest = (n - j).min(lanes);
                let (p_at, y_at) = (self.p.as_ptr().add(j), self.y.as_ptr().add(j));
                let (c_at, z_at) = (self.c.as_ptr().add(j), self.z.as_ptr().add(j));
                let old = columns.add(j);
                let (p, y, c, z, sum);
                if rest == lanes {
                    p = B::D::load(p_at);
                    (y, c) = (B::D::load(y_at), B::D::load(c_at));
                    (z, sum) = (B::D::load(z_at), B::D::load(old));
                } else {
                    p = B::D::load_part(p_at, rest, 0.0);
                    y = B::D::load_part(y_at, rest, 0.0);
                    c = B::D::load_part(c_at, rest, 0.0);
                    z = B::D::load_part(z_at, rest, 0.0);
                    sum = B::D::load_part(old, rest, 0.0);
                }
                let kept = p.mul(y);
                sent = sent.add(kept);
                paid = paid.add(B::D::select(zero.lt(kept), kept.mul(c), zero));
                spread = c.fma(z, spread);
                // True for a NaN as well.
                unsound = B::D::select(zero.not_le(p), one, unsound);
                let sum = p.fma(x, sum);
                if rest == lanes {
                    sum.store(old);
                } else {
                    sum.store_part(old, rest);
                }
            }
            RoundedRow {
                sent: sent.sum(),
                paid: paid.sum(),
                spread: spread.sum(),
                sound: unsound.sum() == 0.0,
            }
        }
    }
}

/// A row p of a plan that is being rounded: what it sends and pays with its entries scaled by y, the price of z, and
/// `columns_j += x p_j`.
///
/// Per element: 40 bytes read, 8 written, 8 flops.
///
/// # Panics
/// If the lengths differ.
pub fn rounded_row(
    p: &[f64],
    y: &[f64],
    c: &[f64],
    z: &[f64],
    x: f64,
    columns: &mut [f64],
) -> RoundedRow {
    rounded_row_with(isa(), p, y, c, z, x, columns)
}

/// [`rounded_row`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn rounded_row_with(
    isa: Isa,
    p: &[f64],
    y: &[f64],
    c: &[f64],
    z: &[f64],
    x: f64,
    columns: &mut [f64],
) -> RoundedRow {
    let n = columns.len();
    assert!(
        p.len() == n && y.len() == n && c.len() == n && z.len() == n,
        "rounded_row: lengths differ"
    );
    run(
        isa,
        Rounded {
            p,
            y,
            c,
            z,
            x,
            columns,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_of_what_is_finite() {
        let inf = f64::INFINITY;
        for isa in Isa::available() {
            assert_eq!(extremes_with(isa, &[]), (inf, -inf));
            assert_eq!(extremes_with(isa, &[inf; 9]), (inf, -inf));
            for n in 1..40_usize {
                let row: Vec<f64> = (0..n)
                    .map(|j| {
                        if j % 5 == 3 {
                            inf
                        } else {
                            (j * j % 17) as f64 - 4.0
                        }
                    })
                    .collect();
                let finite = || row.iter().copied().filter(|x| *x < inf);
                let want = (finite().fold(inf, f64::min), finite().fold(-inf, f64::max));
                assert_eq!(extremes_with(isa, &row), want);
            }
        }
    }

    #[test]
    fn minima_in_both_directions() {
        for isa in Isa::available() {
            for n in 0..40_usize {
                let c: Vec<f64> = (0..n)
                    .map(|j| {
                        if j % 5 == 3 {
                            f64::INFINITY
                        } else {
                            (j * j % 17) as f64
                        }
                    })
                    .collect();
                let g: Vec<f64> = (0..n).map(|j| (j % 4) as f64).collect();
                let old: Vec<f64> = (0..n).map(|j| (j % 7) as f64).collect();
                let mut out = old.clone();
                let least = both_minima_with(isa, &c, 1.5, &g, &mut out);
                let want = c.iter().zip(&g).map(|(c, g)| c - g);
                assert_eq!(least, want.fold(f64::INFINITY, f64::min));
                for j in 0..n {
                    assert_eq!(out[j], old[j].min(c[j] - 1.5));
                }
                // A source that takes no part.
                let mut out = old.clone();
                both_minima_with(isa, &c, f64::NEG_INFINITY, &g, &mut out);
                assert_eq!(out, old);
            }
        }
    }

    #[test]
    fn a_rounded_row() {
        for isa in Isa::available() {
            for n in 0..40_usize {
                let p: Vec<f64> = (0..n).map(|j| (j % 3) as f64).collect();
                let y: Vec<f64> = (0..n).map(|j| 1.0 / (1 + j % 2) as f64).collect();
                let c: Vec<f64> = (0..n)
                    .map(|j| if j % 3 == 0 { f64::INFINITY } else { j as f64 })
                    .collect();
                let mut columns = vec![1.0; n];
                let row = rounded_row_with(isa, &p, &y, &c, &vec![0.0; n], 2.0, &mut columns);
                let kept = |j: usize| p[j] * y[j];
                assert_eq!(row.sent, (0..n).map(kept).sum::<f64>());
                let paid = (0..n).filter(|j| j % 3 > 0).map(|j| kept(j) * c[j]);
                assert_eq!(row.paid, paid.sum::<f64>());
                assert!(row.sound);
                assert!((0..n).all(|j| columns[j] == 1.0 + 2.0 * p[j]));
                let finite = vec![2.0; n];
                let row = rounded_row_with(isa, &p, &y, &finite, &y, 2.0, &mut columns);
                assert_eq!(row.spread, 2.0 * y.iter().sum::<f64>());
                for (at, bad) in (0..n).flat_map(|j| [(j, f64::NAN), (j, -1.0)]) {
                    let mut p = p.clone();
                    p[at] = bad;
                    let row = rounded_row_with(isa, &p, &y, &finite, &y, 2.0, &mut columns);
                    assert!(!row.sound);
                }
            }
        }
    }
}
