//! What `auto` picks among the backends that are compiled in.

#![cfg(all(
    feature = "network-simplex",
    feature = "sinkhorn",
    feature = "sinkhorn-stabilized",
    feature = "ipot"
))]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::sync::Arc;

use kantorovich::{
    Context, DenseCost, Error, Measure, Options, Problem, Reference, Reg, Registry, Solver,
};

fn small() -> Problem {
    Problem::from_slices(&[0.5, 0.5], &[0.25, 0.75], &[0.0, 1.0, 1.0, 0.0]).unwrap()
}

#[test]
fn a_reg_too_small_for_the_kernel_goes_on_to_the_log_domain() {
    // Far apart, with no near pair for target 1: its column underflows at a reg that others take for large.
    let cost = vec![0.0, 90.0, 1.0, 90.0, 2.0, 90.0, 100.0, 0.0];
    let a = Measure::uniform(4).unwrap();
    let b = Measure::new(vec![0.5, 0.5]).unwrap();
    let problem = Problem::new(a, b, Arc::new(DenseCost::new(4, 2, cost).unwrap())).unwrap();
    let reg = Options {
        reg: Some(Reg::Relative(1.1e-3)),
        ..Options::default()
    };
    let registry = Registry::new();
    let auto = registry.auto(&reg).unwrap();
    let preferred = auto.pick(&problem, &Context::new()).unwrap().0.to_owned();
    assert_eq!(preferred, "sinkhorn");
    let refused = registry.build("sinkhorn", &reg).unwrap().solve(&problem);
    assert!(
        matches!(refused, Err(Error::KernelUnderflow { .. })),
        "{refused:?}"
    );
    let solution = auto.solve(&problem).unwrap().require_converged().unwrap();
    assert_eq!(solution.solver, "sinkhorn-stabilized");
    // At the optimum, 22.75, source 2 feeds target 1. At ε = 0.11 source 1, for which that is dearer by 1, takes over as
    // much as leaves both equally far from it: 1/(1 + e^{1/2ε}) of its mass; source 0 a part that is e^{−1/ε} of that.
    let closed = 22.75 + 0.25 / (1.0 + (0.5_f64 / 0.11).exp());
    assert!((solution.transport_cost - closed).abs() < 1e-6, "{closed}");
    assert!(solution.certificate.unwrap().contains(22.75, 1e-9));
}

#[test]
fn what_is_compiled_in_divides_the_work() {
    let registry = Registry::new();
    let relative = |reg| Options {
        reg: Some(Reg::Relative(reg)),
        ..Options::default()
    };
    let prior = |reg| Options {
        prior: Some(Reference::parse("ones").unwrap()),
        ..relative(reg)
    };
    let a = Measure::uniform(2).unwrap();
    let relaxed = |gamma_a, gamma_b| {
        Problem::relaxed(
            a.clone(),
            a.clone(),
            small().shared_cost(),
            gamma_a,
            gamma_b,
        )
        .unwrap()
    };
    let hard = f64::INFINITY;
    for (options, problem, name) in [
        (Options::default(), small(), "network-simplex"),
        (relative(1e-2), small(), "sinkhorn"),
        (relative(1e-6), small(), "sinkhorn-stabilized"),
        (Options::default(), relaxed(1.0, 2.0), "sinkhorn"),
        (relative(1e-2), relaxed(1.0, hard), "sinkhorn"),
        (relative(1e-5), relaxed(1.0, 2.0), "sinkhorn-stabilized"),
        (prior(1e-2), small(), "sinkhorn"),
        (prior(1e-5), small(), "sinkhorn-stabilized"),
    ] {
        let solution = registry.build("auto", &options).unwrap().solve(&problem);
        let solution = solution.unwrap().require_converged().unwrap();
        assert_eq!(solution.solver, name, "{options:?}");
    }
    // By name, the step of `ipot` may be set.
    let ipot = registry.build("ipot", &relative(1e-1)).unwrap();
    let solution = ipot.solve(&small()).unwrap().require_converged().unwrap();
    assert!((solution.transport_cost - 0.25).abs() < 1e-9);
}

#[cfg(feature = "exact-points")]
#[test]
fn many_points_in_few_dimensions_are_solved_without_a_matrix() {
    use kantorovich::Ground;

    let registry = Registry::new();
    let auto = registry.auto(&Options::default()).unwrap();
    for (n, dim, ground, name) in [
        (100, 2, Ground::SqEuclidean, "network-simplex"),
        (1500, 2, Ground::SqEuclidean, "exact-points"),
        (1500, 8, Ground::SqEuclidean, "network-simplex"),
        (1500, 2, Ground::Euclidean, "network-simplex"),
        (1500, 1, Ground::SqEuclidean, "line"),
        (5000, 8, Ground::SqEuclidean, "exact-points"),
        (5000, 8, Ground::Euclidean, "network-simplex"),
        (20_000, 2, Ground::Cityblock, "exact-points"),
        (1500, 2, Ground::Asinh, "network-simplex"),
    ] {
        let points =
            |seed: f64| -> Vec<f64> { (0..n * dim).map(|k| (k as f64 * seed).sin()).collect() };
        let weights = vec![1.0 / n as f64; n];
        let (x, y) = (points(1.3), points(1.7));
        let problem = Problem::from_points(&weights, &weights, &x, &y, dim, ground).unwrap();
        let picked = auto.pick(&problem, &Context::new()).unwrap().0;
        assert_eq!(picked, name, "{n} points of dimension {dim}");
    }
}
