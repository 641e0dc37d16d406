//! Figure 2.4 of source 002: plans between the two mixtures of figure 2.2, by Sinkhorn and stabilized Sinkhorn at several
//! β and by algorithm 1 after several numbers of iterations, over the plan of the simplex; and how many entries carry
//! mass, here and between clouds in 16 dimensions.
//!
//! ```text
//! cargo run --release -p solver-ipot --example figure_002_4 -- figure_002_4.svg
//! ```

#[path = "figures/clouds.rs"]
mod clouds;
#[path = "figures/common.rs"]
mod common;
#[path = "figures/entries.rs"]
mod entries;
#[path = "figures/mixtures.rs"]
mod mixtures;

use clouds::clouds;
use common::{Outcome, optimum, target};
use entries::{carrying, largest};
use mixtures::{BINS, mixtures, printed};
use plotters::coord::Shift;
use plotters::prelude::*;
use solver_api::{Error, Plan, Reg, Solver};
use solver_ipot::{Ipot, Settings};
use solver_sinkhorn::Sinkhorn;
use solver_stabilized::SinkhornStabilized;

fn main() -> Outcome {
    let path = target("figure_002_4.svg")?;
    let problem = mixtures()?;
    let exact = optimum(&problem)?;
    let root = SVGBackend::new(&path, (1280, 1330)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((4, 4));
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
    for (area, beta) in areas[4..].iter().zip([1e-3, 1e-4, 1e-5, 1e-6]) {
        let title = format!("stabilized Sinkhorn, β = {beta:e}");
        let s = stabilized(beta)?.solve(&problem)?;
        println!(
            "{title}: {} ({})",
            carrying(&s.plan),
            s.convergence.termination
        );
        draw(area, &title, Some(&s.plan), &exact.plan)?;
    }
    for (row, beta) in [(2, 0.1), (3, 0.001)] {
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
    println!("16 dimensions: entries, relative error of the value, seconds");
    for n in [64, 256, 1024] {
        let problem = clouds(n, 1)?;
        let exact = optimum(&problem)?;
        let sinkhorn = Sinkhorn::new(solver_sinkhorn::Settings::with_reg(Reg::Relative(0.01)))?;
        let found = [
            ("Sinkhorn, β = 0.01", sinkhorn.solve(&problem)?),
            ("stabilized, β = 1e-4", stabilized(1e-4)?.solve(&problem)?),
            ("stabilized, β = 1e-6", stabilized(1e-6)?.solve(&problem)?),
            ("IPOT", Ipot::new(Settings::default())?.solve(&problem)?),
        ];
        for (name, s) in found
            .iter()
            .map(|(n, s)| (*n, s))
            .chain([("simplex", &exact)])
        {
            println!(
                "n = {n:4} {name:22} {:7} {:.1e} {:.4} s",
                carrying(&s.plan),
                (s.transport_cost - exact.transport_cost).abs() / exact.transport_cost,
                s.solve_time.as_secs_f64(),
            );
        }
    }
    println!("{}", path.display());
    Ok(())
}

fn stabilized(beta: f64) -> Outcome<SinkhornStabilized> {
    let settings = solver_stabilized::Settings::with_reg(Reg::Relative(beta));
    Ok(SinkhornStabilized::new(settings)?)
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
