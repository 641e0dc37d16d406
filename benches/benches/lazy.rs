//! How fast is a tile of a lazy plan, both sums included, against the exponentials alone?

use std::hint::black_box;

use benches::{compare, floors, spread};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ot_kernels::Elem;
use ot_kernels::lazy::{SIDE, Tile};

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

fn lazy(criterion: &mut Criterion) {
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
