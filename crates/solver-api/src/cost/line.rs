//! Costs between points on a line that are convex in their difference.
//!
//! With both sides in order such a cost has the Monge property, C_ij + C_kl ≤ C_il + C_kj for i ≤ k, j ≤ l: the sorted
//! coupling is optimal, and the best partner of a point moves to the right with it. Both need no matrix.

use std::borrow::Cow;

use ot_kernels::order;

use super::{Cost, CostKind, GridCost, GridGround, Ground, PointCost};

/// A convex cost h(|x_i − y_j|) between points on a line.
#[derive(Debug, Clone)]
pub struct LineCost<'a> {
    x: Cow<'a, [f64]>,
    y: Cow<'a, [f64]>,
    h: Convex<'a>,
}

/// The cost as a function of the difference.
#[derive(Debug, Clone, Copy)]
enum Convex<'a> {
    Square,
    Distance,
    Other(&'a Ground),
}

/// Below so many points a half of a transform stays on its thread.
const IN_LINE: usize = 1 << 13;
/// Candidates of which the least is found before its place is.
const LANE: usize = 16;

impl<'a> LineCost<'a> {
    /// What `cost` is between points on a line, if it is convex there ([`Ground::is_convex_on_a_line`]): points of dimension
    /// 1, or the cells of a grid of one axis.
    #[must_use]
    pub fn of(cost: &'a dyn Cost) -> Option<Self> {
        match cost.kind() {
            CostKind::Points(points) => Self::of_points(points),
            CostKind::Grid(grid) => Self::of_grid(grid),
            _ => None,
        }
    }

    fn of_points(points: &'a PointCost) -> Option<Self> {
        let ground = points.ground();
        if points.dim() != 1 || !ground.is_convex_on_a_line() {
            return None;
        }
        let h = match ground {
            Ground::SqEuclidean => Convex::Square,
            Ground::Atanh(_) | Ground::Power(_) | Ground::OfDistance(..) => Convex::Other(ground),
            // Every norm of a number is its absolute value.
            _ => Convex::Distance,
        };
        Some(Self {
            x: points.x().into(),
            y: points.y().into(),
            h,
        })
    }

    fn of_grid(grid: &GridCost) -> Option<Self> {
        let &[cells] = grid.dims() else { return None };
        let at: Vec<f64> = (0..cells).map(|k| k as f64 * grid.spacing()[0]).collect();
        let h = match grid.ground() {
            GridGround::SqEuclidean => Convex::Square,
            GridGround::Cityblock => Convex::Distance,
        };
        Some(Self {
            x: at.clone().into(),
            y: at.into(),
            h,
        })
    }

    /// Positions of the sources.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// Positions of the targets.
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// The cost between two positions.
    #[inline]
    #[must_use]
    pub fn between(&self, x: f64, y: f64) -> f64 {
        match self.h {
            Convex::Square => (x - y) * (x - y),
            Convex::Distance => (x - y).abs(),
            Convex::Other(ground) => ground.between(&[x], &[y]),
        }
    }

    /// `between(to, y) − between(from, y)`, to the digits of the step where costs are squares or distances.
    #[inline]
    #[must_use]
    pub fn change(&self, from: f64, to: f64, y: f64) -> f64 {
        match self.h {
            Convex::Square => (to - from) * ((to - y) + (from - y)),
            Convex::Distance => {
                if from.min(to) >= y {
                    to - from
                } else if from.max(to) <= y {
                    from - to
                } else {
                    (to - y).abs() - (from - y).abs()
                }
            }
            Convex::Other(_) => self.between(to, y) - self.between(from, y),
        }
    }

    /// g_j = min_i C_ij − f_i over the sources that `uses` accepts and whose f is finite; +∞ without any.
    /// O((n + m) log m) operations on neighbouring numbers, in parallel; O(n + m) for distances.
    pub(crate) fn transform_to_target(&self, f: &[f64], uses: impl Fn(usize) -> bool) -> Vec<f64> {
        self.transform(&self.x, f, uses, &self.y)
    }

