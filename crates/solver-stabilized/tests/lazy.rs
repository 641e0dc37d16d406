//! Points without a matrix, against the same problem with one.
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ot_entropic::lazy::Arithmetic;
use solver_api::{
    Context, Error, Ground, Measure, Plan, PointCost, Problem, Progress, Reg, Solver, Termination,
};
use solver_stabilized::settings::CostMode;
use solver_stabilized::{Settings, SinkhornStabilized};

fn points(n: usize, dim: usize, seed: f64) -> Vec<f64> {
    (0..n * dim)
        .map(|k| ((k as f64 + seed) * 12.9898).sin() * 43758.547)
        .map(|x| x - x.floor())
        .collect()
}

/// Weights of sum `mass`, some of them zero.
fn weights(n: usize, seed: f64, mass: f64) -> Vec<f64> {
    let w: Vec<f64> = points(n, 1, seed)
        .iter()
        .map(|w| if *w < 0.1 { 0.0 } else { *w })
        .collect();
    let sum: f64 = w.iter().sum();
    w.iter().map(|w| w * mass / sum).collect()
}

fn solver(cost: CostMode, reg: f64, tol: f64, arithmetic: Arithmetic) -> SinkhornStabilized {
    SinkhornStabilized::new(Settings {
        reg: Reg::Relative(reg),
        tol: Some(tol),
        cost,
        arithmetic,
        ..Settings::default()
    })
    .unwrap()
}

fn agree(problem: &Problem, reg: f64, name: &str) {
    let solve = |cost| {
        let solver = solver(cost, reg, 1e-9, Arithmetic::Auto);
        let solution = solver.solve(problem).unwrap();
        solution.require_converged().unwrap()
    };
    let (lazy, dense) = (solve(CostMode::Lazy), solve(CostMode::Matrix));
    let scale = problem.cost().range().max_abs() * problem.mass();
    let close = |x: f64, y: f64| (x - y).abs() <= 1e-7 * scale;
    assert!(close(lazy.transport_cost, dense.transport_cost), "{name}");
    assert!(close(lazy.objective, dense.objective), "{name}");
    assert!(matches!(lazy.plan, Plan::Implicit(_)));
    // What was measured in tiles is what the plan says of itself.
    let (sent, received) = lazy.plan.marginals();
    let off: f64 = sent
        .iter()
        .zip(dense.plan.marginals().0)
        .map(|(x, y)| (x - y).abs())
        .sum();
    assert!(off <= 1e-8 * problem.mass(), "{name}: {off:e}");
    assert!(received.iter().all(|x| x.is_finite()));
    for (x, y) in lazy.potentials.f.iter().zip(&dense.potentials.f) {
        assert!(
            (x - y).abs() <= 1e-5 * scale / problem.mass(),
            "{name}: {x} {y}"
        );
    }
    let (l, d) = (lazy.certificate.unwrap(), dense.certificate.unwrap());
    assert!(
        l.lower <= d.upper && d.lower <= l.upper && l.gap() >= 0.0,
        "{name}"
    );
}

#[test]
fn every_ground_agrees_with_its_matrix() {
    for name in [
        "sqeuclidean",
        "euclidean",
        "cityblock",
        "chebyshev",
        "minkowski:3",
        "cosine",
        "log1p",
        "atan",
        "asinh",
        "atanh:9",
        "power:1.5",
        "arc",
    ] {
        let dim = if name == "arc" { 1 } else { 2 };
        let (n, m) = (500, 420);
        let (mut x, y) = (points(n, dim, 0.5), points(m, dim, 7.25));
        // Duplicates.
        x.copy_within(0..20 * dim, 40 * dim);
        let (a, b) = (weights(n, 3.0, 7.0), weights(m, 4.0, 7.0));
        let ground = Ground::parse(name).unwrap();
        let problem = Problem::from_points(&a, &b, &x, &y, dim, ground).unwrap();
        agree(&problem, 2e-2, name);
    }
}

#[test]
fn relaxed_marginals_and_many_dimensions() {
    let (n, m, dim) = (450, 600, 12);
    let cost = PointCost::new(
        points(n, dim, 0.5),
        points(m, dim, 7.25),
        dim,
        Ground::SqEuclidean,
    );
    let cost = Arc::new(cost.unwrap());
    let measure = |w: Vec<f64>| Measure::new(w).unwrap();
    for (gamma_a, gamma_b) in [(0.5, 2.0), (f64::INFINITY, 1.0)] {
        let (a, b) = (measure(weights(n, 3.0, 2.0)), measure(weights(m, 4.0, 3.0)));
        let problem = Problem::relaxed(a, b, cost.clone(), gamma_a, gamma_b).unwrap();
        agree(&problem, 2e-2, "relaxed");
    }
}

