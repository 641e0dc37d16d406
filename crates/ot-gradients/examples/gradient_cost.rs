//! What derivatives take beside the solve, at a size of one's choice.
//!
//! ```text
//! cargo run --release -p ot-gradients --example gradient_cost -- [n] [reg over the largest cost] [steps]
//! ```

use std::error::Error;
use std::time::Instant;

use ot_gradients::{Unrolled, Wanted, implicit, objective};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Ground, Problem, Reg, Solver};
use solver_sinkhorn::{Settings, Sinkhorn};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let n: usize = args.next().map_or(Ok(2000), |v| v.parse())?;
    let reg: f64 = args.next().map_or(Ok(1e-2), |v| v.parse())?;
    let steps: usize = args.next().map_or(Ok(100), |v| v.parse())?;
    let mut rng = Pcg64::seed_from_u64(1);
    let mut numbers =
        |count: usize| -> Vec<f64> { (0..count).map(|_| rng.random_range(0.0..1.0)).collect() };
    let (x, y) = (numbers(2 * n), numbers(2 * n));
    let w = vec![1.0 / n as f64; n];
    let problem = Problem::from_points(&w, &w, &x, &y, 2, Ground::SqEuclidean)?;
    let timed = |what: &str, work: &mut dyn FnMut() -> Result<String, solver_api::Error>| {
        let begun = Instant::now();
        let said = work()?;
        println!(
            "{what:32} {:9.1} ms  {said}",
            begun.elapsed().as_secs_f64() * 1e3
        );
        Ok::<(), solver_api::Error>(())
    };
    let solver = Sinkhorn::new(Settings::with_reg(Reg::Relative(reg)))?;
    let solution = solver.solve(&problem)?;
    timed("solve", &mut || {
        let iterations = solver.solve(&problem)?.convergence.iterations;
        Ok(format!("{iterations:?} iterations"))
    })?;
    timed("objective by points", &mut || {
        objective::points(&problem, &solution).map(|_| String::new())
    })?;
    timed("transport cost by weights", &mut || {
        let found = implicit::gradient(&problem, &solution)?;
        Ok(format!(
            "{} iterations, residual {:.1e}",
            found.iterations, found.residual
        ))
    })?;
    let unrolled = Unrolled::new(Reg::Relative(reg), steps)?;
    timed("W_L", &mut || {
        unrolled
            .value(&problem)
            .map(|_| format!("{steps} iterations"))
    })?;
    for wanted in [Wanted::Weights, Wanted::Points] {
        timed(&format!("W_L by {wanted:?}"), &mut || {
            unrolled.gradient(&problem, wanted).map(|_| String::new())
        })?;
    }
    Ok(())
}
