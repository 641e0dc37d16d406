//! How near does the Sinkhorn solver come to what its iterations must cost? Whole solves, through the public API.
//!
//! - `iteration`: the time of an iteration, from two solves of different length, against reading the kernel once in
//!   the number type that it is stored in; making the copy in f32 is part of it. `f64_products` has no copy.
//! - `shared_cost`: an iteration of 1024 problems of 784 × 784 with one cost, from two batches of different length,
//!   against two matrix products; what everything but iterating takes; and whole calls, with and without
//!   certificates, against the products of their iterations.
//! - `many_small`: separate problems of n ≤ 100, one thread against two.

use std::hint::black_box;
use std::sync::Arc;

use benches::{Comparison, Threads, floors, seconds, spread};
use criterion::{Criterion, criterion_group, criterion_main};
use ot_kernels::Elem;
use ot_kernels::gemm::kv_batch;
use solver_api::{
    Batch, Certify, Context, Cost, DenseCost, Error, GridCost, GridGround, Measure, Precision,
    Problem, Reg, Solver,
};
use solver_sinkhorn::{Settings, Sinkhorn};

fn solver(
    precision: Precision,
    products: Precision,
    reg: f64,
    max_iter: u64,
) -> Result<Sinkhorn, Error> {
    Sinkhorn::new(Settings {
        precision,
        products,
        max_iter,
        // Out of reach within the iterations of `iteration`, and reached after about half of those of `shared_cost`.
        tol: Some(3e-7),
        ..Settings::with_reg(Reg::Relative(reg))
    })
}

fn measure(n: usize, seed: usize) -> Result<Measure, Error> {
    let w: Vec<f64> = spread(n + seed)[seed..].iter().map(|x| 0.1 + x).collect();
    Ok(Measure::new(w)?.normalized())
}

/// Squared distances between points of the unit square.
fn problem(n: usize, seed: usize) -> Result<Problem, Error> {
    let x = spread(2 * n + seed);
    let point = |k: usize| (x[seed + k], (x[seed + k] * 7919.0).fract());
    let cost: Vec<f64> = (0..n)
        .flat_map(|i| {
            let (px, py) = point(i);
            (0..n).map(move |j| (i, j, px, py))
        })
        .map(|(_, j, px, py)| {
            let (qx, qy) = point(n + j);
            (px - qx).powi(2) + (py - qy).powi(2)
        })
        .collect();
    let cost = Arc::new(DenseCost::new(n, n, cost)?);
    Problem::new(measure(n, seed)?, measure(n, seed + 11)?, cost)
}

fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::F64 => "f64",
    }
}

fn iterations<T: Elem>(
    precision: Precision,
    products: Precision,
    n: usize,
    threads: usize,
) -> Result<(), Error> {
    let problem = problem(n, 1)?;
    let (short, long) = (4, 4 + (400_000_000 / (n * n)).clamp(12, 400) as u64);
    // 3e-3 of the largest cost: hundreds of iterations to the tolerance, and an f64 kernel without lost entries.
    let (brief, full) = (
        solver(precision, products, 3e-3, short)?,
        solver(precision, products, 3e-3, long)?,
    );
    let k = vec![T::from_f64(1.0); n * n];
    let mut best = [f64::INFINITY; 3];
    let context = Context::default()
        .certified(Certify::Off)
        .with_threads(threads)?;
    Threads::new(threads).run(|| {
        for _ in 0..5 {
            best[0] = best[0].min(floors::read_floor(&k, n, threads, 3));
            for (time, solver) in best[1..].iter_mut().zip([&brief, &full]) {
                let mut context = context.clone();
                let solution = solver.solve_with(&problem, &mut context)?;
                *time = time.min(solution.solve_time.as_secs_f64());
            }
        }
        Ok::<(), Error>(())
    })?;
    let work = (best[2] - best[1]) / (long - short) as f64;
    let name = match (precision, products) {
        (Precision::F64, Precision::F64) => "f64_products",
        _ => name(precision),
    };
    Comparison {
        work,
        floor: best[0],
    }
    .print(
        &format!("sinkhorn/iteration/{name}/{n}/{threads}"),
        "K read once",
    );
    Ok(())
}