#[test]
fn clusters_smaller_than_the_cloud() {
    let (n, dim) = (6000, 2);
    let problem = Problem::from_points(
        &weights(n, 3.0, 1.0),
        &weights(n, 4.0, 1.0),
        &points(n, dim, 0.5),
        &points(n, dim, 7.25),
        dim,
        Ground::SqEuclidean,
    )
    .unwrap();
    for (tol, arithmetic) in [
        (1e-4, Arithmetic::Auto),
        (1e-5, Arithmetic::F32),
        (1e-9, Arithmetic::F64),
    ] {
        let solver = solver(CostMode::Lazy, 1e-2, tol, arithmetic);
        let solution = solver.solve(&problem).unwrap().require_converged().unwrap();
        // The plan itself, entry by entry in f64.
        let (sent, received) = solution.plan.marginals();
        let error = |have: &[f64], want: &[f64]| -> f64 {
            have.iter().zip(want).map(|(h, w)| (h - w).abs()).sum()
        };
        assert!(error(&sent, problem.a().weights()) <= tol, "{tol}");
        assert!(error(&received, problem.b().weights()) <= tol, "{tol}");
        assert!(solution.convergence.iterations.unwrap() <= 8);
    }
}

#[test]
fn f32_refuses_what_it_does_not_reach() {
    let x = points(100, 2, 1.0);
    let w = vec![0.01; 100];
    let problem = Problem::from_points(&w, &w, &x, &x, 2, Ground::SqEuclidean).unwrap();
    let error = solver(CostMode::Lazy, 1e-2, 1e-6, Arithmetic::F32).solve(&problem);
    assert!(
        matches!(error, Err(Error::UnreachableTolerance { reachable, .. }) if reachable == 1e-5)
    );
}

