//! Times of the accelerated schedule beside the network simplex: `beside_simplex N DIMENSION [uniform|random]`.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{DenseCost, Ground, Measure, PointCost, Problem, Solver};
use solver_exact::NetworkSimplex;
use solver_ipot::{Ipot, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |k: usize, default: usize| args.get(k).and_then(|s| s.parse().ok()).unwrap_or(default);
    let (n, d) = (number(0, 1000), number(1, 2));
    let random = args.get(2).is_some_and(|s| s == "random");
    let mut rng = Pcg64::seed_from_u64(number(3, 1) as u64);
    let mut cloud = |len: usize| -> Vec<f64> { (0..len).map(|_| rng.random::<f64>()).collect() };
    let (x, y) = (cloud(n * d), cloud(n * d));
    let mut weights = || {
        let w: Vec<f64> = if random { cloud(n) } else { vec![1.0; n] };
        Measure::new(w).map(|w| w.normalized())
    };
    let (a, b) = (weights()?, weights()?);
    let cost = DenseCost::materialize(&PointCost::new(x, y, d, Ground::SqEuclidean)?)?;
    let problem = Problem::new(a, b, Arc::new(cost))?;
    let exact = NetworkSimplex::default().solve(&problem)?;
    println!("network-simplex {:.3} s", exact.solve_time.as_secs_f64());
    let s = Ipot::new(Settings::default())?.solve(&problem)?;
    let gap = s.certificate.map_or(f64::NAN, |c| c.relative_gap(&problem));
    println!(
        "ipot {:.3} s + {:.3} s, {} after {:?}, gap {gap:.1e}, off by {:.1e} relative",
        s.solve_time.as_secs_f64(),
        s.certify_time.as_secs_f64(),
        s.convergence.termination,
        s.convergence.iterations,
        (s.transport_cost - exact.transport_cost) / exact.transport_cost,
    );
    Ok(())
}
