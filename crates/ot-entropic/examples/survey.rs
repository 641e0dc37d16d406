//! How paths go on many random problems: `cargo run --release -p ot-entropic --example survey -- COUNT FIRST_SEED N [v]`.
//!
//! Points in a cube, in clusters or on a line, squared or plain distances, weights from equal to spread over decades.
//! Each line is a problem whose path took more than 150 Newton steps or 2 s, or did not reach the tolerance; the last one sums up.
mod timed;

use ot_entropic::path::End;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use timed::{balanced, timed};

fn main() {
    let argument = |k: usize, otherwise: usize| {
        std::env::args()
            .nth(k)
            .map_or(otherwise, |s| s.parse().expect("a number"))
    };
    let (count, first, n) = (argument(1, 200), argument(2, 0), argument(3, 700));
    let is_verbose = std::env::args().nth(4).is_some();
    let (mut failed, mut steps, mut slowest) = (0, Vec::new(), 0.0_f64);
    for seed in first..first + count {
        let mut rng = Pcg64::seed_from_u64(seed as u64);
        let d = [1, 2, 3, 8, 16][rng.random_range(0..5)];
        let (n, m) = (n + rng.random_range(0..n), n + rng.random_range(0..n));
        let clusters = rng.random_range(0..3);
        let is_squared = rng.random::<bool>();
        let decades = [0.0, 0.3, 1.0, 3.0, 8.0][rng.random_range(0..5)];
        let mut points = |k: usize| -> Vec<f64> {
            let centres: Vec<f64> = (0..8 * d).map(|_| rng.random::<f64>()).collect();
            let mut all = Vec::with_capacity(k * d);
            for i in 0..k {
                for c in 0..d {
                    all.push(match clusters {
                        0 => rng.random::<f64>(),
                        1 => centres[(i % 8) * d + c] + 0.03 * rng.random::<f64>(),
                        _ => centres[c] + (rng.random::<f64>() / (1e-2 + rng.random::<f64>())),
                    });
                }
            }
            all
        };
        let (x, y) = (points(n), points(m));
        let mut weights = |k: usize| -> Vec<f64> {
            let w: Vec<f64> = (0..k)
                .map(|_| 10_f64.powf(-decades * rng.random::<f64>()))
                .collect();
            let s: f64 = w.iter().sum();
            w.iter().map(|w| w / s).collect()
        };
        let (a, b) = (weights(n), weights(m));
        let mut cost = vec![0.0; n * m];
        for i in 0..n {
            for j in 0..m {
                let s: f64 = (0..d).map(|k| (x[i * d + k] - y[j * d + k]).powi(2)).sum();
                cost[i * m + j] = if is_squared { s } else { s.sqrt() };
            }
        }
        let reg = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6][rng.random_range(0..5)];
        let (found, seconds) = timed(balanced(&cost, &a, &b), reg, is_verbose);
        slowest = slowest.max(seconds);
        steps.push(found.work.steps);
        let has_failed = found.end != End::Converged;
        failed += u32::from(has_failed);
        if has_failed || found.work.steps > 150 || seconds > 2.0 {
            println!(
                "seed {seed}: {n} x {m}, d {d}, clusters {clusters}, squared {is_squared}, decades {decades}, reg {reg:e}: \
                 {seconds:.2} s {:?} {:.1e} {:?}",
                found.end,
                found.point.error(),
                found.work
            );
        }
    }
    steps.sort_unstable();
    println!(
        "{count} problems, {failed} not converged; Newton steps: median {}, 90 % {}, most {}; slowest {slowest:.2} s",
        steps[steps.len() / 2],
        steps[steps.len() * 9 / 10],
        steps[steps.len() - 1]
    );
}
