//! Which pairs of two sets of points may be near: their products in single precision, which rule out nearly all.
//!
//! ‖x − y‖² − v(y) < t is the same as ⟨x, y⟩ + (v(y) − ‖y‖²)/2 > (‖x‖² − t)/2: one product and one comparison a pair. The caller
//! lowers the right side by what rounding may have done, and computes what is left with all digits.

use crate::dispatch::{Isa, isa};
use crate::near::RUN;
use crate::simd::{Backend, Kernel, Lanes, run};

/// Points of a packed run.
pub const SPAN: usize = 16;
/// Rows that are multiplied at a time.
pub const STRIP: usize = 4;

/// Products of a strip with a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Products {
    /// Row by row.
    pub sums: [[f32; SPAN]; STRIP],
    /// Which of a row's are above its limit, as bits.
    pub above: [u32; STRIP],
}

/// Row-major points in runs of [`SPAN`], each run one coordinate after the other; the last point fills the last run.
///
/// # Panics
/// If the coordinates are not those of whole points, or there are none.
#[must_use]
pub fn packed(points: &[f64], dim: usize) -> Vec<f32> {
    assert!(
        dim > 0 && !points.is_empty() && points.len().is_multiple_of(dim),
        "packed: {} coordinates of points of {dim}",
        points.len()
    );
    let count = points.len() / dim;
    let mut runs = vec![0.0; count.next_multiple_of(SPAN) * dim];
    for (k, run) in runs.chunks_exact_mut(SPAN * dim).enumerate() {
        for at in 0..SPAN {
            let j = (k * SPAN + at).min(count - 1);
            for (axis, x) in points[j * dim..][..dim].iter().enumerate() {
                run[axis * SPAN + at] = *x as f32;
            }
        }
    }
    runs
}

/// offset_j + ⟨x_r, y_j⟩ of [`STRIP`] rows of a packed run, from its row `first` on, with all points of up to 32 packed runs of
/// `columns`. Bit k of the outcome says that run k has a pair above its row's limit; then `out[k]` holds its products. Offsets
/// and limits may be −∞. 2 d flops a pair, nothing beyond the first-level cache.
///
/// # Panics
/// If the lengths don't match, or there are more than 32 runs.
pub fn above(
    rows: &[f32],
    first: usize,
    columns: &[f32],
    offsets: &[f32],
    limits: &[f32; STRIP],
    out: &mut [Products],
) -> u32 {
    above_with(isa(), rows, first, columns, offsets, limits, out)
}

/// [`above`] on a chosen instruction set (a narrower one where it is not available).
///
/// # Panics
/// As [`above`].
pub fn above_with(
    isa: Isa,
    rows: &[f32],
    first: usize,
    columns: &[f32],
    offsets: &[f32],
    limits: &[f32; STRIP],
    out: &mut [Products],
) -> u32 {
    let runs = offsets.len() / SPAN;
    assert!(
        rows.len().is_multiple_of(SPAN)
            && offsets.len().is_multiple_of(SPAN)
            && columns.len() == runs * rows.len()
            && first + STRIP <= SPAN
            && runs <= out.len().min(32),
        "above: {} coordinates of a run, {} of {runs} runs, room for {}",
        rows.len(),
        columns.len(),
        out.len()
    );
    run(
        isa,
        Above {
            rows,
            first,
            columns,
            offsets,
            limits,
            out,
        },
    )
}

struct Above<'a> {
    rows: &'a [f32],
    first: usize,
    columns: &'a [f32],
    offsets: &'a [f32],
    limits: &'a [f32; STRIP],
    out: &'a mut [Products],
}

/// `out[p]` = ⟨by, x_p − middle⟩ of points in runs of [`RUN`], each run one coordinate after the other, as [`near`](crate::near)
/// has them. 3 flops a coordinate, 8 bytes.
///
/// # Panics
/// If the lengths don't match.
pub fn along(panels: &[f64], middle: &[f64], by: &[f64], out: &mut [f64]) {
    along_with(isa(), panels, middle, by, out);
}

