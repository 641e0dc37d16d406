//! Reduced costs between two short runs of points: what a search for near pairs in a tree computes at its leaves.

use crate::dispatch::{Isa, isa};

/// Points of a run.
pub const RUN: usize = 8;

#[inline(always)]
fn reduced_body(
    x: &[f64],
    y: &[f64],
    values: &[f64; RUN],
    keys: &mut [[f64; RUN]; RUN],
    lows: &mut [f64; RUN],
) {
    for (r, keys) in keys.iter_mut().enumerate() {
        let mut sums = [0.0; RUN];
        for (x, y) in x.chunks_exact(RUN).zip(y.chunks_exact(RUN)) {
            let at = x[r];
            for l in 0..RUN {
                let d = at - y[l];
                sums[l] += d * d;
            }
        }
        for l in 0..RUN {
            keys[l] = sums[l] - values[l];
        }
        let mut least = *keys;
        for half in [RUN / 2, RUN / 4, RUN / 8] {
            for l in 0..half {
                let (a, b) = (least[l], least[l + half]);
                least[l] = if a < b { a } else { b };
            }
        }
        lows[r] = least[0];
    }
}

/// `keys[r][l]` = ‖x_r − y_l‖² − values_l for two runs of [`RUN`] points, each given one coordinate after the other. Sums over
/// coordinates run in ascending order without fused multiply-add; `lows[r]` is the least of row r. 3 flops a pair and coordinate, nothing
/// beyond the
/// first-level cache.
///
/// # Panics
/// If `x` and `y` differ in length, or are no whole coordinates.
pub fn reduced(
    x: &[f64],
    y: &[f64],
    values: &[f64; RUN],
    keys: &mut [[f64; RUN]; RUN],
    lows: &mut [f64; RUN],
) {
    reduced_with(isa(), x, y, values, keys, lows);
}

/// [`reduced`] on a chosen instruction set (a narrower one where it is not available).
///
/// # Panics
/// As [`reduced`].
pub fn reduced_with(
    isa: Isa,
    x: &[f64],
    y: &[f64],
    values: &[f64; RUN],
    keys: &mut [[f64; RUN]; RUN],
    lows: &mut [f64; RUN],
) {
    assert!(
        x.len() == y.len() && x.len().is_multiple_of(RUN),
        "reduced: {} and {} coordinates of runs of {RUN}",
        x.len(),
        y.len()
    );
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn avx2(
            x: &[f64],
            y: &[f64],
            values: &[f64; RUN],
            keys: &mut [[f64; RUN]; RUN],
            lows: &mut [f64; RUN],
        ) {
            reduced_body(x, y, values, keys, lows);
        }
        #[target_feature(enable = "avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")]
        fn avx512(
            x: &[f64],
            y: &[f64],
            values: &[f64; RUN],
            keys: &mut [[f64; RUN]; RUN],
            lows: &mut [f64; RUN],
        ) {
            reduced_body(x, y, values, keys, lows);
        }
        if isa == Isa::Avx512 && isa.is_available() {
            // SAFETY: `is_available` has just found every feature that `avx512` enables.
            return unsafe { avx512(x, y, values, keys, lows) };
        }
        if isa >= Isa::Avx2 && Isa::Avx2.is_available() {
            // SAFETY: `is_available` has just found every feature that `avx2` enables.
            return unsafe { avx2(x, y, values, keys, lows) };
        }
    }
    let _ = isa;
    reduced_body(x, y, values, keys, lows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_gives_the_bits_of_the_plain_loop() {
        for dim in [1, 2, 3, 17] {
            let at = |seed: f64| -> Vec<f64> {
                (0..RUN * dim).map(|k| (k as f64 + seed).sin()).collect()
            };
            let (x, y) = (at(0.3), at(7.0));
            let mut values = [0.25, -1.0, 0.0, 3.0, 1e-3, 7.0, 0.5, f64::NEG_INFINITY];
            for isa in Isa::available() {
                let mut keys = [[0.0; RUN]; RUN];
                let mut lows = [0.0; RUN];
                reduced_with(isa, &x, &y, &values, &mut keys, &mut lows);
                for (r, row) in keys.iter().enumerate() {
                    let least = row.iter().copied().fold(f64::INFINITY, f64::min);
                    assert_eq!(lows[r], least, "{} {dim}", isa.name());
                    for (l, &key) in row.iter().enumerate() {
                        let mut sum = 0.0;
                        for k in 0..dim {
                            let d: f64 = x[k * RUN + r] - y[k * RUN + l];
                            sum += d * d;
                        }
                        assert_eq!(key, sum - values[l], "{} {dim}", isa.name());
                    }
                }
            }
            values[0] = f64::NEG_INFINITY;
            let mut keys = [[0.0; RUN]; RUN];
            reduced(&x, &y, &values, &mut keys, &mut [0.0; RUN]);
            assert!(keys.iter().all(|row| row[0] == f64::INFINITY));
        }
    }
}
