//! Bad input: every message names the argument, the value and the rule.

use std::sync::Arc;

use ot_apps::learning::losses::{
    EntropicSettings, EntropicWasserstein, HierarchicalEmd, KullbackLeibler, LineWasserstein, Loss,
    RelaxedSettings, RelaxedWasserstein, SquaredError, WeightedSum, evaluate,
};
use ot_apps::learning::{
    LabelCost, Linear, Optimizer, Targets, Training, WassersteinClassifier, train,
};
use solver_api::{Context, Ground, Reg, Tree};

fn said<T, E: ToString>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_no_metric_is_said() {
    let tree = Tree::new(&[0, 0, 0], &[0.0, 1.0, 1.0]).unwrap();
    insta::assert_snapshot!(
        [
            said(LabelCost::new(1, [0.0])),
            said(LabelCost::new(2, [0.0, 1.0])),
            said(LabelCost::new(2, [0.0, -1.0, 1.0, 0.0])),
            said(LabelCost::new(2, [0.0, 1.0, f64::NAN, 0.0])),
            said(LabelCost::new(2, [0.0; 4])),
            said(LabelCost::ordered(10, -1.0)),
            said(LabelCost::ordered(10, 1000.0)),
            said(LabelCost::lattice((1, 1), &Ground::Euclidean)),
            said(LabelCost::between(&[0.0, 1.0, 2.0], 2, &Ground::Euclidean)),
            said(LabelCost::between(&[0.0, f64::NAN], 1, &Ground::Euclidean)),
            said(LabelCost::between_words(&[1.0, 0.0, 0.0, 0.0], 2)),
            said(LabelCost::tree(tree, &[1, 7])),
        ]
        .join("\n")
    );
}

#[test]
fn what_is_no_target_is_said() {
    insta::assert_snapshot!(
        [
            said(Targets::new(1, [1.0])),
            said(Targets::new(3, [1.0, 0.0])),
            said(Targets::new(3, [])),
            said(Targets::new(2, [1.0, 0.0, -0.5, 1.5])),
            said(Targets::new(2, [1.0, f64::INFINITY])),
            said(Targets::new(2, [1.0, 0.0, 0.0, 0.0])),
            said(Targets::from_classes(3, &[0, 3])),
            said(Targets::from_classes(3, &[])),
            said(Targets::from_sets(3, &[vec![0], vec![]])),
            said(Targets::from_sets(3, &[vec![0, 0]])),
        ]
        .join("\n")
    );
}

#[test]
fn what_is_wrong_with_settings_is_said() {
    let cost = LabelCost::ordered(3, 1.0).unwrap();
    let entropic = |change: fn(&mut EntropicSettings)| {
        let mut settings = EntropicSettings::default();
        change(&mut settings);
        said(EntropicWasserstein::new(&cost, settings))
    };
    let relaxed = |gamma_a, gamma_b| {
        let settings = RelaxedSettings {
            gamma_a,
            gamma_b,
            ..RelaxedSettings::default()
        };
        said(RelaxedWasserstein::new(&cost, settings))
    };
    let training = |change: fn(&mut Training)| {
        let mut training = Training::default();
        change(&mut training);
        said(WassersteinClassifier::new(
            Arc::new(KullbackLeibler),
            training,
        ))
    };
    let tree = Arc::new(Tree::new(&[0, 0, 0], &[0.0, 1.0, 1.0]).unwrap());
    let three: Arc<dyn Loss> = Arc::new(LineWasserstein::bins(3, 1.0).unwrap());
    let four: Arc<dyn Loss> = Arc::new(LineWasserstein::bins(4, 1.0).unwrap());
    insta::assert_snapshot!(
        [
            entropic(|s| s.reg = Reg::Relative(0.0)),
            entropic(|s| s.reg = Reg::Absolute(1e-3)),
            entropic(|s| s.iterations = 0),
            entropic(|s| s.tol = f64::NAN),
            relaxed(0.0, 1.0),
            relaxed(1.0, f64::INFINITY),
            said(LineWasserstein::bins(3, 0.5)),
            said(LineWasserstein::new([0.0], 1.0)),
            said(LineWasserstein::new([0.0, 2.0, 1.0], 1.0)),
            said(LineWasserstein::new([0.0, f64::NAN], 1.0)),
            said(LineWasserstein::new([0.0, 1e200], 2.0)),
            said(HierarchicalEmd::new(Arc::clone(&tree), &[1, 2], 0.5)),
            said(HierarchicalEmd::new(Arc::clone(&tree), &[1, 3], 1.0)),
            said(HierarchicalEmd::new(Arc::clone(&tree), &[1, 1], 1.0)),
            said(HierarchicalEmd::new(tree, &[1], 1.0)),
            said(WeightedSum::new(vec![])),
            said(WeightedSum::new(vec![(-1.0, Arc::clone(&three))])),
            said(WeightedSum::new(vec![
                (1.0, Arc::clone(&three)),
                (1.0, four)
            ])),
            said(WeightedSum::with_kl(three, f64::NAN)),
            training(|t| t.epochs = 0),
            training(|t| t.batch = 0),
            training(|t| t.rate = -1.0),
            training(|t| t.decay = f64::NAN),
            training(|t| t.l2 = -1.0),
            training(|t| t.validation = 1.0),
            training(|t| t.patience = Some(0)),
            training(|t| t.optimizer = Optimizer::Sgd { momentum: 1.0 }),
            training(|t| t.optimizer = Optimizer::Adam {
                beta1: 0.9,
                beta2: 0.9,
                eps: 0.0
            }),
            said(Linear::zeros(0, 3)),
            said(Linear::random(2, 3, f64::NAN, 0)),
        ]
        .join("\n")
    );
}

