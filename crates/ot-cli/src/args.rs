//! The command line's grammar, and its errors on one line.

mod barycenter;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Parser, Subcommand};

use barycenter::BARYCENTER_NOTES;
pub(crate) use barycenter::BarycenterArgs;

/// Optimal transport from arrays on disk, with a certificate for every answer.
#[derive(Debug, Parser)]
#[command(
    name = "ot",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = false,
    max_term_width = 100
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Solve one problem
    #[command(after_help = SOLVE_NOTES)]
    Solve(Box<SolveArgs>),
    /// Classify images by transport cost to models of the classes, or by a plan to them
    #[command(after_help = CLASSIFY_NOTES)]
    Classify(Box<ClassifyArgs>),
    /// Fill a table of transport costs between many histograms
    #[command(after_help = DISTANCES_NOTES)]
    Distances(Box<DistancesArgs>),
    /// Average measures
    #[command(after_help = BARYCENTER_NOTES)]
    Barycenter(Box<BarycenterArgs>),
    /// List the backends, what they can do, and their settings
    Backends(BackendsArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct BackendsArgs {
    /// Print a JSON array, with every setting and its default
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `ot solve --help` says below its options.
const SOLVE_NOTES: &str = "\
Arrays are .npy, .npz (one array, or FILE.npz:KEY) or .csv, in double or single precision or integers.
Metrics: sqeuclidean, euclidean, cityblock, chebyshev, minkowski:P, cosine, arc (positions in turns), and
log1p, atan, asinh, atanh:S, power:P of the Euclidean distance. With --set tree=T.npy, N×2, the parent (the
root's: -1) and the length of the edge of each node, points are nodes, n×1, and costs are paths.
Exit status: 0 solved to tolerance; 2 bad input or usage; 3 an answer that did not reach its tolerance,
printed all the same; 4 infeasible. Ctrl-C ends a solve with the answer so far, status 3; a second one ends
the program.

Examples:
  ot solve --cost C.npy --json                                   uniform weights, exact
  ot solve --x X.npy --y Y.npy --metric sqeuclidean --mass 0.5   half of the mass moves, the rest stays
  ot solve --x X.npy --y Y.npy --set tree=T.npy                  points are nodes of a tree, exact
  ot solve --a a.npy --b b.npy --cost C.npy --mass 3 --reg 0.1   the same, entropic, of weights in any units";

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("costs").args(["cost", "x", "grid"]).required(true))]
pub(crate) struct SolveArgs {
    /// Weights of the sources; uniform if omitted
    #[arg(long, value_name = "FILE", help_heading = "Problem")]
    pub(crate) a: Option<PathBuf>,

    /// Weights of the targets; uniform if omitted
    #[arg(long, value_name = "FILE", help_heading = "Problem")]
    pub(crate) b: Option<PathBuf>,

    /// The n×m cost matrix; inf forbids a pair (a huge number in its place would cost the others their digits)
    #[arg(long, value_name = "FILE", help_heading = "Problem", conflicts_with_all = ["y", "metric", "lazy"])]
    pub(crate) cost: Option<PathBuf>,

    /// Source points, n×d (or n numbers)
    #[arg(long, value_name = "FILE", help_heading = "Problem", requires = "y")]
    pub(crate) x: Option<PathBuf>,

    /// Target points, m×d (or m numbers)
    #[arg(long, value_name = "FILE", help_heading = "Problem", requires = "x")]
    pub(crate) y: Option<PathBuf>,

    /// Both sides are the cells of this grid, a unit apart (N: of a line); weights may have its shape
    #[arg(
        long,
        value_name = "HxW[xD]",
        help_heading = "Problem",
        allow_hyphen_values = true,
        requires = "metric",
        conflicts_with = "y"
    )]
    pub(crate) grid: Option<String>,

    /// Cost between two points or cells; the names are below
    #[arg(long, value_name = "NAME", help_heading = "Problem")]
    pub(crate) metric: Option<String>,

    /// Compute costs when needed: no n×m array, for backends that can do without one
    #[arg(long, help_heading = "Problem", requires = "x")]
    pub(crate) lazy: bool,

    /// Scale both weights to mass 1
    #[arg(long, help_heading = "Problem")]
    pub(crate) normalize: bool,

    /// Relax the source marginal: weight of its KL term (inf, or omitted: hard)
    #[arg(
        long,
        value_name = "G",
        help_heading = "Problem",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) gamma_a: Option<f64>,

    /// Relax the target marginal: weight of its KL term (inf, or omitted: hard)
    #[arg(
        long,
        value_name = "G",
        help_heading = "Problem",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) gamma_b: Option<f64>,

    /// Move exactly this mass, at most the smaller of the two
    #[arg(long, value_name = "S", help_heading = "Problem", allow_negative_numbers = true, conflicts_with_all = ["gamma_a", "gamma_b"], value_parser = real)]
    pub(crate) mass: Option<f64>,

    /// Reference plan of the entropy in place of a⊗b, n×m and not negative: 0 forbids a pair
    #[arg(long, value_name = "FILE", help_heading = "Problem")]
    pub(crate) prior: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) solver: SolverArgs,

    /// Start from the potentials f and g of an earlier --potentials-out
    #[arg(long, value_name = "FG.npz", help_heading = "Solver")]
    pub(crate) warm: Option<PathBuf>,

    /// Write the plan: .npy dense, .npz its non-zeros as row, col, value, shape
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) plan_out: Option<PathBuf>,

    /// Write the potentials f and g, in cost units
    #[arg(long, value_name = "FG.npz", help_heading = "Output")]
    pub(crate) potentials_out: Option<PathBuf>,

    /// Print one JSON object instead of the report
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// What `ot classify --help` says below its options.
const CLASSIFY_NOTES: &str = "\
Images are N×height×width, .npy, .npz or IDX; labels are N integers.
Models: samples (drawn at random), bernoulli (components of a mixture), barycenter (of clusters of pixels),
kmeans (Wasserstein k-means). Barycenters are entropic at 1e-2 of the largest cost, and debiased, of at most
100 images a class (kmeans: 50).
Rules: retrieval, the class of the model that is reached at the least cost, with the metric between pixels;
coupling, the class of the model that gets most of an image's part of one plan between all images and all
models, with the metric between images as vectors of sum 1.
Without --reg or --reg-rel the backend that auto picks is an exact one.

