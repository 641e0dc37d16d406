//! Min-plus products of one cost with a batch of vectors: hard c-transforms of many potentials at once.
//!
//! What a matrix product does with · and +, these do with − and min: tiles of rows and vectors stay in registers, so
//! that a load serves several of them. The cost is read as it lies, in rows.
//!
//! c − g is computed as c − g·1, which gives the same bits: multiply-adds have other execution ports than minima and
//! subtractions (Zen 4), which would share theirs. The compiler must not see the 1, or it takes the product away.

use std::hint::black_box;

use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Kernel, Lanes, run};

/// Vectors of a tile.
const VECTORS: usize = 4;
/// Columns that rows and vectors of a tile are read over at a time: together they stay in the first-level cache,
/// where the rows serve one tile after another.
const COLUMNS: usize = 400;

/// Some rows of a cost, and vectors as long as a row that are put against them.
struct AlongRows<'a> {
    c: &'a [f64],
    m: usize,
    g: &'a [f64],
    out: &'a mut [f64],
}

/// The least c_rj − g_qj over j < part for R rows and Q vectors, both m entries apart. `out[q * n + r]` becomes that
/// if it is larger.
///
/// # Safety
/// The instruction set of `B` is available. Valid are `c` for (R − 1)·m + part elements, `g` for (Q − 1)·m + part, and
/// `out` for (Q − 1)·n + R.
#[inline(always)]
unsafe fn along<B: Backend, const R: usize, const Q: usize>(
    c: *const f64,
    g: *const f64,
    (m, part): (usize, usize),
    out: *mut f64,
    n: usize,
) {
    // SAFETY: j + lanes ≤ part or j + rest ≤ part, r < R and q < Q.
    unsafe {
        let lanes = <B::D as Lanes>::N;
        let (infinity, one) = (B::D::splat(f64::INFINITY), B::D::splat(black_box(1.0)));
        let mut least = [[infinity; Q]; R];
        let mut j = 0;
        while j < part {
            let rest = part - j;
            let mut x = [infinity; R];
            let mut y = [infinity; Q];
            if rest >= lanes {
                for r in 0..R {
                    x[r] = B::D::load(c.add(r * m + j));
                }
                for q in 0..Q {
                    y[q] = B::D::load(g.add(q * m + j));
                }
            } else {
                for r in 0..R {
                    x[r] = B::D::load_part(c.add(r * m + j), rest, f64::INFINITY);
                }
                for q in 0..Q {
                    y[q] = B::D::load_part(g.add(q * m + j), rest, 0.0);
                }
            }
            for r in 0..R {
                for q in 0..Q {
                    least[r][q] = y[q].fnma(one, x[r]).min(least[r][q]);
                }
            }
            j += lanes;
        }
        for r in 0..R {
            for q in 0..Q {
                let (old, least) = (out.add(q * n + r), least[r][q].smallest());
                if least < *old {
                    *old = least;
                }
            }
        }
    }
}

impl Kernel for AlongRows<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let m = self.m;
        let (n, batch) = (self.c.len() / m, self.g.len() / m);
        let (c, g, out) = (self.c.as_ptr(), self.g.as_ptr(), self.out.as_mut_ptr());
        // Sixteen tiles of a wide register file, eight of a narrow one.
        let wide = <B::D as Lanes>::N >= 8;
        // SAFETY: tiles end at the last row and the last vector; `c` holds n·m elements, `g` batch·m and `out`
        // batch·n (checked by `least_along_rows_with`).
        unsafe {
            for j in (0..m).step_by(COLUMNS) {
                let size = (m, COLUMNS.min(m - j));
                let mut r = 0;
                while r < n {
                    let rows = match n - r {
                        4.. if wide => 4,
                        2.. => 2,
                        _ => 1,
                    };
                    let c = c.add(r * m + j);
                    let mut q = 0;
                    while q < batch {
                        let (g, out) = (g.add(q * m + j), out.add(q * n + r));
                        let all = batch - q >= VECTORS;
                        match (rows, all) {
                            (4, true) => along::<B, 4, VECTORS>(c, g, size, out, n),
                            (2, true) => along::<B, 2, VECTORS>(c, g, size, out, n),
                            (_, true) => along::<B, 1, VECTORS>(c, g, size, out, n),
                            (4, false) => along::<B, 4, 1>(c, g, size, out, n),
                            (2, false) => along::<B, 2, 1>(c, g, size, out, n),
                            (_, false) => along::<B, 1, 1>(c, g, size, out, n),
                        }
                        q += if all { VECTORS } else { 1 };
                    }
                    r += rows;
                }
            }
        }
    }
}

