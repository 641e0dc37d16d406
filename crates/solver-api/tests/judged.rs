//! The certificate has the last word on what converged.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use solver_api::{Context, Outcome, Plan, Potentials, Problem, Solution, SparsePlan, Termination};

/// Two points a side, the plan that crosses (cost 1) or not (cost 0), with potentials of 0: a bracket from 0 to the cost.
fn ended(termination: Termination, crosses: bool) -> Termination {
    let problem = Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &[0.0, 1.0, 1.0, 0.0]).unwrap();
    let (i, j) = if crosses { (1, 0) } else { (0, 1) };
    let entries = vec![(0, i, 0.5), (1, j, 0.5)];
    let outcome = Outcome {
        plan: Plan::from(SparsePlan::from_triples(2, 2, entries).unwrap()),
        potentials: Potentials::new(vec![0.0; 2], vec![0.0; 2]),
        reg: 0.0,
        termination,
        iterations: None,
        history: Vec::new(),
        certificate: None,
    };
    let context = Context::default();
    let solution = Solution::assemble("a test", &problem, outcome, Instant::now(), &context);
    let judged = solution.judged_by_certificate(|bracket| bracket.gap() <= 0.5);
    judged.convergence.termination
}

#[test]
fn what_is_within_has_converged_and_what_says_so_beyond_has_stalled() {
    for limit in [
        Termination::IterationLimit,
        Termination::TimeLimit,
        Termination::Stalled,
        Termination::Converged,
    ] {
        assert_eq!(ended(limit, false), Termination::Converged, "{limit}");
    }
    assert_eq!(ended(Termination::Converged, true), Termination::Stalled);
    for limit in [Termination::IterationLimit, Termination::TimeLimit] {
        assert_eq!(ended(limit, true), limit);
    }
    // Whoever cancelled it knows.
    assert_eq!(ended(Termination::Cancelled, false), Termination::Cancelled);
}
