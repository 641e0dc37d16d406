use ot_gradients::{loss, objective};
use solver_api::{Context, Error, ImplicitPlan, Measure, Plan, Problem, Solver};

use crate::common::{central, close, moved, noise, reference, shifted, weights};

fn cost(n: usize, m: usize) -> Vec<f64> {
    (0..n * m).map(|k| noise(5 * k)).collect()
}

#[test]
fn normalized() {
    let (n, m) = (7, 5);
    let (a, b, c) = (weights(n, 1, 1.0), weights(m, 50, 1.0), cost(n, m));
    for reg in [0.5, 0.02, 1e-3] {
        let pose = |a: &[f64]| Problem::from_slices(a, &b, &c).unwrap();
        let solver = reference(reg);
        let problem = pose(&a);
        let solution = solver.solve(&problem).unwrap();
        // ⟨T, M⟩ + ε Σ T log T, summed up as it stands.
        let plain = |solution: &solver_api::Solution| {
            let mut entropy = 0.0;
            solution
                .plan
                .for_each_above(0.0, |_, _, p| entropy += p * p.ln());
            solution.transport_cost + reg * entropy
        };
        let value = |a: &[f64]| {
            let problem = pose(a);
            loss::value(&problem, &solver.solve(&problem).unwrap()).unwrap()
        };
        close(value(&a), plain(&solution), 1e-12, 0.1, "value");
        let found = loss::normalized(&problem, &solution).unwrap();
        assert!(found.iter().sum::<f64>().abs() < 1e-14);
        for (i, k) in [(0, 1), (2, 6), (5, 3)] {
            let slope = central(1e-4, |t| value(&shifted(&a, i, k, t)));
            close(found[i] - found[k], slope, 1e-7, 0.1, "a");
        }
        if reg < 0.01 {
            // Entries of T are too small to be logarithms' arguments.
            continue;
        }
        // As printed: log u/λ less its mean, with u of T = diag(u) K diag(v).
        let t = solution.plan.to_dense();
        let log_u: Vec<f64> = (0..n)
            .map(|i| reg * t.data()[i * m].ln() + c[i * m] + reg)
            .collect();
        let mean = log_u.iter().sum::<f64>() / n as f64;
        found
            .iter()
            .zip(&log_u)
            .for_each(|(d, u)| close(*d, u - mean, 1e-10, 0.1, "log u"));
    }
}

#[test]
fn relaxed() {
    // Algorithm 1 itself, to its fixed point: u ← h^φ ⊘ (K (y^ψ…)).
    let (n, m) = (6, 4);
    let (h, y, c) = (weights(n, 1, 1.3), weights(m, 50, 0.8), cost(n, m));
    let (reg, gamma) = (0.1, (0.6, 0.9));
    let plan = |h: &[f64]| {
        let k: Vec<f64> = c.iter().map(|c| (-c / reg - 1.0).exp()).collect();
        let power = |g: f64| g / reg / (g / reg + 1.0);
        let (mut u, mut v) = (vec![1.0; n], vec![1.0; m]);
        for _ in 0..3000 {
            for j in 0..m {
                let met: f64 = (0..n).map(|i| k[i * m + j] * u[i]).sum();
                v[j] = (y[j] / met).powf(power(gamma.1));
            }
            for i in 0..n {
                let met: f64 = (0..m).map(|j| k[i * m + j] * v[j]).sum();
                u[i] = (h[i] / met).powf(power(gamma.0));
            }
        }
        let t: Vec<f64> = (0..n * m).map(|e| u[e / m] * k[e] * v[e % m]).collect();
        solver_api::DensePlan::new(n, m, t).unwrap()
    };
    // Equation (8).
    let value = |h: &[f64]| {
        let t = plan(h);
        let (rows, cols) = Plan::from(t.clone()).marginals();
        let kl = |w: &[f64], z: &[f64]| -> f64 {
            w.iter().zip(z).map(|(w, z)| w * (w / z).ln() - w + z).sum()
        };
        let own: f64 = t
            .data()
            .iter()
            .zip(&c)
            .map(|(t, c)| t * c + reg * t * t.ln())
            .sum();
        own + gamma.0 * kl(&rows, h) + gamma.1 * kl(&cols, &y)
    };
    let measure = |w: &[f64]| Measure::new(w.to_vec()).unwrap();
    let matrix = solver_api::DenseCost::new(n, m, c.clone()).unwrap();
    let problem = Problem::relaxed(
        measure(&h),
        measure(&y),
        std::sync::Arc::new(matrix),
        gamma.0,
        gamma.1,
    )
    .unwrap();
    let t = Plan::from(plan(&h));
    let found = loss::relaxed(&problem, &t).unwrap();
    for i in 0..n {
        close(
            found[i],
            central(1e-4, |d| value(&moved(&h, i, d))),
            1e-8,
            0.1,
            "h",
        );
    }
    // The same from the potentials of the fixed reference e⁻¹.
    let mut solver = reference(reg);
    solver.alpha = Some((-1.0_f64).exp());
    let (f, g) = solver.potentials(&problem);
    let by_price = objective::weights_fixed_reference(&problem, &f, &g).unwrap();
    found
        .iter()
        .zip(&by_price.a)
        .for_each(|(d, p)| close(*d, *p, 1e-10, 0.1, "price"));
    // With reference a⊗b the plan is another one, and so is the gradient.
    solver.alpha = None;
    let other = solver.solve(&problem).unwrap();
    let other = objective::weights(&problem, &other).unwrap();
    assert!((other.a[0] - found[0]).abs() > 1e-3);
}

#[test]
fn what_has_no_gradient_is_refused() {
    let c = cost(2, 2);
    let pose = |a: &[f64]| Problem::from_slices(a, &[a[0] + a[1], 0.0], &c).unwrap();
    let solve = |problem: &Problem| {
        reference(0.1)
            .solve_with(problem, &mut Context::default())
            .unwrap()
    };
    let problem = pose(&[1.0, 0.0]);
    let error = loss::normalized(&problem, &solve(&problem)).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidSetting { name, .. } if name == "a[1]"),
        "{error}"
    );
    let problem = pose(&[1.0, 1.0]);
    let error = loss::normalized(&problem, &solve(&problem)).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidSetting { name, .. } if name == "mass"),
        "{error}"
    );
    assert!(loss::relaxed(&problem, &solve(&problem).plan).is_err());
    let small = ImplicitPlan::new(
        problem.shared_cost(),
        [0.0; 2].into(),
        [0.0; 2].into(),
        [0.5; 2].into(),
        [0.5; 2].into(),
        1.0,
    );
    assert!(loss::relaxed(&problem, &Plan::from(small.unwrap())).is_err());
}
