//! Do min-plus products of one cost with a batch run at the rate of a matrix product of the same shape?

use std::hint::black_box;
use std::time::Duration;

use benches::{compare, spread};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::gemm::kv_batch;
use ot_kernels::min_plus::{least_along_rows, least_down_columns};

/// The bins of a digit.
const BINS: usize = 784;
/// Rows of the cost that a certificate takes at a time, and the problems that share them.
const ROWS: usize = 83;
const BATCH: usize = 96;

fn min_plus(criterion: &mut Criterion) {
    let c = spread(ROWS * BINS);
    let (f, g) = (spread(BATCH * ROWS), spread(BATCH * BINS));
    let mut product = vec![0.0; BATCH * ROWS];
    let mut along = vec![0.0; BATCH * ROWS];
    let mut down = vec![f64::INFINITY; BATCH * BINS];
    let floor = "a matrix product of this shape";
    let mut gemm = || kv_batch(&c, ROWS, BINS, &g, black_box(&mut product), 1);
    compare(0.5, &mut gemm, || {
        least_along_rows(black_box(&c), BINS, &g, black_box(&mut along));
    })
    .print("min_plus/along_rows", floor);
    compare(0.5, &mut gemm, || {
        least_down_columns(black_box(&c), BINS, &f, black_box(&mut down));
    })
    .print("min_plus/down_columns", floor);

    let mut group = criterion.benchmark_group("min_plus");
    group.throughput(Throughput::Elements((ROWS * BINS * BATCH) as u64));
    group.bench_function(BenchmarkId::new("along_rows", BATCH), |b| {
        b.iter(|| least_along_rows(&c, BINS, &g, black_box(&mut along)));
    });
    group.bench_function(BenchmarkId::new("down_columns", BATCH), |b| {
        b.iter(|| least_down_columns(&c, BINS, &f, black_box(&mut down)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = min_plus
}
criterion_main!(benches);
