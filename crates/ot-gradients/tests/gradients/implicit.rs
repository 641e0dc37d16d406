use std::sync::Arc;

use ot_gradients::CostGradient;
use ot_gradients::implicit::{self, ConjugateGradient, Hessian, HessianSolver, Shifts};
use solver_api::{DenseCost, Error, Ground, Measure, Problem, Reg, Solver};
use solver_exact::NetworkSimplexFactory;
use solver_sinkhorn::{Settings, Sinkhorn};

use crate::common::{central, close, cloud, forward, moved, reference, shifted, weights};

const DIM: usize = 2;

struct Case {
    a: Vec<f64>,
    b: Vec<f64>,
    x: Vec<f64>,
    y: Vec<f64>,
    gamma: Option<(f64, f64)>,
}

impl Case {
    fn new(n: usize, m: usize, mass: f64) -> Self {
        Self {
            a: weights(n, 1, mass),
            b: weights(m, 50, mass),
            x: cloud(n, DIM, 100),
            y: cloud(m, DIM, 900),
            gamma: None,
        }
    }

    fn cost(&self, x: &[f64], y: &[f64]) -> Vec<f64> {
        let between = |i: usize, j: usize| {
            Ground::SqEuclidean.between(&x[i * DIM..(i + 1) * DIM], &y[j * DIM..(j + 1) * DIM])
        };
        let (n, m) = (self.a.len(), self.b.len());
        (0..n * m).map(|k| between(k / m, k % m)).collect()
    }

    fn dense(&self, a: &[f64], b: &[f64], c: &[f64]) -> Problem {
        let cost = Arc::new(DenseCost::new(a.len(), b.len(), c.to_vec()).unwrap());
        let (a, b) = (
            Measure::new(a.to_vec()).unwrap(),
            Measure::new(b.to_vec()).unwrap(),
        );
        match self.gamma {
            Some((ga, gb)) => Problem::relaxed(a, b, cost, ga, gb).unwrap(),
            None => Problem::new(a, b, cost).unwrap(),
        }
    }

    /// Every derivative at one ε.
    fn check(&self, reg: f64, tol: f64) {
        let (n, m) = (self.a.len(), self.b.len());
        let c = self.cost(&self.x, &self.y);
        let solver = reference(reg);
        let value = |a: &[f64], b: &[f64], c: &[f64]| {
            solver.solve(&self.dense(a, b, c)).unwrap().transport_cost
        };
        let problem = self.dense(&self.a, &self.b, &c);
        let solution = solver.solve(&problem).unwrap();
        let found = implicit::gradient(&problem, &solution).unwrap();
        let what = |of: &str| format!("{of} at {reg} {:?}", self.gamma);
        let step = 1e-4 * self.a.iter().sum::<f64>();
        for (i, k) in [(0, 1), (2, 4), (n - 1, 3)] {
            let at = |t: f64| value(&shifted(&self.a, i, k, t), &self.b, &c);
            let slope = if self.a[i] == 0.0 {
                forward(step, at)
            } else {
                central(step, at)
            };
            close(
                found.weights.a[i] - found.weights.a[k],
                slope,
                tol,
                0.1,
                &what("a"),
            );
        }
        for (i, k) in [(0, 1), (2, 4), (m - 1, 3)] {
            let at = |t: f64| value(&self.a, &shifted(&self.b, i, k, t), &c);
            let slope = if self.b[i] == 0.0 {
                forward(step, at)
            } else {
                central(step, at)
            };
            close(
                found.weights.b[i] - found.weights.b[k],
                slope,
                tol,
                0.1,
                &what("b"),
            );
        }
        if self.gamma.is_some() {
            let slope = central(step, |t| value(&moved(&self.a, 0, t), &self.b, &c));
            close(found.weights.a[0], slope, tol, 0.1, &what("a alone"));
            let slope = central(step, |t| value(&self.a, &moved(&self.b, 0, t), &c));
            close(found.weights.b[0], slope, tol, 0.1, &what("b alone"));
        }
        let by_cost = found.to_dense();
        let scale = by_cost.iter().fold(0.0_f64, |s, d| s.max(d.abs()));
        for k in [0, m + 2, 3 * m + 1, 4 * m - 1] {
            let slope = central(0.02 * reg, |t| value(&self.a, &self.b, &moved(&c, k, t)));
            close(by_cost[k], slope, tol, 0.1 * scale, &what("C"));
        }
    }

