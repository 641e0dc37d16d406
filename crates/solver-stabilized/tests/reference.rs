//! Other references than a⊗b: at a moderate regularization, the answer of the kernel domain.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use solver_api::{DenseCost, Measure, Problem, Reference, Reg, Solver};
use solver_sinkhorn::Sinkhorn;
use solver_stabilized::{Settings, SinkhornStabilized};

#[test]
fn references_give_what_they_give_in_the_kernel_domain() {
    let (n, m) = (30, 25);
    let mut rng = Pcg64Mcg::seed_from_u64(11);
    let mut draw = |k: usize| {
        (0..k)
            .map(|_| rng.random_range(0.1..1.0_f64))
            .collect::<Vec<_>>()
    };
    let (a, b) = (
        Measure::new(draw(n)).unwrap(),
        Measure::new(draw(m)).unwrap(),
    );
    let cost = Arc::new(DenseCost::new(n, m, draw(n * m)).unwrap());
    let prior = Reference::dense(n, m, draw(n * m)).unwrap();
    let soft = Problem::relaxed(a.clone(), b.clone(), cost.clone(), 0.5, 2.0).unwrap();
    let hard = Problem::new(a.normalized(), b.normalized(), cost).unwrap();
    let reg = Reg::Absolute(0.05);
    for problem in [&soft, &hard] {
        for reference in [Reference::negative_entropy(), prior.clone()] {
            let near = Sinkhorn::new(solver_sinkhorn::Settings {
                tol: Some(1e-11),
                reference: reference.clone(),
                ..solver_sinkhorn::Settings::with_reg(reg)
            });
            let far = SinkhornStabilized::new(Settings {
                tol: Some(1e-11),
                reference: reference.clone(),
                ..Settings::with_reg(reg)
            });
            let (near, far) = (
                near.unwrap().solve(problem).unwrap(),
                far.unwrap().solve(problem).unwrap(),
            );
            assert!(near.convergence.converged() && far.convergence.converged());
            let close = |x: f64, y: f64| (x - y).abs() <= 1e-8 * y.abs();
            assert!(
                close(far.objective, near.objective),
                "{} {}",
                far.objective,
                near.objective
            );
            assert!(close(far.transport_cost, near.transport_cost));
            for (x, y) in far.potentials.f.iter().zip(&near.potentials.f) {
                assert!((x - y).abs() < 1e-7, "{x} {y}");
            }
        }
    }
}
