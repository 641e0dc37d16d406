use std::sync::Arc;

use ot_gradients::{CostGradient, Unrolled, Wanted, chain_rule, implicit};
use solver_api::{DenseCost, Ground, Measure, PointCost, Problem, Reg, Solver};

use crate::common::{central, close, cloud, forward, moved, reference, weights};

const DIM: usize = 2;

fn matrix(x: &[f64], y: &[f64]) -> Vec<f64> {
    let cost = PointCost::new(x, y, DIM, Ground::SqEuclidean).unwrap();
    let (n, m) = (x.len() / DIM, y.len() / DIM);
    (0..n * m)
        .map(|k| solver_api::Cost::entry(&cost, k / m, k % m))
        .collect()
}

/// The masses of both sides are free: W_L is a function of them all. (A `Problem` rescales b to the mass of a, which is
/// undone here.)
fn pose(a: &[f64], b: &[f64], c: &[f64]) -> Problem {
    let cost = Arc::new(DenseCost::new(a.len(), b.len(), c.to_vec()).unwrap());
    Problem::new(
        Measure::new(a.to_vec()).unwrap(),
        Measure::new(b.to_vec()).unwrap(),
        cost,
    )
    .unwrap()
}

/// 001's recursion as printed, in long sums and without any care for range.
fn printed(a: &[f64], b: &[f64], c: &[f64], reg: f64, steps: usize) -> f64 {
    let (n, m) = (a.len(), b.len());
    let k: Vec<f64> = c.iter().map(|c| (-c / reg).exp()).collect();
    let mut v = vec![1.0; m];
    let mut u = vec![0.0; n];
    for l in 0..=steps {
        if l > 0 {
            v = (0..m)
                .map(|j| b[j] / (0..n).map(|i| k[i * m + j] * u[i]).sum::<f64>())
                .collect();
        }
        u = (0..n)
            .map(|i| a[i] / (0..m).map(|j| k[i * m + j] * v[j]).sum::<f64>())
            .collect();
    }
    (0..n * m).map(|e| u[e / m] * k[e] * v[e % m] * c[e]).sum()
}

#[test]
fn the_value_is_that_of_the_recursion_as_printed() {
    let (a, b) = (weights(6, 1, 2.0), weights(5, 50, 2.0));
    let c = matrix(&cloud(6, DIM, 100), &cloud(5, DIM, 900));
    for steps in [1, 2, 5, 40] {
        for reg in [1.0, 0.05, 0.01] {
            let found = Unrolled::new(Reg::Absolute(reg), steps).unwrap();
            let found = found.value(&pose(&a, &b, &c)).unwrap();
            close(
                found.transport_cost,
                printed(&a, &b, &c, reg, steps),
                1e-12,
                0.0,
                "W_L",
            );
            let (rows, _) = found.plan.marginals();
            rows.iter()
                .zip(&a)
                .for_each(|(r, a)| close(*r, *a, 1e-12, 0.0, "row"));
        }
    }
}

