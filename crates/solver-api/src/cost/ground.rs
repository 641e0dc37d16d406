//! Ground costs: what it costs to move between two points.

use std::fmt;
use std::sync::Arc;

use ot_kernels::pairwise::{self, Metric, PackedPoints};

use super::scale::Scale;
use crate::Error;

/// A function h of the Euclidean distance.
type DistanceFn = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// The ground cost between two points of ℝᵈ.
///
/// The names accepted by [`Ground::parse`], and printed, are those of the command line: `sqeuclidean`,
/// `euclidean`, `cityblock`, `chebyshev`, `minkowski:P`, `cosine`, `log1p`, `atan`, `asinh`, `atanh:S`,
/// `power:P`, `arc`.
#[derive(Clone)]
#[non_exhaustive]
pub enum Ground {
    /// ‖x − y‖₂².
    SqEuclidean,
    /// ‖x − y‖₂.
    Euclidean,
    /// ‖x − y‖₁.
    Cityblock,
    /// ‖x − y‖∞.
    Chebyshev,
    /// ‖x − y‖ₚ, p ≥ 1.
    Minkowski(f64),
    /// 1 − ⟨x, y⟩ / (‖x‖ ‖y‖); undefined at the origin.
    Cosine,
    /// log(1 + ‖x − y‖₂), concave.
    Log1p,
    /// atan ‖x − y‖₂, concave.
    Atan,
    /// asinh ‖x − y‖₂, concave.
    Asinh,
    /// atanh(‖x − y‖₂ / s) with s above the largest distance, convex.
    Atanh(f64),
    /// ‖x − y‖₂ᵖ, p > 0.
    Power(f64),
    /// Arc length on the circle of circumference 1; points are positions in turns (d = 1).
    Arc,
    /// h(‖x − y‖₂) for an h of the caller's, with a name for reports, and what is known of h.
    OfDistance(String, DistanceFn, Shape),
}

/// What the caller of [`Ground::of_distance`] or [`Ground::convex`] says of h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Nothing: it may forbid pairs, and all of them are looked at.
    Any,
    /// Finite, convex and nondecreasing.
    Convex,
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ground({self})")
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SqEuclidean => f.write_str("sqeuclidean"),
            Self::Euclidean => f.write_str("euclidean"),
            Self::Cityblock => f.write_str("cityblock"),
            Self::Chebyshev => f.write_str("chebyshev"),
            Self::Minkowski(p) => write!(f, "minkowski:{p}"),
            Self::Cosine => f.write_str("cosine"),
            Self::Log1p => f.write_str("log1p"),
            Self::Atan => f.write_str("atan"),
            Self::Asinh => f.write_str("asinh"),
            Self::Atanh(s) => write!(f, "atanh:{s}"),
            Self::Power(p) => write!(f, "power:{p}"),
            Self::Arc => f.write_str("arc"),
            Self::OfDistance(name, ..) => f.write_str(name),
        }
    }
}

/// The metric names of the command line, for error messages and help.
pub(crate) const NAMES: &str = "sqeuclidean, euclidean, cityblock, chebyshev, minkowski:P, cosine, log1p, \
                                atan, asinh, atanh:S, power:P, arc";

impl Ground {
    /// Any h of the Euclidean distance. h must map finite distances to finite numbers (+∞ forbids a pair).
    pub fn of_distance(
        name: impl Into<String>,
        h: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self::OfDistance(name.into(), Arc::new(h), Shape::Any)
    }

    /// An h of the Euclidean distance that is finite, convex and nondecreasing: on a line the sorted coupling is optimal for
    /// it. [`PointCost::new`](crate::PointCost::new) tries the promise at some distances, and no pair has to be looked at.
    pub fn convex(name: impl Into<String>, h: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        Self::OfDistance(name.into(), Arc::new(h), Shape::Convex)
    }

    /// Whether the cost between points on a line is a convex function of their difference: then mass in order of position
    /// goes to mass in order of position. Not for log(1 + d), atan, asinh, powers below 1, arcs, and functions of which
    /// nothing is known.
    #[must_use]
    pub fn is_convex_on_a_line(&self) -> bool {
        match self {
            Self::SqEuclidean
            | Self::Euclidean
            | Self::Cityblock
            | Self::Chebyshev
            | Self::Minkowski(_)
            | Self::Atanh(_) => true,
            Self::Power(p) => *p >= 1.0,
            Self::OfDistance(_, _, shape) => *shape == Shape::Convex,
            Self::Cosine | Self::Log1p | Self::Atan | Self::Asinh | Self::Arc => false,
        }
    }

