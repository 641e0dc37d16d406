//! What do products along the axes of a grid cost beside a matrix product's multiply-adds, and log-sum-exp beside the
//! exponentials of all pairs? And an iteration of `sinkhorn` on a grid beside its products?

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::{Comparison, Threads, compare, floors, seconds, spread};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ot_kernels::Elem;
use ot_kernels::separable::{Axis, LogAxis, least, log_sum_exp, multiply};
use solver_api::{Batch, Certify, Context, Cost, GridCost, GridGround, Measure, Reg, Solver};
use solver_sinkhorn::{Settings, Sinkhorn};

/// exp(−t²/ε) along one axis.
fn gauss<T: Elem + Default>(d: usize, eps: f64) -> Axis<T> {
    let entry = |e: usize| {
        let t = (e / d).abs_diff(e % d) as f64;
        T::from_f64((-t * t / eps).exp())
    };
    Axis::new(&(0..d * d).map(entry).collect::<Vec<_>>(), d)
}

fn products<T: Elem + Default>(criterion: &mut Criterion, name: &str) {
    let mut gemm = floors::Gemm::<T>::new();
    for (dims, batch, threads) in [
        (vec![28, 28], 1024, 1),
        (vec![64, 64], 64, 1),
        (vec![256, 256], 1, 1),
        (vec![256, 256], 1, 2),
        (vec![64, 64, 64], 1, 1),
    ] {
        let cells = dims.iter().product::<usize>() * batch;
        let axes: Vec<_> = dims.iter().map(|&d| gauss::<T>(d, 10.0)).collect();
        let axes: Vec<_> = axes.iter().collect();
        let x: Vec<T> = spread(cells).into_iter().map(T::from_f64).collect();
        let (mut out, mut room) = (vec![T::ZERO; cells], vec![T::ZERO; cells]);
        let pool = Threads::new(threads);
        let flops = (2 * cells * dims.iter().sum::<usize>()) as f64;
        let mut best = compare(
            0.4,
            || pool.run(|| gemm.run(threads)),
            || pool.run(|| multiply(&axes, &x, black_box(&mut out), &mut room, threads > 1)),
        );
        best.floor = floors::Gemm::<T>::floor(best.floor, flops);
        let shape: Vec<_> = dims.iter().map(ToString::to_string).collect();
        let id = format!("{name}/{}x{batch}/{threads}", shape.join("x"));
        best.print(&format!("separable/multiply/{id}"), "gemm rate");
        let mut best = compare(
            0.4,
            || pool.run(|| gemm.run(threads)),
            || pool.run(|| least(&axes, &x, black_box(&mut out), &mut room, threads > 1)),
        );
        best.floor = floors::Gemm::<T>::floor(best.floor, flops);
        best.print(&format!("separable/least/{id}"), "gemm rate");
        criterion.benchmark_group("separable").bench_function(
            BenchmarkId::new("multiply", id),
            |b| {
                b.iter(|| pool.run(|| multiply(&axes, &x, &mut out, &mut room, threads > 1)));
            },
        );
    }
}

fn logarithms(criterion: &mut Criterion) {
    for (dims, eps, threads) in [
        (vec![256, 256], 1300.0, 1),
        (vec![256, 256], 130.0, 1),
        (vec![256, 256], 13.0, 1),
        (vec![256, 256], 13.0, 2),
        (vec![256, 256], 0.13, 1),
        (vec![256, 256], 0.05, 1),
        (vec![64, 64, 64], 1.2, 1),
    ] {
        let cells = dims.iter().product::<usize>();
        let axis = |&d: &usize| {
            let c: Vec<f64> = (0..d).map(|t| (t * t) as f64).collect();
            LogAxis::new(&c, 1.0 / eps, None)
        };
        let axes: Vec<_> = dims.iter().map(axis).collect();
        let axes: Vec<_> = axes.iter().collect();
        // A potential that moves everything by a few cells, with weights.
        let d = dims[dims.len() - 1];
        let x: Vec<f64> = (spread(cells).iter().enumerate())
            .map(|(i, w)| (12.0 * (i % d) as f64 + 5.0 * (i / d % d) as f64) / eps + w.ln())
            .collect();
        let (mut out, mut room) = (vec![0.0; cells], vec![0.0; cells]);
        let pool = Threads::new(threads);
        let exponentials = cells * dims.iter().sum::<usize>();
        let part = exponentials / 16;
        let (z, mut e) = (vec![-1.0; 4096], vec![0.0; 4096]);
        let mut best = compare(
            0.4,
            || {
                for _ in 0..part / 4096 {
                    ot_kernels::exp::exp(&z, black_box(&mut e));
                }
            },
            || pool.run(|| log_sum_exp(&axes, &x, black_box(&mut out), &mut room, threads > 1)),
        );
        best.floor *= 16.0 / threads as f64;
        let shape: Vec<_> = dims.iter().map(ToString::to_string).collect();
        let id = format!("{}/{eps}/{threads}", shape.join("x"));
        best.print(
            &format!("separable/log_sum_exp/{id}"),
            "exponentials of all pairs of a line",
        );
        criterion.benchmark_group("separable").bench_function(
            BenchmarkId::new("log_sum_exp", id),
            |b| {
                b.iter(|| pool.run(|| log_sum_exp(&axes, &x, &mut out, &mut room, threads > 1)));
            },
        );
    }
}

