//! Figure 2 of source 000: a cloud in red, a slightly translated copy of it in blue with an outlier in green, and the
//! optimal plans for a convex cost (left) and a concave one (right). Lines are as wide as the mass that goes along them.
//! The convex cost lets the outlier move the whole cloud by one place; the concave one pays for a single long way.
//!
//! ```text
//! cargo run --release -p ot-apps --example figure2_outlier
//! ```

#[path = "shared/picture.rs"]
mod picture;

use std::sync::Arc;

use plotters::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use solver_api::{DenseCost, Ground, Measure, PointCost, Problem, Solver};
use solver_exact::NetworkSimplex;

const POINTS: usize = 30;
const SHIFT: [f64; 2] = [0.25, 0.1];
const OUTLIER: [f64; 2] = [6.5, 4.5];
const SOURCE: RGBColor = RGBColor(196, 40, 40);
const TARGET: RGBColor = RGBColor(31, 78, 140);
const FAR: RGBColor = RGBColor(30, 140, 70);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = picture::path("figure2_outlier.svg")?;
    let mut rng = Pcg64::seed_from_u64(2);
    let x: Vec<f64> = (0..2 * POINTS)
        .map(|_| StandardNormal.sample(&mut rng))
        .collect();
    let mut y: Vec<f64> = x
        .iter()
        .enumerate()
        .map(|(k, x)| x + SHIFT[k % 2])
        .collect();
    y.extend(OUTLIER);
    // Equal weights on both sides: the outlier takes a share of all.
    let (a, b) = (Measure::uniform(POINTS)?, Measure::uniform(POINTS + 1)?);

    let root = SVGBackend::new(&path, (1100, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = [
        ("convex: h(d) = d²", Ground::SqEuclidean),
        ("concave: h(d) = log(1 + d)", Ground::Log1p),
    ];
    println!(
        "{:>30}{:>10}{:>18}{:>22}",
        "cost", "lines", "mass to its copy", "mean way of the rest"
    );
    for (area, (title, ground)) in root.split_evenly((1, 2)).iter().zip(panels) {
        let cost = PointCost::new(x.clone(), y.clone(), 2, ground)?;
        let cost = Arc::new(DenseCost::materialize(&cost)?);
        let problem = Problem::new(a.clone(), b.clone(), cost)?;
        let solution = NetworkSimplex::default()
            .solve(&problem)?
            .require_converged()?;
        let lines = solution.plan.to_triples(1e-12);
        let most = lines.iter().fold(0.0, |most: f64, l| most.max(l.2));
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 19))
            .margin(14)
            .build_cartesian_2d(-3.2..7.2, -3.2..5.4)?;
        for &(i, j, mass) in &lines {
            let (i, j) = (i as usize, j as usize);
            let width = (4.0 * mass / most).ceil().max(1.0) as u32;
            // Faint lines for faint mass: the width of a line is a whole number of pixels.
            let colour = BLACK.mix(0.15 + 0.55 * mass / most);
            let ends = [(x[2 * i], x[2 * i + 1]), (y[2 * j], y[2 * j + 1])];
            chart.draw_series(LineSeries::new(ends, colour.stroke_width(width)))?;
        }
        let dots = |points: &[f64], size: u32, colour: RGBColor| {
            let dots = points
                .chunks_exact(2)
                .map(|p| Circle::new((p[0], p[1]), size, colour.filled()));
            dots.collect::<Vec<_>>()
        };
        chart.draw_series(dots(&x, 4, SOURCE))?;
        chart.draw_series(dots(&y[..2 * POINTS], 4, TARGET))?;
        chart.draw_series(dots(&y[2 * POINTS..], 6, FAR))?;
        let own: f64 = lines.iter().filter(|l| l.0 == l.1).map(|l| l.2).sum();
        let near = lines
            .iter()
            .filter(|l| l.0 != l.1 && l.1 as usize != POINTS);
        let (mut mass, mut way) = (0.0, 0.0);
        for &(i, j, m) in near {
            let (i, j) = (i as usize, j as usize);
            mass += m;
            way += m * (x[2 * i] - y[2 * j]).hypot(x[2 * i + 1] - y[2 * j + 1]);
        }
        println!(
            "{title:>30}{:>10}{:>17.1}%{:>22.3}",
            lines.len(),
            100.0 * own,
            way / mass
        );
    }
    root.present()?;
    println!("{}", path.display());
    Ok(())
}
