//! Figure 3.6 of source 002: pairs of samples, from samples that are not paired, under the squared Euclidean cost. Above: two Gaussians
//! 5 apart. Below: N((−2.5, 0), 0.5 I) and (sin Y₁ + Y₂, 2·Y₁ − 3) with Y₁ uniform on [0, 3] and Y₂ of N(2, 0.1), 0.5 and 0.1
//! being variances.
//!
//! How dear the pairs are beside the exact plan of fresh samples and beside the exact plan of the same points, how far the
//! marginals are from fresh samples beside how far those are from one another, and the rank correlation of the heights of both
//! ends. *exact* is 25 between the Gaussians, and between the others the exact plan of 100 000 samples of each. Pairs are drawn
//! as lines into `target/figures/figure_002_3_6.svg`.
//!
//! ```text
//! cargo run --release -p solver-spot --example figure_002_3_6 [-- --full] [--seeds N] [--steps N] [--first-eta N] [--eta N]
//! ```
//!
//! Quick: one seed, about a minute. `--full`: ten of them, each kept in `target/figures` and not trained
//! again. No files are read.
#[path = "shared/kept.rs"]
mod kept;
#[path = "../../ot-apps/examples/shared/options.rs"]
mod options;
#[path = "../../ot-apps/examples/shared/picture.rs"]
mod picture;

use std::sync::Arc;
use std::time::Instant;

use kept::Kept;
use options::{Args, Outcome};
use ot_nn::Network;
use plotters::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use solver_api::{Context, Ground, Problem, Solver};
use solver_exact::{ExactPoints, NetworkSimplex};
use solver_spot::{
    ContinuousSolver, Empirical, FromFn, Gaussian, Generator, Sampler, Spot, SpotSettings,
    SqEuclidean, critic, perceptron,
};

/// Samples of each distribution to train on, and fresh ones to compare with.
const SAMPLES: usize = 100_000;
const FRESH: usize = 2000;
const HIDDEN: usize = 32;
/// Leaky rectifiers below 0.
const SLOPE: f64 = 0.2;
/// Points and pairs in a panel.
const SHOWN: usize = 250;

/// Two distributions in the plane.
struct Pair {
    name: &'static str,
    of: [Arc<dyn Sampler>; 2],
    /// W₂² of the distributions, where there is a closed form.
    exact: Option<f64>,
}

fn pairs() -> Outcome<[Pair; 2]> {
    let half = 0.5_f64.sqrt();
    let bent = |rng: &mut Pcg64, row: &mut [f64]| {
        let angle = 3.0 * rng.random::<f64>();
        let right = 2.0 + 0.1_f64.sqrt() * rng.sample::<f64, _>(StandardNormal);
        row[0] = angle.sin() + right;
        row[1] = 2.0 * angle - 3.0;
    };
    Ok([
        Pair {
            name: "Gaussians",
            of: [
                Arc::new(Gaussian::new(vec![-2.5, 0.0])?),
                Arc::new(Gaussian::new(vec![2.5, 0.0])?),
            ],
            exact: Some(25.0),
        },
        Pair {
            name: "bent",
            of: [
                Arc::new(Gaussian::with_factor(
                    vec![-2.5, 0.0],
                    vec![half, 0.0, 0.0, half],
                )?),
                Arc::new(FromFn::new(2, bent)),
            ],
            exact: None,
        },
    ])
}

fn main() -> Outcome {
    let args = Args::read(&["seeds", "steps", "first-eta", "eta"])?;
    let seeds = args.count("seeds", 1, 10);
    let settings = SpotSettings {
        steps: args.count("steps", 20_000, 20_000) as u64,
        first_eta: args.count("first-eta", 20, 20) as f64,
        eta: args.count("eta", 200, 200) as f64,
        rate: 1e-3,
        ..SpotSettings::default()
    };
    let kept = Kept::new("figure_002_3_6", args.full);
    println!(
        "{SAMPLES} samples, batch {}, {HIDDEN} units, rate {}, {} steps, {} of the critics each, η from {} to {}\n",
        settings.batch,
        settings.rate,
        settings.steps,
        settings.critic_steps,
        settings.first_eta,
        settings.eta
    );
    println!(
        "                    mean cost            exact plan of            W₁ to fresh samples   rank"
    );
    println!(
        "pair       seed   of pairs   exact   2·{FRESH} fresh  same points     x      y   fresh  corr.    s"
    );
    let mut panels = Vec::new();
    for pair in pairs()? {
        let mut all = Vec::new();
        let exact = pair.exact.map_or_else(|| large(&pair), Ok)?;
        for seed in 0..seeds as u64 {
            let settings = SpotSettings { seed, ..settings };
            let name = format!("{}_{seed}", pair.name);
            let found = kept.or(&name, format!("{settings:?}"), || -> Outcome<Found> {
                Found::of(&pair, settings)
            })?;
            println!(
                "{:10} {seed:4} {:10.3} {exact:7.2} {:14.3} {:12.3} {:7.3}{:7.3}{:7.3}{:7.3} {:5.0}",
                pair.name,
                found.cost,
                found.fresh,
                found.same,
                found.apart[0],
                found.apart[1],
                found.noise,
                found.ranks,
                found.seconds
            );
            all.push(found);
        }
        panels.push((pair.name, samples(&pair)?, all[0].shown.clone()));
        if seeds > 1 {
            spread(pair.name, &all);
        }
    }
    println!("\n{}", draw(&panels)?);
    Ok(())
}