/// Images that fill their grid, or the digits of `fixtures/mnist` moved about by a cell or two.
fn images(of_digits: bool, count: usize) -> Result<Vec<Measure>, Box<dyn std::error::Error>> {
    const CELLS: usize = 28 * 28;
    if !of_digits {
        let numbers = spread(CELLS * count);
        let full = numbers.chunks_exact(CELLS).map(|w| {
            let w: Vec<f64> = w.iter().map(|w| 0.05 + w).collect();
            Ok(Measure::new(w)?.normalized())
        });
        return full.collect();
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/mnist");
    let mut digits = Vec::new();
    for name in [0, 1, 2, 4, 5, 6, 7, 9] {
        let read = ot_data::npy::read(format!("{folder}/{name}.npy"))?;
        digits.push(read.into_flat()?.to_vec());
    }
    let moved = (0..count).map(|k| {
        let (right, down) = (k / 8 % 3, k / 24 % 3);
        let w = &digits[(k * 5 + k / 72) % 8];
        let at = |e: usize| {
            let (i, j) = (e / 28 + down, e % 28 + right);
            if (1..29).contains(&i) && (1..29).contains(&j) {
                w[(i - 1) * 28 + j - 1]
            } else {
                0.0
            }
        };
        Ok(Measure::new((0..CELLS).map(at).collect::<Vec<f64>>())?.normalized())
    });
    moved.collect()
}

/// 1024 pairs of images on one grid: an iteration of `sinkhorn` beside the products that it can't do without.
fn shared_grid(threads: usize, of_digits: bool) -> Result<(), Box<dyn std::error::Error>> {
    const PAIRS: usize = 1024;
    let dims = [28, 28];
    let cells = 28 * 28;
    let cost: Arc<dyn Cost> = Arc::new(GridCost::new(&dims, GridGround::SqEuclidean)?);
    let images = images(of_digits, 2 * PAIRS)?;
    let pairs = images.chunks_exact(2);
    let batch = Batch::SharedCost {
        cost,
        pairs: pairs.map(|x| (x[0].clone(), x[1].clone())).collect(),
    };
    let solver = |max_iter| {
        Sinkhorn::new(Settings {
            max_iter,
            // Never reached: iterations are counted, in f32 as long as they lead on, and then in f64.
            tol: Some(1e-13),
            ..Settings::with_reg(Reg::Relative(1e-2))
        })
    };
    let (few, many) = (solver(5)?, solver(25)?);
    let mut context = Context::default()
        .certified(Certify::Off)
        .with_threads(threads)?;
    let axes = [gauss::<f32>(28, 10.0), gauss::<f32>(28, 10.0)];
    let axes: Vec<_> = axes.iter().collect();
    let x = vec![0.5_f32; cells * PAIRS];
    let (mut out, mut room) = (x.clone(), x.clone());
    let mut best = [f64::INFINITY; 4];
    for _ in 0..5 {
        best[2] = best[2].min(seconds(|| {
            multiply(&axes, &x, black_box(&mut out), &mut room, false);
        }));
        for (time, solver) in best.iter_mut().zip([&few, &many]) {
            *time = time.min(seconds(|| {
                black_box(solver.solve_batch(&batch, &mut context));
            }));
        }
        let mut certified = context.clone().certified(Certify::AtEnd);
        best[3] = best[3].min(seconds(|| {
            black_box(many.solve_batch(&batch, &mut certified));
        }));
    }
    let work = (best[1] - best[0]) / 20.0;
    let floor = 2.0 * best[2] / threads as f64;
    let what = if of_digits { "digits" } else { "full" };
    let id = format!("separable/sinkhorn/{what}/28x28x{PAIRS}/{threads}");
    Comparison { work, floor }.print(
        &id,
        "two products of whole grids in f32, an iteration of all pairs",
    );
    println!(
        "{id}: {:.2} µs a pair and iteration; a whole call of 25 iterations {:.1} ms, certified {:.1} ms",
        1e6 * work / PAIRS as f64,
        1e3 * best[1],
        1e3 * best[3]
    );
    Ok(())
}

fn separable(criterion: &mut Criterion) {
    for (threads, of_digits) in [(1, false), (2, false), (1, true), (2, true)] {
        if let Err(error) = shared_grid(threads, of_digits) {
            println!("separable/sinkhorn: {error}");
        }
    }
    products::<f64>(criterion, "f64");
    products::<f32>(criterion, "f32");
    logarithms(criterion);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300));
    targets = separable
}
criterion_main!(benches);
