//! `ot solve --lazy`: no matrix, whoever is asked.

#![cfg(all(feature = "sinkhorn", feature = "sinkhorn-stabilized"))]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use common::{folder, ot_over};
use kantorovich::Registry;
use ot_cli::Exit;

#[test]
fn auto_is_as_lazy_as_the_backend_that_it_picks() {
    let folder = folder();
    let solved = |options: &str| {
        let line =
            format!("solve --x @x.npy --y @y.npy --metric sqeuclidean --reg 0.1 --json {options}");
        let ran = ot_over(&Registry::new(), folder.path(), &line);
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        ran.json()
    };
    let (auto, named, matrix) = (
        solved("--lazy"),
        solved("--lazy --backend sinkhorn-stabilized"),
        solved("--backend sinkhorn-stabilized --set cost=matrix"),
    );
    assert_eq!(auto["backend"], "sinkhorn-stabilized");
    // The same arithmetic to the last digit, which is not that of a matrix.
    for figure in ["transport_cost", "objective", "lower_bound", "iterations"] {
        assert_eq!(auto[figure], named[figure], "{figure}");
    }
    assert_ne!(auto["iterations"], matrix["iterations"]);
    let cost = |json: &serde_json::Value| json["transport_cost"].as_f64().unwrap();
    assert!((cost(&auto) - cost(&matrix)).abs() < 1e-8);
}

/// Without a reg the optimum itself, of any cost that grows with a distance.
#[cfg(all(feature = "exact-points", feature = "network-simplex"))]
#[test]
fn without_a_reg_auto_is_exact_and_lazy() {
    let folder = folder();
    for metric in ["sqeuclidean", "euclidean", "log1p"] {
        let solved = |options: &str| {
            let line = format!("solve --x @x.npy --y @y.npy --metric {metric} --json {options}");
            let ran = ot_over(&Registry::new(), folder.path(), &line);
            assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
            ran.json()
        };
        let (lazy, matrix) = (solved("--lazy"), solved("--backend network-simplex"));
        assert_eq!(lazy["backend"], "exact-points");
        let cost = |json: &serde_json::Value| json["transport_cost"].as_f64().unwrap();
        assert!((cost(&lazy) - cost(&matrix)).abs() <= 1e-12 * cost(&matrix).abs());
    }
}

#[test]
fn what_laziness_would_pass_over_is_refused() {
    let folder = folder();
    for (set, named) in [
        ("cost=matrix", "--set"),
        ("method=newton", "`method` = newton"),
    ] {
        for backend in ["auto", "sinkhorn-stabilized"] {
            let line = format!(
                "solve --x @x.npy --y @y.npy --metric sqeuclidean --reg 0.1 --lazy --backend {backend} --set {set}"
            );
            let ran = ot_over(&Registry::new(), folder.path(), &line);
            ran.assert_refused(Exit::Usage);
            assert!(ran.stderr.contains(named), "{ran:?}");
        }
    }
}
