//! A batch gives what its problems give one by one, in order, whatever fails among them.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Rng, random_problem, weights};
use solver_api::{
    Batch, Certify, Context, Cost, DenseCost, Error, GridCost, GridGround, Measure, Precision,
    Problem, Reg, Solution, Solver,
};
use solver_sinkhorn::{Settings, Sinkhorn};

fn settings(precision: Precision) -> Settings {
    Settings {
        precision,
        ..Settings::with_reg(Reg::Relative(3e-2))
    }
}

fn pairs(n: usize, m: usize, count: usize, seed: u64) -> (Arc<dyn Cost>, Vec<(Measure, Measure)>) {
    let cost = random_problem(n, m, seed).shared_cost();
    let mut rng = Rng::new(seed + 1);
    let mut measure = |len: usize, zero: usize| {
        let mut w = weights(len, &mut rng);
        w[zero % len] = 0.0;
        Measure::new(w).unwrap().normalized()
    };
    let pairs = (0..count)
        .map(|k| (measure(n, k), measure(m, 3 * k)))
        .collect();
    (cost, pairs)
}

/// Values agree to what the tolerance allows.
fn agree(batch: &[Result<Solution, Error>], solver: &Sinkhorn, problem: impl Fn(usize) -> Problem) {
    for (k, result) in batch.iter().enumerate() {
        let (have, want) = (result.as_ref().unwrap(), solver.solve(&problem(k)).unwrap());
        assert!(have.convergence.converged(), "{k}: {:?}", have.convergence);
        let tol = solver.settings().tol();
        assert!(have.convergence.source_error <= tol && have.convergence.target_error <= tol);
        let close = |x: f64, y: f64| (x - y).abs() <= 20.0 * tol * y.abs();
        assert!(close(have.transport_cost, want.transport_cost), "{k}");
        assert!(close(have.objective, want.objective), "{k}");
        let bracket = have.certificate.unwrap();
        assert!(
            bracket.contains(bracket.lower, 1e-12) && bracket.lower <= want.transport_cost + 1e-6
        );
    }
}

#[test]
fn problems_that_share_a_cost() {
    for precision in [Precision::F64, Precision::F32] {
        let solver = Sinkhorn::new(settings(precision)).unwrap();
        for (n, m, count) in [(30, 40, 50), (40, 7, 3), (12, 12, 4), (9, 30, 5)] {
            let (cost, pairs) = pairs(n, m, count, 17);
            let problem = |k: usize| {
                let (a, b) = pairs[k].clone();
                Problem::new(a, b, Arc::clone(&cost)).unwrap()
            };
            let batch = Batch::SharedCost {
                cost: Arc::clone(&cost),
                pairs: pairs.clone(),
            };
            agree(
                &solver.solve_batch(&batch, &mut Context::default()),
                &solver,
                problem,
            );
            let batch = Batch::Separate((0..count).map(problem).collect());
            agree(
                &solver.solve_batch(&batch, &mut Context::default()),
                &solver,
                problem,
            );
        }
    }
}

#[test]
fn one_source_and_many_targets_more_than_fit_in_a_product() {
    let (cost, pairs) = pairs(8, 9, 1200, 5);
    let source = pairs[0].0.clone();
    let targets: Vec<_> = pairs.into_iter().map(|p| p.1).collect();
    let batch = Batch::OneToMany {
        cost: Arc::clone(&cost),
        source: source.clone(),
        targets: targets.clone(),
    };
    let solver = Sinkhorn::new(settings(Precision::F64)).unwrap();
    let solutions = solver.solve_batch(&batch, &mut Context::default());
    agree(&solutions, &solver, |k| {
        Problem::new(source.clone(), targets[k].clone(), Arc::clone(&cost)).unwrap()
    });
}

