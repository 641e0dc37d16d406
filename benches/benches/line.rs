//! How far from its floor is the cost of a million points on a line? The floor: one pass that moves every position with its
//! weight to the bucket of its place, without any order.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::{compare, spread};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::order;
use solver_api::{Context, Ground, Measure, PointCost, Problem};
use solver_exact::closed::Line;

const POINTS: usize = 1_000_000;

/// Scattered numbers in [0, 1).
fn scattered(count: usize, seed: f64) -> Vec<f64> {
    let at = |(k, x): (usize, &f64)| (x.abs() + 0.618_033_988_749_895 * k as f64 + seed).fract();
    spread(count).iter().enumerate().map(at).collect()
}

fn line(criterion: &mut Criterion) {
    let (x, y) = (scattered(POINTS, 0.1), scattered(POINTS, 0.7));
    let weights = |seed| Measure::new(scattered(POINTS, seed)).map(|w: Measure| w.normalized());
    let (Ok(a), Ok(b)) = (weights(0.2), weights(0.4)) else {
        return;
    };
    let Ok(cost) = PointCost::new(x.clone(), y, 1, Ground::SqEuclidean) else {
        return;
    };
    let w = a.weights().to_vec();
    let Ok(problem) = Problem::new(a, b, Arc::new(cost)) else {
        return;
    };
    let Ok(context) = Context::default().with_threads(1) else {
        return;
    };
    let mut buckets = vec![(0.0, 0.0); POINTS];
    let mut ends = vec![0_u32; 4096];
    let mut scatter = || {
        ends.fill(0);
        x.iter().for_each(|x| ends[(x * 4096.0) as usize] += 1);
        let mut next = 0;
        for end in &mut ends {
            (*end, next) = (next, next + *end);
        }
        for (x, w) in x.iter().zip(&w) {
            let at = &mut ends[(x * 4096.0) as usize];
            buckets[*at as usize] = (*x, *w);
            *at += 1;
        }
        black_box(&mut buckets);
    };
    let floor = "one pass into buckets";
    compare(1.0, &mut scatter, || {
        black_box(order::carried(black_box(&x), |i| w[i]));
    })
    .print("line/order", floor);
    let solver = Line::default();
    let cost = || black_box(solver.transport_cost(&problem, &context));
    compare(1.0, &mut scatter, || {
        black_box(cost().is_ok());
    })
    .print("line/cost_of_two_sides", floor);

    let mut group = criterion.benchmark_group("line");
    group.throughput(Throughput::Elements(2 * POINTS as u64));
    group.bench_function(BenchmarkId::new("cost", POINTS), |b| b.iter(cost));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(2));
    targets = line
}
criterion_main!(benches);
