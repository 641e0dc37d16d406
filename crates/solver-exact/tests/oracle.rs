//! The network simplex against linear programming, which shares no line with it.
#![cfg(feature = "lp-minilp")]

use proptest::prelude::*;
use solver_api::{Error, Factory, Options, Problem, Solver};
use solver_exact::{NetworkSimplex, lp};

/// Weights with zeros and ties, and costs with ties, negative and forbidden entries.
fn problem() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>)> {
    (1_usize..9, 1_usize..9).prop_flat_map(|(n, m)| {
        let weight = prop_oneof![1 => Just(0.0), 2 => Just(1.0), 3 => 0.01..5.0_f64];
        let cost = prop_oneof![
            4 => -3.0..9.0_f64,
            2 => (0..4_i32).prop_map(f64::from),
            1 => Just(f64::INFINITY),
        ];
        (
            prop::collection::vec(weight.clone(), n),
            prop::collection::vec(weight, m),
            prop::collection::vec(cost, n * m),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_find_the_same_optimum_or_none((a, mut b, c) in problem()) {
        let (mass, other): (f64, f64) = (a.iter().sum(), b.iter().sum());
        prop_assume!(mass > 0.0 && other > 0.0);
        b.iter_mut().for_each(|w| *w *= mass / other);
        let problem = Problem::from_slices(&a, &b, &c)?;
        let simplex = NetworkSimplex::default().solve(&problem);
        let oracle = lp::MINILP.build(&Options::default())?.solve(&problem);
        match (simplex, oracle) {
            (Ok(simplex), Ok(oracle)) => {
                prop_assert!(simplex.convergence.converged());
                let scale = 9.0 * mass;
                let off = simplex.transport_cost - oracle.transport_cost;
                prop_assert!(off.abs() <= 1e-9 * scale, "{} {}", simplex.transport_cost, oracle.transport_cost);
                let bracket = simplex.certificate.ok_or_else(|| TestCaseError::fail("no certificate"))?;
                prop_assert!(bracket.gap().abs() <= 1e-12 * scale);
                prop_assert!(bracket.contains(oracle.transport_cost, 1e-9 * scale));
            }
            (Err(Error::Infeasible(_)), Err(Error::Infeasible(_))) => {}
            (simplex, oracle) => prop_assert!(false, "{simplex:?} {oracle:?}"),
        }
    }
}
