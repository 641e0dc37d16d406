//! Figures 3.2 and 3.3 of source 002: W₁ between two Gaussians in the plane whose means are 5 apart, by learning rate and by
//! hidden units, beside the regularized dual (ROT) with the same networks. The mean and the spread over seeds of the relative
//! error, and how long a run takes.
//!
//! ```text
//! cargo run --release -p solver-spot --example figure_002_3_2 [-- --full] [--seeds N] [--first N] [--part 1…4] [--hidden N] [--power N]
//! ```
//!
//! Quick: learning rate 1e-3 and up to 32 hidden units, 4 seeds. `--full`: 1e-4 and 1e-5 too, and up to 1024 units; 20 seeds, and
//! 3 from 256 units on. Parts: 1 learning rates, 2 hidden units, 3 the same with the source's constant η, 4 ROT;
//! `--hidden` runs one width of parts 2 and 3 alone, `--power` one learning rate 10^-N of parts 1 and 4, and `--first` begins with
//! that seed: a run of hours in parts. Pictures go to `target/figures`, and with `--full` what each training came to, which is not
//! trained again: an interrupted run goes on where it was, and parts that ran alone are in the picture of all (the picture of
//! part 4 alone has no SPOT in it).
#[path = "shared/boxes.rs"]
mod boxes;
#[path = "../../ot-apps/examples/shared/chart.rs"]
mod chart;
#[path = "shared/kept.rs"]
mod kept;
#[path = "../../ot-apps/examples/shared/options.rs"]
mod options;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use boxes::Boxes;
use chart::{Line, Panel};
use kept::Kept;
use options::{Args, Outcome};
use ot_nn::{Network, Number};
use plotters::prelude::*;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use solver_api::{Context, Ground};
use solver_spot::{
    ContinuousSolver, Empirical, Error, Euclidean, Gaussian, Rot, RotSettings, Sampler, Spot,
    SpotSettings, perceptron,
};

/// Samples of each distribution.
const SAMPLES: usize = 100_000;
/// W₁ of the distributions themselves.
const EXACT: f64 = 5.0;
/// Leaky rectifiers below 0.
const SLOPE: f64 = 0.2;
/// Points of a curve.
const LOOKS: u64 = 25;
/// Up to this width the learning rate is the one that is said; from there on it falls as one over the width.
const NARROW: usize = 32;
/// Below this rate in double precision: weights of about 1 in single precision are 1e-7 apart, steps a tenth of the rate and
/// shorter as it falls, and what is lost of them adds up. (At 1e-5 standard deviations end from 0.16 to 3.1 where 1 is due.)
const SINGLE: f64 = 3e-5;
/// The source does not say its ε.
const EPS: [f64; 4] = [0.01, 0.1, 0.5, 2.0];

/// What is trained.
#[derive(Clone, Copy, Debug)]
enum Method {
    Spot(SpotSettings),
    Rot(RotSettings),
}

/// A training at some width, over seeds.
#[derive(Clone, Copy, Debug)]
struct Run {
    method: Method,
    hidden: usize,
}

impl Run {
    /// The method's name, its learning rate, η or ε, and its steps.
    fn said(&self) -> (&'static str, f64, f64, u64) {
        match self.method {
            Method::Spot(set) => ("SPOT", set.rate, set.eta, set.steps),
            Method::Rot(set) => ("ROT", set.rate, set.eps, set.steps),
        }
    }
}

/// Relative errors, %, of all seeds: at the end, and on the way as (steps, mean, spread).
struct Errors {
    last: Vec<f64>,
    curve: Vec<(f64, f64, f64)>,
}

/// A learning rate, its steps, and the seeds.
type Rate = (f64, u64, Range<usize>);

