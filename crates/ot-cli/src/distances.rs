//! `ot distances`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kantorovich::{Cost, DenseCost, Ground, Measure, PointCost};
use ndarray::Array2;
use ot_apps::{DistanceTable, Distances, Score, exponential_kernel, pixel_cost};
use serde::Serialize;

use crate::Cli;
use crate::args::DistancesArgs;
use crate::exit::{Exit, Failure};
use crate::input::{grid_dims, load, matrix, points};
use crate::many::{self, Figures, Job};
use crate::output::ArrayOut;
use crate::report::number;

/// Pairs of points up to which their costs are kept as a matrix (128 MiB), which is what many problems share best.
const LARGEST_MATRIX: usize = 1 << 24;
/// How often a table that grows is put in its place.
const STORED: Duration = Duration::from_secs(20);

/// The JSON object of `ot distances --json`: how many entries the table lacks, and the width of the kernel, beside the
/// usual fields.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    missing: usize,
    unconverged: usize,
    width: Option<f64>,
}

/// Fills the table, stores it, and returns the report with its exit status.
pub(crate) fn run(cli: &Cli<'_>, args: &DistancesArgs) -> Result<(String, Exit), Failure> {
    let job = Job::new(cli, &args.solver, "bins have `--points` or `--cost`")?;
    let out = ArrayOut::check("out", &args.out)?;
    let kernel_out = args.kernel_out.as_deref();
    let kernel_out = kernel_out.map(|path| ArrayOut::check("kernel-out", path));
    let kernel_out = kernel_out.transpose()?;
    if kernel_out.as_ref().is_some_and(|kernel| kernel.is(&out)) {
        let rule = format!("{} is already --out", args.out.display());
        return Err(Failure::option("kernel-out", rule));
    }
    if let Some(width) = args.width
        && !(width.is_finite() && width > 0.0)
    {
        let rule = format!("{width} must be finite and above 0");
        return Err(Failure::option("width", rule));
    }
    let cost = cost(args)?;
    let (bins, others) = cost.shape();
    let rows = histograms("weights", &args.weights, bins)?;
    let against = args.against.as_deref();
    let cols = against.map(|path| histograms("against", path, others));
    let cols = cols.transpose()?;
    if cols.is_none() && bins != others {
        let rule = format!("costs of {bins}×{others} bins are between two sets: give --against");
        return Err(Failure::option("cost", rule));
    }
    let shape = (rows.len(), cols.as_ref().map_or(rows.len(), Vec::len));
    let mut table = match args.resume {
        true => earlier(&args.out, shape)?,
        false => DistanceTable::empty(shape.0, shape.1).map_err(|e| job.failure(e))?,
    };

    let score = Score::TransportCost;
    let distances = Distances::new(job.solver(), cost, score).map_err(|e| job.failure(e))?;
    let mut stored = Instant::now();
    let mut keep = |table: &DistanceTable| {
        if stored.elapsed() >= STORED {
            stored = Instant::now();
            // Where it can't be written now, the end of the run will say so.
            let _ = out.write(&[shape.0, shape.1], table.values());
        }
    };
    let (filled, ended) = job.run("distances", |context| {
        distances.fill(&mut table, &rows, cols.as_deref(), context, &mut keep)
    })?;
    out.write(&[shape.0, shape.1], table.values())?;
    let missing = table.missing();
    let mut width = None;
    if let (Some(out), 0) = (&kernel_out, missing) {
        let t = args.width.or_else(|| table.quantile(0.5)).unwrap_or(1.0);
        if t <= 0.0 {
            let rule = "the median distance is 0: give --width";
            return Err(Failure::option("kernel-out", rule));
        }
        let kernel = exponential_kernel(&table, t).map_err(|e| job.failure(e))?;
        out.write(&[shape.0, shape.1], &kernel)?;
        width = Some(t);
    }
    let unconverged = filled.as_ref().map_or(0, |filled| filled.unconverged);
    let backend = filled.and_then(|filled| filled.solver);
    let backend = backend.unwrap_or_else(|| args.solver.backend.clone());
    let within = missing == 0 && unconverged == 0;
    let report = Report {
        figures: Figures::new(backend, shape, within, &ended),
        missing,
        unconverged,
        width,
    };
    let text = if args.json {
        many::json(&report)?
    } else {
        report.to_text(&args.out)
    };
    Ok((text, report.figures.exit()))
}

