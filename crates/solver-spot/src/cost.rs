//! Costs of joint samples.

use ot_nn::Number;

use crate::Error;

/// c(x_1, …, x_m) of one sample of each marginal, with its gradients.
pub trait JointCost<T: Number>: Send + Sync {
    /// # Errors
    /// Marginals of numbers or dimensions that the cost is not made for.
    fn check(&self, dims: &[usize]) -> Result<(), Error>;

    /// c of one sample, `xs[k]` of marginal k, and ∂c/∂x_k added, `weight` times, to `by[k]`.
    fn add_gradients(&self, xs: &[&[T]], weight: T, by: &mut [&mut [T]]) -> f64;
}

fn two_alike(dims: &[usize]) -> Result<(), Error> {
    match dims {
        [d, e] if d == e => Ok(()),
        _ => Err(Error::shape(
            "cost",
            format!("marginals of dimensions {dims:?}"),
            "it takes two of the same dimension",
        )),
    }
}

/// ‖x − y‖.
#[derive(Debug, Clone, Copy, Default)]
pub struct Euclidean;

impl<T: Number> JointCost<T> for Euclidean {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        two_alike(dims)
    }

    fn add_gradients(&self, xs: &[&[T]], weight: T, by: &mut [&mut [T]]) -> f64 {
        let (x, y) = (xs[0], xs[1]);
        let square: f64 = x.iter().zip(y).map(|(x, y)| (*x - *y).wide().powi(2)).sum();
        let distance = square.sqrt();
        if distance > 0.0 {
            let scale = weight / T::from_f64(distance);
            for (c, (x, y)) in x.iter().zip(y).enumerate() {
                by[0][c] += scale * (*x - *y);
                by[1][c] += scale * (*y - *x);
            }
        }
        distance
    }
}

/// ‖x − y‖².
#[derive(Debug, Clone, Copy, Default)]
pub struct SqEuclidean;

impl<T: Number> JointCost<T> for SqEuclidean {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        two_alike(dims)
    }

    fn add_gradients(&self, xs: &[&[T]], weight: T, by: &mut [&mut [T]]) -> f64 {
        let (x, y) = (xs[0], xs[1]);
        let double = weight + weight;
        for (c, (x, y)) in x.iter().zip(y).enumerate() {
            by[0][c] += double * (*x - *y);
            by[1][c] += double * (*y - *x);
        }
        x.iter().zip(y).map(|(x, y)| (*x - *y).wide().powi(2)).sum()
    }
}
