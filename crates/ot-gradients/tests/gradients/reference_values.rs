//! Divergences and gradients that POT and long-double arithmetic computed (`fixtures/divergence.py`), and gradients down to
//! ε = 1e-6 of the largest cost from arithmetic of 60 digits (`fixtures/gradients.py`).

use std::path::Path;

use std::sync::Arc;

use ot_gradients::{Costs, SinkhornDivergence, implicit, objective};
use solver_api::{Ground, Measure, PointCost, Problem, Reg, Solver};
use solver_sinkhorn::{Settings, Sinkhorn};
use solver_stabilized::SinkhornStabilized;

use crate::common::close;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"))
}

/// The first colours of a palette, and their counts at mass 1.
fn palette(name: &str, count: usize) -> (Vec<f64>, Measure) {
    let read =
        |part: &str| ot_data::read(root().join(format!("palettes/{name}.{part}.npy"))).unwrap();
    let colours = read("colours").into_matrix().unwrap();
    let counts = read("counts").into_vector().unwrap();
    let x = colours.iter().copied().take(3 * count).collect();
    let weights: Vec<f64> = counts.iter().copied().take(count).collect();
    (x, Measure::new(weights).unwrap().normalized())
}

fn read(name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(root().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn both_forms_and_their_gradients() {
    let want = read("divergences.json");
    let number = |key: &str| want[key].as_f64().unwrap();
    let count = want["points"].as_u64().unwrap() as usize;
    let ((x, a), (y, b)) = (palette("chelsea", count), palette("coffee", count));
    let costs = Costs::of_points(&x, &y, 3, &Ground::SqEuclidean).unwrap();
    let settings = Settings {
        tol: Some(1e-12),
        ..Settings::with_reg(Reg::Absolute(number("reg")))
    };
    let solver = Sinkhorn::new(settings).unwrap();
    let objective = SinkhornDivergence::new(&solver);
    for (name, form) in [("objective", objective), ("sharp", objective.sharp())] {
        let found = form.between(&a, &b, &costs).unwrap();
        close(found.value, number(name), 1e-9, 0.0, name);
        if name == "sharp" {
            close(found.value, number("pot_sharp"), 1e-9, 0.0, "POT");
        }
        let points = found.points().unwrap();
        for slope in want[format!("{name}_by_x")].as_array().unwrap() {
            let at = |k: usize| slope[k].as_f64().unwrap();
            let place = 3 * at(0) as usize + at(1) as usize;
            close(points.x[place], at(2), 1e-7, 0.0, &format!("{name} by x"));
        }
        let weights = found.weights().unwrap();
        for slope in want[format!("{name}_by_a")].as_array().unwrap() {
            let at = |k: usize| slope[k].as_f64().unwrap();
            let (i, k) = (at(0) as usize, at(1) as usize);
            close(
                weights.a[i] - weights.a[k],
                at(2),
                1e-7,
                0.0,
                &format!("{name} by a"),
            );
        }
    }
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Every derivative by a, b and x is that of 60 digits, to 1e-10 of the largest of its kind.
#[test]
fn derivatives_at_any_regularization() {
    let want = read("gradients.json");
    let count = |key: &str| want[key].as_u64().unwrap() as usize;
    let ((x, a), (y, b)) = (
        palette("chelsea", count("n")),
        palette("coffee", count("m")),
    );
    for case in want["cases"].as_array().unwrap() {
        let scaled = |w: &Measure, key: &str| {
            let mass = case[key].as_f64().unwrap();
            Measure::new(w.weights().iter().map(|w| w * mass).collect::<Vec<_>>()).unwrap()
        };
        let (a, b) = (scaled(&a, "mass_a"), scaled(&b, "mass_b"));
        let gamma = |key: &str| case[key].as_f64().unwrap_or(f64::INFINITY);
        let (ga, gb) = (gamma("gamma_a"), gamma("gamma_b"));
        let hard = ga.is_infinite() && gb.is_infinite();
        let cost =
            Arc::new(PointCost::new(x.as_slice(), y.as_slice(), 3, Ground::SqEuclidean).unwrap());
        let problem = if hard {
            Problem::new(a, b, cost).unwrap()
        } else {
            Problem::relaxed(a, b, cost, ga, gb).unwrap()
        };
        for at in case["at"].as_array().unwrap() {
            // Potentials of the size of the cost have its last digit over ε as their rounding.
            let reg = at["reg"].as_f64().unwrap();
            let settings = solver_stabilized::Settings {
                tol: Some(if reg < 1e-4 { 1e-11 } else { 1e-13 }),
                ..solver_stabilized::Settings::with_reg(Reg::Absolute(reg))
            };
            let solution = SinkhornStabilized::new(settings)
                .unwrap()
                .solve(&problem)
                .unwrap();
            let what = format!("gammas {ga}, {gb} at {}", at["reg_rel"]);
            for key in ["objective", "transport_cost"] {
                let what = format!("{key}, {what}");
                let (value, weights, points) = if key == "objective" {
                    (
                        solution.objective,
                        objective::weights(&problem, &solution).unwrap(),
                        objective::points(&problem, &solution).unwrap(),
                    )
                } else {
                    let found = implicit::gradient(&problem, &solution).unwrap();
                    let points = found.points(&problem).unwrap();
                    (solution.transport_cost, found.weights, points)
                };
                close(value, at[key]["value"].as_f64().unwrap(), 1e-11, 0.0, &what);
                // With both marginals hard, the derivatives of moves from point 0.
                let moves = |g: &[f64]| -> Vec<f64> {
                    if hard {
                        g[1..].iter().map(|v| v - g[0]).collect()
                    } else {
                        g.to_vec()
                    }
                };
                for (kind, found) in [
                    ("a", moves(&weights.a)),
                    ("b", moves(&weights.b)),
                    ("x", points.x),
                ] {
                    let want = numbers(&at[key][kind]);
                    assert_eq!(found.len(), want.len());
                    let top = want.iter().fold(0.0_f64, |t, w| t.max(w.abs()));
                    let worst = found
                        .iter()
                        .zip(&want)
                        .map(|(f, w)| (f - w).abs() / top)
                        .fold(0.0_f64, f64::max);
                    assert!(worst < 1e-10, "{what} by {kind}: {worst:.1e}");
                }
            }
        }
    }
}
