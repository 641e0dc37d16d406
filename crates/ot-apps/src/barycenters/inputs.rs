//! What every method on a fixed support is given, checked once.

use std::sync::Arc;

use solver_api::{Cost, CostKind, Error, Measure};

/// Cells from which it is worth asking whether a matrix is the cost of a grid.
const WORTH_ASKING: usize = 64;
/// By how many ulp of its largest entry a matrix may differ from the sums that make it the cost of a grid.
const ULPS: f64 = 8.0;

/// Measures with their weights in the mean, on a cost.
pub(super) struct Inputs {
    pub(super) cost: Arc<dyn Cost>,
    /// The cost along each axis by distance, where all of it is a sum of such.
    pub(super) grid: Option<Vec<Vec<f64>>>,
    /// Those that count: of weight above 0.
    pub(super) measures: Vec<Measure>,
    /// Above 0, of sum 1.
    pub(super) lambda: Vec<f64>,
    /// Rows of the cost where some measure has weight; all of them for a grid.
    pub(super) rows: Vec<usize>,
}

/// What is done with the measures' masses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Masses {
    /// Each is brought to 1.
    One,
    /// They stay.
    Kept,
}

impl Inputs {
    /// # Errors
    /// Shapes that do not match, weights that are none, and forbidden pairs, which the method `name` does not know.
    pub(super) fn new(
        name: &str,
        cost: &Arc<dyn Cost>,
        measures: &[Measure],
        lambda: &[f64],
        masses: Masses,
    ) -> Result<Self, Error> {
        check_lambda(measures.len(), lambda)?;
        let n = cost.shape().0;
        if let Some(odd) = measures.iter().find(|p| p.len() != n) {
            return Err(Error::ShapeMismatch {
                argument: "measures",
                found: odd.len().to_string(),
                expected: format!("`cost` has {n} rows"),
            });
        }
        if cost.range().forbidden > 0 {
            return Err(Error::unsupported(name, "forbidden-pairs"));
        }
        let all = Measure::named("lambda", lambda)?;
        let counted = || {
            measures
                .iter()
                .zip(all.weights())
                .filter(|(_, l)| **l > 0.0)
        };
        // Those of weight 0 take no part; what is left may add up to another number.
        let total: f64 = counted().map(|(_, l)| l).sum();
        let lambda: Vec<f64> = counted().map(|(_, l)| l / total).collect();
        let measures: Vec<Measure> = counted()
            .map(|(p, _)| match masses {
                Masses::One => p.normalized(),
                Masses::Kept => p.clone(),
            })
            .collect();
        let grid = by_axes(cost.as_ref());
        let used = |i: &usize| grid.is_some() || measures.iter().any(|p| p.weights()[*i] > 0.0);
        let rows = (0..n).filter(used).collect();
        Ok(Self {
            cost: Arc::clone(cost),
            grid,
            measures,
            lambda,
            rows,
        })
    }

    /// Measures that count.
    pub(super) fn count(&self) -> usize {
        self.measures.len()
    }

    /// Points of the support.
    pub(super) fn support(&self) -> usize {
        self.cost.shape().1
    }

    /// The weights of all measures on the used rows, one after another.
    pub(super) fn weights(&self) -> Vec<f64> {
        let mut weights = Vec::with_capacity(self.count() * self.rows.len());
        for p in &self.measures {
            weights.extend(self.rows.iter().map(|&i| p.weights()[i]));
        }
        weights
    }

    /// The used rows of the cost, row-major.
    pub(super) fn matrix(&self) -> Vec<f64> {
        let m = self.support();
        let mut matrix = vec![0.0; self.rows.len() * m];
        for (out, &i) in matrix.chunks_exact_mut(m).zip(&self.rows) {
            self.cost.row(i, out);
        }
        matrix
    }

    /// The same with every row used: what a kernel between the points of the support is made of.
    pub(super) fn with_all_rows(&self) -> Self {
        Self {
            cost: Arc::clone(&self.cost),
            grid: self.grid.clone(),
            measures: self.measures.clone(),
            lambda: self.lambda.clone(),
            rows: (0..self.cost.shape().0).collect(),
        }
    }

