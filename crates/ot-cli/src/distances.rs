//! `ot distances`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kantorovich::{Cost, CostKind, DenseCost, Ground, Measure, PointCost};
use ndarray::Array2;
use ot_apps::{DistanceTable, Distances, Score, exponential_kernel, pixel_cost};
use serde::Serialize;

use crate::Cli;
use crate::args::DistancesArgs;
use crate::exit::{Exit, Failure};
use crate::input::{grid_dims, load, matrix, points};
use crate::many::{self, Figures, Job};
use crate::output::{ArrayOut, Record};
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
    #[serde(skip)]
    kernel_left_out: bool,
}

/// Fills the table, stores it, and returns the report with its exit status.
pub(crate) fn run(cli: &Cli<'_>, args: &DistancesArgs) -> Result<(String, Exit), Failure> {
    let job = Job::new(cli, &args.solver, "bins have `--points` or `--cost`", false)?;
    let out = ArrayOut::check("out", &args.out)?;
    let kernel_out = args.kernel_out.as_deref();
    let kernel_out = kernel_out.map(|path| ArrayOut::check("kernel-out", path));
    let kernel_out = kernel_out.transpose()?;
    if kernel_out.as_ref().is_some_and(|kernel| kernel.is(&out)) {
        let rule = format!("{} is already --out", args.out.display());
        return Err(Failure::option("kernel-out", rule));
    }
    let read = [
        ("weights", Some(args.weights.as_path())),
        ("against", args.against.as_deref()),
        ("cost", args.cost.as_deref()),
        ("points", args.points.as_deref()),
    ];
    for written in [Some(&out), kernel_out.as_ref()].into_iter().flatten() {
        written.is_none_of(&read)?;
    }
    if let Some(width) = args.width
        && !(width.is_finite() && width > 0.0)
    {
        let rule = format!("{width} must be finite and above 0");
        return Err(Failure::option("width", rule));
    }
    let cost = cost(args)?;
    let (bins, others) = cost.shape();
    let rows = histograms("weights", &args.weights, bins, false)?;
    let against = args.against.as_deref();
    let cols = against.map(|path| histograms("against", path, others, false));
    let cols = cols.transpose()?;
    if cols.is_none() && bins != others {
        let rule = format!("costs of {bins}×{others} bins are between two sets: give --against");
        return Err(Failure::option("cost", rule));
    }
    let shape = (rows.len(), cols.as_ref().map_or(rows.len(), Vec::len));
    let record = Record::beside(&args.out);
    let print = fingerprint(args, cost.as_ref(), &rows, cols.as_deref());
    let mut table = match args.resume {
        true => earlier(&args.out, &record, print, shape)?,
        false => DistanceTable::empty(shape.0, shape.1).map_err(|e| job.failure(e))?,
    };

    let score = Score::TransportCost;
    let distances = Distances::new(job.solver(), cost, score).map_err(|e| job.failure(e))?;
    let mut stored = Instant::now();
    let mut keep = |table: &DistanceTable| {
        if stored.elapsed() >= STORED {
            stored = Instant::now();
            // Where it can't be written now, the end of the run will say so.
            let _ = store(&out, table, Some(print), &record);
        }
    };
    let outcome = job.run("distances", |context| {
        distances.fill(&mut table, &rows, cols.as_deref(), context, &mut keep)
    });
    let missing = table.missing();
    if missing == shape.0 * shape.1 {
        // Nothing to keep, and an earlier file stays as it is.
        if let Err(failure) = outcome {
            return Err(failure);
        }
    }
    let finished = missing == 0 && table.unconverged().is_empty();
    let recorded = (args.resume || !finished).then_some(print);
    store(&out, &table, recorded, &record)?;
    let (_, ended) = outcome?;
    let mut width = None;
    if let (Some(out), 0) = (&kernel_out, missing) {
        let t = args.width.or_else(|| table.quantile(0.5)).unwrap_or(1.0);
        if t <= 0.0 {
            let rule = format!("the median distance is {t}, and t must be positive: give --width");
            return Err(Failure::option("kernel-out", rule));
        }
        let kernel = exponential_kernel(&table, t).map_err(|e| job.failure(e))?;
        out.write(&[shape.0, shape.1], &kernel)?;
        width = Some(t);
    }
    let unconverged = table.unconverged().len();
    let backend = table.solver().map(str::to_owned);
    let within = finished;
    let report = Report {
        figures: Figures::new(backend, shape, within, &ended),
        missing,
        unconverged,
        width,
        kernel_left_out: kernel_out.is_some() && missing > 0,
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
            ("backend", of.who()),
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
        if self.kernel_left_out {
            let reason = "not written: entries are missing".to_owned();
            pairs.push(("kernel", reason));
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
        let cost = DenseCost::new(n, m, entries).map_err(|e| Failure::option("cost", e))?;
        return Ok(Arc::new(cost));
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
    let cost = PointCost::new(points.clone(), points, dim, ground);
    let cost = cost.map_err(|e| Failure::option("points", e))?;
    let (n, m) = cost.shape();
    // On a line and on a circle closed forms want the points.
    if dim == 1 || n.saturating_mul(m) > LARGEST_MATRIX {
        return Ok(Arc::new(cost));
    }
    Ok(Arc::new(DenseCost::materialize(&cost)?))
}

/// The rows of a file as measures, of mass 1 unless they keep their `masses`.
pub(crate) fn histograms(
    option: &'static str,
    path: &Path,
    bins: usize,
    masses: bool,
) -> Result<Vec<Measure>, Failure> {
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
            Ok(measure) if masses => Ok(measure),
            Ok(measure) => Ok(measure.normalized()),
            Err(error) => Err(Failure::option(option, format!("row {i}: {error}"))),
        }
    };
    rows.outer_iter().enumerate().map(row).collect()
}

