//! Class proportions of a target: known mixtures, every backend, and the ways back into adaptation.

use std::collections::BTreeMap;

use ot_apps::Adaptation;
use ot_apps::adaptation::{
    AdaptationSettings, CostScale, Domain, ProportionEstimation, ProportionSettings,
};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use solver_api::{Context, Reg};
use solver_exact::NetworkSimplex;
use solver_stabilized::{Settings, SinkhornStabilized};

use crate::refusals::said;
use crate::solvers::solvers;
use crate::toy::RelaxedOnly;

/// `counts[k]` points of a Gaussian around `means[k]`, with class 10·k.
fn draw(counts: &[usize], means: &[[f64; 2]], seed: u64) -> (Vec<f64>, Vec<i64>) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut points, mut labels) = (Vec::new(), Vec::new());
    for (k, (count, mean)) in counts.iter().zip(means).enumerate() {
        for _ in 0..*count {
            let noise: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
            points.extend([mean[0] + noise[0], mean[1] + noise[1]]);
            labels.push(10 * k as i64);
        }
    }
    (points, labels)
}

fn source(points: &[f64], labels: &[i64]) -> Domain {
    let domain = Domain::new("source", points, 2).expect("points");
    domain.labelled(labels).expect("labels")
}

const APART: [[f64; 2]; 3] = [[0.0, 0.0], [12.0, 0.0], [0.0, 12.0]];

#[test]
fn a_known_mixture_by_every_backend_for_any_number_of_threads() {
    let (x, labels) = draw(&[10, 10, 10], &APART, 1);
    let (y, _) = draw(&[4, 14, 6], &APART, 2);
    let (source, target) = (
        source(&x, &labels),
        Domain::new("target", y, 2).expect("points"),
    );
    for solver in solvers() {
        let name = solver.name();
        let settings = ProportionSettings {
            max_iter: 100,
            ..ProportionSettings::default()
        };
        let estimation = ProportionEstimation::new(solver.as_ref(), settings).expect("balanced");
        let on = |threads: usize| {
            let mut context = Context::default().with_threads(threads).expect("a pool");
            estimation
                .fit(&source, &target, &mut context)
                .expect("estimated")
        };
        let found = on(1);
        assert_eq!(found.shares(), on(3).shares(), "{name}");
        assert_eq!(found.classes(), [0, 10, 20]);
        if name == "matching" {
            // It has no potentials to descend along, and that is seen.
            assert!(!found.convergence().converged());
            continue;
        }
        for (share, truth) in found.shares().iter().zip([4.0, 14.0, 6.0]) {
            assert!(
                (share - truth / 24.0).abs() < 0.02,
                "{name}: {:?}",
                found.shares()
            );
        }
        let bracket = found.bracket();
        assert!(bracket.lower <= bracket.upper, "{name}: {bracket:?}");
    }
}

/// With two classes the least cost along h is found by trying.
#[test]
fn the_bracket_holds_and_the_least_cost_is_found() {
    let means = [[0.0, 0.0], [2.5, 0.5]];
    let (x, labels) = draw(&[40, 40], &means, 3);
    let (y, _) = draw(&[60, 20], &means, 4);
    let (source, target) = (
        source(&x, &labels),
        Domain::new("target", y, 2).expect("points"),
    );
    let solver = NetworkSimplex::default();
    let settings = ProportionSettings {
        scale: CostScale::None,
        tol: 5e-3,
        max_iter: 5000,
        ..ProportionSettings::default()
    };
    let estimation = ProportionEstimation::new(&solver, settings).expect("balanced");
    let found = estimation
        .fit(&source, &target, &mut Context::default())
        .expect("estimated");
    assert!(found.convergence().converged());
    assert_eq!(found.unconverged(), 0);
    let cost = |share: f64| {
        let shares = BTreeMap::from([(0, share), (10, 1.0 - share)]);
        let weighted = source.clone().proportioned(&shares).expect("shares");
        let plain = AdaptationSettings {
            scale: CostScale::None,
            ..AdaptationSettings::default()
        };
        let adaptation = Adaptation::new(&solver, plain).expect("balanced");
        let fitted = adaptation.fit(&weighted, &target, &mut Context::default());
        fitted.expect("solved").transport_cost()
    };
    let tried = (1..100).map(|k| cost(f64::from(k) / 100.0));
    let least = tried.fold(f64::INFINITY, f64::min);
    let bracket = found.bracket();
    assert!(bracket.lower <= least + 1e-9, "{bracket:?} {least}");
    assert!((cost(found.shares()[0]) - bracket.upper).abs() < 1e-9);
    assert!(bracket.upper <= least + 5e-3 * 80.0, "{bracket:?} {least}");
}

