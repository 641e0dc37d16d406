//! Products in f32 save time and change nothing else: the same tolerance, the same refusals, the same honesty.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::common::{Rng, random_problem, weights};
use solver_api::{
    Certify, Context, DenseCost, Error, Measure, Precision, Problem, Progress, Reg, Solution,
    Solver, Termination,
};
use solver_sinkhorn::{Settings, Sinkhorn};

fn solver(products: Precision, settings: Settings) -> Sinkhorn {
    Sinkhorn::new(Settings {
        products,
        ..settings
    })
    .unwrap()
}

fn both(problem: &Problem, settings: &Settings) -> [Solution; 2] {
    [Precision::F64, Precision::F32].map(|products| {
        let mut context = Context::default().with_threads(1).unwrap();
        solver(products, settings.clone())
            .solve_with(problem, &mut context)
            .unwrap()
    })
}

fn at(reg: f64, tol: f64) -> Settings {
    Settings {
        tol: Some(tol),
        ..Settings::with_reg(Reg::Relative(reg))
    }
}

fn relative(x: f64, y: f64) -> f64 {
    (x - y).abs() / y.abs()
}

/// What the solution says of its marginals is what its plan says.
fn honest(solution: &Solution, problem: &Problem) {
    let (rows, cols) = solution.plan.marginals();
    let off = |have: &[f64], want: &[f64]| -> f64 {
        have.iter().zip(want).map(|(h, w)| (h - w).abs()).sum()
    };
    let seen = &solution.convergence;
    let mass = problem.mass();
    let noise = 1e-13 * mass;
    assert!((seen.source_error * mass - off(&rows, problem.a().weights())).abs() < noise);
    assert!((seen.target_error * mass - off(&cols, problem.b().weights())).abs() < noise);
    // The row update is exact in the iteration that is returned: it was done in f64.
    assert!(seen.source_error < 1e-13, "{seen:?}");
}

fn count(solution: &Solution) -> u64 {
    solution.convergence.iterations.unwrap()
}

#[test]
fn the_answer_is_that_of_exact_products() {
    // The smallest reg has exponents to −333, beyond f32's range and by far.
    for (n, m, seed) in [(150, 170, 1), (400, 130, 2)] {
        let problem = random_problem(n, m, seed);
        for reg in [3e-2, 1e-2, 3e-3] {
            for tol in [1e-4, 1e-9, 1e-12] {
                let [exact, narrow] = both(&problem, &at(reg, tol));
                for solution in [&exact, &narrow] {
                    assert!(solution.convergence.converged());
                    let seen = &solution.convergence;
                    assert!(seen.source_error <= tol && seen.target_error <= tol);
                    honest(solution, &problem);
                }
                // Slow convergence makes more of an error than it is.
                let slack = 30.0 * tol / reg;
                assert!(relative(narrow.objective, exact.objective) < slack.min(1e-2));
                assert!(relative(narrow.transport_cost, exact.transport_cost) < slack.min(1e-2));
                let (x, y) = (count(&narrow), count(&exact));
                assert!(x <= y + y / 10 + 8, "{reg} {tol}: {x} {y}");
                // It was another way there.
                if tol == 1e-9 {
                    assert!(narrow.potentials != exact.potentials);
                }
            }
        }
    }
}

#[test]
fn the_last_iteration_is_exact_wherever_it_is() {
    let problem = random_problem(140, 150, 3);
    for max_iter in [1, 2, 3, 4, 5, 6, 7, 25, 100] {
        let settings = Settings {
            max_iter,
            ..at(5e-3, 1e-12)
        };
        let [exact, narrow] = both(&problem, &settings);
        for solution in [&exact, &narrow] {
            let seen = &solution.convergence;
            assert_eq!(seen.termination, Termination::IterationLimit);
            assert_eq!(seen.iterations, Some(max_iter));
            honest(solution, &problem);
        }
        let errors = [&narrow, &exact].map(|x| x.convergence.target_error);
        assert!(relative(errors[0], errors[1]) < 1e-3, "{errors:?}");
        if max_iter <= 4 {
            assert!(narrow.potentials == exact.potentials);
        }
    }
}

