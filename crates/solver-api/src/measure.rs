//! Weights of a discrete measure, checked once.

use std::sync::Arc;

use ndarray::ArrayView1;

use crate::Error;

/// The floating-point type that values were given in. Narrow input widens the mass tolerance of a balanced
/// problem from 1e-9 to 1e-5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit input.
    F32,
    /// 64-bit input.
    F64,
}

/// The weights of a discrete measure: finite, not negative, with a finite sum of [`Measure::LEAST_MASS`] or more, in
/// the caller's units.
///
/// Cheap to clone (the weights are shared). Zero weights are allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    weights: Arc<[f64]>,
    mass: f64,
    support: usize,
    precision: Precision,
}

impl Measure {
    /// The least mass, 1e-300: below it products of weights and costs lose their digits, and no certificate holds.
    pub const LEAST_MASS: f64 = 1e-300;

    /// Checks `weights`. Errors name the argument `weights`; see [`Measure::named`].
    pub fn new(weights: impl Into<Arc<[f64]>>) -> Result<Self, Error> {
        Self::named("weights", weights)
    }

    /// Checks `weights`; errors name them `argument`. Time and memory O(n).
    pub fn named(argument: &'static str, weights: impl Into<Arc<[f64]>>) -> Result<Self, Error> {
        Self::checked(argument, weights.into(), Precision::F64)
    }

    /// Checks single-precision weights.
    pub fn from_f32(argument: &'static str, weights: &[f32]) -> Result<Self, Error> {
        Self::checked(
            argument,
            weights.iter().map(|&w| f64::from(w)).collect(),
            Precision::F32,
        )
    }

    /// Checks the weights of an ndarray view.
    pub fn from_array(argument: &'static str, weights: ArrayView1<'_, f64>) -> Result<Self, Error> {
        Self::named(argument, weights.iter().copied().collect::<Vec<_>>())
    }

    /// `n` equal weights of total mass 1. `n` = 0 is an error.
    pub fn uniform(n: usize) -> Result<Self, Error> {
        Self::new(vec![1.0 / n as f64; n])
    }

    fn checked(
        argument: &'static str,
        weights: Arc<[f64]>,
        precision: Precision,
    ) -> Result<Self, Error> {
        if let Some((index, &value)) = weights
            .iter()
            .enumerate()
            .find(|(_, w)| !(w.is_finite() && **w >= 0.0))
        {
            return Err(Error::InvalidWeight {
                argument,
                index,
                value,
            });
        }
        let mass = sum(&weights);
        if !(mass >= Self::LEAST_MASS && mass.is_finite()) {
            return Err(Error::InvalidMass {
                argument,
                mass,
                len: weights.len(),
            });
        }
        let support = weights.iter().filter(|w| **w > 0.0).count();
        Ok(Self {
            weights,
            mass,
            support,
            precision,
        })
    }

    /// The same measure with total mass 1.
    #[must_use]
    pub fn normalized(&self) -> Self {
        self.rescaled_to(1.0)
    }

    /// The same measure with total mass `mass` (positive and finite by the caller's care).
    pub(crate) fn rescaled_to(&self, mass: f64) -> Self {
        if mass == self.mass {
            return self.clone();
        }
        // Divide first: weight / mass is at most 1, so the product can't overflow.
        let weights: Arc<[f64]> = self
            .weights
            .iter()
            .map(|w| (w / self.mass) * mass)
            .collect();
        Self {
            mass: sum(&weights),
            // Scaling down may underflow: a weight that is zero now has left the support.
            support: weights.iter().filter(|w| **w > 0.0).count(),
            weights,
            precision: self.precision,
        }
    }

    /// The number of entries, zero weights included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Never true: a measure has mass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The weights.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The weights, shared.
    #[must_use]
    pub fn shared_weights(&self) -> Arc<[f64]> {
        Arc::clone(&self.weights)
    }

    /// The sum of the weights (compensated).
    #[must_use]
    pub fn mass(&self) -> f64 {
        self.mass
    }

    /// The number of positive weights.
    #[must_use]
    pub fn support_len(&self) -> usize {
        self.support
    }

    /// The number type that the weights were given in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

/// Neumaier's compensated sum: masses are compared at 1e-9, so plain summation of 10⁶ terms would be a waste
/// of that tolerance.
pub(crate) fn sum(values: &[f64]) -> f64 {
    let (mut total, mut carry) = (0.0_f64, 0.0_f64);
    for &v in values {
        let next = total + v;
        carry += if total.abs() >= v.abs() {
            (total - next) + v
        } else {
            (v - next) + total
        };
        total = next;
    }
    // An overflowing total makes the carry NaN; the plain total then tells the truth.
    if carry.is_finite() {
        total + carry
    } else {
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_weights_name_index_and_value() {
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            let error = Measure::named("a", vec![0.5, bad]).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidWeight {
                        argument: "a",
                        index: 1,
                        ..
                    }
                ),
                "{error}"
            );
        }
        for no_mass in [
            vec![],
            vec![0.0, 0.0],
            vec![0.4e-300, 0.5e-300],
            vec![f64::MAX, f64::MAX],
        ] {
            assert!(matches!(
                Measure::new(no_mass),
                Err(Error::InvalidMass { .. })
            ));
        }
    }

    #[test]
    fn rescaling_keeps_proportions_at_extreme_masses() {
        let m = Measure::new(vec![1e308, 0.0, 0.5e308]).unwrap();
        let n = m.normalized();
        assert_eq!(n.weights(), [2.0 / 3.0, 0.0, 1.0 / 3.0]);
        assert_eq!((n.len(), n.support_len()), (3, 2));
    }

    #[test]
    fn weights_that_underflow_leave_the_support() {
        let m = Measure::new(vec![1e300, 1e-300]).unwrap().normalized();
        assert_eq!((m.weights(), m.support_len()), ([1.0, 0.0].as_slice(), 1));
    }

    #[test]
    fn sum_is_compensated() {
        let mut v = vec![1.0];
        v.extend(std::iter::repeat_n(1e-16, 10_000));
        assert!((sum(&v) - (1.0 + 1e-12)).abs() < 1e-15);
    }
}
