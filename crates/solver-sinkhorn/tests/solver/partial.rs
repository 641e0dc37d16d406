//! Partial transport of a given mass.

use std::sync::Arc;

use solver_api::{Context, Cost, DenseCost, Error, Measure, Potentials, Problem, Reg, Solver};
use solver_sinkhorn::{Settings, Sinkhorn};

/// Two sources, two targets; 0.5 % of the mass has no free way.
fn short_of_free_ways(mass: f64) -> Problem {
    let cost = Arc::new(DenseCost::new(2, 2, vec![0.0, 1.0, 1.0, 0.0]).unwrap());
    let a = Measure::new(vec![0.5, 0.5]).unwrap();
    let b = Measure::new(vec![0.495, 0.505]).unwrap();
    Problem::partial(a, b, cost, mass).unwrap()
}

fn solver(reg: f64) -> Sinkhorn {
    Sinkhorn::new(Settings::with_reg(Reg::Absolute(reg))).unwrap()
}

#[test]
fn a_multiplier_that_still_rises_has_not_stalled() {
    // The free pairs are full long before the multiplier has grown by the e¹⁰⁰ that the others wait for.
    for (mass, moved) in [(0.999, 0.004), (1.0, 0.005)] {
        let solution = solver(1e-2).solve(&short_of_free_ways(mass)).unwrap();
        let cost = solution.require_converged().unwrap().transport_cost;
        assert!((cost - moved).abs() < 1e-8, "{mass}: {cost}");
    }
}

#[test]
fn a_refusal_names_no_backend_that_moves_no_given_mass() {
    let error = solver(1e-4).solve(&short_of_free_ways(1.0)).unwrap_err();
    let Error::InvalidSetting { name, rule, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(name, "reg");
    assert!(!rule.contains("stabilized"), "{rule}");
    assert!(rule.contains("exact backend"), "{rule}");
}

/// Masses of 2, and one source and one target without weight.
fn square() -> (Measure, Measure, Arc<DenseCost>) {
    let (n, m) = (12, 9);
    let weights = |n: usize| {
        let w: Vec<f64> = (0..n).map(|k| (k * 7 % 5) as f64).collect();
        let sum: f64 = w.iter().sum();
        Measure::new(w.iter().map(|w| 2.0 * w / sum).collect::<Vec<_>>()).unwrap()
    };
    let cost = |k: usize| ((k / m) as f64 / n as f64 - (k % m) as f64 / m as f64).powi(2);
    let cost = DenseCost::new(n, m, (0..n * m).map(cost).collect::<Vec<_>>()).unwrap();
    (weights(n), weights(m), Arc::new(cost))
}

#[test]
fn moving_everything_is_the_balanced_problem() {
    let (a, b, cost) = square();
    let balanced = Problem::new(a.clone(), b.clone(), cost.clone()).unwrap();
    let partial = Problem::partial(a.clone(), b.clone(), cost.clone(), 2.0).unwrap();
    let solver = solver(1e-2);
    let whole = solver.solve(&balanced).unwrap();
    let moved = solver.solve(&partial).unwrap().require_converged().unwrap();
    assert_eq!(moved.convergence.iterations, whole.convergence.iterations);
    assert!((moved.transport_cost - whole.transport_cost).abs() < 1e-12);
    let (one, other) = (
        whole.certificate.as_ref().unwrap(),
        moved.certificate.as_ref().unwrap(),
    );
    assert!(other.lower <= one.upper && one.lower <= other.upper);
    assert!((other.lower - one.lower).abs() < 1e-6 && (other.upper - one.upper).abs() < 1e-9);
    // f, g ≤ 0 and λ are those of the plan, whose reference is in the caller's units.
    let Potentials { f, g, lambda } = &moved.potentials;
    assert!(f.iter().chain(g).all(|p| *p <= 0.0 && p.is_finite()));
    let plan = moved.plan.to_dense().data().to_vec();
    for (i, (f, a)) in f.iter().zip(a.weights()).enumerate() {
        for (j, (g, b)) in g.iter().zip(b.weights()).enumerate() {
            let x = (f + g + lambda - cost.entry(i, j)) / 1e-2;
            assert!((plan[i * 9 + j] - a * b * x.exp()).abs() < 1e-12, "{i} {j}");
        }
    }
    // Nearly everything, by the iteration that knows the multiplier: the same up to what stays.
    let nearly = Problem::partial(a, b, cost, 2.0 * (1.0 - 1e-9)).unwrap();
    let nearly = solver.solve(&nearly).unwrap().require_converged().unwrap();
    assert!((nearly.transport_cost - moved.transport_cost).abs() < 1e-6);
    assert!((nearly.objective - moved.objective).abs() < 1e-6);
    // From its own potentials it is there at once.
    let mut context = Context::new().warm(moved.potentials.clone());
    let again = solver.solve_with(&partial, &mut context).unwrap();
    let checks = again.convergence.iterations.unwrap();
    assert!(
        checks <= moved.convergence.iterations.unwrap() / 2,
        "{checks}"
    );
}

#[test]
fn a_refusal_of_the_balanced_problem_names_no_other_backend_either() {
    let (a, b, cost) = square();
    let partial = Problem::partial(a, b, cost, 2.0).unwrap();
    let error = solver(1e-6).solve(&partial).unwrap_err().to_string();
    assert!(!error.contains("stabilized"), "{error}");
    assert!(error.contains("exact backend"), "{error}");
}

#[test]
fn a_regularization_that_rounding_drowns_is_refused_whatever_is_to_be_moved() {
    let (a, b, cost) = square();
    let problems = [
        Problem::new(a.clone(), b.clone(), cost.clone()).unwrap(),
        Problem::relaxed(a.clone(), b.clone(), cost.clone(), 1.0, 1.0).unwrap(),
        Problem::partial(a.clone(), b.clone(), cost.clone(), 1.0).unwrap(),
        Problem::partial(a, b, cost, 2.0).unwrap(),
    ];
    for problem in problems {
        let error = solver(1e-300).solve(&problem).unwrap_err().to_string();
        assert!(
            error.starts_with("`reg` = 1e-300: is too small beside"),
            "{error}"
        );
    }
}
