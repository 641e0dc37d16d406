//! The derivative of every ground cost.
//!
//! At distance 0 each of them takes the value 0. For costs that are smooth there (`sqeuclidean`, `power:P` with P > 1)
//! that is the derivative; for norms (`euclidean`, `cityblock`, `chebyshev`, `minkowski:P`, `log1p`, `atan`, `asinh`,
//! `atanh:S`, `arc`) it is the subgradient of least norm; for `power:P` with P < 1, whose slope grows beyond all bounds
//! on the way there, it is a convention. Coordinates that are equal count as 0 in `cityblock` and `minkowski:P`, the
//! first of equal largest differences is the one of `chebyshev`, and `arc` has 0 between opposite points.

use solver_api::{Error, Ground};

/// The slope h′ of a caller's own function of the distance, for `Ground::OfDistance`.
pub type Slope<'a> = &'a (dyn Fn(f64) -> f64 + Sync);

/// A ground cost that can be differentiated.
#[derive(Clone, Copy)]
pub(crate) struct Differentiable<'a> {
    ground: &'a Ground,
    slope: Option<Slope<'a>>,
}

impl<'a> Differentiable<'a> {
    /// An error where a slope is needed and there is none.
    pub(crate) fn new(ground: &'a Ground, slope: Option<Slope<'a>>) -> Result<Self, Error> {
        if matches!(ground, Ground::OfDistance(..)) && slope.is_none() {
            return Err(Error::setting(
                "metric",
                ground,
                "the derivative of a function of the caller's must be given: see `chain_rule_of_distance`",
            ));
        }
        if !matches!(ground, Ground::OfDistance(..)) && slope.is_some() {
            return Err(Error::setting(
                "metric",
                ground,
                "a slope belongs to `Ground::OfDistance` only: this metric has its own",
            ));
        }
        Ok(Self { ground, slope })
    }

    /// Whether the derivative is (x − y) times a function of the Euclidean distance.
    pub(crate) fn is_radial(self) -> bool {
        use Ground::{Asinh, Atan, Atanh, Euclidean, Log1p, OfDistance, Power, SqEuclidean};
        matches!(
            self.ground,
            SqEuclidean | Euclidean | Log1p | Atan | Asinh | Atanh(_) | Power(_) | OfDistance(..)
        )
    }

    /// Whether that function is the constant 2.
    pub(crate) fn is_square(self) -> bool {
        matches!(self.ground, Ground::SqEuclidean)
    }

    /// h′(d) for the functions of the Euclidean distance.
    pub(crate) fn slope(self, d: f64) -> f64 {
        match *self.ground {
            Ground::SqEuclidean => 2.0 * d,
            Ground::Log1p => 1.0 / (1.0 + d),
            Ground::Atan => 1.0 / (1.0 + d * d),
            Ground::Asinh => 1.0 / d.hypot(1.0),
            Ground::Atanh(s) => s / ((s - d) * (s + d)),
            Ground::Power(p) => p * d.powf(p - 1.0),
            Ground::OfDistance(..) => self.slope.map_or(0.0, |h| h(d)),
            _ => 1.0,
        }
    }

    /// Adds `w`·∂c/∂x to `gx` and `w`·∂c/∂y to the coordinates k of `gy`, which lie `apart` from each other.
    pub(crate) fn add(
        self,
        x: &[f64],
        y: &[f64],
        w: f64,
        gx: &mut [f64],
        gy: &mut [f64],
        apart: usize,
    ) {
        let mut give = |k: usize, t: f64| {
            gx[k] += t;
            gy[k * apart] -= t;
        };
        let differences = || x.iter().zip(y).map(|(x, y)| x - y);
        let sign = |t: f64| if t == 0.0 { 0.0 } else { t.signum() };
        let largest = differences().fold(0.0_f64, |s, t| s.max(t.abs()));
        if largest == 0.0 && !matches!(self.ground, Ground::Cosine) {
            return;
        }
        match *self.ground {
            Ground::SqEuclidean => differences()
                .enumerate()
                .for_each(|(k, t)| give(k, 2.0 * w * t)),
            Ground::Cityblock => differences()
                .enumerate()
                .for_each(|(k, t)| give(k, w * sign(t))),
            Ground::Chebyshev => {
                if let Some((k, t)) = differences().enumerate().find(|(_, t)| t.abs() == largest) {
                    give(k, w * sign(t));
                }
            }
            Ground::Minkowski(p) => {
                // In units of the largest difference, whose power is 1.
                let sum: f64 = differences().map(|t| (t.abs() / largest).powf(p)).sum();
                let norm = largest * sum.powf(1.0 / p);
                for (k, t) in differences().enumerate().filter(|(_, t)| *t != 0.0) {
                    give(k, w * sign(t) * (t.abs() / norm).powf(p - 1.0));
                }
            }
            Ground::Cosine => cosine(x, y, w, gx, gy, apart),
            Ground::Arc => {
                let t = x[0] - y[0];
                let turn = t.abs().fract();
                if turn != 0.0 && turn != 0.5 {
                    give(0, w * if turn < 0.5 { sign(t) } else { -sign(t) });
                }
            }
            _ => {
                let sum: f64 = differences().map(|t| (t / largest) * (t / largest)).sum();
                let distance = largest * sum.sqrt();
                let slope = w * self.slope(distance);
                differences()
                    .enumerate()
                    .for_each(|(k, t)| give(k, slope * (t / distance)));
            }
        }
    }
}

