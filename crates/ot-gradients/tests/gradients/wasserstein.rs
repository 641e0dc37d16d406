use ot_gradients::wasserstein;
use solver_api::{Factory, Ground, Options, Problem, Solver};
use solver_exact::NetworkSimplexFactory;

use crate::common::{central, close, cloud, moved, reference, shifted, weights};

#[test]
fn value_and_derivatives() {
    let exact = NetworkSimplexFactory.build(&Options::default()).unwrap();
    let (a, b) = (weights(7, 1, 2.0), weights(5, 50, 2.0));
    let (x, y) = (cloud(7, 2, 100), cloud(5, 2, 900));
    for (ground, p) in [
        (Ground::Euclidean, 1.0),
        (Ground::SqEuclidean, 2.0),
        (Ground::Power(3.0), 3.0),
    ] {
        let pose =
            |a: &[f64], x: &[f64]| Problem::from_points(a, &b, x, &y, 2, ground.clone()).unwrap();
        let at = |a: &[f64], x: &[f64]| {
            let problem = pose(a, x);
            let solution = exact.solve(&problem).unwrap();
            wasserstein(&problem, &solution, p).unwrap().value
        };
        let problem = pose(&a, &x);
        let solution = exact.solve(&problem).unwrap();
        let found = wasserstein(&problem, &solution, p).unwrap();
        close(
            found.value,
            (solution.transport_cost / 2.0).powf(1.0 / p),
            1e-14,
            0.0,
            "value",
        );
        let by_weights = found.weights().unwrap();
        let slope = central(1e-6, |t| at(&shifted(&a, 2, 3, t), &x));
        close(by_weights.a[2] - by_weights.a[3], slope, 1e-6, 0.1, "a");
        let points = found.points().unwrap();
        let slope = central(1e-6, |t| at(&a, &moved(&x, 3, t)));
        close(points.x[3], slope, 1e-6, 0.05, "x");
        assert!(wasserstein(&problem, &solution, p + 1.0).is_err());
    }
    // A translation moves W_2 by its length, in its direction.
    let moved: Vec<f64> = x.iter().map(|v| v + 3.0).collect();
    let problem = Problem::from_points(&a, &a, &x, &moved, 2, Ground::SqEuclidean).unwrap();
    let solution = exact.solve(&problem).unwrap();
    let found = wasserstein(&problem, &solution, 2.0).unwrap();
    close(found.value, 18.0_f64.sqrt(), 1e-12, 0.0, "translation");
    let pull = found.points().unwrap();
    let total: f64 = pull.x.iter().step_by(2).sum();
    close(total, -(0.5_f64.sqrt()), 1e-12, 0.0, "direction");
}

#[test]
fn entropic_solutions_have_a_value_only() {
    let problem =
        Problem::from_points(&[1.0], &[1.0], &[0.0], &[2.0], 1, Ground::SqEuclidean).unwrap();
    let solution = reference(0.1).solve(&problem).unwrap();
    let found = wasserstein(&problem, &solution, 2.0).unwrap();
    close(found.value, 2.0, 1e-14, 0.0, "one pair");
    assert!(found.weights().is_err() && found.points().is_err());
    assert!(wasserstein(&problem, &solution, 0.5).is_err());
}
