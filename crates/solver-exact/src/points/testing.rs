//! Small problems for the tests of the parts.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::Ground;

use super::graph::{Fields, Graph};
use super::hierarchy::Cloud;
use super::tariff::Tariff;

/// Squared distances.
pub(super) fn squares() -> Tariff {
    Tariff {
        ground: Ground::SqEuclidean,
        base: 0.0,
    }
}

/// Two clouds of random points in the unit cube with random weights of sum 1.
pub(super) fn clouds(n: usize, m: usize, dim: usize, seed: u64) -> (Cloud, Cloud) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut cloud = |n: usize| {
        let points: Vec<f64> = (0..n * dim).map(|_| rng.random()).collect();
        let weights: Vec<f64> = (0..n).map(|_| 0.1 + rng.random::<f64>()).collect();
        let mass: f64 = weights.iter().sum();
        let weights: Vec<f64> = weights.iter().map(|w| w / mass).collect();
        Cloud::sorted(&points, dim, &weights, &squares()).0
    };
    (cloud(n), cloud(m))
}

/// Every kind of cost that grows with a distance, up to 60, but its square.
pub(super) fn other_grounds() -> Vec<Ground> {
    vec![
        Ground::Euclidean,
        Ground::Cityblock,
        Ground::Chebyshev,
        Ground::Minkowski(2.5),
        Ground::Minkowski(300.0),
        Ground::Log1p,
        Ground::Atan,
        Ground::Asinh,
        Ground::Atanh(60.0),
        Ground::Power(0.5),
        Ground::Power(1.5),
        Ground::Power(3.0),
        Ground::convex("huber", |t| if t < 1.0 { 0.5 * t * t } else { t - 0.5 }),
    ]
}

/// The near pairs at these potentials of the targets.
pub(super) fn graph_of(x: &Cloud, y: &Cloud, g: &[f64]) -> Graph {
    let mut graph = Graph::default();
    let mut f = vec![0.0; x.len()];
    graph.build(x, y, &mut f, g, &mut Fields::default());
    graph
}
