//! γ-based transformations: known maps come back, values fall, and classifiers gain by them.

use ot_apps::{
    AffineMap, AlignedRetrieval, Alignment, AlignmentSettings, Bernoulli, Images, Linear, ModelSet,
    PlanMoments, Retrieval, Score, pixel_cost,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Capability, Context, Factory, Ground, Measure, Options, Problem, Reg, Solver};
use solver_exact::NetworkSimplex;
use solver_sinkhorn::SinkhornFactory;
use solver_stabilized::SinkhornStabilizedFactory;

use crate::backends::bars;
use crate::digits::digits;
use crate::refusals::said;
use crate::solvers::solvers;
use crate::toy::RelaxedOnly;

/// Twelve points that no rotation or reflection takes to themselves, all of one weight.
pub(crate) const CLOUD: [[f64; 2]; 12] = [
    [0.0, 0.0],
    [4.0, 0.5],
    [8.0, 0.0],
    [12.0, 1.0],
    [0.5, 4.0],
    [0.0, 8.0],
    [5.0, 5.0],
    [9.0, 7.0],
    [1.0, 12.0],
    [6.0, 11.0],
    [12.0, 6.0],
    [11.0, 12.0],
];

pub(crate) const FAMILIES: [Linear; 6] = [
    Linear::Fixed,
    Linear::Scale,
    Linear::AxisScales,
    Linear::Rotation,
    Linear::Similarity,
    Linear::Affine,
];

pub(crate) fn alignment(change: impl FnOnce(&mut AlignmentSettings)) -> Alignment<'static> {
    let mut settings = AlignmentSettings::default();
    change(&mut settings);
    Alignment::new(settings).expect("valid")
}

/// A map of the family.
fn example(linear: Linear) -> AffineMap {
    let about = [5.0, 6.0];
    let map = match linear {
        Linear::Scale => AffineMap::scaling(1.2, 1.2, about),
        Linear::AxisScales => AffineMap::scaling(1.25, 0.85, about),
        Linear::Rotation => AffineMap::rotation(0.15, about),
        Linear::Similarity => {
            AffineMap::rotation(-0.12, about).then(&AffineMap::scaling(0.9, 0.9, about))
        }
        Linear::Affine => AffineMap::new([[1.1, 0.15], [-0.05, 0.9]], [0.0, 0.0]),
        _ => AffineMap::IDENTITY,
    };
    map.then(&AffineMap::translation(-3.0, 2.5))
}

#[test]
fn known_maps_come_back_by_every_backend() {
    let a = Measure::uniform(CLOUD.len()).expect("valid");
    for solver in solvers() {
        let exact = !solver.capabilities().has(Capability::Entropic);
        for linear in FAMILIES {
            let map = example(linear);
            let moved = CLOUD.map(|x| map.apply(x));
            let found = alignment(|s| s.linear = linear).register(
                solver.as_ref(),
                &Ground::Euclidean,
                Score::TransportCost,
                (&a, &CLOUD),
                (&a, &moved),
                &mut Context::default(),
            );
            let found = found.expect("solved");
            let off = CLOUD.iter().flat_map(|&x| {
                let (found, wanted) = (found.map.apply(x), map.apply(x));
                [(found[0] - wanted[0]).abs(), (found[1] - wanted[1]).abs()]
            });
            let off = off.fold(0.0, f64::max);
            // Half of a pixel where the plan is blurred.
            let most = if exact { 1e-6 } else { 0.5 };
            let name = solver.name();
            assert!(off < most, "{name}, {linear:?}: off by {off}");
            assert!(!exact || found.score < 1e-5, "{name}: {}", found.score);
            if linear == Linear::Fixed {
                assert!(
                    off < 1e-12 && found.solves == 1,
                    "{name}: no plan is needed"
                );
            }
        }
    }
}

fn entropic(reg: Reg) -> [Box<dyn Solver>; 2] {
    let options = Options {
        reg: Some(reg),
        ..Options::default()
    };
    let factories: [&dyn Factory; 2] = [&SinkhornFactory, &SinkhornStabilizedFactory];
    factories.map(|factory| factory.build(&options).expect("a solver"))
}

#[test]
fn squares_never_rise_from_round_to_round() {
    let solver = NetworkSimplex::default();
    let mut rng = Pcg64::seed_from_u64(3);
    let mut weights = || {
        let w: Vec<f64> = (0..12).map(|_| rng.random::<f64>() + 0.1).collect();
        Measure::new(w).expect("valid")
    };
    let (a, b) = (weights(), weights());
    let moved = CLOUD.map(|x| AffineMap::rotation(0.7, [3.0, 3.0]).apply([x[0] * 1.4, x[1]]));
    for linear in FAMILIES {
        let mut last = f64::INFINITY;
        for rounds in 1..=6 {
            let aligned = alignment(|s| {
                (s.linear, s.rounds) = (linear, rounds);
                s.plan_ground = Some(Ground::SqEuclidean);
            });
            let found = aligned.register(
                &solver,
                &Ground::SqEuclidean,
                Score::TransportCost,
                (&a, &CLOUD),
                (&b, &moved),
                &mut Context::default(),
            );
            let score = found.expect("solved").score;
            assert!(
                score <= last * (1.0 + 1e-12),
                "{linear:?}, {rounds}: {score} after {last}"
            );
            last = score;
        }
        // The plan of the score's own cost is the same plan.
        let own = alignment(|s| (s.linear, s.rounds, s.plan_ground) = (linear, 6, None));
        let found = own.register(
            &solver,
            &Ground::SqEuclidean,
            Score::TransportCost,
            (&a, &CLOUD),
            (&b, &moved),
            &mut Context::default(),
        );
        let found = found.expect("solved").score;
        assert!(
            (found - last).abs() <= 1e-9 * last,
            "{linear:?}: {found} and {last}"
        );
    }
}

