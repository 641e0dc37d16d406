//! Relaxed marginals and other references against long-double solutions, closed forms and each other.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use ot_data::fixtures::{FixtureCost, load_all};
use proptest::prelude::*;
use serde_json::Value;
use solver_api::{
    Certify, Context, Cost, DenseCost, Error, Measure, Plan, PointCost, Potentials, Precision,
    Problem, Reference, Reg, Solution, Solver, SparseCost, Termination,
};
use solver_sinkhorn::{Settings, Sinkhorn};

const HARD: f64 = f64::INFINITY;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Weights, without zeros, and the cost of a fixture that is stored as a matrix or as points.
fn fixture(name: &str) -> (Vec<f64>, Vec<f64>, Arc<dyn Cost>) {
    let all = load_all(root()).unwrap();
    let fixture = all.iter().find(|f| f.entry.name == name).unwrap();
    let cost: Arc<dyn Cost> = match &fixture.cost {
        FixtureCost::Dense(matrix) => Arc::new(DenseCost::from_array(matrix.view()).unwrap()),
        FixtureCost::Points { x, y, metric } => {
            let ground = solver_api::Ground::parse(metric).unwrap();
            Arc::new(PointCost::from_arrays(x.view(), y.view(), ground).unwrap())
        }
        FixtureCost::Grid { .. } => panic!("{name} is a grid"),
    };
    assert!(fixture.a.iter().chain(&fixture.b).all(|w| *w > 0.0));
    (fixture.a.to_vec(), fixture.b.to_vec(), cost)
}

fn with_mass(w: &[f64], mass: f64) -> Measure {
    let total: f64 = w.iter().sum();
    Measure::new(w.iter().map(|w| w / total * mass).collect::<Vec<_>>()).unwrap()
}

fn pose(a: Measure, b: Measure, cost: Arc<dyn Cost>, (ga, gb): (f64, f64)) -> Problem {
    if ga == HARD && gb == HARD {
        Problem::new(a, b, cost).unwrap()
    } else {
        Problem::relaxed(a, b, cost, ga, gb).unwrap()
    }
}

fn solver(reg: f64, tol: f64, reference: Reference) -> Sinkhorn {
    Sinkhorn::new(Settings {
        tol: Some(tol),
        reference,
        ..Settings::with_reg(Reg::Absolute(reg))
    })
    .unwrap()
}

fn plain(reg: f64, tol: f64) -> Sinkhorn {
    solver(reg, tol, Reference::marginals())
}

/// The dense reference of the fixtures: no product form, and every seventh pair forbidden.
fn alpha(i: usize, j: usize) -> f64 {
    if (i + 2 * j).is_multiple_of(7) {
        0.0
    } else {
        (1 + (7 * i + 3 * j) % 11) as f64 / 4096.0
    }
}

fn dense_reference(n: usize, m: usize) -> Reference {
    let entries: Vec<f64> = (0..n * m).map(|k| alpha(k / m, k % m)).collect();
    Reference::dense(n, m, entries).unwrap()
}

