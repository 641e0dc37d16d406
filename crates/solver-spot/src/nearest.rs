//! From joint samples to a plan between points.

/// Scalings of rows and columns towards the marginals.
const SCALINGS: usize = 100;

/// Points along one axis, in which the nearest of a place is looked for from its own spot outwards.
///
/// A search ends where the axis alone is as far as the best: about n^(1 − 1/dim) points of n for even ones, all of them where
/// there are many dimensions.
pub(crate) struct Nearest {
    dim: usize,
    axis: usize,
    /// The points, sorted.
    rows: Vec<f32>,
    /// Where they are along the axis.
    along: Vec<f32>,
    /// Which they are.
    places: Vec<u32>,
}

impl Nearest {
    /// `order` is that of the points along `axis`.
    pub(crate) fn new(points: &[f32], dim: usize, axis: usize, order: &[u32]) -> Self {
        let row = |i: &u32| &points[*i as usize * dim..(*i as usize + 1) * dim];
        Self {
            dim,
            axis,
            rows: order.iter().flat_map(row).copied().collect(),
            along: order.iter().map(|i| row(i)[axis]).collect(),
            places: order.to_vec(),
        }
    }

    /// The nearest to `x`. What is no number is nearest to the first.
    pub(crate) fn to(&self, x: &[f32]) -> u32 {
        let (at, count) = (x[self.axis], self.along.len());
        let start = self.along.partition_point(|v| *v < at);
        let mut best = (f32::INFINITY, start.min(count - 1));
        let mut see = |k: usize| {
            let away = self.along[k] - at;
            if away * away >= best.0 {
                return false;
            }
            let row = &self.rows[k * self.dim..(k + 1) * self.dim];
            let square: f32 = row.iter().zip(x).map(|(p, x)| (p - x) * (p - x)).sum();
            if square < best.0 {
                best = (square, k);
            }
            true
        };
        let (mut up, mut down) = (start, start);
        let (mut rises, mut falls) = (true, true);
        while rises || falls {
            rises = rises && up < count && see(up);
            up += 1;
            falls = falls && down > 0 && see(down - 1);
            down = down.saturating_sub(1);
        }
        self.places[best.1]
    }
}

/// Pairs of a source and a target with how often they were seen, sorted.
pub(crate) fn counts(pairs: &mut [(u32, u32)]) -> Vec<(u32, u32, f64)> {
    pairs.sort_unstable();
    let mut counted: Vec<(u32, u32, f64)> = Vec::new();
    for &mut (i, j) in pairs {
        match counted.last_mut() {
            Some(last) if (last.0, last.1) == (i, j) => last.2 += 1.0,
            _ => counted.push((i, j, 1.0)),
        }
    }
    counted
}

/// A plan with marginals `a` and `b`, both of mass 1 and without zeros, on the pairs that were seen: rows and columns scaled
/// in turns, cut to the marginals, and what is missing sent from the first source to the first target with room (the
/// north-west corner), in `orders`. Also the mass that was missing.
pub(crate) fn feasible(
    mut counted: Vec<(u32, u32, f64)>,
    (a, b): (&[f64], &[f64]),
    orders: (&[u32], &[u32]),
) -> (Vec<(u32, u32, f64)>, f64) {
    let (n, m) = (a.len(), b.len());
    let (mut sent, mut received) = (vec![0.0; n], vec![0.0; m]);
    for _ in 0..SCALINGS {
        sum_up(&counted, |entry| entry.0, &mut sent);
        for entry in &mut counted {
            entry.2 *= ratio(a[entry.0 as usize], sent[entry.0 as usize]);
        }
        sum_up(&counted, |entry| entry.1, &mut received);
        for entry in &mut counted {
            entry.2 *= ratio(b[entry.1 as usize], received[entry.1 as usize]);
        }
    }
    // Columns are right; rows are cut down to theirs.
    sum_up(&counted, |entry| entry.0, &mut sent);
    for entry in &mut counted {
        let i = entry.0 as usize;
        entry.2 *= ratio(a[i], sent[i]).min(1.0);
    }
    sum_up(&counted, |entry| entry.0, &mut sent);
    sum_up(&counted, |entry| entry.1, &mut received);
    let left = |total: &[f64], used: &[f64]| -> Vec<f64> {
        total
            .iter()
            .zip(used)
            .map(|(t, u)| (t - u).max(0.0))
            .collect()
    };
    let (mut from, mut to) = (left(a, &sent), left(b, &received));
    let missing = from.iter().sum();
    let (mut k, mut l) = (0, 0);
    while k < n && l < m {
        let (i, j) = (orders.0[k] as usize, orders.1[l] as usize);
        let moved = from[i].min(to[j]);
        if moved > 0.0 {
            counted.push((i as u32, j as u32, moved));
            from[i] -= moved;
            to[j] -= moved;
        }
        if from[i] <= to[j] {
            k += 1;
        } else {
            l += 1;
        }
    }
    (counted, missing)
}

