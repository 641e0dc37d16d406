//! Figure 3.4 of source 002: the joint density of the entropic plan between two pairs of laws on the line, by a neural differential
//! equation. Prints how far the marginals are from the true ones, by quadrature of the joint density, and how far the joint density
//! is from the optimum: the closed form for Gaussians, and Sinkhorn's iteration on the grid for both pairs.
//!
//! ```text
//! cargo run --release -p solver-spot --example figure_002_3_4 [-- --full] [--critics] [--steps N] [--seed N]
//! ```
//!
//! Quick: 1 200 steps for each of three ε. `--full`: 6 000 steps, a finer grid. `--critics` takes the source's marginal penalty
//! in place of the energy distance.
#[path = "shared/heat.rs"]
mod heat;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use heat::Panel;
use ot_nn::{Network, Spectral};
use rand::RngExt;
use rand_distr::StandardNormal;
use solver_api::Context;
use solver_spot::flow::{
    DensityGrid, DormandPrince, EntropicGaussians, Latent, MarginalPenalty, l1, spaced,
};
use solver_spot::{Flow, FlowSettings, FlowSpot, FromFn, Sampler, SqEuclidean, perceptron};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The second parameter of the source's φ(a, b): a variance, as in N(a, b).
const VARIANCE: f64 = 0.5;
const REGS: [f64; 3] = [0.25, 1.0, 2.0];

#[derive(Clone, Copy)]
struct Args {
    full: bool,
    critics: bool,
    steps: Option<u64>,
    seed: u64,
}

impl Args {
    fn read() -> Outcome<Self> {
        let mut read = Self {
            full: false,
            critics: false,
            steps: None,
            seed: 0,
        };
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            let mut number = || -> Outcome<u64> {
                let value = given.next().ok_or(format!("`{argument}` needs a number"))?;
                let wrong = |_| format!("`{argument}` = {value}: must be a number, 0 or more");
                Ok(value.parse().map_err(wrong)?)
            };
            match argument.as_str() {
                "--full" => read.full = true,
                "--critics" => read.critics = true,
                "--steps" => read.steps = Some(number()?),
                "--seed" => read.seed = number()?,
                _ => {
                    let known = "there are --full, --critics, --steps N, --seed N";
                    return Err(format!("`{argument}`: {known}").into());
                }
            }
        }
        Ok(read)
    }

    fn settings(self, reg: f64) -> FlowSettings {
        let steps = self.steps.unwrap_or(if self.full { 6_000 } else { 1_200 });
        // The potentials, and with them what a marginal is off by at some η, grow with ε where it is more than the cost.
        let default = FlowSettings::default();
        let settings = FlowSettings {
            reg,
            steps,
            seed: self.seed,
            eta: default.eta * reg.max(1.0),
            first_eta: default.first_eta * reg.max(0.25) / 0.25,
            ..default
        };
        if self.critics {
            return FlowSettings {
                eta: 30.0,
                latent: Latent::Independent,
                ..settings
            };
        }
        settings
    }
}

/// An even mixture of N(−centre, ½) and N(centre, ½), moved by `shift`; or a single Gaussian.
#[derive(Clone, Copy)]
struct Law {
    centres: [f64; 2],
    variance: f64,
}

impl Law {
    fn gaussian(mean: f64, variance: f64) -> Self {
        Self {
            centres: [mean; 2],
            variance,
        }
    }

    fn mixture(centre: f64) -> Self {
        Self {
            centres: [-centre, centre],
            variance: VARIANCE,
        }
    }

    fn density(self, x: f64) -> f64 {
        let scale = 0.5 / (2.0 * std::f64::consts::PI * self.variance).sqrt();
        let of = |c: f64| scale * (-(x - c).powi(2) / (2.0 * self.variance)).exp();
        of(self.centres[0]) + of(self.centres[1])
    }

