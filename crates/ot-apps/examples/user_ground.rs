//! Digits by a ground cost of one's own: any function h of the distance between two pixels, concave or convex. Each test
//! digit belongs to the class of the training digit that it reaches at the least cost, by an exact plan.
//!
//! Two functions are made here, in one line each: 1 − exp(−d/3), concave, for which all far pixels are equally far, and
//! cosh(d/3) − 1, convex, for which one far pixel outweighs many near ones. The distance and its square stand beside
//! them. The second half of the table is of digits with one bright pixel, 3 % of the mass of each, in a corner that is
//! drawn: what a concave cost shrugs off and a convex one pays for.
//!
//! ```text
//! cargo run --release -p ot-apps --example user_ground [-- --full --data DIR] [--train N] [--test N]
//! ```

#[path = "shared/args.rs"]
mod args;

use std::time::Instant;

use args::{Args, Outcome};
use ot_apps::{Images, Neighbours, Score, pixel_cost};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Context, Ground};
use solver_exact::NetworkSimplex;

/// The mass of the bright pixel, as a part of the digit's.
const SPOT: f64 = 0.03;

fn grounds() -> Vec<Ground> {
    vec![
        Ground::of_distance("1 - exp(-d/3)", |d| 1.0 - (-d / 3.0).exp()),
        Ground::Euclidean,
        Ground::SqEuclidean,
        Ground::convex("cosh(d/3) - 1", |d| (d / 3.0).cosh() - 1.0),
    ]
}

/// The first digits of each class, so many of all.
fn first(images: &Images, labels: &[i64], count: usize) -> (Images, Vec<i64>) {
    let each = count.div_ceil(10);
    let mut seen = [0; 10];
    let chosen = labels.iter().enumerate().filter(|(_, l)| {
        let of_class = &mut seen[(**l).rem_euclid(10) as usize];
        *of_class += 1;
        *of_class <= each
    });
    let chosen: Vec<usize> = chosen.map(|(i, _)| i).collect();
    let labels = chosen.iter().map(|&i| labels[i]).collect();
    (images.select(&chosen), labels)
}

/// Each with a bright pixel in one of its corners.
fn spotted(images: &Images, seed: u64) -> Outcome<Images> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (height, width) = images.size();
    let mut pixels = images.pixels().to_vec();
    for image in pixels.chunks_exact_mut(height * width) {
        let (row, col) = (
            rng.random_range(0..2) * (height - 1),
            rng.random_range(0..2) * (width - 1),
        );
        let mass: f64 = image.iter().sum();
        image[row * width + col] += SPOT / (1.0 - SPOT) * mass;
    }
    Ok(Images::new("test", (height, width), pixels)?)
}

fn main() -> Outcome {
    let args = Args::read(&["train", "test"])?;
    let (images, labels) = args.digits("train")?;
    let (train, labels) = first(&images, &labels, args.count("train", 100, 500));
    let (images, expected) = args.digits("t10k")?;
    let (test, expected) = first(&images, &expected, args.count("test", 100, 500));
    println!(
        "{}: {} training digits, {} test digits, the nearest by an exact plan",
        args.source(),
        train.len(),
        test.len()
    );
    println!(
        "{:>16}{:>12}{:>14}{:>16}{:>10}",
        "h(d)", "accuracy", "with a spot", "solved for", "seconds"
    );
    let spots = spotted(&test, 1)?;
    let context = Context::default();
    let solver = NetworkSimplex::default();
    for ground in grounds() {
        let begun = Instant::now();
        let cost = pixel_cost(train.size(), &ground)?;
        let nearest = Neighbours::new(&solver, cost, 1, Score::TransportCost)?;
        let nearest = nearest.fit(&train, &labels, &context)?;
        let (plain, spotted) = (
            nearest.predict(&test, &context)?,
            nearest.predict(&spots, &context)?,
        );
        let pairs = 2 * test.len() * train.len();
        println!(
            "{:>16}{:>11.1}%{:>13.1}%{:>15.1}%{:>10.1}",
            ground.to_string(),
            100.0 * plain.accuracy(&expected)?,
            100.0 * spotted.accuracy(&expected)?,
            100.0 * (plain.solved() + spotted.solved()) as f64 / pairs as f64,
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
