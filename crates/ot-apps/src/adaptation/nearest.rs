//! The nearest of many points.

use solver_api::{Cost, DenseCost, Ground, PointCost};

use super::domain::check_rows;
use crate::Error;

/// Queries at a time: a block of distances that stays small.
const BLOCK: usize = 512;

/// The nearest row of `among` for each row of `queries`, both of `dim` numbers, by Euclidean distance; the first of equals.
/// O(n·m·dim) on the threads of the current pool, m·512 numbers of memory.
pub(crate) fn nearest(queries: &[f64], among: &[f64], dim: usize) -> Result<Vec<usize>, Error> {
    check_rows("points", queries, dim)?;
    let m = among.len() / dim.max(1);
    let mut found = Vec::with_capacity(queries.len() / dim);
    for block in queries.chunks(BLOCK * dim) {
        let points = PointCost::new(block, among, dim, Ground::SqEuclidean)?;
        let rows = block.len() / dim;
        let dense = DenseCost::materialize(&points)?;
        let mut row = vec![0.0; m];
        for i in 0..rows {
            dense.row(i, &mut row);
            let least = row.iter().enumerate().fold((0, f64::INFINITY), |best, c| {
                if *c.1 < best.1 { (c.0, *c.1) } else { best }
            });
            found.push(least.0);
        }
    }
    Ok(found)
}

/// The label of the nearest of the labelled points `x` for each row of `queries`: the 1-nearest-neighbour classifier that
/// adapted samples are usually judged by. Time and memory as for one block of distances after another: O(n·m·dim), and
/// 512·n numbers.
///
/// # Errors
/// Parts of rows, numbers that are not finite, another number of labels than of points.
pub fn nearest_labels(
    x: &[f64],
    labels: &[i64],
    queries: &[f64],
    dim: usize,
) -> Result<Vec<i64>, Error> {
    let count = check_rows("x", x, dim)?;
    if labels.len() != count {
        return Err(Error::LabelCount {
            argument: "labels",
            found: labels.len(),
            expected: count,
            of: "points",
        });
    }
    let found = nearest(queries, x, dim)?;
    Ok(found.into_iter().map(|i| labels[i]).collect())
}