Example:
  ot classify --train I.npy --labels y.npy --test J.npy --test-labels z.npy --model bernoulli --models 6
     --rule retrieval --metric log1p --out p.npy --json";

#[derive(Debug, clap::Args)]
pub(crate) struct ClassifyArgs {
    /// Images to learn from, N×height×width
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) train: PathBuf,

    /// Their classes
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) labels: PathBuf,

    /// Images to classify, of the same size
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) test: PathBuf,

    /// Their classes, for the accuracy
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) test_labels: Option<PathBuf>,

    /// What stands for a class: samples, bernoulli, barycenter or kmeans
    #[arg(long, value_name = "NAME", help_heading = "Classifier")]
    pub(crate) model: String,

    /// Models of each class
    #[arg(long, value_name = "K", help_heading = "Classifier", default_value = "1", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) models: usize,

    /// How a class is found: retrieval or coupling
    #[arg(long, value_name = "NAME", help_heading = "Classifier")]
    pub(crate) rule: String,

    /// Cost between two pixels (retrieval) or two images (coupling)
    #[arg(long, value_name = "NAME", help_heading = "Classifier")]
    pub(crate) metric: String,

    #[command(flatten)]
    pub(crate) solver: SolverArgs,

    /// Write the classes found, N integers
    #[arg(long, value_name = "P.npy", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Print one JSON object instead of the report
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// What `ot distances --help` says below its options.
const DISTANCES_NOTES: &str = "\
Each row of --weights is a histogram over the bins, scaled to mass 1; D has the costs <P, C> from each row to
each row of --against, or of --weights itself (a symmetric cost: every pair once). While it grows, D is put in
its place now and then; entries that are missing are NaN. Ctrl-C or --time-limit end a run with what it has,
status 3, and --resume goes on with it: with what is missing and what fell short of its tolerance. D.run.npz,
beside a D that is not finished, says which problem it is of.
Without --reg or --reg-rel the backend that auto picks is an exact one.

Examples:
  ot distances --weights W.npy --points P.npy --metric euclidean --out D.npy --kernel-out K.npy
  ot distances --weights I.npy --grid 28x28 --metric log1p --out D.npy
  ot distances --weights W.npy --cost C.npy --against V.npy --reg-rel 0.05 --backend sinkhorn --out D.npy --resume";

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("between").args(["cost", "points", "grid"]).required(true))]
pub(crate) struct DistancesArgs {
    /// Histograms, N×bins, or images, N×height×width
    #[arg(long, value_name = "FILE", help_heading = "Problem")]
    pub(crate) weights: PathBuf,

