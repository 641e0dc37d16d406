//! Maps from a plan's moments, in closed form.
//!
//! Each minimizes Σ γ_ij ‖y_j − ȳ − A(x_i − x̄)‖² over its family (weighted Procrustes analysis), or takes sizes from
//! the marginals' spread and only the direction from the plan. What moves the centre, t, splits off: Σ γ_ij (x_i − x̄) = 0.

use std::f64::consts::PI;

use super::matrix::{
    IDENTITY, Matrix, inverse, nearest_angle, of_eigenvalues, product, ridged, rotation, trace,
    transposed,
};
use super::{Linear, PlanMoments, ScaleRule};

/// A direction in which the points spread by less than this part of their whole spread has no size to be compared.
const FLAT: f64 = 1e-12;

/// A of the family that fits best, within the limits.
pub(super) fn linear(
    family: Linear,
    rule: ScaleRule,
    moments: &PlanMoments,
    max_scale: f64,
    max_angle: f64,
) -> Matrix {
    let whole = trace(&moments.xx);
    // One point, or all in one place: nothing to turn or to stretch.
    if !(whole > 0.0 && trace(&moments.yy) > 0.0) {
        return IDENTITY;
    }
    let limit = |s: f64| s.clamp(1.0 / max_scale, max_scale);
    let angle = || nearest_angle(&moments.yx).clamp(-max_angle, max_angle);
    match family {
        Linear::Fixed => IDENTITY,
        Linear::Scale => {
            let s = limit(scale(rule, trace(&moments.yx), whole, trace(&moments.yy)));
            [[s, 0.0], [0.0, s]]
        }
        Linear::AxisScales => {
            let along = |k: usize| {
                let (xx, yy, yx) = (moments.xx[k][k], moments.yy[k][k], moments.yx[k][k]);
                if xx > FLAT * whole {
                    limit(scale(rule, yx, xx, yy))
                } else {
                    1.0
                }
            };
            [[along(0), 0.0], [0.0, along(1)]]
        }
        Linear::Rotation => rotation(angle()),
        Linear::Similarity => {
            // At the angle that is used, s minimizes s²·tr Σxx − 2 s·tr(RᵀΣyx).
            let r = rotation(angle());
            let along = trace(&product(&transposed(&r), &moments.yx));
            let s = limit(scale(rule, along, whole, trace(&moments.yy)));
            [[s * r[0][0], s * r[0][1]], [s * r[1][0], s * r[1][1]]]
        }
        Linear::Affine => limited(&affine(rule, moments), max_scale, max_angle),
    }
}

/// The factor of one direction, or of all together.
fn scale(rule: ScaleRule, yx: f64, xx: f64, yy: f64) -> f64 {
    match rule {
        ScaleRule::LeastSquares => yx / xx,
        ScaleRule::Spread => (yy / xx).sqrt(),
    }
}

fn affine(rule: ScaleRule, moments: &PlanMoments) -> Matrix {
    // Directions without extent keep what they are: A → 1 there.
    let least = FLAT * trace(&moments.xx);
    let squares = || {
        let inverse = inverse(&ridged(&moments.xx, least));
        inverse.map_or(IDENTITY, |inverse| {
            product(&ridged(&moments.yx, least), &inverse)
        })
    };
    match rule {
        ScaleRule::LeastSquares => squares(),
        ScaleRule::Spread => {
            let (mut flat, floor) = (false, 2.0 * least);
            for side in [&moments.xx, &moments.yy] {
                let half = 0.5 * (side[0][0] - side[1][1]);
                flat |= 0.5 * trace(side) - half.hypot(side[0][1]) <= floor;
            }
            if flat {
                return squares();
            }
            // Both sides at spread 1, where the plan says which way they are turned; then the spread of y.
            let whiten = |side: &Matrix| of_eigenvalues(side, |l| l.sqrt().recip());
            let (wx, wy) = (whiten(&moments.xx), whiten(&moments.yy));
            let turn = rotation(nearest_angle(&product(&product(&wy, &moments.yx), &wx)));
            product(
                &product(&of_eigenvalues(&moments.yy, f64::sqrt), &turn),
                &wx,
            )
        }
    }
}

/// A = R(θ)·H with H symmetric: θ and the eigenvalues of H within their limits. Reflections have a negative one, and
/// become flat.
fn limited(a: &Matrix, max_scale: f64, max_angle: f64) -> Matrix {
    let angle = nearest_angle(a);
    let stretch = product(&rotation(-angle), a);
    let stretch = of_eigenvalues(&stretch, |l| l.clamp(1.0 / max_scale, max_scale));
    let angle = if max_angle >= PI {
        angle
    } else {
        angle.clamp(-max_angle, max_angle)
    };
    product(&rotation(angle), &stretch)
}
