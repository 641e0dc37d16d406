//! Values and plans against an iteration in the log domain that shares nothing with the crate.

use std::sync::Arc;

use crate::common::{Rng, random_problem};
use solver_api::{
    Cost, DenseCost, Error, Measure, Plan, Precision, Problem, Reg, Solver, SparseCost,
};
use solver_sinkhorn::{Settings, Sinkhorn};

struct Reference {
    plan: Vec<f64>,
    transport_cost: f64,
    objective: f64,
}

/// min ⟨P, C⟩ + ε KL(P ‖ a⊗b) by log-sum-exp, the plan at the mass of the problem.
fn log_domain(problem: &Problem, reg: f64, tol: f64) -> Reference {
    let (n, m) = problem.shape();
    let mass = problem.mass();
    let log = |w: &[f64]| -> Vec<f64> { w.iter().map(|w| (w / mass).ln()).collect() };
    let (la, lb) = (log(problem.a().weights()), log(problem.b().weights()));
    let mut c = vec![0.0; n * m];
    for (i, row) in c.chunks_exact_mut(m).enumerate() {
        problem.cost().row(i, row);
    }
    let lse = |terms: &dyn Fn(usize) -> f64, len: usize| {
        let top = (0..len).map(terms).fold(f64::NEG_INFINITY, f64::max);
        top + (0..len).map(|k| (terms(k) - top).exp()).sum::<f64>().ln()
    };
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    for _ in 0..200_000 {
        for i in 0..n {
            f[i] = -reg * lse(&|j| lb[j] + (g[j] - c[i * m + j]) / reg, m);
        }
        let mut error = 0.0;
        for j in (0..m).filter(|&j| lb[j].is_finite()) {
            let new = -reg * lse(&|i| la[i] + (f[i] - c[i * m + j]) / reg, n);
            error += lb[j].exp() * ((g[j] - new) / reg).exp_m1().abs();
            g[j] = new;
        }
        if error < tol {
            break;
        }
    }
    let mut reference = Reference {
        plan: vec![0.0; n * m],
        transport_cost: 0.0,
        objective: 0.0,
    };
    let mut kl = 0.0;
    for i in 0..n {
        for j in 0..m {
            let log_ratio = (f[i] + g[j] - c[i * m + j]) / reg;
            let p = (la[i] + lb[j] + log_ratio).exp();
            if p > 0.0 {
                reference.plan[i * m + j] = mass * p;
                reference.transport_cost += mass * p * c[i * m + j];
                kl += p * log_ratio - p;
            }
        }
    }
    reference.objective = reference.transport_cost + reg * mass * (kl + 1.0);
    reference
}

fn solver(reg: Reg, tol: f64) -> Sinkhorn {
    Sinkhorn::new(Settings {
        tol: Some(tol),
        ..Settings::with_reg(reg)
    })
    .unwrap()
}

fn relative(x: f64, y: f64) -> f64 {
    (x - y).abs() / y.abs().max(1e-300)
}

#[test]
fn values_equal_the_log_domain() {
    for (n, m, seed) in [(40, 60, 1), (17, 5, 2), (1, 9, 3), (9, 1, 4), (130, 140, 5)] {
        let problem = random_problem(n, m, seed);
        for reg in [1.0, 1e-1, 1e-2] {
            let solution = solver(Reg::Relative(reg), 1e-12).solve(&problem).unwrap();
            assert!(solution.convergence.converged());
            let seen = &solution.convergence;
            assert!(
                seen.source_error <= 1e-12 && seen.target_error <= 1e-12,
                "{seen:?}"
            );
            let reference = log_domain(&problem, solution.reg, 1e-13);
            assert!(relative(solution.transport_cost, reference.transport_cost) < 1e-8);
            assert!(relative(solution.objective, reference.objective) < 1e-8);
            let bracket = solution.certificate.unwrap();
            assert!(bracket.lower <= bracket.upper * (1.0 + 1e-12));
            for i in 0..n {
                for j in 0..m {
                    let (p, q) = (solution.plan.entry(i, j), reference.plan[i * m + j]);
                    assert!((p - q).abs() <= 1e-9 / n.max(m) as f64, "{p} {q}");
                }
            }
        }
    }
}

#[test]
fn a_single_precision_kernel_keeps_its_promise() {
    let problem = random_problem(60, 50, 7);
    let settings = Settings {
        precision: Precision::F32,
        ..Settings::with_reg(Reg::Relative(2e-2))
    };
    let solution = Sinkhorn::new(settings.clone())
        .unwrap()
        .solve(&problem)
        .unwrap();
    assert!(solution.convergence.converged());
    assert!(solution.convergence.target_error <= 1e-6 && solution.convergence.source_error <= 1e-6);
    let reference = log_domain(&problem, solution.reg, 1e-12);
    assert!(relative(solution.transport_cost, reference.transport_cost) < 1e-5);
    let error = Sinkhorn::new(Settings {
        tol: Some(1e-9),
        ..settings
    })
    .unwrap_err();
    assert!(matches!(error, Error::UnreachableTolerance { reachable, .. } if reachable > 1e-8));
}

