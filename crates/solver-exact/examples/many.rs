//! Times a batch of small problems: `cargo run --release -p solver-exact --example many -- [count] [rounds]`.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Batch, Certify, Context, DenseCost, Ground, Measure, PointCost, Problem, Solver};
use solver_exact::NetworkSimplex;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).map(|x| x.parse::<usize>());
    let count = args.next().transpose()?.unwrap_or(512);
    let rounds = args.next().transpose()?.unwrap_or(20);
    let fixed = args.next().transpose()?;
    let mut rng = Pcg64::seed_from_u64(1);
    let mut problems = Vec::new();
    for k in 0..count {
        let n = fixed.unwrap_or(20 + (k * 37) % 81);
        let mut cloud = || -> Vec<f64> { (0..n * 2).map(|_| rng.random()).collect() };
        let points = PointCost::new(cloud(), cloud(), 2, Ground::SqEuclidean)?;
        let cost = Arc::new(DenseCost::materialize(&points)?);
        let mut weights = || {
            Measure::new(
                (0..n)
                    .map(|_| rng.random::<f64>() + 1e-3)
                    .collect::<Vec<f64>>(),
            )
        };
        problems.push(Problem::new(
            weights()?.normalized(),
            weights()?.normalized(),
            cost,
        )?);
    }
    let batch = Batch::Separate(problems);
    let mut context = Context::new().with_threads(1)?.certified(Certify::Off);
    let mut times = Vec::new();
    let mut pivots = 0_u64;
    let mut value = 0.0;
    for _ in 0..rounds {
        let begun = Instant::now();
        let solved = NetworkSimplex::default().solve_batch(&batch, &mut context);
        times.push(begun.elapsed().as_secs_f64());
        pivots = 0;
        value = 0.0;
        for s in solved {
            let s = s?;
            pivots += s.convergence.iterations.unwrap_or(0);
            value += s.transport_cost;
        }
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{count} problems: least {:.2} us, median {:.2} us a problem, {:.1} pivots, value {value:.12}",
        1e6 * times[0] / count as f64,
        1e6 * times[rounds / 2] / count as f64,
        pivots as f64 / count as f64
    );
    Ok(())
}
