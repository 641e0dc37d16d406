//! Costs far from zero: what counts are their differences.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Error, Ground, Problem, Solver};
use solver_exact::NetworkSimplex;

#[test]
fn an_offset_changes_the_value_and_nothing_else() -> Result<(), Error> {
    let mut rng = Pcg64::seed_from_u64(21);
    let (n, m) = (40, 53);
    for zeros in [0, 30] {
        // Whole numbers: adding the offset is exact, so both problems have the same optimal plans.
        let cost: Vec<f64> = (0..n * m)
            .map(|_| rng.random_range(0..1000).into())
            .collect();
        let mut weights = |k: usize, zeros: usize| {
            let w: Vec<f64> = (0..k)
                .map(|i| {
                    if i < zeros {
                        0.0
                    } else {
                        rng.random_range(1..9).into()
                    }
                })
                .collect();
            let total: f64 = w.iter().sum();
            w.into_iter().map(|w| w / total).collect::<Vec<f64>>()
        };
        let (a, b) = (weights(n, zeros), weights(m, zeros));
        let solver = NetworkSimplex::default();
        let plain = solver.solve(&Problem::from_slices(&a, &b, &cost)?)?;
        for offset in [1e6, -1e9, 1e12, -1e15] {
            let lifted: Vec<f64> = cost.iter().map(|c| c + offset).collect();
            let problem = Problem::from_slices(&a, &b, &lifted)?;
            let solution = solver.solve(&problem)?.require_converged()?;
            // The plan, priced at the costs without the offset.
            let without = Problem::from_slices(&a, &b, &cost)?;
            let value = solution.plan.transport_cost(without.cost());
            assert!(
                (value - plain.transport_cost).abs() <= 1e-9,
                "{offset} {value} {}",
                plain.transport_cost
            );
            let want = plain.transport_cost + offset;
            let ulp = 4.0 * f64::EPSILON * offset.abs();
            assert!((solution.transport_cost - want).abs() <= ulp);
            assert!(
                solution
                    .certificate
                    .is_some_and(|c| c.contains(want, ulp) && c.gap().abs() <= ulp)
            );
        }
    }
    Ok(())
}

/// Clouds that stand far apart: |x − y − t|² = |x − y|² − 2t(x − y) + t², so that on the line every plan costs t² and
/// what the plain problem costs, and the same plan is best.
#[test]
fn clouds_far_apart_are_matched_as_if_they_were_near() -> Result<(), Error> {
    let mut rng = Pcg64::seed_from_u64(22);
    let n = 60;
    let mut cloud = || -> Vec<f64> {
        (0..n)
            .map(|_| f64::from(rng.random_range(0..4096_u32)) / 4096.0)
            .collect()
    };
    let (x, y) = (cloud(), cloud());
    let w = vec![1.0 / n as f64; n];
    let solver = NetworkSimplex::default();
    let near = Problem::from_points(&w, &w, &x, &y, 1, Ground::SqEuclidean)?;
    let best = solver.solve(&near)?.transport_cost;
    let moved: Vec<f64> = y.iter().map(|y| y + 1024.0).collect();
    let far = Problem::from_points(&w, &w, &x, &moved, 1, Ground::SqEuclidean)?;
    let solution = solver.solve(&far)?.require_converged()?;
    let value = solution.plan.transport_cost(near.cost());
    assert!((value - best).abs() <= 1e-9, "{value} {best}");
    Ok(())
}
