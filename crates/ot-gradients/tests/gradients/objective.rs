use std::sync::Arc;

use ot_gradients::{chain_rule_of_distance, objective};
use solver_api::{DenseCost, Ground, Measure, PointCost, Problem, Reg, Solver};
use solver_exact::NetworkSimplexFactory;
use solver_sinkhorn::{Settings, Sinkhorn};

use crate::common::{central, close, cloud, forward, moved, noise, reference, shifted, weights};

fn measure(w: &[f64]) -> Measure {
    Measure::new(w.to_vec()).unwrap()
}

fn matrix(n: usize, m: usize) -> Vec<f64> {
    let (x, y) = (cloud(n, 2, 100), cloud(m, 2, 900));
    let cost = PointCost::new(x, y, 2, Ground::SqEuclidean).unwrap();
    (0..n * m)
        .map(|k| solver_api::Cost::entry(&cost, k / m, k % m))
        .collect()
}

fn dense(a: &[f64], b: &[f64], c: &[f64]) -> Problem {
    let cost = DenseCost::new(a.len(), b.len(), c.to_vec()).unwrap();
    Problem::new(measure(a), measure(b), Arc::new(cost)).unwrap()
}

fn relaxed(a: &[f64], b: &[f64], c: &[f64], gamma: (f64, f64)) -> Problem {
    let cost = DenseCost::new(a.len(), b.len(), c.to_vec()).unwrap();
    Problem::relaxed(measure(a), measure(b), Arc::new(cost), gamma.0, gamma.1).unwrap()
}

#[test]
fn balanced_weights_and_cost() {
    let (n, m, mass) = (7, 9, 3.0);
    let (mut a, b, c) = (weights(n, 1, mass), weights(m, 50, mass), matrix(n, m));
    // A source without weight: its derivative is one-sided.
    a[6] = 0.0;
    a[5] += mass - a.iter().sum::<f64>();
    for reg in [0.3, 1e-2, 1e-3] {
        let solver = reference(reg);
        let problem = dense(&a, &b, &c);
        let solution = solver.solve(&problem).unwrap();
        let found = objective::weights(&problem, &solution).unwrap();
        let value =
            |a: &[f64], b: &[f64], c: &[f64]| solver.solve(&dense(a, b, c)).unwrap().objective;
        for (i, k) in [(0, 1), (2, 5), (4, 3)] {
            let slope = central(1e-4 * mass, |t| value(&shifted(&a, i, k, t), &b, &c));
            close(found.a[i] - found.a[k], slope, 1e-7, 0.1, "a");
            let slope = central(1e-4 * mass, |t| value(&a, &shifted(&b, i, k, t), &c));
            close(found.b[i] - found.b[k], slope, 1e-7, 0.1, "b");
        }
        let slope = forward(1e-4 * mass, |t| value(&shifted(&a, 6, 0, t), &b, &c));
        close(
            found.a[6] - found.a[0],
            slope,
            1e-6,
            0.1,
            "a without weight",
        );
        // Both masses together.
        let slope = central(1e-3, |t| value(&moved(&a, 1, t), &moved(&b, 2, t), &c));
        close(found.a[1] + found.b[2], slope, 1e-7, 0.1, "mass");
        let plan = objective::cost(&solution);
        for (i, j) in [(0, 0), (3, 4), (5, 8)] {
            let slope = central(0.02 * reg, |t| value(&a, &b, &moved(&c, i * m + j, t)));
            close(plan.entry(i, j), slope, 1e-6, 0.01 * mass, "C");
        }
    }
}

#[test]
fn relaxed_weights_and_cost() {
    let (n, m) = (6, 5);
    let (mut a, mut b, c) = (weights(n, 1, 2.0), weights(m, 50, 0.7), matrix(n, m));
    a[2] = 0.0;
    b[3] = 0.0;
    let inf = f64::INFINITY;
    for (reg, gamma) in [
        (0.2, (0.5, 0.5)),
        (1e-2, (0.3, 2.0)),
        (1e-3, (1.0, 0.1)),
        (0.05, (inf, 0.4)),
        (0.05, (0.4, inf)),
    ] {
        let solver = reference(reg);
        let problem = relaxed(&a, &b, &c, gamma);
        let solution = solver.solve(&problem).unwrap();
        let found = objective::weights(&problem, &solution).unwrap();
        let value = |a: &[f64], b: &[f64], c: &[f64]| {
            let solution = solver.solve(&relaxed(a, b, c, gamma)).unwrap();
            solution.objective
        };
        for i in 0..n {
            let at = |t: f64| value(&moved(&a, i, t), &b, &c);
            let slope = if i == 2 {
                forward(1e-4, at)
            } else {
                central(1e-4, at)
            };
            close(
                found.a[i],
                slope,
                1e-6,
                0.1,
                &format!("a {i} at {reg} {gamma:?}"),
            );
        }
        for j in 0..m {
            let at = |t: f64| value(&a, &moved(&b, j, t), &c);
            let slope = if j == 3 {
                forward(1e-4, at)
            } else {
                central(1e-4, at)
            };
            close(
                found.b[j],
                slope,
                1e-6,
                0.1,
                &format!("b {j} at {reg} {gamma:?}"),
            );
        }
        for k in [0, 7, 14] {
            let slope = central(0.02 * reg, |t| value(&a, &b, &moved(&c, k, t)));
            close(
                objective::cost(&solution).entry(k / m, k % m),
                slope,
                1e-6,
                0.01,
                "C",
            );
        }
    }
}

