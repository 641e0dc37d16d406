//! The source's clouds in 16 dimensions.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{DenseCost, Ground, Measure, PointCost, Problem};

use crate::common::Outcome;

/// Two clouds of n points, uniform in the unit cube of 16 dimensions, with squared distances.
pub(crate) fn clouds(n: usize, seed: u64) -> Outcome<Problem> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut cloud = || -> Vec<f64> { (0..n * 16).map(|_| rng.random::<f64>()).collect() };
    let cost = DenseCost::materialize(&PointCost::new(cloud(), cloud(), 16, Ground::SqEuclidean)?)?;
    let uniform = Measure::uniform(n)?;
    Ok(Problem::new(uniform.clone(), uniform, Arc::new(cost))?)
}
