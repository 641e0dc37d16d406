//! The printed schedule against a literal implementation of algorithm 1, where that one survives, and against the
//! entropic problems that exact proximal steps lead to.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use common::{random_problem, solve};
use solver_api::{Plan, Problem, Reg, Solver, Termination};
use solver_ipot::{Ipot, PlanKind, Settings};
use solver_sinkhorn::Sinkhorn;

/// Algorithm 1 of the source, line by line: Γ is multiplied up.
fn literal(problem: &Problem, beta: f64, inner: u64, iterations: u64) -> Vec<f64> {
    let (n, m) = problem.shape();
    let (mu, nu) = (problem.a().weights(), problem.b().weights());
    let c = |i: usize, j: usize| problem.cost().entry(i, j);
    let mut b = vec![1.0 / m as f64; m];
    let mut a = vec![0.0; n];
    let mut plan = vec![1.0; n * m];
    for _ in 0..iterations {
        let q: Vec<f64> = (0..n * m)
            .map(|k| (-c(k / m, k % m) / beta).exp() * plan[k])
            .collect();
        for _ in 0..inner {
            for i in 0..n {
                a[i] = mu[i] / (0..m).map(|j| q[i * m + j] * b[j]).sum::<f64>();
            }
            for j in 0..m {
                b[j] = nu[j] / (0..n).map(|i| q[i * m + j] * a[i]).sum::<f64>();
            }
        }
        plan = (0..n * m).map(|k| a[k / m] * q[k] * b[k % m]).collect();
    }
    plan
}

/// By the network simplex.
fn optimum(problem: &Problem) -> f64 {
    let solution = solver_exact::NetworkSimplex::default().solve(problem);
    solution.unwrap().transport_cost
}

fn entries(plan: &Plan) -> Vec<f64> {
    let (n, m) = plan.shape();
    (0..n * m).map(|k| plan.entry(k / m, k % m)).collect()
}

fn printed(beta: f64, inner: u64, iterations: u64, plan: PlanKind) -> Ipot {
    Ipot::new(Settings {
        inner,
        max_iter: iterations,
        plan: Some(plan),
        tol: 1e-12,
        check_every: 1000,
        ..Settings::printed(Reg::Absolute(beta))
    })
    .unwrap()
}

#[test]
fn it_is_the_printed_algorithm() {
    let problem = random_problem(3, 9, 7);
    for (beta, inner, iterations) in [
        (1.0, 1, 1),
        (1.0, 1, 60),
        (0.1, 1, 40),
        (0.1, 10, 30),
        (0.02, 1, 3),
        (0.02, 100, 5),
        (0.01, 3, 2),
    ] {
        let wanted = literal(&problem, beta, inner, iterations);
        for kind in [PlanKind::Implicit, PlanKind::Dense] {
            let found = solve(&printed(beta, inner, iterations, kind), &problem);
            assert_eq!(found.convergence.iterations, Some(iterations));
            for (k, (x, y)) in entries(&found.plan).iter().zip(&wanted).enumerate() {
                assert!(
                    (x - y).abs() <= 1e-10 * y.abs().max(1e-3),
                    "β = {beta}, L = {inner}, t = {iterations}, entry {k}: {x:e}, literally {y:e}"
                );
            }
        }
    }
}

#[test]
fn where_the_printed_one_is_no_number_this_one_goes_on() {
    let problem = random_problem(4, 12, 12);
    let beta = 0.001;
    assert!(literal(&problem, beta, 1, 3000).iter().any(|p| p.is_nan()));
    let found = solve(&printed(beta, 1, 3000, PlanKind::Dense), &problem);
    let entries = entries(&found.plan);
    assert!(entries.iter().all(|p| p.is_finite() && *p >= 0.0));
    assert!(found.convergence.target_error < 1e-9);
    let bracket = found.certificate.unwrap();
    let best = optimum(&problem);
    assert!(bracket.contains(best, 1e-13), "{bracket:?} {best}");
}

#[test]
fn exact_steps_of_beta_are_the_entropic_problem_at_beta_over_their_number() {
    let problem = random_problem(5, 8, 10);
    for (beta, steps) in [(0.5, 5), (0.2, 2), (1.0, 8)] {
        let exact_steps = solve(&printed(beta, 3000, steps, PlanKind::Implicit), &problem);
        let entropic = Sinkhorn::new(solver_sinkhorn::Settings {
            tol: Some(1e-13),
            ..solver_sinkhorn::Settings::with_reg(Reg::Absolute(beta / steps as f64))
        });
        let entropic = entropic.unwrap().solve(&problem).unwrap();
        for (x, y) in entries(&exact_steps.plan)
            .iter()
            .zip(&entries(&entropic.plan))
        {
            assert!(
                (x - y).abs() < 1e-11,
                "β = {beta}, {steps} steps: {x:e}, entropic {y:e}"
            );
        }
    }
}

#[test]
fn any_beta_and_any_number_of_steps_are_answered_honestly() {
    let problem = random_problem(6, 15, 11);
    let best = optimum(&problem);
    for beta in [1e-9, 1e-3, 0.1, 1.0, 1e6] {
        for inner in [1, 7, 100] {
            let found = solve(&printed(beta, inner, 300, PlanKind::Sparse), &problem);
            let bracket = found.certificate.unwrap();
            assert!(bracket.contains(best, 1e-13), "{bracket:?} {best}");
            // What moving everything at the dearest price costs is an upper bound that needs no solver.
            assert!(bracket.upper <= problem.mass() * problem.cost().range().max);
            assert!(
                found
                    .convergence
                    .source_error
                    .max(found.convergence.target_error)
                    < 1e-14
            );
            if found.convergence.converged() {
                assert!(bracket.relative_gap(&problem) <= 1e-12);
            } else {
                assert_eq!(found.convergence.termination, Termination::IterationLimit);
            }
        }
    }
}
