//! How many distances a second, and how far from the rate of multiply-adds?

use std::hint::black_box;
use std::time::Duration;

use benches::{compare, floors, spread};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::Elem;
use ot_kernels::pairwise::{Metric, PackedPoints, block};

const ROWS: usize = 16;
const POINTS: usize = 1024;

/// Blocks between two runs of the floor, which empties the caches.
const REPEAT: usize = 10;

/// Flops of one coordinate: subtract, multiply or take the absolute value, add.
const FLOPS: f64 = 3.0;

fn distances<T: Elem>(criterion: &mut Criterion, name: &str) {
    let mut gemm = floors::Gemm::<T>::new();
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
            let mut best = compare(
                0.3,
                || gemm.run(1),
                || {
                    for _ in 0..REPEAT {
                        run();
                    }
                },
            );
            let flops = FLOPS * (REPEAT * ROWS * POINTS * d) as f64;
            let rate = floors::Gemm::<T>::FLOPS / best.floor / 1e9;
            best.floor = floors::Gemm::<T>::floor(best.floor, flops);
            best.print(
                &format!("pairwise/{metric_name}/{name}/{d}"),
                &format!("{FLOPS} flops a coordinate at gemm's {rate:.0} GFLOP/s"),
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
