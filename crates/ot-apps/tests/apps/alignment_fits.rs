//! Maps fitted to a plan: each is the least of its family, within its limits.

use std::f64::consts::PI;

use ot_apps::{AffineMap, Linear, PlanMoments, ScaleRule};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Plan, SparsePlan};

use crate::alignment::{CLOUD, FAMILIES, alignment};

/// A random plan between CLOUD and nine other points, more of it between points near each other: no reflection fits.
fn random_plan(seed: u64) -> (Plan, Vec<[f64; 2]>) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let y: Vec<[f64; 2]> = (0..9)
        .map(|j| {
            let [row, col] = CLOUD[j];
            [
                1.3 * row + 5.0 * rng.random::<f64>(),
                0.7 * col + 4.0 * rng.random::<f64>(),
            ]
        })
        .collect();
    let mut triples = Vec::new();
    for i in 0..CLOUD.len() as u32 {
        for j in 0..9 {
            if rng.random::<f64>() < 0.4 || i % 9 == j {
                let near = if i == j { 3.0 } else { 0.0 };
                triples.push((i, j, near + rng.random::<f64>()));
            }
        }
    }
    let plan = SparsePlan::from_triples(CLOUD.len(), 9, triples).expect("sound");
    (Plan::from(plan), y)
}

/// Σ γ_ij ‖y_j − map(x_i)‖².
fn squares(plan: &Plan, y: &[[f64; 2]], map: &AffineMap) -> f64 {
    let triples = plan.to_triples(0.0).into_iter();
    let way = triples.map(|(i, j, mass)| {
        let (x, y) = (map.apply(CLOUD[i as usize]), y[j as usize]);
        mass * ((x[0] - y[0]).powi(2) + (x[1] - y[1]).powi(2))
    });
    way.sum()
}

#[test]
fn a_fit_is_the_least_of_its_family() {
    let h = 1e-3;
    for seed in 0..10 {
        let (plan, y) = random_plan(seed);
        let moments = PlanMoments::of(&plan, &CLOUD, &y).expect("points");
        for linear in FAMILIES {
            for translation in [true, false] {
                let free = alignment(|s| {
                    (s.linear, s.translation) = (linear, translation);
                    (s.max_scale, s.max_angle) = (1e6, PI);
                });
                let map = free.fit(&moments);
                let centre = map.apply(moments.x);
                let mut tries = Vec::new();
                if translation {
                    tries.extend([
                        AffineMap::translation(h, 0.0),
                        AffineMap::translation(0.0, h),
                    ]);
                } else {
                    assert!((0..2).all(|k| (centre[k] - moments.x[k]).abs() < 1e-12));
                }
                let whole = AffineMap::scaling(1.0 + h, 1.0 + h, centre);
                let rows = AffineMap::scaling(1.0 + h, 1.0, centre);
                let turn = AffineMap::rotation(h, centre);
                let shear = AffineMap::about([[1.0, h], [0.0, 1.0]], centre, centre);
                match linear {
                    Linear::Scale => tries.push(whole),
                    Linear::AxisScales => tries.extend([whole, rows]),
                    Linear::Rotation => tries.push(turn),
                    Linear::Similarity => tries.extend([whole, turn]),
                    Linear::Affine => tries.extend([whole, turn, rows, shear]),
                    _ => {}
                }
                let least = squares(&plan, &y, &map);
                for change in tries {
                    for change in [Some(change), change.inverse()].into_iter().flatten() {
                        let other = squares(&plan, &y, &map.then(&change));
                        assert!(
                            other > least,
                            "{linear:?}, {seed}: {other} under {least}, {change:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn the_rule_of_spread_matches_the_second_moments() {
    for seed in 0..10 {
        let (plan, y) = random_plan(seed);
        let moments = PlanMoments::of(&plan, &CLOUD, &y).expect("points");
        let of = |linear| {
            let free = alignment(|s| {
                (s.linear, s.rule) = (linear, ScaleRule::Spread);
                (s.max_scale, s.max_angle) = (1e6, PI);
            });
            free.fit(&moments).linear()
        };
        // A Σxx Aᵀ = Σyy, whole or along the axes.
        let spread = |a: [[f64; 2]; 2], i: usize, j: usize| {
            let pairs = (0..4).map(|k| (k / 2, k % 2));
            pairs
                .map(|(k, l)| a[i][k] * moments.xx[k][l] * a[j][l])
                .sum::<f64>()
        };
        let close = |found: f64, wanted: f64| (found - wanted).abs() < 1e-9 * moments.yy[0][0];
        let affine = of(Linear::Affine);
        for (i, j) in [(0, 0), (0, 1), (1, 1)] {
            assert!(close(spread(affine, i, j), moments.yy[i][j]), "{seed}");
        }
        let axes = of(Linear::AxisScales);
        assert!((0..2).all(|k| close(spread(axes, k, k), moments.yy[k][k])));
        for linear in [Linear::Scale, Linear::Similarity] {
            let a = of(linear);
            let whole = spread(a, 0, 0) + spread(a, 1, 1);
            assert!(
                close(whole, moments.yy[0][0] + moments.yy[1][1]),
                "{linear:?}"
            );
        }
    }
}

#[test]
fn limits_hold_and_what_has_no_extent_stays() {
    let plan = |n: usize| {
        let triples = (0..n as u32).map(|i| (i, i, 1.0)).collect();
        Plan::from(SparsePlan::from_triples(n, n, triples).expect("sound"))
    };
    let fit = |linear, x: &[[f64; 2]], y: &[[f64; 2]]| {
        let limits = alignment(|s| (s.linear, s.max_scale, s.max_angle) = (linear, 1.5, 0.3));
        limits.fit(&PlanMoments::of(&plan(x.len()), x, y).expect("points"))
    };
    let close = |map: AffineMap, wanted: [[f64; 2]; 2]| {
        let found = map.linear();
        let off = (0..4).map(|k| (found[k / 2][k % 2] - wanted[k / 2][k % 2]).abs());
        assert!(off.fold(0.0, f64::max) < 1e-8, "{found:?} for {wanted:?}");
    };
    let larger = CLOUD.map(|x| [3.0 * x[0], 0.2 * x[1]]);
    close(
        fit(Linear::AxisScales, &CLOUD, &larger),
        [[1.5, 0.0], [0.0, 1.0 / 1.5]],
    );
    close(
        fit(Linear::Affine, &CLOUD, &larger),
        [[1.5, 0.0], [0.0, 1.0 / 1.5]],
    );
    let turned = CLOUD.map(|x| AffineMap::rotation(1.0, [0.0; 2]).apply(x));
    let (sin, cos) = 0.3_f64.sin_cos();
    close(
        fit(Linear::Rotation, &CLOUD, &turned),
        [[cos, -sin], [sin, cos]],
    );
    close(
        fit(Linear::Affine, &CLOUD, &turned),
        [[cos, -sin], [sin, cos]],
    );
    // A single point; a line along the rows.
    for linear in FAMILIES {
        let map = fit(linear, &[[2.0, 3.0]], &[[5.0, 1.0]]);
        close(map, [[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(map.shift(), [3.0, -2.0]);
    }
    let line = [[0.0, 3.0], [1.0, 3.0], [4.0, 3.0]];
    let longer = line.map(|x| [1.2 * x[0], 3.0]);
    close(
        fit(Linear::AxisScales, &line, &longer),
        [[1.2, 0.0], [0.0, 1.0]],
    );
    close(
        fit(Linear::Affine, &line, &longer),
        [[1.2, 0.0], [0.0, 1.0]],
    );
}