    /// The bins×bins cost matrix; with --against, bins of --weights by bins of --against
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Problem",
        conflicts_with = "metric"
    )]
    pub(crate) cost: Option<PathBuf>,

    /// Where the bins are, bins×d
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Problem",
        requires = "metric"
    )]
    pub(crate) points: Option<PathBuf>,

    /// The bins are the pixels of images of this size
    #[arg(
        long,
        value_name = "HxW",
        help_heading = "Problem",
        requires = "metric"
    )]
    pub(crate) grid: Option<String>,

    /// Cost between the points, or between pixels
    #[arg(long, value_name = "NAME", help_heading = "Problem")]
    pub(crate) metric: Option<String>,

    /// Histograms to measure from the others, M×bins
    #[arg(long, value_name = "FILE", help_heading = "Problem")]
    pub(crate) against: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) solver: SolverArgs,

    /// Write the distances, N×N or N×M
    #[arg(long, value_name = "D.npy", help_heading = "Output")]
    pub(crate) out: PathBuf,

    /// Go on with what an earlier run of the same problem has put into --out
    #[arg(long, help_heading = "Output")]
    pub(crate) resume: bool,

    /// Also write the kernel exp(-d/t)
    #[arg(long, value_name = "K.npy", help_heading = "Output")]
    pub(crate) kernel_out: Option<PathBuf>,

    /// Its t; the median distance if omitted
    #[arg(long, value_name = "t", help_heading = "Output", requires = "kernel_out",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) width: Option<f64>,

    /// Print one JSON object instead of the report
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// Who solves, and how: the same for every subcommand that does.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SolverArgs {
    /// A name from `ot backends`, or auto, which picks one
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Solver",
        default_value = "auto"
    )]
    pub(crate) backend: String,

    /// Regularization in cost units, for entropic backends
    #[arg(
        long,
        value_name = "R",
        help_heading = "Solver",
        allow_negative_numbers = true,
        conflicts_with = "reg_rel", value_parser = real)]
    pub(crate) reg: Option<f64>,

    /// Regularization relative to the largest |cost|; 1e-2 if neither is given and the backend has one
    #[arg(
        long,
        value_name = "r",
        help_heading = "Solver",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) reg_rel: Option<f64>,

    /// Tolerance; defaults are listed by `ot backends --json`
    #[arg(
        long,
        value_name = "T",
        help_heading = "Solver",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) tol: Option<f64>,

    /// Iteration limit; defaults are listed by `ot backends --json`
    #[arg(
        long,
        value_name = "N",
        help_heading = "Solver",
        allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) max_iter: Option<u64>,

    /// Stop after this many seconds
    #[arg(
        long,
        value_name = "S",
        help_heading = "Solver",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) time_limit: Option<f64>,

    /// Seed of a stochastic backend
    #[arg(
        long,
        value_name = "S",
        help_heading = "Solver",
        allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,

    /// Threads; all cores if omitted
    #[arg(
        long,
        value_name = "T",
        help_heading = "Solver",
        allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) threads: Option<usize>,

    /// A setting of the backend that has no option of its own here; may be repeated
    #[arg(
        long,
        value_name = "KEY=VALUE",
        help_heading = "Solver",
        allow_hyphen_values = true
    )]
    pub(crate) set: Vec<String>,
}

/// A number, with a rule where there is none. Only its name stands for infinity, never digits that are too many.
fn real(text: &str) -> Result<f64, &'static str> {
    let value: f64 = text.parse().map_err(|_| "must be a number")?;
    if value.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) {
        return Err("must be at most 1.797e308, or inf");
    }
    Ok(value)
}

/// A count.
fn whole<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|_| "must be a whole number, 0 or more and below 2^64")
}

/// A usage error of the parser on one line: its message and its tips, without the usage text.
pub(crate) fn squeeze(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut line = String::new();
    for part in text.lines().map(str::trim) {
        if part.starts_with("Usage:") || part.starts_with("For more information") {
            break;
        }
        if part.is_empty() {
            continue;
        }
        match line.chars().last() {
            None => {}
            Some(':') => line.push(' '),
            Some(_) => line.push_str("; "),
        }
        line.push_str(part.strip_prefix("error: ").unwrap_or(part));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn parser_errors_become_one_line() {
        let squeezed = |args: &[&str]| squeeze(&Args::try_parse_from(args).unwrap_err());
        insta::assert_snapshot!(
            [
                squeezed(&["ot"]),
                squeezed(&["ot", "slove"]),
                squeezed(&["ot", "solve"]),
                squeezed(&["ot", "solve", "--x", "x.npy"]),
                squeezed(&[
                    "ot",
                    "solve",
                    "--cost",
                    "c.npy",
                    "--grid",
                    "2x2",
                    "--metric",
                    "euclidean"
                ]),
                squeezed(&[
                    "ot",
                    "solve",
                    "--cost",
                    "c.npy",
                    "--reg",
                    "1",
                    "--reg-rel",
                    "2"
                ]),
                squeezed(&["ot", "solve", "--cost", "c.npy", "--tol", "tiny"]),
                squeezed(&["ot", "solve", "--cost", "c.npy", "--max-iter", "-1"]),
                squeezed(&["ot", "solve", "--cost", "c.npy", "--maxiter", "1"]),
                squeezed(&[
                    "ot",
                    "solve",
                    "--cost",
                    "c.npy",
                    "--mass",
                    "1",
                    "--gamma-a",
                    "1"
                ]),
            ]
            .join("\n")
        );
    }
}