    fn sampler(self) -> Arc<dyn Sampler> {
        let deviation = self.variance.sqrt();
        Arc::new(FromFn::new(1, move |rng, row: &mut [f64]| {
            let centre = self.centres[usize::from(rng.random::<bool>())];
            let normal: f64 = rng.sample(StandardNormal);
            row[0] = centre + deviation * normal;
        }))
    }

    fn axis(self, count: usize) -> Vec<f64> {
        let far = 5.0 * self.variance.sqrt();
        let [a, b] = self.centres;
        spaced(a.min(b) - far, a.max(b) + far, count)
    }
}

/// Sinkhorn's iteration in logarithms: the optimum on the grid.
fn sinkhorn(laws: [Law; 2], x: &[f64], y: &[f64], reg: f64) -> Outcome<DensityGrid> {
    let steps = [x[1] - x[0], y[1] - y[0]].map(f64::ln);
    let wanted = [(x, laws[0]), (y, laws[1])]
        .map(|(at, law)| at.iter().map(|v| law.density(*v).ln()).collect::<Vec<_>>());
    let soft = |at: &[f64], others: &[f64], potentials: &[f64], step: f64, wanted: &[f64]| {
        let row = |(v, wanted): (&f64, &f64)| {
            let terms = || {
                let all = others.iter().zip(potentials);
                all.map(|(o, g)| g - (v - o).powi(2) / reg)
            };
            let most = terms().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = terms().map(|t| (t - most).exp()).sum();
            wanted - step - most - sum.ln()
        };
        at.iter().zip(wanted).map(row).collect::<Vec<f64>>()
    };
    let mut g = vec![0.0; y.len()];
    let mut f = Vec::new();
    for _ in 0..400 {
        f = soft(x, y, &g, steps[1], &wanted[0]);
        g = soft(y, x, &f, steps[0], &wanted[1]);
    }
    let rows = x.iter().zip(&f);
    let density = rows.flat_map(|(x, f)| {
        let all = y.iter().zip(&g);
        all.map(move |(y, g)| (f + g - (x - y).powi(2) / reg).exp())
    });
    Ok(DensityGrid::new(x.to_vec(), y.to_vec(), density.collect())?)
}

fn penalty(critics: bool, seed: u64) -> Outcome<MarginalPenalty<f32>> {
    if !critics {
        return Ok(MarginalPenalty::Energy);
    }
    let layers: Vec<_> = perceptron(1, 64, 3, 1, 0.2)
        .into_iter()
        .map(|layer| layer.normalized(Spectral::default()))
        .collect();
    let network = |k: u64| Network::new(&layers, 2 * seed + k);
    Ok(MarginalPenalty::Critics(vec![network(0)?, network(1)?]))
}

