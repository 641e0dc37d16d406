//! Domain adaptation: by every backend, beside POT's values, and what must hold of any plan.

use std::path::Path;

use ot_apps::adaptation::{
    Adaptation, AdaptationSettings, Adapted, Candidate, CostScale, Domain, Jdot, JdotModel,
    JdotSettings, KnownLabels, LaplacianSettings, LinearAdaptation, MapKind, MapSettings, Mass,
    Regularizer, Similarity, ValidationSettings, reverse_validation,
};
use solver_api::{Context, Factory, Options, Plan, Reg, Solver};
use solver_exact::{NetworkSimplex, NetworkSimplexFactory};
use solver_sinkhorn::SinkhornFactory;
use solver_stabilized::SinkhornStabilizedFactory;

use crate::solvers::solvers;

/// The values of `fixtures/adaptation.json`.
struct Known(serde_json::Value);

impl Known {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/adaptation.json");
        let text = std::fs::read_to_string(path).expect("the fixture");
        Self(serde_json::from_str(&text).expect("JSON"))
    }

    fn number(&self, path: &str) -> f64 {
        let value = self.0.pointer(path).and_then(serde_json::Value::as_f64);
        value.expect("a number")
    }

    fn list(&self, path: &str) -> Vec<f64> {
        let value = self.0.pointer(path).and_then(serde_json::Value::as_array);
        let numbers = value.expect("a list").iter();
        numbers.map(|v| v.as_f64().expect("a number")).collect()
    }

    fn labels(&self, name: &str) -> Vec<i64> {
        self.list(name).into_iter().map(|v| v as i64).collect()
    }

    fn domains(&self) -> (Domain, Domain) {
        let source = Domain::new("source", self.list("/xs"), 2).expect("points");
        let source = source.labelled(&self.labels("/ys")).expect("labels");
        (
            source,
            Domain::new("target", self.list("/xt"), 2).expect("points"),
        )
    }
}

fn entropic(factory: &dyn Factory, reg: f64) -> Box<dyn Solver> {
    let mut options = Options {
        reg: Some(Reg::Absolute(reg)),
        tol: Some(1e-11),
        ..Options::default()
    };
    if factory.name() == "sinkhorn" {
        options.max_iter = Some(1_000_000);
    }
    factory.build(&options).expect("a solver")
}

/// Both entropic backends at the ε of the fixture.
fn both() -> [Box<dyn Solver>; 2] {
    [
        entropic(&SinkhornFactory, 0.05),
        entropic(&SinkhornStabilizedFactory, 0.05),
    ]
}

fn with(regularizer: Regularizer) -> AdaptationSettings {
    AdaptationSettings {
        regularizer,
        rounds: 3000,
        tol: 1e-12,
        ..AdaptationSettings::default()
    }
}

fn fit(solver: &dyn Solver, settings: AdaptationSettings, known: &Known) -> Adapted {
    let (source, target) = known.domains();
    let adaptation = Adaptation::new(solver, settings).expect("valid");
    let fitted = adaptation.fit(&source, &target, &mut Context::default());
    fitted.expect("solved")
}

fn largest_off(plan: &Plan, wanted: &[f64]) -> f64 {
    let dense = plan.to_dense();
    let off = dense.data().iter().zip(wanted).map(|(p, w)| (p - w).abs());
    off.fold(0.0, f64::max)
}

/// No step takes the objective up by more than the inner solves' tolerance.
fn assert_falls(history: &[f64], name: &str) {
    for pair in history.windows(2) {
        assert!(
            pair[1] <= pair[0] + 1e-9 * pair[0].abs(),
            "{name}: {history:?}"
        );
    }
}

#[test]
fn plans_are_those_of_pot() {
    let known = Known::read();
    let exact = fit(
        &NetworkSimplex::default(),
        AdaptationSettings::default(),
        &known,
    );
    assert!((exact.transport_cost() - known.number("/emd")).abs() < 1e-12);
    for solver in both() {
        let name = solver.name();
        let plain = fit(solver.as_ref(), AdaptationSettings::default(), &known);
        assert!(
            largest_off(plain.plan(), &known.list("/sinkhorn")) < 1e-9,
            "{name}"
        );
        let lasso = fit(solver.as_ref(), with(Regularizer::group_lasso(0.1)), &known);
        assert_falls(lasso.history(), name);
        assert!(lasso.convergence().converged() && lasso.history().len() > 3);
        let objective = known.number("/group_lasso/objective");
        assert!(
            (lasso.objective() - objective).abs() < 1e-8,
            "{name}: {} for {objective}",
            lasso.objective()
        );
        let plan = known.list("/group_lasso/plan");
        assert!(largest_off(lasso.plan(), &plan) < 1e-5, "{name}");

        let l1l2 = fit(
            solver.as_ref(),
            with(Regularizer::L1L2 { weight: 0.1 }),
            &known,
        );
        assert_falls(l1l2.history(), name);
        // It is convex: POT's can be no lower, and stops above.
        let (best, pot) = (known.number("/l1l2/optimum"), known.number("/l1l2/pot"));
        let above = l1l2.objective() - best;
        assert!((-1e-9..1e-6).contains(&above), "{name}: {above}");
        assert!(l1l2.objective() < pot - 1e-3, "{name}");
    }
}

