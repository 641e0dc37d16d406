//! Clouds without a matrix against the network simplex method with one.
#![cfg(feature = "exact-points")]
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use solver_api::{
    CancelToken, Certificate, Context, Ground, Problem, Progress, Solution, Solver, Termination,
    certify,
};
use solver_exact::{ExactPoints, NetworkSimplex};

fn solved(problem: &Problem) -> Solution {
    ExactPoints::default().solve(problem).unwrap()
}

/// The simplex's value to 1e-12, marginals, and a bracket that the brute certificate confirms.
fn check(problem: &Problem) {
    let (found, want) = (
        solved(problem),
        NetworkSimplex::default().solve(problem).unwrap(),
    );
    let largest = problem.cost().range().max_abs().max(1e-300);
    let scale = problem.mass() * largest;
    assert_eq!(found.convergence.termination, Termination::Optimal);
    let off = (found.transport_cost - want.transport_cost).abs();
    assert!(off <= 1e-12 * scale, "{off:e} {scale:e} {problem:?}");
    let bracket = found.certificate.unwrap();
    assert!(bracket.gap().abs() <= 1e-12 * scale, "{bracket:?}");
    // By all pairs, without trees.
    let brute = certify(problem, &found.plan, &found.potentials);
    assert!(brute.gap().abs() <= 1e-12 * scale, "{brute:?} {bracket:?}");
    assert!((brute.lower - bracket.lower).abs() <= 1e-12 * scale);
    let (rows, cols) = found.plan.marginals();
    for (have, asked) in [(rows, problem.a()), (cols, problem.b())] {
        let off = have.iter().zip(asked.weights()).map(|(h, w)| (h - w).abs());
        assert!(off.sum::<f64>() <= 1e-13 * problem.mass());
    }
}

