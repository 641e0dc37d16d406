//! Methods with a solver inside, by every backend and by one of the test's own.

use std::sync::Arc;

use ot_apps::barycenters::Start;
use ot_apps::{
    Cloud, FixedSupport, FixedSupportSettings, FreeSupport, FreeSupportSettings, pixel_cost,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Barycenters, Context, Cost, Ground, Measure, PointCost};
use solver_exact::NetworkSimplex;
use solver_exact::closed::gaussian::Gaussian;
use solver_exact::lp::LpBarycenter;

use crate::solvers::solvers;

#[test]
fn descent_by_every_backend_brackets_the_optimum() {
    let cost = pixel_cost((3, 4), &Ground::SqEuclidean).expect("a cost");
    let at = |places: [usize; 3]| {
        let mut w = vec![0.0; 12];
        places.iter().for_each(|&p| w[p] += 1.0 / 3.0);
        Measure::new(w).expect("weights")
    };
    let measures = [at([0, 1, 5]), at([2, 7, 11]), at([3, 8, 9])];
    let lambda = [2.0, 1.0, 1.0];
    let exact = NetworkSimplex::default();
    let best = {
        let q = LpBarycenter::microlp()
            .barycenter(&cost, &measures, &lambda, &mut Context::default())
            .expect("small enough")
            .weights;
        // The bracket's upper end at the optimum, found in a round.
        mean_cost(&exact, &cost, &measures, &lambda, &q)
    };
    for solver in solvers() {
        let settings = FixedSupportSettings {
            tol: 0.02,
            max_iter: 400,
        };
        let method = FixedSupport::new(solver.as_ref(), settings).expect("balanced");
        let answer = method.barycenter(&cost, &measures, &lambda, &mut Context::default());
        let answer = answer.expect("an answer");
        let (name, bracket) = (solver.name(), answer.certificate.expect("a bracket"));
        let reached = mean_cost(&exact, &cost, &measures, &lambda, &answer.weights);
        assert!(bracket.lower <= best + 1e-9, "{name}: {bracket:?}, {best}");
        assert!(reached >= best - 1e-9, "{name}: {reached}, {best}");
        // The toy has no potentials to descend along, and units of 1/60 besides.
        if name != "matching" {
            assert!(reached <= best + 0.5, "{name}: {reached}, {best}");
            assert!(bracket.lower >= best - 0.5, "{name}: {bracket:?}, {best}");
        }
    }
}

fn mean_cost(
    solver: &dyn solver_api::Solver,
    cost: &Arc<dyn Cost>,
    measures: &[Measure],
    lambda: &[f64],
    q: &Measure,
) -> f64 {
    let total: f64 = lambda.iter().sum();
    let parts = measures.iter().zip(lambda).map(|(p, l)| {
        let problem = solver_api::Problem::new(p.clone(), q.clone(), Arc::clone(cost));
        l / total
            * solver
                .solve(&problem.expect("a problem"))
                .expect("solved")
                .transport_cost
    });
    parts.sum()
}

/// Five points and the same ones a step away: their barycenter is a part of the step away, at λ(1 − λ) of its square.
#[test]
fn free_supports_by_every_backend_go_a_part_of_the_way() {
    let here = [0.0, 0.0, 3.0, 1.0, 1.0, 4.0, 6.0, 5.0, 5.0, 0.0];
    let there: Vec<f64> = here
        .chunks(2)
        .flat_map(|p| [p[0] + 2.0, p[1] - 1.0])
        .collect();
    let clouds = [
        Cloud::uniform("here", here.to_vec(), 2).expect("points"),
        Cloud::uniform("there", there, 2).expect("points"),
    ];
    let start = Start {
        points: here.to_vec(),
        weights: None,
    };
    for solver in solvers() {
        let settings = FreeSupportSettings::new(5);
        let method = FreeSupport::new(solver.as_ref(), settings).expect("balanced");
        let found = method.fit_from(&clouds, &[1.0, 3.0], &start, &Context::default());
        let found = found.expect("an answer");
        let name = solver.name();
        assert!(
            found.convergence.converged(),
            "{name}: {:?}",
            found.convergence
        );
        let tolerance = if name.contains("sinkhorn") { 0.3 } else { 1e-6 };
        for (x, y) in found.cloud.points().chunks(2).zip(here.chunks(2)) {
            let off = (x[0] - y[0] - 1.5).abs().max((x[1] - y[1] + 0.75).abs());
            assert!(off < tolerance, "{name}: {x:?} from {y:?}");
        }
        let expected = 0.25 * 0.75 * 5.0;
        assert!(
            (found.mean_cost - expected).abs() < 2.0 * tolerance,
            "{name}: {}",
            found.mean_cost
        );
        assert_eq!(found.solver, name);
    }
}

