//! Trainings: what they reach, and what they promise.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use ot_apps::learning::losses::{
    EntropicSettings, EntropicWasserstein, HierarchicalEmd, KullbackLeibler, LineWasserstein, Loss,
    RelaxedSettings, RelaxedWasserstein, SquaredError, TransportLoss, WeightedSum,
};
use ot_apps::learning::{
    Head, LabelCost, Linear, Model, NetworkModel, Optimizer, Targets, Training,
    WassersteinClassifier, train,
};
use ot_nn::Layer;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use solver_api::{CancelToken, Context, Ground, Progress, Tree};
use solver_exact::NetworkSimplex;

use super::{rows, sparse};

/// `each` points in the plane around each of `classes` places on a circle.
pub(super) fn blobs(classes: usize, each: usize, seed: u64) -> (Vec<f64>, Vec<i64>) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for k in 0..classes * each {
        let class = k % classes;
        let angle = class as f64 / classes as f64 * std::f64::consts::TAU;
        for centre in [angle.cos(), angle.sin()] {
            let noise: f64 = StandardNormal.sample(&mut rng);
            x.push(3.0 * centre + 0.3 * noise);
        }
        labels.push(class as i64);
    }
    (x, labels)
}

fn losses(labels: usize) -> Vec<Arc<dyn Loss>> {
    let cost = LabelCost::ordered(labels, 1.0).unwrap().scaled();
    let parent: Vec<usize> = (0..=labels).map(|_| labels).collect();
    let star = Tree::new(&parent, &vec![0.5; labels + 1]).unwrap();
    let nodes: Vec<usize> = (0..labels).collect();
    let entropic = Arc::new(EntropicWasserstein::new(&cost, EntropicSettings::default()).unwrap());
    vec![
        Arc::new(KullbackLeibler),
        Arc::new(SquaredError),
        Arc::clone(&entropic) as Arc<dyn Loss>,
        Arc::new(RelaxedWasserstein::new(&cost, RelaxedSettings::default()).unwrap()),
        Arc::new(LineWasserstein::bins(labels, 2.0).unwrap()),
        Arc::new(HierarchicalEmd::new(star, &nodes, 2.0).unwrap()),
        Arc::new(WeightedSum::with_kl(entropic, 0.3).unwrap()),
    ]
}

#[test]
fn every_loss_learns_classes() {
    let (x, labels) = blobs(4, 30, 1);
    let (test, expected) = blobs(4, 30, 2);
    for (optimizer, rate) in [
        (Optimizer::default(), 0.1),
        (Optimizer::Sgd { momentum: 0.9 }, 0.3),
    ] {
        for loss in losses(4) {
            let training = Training {
                batch: 20,
                rate,
                optimizer,
                ..Training::default()
            };
            let name = loss.name();
            let classifier = WassersteinClassifier::new(loss, training).unwrap();
            let fitted = classifier.fit(&x, 2, &labels, &Context::default()).unwrap();
            assert_eq!(
                fitted.accuracy(&test, &expected),
                Ok(1.0),
                "{name}, {optimizer:?}"
            );
            let losses = &fitted.predictor().history().training;
            assert!(losses[49] < 0.7 * losses[0], "{name}: {losses:?}");
        }
    }
}

/// Labels that are taken for their neighbours: the median of what is seen is still right, the most frequent is not.
#[test]
fn a_ground_metric_sees_through_noise() {
    let mut rng = Pcg64::seed_from_u64(3);
    let (mut x, mut labels, mut clean) = (Vec::new(), Vec::new(), Vec::new());
    for k in 0..3000 {
        // One feature for each label, so that a linear model can say anything.
        let (label, mut row) = (k % 5, [0.0; 5]);
        row[label] = 1.0;
        x.extend(row);
        clean.push(label);
        // Half again as many fall on one neighbour as stay, and as many on the other as come back.
        labels.push(match rng.random_range(0..100) {
            0..30 => label,
            30..70 if label > 0 => label - 1,
            70..100 if label < 4 => label + 1,
            _ => label,
        });
    }
    let targets = Targets::from_classes(5, &labels).unwrap();
    let cost = LabelCost::ordered(5, 1.0).unwrap().scaled();
    let right = |loss: Arc<dyn Loss>| {
        let training = Training {
            rate: 0.2,
            ..Training::default()
        };
        let classifier = WassersteinClassifier::new(loss, training).unwrap();
        let fitted = classifier
            .fit_targets(&x, 5, &targets, &Context::default())
            .unwrap();
        let said = fitted.predict_labels(&x).unwrap();
        said.iter().zip(&clean).filter(|(s, c)| s == c).count()
    };
    let wasserstein = EntropicWasserstein::new(&cost, EntropicSettings::default()).unwrap();
    // Labels 1, 2 and 3 are said more often as the one below.
    assert_eq!(right(Arc::new(KullbackLeibler)), 1200);
    assert_eq!(right(Arc::new(wasserstein)), 3000);
}