#[test]
fn a_fixed_reference_leaves_only_the_price() {
    let (a, b, c) = (weights(5, 1, 2.0), weights(6, 50, 0.7), matrix(5, 6));
    let (reg, gamma) = (0.05, (0.5, 0.8));
    let mut solver = reference(reg);
    let alpha = (-1.0_f64).exp();
    solver.alpha = Some(alpha);
    // ⟨P, C⟩ + ε·KL(P ‖ α) + γ terms, generalized.
    let value = |a: &[f64], b: &[f64]| {
        let (f, g) = solver.potentials(&relaxed(a, b, &c, gamma));
        let (mut total, mut rows, mut cols) = (0.0, vec![0.0; 5], vec![0.0; 6]);
        for i in 0..5 {
            for j in 0..6 {
                let log = (f[i] + g[j] - c[6 * i + j]) / reg;
                let p = alpha * log.exp();
                total += p * c[6 * i + j] + reg * (p * log - p + alpha);
                rows[i] += p;
                cols[j] += p;
            }
        }
        let kl = |p: &[f64], w: &[f64]| -> f64 {
            p.iter().zip(w).map(|(p, w)| p * (p / w).ln() - p + w).sum()
        };
        total + gamma.0 * kl(&rows, a) + gamma.1 * kl(&cols, b)
    };
    let mut empty = a.clone();
    empty[0] = 0.0;
    let found =
        objective::weights_fixed_reference(&relaxed(&empty, &b, &c, gamma), &[0.0; 5], &[0.0; 6]);
    assert_eq!(found.unwrap().a[0], f64::NEG_INFINITY);
    let problem = relaxed(&a, &b, &c, gamma);
    let (f, g) = solver.potentials(&problem);
    let found = objective::weights_fixed_reference(&problem, &f, &g).unwrap();
    for i in 0..5 {
        close(
            found.a[i],
            central(1e-4, |t| value(&moved(&a, i, t), &b)),
            1e-7,
            0.1,
            "a",
        );
        close(
            found.b[i],
            central(1e-4, |t| value(&a, &moved(&b, i, t))),
            1e-7,
            0.1,
            "b",
        );
    }
}

#[test]
fn points_of_every_ground_cost() {
    let (n, m, dim) = (5, 6, 3);
    let (a, b) = (weights(n, 1, 1.0), weights(m, 50, 1.0));
    let (x, y) = (cloud(n, dim, 100), cloud(m, dim, 900));
    let cube = Ground::of_distance("cube", |d| d * d * d);
    let names = [
        "sqeuclidean",
        "euclidean",
        "cityblock",
        "chebyshev",
        "minkowski:3",
        "cosine",
        "log1p",
        "atan",
        "asinh",
        "atanh:3",
        "power:1.5",
    ];
    let grounds = names
        .iter()
        .map(|name| Ground::parse(name).unwrap())
        .chain([cube]);
    for ground in grounds {
        let pose =
            |x: &[f64], y: &[f64]| Problem::from_points(&a, &b, x, y, dim, ground.clone()).unwrap();
        let problem = pose(&x, &y);
        let solver = reference(0.02);
        let solution = solver.solve(&problem).unwrap();
        let found = if let Ground::OfDistance(..) = ground {
            let cost = PointCost::new(x.clone(), y.clone(), dim, ground.clone()).unwrap();
            chain_rule_of_distance(&cost, objective::cost(&solution), &|d| 3.0 * d * d).unwrap()
        } else {
            objective::points(&problem, &solution).unwrap()
        };
        let value = |x: &[f64], y: &[f64]| solver.solve(&pose(x, y)).unwrap().objective;
        for k in [0, 4, 8, 13] {
            let slope = central(2e-4, |t| value(&moved(&x, k, t), &y));
            close(found.x[k], slope, 1e-6, 0.05, &format!("x of {ground}"));
            let slope = central(2e-4, |t| value(&x, &moved(&y, k, t)));
            close(found.y[k], slope, 1e-6, 0.05, &format!("y of {ground}"));
        }
    }
}

#[test]
fn points_on_the_circle() {
    let (x, y) = (cloud(5, 1, 100), cloud(6, 1, 900));
    let (a, b) = (weights(5, 1, 1.0), weights(6, 50, 1.0));
    let pose = |x: &[f64]| Problem::from_points(&a, &b, x, &y, 1, Ground::Arc).unwrap();
    let solver = reference(0.02);
    let found = objective::points(&pose(&x), &solver.solve(&pose(&x)).unwrap()).unwrap();
    for k in 0..5 {
        let slope = central(1e-5, |t| {
            solver.solve(&pose(&moved(&x, k, t))).unwrap().objective
        });
        close(found.x[k], slope, 1e-6, 0.05, "arc");
    }
}

