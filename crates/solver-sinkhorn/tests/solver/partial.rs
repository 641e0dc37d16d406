//! Partial transport of a given mass.

use std::sync::Arc;

use solver_api::{DenseCost, Error, Measure, Problem, Reg, Solver};
use solver_sinkhorn::{Settings, Sinkhorn};

/// Two sources, two targets; 0.5 % of the mass has no free way.
fn short_of_free_ways(mass: f64) -> Problem {
    let cost = Arc::new(DenseCost::new(2, 2, vec![0.0, 1.0, 1.0, 0.0]).unwrap());
    let a = Measure::new(vec![0.5, 0.5]).unwrap();
    let b = Measure::new(vec![0.495, 0.505]).unwrap();
    Problem::partial(a, b, cost, mass).unwrap()
}

fn solver(reg: f64) -> Sinkhorn {
    Sinkhorn::new(Settings::with_reg(Reg::Absolute(reg))).unwrap()
}

#[test]
fn a_multiplier_that_still_rises_has_not_stalled() {
    // The free pairs are full long before the multiplier has grown by the e¹⁰⁰ that the others wait for.
    for (mass, moved) in [(0.999, 0.004), (1.0, 0.005)] {
        let solution = solver(1e-2).solve(&short_of_free_ways(mass)).unwrap();
        let cost = solution.require_converged().unwrap().transport_cost;
        assert!((cost - moved).abs() < 1e-8, "{mass}: {cost}");
    }
}

#[test]
fn a_refusal_names_no_backend_that_moves_no_given_mass() {
    let error = solver(1e-4).solve(&short_of_free_ways(1.0)).unwrap_err();
    let Error::InvalidSetting { name, rule, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(name, "reg");
    assert!(!rule.contains("stabilized"), "{rule}");
    assert!(rule.contains("exact backend"), "{rule}");
}