#[test]
fn laplacian_and_unbalanced_values_are_those_of_pot() {
    let known = Known::read();
    let laplacian = LaplacianSettings {
        weight: 2.0,
        source_share: 0.7,
        similarity: Similarity::Gaussian(1.0),
        ..LaplacianSettings::default()
    };
    let exact = NetworkSimplex::default();
    let fitted = fit(&exact, with(Regularizer::Laplacian(laplacian)), &known);
    assert_falls(fitted.history(), "laplacian");
    let above = known.number("/laplacian") - fitted.objective();
    assert!((-1e-6..1e-5).contains(&above), "{above}");
    assert!(fitted.history()[0] > fitted.objective() + 1e-3);
    let relaxed = AdaptationSettings {
        mass: Mass::Relaxed {
            gamma_a: 0.3,
            gamma_b: 0.3,
        },
        ..AdaptationSettings::default()
    };
    for solver in both() {
        let fitted = fit(solver.as_ref(), relaxed.clone(), &known);
        let off = largest_off(fitted.plan(), &known.list("/unbalanced"));
        assert!(off < 1e-8, "{}: {off}", solver.name());
        let lasso = AdaptationSettings {
            mass: relaxed.mass,
            ..with(Regularizer::group_lasso(0.1))
        };
        let lasso = fit(solver.as_ref(), lasso, &known);
        assert_falls(lasso.history(), solver.name());
        assert!(lasso.history()[0] > lasso.objective() + 1e-4);
    }
}

#[test]
fn the_linear_map_is_that_of_pot() {
    let known = Known::read();
    let (source, target) = known.domains();
    let map = LinearAdaptation::fit(&source, &target, 1e-6).expect("a map");
    let (a, c) = (known.list("/linear/matrix"), known.list("/linear/shift"));
    let moved = map.transform(&[1.0, -2.0]).expect("points");
    for t in 0..2 {
        let wanted = a[t] - 2.0 * a[2 + t] + c[t];
        assert!((moved[t] - wanted).abs() < 1e-10, "{moved:?}");
    }
}

/// Four clusters of three classes, moved by (1, −2): every method has to bring them back together.
fn shifted() -> (Domain, Domain, Vec<i64>) {
    let centres = [[0.0, 0.0], [9.0, 1.0], [1.0, 8.0], [10.0, 10.0]];
    let (mut x, mut y, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for k in 0..20 {
        let (c, spread) = (centres[k % 4], [(k as f64).sin(), (2.0 * k as f64).cos()]);
        x.extend([c[0] + 0.5 * spread[0], c[1] + 0.5 * spread[1]]);
        y.extend([c[0] + 1.0 + 0.5 * spread[1], c[1] - 2.0 + 0.5 * spread[0]]);
        labels.push([5, -1, 3, 5][k % 4]);
    }
    let source = Domain::new("source", x, 2).expect("points");
    let source = source.labelled(&labels).expect("labels");
    (source, Domain::new("target", y, 2).expect("points"), labels)
}

#[test]
fn every_backend_adapts_and_carries_labels_both_ways() {
    let (source, target, labels) = shifted();
    for solver in solvers() {
        let name = solver.name();
        let adaptation = Adaptation::new(solver.as_ref(), AdaptationSettings::default());
        let fitted = adaptation.expect("balanced");
        let fitted = fitted.fit(&source, &target, &mut Context::default());
        let fitted = fitted.expect("solved");
        assert_eq!(
            fitted.predict(target.points()),
            Ok(labels.clone()),
            "{name}"
        );
        let table = fitted.target_labels().expect("labels");
        assert_eq!(table.classes(), [-1, 3, 5]);
        assert_eq!(table.accuracy(&labels), Ok(1.0), "{name}");
        for row in table.shares().chunks_exact(3) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{name}");
        }
        let known: Vec<_> = labels.iter().map(|l| Some(*l)).collect();
        let back = fitted.inverse_transform_labels(&known).expect("labels");
        assert_eq!(back.accuracy(&labels), Ok(1.0), "{name}");
        // A sample arrives at its own image, exactly; one beside it, beside that.
        let moved = fitted.transform(source.points()).expect("points");
        assert_eq!(moved, fitted.adapted());
        let x = [source.points()[0] + 0.01, source.points()[1]];
        let near = fitted.transform(&x).expect("points");
        assert!((near[0] - fitted.adapted()[0] - 0.01).abs() < 1e-12);
        let back = fitted.inverse_transform(target.points()).expect("points");
        assert_eq!(back, fitted.adapted_back());
        for kind in [MapKind::Affine, MapKind::Gaussian { width: 3.0 }] {
            let map = fitted.learn_map(MapSettings { kind, ridge: 1e-4 });
            let moved = map.expect("a map").transform(source.points());
            for (m, t) in moved.expect("points").iter().zip(fitted.adapted()) {
                assert!((m - t).abs() < 1.5, "{name}, {kind:?}: {m} for {t}");
            }
        }
    }
}