fn off(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y).abs()).sum()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn values_and_marginals_equal_the_long_double_minimizer() {
    let text = std::fs::read_to_string(root().join("fixtures/relaxed.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 15);
    for case in &cases {
        let number = |key: &str| case[key].as_f64();
        let (a, b, cost) = fixture(case["problem"].as_str().unwrap());
        let a = with_mass(&a, number("mass_a").unwrap());
        let b = with_mass(&b, number("mass_b").unwrap());
        let gammas = (
            number("gamma_a").unwrap_or(HARD),
            number("gamma_b").unwrap_or(HARD),
        );
        let problem = pose(a, b, cost, gammas);
        let (n, m) = problem.shape();
        let kind = case["reference"].as_str().unwrap();
        let reference = match kind {
            "dense" => dense_reference(n, m),
            name => Reference::parse(name).unwrap(),
        };
        let reg = number("reg").unwrap();
        let solution = solver(reg, 1e-11, reference.clone())
            .solve(&problem)
            .unwrap();
        let name = format!("{kind}, γ = {gammas:?}, reg = {reg}");
        let seen = &solution.convergence;
        assert!(seen.converged(), "{name}: {seen:?}");
        for (found, key) in [
            (solution.transport_cost, "transport_cost"),
            (solution.objective, "objective"),
        ] {
            let want = number(key).unwrap();
            assert!(
                (found - want).abs() <= 1e-8 * want.abs(),
                "{name}: {key} {found} {want}"
            );
        }
        let (sent, received) = solution.plan.marginals();
        for (have, key) in [(sent, "sent"), (received, "received")] {
            let want = numbers(&case[key]);
            let total: f64 = want.iter().sum();
            assert!(
                off(&have, &want) <= 1e-8 * total,
                "{name}: {key} {}",
                off(&have, &want)
            );
        }
        // P = α exp((f + g − C)/ε) in the caller's units, at mass 1 where balanced.
        let unit = if gammas == (HARD, HARD) {
            problem.mass()
        } else {
            1.0
        };
        let (f, g) = (&solution.potentials.f, &solution.potentials.g);
        for i in 0..n {
            for j in 0..m {
                let weight = match kind {
                    "product" => problem.a().weights()[i] * problem.b().weights()[j] / unit / unit,
                    "003" => (-1.0_f64).exp(),
                    "ones" => 1.0,
                    _ => alpha(i, j),
                };
                let cost = problem.cost().entry(i, j);
                let want = unit * weight * ((f[i] + g[j] - cost) / reg).exp();
                let have = solution.plan.entry(i, j);
                assert!(
                    (have - want).abs() <= 1e-9 * want.max(1e-12 * solution.mass),
                    "{name}"
                );
            }
        }
        let bracket = solution.certificate.unwrap();
        assert!(bracket.gap() >= 0.0, "{name}: {bracket:?}");
    }
}

#[test]
fn the_narrow_kernel_keeps_its_promise() {
    let (a, b, cost) = fixture("random");
    let reg = 0.02 * cost.range().max_abs();
    let problem = pose(with_mass(&a, 3.0), with_mass(&b, 0.2), cost, (0.7, 2.0));
    let exact = plain(reg, 1e-12).solve(&problem).unwrap();
    let narrow = Sinkhorn::new(Settings {
        precision: Precision::F32,
        ..Settings::with_reg(Reg::Absolute(reg))
    });
    let narrow = narrow.unwrap().solve(&problem).unwrap();
    let seen = &narrow.convergence;
    assert!(seen.converged() && seen.target_error <= 1e-6 && seen.source_error <= 1e-6);
    assert!((narrow.objective / exact.objective - 1.0).abs() < 1e-6);
}

#[test]
fn a_large_finite_gamma_comes_near_balanced() {
    let (a, b, cost) = fixture("random");
    let reg = 0.05 * cost.range().max_abs();
    let (a, b) = (with_mass(&a, 1.0), with_mass(&b, 1.0));
    let hard = plain(reg, 1e-12)
        .solve(&pose(a.clone(), b.clone(), Arc::clone(&cost), (HARD, HARD)))
        .unwrap();
    let mut last = f64::INFINITY;
    for gamma in [1e2, 1e4, 1e8, 1e12] {
        let problem = pose(
            a.clone(),
            b.clone(),
            Arc::clone(&cost),
            (gamma, 3.0 * gamma),
        );
        let soft = plain(reg, 1e-12).solve(&problem).unwrap();
        assert!(soft.convergence.converged());
        // What is left of the γ terms is ⟨f², a⟩/2γ.
        let apart = (soft.objective - hard.objective).abs() / hard.objective;
        assert!(apart <= 2.0 / gamma + 1e-10, "γ = {gamma}: {apart}");
        assert!(apart <= last);
        last = apart;
        // As fast as balanced: the shift does not crawl.
        let (soft, hard) = (soft.convergence.iterations, hard.convergence.iterations);
        assert!(soft.unwrap() <= hard.unwrap() + 5, "{soft:?} {hard:?}");
    }
}

#[test]
fn mixing_saves_half_of_the_iterations() {
    let (a, b, cost) = fixture("random");
    let reg = 0.01 * cost.range().max_abs();
    let (a, b) = (with_mass(&a, 1.0), with_mass(&b, 1.0));
    let iterations = |gammas| {
        let problem = pose(a.clone(), b.clone(), Arc::clone(&cost), gammas);
        let s = plain(reg, 1e-9).solve(&problem).unwrap();
        assert!(s.convergence.converged());
        s.convergence.iterations.unwrap()
    };
    // Balanced problems are iterated plainly, and contract as those of a large γ do.
    let (soft, hard) = (iterations((1e4, 1e4)), iterations((HARD, HARD)));
    assert!(2 * soft < hard, "{soft} {hard}");
}

#[test]
fn masses_that_differ_don_t_slow_a_large_gamma_down() {
    let (a, b, cost) = fixture("random");
    let reg = 0.05 * cost.range().max_abs();
    for (ga, gb) in [(1e3, 1e3), (1e5, HARD), (HARD, 1e5)] {
        for (mass_a, mass_b) in [(2.0, 1.0), (1e-3, 1e6), (1e150, 1e140)] {
            let problem = pose(
                with_mass(&a, mass_a),
                with_mass(&b, mass_b),
                Arc::clone(&cost),
                (ga, gb),
            );
            let s = plain(reg, 1e-10).solve(&problem).unwrap();
            let seen = &s.convergence;
            assert!(seen.converged(), "{ga} {gb} {mass_a} {mass_b}: {seen:?}");
            assert!(seen.iterations.unwrap() < 200, "{ga} {gb}: {seen:?}");
            // Both equations, by the plan itself.
            let (sent, received) = s.plan.marginals();
            let want = |w: &[f64], p: &[f64], gamma: f64| -> Vec<f64> {
                w.iter()
                    .zip(p)
                    .map(|(w, p)| w * (-p / gamma).exp())
                    .collect()
            };
            let (a, b) = (problem.a().weights(), problem.b().weights());
            assert!(off(&sent, &want(a, &s.potentials.f, ga)) <= 1e-9 * problem.mass());
            assert!(off(&received, &want(b, &s.potentials.g, gb)) <= 1e-9 * problem.mass());
            if ga == HARD {
                assert!((s.mass / mass_a - 1.0).abs() < 1e-9);
            }
        }
    }
}

#[test]
fn factors_stay_in_range_over_many_iterations() {
    let (a, b, cost) = fixture("random");
    let reg = 1.6e-3 * cost.range().max_abs();
    // The largest weights of the two sides are far apart: left free, a factor would grow by their ratio an iteration.
    let (mut a, b) = (a, b);
    a[0] = 30.0 * a.iter().sum::<f64>();
    let problem = pose(with_mass(&a, 1.0), with_mass(&b, 1.0), cost, (1e3, 1e4));
    let s = plain(reg, 1e-10).solve(&problem).unwrap();
    let seen = &s.convergence;
    assert!(
        seen.converged() && seen.iterations.unwrap() > 300,
        "{seen:?}"
    );
}

#[test]
fn gammas_out_of_range_are_named() {
    let (a, b, cost) = fixture("random");
    let relaxed = |mass_a, mass_b, ga, gb| {
        let (a, b) = (with_mass(&a, mass_a), with_mass(&b, mass_b));
        Problem::relaxed(a, b, Arc::clone(&cost), ga, gb)
    };
    let named = |error: Error, name: &str| {
        let said = error.to_string();
        assert!(said.starts_with(&format!("`{name}`")), "{said}");
    };
    named(relaxed(1.0, 1e10, 1.0, 1e300).unwrap_err(), "gamma_b");
    named(relaxed(1.0, 1.0, 1e306, 1.0).unwrap_err(), "gamma_a");
    // The masses differ: potentials of 1e20 and more have no digits left below ε.
    let problem = relaxed(1.0, 2.0, 1e20, 1e21).unwrap();
    named(plain(0.1, 1e-9).solve(&problem).unwrap_err(), "gamma_b");
    // Equal masses need no such shift.
    let problem = relaxed(1.0, 1.0, 1e20, 1e21).unwrap();
    assert!(
        plain(0.1, 1e-9)
            .solve(&problem)
            .unwrap()
            .convergence
            .converged()
    );
    let problem = relaxed(1.0, 1.0, 1e-200, 1.0).unwrap();
    named(plain(0.1, 1e-9).solve(&problem).unwrap_err(), "gamma_a");
    let problem = relaxed(1e160, 1e160, 1.0, 1.0).unwrap();
    named(plain(0.1, 1e-9).solve(&problem).unwrap_err(), "reg");
}

/// min over p: log p = (ε log(ab) + γa log a + γb log b − c)/(ε + γa + γb).
#[test]
fn one_point_to_one_point_has_a_closed_form() {
    for (a, b, c) in [(1e-3, 1e6, 0.3), (1.0, 1.0, 50.0), (4.0, 1e-8, -2.0)] {
        for (ga, gb) in [(0.7, 1.9), (1e-3, 5.0), (1e4, 2.0), (HARD, 2.0)] {
            let measure = |w: f64| Measure::new(vec![w]).unwrap();
            let cost = Arc::new(DenseCost::new(1, 1, vec![c]).unwrap());
            let problem = pose(measure(a), measure(b), cost, (ga, gb));
            let reg = 0.2;
            let s = plain(reg, 1e-12).solve(&problem).unwrap();
            let p: f64 = if ga == HARD {
                a
            } else {
                ((reg * (a * b).ln() + ga * a.ln() + gb * b.ln() - c) / (reg + ga + gb)).exp()
            };
            assert!((s.mass / p - 1.0).abs() < 1e-11, "{} {p}", s.mass);
            let g = -gb * (p / b).ln();
            assert!((s.potentials.g[0] - g).abs() < 1e-10 * (1.0 + g.abs()));
        }
    }
}

#[test]
fn balanced_plans_are_those_of_the_marginals_for_every_product_reference() {
    let (mut a, mut b, cost) = fixture("random");
    (a[3], b[5], b[6]) = (0.0, 0.0, 0.0);
    let reg = 0.05 * cost.range().max_abs();
    let problem = pose(with_mass(&a, 2.5), with_mass(&b, 2.5), cost, (HARD, HARD));
    let (n, m) = problem.shape();
    let want = plain(reg, 1e-12).solve(&problem).unwrap();
    let u: Vec<f64> = (0..n).map(|i| 0.1 + (i % 5) as f64).collect();
    let v: Vec<f64> = (0..m).map(|j| 1.0 / (1.0 + j as f64)).collect();
    let outer: Vec<f64> = (0..n * m).map(|k| u[k / m] * v[k % m]).collect();
    for (reference, entry) in [
        (Reference::parse("ones").unwrap(), &|_, _| 1.0),
        (Reference::negative_entropy(), &|_, _| (-1.0_f64).exp()),
        (
            Reference::product(u.clone(), v.clone()).unwrap(),
            &|i: usize, j: usize| u[i] * v[j],
        ),
        (
            Reference::dense(n, m, outer.clone()).unwrap(),
            &|i: usize, j: usize| u[i] * v[j],
        ),
    ] as [(Reference, &dyn Fn(usize, usize) -> f64); 4]
    {
        let s = solver(reg, 1e-12, reference.clone())
            .solve(&problem)
            .unwrap();
        assert!(s.convergence.converged(), "{reference}");
        assert!(
            (s.transport_cost / want.transport_cost - 1.0).abs() < 1e-9,
            "{reference}"
        );
        let (mut apart, mut kl) = (0.0, 0.0);
        let (f, g) = (&s.potentials.f, &s.potentials.g);
        for i in 0..n {
            let mut row = 0.0;
            for j in 0..m {
                let p = s.plan.entry(i, j);
                apart += (p - want.plan.entry(i, j)).abs();
                let form = entry(i, j) * ((f[i] + g[j] - problem.cost().entry(i, j)) / reg).exp();
                if a[i] > 0.0 && b[j] > 0.0 {
                    assert!((p - 2.5 * form).abs() <= 1e-9 * p, "{reference}");
                } else if b[j] > 0.0 {
                    row += form;
                }
                let x = p / 2.5;
                kl += if x > 0.0 {
                    x * (x / entry(i, j)).ln() - x
                } else {
                    0.0
                } + entry(i, j);
            }
            // The potential of weight zero: its row would carry mass 1.
            assert!(a[i] > 0.0 || (row - 1.0).abs() < 1e-9, "{reference}: {row}");
        }
        assert!(apart < 1e-9, "{reference}: {apart}");
        let objective = s.transport_cost + reg * 2.5 * kl;
        assert!((s.objective / objective - 1.0).abs() < 1e-10, "{reference}");
        let centred: f64 = f
            .iter()
            .zip(problem.a().weights())
            .map(|(f, a)| f * a)
            .sum::<f64>()
            - g.iter()
                .zip(problem.b().weights())
                .map(|(g, b)| g * b)
                .sum::<f64>();
        assert!(centred.abs() < 1e-9, "{reference}: {centred}");
        // A product reference biases nothing: nor does it the bracket.
        let (have, plain) = (s.certificate.unwrap(), want.certificate.unwrap());
        assert!((have.upper / plain.upper - 1.0).abs() < 1e-8);
        // Its own answer is the best start.
        let mut context = Context::default().warm(s.potentials.clone());
        let again = solver(reg, 1e-9, reference.clone())
            .solve_with(&problem, &mut context)
            .unwrap();
        assert!(again.convergence.iterations.unwrap() <= 2, "{reference}");
    }
}

#[test]
fn relaxed_plans_depend_on_the_reference_and_start_from_their_own() {
    let (a, b, cost) = fixture("random");
    let reg = 0.1 * cost.range().max_abs();
    let problem = pose(with_mass(&a, 2.0), with_mass(&b, 0.5), cost, (0.4, 1.1));
    let solve = |reference: &Reference| {
        solver(reg, 1e-11, reference.clone())
            .solve(&problem)
            .unwrap()
    };
    let plain = solve(&Reference::marginals());
    for reference in [Reference::negative_entropy(), dense_reference(40, 60)] {
        let s = solve(&reference);
        assert!(
            (s.mass / plain.mass - 1.0).abs() > 1e-2,
            "{} {}",
            s.mass,
            plain.mass
        );
        let mut context = Context::default().warm(s.potentials.clone());
        let again = solver(reg, 1e-9, reference)
            .solve_with(&problem, &mut context)
            .unwrap();
        assert!(again.convergence.iterations.unwrap() <= 2);
        assert!(again.certificate.is_some());
        let mut off = Context::default().certified(Certify::Off);
        let uncertified =
            solver(reg, 1e-9, Reference::negative_entropy()).solve_with(&problem, &mut off);
        assert!(uncertified.unwrap().certificate.is_none());
    }
    // a⊗b written out is a⊗b.
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let outer: Vec<f64> = a
        .iter()
        .flat_map(|a| b.iter().map(move |b| a * b))
        .collect();
    let same = solve(&Reference::dense(a.len(), b.len(), outer).unwrap());
    assert!((same.objective / plain.objective - 1.0).abs() < 1e-9);
    assert!((same.mass / plain.mass - 1.0).abs() < 1e-9);
}

#[test]
fn references_that_are_none_are_named() {
    let text = |e: Error| e.to_string();
    assert!(text(Reference::constant(0.0).unwrap_err()).starts_with("`reference` = 0"));
    assert!(text(Reference::parse("x").unwrap_err()).starts_with("`reference` = x"));
    assert!(text(Reference::parse("-1").unwrap_err()).starts_with("`reference` = -1"));
    let dense = |data: Vec<f64>| text(Reference::dense(1, 2, data).unwrap_err());
    assert!(dense(vec![1.0, -1.0]).starts_with("`prior[0, 1]` = -1"));
    assert!(dense(vec![f64::NAN, 1.0]).starts_with("`prior[0, 0]` = NaN"));
    assert!(dense(vec![0.0, 0.0]).contains("positive"));
    assert!(dense(vec![1.0]).contains("shape"));
    assert!(Reference::product(vec![1.0, 0.0], vec![1.0]).is_err());
    let problem = Problem::from_slices(&[0.5, 0.5], &[1.0], &[0.0, 1.0]).unwrap();
    let wrong = solver(0.1, 1e-9, Reference::dense(1, 2, vec![1.0, 1.0]).unwrap());
    assert!(text(wrong.solve(&problem).unwrap_err()).starts_with("`prior` has shape 1×2"));
    // A prior that leaves a hard row no pair.
    let wrong = solver(0.1, 1e-9, Reference::dense(2, 1, vec![1.0, 0.0]).unwrap());
    assert!(matches!(wrong.solve(&problem), Err(Error::Infeasible(_))));
}

#[test]
fn what_has_no_partner_stays() {
    // Source 1 may go nowhere, target 2 is reached by nobody.
    let pairs = vec![(0, 0, 1.0), (0, 1, 2.0), (2, 1, 0.5)];
    let cost: Arc<dyn Cost> = Arc::new(SparseCost::from_triples(3, 3, pairs).unwrap());
    let w = Measure::new(vec![1.0, 2.0, 0.5]).unwrap();
    let problem = pose(w.clone(), w.clone(), cost, (1.0, 1.0));
    let s = plain(0.5, 1e-11).solve(&problem).unwrap();
    assert!(s.convergence.converged());
    assert_eq!((s.potentials.f[1], s.potentials.g[2]), (HARD, HARD));
    let (sent, received) = s.plan.marginals();
    assert!(sent[1] == 0.0 && received[2] == 0.0 && sent[0] > 0.0);
    assert!(s.objective.is_finite() && s.certificate.unwrap().gap() >= 0.0);
    // Nobody may go anywhere.
    let none: Arc<dyn Cost> = Arc::new(DenseCost::new(3, 3, vec![HARD; 9]).unwrap());
    let s = plain(0.5, 1e-11)
        .solve(&pose(w.clone(), w, none, (1.0, 2.0)))
        .unwrap();
    assert!(s.convergence.converged() && s.mass == 0.0);
    assert!(
        (s.objective - (3.5 + 7.0 + 0.5 * 3.5 * 3.5)).abs() < 1e-12,
        "{}",
        s.objective
    );
}

#[test]
fn a_kernel_that_leaves_its_range_is_refused() {
    // One far source, whose only near target nobody else reaches.
    let problem = pose(
        Measure::new(vec![1.0, 1.0]).unwrap(),
        Measure::new(vec![1.0, 1.0]).unwrap(),
        Arc::new(DenseCost::new(2, 2, vec![0.0, 2e3, 2e3, 1e3]).unwrap()),
        (1.0, 1.0),
    );
    let answer = plain(0.1, 1e-9).solve(&problem);
    match answer {
        Err(error @ Error::KernelUnderflow { .. }) => {
            assert!(error.to_string().contains("sinkhorn-stabilized"));
        }
        // Or it is right: the far pair moves e^{−1000/…} of its mass, which is nothing.
        Ok(s) => {
            assert!(s.convergence.converged());
            assert!((s.plan.entry(0, 0) - 1.0).abs() < 1e-9 && s.plan.entry(1, 1) < 1e-100);
        }
        other => panic!("{other:?}"),
    }
}

fn far_apart(s: &Solution) -> bool {
    matches!(s.plan, Plan::Implicit(_))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The optimum has no duality gap in its own problem, and no step away from it is better.
    #[test]
    fn optimal_by_its_dual(
        n in 1_usize..7, m in 1_usize..7, seed in any::<u64>(),
        log_masses in (-6.0..6.0_f64, -6.0..6.0_f64), log_gammas in (-2.0..4.0_f64, -2.0..4.0_f64),
        hard in 0..3,
    ) {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut list = |k: usize| (0..k).map(|_| 0.05 + next()).collect::<Vec<_>>();
        let (a, b, c) = (list(n), list(m), list(n * m));
        let gammas = (
            if hard == 1 { HARD } else { 10_f64.powf(log_gammas.0) },
            if hard == 2 { HARD } else { 10_f64.powf(log_gammas.1) },
        );
        let (a, b) = (with_mass(&a, 10_f64.powf(log_masses.0)), with_mass(&b, 10_f64.powf(log_masses.1)));
        let cost = Arc::new(DenseCost::new(n, m, c).unwrap());
        let problem = pose(a, b, cost, gammas);
        let reg = 0.3;
        let s = plain(reg, 1e-12).solve(&problem).unwrap();
        prop_assert!(far_apart(&s));
        // Masses of thousands under γ of hundredths leave more roundings than 1e-12, and the solver says so; the dual holds.
        let rounded = s.convergence.termination == Termination::Stalled;
        prop_assert!(s.convergence.converged() || rounded, "{:?}", s.convergence);
        let Potentials { f, g, .. } = &s.potentials;
        let conjugate = |p: &[f64], w: &[f64], gamma: f64| -> f64 {
            let one = |(p, w): (&f64, &f64)| {
                if gamma == HARD { p * w } else { -gamma * w * (-p / gamma).exp_m1() }
            };
            p.iter().zip(w).map(one).sum()
        };
        let (a, b) = (problem.a(), problem.b());
        let dual = conjugate(f, a.weights(), gammas.0) + conjugate(g, b.weights(), gammas.1)
            - reg * (s.mass - a.mass() * b.mass());
        let finite = |g: f64| if g == HARD { 0.0 } else { g };
        let scale = s.objective.abs() + (1.0 + finite(gammas.0)) * a.mass() + (1.0 + finite(gammas.1)) * b.mass()
            + reg * a.mass() * b.mass();
        prop_assert!((s.objective - dual).abs() <= 1e-9 * scale, "{} {dual}", s.objective);
    }
}
