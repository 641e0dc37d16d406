//! How many distances a second, and how far from the rate of multiply-adds?

use std::hint::black_box;
use std::time::Duration;

use benches::{floors, seconds, spread};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::Elem;
use ot_kernels::pairwise::{Metric, PackedPoints, block};

const ROWS: usize = 16;
const POINTS: usize = 1024;

/// Flops of one coordinate: subtract, multiply or take the absolute value, add.
const FLOPS: f64 = 3.0;

fn distances<T: Elem>(criterion: &mut Criterion, name: &str) {
    let rate = floors::gemm_rate::<T>(1);
    let mut group = criterion.benchmark_group("pairwise");
    for d in [2, 16, 784] {
        let points: Vec<T> = spread(POINTS * d).into_iter().map(T::from_f64).collect();
        let packed = PackedPoints::new(&points, d);
        let mut out = vec![T::ZERO; ROWS * POINTS];
        group.throughput(Throughput::Elements((ROWS * POINTS) as u64));
        for (metric_name, metric) in [
            ("sqeuclidean", Metric::SqEuclidean),
            ("euclidean", Metric::Euclidean),
            ("l1", Metric::L1),
            ("chebyshev", Metric::Chebyshev),
            ("cosine", Metric::Cosine),
        ] {
            let x = &points[..ROWS * d];
            let mut run = || {
                block(
                    metric,
                    black_box(x),
                    &packed,
                    0,
                    POINTS,
                    black_box(&mut out),
                );
            };
            let best = (0..30)
                .map(|_| seconds(&mut run))
                .fold(f64::INFINITY, f64::min);
            let floor = FLOPS * (ROWS * POINTS * d) as f64 / rate;
            println!(
                "pairwise/{metric_name}/{name}/{d}: {:.3} G/s, floor {:.4} ms ({:.0} GFLOP/s of gemm), ratio {:.2}",
                (ROWS * POINTS) as f64 / best / 1e9,
                1e3 * floor,
                rate / 1e9,
                best / floor
            );
            group.bench_function(BenchmarkId::new(format!("{metric_name}/{name}"), d), |b| {
                b.iter(&mut run);
            });
        }
    }
}

fn pairwise(criterion: &mut Criterion) {
    distances::<f64>(criterion, "f64");
    distances::<f32>(criterion, "f32");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    targets = pairwise
}
criterion_main!(benches);
