//! DASPOT: what it comes to, and that it can be interrupted.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::time::Duration;

use ot_nn::Network;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use solver_api::{Context, Progress, Termination};
use solver_spot::daspot::{Classifier, Daspot, DaspotSettings, Labelled, convolutions};
use solver_spot::{Error, Generator, SpotSettings, critic, perceptron};

const CENTRES: [[f32; 2]; 3] = [[-3.0, -1.0], [0.0, 2.0], [3.0, -1.0]];

/// Three classes around a triangle, `counts` points of each, turned by `angle` and moved by `by`.
fn blobs(counts: [usize; 3], angle: f32, by: [f32; 2], seed: u64) -> (Vec<f32>, Vec<usize>) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut points, mut labels) = (Vec::new(), Vec::new());
    for (class, (centre, count)) in CENTRES.iter().zip(counts).enumerate() {
        for _ in 0..count {
            let mut noise = || 0.4 * rng.sample::<f32, _>(StandardNormal);
            let (x, y) = (centre[0] + noise(), centre[1] + noise());
            points.push(angle.cos() * x - angle.sin() * y + by[0]);
            points.push(angle.sin() * x + angle.cos() * y + by[1]);
            labels.push(class);
        }
    }
    (points, labels)
}

fn network(inputs: usize, outputs: usize, seed: u64) -> Network<f32> {
    Network::new(&perceptron(inputs, 16, 1, outputs, 0.2), seed).unwrap()
}

fn daspot(source: &(Vec<f32>, Vec<usize>), target: &[f32], settings: DaspotSettings) -> Daspot {
    let classifier = |seed| Classifier::new(network(2, 6, seed), network(6, 3, seed + 1)).unwrap();
    let judge = |seed| Network::new(&critic(2, 16, 1, 0.2), seed).unwrap();
    Daspot::new(
        Generator::separate(vec![network(2, 2, 0), network(2, 2, 1)]).unwrap(),
        vec![judge(2), judge(3)],
        [classifier(4), classifier(6)],
        Labelled::new(source.0.clone(), 2, source.1.clone(), 3).unwrap(),
        target.to_vec(),
        settings,
    )
    .unwrap()
}

fn quick(steps: u64) -> DaspotSettings {
    DaspotSettings {
        spot: SpotSettings {
            steps,
            batch: 48,
            check_every: 50,
            ..DaspotSettings::default().spot
        },
        warm_steps: 150,
        // In the plane the generator finds the plan, and can be listened to.
        width: 0.1,
        confidence: 0.8,
        made_weight: 0.1,
        rate: 1e-3,
        ..DaspotSettings::default()
    }
}

fn right(found: &[usize], labels: &[usize]) -> f64 {
    let right = found.iter().zip(labels).filter(|(a, b)| a == b).count();
    right as f64 / labels.len() as f64
}

/// D_X alone is wrong about half of a target that is turned; the plan turns the classes back.
#[test]
fn a_turned_target_is_told_better_than_by_the_source_alone() {
    let source = blobs([200, 200, 200], 0.0, [0.0, 0.0], 1);
    let (target, labels) = blobs([200, 200, 200], 0.9, [0.5, -0.5], 2);
    let mut training = daspot(&source, &target, quick(1500));
    let mut looks = Vec::new();
    let ended = training.fit(&Context::default(), &mut |look| looks.push(look.clone()));
    assert_eq!(ended.unwrap().termination, Termination::IterationLimit);
    let alone = right(&training.predict_source(&target).unwrap(), &labels);
    let adapted = right(&training.predict(&target).unwrap(), &labels);
    assert!(adapted > 0.8 && adapted > alone + 0.2, "{adapted} {alone}");
    // The source is not forgotten, embeddings have not collapsed, and the pairs agree.
    assert!(right(&training.predict_source(&source.0).unwrap(), &source.1) > 0.97);
    let last = looks.last().unwrap();
    assert!(last.agreement > 0.9 && last.source_loss < 0.2, "{last:?}");
    assert_eq!((last.listening, looks[0].listening), (1.0, 0.0));
    let proba = training.predict_proba(&target).unwrap();
    assert!(
        proba
            .chunks(3)
            .all(|p| (p.iter().sum::<f64>() - 1.0).abs() < 1e-6)
    );
    assert_eq!(training.pairs(7, 0).unwrap().len(), 7);
}

