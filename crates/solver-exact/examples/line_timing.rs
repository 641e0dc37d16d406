//! Times of the line on random points: `cargo run --release -p solver-exact --example line_timing -- N THREADS`.

use std::sync::Arc;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Context, Ground, Measure, PointCost, Problem, Solution, Solver};
use solver_exact::closed::{Circle, Line};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let n: usize = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let threads: usize = arguments.next().map_or(Ok(2), |t| t.parse())?;
    let mut rng = Pcg64::seed_from_u64(1);
    let mut draw = || -> Vec<f64> { (0..n).map(|_| rng.random::<f64>()).collect() };
    let (x, y, a, b) = (draw(), draw(), draw(), draw());
    let normalized = |w| Measure::new(w).map(|w: Measure| w.normalized());
    let (a, b) = (normalized(a)?, normalized(b)?);
    println!(
        "{n} + {n} points, {threads} threads, the best of some runs in ms: the cost alone, then whole solutions"
    );
    println!(
        "{:>22}{:>12}{:>12}{:>10}  cost",
        "", "solve", "certificate", "gap"
    );
    for ground in [Ground::SqEuclidean, Ground::Euclidean, Ground::Power(1.5)] {
        let name = ground.to_string();
        let cost = PointCost::new(x.clone(), y.clone(), 1, ground)?;
        let problem = Problem::new(a.clone(), b.clone(), Arc::new(cost))?;
        let context = Context::new().with_threads(threads)?;
        let (mut best, mut value) = (f64::INFINITY, 0.0);
        for _ in 0..6 {
            let begun = Instant::now();
            value = Line::default().transport_cost(&problem, &context)?;
            best = best.min(1e3 * begun.elapsed().as_secs_f64());
        }
        println!(
            "{:>22}{best:>12.1}{:>12}{:>10}  {value:.6e}",
            format!("line {name}"),
            "",
            ""
        );
    }
    for (solver, ground) in [
        (&Line::default() as &dyn Solver, Ground::SqEuclidean),
        (&Line::default(), Ground::Euclidean),
        (&Line::default(), Ground::Power(1.5)),
        (&Circle::default(), Ground::Arc),
    ] {
        let name = ground.to_string();
        let cost = PointCost::new(x.clone(), y.clone(), 1, ground)?;
        let problem = Problem::new(a.clone(), b.clone(), Arc::new(cost))?;
        let mut context = Context::new().with_threads(threads)?;
        let mut best: Option<Solution> = None;
        for _ in 0..4 {
            let found = solver.solve_with(&problem, &mut context)?;
            if best
                .as_ref()
                .is_none_or(|best| found.solve_time < best.solve_time)
            {
                best = Some(found);
            }
        }
        let Some(best) = best else { continue };
        let gap = best.certificate.map_or(f64::NAN, |bracket| bracket.gap());
        println!(
            "{:>22}{:>12.1}{:>12.1}{gap:>10.1e}  {:.6e}",
            format!("{} {name}", solver.name()),
            1e3 * best.solve_time.as_secs_f64(),
            1e3 * best.certify_time.as_secs_f64(),
            best.transport_cost
        );
    }
    Ok(())
}
