//! Figure 2.4 of source 002: plans between the two mixtures of figure 2.2, by Sinkhorn at several β and by algorithm 1
//! after several numbers of iterations, over the plan of the simplex; and how many entries carry mass, here and
//! between clouds in 16 dimensions.
//!
//! ```text
//! cargo run --release -p solver-ipot --example figure_002_4 -- figure_002_4.svg
//! ```

#[path = "figures/clouds.rs"]
mod clouds;
#[path = "figures/common.rs"]
mod common;
#[path = "figures/mixtures.rs"]
mod mixtures;

use clouds::clouds;
use common::{Outcome, optimum, target};
use mixtures::{BINS, mixtures, printed};
use plotters::coord::Shift;
use plotters::prelude::*;
use solver_api::{Error, Plan, Reg, Solver};
use solver_ipot::{Ipot, Settings};
use solver_sinkhorn::Sinkhorn;

fn main() -> Outcome {
    let path = target("figure_002_4.svg")?;
    let problem = mixtures()?;
    let exact = optimum(&problem)?;
    let root = SVGBackend::new(&path, (1280, 1000)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((3, 4));
    println!(
        "entries above 1e-6 of the largest; the simplex has {}",
        carrying(&exact.plan)
    );
    for (area, beta) in areas.iter().zip([0.1, 0.01, 0.001, 0.0001]) {
        let title = format!("Sinkhorn, β = {beta}");
        let settings = solver_sinkhorn::Settings {
            max_iter: 2000,
            ..solver_sinkhorn::Settings::with_reg(Reg::Relative(beta))
        };
        match Sinkhorn::new(settings)?.solve(&problem) {
            Ok(s) => {
                println!(
                    "{title}: {} ({})",
                    carrying(&s.plan),
                    s.convergence.termination
                );
                draw(
                    area,
                    &format!(
                        "{title}, {:?} iterations",
                        s.convergence.iterations.unwrap_or(0)
                    ),
                    Some(&s.plan),
                    &exact.plan,
                )?;
            }
            Err(refusal @ Error::KernelUnderflow { .. }) => {
                println!("{title}: {refusal}");
                draw(
                    area,
                    &format!("{title}: refused, underflow"),
                    None,
                    &exact.plan,
                )?;
            }
            Err(other) => return Err(other.into()),
        }
    }
    for (row, beta) in [(1, 0.1), (2, 0.001)] {
        let mut areas = areas[4 * row..].iter();
        printed(&problem, beta, 1, &[20, 50, 200, 2000], |t, s| {
            println!("IPOT, β = {beta}, t = {t}: {}", carrying(&s.plan));
            let Some(area) = areas.next() else {
                return Ok(());
            };
            draw(
                area,
                &format!("IPOT, β = {beta}, {t} iterations"),
                Some(&s.plan),
                &exact.plan,
            )
        })?;
    }
    root.present()?;
    for n in [64, 256, 1024] {
        let problem = clouds(n, 1)?;
        let exact = optimum(&problem)?;
        let found = Ipot::new(Settings::default())?
            .solve(&problem)?
            .require_converged()?;
        println!(
            "16 dimensions, n = {n}: {} entries by ipot, {} by the simplex, values {:.12} and {:.12}, {:.4} s and {:.4} s",
            carrying(&found.plan),
            carrying(&exact.plan),
            found.transport_cost,
            exact.transport_cost,
            found.solve_time.as_secs_f64(),
            exact.solve_time.as_secs_f64(),
        );
    }
    println!("{}", path.display());
    Ok(())
}

fn largest(plan: &Plan) -> f64 {
    let mut top = 0.0_f64;
    plan.for_each_above(0.0, |_, _, p| top = top.max(p));
    top
}

fn carrying(plan: &Plan) -> usize {
    let mut count = 0;
    plan.for_each_above(1e-6 * largest(plan), |_, _, _| count += 1);
    count
}

/// A plan in red over the exact one in black.
fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    plan: Option<&Plan>,
    exact: &Plan,
) -> Outcome {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(8)
        .build_cartesian_2d(0.0..BINS as f64, 0.0..BINS as f64)?;
    chart.configure_mesh().disable_mesh().draw()?;
    let mut wire = Vec::new();
    exact.for_each_above(1e-6 * largest(exact), |i, j, _| {
        wire.push((i as f64 + 0.5, j as f64 + 0.5));
    });
    chart.draw_series(LineSeries::new(wire, BLACK.stroke_width(1)))?;
    if let Some(plan) = plan {
        let top = largest(plan);
        let mut cells = Vec::new();
        plan.for_each_above(2e-2 * top, |i, j, p| {
            let (x, y) = (i as f64, j as f64);
            let style = RED.mix(0.15 + 0.85 * (p / top).sqrt()).filled();
            cells.push(Rectangle::new([(x, y), (x + 1.0, y + 1.0)], style));
        });
        chart.draw_series(cells)?;
    }
    Ok(())
}
