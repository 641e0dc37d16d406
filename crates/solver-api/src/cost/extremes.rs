//! The least and the largest cost between two clouds without all their pairs.
//!
//! For every ground that is an increasing function of a norm: points whose distances from a centre add up to less than a
//! pair that was seen are no farther apart than it, and points that lie farther apart along one axis are no nearer.

mod screened;

use ot_kernels::order;

use super::{Cost, CostRange, Ground, PointCost};

/// Bounds of distances are widened by this part, against rounding.
const SLACK: f64 = 1e-9;

/// Entries looked at one by one: beyond this part of all pairs, a pass over all of them is the faster way. In many
/// dimensions neither bound rules out much.
const MOST: usize = 32;

/// Coordinates from which on no bound rules out much, and all pairs are looked at in single precision.
const MANY: usize = 5;

/// The range of `cost`, with the bits that a pass over all pairs would find; `None` where its ground is not such a
/// function, or where that pass is the faster way. O((n + m) log(n + m)) for clouds that fill a box in few dimensions.
pub(super) fn of(cost: &PointCost) -> Option<CostRange> {
    if matches!(cost.ground(), Ground::Arc) {
        return Some(on_a_circle(cost));
    }
    if !cost.ground().is_increasing() {
        return None;
    }
    let (n, m) = cost.shape();
    let dim = cost.dim();
    if dim == 1 {
        return Some(on_a_line(cost));
    }
    if dim >= MANY && has_euclidean_norm(cost.ground()) {
        return screened::of(cost, &middle(cost.x(), cost.y(), dim));
    }
    let mut range = CostRange::EMPTY;
    range.include(cost.entry(0, 0));
    let mut left_over = (n.saturating_mul(m) / MOST).max(4 * (n + m));
    let of_length = |length: f64| cost.ground().between(&[length], &[0.0]);
    // Nearest: along the widest axis, outwards from where each source would stand.
    let axis = widest(cost.x(), cost.y(), dim);
    let mut by_axis: Vec<u32> = (0..m as u32).collect();
    let at = |j: u32| cost.y()[j as usize * dim + axis];
    by_axis.sort_unstable_by(|&i, &j| at(i).total_cmp(&at(j)));
    for i in 0..n {
        let x = cost.x()[i * dim + axis];
        let from = by_axis.partition_point(|&j| at(j) < x);
        let (left, right) = by_axis.split_at(from);
        for &j in left.iter().rev() {
            if of_length((x - at(j)) * (1.0 - SLACK)) > range.min {
                break;
            }
            range.include(cost.entry(i, j as usize));
            left_over = left_over.checked_sub(1)?;
        }
        for &j in right {
            if of_length((at(j) - x) * (1.0 - SLACK)) > range.min {
                break;
            }
            range.include(cost.entry(i, j as usize));
            left_over = left_over.checked_sub(1)?;
        }
    }
    // Farthest: by distances from the middle of the box.
    let centre = middle(cost.x(), cost.y(), dim);
    let radii = |points: &[f64]| -> Vec<(f64, u32)> {
        let norm = |p: &[f64]| norm(cost.ground(), p, &centre);
        let mut radii: Vec<(f64, u32)> = points
            .chunks_exact(dim)
            .enumerate()
            .map(|(i, p)| (norm(p), i as u32))
            .collect();
        radii.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        radii
    };
    let (of_x, of_y) = (radii(cost.x()), radii(cost.y()));
    for &(r, i) in &of_x {
        if of_length((r + of_y[0].0) * (1.0 + SLACK)) < range.max {
            break;
        }
        for &(s, j) in &of_y {
            if of_length((r + s) * (1.0 + SLACK)) < range.max {
                break;
            }
            range.include(cost.entry(i as usize, j as usize));
            left_over = left_over.checked_sub(1)?;
        }
    }
    Some(range)
}

/// Neighbours in order are nearest, ends farthest apart. O(n + m) beside the order of the points.
fn on_a_line(cost: &PointCost) -> CostRange {
    let (x, y) = (cost.x(), cost.y());
    let (by_x, by_y) = rayon::join(|| order::ascending(x), || order::ascending(y));
    let mut range = CostRange::EMPTY;
    let mut include = |i: u32, j: u32| range.include(cost.entry(i as usize, j as usize));
    let ends = |by: &[u32]| [by[0], by[by.len() - 1]];
    for i in ends(&by_x) {
        ends(&by_y).into_iter().for_each(|j| include(i, j));
    }
    let mut nearest = (f64::INFINITY, by_x[0], by_y[0]);
    let mut next = 0;
    for &i in &by_x {
        while next + 1 < by_y.len() && y[by_y[next] as usize] < x[i as usize] {
            next += 1;
        }
        for &j in &by_y[next.saturating_sub(1)..=next] {
            let distance = (x[i as usize] - y[j as usize]).abs();
            if distance < nearest.0 {
                nearest = (distance, i, j);
            }
        }
    }
    include(nearest.1, nearest.2);
    range
}