#[test]
fn plans_by_an_exact_solver_for_entropic_scores() {
    let exact = NetworkSimplex::default();
    let a = Measure::uniform(CLOUD.len()).expect("valid");
    let map = example(Linear::Affine);
    let moved = CLOUD.map(|x| map.apply(x));
    for solver in entropic(Reg::Absolute(2.0)) {
        let of = |alignment: Alignment<'_>| {
            let found = alignment.register(
                solver.as_ref(),
                &Ground::Euclidean,
                Score::Objective,
                (&a, &CLOUD),
                (&a, &moved),
                &mut Context::default(),
            );
            found.expect("solved")
        };
        let own = || alignment(|s| s.linear = Linear::Affine);
        let blurred = of(own());
        let sharp = of(own().plans_by(&exact).expect("balanced"));
        assert_eq!((sharp.reg, blurred.reg), (2.0, 2.0));
        let off = |map: &AffineMap| {
            let far = CLOUD.iter().zip(&moved).map(|(&x, wanted)| {
                let found = map.apply(x);
                (found[0] - wanted[0]).hypot(found[1] - wanted[1])
            });
            far.fold(0.0, f64::max)
        };
        assert!(off(&sharp.map) < 1e-9, "{}", off(&sharp.map));
        assert!(off(&blurred.map) > 1e-6 && sharp.score <= blurred.score);
    }
}