#[test]
fn no_mass_flows_between_different_known_labels() {
    let known = Known::read();
    let (source, target) = known.domains();
    // Half of the targets are known, one class of them wrongly placed: without labels mass flows between classes.
    let labels = known.labels("/yt");
    let some: Vec<_> = labels
        .iter()
        .enumerate()
        .map(|(j, l)| (j % 2 == 0).then_some(*l))
        .collect();
    let target = target.partly_labelled(&some).expect("labels");
    let crossing = |settings: AdaptationSettings, solver: &dyn Solver| {
        let adaptation = Adaptation::new(solver, settings).expect("valid");
        let fitted = adaptation.fit(&source, &target, &mut Context::default());
        let table = fitted.expect("solved").class_table().expect("labels");
        let mut crossing = 0.0;
        for (row, class) in table.mass().chunks_exact(3).zip(table.rows()) {
            for (mass, other) in row.iter().zip(table.cols()) {
                crossing += if class == other { 0.0 } else { *mass };
            }
        }
        crossing
    };
    let exact = NetworkSimplexFactory.build(&Options::default());
    let exact = exact.expect("a solver");
    let [sinkhorn, stabilized] = both();
    for solver in [&exact, &sinkhorn, &stabilized] {
        for regularizer in [Regularizer::None, Regularizer::group_lasso(0.1)] {
            let settings = |known_labels| AdaptationSettings {
                known_labels,
                ..with(regularizer.clone())
            };
            let solver = solver.as_ref();
            let name = (solver.name(), &regularizer);
            assert_eq!(
                crossing(settings(KnownLabels::Forbid), solver),
                0.0,
                "{name:?}"
            );
            assert!(
                crossing(settings(KnownLabels::Ignore), solver) > 1e-3,
                "{name:?}"
            );
            assert!(
                crossing(settings(KnownLabels::Penalize(10.0)), solver) < 1e-6,
                "{name:?}"
            );
        }
    }
}

#[test]
fn scales_are_what_they_say() {
    let known = Known::read();
    let raw = |scale| {
        let settings = AdaptationSettings {
            scale,
            ..AdaptationSettings::default()
        };
        let fitted = fit(&NetworkSimplex::default(), settings, &known);
        let (cost, unit) = (fitted.cost(), fitted.unit());
        let all: Vec<f64> = (0..120).map(|k| cost.entry(k / 10, k % 10)).collect();
        (all, unit)
    };
    let (none, _) = raw(CostScale::None);
    let (max, unit) = raw(CostScale::Max);
    assert_eq!(unit, none.iter().copied().fold(0.0, f64::max));
    let (median, half) = raw(CostScale::Median);
    let mut sorted = none.clone();
    sorted.sort_by(f64::total_cmp);
    assert_eq!(half, 0.5 * (sorted[59] + sorted[60]));
    let (log, _) = raw(CostScale::Log);
    let (loglog, _) = raw(CostScale::LogLog);
    for k in 0..120 {
        assert_eq!(max[k], none[k] / unit);
        assert_eq!(median[k], none[k] / half);
        assert!((log[k] - (1.0 + none[k]).ln()).abs() < 1e-14);
        assert!((loglog[k] - (1.0 + (1.0 + none[k]).ln()).ln()).abs() < 1e-14);
    }
    let names = CostScale::NAMES.map(|(name, scale)| CostScale::parse(name) == Ok(scale));
    assert_eq!(names, [true; 5]);
}

#[test]
fn jdot_falls_and_finds_the_classes_by_every_backend() {
    use ot_apps::adaptation::Features;
    let (source, target, labels) = shifted();
    for solver in solvers() {
        for features in [Features::Linear, Features::Gaussian { width: 4.0 }] {
            for model in [
                JdotModel::Ridge {
                    features,
                    ridge: 1e-4,
                },
                JdotModel::Logistic {
                    features,
                    ridge: 1e-4,
                },
            ] {
                let settings = JdotSettings {
                    model,
                    ..JdotSettings::default()
                };
                let jdot = Jdot::new(solver.as_ref(), settings).expect("balanced");
                let fitted = jdot.fit(&source, &target, &mut Context::default());
                let name = solver.name();
                // ε relative to a cost that changes is another objective.
                if solver.capabilities().has(solver_api::Capability::Entropic) && fitted.is_err() {
                    let said = fitted.expect_err("refused").to_string();
                    assert!(said.contains("must be absolute"), "{name}: {said}");
                    continue;
                }
                let fitted = fitted.expect("fitted");
                if name != "ipot" {
                    assert_falls(&fitted.history()[1..], name);
                }
                // Two clusters of one class in opposite corners: no line tells them apart, a kernel does.
                if features != Features::Linear {
                    let found = fitted.predict(target.points()).expect("points");
                    assert_eq!(found, labels, "{name}, {model:?}");
                }
            }
        }
    }
}

