//! What no pair of two boxes can be below: the least cost, with a slope taken off or without.
//!
//! Each is a bound of c(x, y) − ⟨β, y⟩ over x in one box and y in another, as the pairs are computed: with room for rounding where
//! the formula is another one.

use ot_kernels::near::distance;
use solver_api::Ground;

/// The two corners.
type Box<'a> = (&'a [f64], &'a [f64]);

/// How much less a bound is for rounding, in units in the last place of its terms, for each coordinate.
const SLACK: f64 = 8.0 * f64::EPSILON;

/// ‖x − y‖² − ⟨β, y⟩, coordinate by coordinate: the exact least.
pub(super) fn squares((low, high): Box<'_>, (from, to): Box<'_>, slope: &[f64]) -> f64 {
    let mut sum = 0.0;
    for k in 0..slope.len() {
        // dist(y, [low, high])² − βy over [from, to]: convex in y.
        let half = 0.5 * slope[k];
        let best = if half >= 0.0 {
            high[k] + half
        } else {
            low[k] + half
        };
        let y = best.min(to[k]).max(from[k]);
        let gap = (y - high[k]).max(low[k] - y).max(0.0);
        sum += gap * gap - slope[k] * y;
    }
    sum
}

/// ‖x − y‖₁ − ⟨β, y⟩, coordinate by coordinate: the exact least.
pub(super) fn sizes((low, high): Box<'_>, (from, to): Box<'_>, slope: &[f64]) -> f64 {
    let mut sum = 0.0;
    for k in 0..slope.len() {
        // dist(y, [low, high]) − βy over [from, to] has the slopes −1 − β, −β and 1 − β.
        let best = match slope[k] {
            s if s > 1.0 => f64::INFINITY,
            s if s >= 0.0 => high[k],
            s if s >= -1.0 => low[k],
            _ => f64::NEG_INFINITY,
        };
        let y = best.min(to[k]).max(from[k]);
        let gap = (y - high[k]).max(low[k] - y).max(0.0);
        sum += gap - slope[k] * y;
    }
    sum
}

/// How far the boxes are apart along axis k, 0 where they overlap.
fn gap((low, high): Box<'_>, (from, to): Box<'_>, k: usize) -> f64 {
    (from[k] - high[k]).max(low[k] - to[k]).max(0.0)
}

/// The cost of the least distance between the boxes.
pub(super) fn distance_least(ground: &Ground, x: Box<'_>, y: Box<'_>) -> f64 {
    let dim = x.0.len();
    let least = distance(ground.metric(), (0..dim).map(|k| gap(x, y, k)));
    let slack = SLACK * (dim as f64 + 2.0);
    let cost = ground.of(least * (1.0 - slack));
    cost - slack * cost.abs()
}

/// The least of a linear function below the cost, −∞ where there is none.
///
/// h(t) ≥ base + κt on all distances of the boxes: a tangent at the distance of the middles where h is convex, a chord where it is
/// concave. And t = ‖x − y‖ ≥ ⟨u, x − y⟩ for u with a dual norm of 1, here the direction from middle to middle. Potentials of an
/// optimal plan slope as −κu where mass goes along u: then what is left is flat, and the bound as good as the boxes are small
/// beside the distance.
pub(super) fn linear(ground: &Ground, x: Box<'_>, y: Box<'_>, slope: &[f64]) -> f64 {
    let ((low, high), (from, to)) = (x, y);
    let dim = slope.len();
    let apart = |k: usize| 0.5 * (low[k] + high[k]) - 0.5 * (from[k] + to[k]);
    if let Ground::Chebyshev = ground {
        let along = |k: &usize| apart(*k).abs();
        let axis = (0..dim).max_by(|k, l| along(k).total_cmp(&along(l)));
        let unit = |k: usize| match Some(k) == axis {
            true => 1.0_f64.copysign(apart(k)),
            false => 0.0,
        };
        return from_below(x, y, slope, 0.0, unit);
    }
    let middle = distance(Ground::Euclidean.metric(), (0..dim).map(apart));
    if !middle.is_normal() {
        return f64::NEG_INFINITY;
    }
    let Some((base, kappa)) = below(ground, middle, || {
        let euclidean = Ground::Euclidean.metric();
        let far = |k: usize| (to[k] - low[k]).max(high[k] - from[k]);
        (
            distance(euclidean, (0..dim).map(|k| gap(x, y, k))),
            distance(euclidean, (0..dim).map(far)),
        )
    }) else {
        return f64::NEG_INFINITY;
    };
    from_below(x, y, slope, base, |k| kappa * apart(k) / middle)
}

