//! Reduced costs between two short runs of points: what a search for near pairs in a tree computes at its leaves.

use crate::dispatch::{Isa, isa};
use crate::pairwise::Metric;

/// Points of a run.
pub const RUN: usize = 8;

/// How a metric sums over differences.
trait Fold: Copy {
    fn step(self, sum: f64, difference: f64) -> f64;

    #[inline(always)]
    fn finish(self, sum: f64) -> f64 {
        sum
    }
}

/// Sums of squares, and whether their root is wanted.
#[derive(Clone, Copy)]
struct Squares<const ROOT: bool>;
#[derive(Clone, Copy)]
struct Sizes;
#[derive(Clone, Copy)]
struct Largest;

impl<const ROOT: bool> Fold for Squares<ROOT> {
    #[inline(always)]
    fn step(self, sum: f64, d: f64) -> f64 {
        sum + d * d
    }

    #[inline(always)]
    fn finish(self, sum: f64) -> f64 {
        if ROOT { sum.sqrt() } else { sum }
    }
}

impl Fold for Sizes {
    #[inline(always)]
    fn step(self, sum: f64, d: f64) -> f64 {
        sum + d.abs()
    }
}

impl Fold for Largest {
    #[inline(always)]
    fn step(self, most: f64, d: f64) -> f64 {
        let d = d.abs();
        if d > most { d } else { most }
    }
}