fn main() -> Outcome {
    let args = Args::read(&["seeds", "first", "part", "hidden", "power"])?;
    let first = args.count("first", 0, 0);
    let seeds = first..first + args.count("seeds", 4, 20);
    let part = args.count("part", 0, 0);
    if part > 4 {
        return Err("--part: 1 to 4".into());
    }
    let wanted = |k: usize| part == 0 || part == k;
    let kept = Kept::new("figure_002_3_2", args.full);
    let figures = Path::new("target/figures");
    std::fs::create_dir_all(figures)?;
    println!(
        "W₁ of two Gaussians, {SAMPLES} samples each, batches of 100; relative error of the estimate, %\n"
    );
    println!(
        "method        rate  hidden     η or ε    steps  seeds      mean    spread   largest   s a run"
    );
    let mut rates = vec![(1e-3, 20_000, seeds.clone())];
    if args.full {
        rates.extend([
            (1e-4, 100_000, seeds.clone()),
            (1e-5, 1_000_000, seeds.clone()),
        ]);
    }
    let power = args.count("power", 0, 0);
    rates.retain(|(rate, ..): &Rate| power == 0 || -rate.log10().round() == power as f64);
    if rates.is_empty() {
        return Err("--power: there are 3, and with --full 4 and 5".into());
    }
    let drawn = figures.join("figure_002_3_2.svg");
    let mut curves: Vec<Vec<Line>> = rates.iter().map(|_| Vec::new()).collect();
    if wanted(1) {
        for (k, (rate, steps, seeds)) in rates.iter().enumerate() {
            let run = Run {
                method: Method::Spot(ours(*rate, *steps)),
                hidden: 8,
            };
            let errors = report(&kept, run, seeds.clone())?;
            curves[k].push(line("SPOT".to_owned(), errors.curve));
            draw(&drawn, &rates, &curves)?;
        }
        println!();
    }
    let powers = 1..=if args.full { 10 } else { 5 };
    let alone = args.count("hidden", 0, 0);
    if alone > 0 && !powers.clone().any(|p| 1 << p == alone) {
        return Err("--hidden: powers of 2 from 2 to 32, and with --full to 1024".into());
    }
    let widths = powers
        .map(|p| 1_usize << p)
        .filter(|width| alone == 0 || *width == alone);
    if wanted(2) {
        let mut boxes = Boxes::default();
        let drawn = figures.join("figure_002_3_3.svg");
        for hidden in widths.clone() {
            let rate = 1e-3 * (NARROW as f64 / hidden as f64).min(1.0);
            let run = Run {
                method: Method::Spot(ours(rate, 20_000)),
                hidden,
            };
            boxes.push(
                hidden.to_string(),
                report(&kept, run, of_width(&seeds, hidden))?.last,
            );
            // Now and not at the end: the widest take hours.
            boxes.draw(&drawn, "hidden units", "relative error of W₁, %")?;
        }
        println!("{}\n", drawn.display());
    }
    if wanted(3) {
        for hidden in widths {
            let run = Run {
                method: Method::Spot(theirs(hidden)),
                hidden,
            };
            report(&kept, run, of_width(&seeds, hidden))?;
        }
        println!();
    }
    if wanted(4) {
        for (k, (rate, steps, seeds)) in rates.iter().enumerate() {
            for eps in EPS {
                let settings = RotSettings {
                    eps,
                    rate: *rate,
                    // Ten batches for each of the generator's steps, as SPOT's critics have them, would be no other curve.
                    steps: *steps,
                    check_every: steps / LOOKS,
                    ..RotSettings::default()
                };
                let run = Run {
                    method: Method::Rot(settings),
                    hidden: 8,
                };
                let errors = report(&kept, run, seeds.clone())?;
                curves[k].push(line(format!("ROT, ε = {eps}"), errors.curve));
            }
            draw(&drawn, &rates, &curves)?;
        }
    }
    if wanted(1) || wanted(4) {
        println!("{}", drawn.display());
    }
    Ok(())
}

/// The seeds of a width: three from 256 hidden units on.
fn of_width(seeds: &Range<usize>, hidden: usize) -> Range<usize> {
    let most = if hidden > 128 { 3 } else { seeds.len() };
    seeds.start..seeds.end.min(seeds.start + most)
}

/// η from 0.5 to 20 over half the steps, then a rate that falls.
fn ours(rate: f64, steps: u64) -> SpotSettings {
    SpotSettings {
        rate,
        steps,
        check_every: steps / LOOKS,
        ..SpotSettings::default()
    }
}

/// Constant η by width and a constant rate, no running mean.
fn theirs(hidden: usize) -> SpotSettings {
    let eta = match hidden {
        ..=8 => 1e5,
        9..=64 => 2e4,
        65..=256 => 1e4,
        _ => 2e3,
    };
    SpotSettings {
        eta,
        first_eta: eta,
        decay: 0.0,
        averaging: 0.0,
        ..ours(1e-3, 20_000)
    }
}

/// A curve whose errors are cut where it leaves the picture.
fn line(name: String, curve: Vec<(f64, f64, f64)>) -> Line {
    let cut = |(steps, mean, spread): (f64, f64, f64)| {
        let mean = f64::clamp(mean, -40.0, 40.0);
        (
            steps / 1000.0,
            mean,
            spread.min(f64::max(0.0, 40.0 - mean.abs())),
        )
    };
    Line {
        name,
        points: curve.into_iter().map(cut).collect(),
    }
}

