//! Problems on a grid, against the same problems with their cost as a matrix, and against closed forms.

use std::sync::Arc;

use proptest::prelude::*;
use solver_api::{
    Batch, CancelToken, Certify, Context, Cost, DenseCost, Error, GridCost, GridGround, Measure,
    Plan, Precision, Problem, Reg, Solution, Solver, Termination,
};
use solver_sinkhorn::{Settings, Sinkhorn};

use crate::common::Rng;

fn solver(reg: Reg, tol: f64) -> Sinkhorn {
    let settings = Settings {
        tol: Some(tol),
        ..Settings::with_reg(reg)
    };
    Sinkhorn::new(settings).unwrap()
}

/// Weights of mass `mass`, some of them zero, those in the last slice of the first axis all.
fn weights(dims: &[usize], mass: f64, rng: &mut Rng, zeros: f64) -> Measure {
    let n: usize = dims.iter().product();
    let slice = n - n / dims[0] * usize::from(dims[0] > 2);
    let mut w: Vec<f64> = (0..n)
        .map(|k| {
            if rng.next() < zeros || k >= slice {
                0.0
            } else {
                0.05 + rng.next()
            }
        })
        .collect();
    w[0] += 0.1;
    let total: f64 = w.iter().sum();
    w.iter_mut().for_each(|w| *w *= mass / total);
    Measure::new(w).unwrap()
}

fn both(grid: GridCost, a: &Measure, b: &Measure) -> [Problem; 2] {
    let dense = DenseCost::materialize(&grid).unwrap();
    let costs: [Arc<dyn Cost>; 2] = [Arc::new(grid), Arc::new(dense)];
    costs.map(|cost| Problem::new(a.clone(), b.clone(), cost).unwrap())
}

fn assert_same(on: &Solution, off: &Solution, range: f64) {
    let near = |x: f64, y: f64, size: f64| {
        assert!((x - y).abs() <= 1e-10 * size, "{x} {y} {size}");
    };
    let size = range * off.mass;
    near(on.transport_cost, off.transport_cost, size);
    near(on.objective, off.objective, size.max(off.objective.abs()));
    let (p, q) = (&on.potentials, &off.potentials);
    for (x, y) in p.f.iter().chain(&p.g).zip(q.f.iter().chain(&q.g)) {
        near(*x, *y, range.max(y.abs()));
    }
    let (c, d) = (on.certificate.unwrap(), off.certificate.unwrap());
    near(c.lower, d.lower, size);
    near(c.upper, d.upper, size);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]
    #[test]
    fn a_grid_is_solved_like_its_matrix(
        dims in prop::sample::select(vec![
            vec![12], vec![1, 9], vec![9, 1], vec![7, 1, 4], vec![6, 8], vec![3, 4, 5], vec![2, 2],
        ]),
        seed in 0_u64..1000,
        rel in prop::sample::select(vec![0.03, 0.1, 1.0]),
        squared in any::<bool>(),
        zeros in prop::sample::select(vec![0.0, 0.3]),
    ) {
        let mut rng = Rng::new(seed);
        let ground = if squared { GridGround::SqEuclidean } else { GridGround::Cityblock };
        let spacing: Vec<f64> = (0..dims.len()).map(|k| 0.5 + k as f64).collect();
        let grid = GridCost::with_spacing(&dims, &spacing, ground).unwrap();
        let range = grid.range().max;
        let (a, b) = (weights(&dims, 3.0, &mut rng, zeros), weights(&dims, 3.0, &mut rng, zeros));
        let [on, off] = both(grid, &a, &b);
        let solver = solver(Reg::Relative(rel), 1e-12);
        let (on, off) = (solver.solve(&on).unwrap(), solver.solve(&off).unwrap());
        prop_assert!(on.convergence.converged() && off.convergence.converged());
        assert_same(&on, &off, range);
        // The plan's own marginals, by the definition.
        let dense = Plan::from(on.plan.to_dense());
        let (rows, cols) = dense.marginals();
        let error = |x: &[f64], w: &[f64]| x.iter().zip(w).map(|(x, w)| (x - w).abs()).sum::<f64>();
        prop_assert!(error(&rows, a.weights()) < 1e-11 && error(&cols, b.weights()) < 1e-11);
    }
}

