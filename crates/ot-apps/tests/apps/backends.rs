//! Every application by every backend, on bars that stand and bars that lie.

use std::sync::Arc;

use ot_apps::{
    Bregman, BregmanSettings, Coupling, CouplingRule, Images, KMeansSettings, LearnerSettings,
    Medoids, ModelLearner, ModelSet, Retrieval, Samples, Score, WassersteinKMeans, pixel_cost,
};
use solver_api::{Context, Ground, Reg};

use crate::solvers::solvers;
use crate::toy::Medoid;

const SIDE: usize = 4;

/// Bars in every row (class 1) and every column (class 2), `weight` bright and with a spot elsewhere.
pub(crate) fn bars(spot: f64) -> (Images, Vec<i64>) {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for at in 0..SIDE {
        for class in [1, 2] {
            let mut image = [0.0; SIDE * SIDE];
            for along in 0..SIDE {
                image[if class == 1 {
                    at * SIDE + along
                } else {
                    along * SIDE + at
                }] = 1.0;
            }
            image[(at * 7 + 3) % (SIDE * SIDE)] += spot;
            pixels.extend(image);
            labels.push(class);
        }
    }
    (
        Images::new("bars", (SIDE, SIDE), pixels).expect("valid"),
        labels,
    )
}

#[test]
fn retrieval_by_every_backend() {
    let (train, labels) = bars(0.0);
    let (test, expected) = bars(0.5);
    let context = Context::default();
    let models = ModelSet::fit(&Samples, &train, &labels, SIDE, 3, &context).expect("models");
    let cost = pixel_cost((SIDE, SIDE), &Ground::Euclidean).expect("a cost");
    for solver in solvers() {
        for score in [Score::TransportCost, Score::Objective] {
            let cost = Arc::clone(&cost);
            let retrieval = Retrieval::new(solver.as_ref(), cost, models.clone(), score);
            let retrieval = retrieval.expect("balanced");
            let found = retrieval.predict(&test, &context).expect("solved");
            let name = solver.name();
            assert_eq!(found.predictions(), expected, "{name}, {score:?}");
            assert_eq!(found.accuracy(&expected), Ok(1.0));
            let all = retrieval
                .exhaustive()
                .predict(&test, &context)
                .expect("solved");
            assert_eq!(all.nearest(), found.nearest(), "{name}, {score:?}");
            assert_eq!(all.solved(), test.len() * models.len());
        }
    }
}

#[test]
fn medoids_and_learned_models_by_every_backend() {
    let (train, labels) = bars(0.3);
    let context = Context::default();
    let cost = pixel_cost((SIDE, SIDE), &Ground::Euclidean).expect("a cost");
    for solver in solvers() {
        let name = solver.name();
        let medoids = Medoids::new(solver.as_ref(), Arc::clone(&cost), 100).expect("balanced");
        // Of bars side by side, those in the middle have the least sum of costs: a hundred of four bars are all of them.
        let one = ModelSet::fit(&medoids, &train, &labels, 1, 5, &context).expect("models");
        for (class, measure) in one.labels().iter().zip(one.measures()) {
            let middle: f64 = (0..SIDE)
                .flat_map(|along| [1, 2].map(|at| (along, at)))
                .map(|(along, at)| match class {
                    1 => measure.weights()[at * SIDE + along],
                    _ => measure.weights()[along * SIDE + at],
                })
                .sum();
            assert!(middle > 0.9, "{name}, {class}: {:?}", measure.weights());
        }
        let settings = LearnerSettings {
            samples: 64,
            batch: 8,
            ..LearnerSettings::default()
        };
        let learner = ModelLearner::new(solver.as_ref(), Arc::clone(&cost), settings);
        let learn = |threads: usize| {
            let context = Context::default().with_threads(threads).expect("a pool");
            let learner = learner.as_ref().expect("balanced");
            learner
                .fit(&one, &train, &labels, 2, &context)
                .expect("learned")
        };
        let learned = learn(1);
        assert_eq!(learned, learn(3), "{name}");
        let masses = learned
            .models()
            .measures()
            .iter()
            .map(|m| (m.mass() - 1.0).abs());
        assert!(masses.fold(0.0, f64::max) < 1e-12, "{name}");
        assert_eq!(learned.models().labels(), one.labels());
        let losses: Vec<f64> = learned.history().iter().map(|step| step.loss).collect();
        assert!(losses[7] < losses[0], "{name}: {losses:?}");
    }
}

#[test]
fn coupling_by_every_backend() {
    let (y, labels) = bars(0.0);
    let (x, expected) = bars(0.3);
    for solver in solvers() {
        for ground in [Ground::Euclidean, Ground::SqEuclidean, Ground::Log1p] {
            let coupling = Coupling::new(solver.as_ref(), ground).expect("balanced");
            let fitted = coupling
                .fit(y.pixels(), y.cells(), &labels)
                .expect("labels");
            let coupled = fitted
                .predict(x.pixels(), &mut Context::default())
                .expect("solved");
            for rule in [CouplingRule::Representative, CouplingRule::ClassSum] {
                let name = solver.name();
                assert_eq!(coupled.predictions(rule), expected, "{name}, {rule:?}");
            }
        }
    }
}

#[test]
fn kmeans_by_every_backend_and_two_barycenters() {
    let (train, labels) = bars(0.0);
    let (test, expected) = bars(0.5);
    let context = Context::default();
    let cost = pixel_cost((SIDE, SIDE), &Ground::SqEuclidean).expect("a cost");
    let bregman = BregmanSettings {
        reg: Reg::Relative(0.01),
        ..BregmanSettings::default()
    };
    let bregman = Bregman::new(bregman).expect("valid");
    for solver in solvers() {
        let medoid = Medoid(solver.as_ref());
        for barycenters in [&bregman as &dyn solver_api::Barycenters, &medoid] {
            let settings = KMeansSettings::default();
            let kind =
                WassersteinKMeans::new(solver.as_ref(), barycenters, Arc::clone(&cost), settings);
            let kind = kind.expect("balanced");
            // As many centres as samples: every sample is its own.
            let models = ModelSet::fit(&kind, &train, &labels, SIDE, 1, &context).expect("models");
            assert_eq!(models.len(), 2 * SIDE);
            let retrieval = Retrieval::new(
                solver.as_ref(),
                Arc::clone(&cost),
                models,
                Score::TransportCost,
            );
            let found = retrieval
                .expect("balanced")
                .predict(&test, &context)
                .expect("solved");
            let name = (solver.name(), barycenters.name());
            assert_eq!(found.predictions(), expected, "{name:?}");
        }
    }
}