#[test]
fn reverse_validation_chooses_what_comes_back_for_any_number_of_threads() {
    let (source, target, _) = shifted();
    let exact = NetworkSimplex::default();
    let vague = entropic(&SinkhornStabilizedFactory, 50.0);
    let relative = SinkhornFactory.build(&Options {
        reg: Some(Reg::Relative(0.05)),
        ..Options::default()
    });
    let relative = relative.expect("a solver");
    let candidate = |name: &str, solver, regularizer| Candidate {
        name: name.to_owned(),
        solver,
        settings: AdaptationSettings {
            regularizer,
            ..AdaptationSettings::default()
        },
    };
    // A plan that spreads everything, an exact one, and a solver that is refused under a regularizer.
    let candidates = [
        candidate("vague", vague.as_ref(), Regularizer::None),
        candidate("exact", &exact, Regularizer::None),
        candidate("relative", relative.as_ref(), Regularizer::group_lasso(5.0)),
    ];
    let choose = |threads: usize, folds| {
        let context = Context::default().with_threads(threads).expect("a pool");
        let settings = ValidationSettings {
            folds,
            ..ValidationSettings::default()
        };
        let chosen = reverse_validation(&candidates, &source, &target, settings, &context);
        chosen.expect("a choice")
    };
    let chosen = choose(1, 2);
    // Both bring labels back better than chance, and the better one is chosen.
    let scores: Vec<f64> = chosen.scores[..2].iter().flatten().copied().collect();
    assert!(
        scores.len() == 2 && scores.iter().all(|score| *score > 0.5),
        "{scores:?}"
    );
    assert_eq!(chosen.best, usize::from(scores[1] > scores[0]));
    assert!(chosen.scores[2].is_err());
    assert_eq!(chosen, choose(3, 2));
    let none = reverse_validation(
        &candidates[2..],
        &source,
        &target,
        ValidationSettings::default(),
        &Context::default(),
    );
    let said = none.expect_err("nothing to choose").to_string();
    assert!(said.contains("must be absolute"), "{said}");
    for (parts, folds) in [(1, 1), (5, 0), (5, 6)] {
        let settings = ValidationSettings {
            parts,
            folds,
            seed: 0,
        };
        let refused =
            reverse_validation(&candidates, &source, &target, settings, &Context::default());
        assert!(refused.is_err());
    }
}

#[test]
fn a_plan_that_an_affine_map_follows() {
    use ot_apps::adaptation::{MappingEstimation, MappingSettings};
    let known = Known::read();
    let (source, _) = known.domains();
    // The target is an affine image of the source in another order: with enough weight on the map, it is found.
    let images: Vec<f64> = source
        .points()
        .chunks_exact(2)
        .rev()
        .flat_map(|p| [1.5 * p[0] + 0.4 * p[1] + 1.0, 0.4 * p[0] + 0.8 * p[1] - 2.0])
        .collect();
    let target = Domain::new("target", images, 2).expect("points");
    let exact = NetworkSimplex::default();
    let [_, stabilized] = both();
    for solver in [&exact as &dyn Solver, stabilized.as_ref()] {
        for kind in [MapKind::Affine, MapKind::Gaussian { width: 2.0 }] {
            let settings = MappingSettings {
                map: MapSettings { kind, ridge: 1e-3 },
                weight: 0.5,
                ..MappingSettings::default()
            };
            let mapping = MappingEstimation::new(solver, settings).expect("valid");
            let fitted = mapping.fit(&source, &target, &mut Context::default());
            let fitted = fitted.expect("solved");
            assert_falls(fitted.history(), solver.name());
            assert!(fitted.adapted().convergence().source_error < 1e-9);
            let moved = fitted.transform(source.points()).expect("points");
            if solver.name() == "network-simplex" && kind == MapKind::Affine {
                for (x, t) in source.points().chunks_exact(2).zip(moved.chunks_exact(2)) {
                    let wanted = [1.5 * x[0] + 0.4 * x[1] + 1.0, 0.4 * x[0] + 0.8 * x[1] - 2.0];
                    assert!((t[0] - wanted[0]).abs() < 0.05 && (t[1] - wanted[1]).abs() < 0.05);
                }
            }
        }
    }
}
