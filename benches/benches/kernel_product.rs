//! How near does one Sinkhorn iteration come to reading the kernel once?

use std::hint::black_box;
use std::time::Duration;

use benches::{Comparison, Threads, floors, seconds, spread};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::Elem;
use ot_kernels::kernel_product::{
    NarrowKernel, ProductWorkspace, Reference, ktu, kv, scale_rows, scale_rows_narrow,
};

struct Iteration<T> {
    k: Vec<T>,
    a: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    sums: Vec<f64>,
    out: Vec<f64>,
    workspace: ProductWorkspace,
    ones: Vec<f64>,
    zeros: Vec<f64>,
}

impl<T: Elem> Iteration<T> {
    fn new(n: usize, threads: usize) -> Self {
        let k = spread(n * n)
            .into_iter()
            .map(|x| T::from_f64(0.1 + x))
            .collect();
        Self {
            k,
            a: vec![1.0 / n as f64; n],
            u: vec![1.0; n],
            v: vec![1.0 / n as f64; n],
            sums: vec![0.0; n],
            out: vec![0.0; n],
            workspace: ProductWorkspace::new(n, threads),
            ones: vec![1.0; n],
            zeros: vec![0.0; n],
        }
    }

    /// u = a / K v, out = Kᵀ u, v = a / out: a full iteration.
    fn step(&mut self) {
        scale_rows(
            &self.k,
            &self.v,
            &self.a,
            1.0,
            &mut self.u,
            &mut self.sums,
            &mut self.out,
            &mut self.workspace,
        );
        self.update();
    }

    fn update(&mut self) {
        for (v, (b, s)) in self.v.iter_mut().zip(self.a.iter().zip(&self.out)) {
            *v = b / s;
        }
    }
}

/// An iteration with products in f32.
fn narrow_step(it: &mut Iteration<f32>) {
    scale_rows_narrow(
        NarrowKernel {
            entries: &it.k,
            rows: &it.ones,
            cols: &it.ones,
        },
        Reference {
            v: &it.zeros,
            s: &it.zeros,
            u: &it.zeros,
            t: &it.zeros,
        },
        &it.v,
        &it.a,
        &mut it.u,
        &mut it.sums,
        &mut it.out,
        &mut it.workspace,
    );
    it.update();
}

/// The iteration against one read of K, and against one read of K and a second one of each block of rows out of
/// the second-level cache: no row can be scaled before its last element has been summed.
fn ratios<T: Elem>(name: &str, n: usize, threads: usize, step: impl Fn(&mut Iteration<T>) + Sync) {
    let mut it = Iteration::<T>::new(n, threads);
    let (once, twice) = Threads::new(threads).run(|| {
        let (mut once, mut twice) = (Comparison::UNTIMED, Comparison::UNTIMED);
        for _ in 0..(40_000_000 / (n * n)).clamp(15, 400) {
            once.floor = once.floor.min(floors::read_floor(&it.k, n, threads, 1));
            twice.floor = twice
                .floor
                .min(seconds(|| floors::read_twice(&it.k, n, threads)));
            once.work = once.work.min(seconds(|| step(&mut it)));
        }
        twice.work = once.work;
        (once, twice)
    });
    let rate = (n * n * size_of::<T>()) as f64 / once.floor / 1e9;
    let id = format!("sinkhorn_iteration/{name}/{n}/{threads}");
    once.print(&id, &format!("K read once at {rate:.0} GB/s"));
    twice.print(&id, "and each block once more");
}

fn products<T: Elem>(criterion: &mut Criterion, name: &str) {
    for (n, threads) in [(1000, 1), (5000, 1), (5000, 2)] {
        ratios::<T>(name, n, threads, Iteration::step);
        let mut group = criterion.benchmark_group("kernel_product");
        group.throughput(Throughput::Bytes((n * n * size_of::<T>()) as u64));
        let mut it = Iteration::<T>::new(n, threads);
        let id = |what: &str| BenchmarkId::new(format!("{what}/{name}/{threads}"), n);
        let pool = Threads::new(threads);
        group.bench_function(id("sinkhorn_iteration"), |b| {
            b.iter(|| pool.run(|| it.step()));
        });
        group.bench_function(id("read_once"), |b| {
            b.iter(|| pool.run(|| floors::read_once(black_box(&it.k), threads)));
        });
        group.bench_function(id("kv"), |b| {
            b.iter(|| pool.run(|| kv(&it.k, &it.v, black_box(&mut it.sums), threads)));
        });
        group.bench_function(id("ktu"), |b| {
            b.iter(|| {
                pool.run(|| ktu(&it.k, &it.u, black_box(&mut it.out), &mut it.workspace));
            });
        });
    }
}

fn kernel_product(criterion: &mut Criterion) {
    products::<f64>(criterion, "f64");
    products::<f32>(criterion, "f32");
    for (n, threads) in [(1000, 1), (5000, 1), (5000, 2)] {
        ratios::<f32>("f32_products", n, threads, narrow_step);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = kernel_product
}
criterion_main!(benches);
