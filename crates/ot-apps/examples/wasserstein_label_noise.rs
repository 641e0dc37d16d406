//! Figure 2 of source 003: labels on a lattice that are taken for their neighbours, learned with the Wasserstein loss and
//! with KL. The distance between the predicted label and the true one, of clean test samples, against the number of
//! classes (left) and against the noise (right); mean and standard error over noise levels, or lattices, and repeats.
//!
//! The source's appendix E.1 is not at hand; what its text says is kept (classes are points in the plane, training labels
//! are switched to nearby ones, the distance is Euclidean), the rest is ours: a D×D lattice, D = 3 … 7, samples with a
//! standard deviation of 0.25 around their vertex, ten a class to learn from (`--each`), and with probability t the label of a
//! neighbour along an edge. The model is a linear softmax on the two coordinates.
//!
//! ```text
//! cargo run --release -p ot-apps --example wasserstein_label_noise [-- --full] [--each N]
//! ```

#[path = "shared/chart.rs"]
mod chart;
#[path = "shared/picture.rs"]
mod picture;

use std::sync::Arc;

use chart::{Line, Panel};
use ot_apps::learning::losses::{EntropicSettings, EntropicWasserstein, KullbackLeibler, Loss};
use ot_apps::learning::{LabelCost, Targets, Training, WassersteinClassifier};
use ot_apps::scores::mean_and_error;
use plotters::prelude::*;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use solver_api::{Context, Ground, Reg};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const DEVIATION: f64 = 0.25;
/// Test samples of a class.
const TEST: usize = 60;
const NAMES: [&str; 2] = ["Wasserstein", "KL"];

/// Samples of all classes of a lattice of side×side, and the class of each.
fn samples(side: usize, each: usize, rng: &mut Pcg64) -> Outcome<(Vec<f64>, Vec<usize>)> {
    let noise = Normal::new(0.0, DEVIATION)?;
    let (mut x, mut classes) = (Vec::new(), Vec::new());
    for class in 0..side * side {
        for _ in 0..each {
            // Around the middle of the lattice, where a linear model begins.
            let place = |at: usize| at as f64 - 0.5 * (side - 1) as f64;
            x.extend([
                place(class / side) + noise.sample(rng),
                place(class % side) + noise.sample(rng),
            ]);
            classes.push(class);
        }
    }
    Ok((x, classes))
}

/// The neighbours of a vertex along the edges of the lattice.
fn neighbours(class: usize, side: usize) -> Vec<usize> {
    let (row, col) = (class / side, class % side);
    let mut found = Vec::new();
    if row > 0 {
        found.push(class - side);
    }
    if row + 1 < side {
        found.push(class + side);
    }
    if col > 0 {
        found.push(class - 1);
    }
    if col + 1 < side {
        found.push(class + 1);
    }
    found
}

/// Mean distances between prediction and truth, of the two losses.
fn trial(side: usize, noise: f64, each: usize, epochs: usize, seed: u64) -> Outcome<[f64; 2]> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (x, clean) = samples(side, each, &mut rng)?;
    let mut flipped = clean.clone();
    for class in &mut flipped {
        if rng.random::<f64>() < noise {
            *class = *neighbours(*class, side).choose(&mut rng).unwrap_or(class);
        }
    }
    let (test, truth) = samples(side, TEST, &mut rng)?;
    let labels = side * side;
    let targets = Targets::from_classes(labels, &flipped)?;
    let metric = LabelCost::lattice((side, side), &Ground::Euclidean)?;
    let settings = EntropicSettings {
        // Half an edge: sharper ones leave the training in minima where classes are missing.
        reg: Reg::Absolute(0.5 / metric.largest()),
        ..EntropicSettings::default()
    };
    let wasserstein = EntropicWasserstein::new(&metric.scaled(), settings)?;
    let losses: [Arc<dyn Loss>; 2] = [Arc::new(wasserstein), Arc::new(KullbackLeibler)];
    let training = Training {
        epochs,
        rate: 0.1,
        decay: 0.01_f64.powf(1.0 / epochs as f64),
        seed,
        ..Training::default()
    };
    let context = Context::default().with_threads(1)?;
    let mut found = [0.0; 2];
    for (found, loss) in found.iter_mut().zip(losses) {
        let learner = WassersteinClassifier::new(loss, training)?;
        let said = learner
            .fit_targets(&x, 2, &targets, &context)?
            .predict_labels(&test)?;
        let far: f64 = said
            .iter()
            .zip(&truth)
            .map(|(s, t)| metric.entry(*s, *t))
            .sum();
        *found = far / truth.len() as f64;
    }
    Ok(found)
}

