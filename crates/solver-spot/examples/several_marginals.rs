//! Several marginals (section 3.3 of source 002): Gaussians on a line, three and five of them, against the closed form.
//!
//! ```text
//! cargo run --release -p solver-spot --example several_marginals [-- --full] [--seeds N]
//! ```
//!
//! The best plan of Σ_{k<l} w_kl (x_k − x_l)² on a line is the comonotone one for any weights w ≥ 0, as each term is best there
//! and all terms are so at once: of Gaussians it costs Σ w_kl ((m_k − m_l)² + (s_k − s_l)²). One of the rows is the solver's own
//! cost of all pairs, the others are of a cost that is written here, as a user would. Quick: 2 seeds; `--full`: 5 seeds, and
//! trainings four times as long, each of them kept in `target/figures` and not trained again.
#[path = "shared/kept.rs"]
mod kept;
#[path = "../../ot-apps/examples/shared/options.rs"]
mod options;

use std::sync::Arc;
use std::time::Instant;

use kept::Kept;
use options::{Args, Outcome};
use ot_nn::{Network, Number};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use solver_api::Context;
use solver_spot::{
    AllPairs, ContinuousSolver, Error, Gaussian, Generator, JointCost, Sampler, Samples, Spot,
    SpotSettings, critic, perceptron,
};

/// Leaky rectifiers below 0.
const SLOPE: f64 = 0.2;
const MEANS: [f64; 5] = [-2.0, 0.5, 3.0, 1.0, -1.0];
const SPREADS: [f64; 5] = [0.5, 1.0, 1.5, 0.7, 1.2];

/// Σ_{k<l} w_kl (x_k − x_l)² with w_kl = 1/(l − k): neighbours in the list weigh most.
struct Neighbours;

fn weight(k: usize, l: usize) -> f64 {
    1.0 / l.abs_diff(k) as f64
}

impl<T: Number> JointCost<T> for Neighbours {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        if dims.len() >= 2 && dims.iter().all(|d| *d == 1) {
            return Ok(());
        }
        Err(Error::Shape {
            argument: "cost",
            found: format!("marginals of dimensions {dims:?}"),
            expected: "it takes two or more on a line".to_owned(),
        })
    }

    fn mean(&self, samples: &Samples<T>, by: &mut [Vec<T>]) -> f64 {
        let (marginals, count) = (samples.dims().len(), samples.len());
        let mut sum = 0.0;
        for l in 0..marginals {
            for k in 0..l {
                let w = weight(k, l);
                let slope = T::from_f64(2.0 * w / count as f64);
                for i in 0..count {
                    let off = samples.marginal(k)[i] - samples.marginal(l)[i];
                    sum += w * off.wide() * off.wide();
                    by[k][i] += slope * off;
                    by[l][i] -= slope * off;
                }
            }
        }
        sum / count as f64
    }
}

/// What a training came to: the cost of the plan, the least rank correlation of two of its marginals, and the time.
#[derive(Serialize, Deserialize)]
struct Found {
    cost: f64,
    ranks: f64,
    seconds: f64,
}

