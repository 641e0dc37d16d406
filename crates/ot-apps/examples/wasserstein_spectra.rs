//! Source 004's breathing rate, on signals of our own: the power spectrum of a breathing signal learned from a noisy recording,
//! with the one-dimensional Wasserstein losses and with the mean squared error.
//!
//! A breath is a fundamental between 0.1 and 0.6 Hz with a weak harmonic, at a rate that drifts a little. The recording of
//! 40 s has movements, a drift of the baseline, and noise in it; features are the logarithm of its spectrum. The target
//! is the spectrum of the clean signal, which is a narrow peak: mean squared errors say nothing of how far away a wrong peak
//! is, transport does. What counts is the rate that is read off the prediction: its median frequency, and its peak.
//!
//! ```text
//! cargo run --release -p ot-apps --example wasserstein_spectra [-- --full]
//! ```

#[path = "shared/chart.rs"]
mod chart;
#[path = "shared/picture.rs"]
mod picture;

use std::f64::consts::TAU;
use std::sync::{Arc, OnceLock};

use chart::{Line, Panel};
use ot_apps::learning::losses::{
    HierarchicalEmd, KullbackLeibler, LineWasserstein, Loss, SquaredError, WeightedSum, evaluate,
};
use ot_apps::learning::{Targets, Training, WassersteinClassifier};
use ot_apps::scores::mean_and_error;
use plotters::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use solver_api::{Context, Tree};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Samples a second, seconds, and frequencies from `LOW` on in steps of `STEP` Hz.
const RATE: f64 = 4.0;
const SECONDS: f64 = 40.0;
const BINS: usize = 64;
const LOW: f64 = 0.05;
const STEP: f64 = 0.0125;

fn frequency(bin: usize) -> f64 {
    LOW + STEP * bin as f64
}

struct Signals {
    x: Vec<f64>,
    targets: Vec<f64>,
    rates: Vec<f64>,
}

/// Power at each frequency, under a Hann window.
fn spectrum(signal: &[f64]) -> Vec<f64> {
    let n = signal.len();
    static WAVES: OnceLock<Vec<[f64; 2]>> = OnceLock::new();
    let waves = WAVES.get_or_init(|| {
        let wave = |at: usize| {
            let (bin, k) = (at / n, (at % n) as f64);
            let window = 0.5 - 0.5 * (TAU * k / n as f64).cos();
            let angle = TAU * frequency(bin) * k / RATE;
            [window * angle.cos(), window * angle.sin()]
        };
        (0..BINS * n).map(wave).collect()
    });
    let power = |waves: &[[f64; 2]]| {
        let (mut re, mut im) = (0.0, 0.0);
        for (s, wave) in signal.iter().zip(waves) {
            re += s * wave[0];
            im += s * wave[1];
        }
        re * re + im * im
    };
    waves.chunks_exact(n).map(power).collect()
}

fn signals(count: usize, seed: u64) -> Signals {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut all = Signals {
        x: Vec::new(),
        targets: Vec::new(),
        rates: Vec::new(),
    };
    let length = (RATE * SECONDS) as usize;
    for _ in 0..count {
        let rate = 0.1 + 0.5 * rng.random::<f64>();
        let (mut phase, wobble) = (TAU * rng.random::<f64>(), TAU * rng.random::<f64>());
        let mut clean = Vec::with_capacity(length);
        for k in 0..length {
            let t = k as f64 / RATE;
            phase += TAU * rate * (1.0 + 0.06 * (TAU * t / 30.0 + wobble).sin()) / RATE;
            clean.push(phase.sin() + 0.25 * (2.0 * phase).sin());
        }
        // Somebody else's rhythm, some movements that last, a baseline that drifts, and noise.
        let (beat, start) = (0.1 + 0.6 * rng.random::<f64>(), TAU * rng.random::<f64>());
        let strength = 1.2 * rng.random::<f64>();
        let moves: Vec<(f64, f64)> = (0..3)
            .map(|_| {
                (
                    SECONDS * rng.random::<f64>(),
                    3.0 * rng.random::<f64>() - 1.5,
                )
            })
            .collect();
        let mut baseline = 0.0;
        let noisy: Vec<f64> = clean
            .iter()
            .enumerate()
            .map(|(k, s)| {
                let t = k as f64 / RATE;
                let steps: [f64; 2] = [
                    StandardNormal.sample(&mut rng),
                    StandardNormal.sample(&mut rng),
                ];
                baseline += 0.15 * steps[0];
                let moved: f64 = moves
                    .iter()
                    .filter(|m| t > m.0)
                    .map(|m| m.1 * (-(t - m.0) / 2.0).exp())
                    .sum();
                s + strength * (TAU * beat * t + start).sin() + moved + baseline + 1.2 * steps[1]
            })
            .collect();
        let power = spectrum(&clean);
        let total: f64 = power.iter().sum();
        all.targets.extend(power.iter().map(|p| p / total));
        let seen = spectrum(&noisy);
        let total: f64 = seen.iter().sum();
        // Powers span decades; a feature of each, and around 0.
        all.x.extend(
            seen.iter()
                .map(|p| 1.0 + 0.3 * (BINS as f64 * p / total + 1e-3).ln()),
        );
        all.rates.push(rate);
    }
    all
}

