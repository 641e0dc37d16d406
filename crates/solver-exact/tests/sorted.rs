//! The line and the circle against the network simplex method.
#![cfg(all(feature = "line", feature = "circle", feature = "network-simplex"))]
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use solver_api::{
    Context, GridCost, GridGround, Ground, Measure, PointCost, Problem, Solution, Solver,
};
use solver_exact::NetworkSimplex;
use solver_exact::closed::{Circle, Line};

fn grounds() -> Vec<Ground> {
    vec![
        Ground::SqEuclidean,
        Ground::Euclidean,
        Ground::Cityblock,
        Ground::Minkowski(3.0),
        Ground::Power(1.0),
        Ground::Power(1.7),
        Ground::Power(4.0),
        Ground::Atanh(30.0),
        Ground::convex("exp", f64::exp),
        Ground::convex("hinge", |d| (d - 1.0).max(0.0)),
    ]
}

/// What every exact answer owes: the simplex's value, marginals, a plan that costs what it says, a tight bracket.
fn check(solver: &dyn Solver, problem: &Problem) -> Solution {
    let found = solver.solve(problem).unwrap();
    let want = NetworkSimplex::default().solve(problem).unwrap();
    // Arcs are differences of positions, exact to the last digit of half a turn however short they are.
    let largest = match solver.name() {
        "circle" => 0.5,
        _ => problem.cost().range().max_abs().max(1e-300),
    };
    let scale = problem.mass() * largest;
    let said = format!("{problem:?}");
    assert!(found.convergence.converged(), "{said}");
    assert!(
        (found.transport_cost - want.transport_cost).abs() <= 1e-12 * scale,
        "{} {} {said}",
        found.transport_cost,
        want.transport_cost
    );
    let (rows, cols) = found.plan.marginals();
    let off = |have: &[f64], want: &[f64]| -> f64 {
        have.iter().zip(want).map(|(h, w)| (h - w).abs()).sum()
    };
    assert!(
        off(&rows, problem.a().weights()) <= 1e-13 * problem.mass(),
        "{said}"
    );
    assert!(
        off(&cols, problem.b().weights()) <= 1e-13 * problem.mass(),
        "{said}"
    );
    let paid = found.plan.transport_cost(problem.cost());
    assert!(
        (paid - found.transport_cost).abs() <= 1e-13 * scale,
        "{paid} {} {said}",
        found.transport_cost
    );
    let bracket = found.certificate.unwrap();
    assert!(bracket.gap().abs() <= 1e-12 * scale, "{bracket:?} {said}");
    assert!(bracket.contains(want.transport_cost, 1e-12 * scale));
    for (i, f) in found.potentials.f.iter().enumerate() {
        for (j, g) in found.potentials.g.iter().enumerate() {
            assert!(
                f + g <= problem.cost().entry(i, j) + 1e-12 * largest,
                "{said}"
            );
        }
    }
    found
}

/// Positions with ties and weights with zeros, masses other than 1.
fn sides() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>)> {
    let side = |most| {
        (
            proptest::collection::vec((-9_i32..9, 0_u32..5), 1..most),
            1_u32..2,
        )
    };
    (side(90), side(70), 0.01..50.0_f64, any::<bool>()).prop_map(|(x, y, mass, fine)| {
        let one = |side: Vec<(i32, u32)>| {
            let n = side.len();
            let at = |k: usize, v: i32| {
                f64::from(v) / 3.0 + if fine { 1e-3 * (k as f64).sin() } else { 0.0 }
            };
            let x: Vec<f64> = side.iter().enumerate().map(|(k, s)| at(k, s.0)).collect();
            let mut w: Vec<f64> = side.iter().map(|s| f64::from(s.1)).collect();
            if w.iter().all(|w| *w == 0.0) {
                w[n / 2] = 1.0;
            }
            let total: f64 = w.iter().sum();
            w.iter_mut().for_each(|w| *w *= mass / total);
            (x, w)
        };
        let ((x, a), (y, b)) = (one(x.0), one(y.0));
        (x, a, y, b)
    })
}

proptest! {
    #[test]
    fn the_line_is_the_optimum((x, a, y, b) in sides(), which in 0_usize..10) {
        let ground = grounds().swap_remove(which);
        let problem = Problem::from_points(&a, &b, &x, &y, 1, ground).unwrap();
        let found = check(&Line::default(), &problem);
        let alone = Line::default().transport_cost(&problem, &Context::new()).unwrap();
        let scale = problem.mass() * problem.cost().range().max_abs();
        prop_assert!((alone - found.transport_cost).abs() <= 1e-13 * scale, "{alone} {}", found.transport_cost);
    }

    #[test]
    fn the_circle_is_the_optimum((x, a, y, b) in sides()) {
        let problem = Problem::from_points(&a, &b, &x, &y, 1, Ground::Arc).unwrap();
        check(&Circle::default(), &problem);
    }
}

