//! Times and work of paths: `cargo run --release -p ot-entropic --example path -- N`.
mod timed;

use ot_entropic::scaling::{Acceleration, Scaling, scale};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::time::Instant;
use timed::{balanced, timed};

fn main() {
    let n: usize = std::env::args()
        .nth(1)
        .map_or(2000, |s| s.parse().expect("a number"));
    let verbose = std::env::args().nth(2).is_some_and(|v| v == "v");
    // `d16-random` and the like: that one alone.
    let only = std::env::args().nth(3);
    for d in [2, 16] {
        for random in [false, true] {
            let name = format!("d{d}-{}", if random { "random" } else { "uniform" });
            if only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            let mut rng = Pcg64::seed_from_u64(1);
            let mut points = || -> Vec<f64> { (0..n * d).map(|_| rng.random::<f64>()).collect() };
            let (x, y) = (points(), points());
            let mut weights = || -> Vec<f64> {
                let w: Vec<f64> = (0..n)
                    .map(|_| {
                        if random {
                            rng.random::<f64>() + 1e-3
                        } else {
                            1.0
                        }
                    })
                    .collect();
                let s: f64 = w.iter().sum();
                w.iter().map(|w| w / s).collect()
            };
            let (a, b) = (weights(), weights());
            let mut cost = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..n {
                    cost[i * n + j] = (0..d).map(|k| (x[i * d + k] - y[j * d + k]).powi(2)).sum();
                }
            }
            let max = cost.iter().fold(0.0_f64, |t, c| t.max(*c));
            let min = cost.iter().fold(f64::INFINITY, |t, c| t.min(*c));
            for rel in if std::env::var_os("SCALING").is_some() {
                vec![3e-2, 1e-2, 3e-3]
            } else {
                vec![]
            } {
                let dual = balanced(&cost, &a, &b);
                for acceleration in [Acceleration::Anderson, Acceleration::OverRelaxation] {
                    for by_stages in [false, true] {
                        let scaling = Scaling {
                            acceleration,
                            reg: rel * max,
                            tol: 1e-9,
                            spread: max - min,
                            threads: 1,
                            max_iter: 2000,
                            by_stages,
                        };
                        let t = Instant::now();
                        let found = scale(dual, scaling, None, &mut |_, _| true);
                        println!(
                            "d {d} random {random} reg {rel:e} {acceleration:?} {by_stages}: {:.3} s {:?} {:.1e} {} its",
                            t.elapsed().as_secs_f64(),
                            found.end,
                            found.point.error(),
                            found.work.steps
                        );
                    }
                }
            }
            for rel in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6] {
                let (found, seconds) = timed(balanced(&cost, &a, &b), rel, verbose);
                println!(
                    "d {d} random {random} reg {rel:e}: {:.3} s err {:.1e} {:?} {:?}",
                    seconds,
                    found.point.error(),
                    found.end,
                    found.work
                );
            }
        }
    }
}
