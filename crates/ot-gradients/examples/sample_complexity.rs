//! How fast empirical divergences tend to 0 as the samples grow (001; Genevay et al., *Sample complexity of Sinkhorn
//! divergences*, 2019): two samples of n points of the uniform law on the cube [0, 1]^d, whose true divergence is 0,
//! squared Euclidean cost, mean over seeds. ε = 0 is W₂², which falls like n^{−2/d}; ε = ∞ the energy distance, which
//! falls like 1/n whatever d is.
//!
//! ```text
//! cargo run --release -p ot-gradients --example sample_complexity [-- FILE.svg [largest n] [seeds]]
//! ```

use std::error::Error;

use ot_gradients::{Costs, SinkhornDivergence, energy_distance};
use plotters::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Factory, Ground, Measure, Options, Reg};
use solver_exact::NetworkSimplexFactory;
use solver_sinkhorn::{Settings, Sinkhorn};

const DIMENSIONS: [usize; 3] = [2, 5, 10];
/// In cost units; squared distances of the cube reach d.
const REGS: [f64; 5] = [0.0, 0.03, 0.3, 3.0, f64::INFINITY];
const COLOURS: [RGBColor; 5] = [
    RGBColor(20, 20, 20),
    RGBColor(180, 0, 60),
    RGBColor(200, 120, 0),
    RGBColor(0, 130, 90),
    RGBColor(0, 90, 180),
];

/// The divergence of two samples of n points.
fn error(n: usize, dim: usize, reg: f64, seed: u64) -> Result<f64, Box<dyn Error>> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut cloud = || -> Vec<f64> { (0..n * dim).map(|_| rng.random_range(0.0..1.0)).collect() };
    let (x, y) = (cloud(), cloud());
    let w = Measure::uniform(n)?;
    let ground = Ground::SqEuclidean;
    if reg == f64::INFINITY {
        return Ok(energy_distance(&w, &w, &x, &y, dim, &ground)?.value);
    }
    if reg == 0.0 {
        // Among themselves the samples cost nothing.
        let exact = NetworkSimplexFactory.build(&Options::default())?;
        let cost = Costs::of_points(&x, &y, dim, &ground)?.ab;
        let problem = solver_api::Problem::new(w.clone(), w, cost)?;
        let solution = exact.solve_with(
            &problem,
            &mut solver_api::Context::default().certified(solver_api::Certify::Off),
        )?;
        return Ok(solution.require_converged()?.objective);
    }
    let settings = Settings {
        tol: Some(1e-6),
        // Points that are far from all others at the smallest ε take many.
        max_iter: 3_000_000,
        ..Settings::with_reg(Reg::Absolute(reg))
    };
    let solver = Sinkhorn::new(settings)?;
    let costs = Costs::of_points(&x, &y, dim, &ground)?;
    Ok(SinkhornDivergence::new(&solver)
        .between(&w, &w, &costs)?
        .value)
}

fn name(reg: f64) -> String {
    match reg {
        0.0 => "ε = 0 (W)".to_owned(),
        r if r.is_infinite() => "ε = ∞ (energy)".to_owned(),
        r => format!("ε = {r}"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args
        .next()
        .unwrap_or_else(|| "target/figures/sample_complexity.svg".to_owned());
    if let Some(folder) = std::path::Path::new(&path).parent() {
        std::fs::create_dir_all(folder)?;
    }
    let largest: usize = args.next().map_or(Ok(2048), |v| v.parse())?;
    let seeds: u64 = args.next().map_or(Ok(8), |v| v.parse())?;
    let sizes: Vec<usize> = (4..)
        .map(|k| 1 << k)
        .take_while(|n| *n <= largest)
        .collect();
    if sizes.len() < 2 || seeds == 0 {
        return Err("the largest n must be 32 or more, with one seed or more".into());
    }
    let root = SVGBackend::new(&path, (1500, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    for (dim, area) in DIMENSIONS
        .into_iter()
        .zip(root.split_evenly((1, DIMENSIONS.len())))
    {
        println!("\nd = {dim}: mean divergence of two samples over {seeds} seeds");
        print!("{:>16}", "n");
        sizes.iter().for_each(|n| print!("{n:>11}"));
        println!("{:>8}", "slope");
        let mut curves = Vec::new();
        for reg in REGS {
            let mut curve = Vec::new();
            print!("{:>16}", name(reg));
            for &n in &sizes {
                let mut sum = 0.0;
                for seed in 0..seeds {
                    sum += error(n, dim, reg, 1000 * seed + dim as u64)?;
                }
                let mean = sum / seeds as f64;
                print!("{mean:11.3e}");
                curve.push((n as f64, mean));
            }
            // Least squares in logarithms, over the larger half.
            let half: Vec<(f64, f64)> = curve[curve.len() / 2..]
                .iter()
                .map(|p| (p.0.ln(), p.1.ln()))
                .collect();
            let count = half.len() as f64;
            let mean = |f: &dyn Fn(&(f64, f64)) -> f64| half.iter().map(f).sum::<f64>() / count;
            let (mx, my) = (mean(&|p| p.0), mean(&|p| p.1));
            let slope = mean(&|p| (p.0 - mx) * (p.1 - my)) / mean(&|p| (p.0 - mx).powi(2));
            println!("{slope:8.2}");
            curves.push(curve);
        }
        let values = || curves.iter().flatten().map(|p| p.1);
        let low = values().fold(f64::INFINITY, f64::min) / 1.5;
        let high = values().fold(0.0, f64::max) * 12.0;
        let span = sizes[0] as f64..sizes[sizes.len() - 1] as f64;
        let mut chart = ChartBuilder::on(&area)
            .caption(
                format!("uniform on the cube, d = {dim}"),
                ("sans-serif", 17),
            )
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(66)
            .build_cartesian_2d(span.log_scale(), (low..high).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("n")
            .y_desc("mean divergence of two samples")
            .y_label_formatter(&|v| format!("{v:.0e}"))
            .x_label_formatter(&|v| format!("{v:.0}"))
            .draw()?;
        for ((curve, reg), colour) in curves.into_iter().zip(REGS).zip(COLOURS) {
            let style = colour.stroke_width(2);
            let marks = curve.clone();
            chart
                .draw_series(LineSeries::new(curve, style))?
                .label(name(reg))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
            chart.draw_series(
                marks
                    .into_iter()
                    .map(|p| Circle::new(p, 3, colour.filled())),
            )?;
        }
        chart
            .configure_series_labels()
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE.mix(0.85))
            .label_font(("sans-serif", 13))
            .position(SeriesLabelPosition::UpperRight)
            .draw()?;
    }
    root.present()?;
    println!("\n{path}");
    Ok(())
}
