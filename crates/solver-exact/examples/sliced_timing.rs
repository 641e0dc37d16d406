//! How long sliced distances take, with and without the gradient.
//!
//! `cargo run --release -p solver-exact --example sliced_timing -- [points] [directions] [dimension]`.

use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use solver_api::{Context, Error, Measure};
use solver_exact::closed::sliced::{Directions, sliced_gradient, sliced_wasserstein};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1).map(|x| x.parse().ok());
    let mut next = |default: usize| args.next().flatten().unwrap_or(default);
    let (n, count, dim) = (next(100_000), next(100), next(3));
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut uniform = |n: usize| -> Vec<f64> { (0..n).map(|_| random.random()).collect() };
    let (x, y) = (uniform(n * dim), uniform(n * dim));
    let (a, b) = (
        Measure::new(uniform(n))?.normalized(),
        Measure::new(uniform(n))?.normalized(),
    );
    let directions = Directions::random(count, dim, 7)?;
    for threads in [1, 2] {
        let context = Context::new().with_threads(threads)?;
        context.install(|| -> Result<(), Error> {
            let begun = Instant::now();
            let value = sliced_wasserstein(&a, &b, &x, &y, &directions, 2.0)?;
            let alone = begun.elapsed();
            let begun = Instant::now();
            let slopes = sliced_gradient(&a, &b, &x, &y, &directions, 2.0)?;
            println!(
                "{n} points, {count} directions, d = {dim}, {threads} threads: value {alone:.2?}, with gradient {:.2?} ({value:.6e}, {:.0e} apart)",
                begun.elapsed(),
                (slopes.value - value).abs(),
            );
            Ok(())
        })?;
    }
    Ok(())
}