/// A line of the table.
fn report(kept: &Kept, run: Run, seeds: Range<usize>) -> Outcome<Errors> {
    let trained: Vec<Result<Course, Error>> = seeds
        .clone()
        .into_par_iter()
        .map(|seed| trained(kept, run, seed as u64))
        .collect();
    let seeds = seeds.len();
    let trained: Vec<Course> = trained.into_iter().collect::<Result<_, _>>()?;
    let seconds = trained.iter().map(|c| c.seconds).sum::<f64>() / seeds as f64;
    let last: Vec<f64> = trained.iter().map(|c| c.last).collect();
    let (mean, spread) = moments(last.iter().copied());
    let largest = last.iter().fold(0.0_f64, |most, e| most.max(e.abs()));
    let (name, rate, weight, steps) = run.said();
    println!(
        "{name:<6}{rate:12.2e} {:7} {weight:10} {steps:8} {seeds:6} {mean:+9.3} {spread:9.3} {largest:9.3} {seconds:9.1}",
        run.hidden
    );
    let looks = trained.iter().map(|c| c.curve.len()).min().unwrap_or(0);
    let at = |k: usize| {
        let (mean, spread) = moments(trained.iter().map(|c| c.curve[k].1));
        (trained[0].curve[k].0, mean, spread)
    };
    Ok(Errors {
        curve: (0..looks).map(at).collect(),
        last,
    })
}

/// Mean and standard deviation.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares = values.map(|e| (e - mean) * (e - mean)).sum::<f64>();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// A relative error at the end, %, the errors on the way there as (steps, error), and the time.
#[derive(Serialize, Deserialize)]
struct Course {
    last: f64,
    curve: Vec<(f64, f64)>,
    seconds: f64,
}

/// One training, in the precision that its rate needs.
fn trained(kept: &Kept, run: Run, seed: u64) -> Result<Course, Error> {
    let (method, rate, weight, _) = run.said();
    let name = format!("{method}_{}_{rate:.2e}_{weight}_{seed}", run.hidden);
    let course = kept.or(&name, format!("{run:?}"), || {
        if rate < SINGLE {
            trained_in::<f64>(run, seed)
        } else {
            trained_in::<f32>(run, seed)
        }
    })?;
    eprintln!(
        "  seed {seed}: {:+.3} after {:.0} s",
        course.last, course.seconds
    );
    Ok(course)
}

fn trained_in<T: Number>(run: Run, seed: u64) -> Result<Course, Error> {
    let started = Instant::now();
    let seeds = |k: u64| 8 * seed + k;
    let drawn = |mean: f64, k: u64| -> Result<Arc<dyn Sampler>, Error> {
        let mut rows = vec![0.0; 2 * SAMPLES];
        let mut rng = Pcg64::seed_from_u64(1000 + seeds(k));
        Gaussian::new(vec![mean, 0.0])?.draw(&mut rng, &mut rows);
        Ok(Arc::new(Empirical::new(rows, 2)?))
    };
    let (x, y) = (drawn(-2.5, 4)?, drawn(2.5, 5)?);
    let mut solver: Box<dyn ContinuousSolver> = match run.method {
        Method::Spot(settings) => {
            let settings = SpotSettings { seed, ..settings };
            let (cost, shape) = (Arc::new(Euclidean), (run.hidden, 1));
            Box::new(Spot::<T>::with_perceptrons(
                vec![x, y],
                cost,
                shape,
                settings,
            )?)
        }
        Method::Rot(settings) => {
            let chain = perceptron(2, run.hidden, 1, 1, SLOPE);
            let potentials = [
                Network::<T>::new(&chain, seeds(2))?,
                Network::new(&chain, seeds(3))?,
            ];
            let settings = RotSettings { seed, ..settings };
            Box::new(Rot::new(potentials, [x, y], Ground::Euclidean, settings)?)
        }
    };
    let error = |cost: f64| 100.0 * (cost / EXACT - 1.0);
    let mut curve = Vec::new();
    solver.train(&Context::default(), &mut |look| {
        curve.push((look.step as f64, error(look.estimate.cost)));
    })?;
    Ok(Course {
        last: error(solver.estimate(SAMPLES, 1)?.cost),
        curve,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// A panel for each learning rate.
fn draw(file: &Path, rates: &[Rate], curves: &[Vec<Line>]) -> Outcome {
    let all = rates.iter().zip(curves);
    let shown: Vec<_> = all.filter(|(_, lines)| !lines.is_empty()).collect();
    let size = (520 * shown.len() as u32, 420);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, ((rate, _, _), lines)) in root.split_evenly((1, shown.len())).iter().zip(&shown) {
        let title = format!("learning rate {rate:.0e}, cut at ±40 %");
        let panel = Panel {
            title: &title,
            x: "steps, thousands",
            y: "relative error of W₁, %",
            log: false,
            from: None,
            lines,
            legend: SeriesLabelPosition::LowerRight,
        };
        panel.draw(area)?;
    }
    root.present()?;
    Ok(())
}
