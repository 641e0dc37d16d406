//! W₂² between two Gaussians in 2 to 64 dimensions against the closed form of Bures, beside what the exact plan between 2000
//! samples of each says of it.
//!
//! ```text
//! cargo run --release -p solver-spot --example dimensions [-- --full] [--seeds N] [--power N] [--hidden N]
//! ```
//!
//! Means 5 apart, covariances L Lᵀ of random triangles. `marginals` is what is left of the covariances: the relative distance of
//! those of the generated samples from those asked for, the larger of the two, in the Frobenius norm. Quick: up to 8
//! dimensions, 6000 steps, 2 seeds; `--full`: up to 64, 40 000 steps, 3 seeds. `--power` does 2^N dimensions alone. Each training of
//! `--full` is kept in `target/figures`, and not trained again.
#[path = "shared/kept.rs"]
mod kept;
#[path = "../../ot-apps/examples/shared/options.rs"]
mod options;

use std::sync::Arc;
use std::time::Instant;

use kept::Kept;
use options::{Args, Outcome};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use solver_api::{Context, Ground, Measure, PointCost, Problem, Solver};
use solver_exact::NetworkSimplex;
use solver_exact::closed::gaussian;
use solver_spot::{ContinuousSolver, Gaussian, Sampler, Spot, SpotSettings, SqEuclidean};

/// Samples of each distribution for the exact plan.
const POINTS: usize = 2000;
/// Samples that covariances are taken of.
const COUNTED: usize = 50_000;
/// How far apart the means are.
const APART: f64 = 5.0;

/// A distribution, as moments and as what it is drawn from.
struct Side {
    exact: gaussian::Gaussian,
    sampler: Arc<dyn Sampler>,
}

/// What one seed comes to: relative errors, and the time.
#[derive(Serialize, Deserialize)]
struct Found {
    spot: f64,
    marginals: f64,
    discrete: f64,
    seconds: f64,
}

fn main() -> Outcome {
    let args = Args::read(&["seeds", "power", "hidden"])?;
    let seeds = args.count("seeds", 2, 3);
    let hidden = args.count("hidden", 64, 64);
    let powers = match args.count("power", 0, 0) {
        0 => 1..=if args.full { 6 } else { 3 },
        only if only <= 6 => only..=only,
        _ => return Err("--power: 1 to 6".into()),
    };
    let steps = if args.full { 40_000 } else { 6000 };
    let kept = Kept::new("dimensions", args.full);
    println!(
        "W₂² of Gaussians, {hidden} hidden units, {steps} steps, {seeds} seeds; relative errors in %\n"
    );
    println!("dimensions     exact      SPOT    spread  marginals   {POINTS} points   s a run");
    for power in powers {
        let dim = 1 << power;
        let sides = [side(dim, 0.0, 1)?, side(dim, APART, 2)?];
        let exact = sides[0].exact.distance_squared(&sides[1].exact)?;
        let found: Vec<Result<Found, String>> = (0..seeds as u64)
            .into_par_iter()
            .map(|seed| {
                trained(&kept, &sides, exact, hidden, steps, seed)
                    .map_err(|error| error.to_string())
            })
            .collect();
        let found: Vec<Found> = found.into_iter().collect::<Result<_, _>>()?;
        let n = found.len() as f64;
        let mean = |of: &dyn Fn(&Found) -> f64| 100.0 * found.iter().map(of).sum::<f64>() / n;
        let spot = mean(&|f| f.spot);
        let squares = found.iter().map(|f| (100.0 * f.spot - spot).powi(2));
        let spread = (squares.sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
        println!(
            "{dim:10} {exact:9.3} {spot:+9.2} {spread:9.2} {:10.2} {:+13.2} {:9.1}",
            mean(&|f| f.marginals),
            mean(&|f| f.discrete),
            mean(&|f| f.seconds) / 100.0,
        );
    }
    Ok(())
}

/// N(m, L Lᵀ), m along the diagonal.
fn side(dim: usize, far: f64, seed: u64) -> Outcome<Side> {
    let mut rng = Pcg64::seed_from_u64(100 * dim as u64 + seed);
    let mean = vec![far / (dim as f64).sqrt(); dim];
    let mut factor = vec![0.0; dim * dim];
    for i in 0..dim {
        for j in 0..i {
            factor[i * dim + j] = rng.sample::<f64, _>(StandardNormal) * 0.5 / (dim as f64).sqrt();
        }
        factor[i * dim + i] = rng.random_range(0.6..1.6);
    }
    let sampler = Gaussian::with_factor(mean, factor)?;
    Ok(Side {
        exact: gaussian::Gaussian::new(sampler.mean(), &sampler.covariance())?,
        sampler: Arc::new(sampler),
    })
}

fn trained(
    kept: &Kept,
    sides: &[Side; 2],
    exact: f64,
    hidden: usize,
    steps: u64,
    seed: u64,
) -> Outcome<Found> {
    let dim = sides[0].exact.dim();
    let samplers = sides.each_ref().map(|s| Arc::clone(&s.sampler)).to_vec();
    // The slope of ‖x − y‖² where the plan is.
    let slope = 2.0 * exact.sqrt();
    let settings = SpotSettings {
        first_eta: 0.5 * slope,
        eta: 20.0 * slope,
        rate: 2e-4,
        critic_rate: 3.0,
        steps,
        seed,
        ..SpotSettings::default()
    };
    let said = format!("{dim} dimensions, {hidden} units, {settings:?}");
    kept.or(&format!("{dim}_{hidden}_{seed}"), said, || {
        let started = Instant::now();
        let cost = Arc::new(SqEuclidean);
        let spot = Spot::<f32>::with_perceptrons(samplers, cost, (hidden, 2), settings)?;
        found(sides, exact, spot, started)
    })
}

fn found(sides: &[Side; 2], exact: f64, mut spot: Spot<f32>, started: Instant) -> Outcome<Found> {
    let (dim, seed) = (sides[0].exact.dim(), spot.settings().seed);
    spot.train(&Context::default(), &mut |_| ())?;
    let samples = spot.sample(COUNTED, seed)?;
    let mut marginals = 0.0_f64;
    for (k, side) in sides.iter().enumerate() {
        let weights = Measure::uniform(COUNTED)?;
        let made = gaussian::Gaussian::of_samples(&weights, samples.marginal(k), dim)?;
        marginals = marginals.max(far(made.covariance(), side.exact.covariance()));
    }
    let mut rng = Pcg64::seed_from_u64(1000 + seed);
    let mut drawn = || {
        let mut rows = [vec![0.0; POINTS * dim], vec![0.0; POINTS * dim]];
        for (rows, side) in rows.iter_mut().zip(sides) {
            side.sampler.draw(&mut rng, rows);
        }
        rows
    };
    let [x, y] = drawn();
    let cost = PointCost::new(x, y, dim, Ground::SqEuclidean)?;
    let weights = || Measure::uniform(POINTS);
    let problem = Problem::new(weights()?, weights()?, Arc::new(cost))?;
    let discrete = NetworkSimplex::default().solve(&problem)?.transport_cost;
    Ok(Found {
        spot: spot.estimate(100_000, seed)?.cost / exact - 1.0,
        marginals,
        discrete: discrete / exact - 1.0,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// ‖a − b‖ / ‖b‖.
fn far(a: &[f64], b: &[f64]) -> f64 {
    let squares = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    squares(&mut a.iter().zip(b).map(|(a, b)| a - b)) / squares(&mut b.iter().copied())
}
