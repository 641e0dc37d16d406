//! Figure 2.3 of source 002: time to a relative precision of 1e-4 against the number of points, two uniform clouds in
//! 16 dimensions, the mean of 6 pairs.
//!
//! ```text
//! cargo run --release -p solver-ipot --example figure_002_3 -- figure_002_3.svg
//! ```
//! Sinkhorn at β = 0.01 of the largest cost is timed to its own optimum; its bias stays and is printed.

#[path = "figures/clouds.rs"]
mod clouds;
#[path = "figures/common.rs"]
mod common;
#[path = "figures/curves.rs"]
mod curves;

use std::time::Instant;

use clouds::clouds;
use common::{Outcome, optimum, target};
use curves::{Curve, log_log};
use plotters::prelude::*;
use solver_api::{Certify, Context, Problem, Reg, Solver};
use solver_exact::NetworkSimplex;
use solver_ipot::{Ipot, Settings};
use solver_sinkhorn::Sinkhorn;

const PAIRS: u64 = 6;

fn main() -> Outcome {
    let path = target("figure_002_3.svg")?;
    let sizes = [64, 128, 256, 512, 1024, 2048];
    let names = [
        "IPOT, accelerated",
        "IPOT, printed, L = 1, β = 0.1",
        "Sinkhorn, β = 0.01",
        "network simplex",
    ];
    let mut curves: Vec<Curve> = names
        .map(|name| Curve {
            name: name.to_owned(),
            points: Vec::new(),
        })
        .into();
    println!("seconds, and the relative error of the value, mean of {PAIRS} pairs");
    for n in sizes {
        let (mut seconds, mut errors) = ([0.0; 4], [0.0; 4]);
        for seed in 0..PAIRS {
            let problem = clouds(n, seed)?;
            let best = optimum(&problem)?.transport_cost;
            let spread = problem.cost().range().spread();
            // The bracket's gap that stands for 1e-4 of the value.
            let tol = 1e-4 * best / spread;
            let solvers: [Box<dyn Solver>; 4] = [
                Box::new(Ipot::new(Settings {
                    tol,
                    ..Settings::default()
                })?),
                Box::new(Ipot::new(Settings {
                    tol,
                    ..Settings::printed(Reg::Relative(0.1))
                })?),
                Box::new(Sinkhorn::new(solver_sinkhorn::Settings {
                    tol: Some(1e-4),
                    ..solver_sinkhorn::Settings::with_reg(Reg::Relative(0.01))
                })?),
                Box::new(NetworkSimplex::default()),
            ];
            for (k, solver) in solvers.iter().enumerate() {
                let (time, error) = timed(solver.as_ref(), &problem, best)?;
                seconds[k] += time / PAIRS as f64;
                errors[k] += error / PAIRS as f64;
            }
        }
        for (k, curve) in curves.iter_mut().enumerate() {
            println!(
                "n = {n:4} {:32} {:9.4} s {:.1e}",
                curve.name, seconds[k], errors[k]
            );
            curve.points.push((n as f64, seconds[k]));
        }
    }
    let root = SVGBackend::new(&path, (820, 560)).into_drawing_area();
    root.fill(&WHITE)?;
    log_log(
        &root,
        "time to 1e-4, uniform clouds in 16 dimensions",
        ["points", "seconds"],
        60.0..2200.0,
        1e-5..1e2,
        &curves,
    )?;
    root.present()?;
    println!("{}", path.display());
    Ok(())
}

fn timed(solver: &dyn Solver, problem: &Problem, best: f64) -> Outcome<(f64, f64)> {
    let begun = Instant::now();
    let solution = solver.solve_with(problem, &mut Context::new().certified(Certify::Off))?;
    Ok((
        begun.elapsed().as_secs_f64(),
        (solution.transport_cost - best).abs() / best,
    ))
}
