//! Tables of distances, their kernels, and the classifiers on them.

use std::ops::ControlFlow;
use std::sync::Arc;

use ot_apps::svm::select;
use ot_apps::{
    DistanceTable, Distances, Images, KernelClassifier, Neighbours, Score, SvmSettings,
    exponential_kernel, pixel_cost,
};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use solver_api::{Context, Cost, DenseCost, Ground, Measure, Problem, Progress, Solver};
use solver_exact::NetworkSimplex;

use crate::backends::bars;
use crate::digits::digits;
use crate::refusals::said;
use crate::retrieval::images;
use crate::solvers::solvers;
use crate::toy::RelaxedOnly;

fn measures(images: &Images) -> Vec<Measure> {
    (0..images.len())
        .map(|i| images.measure(i).expect("a measure"))
        .collect()
}

fn cost(side: usize) -> Arc<dyn Cost> {
    pixel_cost((side, side), &Ground::Euclidean).expect("a cost")
}

#[test]
fn a_table_has_the_cost_of_every_pair_by_every_backend() {
    let rows = measures(&images(5, 4, &mut Pcg64::seed_from_u64(1)));
    let cols = measures(&images(3, 4, &mut Pcg64::seed_from_u64(2)));
    let context = Context::default();
    for solver in solvers() {
        let distances = Distances::new(solver.as_ref(), cost(4), Score::TransportCost);
        let distances = distances.expect("balanced");
        for against in [None, Some(cols.as_slice())] {
            let table = distances.table(&rows, against, &context).expect("solved");
            assert_eq!(table.missing(), 0);
            for (i, a) in rows.iter().enumerate() {
                for (j, b) in against.unwrap_or(&rows).iter().enumerate() {
                    let problem = Problem::new(a.clone(), b.clone(), cost(4)).expect("valid");
                    let alone = solver.solve(&problem).expect("solved").transport_cost;
                    let found = table.get(i, j).expect("filled");
                    assert!(
                        (found - alone).abs() < 1e-6,
                        "{} {found} {alone}",
                        solver.name()
                    );
                }
            }
        }
    }
}

#[test]
fn costs_that_are_not_symmetric_are_solved_both_ways() {
    let rows = measures(&images(4, 2, &mut Pcg64::seed_from_u64(1)));
    let entries: Vec<f64> = (0..16).map(|k| f64::from(k * 7 % 5)).collect();
    let cost: Arc<dyn Cost> = Arc::new(DenseCost::new(4, 4, entries).expect("valid"));
    let solver = NetworkSimplex::default();
    let distances = Distances::new(&solver, Arc::clone(&cost), Score::TransportCost);
    let table = distances
        .expect("balanced")
        .table(&rows, None, &Context::default());
    let table = table.expect("solved");
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate() {
            let problem = Problem::new(a.clone(), b.clone(), Arc::clone(&cost)).expect("valid");
            let want = solver.solve(&problem).expect("solved").transport_cost;
            assert!((table.get(i, j).expect("filled") - want).abs() < 1e-12);
        }
    }
}

#[test]
fn what_was_stopped_goes_on_to_the_same_table() {
    let all = measures(&images(30, 4, &mut Pcg64::seed_from_u64(5)));
    let solver = NetworkSimplex::default();
    let distances = Distances::new(&solver, cost(4), Score::TransportCost).expect("balanced");
    let want = distances
        .table(&all, None, &Context::default())
        .expect("solved");
    let mut table = DistanceTable::empty(30, 30).expect("a table");
    let few = Context::default()
        .observed(|p: &Progress| match p.iteration {
            0..7 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        })
        .with_threads(2)
        .expect("a pool");
    let mut seen = 0;
    let stopped = distances.fill(&mut table, &all, None, &few, &mut |t| {
        seen += 1;
        assert!(t.missing() < 900);
    });
    assert!(said(stopped).starts_with("stopped by cancelled after "));
    let missing = table.missing();
    assert!(
        seen >= 7 && missing > 0 && missing < 900,
        "{seen} {missing}"
    );
    // As from a file.
    let mut again = DistanceTable::from_values(30, 30, table.values().to_vec()).expect("valid");
    let short = distances.fill(&mut again, &all, None, &Context::default(), &mut |_| {});
    short.expect("solved");
    assert_eq!(again.unconverged(), [0_usize; 0]);
    assert_eq!(again.solver(), Some(solver.name()));
    assert_eq!(again.values(), want.values());
}