/// The frequency with as much power below as above.
fn median(h: &[f64]) -> f64 {
    let (half, mut sum) = (0.5 * h.iter().sum::<f64>(), 0.0);
    for (bin, h) in h.iter().enumerate() {
        if sum + h >= half {
            return frequency(bin) + STEP * ((half - sum) / h - 0.5);
        }
        sum += h;
    }
    frequency(h.len() - 1)
}

fn peak(h: &[f64]) -> f64 {
    let mut best = 0;
    for (bin, power) in h.iter().enumerate() {
        if *power > h[best] {
            best = bin;
        }
    }
    frequency(best)
}

/// Errors in breaths a minute.
struct Found {
    median: f64,
    peak: f64,
    /// Mean W_1 between predicted and true spectrum, in breaths a minute.
    transport: f64,
    h: Vec<f64>,
}

fn losses() -> Outcome<Vec<Arc<dyn Loss>>> {
    // A path of nodes: 004's chain-connected space.
    let parent: Vec<usize> = (0..BINS).map(|k: usize| k.saturating_sub(1)).collect();
    let tree = Tree::new(&parent, &[1.0 / (BINS - 1) as f64; BINS])?;
    let nodes: Vec<usize> = (0..BINS).collect();
    Ok(vec![
        Arc::new(SquaredError),
        Arc::new(KullbackLeibler),
        Arc::new(LineWasserstein::bins(BINS, 1.0)?),
        Arc::new(WeightedSum::with_kl(
            Arc::new(LineWasserstein::bins(BINS, 1.0)?),
            0.05,
        )?),
        Arc::new(HierarchicalEmd::new(tree, &nodes, 2.0)?),
    ])
}

const NAMES: [&str; 5] = [
    "mean squared error",
    "KL",
    "W₁ (EMD)",
    "W₁ + 0.05·KL",
    "EMD², chain",
];

fn trial(loss: Arc<dyn Loss>, train: usize, epochs: usize, seed: u64) -> Outcome<Found> {
    let (own, test) = (signals(train, 2 * seed), signals(1000, 2 * seed + 1));
    let training = Training {
        epochs,
        rate: 0.01,
        decay: 0.02_f64.powf(1.0 / epochs as f64),
        batch: 50,
        seed,
        ..Training::default()
    };
    let learner = WassersteinClassifier::new(loss, training)?;
    let targets = Targets::new(BINS, own.targets)?;
    let context = Context::default().with_threads(1)?;
    let h = learner
        .fit_targets(&own.x, BINS, &targets, &context)?
        .predict_proba(&test.x)?;
    let mean = |read: &dyn Fn(&[f64]) -> f64| {
        let off = h
            .chunks_exact(BINS)
            .zip(&test.rates)
            .map(|(h, rate)| (read(h) - rate).abs());
        60.0 * off.sum::<f64>() / test.rates.len() as f64
    };
    let mut transport = 0.0;
    for (h, y) in h.chunks_exact(BINS).zip(test.targets.chunks_exact(BINS)) {
        let mut phi = 0.0;
        for (h, y) in h.iter().zip(y) {
            phi += h - y;
            transport += 60.0 * STEP * f64::abs(phi) / test.rates.len() as f64;
        }
    }
    Ok(Found {
        median: mean(&median),
        peak: mean(&peak),
        transport,
        h,
    })
}

/// What losses say of a true peak and the same peak elsewhere: 004's picture of their smoothness.
fn landscape(losses: &[Arc<dyn Loss>]) -> Outcome<Vec<Line>> {
    let peak = |bin: f64| -> Vec<f64> {
        let shape = (0..BINS).map(|k| (-0.5 * ((k as f64 - bin) / 1.5).powi(2)).exp());
        let shape: Vec<f64> = shape.collect();
        let sum: f64 = shape.iter().sum();
        shape.iter().map(|s| s / sum).collect()
    };
    let truth = peak(BINS as f64 / 2.0);
    // KL has no end where a prediction has none of the true mass.
    let shown = [0, 2, 4];
    let line = |&loss: &usize| {
        let way = (0..=96).map(|step| f64::from(step) / 4.0 - 12.0);
        let value = |off: f64| {
            let h = peak(BINS as f64 / 2.0 + off);
            let (values, _) = evaluate(
                losses[loss].as_ref(),
                BINS,
                &h,
                &truth,
                &mut Context::default(),
            )?;
            Ok((60.0 * STEP * off, values[0], 0.0))
        };
        let mut points = way.map(value).collect::<Outcome<Vec<_>>>()?;
        let most = points.iter().fold(0.0, |most: f64, p| most.max(p.1));
        points.iter_mut().for_each(|p| p.1 /= most);
        Ok(Line {
            name: NAMES[loss].to_owned(),
            points,
        })
    };
    shown.iter().map(line).collect()
}