/// Points with ties and duplicates, weights with zeros and of very different sizes.
fn sides() -> impl Strategy<Value = (usize, Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>)> {
    let side = |most| proptest::collection::vec((0_u32..6, 0_u32..40, 0.0..1.0_f64), 1..most);
    (1_usize..5, side(70), side(50), any::<bool>(), -3..4_i32).prop_map(
        |(dim, x, y, fine, size)| {
            let one = |side: Vec<(u32, u32, f64)>| {
                let at = |k: usize, place: u32, jitter: f64, c: usize| {
                    let cell = f64::from((place * (c as u32 * 7 + 1)) % 6);
                    let jitter = if fine {
                        jitter + (k * c) as f64 * 0.01
                    } else {
                        0.0
                    };
                    (cell + jitter) * 10_f64.powi(size)
                };
                let points: Vec<f64> = side
                    .iter()
                    .enumerate()
                    .flat_map(|(k, &(p, _, j))| (0..dim).map(move |c| at(k, p, j, c)))
                    .collect();
                let weight = |w: u32| if w < 8 { 0.0 } else { (-f64::from(w)).exp2() };
                let mut weights: Vec<f64> = side.iter().map(|s| weight(s.1)).collect();
                if weights.iter().all(|w| *w == 0.0) {
                    weights[0] = 1.0;
                }
                let sum: f64 = weights.iter().sum();
                weights.iter_mut().for_each(|w| *w /= sum);
                (points, weights)
            };
            let ((x, a), (y, b)) = (one(x), one(y));
            (dim, x, a, y, b)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn awkward_weights_and_ties_have_the_simplexs_optimum((dim, x, a, y, b) in sides()) {
        check(&Problem::from_points(&a, &b, &x, &y, dim, Ground::SqEuclidean).unwrap());
    }

    #[test]
    fn and_so_they_have_for_every_cost_that_grows(
        (dim, x, a, y, b) in sides(),
        ground in proptest::sample::select(others())
    ) {
        check(&Problem::from_points(&a, &b, &x, &y, dim, ground).unwrap());
    }
}

/// Every kind of cost that grows with a distance but is not its square.
fn others() -> Vec<Ground> {
    vec![
        Ground::Euclidean,
        Ground::Cityblock,
        Ground::Chebyshev,
        Ground::Minkowski(2.5),
        Ground::Minkowski(300.0),
        Ground::Log1p,
        Ground::Atan,
        Ground::Asinh,
        Ground::Atanh(1e6),
        Ground::Power(0.5),
        Ground::Power(1.5),
        Ground::convex("huber", |t| if t < 1.0 { 0.5 * t * t } else { t - 0.5 }),
    ]
}

fn waves(n: usize, dim: usize, seed: f64) -> Vec<f64> {
    let at = |k: usize| ((k as f64 * 12.9898 + seed).sin() * 43_758.545).fract();
    (0..n * dim).map(at).collect()
}

fn weights(n: usize, even: bool, seed: f64) -> Vec<f64> {
    let w: Vec<f64> = waves(n, 1, seed)
        .iter()
        .map(|w| if even { 1.0 } else { w.abs() + 0.05 })
        .collect();
    let sum: f64 = w.iter().sum();
    w.iter().map(|v| v / sum).collect()
}

#[test]
fn a_thousand_points_with_several_levels() {
    for (n, m, dim, even) in [
        (1200, 1200, 2, true),
        (1200, 1000, 2, false),
        (1000, 900, 3, false),
        (700, 800, 9, false),
    ] {
        let (a, b) = (weights(n, even, 1.0), weights(m, even, 2.0));
        let (x, y) = (waves(n, dim, 3.0), waves(m, dim, 4.0));
        check(&Problem::from_points(&a, &b, &x, &y, dim, Ground::SqEuclidean).unwrap());
        let moved: Vec<f64> = y.iter().map(|v| v + 5.0).collect();
        for ground in [Ground::Euclidean, Ground::Cityblock, Ground::Log1p] {
            // Overlapping, and so far apart that reduced costs are flat along rays.
            for y in [&y, &moved] {
                check(&Problem::from_points(&a, &b, &x, y, dim, ground.clone()).unwrap());
            }
        }
    }
}

/// The corners of a box reach the pole of atanh where no pair does.
#[test]
fn a_pole_between_the_points_and_the_corners_of_their_boxes() {
    let (a, b) = (weights(700, false, 1.0), weights(700, true, 2.0));
    let disc = |seed: f64, shift: f64| -> Vec<f64> {
        let (angle, far) = (waves(700, 1, seed), waves(700, 1, seed + 1.0));
        let at = angle
            .iter()
            .zip(&far)
            .map(|(t, r)| (7.0 * t, r.abs().sqrt()));
        at.flat_map(|(t, r)| [shift + r * t.cos(), r * t.sin()])
            .collect()
    };
    let (x, y) = (disc(1.0, 0.0), disc(5.0, 0.5));
    let problem = |ground| Problem::from_points(&a, &b, &x, &y, 2, ground).unwrap();
    let reach = problem(Ground::Euclidean).cost().range().max_abs();
    check(&problem(Ground::Atanh(reach * 1.000_001)));
}

/// Costs of 1e12 that differ by 1: the offset is none of the plan's business.
#[test]
fn clouds_far_apart_and_of_any_size() {
    let (a, b) = (weights(500, false, 1.0), weights(450, false, 2.0));
    let (x, y) = (waves(500, 2, 3.0), waves(450, 2, 4.0));
    let near = Problem::from_points(&a, &b, &x, &y, 2, Ground::SqEuclidean).unwrap();
    let plan = solved(&near).plan;
    let far: Vec<f64> = y.iter().map(|v| v + 1e6).collect();
    let far = Problem::from_points(&a, &b, &x, &far, 2, Ground::SqEuclidean).unwrap();
    let found = solved(&far);
    assert_eq!(found.convergence.termination, Termination::Optimal);
    // What the far plan costs near by: the optimum, but for the digits that the shift itself took from the points.
    let (cost, best) = (
        found.plan.transport_cost(near.cost()),
        plan.transport_cost(near.cost()),
    );
    assert!((cost - best).abs() < 1e-9 * best, "{cost} {best}");
    for size in [1e-70, 1e70] {
        let scaled = |p: &[f64]| -> Vec<f64> { p.iter().map(|v| v * size).collect() };
        let problem =
            Problem::from_points(&a, &b, &scaled(&x), &scaled(&y), 2, Ground::SqEuclidean).unwrap();
        let found = solved(&problem);
        assert_eq!(found.convergence.termination, Termination::Optimal);
        let cost = found.transport_cost / size / size;
        assert!((cost - best).abs() < 1e-11 * best, "{cost} {best}");
        check(
            &Problem::from_points(&a, &b, &scaled(&x), &scaled(&y), 2, Ground::Euclidean).unwrap(),
        );
    }
}

/// Thin clouds at right angles, one that is ten times as large, flat ones: axes are stretched.
#[test]
fn clouds_of_other_shapes() {
    let (a, b) = (weights(900, false, 1.0), weights(1000, false, 2.0));
    let (x, y) = (waves(900, 3, 3.0), waves(1000, 3, 4.0));
    let shapes = [
        ([1.0, 1e-2, 1.0], [1e-2, 1.0, 1.0]),
        ([1.0; 3], [10.0; 3]),
        ([1.0, 0.0, 0.0], [0.0, 1.0, 1.0]),
    ];
    for (of_x, of_y) in shapes {
        let shaped = |points: &[f64], by: [f64; 3]| -> Vec<f64> {
            let all = points.iter().zip(by.iter().cycle());
            all.map(|(p, by)| p * by).collect()
        };
        let (x, y) = (shaped(&x, of_x), shaped(&y, of_y));
        check(&Problem::from_points(&a, &b, &x, &y, 3, Ground::SqEuclidean).unwrap());
    }
}

/// A brute sweep over all pairs after every solve of 10 000 and 20 000 points: cubes, thin clouds, and two that are apart, in 2, 3 and
/// 8 dimensions.
#[test]
#[ignore = "minutes: cargo test --release -p solver-exact --test points -- --ignored"]
fn large_clouds_have_the_bracket_of_a_brute_sweep() {
    for n in [10_000, 20_000] {
        for (dim, even) in [(2, true), (2, false), (3, false), (8, false)] {
            let (a, b) = (weights(n, even, 1.0), weights(n, even, 2.0));
            let (x, y) = (waves(n, dim, 3.0), waves(n, dim, 4.0));
            let thin: Vec<f64> = y
                .iter()
                .enumerate()
                .map(|(k, v)| if k % dim == 0 { 0.01 * v } else { *v })
                .collect();
            let apart: Vec<f64> = y.iter().map(|v| v + 2.0).collect();
            let mut problems = vec![
                (&y, Ground::SqEuclidean),
                (&thin, Ground::SqEuclidean),
                (&apart, Ground::SqEuclidean),
            ];
            if dim < 8 {
                problems.extend([(&y, Ground::Euclidean), (&y, Ground::Log1p)]);
            }
            if n <= 10_000 && dim == 2 {
                problems.extend([(&apart, Ground::Euclidean), (&y, Ground::Cityblock)]);
            }
            for (y, ground) in problems {
                let problem = Problem::from_points(&a, &b, &x, y, dim, ground.clone()).unwrap();
                let found = solved(&problem);
                assert_eq!(found.convergence.termination, Termination::Optimal);
                let bracket = found.certificate.unwrap();
                let brute = certify(&problem, &found.plan, &found.potentials);
                let scale = 1e-12 * (problem.cost().range().max_abs() + bracket.upper);
                for gap in [
                    bracket.gap(),
                    brute.gap(),
                    brute.lower - bracket.lower,
                    brute.upper - bracket.upper,
                ] {
                    assert!(
                        gap.abs() <= scale,
                        "{n} {dim} {ground}: {brute:?} {bracket:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn other_costs_and_conditions_are_refused() {
    let (x, y) = ([0.0, 1.0], [0.5, 2.0]);
    let said = |x: &[f64], y: &[f64], ground: Ground| {
        let problem = Problem::from_points(&[0.5; 2], &[0.5; 2], x, y, 1, ground).unwrap();
        ExactPoints::default()
            .solve(&problem)
            .unwrap_err()
            .to_string()
    };
    let any = Ground::of_distance("steps", f64::floor);
    assert_eq!(
        said(&x, &y, any),
        "`exact-points` can't solve this problem: it lacks `costs that do not grow with a distance between points`"
    );
    let tiny = [1e-140, 2e-140];
    assert_eq!(
        said(&tiny, &tiny, Ground::Power(0.5)),
        "`exact-points` can't solve this problem: it lacks `functions of a distance between points whose largest coordinate is not between 1e-130 and 1e150`"
    );
}

#[test]
fn a_deadline_and_a_cancel_leave_a_bracket() {
    let (a, b) = (weights(3000, false, 1.0), weights(3000, false, 2.0));
    let (x, y) = (waves(3000, 2, 3.0), waves(3000, 2, 4.0));
    let problem = Problem::from_points(&a, &b, &x, &y, 2, Ground::SqEuclidean).unwrap();
    let best = solved(&problem).transport_cost;
    let mut context = Context::new().time_limit(Duration::ZERO);
    let found = ExactPoints::default()
        .solve_with(&problem, &mut context)
        .unwrap();
    assert_eq!(found.convergence.termination, Termination::TimeLimit);
    assert!(found.certificate.unwrap().contains(best, 1e-12));
    let cancel = CancelToken::new();
    let (stop, seen) = (
        cancel.clone(),
        Arc::new(Mutex::new(Vec::<Certificate>::new())),
    );
    let noted = Arc::clone(&seen);
    let observer = move |p: &Progress| {
        noted.lock().unwrap().extend(p.certificate);
        if p.iteration > 20 {
            stop.cancel();
        }
        ControlFlow::Continue(())
    };
    let mut context = Context::new().cancelled_by(&cancel).observed(observer);
    let found = ExactPoints::default()
        .solve_with(&problem, &mut context)
        .unwrap();
    assert_eq!(found.convergence.termination, Termination::Cancelled);
    assert!(found.certificate.unwrap().contains(best, 1e-12));
    let brackets = seen.lock().unwrap();
    for pair in brackets.windows(2) {
        assert!(pair[1].lower >= pair[0].lower && pair[1].upper <= pair[0].upper);
    }
    assert!(brackets.iter().all(|c| c.contains(best, 1e-12)));
}

/// Points of weight zero have the potentials that the pass over all pairs would give them: no pair is out of bounds, and each
/// of them is in one that is tight. Near ones by trees, one that is far away by that pass.
#[test]
fn points_without_weight_have_potentials_too() {
    let mut grounds = others();
    grounds.push(Ground::SqEuclidean);
    for (far, dim) in [(false, 2), (true, 2), (false, 6)] {
        for ground in &grounds {
            let (n, m) = (500, 430);
            let with_zeros = |n: usize, seed: f64| {
                let mut w = weights(n, false, seed);
                w.iter_mut().step_by(3).for_each(|w| *w = 0.0);
                let sum: f64 = w.iter().sum();
                w.iter().map(|v| v / sum).collect::<Vec<f64>>()
            };
            let (a, b) = (with_zeros(n, 1.0), with_zeros(m, 2.0));
            let (mut x, y) = (waves(n, dim, 3.0), waves(m, dim, 4.0));
            if far && !matches!(ground, Ground::Atanh(_)) {
                x[0] = 1e9;
            }
            let problem = Problem::from_points(&a, &b, &x, &y, dim, ground.clone()).unwrap();
            let found = solved(&problem);
            assert_eq!(found.convergence.termination, Termination::Optimal);
            let (f, g) = (&found.potentials.f, &found.potentials.g);
            let slack = |i: usize, j: usize| problem.cost().entry(i, j) - f[i] - g[j];
            let near = |i: usize| if far && i == 0 { 1e9_f64.powi(2) } else { 10.0 };
            for i in 0..n {
                let least = (0..m).map(|j| slack(i, j)).fold(f64::INFINITY, f64::min);
                let tight = if a[i] == 0.0 { least.abs() } else { -least };
                assert!(
                    tight <= 1e-12 * near(i),
                    "{ground} {dim} source {i}: {least}"
                );
            }
            for j in (0..m).filter(|&j| b[j] == 0.0) {
                let sources = (0..n).filter(|&i| a[i] > 0.0);
                let least = sources.map(|i| slack(i, j)).fold(f64::INFINITY, f64::min);
                assert!(least.abs() <= 1e-11, "{ground} {dim} target {j}: {least}");
            }
        }
    }
}