    fn points(&self, reg: f64, tol: f64) {
        let (a, b) = (&self.a, &self.b);
        let pose = |x: &[f64], y: &[f64]| {
            Problem::from_points(a, b, x, y, DIM, Ground::SqEuclidean).unwrap()
        };
        let solver = reference(reg);
        let problem = pose(&self.x, &self.y);
        let found = implicit::gradient(&problem, &solver.solve(&problem).unwrap()).unwrap();
        let found = found.points(&problem).unwrap();
        let value = |x: &[f64], y: &[f64]| solver.solve(&pose(x, y)).unwrap().transport_cost;
        for k in [0, 3, 6] {
            let slope = central(0.02 * reg, |t| value(&moved(&self.x, k, t), &self.y));
            close(found.x[k], slope, tol, 0.05, &format!("x at {reg}"));
            let slope = central(0.02 * reg, |t| value(&self.x, &moved(&self.y, k, t)));
            close(found.y[k], slope, tol, 0.05, &format!("y at {reg}"));
        }
    }
}

#[test]
fn balanced() {
    let mut case = Case::new(8, 10, 2.0);
    for (reg, tol) in [(0.5, 1e-6), (1e-2, 1e-6), (1e-3, 1e-6)] {
        case.check(reg, tol);
        case.points(reg, tol);
    }
    // Weights of zero on both sides.
    case.a[7] = 0.0;
    case.a[0] += 2.0 - case.a.iter().sum::<f64>();
    case.b[9] = 0.0;
    case.b[0] += 2.0 - case.b.iter().sum::<f64>();
    case.check(1e-2, 1e-6);
}

#[test]
fn small_regularization_on_a_line() {
    // Enough points beside each other for the plan to connect them at 1e-4 of the largest cost.
    let (n, reg) = (40, 1e-4);
    let line = |seed: usize| -> Vec<f64> {
        let mut x: Vec<f64> = (0..n)
            .map(|k| (k as f64 + crate::common::noise(seed + k)) / n as f64)
            .collect();
        x.sort_by(f64::total_cmp);
        x
    };
    let (a, b, x, y) = (weights(n, 1, 1.0), weights(n, 50, 1.0), line(3), line(4000));
    let pose =
        |a: &[f64], x: &[f64]| Problem::from_points(a, &b, x, &y, 1, Ground::SqEuclidean).unwrap();
    let solver = reference(reg);
    let problem = pose(&a, &x);
    let found = implicit::gradient(&problem, &solver.solve(&problem).unwrap()).unwrap();
    assert!(found.residual < 1e-12, "{}", found.residual);
    let by_points = found.points(&problem).unwrap();
    let value = |a: &[f64], x: &[f64]| solver.solve(&pose(a, x)).unwrap().transport_cost;
    for (i, k) in [(0, 1), (10, 30)] {
        let slope = central(1e-6, |t| value(&shifted(&a, i, k, t), &x));
        close(
            found.weights.a[i] - found.weights.a[k],
            slope,
            1e-6,
            0.1,
            "a",
        );
    }
    for k in [0, 17, 39] {
        let slope = central(2e-5, |t| value(&a, &moved(&x, k, t)));
        close(by_points.x[k], slope, 1e-6, 1e-3, "x");
    }
}

#[test]
fn relaxed() {
    let inf = f64::INFINITY;
    let mut case = Case::new(6, 7, 1.0);
    case.b.iter_mut().for_each(|b| *b *= 0.6);
    for gamma in [(0.5, 0.5), (0.2, 3.0), (inf, 0.5), (0.5, inf)] {
        case.gamma = Some(gamma);
        for reg in [0.2, 1e-2, 1e-3] {
            case.check(reg, 1e-6);
        }
    }
    case.gamma = Some((0.5, 0.3));
    case.a[5] = 0.0;
    case.b[6] = 0.0;
    case.check(0.05, 1e-6);
}

#[test]
fn components_are_centred_one_by_one() {
    let inf = f64::INFINITY;
    let c = [
        0.0, 0.3, inf, inf, 0.7, 0.1, inf, inf, inf, inf, 0.2, 0.9, inf, inf, 0.4, 0.0,
    ];
    let pose = |a: &[f64]| Problem::from_slices(a, &[0.2, 0.2, 0.4, 0.2], &c).unwrap();
    let a = [0.1, 0.3, 0.35, 0.25];
    let solver = reference(0.2);
    let problem = pose(&a);
    let found = implicit::gradient(&problem, &solver.solve(&problem).unwrap()).unwrap();
    let value = |a: &[f64]| solver.solve(&pose(a)).unwrap().transport_cost;
    for (i, k) in [(0, 1), (2, 3)] {
        let slope = central(1e-4, |t| value(&shifted(&a, i, k, t)));
        close(
            found.weights.a[i] - found.weights.a[k],
            slope,
            1e-8,
            0.1,
            "a",
        );
        let (s, t) = (&found.weights.a, &found.weights.b);
        let b = [0.2, 0.2, 0.4, 0.2];
        let balance = s[i] * a[i] + s[k] * a[k] - t[i] * b[i] - t[k] * b[k];
        assert!(balance.abs() < 1e-12, "{balance}");
    }
    assert!(found.to_dense().iter().all(|d| d.is_finite()));
}

