//! Anything legal at any regularization: a right answer, an honest one, or a refusal that says why. Never a NaN.

use std::sync::Arc;

use crate::common::Rng;
use proptest::prelude::*;
use solver_api::{
    Batch, Context, DenseCost, Error, Measure, Precision, Problem, Reg, Solution, Solver,
};
use solver_sinkhorn::{Settings, Sinkhorn};

/// Numbers over many orders of magnitude, zeros and ties among them.
fn weight() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.01..1.0_f64,
        1 => Just(0.0),
        1 => Just(1.0),
        1 => (-300.0..0.0_f64).prop_map(|e| 10.0_f64.powf(e)),
    ]
}

fn cost() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0..1.0_f64,
        2 => prop_oneof![Just(0.0), Just(1.0), Just(-0.5)],
        1 => Just(f64::INFINITY),
        1 => (-6.0..2.0_f64).prop_map(|e| 10.0_f64.powf(e)),
    ]
}

fn problem() -> impl Strategy<Value = Problem> {
    (1_usize..9, 1_usize..9).prop_flat_map(|(n, m)| {
        let weights = |n| proptest::collection::vec(weight(), n);
        let scale = prop_oneof![3 => Just(1.0), 1 => Just(1e30), 1 => Just(1e-200)];
        let mass = prop_oneof![3 => Just(1.0), 1 => Just(1e9), 1 => Just(1e-30)];
        let cost = proptest::collection::vec(cost(), n * m);
        (weights(n), weights(m), cost, scale, mass).prop_filter_map(
            "measures need mass",
            move |(a, b, cost, scale, mass)| {
                let measure = |w: Vec<f64>| {
                    let unit = Measure::new(w).ok()?.normalized();
                    Measure::new(unit.weights().iter().map(|w| w * mass).collect::<Vec<_>>()).ok()
                };
                let cost: Vec<f64> = cost.into_iter().map(|c| c * scale).collect();
                let cost = Arc::new(DenseCost::new(n, m, cost).ok()?);
                Problem::new(measure(a)?, measure(b)?, cost).ok()
            },
        )
    })
}

/// Copies of the entries of `problem`, with costs and weights that differ a little: large enough for a copy in f32.
fn tiled(problem: &Problem, seed: u64) -> Problem {
    let mut rng = Rng::new(seed);
    let (n, m) = problem.shape();
    let (tall, wide) = (130_usize.div_ceil(n), 130_usize.div_ceil(m));
    let mut row = vec![0.0; m];
    let mut cost = Vec::new();
    for i in 0..n * tall {
        problem.cost().row(i / tall, &mut row);
        cost.extend((0..m * wide).map(|j| row[j / wide] * (1.0 + 0.1 * rng.next())));
    }
    let mut measure = |w: &[f64], times: usize| {
        let tiles = w.iter().flat_map(|w| std::iter::repeat_n(*w, times));
        let w: Vec<f64> = tiles.map(|w| w * (0.5 + rng.next())).collect();
        Measure::new(w).unwrap().normalized()
    };
    let (a, b) = (
        measure(problem.a().weights(), tall),
        measure(problem.b().weights(), wide),
    );
    let cost = DenseCost::new(n * tall, m * wide, cost).unwrap();
    Problem::new(a, b, Arc::new(cost)).unwrap()
}

