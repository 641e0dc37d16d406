//! exploration
#[path = "shared/domains_of_digits.rs"]
mod digits;
#[path = "../../ot-apps/examples/shared/options.rs"]
mod options;

use std::path::{Path, PathBuf};
use std::time::Instant;

use digits::{CLASSES, Digits, Task};
use options::{Args, Outcome};
use ot_nn::{Adam, Layer, Network, Optimizer, Tape, cross_entropy};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::Context;
use solver_spot::daspot::{Classifier, Daspot, DaspotSettings, Labelled, convolutions};
use solver_spot::{ContinuousSolver, Generator, SpotSettings, critic, perceptron};

fn env(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn develop(data: &Path) -> Outcome<Vec<Task>> {
    let m = data.join("mnist");
    let mnist = Digits::read(&m.join("train-images-idx3-ubyte.gz"), &m.join("train-labels-idx1-ubyte.gz"), 255.0, 16)?;
    let o = data.join("optdigits");
    let opt = Digits::read(&o.join("images-idx3-ubyte.gz"), &o.join("labels-idx1-ubyte.gz"), 16.0, 16)?;
    let opt_train = opt.at((0..opt.len()).filter(|k| k % 10 < 7));
    let opt_test = opt.at((0..opt.len()).filter(|k| k % 10 >= 7));
    // colour: MNIST 20000..24000 blended with other photos
    let photos: Vec<_> = ["hubble_deep_field.png", "ihc.png", "motorcycle_left.png", "retina.png"].iter().map(|p| {
        ot_data::read(data.join("photos").join(p)).unwrap()
    }).map(|l| { let s = l.shape().to_vec(); (s, l.array.into_f64().into_iter().collect::<Vec<f64>>()) }).collect();
    let mut rng = Pcg64::seed_from_u64(77);
    let raw = Digits::read(&m.join("train-images-idx3-ubyte.gz"), &m.join("train-labels-idx1-ubyte.gz"), 255.0, 28)?;
    let mut blend = |from: usize, to: usize| -> Digits {
        let mut d = raw.at(from..to);
        let mut points = Vec::new();
        for row in d.points.chunks_exact(784) {
            let (s, v) = &photos[rng.random_range(0..photos.len())];
            let (h, w, c) = (s[0], s[1], s.get(2).copied().unwrap_or(1));
            let (y0, x0) = (rng.random_range(0..h - 28), rng.random_range(0..w - 28));
            for ch in 0..3 {
                let mut plane = vec![0f64; 784];
                for y in 0..28 { for x in 0..28 {
                    let p = v[((y0 + y) * w + x0 + x) * c + ch.min(c - 1)];
                    let q = (f64::from(row[y * 28 + x]) + 1.0) * 127.5;
                    plane[y * 28 + x] = (p - q).abs();
                }}
                let weights = digits::areas(28, 16);
                digits::resize(&plane, &weights, 28, 16, 255.0, &mut points);
            }
        }
        d.points = points; d.channels = 3; d.side = 16;
        d
    };
    let col = blend(20000, 24000);
    let col_test = blend(24000, 25000);
    Ok(vec![
        Task { name: "dev MNIST to opt", source: mnist.at(0..20000), target: opt_train.clone(), test: opt_test },
        Task { name: "dev opt to MNIST", source: opt_train, target: mnist.at(0..10000), test: mnist.at(20000..25000) },
        Task { name: "dev colour", source: mnist.at(0..20000).coloured(3), target: col, test: col_test },
    ])
}

fn classifier(of: &Digits, seed: u64) -> Outcome<Classifier<f32>> {
    let filters: &[usize] = if env("BIG", 0.0) > 0.0 { &[32, 64] } else { &[16, 32] };
    let chain = convolutions((of.channels, of.side), filters, 64, 0.1);
    Ok(Classifier::new(Network::new(&chain, seed)?, Network::new(&[Layer::linear(64, CLASSES)], seed + 1)?)?)
}

fn score(found: &[usize], labels: &[usize]) -> f64 {
    100.0 * found.iter().zip(labels).filter(|(a, b)| a == b).count() as f64 / labels.len() as f64
}

fn main() -> Outcome {
    let args = Args::read(&["task", "seeds", "steps", "dev"])?;
    let data: PathBuf = args.data.clone().unwrap_or("/work/shared/data".into());
    let tasks = match args.count("dev", 1, 1) { 1 => develop(&data)?, 2 => digits::fixtures()?, _ => digits::whole(&data)? };
    let which = args.count("task", 1, 1) - 1;
    let task = &tasks[which];
    for seed in 0..args.count("seeds", 1, 1) as u64 {
    let started = Instant::now();
    let s = 100 * seed;
    let latent = env("LATENT", 32.0) as usize;
    let hidden = env("HIDDEN", 256.0) as usize;
    let made = |of: &Digits, seed| -> Outcome<Network<f32>> {
        let mut chain = perceptron(latent, hidden, 2, of.dim(), 0.2);
        chain.push(Layer::Tanh);
        Ok(Network::new(&chain, seed)?)
    };
    let judge = |of: &Digits, seed| Network::new(&critic(of.dim(), env("JUDGE", 128.0) as usize, 2, 0.2), seed);
    let d = DaspotSettings::default();
    let settings = DaspotSettings {
        spot: SpotSettings {
            steps: args.count("steps", 3000, 3000) as u64,
            batch: env("BATCH", 128.0) as usize,
            critic_steps: env("CRITIC", 3.0) as usize,
            eta: env("ETA", 20.0),
            first_eta: env("ETA0", 1.0),
            rate: env("GRATE", 1e-3),
            seed,
            check_every: args.count("steps", 3000, 3000) as u64 / 10,
            ..d.spot
        },
        source_weight: env("LS", 1.0),
        label_weight: env("LDA", 1.0),
        target_weight: env("LT", 1.0),
        width: env("TAU", d.width),
        balance: env("BAL", d.balance),
        confidence: env("CONF", d.confidence),
        shares: env("SHARES", d.shares),
        delay: env("DELAY", d.delay),
        ramp: env("RAMP", d.ramp),
        rate: env("RATE", d.rate),
        warm_steps: env("WARM", d.warm_steps as f64) as u64,
        ..d
    };
    let mut daspot = Daspot::new(
        Generator::separate(vec![made(&task.source, s + 1)?, made(&task.target, s + 2)?])?,
        vec![judge(&task.source, s + 3)?, judge(&task.target, s + 4)?],
        [classifier(&task.source, s + 5)?, classifier(&task.target, s + 7)?],
        Labelled::new(task.source.points.clone(), task.source.dim(), task.source.labels.clone(), CLASSES)?,
        task.target.points.clone(),
        settings,
    )?;
    let quick = Context::default().time_limit(std::time::Duration::from_secs_f64(1e9));
    let _ = quick;
    let test = &task.test;
    println!("{} source {} target {} test {}", task.name, task.source.len(), task.target.len(), test.len());
    let mut first = true;
    let plan_at = std::cell::Cell::new(0);
    let _ = plan_at;
    // manual loop for accuracies
    let total = settings.spot.steps;
    let every = total / 10;
    let mut stop = 0;
    while daspot.steps() < total {
        stop += 1;
        let mut looks = Vec::new();
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let s2 = seen.clone();
        let ctx = Context::default().observed(move |_: &solver_api::Progress| {
            s2.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::ops::ControlFlow::Break(())
        });
        daspot.fit(&ctx, &mut |l| looks.push(l.clone()))?;
        let _ = (stop, every, seen);
        let acc = score(&daspot.predict(&test.points)?, &test.labels);
        if first {
            println!("  source-only on test: {:.2} (if no delay)   {:.0}s", acc, started.elapsed().as_secs_f64());
            first = false;
        }
        if let Some(l) = looks.last() {
            println!("  {:5} η {:5.1} κ {:.2} c {:.3} S {:.3} DA {:.3} T {:.3} agree {:.3} conf {:.3} apart {:.3?} moved {:.3} | test {:.2} | {:.0}s",
                l.step, l.eta, l.listening, l.cost, l.source_loss, l.label_loss, l.target_loss, l.agreement, l.confident, l.apart, l.moved, acc, started.elapsed().as_secs_f64());
        }
    }
    println!("  shares {:.3?}", daspot.shares());
    // sample sheet as pgm
    let pairs = daspot.pairs(40, 5)?;
    if task.test.channels <= 3 {
        let side = test.side;
        let cols = 20;
        let mut sheet = vec![0u8; 4 * side * cols * side * 3];
        for i in 0..40 { for k in 0..2 {
            let ch = pairs.dims()[k] / (side * side);
            for y in 0..side { for x in 0..side { for c in 0..3 {
                let v = pairs.row(k, i)[c.min(ch - 1) * side * side + y * side + x];
                let (r, cc) = ((i / cols) * 2 + k, i % cols);
                sheet[((r * side + y) * cols * side + cc * side + x) * 3 + c] = (127.5 * (v + 1.0)).clamp(0.0, 255.0) as u8;
            }}}
        }}
        ot_data::png::write("/tmp/daspot_sheet.png", &[4 * side, cols * side, 3], &sheet)?;
    }
    }
    let _: Option<(Adam<f32>, Tape<f32>)> = None;
    let _ = cross_entropy::<f32>;
    let _ = |a: &mut Adam<f32>| a.set_rate(0.1);
    Ok(())
}
