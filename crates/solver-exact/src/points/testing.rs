//! Small problems for the tests of the parts.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::Ground;

use super::graph::{Fields, Graph};
use super::hierarchy::Cloud;

/// Two clouds of random points in the unit cube with random weights of sum 1.
pub(super) fn clouds(n: usize, m: usize, dim: usize, seed: u64) -> (Cloud, Cloud) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut cloud = |n: usize| {
        let points: Vec<f64> = (0..n * dim).map(|_| rng.random()).collect();
        let weights: Vec<f64> = (0..n).map(|_| 0.1 + rng.random::<f64>()).collect();
        let mass: f64 = weights.iter().sum();
        let weights: Vec<f64> = weights.iter().map(|w| w / mass).collect();
        Cloud::sorted(&points, dim, &weights, &Ground::SqEuclidean).0
    };
    (cloud(n), cloud(m))
}

/// The near pairs at these potentials of the targets.
pub(super) fn graph_of(x: &Cloud, y: &Cloud, g: &[f64]) -> Graph {
    let mut graph = Graph::default();
    let mut f = vec![0.0; x.len()];
    graph.build(x, y, &mut f, g, &mut Fields::default());
    graph
}