fn trained(pair: &Pair, settings: SpotSettings) -> Outcome<Spot<f32>> {
    let network = |chain: &[_], k| Network::<f32>::new(chain, 8 * settings.seed + k);
    let chain = perceptron(2, HIDDEN, 2, 2, SLOPE);
    let judge = critic(2, HIDDEN, 1, SLOPE);
    let generator = Generator::separate(vec![network(&chain, 0)?, network(&chain, 1)?])?;
    let critics = vec![network(&judge, 2)?, network(&judge, 3)?];
    let mut samplers: Vec<Arc<dyn Sampler>> = Vec::new();
    for (k, of) in pair.of.iter().enumerate() {
        let rows = drawn(of.as_ref(), SAMPLES, 1000 + 8 * settings.seed + k as u64);
        samplers.push(Arc::new(Empirical::new(rows, 2)?));
    }
    let mut spot = Spot::new(
        generator,
        critics,
        samplers,
        Arc::new(SqEuclidean),
        settings,
    )?;
    spot.train(&Context::default(), &mut |_| ())?;
    Ok(spot)
}

fn drawn(of: &dyn Sampler, count: usize, seed: u64) -> Vec<f64> {
    let mut rows = vec![0.0; count * of.dim()];
    of.draw(&mut Pcg64::seed_from_u64(seed), &mut rows);
    rows
}

/// Input samples of both sides, as a picture shows them.
fn samples(pair: &Pair) -> Outcome<[Vec<f64>; 2]> {
    let of = |k: usize| drawn(pair.of[k].as_ref(), SHOWN, 70 + k as u64);
    Ok([of(0), of(1)])
}

/// What a training came to.
#[derive(Serialize, Deserialize)]
struct Found {
    /// Mean ‖x − y‖² of the pairs.
    cost: f64,
    /// That of the exact plan between fresh samples of both sides.
    fresh: f64,
    /// That of the exact plan between the points of the pairs.
    same: f64,
    /// W₁ between what was made and fresh samples, of both sides.
    apart: [f64; 2],
    /// The mean of W₁ between two sets of fresh samples over both sides.
    noise: f64,
    /// Spearman's correlation of the heights of both ends.
    ranks: f64,
    /// Pairs for a picture, row-major.
    shown: [Vec<f64>; 2],
    /// How long it took.
    seconds: f64,
}

impl Found {
    fn of(pair: &Pair, settings: SpotSettings) -> Outcome<Self> {
        let started = Instant::now();
        let spot = trained(pair, settings)?;
        let seconds = started.elapsed().as_secs_f64();
        let made = spot.sample(FRESH, 11)?;
        let shown = spot.sample(SHOWN, 7)?;
        let fresh = |k: usize, seed| drawn(pair.of[k].as_ref(), FRESH, seed);
        let (x, y) = (fresh(0, 500), fresh(1, 501));
        let (x_again, y_again) = (fresh(0, 502), fresh(1, 503));
        let between = |x: &[f64], y: &[f64]| cost(x, y, Ground::Euclidean);
        let heights = |k: usize| made.marginal(k).chunks_exact(2).map(|row| row[1]).collect();
        Ok(Self {
            cost: spot.estimate(SAMPLES, 1)?.cost,
            fresh: cost(&x, &y, Ground::SqEuclidean)?,
            same: cost(made.marginal(0), made.marginal(1), Ground::SqEuclidean)?,
            apart: [
                between(made.marginal(0), &x)?,
                between(made.marginal(1), &y)?,
            ],
            noise: 0.5 * (between(&x_again, &x)? + between(&y_again, &y)?),
            ranks: spearman(heights(0), heights(1)),
            shown: [shown.marginal(0).to_vec(), shown.marginal(1).to_vec()],
            seconds,
        })
    }
}

