//! Losses by any solver: every backend with the capability, and one of the test's own.

use std::sync::Arc;

use ot_apps::learning::losses::{Loss, TransportLoss, evaluate};
use ot_apps::learning::{LabelCost, Training, WassersteinClassifier};
use solver_api::{Context, Factory, Ground, Options, Reg};
use solver_sinkhorn::SinkhornFactory;

use super::{close, of, rows, sparse};
use crate::solvers::{entropic, exact, sharp};
use crate::toy::{Plain, RelaxedOnly};

#[test]
fn exact_backends_agree() {
    let cost = LabelCost::lattice((2, 3), &Ground::Euclidean).unwrap();
    let (h, y) = (rows(3, 6, 1.0, 1), sparse(3, 6, 2, 2));
    let mut wanted: Option<Vec<f64>> = None;
    for solver in exact() {
        let loss = TransportLoss::new(solver.as_ref(), cost.clone()).unwrap();
        let (values, gradient) = of(&loss, 6, &h, &y);
        let wanted = wanted.get_or_insert_with(|| values.clone());
        for row in 0..3 {
            close(values[row], wanted[row], 1e-7, solver.name());
            // Differences of potentials along a way of mass, which any of them knows.
            let other = rows(1, 6, 1.0, 20 + row as u64);
            let there = of(&loss, 6, &other, &y[row * 6..(row + 1) * 6]).0[0];
            let slope: f64 = (0..6)
                .map(|k| gradient[row * 6 + k] * (other[k] - h[row * 6 + k]))
                .sum();
            assert!(there >= values[row] + slope - 1e-7, "{}", solver.name());
        }
    }
}

#[test]
fn entropic_backends_agree_with_a_solver_of_the_tests_own() {
    let cost = LabelCost::lattice((2, 3), &Ground::Euclidean).unwrap();
    let (h, y) = (rows(3, 6, 1.0, 1), rows(3, 6, 1.0, 2));
    let (values, gradient) = of(
        &TransportLoss::new(&Plain(0.2), cost.clone()).unwrap(),
        6,
        &h,
        &y,
    );
    for solver in entropic(&sharp(0.2)) {
        let found = of(
            &TransportLoss::new(solver.as_ref(), cost.clone()).unwrap(),
            6,
            &h,
            &y,
        );
        for row in 0..3 {
            close(found.0[row], values[row], 1e-8, solver.name());
        }
        for (found, wanted) in found.1.iter().zip(&gradient) {
            close(*found, *wanted, 1e-7, solver.name());
        }
        let relaxed = TransportLoss::relaxed(solver.as_ref(), cost.clone(), 1e6, 1e6).unwrap();
        let soft = of(&relaxed, 6, &h, &y);
        for row in 0..3 {
            close(soft.0[row], values[row], 1e-5, solver.name());
        }
    }
}

#[test]
fn classifiers_by_every_backend() {
    let (x, labels) = super::training::blobs(3, 8, 5);
    let mut solvers = exact();
    solvers.extend(entropic(&sharp(0.1)));
    solvers.push(Box::new(Plain(0.2)));
    let training = Training {
        epochs: 30,
        batch: 8,
        rate: 0.2,
        ..Training::default()
    };
    for solver in &solvers {
        let cost = LabelCost::ordered(3, 1.0).unwrap();
        let loss = TransportLoss::new(solver.as_ref(), cost).unwrap();
        let classifier = WassersteinClassifier::new(Arc::new(loss), training).unwrap();
        // A toy solver that knows positive weights alone gets targets of no zeros.
        let fitted = if solver.name() == "plain" {
            let soft = labels
                .iter()
                .flat_map(|l| (0..3).map(move |k| if k == *l { 0.98 } else { 0.01 }));
            let targets = ot_apps::learning::Targets::new(3, soft.collect::<Vec<_>>()).unwrap();
            let predictor = classifier
                .fit_targets(&x, 2, &targets, &Context::default())
                .unwrap();
            predictor
                .predict_labels(&x)
                .unwrap()
                .iter()
                .map(|k| *k as i64)
                .collect()
        } else {
            let fitted = classifier.fit(&x, 2, &labels, &Context::default()).unwrap();
            fitted.predict(&x).unwrap()
        };
        assert_eq!(fitted, labels, "{}", solver.name());
    }
}

#[test]
fn what_a_solver_lacks_is_named() {
    let cost = LabelCost::ordered(3, 1.0).unwrap();
    let missing =
        |result: Result<TransportLoss<'_>, ot_apps::Error>| result.err().unwrap().to_string();
    assert_eq!(
        missing(TransportLoss::new(&RelaxedOnly, cost.clone())),
        "`relaxed-only` can't solve this problem: it lacks `balanced`"
    );
    assert_eq!(
        missing(TransportLoss::relaxed(&Plain(1.0), cost.clone(), 1.0, 1.0)),
        "`plain` can't solve this problem: it lacks `relaxed`"
    );
    // A solve that did not converge has no gradient.
    let options = Options {
        reg: Some(Reg::Absolute(0.05)),
        max_iter: Some(1),
        ..Options::default()
    };
    let hasty = SinkhornFactory.build(&options).unwrap();
    let loss = TransportLoss::new(hasty.as_ref(), cost).unwrap();
    let (h, y) = (rows(1, 3, 1.0, 1), rows(1, 3, 1.0, 2));
    let error = evaluate(&loss, 3, &h, &y, &mut Context::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("stopped by iteration-limit after 1"),
        "{error}"
    );
    assert_eq!(loss.name(), "sinkhorn");
}
