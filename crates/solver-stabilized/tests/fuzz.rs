//! Anything legal at any regularization: a right answer or an honest one, never a NaN; and ordinary problems, with all the
//! ties that make plans degenerate, are solved.
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::sync::Arc;

use proptest::prelude::*;
use solver_api::{DenseCost, Error, Measure, Problem, Reg, Solution, Solver};
use solver_exact::NetworkSimplex;
use solver_stabilized::settings::METHODS;
use solver_stabilized::{Settings, SinkhornStabilized};

/// Numbers over many orders of magnitude, zeros and ties among them.
fn any_weight() -> BoxedStrategy<f64> {
    prop_oneof![
        4 => 0.01..1.0_f64,
        1 => Just(0.0),
        1 => Just(1.0),
        1 => (-300.0..0.0_f64).prop_map(|e| 10.0_f64.powf(e)),
    ]
    .boxed()
}

fn any_cost() -> BoxedStrategy<f64> {
    prop_oneof![
        6 => 0.0..1.0_f64,
        2 => prop_oneof![Just(0.0), Just(1.0), Just(-0.5)],
        1 => Just(f64::INFINITY),
        1 => (-6.0..2.0_f64).prop_map(|e| 10.0_f64.powf(e)),
    ]
    .boxed()
}

fn problem(
    largest: usize,
    weight: BoxedStrategy<f64>,
    cost: BoxedStrategy<f64>,
    scales: BoxedStrategy<(f64, f64)>,
) -> impl Strategy<Value = Problem> {
    (1..=largest, 1..=largest, scales).prop_flat_map(move |(n, m, (scale, mass))| {
        let weights = |n| proptest::collection::vec(weight.clone(), n);
        let cost = proptest::collection::vec(cost.clone(), n * m);
        (weights(n), weights(m), cost).prop_filter_map("needs mass", move |(a, b, cost)| {
            let measure = |w: Vec<f64>| {
                let unit = Measure::new(w).ok()?.normalized();
                Measure::new(unit.weights().iter().map(|w| w * mass).collect::<Vec<_>>()).ok()
            };
            let cost: Vec<f64> = cost.into_iter().map(|c| c * scale).collect();
            let cost = Arc::new(DenseCost::new(n, m, cost).ok()?);
            Problem::new(measure(a)?, measure(b)?, cost).ok()
        })
    })
}

/// γ relative to the largest cost, or none.
fn gammas() -> impl Strategy<Value = Option<(f64, f64)>> {
    let one = || prop_oneof![3 => (-3.0..3.0_f64).prop_map(|e| 10.0_f64.powf(e)), 1 => Just(f64::INFINITY)];
    prop_oneof![2 => Just(None), 1 => (one(), one()).prop_map(Some)]
}

/// The same problem with relaxed marginals, where that is lawful.
fn relaxed(problem: &Problem, gammas: Option<(f64, f64)>) -> Option<Problem> {
    let (ga, gb) = gammas?;
    // Lighter ones have masses and kernel entries on both sides of what f64 can hold.
    let all = problem.a().weights().iter().chain(problem.b().weights());
    let least = 1e-100 * problem.mass();
    if all.filter(|w| **w > 0.0).any(|w| *w < least) {
        return None;
    }
    let unit = problem.cost().range().max_abs();
    let (a, b) = (problem.a().clone(), problem.b().clone());
    Problem::relaxed(a, b, problem.shared_cost(), ga * unit, gb * unit).ok()
}

fn judge(problem: &Problem, result: Result<Solution, Error>) -> Result<bool, TestCaseError> {
    let solution = match result {
        Ok(solution) => solution,
        Err(Error::Infeasible(_)) => {
            prop_assert!(problem.cost().range().forbidden > 0);
            return Ok(true);
        }
        Err(other) => {
            prop_assert!(false, "{other}");
            return Ok(false);
        }
    };
    let seen = &solution.convergence;
    let figures = [
        solution.transport_cost,
        solution.objective,
        solution.mass,
        seen.source_error,
        seen.target_error,
    ];
    prop_assert!(
        figures.iter().all(|x| x.is_finite()),
        "{figures:?} {seen:?}"
    );
    let potentials = solution.potentials.f.iter().chain(&solution.potentials.g);
    for p in potentials {
        prop_assert!(!p.is_nan() && *p > f64::NEG_INFINITY, "{seen:?}");
    }
    let (rows, cols) = solution.plan.marginals();
    prop_assert!(rows.iter().chain(&cols).all(|p| p.is_finite() && *p >= 0.0));
    let bracket = solution.certificate.unwrap();
    let slack = 1e-9
        * solution
            .potentials
            .terms(problem)
            .max(problem.mass() * problem.cost().range().max_abs());
    prop_assert!(bracket.lower <= bracket.upper + slack, "{bracket:?}");
    if matches!(problem.marginals(), solver_api::Marginals::Balanced) {
        // The optimum itself, by another solver.
        let exact = NetworkSimplex::default()
            .solve(problem)
            .unwrap()
            .transport_cost;
        prop_assert!(bracket.contains(exact, slack), "{bracket:?} {exact}");
    }
    Ok(seen.converged())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn anything_legal(
        balanced in problem(
            9,
            any_weight(),
            any_cost(),
            (
                prop_oneof![3 => Just(1.0), 1 => Just(1e30), 1 => Just(1e-200)],
                prop_oneof![3 => Just(1.0), 1 => Just(1e9), 1 => Just(1e-30)],
            ).boxed(),
        ),
        gammas in gammas(),
        exponent in -7.0..2.0_f64,
        method in 0..METHODS.len(),
    ) {
        let solver = SinkhornStabilized::new(Settings {
            max_iter: 2000,
            method: METHODS[method].1,
            ..Settings::with_reg(Reg::Relative(10.0_f64.powf(exponent)))
        })
        .unwrap();
        judge(&balanced, solver.solve(&balanced))?;
        if let Some(relaxed) = relaxed(&balanced, gammas) {
            judge(&relaxed, solver.solve(&relaxed))?;
        }
    }

    #[test]
    fn ordinary_problems_are_solved(
        balanced in problem(
            40,
            prop_oneof![Just(1.0), Just(2.0), 0.001..1.0_f64].boxed(),
            prop_oneof![0.0..1.0_f64, Just(0.0), Just(1.0), Just(0.5)].boxed(),
            Just((1.0, 1.0)).boxed(),
        ),
        gammas in gammas(),
        exponent in -6.0..0.5_f64,
    ) {
        let solver = SinkhornStabilized::new(Settings::with_reg(Reg::Relative(10.0_f64.powf(exponent)))).unwrap();
        let solution = solver.solve(&balanced);
        let seen = format!("{:?}", solution.as_ref().map(|s| s.convergence.clone()));
        prop_assert!(judge(&balanced, solution)?, "{seen}");
        if let Some(relaxed) = relaxed(&balanced, gammas) {
            let mut context = solver_api::Context::new();
            context.keep_history = true;
            let solution = solver.solve_with(&relaxed, &mut context);
            let seen = format!("{:?} {gammas:?}", solution.as_ref().map(|s| s.convergence.clone()));
            prop_assert!(judge(&relaxed, solution)?, "{seen}");
        }
    }
}
