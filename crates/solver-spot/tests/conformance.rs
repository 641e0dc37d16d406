//! The contracts that all solvers share, with SPOT's own tolerances, and its own ends.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use solver_api::conformance::{Expect, run};
use solver_api::{Capability, Context, Factory, Ground, Options, Problem, Solver, Termination};
use solver_spot::{Settings, SpotFactory, SpotSolver};

fn points(x: &[f64], y: &[f64], a: &[f64], b: &[f64], dim: usize) -> Problem {
    Problem::from_points(a, b, x, y, dim, Ground::SqEuclidean).unwrap()
}

fn short() -> SpotSolver {
    with_steps(200)
}

fn with_steps(max_iter: u64) -> SpotSolver {
    SpotSolver::new(Settings {
        max_iter,
        hidden: 8,
        check_every: 100,
        ..Settings::default()
    })
    .unwrap()
}

#[test]
fn points_that_are_all_alike_cost_nothing() {
    let zeros = [3.0; 8];
    let solution = short()
        .solve(&points(&zeros, &zeros, &[0.25; 4], &[0.25; 4], 2))
        .unwrap();
    assert_eq!(solution.transport_cost, 0.0);
    assert!(solution.convergence.converged());
    assert_eq!(solution.convergence.iterations, Some(100));
}

/// A point far away without weight changes neither the answer nor what counts as near to it.
#[test]
fn points_without_weight_are_not_there() {
    let line: Vec<f64> = (0..20).map(f64::from).collect();
    let moved: Vec<f64> = line.iter().map(|v| v + 3.0).collect();
    let weights = vec![0.05; 20];
    let without = short()
        .solve(&points(&line, &moved, &weights, &weights, 1))
        .unwrap();
    let (mut far, mut heavy) = (line.clone(), weights.clone());
    far.push(1e12);
    heavy.push(0.0);
    let with = short()
        .solve(&points(&far, &moved, &heavy, &weights, 1))
        .unwrap();
    assert_eq!(
        with.convergence.termination,
        without.convergence.termination
    );
    assert!((with.transport_cost - without.transport_cost).abs() < 1e-9);
}

/// Points 1 to 20, all moved by 5, in squares of distances up to 600: a plan of twice the cost is not near.
#[test]
fn far_from_the_cost_is_not_converged() {
    let line: Vec<f64> = (0..300).map(|i| f64::from(i) / 15.0).collect();
    let moved: Vec<f64> = line.iter().map(|v| v + 1.0).collect();
    let weights = vec![1.0 / 300.0; 300];
    let problem = points(&line, &moved, &weights, &weights, 1);
    let solution = short().solve(&problem).unwrap();
    let bracket = solution.certificate.unwrap();
    assert!(
        bracket.lower <= 1.0 && bracket.upper >= 1.0 - 1e-9,
        "{bracket:?}"
    );
    // The spread of costs is 441, and 2 % of that is nine times the optimum.
    assert!(bracket.gap() > 0.02 * bracket.upper, "{bracket:?}");
    assert!(!solution.convergence.converged());
}

/// What no pair carries is said: of 25 points in the plane much after 200 steps, and little after 4000. (On a line the corner is the
/// best plan.)
#[test]
fn mass_that_no_pair_carries_is_told() {
    let grid: Vec<f64> = (0..25)
        .flat_map(|i| [f64::from(i % 5), f64::from(i / 5)])
        .collect();
    let moved: Vec<f64> = grid.iter().map(|v| 1.3 * v + 4.0).collect();
    let even = vec![0.04; 25];
    let problem = points(&grid, &moved, &even, &even, 2);
    let told = |solver: SpotSolver| {
        let context = &mut Context::default();
        solver.solve_counted(&problem, context).unwrap().1
    };
    let (early, late) = (told(short()), told(with_steps(4000)));
    assert!((0.1..1.0).contains(&early), "{early}");
    assert!((0.0..0.05).contains(&late), "{late}");
}

/// However short the time, there is an answer with its bracket, and it is not called converged for that.
#[test]
fn a_deadline_leaves_an_answer() {
    let line: Vec<f64> = (0..200).map(f64::from).collect();
    let moved: Vec<f64> = line.iter().rev().map(|v| 1.5 * v).collect();
    let weights = vec![1.0 / 200.0; 200];
    let problem = points(&line, &moved, &weights, &weights, 1);
    let mut context = Context::default().time_limit(Duration::from_millis(50));
    let solution = SpotSolver::default()
        .solve_with(&problem, &mut context)
        .unwrap();
    assert!(solution.certificate.is_some());
    assert!(!solution.convergence.converged());
    assert_eq!(solution.convergence.termination, Termination::TimeLimit);
}

#[test]
fn conforms() {
    let mut options = Options {
        max_iter: Some(2000),
        ..Options::default()
    };
    for (key, value) in [("hidden", "16"), ("check_every", "250"), ("batch", "64")] {
        options.set.insert(key.into(), value.into());
    }
    run(
        |options| SpotFactory.build(options),
        &Expect::new()
            .capabilities(&[
                Capability::Balanced,
                Capability::LazyCost,
                Capability::Interruptible,
                Capability::Deterministic,
            ])
            .options(options)
            .accuracy(0.2)
            // Of the cost itself, which is about a tenth of what the largest one is.
            .tol(0.4)
            .marginal_error(1e-9)
            .max_size(12)
            .cases(2)
            .domain("points", |draw| {
                let (n, m) = draw.shape();
                let (a, b) = (draw.weights(n), draw.weights(m));
                let (x, y) = (draw.numbers(2 * n), draw.numbers(2 * m));
                Problem::from_points(&a, &b, &x, &y, 2, Ground::SqEuclidean)
            }),
    );
}
