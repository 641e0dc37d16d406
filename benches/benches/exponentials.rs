//! How fast are exponentials, plain and fused into a row of the Gibbs kernel, against the standard library?

use std::hint::black_box;

use benches::{compare, floors, spread, spread_f32};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::exp::{exp, gibbs_row, gibbs_row_f32};

/// Not a power of two: arrays a multiple of 4096 bytes apart make loads wait for unrelated stores.
const N: usize = 2000;

fn exponentials(criterion: &mut Criterion) {
    println!(
        "floors: exp f64 {:.2} G/s, f32 {:.2} G/s in the first-level cache",
        floors::exp_rate::<f64>() / 1e9,
        floors::exp_rate::<f32>() / 1e9
    );
    let x: Vec<f64> = spread(N).into_iter().map(|x| -20.0 * x).collect();
    let x32: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let (g, g32) = (spread(N), spread_f32(N));
    let (mut out, mut out32) = (vec![0.0; N], vec![0.0_f32; N]);

    let plain = |out: &mut [f64]| exp(black_box(&x), black_box(out));
    let plain32 = |out: &mut [f32]| exp(black_box(&x32), black_box(out));
    let mut std_out = vec![0.0; N];
    compare(
        0.5,
        || plain(&mut out),
        || {
            for (out, x) in std_out.iter_mut().zip(black_box(&x)) {
                *out = x.exp();
            }
        },
    )
    .print("exp/std", "our vector exp, f64");
    let mut row = vec![0.0; N];
    compare(
        0.5,
        || plain(&mut out),
        || gibbs_row(black_box(&x), 0.1, &g, 0.5, black_box(&mut row)),
    )
    .print("gibbs_row/f64", "exp of as many f64 in cache");
    let mut row32 = vec![0.0_f32; N];
    compare(
        0.5,
        || plain32(&mut out32),
        || gibbs_row_f32(black_box(&x32), 0.1, &g32, 0.5, black_box(&mut row32)),
    )
    .print("gibbs_row/f32", "exp of as many f32 in cache");

    let mut group = criterion.benchmark_group("exponentials");
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("exp/f64", |b| b.iter(|| plain(&mut out)));
    group.bench_function("exp/f32", |b| b.iter(|| plain32(&mut out32)));
    group.bench_function("gibbs_row/f64", |b| {
        b.iter(|| gibbs_row(black_box(&x), 0.1, &g, 0.5, black_box(&mut row)));
    });
    group.bench_function("gibbs_row/f64_to_f32", |b| {
        b.iter(|| gibbs_row(black_box(&x), 0.1, &g, 0.5, black_box(&mut row32)));
    });
    group.bench_function("gibbs_row/f32", |b| {
        b.iter(|| gibbs_row_f32(black_box(&x32), 0.1, &g32, 0.5, black_box(&mut row32)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = exponentials
}
criterion_main!(benches);
