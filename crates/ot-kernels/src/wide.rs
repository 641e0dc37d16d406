//! A number of twice the digits, for sums along a path that others are taken from.

use std::ops::{Add, Neg, Sub};

/// hi + lo with lo at most half a unit in the last place of hi: some 32 digits. Infinities stay what they are.
///
/// Dekker (1971), *A floating-point technique for extending the available precision*; the error of a sum is Knuth's.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Wide {
    // In this order: numbers compare by `hi` first.
    hi: f64,
    lo: f64,
}

impl Wide {
    /// 0.
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0 };
    /// +∞.
    pub const INFINITY: Self = Self {
        hi: f64::INFINITY,
        lo: 0.0,
    };

    /// The nearest f64.
    #[inline]
    #[must_use]
    pub fn value(self) -> f64 {
        self.hi
    }

    /// hi + lo, with what the sum of a larger and a smaller number rounds off.
    #[inline]
    fn normal(hi: f64, lo: f64) -> Self {
        let sum = hi + lo;
        if !sum.is_finite() {
            return Self { hi: sum, lo: 0.0 };
        }
        Self {
            hi: sum,
            lo: lo - (sum - hi),
        }
    }
}

impl From<f64> for Wide {
    #[inline]
    fn from(x: f64) -> Self {
        Self { hi: x, lo: 0.0 }
    }
}

impl Add<f64> for Wide {
    type Output = Self;

    #[inline]
    fn add(self, x: f64) -> Self {
        let sum = self.hi + x;
        if !sum.is_finite() {
            return Self { hi: sum, lo: 0.0 };
        }
        let part = sum - self.hi;
        let error = (self.hi - (sum - part)) + (x - part);
        Self::normal(sum, error + self.lo)
    }
}

impl Add for Wide {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        self + other.hi + other.lo
    }
}

impl Neg for Wide {
    type Output = Self;

    #[inline]
    fn neg(self) -> Self {
        Self {
            hi: -self.hi,
            lo: -self.lo,
        }
    }
}

impl Sub for Wide {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tenths_are_what_they_are() {
        let sum = (0..1_000_000).fold(Wide::ZERO, |sum, _| sum + 0.1);
        // 0.1 as a double is 0.1 + 2^-54 · 0.1 (and a little): the sum shows that, and nothing of its own.
        assert_eq!(sum.value(), 1e6 * 0.1);
        let rest = (0..1_000_000).fold(sum, |sum, _| sum + -0.1);
        assert_eq!(rest, Wide::ZERO);
        let apart = Wide::from(1e20) + 1.0 - Wide::from(1e20);
        assert_eq!(apart.value(), 1.0);
    }

    #[test]
    fn infinities_stay_and_compare() {
        let most = Wide::INFINITY;
        assert_eq!((most + 1.0).value(), f64::INFINITY);
        assert_eq!((-most + 1.0).value(), f64::NEG_INFINITY);
        assert!(Wide::from(1e300) < most);
        assert!(Wide::from(1.0) < Wide::from(1.0) + 1e-20);
        assert_eq!((Wide::from(1.7e308) + 1.7e308).value(), f64::INFINITY);
    }
}
