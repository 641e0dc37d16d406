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

/// A problem from a plan on a few allowed pairs whose entries are 2^-k with k up to 120, and what one target gets more
/// than that, over the mass: nobody may be allowed to send it.
fn spread_out() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>)> {
    let pair = (0_usize..12, 0_usize..12, 0_i32..121, 0.0..1.0_f64);
    let excess = prop_oneof![Just(0.0), (11.1..40.0_f64).prop_map(|k| 10_f64.powf(-k))];
    (prop::collection::vec(pair, 1..50), 0_usize..12, excess).prop_map(|(pairs, to, excess)| {
        let (n, m) = (12, 12);
        let (mut a, mut b) = (vec![0.0; n], vec![0.0; m]);
        let mut cost = vec![f64::INFINITY; n * m];
        for (i, j, k, c) in pairs {
            let mass = 2_f64.powi(-k);
            a[i] += mass;
            b[j] += mass;
            cost[i * m + j] = c;
        }
        b[to] += excess * a.iter().sum::<f64>();
        (a, b, cost)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_feasible_up_to_rounding_is_solved((a, b, c) in spread_out()) {
        let problem = Problem::from_slices(&a, &b, &c)?;
        let scale = problem.mass() * problem.cost().range().max;
        let simplex = NetworkSimplex::default().solve(&problem)?;
        let minilp = lp::MINILP.build(&Options::default())?.solve(&problem)?;
        let mut found = vec![simplex, minilp];
        #[cfg(feature = "lp-microlp")]
        found.push(lp::MICROLP.build(&Options::default())?.solve(&problem)?);
        for solution in &found {
            prop_assert!(solution.convergence.converged(), "{solution:?}");
            let off = solution.transport_cost - found[0].transport_cost;
            prop_assert!(off.abs() <= 1e-9 * scale, "{found:?}");
            prop_assert!(solution.convergence.source_error <= 1e-10);
            prop_assert!(solution.convergence.target_error <= 1e-10);
            let bracket = solution.certificate.ok_or_else(|| TestCaseError::fail("no certificate"))?;
            prop_assert!(bracket.gap().abs() <= 1e-9 * scale, "{solution:?}");
            prop_assert!(bracket.contains(solution.transport_cost, 1e-9 * scale));
        }
    }
}
