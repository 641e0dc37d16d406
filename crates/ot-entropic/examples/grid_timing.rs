//! Times of the grid solver: `cargo run --release -p ot-entropic --example grid_timing -- SIDE DIM REL TOL`.
use std::time::Instant;

use ot_entropic::grid::{GridPair, Limits, solve};
use solver_api::{Cost, GridCost, GridGround};

fn main() {
    let args: Vec<f64> = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse().ok())
        .collect();
    let (side, dim, rel, tol) = (args[0] as usize, args[1] as usize, args[2], args[3]);
    let dims = vec![side; dim];
    let grid = GridCost::new(&dims, GridGround::SqEuclidean).expect("a grid");
    let n: usize = dims.iter().product();
    let blob = |c: f64, w: f64, floor: f64| -> Vec<f64> {
        let mut x: Vec<f64> = (0..n)
            .map(|mut i| {
                let mut d2 = 0.0;
                for k in 0..dim {
                    let t = (i % side) as f64 / side as f64 - c - 0.07 * k as f64;
                    d2 += t * t;
                    i /= side;
                }
                (-d2 / w).exp() + 0.4 * (-(d2 - 0.1).powi(2) / 0.002).exp() + floor
            })
            .collect();
        let s: f64 = x.iter().sum();
        x.iter_mut().for_each(|x| *x /= s);
        x
    };
    let (a, b) = (blob(0.3, 0.01, 1e-3), blob(0.6, 0.02, 1e-3));
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
    let verbose = args.len() > 4;
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
}