/// Shares of 10, 30 and 60 % are found in a target where the source has equal ones.
#[test]
fn class_shares_of_the_target_are_found() {
    let source = blobs([200, 200, 200], 0.0, [0.0, 0.0], 3);
    let (target, labels) = blobs([60, 180, 360], 0.3, [0.3, 0.0], 4);
    let mut settings = quick(1000);
    settings.shares = 0.5;
    let mut training = daspot(&source, &target, settings);
    training.fit(&Context::default(), &mut |_| ()).unwrap();
    for (found, real) in training.shares().iter().zip([0.1, 0.3, 0.6]) {
        assert!((found - real).abs() < 0.05, "{:?}", training.shares());
    }
    assert!(right(&training.predict(&target).unwrap(), &labels) > 0.95);
}

#[test]
fn an_interrupted_training_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daspot.safetensors");
    let source = blobs([60, 60, 60], 0.0, [0.0, 0.0], 1);
    let (target, _) = blobs([60, 60, 60], 0.4, [0.5, 0.0], 2);
    let make = || daspot(&source, &target, quick(200));
    let parameters = |training: &Daspot| -> Vec<f32> {
        let classifiers = [training.source_classifier(), training.target_classifier()];
        let networks = classifiers.map(|c| [c.embedding(), c.decision()]);
        let networks = networks.iter().flatten().copied();
        let all = networks.chain(training.plan().mean().networks());
        all.flat_map(|n| n.parameters().to_vec()).collect()
    };
    let whole = |mut training: Daspot| {
        training.fit(&Context::default(), &mut |_| ()).unwrap();
        parameters(&training)
    };
    let expected = whole(make());
    assert_eq!(whole(make()), expected);

    // Once at the beginning, and once with the plan; between them, see the unit test.
    for checks in [0_u64, 2] {
        let mut first = make();
        let context = if checks == 0 {
            Context::default().time_limit(Duration::ZERO)
        } else {
            let stop = move |seen: &Progress| {
                if seen.iteration >= 50 * checks {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            Context::default().observed(stop)
        };
        let ended = first.fit(&context, &mut |_| ()).unwrap();
        let expected_end =
            [Termination::TimeLimit, Termination::Cancelled][usize::from(checks > 0)];
        assert_eq!(ended.termination, expected_end);
        first.save(&path).unwrap();
        let mut second = make();
        second.resume(&path).unwrap();
        assert_eq!(second.steps(), 50 * checks);
        assert_eq!(whole(second), expected);
        assert_eq!(whole(first), expected);
    }
    let mut other = daspot(&source, &target, quick(300));
    let refused = other.resume(&path).unwrap_err().to_string();
    assert!(
        refused.contains("steps: 200") && refused.contains("steps: 300"),
        "{refused}"
    );
}

#[test]
fn labels_that_rest_end_a_training_early() {
    let source = blobs([60, 60, 60], 0.0, [0.0, 0.0], 1);
    let (target, _) = blobs([60, 60, 60], 0.1, [0.1, 0.0], 2);
    let mut settings = quick(3000);
    settings.spot.tol = 0.02;
    settings.ramp = 0.2;
    let mut training = daspot(&source, &target, settings);
    let ended = training.fit(&Context::default(), &mut |_| ()).unwrap();
    assert_eq!(ended.termination, Termination::Converged);
    assert!(training.steps() < 3000, "{}", training.steps());
}

#[test]
fn divergence_is_said_and_leaves_finite_parameters() {
    let source = blobs([60, 60, 60], 0.0, [0.0, 0.0], 1);
    let (target, _) = blobs([60, 60, 60], 0.4, [0.5, 0.0], 2);
    for change in [
        // In f32 these are infinite.
        (|s: &mut DaspotSettings| s.source_weight = 1e300) as fn(&mut DaspotSettings),
        |s| s.target_weight = 1e300,
        |s| (s.spot.first_eta, s.spot.eta) = (1e300, 1e300),
    ] {
        let mut settings = quick(200);
        change(&mut settings);
        let mut training = daspot(&source, &target, settings);
        let error = training.fit(&Context::default(), &mut |_| ()).unwrap_err();
        assert!(matches!(error, Error::Diverged { .. }), "{error}");
        let classifiers = [training.source_classifier(), training.target_classifier()];
        let networks = classifiers
            .iter()
            .flat_map(|c| [c.embedding(), c.decision()]);
        let mut all = networks.chain(training.plan().mean().networks());
        assert!(all.all(|n| n.parameters().iter().all(|p| p.is_finite())));
    }
}

#[test]
fn images_are_embedded_by_convolutions() {
    let chain = convolutions((3, 16), &[4, 8], 10, 0.1);
    let network = Network::<f32>::new(&chain, 0).unwrap();
    assert_eq!((network.inputs(), network.outputs()), (3 * 16 * 16, 10));
    let odd = Network::<f32>::new(&convolutions((1, 5), &[2, 3], 4, 0.1), 0).unwrap();
    assert_eq!((odd.inputs(), odd.outputs()), (25, 4));
}

#[test]
fn what_does_not_fit_is_said() {
    let said = |error: Result<(), Error>| error.unwrap_err().to_string();
    let setting = |change: fn(&mut DaspotSettings)| {
        let mut settings = DaspotSettings::default();
        change(&mut settings);
        said(settings.check())
    };
    let (points, labels) = blobs([4, 4, 4], 0.0, [0.0, 0.0], 1);
    let make = |outputs: [usize; 2], classes: [usize; 2], width: usize, target: &[f32]| {
        let classifier =
            |k: usize, width| Classifier::new(network(2, width, 0), network(width, classes[k], 1));
        Daspot::new(
            Generator::separate(outputs.map(|o| network(2, o, 0)).to_vec())?,
            outputs
                .map(|o| Network::new(&critic(o, 4, 1, 0.2), 0).unwrap())
                .to_vec(),
            [classifier(0, 6)?, classifier(1, width)?],
            Labelled::new(points.clone(), 2, labels.clone(), 3)?,
            target.to_vec(),
            DaspotSettings::default(),
        )
        .map(drop)
    };
    let training = daspot(&(points.clone(), labels.clone()), &points, quick(10));
    let all = [
        setting(|s| s.spot.steps = 0),
        setting(|s| s.source_weight = -1.0),
        setting(|s| s.label_weight = f64::NAN),
        setting(|s| s.target_weight = f64::INFINITY),
        setting(|s| s.width = 0.0),
        setting(|s| s.made_weight = -1.0),
        setting(|s| s.balance = 1.1),
        setting(|s| s.confidence = 1.0),
        setting(|s| s.shares = 1.5),
        setting(|s| s.delay = -0.1),
        setting(|s| s.ramp = 0.1),
        setting(|s| s.rate = 0.0),
        setting(|s| s.warm_rate = 0.0),
        setting(|s| s.betas.0 = 1.0),
        said(Labelled::<f32>::new(vec![0.0; 2], 2, vec![0], usize::MAX).map(drop)),
        said(training.pairs(usize::MAX, 0).map(drop)),
        said(make([3, 2], [3, 3], 6, &points)),
        said(make([2, 3], [3, 3], 6, &points)),
        said(make([2, 2], [2, 3], 6, &points)),
        said(make([2, 2], [3, 4], 6, &points)),
        said(make([2, 2], [3, 3], 5, &points)),
        said(make([2, 2], [3, 3], 6, &points[1..])),
        said(make([2, 2], [3, 3], 6, &[f32::NAN, 0.0])),
        said(Classifier::new(network(2, 3, 0), network(4, 2, 0)).map(drop)),
        said(Classifier::new(network(2, 3, 0), network(3, 1, 0)).map(drop)),
        said(Labelled::new(vec![0.0_f32; 4], 2, vec![0], 2).map(drop)),
        said(Labelled::new(vec![0.0_f32; 4], 2, vec![0, 2], 2).map(drop)),
        said(Labelled::new(vec![0.0, f32::INFINITY], 1, vec![0, 1], 2).map(drop)),
        said(Labelled::new(Vec::<f32>::new(), 2, vec![], 2).map(drop)),
        said(training.predict(&[0.0]).map(drop)),
        said(training.predict_proba(&[0.0, f32::NAN]).map(drop)),
        said(training.pairs(0, 0).map(drop)),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