#[test]
fn two_by_two_in_closed_form() {
    // With uniform weights p00/p01 = sqrt(K00 K11 / K01 K10).
    let c = [0.3, 1.0, 0.7, -0.2];
    let problem = Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &c).unwrap();
    for reg in [0.2, 0.5, 10.0] {
        let solution = solver(Reg::Absolute(reg), 1e-13).solve(&problem).unwrap();
        let ratio = ((c[1] + c[2] - c[0] - c[3]) / (2.0 * reg)).exp();
        let p00 = 0.5 * ratio / (1.0 + ratio);
        assert!((solution.plan.entry(0, 0) - p00).abs() < 1e-12);
        assert!((solution.plan.entry(1, 0) - (0.5 - p00)).abs() < 1e-12);
    }
}

#[test]
fn a_sum_cost_gives_the_product_plan_in_one_iteration() {
    let (x, y) = ([1e3, -2.0, 0.5], [7.0, 0.0, -1e2, 3.0]);
    let cost: Vec<f64> = x
        .iter()
        .flat_map(|x| y.iter().map(move |y| x + y))
        .collect();
    let (a, b) = ([0.2, 0.5, 0.3], [0.1, 0.2, 0.3, 0.4]);
    let problem = Problem::from_slices(&a, &b, &cost).unwrap();
    let solution = solver(Reg::Absolute(0.01), 1e-9).solve(&problem).unwrap();
    assert_eq!(solution.convergence.iterations, Some(1));
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            assert!(relative(solution.plan.entry(i, j), a * b) < 1e-9);
        }
    }
}

#[test]
fn extreme_units_change_nothing() {
    let base = random_problem(12, 15, 11);
    let plain = solver(Reg::Relative(0.02), 1e-11).solve(&base).unwrap();
    let mut row = vec![0.0; 15];
    let cost: Vec<f64> = (0..12)
        .flat_map(|i| {
            base.cost().row(i, &mut row);
            row.clone()
        })
        .collect();
    for (scale, mass) in [
        (1e30, 1.0),
        (1e-200, 1.0),
        (-1.0, 1.0),
        (1.0, 1e9),
        (1e-200, 1e-9),
    ] {
        let scaled: Vec<f64> = cost.iter().map(|c| c * scale).collect();
        let weigh = |w: &[f64]| -> Vec<f64> { w.iter().map(|w| w * mass).collect() };
        let (a, b) = (weigh(base.a().weights()), weigh(base.b().weights()));
        let problem = Problem::from_slices(&a, &b, &scaled).unwrap();
        let solution = solver(Reg::Relative(0.02), 1e-11).solve(&problem).unwrap();
        assert!(solution.convergence.converged());
        if scale > 0.0 {
            let want = plain.transport_cost * scale * mass;
            assert!(relative(solution.transport_cost, want) < 1e-9);
            assert!(relative(solution.objective, plain.objective * scale * mass) < 1e-9);
        } else {
            let reference = log_domain(&problem, solution.reg, 1e-12);
            assert!(relative(solution.transport_cost, reference.transport_cost) < 1e-9);
        }
    }
}

#[test]
fn zero_weights_and_forbidden_pairs() {
    let mut rng = Rng::new(5);
    let (n, m) = (14, 11);
    let mut a: Vec<f64> = (0..n).map(|_| rng.next()).collect();
    let mut b: Vec<f64> = (0..m).map(|_| rng.next()).collect();
    (a[3], a[7], b[0], b[10]) = (0.0, 0.0, 0.0, 0.0);
    let (sum_a, sum_b) = (a.iter().sum::<f64>(), b.iter().sum::<f64>());
    a.iter_mut().for_each(|x| *x /= sum_a);
    b.iter_mut().for_each(|x| *x /= sum_b);
    let triples: Vec<_> = (0..n)
        .flat_map(|i| (0..m).map(move |j| (i, j)))
        .filter(|(i, j)| (i * 7 + j * 3) % 5 != 0)
        .map(|(i, j)| (i, j, rng.next()))
        .collect();
    let cost = Arc::new(SparseCost::from_triples(n, m, triples).unwrap());
    let problem = Problem::new(
        Measure::new(a).unwrap(),
        Measure::new(b).unwrap(),
        cost.clone(),
    )
    .unwrap();
    let solution = solver(Reg::Absolute(0.05), 1e-12).solve(&problem).unwrap();
    assert!(solution.convergence.converged());
    let reference = log_domain(&problem, 0.05, 1e-13);
    assert!(relative(solution.transport_cost, reference.transport_cost) < 1e-8);
    assert!(relative(solution.objective, reference.objective) < 1e-8);
    for i in 0..n {
        for j in 0..m {
            if cost.entry(i, j).is_infinite() {
                assert_eq!(solution.plan.entry(i, j), 0.0);
            }
        }
    }
}