/// `out_b[i] = min_j (c_ij − g_b[j])` for each vector of a batch: `c` is row-major with m columns, `g` holds vectors
/// of length m one after another, `out` as many of length n, the rows of `c`. +∞ where nothing is smaller; what is
/// not a number is passed over. The same bits as one vector at a time.
///
/// For each entry of c and each vector: 2 flops, and 1/4 of 8 bytes of either from a cache.
///
/// # Panics
/// If the lengths do not match.
pub fn least_along_rows(c: &[f64], m: usize, g: &[f64], out: &mut [f64]) {
    least_along_rows_with(isa(), c, m, g, out);
}

/// [`least_along_rows`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths do not match.
pub fn least_along_rows_with(isa: Isa, c: &[f64], m: usize, g: &[f64], out: &mut [f64]) {
    if m == 0 {
        assert!(
            c.is_empty() && g.is_empty(),
            "least_along_rows: no columns, but entries"
        );
        out.fill(f64::INFINITY);
        return;
    }
    let (n, batch) = (c.len() / m, g.len() / m);
    out.fill(f64::INFINITY);
    assert!(
        c.len() == n * m && g.len() == batch * m && out.len() == batch * n,
        "least_along_rows: lengths do not match"
    );
    run(isa, AlongRows { c, m, g, out });
}

/// Some rows of a cost, and vectors with an entry for each of them.
struct DownColumns<'a> {
    c: &'a [f64],
    m: usize,
    f: &'a [f64],
    out: &'a mut [f64],
}

/// `out_q[j] ← min(out_q[j], c_ij − f_q[i])` over i < n, for `part` columns in J registers and for Q vectors.
///
/// # Safety
/// The instruction set of `B` is available, and (J − 1)·lanes < `part` ≤ J·lanes. Valid are `c` for
/// (n − 1)·m + part elements, `f` for Q·n, and `out` for (Q − 1)·m + part.
#[inline(always)]
unsafe fn down<B: Backend, const J: usize, const Q: usize>(
    c: *const f64,
    (n, m): (usize, usize),
    part: usize,
    f: *const f64,
    out: *mut f64,
) {
    // SAFETY: all registers but the last are whole, and the last has `rest` elements; i < n and q < Q.
    unsafe {
        let lanes = <B::D as Lanes>::N;
        let rest = part - (J - 1) * lanes;
        let (infinity, one) = (B::D::splat(f64::INFINITY), B::D::splat(black_box(1.0)));
        let mut least = [[infinity; J]; Q];
        for i in 0..n {
            let mut x = [infinity; J];
            for j in 0..J {
                let at = c.add(i * m + j * lanes);
                x[j] = if j + 1 < J || rest == lanes {
                    B::D::load(at)
                } else {
                    B::D::load_part(at, rest, f64::INFINITY)
                };
            }
            for q in 0..Q {
                let f = B::D::splat(*f.add(q * n + i));
                for j in 0..J {
                    least[q][j] = f.fnma(one, x[j]).min(least[q][j]);
                }
            }
        }
        for q in 0..Q {
            for j in 0..J {
                let at = out.add(q * m + j * lanes);
                if j + 1 < J || rest == lanes {
                    least[q][j].min(B::D::load(at)).store(at);
                } else {
                    let old = B::D::load_part(at, rest, f64::INFINITY);
                    least[q][j].min(old).store_part(at, rest);
                }
            }
        }
    }
}