/// [`along`] on a chosen instruction set (a narrower one where it is not available).
///
/// # Panics
/// As [`along`].
pub fn along_with(isa: Isa, panels: &[f64], middle: &[f64], by: &[f64], out: &mut [f64]) {
    assert!(
        out.len().is_multiple_of(RUN)
            && middle.len() == by.len()
            && panels.len() == out.len() * by.len(),
        "along: {} coordinates of {} points, {} and {} along axes",
        panels.len(),
        out.len(),
        middle.len(),
        by.len()
    );
    run(
        isa,
        Along {
            panels,
            middle,
            by,
            out,
        },
    );
}

struct Along<'a> {
    panels: &'a [f64],
    middle: &'a [f64],
    by: &'a [f64],
    out: &'a mut [f64],
}

impl Kernel for Along<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let dim = self.by.len();
        let lanes = <B::D>::N;
        for (k, out) in self.out.chunks_exact_mut(RUN).enumerate() {
            let panel = self.panels[k * RUN * dim..][..RUN * dim].as_ptr();
            // SAFETY: the instruction set is there (the caller's promise); `panel` holds RUN numbers for each axis, `out` RUN, of
            // which at + N ≤ RUN, as N divides RUN.
            unsafe {
                for at in (0..RUN).step_by(lanes) {
                    let mut sum = <B::D>::splat(0.0);
                    for axis in 0..dim {
                        let x = <B::D>::load(panel.add(axis * RUN + at));
                        let off = x.sub(<B::D>::splat(self.middle[axis]));
                        sum = off.fma(<B::D>::splat(self.by[axis]), sum);
                    }
                    sum.store(out.as_mut_ptr().add(at));
                }
            }
        }
    }
}

/// Registers of the narrowest path that hold a run.
const MOST: usize = SPAN / 4;

