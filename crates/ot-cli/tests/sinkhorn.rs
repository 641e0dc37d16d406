//! The entropic options, over the backend `sinkhorn`.

#![cfg(feature = "sinkhorn")]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use common::{Ran, folder, npy_f32, ot_over};
use kantorovich::Registry;
use ot_cli::Exit;
use serde_json::Value;

const SOLVE: &str = "solve --a @a.npy --b @b2.npy --cost @cost.npy --json --backend sinkhorn";

fn ran(folder: &tempfile::TempDir, options: &str) -> Ran {
    ot_over(
        &Registry::new(),
        folder.path(),
        &format!("{SOLVE} {options}"),
    )
}

fn solved(folder: &tempfile::TempDir, options: &str) -> Value {
    let ran = ran(folder, options);
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    ran.json()
}

#[test]
fn reg_is_absolute_or_relative_and_a_hundredth_by_default() {
    let folder = folder();
    // The largest cost is 3.
    let values =
        ["", "--reg-rel 1e-2", "--reg 3e-2"].map(|o| solved(&folder, o)["objective"].clone());
    assert_eq!(values[0], values[1]);
    let [_, relative, absolute] = values.map(|v| v.as_f64().unwrap());
    assert!((relative - absolute).abs() < 1e-12);
    let blurred = solved(&folder, "--reg 1");
    assert!(blurred["objective"].as_f64().unwrap() > blurred["transport_cost"].as_f64().unwrap());
    assert!(blurred["transport_cost"].as_f64().unwrap() > 0.425);
}

#[test]
fn a_reg_that_underflows_is_refused_by_name() {
    let folder = folder();
    let ran = ran(&folder, "--reg 1e-4");
    ran.assert_refused(Exit::Usage);
    assert!(ran.stderr.contains("sinkhorn-stabilized"), "{ran:?}");
    for backend in ["", "--backend auto"] {
        let options = format!("{SOLVE} --reg 1e-4").replace("--backend sinkhorn", backend);
        let ran = ot_over(&Registry::new(), folder.path(), &options);
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        assert_eq!(ran.json()["backend"], "sinkhorn-stabilized");
    }
}

#[test]
fn a_warm_start_saves_iterations() {
    let folder = folder();
    let cold = solved(&folder, "--potentials-out @fg.npz --reg 0.3");
    let warm = solved(&folder, "--warm @fg.npz --reg 0.3");
    let iterations = |v: &Value| v["iterations"].as_u64().unwrap();
    assert!(iterations(&warm) < iterations(&cold), "{warm} {cold}");
    // `a` has three entries and `b` two: the other way round does not fit.
    let ran = ot_over(
        &Registry::new(),
        folder.path(),
        "solve --x @y.npy --y @x.npy --metric euclidean --backend sinkhorn --warm @fg.npz",
    );
    ran.assert_refused(Exit::Usage);
    assert!(ran.stderr.contains("--warm"), "{ran:?}");
}

#[test]
fn settings_and_limits_reach_the_backend() {
    let folder = folder();
    npy_f32(
        &folder.path().join("cost.npy"),
        &[3, 2],
        &[0.0, 2.0, 1.0, 0.5, 3.0, 1.0],
    );
    assert_eq!(
        solved(&folder, "--set precision=f32 --tol 1e-5")["termination"],
        "converged"
    );
    let limited = ran(&folder, "--max-iter 1 --reg 0.1");
    assert_eq!(limited.exit, Exit::NotConverged);
    assert_eq!(limited.json()["termination"], "iteration-limit");
    let threaded = solved(&folder, "--threads 1");
    assert_eq!(threaded["converged"], true);
    for (options, part) in [
        ("--tol 1e-30", "tol"),
        ("--tol -1", "tol"),
        ("--set precision=f16", "precision"),
        ("--seed 3", "seed"),
        ("--mass 5", "mass"),
    ] {
        let ran = ran(&folder, options);
        ran.assert_refused(Exit::Usage);
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
}

#[test]
fn relaxed_marginals_and_references_reach_the_solver() {
    let folder = folder();
    let value = |v: &Value, key: &str| v[key].as_f64().unwrap();
    let relaxed = "--gamma-a 0.5 --gamma-b inf --reg 0.3";
    let soft = solved(&folder, relaxed);
    assert!((value(&soft, "mass") - 1.0).abs() < 1e-8);
    // The same numbers as a matrix and by name; another plan than a⊗b's.
    npy_f32(&folder.path().join("prior.npy"), &[3, 2], &[1.0; 6]);
    let file = solved(&folder, &format!("{relaxed} --prior @prior.npy"));
    let name = solved(&folder, &format!("{relaxed} --set reference=ones"));
    for key in ["transport_cost", "objective", "mass"] {
        assert!(
            (value(&file, key) - value(&name, key)).abs() < 1e-8,
            "{key}"
        );
    }
    assert!((value(&file, "transport_cost") - value(&soft, "transport_cost")).abs() > 1e-4);
    // Balanced, only the objective is another.
    let (plain, ones) = (
        solved(&folder, "--reg 0.3"),
        solved(&folder, "--reg 0.3 --prior @prior.npy"),
    );
    assert!((value(&plain, "transport_cost") - value(&ones, "transport_cost")).abs() < 1e-8);
    assert!((value(&plain, "objective") - value(&ones, "objective")).abs() > 0.1);
    let ran = ran(&folder, "--reg 0.3 --set reference=x");
    ran.assert_refused(Exit::Usage);
    assert!(ran.stderr.contains("`reference` = x"), "{ran:?}");
}