impl Kernel for DownColumns<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let m = self.m;
        let (n, batch) = (self.c.len() / m, self.out.len() / m);
        let (c, f, out) = (self.c.as_ptr(), self.f.as_ptr(), self.out.as_mut_ptr());
        let lanes = <B::D as Lanes>::N;
        let most = if lanes >= 8 { 4 } else { 2 };
        // SAFETY: tiles end at the last column and the last vector; `c` holds n·m elements, `f` batch·n and `out`
        // batch·m (checked by `least_down_columns_with`).
        unsafe {
            let mut j = 0;
            while j < m {
                let registers = if m - j >= most * lanes { most } else { 1 };
                let part = (m - j).min(registers * lanes);
                let c = c.add(j);
                let mut q = 0;
                while q < batch {
                    let (f, out) = (f.add(q * n), out.add(q * m + j));
                    let all = batch - q >= VECTORS;
                    match (registers, all) {
                        (4, true) => down::<B, 4, VECTORS>(c, (n, m), part, f, out),
                        (2, true) => down::<B, 2, VECTORS>(c, (n, m), part, f, out),
                        (_, true) => down::<B, 1, VECTORS>(c, (n, m), part, f, out),
                        (4, false) => down::<B, 4, 1>(c, (n, m), part, f, out),
                        (2, false) => down::<B, 2, 1>(c, (n, m), part, f, out),
                        (_, false) => down::<B, 1, 1>(c, (n, m), part, f, out),
                    }
                    q += if all { VECTORS } else { 1 };
                }
                j += part;
            }
        }
    }
}

/// `out_b[j] ← min(out_b[j], min_i (c_ij − f_b[i]))` for each vector of a batch: `c` is row-major with m columns, `f`
/// holds vectors with an entry for each row of `c` one after another, `out` as many of length m. What is not a
/// number is passed over. The same bits as one vector at a time.
///
/// For each entry of c and each vector: 2 flops, and 1/4 of 8 bytes of the cost from a cache.
///
/// # Panics
/// If the lengths do not match.
pub fn least_down_columns(c: &[f64], m: usize, f: &[f64], out: &mut [f64]) {
    least_down_columns_with(isa(), c, m, f, out);
}

/// [`least_down_columns`] on a chosen instruction set (or the widest available below it): the same result on all.
///
/// # Panics
/// If the lengths do not match.
pub fn least_down_columns_with(isa: Isa, c: &[f64], m: usize, f: &[f64], out: &mut [f64]) {
    if m == 0 {
        assert!(
            c.is_empty() && out.is_empty(),
            "least_down_columns: no columns, but entries"
        );
        return;
    }
    let (n, batch) = (c.len() / m, out.len() / m);
    assert!(
        c.len() == n * m && out.len() == batch * m && f.len() == batch * n,
        "least_down_columns: lengths do not match"
    );
    run(isa, DownColumns { c, m, f, out });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cost with forbidden pairs, and vectors some of whose entries take no part.
    fn numbers(len: usize, salt: usize, missing: f64) -> Vec<f64> {
        let number = |k: usize| ((k * 7919 + salt * 104_729) % 1009) as f64 / 64.0 - 5.0;
        let entry = |k: usize| if k % 11 == 3 { missing } else { number(k) };
        (0..len).map(entry).collect()
    }

    #[test]
    fn every_shape_on_every_instruction_set() {
        let inf = f64::INFINITY;
        let shapes = (0..12).flat_map(|n| [0, 1, 5, 8, 16, 31, 67, 411].map(move |m| (n, m)));
        for (n, m) in shapes {
            for batch in [0, 1, 3, 4, 9] {
                let c = numbers(n * m, 1, inf);
                let (f, g) = (numbers(batch * n, 2, -inf), numbers(batch * m, 3, -inf));
                let old = numbers(batch * m, 4, inf);
                for isa in Isa::available() {
                    let (mut along, mut down) = (vec![0.0; batch * n], old.clone());
                    if m > 0 {
                        least_along_rows_with(isa, &c, m, &g, &mut along);
                    }
                    least_down_columns_with(isa, &c, m, &f, &mut down);
                    for b in 0..batch {
                        for i in (0..n).filter(|_| m > 0) {
                            let terms = (0..m).map(|j| c[i * m + j] - g[b * m + j]);
                            assert_eq!(along[b * n + i], terms.fold(inf, f64::min));
                        }
                        for j in 0..m {
                            let terms = (0..n).map(|i| c[i * m + j] - f[b * n + i]);
                            let want = terms.fold(old[b * m + j], f64::min);
                            assert_eq!(down[b * m + j], want);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_passed_over() {
        let c = [1.0, f64::NAN, 3.0];
        for isa in Isa::available() {
            let mut out = [0.0; 1];
            least_along_rows_with(isa, &c, 3, &[0.0; 3], &mut out);
            assert_eq!(out, [1.0]);
            let mut out = [9.0; 3];
            least_down_columns_with(isa, &c, 3, &[-1.0], &mut out);
            assert_eq!(out, [2.0, 9.0, 4.0]);
        }
    }
}
