use std::sync::Arc;

use ot_gradients::{Unrolled, Wanted, chain_rule, chain_rule_of_distance, implicit, objective};
use solver_api::{DenseCost, Error, Ground, Measure, PointCost, Problem, Reg, Solver};
use solver_sinkhorn::{Settings, Sinkhorn};

use crate::common::{cloud, reference, weights};

fn dense() -> Problem {
    Problem::from_slices(&[0.5, 0.5], &[0.3, 0.7], &[0.0, 1.0, 2.0, 0.5]).unwrap()
}

fn of_points(ground: Ground) -> Problem {
    let (x, y) = (cloud(3, 2, 1), cloud(4, 2, 2));
    Problem::from_points(&weights(3, 1, 1.0), &weights(4, 2, 1.0), &x, &y, 2, ground).unwrap()
}

#[test]
fn an_answer_that_has_not_converged_has_no_derivative() {
    let settings = Settings {
        max_iter: 1,
        ..Settings::with_reg(Reg::Absolute(0.05))
    };
    let problem = of_points(Ground::SqEuclidean);
    let solution = Sinkhorn::new(settings).unwrap().solve(&problem).unwrap();
    for error in [
        objective::weights(&problem, &solution).unwrap_err(),
        objective::points(&problem, &solution).unwrap_err(),
        implicit::gradient(&problem, &solution).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotConverged { .. }), "{error}");
    }
}

#[test]
fn shapes_are_compared() {
    let solution = reference(0.1).solve(&dense()).unwrap();
    let other = of_points(Ground::SqEuclidean);
    let error = objective::weights(&other, &solution).unwrap_err();
    assert!(
        matches!(
            error,
            Error::ShapeMismatch {
                argument: "solution",
                ..
            }
        ),
        "{error}"
    );
    let cost = PointCost::new(cloud(3, 2, 1), cloud(4, 2, 2), 2, Ground::SqEuclidean).unwrap();
    assert!(chain_rule(&cost, &solution.plan).is_err());
    assert!(objective::weights_fixed_reference(&other, &[0.0; 3], &[0.0; 3]).is_err());
    assert!(objective::weights_fixed_reference(&other, &[0.0, f64::NAN, 0.0], &[0.0; 4]).is_err());
}

#[test]
fn points_need_a_cost_of_points_and_a_known_derivative() {
    let problem = dense();
    let solution = reference(0.1).solve(&problem).unwrap();
    let error = objective::points(&problem, &solution).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidSetting { name, .. } if name == "cost"),
        "{error}"
    );
    let unrolled = Unrolled::new(Reg::Absolute(0.1), 3).unwrap();
    assert!(unrolled.gradient(&problem, Wanted::Points).is_err());
    let problem = of_points(Ground::of_distance("own", |d| d));
    let solution = reference(0.1).solve(&problem).unwrap();
    let error = objective::points(&problem, &solution).unwrap_err();
    assert!(
        error.to_string().contains("chain_rule_of_distance"),
        "{error}"
    );
    assert!(unrolled.gradient(&problem, Wanted::Points).is_err());
    let cost = PointCost::new(cloud(3, 2, 1), cloud(4, 2, 2), 2, Ground::Euclidean).unwrap();
    assert!(chain_rule_of_distance(&cost, &solution.plan, &|_| 1.0).is_err());
}

#[test]
fn partial_and_relaxed_limits_are_stated() {
    let half = Measure::new(vec![0.5, 0.5]).unwrap();
    let cost = Arc::new(DenseCost::new(2, 2, vec![0.0, 1.0, 1.0, 0.0]).unwrap());
    let partial = Problem::partial(half.clone(), half.clone(), cost.clone(), 0.5).unwrap();
    let solution = reference(0.1).solve(&dense()).unwrap();
    assert!(implicit::gradient(&partial, &solution).is_err());
    assert!(objective::weights(&partial, &solution).is_err());
    let relaxed = Problem::relaxed(half.clone(), half, cost, 1.0, 1.0).unwrap();
    let unrolled = Unrolled::new(Reg::Absolute(0.1), 3).unwrap();
    for problem in [&partial, &relaxed] {
        let error = unrolled.value(problem).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
    assert!(Unrolled::new(Reg::Absolute(0.0), 3).is_err());
    assert!(Unrolled::new(Reg::Absolute(0.1), 0).is_err());
    assert!(unrolled.clone().start_from(vec![f64::NAN]).is_err());
    assert!(
        unrolled
            .start_from(vec![0.0; 3])
            .unwrap()
            .value(&dense())
            .is_err()
    );
}
