//! Times of the grid solver on two blobs or two grey pictures of one size:
//! `cargo run --release -p ot-entropic --example grid_timing -- REL TOL (SIDE DIM | A.png B.png)`. With the variable
//! `VERBOSE`, each check is printed.
use std::error::Error;
use std::time::Instant;

use ot_entropic::grid::{GridPair, Limits, solve};
use solver_api::{Cost, GridCost, GridGround};

/// A grid, and weights on it.
type Pair = (Vec<usize>, Vec<f64>, Vec<f64>);

/// Two blobs with a ring each, on some ground.
fn blobs(side: usize, dim: usize) -> Pair {
    let dims = vec![side; dim];
    let n: usize = dims.iter().product();
    let blob = |c: f64, w: f64, floor: f64| -> Vec<f64> {
        let weight = |mut i: usize| {
            let mut d2 = 0.0;
            for k in 0..dim {
                let t = (i % side) as f64 / side as f64 - c - 0.07 * k as f64;
                d2 += t * t;
                i /= side;
            }
            (-d2 / w).exp() + 0.4 * (-(d2 - 0.1).powi(2) / 0.002).exp() + floor
        };
        at_mass_one((0..n).map(weight).collect())
    };
    let (a, b) = (blob(0.3, 0.01, 1e-3), blob(0.6, 0.02, 1e-3));
    (dims, a, b)
}

fn at_mass_one(mut w: Vec<f64>) -> Vec<f64> {
    let total: f64 = w.iter().sum();
    w.iter_mut().for_each(|w| *w /= total);
    w
}

fn pictures(a: &str, b: &str) -> Result<Pair, Box<dyn Error>> {
    let read = |path: &str| -> Result<(Vec<usize>, Vec<f64>), Box<dyn Error>> {
        let picture = ot_data::png::read(path)?.array.into_f64();
        let dims = picture.shape().to_vec();
        Ok((dims, at_mass_one(picture.into_iter().collect())))
    };
    let ((dims, a), (other, b)) = (read(a)?, read(b)?);
    if dims != other || dims.len() != 2 {
        return Err("two grey pictures of one size are wanted".into());
    }
    Ok((dims, a, b))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [rel, tol, x, y] = &args[..] else {
        return Err("REL TOL (SIDE DIM | A.png B.png)".into());
    };
    let (rel, tol): (f64, f64) = (rel.parse()?, tol.parse()?);
    let (dims, a, b) = match (x.parse(), y.parse()) {
        (Ok(side), Ok(dim)) => blobs(side, dim),
        _ => pictures(x, y)?,
    };
    let grid = GridCost::new(&dims, GridGround::SqEuclidean)?;
    let eps = rel * grid.range().max;
    let started = Instant::now();
    let limits = Limits {
        stop: tol,
        max_iter: 20_000,
        check_every: 50,
    };
    let pair = GridPair {
        grid: &grid,
        a: &a,
        b: &b,
    };
    let verbose = std::env::var_os("VERBOSE").is_some();
    let answer = solve(pair, eps, None, limits, |seen, _, _| {
        if verbose {
            println!(
                "{:5} eps {:9.3e} error {:9.3e} {:.2} s",
                seen.iteration,
                seen.eps,
                seen.error,
                started.elapsed().as_secs_f64()
            );
        }
        started.elapsed().as_secs_f64() < 120.0
    });
    println!(
        "{dims:?} reg {rel:e}: {:?} {} iterations ({} on the grid), error {:.2e}, {:.2} s",
        answer.end,
        answer.iterations,
        answer.on_the_grid,
        answer.error,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