type Entry = (u32, u32, f64);

fn sum_up(counted: &[Entry], by: impl Fn(&Entry) -> u32, sums: &mut [f64]) {
    sums.fill(0.0);
    for entry in counted {
        sums[by(entry) as usize] += entry.2;
    }
}

/// 0 where what is there has vanished by rounding: the remainder sends it.
fn ratio(wanted: f64, there: f64) -> f64 {
    let ratio = wanted / there;
    if ratio.is_finite() { ratio } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    /// Among even points and among those of a coarse grid, where many are as near.
    #[test]
    fn the_nearest_is_as_near_as_any() {
        let mut rng = Pcg64::seed_from_u64(1);
        for (count, dim, coarse) in [
            (1, 2, false),
            (300, 1, false),
            (300, 3, true),
            (40, 9, false),
        ] {
            let mut drawn = |count: usize| -> Vec<f32> {
                let mut value = || {
                    let v: f32 = rng.random_range(-2.0..2.0);
                    if coarse { v.round() } else { v }
                };
                (0..count * dim).map(|_| value()).collect()
            };
            let (points, asked) = (drawn(count), drawn(100));
            let axis = dim - 1;
            let mut order: Vec<u32> = (0..count as u32).collect();
            order.sort_by(|i, j| {
                let at = |i: &u32| points[*i as usize * dim + axis];
                at(i).total_cmp(&at(j))
            });
            let nearest = Nearest::new(&points, dim, axis, &order);
            let square = |row: &[f32], x: &[f32]| -> f32 {
                row.iter().zip(x).map(|(p, x)| (p - x) * (p - x)).sum()
            };
            for x in asked.chunks_exact(dim) {
                let all = points.chunks_exact(dim).map(|row| square(row, x));
                let least = all.fold(f32::INFINITY, f32::min);
                let found = nearest.to(x) as usize;
                assert_eq!(square(&points[found * dim..(found + 1) * dim], x), least);
            }
        }
    }

    #[test]
    fn what_is_no_number_or_far_away_has_a_nearest_too() {
        let nearest = Nearest::new(&[0.0, 1.0], 1, 0, &[0, 1]);
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e30] {
            assert!(nearest.to(&[x]) < 2);
        }
    }

    #[test]
    fn plans_have_their_marginals_whatever_was_seen() {
        let (a, b) = ([0.5, 0.5 - 1e-300, 1e-300], [0.25, 0.75]);
        for mut pairs in [
            vec![],
            vec![(0, 0), (0, 0), (1, 1)],
            vec![(2, 0), (0, 1)],
            vec![(0, 0), (0, 1), (1, 1), (2, 1), (2, 0)],
        ] {
            let (plan, missing) = feasible(counts(&mut pairs), (&a, &b), (&[2, 0, 1], &[1, 0]));
            assert!((0.0..=1.0).contains(&missing), "{missing}");
            let (mut sent, mut received) = ([0.0; 3], [0.0; 2]);
            sum_up(&plan, |entry| entry.0, &mut sent);
            sum_up(&plan, |entry| entry.1, &mut received);
            for (found, wanted) in sent.iter().zip(&a).chain(received.iter().zip(&b)) {
                assert!((found - wanted).abs() < 1e-15, "{found} {wanted}");
            }
            assert!(plan.iter().all(|entry| entry.2 >= 0.0));
        }
    }
}
