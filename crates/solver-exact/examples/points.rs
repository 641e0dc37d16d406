//! Exact transport between clouds of n points in d dimensions: time, memory, pivots and the certificate.
//!
//! ```text
//! cargo run --release -p solver-exact --example points -- N D [uniform|random|skewed] [squares|blobs|gaussians|crossed|curves|cauchy|apart] [METRIC]
//! ```
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use solver_api::{Ground, Problem, Solver};
use solver_exact::ExactPoints;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = |or: &str| args.next().unwrap_or_else(|| or.to_owned());
    let (n, dim) = (next("10000").parse::<usize>()?, next("2").parse::<usize>()?);
    let (weights, shape) = (next("uniform"), next("squares"));
    let ground = Ground::parse(&next("sqeuclidean"))?;
    let mut rng = Pcg64::seed_from_u64(7);
    let normal = |rng: &mut Pcg64| -> f64 { rng.sample(StandardNormal) };
    let cube = |rng: &mut Pcg64| -> Vec<f64> { (0..n * dim).map(|_| rng.random()).collect() };
    let (x, y): (Vec<f64>, Vec<f64>) = match shape.as_str() {
        "squares" => (cube(&mut rng), cube(&mut rng)),
        "blobs" => {
            let centres: Vec<f64> = (0..5 * dim).map(|_| rng.random()).collect();
            let place = |k: usize| centres[k / dim % 5 * dim + k % dim];
            let y = (0..n * dim).map(|k| place(k) + 0.05 * normal(&mut rng));
            (y.collect(), cube(&mut rng))
        }
        "gaussians" => {
            let x = (0..n * dim).map(|_| normal(&mut rng)).collect();
            let y = (0..n * dim).map(|_| 3.0 + normal(&mut rng)).collect();
            (x, y)
        }
        "apart" => {
            let (x, y) = (cube(&mut rng), cube(&mut rng));
            (x, y.iter().map(|v| v + 2.0).collect())
        }
        "crossed" => {
            let thin = |k: usize, rng: &mut Pcg64, flat: usize| {
                normal(rng) * if k % dim == flat { 0.01 } else { 1.0 }
            };
            let x = (0..n * dim).map(|k| thin(k, &mut rng, 1)).collect();
            let y = (0..n * dim).map(|k| thin(k, &mut rng, 0)).collect();
            (x, y)
        }
        "curves" => {
            let curve = |turns: f64, rng: &mut Pcg64| -> Vec<f64> {
                let at = (0..n).map(|_| rng.random::<f64>() * turns);
                let mut points: Vec<f64> = at
                    .flat_map(|t| (0..dim).map(move |k| t * (t - k as f64 * 1.5).sin()))
                    .collect();
                for x in &mut points {
                    *x += 0.01 * normal(rng);
                }
                points
            };
            (curve(6.0, &mut rng), curve(9.0, &mut rng))
        }
        "cauchy" => {
            let mut cloud = || -> Vec<f64> {
                let one = |_| normal(&mut rng) / normal(&mut rng);
                (0..n * dim).map(one).collect()
            };
            (cloud(), cloud())
        }
        other => return Err(format!("{other}: no such clouds").into()),
    };
    let mut mass = || -> Result<Vec<f64>, String> {
        let w: Vec<f64> = match weights.as_str() {
            "uniform" => vec![1.0; n],
            "random" => (0..n).map(|_| 0.1 + rng.random::<f64>()).collect(),
            "skewed" => (0..n).map(|_| (4.0 * normal(&mut rng)).exp()).collect(),
            other => return Err(format!("{other}: uniform, random or skewed")),
        };
        let sum: f64 = w.iter().sum();
        Ok(w.iter().map(|w| w / sum).collect())
    };
    let (a, b) = (mass()?, mass()?);
    let problem = Problem::from_points(&a, &b, &x, &y, dim, ground.clone())?;
    let started = Instant::now();
    let solution = ExactPoints::default().solve(&problem)?;
    println!(
        "n {n} d {dim} {weights} {shape} {ground}: {:.3} s, {:?}, {} pivots, cost {:.12}, gap {:.1e}",
        started.elapsed().as_secs_f64(),
        solution.convergence.termination,
        solution.convergence.iterations.unwrap_or(0),
        solution.transport_cost,
        solution.certificate.map_or(f64::NAN, |c| c.gap()),
    );
    Ok(())
}
