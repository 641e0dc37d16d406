//! Figure 3 a–c of Frogner et al., *Learning with a Wasserstein loss* (2015), regenerated:
//!
//! `cargo run --release -p kantorovich --example figure_003_3 [FILE.svg]`
//!
//! Inputs as in section 5 of Cuturi, *Sinkhorn distances* (2013): h and y uniform on the simplex, M the distances between
//! points of a spherical Gaussian in dimension K/10, divided by their median. Values are those of the paper's equations:
//! the entropic term is −H(T)/λ, which is the reference e⁻¹·11ᵀ less the constant K²/(e·λ).
//!
//! a. K = 256: how far the relaxed value (8) is from the smoothed one (6), against γ = γa = γb.
//! b. K = 256: how far (8) is from the Wasserstein distance without regularization.
//! c. Iterations of the relaxed problem until both marginal equations hold to 1e-4, against K.
//!
//! Shaded: 95 % intervals of the mean over the repetitions.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use kantorovich::{
    Certify, Context, Cost, DenseCost, Measure, Options, Problem, Reference, Reg, Registry, Solver,
};
use plotters::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rand_pcg::Pcg64Mcg;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const REPETITIONS: u64 = 16;
const DIMENSION: usize = 256;

/// One input: two histograms and a ground metric.
struct Input {
    h: Measure,
    y: Measure,
    cost: Arc<dyn Cost>,
}

impl Input {
    fn draw(k: usize, seed: u64) -> Result<Self> {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let dim = (k / 10).max(1);
        let points: Vec<Vec<f64>> = (0..k)
            .map(|_| (0..dim).map(|_| StandardNormal.sample(&mut rng)).collect())
            .collect();
        let distance = |p: &[f64], q: &[f64]| -> f64 {
            p.iter()
                .zip(q)
                .map(|(p, q)| (p - q) * (p - q))
                .sum::<f64>()
                .sqrt()
        };
        let mut m: Vec<f64> = points
            .iter()
            .flat_map(|p| points.iter().map(move |q| distance(p, q)))
            .collect();
        let mut sorted = m.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        m.iter_mut().for_each(|x| *x /= median);
        Ok(Self {
            h: simplex(k, &mut rng)?,
            y: simplex(k, &mut rng)?,
            cost: Arc::new(DenseCost::new(k, k, m)?),
        })
    }

    fn balanced(&self) -> Result<Problem> {
        Ok(Problem::new(
            self.h.clone(),
            self.y.clone(),
            Arc::clone(&self.cost),
        )?)
    }

    fn relaxed(&self, gamma: f64) -> Result<Problem> {
        let (h, y) = (self.h.clone(), self.y.clone());
        Ok(Problem::relaxed(
            h,
            y,
            Arc::clone(&self.cost),
            gamma,
            gamma,
        )?)
    }
}

/// Uniform on the simplex: exponentials over their sum.
fn simplex(k: usize, rng: &mut impl Rng) -> Result<Measure> {
    let weights: Vec<f64> = (0..k).map(|_| rng.sample::<f64, _>(Exp1)).collect();
    Ok(Measure::new(weights)?.normalized())
}

/// −H(T)/λ as the entropic term, in the kernel domain as in the paper.
fn entropic(registry: &Registry, lambda: f64, tol: f64) -> Result<Box<dyn Solver>> {
    let options = Options {
        reg: Some(Reg::Absolute(1.0 / lambda)),
        tol: Some(tol),
        prior: Some(Reference::negative_entropy()),
        ..Options::default()
    };
    Ok(registry.build("sinkhorn", &options)?)
}

/// The value of equation (6) or (8), and the iterations it took.
fn value(solver: &dyn Solver, problem: &Problem, lambda: f64) -> Result<(f64, f64)> {
    let mut context = Context::new().certified(Certify::Off);
    let solution = solver
        .solve_with(problem, &mut context)?
        .require_converged()?;
    let (n, m) = problem.shape();
    let constant = n as f64 * m as f64 * (-1.0_f64).exp() / lambda;
    let iterations = solution.convergence.iterations.unwrap_or(0) as f64;
    Ok((solution.objective - constant, iterations))
}

/// Mean and 95 % interval at each place of a line.
struct Line {
    label: String,
    points: Vec<(f64, f64, f64)>,
}

fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    (mean, 1.96 * (variance / n).sqrt())
}

