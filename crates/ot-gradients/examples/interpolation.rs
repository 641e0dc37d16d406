//! Sinkhorn divergences between optimal transport and the energy distance: value against ε, for two clouds in the plane.
//!
//! ```text
//! cargo run --release -p ot-gradients --example interpolation [-- FILE.svg]
//! ```

use std::error::Error;

use ot_gradients::{Costs, SinkhornDivergence, energy_distance};
use plotters::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Factory, Ground, Measure, Options, Reg};
use solver_exact::NetworkSimplexFactory;
use solver_sinkhorn::{Settings, Sinkhorn};

const SIZES: (usize, usize) = (120, 90);
const POINTS: usize = 25;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target/figures/interpolation.svg".to_owned());
    if let Some(folder) = std::path::Path::new(&path).parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut rng = Pcg64::seed_from_u64(1);
    let mut numbers = |count: usize, from: f64, to: f64| -> Vec<f64> {
        (0..count).map(|_| rng.random_range(from..to)).collect()
    };
    let (n, m) = SIZES;
    let a = Measure::new(numbers(n, 0.2, 1.0))?.normalized();
    let b = Measure::new(numbers(m, 0.2, 1.0))?.normalized();
    let (x, y) = (numbers(2 * n, 0.0, 1.0), numbers(2 * m, 0.4, 1.2));
    let exact = NetworkSimplexFactory.build(&Options::default())?;
    let grounds = [Ground::Euclidean, Ground::SqEuclidean];
    let root = SVGBackend::new(&path, (1180, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    for (ground, area) in grounds.iter().zip(root.split_evenly((1, 2))) {
        let costs = Costs::of_points(&x, &y, 2, ground)?;
        let largest = costs.ab.range().max_abs();
        let w = SinkhornDivergence::new(exact.as_ref())
            .between(&a, &b, &costs)?
            .value;
        let energy = energy_distance(&a, &b, &x, &y, 2, ground)?.value;
        println!(
            "{ground}: W {w:.9}, half the energy distance {energy:.9}, largest cost {largest:.3}"
        );
        println!("{:>12} {:>14} {:>14}", "eps/max", "objective", "sharp");
        let (mut smooth, mut sharp) = (Vec::new(), Vec::new());
        for k in 0..POINTS {
            // From 5e-3, where kernel-domain Sinkhorn is still quick, to 100 of the largest cost.
            let relative = 5e-3 * 2e4_f64.powf(k as f64 / (POINTS - 1) as f64);
            let settings = Settings {
                tol: Some(1e-7),
                max_iter: 1_000_000,
                ..Settings::with_reg(Reg::Absolute(relative * largest))
            };
            let solver = Sinkhorn::new(settings)?;
            let divergence = SinkhornDivergence::new(&solver);
            let own = divergence.between(&a, &b, &costs)?;
            let transport = |s: &solver_api::Solution| s.transport_cost;
            let of_plans = transport(&own.ab) - 0.5 * transport(&own.aa) - 0.5 * transport(&own.bb);
            println!("{relative:12.4e} {:14.9} {of_plans:14.9}", own.value);
            smooth.push((relative, own.value / w));
            sharp.push((relative, of_plans / w));
        }
        let low = sharp
            .iter()
            .chain(&smooth)
            .map(|p| p.1)
            .fold(energy / w, f64::min);
        let high = sharp.iter().chain(&smooth).map(|p| p.1).fold(1.0, f64::max);
        let margin = 0.06 * (high - low);
        let range = (5e-3..1e2).log_scale();
        let mut chart = ChartBuilder::on(&area)
            .caption(
                format!("{ground} cost, {n} and {m} points"),
                ("sans-serif", 17),
            )
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(58)
            .build_cartesian_2d(range, low - margin..high + margin)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("ε over the largest cost")
            .y_desc("divergence over W")
            .x_label_formatter(&|v| format!("{v:e}"))
            .draw()?;
        let level = |v: f64| [(5e-3, v), (1e2, v)];
        let lines = [
            (level(1.0).to_vec(), BLACK.mix(0.6), "W (ε = 0, exact)"),
            (
                level(energy / w).to_vec(),
                RGBColor(200, 120, 0).mix(0.9),
                "½·energy distance (ε = ∞)",
            ),
            (smooth, RGBColor(0, 90, 180).mix(1.0), "S of the objective"),
            (
                sharp,
                RGBColor(180, 0, 60).mix(0.8),
                "sharp: of ⟨P, C⟩ (001)",
            ),
        ];
        for (points, colour, name) in lines {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(points, style))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
        chart
            .configure_series_labels()
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE.mix(0.85))
            .label_font(("sans-serif", 13))
            .position(SeriesLabelPosition::MiddleRight)
            .draw()?;
    }
    root.present()?;
    println!("{path}");
    Ok(())
}