/// base + ⟨u, x⟩ − ⟨u + β, y⟩ at its least over the boxes.
fn from_below(
    (low, high): Box<'_>,
    (from, to): Box<'_>,
    slope: &[f64],
    base: f64,
    u: impl Fn(usize) -> f64,
) -> f64 {
    let (mut sum, mut size) = (base, base.abs());
    for k in 0..slope.len() {
        let u = u(k);
        let of_x = u * if u >= 0.0 { low[k] } else { high[k] };
        let other = u + slope[k];
        let of_y = other * if other >= 0.0 { to[k] } else { from[k] };
        sum += of_x - of_y;
        size += of_x.abs() + of_y.abs() + u.abs() * (to[k].abs() + from[k].abs());
    }
    sum - SLACK * (slope.len() as f64 + 2.0) * size
}

/// (base, κ) with h(t) ≥ base + κt between the least and the largest distance of two boxes, which `ends` finds.
fn below(ground: &Ground, middle: f64, ends: impl Fn() -> (f64, f64)) -> Option<(f64, f64)> {
    let tangent = |kappa: f64| {
        let base = ground.of(middle) - kappa * middle;
        (kappa.is_finite() && base.is_finite()).then_some((base, kappa))
    };
    match ground {
        Ground::Euclidean => Some((0.0, 1.0)),
        Ground::Power(p) if *p >= 1.0 => tangent(p * middle.powf(p - 1.0)),
        Ground::Atanh(s) => {
            let part = middle / s;
            tangent(1.0 / s / (1.0 - part * part))
        }
        Ground::Power(_) | Ground::Log1p | Ground::Atan | Ground::Asinh => {
            let (least, most) = ends();
            let (at_least, at_most) = (ground.of(least), ground.of(most));
            let kappa = (at_most - at_least) / (most - least);
            let base = at_least - kappa * least;
            (kappa.is_finite() && base.is_finite()).then_some((base, kappa))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::super::testing::other_grounds;
    use super::*;

    /// Against all pairs of corners and of random points in the boxes, near and far, for every cost.
    #[test]
    fn no_pair_is_below_its_bounds() {
        let mut rng = Pcg64::seed_from_u64(3);
        let mut grounds = other_grounds();
        grounds.push(Ground::SqEuclidean);
        let mut nearest = vec![f64::INFINITY; grounds.len()];
        for round in 0..300 {
            let dim = 1 + round % 4;
            let mut corners = |shift: f64| -> (Vec<f64>, Vec<f64>) {
                let low: Vec<f64> = (0..dim)
                    .map(|_| shift + rng.random_range(-1.0..1.0))
                    .collect();
                let high = low.iter().map(|l| l + rng.random_range(0.0..0.4)).collect();
                (low, high)
            };
            let x = corners(0.0);
            let y = corners([0.0, 0.3, 20.0][round % 3]);
            let slope: Vec<f64> = (0..dim).map(|_| rng.random_range(-2.0..2.0)).collect();
            let mut inside = |b: &(Vec<f64>, Vec<f64>)| -> Vec<f64> {
                let at = |k: usize, part: f64| b.0[k] + part * (b.1[k] - b.0[k]);
                (0..dim)
                    .map(|k| match rng.random_range(0..3) {
                        0 => b.0[k],
                        1 => b.1[k],
                        _ => at(k, rng.random()),
                    })
                    .collect()
            };
            let pairs: Vec<_> = (0..60).map(|_| (inside(&x), inside(&y))).collect();
            let (x, y) = ((&x.0[..], &x.1[..]), (&y.0[..], &y.1[..]));
            for (ground, nearest) in grounds.iter().zip(&mut nearest) {
                let none = vec![0.0; dim];
                let bound = match ground {
                    Ground::SqEuclidean => squares(x, y, &slope),
                    Ground::Cityblock => sizes(x, y, &slope),
                    _ => linear(ground, x, y, &slope),
                };
                let least = distance_least(ground, x, y);
                for (p, q) in &pairs {
                    let cost = ground.between(p, q);
                    let off: f64 = slope.iter().zip(q).map(|(s, q)| s * q).sum();
                    assert!(cost - off >= bound - 1e-12, "{ground} {bound} {cost} {off}");
                    assert!(cost >= least, "{ground} {least} {cost}");
                    *nearest = nearest.min(cost - off - bound).min(cost - least);
                }
                assert!(linear(ground, x, y, &none) <= least + 1e-9, "{ground}");
            }
        }
        // They are no excuses: where boxes are small beside the distance a pair comes near.
        for (ground, nearest) in grounds.iter().zip(nearest) {
            assert!(nearest < 0.05, "{ground} {nearest}");
        }
    }
}