#[test]
fn a_shortcut_finds_the_neighbours_that_all_costs_have() {
    let solver = NetworkSimplex::default();
    let context = Context::default();
    for seed in 0..6 {
        let mut rng = Pcg64::seed_from_u64(seed);
        let (train, queries) = (images(40, 5, &mut rng), images(10, 5, &mut rng));
        let labels: Vec<i64> = (0..40).map(|k| k % 4).collect();
        for count in [1, 3, 40] {
            let score = Score::TransportCost;
            let neighbours = Neighbours::new(&solver, cost(5), count, score).expect("balanced");
            let fitted = neighbours.fit(&train, &labels, &context).expect("fits");
            let found = fitted.predict(&queries, &context).expect("solved");
            let fitted = neighbours
                .exhaustive()
                .fit(&train, &labels, &context)
                .expect("fits");
            let all = fitted.predict(&queries, &context).expect("solved");
            assert_eq!(all.solved(), 400);
            assert!(count == 40 || found.solved() < 300, "{}", found.solved());
            assert_eq!(found.predictions(), all.predictions());
            for (found, all) in found.neighbours().iter().zip(all.neighbours()) {
                assert_eq!(found.len(), count);
                for ((i, cost), (j, want)) in found.iter().zip(all) {
                    assert_eq!(i, j);
                    assert!((cost - want).abs() < 1e-12);
                }
            }
        }
    }
}

#[test]
fn bars_by_neighbours_and_kernels_of_every_backend() {
    let (train, labels) = bars(0.0);
    let (test, expected) = bars(0.5);
    let context = Context::default();
    for solver in solvers() {
        let (solver, name) = (solver.as_ref(), solver.name());
        for score in [Score::TransportCost, Score::Objective] {
            let neighbours = Neighbours::new(solver, cost(4), 1, score).expect("balanced");
            let fitted = neighbours.fit(&train, &labels, &context).expect("fits");
            let voted = fitted.predict(&test, &context).expect("solved");
            assert_eq!(voted.predictions(), expected, "{name}, {score:?}");
        }
        let distances = Distances::new(solver, cost(4), Score::TransportCost).expect("balanced");
        let train = measures(&train);
        let within = distances.table(&train, None, &context).expect("solved");
        let across = distances
            .table(&measures(&test), Some(&train), &context)
            .expect("solved");
        let t = within.quantile(0.2).expect("entries");
        let kernel = exponential_kernel(&within, t).expect("complete");
        let machine =
            KernelClassifier::fit(&kernel, &labels, SvmSettings::default()).expect("fits");
        let kernel = exponential_kernel(&across, t).expect("complete");
        assert_eq!(
            machine.predict(&kernel).expect("finite"),
            expected,
            "{name}"
        );
    }
}

/// scikit-learn 1.9.1, `SVC(kernel="precomputed", C=10)` on exp(−d/t) of the pixels' Euclidean distances, t their median:
/// of the 200 test digits of the fixtures 167 are told right, one vote of a pair apart.
#[test]
fn machines_are_those_of_an_independent_library() {
    let ((train, labels), (test, expected)) = (digits("train"), digits("t10k"));
    let apart = |x: &[f64], y: &[f64]| -> f64 {
        x.iter()
            .zip(y)
            .map(|(x, y)| (x - y) * (x - y))
            .sum::<f64>()
            .sqrt()
    };
    let table = |rows: &Images| {
        let pairs = (0..rows.len()).flat_map(|i| (0..train.len()).map(move |j| (i, j)));
        let values = pairs
            .map(|(i, j)| apart(rows.image(i), train.image(j)))
            .collect();
        DistanceTable::from_values(rows.len(), train.len(), values).expect("finite")
    };
    let (within, across) = (table(&train), table(&test));
    let t = within.quantile(0.5).expect("entries");
    let kernel = exponential_kernel(&within, t).expect("complete");
    let machine = KernelClassifier::fit(&kernel, &labels, SvmSettings::default()).expect("fits");
    assert!(machine.ridge() < 1e-9, "{}", machine.ridge());
    let found = machine.predict(&exponential_kernel(&across, t).expect("complete"));
    let right = found
        .expect("finite")
        .iter()
        .zip(&expected)
        .filter(|(f, e)| f == e)
        .count();
    assert!(right.abs_diff(RIGHT) <= 1, "{right}");
    let chosen = select(
        &within,
        &labels,
        &[0.01 * t, t],
        &[1e-3, 10.0],
        4,
        0,
        &Context::default(),
    );
    let chosen = chosen.expect("folds");
    assert_eq!((chosen.t, chosen.penalty), (t, 10.0));
    assert!((0.05..0.25).contains(&chosen.error), "{}", chosen.error);
}

