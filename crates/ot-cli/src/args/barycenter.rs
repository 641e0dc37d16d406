//! The grammar of `ot barycenter`.

use std::path::PathBuf;

use super::{SolverArgs, real, whole};

/// What `ot barycenter --help` says below its options.
pub(super) const BARYCENTER_NOTES: &str = "\
A barycenter is the measure of the least mean transport cost to those given, each counted with its weight in
--lambda (equal if omitted; only ratios count). Measures are taken at mass 1, but by unbalanced.
Methods on the bins of --weights, whose answer has as many:
  bregman        entropic, by projections; --reg-rel 4e-3 and --tol 1e-3 (marginals) if omitted, at any reg
  convolutional  the same, with --grid: products along the axes
  debiased       the same without the blur of the entropy
  ipot           proximal steps, exact in the limit; --reg reads as the step, --reg-rel 0.1 and --tol 0.1
                 (gap over the mean cost) if omitted
  unbalanced     entropic, marginals relaxed by --gamma (1 if omitted, in cost units); masses are kept
  lp             exact, by the linear program, for up to 20 000 pairs of a bin with weight and one of the answer
  fixed          by the potentials of any --backend, which --reg and --set belong to; --tol 0.1 (gap)
Method of --points, each a measure, whose answer is --support points (--weights-out: their weights):
  free           squared distances, by any --backend; --tol 1e-5 (movement), --max-iter 100 if omitted; with
                 --find-weights 10 000, and weights within 2 % of the least mean cost of these points
`least` (lower_bound, upper_bound) brackets the least mean cost without entropy (lp, unbalanced and free
have none); entropy says how sharp the answer is.

Examples:
  ot barycenter --weights I.npy --grid 28x28 --method ipot --out q.npy
  ot barycenter --weights W.npy --cost C.npy --lambda L.npy --method bregman --reg 0.01 --out q.npy --json
  ot barycenter --points X1.npy X2.npy X3.npy --support 100 --method free --out Q.npy";

#[derive(Debug, clap::Args)]
pub(crate) struct BarycenterArgs {
    /// Measures as histograms, K×bins, or images, K×height×width
    #[arg(long, value_name = "FILE", help_heading = "Problem")]
    pub(crate) weights: Option<PathBuf>,

    /// The bins are the pixels of images of this size
    #[arg(
        long,
        value_name = "HxW",
        help_heading = "Problem",
        conflicts_with = "cost"
    )]
    pub(crate) grid: Option<String>,

    /// The cost matrix, bins of --weights by bins of the barycenter
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Problem",
        conflicts_with = "metric"
    )]
    pub(crate) cost: Option<PathBuf>,

    /// Cost between two pixels of --grid; sqeuclidean if omitted
    #[arg(long, value_name = "NAME", help_heading = "Problem", requires = "grid")]
    pub(crate) metric: Option<String>,

    /// Measures as points, one file n×d for each
    #[arg(long, value_name = "FILE", help_heading = "Problem", num_args = 1..)]
    pub(crate) points: Vec<PathBuf>,

    /// Their weights, one file for each; equal if omitted
    #[arg(long, value_name = "FILE", help_heading = "Problem", num_args = 1..)]
    pub(crate) point_weights: Vec<PathBuf>,

    /// Weights of the measures in the mean; equal if omitted
    #[arg(long, value_name = "FILE", help_heading = "Problem")]
    pub(crate) lambda: Option<PathBuf>,

    /// One of those below
    #[arg(long, value_name = "NAME", help_heading = "Barycenter")]
    pub(crate) method: String,

    /// Points of a free support
    #[arg(long, value_name = "K", help_heading = "Barycenter", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) support: Option<usize>,

    /// Where a free support begins, K×d, in place of points that are drawn
    #[arg(long, value_name = "FILE", help_heading = "Barycenter", conflicts_with_all = ["starts", "seed"])]
    pub(crate) start: Option<PathBuf>,

    /// Draws of a free support, of which the best is kept; 1 if omitted
    #[arg(long, value_name = "N", help_heading = "Barycenter", allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) starts: Option<usize>,

    /// Find the weights of a free support as well; equal if omitted
    #[arg(long, help_heading = "Barycenter")]
    pub(crate) find_weights: bool,

    /// Weight of the KL terms of unbalanced
    #[arg(long, value_name = "G", help_heading = "Barycenter", allow_negative_numbers = true, value_parser = real)]
    pub(crate) gamma: Option<f64>,

    #[command(flatten)]
    pub(crate) solver: SolverArgs,

    /// Write the barycenter: weights of the bins (height×width for images), or points of a free support, K×d
    #[arg(long, value_name = "Q.npy", help_heading = "Output")]
    pub(crate) out: PathBuf,

    /// Write the weights of a free support
    #[arg(long, value_name = "B.npy", help_heading = "Output")]
    pub(crate) weights_out: Option<PathBuf>,

    /// Print one JSON object instead of the report
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