impl Report {
    fn to_text(&self, out: &Path) -> String {
        let of = &self.figures;
        let rest = match self.missing {
            0 => String::new(),
            missing => format!(", {missing} missing (NaN): --resume goes on"),
        };
        let mut pairs = vec![
            ("backend", of.backend.clone()),
            (
                "distances",
                format!("{}×{} in {}{rest}", of.n, of.m, out.display()),
            ),
            ("termination", of.verdict()),
        ];
        if self.unconverged > 0 {
            let short = format!("{} short of their tolerance", self.unconverged);
            pairs.push(("solves", short));
        }
        if let Some(width) = self.width {
            pairs.push(("kernel", format!("exp(-d/t), t = {}", number(Some(width)))));
        }
        pairs.push(("time", format!("{:.3} s", of.seconds)));
        many::lines(&pairs)
    }
}

fn cost(args: &DistancesArgs) -> Result<Arc<dyn Cost>, Failure> {
    if let Some(path) = &args.cost {
        let entries = matrix(path)?.into_f64();
        let (n, m) = (entries.shape()[0], entries.shape()[1]);
        let entries: Vec<f64> = entries.into_iter().collect();
        return Ok(Arc::new(DenseCost::new(n, m, entries)?));
    }
    let Some(metric) = &args.metric else {
        // The parser's groups leave nothing else.
        return Err(Failure::usage(
            "one of --cost, --points and --grid is needed",
        ));
    };
    let ground = Ground::parse(metric)?;
    if let Some(text) = &args.grid {
        let &[height, width] = &grid_dims(text)?[..] else {
            let rule = format!("`{text}` must be HxW, as in 28x28: images have two axes");
            return Err(Failure::option("grid", rule));
        };
        if matches!(ground, Ground::Arc | Ground::Cosine) {
            let rule = format!("`{metric}` is no cost between pixels: choose another");
            return Err(Failure::option("metric", rule));
        }
        let cost = pixel_cost((height, width), &ground);
        return cost.map_err(|e| Failure::option("grid", e));
    }
    let Some(path) = &args.points else {
        return Err(Failure::usage(
            "one of --cost, --points and --grid is needed",
        ));
    };
    let points = points("points", path)?;
    let dim = points.ncols();
    let points: Vec<f64> = points.into_iter().collect();
    let cost = PointCost::new(points.clone(), points, dim, ground)?;
    let (n, m) = cost.shape();
    // On a line and on a circle closed forms want the points.
    if dim == 1 || n.saturating_mul(m) > LARGEST_MATRIX {
        return Ok(Arc::new(cost));
    }
    Ok(Arc::new(DenseCost::materialize(&cost)?))
}

/// The rows of a file as measures of mass 1.
fn histograms(option: &'static str, path: &Path, bins: usize) -> Result<Vec<Measure>, Failure> {
    let loaded = load(option, path)?;
    // An image is a row of its pixels.
    let rows: Array2<f64> = match *loaded.shape() {
        [count, height, width] => {
            let images = loaded
                .into_images()
                .map_err(|e| Failure::option(option, e))?;
            let flat = images.into_shape_with_order((count, height * width));
            flat.map_err(|e| Failure::option(option, e))?
        }
        _ => loaded
            .into_matrix()
            .map_err(|e| Failure::option(option, e))?,
    };
    if rows.ncols() != bins {
        let rule = format!(
            "{} weights a row, but the cost has {bins} bins",
            rows.ncols()
        );
        return Err(Failure::option(option, rule));
    }
    let row = |(i, row): (usize, ndarray::ArrayView1<'_, f64>)| {
        let measure = Measure::named("weights", row.to_vec());
        match measure {
            Ok(measure) => Ok(measure.normalized()),
            Err(error) => Err(Failure::option(option, format!("row {i}: {error}"))),
        }
    };
    rows.outer_iter().enumerate().map(row).collect()
}

/// The table that an earlier run has left, or one with nothing in it.
fn earlier(path: &Path, (n, m): (usize, usize)) -> Result<DistanceTable, Failure> {
    let failed = |e: ot_apps::Error| Failure::option("resume", e);
    if !path.metadata().is_ok_and(|about| about.len() > 0) {
        return DistanceTable::empty(n, m).map_err(failed);
    }
    let stored = load("resume", path)?;
    if stored.shape() != [n, m] {
        let rule = format!(
            "{} is of shape {:?}, but the distances are {n}×{m}: another run's table",
            path.display(),
            stored.shape()
        );
        return Err(Failure::option("resume", rule));
    }
    let values = stored
        .into_matrix()
        .map_err(|e| Failure::option("resume", e))?;
    DistanceTable::from_values(n, m, values.into_iter().collect()).map_err(failed)
}