#[test]
fn what_is_wrong_with_rows_is_said() {
    let cost = LabelCost::ordered(3, 1.0).unwrap();
    let entropic = EntropicWasserstein::new(&cost, EntropicSettings::default()).unwrap();
    let relaxed = RelaxedWasserstein::new(&cost, RelaxedSettings::default()).unwrap();
    let line = LineWasserstein::bins(3, 1.0).unwrap();
    let of = |loss: &dyn Loss, labels: usize, h: &[f64], y: &[f64]| {
        said(evaluate(loss, labels, h, y, &mut Context::default()))
    };
    let even = [0.25, 0.25, 0.5];
    insta::assert_snapshot!(
        [
            of(&line, 3, &even[..2], &even),
            of(&line, 3, &even, &even[..2]),
            of(&line, 2, &[0.5, 0.5], &[0.5, 0.5]),
            of(&line, 3, &[0.25, 0.25, f64::NAN], &even),
            of(&line, 3, &[0.25, 0.25, 0.6], &even),
            of(&line, 3, &[0.0; 3], &[0.0; 3]),
            of(&entropic, 3, &[0.5, 0.5, 0.0], &even),
            of(&entropic, 3, &even, &[0.5, -0.5, 1.0]),
            of(&relaxed, 3, &even, &[0.0; 3]),
            of(&KullbackLeibler, 3, &[0.5, 0.5, 0.0], &even),
            of(&SquaredError, 3, &[f64::INFINITY, 0.0, 0.0], &even),
        ]
        .join("\n")
    );
}

#[test]
fn what_is_wrong_with_samples_is_said() {
    let cost = LabelCost::ordered(3, 1.0).unwrap();
    let loss = Arc::new(EntropicWasserstein::new(&cost, EntropicSettings::default()).unwrap());
    let classifier =
        WassersteinClassifier::new(Arc::clone(&loss) as Arc<dyn Loss>, Training::default());
    let classifier = classifier.unwrap();
    let context = Context::default();
    let x = [0.0, 1.0, 2.0, 3.0];
    let fit =
        |x: &[f64], dim: usize, labels: &[i64]| said(classifier.fit(x, dim, labels, &context));
    let targets = Targets::from_classes(3, &[0, 1, 2, 2]).unwrap();
    let run = |outputs: usize, loss: &dyn Loss, x: &[f64], training: Training| {
        let mut model = Linear::zeros(1, outputs).unwrap();
        said(train(&mut model, loss, x, &targets, &training, &context))
    };
    let plain = Training::default();
    let wild = Training {
        rate: 1e308,
        optimizer: Optimizer::Sgd { momentum: 0.0 },
        ..plain
    };
    let all_out = Training {
        validation: 0.9,
        ..plain
    };
    let fitted = classifier.fit(&x, 1, &[0, 1, 2, 2], &context).unwrap();
    insta::assert_snapshot!(
        [
            fit(&x, 1, &[0, 1, 2]),
            fit(&x, 1, &[]),
            fit(&x, 1, &[5; 4]),
            fit(&x, 1, &[5, 6, 6, 6]),
            fit(&x, 3, &[0, 1]),
            fit(&x, 0, &[0, 1]),
            fit(&[], 1, &[]),
            fit(&[0.0, f64::NAN, 1.0], 1, &[0, 1, 2]),
            said(classifier.clone().with_classes(&[0, 1])),
            said(classifier.clone().with_classes(&[0, 1, 1])),
            said(classifier.clone().with_classes(&[0, 1, 9]).unwrap().fit(
                &x,
                1,
                &[0, 1, 0, 1],
                &context
            )),
            said(classifier.clone().with_classes(&[0, 1, 2]).unwrap().fit(
                &x,
                1,
                &[0, 1, 2, 3],
                &context
            )),
            run(2, &KullbackLeibler, &x, plain),
            run(3, &LineWasserstein::bins(4, 1.0).unwrap(), &x, plain),
            run(3, &KullbackLeibler, &x[..3], plain),
            run(3, &KullbackLeibler, &x, wild),
            run(3, &KullbackLeibler, &x, all_out),
            said(fitted.predict(&[f64::NAN])),
            said(fitted.predict(&[])),
            said(fitted.accuracy(&x, &[1])),
        ]
        .join("\n")
    );
}
