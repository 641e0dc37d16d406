//! Does a batch that shares one kernel run at the rate of a large matrix product?

use std::hint::black_box;
use std::time::Duration;

use benches::{Threads, compare, floors, spread};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::Elem;
use ot_kernels::gemm::{ktu_batch, kv_batch};

/// The bins of a digit.
const BINS: usize = 784;

fn batches<T: Elem>(criterion: &mut Criterion, name: &str) {
    let k: Vec<T> = spread(BINS * BINS).into_iter().map(T::from_f64).collect();
    let mut gemm = floors::Gemm::<T>::new();
    for (batch, threads) in [(1024, 1), (1024, 2), (64, 1)] {
        let v: Vec<T> = spread(BINS * batch).into_iter().map(T::from_f64).collect();
        let mut out = vec![T::ZERO; BINS * batch];
        let flops = 2.0 * (BINS * BINS * batch) as f64;
        let pool = Threads::new(threads);
        let run_kv = |out: &mut [T]| {
            pool.run(|| kv_batch(&k, BINS, BINS, &v, black_box(out), threads));
        };
        let run_ktu = |out: &mut [T]| {
            pool.run(|| ktu_batch(&k, BINS, BINS, &v, black_box(out), threads));
        };
        let mut report = |id: &str, work: &mut (dyn FnMut() + Send)| {
            let mut best = compare(0.5, || pool.run(|| gemm.run(threads)), work);
            let rate = floors::Gemm::<T>::FLOPS / best.floor / 1e9;
            best.floor = floors::Gemm::<T>::floor(best.floor, flops);
            best.print(
                &format!("batch_product/{id}/{name}/{batch}/{threads}"),
                &format!("1024 cubed at {rate:.0} GFLOP/s"),
            );
        };
        report("kv", &mut || run_kv(&mut out));
        report("ktu", &mut || run_ktu(&mut out));

        let mut group = criterion.benchmark_group("batch_product");
        group.throughput(Throughput::Elements(flops as u64));
        let id = |what: &str| BenchmarkId::new(format!("{what}/{name}/{threads}"), batch);
        group.bench_function(id("kv"), |b| b.iter(|| run_kv(&mut out)));
        group.bench_function(id("ktu"), |b| b.iter(|| run_ktu(&mut out)));
    }
}

fn batch_product(criterion: &mut Criterion) {
    batches::<f64>(criterion, "f64");
    batches::<f32>(criterion, "f32");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = batch_product
}
criterion_main!(benches);