#[test]
fn ragged_problems_side_by_side_on_any_number_of_threads() {
    let problems: Vec<_> = (0..40)
        .map(|k| random_problem(1 + k % 13, 2 + k % 7, k as u64))
        .collect();
    let solver = Sinkhorn::new(settings(Precision::F64)).unwrap();
    let batch = Batch::Separate(problems.clone());
    let mut runs = Vec::new();
    for threads in [1, 2, 2] {
        let mut context = Context::default().with_threads(threads).unwrap();
        let solutions = solver.solve_batch(&batch, &mut context);
        agree(&solutions, &solver, |k| problems[k].clone());
        let values: Vec<_> = solutions
            .into_iter()
            .map(|s| s.unwrap().objective)
            .collect();
        runs.push(values);
    }
    // Each problem stays on one thread, so that even the number of threads changes no bit.
    assert!(runs[0] == runs[1] && runs[1] == runs[2]);
}

#[test]
fn the_same_bits_again() {
    for precision in [Precision::F64, Precision::F32] {
        let (cost, pairs) = pairs(33, 29, 70, 3);
        let batch = Batch::SharedCost { cost, pairs };
        let solver = Sinkhorn::new(settings(precision)).unwrap();
        let run = || -> Vec<_> {
            let mut context = Context::default().with_threads(2).unwrap();
            let solutions = solver.solve_batch(&batch, &mut context);
            solutions
                .into_iter()
                .map(|s| s.unwrap().potentials)
                .collect()
        };
        assert!(run() == run());
    }
}

#[test]
fn one_failure_stops_nobody() {
    let inf = f64::INFINITY;
    let cost: Arc<dyn Cost> =
        Arc::new(DenseCost::new(3, 3, vec![0.0, 1.0, inf, 1.0, 0.0, inf, inf, inf, 0.5]).unwrap());
    let measure = |w: [f64; 3]| Measure::new(w.to_vec()).unwrap();
    let good = (measure([0.3, 0.3, 0.4]), measure([0.1, 0.5, 0.4]));
    let blocked = (measure([0.3, 0.3, 0.4]), measure([0.3, 0.5, 0.2]));
    let heavy = (measure([0.3, 0.3, 0.4]), measure([0.3, 0.5, 0.4]));
    let short = (
        measure([0.3, 0.3, 0.4]),
        Measure::new(vec![0.5, 0.5]).unwrap(),
    );
    let pairs: Vec<_> = [&good, &blocked, &good, &heavy, &good, &short, &good, &good]
        .into_iter()
        .cloned()
        .collect();
    let batch = Batch::SharedCost { cost, pairs };
    let results = Sinkhorn::new(settings(Precision::F64))
        .unwrap()
        .solve_batch(&batch, &mut Context::default());
    for (k, result) in results.iter().enumerate() {
        match k {
            1 => assert!(matches!(result, Err(Error::Infeasible(_)))),
            3 => assert!(matches!(result, Err(Error::MassMismatch { .. }))),
            5 => assert!(matches!(result, Err(Error::ShapeMismatch { .. }))),
            _ => assert!(result.as_ref().unwrap().convergence.converged()),
        }
    }
    let nothing = Batch::Separate(Vec::new());
    assert!(
        Sinkhorn::default()
            .solve_batch(&nothing, &mut Context::default())
            .is_empty()
    );
}