/// The exact plan between so many samples of both sides that its cost is that of the distributions, to two tenths of a percent.
fn large(pair: &Pair) -> Outcome<f64> {
    let weights = vec![1.0 / SAMPLES as f64; SAMPLES];
    let [x, y] = [0, 1].map(|k| drawn(pair.of[k].as_ref(), SAMPLES, 600 + k as u64));
    let problem = Problem::from_points(&weights, &weights, &x, &y, 2, Ground::SqEuclidean)?;
    Ok(ExactPoints::default().solve(&problem)?.transport_cost)
}

/// The mean cost of the exact plan between as many points on both sides.
fn cost(x: &[f64], y: &[f64], ground: Ground) -> Outcome<f64> {
    let weights = vec![1.0 / (x.len() / 2) as f64; x.len() / 2];
    let problem = Problem::from_points(&weights, &weights, x, y, 2, ground)?;
    Ok(NetworkSimplex::default().solve(&problem)?.transport_cost)
}

fn spearman(x: Vec<f64>, y: Vec<f64>) -> f64 {
    let ranks = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut ranks = vec![0.0; values.len()];
        let places = order.into_iter().enumerate();
        places.for_each(|(rank, place)| ranks[place] = rank as f64);
        ranks
    };
    let n = x.len() as f64;
    let squares = ranks(&x)
        .iter()
        .zip(&ranks(&y))
        .map(|(r, s)| (r - s) * (r - s))
        .sum::<f64>();
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}

/// Mean and standard deviation over seeds.
fn spread(name: &str, all: &[Found]) {
    let of = |value: &dyn Fn(&Found) -> f64| {
        let n = all.len() as f64;
        let mean = all.iter().map(value).sum::<f64>() / n;
        let square = all.iter().map(|f| (value(f) - mean).powi(2)).sum::<f64>();
        format!("{mean:.3} ± {:.3}", (square / (n - 1.0)).sqrt())
    };
    println!(
        "{name}, {} seeds: pairs {}, same points {}, W₁ {} and {}, rank correlation {}",
        all.len(),
        of(&|f| f.cost),
        of(&|f| f.same),
        of(&|f| f.apart[0]),
        of(&|f| f.apart[1]),
        of(&|f| f.ranks)
    );
}

/// A pair's name, its input samples, and its pairs.
type Panel = (&'static str, [Vec<f64>; 2], [Vec<f64>; 2]);

/// A row for each pair: input samples, and what was made with lines between.
fn draw(panels: &[Panel]) -> Outcome<String> {
    const COLOURS: [RGBColor; 2] = [RGBColor(31, 78, 140), RGBColor(214, 96, 30)];
    let path = picture::path("figure_002_3_6.svg")?;
    {
        let root = SVGBackend::new(&path, (900, 720)).into_drawing_area();
        root.fill(&WHITE)?;
        let areas = root.split_evenly((panels.len(), 2));
        for ((name, input, made), areas) in panels.iter().zip(areas.chunks_exact(2)) {
            for (area, title) in areas.iter().zip(["input samples", "generated pairs"]) {
                let paired = title == "generated pairs";
                let mut chart = ChartBuilder::on(area)
                    .caption(format!("{name}: {title}"), ("sans-serif", 17))
                    .margin(8)
                    .x_label_area_size(26)
                    .y_label_area_size(30)
                    .build_cartesian_2d(-6.0..6.0, -4.2..4.2)?;
                chart.configure_mesh().disable_mesh().draw()?;
                let rows = |k: usize| if paired { &made[k] } else { &input[k] };
                let point = |row: &[f64]| (row[0], row[1]);
                if paired {
                    let ends = rows(0).chunks_exact(2).zip(rows(1).chunks_exact(2));
                    let lines = ends.map(|(x, y)| {
                        PathElement::new([point(x), point(y)], BLACK.mix(0.35).stroke_width(1))
                    });
                    chart.draw_series(lines)?;
                }
                for (k, colour) in COLOURS.iter().enumerate() {
                    let points = rows(k).chunks_exact(2).map(point);
                    chart.draw_series(points.map(|at| Circle::new(at, 2, colour.filled())))?;
                }
            }
        }
        root.present()?;
    }
    Ok(path.display().to_string())
}
