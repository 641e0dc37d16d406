//! Numbers that are none.

use crate::{Error, Number};

/// Whether all numbers are finite: one pass at the rate of memory.
#[must_use]
pub fn all_finite<T: Number>(x: &[T]) -> bool {
    ot_kernels::neural::all_finite(x)
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
