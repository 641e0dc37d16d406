//! The repository's own problems against their long-double solutions.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use ot_data::fixtures::{Fixture, FixtureCost, load_all};
use solver_api::{
    Cost, DenseCost, GridCost, GridGround, Ground, Measure, PointCost, Problem, Reg, Solver,
};
use solver_stabilized::settings::METHODS;
use solver_stabilized::{Settings, SinkhornStabilized};

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
    let mut solved = 0;
    for fixture in fixtures().iter().filter(|f| !f.entropic.is_empty()) {
        let (problem, name) = (problem(fixture), &fixture.entry.name);
        for reference in &fixture.entropic {
            let want = &reference.values;
            for (method_name, method) in METHODS {
                let newton = matches!(method_name, "auto" | "newton");
                // Scaling takes its time below.
                if !newton && want.reg_rel < 1e-2 {
                    continue;
                }
                // What f64 has for exponents of this size.
                let tol = 1e-11_f64.max(1e-14 / want.reg_rel);
                let solver = SinkhornStabilized::new(Settings {
                    tol: Some(tol),
                    method,
                    ..Settings::with_reg(Reg::Absolute(want.reg))
                });
                let solution = solver.unwrap().solve(&problem).unwrap();
                solved += 1;
                let seen = &solution.convergence;
                let case = format!("{name} at {} by {method_name}: {seen:?}", want.reg_rel);
                assert!(seen.converged(), "{case}");
                let close = |x: f64, y: f64| (x - y).abs() <= 1e-8 * y.abs();
                assert!(
                    close(solution.transport_cost, want.transport_cost),
                    "{case}"
                );
                assert!(close(solution.objective, want.objective), "{case}");
                let exact = fixture.entry.expected.optimum;
                let bracket = solution.certificate.unwrap();
                assert!(
                    bracket.contains(exact, 1e-9 * exact.abs()),
                    "{case}: {bracket:?}"
                );
                if let Some((f, g)) = &reference.potentials {
                    let off = |have: &[f64], want: &ndarray::Array1<f64>| {
                        let pairs = have.iter().zip(want);
                        pairs.fold(0.0_f64, |t, (x, y)| t.max((x - y).abs()))
                    };
                    let apart = off(&solution.potentials.f, f).max(off(&solution.potentials.g, g));
                    assert!(apart <= 1e-6 * want.reg.max(1e-3), "{case}: {apart}");
                }
            }
        }
    }
    assert!(solved >= 40, "{solved} solved");
}
