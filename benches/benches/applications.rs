//! What do barycenters, domain adaptation and colour transfer take, whole, through the public API?
//!
//! - `barycenter`: Bregman projections of 8 images of 64×64 and of 256×256 cells to marginals of 1e-3, ε = 4e-3 of the
//!   largest cost, throughput in cells of all images; a round at 64×64 against its products, 2·8 passes along each axis.
//! - `free_support`: 200 atoms of 8 clouds of 500 points, ten rounds.
//! - `adaptation`: 1000 samples of 10 classes onto 1000, exact and with the group lasso.
//! - `colours`: the levels of 12 megapixels, throughput in pixels.

use std::hint::black_box;
use std::sync::Arc;

use benches::spread;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ot_apps::adaptation::{Adaptation, AdaptationSettings, Domain, Regularizer};
use ot_apps::{
    Bregman, BregmanSettings, ChannelTransfer, Cloud, ColourImage, FreeSupport, FreeSupportSettings,
};
use solver_api::{Barycenters, Certify, Context, Cost, GridCost, GridGround, Measure, Reg};
use solver_exact::NetworkSimplex;
use solver_exact::closed::{Line, Settings as LineSettings};
use solver_stabilized::{Settings, SinkhornStabilized};

/// What keeps a bench from running: its own inputs would have to be wrong.
const VALID: &str = "the inputs of a bench are valid";

/// A ring around (0.5 + x, 0.5 + y) of a square, as a measure on its side×side cells.
fn ring(side: usize, [x, y]: [f64; 2], radius: f64) -> Measure {
    let cell = |e: usize| {
        let at = |k: usize| (k as f64 + 0.5) / side as f64 - 0.5;
        let r = (at(e / side) - y).hypot(at(e % side) - x);
        (-((r - radius) / 0.03).powi(2)).exp()
    };
    let weights: Vec<f64> = (0..side * side).map(cell).collect();
    Measure::new(weights).expect(VALID).normalized()
}

fn rings(side: usize) -> Vec<Measure> {
    let ring = |k: usize| {
        let angle = k as f64;
        ring(
            side,
            [0.15 * angle.cos(), 0.15 * angle.sin()],
            0.15 + 0.02 * angle,
        )
    };
    (0..8).map(ring).collect()
}

fn barycenter(c: &mut Criterion) {
    let mut group = c.benchmark_group("barycenter");
    group.sample_size(10);
    for side in [64, 256] {
        let cost: Arc<dyn Cost> =
            Arc::new(GridCost::new(&[side, side], GridGround::SqEuclidean).expect(VALID));
        let (measures, equal) = (rings(side), [1.0; 8]);
        let bregman = Bregman::default();
        group.throughput(Throughput::Elements((8 * side * side) as u64));
        group.bench_function(format!("convolutional {side}x{side}x8"), |b| {
            b.iter(|| {
                let mut context = Context::default().certified(Certify::Off);
                let found = bregman.barycenter(&cost, &measures, &equal, &mut context);
                black_box(found.expect(VALID))
            });
        });
    }
    // What a round takes: two solves of different length, over their rounds.
    let side = 64;
    let cost: Arc<dyn Cost> =
        Arc::new(GridCost::new(&[side, side], GridGround::SqEuclidean).expect(VALID));
    let measures = rings(side);
    for rounds in [10, 110] {
        let settings = BregmanSettings {
            tol: 1e-15,
            max_iter: rounds,
            ..BregmanSettings::default()
        };
        let bregman = Bregman::new(settings).expect(VALID);
        group.bench_function(format!("{rounds} rounds of 64x64x8"), |b| {
            b.iter(|| {
                let mut context = Context::default().certified(Certify::Off);
                let found = bregman.barycenter(&cost, &measures, &[1.0; 8], &mut context);
                black_box(found.expect(VALID))
            });
        });
    }
    group.finish();
}

fn free_support(c: &mut Criterion) {
    let clouds: Vec<Cloud> = (0..8)
        .map(|k| {
            let points = spread(1000 + 7 * k)[7 * k..].to_vec();
            Cloud::uniform("cloud", points, 2).expect(VALID)
        })
        .collect();
    let solver = NetworkSimplex::default();
    let settings = FreeSupportSettings {
        max_iter: Some(10),
        tol: 1e-15,
        ..FreeSupportSettings::new(200)
    };
    let free = FreeSupport::new(&solver, settings).expect(VALID);
    let mut group = c.benchmark_group("free_support");
    group.sample_size(10);
    group.bench_function("200 atoms, 8 clouds of 500, 10 rounds", |b| {
        b.iter(|| {
            black_box(
                free.fit(&clouds, &[1.0; 8], 0, &Context::default())
                    .expect(VALID),
            )
        });
    });
    group.finish();
}

fn adaptation(c: &mut Criterion) {
    let (n, dim) = (1000, 50);
    let labels: Vec<i64> = (0..n as i64).map(|k| k % 10).collect();
    let samples = |shift: f64, seed: usize| -> Vec<f64> {
        let noise = spread(n * dim + seed);
        (0..n * dim)
            .map(|e| {
                let class = (e / dim) % 10;
                let centre = if e % dim == class { 1.0 } else { 0.0 };
                centre + shift + 0.8 * noise[seed + e]
            })
            .collect()
    };
    let source = Domain::new("source", samples(0.0, 0), dim).expect(VALID);
    let source = source.labelled(&labels).expect(VALID);
    let target = Domain::new("target", samples(0.3, 11), dim).expect(VALID);
    let exact = NetworkSimplex::default();
    let entropic = SinkhornStabilized::new(Settings::with_reg(Reg::Absolute(0.05))).expect(VALID);
    let mut group = c.benchmark_group("adaptation");
    group.sample_size(10);
    let plain = Adaptation::new(&exact, AdaptationSettings::default()).expect(VALID);
    let lasso = AdaptationSettings {
        regularizer: Regularizer::group_lasso(0.1),
        ..AdaptationSettings::default()
    };
    let lasso = Adaptation::new(&entropic, lasso).expect(VALID);
    for (name, adaptation) in [("exact", plain), ("group lasso", lasso)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let fitted = adaptation.fit(&source, &target, &mut Context::default());
                black_box(fitted.expect(VALID))
            });
        });
    }
    group.finish();
}

fn colours(c: &mut Criterion) {
    let size = (3000, 4000);
    let image = |seed: usize| {
        let levels = spread(1 << 16);
        let pixels: Vec<u8> = (0..3 * size.0 * size.1)
            .map(|e| (255.0 * levels[(e * 31 + seed) & 0xffff].powi(1 + seed as i32)) as u8)
            .collect();
        ColourImage::new("image", size, pixels).expect(VALID)
    };
    let (source, reference) = (image(0), image(1));
    let line = Line::new(LineSettings::default()).expect(VALID);
    let transfer = ChannelTransfer::new(&line).expect(VALID);
    let mut group = c.benchmark_group("colours");
    group.sample_size(10);
    group.throughput(Throughput::Elements((size.0 * size.1) as u64));
    group.bench_function("12 megapixels, channels", |b| {
        b.iter(|| {
            let map = transfer
                .fit(&source, &reference, &Context::default())
                .expect(VALID);
            black_box(map.transform(&source))
        });
    });
    group.finish();
}

criterion_group!(benches, barycenter, free_support, adaptation, colours);
criterion_main!(benches);
