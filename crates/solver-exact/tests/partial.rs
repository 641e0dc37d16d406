//! Partial transport by the network simplex: against balanced problems that say the same, at sizes that leave the caches,
//! and where a large price for what does not move would cost digits.
#![cfg(feature = "network-simplex")]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::sync::Arc;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{
    Context, Cost, DenseCost, Error, Ground, Measure, PointCost, Problem, Solution, Solver,
    SparseCost, Termination,
};
use solver_exact::NetworkSimplex;

fn solved(problem: &Problem) -> Solution {
    let s = NetworkSimplex::default().solve(problem).unwrap();
    assert_eq!(s.convergence.termination, Termination::Optimal);
    let Some(bracket) = s.certificate else {
        panic!("no certificate")
    };
    let scale = problem.mass() * problem.cost().range().spread();
    assert!(
        bracket.gap() >= 0.0 && bracket.gap() <= 4e-15 * scale.max(bracket.upper.abs()),
        "{bracket:?}, scale {scale:e}"
    );
    assert!((s.mass - problem.mass()).abs() <= 1e-14 * problem.mass());
    assert!(s.convergence.source_error.max(s.convergence.target_error) <= 1e-14);
    let (f, g) = (&s.potentials.f, &s.potentials.g);
    assert!(f.iter().chain(g).all(|p| *p <= 0.0));
    s
}

fn weights(rng: &mut Pcg64, n: usize) -> Measure {
    Measure::new(
        (0..n)
            .map(|_| rng.random_range(0.1..1.0))
            .collect::<Vec<f64>>(),
    )
    .unwrap()
}

fn cloud(rng: &mut Pcg64, n: usize) -> Vec<f64> {
    (0..2 * n).map(|_| rng.random()).collect()
}

/// A large problem with weights that differ, from points.
fn points(n: usize, m: usize, share: f64) -> Problem {
    let mut rng = Pcg64::seed_from_u64(7);
    let (a, b) = (weights(&mut rng, n), weights(&mut rng, m));
    let (x, y) = (cloud(&mut rng, n), cloud(&mut rng, m));
    let cost = PointCost::new(x, y, 2, Ground::SqEuclidean).unwrap();
    let mass = share * a.mass().min(b.mass());
    Problem::partial(a, b, Arc::new(cost), mass).unwrap()
}

/// The same with its cost stored as a matrix.
fn stored(problem: &Problem, narrow: bool) -> Problem {
    let (n, m) = problem.shape();
    let mut c = vec![0.0; n * m];
    (0..n).for_each(|i| problem.cost().row(i, &mut c[i * m..][..m]));
    let cost: Arc<dyn Cost> = if narrow {
        let c: Vec<f32> = c.iter().map(|c| *c as f32).collect();
        Arc::new(DenseCost::from_f32(n, m, c).unwrap())
    } else {
        Arc::new(DenseCost::new(n, m, c).unwrap())
    };
    problem.clone().with_cost(cost).unwrap()
}

#[test]
fn written_stored_and_narrow_costs_agree_in_and_beyond_the_caches() {
    for (n, m) in [(60, 50), (900, 800)] {
        for share in [0.05, 0.6, 0.999, 1.0] {
            let lazy = points(n, m, share);
            let value = solved(&lazy).transport_cost;
            let wide = solved(&stored(&lazy, false)).transport_cost;
            assert!((wide - value).abs() <= 1e-13 * value, "{n}×{m}, {share}");
            let narrow = solved(&stored(&lazy, true)).transport_cost;
            assert!((narrow - value).abs() <= 1e-6 * value, "{n}×{m}, {share}");
        }
    }
}

#[test]
fn all_of_two_equal_masses_is_the_balanced_problem() {
    let mut rng = Pcg64::seed_from_u64(3);
    let (a, b) = (
        weights(&mut rng, 40).normalized(),
        weights(&mut rng, 30).normalized(),
    );
    let c: Vec<f64> = (0..1200).map(|_| rng.random_range(-1.0..1.0)).collect();
    let cost = Arc::new(DenseCost::new(40, 30, c).unwrap());
    let balanced = Problem::new(a.clone(), b.clone(), cost.clone()).unwrap();
    let want = NetworkSimplex::default()
        .solve(&balanced)
        .unwrap()
        .transport_cost;
    let mass = a.mass().min(b.mass());
    let s = solved(&Problem::partial(a, b, cost, mass).unwrap());
    assert!((s.transport_cost - want).abs() < 1e-14);
}

#[test]
fn a_small_mass_moves_where_it_is_cheapest() {
    for mass in [1e-3, 1e-9, 1e-15, 1e-200] {
        let problem = points(300, 200, 1.0);
        let cheapest = problem.cost().range().min;
        let (a, b) = (problem.a().clone(), problem.b().clone());
        let problem = Problem::partial(a, b, problem.shared_cost(), mass).unwrap();
        let s = solved(&problem);
        // One pair has room for all of it.
        assert!(
            (s.transport_cost / mass - cheapest).abs() <= 1e-14 * cheapest,
            "{mass:e}"
        );
        assert!((s.potentials.lambda - cheapest).abs() <= 1e-14 * cheapest);
    }
}