fn judge(
    problem: &Problem,
    tol: f64,
    result: Result<Solution, Error>,
) -> Result<(), TestCaseError> {
    match result {
        Ok(solution) => {
            let seen = &solution.convergence;
            let figures = [
                solution.transport_cost,
                solution.objective,
                solution.mass,
                seen.source_error,
                seen.target_error,
            ];
            prop_assert!(figures.iter().all(|x| x.is_finite()), "{figures:?}");
            let potentials = solution.potentials.f.iter().chain(&solution.potentials.g);
            prop_assert!(
                potentials
                    .clone()
                    .all(|p| !p.is_nan() && *p > f64::NEG_INFINITY)
            );
            if seen.converged() {
                // A default gives way to rounding in large exponents.
                let tol = tol.max(4e-15 * problem.cost().range().max_abs() / solution.reg);
                prop_assert!(
                    seen.source_error <= tol && seen.target_error <= tol,
                    "{seen:?}"
                );
            }
            let (rows, cols) = solution.plan.marginals();
            prop_assert!(rows.iter().chain(&cols).all(|p| p.is_finite() && *p >= 0.0));
            let bracket = solution.certificate.unwrap();
            let paired = |p: &[f64], w: &[f64]| -> f64 {
                let finite = p.iter().zip(w).filter(|(p, _)| p.is_finite());
                finite.map(|(p, w)| p.abs() * w).sum()
            };
            let largest = problem.mass() * problem.cost().range().max_abs();
            let slack = 1e-12
                * (largest
                    + paired(&solution.potentials.f, problem.a().weights())
                    + paired(&solution.potentials.g, problem.b().weights()));
            prop_assert!(bracket.lower <= bracket.upper + slack, "{bracket:?}");
        }
        Err(Error::KernelUnderflow {
            reg,
            safe_reg,
            reason,
            ..
        }) => {
            prop_assert!(safe_reg > reg, "{reg} {safe_reg} {reason}");
        }
        Err(Error::Infeasible(_)) => prop_assert!(problem.cost().range().forbidden > 0),
        Err(Error::UnreachableTolerance { reachable, .. }) => prop_assert!(reachable > tol),
        Err(other) => prop_assert!(false, "{other}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn alone(problem in problem(), exponent in -7.0..2.0_f64, narrow in any::<bool>()) {
        let precision = if narrow { Precision::F32 } else { Precision::F64 };
        let solver = Sinkhorn::new(Settings {
            precision,
            max_iter: 2000,
            ..Settings::with_reg(Reg::Relative(10.0_f64.powf(exponent)))
        })
        .unwrap();
        let result = solver.solve(&problem);
        if let Err(Error::KernelUnderflow { safe_reg, .. }) = result {
            // The regularization that the refusal names works.
            let safer = Settings {
                reg: Reg::Absolute(safe_reg),
                max_iter: 100,
                ..solver.settings().clone()
            };
            let again = Sinkhorn::new(safer).unwrap().solve(&problem);
            prop_assert!(!matches!(again, Err(Error::KernelUnderflow { .. })), "{again:?}");
        }
        judge(&problem, solver.settings().tol(), result)?;
    }

    #[test]
    fn large_enough_for_products_in_f32(
        problem in problem(),
        seed in any::<u64>(),
        exponent in -5.0..0.5_f64,
        tol in -12.0..-3.0_f64,
    ) {
        let problem = tiled(&problem, seed);
        let solver = Sinkhorn::new(Settings {
            tol: Some(10.0_f64.powf(tol)),
            max_iter: 300,
            ..Settings::with_reg(Reg::Relative(10.0_f64.powf(exponent)))
        })
        .unwrap();
        let result = solver.solve(&problem);
        let exact = Sinkhorn::new(Settings {
            products: Precision::F64,
            ..solver.settings().clone()
        });
        let exact = exact.unwrap().solve(&problem);
        match (&result, &exact) {
            (Ok(x), Ok(y)) => {
                let at = |s: &Solution| {
                    let seen = &s.convergence;
                    (seen.converged(), seen.iterations.unwrap())
                };
                let ((x, i), (y, j)) = (at(x), at(y));
                // At the limit, a little more or less decides.
                let near = i.abs_diff(j) <= 8 + j / 10;
                prop_assert!((x == y || i.max(j) == 300) && near, "{i} {j}");
            }
            // Its reason tells how far numbers had come, which the other way there rounds otherwise.
            (
                Err(Error::KernelUnderflow { reg: x, safe_reg: s, .. }),
                Err(Error::KernelUnderflow { reg: y, safe_reg: t, .. }),
            ) => prop_assert_eq!((x, s), (y, t)),
            (Err(x), Err(y)) => prop_assert_eq!(x, y),
            _ => prop_assert!(false, "{result:?} {exact:?}"),
        }
        judge(&problem, solver.settings().tol(), result)?;
    }

    #[test]
    fn together(
        problem in problem(),
        others in proptest::collection::vec(proptest::collection::vec(weight(), 9), 6),
        exponent in -5.0..1.0_f64,
        narrow in any::<bool>(),
    ) {
        let precision = if narrow { Precision::F32 } else { Precision::F64 };
        let solver = Sinkhorn::new(Settings {
            precision,
            max_iter: 500,
            ..Settings::with_reg(Reg::Relative(10.0_f64.powf(exponent)))
        })
        .unwrap();
        let (n, m) = problem.shape();
        let measure = |w: &[f64], k: usize| {
            let mut w = w[..k].to_vec();
            w[0] += 0.1;
            Measure::new(w).unwrap().normalized()
        };
        let problems: Vec<_> = others
            .iter()
            .map(|w| Problem::new(measure(w, n), measure(&w[1..], m), problem.shared_cost()).unwrap())
            .collect();
        let batch = Batch::Separate(problems.clone());
        let results = solver.solve_batch(&batch, &mut Context::default());
        for (result, problem) in results.into_iter().zip(&problems) {
            let alone = solver.solve(problem);
            if let (Ok(x), Ok(y)) = (&result, &alone)
                && x.convergence.converged()
                && y.convergence.converged()
                // An allowed entry that must be zero is approached at a crawl: values say little there.
                && problem.cost().range().forbidden == 0
            {
                let scale = problem.mass() * (problem.cost().range().max_abs() + x.reg);
                let apart = (x.objective - y.objective).abs();
                prop_assert!(apart <= 1e3 * solver.settings().tol() * scale, "{apart} {scale}");
            }
            judge(problem, solver.settings().tol(), result)?;
        }
    }
}