#[test]
fn a_real_solver_at_size() {
    // ⟨P, C⟩ is homogeneous: of degree 1 in (a, b), and in (C, reg) together.
    let (n, m) = (400, 300);
    let (a, b) = (weights(n, 1, 1.0), weights(m, 50, 1.0));
    let (x, y) = (cloud(n, 2, 100), cloud(m, 2, 900));
    let problem = Problem::from_points(&a, &b, &x, &y, 2, Ground::SqEuclidean).unwrap();
    let settings = Settings {
        tol: Some(1e-12),
        ..Settings::with_reg(Reg::Absolute(0.01))
    };
    let solution = Sinkhorn::new(settings).unwrap().solve(&problem).unwrap();
    let found = implicit::gradient(&problem, &solution).unwrap();
    let both: f64 = found
        .weights
        .a
        .iter()
        .zip(&a)
        .chain(found.weights.b.iter().zip(&b))
        .map(|(d, w)| d * w)
        .sum();
    close(both, solution.transport_cost, 1e-10, 0.0, "Euler");
    // Rows and columns of ∂C add up to the weights: C may move by constants.
    let dense = found.to_dense();
    for i in 0..n {
        close(
            dense[i * m..(i + 1) * m].iter().sum(),
            a[i],
            1e-8,
            0.0,
            "row",
        );
    }
    for j in 0..m {
        close(
            (0..n).map(|i| dense[i * m + j]).sum(),
            b[j],
            1e-8,
            0.0,
            "column",
        );
    }
}

#[test]
fn without_regularization_it_is_the_objective() {
    let exact = solver_api::Factory::build(&NetworkSimplexFactory, &solver_api::Options::default())
        .unwrap();
    let case = Case::new(6, 5, 1.0);
    let problem = case.dense(&case.a, &case.b, &case.cost(&case.x, &case.y));
    let solution = exact.solve(&problem).unwrap();
    let found = implicit::gradient(&problem, &solution).unwrap();
    assert_eq!(found.weights.a, solution.potentials.f);
    assert_eq!(found.to_dense(), solution.plan.to_dense().data());
}

/// A solver of one's own: elimination in full, on the rows that the Hessian shows.
struct Direct;

impl HessianSolver for Direct {
    fn solve(&self, h: &Hessian<'_>, u: &[f64], v: &[f64]) -> Result<Shifts, Error> {
        let (n, m) = h.shape();
        let k = n + m - 1;
        let mut system = vec![vec![0.0; k + 1]; k];
        let mut scratch = h.scratch();
        for i in 0..n {
            system[i][i] = h.r[i] * (1.0 + h.ridge_a);
            system[i][k] = u[i];
            h.visit_row(i, &mut scratch, |j, p| {
                if j + 1 < m {
                    system[i][n + j] = p;
                    system[n + j][i] = p;
                }
            });
        }
        for j in 0..m - 1 {
            system[n + j][n + j] = h.c[j] * (1.0 + h.ridge_b);
            system[n + j][k] = v[j];
        }
        let mut s = crate::common::eliminate(system);
        s.push(0.0);
        let t = s.split_off(n);
        Ok(Shifts {
            s,
            t,
            iterations: 0,
        })
    }
}

#[test]
fn another_linear_solver_can_be_plugged_in() {
    let case = Case::new(9, 8, 1.0);
    let problem = case.dense(&case.a, &case.b, &case.cost(&case.x, &case.y));
    let solution = reference(1e-2).solve(&problem).unwrap();
    let own = implicit::gradient_with(&problem, &solution, &Direct).unwrap();
    let found = implicit::gradient(&problem, &solution).unwrap();
    assert_eq!(own.iterations, 0);
    for (own, found) in own.weights.a.iter().zip(&found.weights.a) {
        close(*found, *own, 1e-10, 0.1, "s");
    }
    // One that gives up says so.
    let idle = ConjugateGradient {
        tol: 1e-12,
        max_iter: 1,
    };
    let error = implicit::gradient_with(&problem, &solution, &idle).unwrap_err();
    assert!(matches!(error, Error::NotConverged { .. }), "{error}");
}
