//! Divergences and gradients that POT and long-double arithmetic computed (`fixtures/divergence.py`).

use std::path::Path;

use ot_gradients::{Costs, SinkhornDivergence};
use solver_api::{Ground, Measure, Reg};
use solver_sinkhorn::{Settings, Sinkhorn};

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

#[test]
fn both_forms_and_their_gradients() {
    let text = std::fs::read_to_string(root().join("divergences.json")).unwrap();
    let want: serde_json::Value = serde_json::from_str(&text).unwrap();
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
