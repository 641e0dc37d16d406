//! Inputs and drawing that the figures share.
#![allow(dead_code)]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use plotters::coord::Shift;
use plotters::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{
    Checkpoint, Context, DenseCost, Ground, Measure, PointCost, Problem, Reg, Solution, Solver,
};
use solver_exact::NetworkSimplex;
use solver_ipot::{Ipot, PlanKind, Settings};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Points of the line on which the source's two distributions stand.
pub(crate) const BINS: usize = 100;

/// Colours that are told apart on white, also in grey.
pub(crate) const COLOURS: [RGBColor; 5] = [
    RGBColor(31, 78, 140),
    RGBColor(214, 96, 30),
    RGBColor(46, 139, 87),
    RGBColor(150, 50, 120),
    RGBColor(90, 90, 90),
];

/// The two margins of figure 2.2, read off its corner: mixtures of two and of three Gaussians on [0, 1], squared
/// distances. (The text states neither means nor widths.)
pub(crate) fn mixtures() -> Outcome<Problem> {
    let x: Vec<f64> = (0..BINS).map(|k| k as f64 / (BINS - 1) as f64).collect();
    let density = |parts: &[(f64, f64, f64)]| {
        let of = |x: f64| {
            let bell = |(w, mean, width): &(f64, f64, f64)| {
                w / width * (-0.5 * ((x - mean) / width).powi(2)).exp()
            };
            parts.iter().map(bell).sum::<f64>()
        };
        Measure::new(x.iter().map(|&x| of(x)).collect::<Vec<_>>()).map(|m| m.normalized())
    };
    let a = density(&[(0.6, 0.2, 0.06), (0.4, 0.55, 0.09)])?;
    let b = density(&[(0.3, 0.35, 0.05), (0.4, 0.65, 0.07), (0.3, 0.85, 0.04)])?;
    let cost = DenseCost::materialize(&PointCost::new(
        x.clone(),
        x.clone(),
        1,
        Ground::SqEuclidean,
    )?)?;
    Ok(Problem::new(a, b, Arc::new(cost))?)
}

/// Two clouds of n points, uniform in the unit cube of 16 dimensions, with squared distances.
pub(crate) fn clouds(n: usize, seed: u64) -> Outcome<Problem> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut cloud = || -> Vec<f64> { (0..n * 16).map(|_| rng.random::<f64>()).collect() };
    let cost = DenseCost::materialize(&PointCost::new(cloud(), cloud(), 16, Ground::SqEuclidean)?)?;
    let uniform = Measure::uniform(n)?;
    Ok(Problem::new(uniform.clone(), uniform, Arc::new(cost))?)
}

pub(crate) fn optimum(problem: &Problem) -> Outcome<Solution> {
    Ok(NetworkSimplex::default()
        .solve(problem)?
        .require_converged()?)
}

/// Algorithm 1 after each number of iterations in `at` (ascending): goes on from its own checkpoints. Ends early where
/// the iterate itself is certified to 1e-12.
pub(crate) fn printed(
    problem: &Problem,
    beta: f64,
    inner: u64,
    at: &[u64],
    mut see: impl FnMut(u64, &Solution) -> Outcome,
) -> Outcome {
    let mut saved: Option<Checkpoint> = None;
    for &iterations in at {
        let solver = Ipot::new(Settings {
            inner,
            max_iter: iterations,
            check_every: u64::MAX,
            tol: 1e-12,
            plan: Some(PlanKind::Implicit),
            ..Settings::printed(Reg::Relative(beta))
        })?;
        let mut context = Context::new().keeping_checkpoint();
        if let Some(saved) = saved.take() {
            context = context.resuming(saved);
        }
        let solution = solver.solve_with(problem, &mut context)?;
        saved = context.checkpoint.take();
        see(iterations, &solution)?;
        if solution.convergence.converged() {
            break;
        }
    }
    Ok(())
}

/// Where the figure goes: the first argument, or a name in `target/figures`.
pub(crate) fn target(name: &str) -> Outcome<PathBuf> {
    if let Some(path) = std::env::args().nth(1) {
        return Ok(path.into());
    }
    let folder = PathBuf::from("target/figures");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(name))
}

/// A curve with its name.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Curves over two logarithmic axes.
pub(crate) fn log_log(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    axes: [&str; 2],
    x: std::ops::Range<f64>,
    y: std::ops::Range<f64>,
    curves: &[Curve],
) -> Outcome {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), y.clone().log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(axes[0])
        .y_desc(axes[1])
        .x_label_formatter(&|v| format!("1e{}", v.log10().round()))
        .y_label_formatter(&|v| format!("1e{}", v.log10().round()))
        .draw()?;
    for (k, curve) in curves.iter().enumerate() {
        let colour = COLOURS[k % COLOURS.len()];
        let points = curve.points.iter().map(|&(x, v)| (x, v.max(y.start)));
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.map(|p| Circle::new(p, 2, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.25))
        .draw()?;
    Ok(())
}
