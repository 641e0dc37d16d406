//! The options of `ot adapt`.

use std::path::PathBuf;

use super::{SolverArgs, real, whole};

/// What `ot adapt --help` says below its options.
pub(super) const ADAPT_NOTES: &str = "\
Points are n×d and m×d, labels n and m integers; the cost is the squared distance, divided by its maximum.
Methods: none, emd (exact), sinkhorn, group-lasso (a target receives from one class), laplacian (similar
samples stay side by side; exact without a regularization), gaussian (the linear map between the moments, no
solver), jdot (ridge regression of the labels, learned with the plan; exact without a regularization).
Without --reg or --reg-rel sinkhorn, group-lasso and entropic backends by name have a reg-rel of 0.05. --reg is in
units of the squared distance. Laplacian and jdot see points in units of their largest distance. Target labels are
for the accuracy alone: of 1-nearest neighbour on the adapted source, of jdot's own classifier.

Example:
  ot adapt --source Xs.npy --labels ys.npy --target Xt.npy --target-labels yt.npy --method group-lasso
     --out Z.npy --predict p.npy --json";

#[derive(Debug, clap::Args)]
pub(crate) struct AdaptArgs {
    /// Labelled samples, n×d
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) source: PathBuf,

    /// Their classes
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) labels: PathBuf,

    /// Samples of the other domain, m×d
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) target: PathBuf,

    /// Their classes, for the accuracy
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) target_labels: Option<PathBuf>,

    /// none, emd, sinkhorn, group-lasso, laplacian, gaussian or jdot
    #[arg(long, value_name = "NAME", help_heading = "Method")]
    pub(crate) method: String,

    /// Weight of the classes in group-lasso, on the cost divided by its maximum; 0.1 if omitted
    #[arg(long, value_name = "W", help_heading = "Method",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) class_weight: Option<f64>,

    /// Penalty of jdot's ridge regression; 0.01 if omitted
    #[arg(long, value_name = "L", help_heading = "Method",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) ridge: Option<f64>,

    /// Weight of jdot's cost between samples beside its loss between labels; 1 if omitted
    #[arg(long, value_name = "A", help_heading = "Method",
        allow_negative_numbers = true, value_parser = real)]
    pub(crate) alpha: Option<f64>,

    /// Rounds of plans at most; 20 in jdot, 1000 in group-lasso and laplacian if omitted (--max-iter is each solve's)
    #[arg(long, value_name = "N", help_heading = "Method",
        allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) rounds: Option<usize>,

    #[command(flatten)]
    pub(crate) solver: SolverArgs,

    /// Write the adapted source, n×d
    #[arg(long, value_name = "Z.npy", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Write the classes found for the target, m integers
    #[arg(long, value_name = "P.npy", help_heading = "Output")]
    pub(crate) predict: Option<PathBuf>,

    /// Print one JSON object instead of the report
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
