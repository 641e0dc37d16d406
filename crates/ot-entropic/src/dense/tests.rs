//! Passes, reweighing and both linear systems, against plain f64.

use super::*;
use crate::testing::{Clouds, apart, plan_of, solve_dense, sums_of};

const HARD: f64 = f64::INFINITY;

#[test]
fn an_exact_pass_is_the_plan() {
    let (n, m) = (30, 40);
    let clouds = Clouds::new(n, m, 2, 1);
    for (gamma_a, gamma_b) in [(HARD, HARD), (0.1, 0.3)] {
        let dual = clouds.dual(gamma_a, gamma_b);
        let g: Vec<f64> = (0..m).map(|j| 0.1 * (j as f64).cos()).collect();
        let mut point = Point::new(n, g, 0.03);
        let mut dense = Dense::new(dual, 1);
        dense.exact = true;
        dense.pass(&mut point);
        let plan = plan_of(&dual, &point.f, &point.g, point.eps);
        let (rows, cols) = sums_of(&plan, n, m);
        assert!(apart(&point.sent, &rows) < 1e-13);
        assert!(apart(&point.received, &cols) < 1e-13);
        let entropy: Vec<f64> = (plan.iter().enumerate())
            .map(|(k, p)| p * (p / (dual.a[k / m] * dual.b[k % m])).ln())
            .collect();
        let (wanted_rows, wanted_cols) = sums_of(&entropy, n, m);
        let (mut rows, mut cols) = (vec![0.0; n], vec![0.0; m]);
        dense.entropy(&point, &mut rows, &mut cols);
        assert!(apart(&rows, &wanted_rows) < 1e-5);
        assert!(apart(&cols, &wanted_cols) < 1e-5);
    }
}

#[test]
fn reweighed_entries_are_those_that_would_be_made_anew() {
    let (n, m) = (40, 50);
    let clouds = Clouds::new(n, m, 2, 2);
    for gamma in [HARD, 0.2] {
        let dual = clouds.dual(gamma, gamma);
        let mut point = Point::new(n, vec![0.0; m], 0.5);
        let mut dense = Dense::new(dual, 1);
        dense.pass(&mut point);
        let mut reweighed = 0;
        // Other potentials, half of ε, a quarter, and an ε that is no power's.
        for (k, by) in [1.0, 0.5, 1.0, 0.25, 1.0, 1.0, 0.7, 1.0].iter().enumerate() {
            point.eps *= by;
            for (j, g) in point.g.iter_mut().enumerate() {
                *g += point.eps * ((j * (k + 2)) as f64).sin();
            }
            let roundings = dense.kept.roundings;
            dense.pass(&mut point);
            reweighed += usize::from(dense.kept.roundings > roundings);
            let plan = plan_of(&dual, &point.f, &point.g, point.eps);
            let (rows, cols) = sums_of(&plan, n, m);
            let within = f64::from(f32::EPSILON) * dense.kept.roundings;
            let mass: f64 = rows.iter().sum();
            assert!(apart(&point.sent, &rows) < within * mass, "{gamma} {k}");
            assert!(apart(&point.received, &cols) < within * mass, "{gamma} {k}");
        }
        assert!(reweighed >= 5, "{gamma} {reweighed}");
    }
}

#[test]
fn what_underflows_is_made_anew() {
    let clouds = Clouds::new(20, 20, 2, 3);
    let dual = clouds.balanced();
    let mut point = Point::new(20, vec![0.0; 20], 0.02 * clouds.spread);
    let mut dense = Dense::new(dual, 1);
    dense.pass(&mut point);
    // The first target was the dearest, and becomes the one to which all goes.
    point.g[0] += 3.0 * clouds.spread;
    dense.pass(&mut point);
    assert_eq!(dense.kept.roundings, 16.0);
    let (_, cols) = sums_of(&plan_of(&dual, &point.f, &point.g, point.eps), 20, 20);
    assert!(point.received[0] > 0.99 && apart(&point.received, &cols) < 1e-5);
}

#[test]
fn both_systems_are_the_schur_complement_of_the_plan() {
    let (n, m) = (30, 24);
    let clouds = Clouds::new(n, m, 2, 4);
    for (gamma_a, gamma_b) in [(HARD, HARD), (0.1, HARD), (0.2, 0.3)] {
        for must in [false, true] {
            let dual = clouds.dual(gamma_a, gamma_b);
            let mut point = clouds.solved(dual, 0.1 * clouds.spread, 1e-12);
            let eps = point.eps;
            let mut dense = Dense::new(dual, 1);
            (dense.exact, dense.most_products, dense.is_hard) = (true, 200, must);
            dense.pass(&mut point);
            let h: Vec<f64> = (0..n).map(|i| dual.a[i] * (i as f64).cos()).collect();
            let mut cols: Vec<f64> = (0..m).map(|j| dual.b[j] * (j as f64).sin()).collect();
            if dual.is_balanced() {
                // The sums of both sides are those that a solution can have.
                let off = h.iter().sum::<f64>() - cols.iter().sum::<f64>();
                cols[0] += off;
            }
            let mut y = vec![0.0; m];
            dense.solve(&point, Some(&h), &cols, &mut y, 1e-9);
            assert_eq!(dense.is_sparse, must);
            let plan = plan_of(&dual, &point.f, &point.g, eps);
            let (rows, sums) = sums_of(&plan, n, m);
            let mut matrix = vec![0.0; m * m];
            let mut rhs = cols.clone();
            for i in 0..n {
                let soft = (1.0 + eps / gamma_a) * rows[i];
                for j in 0..m {
                    rhs[j] -= plan[i * m + j] * h[i] / soft;
                    for k in 0..m {
                        matrix[j * m + k] -= plan[i * m + j] * plan[i * m + k] / soft;
                    }
                }
            }
            for j in 0..m {
                matrix[j * m + j] += sums[j] + eps / gamma_b * point.wanted[j];
            }
            let mut wanted = if gamma_a.is_infinite() && gamma_b.is_infinite() {
                // The first target is held at 0.
                for k in 1..m {
                    (matrix[k], matrix[k * m]) = (0.0, 0.0);
                }
                rhs[0] = 0.0;
                solve_dense(matrix, rhs)
            } else {
                solve_dense(matrix, rhs)
            };
            let shift = if dual.is_balanced() {
                y[0] - wanted[0]
            } else {
                0.0
            };
            wanted.iter_mut().for_each(|w| *w += shift);
            let scale = wanted.iter().fold(0.0_f64, |t, w| t.max(w.abs()));
            for (y, w) in y.iter().zip(&wanted) {
                assert!(
                    (y - w).abs() < 1e-4 * scale,
                    "{gamma_a} {gamma_b} {must}: {y} {w}"
                );
            }
        }
    }
}