#[test]
fn whole_turns_apart_is_nowhere_at_all() {
    let (x, y) = ([-5.0 / 3.0], [7.0 / 3.0]);
    let problem = Problem::from_points(&[0.01], &[0.01], &x, &y, 1, Ground::Arc).unwrap();
    check(&Circle::default(), &problem);
}

#[test]
fn cells_of_a_line() {
    for ground in [GridGround::SqEuclidean, GridGround::Cityblock] {
        let weights = |k: usize| -> Measure {
            let w: Vec<f64> = (0..50).map(|i| ((i * k) % 7) as f64).collect();
            Measure::new(w).unwrap().normalized()
        };
        let cost = std::sync::Arc::new(GridCost::with_spacing(&[50], &[0.3], ground).unwrap());
        check(
            &Line::default(),
            &Problem::new(weights(3), weights(5), cost).unwrap(),
        );
    }
}

#[test]
fn other_costs_are_refused() {
    let pose = |dim: usize, ground| {
        let x = vec![0.1, 0.4, 0.2, 0.9];
        let w = vec![1.0; 4 / dim];
        Problem::from_points(&w, &w, &x, &x, dim, ground).unwrap()
    };
    let said = |solver: &dyn Solver, problem: &Problem| {
        let error = solver.solve(problem).unwrap_err().to_string();
        assert_eq!(error, solver.accepts(problem).unwrap_err().to_string());
        error
    };
    for (dim, ground) in [
        (2, Ground::SqEuclidean),
        (1, Ground::Log1p),
        (1, Ground::Power(0.9)),
        (1, Ground::of_distance("own", |d| d)),
    ] {
        assert_eq!(
            said(&Line::default(), &pose(dim, ground)),
            "`line` can't solve this problem: it lacks `costs that are not a convex function of the distance on a line`"
        );
    }
    assert_eq!(
        said(&Circle::default(), &pose(1, Ground::Euclidean)),
        "`circle` can't solve this problem: it lacks `costs other than arc length`"
    );
}

#[test]
fn a_hundred_thousand_points_have_a_tight_bracket() {
    let noise = |k: usize, s: f64| ((k as f64 * 12.9898 + s).sin() * 43758.5453).fract().abs();
    let (n, m) = (100_000, 90_000);
    let side = |n: usize, s: f64| -> (Vec<f64>, Vec<f64>) {
        let w: Vec<f64> = (0..n).map(|k| noise(k, s) + 0.01).collect();
        let total: f64 = w.iter().sum();
        (
            (0..n).map(|k| noise(k, s + 5.0)).collect(),
            w.iter().map(|w| w / total).collect(),
        )
    };
    let ((x, a), (y, b)) = (side(n, 1.0), side(m, 2.0));
    for (solver, ground) in [
        (&Line::default() as &dyn Solver, Ground::SqEuclidean),
        (&Line::default(), Ground::Euclidean),
        (&Line::default(), Ground::Power(1.5)),
        (&Circle::default(), Ground::Arc),
    ] {
        let cost = PointCost::new(x.clone(), y.clone(), 1, ground).unwrap();
        let measure = |w: &[f64]| Measure::new(w.to_vec()).unwrap();
        let problem = Problem::new(measure(&a), measure(&b), std::sync::Arc::new(cost)).unwrap();
        let mut one = Context::new().with_threads(1).unwrap();
        let found = solver.solve_with(&problem, &mut one).unwrap();
        let bracket = found.certificate.unwrap();
        assert!(found.convergence.converged());
        assert!(
            bracket.gap() <= 1e-13 && bracket.contains(found.transport_cost, 1e-13),
            "{bracket:?}"
        );
        if solver.name() == "line" {
            let alone = |threads| {
                let context = Context::new().with_threads(threads).unwrap();
                Line::default().transport_cost(&problem, &context).unwrap()
            };
            assert_eq!(alone(1), alone(3));
            assert!((alone(1) - found.transport_cost).abs() <= 1e-13 * found.transport_cost);
        }
        let again = solver.solve(&problem).unwrap();
        assert_eq!(again.transport_cost, found.transport_cost);
        assert_eq!(again.potentials, found.potentials);
        assert_eq!(again.certificate, found.certificate);
    }
}
