//! Optimal matchings drawn as lines: 5 000 random points of a square to as many of another, and of a handwritten 3 to an 8.
//!
//! ```text
//! cargo run --release -p ot-apps --example matching [-- --points N] [--data DATA]
//! ```
//! Points of digits are drawn from their ink, each anywhere in its pixel. Digits are those of `fixtures/`, or of `DATA`. The colour of a line is
//! its direction. Pictures go to `target/figures/matching.svg`.
#[path = "shared/args.rs"]
mod args;
#[path = "shared/picture.rs"]
mod picture;

use std::time::Instant;

use args::{Args, Outcome};
use plotters::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Ground, Problem, Solver};
use solver_exact::ExactPoints;

/// Pixels of a panel.
const SIDE: u32 = 760;

type Points = Vec<[f64; 2]>;

fn main() -> Outcome {
    let args = Args::read(&["points"])?;
    let count = args.count("points", 5000, 5000);
    let mut rng = Pcg64::seed_from_u64(5);
    let square =
        |rng: &mut Pcg64| -> Points { (0..count).map(|_| [rng.random(), rng.random()]).collect() };
    let squares = [square(&mut rng), square(&mut rng)];
    let (images, labels) = args.digits("train")?;
    let digit = |class: i64, rng: &mut Pcg64| -> Outcome<Points> {
        let at = labels.iter().position(|label| *label == class);
        let at = at.ok_or(format!("no digit {class}"))?;
        Ok(ink(images.image(at), images.size().1, count, rng))
    };
    let digits = [digit(3, &mut rng)?, digit(8, &mut rng)?];
    println!("{count} points a side; digits of {}", args.source());
    let file = picture::path("matching.svg")?;
    let root = SVGBackend::new(&file, (2 * SIDE, SIDE)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 2));
    for (panel, (name, [x, y])) in panels
        .iter()
        .zip([("squares", &squares), ("digits", &digits)])
    {
        let weights = vec![1.0 / count as f64; count];
        let problem = Problem::from_points(
            &weights,
            &weights,
            x.as_flattened(),
            y.as_flattened(),
            2,
            Ground::SqEuclidean,
        )?;
        let started = Instant::now();
        let solution = ExactPoints::default().solve(&problem)?;
        println!(
            "{name}: {:?} after {:.2} s, W2 {:.6}, gap {:.1e}",
            solution.convergence.termination,
            started.elapsed().as_secs_f64(),
            solution.transport_cost.sqrt(),
            solution.certificate.map_or(f64::NAN, |c| c.gap()),
        );
        let place = |p: &[f64; 2]| {
            let at = |v: f64| (f64::from(SIDE) * (0.04 + 0.92 * v)) as i32;
            (at(p[0]), at(p[1]))
        };
        for (i, j, _) in solution.plan.to_triples(0.0) {
            let (from, to) = (&x[i as usize], &y[j as usize]);
            let turn = (to[1] - from[1]).atan2(to[0] - from[0]) / std::f64::consts::TAU;
            let line = HSLColor(turn.rem_euclid(1.0), 0.75, 0.45).stroke_width(1);
            panel.draw(&PathElement::new([place(from), place(to)], line))?;
        }
    }
    root.present()?;
    println!("{}", file.display());
    Ok(())
}

/// Points of an image's ink, in the unit square.
fn ink(image: &[f64], width: usize, count: usize, rng: &mut Pcg64) -> Points {
    let mut sums = Vec::with_capacity(image.len());
    let mut sum = 0.0;
    for &level in image {
        sum += level;
        sums.push(sum);
    }
    let height = image.len() / width;
    let draw = |_| {
        let at = rng.random::<f64>() * sum;
        let pixel = sums.partition_point(|s| *s <= at).min(image.len() - 1);
        let (row, column) = (pixel / width, pixel % width);
        let within = |k: usize, of: usize, r: f64| (k as f64 + r) / of as f64;
        [
            within(column, width, rng.random()),
            within(row, height, rng.random()),
        ]
    };
    (0..count).map(draw).collect()
}
