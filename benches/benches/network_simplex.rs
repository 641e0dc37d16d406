//! How near does the exact solver come to reading its cost once, and what does a small problem of a batch take?

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::{compare, floors, spread};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use solver_api::{
    Batch, Certify, Context, DenseCost, Error, Ground, Measure, PointCost, Problem, Solver,
};
use solver_exact::NetworkSimplex;

/// `n` points a side in `dim` dimensions, squared Euclidean cost, equal or spread weights.
fn problem(n: usize, dim: usize, equal: bool, seed: usize) -> Result<Problem, Error> {
    let numbers = spread(2 * (n + seed) * (dim + 1) + 4 * n * dim);
    // Every coordinate from its own stretch, shuffled by a stride: the golden sequence alone is a lattice.
    let cloud = |from: usize| -> Vec<f64> {
        (0..n * dim)
            .map(|k| (numbers[from + k] * 1e4 + numbers[(k * 7919 + from) % numbers.len()]).fract())
            .collect()
    };
    let points = PointCost::new(cloud(seed), cloud(seed + n * dim), dim, Ground::SqEuclidean)?;
    let weights = |from: usize| {
        let raw = numbers[from..from + n].iter().map(|w| w + 1e-3);
        Measure::new(if equal { vec![1.0; n] } else { raw.collect() })
    };
    Problem::new(
        weights(seed)?.normalized(),
        weights(seed + n)?.normalized(),
        Arc::new(DenseCost::materialize(&points)?),
    )
}

fn one(criterion: &mut Criterion) -> Result<(), Error> {
    let mut group = criterion.benchmark_group("network_simplex");
    group.sample_size(10);
    let mut context = Context::default().certified(Certify::Off).with_threads(1)?;
    for (n, dim, equal) in [
        (1000, 2, true),
        (1000, 2, false),
        (1000, 16, true),
        (1000, 16, false),
        (2000, 2, true),
        (2000, 16, false),
    ] {
        let problem = problem(n, dim, equal, 3)?;
        let kind = if equal { "uniform" } else { "random" };
        let id = format!("dense/n{n}/d{dim}/{kind}");
        let cost = spread(n * n);
        compare(
            0.5,
            || floors::read_once(&cost, 1),
            || {
                black_box(NetworkSimplex::default().solve_with(&problem, &mut context)).ok();
            },
        )
        .print(&format!("network_simplex/{id}"), "the cost read once");
        group.bench_function(BenchmarkId::from_parameter(id), |b| {
            b.iter(|| NetworkSimplex::default().solve_with(&problem, &mut context));
        });
    }
    Ok(())
}

fn many(criterion: &mut Criterion) -> Result<(), Error> {
    const COUNT: usize = 128;
    let mut group = criterion.benchmark_group("network_simplex");
    group.sample_size(10);
    for n in [20, 60, 100] {
        let problems = (0..COUNT).map(|k| problem(n, 2, false, k));
        let batch = Batch::Separate(problems.collect::<Result<_, Error>>()?);
        let cost = spread(COUNT * n * n);
        for threads in [1, 2] {
            let mut context = Context::default().with_threads(threads)?;
            let id = format!("batch/n{n}/{threads}");
            compare(
                0.5,
                || floors::read_once(&cost, threads),
                || {
                    black_box(NetworkSimplex::default().solve_batch(&batch, &mut context));
                },
            )
            .print(
                &format!("network_simplex/{id}, {COUNT} problems certified"),
                "the costs read once",
            );
            group.bench_function(BenchmarkId::from_parameter(id), |b| {
                b.iter(|| NetworkSimplex::default().solve_batch(&batch, &mut context));
            });
        }
    }
    Ok(())
}

fn benches_of_the_simplex(criterion: &mut Criterion) {
    for outcome in [one(criterion), many(criterion)] {
        if let Err(error) = outcome {
            eprintln!("network_simplex: {error}");
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = benches_of_the_simplex
}
criterion_main!(benches);
