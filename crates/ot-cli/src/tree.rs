//! `--set tree=T.npy`: costs that are paths on a tree, between points that are its nodes.

use std::path::Path;

use kantorovich::{Error, Tree, TreeCost};
use ndarray::Array2;

use crate::args::SolveArgs;
use crate::exit::Failure;

/// The key of `--set`, the name of the metric, and the backend that has no other costs.
pub(crate) const NAME: &str = "tree";

/// The file of the tree, if one is given.
pub(crate) fn file(args: &SolveArgs) -> Option<&str> {
    let mut pairs = args
        .solver
        .set
        .iter()
        .filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, file)| (key == NAME).then_some(file))
}

/// [`file`], checked against the options that it goes with.
pub(crate) fn given(args: &SolveArgs) -> Result<Option<&Path>, Failure> {
    let metric = args.metric.as_deref();
    let Some(file) = file(args) else {
        let wants = "`tree` needs `--set tree=T.npy`, the parent and length of each node, and node numbers as points";
        if metric == Some(NAME) {
            return Err(Failure::option("metric", wants));
        }
        if args.solver.backend == NAME {
            return Err(Failure::option("backend", wants));
        }
        return Ok(None);
    };
    if let Some(metric) = metric.filter(|metric| *metric != NAME) {
        let rule = format!(
            "`{metric}` beside `--set tree={file}`: leave it out, costs are paths on the tree"
        );
        return Err(Failure::option("metric", rule));
    }
    if args.x.is_none() {
        let rule = "`tree` goes with --x and --y, the numbers of nodes";
        return Err(Failure::option("set", rule));
    }
    Ok(Some(Path::new(file)))
}

/// The cost between nodes `x` and `y` of the tree in `rows`: a parent and a length for each node.
pub(crate) fn cost(
    rows: &Array2<f64>,
    x: &Array2<f64>,
    y: &Array2<f64>,
) -> Result<TreeCost, Error> {
    if rows.ncols() != 2 {
        return Err(Error::ShapeMismatch {
            argument: NAME,
            found: format!("{}×{}", rows.nrows(), rows.ncols()),
            expected: "it takes two numbers a node: its parent, and the length of the edge to it"
                .to_owned(),
        });
    }
    let parent = |(k, &value): (usize, &f64)| match value {
        -1.0 => Ok(k),
        _ => whole(value).ok_or_else(|| {
            let rule = "a parent must be the number of a node; that of the root is -1, or the root";
            Error::setting(format!("tree[{k}, 0]"), value, rule)
        }),
    };
    let parents: Vec<usize> = rows
        .column(0)
        .iter()
        .enumerate()
        .map(parent)
        .collect::<Result<_, _>>()?;
    let tree = Tree::new(&parents, &rows.column(1).to_vec())?;
    TreeCost::new(tree, &nodes("x", x)?, &nodes("y", y)?)
}

fn nodes(argument: &'static str, points: &Array2<f64>) -> Result<Vec<usize>, Error> {
    if points.ncols() != 1 {
        return Err(Error::ShapeMismatch {
            argument,
            found: format!("{}×{}", points.nrows(), points.ncols()),
            expected: "points on a tree are the numbers of nodes, n×1".to_owned(),
        });
    }
    let node = |(k, &value): (usize, &f64)| {
        whole(value).ok_or_else(|| {
            let rule = "a point on a tree must be the number of a node: whole, from 0 on";
            Error::setting(format!("{argument}[{k}]"), value, rule)
        })
    };
    points.column(0).iter().enumerate().map(node).collect()
}

/// A whole number that f64 and usize both hold.
fn whole(value: f64) -> Option<usize> {
    let is_whole = value.fract() == 0.0 && (0.0..9e15).contains(&value);
    is_whole.then_some(value as usize)
}
