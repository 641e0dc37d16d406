//! The accelerated schedule against the exact solver, its sparse plans, and its circumstances.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{clouds, random_problem, solve};
use proptest::prelude::*;
use solver_api::{
    CancelToken, Context, DenseCost, Measure, Plan, Problem, Progress, Reg, Solution, Solver,
    Termination,
};
use solver_exact::network_simplex::NetworkSimplex;
use solver_ipot::{Ipot, PlanKind, Settings};

fn optimum(problem: &Problem) -> Solution {
    NetworkSimplex::default().solve(problem).unwrap()
}

fn entries(plan: &Plan) -> usize {
    let mut count = 0;
    plan.for_each_above(0.0, |_, _, _| count += 1);
    count
}

#[test]
fn the_optimum_of_clouds_to_1e_8_and_plans_as_sparse_as_the_exact_one() {
    for (n, m, d) in [(200, 200, 2), (150, 170, 16), (60, 300, 3)] {
        for random in [false, true] {
            let problem = clouds(n as u64 + d as u64, n, m, d, random);
            let found = solve(&Ipot::default(), &problem)
                .require_converged()
                .unwrap_or_else(|e| panic!("{n}×{m}, d = {d}, random {random}: {e}"));
            let exact = optimum(&problem);
            let off = (found.transport_cost - exact.transport_cost) / exact.transport_cost;
            assert!(off.abs() < 1e-8, "{n}×{m}, d = {d}: off by {off:e}");
            let how = &found.convergence;
            assert!(how.source_error.max(how.target_error) < 1e-14);
            let (sparse, vertex) = (entries(&found.plan), entries(&exact.plan));
            assert!(sparse < n + m, "{sparse} entries");
            assert!(
                sparse <= vertex + n / 20,
                "{sparse} entries, a vertex has {vertex}"
            );
            // Feasible potentials that prove it.
            for i in 0..n {
                for j in 0..m {
                    let slack =
                        problem.cost().entry(i, j) - found.potentials.f[i] - found.potentials.g[j];
                    assert!(slack > -1e-12);
                }
            }
        }
    }
}