    /// f_i = min_j C_ij − g_j, likewise.
    pub(crate) fn transform_to_source(&self, g: &[f64], uses: impl Fn(usize) -> bool) -> Vec<f64> {
        self.transform(&self.y, g, uses, &self.x)
    }

    /// min over k of h(|from_k − to_l|) − p_k for each l: h is even, so that both directions are one.
    fn transform(
        &self,
        from: &[f64],
        p: &[f64],
        uses: impl Fn(usize) -> bool,
        to: &[f64],
    ) -> Vec<f64> {
        let taken: Vec<u32> = (0..from.len())
            .filter(|&k| p[k].is_finite() && uses(k))
            .map(|k| k as u32)
            .collect();
        let positions: Vec<f64> = taken.iter().map(|&k| from[k as usize]).collect();
        let (by_from, by_to) =
            rayon::join(|| order::ascending(&positions), || order::ascending(to));
        let place: Vec<f64> = by_from.iter().map(|&k| positions[k as usize]).collect();
        let price: Vec<f64> = (by_from.iter())
            .map(|&k| p[taken[k as usize] as usize])
            .collect();
        let at: Vec<f64> = by_to.iter().map(|&l| to[l as usize]).collect();
        let mut best = vec![f64::INFINITY; to.len()];
        if !place.is_empty() {
            let given = Given {
                place: &place,
                price: &price,
                cost: self,
            };
            match self.h {
                Convex::Distance => given.sweep(&at, &mut best),
                Convex::Square => given.split(&|x, y| (x - y) * (x - y), &at, &mut best),
                Convex::Other(_) => given.split(&|x, y| self.between(x, y), &at, &mut best),
            }
        }
        let mut out = vec![f64::INFINITY; to.len()];
        for (&l, best) in by_to.iter().zip(best) {
            out[l as usize] = best;
        }
        out
    }
}

/// Transforms of arc length on a circle of circumference 1: those of distances on a line with a copy of the circle on either
/// side.
#[derive(Debug)]
pub(crate) struct ArcCost<'a>(&'a PointCost);

/// Positions of so many turns have lost digits that their arcs have kept, or the other way round.
const TURNS: f64 = 64.0;

impl<'a> ArcCost<'a> {
    pub(crate) fn of(cost: &'a dyn Cost) -> Option<Self> {
        match cost.kind() {
            CostKind::Points(points) if matches!(points.ground(), Ground::Arc) => {
                let near = |p: &[f64]| p.iter().all(|p| p.abs() <= TURNS);
                (near(points.x()) && near(points.y())).then_some(Self(points))
            }
            _ => None,
        }
    }

    /// g_j = min_i C_ij − f_i, as [`LineCost::transform_to_target`].
    pub(crate) fn transform_to_target(&self, f: &[f64], uses: impl Fn(usize) -> bool) -> Vec<f64> {
        transform_around(self.0.x(), f, uses, self.0.y())
    }

    /// f_i = min_j C_ij − g_j.
    pub(crate) fn transform_to_source(&self, g: &[f64], uses: impl Fn(usize) -> bool) -> Vec<f64> {
        transform_around(self.0.y(), g, uses, self.0.x())
    }
}

fn transform_around(from: &[f64], p: &[f64], uses: impl Fn(usize) -> bool, to: &[f64]) -> Vec<f64> {
    let n = from.len();
    let wrapped = from.iter().map(|p| p.rem_euclid(1.0));
    let copies: Vec<f64> = [-1.0, 0.0, 1.0]
        .into_iter()
        .flat_map(|turn| wrapped.clone().map(move |p| p + turn))
        .collect();
    let line = LineCost {
        x: copies.into(),
        y: to.iter().map(|p| p.rem_euclid(1.0)).collect(),
        h: Convex::Distance,
    };
    let prices = p.repeat(3);
    line.transform(&line.x, &prices, |k| uses(k % n), &line.y)
}

/// The candidates of a transform, in order of place.
#[derive(Clone, Copy)]
struct Given<'a> {
    place: &'a [f64],
    price: &'a [f64],
    cost: &'a LineCost<'a>,
}

