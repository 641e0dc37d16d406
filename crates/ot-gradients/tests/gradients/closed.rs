//! Derivatives of the closed forms, against finite differences of their own values.

use ot_gradients::{PointGradient, WeightGradient, objective};
use solver_api::{Ground, Problem, Solver};
use solver_exact::closed::{Circle, Line};

use crate::common::{central, close, cloud, moved, shifted, weights};

/// Of weights (moves between two points) and positions, at points away from the kinks.
fn check(solver: &dyn Solver, ground: &Ground) {
    let (n, m) = (40, 33);
    let (a, b) = (weights(n, 1, 2.0), weights(m, 50, 2.0));
    let (x, y) = (cloud(n, 1, 100), cloud(m, 1, 900));
    let pose = |a: &[f64], b: &[f64], x: &[f64], y: &[f64]| {
        Problem::from_points(a, b, x, y, 1, ground.clone()).unwrap()
    };
    let value = |problem: &Problem| solver.solve(problem).unwrap().objective;
    let problem = pose(&a, &b, &x, &y);
    let solution = solver.solve(&problem).unwrap();
    let WeightGradient {
        a: by_a, b: by_b, ..
    } = objective::weights(&problem, &solution).unwrap();
    let PointGradient {
        x: by_x, y: by_y, ..
    } = objective::points(&problem, &solution).unwrap();
    // A value that is linear between kinks: no step is too short for it but those that rounding shows in.
    let h = 1e-6;
    for (i, k) in [(0, 1), (7, 31), (39, 12)] {
        let slope = central(h, |t| value(&pose(&shifted(&a, i, k, t), &b, &x, &y)));
        close(
            by_a[i] - by_a[k],
            slope,
            1e-7,
            0.1,
            &format!("a of {ground}"),
        );
        let (i, k) = (i % m, k % m);
        let slope = central(h, |t| value(&pose(&a, &shifted(&b, i, k, t), &x, &y)));
        close(
            by_b[i] - by_b[k],
            slope,
            1e-7,
            0.1,
            &format!("b of {ground}"),
        );
    }
    for k in [0, 5, 17, 32] {
        let slope = central(h, |t| value(&pose(&a, &b, &moved(&x, k, t), &y)));
        close(by_x[k], slope, 1e-7, 0.05, &format!("x of {ground}"));
        let slope = central(h, |t| value(&pose(&a, &b, &x, &moved(&y, k, t))));
        close(by_y[k], slope, 1e-7, 0.05, &format!("y of {ground}"));
    }
}

#[test]
fn of_a_line() {
    for ground in [
        Ground::SqEuclidean,
        Ground::Euclidean,
        Ground::Power(1.5),
        Ground::Power(3.0),
        Ground::Atanh(3.0),
    ] {
        check(&Line::default(), &ground);
    }
}

#[test]
fn of_a_circle() {
    check(&Circle::default(), &Ground::Arc);
}