    /// Whether the cost grows with the distance, and is finite wherever that is.
    #[must_use]
    pub fn is_increasing(&self) -> bool {
        !matches!(
            self,
            Self::Cosine | Self::Arc | Self::OfDistance(_, _, Shape::Any)
        )
    }

    /// The promise of [`Ground::convex`], tried at distances up to `reach`.
    pub(crate) fn check_promise(&self, reach: f64) -> Result<(), Error> {
        const TRIED: u32 = 32;
        let Self::OfDistance(name, h, Shape::Convex) = self else {
            return Ok(());
        };
        let at = |k: u32| h(reach * f64::from(k) / f64::from(TRIED));
        let (mut before, mut slope) = (at(0), 0.0);
        for k in 1..=TRIED {
            let here = at(k);
            let rounding = 1e-9 * (here.abs() + before.abs());
            let rise = here - before;
            // The negation also catches NaN.
            let holds = here.is_finite() && before.is_finite() && rise >= slope - rounding;
            if !holds {
                let distance = reach * f64::from(k) / f64::from(TRIED);
                let rule = format!(
                    "must be finite, convex and nondecreasing: near the distance {distance:e} it is not"
                );
                return Err(Error::setting("metric", name, rule));
            }
            (before, slope) = (here, rise.max(slope));
        }
        Ok(())
    }

