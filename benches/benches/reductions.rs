//! How near do the reductions of a row come to its exponentials, or to reading it?

use std::hint::black_box;
use std::time::Duration;

use benches::{compare, floors, spread, spread_f32};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::exp::exp;
use ot_kernels::reduce::{
    col_min_update, dot, row_log_sum_exp, row_log_sum_exp_f32, row_min_arg, scan, sum,
};

const N: usize = 5000;

/// The last bit of the result keeps the call alive.
fn keep(x: f64) {
    black_box(x);
}

fn soft(criterion: &mut Criterion) {
    let (cost, cost32) = (spread(N), spread_f32(N));
    let g: Vec<f64> = cost.iter().rev().copied().collect();
    let g32: Vec<f32> = cost32.iter().rev().copied().collect();
    let (mut out, mut out32) = (vec![0.0; N], vec![0.0_f32; N]);
    compare(
        0.5,
        || exp(black_box(&cost), black_box(&mut out)),
        || keep(row_log_sum_exp(black_box(&cost), &g, 100.0)),
    )
    .print("row_log_sum_exp/f64/5000", "exp of as many f64");
    compare(
        0.5,
        || exp(black_box(&cost32), black_box(&mut out32)),
        || keep(row_log_sum_exp_f32(black_box(&cost32), &g32, 100.0)),
    )
    .print("row_log_sum_exp/f32/5000", "exp of as many f32");

    let mut group = criterion.benchmark_group("reductions");
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function(BenchmarkId::new("row_log_sum_exp/f64", N), |b| {
        b.iter(|| row_log_sum_exp(black_box(&cost), &g, 100.0));
    });
    group.bench_function(BenchmarkId::new("row_log_sum_exp/f32_stored", N), |b| {
        b.iter(|| row_log_sum_exp(black_box(&cost32), &g, 100.0));
    });
    group.bench_function(BenchmarkId::new("row_log_sum_exp/f32", N), |b| {
        b.iter(|| row_log_sum_exp_f32(black_box(&cost32), &g32, 100.0));
    });
}

fn hard(criterion: &mut Criterion) {
    let cost = spread(N);
    let g: Vec<f64> = cost.iter().rev().copied().collect();
    let mut columns = vec![f64::INFINITY; N];
    let ratio = |id: &str, work: &mut dyn FnMut()| {
        compare(0.3, || floors::read_once(&cost, 1), work).print(id, "the row read once, in cache");
    };
    ratio("row_min_arg/5000", &mut || {
        black_box(row_min_arg(black_box(&cost), &g));
    });
    ratio("col_min_update/5000", &mut || {
        col_min_update(black_box(&cost), 0.1, black_box(&mut columns));
    });
    ratio("scan/5000", &mut || {
        black_box(scan(black_box(&cost)));
    });
    ratio("sum/5000", &mut || keep(sum(black_box(&cost))));
    ratio("dot/5000", &mut || keep(dot(black_box(&cost), &g)));

    let mut group = criterion.benchmark_group("reductions");
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function(BenchmarkId::new("row_min_arg", N), |b| {
        b.iter(|| row_min_arg(black_box(&cost), &g));
    });
    group.bench_function(BenchmarkId::new("col_min_update", N), |b| {
        b.iter(|| col_min_update(black_box(&cost), 0.1, black_box(&mut columns)));
    });
    group.bench_function(BenchmarkId::new("scan", N), |b| {
        b.iter(|| scan(black_box(&cost)));
    });
    group.bench_function(BenchmarkId::new("sum", N), |b| {
        b.iter(|| sum(black_box(&cost)));
    });
    group.bench_function(BenchmarkId::new("dot", N), |b| {
        b.iter(|| dot(black_box(&cost), &g));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = soft, hard
}
criterion_main!(benches);
