//! Times of paths between two photographs as histograms, with the distance or its square as the cost:
//! `cargo run --release -p ot-entropic --example images -- [1 or 2] [v]`.
mod timed;

use ot_data::{DataError, npy};
use timed::{balanced, timed};

fn main() -> Result<(), DataError> {
    let power: i32 = (std::env::args().nth(1)).map_or(1, |p| p.parse().expect("1 or 2"));
    let verbose = std::env::args().nth(2).is_some_and(|v| v == "v");
    let only: Option<f64> = (std::env::args().nth(3)).map(|r| r.parse().expect("a number"));
    for (name, one, other) in [
        ("classic", "classicimages-astronaut", "classicimages-camera"),
        ("cauchy", "cauchydensity-0", "cauchydensity-1"),
    ] {
        let (a, side) = picture(one)?;
        let (b, _) = picture(other)?;
        let place = |k: usize| ((k / side) as f64, (k % side) as f64);
        let mut cost = Vec::with_capacity(a.len() * b.len());
        for i in 0..a.len() {
            for j in 0..b.len() {
                let ((x, y), (u, v)) = (place(i), place(j));
                cost.push((x - u).hypot(y - v).powi(power));
            }
        }
        for rel in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6] {
            if only.is_some_and(|only| only != rel) {
                continue;
            }
            let (found, seconds) = timed(balanced(&cost, &a, &b), rel, verbose);
            println!(
                "{name} reg {rel:e}: {:.3} s err {:.1e} {:?} {:?}",
                seconds,
                found.point.error(),
                found.end,
                found.work
            );
        }
    }
    Ok(())
}

/// A picture of 64 × 64 as weights of sum 1, and its side.
fn picture(name: &str) -> Result<(Vec<f64>, usize), DataError> {
    let file = format!(
        "{}/../../fixtures/dotmark/{name}-64.npy",
        env!("CARGO_MANIFEST_DIR")
    );
    let loaded = npy::read(file)?;
    let side = 64;
    let mut weights: Vec<f64> = loaded.into_flat()?.into_iter().collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    Ok((weights, side))
}
