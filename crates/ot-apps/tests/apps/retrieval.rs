//! The shortcut of retrieval changes nothing, and neither do threads.

use std::sync::Arc;

use ot_apps::{Images, ModelCost, ModelSet, Retrieval, Score, pixel_cost};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Context, Ground, Reg};
use solver_exact::NetworkSimplex;
use solver_sinkhorn::{Settings, Sinkhorn};

use crate::toy::Claims;

/// Random images of side×side, most pixels of which are 0.
pub(crate) fn images(count: usize, side: usize, rng: &mut Pcg64) -> Images {
    let mut pixels: Vec<f64> = (0..count * side * side)
        .map(|_| (rng.random::<f64>() * 4.0 - 3.0).max(0.0))
        .collect();
    for image in 0..count {
        pixels[image * side * side + rng.random_range(0..side * side)] += 0.5;
    }
    Images::new("images", (side, side), pixels).expect("valid")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn an_exact_shortcut_changes_nothing(
        seed in any::<u64>(),
        side in 2..6_usize,
        ground in prop::sample::select(vec!["sqeuclidean", "euclidean", "log1p", "cityblock", "power:0.5"]),
    ) {
        let mut rng = Pcg64::seed_from_u64(seed);
        let labels: Vec<i64> = (0..12).map(|k| k % 3).collect();
        let models = ModelSet::new(&images(12, side, &mut rng), &labels).expect("models");
        let queries = images(8, side, &mut rng);
        let cost = pixel_cost((side, side), &Ground::parse(ground).expect("a ground")).expect("a cost");
        let solver = NetworkSimplex::default();
        let quick = Retrieval::new(&solver, cost, models, Score::TransportCost).expect("balanced");
        let context = Context::default();
        let found = quick.predict(&queries, &context).expect("solved");
        let all = quick.exhaustive().predict(&queries, &context).expect("solved");
        prop_assert_eq!(found.predictions(), all.predictions());
        prop_assert_eq!(found.nearest(), all.nearest());
        for i in 0..queries.len() {
            for (quick, all) in found.costs(i).iter().zip(all.costs(i)) {
                match quick {
                    ModelCost::Solved(cost) => prop_assert!((cost - all.value()).abs() < 1e-9),
                    ModelCost::AtLeast(bound) => prop_assert!(*bound <= all.value()),
                }
            }
        }
    }

    #[test]
    fn an_entropic_shortcut_changes_nothing(seed in any::<u64>(), reg in 0.01..0.2) {
        let mut rng = Pcg64::seed_from_u64(seed);
        let labels: Vec<i64> = (0..12).map(|k| k % 3).collect();
        let models = ModelSet::new(&images(12, 5, &mut rng), &labels).expect("models");
        let queries = images(6, 5, &mut rng);
        let cost = pixel_cost((5, 5), &Ground::Euclidean).expect("a cost");
        let solver = Sinkhorn::new(Settings::with_reg(Reg::Relative(reg))).expect("valid");
        let quick = Retrieval::new(&solver, cost, models, Score::Objective).expect("balanced");
        let context = Context::default();
        let found = quick.predict(&queries, &context).expect("solved");
        let all = quick.exhaustive().predict(&queries, &context).expect("solved");
        prop_assert_eq!(found.nearest(), all.nearest());
        for i in 0..queries.len() {
            for (quick, all) in found.costs(i).iter().zip(all.costs(i)) {
                match quick {
                    ModelCost::Solved(cost) => prop_assert!((cost - all.value()).abs() < 1e-6),
                    ModelCost::AtLeast(bound) => prop_assert!(*bound <= all.value() + 1e-6),
                }
            }
        }
    }
}

#[test]
fn another_reference_is_noticed_and_everything_is_solved() {
    let mut rng = Pcg64::seed_from_u64(4);
    let labels: Vec<i64> = (0..10).map(|k| k % 2).collect();
    let models = ModelSet::new(&images(10, 4, &mut rng), &labels).expect("models");
    let queries = images(5, 4, &mut rng);
    let cost = pixel_cost((4, 4), &Ground::Euclidean).expect("a cost");
    let settings = Settings {
        reference: solver_api::Reference::parse("ones").expect("a name"),
        ..Settings::with_reg(Reg::Relative(0.1))
    };
    let solver = Sinkhorn::new(settings).expect("valid");
    let quick = Retrieval::new(&solver, cost, models, Score::Objective).expect("balanced");
    let found = quick
        .predict(&queries, &Context::default())
        .expect("solved");
    let all = quick
        .exhaustive()
        .predict(&queries, &Context::default())
        .expect("solved");
    assert_eq!(found.nearest(), all.nearest());
}

#[test]
fn an_entropic_cost_is_never_bounded() {
    let mut rng = Pcg64::seed_from_u64(5);
    let labels: Vec<i64> = (0..10).map(|k| k % 2).collect();
    let models = ModelSet::new(&images(10, 4, &mut rng), &labels).expect("models");
    let queries = images(5, 4, &mut rng);
    let cost = pixel_cost((4, 4), &Ground::Euclidean).expect("a cost");
    let entropic = Sinkhorn::new(Settings::with_reg(Reg::Relative(0.3))).expect("valid");
    let solver = Claims(Box::new(entropic));
    let quick = Retrieval::new(&solver, cost, models, Score::TransportCost).expect("balanced");
    let found = quick
        .predict(&queries, &Context::default())
        .expect("solved");
    assert_eq!(found.solved(), 50);
}

#[test]
fn threads_change_no_bit() {
    let mut rng = Pcg64::seed_from_u64(8);
    let labels: Vec<i64> = (0..20).map(|k| k % 4).collect();
    let models = ModelSet::new(&images(20, 6, &mut rng), &labels).expect("models");
    let queries = images(15, 6, &mut rng);
    let cost = pixel_cost((6, 6), &Ground::Log1p).expect("a cost");
    let solver = Sinkhorn::new(Settings::with_reg(Reg::Relative(0.05))).expect("valid");
    for score in [Score::TransportCost, Score::Objective] {
        let retrieval = Retrieval::new(&solver, Arc::clone(&cost), models.clone(), score);
        let retrieval = retrieval.expect("balanced");
        let answers: Vec<_> = [1, 2, 5]
            .iter()
            .map(|&t| {
                let context = Context::default().with_threads(t).expect("a pool");
                retrieval.predict(&queries, &context).expect("solved")
            })
            .collect();
        assert!(answers.iter().all(|a| *a == answers[0]), "{score:?}");
    }
}
