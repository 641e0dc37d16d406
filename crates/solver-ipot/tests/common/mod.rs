//! What the tests share.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{DenseCost, Ground, Measure, PointCost, Problem, Solution, Solver};

/// Weights and costs that are uniformly random.
pub(crate) fn random_problem(seed: u64, n: usize, m: usize) -> Problem {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut numbers = |len: usize, low: f64| -> Vec<f64> {
        (0..len).map(|_| low + rng.random::<f64>()).collect()
    };
    let weights = |w: Vec<f64>| Measure::new(w).unwrap().normalized();
    let (a, b) = (weights(numbers(n, 0.2)), weights(numbers(m, 0.2)));
    let cost = DenseCost::new(n, m, numbers(n * m, 0.0)).unwrap();
    Problem::new(a, b, Arc::new(cost)).unwrap()
}

/// Two uniform clouds in the unit cube of dimension d with squared distances; weights uniform or random.
pub(crate) fn clouds(seed: u64, n: usize, m: usize, d: usize, random: bool) -> Problem {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut numbers = |len: usize| -> Vec<f64> { (0..len).map(|_| rng.random::<f64>()).collect() };
    let points = PointCost::new(numbers(n * d), numbers(m * d), d, Ground::SqEuclidean).unwrap();
    let mut weights = |len: usize| {
        let w = if random { numbers(len) } else { vec![1.0; len] };
        Measure::new(w).unwrap().normalized()
    };
    let (a, b) = (weights(n), weights(m));
    Problem::new(a, b, Arc::new(points)).unwrap()
}

pub(crate) fn solve(solver: &impl Solver, problem: &Problem) -> Solution {
    solver.solve(problem).unwrap()
}
