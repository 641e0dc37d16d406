//! A network that reads the costs to all models: by every backend, and where the nearest model says nothing.

use std::sync::Arc;

use ot_apps::learning::Training;
use ot_apps::{
    DissimilarityClassifier, DissimilaritySettings, Images, ModelSet, Score, pixel_cost,
};
use solver_api::{Context, Cost, DenseCost, DenseData, Ground};
use solver_exact::NetworkSimplex;

use crate::backends::bars;
use crate::refusals::said;
use crate::solvers::solvers;

fn ground(side: usize) -> Arc<dyn Cost> {
    pixel_cost((side, side), &Ground::Euclidean).expect("a cost")
}

fn settings(hidden: usize, epochs: usize) -> DissimilaritySettings {
    DissimilaritySettings {
        hidden,
        training: Training {
            epochs,
            ..DissimilaritySettings::default().training
        },
    }
}

/// One image of side 4 with two spots for each of `pairs`.
fn spots(pairs: &[(usize, usize)]) -> Images {
    let mut pixels = Vec::new();
    for &(one, other) in pairs {
        let mut image = [0.0; 16];
        image[one] += 1.0;
        image[other] += 0.5;
        pixels.extend(image);
    }
    Images::new("spots", (4, 4), pixels).expect("valid")
}

#[test]
fn bars_by_every_backend_for_any_number_of_threads() {
    let (train, labels) = bars(0.2);
    let (test, expected) = bars(0.4);
    let models = ModelSet::new(&train, &labels).expect("models");
    for solver in solvers() {
        let name = solver.name();
        let fitted = DissimilarityClassifier::new(
            solver.as_ref(),
            ground(4),
            models.clone(),
            Score::TransportCost,
            settings(8, 100),
        )
        .expect("balanced");
        let answer = |threads: usize| {
            let context = Context::default().with_threads(threads).expect("a pool");
            let fitted = fitted.fit(&train, &labels, &context).expect("fitted");
            assert_eq!(fitted.classes(), [1, 2]);
            fitted.predict(&test, &context).expect("solved")
        };
        let found = answer(1);
        assert_eq!(found.predictions(), expected, "{name}");
        assert_eq!(found.accuracy(&expected), Ok(1.0), "{name}");
        assert_eq!(found, answer(3), "{name}");
        for weights in found.probabilities().chunks_exact(2) {
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{name}");
        }
    }
}

/// Models in two corners, and classes that are near to both or far from both: which model is nearer tells nothing, and the
/// classes are others than those of the models. In any unit of the cost.
#[test]
fn classes_that_the_nearest_model_does_not_tell() {
    let corners = spots(&[(0, 0), (3, 3), (12, 12)]);
    let models = ModelSet::new(&corners, &[0, 1, 2]).expect("models");
    // Along the upper edge, and in the lower right corner.
    let train = spots(&[
        (1, 2),
        (2, 1),
        (0, 3),
        (3, 0),
        (15, 14),
        (15, 10),
        (11, 15),
        (15, 15),
    ]);
    let test = spots(&[(1, 1), (2, 2), (14, 15), (11, 11)]);
    let (labels, expected) = ([7, 7, 7, 7, 9, 9, 9, 9], [7, 7, 9, 9]);
    let (context, solver) = (Context::default(), NetworkSimplex::default());
    let entries = DenseCost::materialize(ground(4).as_ref()).expect("a matrix");
    let DenseData::F64(entries) = entries.data() else {
        unreachable!("costs of points are f64")
    };
    for unit in [0.25, 1.0, 1024.0] {
        let scaled: Vec<f64> = entries.iter().map(|c| unit * c).collect();
        let cost = Arc::new(DenseCost::new(16, 16, scaled).expect("a cost"));
        let score = Score::TransportCost;
        let classifier =
            DissimilarityClassifier::new(&solver, cost, models.clone(), score, settings(8, 200));
        let fitted = classifier
            .expect("valid")
            .fit(&train, &labels, &context)
            .expect("fitted");
        let found = fitted.predict(&test, &context).expect("solved");
        assert_eq!(found.predictions(), expected, "unit {unit}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let (train, labels) = bars(0.2);
    let solver = NetworkSimplex::default();
    let of = |models: ModelSet, settings| {
        DissimilarityClassifier::new(&solver, ground(4), models, Score::TransportCost, settings)
    };
    let context = Context::default();
    let models = ModelSet::new(&train, &labels).expect("models");
    let classifier = of(models.clone(), settings(4, 2)).expect("valid");
    let small = Images::new("small", (2, 2), vec![1.0; 4]).expect("valid");
    let fitted = classifier.fit(&train, &labels, &context).expect("fitted");
    insta::assert_snapshot!(
        [
            said(of(models, settings(4, 0))),
            said(classifier.fit(&train, &labels[1..], &context)),
            said(classifier.fit(&train, &[1; 8], &context)),
            said(classifier.fit(&small, &[1], &context)),
            said(fitted.predict(&small, &context)),
        ]
        .join("\n")
    );
}