#[test]
fn one_who_stops_it_gets_an_exact_iteration() {
    let problem = random_problem(140, 150, 3);
    for stop_at in [1, 10, 50] {
        let stop = move |progress: &Progress| {
            if progress.iteration >= stop_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut context = Context::default().observed(stop);
        context.keep_history = true;
        let solution = solver(Precision::F32, at(5e-3, 1e-12))
            .solve_with(&problem, &mut context)
            .unwrap();
        let seen = &solution.convergence;
        assert_eq!(seen.termination, Termination::Cancelled);
        assert_eq!(seen.iterations, Some(stop_at));
        honest(&solution, &problem);
        let last = seen.history.last().unwrap();
        assert_eq!(last.iteration, stop_at);
        assert!(relative(last.error, seen.target_error) < 1e-6);
    }
}

#[test]
fn the_history_is_that_of_exact_products() {
    let problem = random_problem(140, 150, 4);
    let run = |products| {
        let mut context = Context::default();
        context.keep_history = true;
        context.certify = Certify::EveryCheck;
        solver(products, at(5e-3, 1e-10))
            .solve_with(&problem, &mut context)
            .unwrap()
            .convergence
            .history
    };
    let (exact, narrow) = (run(Precision::F64), run(Precision::F32));
    assert!(exact.len() > 20);
    for (x, y) in narrow.iter().zip(&exact).take(exact.len() - 1) {
        assert_eq!(x.iteration, y.iteration);
        assert!(
            (x.error - y.error).abs() <= 0.1 * y.error + 1e-7,
            "{x:?} {y:?}"
        );
    }
}

#[test]
fn brackets_at_every_check() {
    let problem = random_problem(140, 130, 5);
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let mut context =
        Context::default()
            .certified(Certify::EveryCheck)
            .observed(move |progress: &Progress| {
                log.lock().unwrap().push(progress.certificate.unwrap());
                ControlFlow::Continue(())
            });
    let solution = solver(Precision::F32, at(1e-2, 1e-9))
        .solve_with(&problem, &mut context)
        .unwrap();
    let last = solution.certificate.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 5);
    for bracket in seen.iter() {
        assert!(bracket.lower <= last.upper && last.lower <= bracket.upper + 1e-12);
    }
}

#[test]
fn a_warm_start_at_the_solution_stays_there() {
    let problem = random_problem(200, 180, 6);
    for tol in [1e-9, 1e-12] {
        let settings = at(1e-2, tol);
        let [_, solution] = both(&problem, &settings);
        let mut context = Context::default();
        context.warm_start = Some(Arc::new(solution.potentials));
        let again = solver(Precision::F32, settings)
            .solve_with(&problem, &mut context)
            .unwrap();
        assert!(again.convergence.converged());
        assert!(again.convergence.iterations.is_some_and(|k| k <= 2));
    }
}

#[test]
fn weights_that_f32_cannot_hold() {
    let mut rng = Rng::new(7);
    let (n, m) = (150, 140);
    let base = random_problem(n, m, 7);
    for tiny in [1e-20, 1e-42, 1e-120, 1e-250] {
        let mut a = weights(n, &mut rng);
        let mut b = weights(m, &mut rng);
        for k in 0..n / 3 {
            a[3 * k] *= tiny;
        }
        for k in 0..m / 4 {
            b[4 * k + 1] *= tiny;
        }
        let measure = |w: Vec<f64>| Measure::new(w).unwrap().normalized();
        let problem = Problem::new(measure(a), measure(b), base.shared_cost()).unwrap();
        for reg in [2e-2, 4e-3] {
            let [exact, narrow] = both(&problem, &at(reg, 1e-10));
            for solution in [&exact, &narrow] {
                assert!(solution.convergence.converged());
                honest(solution, &problem);
            }
            assert!(relative(narrow.objective, exact.objective) < 1e-7);
            let (x, y) = (count(&narrow), count(&exact));
            assert!(x <= y + y / 10 + 8, "{tiny} {reg}: {x} {y}");
        }
    }
}

