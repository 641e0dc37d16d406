//! From joint samples to a plan between points.

/// Scalings of rows and columns towards the marginals.
const SCALINGS: usize = 100;

/// The nearest of `points` to `x`; the first of several.
pub(crate) fn nearest(points: &[f32], dim: usize, x: &[f32]) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (i, p) in points.chunks_exact(dim).enumerate() {
        let square: f32 = p.iter().zip(x).map(|(p, x)| (p - x) * (p - x)).sum();
        if square < best.0 {
            best = (square, i);
        }
    }
    best.1
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
    let (mut rows, mut columns) = (vec![0.0; n], vec![0.0; m]);
    let mut sum_up = |counted: &[(u32, u32, f64)], by_rows: bool| -> Vec<f64> {
        let sums = if by_rows { &mut rows } else { &mut columns };
        sums.fill(0.0);
        for &(i, j, v) in counted {
            sums[if by_rows { i } else { j } as usize] += v;
        }
        sums.clone()
    };
    for _ in 0..SCALINGS {
        let sums = sum_up(&counted, true);
        for entry in &mut counted {
            entry.2 *= a[entry.0 as usize] / sums[entry.0 as usize];
        }
        let sums = sum_up(&counted, false);
        for entry in &mut counted {
            entry.2 *= b[entry.1 as usize] / sums[entry.1 as usize];
        }
    }
    // Columns are right; rows are cut down to theirs.
    let sums = sum_up(&counted, true);
    for entry in &mut counted {
        let i = entry.0 as usize;
        entry.2 *= (a[i] / sums[i]).min(1.0);
    }
    let (sent, received) = (sum_up(&counted, true), sum_up(&counted, false));
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