/// Mean and standard error of what `keep` keeps, for each value of an axis.
fn lines<'a>(
    all: &'a [(usize, f64, [f64; 2])],
    axis: &[f64],
    place: impl Fn(&(usize, f64, [f64; 2])) -> f64 + 'a,
) -> Vec<Line> {
    let line = |(k, name): (usize, &&str)| {
        let points = axis.iter().map(|&at| {
            let own = all.iter().filter(|t| place(t) == at);
            let (mean, error) = mean_and_error(&own.map(|t| t.2[k]).collect::<Vec<_>>());
            (at, mean, error)
        });
        Line {
            name: (*name).to_owned(),
            points: points.collect(),
        }
    };
    NAMES.iter().enumerate().map(line).collect()
}

fn table(name: &str, lines: &[Line]) {
    println!("{name:>12}{:>20}{:>20}", NAMES[0], NAMES[1]);
    for (w, kl) in lines[0].points.iter().zip(&lines[1].points) {
        let shown = |p: &(f64, f64, f64)| format!("{:.4} ± {:.4}", p.1, p.2);
        println!("{:>12}{:>20}{:>20}", w.0, shown(w), shown(kl));
    }
}

/// `--full`, and `--each N`.
fn arguments() -> Result<(bool, usize), Box<dyn std::error::Error>> {
    let (mut full, mut each) = (false, 10);
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--full" => full = true,
            "--each" => {
                let count = given.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                each = count.ok_or("`--each` needs a count, 1 or more")?;
            }
            _ => return Err(format!("`{argument}`: there are --full, --each N").into()),
        }
    }
    Ok((full, each))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (full, each) = arguments()?;
    let (repeats, epochs) = if full { (10, 300) } else { (2, 100) };
    let noises: Vec<f64> = (1..10).map(|k| f64::from(k) / 10.0).collect();
    let sides = [3, 4, 5, 6, 7];
    let mut cases = Vec::new();
    for side in sides {
        for &noise in &noises {
            cases.extend((0..repeats).map(|seed| (side, noise, seed)));
        }
    }
    let begun = std::time::Instant::now();
    let run = |&(side, noise, seed): &(usize, f64, u64)| {
        Ok((side, noise, trial(side, noise, each, epochs, seed)?))
    };
    let all = cases.par_iter().map(run).collect::<Outcome<Vec<_>>>();
    let all = all.map_err(|e| e.to_string())?;
    println!(
        "{repeats} repeats, {epochs} epochs, {:.0} s\n",
        begun.elapsed().as_secs_f64()
    );
    let by_side = sides.map(|side| (side * side) as f64);
    let by_classes = lines(&all, &by_side, |t| (t.0 * t.0) as f64);
    let by_noise = lines(&all, &noises, |t| t.1);
    table("classes", &by_classes);
    println!();
    table("noise", &by_noise);
    let path = picture::path("wasserstein_label_noise.svg")?;
    let root = SVGBackend::new(&path, (1100, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((1, 2));
    let panel = |title, x, lines| Panel {
        title,
        x,
        y: "distance to the true label",
        log: false,
        from: Some(0.0),
        lines,
        legend: SeriesLabelPosition::UpperLeft,
    };
    panel("mean over noise levels", "number of classes", &by_classes).draw(&areas[0])?;
    panel("mean over lattices", "noise level", &by_noise).draw(&areas[1])?;
    root.present()?;
    println!("\n{}", path.display());
    Ok(())
}