#[test]
fn dense_and_implicit_plans_are_within_the_tolerance_too() {
    let problem = clouds(7, 40, 50, 2, true);
    let best = optimum(&problem).transport_cost;
    for kind in [PlanKind::Dense, PlanKind::Implicit] {
        let settings = Settings {
            plan: Some(kind),
            tol: 1e-8,
            ..Settings::default()
        };
        let found = solve(&Ipot::new(settings).unwrap(), &problem)
            .require_converged()
            .unwrap();
        assert!((found.transport_cost - best).abs() < 1e-6 * best);
        assert!(found.certificate.unwrap().relative_gap(&problem) <= 1e-8);
        assert!(entries(&found.plan) > 90);
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let problem = clouds(8, 260, 240, 2, true);
    let on = |threads: usize| {
        let mut context = Context::new().with_threads(threads).unwrap();
        Ipot::default().solve_with(&problem, &mut context).unwrap()
    };
    let (one, two) = (on(1), on(2));
    assert_eq!(one.potentials, two.potentials);
    assert_eq!(one.transport_cost.to_bits(), two.transport_cost.to_bits());
}

#[test]
fn a_plan_that_must_leave_an_allowed_pair_empty() {
    // The entropic problems have no optimum in potentials: f + g on (0, 1) goes to −∞.
    let cost = vec![5.0, 0.0, f64::INFINITY, 0.0];
    let cost = Arc::new(DenseCost::new(2, 2, cost).unwrap());
    let half = Measure::uniform(2).unwrap();
    let found = solve(
        &Ipot::default(),
        &Problem::new(half.clone(), half, cost).unwrap(),
    );
    let found = found.require_converged().unwrap();
    assert!((found.transport_cost - 2.5).abs() < 1e-12);
}

#[test]
fn an_observer_stops_it_between_levels_and_a_token_within() {
    let problem = clouds(9, 100, 100, 2, true);
    let mut context = Context::new().observed(|_: &Progress| ControlFlow::Break(()));
    let stopped = Ipot::default().solve_with(&problem, &mut context).unwrap();
    let best = optimum(&problem).transport_cost;
    let bracket = stopped.certificate.unwrap();
    assert!(stopped.convergence.termination == Termination::Cancelled);
    assert!(bracket.lower <= best && best <= bracket.upper);
    let token = CancelToken::new();
    token.cancel();
    let mut context = Context::new().cancelled_by(&token);
    let stopped = Ipot::default().solve_with(&problem, &mut context).unwrap();
    assert!(stopped.convergence.termination == Termination::Cancelled);
    assert!(stopped.transport_cost >= best);
}

fn same_bits(x: &Solution, y: &Solution) {
    assert_eq!(x.potentials, y.potentials);
    assert_eq!(x.transport_cost.to_bits(), y.transport_cost.to_bits());
    assert_eq!(x.convergence.iterations, y.convergence.iterations);
    assert_eq!(x.convergence.termination, y.convergence.termination);
}

#[test]
fn a_checkpoint_goes_on_to_the_same_bits() {
    let problem = random_problem(10, 70, 60);
    let limited = |settings: &Settings, max_iter| {
        Ipot::new(Settings {
            max_iter,
            ..settings.clone()
        })
        .unwrap()
    };
    let printed = Settings {
        tol: 1e-12,
        check_every: 7,
        ..Settings::printed(Reg::Relative(0.05))
    };
    let accelerated = Settings {
        tol: 1e-12,
        ..Settings::default()
    };
    for (settings, whole) in [(printed, 400), (accelerated, 1000)] {
        let straight = solve(&limited(&settings, whole), &problem);
        for first in [1, 2, 5] {
            let mut context = Context::new().keeping_checkpoint();
            let part = limited(&settings, first)
                .solve_with(&problem, &mut context)
                .unwrap();
            assert_eq!(part.convergence.termination, Termination::IterationLimit);
            let bytes = context.checkpoint.take().unwrap().to_bytes();
            let saved = solver_api::Checkpoint::from_bytes(&bytes).unwrap();
            let mut context = Context::new().resuming(saved);
            let resumed = limited(&settings, whole)
                .solve_with(&problem, &mut context)
                .unwrap();
            same_bits(&resumed, &straight);
        }
    }
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let problem = random_problem(11, 10, 12);
    let solver = Ipot::new(Settings {
        max_iter: 3,
        ..Settings::default()
    })
    .unwrap();
    let mut context = Context::new().keeping_checkpoint();
    solver.solve_with(&problem, &mut context).unwrap();
    let saved = context.checkpoint.take().unwrap();
    let refusal = |solver: &Ipot, problem: &Problem, saved: solver_api::Checkpoint| {
        let mut context = Context::new().resuming(saved);
        solver
            .solve_with(problem, &mut context)
            .unwrap_err()
            .to_string()
    };
    let other = random_problem(12, 10, 12);
    assert!(refusal(&solver, &other, saved.clone()).contains("same problem"));
    let printed = Ipot::new(Settings::printed(Reg::Relative(0.1))).unwrap();
    assert!(refusal(&printed, &problem, saved.clone()).contains("schedule"));
    let cut = saved.data()[..saved.data().len() - 8].to_vec();
    let cut = solver_api::Checkpoint::new("ipot", cut);
    assert!(refusal(&solver, &problem, cut).contains("whole"));
    let foreign = solver_api::Checkpoint::new("spot", saved.data().to_vec());
    assert!(refusal(&solver, &problem, foreign).contains("`ipot`"));
}

#[test]
fn masses_costs_and_weights_of_any_size() {
    let base = random_problem(13, 20, 25);
    let best = optimum(&base).transport_cost;
    let cost = |scale: f64| -> Vec<f64> {
        (0..20 * 25)
            .map(|k| base.cost().entry(k / 25, k % 25) * scale)
            .collect()
    };
    let weights = |w: &Measure, scale: f64| {
        Measure::new(w.weights().iter().map(|w| w * scale).collect::<Vec<_>>()).unwrap()
    };
    for (mass, scale) in [
        (1e-200, 1.0),
        (1e9, 1e30),
        (1.0, 1e-200),
        (3.0, 1e290),
        (1.0, -2.0),
    ] {
        let cost = Arc::new(DenseCost::new(20, 25, cost(scale)).unwrap());
        let problem = Problem::new(weights(base.a(), mass), weights(base.b(), mass), cost).unwrap();
        for kind in [PlanKind::Sparse, PlanKind::Dense, PlanKind::Implicit] {
            let settings = Settings {
                plan: Some(kind),
                ..Settings::default()
            };
            let found = solve(&Ipot::new(settings).unwrap(), &problem);
            let found = found.require_converged().unwrap();
            if scale > 0.0 {
                let off = found.transport_cost / mass / scale - best;
                assert!(
                    off.abs() < 1e-7,
                    "mass {mass:e}, costs {scale:e}, {kind:?}: off by {off:e}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn ties_and_zero_weights(
        a in prop::collection::vec(0_u8..5, 1..14),
        b in prop::collection::vec(0_u8..5, 1..14),
        costs in prop::collection::vec(0_u8..6, 196),
    ) {
        prop_assume!(a.iter().any(|w| *w > 0) && b.iter().any(|w| *w > 0));
        let measure = |w: &[u8]| Measure::new(w.iter().map(|w| f64::from(*w)).collect::<Vec<_>>()).unwrap().normalized();
        let (n, m) = (a.len(), b.len());
        let cost = costs[..n * m].iter().map(|c| f64::from(*c)).collect::<Vec<_>>();
        let cost = Arc::new(DenseCost::new(n, m, cost).unwrap());
        let problem = Problem::new(measure(&a), measure(&b), cost).unwrap();
        let found = Ipot::default().solve(&problem).unwrap().require_converged().unwrap();
        let best = optimum(&problem).transport_cost;
        prop_assert!((found.transport_cost - best).abs() < 1e-8);
    }
}

/// Mass spreads over all tied pairs, far more of them than a plan needs: what is left out of its entries has a price.
#[test]
fn small_integers_as_costs() {
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for (n, m, levels) in [(200, 300, 2), (300, 250, 10)] {
        let mut weights = |n: usize| {
            let drawn: Vec<f64> = (0..n).map(|_| 1.0 + next(1000) as f64).collect();
            Measure::new(drawn).unwrap().normalized()
        };
        let (a, b) = (weights(n), weights(m));
        let cost: Vec<f64> = (0..n * m).map(|_| next(levels) as f64).collect();
        let cost = Arc::new(DenseCost::new(n, m, cost).unwrap());
        let problem = Problem::new(a, b, cost).unwrap();
        let s = solve(&Ipot::new(Settings::default()).unwrap(), &problem);
        assert!(s.convergence.converged(), "{:?}", s.convergence);
        let exact = optimum(&problem).transport_cost;
        assert!(
            (s.transport_cost - exact).abs() < 1e-8,
            "{} {exact}",
            s.transport_cost
        );
    }
}
