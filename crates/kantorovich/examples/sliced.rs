//! The sliced distance on real clouds beside the exact one, and its gradient as a flow from one cloud to another:
//! `cargo run --release -p kantorovich --example sliced -- [folder for the picture]`.
//!
//! SW₂² = mean over directions θ of W₂²(θ·x, θ·y) needs sorting alone. In d dimensions it is about 1/d of W₂² for clouds
//! that differ by a translation, and less where they differ in shape. The table has both on cells, cytometry and colours
//! (`fixtures/`). The flow moves the colours of one photograph, with their weights, along −∂SW₂²/∂x with other directions
//! at every step, until they are spread as those of the other; the picture shows them on their way, each in its colour.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use kantorovich::closed::sliced::{Directions, sliced_gradient, sliced_wasserstein};
use kantorovich::prelude::*;
use plotters::prelude::*;

/// Directions of a distance, and of a step of the flow.
const DIRECTIONS: usize = 500;
const OF_A_STEP: usize = 50;
const STEPS: usize = 60;
/// Steps after which the flow is looked at; these are drawn.
const SHOWN: [usize; 4] = [0, 3, 10, 60];

/// Points of one side, with their weights.
struct Cloud {
    weights: Measure,
    points: Vec<f64>,
    dim: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let cloud = |points: &str, weights: Option<&str>| -> Result<Cloud, Box<dyn Error>> {
        let points = ot_data::npy::read(fixtures.join(points))?.into_matrix()?;
        let (n, dim) = points.dim();
        let weights = match weights {
            None => Measure::uniform(n)?,
            Some(name) => {
                let counts = ot_data::npy::read(fixtures.join(name))?.into_vector()?;
                Measure::new(counts.to_vec())?.normalized()
            }
        };
        let points = points.into_iter().collect();
        Ok(Cloud {
            weights,
            points,
            dim,
        })
    };
    let colours = |name: &str| {
        let (points, counts) = (
            format!("palettes/{name}.colours.npy"),
            format!("palettes/{name}.counts.npy"),
        );
        cloud(&points, Some(&counts))
    };
    let pairs = [
        ("colours", colours("coffee")?, colours("chelsea")?),
        (
            "cytometry",
            cloud("cytometry/cfp.npy", None)?,
            cloud("cytometry/mixed.npy", None)?,
        ),
        (
            "blood cells",
            cloud("cells/monocytes.npy", None)?,
            cloud("cells/dendritic.npy", None)?,
        ),
    ];
    println!(
        "{:>12}{:>12}{:>5}{:>12}{:>12}{:>14}{:>10}{:>11}",
        "", "points", "d", "W2^2", "SW2^2", "d SW2^2/W2^2", "exact", "sliced"
    );
    for (name, x, y) in &pairs {
        let begun = Instant::now();
        let exact = exact(x, &x.points, y)?;
        let of_exact = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let directions = Directions::random(DIRECTIONS, x.dim, 1)?;
        let sliced = sliced_wasserstein(
            &x.weights,
            &y.weights,
            &x.points,
            &y.points,
            &directions,
            2.0,
        )?;
        println!(
            "{name:>12}{:>12}{:>5}{exact:>12.5}{sliced:>12.5}{:>14.3}{of_exact:>8.3} s{:>9.3} s",
            format!("{}+{}", x.weights.len(), y.weights.len()),
            x.dim,
            x.dim as f64 * sliced / exact,
            begun.elapsed().as_secs_f64()
        );
    }

    let [(_, x, y), ..] = &pairs;
    println!("\n{:>6}{:>14}{:>14}", "step", "W2^2", "SW2^2");
    let mut at = x.points.clone();
    let measured = Directions::random(DIRECTIONS, x.dim, 1)?;
    let mut stations = Vec::new();
    for step in 0..=STEPS {
        if SHOWN.contains(&step) {
            let sliced =
                sliced_wasserstein(&x.weights, &y.weights, &at, &y.points, &measured, 2.0)?;
            let exact = exact(x, &at, y)?;
            println!("{step:>6}{exact:>14.6}{sliced:>14.6}");
            stations.push((format!("step {step}: W₂² = {exact:.4}"), at.clone()));
        }
        let directions = Directions::random(OF_A_STEP, x.dim, 100 + step as u64)?;
        let slope = sliced_gradient(&x.weights, &y.weights, &at, &y.points, &directions, 2.0)?;
        // A step of d/2 for each unit of mass: along each direction of a whole basis, all the way.
        for (k, (at, slope)) in at.iter_mut().zip(&slope.x).enumerate() {
            let weight = x.weights.weights()[k / x.dim];
            *at -= 0.5 * x.dim as f64 / weight * slope;
        }
    }
    stations.push(("where it is to go".to_owned(), y.points.clone()));
    let folder = std::env::args().nth(1);
    let folder = folder.unwrap_or_else(|| "target/figures".to_owned());
    std::fs::create_dir_all(&folder)?;
    let path = Path::new(&folder).join("sliced.svg");
    draw(&path, x, y, &stations)?;
    println!("{}", path.display());
    Ok(())
}

/// W₂² between `x`, with its points where they are now, and `y`.
fn exact(x: &Cloud, now: &[f64], y: &Cloud) -> Result<f64, Box<dyn Error>> {
    let cost = PointCost::new(now.to_vec(), y.points.clone(), x.dim, Ground::SqEuclidean)?;
    let cost = std::sync::Arc::new(DenseCost::materialize(&cost)?);
    let problem = Problem::new(x.weights.clone(), y.weights.clone(), cost)?;
    let solution = solve(&problem)?.require_converged()?;
    Ok(solution.transport_cost)
}

/// Red and blue of each colour, which is drawn as it is, as large as its weight.
fn draw(
    path: &Path,
    x: &Cloud,
    y: &Cloud,
    stations: &[(String, Vec<f64>)],
) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (1400, 330)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((1, stations.len()));
    for (k, (area, (title, points))) in areas.iter().zip(stations).enumerate() {
        let weights = if k + 1 == stations.len() {
            &y.weights
        } else {
            &x.weights
        };
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(40)
            .build_cartesian_2d(-0.05..1.05, -0.05..1.05)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(3)
            .y_labels(3)
            .x_label_formatter(&|v| format!("{v:.1}"))
            .y_label_formatter(&|v| format!("{v:.1}"))
            .x_desc("red")
            .y_desc("blue")
            .draw()?;
        let dots = points.chunks_exact(3).zip(weights.weights()).map(|(p, w)| {
            let byte = |v: f64| (255.0 * v.clamp(0.0, 1.0)).round() as u8;
            let colour = RGBColor(byte(p[0]), byte(p[1]), byte(p[2]));
            let size = (60.0 * w.sqrt()).clamp(2.0, 9.0) as u32;
            Circle::new((p[0], p[2]), size, colour.filled())
        });
        chart.draw_series(dots)?;
    }
    root.present()?;
    Ok(())
}
