//! The repository's own problems against their long-double solutions.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use ot_data::fixtures::{Fixture, FixtureCost, load_all};
use solver_api::{
    Cost, DenseCost, Error, GridCost, GridGround, Ground, Measure, PointCost, Problem, Reg, Solver,
};
use solver_sinkhorn::{Settings, Sinkhorn};

fn fixtures() -> Vec<Fixture> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    load_all(root).unwrap()
}

fn problem(fixture: &Fixture) -> Problem {
    let cost: Arc<dyn Cost> = match &fixture.cost {
        FixtureCost::Dense(matrix) => Arc::new(DenseCost::from_array(matrix.view()).unwrap()),
        FixtureCost::Points { x, y, metric } => {
            let ground = match metric.as_str() {
                "sqeuclidean" => Ground::SqEuclidean,
                "euclidean" => Ground::Euclidean,
                other => panic!("{other}"),
            };
            let flat = |p: &ndarray::Array2<f64>| p.iter().copied().collect::<Vec<_>>();
            Arc::new(PointCost::new(flat(x), flat(y), x.ncols(), ground).unwrap())
        }
        FixtureCost::Grid { shape, metric } => {
            let ground = match metric.as_str() {
                "sqeuclidean" => GridGround::SqEuclidean,
                other => panic!("{other}"),
            };
            Arc::new(GridCost::new(shape, ground).unwrap())
        }
    };
    let measure = |w: &ndarray::Array1<f64>| Measure::new(w.to_vec()).unwrap();
    Problem::new(measure(&fixture.a), measure(&fixture.b), cost).unwrap()
}

#[test]
fn values_and_potentials_equal_the_long_double_reference() {
    let (mut solved, mut refused) = (0, 0);
    for fixture in fixtures().iter().filter(|f| !f.entropic.is_empty()) {
        let (problem, name) = (problem(fixture), &fixture.entry.name);
        for reference in &fixture.entropic {
            let want = &reference.values;
            let solver = Sinkhorn::new(Settings {
                tol: Some(1e-11),
                max_iter: 1_000_000,
                ..Settings::with_reg(Reg::Absolute(want.reg))
            });
            let solution = match solver.unwrap().solve(&problem) {
                Err(Error::KernelUnderflow { reg, safe_reg, .. }) => {
                    assert!(safe_reg > reg, "{name} at {reg}");
                    refused += 1;
                    continue;
                }
                other => other.unwrap(),
            };
            solved += 1;
            let seen = &solution.convergence;
            assert!(seen.converged(), "{name} at {}: {seen:?}", want.reg_rel);
            let close = |x: f64, y: f64| (x - y).abs() <= 1e-8 * y.abs();
            assert!(
                close(solution.transport_cost, want.transport_cost),
                "{name}: {seen:?}"
            );
            assert!(
                close(solution.objective, want.objective),
                "{name}: {seen:?}"
            );
            let exact = fixture.entry.expected.optimum;
            let bracket = solution.certificate.unwrap();
            assert!(
                bracket.contains(exact, 1e-9 * exact.abs()),
                "{name}: {bracket:?}"
            );
            if let Some((f, g)) = &reference.potentials {
                let off = |have: &[f64], want: &ndarray::Array1<f64>| {
                    let pairs = have.iter().zip(want);
                    pairs.fold(0.0_f64, |t, (x, y)| t.max((x - y).abs()))
                };
                let apart = off(&solution.potentials.f, f).max(off(&solution.potentials.g, g));
                assert!(apart <= 1e-6 * want.reg.max(1e-3), "{name}: {apart}");
            }
        }
    }
    // The kernel's range ends between 1e-3 and 1e-4 of the largest cost.
    assert!(
        solved >= 12 && refused >= 1,
        "{solved} solved, {refused} refused"
    );
}

#[test]
fn partial_plans_equal_the_long_double_reference() {
    let mut solved = 0;
    for fixture in fixtures().iter().filter(|f| !f.entry.partial.is_empty()) {
        let (base, name) = (problem(fixture), &fixture.entry.name);
        for case in &fixture.entry.partial {
            let b: Vec<f64> = fixture.b.iter().map(|b| b * case.b_factor).collect();
            let b = Measure::new(b).unwrap();
            let partial =
                Problem::partial(base.a().clone(), b, base.shared_cost(), case.mass).unwrap();
            for want in &case.entropic {
                let solver = Sinkhorn::new(Settings {
                    tol: Some(1e-11),
                    ..Settings::with_reg(Reg::Absolute(want.reg))
                });
                let solution = solver.unwrap().solve(&partial).unwrap();
                let seen = &solution.convergence;
                assert!(seen.converged(), "{name}, {case:?}: {seen:?}");
                let close = |x: f64, y: f64| (x - y).abs() <= 1e-9 * y.abs();
                assert!(
                    close(solution.transport_cost, want.transport_cost),
                    "{case:?}"
                );
                assert!(close(solution.objective, want.objective), "{case:?}");
                let bracket = solution.certificate.unwrap();
                assert!(
                    bracket.contains(case.optimum, 1e-12 * case.optimum),
                    "{bracket:?}"
                );
                solved += 1;
            }
        }
    }
    assert!(solved >= 8, "{solved}");
}
