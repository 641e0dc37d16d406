//! ⟨P, W⟩ at fixed prices.

use std::sync::Arc;

use ot_gradients::implicit::coupling;
use ot_gradients::{CostGradient, chain_rule};
use solver_api::{Context, DenseCost, Error, Ground, Measure, PointCost, Problem, Reg, Solver};
use solver_exact::NetworkSimplexFactory;
use solver_sinkhorn::{Settings, Sinkhorn};

use crate::common::{central, close, cloud, moved, noise, reference, weights};

const N: usize = 7;
const M: usize = 6;

fn prices() -> Vec<f64> {
    (0..N * M).map(|k| noise(k + 4000) - 0.3).collect()
}

fn worth(prices: &[f64]) -> Arc<DenseCost> {
    Arc::new(DenseCost::new(N, M, prices.to_vec()).unwrap())
}

fn costs() -> Vec<f64> {
    (0..N * M).map(|k| noise(k + 77)).collect()
}

fn problem(costs: &[f64], gamma: Option<(f64, f64)>) -> Problem {
    let a = Measure::new(weights(N, 3, 2.0)).unwrap();
    let b = Measure::new(weights(M, 60, 2.0)).unwrap();
    let cost = Arc::new(DenseCost::new(N, M, costs.to_vec()).unwrap());
    match gamma {
        Some((gamma_a, gamma_b)) => Problem::relaxed(a, b, cost, gamma_a, gamma_b).unwrap(),
        None => Problem::new(a, b, cost).unwrap(),
    }
}

fn value(solver: &dyn Solver, problem: &Problem, prices: &[f64]) -> f64 {
    let plan = solver.solve(problem).unwrap().plan.to_dense();
    plan.data().iter().zip(prices).map(|(p, w)| p * w).sum()
}

#[test]
fn the_cost_gradient_is_that_of_finite_differences() {
    let (costs, prices) = (costs(), prices());
    for gamma in [None, Some((0.7, 0.4)), Some((f64::INFINITY, 0.5))] {
        for reg in [0.3, 0.05] {
            let solver = reference(reg);
            let problem_at = |c: &[f64]| problem(c, gamma);
            let here = problem_at(&costs);
            let solution = solver.solve(&here).unwrap();
            let found = coupling(&here, &solution, worth(&prices)).unwrap();
            close(
                found.value,
                value(&solver, &here, &prices),
                1e-12,
                1.0,
                "value",
            );
            let gradient = found.to_dense();
            let scale = gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
            for k in 0..N * M {
                let want = central(1e-2 * reg, |t| {
                    value(&solver, &problem_at(&moved(&costs, k, t)), &prices)
                });
                close(
                    gradient[k],
                    want,
                    1e-9,
                    scale,
                    &format!("C[{k}], {gamma:?}, {reg}"),
                );
            }
        }
    }
}

#[test]
fn what_the_marginals_fix_is_worth_no_change() {
    let here = problem(&costs(), None);
    let solution = reference(0.1).solve(&here).unwrap();
    // Prices by source and by target alone: their sum is ⟨s, a⟩ + ⟨t, b⟩ for every plan.
    let fixed: Vec<f64> = (0..N * M)
        .map(|k| noise(k / M) + 3.0 * noise(90 + k % M))
        .collect();
    let found = coupling(&here, &solution, worth(&fixed)).unwrap();
    for g in found.to_dense() {
        assert!(g.abs() < 1e-12, "{g:e}");
    }
}

#[test]
fn points_move_by_the_chain_rule_with_a_backend() {
    let (x, y, prices) = (cloud(N, 2, 5), cloud(M, 2, 800), prices());
    let reg = 0.05;
    let settings = Settings {
        tol: Some(1e-12),
        ..Settings::with_reg(Reg::Absolute(reg))
    };
    let solver = Sinkhorn::new(settings).unwrap();
    let at = |x: &[f64]| {
        let cost = PointCost::new(x.to_vec(), y.clone(), 2, Ground::Log1p).unwrap();
        let (a, b) = (Measure::uniform(N).unwrap(), Measure::uniform(M).unwrap());
        (Problem::new(a, b, Arc::new(cost.clone())).unwrap(), cost)
    };
    let (here, points) = at(&x);
    let solution = solver.solve_with(&here, &mut Context::default()).unwrap();
    let found = coupling(&here, &solution, worth(&prices)).unwrap();
    let moved_by = chain_rule(&points, &found).unwrap();
    for k in 0..2 * N {
        let want = central(1e-4, |t| value(&solver, &at(&moved(&x, k, t)).0, &prices));
        close(moved_by.x[k], want, 1e-6, 1.0, &format!("x[{k}]"));
    }
}

#[test]
fn what_has_no_derivative_is_refused() {
    let here = problem(&costs(), None);
    let build = |factory: &dyn solver_api::Factory| factory.build(&Default::default()).unwrap();
    let exact = build(&NetworkSimplexFactory).solve(&here).unwrap();
    let error = coupling(&here, &exact, worth(&prices())).unwrap_err();
    assert!(
        error.to_string().starts_with("`reg` = 0: ⟨P, W⟩"),
        "{error}"
    );
    let solution = reference(0.1).solve(&here).unwrap();
    let narrow = Arc::new(DenseCost::new(N, 1, vec![0.0; N]).unwrap());
    let error = coupling(&here, &solution, narrow).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    let mut endless = prices();
    endless[5] = f64::INFINITY;
    let error = coupling(&here, &solution, worth(&endless)).unwrap_err();
    assert_eq!(error.to_string(), "`worth` = inf: entries must be finite");
}