/// Nearest are neighbours, farthest apart those next to the point opposite. O((n + m) log m).
fn on_a_circle(cost: &PointCost) -> CostRange {
    // Both in order, so that one search looks where the one before has looked.
    let around = |p: &[f64]| {
        let wrapped: Vec<f64> = p.iter().map(|p| p.rem_euclid(1.0)).collect();
        order::carried(&wrapped, |i| i as u32)
    };
    let (x, y) = rayon::join(|| around(cost.x()), || around(cost.y()));
    let mut range = CostRange::EMPTY;
    for (x, i) in x {
        for place in [x, if x < 0.5 { x + 0.5 } else { x - 0.5 }] {
            let next = y.partition_point(|(y, _)| *y < place);
            // Around the circle the first follows the last; a place or two more, for the rounding of turns.
            for k in next + 2 * y.len() - 2..=next + 2 * y.len() + 1 {
                range.include(cost.entry(i as usize, y[k % y.len()].1 as usize));
            }
        }
    }
    range
}

/// The distance whose function the ground is.
fn norm(ground: &Ground, x: &[f64], y: &[f64]) -> f64 {
    if has_euclidean_norm(ground) {
        Ground::Euclidean.between(x, y)
    } else {
        ground.between(x, y)
    }
}

/// Of those that grow with a distance.
fn has_euclidean_norm(ground: &Ground) -> bool {
    !matches!(
        ground,
        Ground::Cityblock | Ground::Chebyshev | Ground::Minkowski(_)
    )
}

/// Lower and upper corner of the box around both clouds, along one axis.
fn ends(x: &[f64], y: &[f64], dim: usize, axis: usize) -> (f64, f64) {
    let along = |p: &'_ [f64]| -> (f64, f64) {
        p.iter()
            .skip(axis)
            .step_by(dim)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| {
                (low.min(v), high.max(v))
            })
    };
    let ((a, b), (c, d)) = (along(x), along(y));
    (a.min(c), b.max(d))
}

fn widest(x: &[f64], y: &[f64], dim: usize) -> usize {
    let width = |axis: usize| {
        let (low, high) = ends(x, y, dim, axis);
        high - low
    };
    let by_width = |&i: &usize, &j: &usize| width(i).total_cmp(&width(j));
    (0..dim).max_by(by_width).unwrap_or(0)
}

fn middle(x: &[f64], y: &[f64], dim: usize) -> Vec<f64> {
    let of_axis = |axis: usize| {
        let (low, high) = ends(x, y, dim, axis);
        0.5 * low + 0.5 * high
    };
    (0..dim).map(of_axis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_range_of_all_pairs() {
        let (n, m) = (70, 90);
        for dim in [1, 2, 5, 20] {
            let x: Vec<f64> = (0..n * dim).map(|k| (k as f64 * 0.731).sin()).collect();
            let y: Vec<f64> = (0..m * dim)
                .map(|k| (k as f64 * 1.37).cos() + 0.3)
                .collect();
            for name in [
                "sqeuclidean",
                "euclidean",
                "cityblock",
                "chebyshev",
                "minkowski:3",
                "log1p",
                "atan",
                "asinh",
                "atanh:90",
                "power:0.5",
            ] {
                let ground = Ground::parse(name).unwrap();
                let cost = PointCost::new(x.clone(), y.clone(), dim, ground).unwrap();
                let mut all = CostRange::EMPTY;
                for i in 0..n {
                    (0..m).for_each(|j| all.include(cost.entry(i, j)));
                }
                // It may give up in many dimensions only.
                let found = of(&cost);
                assert!(
                    found == Some(all)
                        || dim > 2 && found.is_none() && !has_euclidean_norm(cost.ground()),
                    "{name} {dim}"
                );
            }
        }
        let cost = PointCost::new(x_of(4), x_of(4), 1, Ground::Arc).unwrap();
        let (min, max) = (0.0, cost.entry(0, 3));
        let forbidden = 0;
        assert_eq!(
            of(&cost),
            Some(CostRange {
                min,
                max,
                forbidden
            })
        );
        let cost = PointCost::new(
            x_of(4)[1..].to_vec(),
            x_of(4)[1..].to_vec(),
            1,
            Ground::Cosine,
        );
        assert_eq!(of(&cost.unwrap()), None);
    }

    fn x_of(n: usize) -> Vec<f64> {
        (0..n).map(|k| 0.1 * k as f64).collect()
    }
}