#[test]
fn costs_far_from_zero_and_of_any_size_keep_their_digits() {
    let mut rng = Pcg64::seed_from_u64(5);
    let (a, b) = (weights(&mut rng, 30), weights(&mut rng, 20));
    let mass = 0.7 * a.mass().min(b.mass());
    // Multiples of 2⁻¹⁰: exact beside the offset.
    let grid: Vec<f64> = (0..600)
        .map(|_| f64::from(rng.random_range(0..1024)) / 1024.0)
        .collect();
    let solve = |scale: f64, offset: f64| {
        let c: Vec<f64> = grid.iter().map(|c| (c + offset) * scale).collect();
        let cost = Arc::new(DenseCost::new(30, 20, c).unwrap());
        let problem = Problem::partial(a.clone(), b.clone(), cost, mass).unwrap();
        let s = NetworkSimplex::default().solve(&problem).unwrap();
        assert_eq!(s.convergence.termination, Termination::Optimal);
        let plan = s.plan.to_dense();
        plan.data()
            .iter()
            .zip(&grid)
            .map(|(p, c)| p * c)
            .sum::<f64>()
    };
    let want = solve(1.0, 0.0);
    for (scale, offset) in [
        (1.0, 1e9),
        (1.0, -1e9),
        (1e-200, 0.0),
        (1e200, -0.5),
        (1e-200, 3.0),
    ] {
        let found = solve(scale, offset);
        assert!(
            (found - want).abs() < 1e-13,
            "({scale:e}, {offset:e}): {found} {want}"
        );
    }
}

#[test]
fn forbidden_pairs_bound_what_can_move() {
    // Source 0 reaches target 0 alone, source 1 both, source 2 nothing.
    let pairs = vec![(0, 0, 3.0), (1, 0, 1.0), (1, 1, 2.0)];
    let cost = Arc::new(SparseCost::from_triples(3, 2, pairs).unwrap());
    let (a, b) = (
        Measure::new(vec![1.0; 3]).unwrap(),
        Measure::new(vec![1.0; 2]).unwrap(),
    );
    let problem = |s| Problem::partial(a.clone(), b.clone(), cost.clone(), s).unwrap();
    for (mass, value) in [(0.5, 0.5), (1.0, 1.0), (1.5, 3.0), (2.0, 5.0)] {
        // From 1 on, one more unit costs 4: over source 0, and source 1 turns to target 1.
        let s = solved(&problem(mass));
        assert!(
            (s.transport_cost - value).abs() < 1e-14,
            "{mass}: {}",
            s.transport_cost
        );
    }
    let narrow = Measure::new(vec![1.0, 0.25, 1.0]).unwrap();
    let short = Problem::partial(narrow, b, cost, 1.5).unwrap();
    match NetworkSimplex::default().solve(&short) {
        Err(Error::Infeasible(proof)) => assert!(proof.supply > proof.capacity),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_warm_start_from_the_answer_saves_most_pivots() {
    for (n, m) in [(40, 50), (900, 800)] {
        let problem = stored(&points(n, m, 0.4), false);
        let cold = solved(&problem);
        let mut context = Context::new().warm(cold.potentials.clone());
        let warm = NetworkSimplex::default()
            .solve_with(&problem, &mut context)
            .unwrap();
        let (cold, warm) = (&cold.convergence.iterations, &warm.convergence.iterations);
        assert!(warm.unwrap() * 3 <= cold.unwrap(), "{warm:?} of {cold:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// The value is convex in the mass, and λ is its slope: V(S') ≥ V(S) + λ(S' − S).
    #[test]
    fn lambda_is_a_slope_of_the_value(
        a in prop::collection::vec(0_u8..8, 2..7),
        b in prop::collection::vec(0_u8..8, 2..7),
        costs in prop::collection::vec(-8_i8..8, 36),
        shares in (1_u8..=16, 1_u8..=16),
    ) {
        let measure = |w: &[u8]| Measure::new(w.iter().map(|w| f64::from(*w) / 3.0).collect::<Vec<_>>());
        let (Ok(a), Ok(b)) = (measure(&a), measure(&b)) else { return Ok(()) };
        let c: Vec<f64> = costs[..a.len() * b.len()].iter().map(|c| f64::from(*c) / 7.0).collect();
        let cost = Arc::new(DenseCost::new(a.len(), b.len(), c).unwrap());
        let most = a.mass().min(b.mass());
        let at = |share: u8| {
            let problem = Problem::partial(a.clone(), b.clone(), cost.clone(), most * f64::from(share) / 16.0);
            solved(&problem.unwrap())
        };
        let (one, two) = (at(shares.0), at(shares.1));
        let slope = one.potentials.lambda * (two.mass - one.mass);
        prop_assert!(two.transport_cost >= one.transport_cost + slope - 1e-12);
    }
}