#[test]
fn distributions_and_masses_are_learned() {
    // One sample each of three distributions, told by one feature each: nothing stands in the way of the targets.
    let x = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let targets = Targets::new(6, rows(3, 6, 1.0, 4)).unwrap();
    let training = Training {
        epochs: 2000,
        batch: 3,
        rate: 0.05,
        decay: 0.996,
        ..Training::default()
    };
    let context = Context::default();
    let gap = |loss: Arc<dyn Loss>, training: Training, targets: &Targets| {
        let learner = WassersteinClassifier::new(loss, training).unwrap();
        let found = learner
            .fit_targets(&x, 3, targets, &context)
            .unwrap()
            .predict_proba(&x)
            .unwrap();
        let gaps = found
            .iter()
            .zip(targets.weights())
            .map(|(f, t)| (f - t).abs());
        gaps.fold(0.0, f64::max)
    };
    for loss in [
        Arc::new(KullbackLeibler) as Arc<dyn Loss>,
        Arc::new(SquaredError),
        Arc::new(LineWasserstein::bins(6, 1.0).unwrap()),
        Arc::new(LineWasserstein::bins(6, 2.0).unwrap()),
    ] {
        let name = loss.name();
        let gap = gap(loss, training, &targets);
        assert!(gap < 2e-3, "{name}: {gap}");
    }
    // Masses from 0.5 to 2, by a relaxed loss whose entropy is small: predictions have nearly the mass of the targets.
    let cost = LabelCost::ordered(6, 1.0).unwrap().scaled();
    let settings = RelaxedSettings {
        reg: solver_api::Reg::Relative(0.01),
        iterations: 200,
        ..RelaxedSettings::default()
    };
    let loss = Arc::new(RelaxedWasserstein::new(&cost, settings).unwrap());
    let uneven: Vec<f64> = rows(3, 6, 1.0, 4)
        .iter()
        .enumerate()
        .map(|(k, w)| w * [0.5, 1.0, 2.0][k / 6])
        .collect();
    let targets = Targets::new(6, uneven).unwrap();
    let training = Training {
        head: Head::Softplus,
        ..training
    };
    let learner = WassersteinClassifier::new(loss, training).unwrap();
    let found = learner
        .fit_targets(&x, 3, &targets, &context)
        .unwrap()
        .predict_proba(&x)
        .unwrap();
    for (k, row) in found.chunks_exact(6).enumerate() {
        let (mass, wanted): (f64, f64) = (row.iter().sum(), [0.5, 1.0, 2.0][k]);
        assert!((mass / wanted - 1.0).abs() < 0.1, "{mass} for {wanted}");
    }
}

#[test]
fn seeds_decide_and_threads_do_not() {
    let (x, labels) = blobs(4, 20, 1);
    let cost = LabelCost::lattice((2, 2), &Ground::Euclidean).unwrap();
    let exact = NetworkSimplex::default();
    let fit = |loss: Arc<dyn Loss + '_>, seed: u64, threads: usize| {
        let training = Training {
            epochs: 5,
            batch: 16,
            seed,
            validation: 0.2,
            ..Training::default()
        };
        let context = Context::default().with_threads(threads).unwrap();
        let classifier = WassersteinClassifier::new(loss, training).unwrap();
        let fitted = classifier.fit(&x, 2, &labels, &context).unwrap();
        let history = fitted.predictor().history().clone();
        (fitted.predictor().model().parameters().to_vec(), history)
    };
    let mut all: Vec<Arc<dyn Loss + '_>> =
        vec![Arc::new(TransportLoss::new(&exact, cost).unwrap())];
    for loss in losses(4) {
        all.push(loss);
    }
    for loss in all {
        let first = fit(Arc::clone(&loss), 7, 1);
        for threads in [1, 2, 5] {
            assert_eq!(first, fit(Arc::clone(&loss), 7, threads), "{}", loss.name());
        }
        assert_ne!(first, fit(Arc::clone(&loss), 8, 1), "{}", loss.name());
    }
}

#[test]
fn training_ends_early_with_the_best_parameters() {
    // Targets that the features know nothing of: what is held out gets worse.
    let x = rows(40, 30, 30.0, 1);
    let targets = Targets::new(4, sparse(40, 4, 4, 2)).unwrap();
    let training = Training {
        epochs: 500,
        batch: 10,
        rate: 0.1,
        decay: 1.0,
        validation: 0.5,
        patience: Some(10),
        ..Training::default()
    };
    let mut model = Linear::zeros(30, 4).unwrap();
    let context = Context::default();
    let history = train(
        &mut model,
        &KullbackLeibler,
        &x,
        &targets,
        &training,
        &context,
    )
    .unwrap();
    assert_eq!(history.validation.len(), history.kept + 11);
    let best = history.validation[history.kept];
    assert!(history.validation.iter().all(|v| *v >= best));
    // The same again for as many epochs as were kept is the same model.
    let short = Training {
        epochs: history.kept + 1,
        patience: None,
        ..training
    };
    let mut again = Linear::zeros(30, 4).unwrap();
    train(&mut again, &KullbackLeibler, &x, &targets, &short, &context).unwrap();
    assert_eq!(model.parameters(), again.parameters());
    // A penalty keeps weights small.
    let strong = Training { l2: 1.0, ..short };
    let mut small = Linear::zeros(30, 4).unwrap();
    train(
        &mut small,
        &KullbackLeibler,
        &x,
        &targets,
        &strong,
        &context,
    )
    .unwrap();
    let squares = |m: &Linear| m.coefficients().iter().map(|w| w * w).sum::<f64>();
    assert!(squares(&small) < 0.5 * squares(&model));
}