/// Shares that differ are what balanced transport mixes up.
#[test]
fn estimated_shares_keep_classes_together() {
    let (x, labels) = draw(&[40, 40, 40], &APART, 5);
    let (y, expected) = draw(&[10, 80, 30], &APART, 6);
    let (source, target) = (
        source(&x, &labels),
        Domain::new("target", y.as_slice(), 2).expect("points"),
    );
    let solver = SinkhornStabilized::new(Settings::with_reg(Reg::Absolute(0.02))).expect("valid");
    let mut context = Context::default();
    let estimation =
        ProportionEstimation::new(&solver, ProportionSettings::default()).expect("balanced");
    let found = estimation
        .fit(&source, &target, &mut context)
        .expect("estimated");
    let adaptation = Adaptation::new(&solver, AdaptationSettings::default()).expect("balanced");
    let kept = |source: &Domain| {
        let fitted = adaptation.fit(source, &target, &mut Context::default());
        let table = fitted.expect("solved").target_labels().expect("labels");
        let predictions = table.predictions();
        let right = predictions
            .iter()
            .zip(&expected)
            .filter(|(p, e)| **p == Some(**e));
        right.count()
    };
    let equal = kept(&source);
    let matched = kept(&found.apply(source.clone()).expect("the same classes"));
    assert_eq!(matched, expected.len());
    assert!(equal < matched, "{equal}");
    // Weights within a class keep their proportions.
    let mut uneven: Vec<f64> = (0..120).map(|i| f64::from(1 + i % 4)).collect();
    let sum: f64 = uneven.iter().sum();
    uneven.iter_mut().for_each(|w| *w /= sum);
    let uneven = source.weighted(&uneven).expect("weights");
    let applied = found.apply(uneven.clone()).expect("the same classes");
    let (before, after) = (uneven.weights().weights(), applied.weights().weights());
    assert!((after[1] / after[0] - before[1] / before[0]).abs() < 1e-12);
    let first: f64 = after[..40].iter().sum();
    assert!((first - found.shares()[0]).abs() < 1e-12);
}

/// Where all costs are 0 there is nothing to find, and a least cost of 0 is no failure of numbers.
#[test]
fn a_target_that_is_the_source_has_its_shares() {
    let (x, labels) = draw(&[6, 6], &[[0.0, 0.0], [9.0, 0.0]], 8);
    let solver = NetworkSimplex::default();
    let estimation =
        ProportionEstimation::new(&solver, ProportionSettings::default()).expect("balanced");
    let shares = |points: &[f64]| {
        let target = Domain::new("target", points, 2).expect("points");
        let found = estimation.fit(&source(points, &labels), &target, &mut Context::default());
        found.expect("estimated").shares().to_vec()
    };
    for share in shares(&x).into_iter().chain(shares(&[3.0; 24])) {
        assert!((share - 0.5).abs() < 1e-9, "{share}");
    }
}

/// Classes that are near to each other beside an outlier in each: the gap is small beside the spread of the cost from the start.
#[test]
fn an_outlier_makes_no_estimate_of_a_first_guess() {
    let at = |share: usize| -> Vec<f64> {
        let near = (0..40).map(|k| if k < share { 0.0 } else { 0.02 });
        near.chain([1.0, 1.0]).flat_map(|x| [x, 0.0]).collect()
    };
    let labels: Vec<i64> = (0..42).map(|k| i64::from(k >= 20 && k != 40)).collect();
    let solver = NetworkSimplex::default();
    let settings = ProportionSettings {
        max_iter: 3000,
        ..ProportionSettings::default()
    };
    let estimation = ProportionEstimation::new(&solver, settings).expect("balanced");
    let target = Domain::new("target", at(36), 2).expect("points");
    let found = estimation.fit(&source(&at(20), &labels), &target, &mut Context::default());
    let found = found.expect("estimated");
    let share = found.shares()[0];
    assert!(
        (share - 0.9).abs() < 0.05 || !found.convergence().converged() && share > 0.6,
        "{share}: {:?}",
        found.convergence()
    );
}

#[test]
fn what_is_wrong_is_said() {
    let solver = NetworkSimplex::default();
    let (x, labels) = draw(&[4, 4], &APART, 7);
    let whole = source(&x, &labels);
    let target = Domain::new("target", x.as_slice(), 2).expect("points");
    let of = |settings| ProportionEstimation::new(&solver, settings);
    let fit = |source: &Domain, target: &Domain| {
        let estimation = of(ProportionSettings::default()).expect("valid");
        estimation.fit(source, target, &mut Context::default())
    };
    let one = source(&x, &[1; 8]);
    let flat = Domain::new("target", x.as_slice(), 4).expect("points");
    let unlabelled = Domain::new("source", x.as_slice(), 2).expect("points");
    let mut some = [0.0; 8];
    some[..4].fill(0.25);
    let weightless = whole.clone().weighted(&some).expect("weights");
    let found = fit(&whole, &target).expect("estimated");
    let others = source(&x, &[0, 0, 0, 0, 10, 10, 10, 30]);
    insta::assert_snapshot!(
        [
            said(ProportionEstimation::new(
                &RelaxedOnly,
                ProportionSettings::default()
            )),
            said(of(ProportionSettings {
                tol: 0.0,
                ..ProportionSettings::default()
            })),
            said(of(ProportionSettings {
                max_iter: 0,
                ..ProportionSettings::default()
            })),
            said(fit(&unlabelled, &target)),
            said(fit(&one, &target)),
            said(fit(&whole, &flat)),
            said(fit(&weightless, &target)),
            said(found.apply(one)),
            said(found.apply(others)),
            said(found.apply(unlabelled)),
            said(found.apply(weightless)),
            said(fit(
                &source(&x, &labels),
                &Domain::new("target", vec![1.0, f64::MAX], 2).expect("points")
            )),
        ]
        .join("\n")
    );
}