#[test]
fn observers_see_passes_and_what_lies_between_and_may_stop_them() {
    let n = 6000;
    let w = vec![1.0 / n as f64; n];
    let (x, y) = (points(n, 2, 0.5), points(n, 2, 7.25));
    let problem = Problem::from_points(&w, &w, &x, &y, 2, Ground::SqEuclidean).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let mut context = Context::new().observed(move |progress: &Progress| {
        kept.lock().unwrap().push(progress.iteration);
        ControlFlow::Continue(())
    });
    context.keep_history = true;
    let lazily = solver(CostMode::Lazy, 1e-2, 1e-9, Arithmetic::Auto);
    let solution = lazily.solve_with(&problem, &mut context).unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted() && seen.len() >= solution.convergence.history.len());
    assert!(!solution.convergence.history.is_empty());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut context = Context::new().observed(move |progress: &Progress| {
        counted.fetch_add(1, Ordering::Relaxed);
        if progress.iteration >= 1 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let stopped = lazily.solve_with(&problem, &mut context).unwrap();
    assert_eq!(stopped.convergence.termination, Termination::Cancelled);
    assert!(stopped.transport_cost.is_finite() && stopped.certificate.is_some());
}

#[test]
fn costs_of_any_size() {
    // Clusters are compared in f32, whose range ends at 3.4e38.
    let (x, y) = (points(60, 2, 1.0), points(50, 2, 2.0));
    let solve = |exponent: i32, ground| {
        let scaled = |p: &[f64]| -> Vec<f64> {
            let factor = 2.0_f64.powi(exponent);
            p.iter().map(|p| p * factor).collect()
        };
        let cost = PointCost::new(scaled(&x), scaled(&y), 2, ground).unwrap();
        let (a, b) = (weights(60, 3.0, 1.0), weights(50, 4.0, 1.0));
        let (a, b) = (Measure::new(a).unwrap(), Measure::new(b).unwrap());
        let problem = Problem::new(a, b, Arc::new(cost)).unwrap();
        let solver = solver(CostMode::Lazy, 1e-2, 1e-9, Arithmetic::Auto);
        let solution = solver.solve(&problem).unwrap();
        solution.require_converged().unwrap().transport_cost
    };
    for (ground, degree) in [(Ground::SqEuclidean, 2), (Ground::Cityblock, 1)] {
        let cost = solve(0, ground.clone());
        for exponent in [-480, -260, -70, 70, 130, 480] {
            let found = solve(exponent, ground.clone()) / 2.0_f64.powi(degree * exponent);
            assert!(
                (found / cost - 1.0).abs() < 1e-8,
                "{ground:?} 2^{exponent}: {found}, not {cost}"
            );
        }
    }
}

#[test]
fn real_points_agree_with_their_matrix() {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for fixture in ot_data::fixtures::load_all(root).unwrap() {
        let ot_data::fixtures::FixtureCost::Points { x, y, metric } = &fixture.cost else {
            continue;
        };
        let flat = |p: &ndarray::Array2<f64>| p.iter().copied().collect::<Vec<_>>();
        let problem = Problem::from_points(
            &fixture.a.to_vec(),
            &fixture.b.to_vec(),
            &flat(x),
            &flat(y),
            x.ncols(),
            Ground::parse(metric).unwrap(),
        );
        agree(&problem.unwrap(), 1e-2, &fixture.entry.name);
        seen += 1;
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn brackets_at_every_check_hold() {
    let n = 3000;
    let w = vec![2.0 / n as f64; n];
    let (x, y) = (points(n, 2, 0.5), points(n, 2, 7.25));
    let problem = Problem::from_points(&w, &w, &x, &y, 2, Ground::SqEuclidean).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let mut context = Context::new()
        .observed(move |progress: &Progress| {
            kept.lock().unwrap().extend(progress.certificate);
            ControlFlow::Continue(())
        })
        .certified(solver_api::Certify::EveryCheck);
    let lazily = solver(CostMode::Lazy, 1e-2, 1e-6, Arithmetic::Auto);
    let last = lazily.solve_with(&problem, &mut context).unwrap();
    let last = last.certificate.unwrap();
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty());
    for bracket in seen.iter() {
        assert!(bracket.lower <= last.upper && last.lower <= bracket.upper);
    }
}

#[test]
fn bad_points_are_refused_by_name() {
    let good = points(50, 2, 0.5);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut x = good.clone();
        x[7] = bad;
        let error = PointCost::new(x.clone(), good.clone(), 2, Ground::SqEuclidean).unwrap_err();
        assert!(error.to_string().contains('x'), "{error}");
        assert!(error.to_string().contains(&bad.to_string()), "{error}");
        assert!(PointCost::new(good.clone(), x, 2, Ground::Euclidean).is_err());
    }
    assert!(PointCost::new(good.clone(), good.clone(), 0, Ground::Euclidean).is_err());
    assert!(PointCost::new(good[..99].to_vec(), good.clone(), 2, Ground::Euclidean).is_err());
    assert!(PointCost::new(Vec::new(), good.clone(), 2, Ground::Euclidean).is_err());
    let w = vec![0.02; 50];
    let of = |a: &[f64]| Problem::from_points(a, &w, &good, &good, 2, Ground::SqEuclidean);
    assert!(of(&w[..49]).is_err());
    assert!(of(&vec![0.0; 50]).is_err());
}

#[test]
fn degenerate_clouds_are_solved() {
    let n = 70;
    let w: Vec<f64> = vec![1.0 / n as f64; n];
    let spread = points(n, 2, 0.5);
    let scaled = |s: f64| -> Vec<f64> { spread.iter().map(|x| x * s).collect() };
    let same = vec![0.3; 2 * n];
    let far: Vec<f64> = spread.iter().map(|x| x + 1e6).collect();
    let clouds = [
        ("one value", same.clone(), same.clone()),
        ("one value of two", same, spread.clone()),
        ("huge", scaled(1e150), scaled(-1e150)),
        ("tiny", scaled(1e-150), scaled(-1e-150)),
        ("far from the origin", far.clone(), far),
    ];
    for (name, x, y) in clouds {
        let problem = Problem::from_points(&w, &w, &x, &y, 2, Ground::SqEuclidean);
        // Where a cost leaves the range of numbers, that is said.
        let problem = match problem {
            Ok(problem) => problem,
            Err(error) => {
                assert!(
                    name == "huge" && !error.to_string().is_empty(),
                    "{name}: {error}"
                );
                continue;
            }
        };
        match solver(CostMode::Lazy, 1e-2, 1e-6, Arithmetic::Auto).solve(&problem) {
            Ok(solution) => {
                assert!(solution.convergence.converged(), "{name}");
                let p = &solution.potentials;
                assert!(p.f.iter().chain(&p.g).all(|p| p.is_finite()), "{name}");
                assert!(solution.transport_cost.is_finite(), "{name}");
            }
            Err(error) => assert!(error.to_string().contains("reg"), "{name}: {error}"),
        }
    }
    let one = Problem::from_points(
        &[2.0],
        &w.iter().map(|w| 2.0 * w).collect::<Vec<_>>(),
        &[0.1, 0.2],
        &spread,
        2,
        Ground::SqEuclidean,
    );
    let solution = solver(CostMode::Lazy, 1e-2, 1e-6, Arithmetic::Auto).solve(&one.unwrap());
    assert!(solution.unwrap().convergence.converged());
}
