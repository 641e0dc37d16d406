//! Lengths whose squares leave the range of f64, brought near 1 and back by powers of two, which is exact.

/// Lengths between these have squares and sums of squares that are normal numbers, and so have those of parts of them
/// down to 2⁻¹¹⁰.
const LEAST: f64 = f64::from_bits((1023 - 400) << 52);
const MOST: f64 = f64::from_bits((1023 + 500) << 52);

/// The two factors, 2⁻ᵏ and 2ᵏ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// Brings lengths near 1.
    pub(super) there: f64,
    /// Brings them back.
    pub(super) back: f64,
}

impl Scale {
    /// The scale for lengths up to `length`; none where they are fine as they stand.
    pub(super) fn of(length: f64) -> Option<Self> {
        if length == 0.0 || (LEAST..=MOST).contains(&length) {
            return None;
        }
        let exponent = (length.to_bits() >> 52 & 0x7ff) as i64 - 1023;
        // Both factors must be normal numbers; subnormal lengths need not come nearer than this.
        let exponent = exponent.clamp(-1000, 1000);
        let power = |k: i64| f64::from_bits(((1023 + k) as u64) << 52);
        Some(Self {
            there: power(-exponent),
            back: power(exponent),
        })
    }
}

/// The largest minus the smallest coordinate of all points along each axis.
pub(super) fn extents(clouds: [&[f64]; 2], dim: usize) -> Vec<f64> {
    let mut low = vec![f64::INFINITY; dim];
    let mut high = vec![f64::NEG_INFINITY; dim];
    for point in clouds.iter().flat_map(|points| points.chunks_exact(dim)) {
        for ((low, high), &v) in low.iter_mut().zip(&mut high).zip(point) {
            *low = low.min(v);
            *high = high.max(v);
        }
    }
    low.iter().zip(high).map(|(low, high)| high - low).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_exact_and_bring_any_length_to_where_its_square_is_normal() {
        for length in [5e-324, 1e-310, 1e-170, 1e-121, 1e151, 1e300, f64::MAX] {
            let scale = Scale::of(length).unwrap();
            assert_eq!(scale.there * scale.back, 1.0);
            assert_eq!(length * scale.there * scale.back, length);
            assert!(Scale::of(length * scale.there).is_none(), "{length:e}");
        }
        for length in [0.0, 1e-100, 1.0, 1e150] {
            assert_eq!(Scale::of(length), None, "{length:e}");
        }
    }
}