/// A cloud and an affine image of it: every affine map with a symmetric positive matrix is the best one, and so are the
/// means of two of them.
#[test]
fn affine_images_average_as_bures_says() {
    let points: Vec<f64> = (0..80)
        .map(|e| ((e * 37 % 80) as f64 / 20.0) + ((e * e * 13) % 17) as f64 / 9.0)
        .collect();
    let image = |a: [f64; 3], c: [f64; 2]| -> Vec<f64> {
        let map = |p: &[f64]| {
            [
                a[0] * p[0] + a[1] * p[1] + c[0],
                a[1] * p[0] + a[2] * p[1] + c[1],
            ]
        };
        points.chunks(2).flat_map(map).collect()
    };
    let maps = [
        ([1.5, 0.3, 0.8], [1.0, 2.0]),
        ([0.7, -0.2, 1.1], [-3.0, 0.0]),
    ];
    let clouds = maps.map(|(a, c)| Cloud::uniform("cloud", image(a, c), 2).expect("points"));
    let exact = NetworkSimplex::default();
    let method = FreeSupport::new(&exact, FreeSupportSettings::new(40)).expect("balanced");
    let start = Start {
        points: points.clone(),
        weights: None,
    };
    let found = method.fit_from(&clouds, &[1.0, 1.0], &start, &Context::default());
    let found = found.expect("an answer");
    let expected = image([1.1, 0.05, 0.95], [-1.0, 1.0]);
    for (x, y) in found.cloud.points().iter().zip(&expected) {
        assert!((x - y).abs() < 1e-9, "{x} {y}");
    }
    // Both are best maps from the points, and so the mean is a barycenter of the three.
    let of =
        |cloud: &Cloud| Gaussian::of_samples(cloud.weights(), cloud.points(), 2).expect("moments");
    let spread = of(&clouds[0])
        .distance_squared(&of(&clouds[1]))
        .expect("two Gaussians");
    assert!(
        found.mean_cost >= spread / 4.0 - 1e-9,
        "{} {spread}",
        found.mean_cost
    );
}

#[test]
fn weights_are_found_and_starts_and_seeds_decide() {
    let points = [0.0, 0.1, 10.0, 10.1, 20.0, 20.1];
    let weights = [0.1, 0.1, 0.2, 0.2, 0.2, 0.2];
    let weights = Measure::new(weights.to_vec()).expect("weights");
    let cloud = Cloud::new("cloud", points.to_vec(), 1, weights).expect("points");
    let exact = NetworkSimplex::default();
    let settings = FreeSupportSettings {
        weights: true,
        ..FreeSupportSettings::new(3)
    };
    let method = FreeSupport::new(&exact, settings).expect("balanced");
    let start = Start {
        points: vec![1.0, 9.0, 18.0],
        weights: None,
    };
    let clouds = [cloud.clone()];
    let found = method.fit_from(&clouds, &[1.0], &start, &Context::default());
    let found = found.expect("an answer");
    for (found, expected) in found.cloud.weights().weights().iter().zip([0.2, 0.4, 0.4]) {
        assert!((found - expected).abs() < 0.01, "{found} {expected}");
    }
    // With weights that are right, what is left is the spread inside of the pairs.
    assert!(found.mean_cost < 0.1, "{}", found.mean_cost);

    let fit = |starts: usize, seed: u64, threads: usize| {
        let settings = FreeSupportSettings {
            starts,
            ..FreeSupportSettings::new(4)
        };
        let method = FreeSupport::new(&exact, settings).expect("balanced");
        let context = Context::default().with_threads(threads).expect("a pool");
        let clouds = [cloud.clone(), cloud.clone()];
        method
            .fit(&clouds, &[1.0, 2.0], seed, &context)
            .expect("an answer")
    };
    let (one, many) = (fit(1, 3, 1), fit(6, 3, 2));
    assert!(many.mean_cost <= one.mean_cost);
    assert_eq!(many.cloud, fit(6, 3, 1).cloud);
    assert!((0..5).any(|seed| fit(1, seed, 1).cloud != one.cloud));
}

/// No weights of the same atoms are better by more than the gap says: the linear program over them is the judge.
#[test]
fn weights_that_are_found_are_the_best_of_their_atoms() {
    let exact = NetworkSimplex::default();
    let mut rng = Pcg64::seed_from_u64(5);
    let mut draw = |count: usize, shift: f64| -> Vec<f64> {
        let mut number = || rng.random::<f64>() + shift;
        (0..2 * count).map(|_| number()).collect()
    };
    let (one, other) = (draw(12, 0.0), draw(9, 0.7));
    let lambda = [0.3, 0.7];
    for (atoms, gap) in [(3, 0.02), (6, 0.02), (6, 0.1)] {
        let clouds = [
            Cloud::uniform("one", one.clone(), 2).expect("points"),
            Cloud::uniform("other", other.clone(), 2).expect("points"),
        ];
        let settings = FreeSupportSettings {
            weights: true,
            gap,
            ..FreeSupportSettings::new(atoms)
        };
        let method = FreeSupport::new(&exact, settings).expect("balanced");
        let found = method.fit(&clouds, &lambda, 1, &Context::default());
        let found = found.expect("an answer");
        assert!(found.convergence.converged(), "{:?}", found.convergence);

        let both: Vec<f64> = one.iter().chain(&other).copied().collect();
        let x = found.cloud.points().to_vec();
        let cost = PointCost::new(both, x, 2, Ground::SqEuclidean).expect("a cost");
        let cost: Arc<dyn Cost> = Arc::new(cost);
        let part = |range: std::ops::Range<usize>| {
            let weights = (0..21).map(|j| if range.contains(&j) { 1.0 } else { 0.0 });
            Measure::new(weights.collect::<Vec<_>>())
                .expect("weights")
                .normalized()
        };
        let measures = [part(0..12), part(12..21)];
        let oracle = LpBarycenter::microlp();
        let best = oracle.barycenter(&cost, &measures, &lambda, &mut Context::default());
        let best = best.expect("an answer").weights;
        let least = mean_cost(&exact, &cost, &measures, &lambda, &best);
        let mine = mean_cost(&exact, &cost, &measures, &lambda, found.cloud.weights());
        assert!(
            mine <= least / (1.0 - gap) + 1e-9,
            "{atoms}: {mine} {least}"
        );
        assert!(mine <= found.mean_cost + 1e-9);
        let equal = Measure::uniform(atoms).expect("weights");
        assert!(mine < mean_cost(&exact, &cost, &measures, &lambda, &equal));
    }
}
