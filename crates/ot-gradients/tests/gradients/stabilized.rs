//! Small ε at sizes that the slow reference does not reach, by the stabilized backend.

use ot_gradients::{Costs, SinkhornDivergence, implicit, objective};
use solver_api::{Ground, Measure, Problem, Reg, Solver};
use solver_stabilized::{Settings, SinkhornStabilized};

use crate::common::{central, close, cloud, moved, noise, shifted, weights};

fn solver(reg: f64, tol: f64) -> SinkhornStabilized {
    let settings = Settings {
        tol: Some(tol),
        ..Settings::with_reg(Reg::Absolute(reg))
    };
    SinkhornStabilized::new(settings).unwrap()
}

#[test]
fn objective_and_transport_cost() {
    let (n, m) = (150, 120);
    let (a, b) = (weights(n, 1, 1.0), weights(m, 50, 1.0));
    let (x, y) = (cloud(n, 2, 100), cloud(m, 2, 900));
    let pose =
        |a: &[f64], x: &[f64]| Problem::from_points(a, &b, x, &y, 2, Ground::SqEuclidean).unwrap();
    for reg in [1e-2, 1e-3] {
        let solver = solver(reg, 1e-11);
        let problem = pose(&a, &x);
        let solution = solver.solve(&problem).unwrap();
        let by_weights = objective::weights(&problem, &solution).unwrap();
        let by_points = objective::points(&problem, &solution).unwrap();
        let value = |a: &[f64], x: &[f64]| solver.solve(&pose(a, x)).unwrap();
        for (i, k) in [(0, 1), (70, 149)] {
            let slope = central(3e-4, |t| value(&shifted(&a, i, k, t), &x).objective);
            let found = by_weights.a[i] - by_weights.a[k];
            close(found, slope, 1e-6, 0.1, &format!("a at {reg}"));
        }
        for k in [0, 151] {
            let slope = central(0.02 * reg, |t| value(&a, &moved(&x, k, t)).objective);
            close(by_points.x[k], slope, 1e-6, 1e-3, &format!("x at {reg}"));
        }
        let found = implicit::gradient(&problem, &solution).unwrap();
        let points = found.points(&problem).unwrap();
        for (i, k) in [(0, 1), (70, 149)] {
            let slope = central(1e-4, |t| value(&shifted(&a, i, k, t), &x).transport_cost);
            let found = found.weights.a[i] - found.weights.a[k];
            close(found, slope, 2e-6, 0.1, &format!("⟨P, C⟩ by a at {reg}"));
        }
        let slope = central(0.02 * reg, |t| value(&a, &moved(&x, 0, t)).transport_cost);
        close(
            points.x[0],
            slope,
            2e-6,
            1e-3,
            &format!("⟨P, C⟩ by x at {reg}"),
        );
    }
}

#[test]
fn the_linear_system_is_solved_at_any_reg() {
    let (n, m) = (300, 280);
    let (a, b) = (weights(n, 1, 1.0), weights(m, 50, 1.0));
    let (x, y) = (cloud(n, 2, 100), cloud(m, 2, 900));
    let problem = Problem::from_points(&a, &b, &x, &y, 2, Ground::SqEuclidean).unwrap();
    for reg in [1e-3, 1e-4, 1e-5] {
        let solution = solver(reg, 1e-11)
            .solve(&problem)
            .unwrap()
            .require_converged()
            .unwrap();
        let found = implicit::gradient(&problem, &solution).unwrap();
        assert!(found.residual < 1e-10, "{reg}: {}", found.residual);
        // Euler: ⟨P, C⟩ is homogeneous of degree 1 in the weights.
        let d = &found.weights;
        let both: f64 = (d.a.iter().zip(&a).chain(d.b.iter().zip(&b)))
            .map(|(d, w)| d * w)
            .sum();
        close(
            both,
            solution.transport_cost,
            1e-9,
            0.0,
            &format!("Euler at {reg}"),
        );
        // It stays near the potentials, by some logarithms of the weights.
        let apart = (d.a.iter().zip(&solution.potentials.f)).map(|(s, f)| (s - f).abs());
        let most = apart.fold(0.0, f64::max);
        assert!(most < 60.0 * reg, "{reg}: {most}");
    }
}

#[test]
fn small_regularization_leaves_transport() {
    let n = 200;
    let w = Measure::new(weights(n, 3, 1.0)).unwrap();
    let x = cloud(n, 2, 100);
    let y: Vec<f64> = x
        .iter()
        .enumerate()
        .map(|(k, x)| x + 1.0 + 1e-3 * noise(k))
        .collect();
    let costs = Costs::of_points(&x, &y, 2, &Ground::SqEuclidean).unwrap();
    let solver = solver(1e-4, 1e-9);
    let found = SinkhornDivergence::new(&solver)
        .between(&w, &w, &costs)
        .unwrap();
    close(found.value, 2.0, 2e-3, 0.0, "a translation");
    let pull = found.points().unwrap();
    for i in 0..n {
        // Each point is pulled along the translation, by twice its weight.
        close(pull.x[2 * i], -2.0 * w.weights()[i], 0.02, 0.0, "pull");
    }
}
