//! How fast are a tile of a lazy plan, both sums included, a pass over all pairs, and a whole solve, against the
//! exponentials of as many pairs alone?

use std::hint::black_box;

use benches::{compare, floors, seconds, spread};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ot_entropic::lazy::cloud::Cloud;
use ot_entropic::lazy::pass::{Between, Passes, Sums};
use ot_kernels::Elem;
use ot_kernels::lazy::{SIDE, Tile};
use solver_api::{Context, Ground, Problem, Reg, Solver};
use solver_stabilized::settings::CostMode;
use solver_stabilized::{Settings, SinkhornStabilized};

/// Tiles in one timing: enough that taking the columns counts as it does in a pass.
const TILES: usize = 64;

fn tiles<T: Elem>(tile: &mut Tile<T>, y: &[f64], g: &[f64], priced: bool) {
    let b = [1.0; SIDE];
    for _ in 0..TILES {
        tile.take_columns(black_box(y), g, &b);
        black_box(tile.weigh(priced));
    }
}

fn row<T: Elem>(criterion: &mut Criterion, name: &str, dim: usize, priced: bool) {
    let (x, y) = (spread(SIDE * dim), spread(SIDE * dim + 7)[7..].to_vec());
    let (f, g) = (vec![0.0; SIDE], spread(SIDE));
    let mut tile = Tile::<T>::new(dim);
    tile.take_rows(&x, &f, &vec![1.0; SIDE], 0.1);
    let pairs = (TILES * SIDE * SIDE) as f64;
    let work = compare(0.5, || {}, || tiles(&mut tile, &y, &g, priced)).work;
    let rate = floors::exp_rate::<T>();
    println!(
        "lazy/{name}: {:.2} G pairs/s, exp alone {:.2} G/s, ratio of times {:.2}",
        pairs / work / 1e9,
        rate / 1e9,
        work * rate / pairs
    );
    let mut group = criterion.benchmark_group("lazy");
    group.throughput(Throughput::Elements(pairs as u64));
    group.bench_function(name, |b| b.iter(|| tiles(&mut tile, &y, &g, priced)));
}

/// Points of a pass.
const POINTS: usize = 20_000;
/// Points of a whole solve.
const MANY: usize = 100_000;

/// `n` points of the unit square: a second, coprime step keeps the coordinates apart.
fn plane(n: usize, shift: f64) -> Vec<f64> {
    (0..n)
        .flat_map(|i| {
            let i = i as f64 + shift;
            [
                (i * 0.754_877_666_246_692_7).fract(),
                (i * 0.569_840_290_998_053_2).fract(),
            ]
        })
        .collect()
}

/// A pass over all pairs on one thread, none left out.
fn pass<T: Elem>(name: &str) {
    let weights = vec![1.0 / POINTS as f64; POINTS];
    let cloud = |shift| Cloud::new(&plane(POINTS, shift), 2, &weights);
    let (x, y) = (cloud(0.0), cloud(0.5));
    let between = Between {
        x: &x,
        y: &y,
        cost: None,
    };
    let p = vec![0.0; POINTS];
    let (mut passes, mut sums) = (Passes::<T>::new(2), Sums::default());
    let floor = f64::NEG_INFINITY;
    let work = || {
        passes.run(between, (&p, &p), 0.02, floor, false, &mut sums, &|_| true);
    };
    let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(1).build() else {
        panic!("a pool of one thread");
    };
    let work = pool.install(|| compare(1.0, || {}, work).work);
    let floor = (POINTS * POINTS) as f64 / floors::exp_rate::<T>();
    println!(
        "lazy/pass/{name}: {work:.3} s for {POINTS}² pairs, exp alone {floor:.3} s, ratio {:.2}",
        work / floor
    );
}

/// From arrays to the solution: n = 100 000 in the plane, reg = 1e-2·max, to L1 1e-4, on one thread.
fn solve() {
    let w = vec![1.0 / MANY as f64; MANY];
    let (x, y) = (plane(MANY, 0.0), plane(MANY, 0.5));
    let problem = Problem::from_points(&w, &w, &x, &y, 2, Ground::SqEuclidean);
    let solver = SinkhornStabilized::new(Settings {
        reg: Reg::Relative(1e-2),
        tol: Some(1e-4),
        cost: CostMode::Lazy,
        ..Settings::default()
    });
    let context = Context::new().with_threads(1);
    let (Ok(problem), Ok(solver), Ok(mut context)) = (problem, solver, context) else {
        panic!("a valid problem and valid settings");
    };
    let time = seconds(|| {
        black_box(solver.solve_with(&problem, &mut context)).ok();
    });
    let pairs = (MANY * MANY) as f64;
    println!(
        "lazy/solve/n={MANY}: {time:.2} s; over the exponentials of all pairs once: f32 {:.2}, f64 {:.2}",
        time * floors::exp_rate::<f32>() / pairs,
        time * floors::exp_rate::<f64>() / pairs
    );
}

fn lazy(criterion: &mut Criterion) {
    pass::<f32>("f32");
    pass::<f64>("f64");
    solve();
    row::<f32>(criterion, "f32/d=2", 2, false);
    row::<f32>(criterion, "f32/d=3", 3, false);
    row::<f32>(criterion, "f32/d=16", 16, false);
    row::<f64>(criterion, "f64/d=2", 2, false);
    row::<f64>(criterion, "f64/d=2/priced", 2, true);
    row::<f64>(criterion, "f64/d=16", 16, false);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = lazy
}
criterion_main!(benches);