    /// Refuses a cost that is not the same on both sides.
    ///
    /// # Errors
    /// A cost that is not square.
    pub(super) fn require_square(&self, setting: &str) -> Result<(), Error> {
        let (n, m) = self.cost.shape();
        if n == m {
            return Ok(());
        }
        Err(Error::ShapeMismatch {
            argument: "cost",
            found: format!("{n}×{m}"),
            expected: format!("`{setting}` needs the same points on both sides"),
        })
    }
}

/// One weight for each measure.
///
/// # Errors
/// Another number of weights than of measures.
pub(super) fn check_lambda(measures: usize, lambda: &[f64]) -> Result<(), Error> {
    if lambda.len() == measures {
        return Ok(());
    }
    Err(Error::ShapeMismatch {
        argument: "lambda",
        found: lambda.len().to_string(),
        expected: format!("there are {measures} measures"),
    })
}

/// The cost along each axis by distance, if the cost is a sum of such: a [`GridCost`](solver_api::GridCost), or the matrix
/// of one, which is what images of a usual size come with. A matrix is read once, row by row, up to the first row that
/// says no.
fn by_axes(cost: &dyn Cost) -> Option<Vec<Vec<f64>>> {
    match cost.kind() {
        CostKind::Grid(grid) => {
            let axes = 0..grid.dims().len();
            Some(axes.map(|k| grid.by_distance(k).to_vec()).collect())
        }
        CostKind::Dense(_) => of_matrix(cost),
        _ => None,
    }
}

fn of_matrix(cost: &dyn Cost) -> Option<Vec<Vec<f64>>> {
    let (n, m) = cost.shape();
    if n != m || n < WORTH_ASKING {
        return None;
    }
    let slack = ULPS * f64::EPSILON * cost.range().max_abs();
    let mut row = vec![0.0; m];
    cost.row(0, &mut row);
    let heights = (1..=n / 2).filter(|h| n.is_multiple_of(*h));
    for height in heights {
        let width = n / height;
        let down: Vec<f64> = (0..height).map(|s| row[s * width]).collect();
        let across: Vec<f64> = (0..width).map(|t| row[t] - row[0]).collect();
        if down.iter().chain(&across).any(|c| *c < 0.0) {
            continue;
        }
        let mut found = vec![0.0; m];
        let fits = (0..n).all(|i| {
            cost.row(i, &mut found);
            found.iter().enumerate().all(|(j, c)| {
                let sum =
                    down[(i / width).abs_diff(j / width)] + across[(i % width).abs_diff(j % width)];
                (c - sum).abs() <= slack
            })
        });
        if fits {
            return Some(if height == 1 {
                vec![across.iter().map(|c| c + row[0]).collect()]
            } else {
                vec![down, across]
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use solver_api::{DenseCost, GridCost, GridGround, Ground};

    use super::*;

    #[test]
    fn the_matrix_of_a_grid_is_known_again() {
        for dims in [vec![8, 9], vec![9, 8], vec![80], vec![2, 40]] {
            let grid = GridCost::new(&dims, GridGround::SqEuclidean).expect("a grid");
            let dense = DenseCost::materialize(&grid).expect("a matrix");
            assert_eq!(by_axes(&dense), by_axes(&grid), "{dims:?}");
        }
    }

    #[test]
    fn other_matrices_are_none() {
        let cost = crate::pixel_cost((8, 9), &Ground::Euclidean).expect("a cost");
        assert_eq!(by_axes(cost.as_ref()), None);
        let grid = GridCost::new(&[8, 9], GridGround::SqEuclidean).expect("a grid");
        let mut entries: Vec<f64> = Vec::new();
        for i in 0..72 {
            let mut row = vec![0.0; 72];
            grid.row(i, &mut row);
            entries.extend(row);
        }
        entries[71 * 72 + 3] += 1e-6;
        let off = DenseCost::new(72, 72, entries).expect("a matrix");
        assert_eq!(by_axes(&off), None);
    }
}