fn main() -> Outcome {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let full = match given.as_slice() {
        [] => false,
        [flag] if flag == "--full" => true,
        _ => return Err(format!("`{}`: there is --full", given.join(" ")).into()),
    };
    let (sizes, seeds, epochs): (&[usize], u64, usize) = if full {
        (&[100, 200, 400, 800, 1600], 5, 200)
    } else {
        (&[100, 400], 2, 60)
    };
    let losses = losses()?;
    let mut cases = Vec::new();
    for loss in 0..losses.len() {
        for &size in sizes {
            cases.extend((0..seeds).map(|seed| (loss, size, seed)));
        }
    }
    let run = |&(loss, size, seed): &(usize, usize, u64)| {
        trial(Arc::clone(&losses[loss]), size, epochs, seed)
    };
    let found = cases.par_iter().map(run).collect::<Outcome<Vec<_>>>()?;
    let over = |loss: usize, size: usize, what: &dyn Fn(&Found) -> f64| {
        let own = cases
            .iter()
            .zip(&found)
            .filter(|((l, s, _), _)| (*l, *s) == (loss, size));
        mean_and_error(&own.map(|(_, f)| what(f)).collect::<Vec<_>>())
    };
    println!("{seeds} seeds, {epochs} epochs; errors in breaths a minute\n");
    println!(
        "{:>20}{:>10}{:>18}{:>18}{:>18}",
        "loss", "samples", "median", "peak", "W₁ to the truth"
    );
    let shown = |(mean, error): (f64, f64)| format!("{mean:.3} ± {error:.3}");
    for (loss, name) in NAMES.iter().enumerate() {
        for &size in sizes {
            let of = |what: &dyn Fn(&Found) -> f64| shown(over(loss, size, what));
            let row = [of(&|f| f.median), of(&|f| f.peak), of(&|f| f.transport)];
            println!(
                "{name:>20}{size:>10}{:>18}{:>18}{:>18}",
                row[0], row[1], row[2]
            );
        }
    }
    let path = picture::path("wasserstein_spectra.svg")?;
    let root = SVGBackend::new(&path, (1150, 840)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((2, 2));
    let by_size = |what: &dyn Fn(&Found) -> f64| -> Vec<Line> {
        let line = |(loss, name): (usize, &&str)| {
            let point = |&size: &usize| {
                let (mean, error) = over(loss, size, what);
                (size as f64, mean, error)
            };
            Line {
                name: (*name).to_owned(),
                points: sizes.iter().map(point).collect(),
            }
        };
        NAMES.iter().enumerate().map(line).collect()
    };
    let panels = [
        (
            "way from the predicted spectrum to the true one",
            by_size(&|f| f.transport),
        ),
        (
            "error of the rate (median of the spectrum)",
            by_size(&|f| f.median),
        ),
    ];
    for (area, (title, lines)) in areas.iter().zip(&panels) {
        Panel {
            title,
            x: "training signals",
            y: "breaths a minute",
            log: true,
            from: Some(0.0),
            lines,
            legend: SeriesLabelPosition::LowerLeft,
        }
        .draw(area)
        .map_err(|e| e.to_string())?;
    }
    Panel {
        title: "a peak at the wrong place: what the losses say",
        x: "breaths a minute that it is off by",
        y: "loss over its largest",
        log: false,
        from: Some(0.0),
        lines: &landscape(&losses)?,
        legend: SeriesLabelPosition::LowerRight,
    }
    .draw(&areas[3])
    .map_err(|e| e.to_string())?;
    // One test signal, as the largest training saw it.
    let test = signals(1000, 1);
    let last = |loss: usize| {
        let largest = sizes[sizes.len() - 1];
        cases
            .iter()
            .position(|case| *case == (loss, largest, 0))
            .map(|at| &found[at].h)
    };
    let shown = 7;
    let curve = |name: &str, all: &[f64]| Line {
        name: name.to_owned(),
        points: (0..BINS)
            .map(|k| (60.0 * frequency(k), all[shown * BINS + k], 0.0))
            .collect(),
    };
    let mut curves = vec![curve("truth", &test.targets)];
    for loss in [0, 3, 4] {
        curves.extend(last(loss).map(|h| curve(NAMES[loss], h)));
    }
    Panel {
        title: "a test signal",
        x: "breaths a minute",
        y: "share of the power",
        log: false,
        from: Some(0.0),
        lines: &curves,
        legend: SeriesLabelPosition::UpperRight,
    }
    .draw(&areas[2])
    .map_err(|e| e.to_string())?;
    root.present()?;
    println!("\n{}", path.display());
    Ok(())
}