#[test]
fn a_small_reg_is_refused_for_each_that_needs_what_is_lost() {
    // Sources and targets at both ends of a line; half of the problems need the way across.
    let cost: Arc<dyn Cost> = Arc::new(DenseCost::new(2, 2, vec![0.0, 1.0, 0.0, 0.0]).unwrap());
    let pair = |a: f64, b: f64| {
        (
            Measure::new(vec![a, 1.0 - a]).unwrap(),
            Measure::new(vec![b, 1.0 - b]).unwrap(),
        )
    };
    let pairs: Vec<_> = (0..8)
        .map(|k| {
            if k % 2 == 0 {
                pair(0.25, 0.5)
            } else {
                pair(0.5, 0.25)
            }
        })
        .collect();
    let batch = Batch::SharedCost { cost, pairs };
    for precision in [Precision::F64, Precision::F32] {
        let solver = Sinkhorn::new(Settings {
            max_iter: 1000,
            precision,
            ..Settings::with_reg(Reg::Absolute(1e-4))
        });
        let results = solver.unwrap().solve_batch(&batch, &mut Context::default());
        for (k, result) in results.into_iter().enumerate() {
            if k % 2 == 0 {
                assert!(result.unwrap().convergence.converged());
            } else {
                assert!(matches!(result, Err(Error::KernelUnderflow { .. })));
            }
        }
    }
}

#[test]
fn limits_and_history_reach_every_column() {
    let (cost, pairs) = pairs(20, 20, 24, 9);
    let batch = Batch::SharedCost { cost, pairs };
    let solver = Sinkhorn::new(Settings {
        max_iter: 7,
        check_every: 2,
        ..settings(Precision::F64)
    });
    let mut context = Context::default().certified(Certify::Off);
    context.keep_history = true;
    for result in solver.unwrap().solve_batch(&batch, &mut context) {
        let seen = result.unwrap().convergence;
        assert_eq!((seen.converged(), seen.iterations), (false, Some(7)));
        let at: Vec<_> = seen.history.iter().map(|c| c.iteration).collect();
        assert_eq!(at, [1, 2, 4, 6, 7]);
    }
    let token = solver_api::CancelToken::new();
    token.cancel();
    let mut context = Context::default().cancelled_by(&token);
    for result in Sinkhorn::new(settings(Precision::F64))
        .unwrap()
        .solve_batch(&batch, &mut context)
    {
        let seen = result.unwrap().convergence;
        assert_eq!((seen.converged(), seen.iterations), (false, Some(1)));
    }
}

#[test]
fn what_a_batch_reports_is_what_its_plans_say() {
    let side = 9;
    let grid = GridCost::new(&[side, side], GridGround::SqEuclidean).unwrap();
    let cost: Arc<dyn Cost> = Arc::new(DenseCost::materialize(&grid).unwrap());
    let mut rng = Rng::new(8);
    let mut measure = || {
        let w = weights(side * side, &mut rng);
        Measure::new(w).unwrap()
    };
    let source = measure().normalized();
    let targets: Vec<_> = (0..20).map(|_| measure().normalized()).collect();
    let batch = Batch::OneToMany {
        cost: Arc::clone(&cost),
        source: source.clone(),
        targets: targets.clone(),
    };
    // With f32, entries of pairs farther apart than 0.6 of the largest distance are lost.
    for (precision, max_iter) in [
        (Precision::F64, 7),
        (Precision::F64, 100_000),
        (Precision::F32, 7),
        (Precision::F32, 100_000),
    ] {
        let solver = Sinkhorn::new(Settings {
            precision,
            max_iter,
            ..Settings::with_reg(Reg::Relative(4e-3))
        });
        let mut context = Context::default().with_threads(1).unwrap();
        let answers = solver.unwrap().solve_batch(&batch, &mut context);
        for (answer, b) in answers.into_iter().zip(&targets) {
            let solution = answer.unwrap();
            assert_eq!(solution.convergence.converged(), max_iter > 7);
            let (rows, cols) = solution.plan.marginals();
            let off = |have: &[f64], want: &[f64]| -> f64 {
                have.iter().zip(want).map(|(h, w)| (h - w).abs()).sum()
            };
            let seen = &solution.convergence;
            assert!((seen.source_error - off(&rows, source.weights())).abs() < 1e-12);
            assert!((seen.target_error - off(&cols, b.weights())).abs() < 1e-12);
            let paid = solution.plan.transport_cost(cost.as_ref());
            assert!((solution.transport_cost - paid).abs() <= 1e-12 * paid);
        }
    }
}