/// Panels a and b: against γ, one line for each λ.
fn against_gamma(registry: &Registry) -> Result<[Vec<Line>; 2]> {
    let gammas: Vec<f64> = (-2..=8).map(|k| 10_f64.powf(0.5 * f64::from(k))).collect();
    let exact = registry.build("network-simplex", &Options::default())?;
    let inputs: Vec<Input> = (0..REPETITIONS)
        .map(|seed| Input::draw(DIMENSION, seed))
        .collect::<Result<_>>()?;
    let mut optima = Vec::new();
    for input in &inputs {
        optima.push(
            exact
                .solve(&input.balanced()?)?
                .require_converged()?
                .transport_cost,
        );
    }
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for lambda in [1.0, 10.0, 50.0] {
        let solver = entropic(registry, lambda, 1e-7)?;
        let mut smoothed = Vec::new();
        for input in &inputs {
            smoothed.push(value(solver.as_ref(), &input.balanced()?, lambda)?.0);
        }
        let label = format!("λ = {lambda}");
        let (mut to_smoothed, mut to_exact) = (Vec::new(), Vec::new());
        for &gamma in &gammas {
            let (mut near, mut far) = (Vec::new(), Vec::new());
            for ((input, smoothed), exact) in inputs.iter().zip(&smoothed).zip(&optima) {
                let relaxed = value(solver.as_ref(), &input.relaxed(gamma)?, lambda)?.0;
                near.push((relaxed - smoothed).abs() / smoothed.abs());
                far.push((relaxed - exact).abs() / exact);
            }
            let point = |values: &[f64]| {
                let (mean, half) = mean(values);
                (gamma, mean, half)
            };
            to_smoothed.push(point(&near));
            to_exact.push(point(&far));
        }
        a.push(Line {
            label: label.clone(),
            points: to_smoothed,
        });
        b.push(Line {
            label,
            points: to_exact,
        });
    }
    Ok([a, b])
}

/// Panel c: iterations against K, one line for each λ, with γ = 10.
fn against_dimension(registry: &Registry) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for lambda in [1.0, 10.0, 50.0] {
        let solver = entropic(registry, lambda, 1e-4)?;
        let mut points = Vec::new();
        for k in [64, 128, 256, 512, 1024] {
            let mut iterations = Vec::new();
            for seed in 0..REPETITIONS {
                let input = Input::draw(k, 1000 + seed)?;
                iterations.push(value(solver.as_ref(), &input.relaxed(10.0)?, lambda)?.1);
            }
            let (mean, half) = mean(&iterations);
            points.push((k as f64, mean, half));
        }
        lines.push(Line {
            label: format!("λ = {lambda}"),
            points,
        });
    }
    Ok(lines)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Colours that are told apart on white, also in grey.
const COLOURS: [RGBColor; 3] = [
    RGBColor(31, 78, 140),
    RGBColor(214, 96, 30),
    RGBColor(46, 139, 87),
];

/// A panel with logarithmic axes.
fn panel(area: &Area<'_>, title: &str, x: &str, y: &str, lines: &[Line]) -> Result<()> {
    let all = || lines.iter().flat_map(|line| &line.points);
    let span = |of: &dyn Fn(&(f64, f64, f64)) -> f64| {
        all()
            .map(of)
            .fold((f64::INFINITY, 0.0_f64), |(low, high), v| {
                (low.min(v), high.max(v))
            })
    };
    let (left, right) = span(&|p| p.0);
    let (low, high) = span(&|p| p.1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(62)
        .build_cartesian_2d(
            (left..right).log_scale(),
            (0.7 * low..5.0 * high).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .x_labels(5)
        .label_style(("sans-serif", 13))
        .x_label_formatter(&|v| format!("{v}"))
        .y_label_formatter(&|v| format!("{v:.0e}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (k, line) in lines.iter().enumerate() {
        let colour = COLOURS[k % COLOURS.len()];
        let up = line.points.iter().map(|p| (p.0, p.1 + p.2));
        let down = line
            .points
            .iter()
            .rev()
            .map(|p| (p.0, (p.1 - p.2).max(0.7 * low)));
        let band: Vec<(f64, f64)> = up.chain(down).collect();
        chart.draw_series([Polygon::new(band, colour.mix(0.2).filled())])?;
        let points = line.points.iter().map(|p| (p.0, p.1));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(line.label.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 13))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

fn main() -> Result<()> {
    let file = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target/figures/figure_003_3.svg".to_owned());
    if let Some(folder) = Path::new(&file).parent() {
        std::fs::create_dir_all(folder)?;
    }
    let registry = Registry::new();
    let [a, b] = against_gamma(&registry)?;
    let c = against_dimension(&registry)?;
    let root = SVGBackend::new(&file, (1380, 430)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 3));
    panel(
        &panels[0],
        "a. Relaxed (8) against smoothed (6), K = 256",
        "γa = γb",
        "relative distance",
        &a,
    )?;
    panel(
        &panels[1],
        "b. Relaxed (8) against unregularized, K = 256",
        "γa = γb",
        "relative distance",
        &b,
    )?;
    panel(
        &panels[2],
        "c. Iterations of the relaxed problem, γ = 10",
        "K",
        "iterations",
        &c,
    )?;
    root.present()?;
    println!("{file}");
    Ok(())
}
