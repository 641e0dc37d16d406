//! Where potentials are so long beside ε that their rounding moves the plan.
#![allow(clippy::unwrap_used)]

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{DenseCost, Measure, Problem, Reg, Solution, Solver};
use solver_exact::NetworkSimplex;
use solver_stabilized::{Settings, SinkhornStabilized};

fn drawn(rng: &mut Pcg64, n: usize) -> Measure {
    let weights: Vec<f64> = (0..n).map(|_| rng.random::<f64>()).collect();
    Measure::new(weights).unwrap().normalized()
}

fn solve(problem: &Problem, reg: Reg) -> Solution {
    let solver = SinkhornStabilized::new(Settings::with_reg(reg)).unwrap();
    solver.solve(problem).unwrap()
}

/// The bracket is one, errors are those of the plan, and there is an upper end at all.
#[test]
fn brackets_hold_beside_offsets() {
    for seed in 0..40 {
        let mut rng = Pcg64::seed_from_u64(seed);
        let n = 6 + seed as usize % 5;
        let (a, b) = (drawn(&mut rng, n), drawn(&mut rng, n));
        let base: Vec<f64> = (0..n * n).map(|_| rng.random::<f64>()).collect();
        for offset in [0.0, 1000.0, -1000.0] {
            let cost: Vec<f64> = base.iter().map(|c| c + offset).collect();
            let problem = Problem::from_slices(a.weights(), b.weights(), &cost).unwrap();
            let optimum = NetworkSimplex::default()
                .solve(&problem)
                .unwrap()
                .transport_cost;
            for relative in [1e-6, 1e-7, 1e-8, 1e-9] {
                let found = solve(&problem, Reg::Relative(relative));
                let bracket = found.certificate.unwrap();
                let slack = 2e-12 * found.potentials.terms(&problem);
                let what = format!("seed {seed}, offset {offset}, reg_rel {relative}");
                assert!(
                    bracket.contains(optimum, slack),
                    "{what}: {optimum} {bracket:?}"
                );
                assert!(bracket.upper.is_finite(), "{what}");
                let (rows, cols) = found.plan.marginals();
                let off = |have: &[f64], want: &[f64]| -> f64 {
                    have.iter().zip(want).map(|(h, w)| (h - w).abs()).sum()
                };
                let seen = &found.convergence;
                let true_source = off(&rows, a.weights());
                let true_target = off(&cols, b.weights());
                // What is said may be more, by what the other side is off.
                assert!(
                    true_source <= seen.source_error + 1e-9,
                    "{what}: {true_source:e} {seen:?}"
                );
                assert!(
                    true_target <= seen.target_error + 1e-9,
                    "{what}: {true_target:e} {seen:?}"
                );
            }
        }
    }
}

/// Forbidden pairs that leave a hard marginal only masses which a soft one of a large γ pays dearly for.
#[test]
fn soft_marginals_between_forbidden_pairs() {
    let mut solved = 0;
    for seed in 0..30 {
        let mut rng = Pcg64::seed_from_u64(seed);
        let (n, m) = (10, 15);
        let (a, b) = (drawn(&mut rng, n), drawn(&mut rng, m));
        let cost: Vec<f64> = (0..n * m)
            .map(|k| {
                let (forbidden, c) = (rng.random::<f64>() < 0.5, rng.random::<f64>());
                if forbidden && k >= m {
                    f64::INFINITY
                } else {
                    c
                }
            })
            .collect();
        let cost = std::sync::Arc::new(DenseCost::new(n, m, cost).unwrap());
        let problem = Problem::relaxed(a, b, cost, 300.0, f64::INFINITY).unwrap();
        let found = solve(&problem, Reg::Absolute(0.1));
        let seen = &found.convergence;
        assert!(seen.converged(), "seed {seed}: {seen:?}");
        solved += 1;
    }
    assert_eq!(solved, 30);
}

/// Weights over many more decades than the tolerance has digits.
#[test]
fn weights_that_weigh_nothing() {
    for seed in 0..12 {
        let mut rng = Pcg64::seed_from_u64(seed);
        let (n, m) = (60, 61);
        // The powers of a uniform number: like a Dirichlet's of small parameter, down to 1e-60.
        let mut light = |n: usize| -> Measure {
            let weights = (0..n)
                .map(|_| rng.random::<f64>().powi(20))
                .collect::<Vec<_>>();
            Measure::new(weights).unwrap().normalized()
        };
        let (a, b) = (light(n), light(m));
        let cost: Vec<f64> = (0..n * m)
            .map(|_| f64::from(rng.random_range(0..3)))
            .collect();
        let problem = Problem::from_slices(a.weights(), b.weights(), &cost).unwrap();
        for relative in [1e-3, 1e-5, 1e-6] {
            let found = solve(&problem, Reg::Relative(relative));
            let seen = &found.convergence;
            assert!(seen.converged(), "seed {seed} at {relative}: {seen:?}");
            let (rows, cols) = found.plan.marginals();
            for (have, want) in rows
                .iter()
                .zip(a.weights())
                .chain(cols.iter().zip(b.weights()))
            {
                assert!((have - want).abs() <= 1e-9);
            }
        }
    }
}