/// 1 − ⟨x̂, ŷ⟩: its derivative is −(ŷ − ⟨x̂, ŷ⟩ x̂)/‖x‖, and the same with x and y exchanged.
fn cosine(x: &[f64], y: &[f64], w: f64, gx: &mut [f64], gy: &mut [f64], apart: usize) {
    // Scaled by the largest coordinate, so that norms of 1e±200 stay in range.
    let norm = |v: &[f64]| {
        let most = v.iter().fold(0.0_f64, |s, t| s.max(t.abs()));
        most * v
            .iter()
            .map(|t| (t / most) * (t / most))
            .sum::<f64>()
            .sqrt()
    };
    let (nx, ny) = (norm(x), norm(y));
    let inner: f64 = x.iter().zip(y).map(|(x, y)| (x / nx) * (y / ny)).sum();
    for k in 0..x.len() {
        let (ux, uy) = (x[k] / nx, y[k] / ny);
        gx[k] -= w * (uy - inner * ux) / nx;
        gy[k * apart] -= w * (ux - inner * uy) / ny;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(ground: &Ground, slope: Option<Slope<'_>>, x: &[f64], y: &[f64]) -> [Vec<f64>; 2] {
        let (mut gx, mut gy) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let of = Differentiable::new(ground, slope).unwrap();
        of.add(x, y, 1.0, &mut gx, &mut gy, 1);
        [gx, gy]
    }

    #[test]
    fn every_ground_cost_equals_its_finite_differences() {
        let cube = Ground::of_distance("cube", |d| d * d * d);
        let slope: Slope<'_> = &|d| 3.0 * d * d;
        let grounds = [
            "sqeuclidean",
            "euclidean",
            "cityblock",
            "chebyshev",
            "minkowski:1",
            "minkowski:1.5",
            "minkowski:3",
            "cosine",
            "log1p",
            "atan",
            "asinh",
            "atanh:9",
            "power:0.5",
            "power:1",
            "power:2.5",
        ];
        let x = [0.3, -1.2, 2.0];
        let y = [1.0, 0.4, 1.7];
        let mut all: Vec<(Ground, Option<Slope<'_>>)> = grounds
            .iter()
            .map(|name| (Ground::parse(name).unwrap(), None))
            .collect();
        all.push((cube, Some(slope)));
        for (ground, slope) in &all {
            let found = gradient(ground, *slope, &x, &y);
            for k in 0..3 {
                let h = 1e-5;
                for (side, found) in found.iter().enumerate() {
                    let at = |t: f64| {
                        let mut points = [x, y];
                        points[side][k] += t;
                        ground.between(&points[0], &points[1])
                    };
                    let slope =
                        (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                    assert!((found[k] - slope).abs() < 1e-9, "{ground} {side} {k}");
                }
            }
        }
        for (x, want) in [(0.1, -1.0), (2.3, 1.0), (-0.6, 1.0), (1.0, -1.0)] {
            let [gx, gy] = gradient(&Ground::Arc, None, &[x], &[0.2]);
            let at = |t: f64| Ground::Arc.between(&[x + t], &[0.2]);
            assert!(((at(1e-6) - at(-1e-6)) / 2e-6 - gx[0]).abs() < 1e-9, "{x}");
            assert_eq!((gx[0], gy[0]), (want, -want));
        }
    }

    #[test]
    fn equal_points_pull_nothing() {
        for name in [
            "sqeuclidean",
            "euclidean",
            "cityblock",
            "chebyshev",
            "minkowski:3",
            "log1p",
            "power:0.5",
        ] {
            let ground = Ground::parse(name).unwrap();
            assert_eq!(
                gradient(&ground, None, &[1.0, 2.0], &[1.0, 2.0]),
                [[0.0; 2], [0.0; 2]]
            );
        }
    }

    #[test]
    fn distances_of_any_size_have_unit_gradients() {
        for size in [1e-300, 1e-160, 1e160, 1e300] {
            let [gx, _] = gradient(
                &Ground::Euclidean,
                None,
                &[3.0 * size, 0.0],
                &[0.0, 4.0 * size],
            );
            assert!(
                (gx[0] - 0.6).abs() < 1e-14 && (gx[1] + 0.8).abs() < 1e-14,
                "{gx:?}"
            );
        }
    }

    #[test]
    fn a_closure_needs_its_slope_and_nothing_else_takes_one() {
        let own = Ground::of_distance("own", |d| d);
        assert!(Differentiable::new(&own, None).is_err());
        assert!(Differentiable::new(&Ground::Euclidean, Some(&|_| 1.0)).is_err());
    }
}