impl Given<'_> {
    /// Distances: the least cost from the left is that of the point before and the way between, and so from the right.
    fn sweep(&self, at: &[f64], best: &mut [f64]) {
        let last = self.place.len() - 1;
        // What is best on one side stays best from there on: its index is kept, so that no way adds up rounding.
        let mut least: Option<usize> = None;
        let mut next = 0;
        let cost = |k: usize, y: f64| self.cost.between(self.place[k], y) - self.price[k];
        for (&y, best) in at.iter().zip(&mut *best) {
            while next <= last && self.place[next] <= y {
                if least.is_none_or(|k| cost(next, y) < cost(k, y)) {
                    least = Some(next);
                }
                next += 1;
            }
            if let Some(k) = least {
                *best = cost(k, y);
            }
        }
        let (mut least, mut next): (Option<usize>, _) = (None, self.place.len());
        for (&y, best) in at.iter().zip(best).rev() {
            while next > 0 && self.place[next - 1] >= y {
                next -= 1;
                if least.is_none_or(|k| cost(next, y) < cost(k, y)) {
                    least = Some(next);
                }
            }
            if let Some(k) = least {
                *best = best.min(cost(k, y));
            }
        }
    }

    /// The middle one looks at all candidates; those to its left then need none beyond its own, and so on.
    fn split(&self, h: &(impl Fn(f64, f64) -> f64 + Sync), at: &[f64], best: &mut [f64]) {
        if at.is_empty() {
            return;
        }
        let middle = at.len() / 2;
        let (found, least) = self.least(h, at[middle]);
        best[middle] = least;
        let part = |from: usize, to: usize| Self {
            place: &self.place[from..to],
            price: &self.price[from..to],
            cost: self.cost,
        };
        let (left, right) = (part(0, found + 1), part(found, self.place.len()));
        let (best_left, rest) = best.split_at_mut(middle);
        let best_right = &mut rest[1..];
        let (at_left, at_right) = (&at[..middle], &at[middle + 1..]);
        if at.len() + self.place.len() > IN_LINE {
            rayon::join(
                || left.split(h, at_left, best_left),
                || right.split(h, at_right, best_right),
            );
        } else {
            left.split(h, at_left, best_left);
            right.split(h, at_right, best_right);
        }
    }

    /// The first of the least h(place, y) − price, and its value.
    fn least(&self, h: &impl Fn(f64, f64) -> f64, y: f64) -> (usize, f64) {
        let (mut lane, mut least) = (0, f64::INFINITY);
        let lanes = self.place.chunks(LANE).zip(self.price.chunks(LANE));
        for (k, (places, prices)) in lanes.enumerate() {
            let here = (places.iter().zip(prices))
                .map(|(&x, p)| h(x, y) - p)
                .fold(f64::INFINITY, |t: f64, v| if v < t { v } else { t });
            if here < least {
                (lane, least) = (k, here);
            }
        }
        let from = lane * LANE;
        let to = (from + LANE).min(self.place.len());
        let at = (from..to).find(|&k| h(self.place[k], y) - self.price[k] == least);
        (at.unwrap_or(from), least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grounds() -> Vec<Ground> {
        vec![
            Ground::SqEuclidean,
            Ground::Cityblock,
            Ground::Power(1.5),
            Ground::Atanh(50.0),
            Ground::convex("hinge", |d| (d - 0.3).max(0.0)),
        ]
    }

    #[test]
    fn which_costs_are_convex_on_a_line() {
        let line = |dim, ground| {
            let cost = PointCost::new([0.0, 1.0], [0.5, 2.0], dim, ground).unwrap();
            LineCost::of(&cost).is_some()
        };
        for ground in grounds() {
            assert!(line(1, ground.clone()), "{ground}");
            assert!(!line(2, ground.clone()), "{ground}");
        }
        let concave = [
            Ground::Log1p,
            Ground::Atan,
            Ground::Asinh,
            Ground::Power(0.5),
        ];
        let unknown = Ground::of_distance("own", |d| d * d);
        for ground in concave.into_iter().chain([Ground::Arc, unknown]) {
            assert!(!line(1, ground.clone()), "{ground}");
        }
        let grid = |dims: &[usize]| GridCost::new(dims, GridGround::SqEuclidean).unwrap();
        assert!(LineCost::of(&grid(&[5])).is_some() && LineCost::of(&grid(&[5, 2])).is_none());
    }

    #[test]
    fn a_broken_promise_is_named() {
        for h in [f64::sqrt, |d: f64| -d, |_| f64::NAN, |d| 1.0 / d] {
            let said = PointCost::new([0.0], [2.0], 1, Ground::convex("own", h)).unwrap_err();
            assert!(
                said.to_string()
                    .contains("`metric` = own: must be finite, convex"),
                "{said}"
            );
        }
    }

    proptest! {
        /// Transforms by halves are those that look at all pairs, up to rounding; ties and points that take no part
        /// included.
        #[test]
        fn transforms_are_those_of_all_pairs(
            x in proptest::collection::vec(-8_i32..8, 1..60),
            y in proptest::collection::vec(-8_i32..8, 1..60),
            seed in 0_u64..1000,
        ) {
            let at = |p: &[i32]| -> Vec<f64> { p.iter().map(|v| f64::from(*v) / 3.0).collect() };
            let (x, y) = (at(&x), at(&y));
            let noise = |k: usize| ((k as f64 + 1.0) * (seed as f64 + 0.7)).sin() * 2.0;
            let p: Vec<f64> = (0..x.len())
                .map(|k| if k % 7 == 3 { f64::INFINITY } else { noise(k) })
                .collect();
            let uses = |k: usize| k % 5 != 4;
            for ground in grounds() {
                let cost = PointCost::new(x.clone(), y.clone(), 1, ground).unwrap();
                let found = LineCost::of(&cost).unwrap().transform_to_target(&p, uses);
                for (j, found) in found.iter().enumerate() {
                    let costs = (0..x.len()).filter(|&i| uses(i) && p[i].is_finite());
                    let want = costs.map(|i| cost.entry(i, j) - p[i]).fold(f64::INFINITY, f64::min);
                    prop_assert!((found - want).abs() <= 1e-13 * want.abs() || *found == want);
                }
            }
        }

        /// Transforms around a circle.
        #[test]
        fn transforms_around_are_those_of_all_pairs(x in proptest::collection::vec(-9_i32..9, 1..40), y in proptest::collection::vec(-9_i32..9, 1..40)) {
            let at = |p: &[i32]| -> Vec<f64> { p.iter().map(|v| f64::from(*v) / 5.0).collect() };
            let cost = PointCost::new(at(&x), at(&y), 1, Ground::Arc).unwrap();
            let p: Vec<f64> = (0..x.len()).map(|k| (k as f64).sin()).collect();
            let uses = |k: usize| k % 5 != 4;
            let found = ArcCost::of(&cost).unwrap().transform_to_target(&p, uses);
            for (j, found) in found.iter().enumerate() {
                let costs = (0..x.len()).filter(|&i| uses(i)).map(|i| cost.entry(i, j) - p[i]);
                let want = costs.fold(f64::INFINITY, f64::min);
                prop_assert!((found - want).abs() <= 1e-15 || *found == want, "{} {}", found, want);
            }
        }

        /// The range of a large cost is found without its pairs.
        #[test]
        fn ranges_are_those_of_all_pairs(x in proptest::collection::vec(-40_i32..40, 1100), y in proptest::collection::vec(30_i32..90, 1000)) {
            let at = |p: &[i32]| -> Vec<f64> { p.iter().map(|v| f64::from(*v) / 7.0).collect() };
            for ground in [Ground::SqEuclidean, Ground::Log1p, Ground::Power(3.0), Ground::Arc] {
                let cost = PointCost::new(at(&x), at(&y), 1, ground).unwrap();
                let dense = crate::DenseCost::materialize(&cost).unwrap();
                prop_assert_eq!(cost.range(), dense.range());
            }
        }
    }
}
