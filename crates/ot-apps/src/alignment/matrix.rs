//! Matrices of the plane, as [[row], [row]].

pub(super) type Matrix = [[f64; 2]; 2];

pub(super) const IDENTITY: Matrix = [[1.0, 0.0], [0.0, 1.0]];

pub(super) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let entry = |i: usize, j: usize| a[i][0] * b[0][j] + a[i][1] * b[1][j];
    [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
}

pub(super) fn times(a: &Matrix, x: [f64; 2]) -> [f64; 2] {
    [
        a[0][0] * x[0] + a[0][1] * x[1],
        a[1][0] * x[0] + a[1][1] * x[1],
    ]
}

pub(super) fn transposed(a: &Matrix) -> Matrix {
    [[a[0][0], a[1][0]], [a[0][1], a[1][1]]]
}

pub(super) fn determinant(a: &Matrix) -> f64 {
    a[0][0] * a[1][1] - a[0][1] * a[1][0]
}

pub(super) fn trace(a: &Matrix) -> f64 {
    a[0][0] + a[1][1]
}

/// a⁻¹, unless its determinant is 0 or no number.
pub(super) fn inverse(a: &Matrix) -> Option<Matrix> {
    let over = 1.0 / determinant(a);
    over.is_finite().then(|| {
        [
            [a[1][1] * over, -a[0][1] * over],
            [-a[1][0] * over, a[0][0] * over],
        ]
    })
}

/// a + r·1.
pub(super) fn ridged(a: &Matrix, r: f64) -> Matrix {
    [[a[0][0] + r, a[0][1]], [a[1][0], a[1][1] + r]]
}

pub(super) fn rotation(angle: f64) -> Matrix {
    let (sin, cos) = angle.sin_cos();
    [[cos, -sin], [sin, cos]]
}

/// The angle of the rotation R that maximizes tr(Rᵀ a): the rotation that is nearest to `a`, 0 where all are as near.
///
/// Source: Kabsch, *A solution for the best rotation to relate two sets of vectors* (1976); in the plane it is an arc
/// tangent.
pub(super) fn nearest_angle(a: &Matrix) -> f64 {
    (a[1][0] - a[0][1]).atan2(a[0][0] + a[1][1])
}

/// h(a) of a symmetric matrix: h of its eigenvalues.
pub(super) fn of_eigenvalues(a: &Matrix, h: impl Fn(f64) -> f64) -> Matrix {
    let off = 0.5 * (a[0][1] + a[1][0]);
    let (mean, half) = (0.5 * trace(a), 0.5 * (a[0][0] - a[1][1]));
    let radius = half.hypot(off);
    // Eigenvector of the larger one: half the angle of (half, off).
    let axis = rotation(0.5 * off.atan2(half));
    let (large, small) = (h(mean + radius), h(mean - radius));
    product(
        &product(&axis, &[[large, 0.0], [0.0, small]]),
        &transposed(&axis),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &Matrix, b: &Matrix) -> bool {
        (0..4).all(|k| (a[k / 2][k % 2] - b[k / 2][k % 2]).abs() < 1e-12)
    }

    #[test]
    fn functions_of_a_symmetric_matrix() {
        for a in [
            [[2.0, 0.7], [0.7, 1.0]],
            [[1.0, -0.9], [-0.9, 1.5]],
            [[0.5, 0.0], [0.0, 3.0]],
            IDENTITY,
        ] {
            assert!(close(&of_eigenvalues(&a, |l| l), &a));
            let root = of_eigenvalues(&a, f64::sqrt);
            assert!(close(&product(&root, &root), &a), "{root:?}");
            let inverse = inverse(&a).expect("regular");
            assert!(close(&of_eigenvalues(&a, |l| 1.0 / l), &inverse));
            assert!(close(&product(&a, &inverse), &IDENTITY));
        }
        assert_eq!(inverse(&[[1.0, 2.0], [2.0, 4.0]]), None);
    }

    #[test]
    fn the_nearest_rotation_of_a_rotation_times_a_positive_matrix() {
        for angle in [-3.0, -1.2, 0.0, 0.4, 2.9] {
            let a = product(&rotation(angle), &[[2.0, 0.5], [0.5, 1.0]]);
            assert!((nearest_angle(&a) - angle).abs() < 1e-14);
        }
    }
}
