//! Times of points without a matrix:
//! `cargo run --release -p solver-stabilized --example lazy -- N D REG TOL [GAMMA]`, REG relative to the largest cost.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Context, Ground, Measure, PointCost, Problem, Progress, Reg, Solver};
use solver_stabilized::settings::CostMode;
use solver_stabilized::{Settings, SinkhornStabilized};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<f64> = std::env::args()
        .skip(1)
        .map(|x| x.parse())
        .collect::<Result<_, _>>()?;
    let at = |k: usize, default: f64| asked.get(k).copied().unwrap_or(default);
    let (n, dim) = (at(0, 20_000.0) as usize, at(1, 2.0) as usize);
    let mut rng = Pcg64::seed_from_u64(1);
    let mut cloud = || -> Vec<f64> { (0..n * dim).map(|_| rng.random()).collect() };
    let cost = Arc::new(PointCost::new(cloud(), cloud(), dim, Ground::SqEuclidean)?);
    let (a, b) = (Measure::uniform(n)?, Measure::uniform(n)?);
    let problem = match asked.get(4) {
        Some(&gamma) => Problem::relaxed(a, b, cost, gamma, gamma)?,
        None => Problem::new(a, b, cost)?,
    };
    let solver = SinkhornStabilized::new(Settings {
        reg: Reg::Relative(at(2, 1e-2)),
        tol: Some(at(3, 1e-4)),
        cost: CostMode::Lazy,
        ..Settings::default()
    })?;
    let last = Mutex::new(u64::MAX);
    let mut context = Context::new().observed(move |progress: &Progress| {
        if let Ok(mut last) = last.lock()
            && *last != progress.iteration
        {
            *last = progress.iteration;
            let seconds = progress.elapsed.as_secs_f64();
            println!(
                "{seconds:7.2} s, pass {}: {:.2e}",
                progress.iteration, progress.error
            );
        }
        ControlFlow::Continue(())
    });
    let solution = solver.solve_with(&problem, &mut context)?;
    let seen = &solution.convergence;
    println!(
        "n = {n}, d = {dim}: {:?} after {} passes, error {:.2e}, {:.2} s; bracket {:?} in {:.2} s; cost {}",
        seen.termination,
        seen.iterations.unwrap_or(0),
        seen.source_error.max(seen.target_error),
        solution.solve_time.as_secs_f64(),
        solution.certificate,
        solution.certify_time.as_secs_f64(),
        solution.transport_cost,
    );
    Ok(())
}