/// Digits that scikit-learn tells right.
const RIGHT: usize = 167;

#[test]
fn what_is_wrong_with_tables_and_kernels_is_said() {
    let solver = NetworkSimplex::default();
    let context = Context::default();
    let (train, labels) = bars(0.0);
    let rows = measures(&train);
    let distances = Distances::new(&solver, cost(4), Score::TransportCost).expect("balanced");
    let neighbours = |count| Neighbours::new(&solver, cost(4), count, Score::TransportCost);
    let fit = |kernel: &[f64], labels: &[i64], penalty| {
        let settings = SvmSettings {
            penalty,
            ..SvmSettings::default()
        };
        said(KernelClassifier::fit(kernel, labels, settings))
    };
    let machine = KernelClassifier::fit(&[1.0, 0.1, 0.1, 1.0], &[1, 2], SvmSettings::default());
    let machine = machine.expect("fits");
    let full = DistanceTable::from_values(8, 8, vec![1.0; 64]).expect("valid");
    let chosen = |labels: &[i64], widths: &[f64], folds| {
        said(select(&full, labels, widths, &[1.0], folds, 0, &context))
    };
    insta::assert_snapshot!(
        [
            said(Distances::new(&RelaxedOnly, cost(4), Score::TransportCost)),
            said(distances.table(&[], None, &context)),
            said(distances.table(
                &rows,
                Some(&measures(&images(1, 3, &mut Pcg64::seed_from_u64(1)))),
                &context
            )),
            said(distances.fill(
                &mut full.clone(),
                &rows,
                Some(&rows[..3]),
                &context,
                &mut |_| {}
            )),
            said(DistanceTable::from_values(2, 2, vec![0.0; 3])),
            said(DistanceTable::from_values(1, 2, vec![0.0, f64::INFINITY])),
            said(exponential_kernel(&full, 0.0)),
            said(exponential_kernel(
                &DistanceTable::from_values(1, 2, vec![1.0, -800.0]).expect("a table"),
                1.0
            )),
            said(exponential_kernel(
                &DistanceTable::empty(2, 3).expect("a table"),
                1.0
            )),
            said(neighbours(0)),
            said(
                neighbours(9)
                    .expect("balanced")
                    .fit(&train, &labels, &context)
            ),
            said(
                neighbours(1)
                    .expect("balanced")
                    .fit(&train, &labels[1..], &context)
            ),
            said(
                neighbours(1)
                    .expect("balanced")
                    .fit(&train, &[3; 8], &context)
            ),
            fit(&[1.0, 0.1, 0.1], &[1, 2], 1.0),
            fit(&[1.0, 0.1, f64::NAN, 1.0], &[1, 2], 1.0),
            fit(&[1.0, 0.1, 0.5, 1.0], &[1, 2], 1.0),
            fit(&[1.0, 0.1, 0.1, 1.0], &[2, 2], 1.0),
            fit(&[1.0, 0.1, 0.1, 1.0], &[1, 2], -1.0),
            said(machine.predict(&[1.0; 3])),
            said(machine.predict(&[1.0, f64::NAN])),
            chosen(&labels, &[1.0], 1),
            chosen(&labels, &[1.0], 5),
            chosen(&labels, &[], 2),
        ]
        .join("\n")
    );
}
