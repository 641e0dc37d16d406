//! A batch gives what its problems give one by one, in order, whatever fails among them.

use std::sync::Arc;

use crate::common::{Rng, random_problem, weights};
use solver_api::{
    Batch, Certify, Context, Cost, DenseCost, Error, GridCost, GridGround, Measure, Precision,
    Problem, Reg, Solution, Solver, certify,
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

/// Squared distances on a line of `n` points, the largest 1.
fn line(n: usize) -> Vec<f64> {
    let step = 1.0 / (n - 1) as f64;
    let far = |k: usize| ((k / n).abs_diff(k % n) as f64 * step).powi(2);
    (0..n * n).map(far).collect()
}

/// A bump on a line of `n` points, and nothing far from it.
fn bump(n: usize, at: f64, width: f64) -> Measure {
    let weight = |k: usize| {
        let x = (k as f64 / (n - 1) as f64 - at) / width;
        if x.abs() < 2.5 { (-x * x).exp() } else { 0.0 }
    };
    Measure::new((0..n).map(weight).collect::<Vec<_>>())
        .unwrap()
        .normalized()
}

#[test]
fn a_certificate_is_what_the_plan_and_the_potentials_prove_alone() {
    let inf = f64::INFINITY;
    let (plain, pairs) = pairs(31, 23, 40, 11);
    let entries: Vec<f64> = (0..31)
        .flat_map(|i| {
            let mut row = vec![0.0; 23];
            plain.row(i, &mut row);
            row
        })
        .collect();
    let dense = |f: &dyn Fn(usize, f64) -> f64| -> Arc<dyn Cost> {
        let changed: Vec<f64> = entries.iter().enumerate().map(|(k, &c)| f(k, c)).collect();
        Arc::new(DenseCost::new(31, 23, changed).unwrap())
    };
    let narrow: Vec<f32> = entries.iter().map(|&c| c as f32).collect();
    let costs: [Arc<dyn Cost>; 6] = [
        Arc::clone(&plain),
        Arc::new(DenseCost::from_f32(31, 23, narrow).unwrap()),
        dense(&|_, c| c - 0.7),
        dense(&|_, c| 1e-200 * c),
        dense(&|_, c| 1e30 * c),
        dense(&|k, c| if k % 9 == 4 { inf } else { c }),
    ];
    let heavier = |w: &Measure| {
        Measure::new(w.weights().iter().map(|w| 7.0 * w).collect::<Vec<_>>()).unwrap()
    };
    for cost in costs {
        let problem = |k: usize| {
            let (a, b) = &pairs[k];
            let (a, b) = if k.is_multiple_of(3) {
                (heavier(a), heavier(b))
            } else {
                (a.clone(), b.clone())
            };
            Problem::new(a, b, Arc::clone(&cost)).unwrap()
        };
        let problems: Vec<_> = (0..pairs.len()).map(problem).collect();
        let shared = problems.iter().map(|p| (p.a().clone(), p.b().clone()));
        let source = pairs[1].0.clone();
        let targets: Vec<_> = pairs.iter().map(|p| p.1.clone()).collect();
        let batches = [
            Batch::Separate(problems.clone()),
            Batch::SharedCost {
                cost: Arc::clone(&cost),
                pairs: shared.collect(),
            },
            Batch::OneToMany {
                cost: Arc::clone(&cost),
                source,
                targets,
            },
        ];
        for (precision, max_iter) in [
            (Precision::F64, 3),
            (Precision::F64, 100_000),
            (Precision::F32, 3),
            (Precision::F32, 100_000),
        ] {
            let solver = Sinkhorn::new(Settings {
                max_iter,
                ..settings(precision)
            });
            let solver = solver.unwrap();
            for batch in &batches {
                let mut context = Context::default().with_threads(1).unwrap();
                let answers = solver.solve_batch(batch, &mut context);
                for (k, answer) in answers.into_iter().enumerate() {
                    let (problem, solution) = (batch.problem(k).unwrap(), answer.unwrap());
                    let have = solution.certificate.unwrap();
                    let want = certify(&problem, &solution.plan, &solution.potentials);
                    let scale = problem.mass() * cost.range().max_abs();
                    assert!(
                        (have.lower - want.lower).abs() <= 1e-13 * scale,
                        "{have:?} {want:?}"
                    );
                    assert!(
                        (have.upper - want.upper).abs() <= 1e-12 * scale,
                        "{have:?} {want:?}"
                    );
                    assert!(have.upper - have.lower >= -1e-12 * scale);
                }
            }
        }
    }
}

#[test]
fn columns_that_take_very_different_times() {
    let n = 40;
    let cost: Arc<dyn Cost> = Arc::new(DenseCost::new(n, n, line(n)).unwrap());
    // Few of them are slow, in two precisions, and the slow ones are left alone in the end.
    let pair = |k: usize| {
        let at = 0.1 + 0.8 * (k as f64 * 0.618).fract();
        if k % 50 == 7 {
            (bump(n, at, 0.02), bump(n, 1.0 - at, 0.3))
        } else {
            (bump(n, at, 0.2), bump(n, at + 0.01, 0.2))
        }
    };
    let pairs: Vec<_> = (0..700).map(pair).collect();
    for precision in [Precision::F64, Precision::F32] {
        let solver = Sinkhorn::new(Settings {
            precision,
            ..Settings::with_reg(Reg::Relative(1e-2))
        });
        let solver = solver.unwrap();
        let batch = Batch::SharedCost {
            cost: Arc::clone(&cost),
            pairs: pairs.clone(),
        };
        let answers = solver.solve_batch(&batch, &mut Context::default());
        let taken = answers
            .iter()
            .map(|s| s.as_ref().unwrap().convergence.iterations.unwrap());
        let (least, most) = (taken.clone().min().unwrap(), taken.max().unwrap());
        assert!(most > 4 * least, "{least} {most}");
        agree(&answers, &solver, |k| {
            let (a, b) = pairs[k].clone();
            Problem::new(a, b, Arc::clone(&cost)).unwrap()
        });
    }
}

#[test]
fn what_single_precision_cannot_carry_is_carried_by_double() {
    // Mass goes from one end to the other, where the kernel entries are far below the range of f32.
    let n = 30;
    let cost: Arc<dyn Cost> = Arc::new(DenseCost::new(n, n, line(n)).unwrap());
    let pair = |k: usize| match k % 3 {
        0 => (bump(n, 0.0, 0.1), bump(n, 1.0, 0.1)),
        1 => (bump(n, 0.3, 0.2), bump(n, 0.4, 0.2)),
        // Weights that f32 products may not carry.
        _ => {
            let mut w = bump(n, 0.5, 0.3).weights().to_vec();
            w[k % n] = 1e-25;
            (Measure::new(w).unwrap().normalized(), bump(n, 0.6, 0.3))
        }
    };
    let pairs: Vec<_> = (0..30).map(pair).collect();
    let solver = Sinkhorn::new(Settings {
        tol: Some(1e-8),
        ..Settings::with_reg(Reg::Absolute(4e-3))
    });
    let solver = solver.unwrap();
    let batch = Batch::SharedCost {
        cost: Arc::clone(&cost),
        pairs: pairs.clone(),
    };
    let answers = solver.solve_batch(&batch, &mut Context::default());
    agree(&answers, &solver, |k| {
        let (a, b) = pairs[k].clone();
        Problem::new(a, b, Arc::clone(&cost)).unwrap()
    });
}

#[test]
fn the_times_of_a_batch_add_up() {
    let (cost, pairs) = pairs(20, 20, 40, 2);
    let batch = Batch::SharedCost { cost, pairs };
    let solver = Sinkhorn::new(settings(Precision::F64)).unwrap();
    let mut context = Context::default().with_threads(1).unwrap();
    let begun = std::time::Instant::now();
    let answers = solver.solve_batch(&batch, &mut context);
    let whole = begun.elapsed();
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    // Each certificate is a share of work done once.
    let certified: std::time::Duration = answers.iter().map(|s| s.certify_time).sum();
    assert!(certified > std::time::Duration::ZERO && certified <= whole);
    let fits = |s: &Solution| s.solve_time + s.certify_time <= whole;
    assert!(answers.iter().all(fits));
    let mut context = Context::default().certified(Certify::Off);
    for answer in solver.solve_batch(&batch, &mut context) {
        let solution = answer.unwrap();
        assert!(solution.certificate.is_none() && solution.certify_time.is_zero());
    }
}