fn shared_cost<T: Elem>(precision: Precision, threads: usize) -> Result<(), Error> {
    const COUNT: usize = 1024;
    let steps = [10, 100];
    let grid = GridCost::new(&[28, 28], GridGround::SqEuclidean)?;
    let cost: Arc<dyn Cost> = Arc::new(DenseCost::materialize(&grid)?);
    let n = cost.shape().0;
    let pairs = (0..COUNT).map(|k| Ok((measure(n, k)?, measure(n, 3 * k + 1)?)));
    let batch = Batch::SharedCost {
        cost,
        pairs: pairs.collect::<Result<_, Error>>()?,
    };
    let solvers = [
        solver(precision, Precision::F32, 2e-2, steps[0])?,
        solver(precision, Precision::F32, 2e-2, steps[1])?,
    ];
    let k = vec![T::from_f64(0.5); n * n];
    let v = vec![T::from_f64(0.5); n * COUNT];
    let mut out = v.clone();
    let mut best = [f64::INFINITY; 3];
    let mut certified = f64::INFINITY;
    let mut done = [0.0; 2];
    let mut context = Context::default()
        .certified(Certify::Off)
        .with_threads(threads)?;
    Threads::new(threads).run(|| {
        for _ in 0..3 {
            for _ in 0..5 {
                let product = || kv_batch(&k, n, n, &v, black_box(&mut out), threads);
                best[2] = best[2].min(seconds(product));
            }
            let mut certify = context.clone().certified(Certify::AtEnd);
            certified = certified.min(seconds(|| {
                black_box(solvers[1].solve_batch(&batch, &mut certify));
            }));
            for (which, solver) in solvers.iter().enumerate() {
                let mut iterations = 0;
                best[which] = best[which].min(seconds(|| {
                    for solution in solver
                        .solve_batch(&batch, &mut context)
                        .into_iter()
                        .flatten()
                    {
                        iterations += solution.convergence.iterations.unwrap_or_default();
                    }
                }));
                done[which] = iterations as f64 / COUNT as f64;
            }
        }
    });
    let an_iteration = (best[1] - best[0]) / (done[1] - done[0]);
    let id = format!(
        "sinkhorn/shared_cost/{}/{n}x{COUNT}/{threads}",
        name(precision)
    );
    Comparison {
        work: an_iteration,
        floor: 2.0 * best[2],
    }
    .print(&id, "two matrix products, an iteration of all problems");
    println!(
        "{id}: kernel, values and plans besides: {:.1} iterations' worth",
        best[0] / an_iteration - done[0]
    );
    for (time, what) in [
        (best[1], "whole call"),
        (certified, "whole call, certified"),
    ] {
        Comparison {
            work: time,
            floor: 2.0 * best[2] * done[1],
        }
        .print(&format!("{id}/{what}"), "the products of its iterations");
    }
    Ok(())
}

fn many_small(n: usize) -> Result<(), Error> {
    const COUNT: usize = 400;
    let problems = (0..COUNT).map(|k| problem(n, 5 * k));
    let batch = Batch::Separate(problems.collect::<Result<_, _>>()?);
    let solver = Sinkhorn::new(Settings::with_reg(Reg::Relative(2e-2)))?;
    let mut best = [f64::INFINITY; 2];
    let mut contexts = [
        Context::default().with_threads(1)?,
        Context::default().with_threads(2)?,
    ];
    for _ in 0..7 {
        for (time, context) in best.iter_mut().zip(&mut contexts) {
            *time = time.min(seconds(|| {
                black_box(solver.solve_batch(&batch, context));
            }));
        }
    }
    println!(
        "sinkhorn/many_small/{n}: {:.1} µs a problem on one thread, {:.1} µs on two, speedup {:.2}",
        1e6 * best[0] / COUNT as f64,
        1e6 * best[1] / COUNT as f64,
        best[0] / best[1]
    );
    Ok(())
}

fn ratios() -> Result<(), Error> {
    for (n, threads) in [(1000, 1), (5000, 1), (5000, 2)] {
        iterations::<f64>(Precision::F64, Precision::F32, n, threads)?;
        iterations::<f64>(Precision::F64, Precision::F64, n, threads)?;
        iterations::<f32>(Precision::F32, Precision::F32, n, threads)?;
    }
    for threads in [1, 2] {
        shared_cost::<f64>(Precision::F64, threads)?;
        shared_cost::<f32>(Precision::F32, threads)?;
    }
    [20, 50, 100].into_iter().try_for_each(many_small)
}

fn benches(criterion: &mut Criterion) {
    if let Err(error) = ratios() {
        println!("sinkhorn: {error}");
    }
    let mut group = criterion.benchmark_group("sinkhorn");
    for n in [50, 500] {
        let solver = Sinkhorn::new(Settings::with_reg(Reg::Relative(2e-2)));
        if let (Ok(problem), Ok(solver)) = (problem(n, 3), solver) {
            group.bench_function(format!("solve/{n}"), |bencher| {
                bencher.iter(|| solver.solve(black_box(&problem)));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = sinkhorn;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(sinkhorn);
