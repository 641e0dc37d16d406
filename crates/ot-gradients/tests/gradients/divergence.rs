use std::sync::Arc;

use ot_gradients::{Costs, SinkhornDivergence, energy_distance};
use proptest::prelude::*;
use solver_api::{DenseCost, Error, Ground, Measure, Reg};
use solver_exact::NetworkSimplexFactory;
use solver_sinkhorn::{Settings, Sinkhorn};

use crate::common::{central, close, cloud, moved, reference, shifted, weights};

fn measure(w: &[f64]) -> Measure {
    Measure::new(w.to_vec()).unwrap()
}

fn sinkhorn(reg: f64) -> Sinkhorn {
    let settings = Settings {
        tol: Some(1e-12),
        ..Settings::with_reg(Reg::Absolute(reg))
    };
    Sinkhorn::new(settings).unwrap()
}

#[test]
fn weights_and_points() {
    let (n, m, dim) = (6, 7, 2);
    let (a, b) = (weights(n, 1, 1.0), weights(m, 50, 1.0));
    let (x, y) = (cloud(n, dim, 100), cloud(m, dim, 900));
    for ground in [Ground::SqEuclidean, Ground::Euclidean] {
        for (reg, gamma, sharp) in [
            (0.1, None, false),
            (1e-2, None, false),
            (0.1, Some(0.4), false),
            (0.05, None, true),
            (0.1, Some(0.4), true),
        ] {
            let solver = reference(reg);
            let mut divergence = SinkhornDivergence::new(&solver);
            if let Some(gamma) = gamma {
                divergence = divergence.relaxed(gamma).unwrap();
            }
            if sharp {
                divergence = divergence.sharp();
            }
            let at = |a: &[f64], b: &[f64], x: &[f64], y: &[f64]| {
                let costs = Costs::of_points(x, y, dim, &ground).unwrap();
                divergence
                    .between(&measure(a), &measure(b), &costs)
                    .unwrap()
            };
            let here = at(&a, &b, &x, &y);
            let found = here.weights().unwrap();
            let what = |of: &str| format!("{of} of {divergence:?} by {ground}");
            let slope = central(1e-4, |t| at(&shifted(&a, 0, 3, t), &b, &x, &y).value);
            close(found.a[0] - found.a[3], slope, 1e-6, 0.1, &what("a"));
            let slope = central(1e-4, |t| at(&a, &shifted(&b, 5, 2, t), &x, &y).value);
            close(found.b[5] - found.b[2], slope, 1e-6, 0.1, &what("b"));
            if gamma.is_some() {
                let slope = central(1e-4, |t| at(&moved(&a, 1, t), &b, &x, &y).value);
                close(found.a[1], slope, 1e-6, 0.1, &what("mass of a"));
            }
            let points = here.points().unwrap();
            // Distances of the cloud's own points have kinks near by.
            let step = if matches!(ground, Ground::Euclidean) {
                1e-4
            } else {
                0.02 * reg
            };
            for k in [0, 3, 10] {
                let slope = central(step, |t| at(&a, &b, &moved(&x, k, t), &y).value);
                close(points.x[k], slope, 1e-6, 0.05, &what("x"));
                let slope = central(step, |t| at(&a, &b, &x, &moved(&y, k, t)).value);
                close(points.y[k], slope, 1e-6, 0.05, &what("y"));
            }
        }
    }
}

#[test]
fn it_lies_between_transport_and_energy() {
    let (n, m, dim) = (16, 20, 2);
    let (a, b) = (measure(&weights(n, 1, 1.0)), measure(&weights(m, 50, 1.0)));
    let (x, y) = (cloud(n, dim, 100), cloud(m, dim, 900));
    let y: Vec<f64> = y.iter().map(|y| 0.5 * y + 0.3).collect();
    for ground in [Ground::SqEuclidean, Ground::Euclidean] {
        let costs = Costs::of_points(&x, &y, dim, &ground).unwrap();
        let exact =
            solver_api::Factory::build(&NetworkSimplexFactory, &solver_api::Options::default())
                .unwrap();
        let optimum = SinkhornDivergence::new(exact.as_ref())
            .between(&a, &b, &costs)
            .unwrap();
        close(
            optimum.value,
            optimum.ab.transport_cost,
            1e-12,
            0.0,
            "self-transport is free",
        );
        let energy = energy_distance(&a, &b, &x, &y, dim, &ground).unwrap().value;
        let at = |reg: f64| {
            let solver = reference(reg);
            SinkhornDivergence::new(&solver)
                .between(&a, &b, &costs)
                .unwrap()
                .value
        };
        close(at(1e4), energy, 1e-4, 0.0, "large ε");
        // What is left of the bias vanishes with ε: half a decade less brings it nearer.
        let gap = |reg: f64| (at(reg) - optimum.value).abs();
        assert!(
            gap(2e-3) < 0.02 * optimum.value && gap(2e-3) < gap(2e-2),
            "{ground}"
        );
        // In between the value falls as ε grows.
        let values: Vec<f64> = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0].map(at).to_vec();
        assert!(
            values.windows(2).all(|v| v[1] <= v[0] * (1.0 + 1e-9)),
            "{ground}: {values:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_is_positive_and_zero_for_equal_measures(seed in 0_usize..10_000, n in 2_usize..8, m in 2_usize..8, log_reg in -1.0..1.0_f64) {
        let (a, b) = (measure(&weights(n, seed, 1.0)), measure(&weights(m, seed + 50, 1.0)));
        let (x, y) = (cloud(n, 2, seed + 100), cloud(m, 2, seed + 900));
        let solver = reference(10_f64.powf(log_reg));
        for ground in [Ground::SqEuclidean, Ground::Euclidean] {
            let between = |p: &Measure, q: &Measure, x: &[f64], y: &[f64]| {
                let costs = Costs::of_points(x, y, 2, &ground).unwrap();
                SinkhornDivergence::new(&solver).between(p, q, &costs).unwrap()
            };
            let apart = between(&a, &b, &x, &y);
            prop_assert!(apart.value > 1e-9, "{}", apart.value);
            let same = between(&a, &a, &x, &x);
            prop_assert!(same.value.abs() < 1e-11, "{}", same.value);
            // It is at its least there.
            let pull = same.points().unwrap();
            prop_assert!(pull.x.iter().all(|d| d.abs() < 1e-9));
            let d = same.weights().unwrap().a;
            prop_assert!(d.iter().all(|v| (v - d[0]).abs() < 1e-8));
        }
    }
}