#[test]
fn every_derivative_equals_finite_differences() {
    let (n, m) = (6, 5);
    let (mut a, mut b) = (weights(n, 1, 1.0), weights(m, 50, 1.0));
    let (x, y) = (cloud(n, DIM, 100), cloud(m, DIM, 900));
    a[5] = 0.0;
    b[4] = 0.0;
    let level = |w: &mut Vec<f64>| {
        let sum: f64 = w.iter().sum();
        w[0] += 1.0 - sum;
    };
    level(&mut a);
    level(&mut b);
    let c = matrix(&x, &y);
    for (reg, steps) in [
        (0.5, 1),
        (0.05, 2),
        (0.05, 9),
        (1e-2, 30),
        (1e-3, 50),
        (1e-4, 7),
    ] {
        let unrolled = Unrolled::new(Reg::Absolute(reg), steps).unwrap();
        let what = |of: &str| format!("{of} after {steps} at {reg}");
        let value = |a: &[f64], b: &[f64], c: &[f64]| {
            unrolled.value(&pose(a, b, c)).unwrap().transport_cost
        };
        let problem = pose(&a, &b, &c);
        let found = unrolled.gradient(&problem, Wanted::Cost).unwrap();
        close(found.transport_cost, value(&a, &b, &c), 1e-12, 0.0, "value");
        let step = 1e-4;
        for (i, k) in [(1, 2), (3, 0), (5, 0)] {
            let at = |t: f64| value(&crate::common::shifted(&a, i, k, t), &b, &c);
            let slope = if i == 5 {
                forward(step, at)
            } else {
                central(step, at)
            };
            close(
                found.weights.a[i] - found.weights.a[k],
                slope,
                1e-6,
                0.1,
                &what("a"),
            );
        }
        for (i, k) in [(1, 2), (3, 0), (4, 0)] {
            let at = |t: f64| value(&a, &crate::common::shifted(&b, i, k, t), &c);
            let slope = if i == 4 {
                forward(step, at)
            } else {
                central(step, at)
            };
            close(
                found.weights.b[i] - found.weights.b[k],
                slope,
                1e-6,
                0.1,
                &what("b"),
            );
        }
        let slope = central(step, |t| value(&moved(&a, 1, t), &moved(&b, 2, t), &c));
        close(
            found.weights.a[1] + found.weights.b[2],
            slope,
            1e-6,
            0.1,
            &what("mass"),
        );
        let by_cost = found.cost.unwrap();
        let scale = by_cost.iter().fold(0.0_f64, |s, d| s.max(d.abs()));
        for k in [0, 7, 13, 19] {
            let slope = central(0.02 * reg, |t| value(&a, &b, &moved(&c, k, t)));
            close(by_cost[k], slope, 1e-6, 0.1 * scale, &what("C"));
        }
        // The same by factors, and through the points.
        let factored = unrolled
            .gradient(&problem, Wanted::FactoredCost)
            .unwrap()
            .factored
            .unwrap();
        for (k, (own, found)) in factored.to_dense().iter().zip(&by_cost).enumerate() {
            close(
                *own,
                *found,
                1e-9,
                1e-2 * scale,
                &what(&format!("factored C {k}")),
            );
        }
        let of_points = Problem::from_points(&a, &b, &x, &y, DIM, Ground::SqEuclidean).unwrap();
        let points = unrolled
            .gradient(&of_points, Wanted::Points)
            .unwrap()
            .points
            .unwrap();
        let cost = PointCost::new(&x[..], &y[..], DIM, Ground::SqEuclidean).unwrap();
        let chained = chain_rule(&cost, &factored).unwrap();
        for (own, found) in points
            .x
            .iter()
            .zip(&chained.x)
            .chain(points.y.iter().zip(&chained.y))
        {
            close(*own, *found, 1e-9, 0.1 * scale, &what("points"));
        }
        let of = |x: &[f64]| {
            let problem = Problem::from_points(&a, &b, x, &y, DIM, Ground::SqEuclidean).unwrap();
            unrolled.value(&problem).unwrap().transport_cost
        };
        for k in [0, 5] {
            let slope = central(0.02 * reg, |t| of(&moved(&x, k, t)));
            close(points.x[k], slope, 1e-6, 0.1 * scale, &what("x"));
        }
    }
}

#[test]
fn many_iterations_tend_to_the_implicit_derivative() {
    let (n, m) = (9, 8);
    let (a, b) = (weights(n, 1, 1.0), weights(m, 50, 1.0));
    let c = matrix(&cloud(n, DIM, 100), &cloud(m, DIM, 900));
    let problem = pose(&a, &b, &c);
    let reg = 0.05;
    let found = Unrolled::new(Reg::Absolute(reg), 400)
        .unwrap()
        .gradient(&problem, Wanted::Cost)
        .unwrap();
    let limit = implicit::gradient(&problem, &reference(reg).solve(&problem).unwrap()).unwrap();
    for (found, want) in found.cost.unwrap().iter().zip(limit.to_dense()) {
        close(*found, want, 1e-9, 0.01, "C");
    }
    for i in 1..n {
        let (own, want) = (&found.weights.a, &limit.weights.a);
        close(own[i] - own[0], want[i] - want[0], 1e-9, 0.1, "a");
    }
}