#[test]
fn bars_are_told_wherever_they_are_by_every_backend() {
    let (images, labels) = bars(0.0);
    // The first of each class stands for it.
    let models = ModelSet::new(&images.select(&[0, 1]), &labels[..2]).expect("two classes");
    let mut all = solvers();
    all.retain(|solver| !solver.capabilities().has(Capability::Entropic));
    all.extend(entropic(Reg::Absolute(0.05)));
    for solver in all {
        for score in [Score::TransportCost, Score::Objective] {
            for linear in [Linear::Fixed, Linear::Rotation] {
                let aligned = alignment(|s| (s.linear, s.max_angle) = (linear, 0.3));
                let ground = Ground::Euclidean;
                let retrieval =
                    AlignedRetrieval::new(solver.as_ref(), ground, models.clone(), score, aligned);
                let retrieval = retrieval.expect("balanced");
                let found = retrieval
                    .predict(&images, &Context::default())
                    .expect("solved");
                let name = (solver.name(), score, linear);
                assert_eq!(found.predictions(), labels, "{name:?}");
                assert_eq!(found.accuracy(&labels), Ok(1.0));
                // Image 2k is the bar in row k, and goes up by as much.
                for k in 0..4 {
                    let map = found.maps(2 * k)[found.nearest()[2 * k]];
                    let up = map.apply([k as f64, 1.5]);
                    assert!(
                        up[0].abs() < 1e-9 && (up[1] - 1.5).abs() < 1e-9,
                        "{name:?}, {up:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let (test, _) = digits("t10k");
    let few = test.select(&[0, 1, 2, 3, 4, 5, 6]);
    let models = ModelSet::new(&test.select(&[10, 11, 12]), &[1, 2, 3]).expect("models");
    let solver = NetworkSimplex::default();
    let aligned = alignment(|s| s.linear = Linear::Affine);
    let retrieval =
        AlignedRetrieval::new(&solver, Ground::Log1p, models, Score::Objective, aligned);
    let retrieval = retrieval.expect("balanced");
    let answers = [1, 2, 5].map(|threads| {
        let context = Context::default().with_threads(threads).expect("a pool");
        retrieval.predict(&few, &context).expect("solved")
    });
    assert!(answers[0] == answers[1] && answers[1] == answers[2]);
    assert_eq!(answers[0].scores(6).len(), 3);
}

#[test]
fn distorted_digits_gain_by_the_matching_transformation() {
    let (train, labels) = digits("train");
    let (test, expected) = digits("t10k");
    let (test, expected) = (test.select(&(0..100).collect::<Vec<_>>()), &expected[..100]);
    let context = Context::default();
    let models = ModelSet::fit(&Bernoulli::default(), &train, &labels, 1, 0, &context);
    let models = models.expect("models").sparsified(0.2).expect("a cutoff");
    let solver = NetworkSimplex::default();
    let mut rng = Pcg64::seed_from_u64(1);
    let mut distorted = |kind: Linear| {
        let maps: Vec<AffineMap> = (0..test.len())
            .map(|_| {
                let (u, v) = (
                    2.0 * rng.random::<f64>() - 1.0,
                    2.0 * rng.random::<f64>() - 1.0,
                );
                match kind {
                    Linear::Fixed => AffineMap::translation((4.0 * u).round(), (4.0 * v).round()),
                    Linear::AxisScales => {
                        AffineMap::scaling((0.35 * u).exp(), (0.35 * v).exp(), [13.5, 13.5])
                    }
                    _ => AffineMap::rotation(0.5 * u, [13.5, 13.5]),
                }
            })
            .collect();
        test.warped(&maps).expect("inside of the frame")
    };
    // Gains a few points below what was measured.
    for (linear, translation, gain) in [
        (Linear::Fixed, true, 0.2),
        (Linear::AxisScales, false, 0.02),
        (Linear::Rotation, true, 0.02),
    ] {
        let set = distorted(linear);
        let cost = pixel_cost((28, 28), &Ground::Log1p).expect("a cost");
        let plain = Retrieval::new(&solver, cost, models.clone(), Score::TransportCost);
        let before = plain
            .expect("balanced")
            .predict(&set, &context)
            .expect("solved");
        let aligned = alignment(|s| (s.linear, s.translation) = (linear, translation));
        let aligned = AlignedRetrieval::new(
            &solver,
            Ground::Log1p,
            models.clone(),
            Score::TransportCost,
            aligned,
        );
        let after = aligned
            .expect("balanced")
            .predict(&set, &context)
            .expect("solved");
        let before = before.accuracy(expected).expect("labels");
        let after = after.accuracy(expected).expect("labels");
        assert!(after >= before + gain, "{linear:?}: {after} after {before}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let settings = |change: fn(&mut AlignmentSettings)| {
        let mut settings = AlignmentSettings::default();
        change(&mut settings);
        said(Alignment::new(settings))
    };
    let solver = NetworkSimplex::default();
    let register = |solver: &dyn Solver, n: usize, y: &[[f64; 2]]| {
        let (a, b) = (
            Measure::uniform(n).expect("valid"),
            Measure::uniform(2).expect("valid"),
        );
        said(alignment(|s| s.linear = Linear::Affine).register(
            solver,
            &Ground::Euclidean,
            Score::TransportCost,
            (&a, &CLOUD),
            (&b, y),
            &mut Context::default(),
        ))
    };
    let two = [[0.0, 1.0], [2.0, 0.0]];
    let (images, labels) = bars(0.0);
    let models = ModelSet::new(&images, &labels).expect("models");
    let retrieval = |solver, ground| {
        let aligned = alignment(|_| ());
        AlignedRetrieval::new(
            solver,
            ground,
            models.clone(),
            Score::TransportCost,
            aligned,
        )
    };
    let wide = Images::new("images", (2, 8), images.pixels()).expect("valid");
    let plain = retrieval(&solver, Ground::Euclidean).expect("balanced");
    let narrow = retrieval(&solver, Ground::Atanh(2.0)).expect("balanced");
    let [relative, _] = entropic(Reg::Relative(0.05));
    let relative = retrieval(relative.as_ref(), Ground::Euclidean).expect("balanced");
    let (moved, _) = bars(0.7);
    let problem = Problem::from_slices(&[0.5, 0.5], &[1.0], &[1.0, 2.0]).expect("valid");
    let plan = solver.solve(&problem).expect("solved").plan;
    let map = |map| said(images.select(&[0]).warped(&[map]));
    insta::assert_snapshot!(
        [
            settings(|s| s.rounds = 0),
            settings(|s| s.max_scale = 0.5),
            settings(|s| s.max_scale = f64::NAN),
            settings(|s| s.max_angle = -0.1),
            register(&solver, 11, &two),
            register(&solver, 12, &two[..1]),
            register(&solver, 12, &[two[0], [f64::NAN, 0.0]]),
            register(&RelaxedOnly, 12, &two),
            said(retrieval(&RelaxedOnly, Ground::Euclidean)),
            said(alignment(|_| ()).plans_by(&RelaxedOnly)),
            said(plain.predict(&wide, &Context::default())),
            said(relative.predict(&moved, &Context::default())),
            said(narrow.predict(&images, &Context::default())),
            said(PlanMoments::of(&plan, &two[..1], &two[..1])),
            said(PlanMoments::of(&plan, &two, &two)),
            said(PlanMoments::of(&plan, &two, &[[0.0, f64::INFINITY]])),
            map(AffineMap::scaling(0.0, 1.0, [0.0; 2])),
            map(AffineMap::translation(f64::NAN, 0.0)),
            map(AffineMap::translation(9.0, 0.0)),
            said(images.warped(&[AffineMap::IDENTITY])),
        ]
        .join("\n")
    );
}
