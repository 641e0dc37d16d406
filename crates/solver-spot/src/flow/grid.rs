//! The joint density of two marginals on the line, on a grid.

use super::fixed_steps::check_length;
use super::{DormandPrince, Flow};
use crate::Error;

/// p(x, y) on a grid of equally spaced numbers, with what quadrature makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DensityGrid {
    x: Vec<f64>,
    y: Vec<f64>,
    /// A row for each x.
    density: Vec<f64>,
}

/// `count` numbers from `low` to `high`, equally far apart.
#[must_use]
pub fn spaced(low: f64, high: f64, count: usize) -> Vec<f64> {
    let step = (high - low) / (count.max(2) - 1) as f64;
    (0..count).map(|k| low + step * k as f64).collect()
}

/// ∫ |p − q| by the trapezoidal rule on equally spaced numbers.
#[must_use]
pub fn l1(at: &[f64], p: &[f64], q: &[f64]) -> f64 {
    let all: Vec<f64> = p.iter().zip(q).map(|(p, q)| (p - q).abs()).collect();
    integral(at, &all)
}

/// Trapezoidal: for densities that fall to 0 at both ends its error falls faster than any power of the spacing.
fn integral(at: &[f64], values: &[f64]) -> f64 {
    let ([first, .., last], [low, .., high]) = (values, at) else {
        return 0.0;
    };
    let step = (high - low) / (at.len() - 1) as f64;
    step * (values.iter().sum::<f64>() - 0.5 * (first + last))
}

impl DensityGrid {
    /// Of a flow between two marginals on the line: every point of the grid is taken back to its latent variable
    /// ([`Flow::pull`]).
    ///
    /// # Errors
    /// Other marginals, fewer than two numbers on an axis, numbers that are not equally spaced, and what the integration refuses.
    pub fn of(flow: &Flow, x: &[f64], y: &[f64], by: &DormandPrince) -> Result<Self, Error> {
        if flow.dims() != [1, 1] {
            let found = format!("marginals of dimensions {:?}", flow.dims());
            return Err(Error::shape("flow", found, "a grid is for [1, 1]"));
        }
        let points: Vec<f64> = x
            .iter()
            .flat_map(|x| y.iter().flat_map(|y| [*x, *y]))
            .collect();
        check_axis("x", x)?;
        check_axis("y", y)?;
        let mut carried = flow.pull(&points, by)?;
        carried.log_density.iter_mut().for_each(|p| *p = p.exp());
        Self::new(x.to_vec(), y.to_vec(), carried.log_density)
    }

    /// Of values of p, a row for each of `x`.
    ///
    /// # Errors
    /// As [`of`](Self::of), for the axes; values that are not one for each point, or not finite.
    pub fn new(x: Vec<f64>, y: Vec<f64>, density: Vec<f64>) -> Result<Self, Error> {
        check_axis("x", &x)?;
        check_axis("y", &y)?;
        check_length("density", density.len(), x.len() * y.len())?;
        if let Some(place) = density.iter().position(|p| !p.is_finite()) {
            return Err(Error::NotFinite {
                argument: "density",
                place,
                value: density[place],
            });
        }
        Ok(Self { x, y, density })
    }

    /// x, ascending.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// y, ascending.
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// p, a row for each x.
    #[must_use]
    pub fn density(&self) -> &[f64] {
        &self.density
    }

    /// Of any density.
    ///
    /// # Errors
    /// As [`of`](Self::of), for the axes.
    pub fn from_fn(x: &[f64], y: &[f64], density: impl Fn(f64, f64) -> f64) -> Result<Self, Error> {
        let all = x.iter().flat_map(|x| y.iter().map(|y| density(*x, *y)));
        Self::new(x.to_vec(), y.to_vec(), all.collect())
    }

    /// ∫ p dy at each x, and ∫ p dx at each y.
    #[must_use]
    pub fn marginals(&self) -> [Vec<f64>; 2] {
        let (n, m) = (self.x.len(), self.y.len());
        let rows = self
            .density
            .chunks_exact(m)
            .map(|row| integral(&self.y, row));
        let mut column = vec![0.0; n];
        let columns = (0..m).map(|j| {
            for (i, c) in column.iter_mut().enumerate() {
                *c = self.density[i * m + j];
            }
            integral(&self.x, &column)
        });
        let columns = columns.collect();
        [rows.collect(), columns]
    }

    /// E h(x, y, p(x, y)), not divided by the mass.
    #[must_use]
    pub fn mean(&self, h: impl Fn(f64, f64, f64) -> f64) -> f64 {
        let rows = self.density.chunks_exact(self.y.len());
        let rows = rows.zip(&self.x).map(|(row, x)| {
            let values: Vec<f64> = row
                .iter()
                .zip(&self.y)
                .map(|(p, y)| if *p > 0.0 { p * h(*x, *y, *p) } else { 0.0 })
                .collect();
            integral(&self.y, &values)
        });
        integral(&self.x, &rows.collect::<Vec<_>>())
    }

    /// The mass on the grid: 1, but for what lies outside.
    #[must_use]
    pub fn mass(&self) -> f64 {
        self.mean(|_, _, _| 1.0)
    }

    /// The correlation of x and y.
    #[must_use]
    pub fn correlation(&self) -> f64 {
        let mass = self.mass();
        let (m, n) = (self.mean(|x, _, _| x) / mass, self.mean(|_, y, _| y) / mass);
        let of = |h: &dyn Fn(f64, f64) -> f64| self.mean(|x, y, _| h(x - m, y - n));
        of(&|x, y| x * y) / (of(&|x, _| x * x) * of(&|_, y| y * y)).sqrt()
    }

    /// ∫∫ |p − q| against another density on the same grid.
    ///
    /// # Errors
    /// Another grid.
    pub fn l1(&self, other: &Self) -> Result<f64, Error> {
        if self.x != other.x || self.y != other.y {
            return Err(Error::shape("other", "another grid", "both must be on one"));
        }
        let rows = self.density.chunks_exact(self.y.len());
        let rows = rows.zip(other.density.chunks_exact(self.y.len()));
        let rows: Vec<f64> = rows.map(|(p, q)| l1(&self.y, p, q)).collect();
        Ok(integral(&self.x, &rows))
    }
}

fn check_axis(argument: &'static str, axis: &[f64]) -> Result<(), Error> {
    if let Some(place) = axis.iter().position(|v| !v.is_finite()) {
        return Err(Error::NotFinite {
            argument,
            place,
            value: axis[place],
        });
    }
    let [first, .., last] = axis else {
        let found = format!("{} numbers", axis.len());
        return Err(Error::shape(argument, found, "an axis has two at least"));
    };
    let step = (last - first) / (axis.len() - 1) as f64;
    let even = axis
        .windows(2)
        .all(|w| (w[1] - w[0] - step).abs() <= 1e-6 * step);
    if !(step > 0.0 && even) {
        let expected = "they must ascend in equal steps";
        return Err(Error::shape(argument, "other numbers", expected));
    }
    Ok(())
}