#[test]
fn far_clouds_and_forbidden_pairs_leave_nothing_undefined() {
    // At 1e-6 of the largest cost, kernel entries are e^{−10⁶}; first columns that no row prefers.
    let (n, m) = (70, 500);
    let (x, y) = (cloud(n, DIM, 100), cloud(m, DIM, 900));
    let problem = Problem::from_points(
        &weights(n, 1, 1.0),
        &weights(m, 50, 1.0),
        &x,
        &y,
        DIM,
        Ground::SqEuclidean,
    )
    .unwrap();
    let unrolled = Unrolled::new(Reg::Relative(1e-6), 12).unwrap();
    let found = unrolled.gradient(&problem, Wanted::Points).unwrap();
    assert!(
        found
            .weights
            .a
            .iter()
            .chain(&found.weights.b)
            .all(|d| d.is_finite())
    );
    assert!(found.points.unwrap().x.iter().all(|d| d.is_finite()));
    let inf = f64::INFINITY;
    let c = [0.0, 1.0, inf, inf, inf, inf, 0.5, 0.2, 0.3, inf, inf, inf];
    let (a, b) = ([0.4, 0.6, 0.0], [0.1, 0.3, 0.35, 0.25]);
    let unrolled = Unrolled::new(Reg::Absolute(0.1), 20).unwrap();
    let problem = pose(&a, &b, &c);
    let found = unrolled.gradient(&problem, Wanted::Cost).unwrap();
    let value = |a: &[f64]| unrolled.value(&pose(a, &b, &c)).unwrap().transport_cost;
    close(found.transport_cost, value(&a), 1e-14, 0.0, "value");
    assert!(found.cost.unwrap().iter().all(|d| d.is_finite()));
    let slope = forward(1e-3, |t| value(&crate::common::shifted(&a, 2, 0, t)));
    close(
        found.weights.a[2] - found.weights.a[0],
        slope,
        1e-6,
        0.1,
        "a",
    );
}

#[test]
fn a_start_of_ones_times_b_is_another_recursion() {
    let (a, b) = (weights(6, 1, 1.0), weights(5, 50, 1.0));
    let c = matrix(&cloud(6, DIM, 100), &cloud(5, DIM, 900));
    let reg = 0.05;
    let log_v: Vec<f64> = b.iter().map(|b| reg * b.ln()).collect();
    let other = Unrolled::new(Reg::Absolute(reg), 3)
        .unwrap()
        .start_from(log_v)
        .unwrap();
    let problem = pose(&a, &b, &c);
    let value = |c: &[f64]| other.value(&pose(&a, &b, c)).unwrap().transport_cost;
    let ones = Unrolled::new(Reg::Absolute(reg), 3)
        .unwrap()
        .value(&problem)
        .unwrap()
        .transport_cost;
    assert!((value(&c) - ones).abs() > 1e-9);
    let found = other
        .gradient(&problem, Wanted::Cost)
        .unwrap()
        .cost
        .unwrap();
    for k in [1, 12, 28] {
        close(
            found[k],
            central(1e-3, |t| value(&moved(&c, k, t))),
            1e-7,
            0.01,
            "C",
        );
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let (n, m) = (150, 120);
    let (x, y) = (cloud(n, DIM, 100), cloud(m, DIM, 900));
    let problem = Problem::from_points(
        &weights(n, 1, 1.0),
        &weights(m, 50, 1.0),
        &x,
        &y,
        DIM,
        Ground::Euclidean,
    )
    .unwrap();
    let unrolled = Unrolled::new(Reg::Absolute(0.05), 10).unwrap();
    let run = |threads: usize| {
        let context = solver_api::Context::default()
            .with_threads(threads)
            .unwrap();
        context.install(|| unrolled.gradient(&problem, Wanted::Points).unwrap())
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.weights, three.weights);
    assert_eq!(one.points, three.points);
}