#[test]
fn classes_stand_in_the_order_of_the_metric() {
    let (x, labels) = blobs(3, 20, 1);
    let cost = LabelCost::new(3, [0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0]).unwrap();
    let loss = EntropicWasserstein::new(&cost, EntropicSettings::default()).unwrap();
    let training = Training {
        rate: 0.1,
        ..Training::default()
    };
    let classifier = WassersteinClassifier::new(Arc::new(loss), training).unwrap();
    let fitted = classifier.with_classes(&[1, 2, 0]).unwrap();
    let fitted = fitted.fit(&x, 2, &labels, &Context::default()).unwrap();
    assert_eq!(fitted.classes(), [1, 2, 0]);
    assert_eq!(fitted.accuracy(&x, &labels), Ok(1.0));
    // Class 2 is between the others: where 1 is right, it gets more than 0.
    let h = fitted.predict_proba(&x).unwrap();
    let ones = h.chunks_exact(3).zip(&labels).filter(|(_, l)| **l == 1);
    assert!(ones.clone().count() == 20 && ones.into_iter().all(|(h, _)| h[1] > h[2]));
}

#[test]
fn observers_hear_of_epochs_and_may_stop() {
    let (x, labels) = blobs(3, 10, 1);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let context = Context::default().observed(move |p: &Progress| {
        ear.lock().unwrap().push((p.iteration, p.part, p.error));
        if p.iteration == 4 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let exact = NetworkSimplex::default();
    let cost = LabelCost::ordered(3, 1.0).unwrap();
    let loss = TransportLoss::new(&exact, cost).unwrap();
    let training = Training {
        epochs: 8,
        ..Training::default()
    };
    let classifier = WassersteinClassifier::new(Arc::new(loss), training).unwrap();
    let stopped = classifier.fit(&x, 2, &labels, &context).err().unwrap();
    assert_eq!(
        stopped.to_string(),
        "stopped by cancelled after 4 of 8 epochs"
    );
    let heard = heard.lock().unwrap();
    assert_eq!(heard.iter().map(|h| h.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(heard[3].1 == Some(0.5) && heard[3].2 < heard[0].2);
    let token = CancelToken::new();
    token.cancel();
    let context = Context::default().cancelled_by(&token);
    assert!(classifier.fit(&x, 2, &labels, &context).is_err());
}

/// Classes on rings, which no line tells apart.
#[test]
fn a_network_learns_what_a_linear_model_cannot() {
    let mut rng = Pcg64::seed_from_u64(5);
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for k in 0..300 {
        let angle = rng.random::<f64>() * std::f64::consts::TAU;
        let radius = f64::from(k % 3) + 0.4 * rng.random::<f64>();
        x.extend([radius * angle.cos(), radius * angle.sin()]);
        labels.push(i64::from(k % 3));
    }
    let cost = LabelCost::ordered(3, 1.0).unwrap().scaled();
    let loss = EntropicWasserstein::new(&cost, EntropicSettings::default()).unwrap();
    let training = Training {
        epochs: 200,
        batch: 30,
        rate: 0.02,
        decay: 0.99,
        ..Training::default()
    };
    let classifier = WassersteinClassifier::new(Arc::new(loss), training).unwrap();
    let context = Context::default();
    let linear = classifier.fit(&x, 2, &labels, &context).unwrap();
    let accuracy = linear.accuracy(&x, &labels).unwrap();
    assert!(accuracy < 0.75, "{accuracy}");
    for activation in [Layer::Tanh, Layer::LeakyRelu { slope: 0.1 }] {
        let network = classifier.fit_model(&x, 2, &labels, &context, |inputs, outputs| {
            let model = NetworkModel::two_layers(inputs, 24, outputs, activation, 1)?;
            Ok(Box::new(model))
        });
        let network = network.unwrap();
        assert_eq!(network.predictor().model().name(), "network");
        let accuracy = network.accuracy(&x, &labels).unwrap();
        assert!(accuracy > 0.97, "{activation:?}: {accuracy}");
    }
    let refused = classifier.fit_model(&x, 2, &labels, &context, |inputs, outputs| {
        let model = NetworkModel::two_layers(inputs, 0, outputs, Layer::Tanh, 1)?;
        Ok(Box::new(model))
    });
    let said = refused.err().unwrap().to_string();
    assert_eq!(said, "layer 0: `outputs` = 0: must be at least 1");
}
