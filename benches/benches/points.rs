//! How far from its floor is an exact plan between clouds without a matrix? The floor: every pair of a list of twenty a point read
//! once, of its cost and one exponential, which is one pass of the many over the lists on the finest level.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::{compare, spread};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::exp::exp;
use solver_api::{Context, Error, Ground, Measure, PointCost, Problem, Solver};
use solver_exact::ExactPoints;

/// Pairs of a point on its lists.
const LISTED: usize = 20;

/// Scattered numbers in [0, 1), others for each seed.
fn scattered(count: usize, seed: f64) -> Vec<f64> {
    let at = |k: usize| ((k as f64 * 12.9898 + seed).sin() * 43_758.545_3).fract();
    (0..count).map(|k| at(k).abs()).collect()
}

fn problem(n: usize, dim: usize, equal: bool, ground: Ground) -> Result<Problem, Error> {
    let weights = |seed: f64| {
        let raw = scattered(n, seed).into_iter().map(|w| w + 0.1);
        Measure::new(if equal { vec![1.0; n] } else { raw.collect() })
    };
    let (x, y) = (scattered(n * dim, 1.0), scattered(n * dim, 2.0));
    let cost = PointCost::new(x, y, dim, ground)?;
    Problem::new(
        weights(3.0)?.normalized(),
        weights(4.0)?.normalized(),
        Arc::new(cost),
    )
}

fn points(criterion: &mut Criterion) -> Result<(), Error> {
    let mut group = criterion.benchmark_group("exact_points");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    let mut context = Context::default().with_threads(1)?;
    for (n, dim, equal, ground) in [
        (2000, 2, true, Ground::SqEuclidean),
        (2000, 2, false, Ground::SqEuclidean),
        (10_000, 2, true, Ground::SqEuclidean),
        (10_000, 2, false, Ground::SqEuclidean),
        (10_000, 3, false, Ground::SqEuclidean),
        (4000, 16, false, Ground::SqEuclidean),
        (10_000, 2, false, Ground::Euclidean),
        (10_000, 2, false, Ground::Cityblock),
    ] {
        let kind = if equal { "uniform" } else { "random" };
        let id = format!("n{n}/d{dim}/{kind}/{ground}");
        let problem = problem(n, dim, equal, ground)?;
        let pairs: Vec<f64> = spread(n * LISTED);
        let mut out = vec![0.0; n * LISTED];
        compare(
            1.0,
            || {
                exp(black_box(&pairs), &mut out);
                black_box(&mut out);
            },
            || {
                black_box(ExactPoints::default().solve_with(&problem, &mut context)).ok();
            },
        )
        .print(
            &format!("exact_points/{id}"),
            "one pass over lists of twenty",
        );
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::from_parameter(id), |b| {
            b.iter(|| ExactPoints::default().solve_with(&problem, &mut context));
        });
    }
    group.finish();
    Ok(())
}

fn all(criterion: &mut Criterion) {
    if let Err(error) = points(criterion) {
        eprintln!("exact_points: {error}");
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
