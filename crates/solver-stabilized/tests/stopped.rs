//! A path that is stopped on its way down answers with a plan all the same, of the ε that was asked for.

use std::sync::Arc;

use solver_api::{DenseCost, Measure, Problem, Reg, Solver, Termination};
use solver_stabilized::settings::METHODS;
use solver_stabilized::{Settings, SinkhornStabilized};

/// Weights that differ, and a cost without structure.
fn problem(n: usize, m: usize) -> Problem {
    let number = |k: usize| (k as f64 * 0.618_033_988_749_895).fract();
    let weights = |n: usize| Measure::new((0..n).map(|k| 0.1 + number(k)).collect::<Vec<f64>>());
    let normal = |n| weights(n).map(|w| w.normalized());
    let cost = DenseCost::new(
        n,
        m,
        (0..n * m).map(|k| number(7 * k + 3)).collect::<Vec<f64>>(),
    );
    let (a, b) = (normal(n).expect("positive"), normal(m).expect("positive"));
    Problem::new(a, b, Arc::new(cost.expect("finite"))).expect("masses agree")
}

#[test]
fn an_early_stop_gives_a_finite_plan_with_exact_rows() {
    let problem = problem(70, 90);
    let mut stopped = 0;
    for (name, method) in METHODS {
        for max_iter in [1, 2, 4, 8] {
            let settings = Settings {
                method,
                max_iter,
                ..Settings::with_reg(Reg::Relative(1e-5))
            };
            let solver = SinkhornStabilized::new(settings).expect("checked");
            let solution = solver.solve(&problem).expect("an answer");
            let about = format!("{name}, {max_iter}: {:?}", solution.convergence);
            assert!(solution.transport_cost.is_finite(), "{about}");
            assert!(solution.objective.is_finite(), "{about}");
            assert!(solution.convergence.target_error <= 2.0, "{about}");
            let certificate = solution.certificate.expect("by default");
            assert!(
                certificate.lower <= certificate.upper && certificate.upper <= 1.0,
                "{about}"
            );
            if solution.convergence.termination == Termination::IterationLimit {
                stopped += 1;
            }
        }
    }
    assert!(stopped > 12, "{stopped} of 24");
}

/// It went down forever, and answered with costs that were no numbers.
#[test]
fn a_regularization_that_rounding_drowns_is_refused() {
    let problem = problem(7, 9);
    for (name, method) in METHODS {
        let settings = Settings {
            method,
            ..Settings::with_reg(Reg::Absolute(1e-300))
        };
        let solver = SinkhornStabilized::new(settings).expect("checked");
        let error = solver.solve(&problem).expect_err(name).to_string();
        assert!(
            error.starts_with("`reg` = 1e-300: is too small beside costs that differ by"),
            "{error}"
        );
    }
}

/// Potentials are γ·log of a ratio of masses apart; the plan had no digits left of sums of them, and was not the one measured.
#[test]
fn a_large_gamma_leaves_the_plan_its_digits() {
    let balanced = problem(50, 70);
    let heavier: Vec<f64> = balanced.b().weights().iter().map(|b| 10.0 * b).collect();
    for gamma in [1e3, 1e9] {
        let problem = Problem::relaxed(
            balanced.a().clone(),
            Measure::new(heavier.clone()).expect("positive"),
            balanced.shared_cost(),
            gamma,
            gamma,
        )
        .expect("a problem");
        let settings = Settings::with_reg(Reg::Relative(1e-6));
        let solver = SinkhornStabilized::new(settings).expect("checked");
        let solution = solver.solve(&problem).expect("an answer");
        assert!(solution.convergence.converged());
        let mass: f64 = solution.plan.marginals().0.iter().sum();
        assert!(
            (mass / 10_f64.sqrt() - 1.0).abs() < 2.0 / gamma + 1e-9,
            "{mass}"
        );
        let paid = solution.plan.transport_cost(problem.cost());
        assert!(
            (paid - solution.transport_cost).abs() < 1e-9 * paid,
            "{paid}"
        );
    }
}
