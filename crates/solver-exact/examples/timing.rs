//! Times the network simplex on random points of the unit cube, squared Euclidean cost as a matrix:
//! `cargo run --release -p solver-exact --example timing -- [n] [d] [repeats] [share of the mass that moves]`.

use std::error::Error;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Context, DenseCost, Ground, Measure, PointCost, Problem, Solver};
use solver_exact::NetworkSimplex;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let share = std::env::args().nth(4).map(|x| x.parse::<f64>());
    let share = share.transpose()?;
    let mut args = std::env::args().skip(1).take(3).map(|x| x.parse::<usize>());
    let n = args.next().transpose()?.unwrap_or(2000);
    let d = args.next().transpose()?.unwrap_or(2);
    let repeats = args.next().transpose()?.unwrap_or(3);
    let mut rng = Pcg64::seed_from_u64(1);
    let mut cloud = || -> Vec<f64> { (0..n * d).map(|_| rng.random()).collect() };
    let points = PointCost::new(cloud(), cloud(), d, Ground::SqEuclidean)?;
    let cost = Arc::new(DenseCost::materialize(&points)?);
    let mut weights = || Measure::new((0..n).map(|_| rng.random()).collect::<Vec<f64>>());
    let random = (weights()?.normalized(), weights()?.normalized());
    let equal = (Measure::uniform(n)?, Measure::uniform(n)?);
    for (name, (a, b)) in [("equal", equal), ("random", random)] {
        let problem = match share {
            Some(share) => Problem::partial(a, b, cost.clone(), share)?,
            None => Problem::new(a, b, cost.clone())?,
        };
        for _ in 0..repeats {
            let mut context = Context::new().with_threads(1)?;
            let solution = NetworkSimplex::default().solve_with(&problem, &mut context)?;
            println!(
                "n = {n}, d = {d}, {name:6} weights: {:9.3} ms, certificate {:9.3} ms, {:6} pivots, cost {:.15}",
                1e3 * solution.solve_time.as_secs_f64(),
                1e3 * solution.certify_time.as_secs_f64(),
                solution.convergence.iterations.unwrap_or_default(),
                solution.transport_cost,
            );
        }
    }
    Ok(())
}