/// Puts the table in its place, and its record if it has a `print`. What ends the process in between leaves a table without
/// a record, which is refused, and never one with another's.
fn store(
    out: &ArrayOut,
    table: &DistanceTable,
    print: Option<u64>,
    record: &Record,
) -> Result<(), Failure> {
    record.remove();
    let (n, m) = table.shape();
    out.write(&[n, m], table.values())?;
    match print {
        Some(print) => record.write(print, table.unconverged()),
        None => Ok(()),
    }
}

/// What the entries depend on, as a number: weights, costs, backend and settings; not its tolerance and limits, so that a run
/// may go on with others.
fn fingerprint(
    args: &DistancesArgs,
    cost: &dyn Cost,
    rows: &[Measure],
    cols: Option<&[Measure]>,
) -> u64 {
    // FNV-1a over words: it tells slips apart, not attacks.
    let mut print = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |word: u64| {
        print = (print ^ word)
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(23);
    };
    for list in [rows, cols.unwrap_or(&[])] {
        mix(list.len() as u64);
        list.iter()
            .flat_map(Measure::weights)
            .for_each(|w| mix(w.to_bits()));
    }
    if let CostKind::Points(points) = cost.kind() {
        points.x().iter().for_each(|x| mix(x.to_bits()));
    } else {
        let mut row = vec![0.0; cost.shape().1];
        for i in 0..cost.shape().0 {
            cost.row(i, &mut row);
            row.iter().for_each(|c| mix(c.to_bits()));
        }
    }
    let solver = &args.solver;
    for reg in [solver.reg, solver.reg_rel] {
        mix(reg.map_or(1, f64::to_bits));
    }
    let metric = args.metric.as_deref().unwrap_or_default();
    let mut words = vec![metric, &solver.backend];
    words.extend(solver.set.iter().map(String::as_str));
    words.join("\n").bytes().for_each(|byte| mix(byte.into()));
    print
}

/// The table that an earlier run of the same problem has left, or one with nothing in it. What fell short of its tolerance
/// then is solved for again.
fn earlier(
    path: &Path,
    record: &Record,
    print: u64,
    (n, m): (usize, usize),
) -> Result<DistanceTable, Failure> {
    let failed = |e: ot_apps::Error| Failure::option("resume", e);
    if !path.metadata().is_ok_and(|about| about.len() > 0) {
        return DistanceTable::empty(n, m).map_err(failed);
    }
    if !record.path().is_file() {
        let rule = format!(
            "{} has no record of its problem ({}): it was finished without --resume, or is another's",
            path.display(),
            record.path().display()
        );
        return Err(Failure::option("resume", rule));
    }
    let (of, short) = record.read()?;
    if of != print {
        let rule = format!(
            "{} is the table of other weights, costs, or settings of the backend",
            path.display()
        );
        return Err(Failure::option("resume", rule));
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
    let mut values: Vec<f64> = values.into_iter().collect();
    for place in short {
        if let Some(value) = values.get_mut(place) {
            *value = f64::NAN;
        }
    }
    DistanceTable::from_values(n, m, values).map_err(failed)
}
