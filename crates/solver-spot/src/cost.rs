//! Costs of joint samples.

use ot_nn::Number;

use crate::{Error, Samples};

/// c(x_1, …, x_m) of one sample of each marginal, with its gradients, over a batch.
///
/// A cost of the user's own looks like this:
///
/// ```
/// use ot_nn::Number;
/// use solver_spot::{Error, JointCost, Samples};
///
/// /// −⟨x, y⟩.
/// struct Against;
///
/// impl<T: Number> JointCost<T> for Against {
///     fn check(&self, dims: &[usize]) -> Result<(), Error> {
///         solver_spot::cost::two_alike(dims)
///     }
///
///     fn mean(&self, samples: &Samples<T>, by: &mut [Vec<T>]) -> f64 {
///         let (x, y) = (samples.marginal(0), samples.marginal(1));
///         let weight = T::from_f64(1.0 / samples.len() as f64);
///         let mut sum = 0.0;
///         for (c, (x, y)) in x.iter().zip(y).enumerate() {
///             sum -= (*x * *y).wide();
///             by[0][c] -= weight * *y;
///             by[1][c] -= weight * *x;
///         }
///         sum / samples.len() as f64
///     }
/// }
/// ```
pub trait JointCost<T: Number>: Send + Sync {
    /// # Errors
    /// Marginals of a number or of dimensions that the cost is not made for.
    fn check(&self, dims: &[usize]) -> Result<(), Error>;

    /// The mean cost over the rows. Its gradients by the samples of marginal k are *added* to `by[k]`, row by row.
    fn mean(&self, samples: &Samples<T>, by: &mut [Vec<T>]) -> f64;
}

/// Two marginals of one dimension.
///
/// # Errors
/// Anything else.
pub fn two_alike(dims: &[usize]) -> Result<(), Error> {
    match dims {
        [d, e] if d == e => Ok(()),
        _ => Err(Error::shape(
            "cost",
            format!("marginals of dimensions {dims:?}"),
            "it takes two of the same dimension",
        )),
    }
}

/// Over pairs of rows; `pair` writes ∂c/∂x, and has c. ∂c/∂y is its opposite, for c depends on x − y.
fn of_differences<T: Number>(
    samples: &Samples<T>,
    by: &mut [Vec<T>],
    pair: impl Fn(&[T], &[T], &mut [T]) -> f64,
) -> f64 {
    let dim = samples.dims()[0];
    let count = samples.len() as f64;
    let weight = T::from_f64(1.0 / count);
    let [by_x, by_y] = by else {
        return f64::NAN;
    };
    let rows = samples
        .marginal(0)
        .chunks_exact(dim)
        .zip(samples.marginal(1).chunks_exact(dim));
    let into = by_x.chunks_exact_mut(dim).zip(by_y.chunks_exact_mut(dim));
    let mut sum = 0.0;
    let mut room = [T::ZERO; 64];
    let mut long = vec![T::ZERO; if dim > room.len() { dim } else { 0 }];
    for ((x, y), (by_x, by_y)) in rows.zip(into) {
        let slope = if dim > room.len() {
            &mut long[..]
        } else {
            &mut room[..dim]
        };
        sum += pair(x, y, slope);
        for ((by_x, by_y), s) in by_x.iter_mut().zip(by_y).zip(slope) {
            *by_x += weight * *s;
            *by_y -= weight * *s;
        }
    }
    sum / count
}

/// ‖x − y‖.
#[derive(Debug, Clone, Copy, Default)]
pub struct Euclidean;

impl<T: Number> JointCost<T> for Euclidean {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        two_alike(dims)
    }

    fn mean(&self, samples: &Samples<T>, by: &mut [Vec<T>]) -> f64 {
        of_differences(samples, by, |x, y, slope| {
            let mut square = 0.0;
            for ((s, x), y) in slope.iter_mut().zip(x).zip(y) {
                *s = *x - *y;
                square += s.wide() * s.wide();
            }
            let distance = f64::sqrt(square);
            // Where both are the same, 0 is a subgradient.
            let scale = T::from_f64(if distance > 0.0 { 1.0 / distance } else { 0.0 });
            slope.iter_mut().for_each(|s| *s = scale * *s);
            distance
        })
    }
}

/// ‖x − y‖².
#[derive(Debug, Clone, Copy, Default)]
pub struct SqEuclidean;

impl<T: Number> JointCost<T> for SqEuclidean {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        two_alike(dims)
    }

    fn mean(&self, samples: &Samples<T>, by: &mut [Vec<T>]) -> f64 {
        of_differences(samples, by, |x, y, slope| {
            let mut square = 0.0;
            for ((s, x), y) in slope.iter_mut().zip(x).zip(y) {
                let d = *x - *y;
                square += d.wide() * d.wide();
                *s = d + d;
            }
            square
        })
    }
}

/// ‖x − y‖₁.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cityblock;

impl<T: Number> JointCost<T> for Cityblock {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        two_alike(dims)
    }

    fn mean(&self, samples: &Samples<T>, by: &mut [Vec<T>]) -> f64 {
        of_differences(samples, by, |x, y, slope| {
            let mut sum = 0.0;
            for ((s, x), y) in slope.iter_mut().zip(x).zip(y) {
                let d = (*x - *y).wide();
                sum += d.abs();
                *s = T::from_f64(if d == 0.0 { 0.0 } else { d.signum() });
            }
            sum
        })
    }
}

/// Σ_{k<l} ‖x_k − x_l‖² of any number of marginals of one dimension: m Σ_k ‖x_k − x̄‖² (Gangbo and Święch, 1998).
#[derive(Debug, Clone, Copy, Default)]
pub struct AllPairs;

impl<T: Number> JointCost<T> for AllPairs {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        if dims.len() >= 2 && dims.iter().all(|d| *d == dims[0]) {
            return Ok(());
        }
        let found = format!("marginals of dimensions {dims:?}");
        Err(Error::shape(
            "cost",
            found,
            "it takes two or more of the same dimension",
        ))
    }

    fn mean(&self, samples: &Samples<T>, by: &mut [Vec<T>]) -> f64 {
        let marginals = samples.dims().len();
        let count = samples.len() as f64;
        let weight = T::from_f64(2.0 / count);
        let many = T::from_f64(marginals as f64);
        let mut sum = 0.0;
        for c in 0..samples.marginal(0).len() {
            let mut total = T::ZERO;
            for k in 0..marginals {
                total += samples.marginal(k)[c];
            }
            for (k, by) in by.iter_mut().enumerate() {
                let off = many * samples.marginal(k)[c] - total;
                by[c] += weight * off;
                sum += off.wide() * off.wide();
            }
        }
        sum / count / marginals as f64
    }
}
