//! The monotone plan between two sorted lists of weights.

/// What is left of a weight by rounding, relative to it.
const CRUMB: f64 = 2.0 * f64::EPSILON;

/// Visits the cells (i, j, mass) of the monotone plan, each beside or below the one before, from (0, 0) to
/// (n − 1, m − 1): n + m − 1 cells, some perhaps of mass 0. The lists are not empty, and of equal mass up to rounding.
///
/// For a cost h(x_i − y_j) with convex h and sorted x and y the plan is optimal, and potentials with f_i + g_j = h along
/// the cells are feasible (the cost is a Monge array: Hoffman, 1963).
pub(super) fn staircase(a: &[f64], b: &[f64], mut visit: impl FnMut(usize, usize, f64)) {
    let (mut i, mut j) = (0, 0);
    let (Some(&first_a), Some(&first_b)) = (a.first(), b.first()) else {
        return;
    };
    let (mut left_a, mut left_b) = (first_a, first_b);
    loop {
        let mass = left_a.min(left_b);
        visit(i, j, mass);
        left_a -= mass;
        left_b -= mass;
        let (next_a, next_b) = (i + 1 < a.len(), j + 1 < b.len());
        // One step at a time: where both are used up, the next cell has no mass.
        if next_a && (left_a <= CRUMB * a[i] || !next_b) {
            i += 1;
            left_a = a[i];
        } else if next_b {
            j += 1;
            left_b = b[j];
        } else {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_go_down_and_right_and_have_the_marginals() {
        let lists: [&[f64]; 5] = [
            &[0.1, 0.2, 0.7],
            &[0.3, 0.7],
            &[1.0],
            &[0.0, 0.0, 1.0, 0.0],
            &[0.25; 4],
        ];
        for a in lists {
            for b in lists {
                let (mut sent, mut got) = (vec![0.0; a.len()], vec![0.0; b.len()]);
                let (mut cells, mut last) = (0, (0, 0));
                staircase(a, b, |i, j, mass| {
                    assert!(cells == 0 || i + j == last.0 + last.1 + 1);
                    (cells, last) = (cells + 1, (i, j));
                    sent[i] += mass;
                    got[j] += mass;
                });
                assert_eq!(cells, a.len() + b.len() - 1);
                let off = |u: &[f64], v: &[f64]| -> f64 {
                    u.iter().zip(v).map(|(u, v)| (u - v).abs()).sum()
                };
                assert!(off(a, &sent) < 1e-15 && off(b, &got) < 1e-15, "{a:?} {b:?}");
            }
        }
    }
}
