//! The multiplier of the mass and the potentials of one side, together and exactly.
//!
//! With the other side fixed, the targets' potentials g ≤ 0 and the multiplier λ maximize the dual where
//! Σ_j min(δ q_j, b_j) = 1: q_j is what target j gets at g_j = 0, δ the factor by which e^{λ/ε} grows. The sum is concave
//! in δ and linear between the places where a target is full.

/// δ, or `None` where no factor makes the sum 1: what the targets in reach can take is less, beyond rounding.
///
/// Newton from below: a tangent of a concave function meets 1 before the function does, and each step fills one more
/// target at least. O(m) a step, a few steps.
pub(super) fn growth(q: &[f64], b: &[f64]) -> Option<f64> {
    let total: f64 = q.iter().sum();
    // NaN fails too.
    if !(total > 0.0 && total.is_finite()) {
        return None;
    }
    let mut delta = 1.0 / total;
    for _ in 0..=q.len() {
        let (mut full, mut slope) = (0.0, 0.0);
        for (&q, &b) in q.iter().zip(b) {
            if delta * q >= b {
                full += b;
            } else {
                slope += q;
            }
        }
        let next = if slope > 0.0 {
            (1.0 - full) / slope
        } else {
            0.0
        };
        if next <= delta {
            // All in reach are full: right where they are all there is to fill.
            let short = slope == 0.0 && full < 1.0 - 1e-9;
            return (!short && delta.is_normal()).then_some(delta);
        }
        delta = next;
    }
    delta.is_normal().then_some(delta)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(delta: f64, q: &[f64], b: &[f64]) -> f64 {
        q.iter().zip(b).map(|(q, b)| (delta * q).min(*b)).sum()
    }

    #[test]
    fn the_mass_is_one() {
        let q = [1.0, 0.5, 1e-3, 20.0, 0.0];
        for b in [
            [5.0; 5],
            [0.3, 0.3, 0.3, 0.3, 0.3],
            [0.1, 0.8, 0.1, 0.1, 9.0],
        ] {
            let delta = growth(&q, &b).unwrap();
            assert!((sum(delta, &q, &b) - 1.0).abs() < 1e-15, "{b:?}: {delta}");
        }
    }

    #[test]
    fn all_of_the_targets_is_the_least_factor_that_fills_them() {
        let delta = growth(&[1.0, 4.0], &[0.5, 0.5]).unwrap();
        assert!((delta - 0.5).abs() < 1e-15);
    }

    #[test]
    fn what_cannot_be_reached_is_said() {
        assert_eq!(growth(&[1.0, 0.0], &[0.5, 0.7]), None);
        assert_eq!(growth(&[0.0, 0.0], &[0.5, 0.7]), None);
        assert_eq!(growth(&[f64::NAN, 1.0], &[0.5, 0.7]), None);
    }
}