#[test]
fn many_rows_equal_the_sum_over_pairs() {
    // Enough rows for several chunks, by a real solver, against a plain double loop.
    let (n, m, dim) = (300, 200, 2);
    let (a, b) = (weights(n, 1, 1.0), weights(m, 50, 1.0));
    let (x, y) = (cloud(n, dim, 100), cloud(m, dim, 900));
    let problem = Problem::from_points(&a, &b, &x, &y, dim, Ground::Euclidean).unwrap();
    let solver = Sinkhorn::new(Settings::with_reg(Reg::Absolute(0.05))).unwrap();
    let solution = solver.solve(&problem).unwrap();
    let found = objective::points(&problem, &solution).unwrap();
    let (mut gx, mut gy) = (vec![0.0; n * dim], vec![0.0; m * dim]);
    solution.plan.for_each_above(0.0, |i, j, p| {
        let d = problem.cost().entry(i, j);
        for k in 0..dim {
            let t = p * (x[i * dim + k] - y[j * dim + k]) / d;
            gx[i * dim + k] += t;
            gy[j * dim + k] -= t;
        }
    });
    for (found, want) in found.x.iter().zip(&gx).chain(found.y.iter().zip(&gy)) {
        close(*found, *want, 1e-12, 1e-2, "pull");
    }
    let one = solver_api::Context::default().with_threads(1).unwrap();
    let again = one.install(|| objective::points(&problem, &solution).unwrap());
    assert_eq!(again, found, "the same bits for any number of threads");
}

#[test]
fn exact_solvers_give_subgradients() {
    let exact = solver_api::Factory::build(&NetworkSimplexFactory, &solver_api::Options::default())
        .unwrap();
    let (n, m) = (12, 9);
    let (a, b, c) = (weights(n, 1, 1.0), weights(m, 50, 1.0), matrix(n, m));
    let problem = dense(&a, &b, &c);
    let solution = exact.solve(&problem).unwrap();
    let found = objective::weights(&problem, &solution).unwrap();
    let plan = objective::cost(&solution);
    let here = solution.objective;
    for seed in 0..20 {
        // The value is convex in the weights and concave in the cost: tangents stay on their side.
        let to: Vec<f64> = weights(n, 1000 + seed, 1.0);
        let there = exact.solve(&dense(&to, &b, &c)).unwrap().objective;
        let tangent: f64 = (0..n).map(|i| found.a[i] * (to[i] - a[i])).sum();
        assert!(there >= here + tangent - 1e-12);
        let to: Vec<f64> = c
            .iter()
            .enumerate()
            .map(|(k, c)| c + 0.3 * noise(77 * seed + k))
            .collect();
        let there = exact.solve(&dense(&a, &b, &to)).unwrap().objective;
        let mut tangent = 0.0;
        plan.for_each_above(0.0, |i, j, p| tangent += p * (to[i * m + j] - c[i * m + j]));
        assert!(there <= here + tangent + 1e-12);
    }
    // Where plan and potentials are unique the subgradient is the gradient.
    let slope = central(1e-6, |t| {
        exact
            .solve(&dense(&shifted(&a, 0, 1, t), &b, &c))
            .unwrap()
            .objective
    });
    close(found.a[0] - found.a[1], slope, 1e-7, 0.1, "a");
    let (x, y) = (cloud(n, 2, 100), cloud(m, 2, 900));
    let pose = |x: &[f64]| Problem::from_points(&a, &b, x, &y, 2, Ground::SqEuclidean).unwrap();
    let by_points = objective::points(&pose(&x), &exact.solve(&pose(&x)).unwrap()).unwrap();
    for k in 0..6 {
        let slope = central(1e-6, |t| {
            exact.solve(&pose(&moved(&x, k, t))).unwrap().objective
        });
        close(by_points.x[k], slope, 1e-6, 0.05, "x");
    }
}

#[test]
fn a_partner_for_nobody_costs_infinitely_much() {
    let inf = f64::INFINITY;
    let problem = dense(
        &[0.5, 0.5, 0.0],
        &[0.5, 0.5],
        &[0.0, 1.0, 1.0, 0.0, inf, inf],
    );
    let solution = reference(0.1).solve(&problem).unwrap();
    assert_eq!(objective::weights(&problem, &solution).unwrap().a[2], inf);
    let cost = [0.0, 1.0, 1.0, 0.0, inf, inf];
    let problem = relaxed(&[0.5, 0.5, 0.0], &[0.5, 0.5], &cost, (0.7, 0.7));
    let solution = reference(0.1).solve(&problem).unwrap();
    // It stays where it is, for γ and for ε·b of the reference.
    close(
        objective::weights(&problem, &solution).unwrap().a[2],
        0.7 + 0.1,
        1e-14,
        0.0,
        "a",
    );
}
