//! How much of one cell population is found again in a mixture? Partial transport of a growing mass, on flow cytometry:
//! `cargo run --release --example partial_matching -- [folder for the picture]`.
//!
//! 800 events of one strain against 1000 of a mixture that contains it (`fixtures/cytometry`), each of mass 1. While the
//! strain finds its like, the price λ of one more event stays low; where λ climbs, what is left has no counterpart. The
//! picture shows the matching of half of the strain, and λ against the mass.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use kantorovich::prelude::*;
use ndarray::Array2;

/// Shares of the strain that move.
const SHARES: [f64; 20] = [
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.95, 1.0,
];
/// The share that is drawn.
const DRAWN: f64 = 0.5;
/// Channels that are drawn: V2-A (the strain's reporter) and SSC-A.
const CHANNELS: (usize, usize) = (1, 0);

fn main() -> Result<(), Box<dyn Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cytometry");
    let read = |name: &str| ot_data::npy::read(fixtures.join(name))?.into_matrix();
    let (strain, mixture) = (read("cfp.npy")?, read("mixed.npy")?);
    let (n, m, dim) = (strain.nrows(), mixture.nrows(), strain.ncols());
    let flat = |points: &Array2<f64>| points.iter().copied().collect::<Vec<_>>();
    let cost = Arc::new(PointCost::new(
        flat(&strain),
        flat(&mixture),
        dim,
        Ground::SqEuclidean,
    )?);
    let (a, b) = (Measure::new(vec![1.0; n])?, Measure::new(vec![1.0; m])?);
    let solver = Registry::default().build("auto", &Options::default())?;

    println!(
        "{n} events of one strain, {m} of a mixture; squared Euclidean cost in {dim} channels"
    );
    println!("  mass       cost    price of one more   certified gap   seconds");
    let (mut prices, mut drawn) = (Vec::new(), None);
    for share in SHARES {
        let mass = share * n as f64;
        let problem = Problem::partial(a.clone(), b.clone(), cost.clone(), mass)?;
        let solution = solver.solve(&problem)?.require_converged()?;
        let gap = solution.certificate.map_or(f64::NAN, |c| c.gap());
        println!(
            "{mass:6.0} {:10.3} {:20.4} {gap:15.1e} {:9.3}",
            solution.transport_cost,
            solution.potentials.lambda,
            solution.solve_time.as_secs_f64()
        );
        prices.push((mass, solution.potentials.lambda));
        if share == DRAWN {
            drawn = Some(solution.plan);
        }
    }
    let folder = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target".to_owned());
    std::fs::create_dir_all(&folder)?;
    let path = Path::new(&folder).join("partial_matching.svg");
    if let Some(plan) = drawn {
        std::fs::write(&path, picture(&strain, &mixture, &plan, &prices)?)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// A range of values laid over a stretch of pixels.
struct Axis {
    values: (f64, f64),
    pixels: (f64, f64),
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Self {
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        let values = values.fold(start, |(low, high), v| (low.min(v), high.max(v)));
        Self { values, pixels }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }
}

/// The matching on the left, the price of one more event on the right.
fn picture(
    strain: &Array2<f64>,
    mixture: &Array2<f64>,
    plan: &Plan,
    prices: &[(f64, f64)],
) -> Result<String, std::fmt::Error> {
    let both = |channel: usize| {
        strain
            .column(channel)
            .into_iter()
            .chain(mixture.column(channel))
    };
    let x = Axis::over(both(CHANNELS.0).copied(), (50.0, 510.0));
    let y = Axis::over(both(CHANNELS.1).copied(), (450.0, 50.0));
    let place = |points: &Array2<f64>, k: usize| {
        (x.at(points[[k, CHANNELS.0]]), y.at(points[[k, CHANNELS.1]]))
    };
    let mut svg = String::new();
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 500" font-family="sans-serif" font-size="13" fill="#222">
<rect width="960" height="500" fill="white"/>
<text x="50" y="28" font-size="15">Half of one strain, matched within a mixture</text>"##
    )?;
    let mut lines = String::new();
    let mut moved = vec![0.0; strain.nrows()];
    plan.for_each_above(1e-9, |i, j, p| {
        moved[i] += p;
        let ((x1, y1), (x2, y2)) = (place(strain, i), place(mixture, j));
        lines += &format!(r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}"/>"#);
    });
    let dots =
        |svg: &mut String, points: &Array2<f64>, keep: &dyn Fn(usize) -> bool, style: &str| {
            let all = (0..points.nrows()).filter(|&k| keep(k));
            let marks: String = all
                .map(|k| {
                    let (x, y) = place(points, k);
                    format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="2"/>"#)
                })
                .collect();
            writeln!(svg, "<g {style}>{marks}</g>")
        };
    dots(&mut svg, mixture, &|_| true, r##"fill="#bbb""##)?;
    writeln!(
        svg,
        r##"<g stroke="#555" stroke-width="0.6" opacity="0.7">{lines}</g>"##
    )?;
    dots(&mut svg, strain, &|k| moved[k] > 0.5, r##"fill="#0072b2""##)?;
    dots(
        &mut svg,
        strain,
        &|k| moved[k] <= 0.5,
        r##"fill="#e69f00""##,
    )?;
    for (at, colour, label) in [
        (0.0, "#bbb", "mixture"),
        (90.0, "#0072b2", "strain, moved"),
        (210.0, "#e69f00", "strain, kept back"),
    ] {
        writeln!(
            svg,
            r#"<circle cx="{}" cy="483" r="4" fill="{colour}"/><text x="{}" y="488">{label}</text>"#,
            55.0 + at,
            65.0 + at
        )?;
    }
    let mass = Axis::over(
        [0.0].into_iter().chain(prices.iter().map(|p| p.0)),
        (600.0, 930.0),
    );
    let price = Axis::over(
        [0.0].into_iter().chain(prices.iter().map(|p| p.1)),
        (450.0, 50.0),
    );
    let curve: Vec<String> = prices
        .iter()
        .map(|&(s, l)| format!("{:.1},{:.1}", mass.at(s), price.at(l)))
        .collect();
    let (top, most) = (price.values.1, mass.values.1);
    writeln!(
        svg,
        r##"<text x="600" y="28" font-size="15">Price λ of one more event</text>
<path d="M600 50V450H930" fill="none" stroke="#888"/>
<text x="592" y="54" text-anchor="end">{top:.2}</text><text x="592" y="454" text-anchor="end">0</text>
<text x="930" y="470" text-anchor="end">{most:.0} events</text>
<polyline points="{}" fill="none" stroke="#0072b2" stroke-width="2"/>
</svg>"##,
        curve.join(" ")
    )?;
    Ok(svg)
}
