//! The order of points in which neighbours stand together.

/// Points of at most so many are not split further.
const LEAF: usize = 4;

/// The positions of row-major `points` of dimension `dim` in kd-order: every aligned run of 2ᵏ ≥ 4 of them is a cell of a
/// kd-tree, split across its widest side. O(n log n) time, 4 bytes a point.
///
/// # Panics
/// If `points` is not whole rows, or there are more than 2³² of them.
#[must_use]
pub fn kd(points: &[f64], dim: usize) -> Vec<u32> {
    assert!(
        dim > 0 && points.len().is_multiple_of(dim),
        "kd: points of dimension {dim} are whole rows"
    );
    let n = points.len() / dim;
    assert!(u32::try_from(n).is_ok(), "positions are counted in 32 bits");
    let mut order: Vec<u32> = (0..n as u32).collect();
    sort(&mut order, points, dim);
    order
}

/// Splits across the widest side until few are left, so that the left part is a whole tree.
fn sort(order: &mut [u32], points: &[f64], dim: usize) {
    let n = order.len();
    if n <= LEAF {
        return;
    }
    let at = |i: u32, k: usize| points[i as usize * dim + k];
    let (mut widest, mut axis) = (f64::NEG_INFINITY, 0);
    for k in 0..dim {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &i in order.iter() {
            (low, high) = (low.min(at(i, k)), high.max(at(i, k)));
        }
        if high - low > widest {
            (widest, axis) = (high - low, k);
        }
    }
    let whole = n.next_power_of_two();
    let split = if whole == n { n / 2 } else { whole / 2 };
    order.select_nth_unstable_by(split, |&i, &j| {
        at(i, axis).total_cmp(&at(j, axis)).then(i.cmp(&j))
    });
    let (left, right) = order.split_at_mut(split);
    sort(left, points, dim);
    sort(right, points, dim);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_runs_are_cells() {
        // A grid of 32 × 32, shuffled: runs of 64 are squares of side 8.
        let at = |k: usize| [(k * 7 % 1024 / 32) as f64, (k * 7 % 1024 % 32) as f64];
        let points: Vec<f64> = (0..1024).flat_map(at).collect();
        for run in kd(&points, 2).chunks(64) {
            for k in 0..2 {
                let all = || run.iter().map(|&i| points[2 * i as usize + k]);
                let (low, high) = (
                    all().fold(f64::INFINITY, f64::min),
                    all().fold(0.0, f64::max),
                );
                assert_eq!(high - low, 7.0);
            }
        }
    }

    #[test]
    fn every_point_has_one_place() {
        for n in [0, 1, 3, 63, 64, 65, 200] {
            let points: Vec<f64> = (0..3 * n).map(|k| (k as f64 * 0.7).sin()).collect();
            let mut seen = kd(&points, 3);
            seen.sort_unstable();
            assert!(seen.iter().enumerate().all(|(k, &i)| k == i as usize));
        }
    }
}