fn main() -> Outcome {
    let args = Args::read(&["seeds"])?;
    let seeds = args.count("seeds", 2, 5);
    let steps = if args.full { 40_000 } else { 10_000 };
    let kept = Kept::new("several_marginals", args.full);
    println!("Gaussians on a line, {steps} steps, {seeds} seeds; relative errors in %\n");
    println!("marginals  cost          exact      mean    spread   rank correlation   s a run");
    for (marginals, own) in [(3, false), (3, true), (5, true)] {
        let cost = if own { "neighbours" } else { "all pairs" };
        let made: Vec<Result<Found, Error>> = (0..seeds as u64)
            .into_par_iter()
            .map(|seed| {
                let name = format!("{marginals}_{}_{seed}", cost.replace(' ', "_"));
                let settings = settings(steps, seed);
                kept.or(&name, format!("{settings:?}"), || {
                    trained(marginals, own, settings)
                })
            })
            .collect();
        let made: Vec<Found> = made.into_iter().collect::<Result<_, _>>()?;
        let exact = exact(marginals, own);
        let errors: Vec<f64> = made
            .iter()
            .map(|f| 100.0 * (f.cost / exact - 1.0))
            .collect();
        let n = errors.len() as f64;
        let mean = errors.iter().sum::<f64>() / n;
        let spread = errors.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>();
        let spread = (spread / (n - 1.0).max(1.0)).sqrt();
        let least = made.iter().map(|f| f.ranks).fold(1.0, f64::min);
        let seconds = made.iter().map(|f| f.seconds).sum::<f64>() / n;
        println!(
            "{marginals:9}  {cost:<10} {exact:8.3} {mean:+9.3} {spread:9.3} {least:18.4} {seconds:9.1}"
        );
    }
    println!("\nrank correlation: the least of all pairs of marginals and seeds; 1 is comonotone");
    Ok(())
}

fn exact(marginals: usize, own: bool) -> f64 {
    let pairs = (0..marginals).flat_map(|l| (0..l).map(move |k| (k, l)));
    pairs
        .map(|(k, l)| {
            let far = (MEANS[k] - MEANS[l]).powi(2) + (SPREADS[k] - SPREADS[l]).powi(2);
            if own { weight(k, l) * far } else { far }
        })
        .sum()
}

fn settings(steps: u64, seed: u64) -> SpotSettings {
    SpotSettings {
        // In units of the cost's slope, 2 Σ_l w_kl |x_k − x_l|: some 20 where the densities are.
        first_eta: 20.0,
        eta: 600.0,
        // With half as many steps of the critics, twice as long, costs spread by 4 % between seeds.
        critic_steps: 20,
        rate: 5e-4,
        steps,
        seed,
        ..SpotSettings::default()
    }
}

fn trained(marginals: usize, own: bool, settings: SpotSettings) -> Result<Found, Error> {
    let (started, seed) = (Instant::now(), settings.seed);
    let chain = perceptron(1, 16, 2, 1, SLOPE);
    let judge = critic(1, 32, 1, SLOPE);
    let generator = Generator::alike(Network::<f32>::new(&chain, 16 * seed)?, marginals)?;
    let critics = (1..=marginals as u64).map(|k| Network::new(&judge, 16 * seed + k));
    let samplers = (0..marginals).map(|k| -> Result<Arc<dyn Sampler>, Error> {
        Ok(Arc::new(Gaussian::with_factor(
            vec![MEANS[k]],
            vec![SPREADS[k]],
        )?))
    });
    let cost: Arc<dyn JointCost<f32>> = if own {
        Arc::new(Neighbours)
    } else {
        Arc::new(AllPairs)
    };
    let critics = critics.collect::<Result<_, _>>()?;
    let samplers = samplers.collect::<Result<_, _>>()?;
    let mut spot = Spot::new(generator, critics, samplers, cost, settings)?;
    spot.train(&Context::default(), &mut |_| ())?;
    let samples = spot.sample(4000, seed)?;
    let ranks: Vec<Vec<f64>> = (0..marginals).map(|k| ranks(samples.marginal(k))).collect();
    let mut least = 1.0_f64;
    for l in 0..marginals {
        for k in 0..l {
            least = least.min(correlation(&ranks[k], &ranks[l]));
        }
    }
    Ok(Found {
        cost: spot.estimate(100_000, seed)?.cost,
        ranks: least,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut ranks = vec![0.0; values.len()];
    for (rank, i) in order.into_iter().enumerate() {
        ranks[i] = rank as f64;
    }
    ranks
}

/// Of ranks: their mean is known.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let middle = (x.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        let pairs = x.iter().zip(y);
        pairs.map(|(x, y)| (x - middle) * (y - middle)).sum()
    };
    product(x, y) / product(x, x)
}
