//! Figure 2.2 of source 002: error against iteration of algorithm 1, on two mixtures of Gaussians on the line, for
//! L = 1, 10, 100 and β from 1e-3 to 1 of the largest cost.
//!
//! ```text
//! cargo run --release -p solver-ipot --example figure_002_2 -- figure_002_2.svg
//! ```

#[path = "figures/common.rs"]
mod common;
#[path = "figures/curves.rs"]
mod curves;
#[path = "figures/mixtures.rs"]
mod mixtures;

use common::{Outcome, optimum, target};
use curves::{COLOURS, Curve, log_log};
use mixtures::{BINS, mixtures, printed};
use plotters::prelude::*;

const ITERATIONS: u64 = 100_000;

fn main() -> Outcome {
    let path = target("figure_002_2.svg")?;
    let problem = mixtures()?;
    let best = optimum(&problem)?.transport_cost;
    let mut at: Vec<u64> = (0..=50)
        .map(|k| 10_f64.powf(f64::from(k) / 10.0).round() as u64)
        .collect();
    at.dedup();
    at.retain(|&t| t <= ITERATIONS);
    let root = SVGBackend::new(&path, (1180, 860)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((2, 2));
    println!("W = {best:.12}; |⟨Γ, C⟩ − W| and the larger marginal error after t iterations");
    for (area, inner) in areas.iter().zip([1, 10, 100]) {
        let mut curves = Vec::new();
        for beta in [1e-3, 1e-2, 1e-1, 1.0] {
            let mut points = Vec::new();
            printed(&problem, beta, inner, &at, |t, s| {
                let how = &s.convergence;
                let error = (s.transport_cost - best).abs();
                points.push((t as f64, error));
                if [1, 10, 100, 1000, 10_000, 100_000].contains(&t) || how.converged() {
                    let marginal = how.source_error.max(how.target_error);
                    println!(
                        "L = {inner:3}, β = {beta:<5}, t = {t:6}: {error:.2e} {marginal:.2e} {}",
                        how.termination
                    );
                }
                Ok(())
            })?;
            curves.push(Curve {
                name: format!("β = {beta}"),
                points,
            });
        }
        log_log(
            area,
            &format!("L = {inner}"),
            ["iteration", "|W − W_LP|"],
            1.0..ITERATIONS as f64,
            1e-16..1.0,
            &curves,
        )?;
    }
    margins(&areas[3], &problem)?;
    root.present()?;
    println!("{}", path.display());
    Ok(())
}

/// The two distributions.
fn margins(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    problem: &solver_api::Problem,
) -> Outcome {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let top = a.iter().chain(b).fold(0.0_f64, |t, w| t.max(*w));
    let mut chart = ChartBuilder::on(area)
        .caption("the two margins", ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..1.0, 0.0..1.1 * top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (w, colour) in [(a, COLOURS[0]), (b, COLOURS[1])] {
        let points = w
            .iter()
            .enumerate()
            .map(|(k, w)| (k as f64 / (BINS - 1) as f64, *w));
        chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
    }
    Ok(())
}