impl Kernel for Above<'_> {
    type Out = u32;

    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> u32 {
        let width = SPAN / <B::S>::N;
        let dim = self.rows.len() / SPAN;
        let mut found = 0;
        let runs = self
            .columns
            .chunks_exact(SPAN * dim)
            .zip(self.offsets.chunks_exact(SPAN))
            .zip(self.out)
            .enumerate();
        for (k, ((columns, offsets), out)) in runs {
            let (x, y) = (self.rows.as_ptr(), columns.as_ptr());
            // SAFETY: the instruction set is there (the caller's promise). `columns` and `rows` hold `dim` times SPAN numbers,
            // `offsets` and each row of sums SPAN, of which w·N with w < SPAN/N begins a register; first + r < SPAN.
            unsafe {
                let mut sums = [[<B::S>::splat(0.0); MOST]; STRIP];
                for w in 0..width {
                    let offset = <B::S>::load(offsets.as_ptr().add(w * <B::S>::N));
                    for r in 0..STRIP {
                        sums[r][w] = offset;
                    }
                }
                for axis in 0..dim {
                    let mut column = [<B::S>::splat(0.0); MOST];
                    for w in 0..width {
                        column[w] = <B::S>::load(y.add(axis * SPAN + w * <B::S>::N));
                    }
                    for r in 0..STRIP {
                        let at = <B::S>::splat(*x.add(axis * SPAN + self.first + r));
                        for w in 0..width {
                            sums[r][w] = at.fma(column[w], sums[r][w]);
                        }
                    }
                }
                let mut any = 0;
                for w in 0..width {
                    let mut most = <B::S>::splat(f32::NEG_INFINITY);
                    for r in 0..STRIP {
                        // −∞ − (−∞) is no number, and `max` then takes the second.
                        let over = sums[r][w].sub(<B::S>::splat(self.limits[r]));
                        most = over.max(most);
                    }
                    any |= <B::S>::bits(<B::S>::splat(0.0).lt(most));
                }
                if any != 0 {
                    found |= 1 << k;
                    for r in 0..STRIP {
                        out.above[r] = 0;
                        let limit = <B::S>::splat(self.limits[r]);
                        for w in 0..width {
                            let at = w * <B::S>::N;
                            out.above[r] |= <B::S>::bits(limit.lt(sums[r][w])) << at;
                            sums[r][w].store(out.sums[r].as_mut_ptr().add(at));
                        }
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(count: usize, seed: f64) -> Vec<f64> {
        (0..count)
            .map(|k| (k as f64 * 1.7 + seed).sin() * 3.0)
            .collect()
    }

    #[test]
    fn what_is_above_is_found_on_every_path() {
        for dim in [1, 3, 7, 16, 50] {
            let (rows, points) = (scattered(SPAN * dim, 0.4), scattered(45 * dim, 2.0));
            let (x, y) = (packed(&rows, dim), packed(&points, dim));
            let mut offsets: Vec<f32> = (0..48).map(|k| (k as f32).cos()).collect();
            offsets[45..].fill(f32::NEG_INFINITY);
            offsets[7] = f32::NEG_INFINITY;
            let product = |i: usize, j: usize| -> f64 {
                let pairs = rows[i * dim..][..dim].iter().zip(&points[j * dim..][..dim]);
                pairs.map(|(x, y)| x * y).sum()
            };
            for isa in Isa::available() {
                for first in [0, 4, 12] {
                    // The fourth row asks for nothing, the first for all.
                    let limits = [f32::NEG_INFINITY, 2.5, 0.1 * dim as f32, f32::INFINITY];
                    let mut out = [Products::default(); 3];
                    let found = above_with(isa, &x, first, &y, &offsets, &limits, &mut out);
                    assert_eq!(found & 1, 1, "{}", isa.name());
                    for (k, out) in out.iter().enumerate() {
                        if found >> k & 1 == 0 {
                            continue;
                        }
                        for (r, l) in (0..STRIP).flat_map(|r| (0..SPAN).map(move |l| (r, l))) {
                            let j = k * SPAN + l;
                            let right = match offsets[j] {
                                f32::NEG_INFINITY => f64::NEG_INFINITY,
                                offset => f64::from(offset) + product(first + r, j),
                            };
                            let sum = f64::from(out.sums[r][l]);
                            assert_eq!(out.above[r] >> l & 1 == 1, out.sums[r][l] > limits[r]);
                            let off = sum - right;
                            let same = sum == right;
                            assert!(same || off.abs() < 1e-4, "{} {dim} {off}", isa.name());
                        }
                    }
                    // With limits that only one pair is above, its run alone.
                    let (r, j) = (2, 33);
                    let mut limits = [f32::INFINITY; STRIP];
                    limits[r] = (f64::from(offsets[j]) + product(first + r, j) - 1e-3) as f32;
                    let found = above_with(isa, &x, first, &y, &offsets, &limits, &mut out);
                    assert_eq!(found >> 2, 1);
                    for k in 0..2 {
                        let more = (0..SPAN).any(|l| {
                            let j = k * SPAN + l;
                            offsets[j] > f32::NEG_INFINITY
                                && f64::from(offsets[j]) + product(first + r, j)
                                    > f64::from(limits[r]) - 1e-4
                        });
                        assert!(more || found >> k & 1 == 0);
                    }
                }
            }
        }
    }

    #[test]
    fn sums_along_a_direction_are_those_of_the_points() {
        for dim in [1, 5, 16] {
            let panels = scattered(3 * RUN * dim, 0.2);
            let (middle, by) = (scattered(dim, 1.0), scattered(dim, 5.0));
            for isa in Isa::available() {
                let mut out = [0.0; 3 * RUN];
                along_with(isa, &panels, &middle, &by, &mut out);
                for (p, &sum) in out.iter().enumerate() {
                    let x = |k: usize| panels[(p / RUN * dim + k) * RUN + p % RUN];
                    let right: f64 = (0..dim).map(|k| by[k] * (x(k) - middle[k])).sum();
                    assert!((sum - right).abs() < 1e-12, "{} {dim} {p}", isa.name());
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "above: 48 coordinates of a run, 16 of 1 runs, room for 1")]
    fn lengths_are_checked() {
        let mut out = [Products::default(); 1];
        let limits = [0.0; STRIP];
        above(&[0.0; 48], 0, &[0.0; 16], &[0.0; 16], &limits, &mut out);
    }
}