#[test]
fn it_refuses_what_underflows_and_names_a_reg_that_works() {
    // Free pairs in the first row and the first column alone: the other sources must use lost entries.
    let (n, big) = (6, 1.0);
    let cost: Vec<f64> = (0..n * n)
        .map(|k| if k < n || k % n == 0 { 0.0 } else { big })
        .collect();
    let w = vec![1.0 / n as f64; n];
    let problem = Problem::from_slices(&w, &w, &cost).unwrap();
    let error = solver(Reg::Absolute(1e-4), 1e-9)
        .solve(&problem)
        .unwrap_err();
    let Error::KernelUnderflow { safe_reg, reg, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(reg, 1e-4);
    assert!(error.to_string().contains("sinkhorn-stabilized"));
    let solution = solver(Reg::Absolute(safe_reg), 1e-9)
        .solve(&problem)
        .unwrap();
    assert!(solution.convergence.converged());
    // Lost entries that no plan needs are no reason to refuse.
    let diagonal: Vec<f64> = (0..n * n)
        .map(|k| if k % n == k / n { 0.0 } else { big })
        .collect();
    let problem = Problem::from_slices(&w, &w, &diagonal).unwrap();
    let solution = solver(Reg::Absolute(1e-4), 1e-9).solve(&problem).unwrap();
    assert!(solution.convergence.converged());
    assert_eq!(solution.transport_cost, 0.0);
}

#[test]
fn what_it_lacks_is_named() {
    let half = Measure::uniform(2).unwrap();
    let inf = f64::INFINITY;
    let blocked = Problem::from_slices(&[0.6, 0.4], &[0.5, 0.5], &[0.0, inf, inf, 0.0]).unwrap();
    let error = Sinkhorn::default().solve(&blocked).unwrap_err();
    assert!(matches!(error, Error::Infeasible(_)), "{error}");
    let problem = Problem::new(
        half.clone(),
        half,
        Arc::new(DenseCost::new(2, 2, vec![1e6, 1e6 + 1.0, 1e6 + 2.0, 1e6]).unwrap()),
    );
    let error = solver(Reg::Absolute(0.1), 1e-12)
        .solve(&problem.unwrap())
        .unwrap_err();
    let Error::UnreachableTolerance { reachable, .. } = error else {
        panic!("{error}")
    };
    assert!(reachable < 1e-6);
    let apart = Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &[0.0, 1.0, 1.0, 0.0]).unwrap();
    let error = solver(Reg::Absolute(1e-12), 1e-9)
        .solve(&apart)
        .unwrap_err();
    assert!(
        matches!(error, Error::KernelUnderflow { safe_reg, .. } if safe_reg == 1.0 / 600.0),
        "{error}"
    );
}

#[test]
fn nobody_is_refused_a_tolerance_that_nobody_asked_for() {
    let default = |reg: f64| Sinkhorn::new(Settings::with_reg(Reg::Absolute(reg))).unwrap();
    // One row or one column: any reg gives the same plan, and rounding is all there is to the marginals.
    let row = Problem::from_slices(&[1.0], &[0.3, 0.2, 0.5], &[1.0, 2.0, 0.7]).unwrap();
    let square =
        Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &[4e6, 4e6 + 1.0, 4e6 + 2.0, 4e6]).unwrap();
    for (problem, reg) in [
        (&row, 3e-7),
        (&row.transposed().unwrap(), 3e-7),
        (&square, 1.0),
    ] {
        let solution = default(reg).solve(problem).unwrap();
        let seen = &solution.convergence;
        assert!(
            seen.converged() && seen.source_error.max(seen.target_error) < 1e-7,
            "{seen:?}"
        );
        // Who asks is told.
        let error = solver(Reg::Absolute(reg), 1e-9).solve(problem).unwrap_err();
        assert!(
            matches!(error, Error::UnreachableTolerance { .. }),
            "{error}"
        );
    }
    // Beyond any sensible default the refusal says which reg would do.
    let error = default(1e-11).solve(&row).unwrap_err();
    let Error::KernelUnderflow { safe_reg, .. } = error else {
        panic!("{error}")
    };
    assert!(solver(Reg::Absolute(safe_reg), 1e-9).solve(&row).is_ok());
}

#[test]
fn blocks_of_allowed_pairs_are_solved_apart() {
    let inf = f64::INFINITY;
    let cost = [0.0, 1.0, inf, 2.0, 0.5, inf, inf, inf, 3.0];
    let problem = Problem::from_slices(&[0.25, 0.25, 0.5], &[0.3, 0.2, 0.5], &cost).unwrap();
    let solution = solver(Reg::Absolute(0.1), 1e-12).solve(&problem).unwrap();
    assert!(solution.convergence.converged());
    assert!((solution.plan.entry(2, 2) - 0.5).abs() < 1e-12);
    assert!(matches!(solution.plan, Plan::Implicit(_)));
}
