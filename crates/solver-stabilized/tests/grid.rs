//! Large grids, which are solved without a matrix.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use solver_api::{Context, Cost, GridCost, GridGround, Measure, Problem, Reg, Solver};
use solver_stabilized::{Settings, SinkhornStabilized};

fn solver(reg: Reg, tol: f64) -> SinkhornStabilized {
    let settings = Settings {
        tol: Some(tol),
        ..Settings::with_reg(reg)
    };
    SinkhornStabilized::new(settings).unwrap()
}

/// A blob over some ground, its centre at `at`; one cell in seven is empty.
fn blob(dims: &[usize], at: &[f64], width: f64, ground: f64, salt: usize) -> Measure {
    let n: usize = dims.iter().product();
    let weight = |cell: usize| {
        let (mut i, mut squares) = (cell, 0.0);
        for (&d, at) in dims.iter().zip(at).rev() {
            squares += ((i % d) as f64 - at).powi(2);
            i /= d;
        }
        if (cell + salt) % 7 == 3 {
            0.0
        } else {
            ground + (-squares / (2.0 * width * width)).exp()
        }
    };
    Measure::new((0..n).map(weight).collect::<Vec<f64>>())
        .unwrap()
        .normalized()
}

#[test]
fn a_smaller_regularization_closes_the_bracket() {
    for (dims, ground) in [
        (vec![52, 64], GridGround::SqEuclidean),
        (vec![14, 13, 17], GridGround::SqEuclidean),
        (vec![60, 50], GridGround::Cityblock),
        (vec![1, 2600], GridGround::SqEuclidean),
    ] {
        let centre = |t: f64| -> Vec<f64> { dims.iter().map(|&d| t * d as f64).collect() };
        let (a, b) = (
            blob(&dims, &centre(0.3), 3.0, 1e-3, 0),
            blob(&dims, &centre(0.7), 5.0, 1e-3, 1),
        );
        let cost: Arc<dyn Cost> = Arc::new(GridCost::new(&dims, ground).unwrap());
        let problem = Problem::new(a, b, Arc::clone(&cost)).unwrap();
        let mut gap = f64::INFINITY;
        for rel in [1e-2, 1e-3, 1e-4] {
            let solution = solver(Reg::Relative(rel), 1e-8).solve(&problem).unwrap();
            let seen = &solution.convergence;
            assert!(seen.converged(), "{dims:?} {rel}: {seen:?}");
            assert!(seen.source_error <= 1e-8 && seen.target_error <= 1e-8);
            let bracket = solution.certificate.unwrap();
            assert!(bracket.gap() < 0.6 * gap, "{dims:?} {rel}: {bracket:?}");
            gap = bracket.gap();
            // Started where it ended, it has nothing to do.
            let mut warm = Context::default().warm(solution.potentials.clone());
            let again = solver(Reg::Relative(rel), 1e-8)
                .solve_with(&problem, &mut warm)
                .unwrap();
            assert!(
                again.convergence.iterations < Some(20),
                "{:?}",
                again.convergence
            );
        }
        assert!(gap < 0.02 * cost.range().max, "{dims:?}: {gap}");
    }
}

#[test]
fn a_grid_and_its_matrix_agree() {
    let dims = [48, 50];
    let grid = GridCost::new(&dims, GridGround::SqEuclidean).unwrap();
    let range = grid.range().max;
    let dense: Arc<dyn Cost> = Arc::new(solver_api::DenseCost::materialize(&grid).unwrap());
    let (a, b) = (
        blob(&dims, &[12.0, 30.0], 4.0, 1e-2, 0),
        blob(&dims, &[30.0, 20.0], 6.0, 1e-2, 2),
    );
    let on = Problem::new(a.clone(), b.clone(), Arc::new(grid)).unwrap();
    let off = Problem::new(a, b, dense).unwrap();
    let solver = solver(Reg::Relative(1e-3), 1e-10);
    let (on, off) = (solver.solve(&on).unwrap(), solver.solve(&off).unwrap());
    assert!(on.convergence.converged() && off.convergence.converged());
    assert!((on.transport_cost - off.transport_cost).abs() < 1e-9 * range);
    assert!((on.objective - off.objective).abs() < 1e-9 * range);
    let pairs = on.potentials.f.iter().zip(&off.potentials.f);
    let pairs = pairs.chain(on.potentials.g.iter().zip(&off.potentials.g));
    for (x, y) in pairs {
        assert!((x - y).abs() < 1e-7 * range, "{x} {y}");
    }
}

/// Axis by axis it stalled: sums of distances have ties along whole axes.
#[test]
fn sums_of_distances_at_a_small_regularization() {
    for dims in [vec![48, 50], vec![13, 13, 13]] {
        let n: usize = dims.iter().product();
        let number = |k: usize| (k as f64 * 0.618_033_988_749_895).fract();
        let weights = |salt| {
            let drawn: Vec<f64> = (0..n).map(|k| 1e-3 + number(3 * k + salt)).collect();
            Measure::new(drawn).unwrap().normalized()
        };
        let cost = Arc::new(GridCost::new(&dims, GridGround::Cityblock).unwrap());
        let problem = Problem::new(weights(1), weights(2000), cost).unwrap();
        let solution = solver(Reg::Relative(1e-5), 1e-9).solve(&problem).unwrap();
        assert!(
            solution.convergence.converged(),
            "{:?}",
            solution.convergence
        );
    }
}