#[test]
fn relaxed_divergences_of_any_masses() {
    let solver = reference(0.1);
    let divergence = SinkhornDivergence::new(&solver).relaxed(0.5).unwrap();
    let (x, y) = (cloud(5, 2, 100), cloud(4, 2, 900));
    let costs = Costs::of_points(&x, &y, 2, &Ground::SqEuclidean).unwrap();
    let (a, b) = (measure(&weights(5, 1, 2.0)), measure(&weights(4, 50, 0.3)));
    assert!(divergence.between(&a, &b, &costs).unwrap().value > 0.1);
    let own = Costs::of_points(&x, &x, 2, &Ground::SqEuclidean).unwrap();
    assert!(divergence.between(&a, &a, &own).unwrap().value.abs() < 1e-12);
}

#[test]
fn histograms_share_one_cost() {
    let n = 20;
    let line: Vec<f64> = (0..n * n)
        .map(|k| ((k / n) as f64 - (k % n) as f64).powi(2))
        .collect();
    let cost = Arc::new(DenseCost::new(n, n, line).unwrap());
    let (a, b) = (measure(&weights(n, 1, 1.0)), measure(&weights(n, 50, 1.0)));
    let points: Vec<f64> = (0..n).map(|k| k as f64).collect();
    let by_points = Costs::of_points(&points, &points, 1, &Ground::SqEuclidean).unwrap();
    let solver = sinkhorn(5.0);
    let divergence = SinkhornDivergence::new(&solver);
    let shared = divergence
        .between(&a, &b, &Costs::shared(cost))
        .unwrap()
        .value;
    close(
        shared,
        divergence.between(&a, &b, &by_points).unwrap().value,
        1e-9,
        0.0,
        "value",
    );
}

#[test]
fn a_flow_along_the_gradient_arrives() {
    let (n, dim) = (40, 2);
    let w = measure(&vec![1.0 / n as f64; n]);
    let target: Vec<f64> = cloud(n, dim, 900).iter().map(|v| v + 2.0).collect();
    let mut x = cloud(n, dim, 100);
    let solver = Sinkhorn::new(Settings::with_reg(Reg::Absolute(0.05))).unwrap();
    let at = |x: &[f64]| {
        let costs = Costs::of_points(x, &target, dim, &Ground::SqEuclidean).unwrap();
        SinkhornDivergence::new(&solver)
            .between(&w, &w, &costs)
            .unwrap()
    };
    let start = at(&x).value;
    for _ in 0..30 {
        // Velocity: the gradient over the weight, with the step that Newton would take for squares.
        let pull = at(&x).points().unwrap();
        x.iter_mut()
            .zip(&pull.x)
            .for_each(|(x, d)| *x -= 0.4 * n as f64 * d);
    }
    let end = at(&x).value;
    assert!(end < 1e-4 * start, "{start} to {end}");
}

#[test]
fn what_a_solver_lacks_is_named() {
    let costs = Costs::of_points(&[0.0, 1.0], &[0.5, 3.0], 1, &Ground::SqEuclidean).unwrap();
    let a = measure(&[0.5, 0.5]);
    let b = measure(&[0.25, 0.75]);
    let balanced = sinkhorn(0.1);
    let exact = solver_api::Factory::build(&NetworkSimplexFactory, &solver_api::Options::default())
        .unwrap();
    let relaxed = SinkhornDivergence::new(exact.as_ref())
        .relaxed(1.0)
        .unwrap();
    let error = relaxed.between(&a, &b, &costs).unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported { needs, .. } if needs == "relaxed"),
        "{error}"
    );
    let sharp = SinkhornDivergence::new(exact.as_ref())
        .sharp()
        .between(&a, &b, &costs)
        .unwrap();
    let error = sharp.weights().unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported { needs, .. } if needs == "entropic"),
        "{error}"
    );
    // A relative reg is three different ones.
    let relative = Sinkhorn::new(Settings::with_reg(Reg::Relative(0.1))).unwrap();
    let error = SinkhornDivergence::new(&relative)
        .between(&a, &b, &costs)
        .unwrap_err();
    assert!(
        matches!(&error, Error::InvalidSetting { name, .. } if name == "reg"),
        "{error}"
    );
    // Three iterations are not enough.
    let settings = Settings {
        max_iter: 3,
        ..balanced.settings().clone()
    };
    let hasty = Sinkhorn::new(settings).unwrap();
    let error = SinkhornDivergence::new(&hasty)
        .between(&a, &b, &costs)
        .unwrap_err();
    assert!(matches!(error, Error::NotConverged { .. }), "{error}");
    assert!(
        SinkhornDivergence::new(&balanced)
            .relaxed(f64::NAN)
            .is_err()
    );
}
