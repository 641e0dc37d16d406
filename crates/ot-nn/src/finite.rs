//! Numbers that are none.

use crate::{Error, Number};

/// Whether all numbers are finite. One pass without branches: a product with 0 is NaN for what is not finite, and sums of
/// such products stay so.
#[must_use]
pub fn all_finite<T: Number>(x: &[T]) -> bool {
    let mut sums = [T::ZERO; 16];
    let chunks = x.chunks_exact(16);
    let rest: T = chunks.remainder().iter().map(|x| *x * T::ZERO).sum();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += *x * T::ZERO;
        }
    }
    (sums.into_iter().sum::<T>() + rest).is_finite()
}

/// Nothing where all numbers are finite; otherwise an error that names the first that is not. What a network makes
/// of a batch is not checked by [`Network::forward`](crate::Network::forward) itself: outputs and losses are few, and a look
/// at them by this function costs nothing beside the products. [`Optimizer::step`](crate::Optimizer::step) looks at
/// gradients by itself.
///
/// # Errors
/// [`Error::NotFinite`].
pub fn check_finite<T: Number>(argument: &'static str, x: &[T]) -> Result<(), Error> {
    if all_finite(x) {
        return Ok(());
    }
    match x.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite {
            argument,
            index,
            value: x[index].wide(),
        }),
    }
}