    /// Reads a metric name as the command line takes it, and checks its parameter.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (name, parameter) = match text.split_once(':') {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (text, None),
        };
        let number = || {
            parameter
                .and_then(|p| p.parse::<f64>().ok())
                .ok_or_else(|| {
                    Error::setting(
                        "metric",
                        text,
                        format!("`{name}` needs a number, as in `{name}:2`"),
                    )
                })
        };
        let ground = match name {
            "minkowski" => Self::Minkowski(number()?),
            "atanh" => Self::Atanh(number()?),
            "power" => Self::Power(number()?),
            _ if parameter.is_some() => {
                return Err(Error::setting(
                    "metric",
                    text,
                    format!("must be one of {NAMES}"),
                ));
            }
            "sqeuclidean" => Self::SqEuclidean,
            "euclidean" => Self::Euclidean,
            "cityblock" => Self::Cityblock,
            "chebyshev" => Self::Chebyshev,
            "cosine" => Self::Cosine,
            "log1p" => Self::Log1p,
            "atan" => Self::Atan,
            "asinh" => Self::Asinh,
            "arc" => Self::Arc,
            _ => {
                return Err(Error::setting(
                    "metric",
                    text,
                    format!("must be one of {NAMES}"),
                ));
            }
        };
        ground.check_parameter()?;
        Ok(ground)
    }

    /// The rule of each parameter: p ≥ 1 for Minkowski, p > 0 for powers, s > 0 for atanh.
    pub(crate) fn check_parameter(&self) -> Result<(), Error> {
        let (ok, rule) = match *self {
            Self::Minkowski(p) => (p >= 1.0 && p.is_finite(), "p must be finite and at least 1"),
            Self::Power(p) => (p > 0.0 && p.is_finite(), "p must be finite and above 0"),
            Self::Atanh(s) => (s > 0.0 && s.is_finite(), "s must be finite and above 0"),
            _ => return Ok(()),
        };
        if ok {
            Ok(())
        } else {
            Err(Error::setting("metric", self, rule))
        }
    }

    /// The cost between two points of equal dimension.
    ///
    /// # Panics
    /// If the dimensions differ.
    #[must_use]
    pub fn between(&self, x: &[f64], y: &[f64]) -> f64 {
        self.of(self.distance(x, y))
    }

    /// The costs between a point and those of a packed cloud, into `out`: as [`Ground::between`], by SIMD, but squares of
    /// Euclidean distances must be in the range of an `f64`.
    ///
    /// # Panics
    /// If the dimensions differ, or `out` is longer than `y`.
    pub fn to_all(&self, x: &[f64], y: &PackedPoints<f64>, out: &mut [f64]) {
        pairwise::row(self.metric(), x, y, 0, out);
        self.of_all(out);
    }

    /// [`Ground::of`] in place.
    pub fn of_all(&self, distances: &mut [f64]) {
        if !self.is_metric() {
            distances.iter_mut().for_each(|d| *d = self.of(*d));
        }
    }

    /// The distance of two points, also where the squares of a Euclidean one are out of range.
    fn distance(&self, x: &[f64], y: &[f64]) -> f64 {
        let distance = pairwise::entry(self.metric(), x, y);
        // A distance within the range of squares has lost nothing to underflow: see `Scale::of`.
        if self.metric() != Metric::Euclidean || (distance > 0.0 && Scale::of(distance).is_none()) {
            return distance;
        }
        let differences = || x.iter().zip(y).map(|(x, y)| (x - y).abs());
        let largest = differences().fold(0.0, f64::max);
        match Scale::of(largest) {
            Some(scale) if largest.is_finite() => {
                let squares = differences().map(|t| (t * scale.there) * (t * scale.there));
                squares.fold(0.0, |sum, t| sum + t).sqrt() * scale.back
            }
            _ => distance,
        }
    }

    /// The distance that the cost is a function of.
    #[must_use]
    pub fn metric(&self) -> Metric {
        match self {
            Self::SqEuclidean => Metric::SqEuclidean,
            // Positions on the circle are single numbers.
            Self::Cityblock | Self::Arc => Metric::L1,
            Self::Chebyshev => Metric::Chebyshev,
            Self::Minkowski(p) => Metric::Minkowski(*p),
            Self::Cosine => Metric::Cosine,
            _ => Metric::Euclidean,
        }
    }

    /// Whether the cost is [`Ground::metric`] itself.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        use Ground::{Chebyshev, Cityblock, Cosine, Euclidean, Minkowski, SqEuclidean};
        matches!(
            self,
            SqEuclidean | Euclidean | Cityblock | Chebyshev | Minkowski(_) | Cosine
        )
    }

    /// The cost as a function of [`Ground::metric`].
    #[inline]
    #[must_use]
    pub fn of(&self, distance: f64) -> f64 {
        match self {
            Self::Log1p => distance.ln_1p(),
            Self::Atan => distance.atan(),
            Self::Asinh => distance.asinh(),
            Self::Atanh(s) => (distance / s).atanh(),
            Self::Power(p) => distance.powf(*p),
            Self::Arc => {
                let turn = distance.fract();
                turn.min(1.0 - turn)
            }
            Self::OfDistance(_, h, _) => h(distance),
            _ => distance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in NAMES.split(", ") {
            let name = name.replace(":P", ":2.5").replace(":S", ":9");
            assert_eq!(Ground::parse(&name).unwrap().to_string(), name);
        }
        for bad in [
            "",
            "l2",
            "minkowski",
            "minkowski:0.5",
            "minkowski:x",
            "power:-1",
            "arc:2",
            "atanh:nan",
        ] {
            assert!(Ground::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn to_all_says_what_between_says_also_of_other_points_in_the_same_room() {
        let y: Vec<f64> = (0..210).map(|k| f64::from(k * k % 17) - 3.5).collect();
        let mut packed = PackedPoints::new(&y, 3);
        for y in [&y[..], &y[30..99]] {
            packed.repack(y);
            let mut costs = vec![0.0; y.len() / 3];
            for ground in [Ground::SqEuclidean, Ground::Asinh, Ground::Cityblock] {
                ground.to_all(&[0.3, -1.0, 7.0], &packed, &mut costs);
                for (point, cost) in y.chunks_exact(3).zip(&costs) {
                    assert_eq!(*cost, ground.between(&[0.3, -1.0, 7.0], point));
                }
            }
        }
    }

    #[test]
    fn closed_forms() {
        let (x, y) = ([0.0, 0.0], [3.0, 4.0]);
        let expect = [
            ("sqeuclidean", 25.0),
            ("euclidean", 5.0),
            ("cityblock", 7.0),
            ("chebyshev", 4.0),
            ("minkowski:3", 91.0_f64.cbrt()),
            ("log1p", 6.0_f64.ln()),
            ("atan", 5.0_f64.atan()),
            ("asinh", 5.0_f64.asinh()),
            ("atanh:10", 0.5_f64.atanh()),
            ("power:3", 125.0),
        ];
        for (name, value) in expect {
            let found = Ground::parse(name).unwrap().between(&x, &y);
            assert!(
                (found - value).abs() < 1e-13 * value,
                "{name}: {found} ≠ {value}"
            );
        }
        let arc = |a, b| Ground::Arc.between(&[a], &[b]);
        assert!((arc(0.1, 0.9) - 0.2).abs() < 1e-15 && (arc(-0.25, 2.5) - 0.25).abs() < 1e-15);
        assert_eq!(
            Ground::of_distance("cube", |d| d * d * d).between(&x, &y),
            125.0
        );
    }
}