/// Free pairs in the first row and the first column alone, or on the diagonal alone.
fn far_apart(n: usize, diagonal: bool) -> Problem {
    let free = |i: usize, j: usize| {
        if diagonal { i == j } else { i == 0 || j == 0 }
    };
    let cost: Vec<f64> = (0..n * n)
        .map(|k| f64::from(u8::from(!free(k / n, k % n))))
        .collect();
    let w = vec![1.0 / n as f64; n];
    let cost = DenseCost::new(n, n, cost).unwrap();
    let measure = || Measure::new(w.clone()).unwrap();
    Problem::new(measure(), measure(), Arc::new(cost)).unwrap()
}

#[test]
fn refusals_are_those_of_exact_products() {
    let cross = far_apart(130, false);
    for reg in [1e-4, 1.5e-3, 1.0 / 600.0, 1.0 / 80.0] {
        let [exact, narrow] = [Precision::F64, Precision::F32].map(|products| {
            let settings = Settings {
                max_iter: 3000,
                ..Settings::with_reg(Reg::Absolute(reg))
            };
            solver(products, settings).solve(&cross)
        });
        match (&exact, &narrow) {
            (Err(x), Err(y)) => {
                assert!(matches!(x, Error::KernelUnderflow { .. }));
                assert_eq!(x, y);
            }
            (Ok(x), Ok(y)) => {
                assert_eq!(x.convergence.converged(), y.convergence.converged());
                honest(y, &cross);
            }
            _ => panic!("{reg}: {exact:?} {narrow:?}"),
        }
    }
    let solution = solver(Precision::F32, Settings::with_reg(Reg::Absolute(1e-4)))
        .solve(&far_apart(130, true))
        .unwrap();
    assert!(solution.convergence.converged());
    assert_eq!(solution.transport_cost, 0.0);
}

#[test]
fn the_same_bits_again() {
    let problem = random_problem(400, 410, 8);
    let run = |threads: usize| {
        let mut context = Context::default().with_threads(threads).unwrap();
        let solution = solver(Precision::F32, at(1e-2, 1e-9))
            .solve_with(&problem, &mut context)
            .unwrap();
        (solution.potentials, solution.convergence.iterations)
    };
    for threads in [1, 2] {
        let first = run(threads);
        assert!(first == run(threads));
    }
}

#[test]
fn what_cannot_be_reached_ends_as_with_exact_products() {
    // Below the rounding of every sum: nothing gets there, and the solve says so.
    let problem = random_problem(150, 150, 9);
    let settings = Settings {
        max_iter: 5000,
        check_every: 1,
        ..at(2e-2, 2.5e-14)
    };
    let ends = [Precision::F64, Precision::F32].map(|products| {
        match solver(products, settings.clone()).solve(&problem) {
            Ok(solution) => {
                honest(&solution, &problem);
                solution.convergence.termination.to_string()
            }
            Err(error) => error.to_string(),
        }
    });
    assert_eq!(ends[0], ends[1]);
}

/// Nearly all mass on a pair whose kernel entry is 1e-152: beside costs of 1e-200 the product of the two underflows.
#[test]
fn tiny_costs_beside_tiny_kernel_entries_are_paid() {
    let weights = [0.01, 0.99];
    for size in [1e-200, 1e-5, 1.0, 1e150] {
        let cost = [0.0, 0.0, 0.0, size];
        let problem = Problem::from_slices(&weights, &weights, &cost).unwrap();
        let settings = Settings {
            max_iter: 100_000,
            ..Settings::with_reg(Reg::Absolute(size / 350.0))
        };
        let solution = Sinkhorn::new(settings).unwrap().solve(&problem).unwrap();
        assert!(solution.convergence.converged(), "{size}");
        let paid = solution.transport_cost / size;
        assert!((paid - 0.98).abs() < 1e-6, "{size}: {paid}");
        let bracket = solution.certificate.unwrap();
        assert!(bracket.contains(0.98 * size, 1e-12 * size), "{bracket:?}");
    }
}