/// A blob on a grid, its centre at `at`.
fn blob(dims: &[usize], at: &[f64], width: f64) -> Measure {
    let n: usize = dims.iter().product();
    let weight = |mut i: usize| {
        let mut squares = 0.0;
        for (&d, at) in dims.iter().zip(at).rev() {
            squares += ((i % d) as f64 - at).powi(2);
            i /= d;
        }
        let w = (-squares / (2.0 * width * width)).exp();
        if w < 1e-12 { 0.0 } else { w }
    };
    Measure::new((0..n).map(weight).collect::<Vec<f64>>())
        .unwrap()
        .normalized()
}

#[test]
fn a_shifted_blob_costs_the_square_of_its_shift() {
    let dims = [40, 56];
    let grid: Arc<dyn Cost> = Arc::new(GridCost::new(&dims, GridGround::SqEuclidean).unwrap());
    let (a, b) = (
        blob(&dims, &[16.0, 16.0], 1.5),
        blob(&dims, &[22.0, 38.0], 1.5),
    );
    let problem = Problem::new(a, b, grid).unwrap();
    let exact = 6.0 * 6.0 + 22.0 * 22.0;
    for reg in [30.0, 12.0] {
        let solution = solver(Reg::Absolute(reg), 1e-9).solve(&problem).unwrap();
        assert!(solution.convergence.converged());
        let bracket = solution.certificate.unwrap();
        assert!(bracket.contains(exact, 1e-9 * exact), "{bracket:?}");
        assert!(bracket.gap() < 0.05 * exact, "{bracket:?}");
        // What is sent where: each source moves by the shift, but for the blur that pulls towards the mean.
        let columns: Vec<f64> = (0..40 * 56).map(|j| (j % 56) as f64).collect();
        let means = solution.plan.barycentric_projection(&columns, 1).unwrap();
        assert!((means[16 * 56 + 16] - 38.0).abs() < 1e-6);
    }
}

#[test]
fn a_kernel_that_underflows_is_refused() {
    let dims = [30, 30];
    let grid: Arc<dyn Cost> = Arc::new(GridCost::new(&dims, GridGround::SqEuclidean).unwrap());
    let (a, b) = (
        blob(&dims, &[3.0, 3.0], 1.0),
        blob(&dims, &[26.0, 26.0], 1.0),
    );
    let problem = Problem::new(a.clone(), b, Arc::clone(&grid)).unwrap();
    let error = solver(Reg::Absolute(0.05), 1e-6)
        .solve(&problem)
        .unwrap_err();
    let Error::KernelUnderflow { safe_reg, .. } = error else {
        panic!("{error}");
    };
    assert!(safe_reg > 0.05, "{safe_reg}");
    // Entries that are lost, but not needed.
    let solution = solver(Reg::Absolute(0.3), 1e-6).solve(&problem).unwrap();
    assert!(solution.convergence.converged());
    assert!(
        solution
            .certificate
            .unwrap()
            .contains(2.0 * 23.0 * 23.0, 1e-6)
    );
    let problem = Problem::new(a.clone(), a, grid).unwrap();
    let solution = solver(Reg::Absolute(0.3), 1e-9).solve(&problem).unwrap();
    assert!(solution.convergence.converged());
    assert!(solution.transport_cost < 0.3);
}

#[test]
fn many_are_as_one_by_one() {
    let dims = [9, 11];
    let grid: Arc<dyn Cost> = Arc::new(GridCost::new(&dims, GridGround::SqEuclidean).unwrap());
    let mut rng = Rng::new(3);
    let pairs: Vec<_> = (0..9)
        .map(|_| {
            let mut side = || weights(&dims, 1.0, &mut rng, 0.4);
            (side(), side())
        })
        .collect();
    for precision in [Precision::F64, Precision::F32] {
        let settings = Settings {
            precision,
            ..Settings::default()
        };
        let solver = Sinkhorn::new(settings).unwrap();
        let batch = Batch::SharedCost {
            cost: Arc::clone(&grid),
            pairs: pairs.clone(),
        };
        let together = solver.solve_batch(&batch, &mut Context::default());
        for (k, one) in together.into_iter().enumerate() {
            let (one, alone) = (
                one.unwrap(),
                solver.solve(&batch.problem(k).unwrap()).unwrap(),
            );
            assert!(one.convergence.converged());
            assert_eq!(one.transport_cost, alone.transport_cost);
            assert_eq!(one.potentials, alone.potentials);
        }
    }
}

