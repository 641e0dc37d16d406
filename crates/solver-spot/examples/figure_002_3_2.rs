//! Figures 3.2 and 3.3 of source 002: W₁ between two Gaussians in the plane whose means are 5 apart, by learning rate and by
//! hidden units. The mean and the spread over seeds of the relative error, beside how long a run takes.
//!
//! ```text
//! cargo run --release -p solver-spot --example figure_002_3_2 [-- --full] [--seeds N]
//! ```
//!
//! Quick: learning rates 1e-3 and 1e-4 and up to 32 hidden units, 4 seeds. `--full`: 1e-5 too, and up to 1024 units; 20 seeds,
//! and 3 from 256 units on.
#[path = "../../ot-apps/examples/shared/options.rs"]
mod options;

use std::sync::Arc;
use std::time::Instant;

use options::{Args, Outcome};
use ot_nn::Network;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use solver_api::Context;
use solver_spot::{
    ContinuousSolver, Empirical, Euclidean, Gaussian, Generator, Sampler, Spot, SpotSettings,
    critic, perceptron,
};

/// Samples of each distribution.
const SAMPLES: usize = 100_000;
/// W₁ of the distributions themselves.
const EXACT: f64 = 5.0;
/// Leaky rectifiers below 0.
const SLOPE: f64 = 0.2;

/// A training of the source's: which learning rate, how many units, how many steps.
#[derive(Clone, Copy)]
struct Run {
    rate: f64,
    hidden: usize,
    steps: u64,
    eta: f64,
}

fn main() -> Outcome {
    let args = Args::read(&["seeds"])?;
    let seeds = args.count("seeds", 4, 20);
    println!(
        "W₁ of two Gaussians, {SAMPLES} samples each, batches of 100; relative error of the estimate, %\n"
    );
    println!("       rate  hidden     eta    steps  seeds      mean    spread   largest   s a run");
    let default = SpotSettings::default();
    let of_rates = [(1e-3, 20_000), (1e-4, 60_000), (1e-5, 400_000)];
    for (rate, steps) in of_rates.into_iter().take(if args.full { 3 } else { 2 }) {
        let run = Run {
            rate,
            hidden: 8,
            steps,
            eta: default.eta,
        };
        report(run, seeds)?;
    }
    println!();
    for power in 1..=if args.full { 10 } else { 5 } {
        let run = Run {
            rate: 1e-3,
            hidden: 1 << power,
            steps: 20_000,
            eta: default.eta,
        };
        report(run, if power > 7 { seeds.min(3) } else { seeds })?;
    }
    Ok(())
}

/// A line of the table.
fn report(run: Run, seeds: usize) -> Outcome {
    let started = Instant::now();
    let errors: Vec<Result<f64, solver_spot::Error>> = (0..seeds as u64)
        .into_par_iter()
        .map(|seed| trained(run, seed))
        .collect();
    let errors: Vec<f64> = errors.into_iter().collect::<Result<_, _>>()?;
    let count = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / count;
    let spread = errors.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>();
    let spread = (spread / (count - 1.0).max(1.0)).sqrt();
    let largest = errors.iter().fold(0.0_f64, |most, e| most.max(e.abs()));
    let seconds = started.elapsed().as_secs_f64() * rayon::current_num_threads() as f64 / count;
    println!(
        "{:11.0e} {:7} {:7.0e} {:8} {:6} {:+9.3} {:9.3} {:9.3} {:9.1}",
        run.rate, run.hidden, run.eta, run.steps, seeds, mean, spread, largest, seconds
    );
    Ok(())
}

/// The relative error of one training, %.
fn trained(run: Run, seed: u64) -> Result<f64, solver_spot::Error> {
    let chain = perceptron(2, run.hidden, 2, 2, SLOPE);
    let judge = critic(2, run.hidden, 1, SLOPE);
    let seeds = |k: u64| 8 * seed + k;
    let network = |k| Network::<f32>::new(&chain, seeds(k));
    let generator = Generator::separate(vec![network(0)?, network(1)?])?;
    let critics = vec![
        Network::new(&judge, seeds(2))?,
        Network::new(&judge, seeds(3))?,
    ];
    let drawn = |mean: f64, k: u64| -> Result<Arc<dyn Sampler>, solver_spot::Error> {
        let mut rows = vec![0.0; 2 * SAMPLES];
        let mut rng = Pcg64::seed_from_u64(1000 + seeds(k));
        Gaussian::new(vec![mean, 0.0])?.draw(&mut rng, &mut rows);
        Ok(Arc::new(Empirical::new(rows, 2)?))
    };
    let samplers = vec![drawn(-2.5, 4)?, drawn(2.5, 5)?];
    let settings = SpotSettings {
        rate: run.rate,
        steps: run.steps,
        eta: run.eta,
        seed,
        ..SpotSettings::default()
    };
    let mut spot = Spot::new(generator, critics, samplers, Arc::new(Euclidean), settings)?;
    spot.train(&Context::default(), &mut |_| ())?;
    Ok(100.0 * (spot.estimate(SAMPLES, 1)?.cost / EXACT - 1.0))
}
