//! Distances: the same bits as entry, row and block on every path, and the right values.

use ot_kernels::pairwise::{Metric, PackedPoints, block_with, entry, row_with};
use ot_kernels::{Elem, Isa};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

const METRICS: [Metric; 7] = [
    Metric::SqEuclidean,
    Metric::Euclidean,
    Metric::L1,
    Metric::Chebyshev,
    Metric::Minkowski(3.0),
    Metric::Minkowski(0.5),
    Metric::Cosine,
];

fn points(n: usize, d: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    (0..n * d)
        .map(|_| rng.random_range(-2.0..3.0_f64))
        .collect()
}

fn reference(metric: Metric, x: &[f64], y: &[f64]) -> f64 {
    let differences = || x.iter().zip(y).map(|(x, y)| (x - y).abs());
    match metric {
        Metric::SqEuclidean => differences().map(|t| t * t).sum(),
        Metric::Euclidean => differences().map(|t| t * t).sum::<f64>().sqrt(),
        Metric::L1 => differences().sum(),
        Metric::Chebyshev => differences().fold(0.0, f64::max),
        Metric::Minkowski(p) => differences().map(|t| t.powf(p)).sum::<f64>().powf(1.0 / p),
        _ => {
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            1.0 - dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()
        }
    }
}

fn check<T: Elem>(n: usize, m: usize, d: usize, seed: u64, tolerance: f64) {
    let convert = |x: Vec<f64>| x.into_iter().map(T::from_f64).collect::<Vec<T>>();
    let (x, y) = (convert(points(n, d, seed)), convert(points(m, d, seed ^ 1)));
    let wide = |x: &[T]| x.iter().map(|&x| x.into()).collect::<Vec<f64>>();
    let packed = PackedPoints::new(&y, d);
    for metric in METRICS {
        let mut expected = vec![T::ZERO; n * m];
        for i in 0..n {
            for j in 0..m {
                let (x, y) = (&x[i * d..][..d], &y[j * d..][..d]);
                expected[i * m + j] = entry(metric, x, y);
                let (value, exact) = (
                    expected[i * m + j].into(),
                    reference(metric, &wide(x), &wide(y)),
                );
                assert!(
                    (value - exact).abs() <= tolerance * exact.max(1.0),
                    "{metric:?} {value} {exact}"
                );
            }
        }
        for isa in Isa::available() {
            let mut out = vec![T::INFINITY; n * m];
            block_with(isa, metric, &x, &packed, 0, m, &mut out);
            assert!(out == expected, "{isa:?} {metric:?} block");
            for i in 0..n {
                // Every range: a hash of i picks it.
                let first = (i * 7919 + 13) % (m + 1);
                let len = (i * 104_729 + 5) % (m - first + 1);
                let mut out = vec![T::INFINITY; len];
                row_with(isa, metric, &x[i * d..][..d], &packed, first, &mut out);
                assert!(
                    out == expected[i * m + first..][..len],
                    "{isa:?} {metric:?} row"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn entry_row_and_block_agree(n in 1..9_usize, m in 1..140_usize, d in 1..9_usize, seed in any::<u64>()) {
        check::<f64>(n, m, d, seed, 1e-14);
        check::<f32>(n, m, d, seed, 1e-5);
    }
}

#[test]
fn many_dimensions() {
    check::<f64>(3, 70, 784, 3, 1e-12);
    check::<f32>(3, 70, 784, 3, 1e-3);
}

#[test]
fn equal_points_are_at_distance_zero() {
    let y = points(50, 7, 11);
    let packed = PackedPoints::new(&y, 7);
    for metric in METRICS {
        let mut out = vec![f64::NAN; 50];
        for (i, x) in y.chunks_exact(7).enumerate() {
            row_with(Isa::Avx512, metric, x, &packed, 0, &mut out);
            let bound = if metric == Metric::Cosine {
                2.3e-16
            } else {
                0.0
            };
            assert!(out[i] <= bound && out[i] >= 0.0, "{metric:?} {}", out[i]);
        }
    }
}

#[test]
fn cosine_without_a_direction() {
    assert_eq!(entry(Metric::Cosine, &[0.0, 0.0], &[0.0, 0.0]), 0.0);
    assert_eq!(entry(Metric::Cosine, &[0.0, 0.0], &[3.0, 4.0]), 1.0);
    assert_eq!(entry(Metric::Cosine, &[1.0, 0.0], &[-1.0, 0.0]), 2.0);
    assert_eq!(entry(Metric::Cosine, &[1.0_f32, 0.0], &[0.0, 1.0]), 1.0);
}

/// Along one axis every power gives the same distance, and ‖t·(1, …, 1)‖ₚ = t·d^(1/p): at any scale that the number
/// type has, on every path.
#[test]
fn minkowski_at_any_scale() {
    fn check<T: Elem>(exponents: std::ops::Range<i32>, tolerance: f64) {
        let m = 70;
        for p in [1.5, 3.0, 40.0, 1000.0] {
            for scale in exponents.clone().step_by(5).map(|k| 10_f64.powi(k)) {
                for d in [1, 3] {
                    let number = |x: f64| T::from_f64(x * scale);
                    let x = vec![number(0.0); d];
                    // Equal points, and distances of very different size in one row.
                    let size = |j: usize| [0.0, 1.0, 0.5, 1e-3, 7.0][j % 5] * (1.0 + j as f64);
                    let y: Vec<T> = (0..m * d).map(|k| number(size(k / d))).collect();
                    let packed = PackedPoints::new(&y, d);
                    let exact = |j: usize| {
                        let t: f64 = y[j * d].into();
                        t * (d as f64).powf(1.0 / p)
                    };
                    for isa in Isa::available() {
                        let mut out = vec![T::INFINITY; m];
                        row_with(isa, Metric::Minkowski(p), &x, &packed, 0, &mut out);
                        for (j, &found) in out.iter().enumerate() {
                            let same = entry(Metric::Minkowski(p), &x, &y[j * d..][..d]);
                            assert!(found == same, "{isa:?} p {p} {scale:e} {j}");
                            let off = (found.into() - exact(j)).abs();
                            assert!(off <= tolerance * exact(j), "{isa:?} p {p} {scale:e} {j}");
                        }
                    }
                }
            }
        }
    }
    check::<f64>(-300..300, 1e-12);
    check::<f32>(-30..35, 1e-5);
}