#[test]
fn it_starts_from_potentials_and_stops_when_told() {
    let dims = [16, 16];
    let grid: Arc<dyn Cost> = Arc::new(GridCost::new(&dims, GridGround::SqEuclidean).unwrap());
    let mut rng = Rng::new(5);
    let mut side = || weights(&dims, 1.0, &mut rng, 0.1);
    let problem = Problem::new(side(), side(), grid).unwrap();
    let solver = solver(Reg::Relative(1e-2), 1e-9);
    let cold = solver.solve(&problem).unwrap();
    let mut warm = Context::default().warm(cold.potentials.clone());
    let again = solver.solve_with(&problem, &mut warm).unwrap();
    assert!(again.convergence.converged());
    assert!(again.convergence.iterations < cold.convergence.iterations);
    let token = CancelToken::default();
    token.cancel();
    let mut stopped = Context::default()
        .cancelled_by(&token)
        .certified(Certify::Off);
    let stopped = solver.solve_with(&problem, &mut stopped).unwrap();
    assert_eq!(stopped.convergence.termination, Termination::Cancelled);
    assert!(stopped.transport_cost.is_finite());
    let few = Settings {
        max_iter: 3,
        ..Settings::default()
    };
    let few = Sinkhorn::new(few).unwrap().solve(&problem).unwrap();
    assert_eq!(few.convergence.termination, Termination::IterationLimit);
    assert_eq!(few.convergence.iterations, Some(3));
}

/// A part of the cells weighs something, over many decades.
fn sparse(dims: &[usize], rng: &mut Rng, part: f64, decades: f64) -> Measure {
    let n: usize = dims.iter().product();
    let mut w: Vec<f64> = (0..n)
        .map(|_| {
            if rng.next() < part {
                10_f64.powf(-decades * rng.next())
            } else {
                0.0
            }
        })
        .collect();
    w[(rng.next() * n as f64) as usize % n] = 1.0;
    Measure::new(w).unwrap().normalized()
}

#[test]
fn the_safe_reg_of_a_refusal_really_solves() {
    let mut refused = 0;
    let mut rng = Rng::new(11);
    for dims in [
        vec![60],
        vec![1, 200],
        vec![30, 30],
        vec![12, 40],
        vec![9, 8, 10],
        vec![20, 1, 13],
    ] {
        let at = |t: f64| -> Vec<f64> { dims.iter().map(|&d| t * (d - 1) as f64).collect() };
        let mut pairs = vec![
            (blob(&dims, &at(0.1), 1.0), blob(&dims, &at(0.9), 1.0)),
            (blob(&dims, &at(0.0), 3.0), blob(&dims, &at(1.0), 0.5)),
        ];
        // Weights in full boxes and in all but empty ones, equal ones and ones over more decades than count.
        for (part, decades) in [
            ((0.6, 0.6), (0.0, 0.0)),
            ((0.4, 0.6), (3.0, 8.0)),
            ((0.5, 0.5), (80.0, 40.0)),
            ((0.7, 0.3), (80.0, 190.0)),
            ((0.2, 0.1), (20.0, 120.0)),
            ((0.5, 0.5), (300.0, 300.0)),
        ] {
            let a = sparse(&dims, &mut rng, part.0, decades.0);
            pairs.push((a, sparse(&dims, &mut rng, part.1, decades.1)));
        }
        for ground in [GridGround::SqEuclidean, GridGround::Cityblock] {
            let grid: Arc<dyn Cost> = Arc::new(GridCost::new(&dims, ground).unwrap());
            for (k, (a, b)) in pairs.iter().enumerate() {
                let problem = Problem::new(a.clone(), b.clone(), Arc::clone(&grid)).unwrap();
                for (rel, tol) in [(1e-3, Some(1e-6)), (1e-4, None), (1e-5, Some(1e-10))] {
                    let settings = Settings {
                        tol,
                        max_iter: 5000,
                        ..Settings::with_reg(Reg::Relative(rel))
                    };
                    let solve = |settings| Sinkhorn::new(settings).unwrap().solve(&problem);
                    let Err(Error::KernelUnderflow { reg, safe_reg, .. }) = solve(settings.clone())
                    else {
                        continue;
                    };
                    refused += 1;
                    assert!(safe_reg > reg, "{dims:?} {ground:?} {k} {rel}: {safe_reg}");
                    let again = Settings {
                        reg: Reg::Absolute(safe_reg),
                        ..settings
                    };
                    let seen = solve(again).unwrap().convergence;
                    // Potentials of equal weights with the sum of coordinates are flat: slow, but in range.
                    let is_slow = ground == GridGround::Cityblock
                        && seen.termination == Termination::IterationLimit;
                    assert!(
                        seen.converged() || is_slow && seen.target_error < 1e-2,
                        "{dims:?} {ground:?} {k} {rel} {safe_reg}: {seen:?}"
                    );
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
