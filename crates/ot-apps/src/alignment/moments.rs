//! First and second moments of a plan between points of the plane.

use solver_api::Plan;

use super::matrix::Matrix;
use crate::Error;

/// What every fit of an affine map to a plan γ needs: with x̄ = Σ γ_ij x_i and ȳ = Σ γ_ij y_j at mass 1, the second
/// moments about them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanMoments {
    /// x̄, (row, column).
    pub x: [f64; 2],
    /// ȳ.
    pub y: [f64; 2],
    /// Σ γ_ij (x_i − x̄)(x_i − x̄)ᵀ.
    pub xx: [[f64; 2]; 2],
    /// Σ γ_ij (y_j − ȳ)(y_j − ȳ)ᵀ.
    pub yy: [[f64; 2]; 2],
    /// Σ γ_ij (y_j − ȳ)(x_i − x̄)ᵀ: the rows belong to y.
    pub yx: [[f64; 2]; 2],
}

impl PlanMoments {
    /// Of a plan from the points `x`, one for each row, to `y`, one for each column. One pass over the plan, O(non-zeros);
    /// no allocation beyond its scratch and the two marginals.
    ///
    /// # Errors
    /// Other numbers of points than the plan has rows or columns, points that are no numbers, and a plan without mass.
    pub fn of(plan: &Plan, x: &[[f64; 2]], y: &[[f64; 2]]) -> Result<Self, Error> {
        let (n, m) = plan.shape();
        check("x", x, n, "rows")?;
        check("y", y, m, "columns")?;
        let (rows, columns) = plan.marginals();
        let mass: f64 = rows.iter().sum();
        if !(mass > 0.0 && mass.is_finite()) {
            return Err(Error::setting(
                "plan",
                mass,
                "its mass must be positive and finite",
            ));
        }
        let mean_x = mean(&rows, x);
        let mean_y = mean(&columns, y);
        let mut yx = [[0.0; 2]; 2];
        let mut scratch = plan.scratch();
        for (i, x) in x.iter().enumerate() {
            // Σ_j γ_ij (y_j − ȳ), to be multiplied once.
            let mut sent = [0.0; 2];
            plan.row(i, &mut scratch).visit(|j, mass| {
                sent[0] += mass * (y[j][0] - mean_y[0]);
                sent[1] += mass * (y[j][1] - mean_y[1]);
            });
            for (row, sent) in yx.iter_mut().zip(sent) {
                row[0] += sent * (x[0] - mean_x[0]);
                row[1] += sent * (x[1] - mean_x[1]);
            }
        }
        yx.iter_mut().flatten().for_each(|v| *v /= mass);
        Ok(Self {
            x: mean_x,
            y: mean_y,
            xx: spread(&rows, x, mean_x),
            yy: spread(&columns, y, mean_y),
            yx,
        })
    }
}

fn check(
    argument: &'static str,
    points: &[[f64; 2]],
    count: usize,
    what: &str,
) -> Result<(), Error> {
    if points.len() != count {
        return Err(Error::Shape {
            argument,
            found: points.len(),
            expected: format!("the plan has {count} {what}: one point each"),
        });
    }
    finite(argument, points)
}

/// An error for the first point that is not one.
pub(super) fn finite(argument: &'static str, points: &[[f64; 2]]) -> Result<(), Error> {
    let bad = points
        .iter()
        .position(|p| !(p[0].is_finite() && p[1].is_finite()));
    match bad {
        Some(at) => Err(Error::setting(
            &format!("{argument}[{at}]"),
            format!("{:?}", points[at]),
            "coordinates must be finite",
        )),
        None => Ok(()),
    }
}

/// The mean of `points` under `weights` of any mass.
pub(super) fn mean(weights: &[f64], points: &[[f64; 2]]) -> [f64; 2] {
    let (mut mass, mut sum) = (0.0, [0.0; 2]);
    for (w, p) in weights.iter().zip(points) {
        mass += w;
        sum[0] += w * p[0];
        sum[1] += w * p[1];
    }
    [sum[0] / mass, sum[1] / mass]
}

fn spread(weights: &[f64], points: &[[f64; 2]], mean: [f64; 2]) -> Matrix {
    let (mut mass, mut sum) = (0.0, [0.0; 3]);
    for (w, p) in weights.iter().zip(points) {
        let d = [p[0] - mean[0], p[1] - mean[1]];
        mass += w;
        sum[0] += w * d[0] * d[0];
        sum[1] += w * d[0] * d[1];
        sum[2] += w * d[1] * d[1];
    }
    let [rows, mixed, columns] = sum.map(|s| s / mass);
    [[rows, mixed], [mixed, columns]]
}
