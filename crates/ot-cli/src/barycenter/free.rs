//! Barycenters of points, whose support moves.

use std::path::PathBuf;

use kantorovich::Measure;
use ot_apps::barycenters::Start;
use ot_apps::{Cloud, FreeBarycenter, FreeSupport, FreeSupportSettings};

use super::{Report, lambda};
use crate::args::BarycenterArgs;
use crate::exit::Failure;
use crate::input::{load, points};
use crate::many::{Figures, Job};
use crate::output::ArrayOut;

/// Averages, and stores points and weights.
pub(super) fn run(
    job: &Job<'_>,
    args: &BarycenterArgs,
    out: &ArrayOut,
    weights_out: Option<&ArrayOut>,
) -> Result<Report, Failure> {
    let clouds = clouds(job, args)?;
    let lambda = lambda(args, clouds.len())?;
    let start = match &args.start {
        Some(path) => {
            let points = points("start", path)?;
            let (found, dim) = (points.ncols(), clouds.first().map_or(0, Cloud::dim));
            if found != dim {
                let rule =
                    format!("points of {found} coordinates, but those of --points have {dim}");
                return Err(Failure::option("start", rule));
            }
            Some(Start {
                points: points.into_iter().collect(),
                weights: None,
            })
        }
        None => None,
    };
    let default = FreeSupportSettings::new(args.support.unwrap_or(1));
    let settings = FreeSupportSettings {
        weights: args.find_weights,
        tol: args.solver.tol.unwrap_or(default.tol),
        max_iter: args.solver.max_iter,
        starts: args.starts.unwrap_or(default.starts),
        ..default
    };
    let method = FreeSupport::new(job.solver(), settings).map_err(|e| job.failure(e))?;
    let seed = args.solver.seed.unwrap_or(0);
    let (found, ended) = job.run("free", |context| match &start {
        Some(start) => method.fit_from(&clouds, &lambda, start, context),
        None => method.fit(&clouds, &lambda, seed, context),
    })?;
    let atoms = found
        .as_ref()
        .map_or(settings.atoms, |found| found.cloud.len());
    let mut report = Report {
        figures: Figures::new(None, (clouds.len(), atoms), false, &ended),
        method: "free".to_owned(),
        entropy: None,
    };
    if let Some(found) = found {
        let FreeBarycenter {
            cloud,
            mean_cost,
            convergence,
            solver,
            ..
        } = found;
        out.write(&[cloud.len(), cloud.dim()], cloud.points())?;
        if let Some(out) = weights_out {
            out.write(&[cloud.len()], cloud.weights().weights())?;
        }
        report.figures.settle(&convergence);
        // How far the atoms moved is no error of a marginal.
        report.figures.marginal_error = None;
        report.figures.backend = Some(solver);
        report.figures.transport_cost = Some(mean_cost);
        report.figures.mass = Some(1.0);
    }
    Ok(report)
}

fn clouds(job: &Job<'_>, args: &BarycenterArgs) -> Result<Vec<Cloud>, Failure> {
    let weights: &[PathBuf] = &args.point_weights;
    if !weights.is_empty() && weights.len() != args.points.len() {
        let rule = format!(
            "{} files, but there are {} of --points",
            weights.len(),
            args.points.len()
        );
        return Err(Failure::option("point-weights", rule));
    }
    let mut clouds = Vec::with_capacity(args.points.len());
    for (k, path) in args.points.iter().enumerate() {
        let points = points("points", path)?;
        let (count, dim) = points.dim();
        let points: Vec<f64> = points.into_iter().collect();
        let place = path.display().to_string();
        let measure = match weights.get(k) {
            None if count > 0 => Measure::uniform(count),
            None => return Err(Failure::option("points", format!("{place}: no points"))),
            Some(path) => {
                let list = load("point-weights", path)?.into_vector();
                let list = list.map_err(|e| Failure::option("point-weights", e))?;
                Measure::named("point-weights", list.to_vec())
            }
        };
        let measure = measure.map_err(|e| Failure::option("point-weights", e))?;
        let cloud = Cloud::new("points", points, dim, measure);
        clouds.push(cloud.map_err(|e| job.failure(e).within(&place))?);
    }
    Ok(clouds)
}