#[inline(always)]
fn reduced_body<F: Fold>(
    (fold, base): (F, f64),
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
                sums[l] = fold.step(sums[l], at - y[l]);
            }
        }
        for l in 0..RUN {
            keys[l] = (fold.finish(sums[l]) - base) - values[l];
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

/// `keys[r][l]` = (d(x_r, y_l) − base) − values_l for two runs of [`RUN`] points, each given one coordinate after the other. Sums over
/// coordinates run in ascending order without fused multiply-add; `lows[r]` is the least of row r. 3 flops a pair and coordinate, nothing
/// beyond the first-level cache. All metrics but the cosine.
///
/// # Panics
/// If `x` and `y` differ in length, or are no whole coordinates; for the cosine.
pub fn reduced(
    metric: Metric,
    base: f64,
    x: &[f64],
    y: &[f64],
    values: &[f64; RUN],
    keys: &mut [[f64; RUN]; RUN],
    lows: &mut [f64; RUN],
) {
    reduced_with(isa(), metric, base, x, y, values, keys, lows);
}

/// [`reduced`] on a chosen instruction set (a narrower one where it is not available).
///
/// # Panics
/// As [`reduced`].
pub fn reduced_with(
    isa: Isa,
    metric: Metric,
    base: f64,
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
    match metric {
        Metric::SqEuclidean => dispatched(isa, (Squares::<false>, base), x, y, values, keys, lows),
        Metric::Euclidean => dispatched(isa, (Squares::<true>, base), x, y, values, keys, lows),
        Metric::L1 => dispatched(isa, (Sizes, base), x, y, values, keys, lows),
        Metric::Chebyshev => dispatched(isa, (Largest, base), x, y, values, keys, lows),
        Metric::Minkowski(_) => one_by_one((metric, base), x, y, values, keys, lows),
        Metric::Cosine => panic!("reduced: the cosine is no function of differences"),
    }
}

/// The distance of two points, with the bits that [`reduced`] finds where `values` are 0.
///
/// # Panics
/// For the cosine.
#[must_use]
pub fn distance(metric: Metric, differences: impl Iterator<Item = f64> + Clone) -> f64 {
    fn of<F: Fold>(fold: F, differences: impl Iterator<Item = f64>) -> f64 {
        fold.finish(differences.fold(0.0, |sum, d| fold.step(sum, d)))
    }
    match metric {
        Metric::SqEuclidean => of(Squares::<false>, differences),
        Metric::Euclidean => of(Squares::<true>, differences),
        Metric::L1 => of(Sizes, differences),
        Metric::Chebyshev => of(Largest, differences),
        Metric::Minkowski(p) => {
            // In units of the largest: a power may leave the range where the distance is far inside.
            let largest = of(Largest, differences.clone());
            if largest == 0.0 {
                return 0.0;
            }
            let powers = differences.map(|d| (d.abs() / largest).powf(p));
            largest * powers.sum::<f64>().powf(1.0 / p)
        }
        Metric::Cosine => panic!("distance: the cosine is no function of differences"),
    }
}

/// [`reduced`] pair by pair, for a metric that takes powers.
fn one_by_one(
    (metric, base): (Metric, f64),
    x: &[f64],
    y: &[f64],
    values: &[f64; RUN],
    keys: &mut [[f64; RUN]; RUN],
    lows: &mut [f64; RUN],
) {
    for (r, (keys, low)) in keys.iter_mut().zip(lows).enumerate() {
        *low = f64::INFINITY;
        for (l, (key, v)) in keys.iter_mut().zip(values).enumerate() {
            let axes = x.chunks_exact(RUN).zip(y.chunks_exact(RUN));
            *key = (distance(metric, axes.map(|(x, y)| x[r] - y[l])) - base) - v;
            *low = low.min(*key);
        }
    }
}

fn dispatched<F: Fold>(
    isa: Isa,
    of: (F, f64),
    x: &[f64],
    y: &[f64],
    values: &[f64; RUN],
    keys: &mut [[f64; RUN]; RUN],
    lows: &mut [f64; RUN],
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn avx2<F: Fold>(
            of: (F, f64),
            x: &[f64],
            y: &[f64],
            values: &[f64; RUN],
            keys: &mut [[f64; RUN]; RUN],
            lows: &mut [f64; RUN],
        ) {
            reduced_body(of, x, y, values, keys, lows);
        }
        #[target_feature(enable = "avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")]
        fn avx512<F: Fold>(
            of: (F, f64),
            x: &[f64],
            y: &[f64],
            values: &[f64; RUN],
            keys: &mut [[f64; RUN]; RUN],
            lows: &mut [f64; RUN],
        ) {
            reduced_body(of, x, y, values, keys, lows);
        }
        if isa == Isa::Avx512 && isa.is_available() {
            // SAFETY: `is_available` has just found every feature that `avx512` enables.
            return unsafe { avx512(of, x, y, values, keys, lows) };
        }
        if isa >= Isa::Avx2 && Isa::Avx2.is_available() {
            // SAFETY: `is_available` has just found every feature that `avx2` enables.
            return unsafe { avx2(of, x, y, values, keys, lows) };
        }
    }
    let _ = isa;
    reduced_body(of, x, y, values, keys, lows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_gives_the_bits_of_the_plain_loop() {
        let metrics = [
            Metric::SqEuclidean,
            Metric::Euclidean,
            Metric::L1,
            Metric::Chebyshev,
            Metric::Minkowski(3.5),
        ];
        for (dim, metric) in [1, 2, 3, 17]
            .into_iter()
            .flat_map(|d| metrics.map(|m| (d, m)))
        {
            let at = |seed: f64| -> Vec<f64> {
                (0..RUN * dim).map(|k| (k as f64 + seed).sin()).collect()
            };
            let (x, y) = (at(0.3), at(7.0));
            let mut values = [0.25, -1.0, 0.0, 3.0, 1e-3, 7.0, 0.5, f64::NEG_INFINITY];
            for isa in Isa::available() {
                let mut keys = [[0.0; RUN]; RUN];
                let mut lows = [0.0; RUN];
                reduced_with(isa, metric, 0.25, &x, &y, &values, &mut keys, &mut lows);
                for (r, row) in keys.iter().enumerate() {
                    let least = row.iter().copied().fold(f64::INFINITY, f64::min);
                    assert_eq!(lows[r], least, "{} {dim} {metric:?}", isa.name());
                    for (l, &key) in row.iter().enumerate() {
                        let far =
                            distance(metric, (0..dim).map(|k| x[k * RUN + r] - y[k * RUN + l]));
                        assert_eq!(
                            key,
                            (far - 0.25) - values[l],
                            "{} {dim} {metric:?}",
                            isa.name()
                        );
                    }
                }
            }
            values[0] = f64::NEG_INFINITY;
            let mut keys = [[0.0; RUN]; RUN];
            reduced(metric, 0.0, &x, &y, &values, &mut keys, &mut [0.0; RUN]);
            assert!(keys.iter().all(|row| row[0] == f64::INFINITY));
        }
    }

    #[test]
    fn distances_are_those_of_pairs() {
        let (x, y) = ([0.5, -2.0, 7.0], [1.5, 0.25, 7.0]);
        for metric in [
            Metric::SqEuclidean,
            Metric::Euclidean,
            Metric::L1,
            Metric::Chebyshev,
        ] {
            let far = distance(metric, x.iter().zip(&y).map(|(x, y)| x - y));
            assert_eq!(far, crate::pairwise::entry(metric, &x, &y));
        }
    }
}
