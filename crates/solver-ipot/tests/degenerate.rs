//! The accelerated schedule on small problems of every degenerate kind, against the network simplex.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use solver_api::{DenseCost, Measure, Problem, Solver};
use solver_exact::network_simplex::NetworkSimplex;
use solver_ipot::{Ipot, Settings};

/// Weights that may vanish, tie, or lie twelve orders of magnitude apart.
fn weights() -> impl Strategy<Value = Vec<f64>> {
    let ties = prop::collection::vec(select(vec![0.0, 1.0, 1.0, 2.0, 3.0]), 1..16);
    let uniform = (1_usize..16).prop_map(|n| vec![1.0; n]);
    let wide = prop::collection::vec(select(vec![0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.3, 1.0]), 1..16);
    let smooth = prop::collection::vec(1e-3..1.0, 1..16);
    prop_oneof![ties, uniform, wide, smooth]
        .prop_filter("no mass", |w: &Vec<f64>| w.iter().any(|w| *w > 0.0))
}

/// 15×15 costs, of which a problem takes its corner: constant, tied, on a line, spread over decades, or any.
fn costs() -> impl Strategy<Value = Vec<f64>> {
    const ENTRIES: usize = 225;
    let constant = (-3.0..3.0).prop_map(|c| vec![c; ENTRIES]);
    let ties = prop::collection::vec((0_u8..4).prop_map(f64::from), ENTRIES);
    let line = prop::collection::vec((0_u8..9).prop_map(f64::from), 30).prop_map(|x| {
        let of = |k: usize| (x[k / 15] - x[15 + k % 15]).powi(2);
        (0..ENTRIES).map(of).collect()
    });
    let decades = prop::collection::vec((-6.0..0.0).prop_map(|e| 10_f64.powf(e)), ENTRIES);
    let any = prop::collection::vec(-1.0..1.0, ENTRIES);
    prop_oneof![constant, ties, line, decades, any]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]
    #[test]
    fn the_optimum_whatever_is_degenerate(a in weights(), b in weights(), costs in costs(), tight in any::<bool>()) {
        let (n, m) = (a.len(), b.len());
        let cost = (0..n * m).map(|k| costs[k / m * 15 + k % m]).collect::<Vec<_>>();
        let cost = DenseCost::new(n, m, cost).unwrap();
        let measure = |w: Vec<f64>| Measure::new(w).unwrap().normalized();
        let problem = Problem::new(measure(a.clone()), measure(b.clone()), Arc::new(cost)).unwrap();
        // Masses of 1e-12 are below what potentials at a small ε can tell apart.
        let wide = |w: &[f64]| w.iter().any(|w| *w > 0.0 && *w < 1e-4);
        let tol = if tight && !wide(&a) && !wide(&b) { 1e-12 } else { 1e-9 };
        let solver = Ipot::new(Settings { tol, ..Settings::default() }).unwrap();
        let found = solver.solve(&problem).unwrap();
        let gap = found.certificate.unwrap().relative_gap(&problem);
        let wide = wide(&a) || wide(&b);
        let exact = NetworkSimplex::default().solve(&problem).unwrap().require_converged().unwrap();
        prop_assert!(found.certificate.unwrap().contains(exact.transport_cost, 1e-13));
        if !found.convergence.converged() {
            // About one in ten thousand.
            prop_assert!(wide, "{} at a gap of {gap:e}", found.convergence.termination);
            return Ok(());
        }
        let spread = problem.cost().range().spread();
        let off = (found.transport_cost - exact.transport_cost).abs();
        prop_assert!(off <= tol * spread + 1e-14 * problem.cost().range().max_abs(), "off by {off:e}, spread {spread:e}");
        let how = &found.convergence;
        prop_assert!(how.source_error.max(how.target_error) < 1e-14);
        let mut entries = 0;
        found.plan.for_each_above(0.0, |_, _, _| entries += 1);
        prop_assert!(entries < n + m, "{entries} entries");
    }
}
