//! Partial problems by every backend that has them: fixed values of independent libraries, and who is picked.
#![cfg(all(
    feature = "network-simplex",
    feature = "lp-microlp",
    feature = "sinkhorn"
))]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use kantorovich::{
    Capability, Cost, DenseCost, Ground, Measure, Options, PointCost, Problem, Reg, Registry,
};
use ot_data::fixtures::{Fixture, FixtureCost, load_all};

fn cost(fixture: &Fixture) -> Arc<dyn Cost> {
    match &fixture.cost {
        FixtureCost::Dense(matrix) => Arc::new(DenseCost::from_array(matrix.view()).unwrap()),
        FixtureCost::Points { x, y, metric } => {
            let flat = |p: &ndarray::Array2<f64>| p.iter().copied().collect::<Vec<_>>();
            let ground = Ground::parse(metric).unwrap();
            Arc::new(PointCost::new(flat(x), flat(y), x.ncols(), ground).unwrap())
        }
        FixtureCost::Grid { .. } => panic!("no partial problem on a grid yet"),
    }
}

#[test]
fn exact_backends_find_what_pot_and_highs_find() {
    let registry = Registry::default();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut solved = 0;
    for fixture in load_all(root).unwrap() {
        for case in &fixture.entry.partial {
            let b: Vec<f64> = fixture.b.iter().map(|b| b * case.b_factor).collect();
            let (a, b) = (Measure::new(fixture.a.to_vec()), Measure::new(b));
            let problem =
                Problem::partial(a.unwrap(), b.unwrap(), cost(&fixture), case.mass).unwrap();
            let (n, m) = problem.shape();
            for name in ["network-simplex", "lp-microlp", "auto"] {
                if name == "lp-microlp" && n * m > 10_000 {
                    continue;
                }
                let solver = registry.build(name, &Options::default()).unwrap();
                let solution = solver.solve(&problem).unwrap().require_converged().unwrap();
                let off = (solution.transport_cost - case.optimum).abs();
                assert!(
                    off <= 1e-12 * case.optimum,
                    "{name}: {case:?}, off by {off:e}"
                );
                solved += 1;
            }
        }
    }
    assert!(solved >= 19, "{solved}");
}

#[test]
fn auto_is_exact_unless_reg_is_given() {
    let cost = Arc::new(DenseCost::new(2, 2, vec![0.0, 2.0, 2.0, 1.0]).unwrap());
    let ones = Measure::new(vec![1.0, 1.0]).unwrap();
    let problem = Problem::partial(ones.clone(), ones, cost, 1.5).unwrap();
    let registry = Registry::default();
    let solve = |options: &Options| {
        registry
            .build("auto", options)
            .unwrap()
            .solve(&problem)
            .unwrap()
    };
    let exact = solve(&Options::default());
    assert_eq!(
        (exact.solver.as_str(), exact.transport_cost),
        ("network-simplex", 0.5)
    );
    let soft = solve(&Options {
        reg: Some(Reg::Absolute(0.5)),
        ..Options::default()
    });
    assert_eq!(soft.solver, "sinkhorn");
    assert!(registry.having(Capability::Partial).contains(&"lp-minilp"));
}