/// A pair at an ε: what is printed, and what is drawn.
fn run(args: Args, name: &str, laws: [Law; 2], reg: f64) -> Outcome<(String, Panel)> {
    let settings = args.settings(reg);
    let flow = Flow::<f32>::perceptron(&[1, 1], 64, 3, args.seed)?;
    let samplers = laws.map(Law::sampler).to_vec();
    let cost = Arc::new(SqEuclidean);
    let penalty = penalty(args.critics, args.seed)?;
    let mut training = FlowSpot::new(flow, samplers, cost, penalty, settings)?;
    let started = Instant::now();
    training.train(&Context::default())?;
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("{name}, ε = {reg}: trained in {seconds:.0} s");

    let count = if args.full { 240 } else { 120 };
    let [x, y] = laws.map(|law| law.axis(count));
    let by = DormandPrince {
        rtol: 1e-5,
        atol: 1e-5,
        ..DormandPrince::default()
    };
    let grid = DensityGrid::of(&training.mean().cast(), &x, &y, &by)?;
    let best = sinkhorn(laws, &x, &y, reg)?;
    let made = grid.marginals();
    let real = [(&x, laws[0]), (&y, laws[1])]
        .map(|(at, law)| at.iter().map(|v| law.density(*v)).collect::<Vec<_>>());
    let off = [l1(&x, &made[0], &real[0]), l1(&y, &made[1], &real[1])];
    let cost = |grid: &DensityGrid| grid.mean(|x, y, _| (x - y).powi(2)) / grid.mass();
    let entropy = |grid: &DensityGrid| grid.mean(|_, _, p| p.ln()) / grid.mass();
    let (r, expected) = (grid.correlation(), best.correlation());
    let row = format!(
        "{name:<10} {reg:>5} {:>7.4} {:>7.4} {:>8.4} {:>8.4} {:>7.4} {:>7.4} {:>8.4} {:>8.4} {:>7.4} {:>7.1}",
        off[0],
        off[1],
        cost(&grid),
        cost(&best),
        r,
        expected,
        entropy(&grid),
        entropy(&best),
        grid.l1(&best)?,
        settings.steps as f64 / seconds,
    );
    let panel = Panel {
        title: format!("{name}, ε = {reg}"),
        below: format!(
            "marginals off by {:.3}, {:.3}; r = {r:.3} (optimum {expected:.3})",
            off[0], off[1]
        ),
        x,
        y,
        density: grid.density().to_vec(),
        made,
        real,
    };
    Ok((row, panel))
}

fn main() -> Outcome {
    let args = Args::read()?;
    let settings = args.settings(1.0);
    println!(
        "{} steps, batch {}, η from {} to {} (at ε = 1), {}, seed {}; N(a, b) with variance b",
        settings.steps,
        settings.batch,
        settings.first_eta,
        settings.eta,
        if args.critics {
            "critics"
        } else {
            "energy distance"
        },
        args.seed
    );
    if !args.full {
        println!("quick: fewer steps and a coarser grid than --full");
    }
    let pairs = [
        (
            "Gaussians",
            [Law::gaussian(0.0, 1.0), Law::gaussian(2.0, VARIANCE)],
        ),
        ("mixtures", [Law::mixture(1.0), Law::mixture(2.0)]),
    ];
    let all: Vec<Outcome<Vec<_>>> = std::thread::scope(|scope| {
        let handles = pairs.map(|(name, laws)| {
            scope.spawn(move || {
                REGS.map(|reg| run(args, name, laws, reg))
                    .into_iter()
                    .collect()
            })
        });
        let joined = handles.into_iter().map(|handle| match handle.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    println!(
        "\n{:<10} {:>5} {:>15} {:>17} {:>15} {:>17} {:>7} {:>7}",
        "", "", "marginals, L1", "cost", "correlation", "E ln p", "joint", ""
    );
    println!(
        "{:<10} {:>5} {:>7} {:>7} {:>8} {:>8} {:>7} {:>7} {:>8} {:>8} {:>7} {:>7}",
        "pair", "ε", "x", "y", "flow", "best", "flow", "best", "flow", "best", "L1", "steps/s"
    );
    let mut panels = Vec::new();
    for outcome in all {
        let (rows, own): (Vec<_>, Vec<_>) = outcome?.into_iter().unzip();
        rows.iter().for_each(|row| println!("{row}"));
        panels.push(own);
    }
    println!("\nclosed form of the Gaussians");
    for reg in REGS {
        let law = EntropicGaussians::new([0.0, 2.0], [1.0, VARIANCE.sqrt()], reg)?;
        println!(
            "ε = {reg}: cost {:.4}, correlation {:.4}, E ln p {:.4}",
            law.cost(),
            law.correlation(),
            law.negative_entropy()
        );
    }
    let folder = PathBuf::from("target/figures");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("figure_002_3_4.svg");
    let title = "Joint densities of entropic plans by a neural differential equation, c = (x − y)²";
    heat::write(&path, title, &panels).map_err(|e| e.to_string())?;
    println!("\n{}", path.display());
    Ok(())
}
