//! Figure 4 of source 003: digits with the ground metric |κ − κ'|^p between labels, for p from 0 on. A linear softmax is
//! trained for each p with the entropic Wasserstein loss, at costs scaled to [0, 1]; the curves are the mean predicted
//! probabilities of all digits, of the test images of a 0 (left) and of a 4 (right).
//!
//! As p → 0 the metric becomes 0-1 and the true digit gets all; as p grows neighbours cost less and less beside the farthest,
//! and predictions spread over them.
//!
//! ```text
//! cargo run --release -p ot-apps --example wasserstein_mnist [-- --full --data DIR] [--epochs N]
//! ```

#[path = "shared/args.rs"]
mod args;
#[path = "shared/chart.rs"]
mod chart;
#[path = "shared/picture.rs"]
mod picture;

use std::sync::Arc;

use args::{Args, Outcome};
use chart::{Line, Panel};
use ot_apps::learning::losses::{EntropicSettings, EntropicWasserstein};
use ot_apps::learning::{LabelCost, Training, WassersteinClassifier};
use plotters::prelude::*;
use rayon::prelude::*;
use solver_api::{Context, Reg};

const POWERS: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
const SHOWN: [usize; 2] = [0, 4];

/// ε = 1/λ of costs whose largest is 1.
const REG: f64 = 0.05;

/// What was found at one p.
struct Found {
    accuracy: f64,
    /// Mean |κ̂ − κ| of the most probable digit, and of all by their probability.
    off: f64,
    expected: f64,
    /// Mean predicted probabilities by true digit.
    means: Vec<[f64; 10]>,
}

struct Data {
    train: (Vec<f64>, Vec<i64>),
    test: (Vec<f64>, Vec<i64>),
    pixels: usize,
}

fn at(p: f64, data: &Data, epochs: usize) -> Result<Found, ot_apps::Error> {
    let metric = LabelCost::ordered(10, p)?.scaled();
    let settings = EntropicSettings {
        reg: Reg::Absolute(REG),
        ..EntropicSettings::default()
    };
    let loss = EntropicWasserstein::new(&metric, settings)?;
    let training = Training {
        epochs,
        rate: 0.002,
        decay: 0.02_f64.powf(1.0 / epochs as f64),
        ..Training::default()
    };
    let digits: Vec<i64> = (0..10).collect();
    let classifier = WassersteinClassifier::new(Arc::new(loss), training)?.with_classes(&digits)?;
    let context = Context::default().with_threads(1)?;
    let fitted = classifier.fit(&data.train.0, data.pixels, &data.train.1, &context)?;
    let h = fitted.predict_proba(&data.test.0)?;
    let said = fitted.predict(&data.test.0)?;
    let samples = said.len() as f64;
    let (mut means, mut counts) = (vec![[0.0; 10]; 10], [0.0; 10]);
    let mut expected = 0.0;
    for (h, &truth) in h.chunks_exact(10).zip(&data.test.1) {
        counts[truth as usize] += 1.0;
        for (digit, h) in h.iter().enumerate() {
            means[truth as usize][digit] += h;
            expected += h * (digit as f64 - truth as f64).abs() / samples;
        }
    }
    for (means, count) in means.iter_mut().zip(counts) {
        means.iter_mut().for_each(|m| *m /= count);
    }
    let off = said
        .iter()
        .zip(&data.test.1)
        .map(|(s, t)| (s - t).abs() as f64);
    Ok(Found {
        accuracy: ot_apps::scores::accuracy(&said, &data.test.1)?,
        off: off.sum::<f64>() / samples,
        expected,
        means,
    })
}

fn main() -> Outcome {
    let args = Args::read(&["epochs"])?;
    let epochs = args.count("epochs", 100, 30);
    let (train, test) = (args.digits("train")?, args.digits("t10k")?);
    let data = Data {
        pixels: train.0.cells(),
        train: (train.0.pixels().to_vec(), train.1),
        test: (test.0.pixels().to_vec(), test.1),
    };
    println!(
        "digits of {}, {} to learn from, {} to tell, {epochs} epochs, λ = {}\n",
        args.source(),
        data.train.1.len(),
        data.test.1.len(),
        1.0 / REG
    );
    let found = POWERS
        .par_iter()
        .map(|&p| at(p, &data, epochs))
        .collect::<Result<Vec<_>, _>>()?;
    println!(
        "{:>6}{:>12}{:>12}{:>16}   mean probability of the true digit, of its neighbours",
        "p", "accuracy, %", "|κ̂ − κ|", "Σ h|κ' − κ|"
    );
    for (p, f) in POWERS.iter().zip(&found) {
        let own = (0..10).map(|d| f.means[d][d]).sum::<f64>() / 10.0;
        let beside = (0..10).map(|d| {
            let below = if d > 0 { f.means[d][d - 1] } else { 0.0 };
            below + if d < 9 { f.means[d][d + 1] } else { 0.0 }
        });
        let beside = beside.sum::<f64>() / 10.0;
        println!(
            "{p:>6}{:>12.1}{:>12.3}{:>16.3}{own:>12.3}{beside:>12.3}",
            100.0 * f.accuracy,
            f.off,
            f.expected
        );
    }
    let path = picture::path("wasserstein_mnist.svg")?;
    let root = SVGBackend::new(&path, (1150, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, digit) in root.split_evenly((1, 2)).iter().zip(SHOWN) {
        let line = |said: usize| Line {
            name: said.to_string(),
            points: POWERS
                .iter()
                .zip(&found)
                .map(|(p, f)| (*p, f.means[digit][said], 0.0))
                .collect(),
        };
        Panel {
            title: &format!("images of a {digit}"),
            x: "p of the ground metric |κ − κ'|^p",
            y: "mean predicted probability",
            log: false,
            from: Some(0.0),
            lines: &(0..10).map(line).collect::<Vec<_>>(),
            legend: SeriesLabelPosition::UpperRight,
        }
        .draw(area)?;
    }
    root.present()?;
    println!("\n{}", path.display());
    Ok(())
}
