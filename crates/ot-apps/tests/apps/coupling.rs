//! The two rules where they differ, and plans that can be told by hand.

use ot_apps::{Coupling, CouplingRule};
use solver_api::{Context, Ground};
use solver_exact::NetworkSimplex;

#[test]
fn the_rules_differ_where_a_class_has_many_representatives() {
    // One sample at 0 sends a third to each of three representatives: two of class 5 and one of class 9. The largest
    // entry is the first of equals; class 5 has two thirds.
    let solver = NetworkSimplex::default();
    let coupling = Coupling::new(&solver, Ground::Euclidean).expect("balanced");
    let fitted = coupling
        .fit(&[1.0, 2.0, 3.0], 1, &[9, 5, 5])
        .expect("labels");
    let coupled = fitted
        .predict(&[0.0], &mut Context::default())
        .expect("solved");
    assert_eq!(coupled.predictions(CouplingRule::Representative), [9]);
    assert_eq!(coupled.predictions(CouplingRule::ClassSum), [5]);
    assert!((coupled.solution().transport_cost - 2.0).abs() < 1e-12);
}

#[test]
fn an_outlier_moves_a_convex_plan_and_no_concave_one() {
    // 000, figure 2, on a line: samples at 0 … 4, representatives a step to the left and an outlier, at 10. A convex
    // cost moves everybody by one place; a concave one leaves what can stay, and takes one far jump.
    let x: Vec<f64> = (0..5).map(f64::from).collect();
    let y = [1.0, 2.0, 3.0, 4.0, 10.0];
    let solver = NetworkSimplex::default();
    let predict = |ground: Ground| {
        let coupling = Coupling::new(&solver, ground).expect("balanced");
        let fitted = coupling.fit(&y, 1, &[1, 2, 3, 4, 10]).expect("labels");
        let coupled = fitted.predict(&x, &mut Context::default()).expect("solved");
        coupled.predictions(CouplingRule::Representative)
    };
    assert_eq!(predict(Ground::SqEuclidean), [1, 2, 3, 4, 10]);
    assert_eq!(predict(Ground::Log1p), [10, 1, 2, 3, 4]);
    assert_eq!(predict(Ground::Power(0.5)), [10, 1, 2, 3, 4]);
}
