//! `ot solve --mass`: every backend that has it, and what is said of a mass that can't be moved.

#![cfg(all(
    feature = "network-simplex",
    feature = "sinkhorn",
    feature = "lp-minilp"
))]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use common::{Ran, folder, ot_over};
use kantorovich::Registry;
use ot_cli::Exit;

fn ran(folder: &tempfile::TempDir, options: &str) -> Ran {
    let line = format!("solve --a @a.npy --b @b.npy --cost @cost.npy --json {options}");
    ot_over(&Registry::new(), folder.path(), &line)
}

#[test]
fn a_mass_is_moved_by_the_exact_backends_and_the_entropic_one() {
    let folder = folder();
    let exact = |options: &str| {
        let ran = ran(&folder, options);
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        ran.json()
    };
    let auto = exact("--mass 0.25");
    assert_eq!(auto["backend"], "network-simplex");
    let value = auto["transport_cost"].as_f64().unwrap();
    for backend in ["network-simplex", "lp-minilp"] {
        let json = exact(&format!("--mass 0.25 --backend {backend}"));
        assert!((json["transport_cost"].as_f64().unwrap() - value).abs() < 1e-12);
        assert!((json["mass"].as_f64().unwrap() - 0.25).abs() < 1e-14);
        for bound in ["lower_bound", "upper_bound", "objective"] {
            assert!(
                (json[bound].as_f64().unwrap() - value).abs() < 1e-12,
                "{json}"
            );
        }
        for side in ["source", "target"] {
            assert!(json["marginal_error"][side].as_f64().unwrap() < 1e-12);
        }
    }
    let soft = exact("--mass 0.25 --reg 0.1");
    assert_eq!(soft["backend"], "sinkhorn");
    assert!((soft["mass"].as_f64().unwrap() - 0.25).abs() < 1e-9);
    let lower = soft["lower_bound"].as_f64().unwrap();
    assert!(lower <= value + 1e-12 && value <= soft["upper_bound"].as_f64().unwrap() + 1e-12);
    // All of it is the balanced problem.
    let (all, balanced) = (exact("--mass 1"), exact(""));
    let cost = |json: &serde_json::Value| json["transport_cost"].as_f64().unwrap();
    assert!((cost(&all) - cost(&balanced)).abs() < 1e-14);
}

#[test]
fn a_mass_that_is_none_or_too_much_is_refused() {
    let folder = folder();
    for (options, parts) in [
        ("--mass 0", ["mass", "0"]),
        ("--mass -1", ["mass", "-1"]),
        ("--mass nan", ["mass", "NaN"]),
        ("--mass 1.5", ["mass", "1.5"]),
        ("--mass 0.5 --gamma-a 1", ["--mass", "--gamma-a"]),
        ("--mass lots", ["--mass", "lots"]),
    ] {
        for backend in ["auto", "network-simplex", "sinkhorn", "lp-minilp"] {
            let ran = ran(&folder, &format!("--backend {backend} {options}"));
            ran.assert_refused(Exit::Usage);
            assert!(
                parts.iter().all(|part| ran.stderr.contains(part)),
                "{ran:?}"
            );
        }
    }
}

#[test]
fn backends_that_keep_marginals_hard_refuse_gammas() {
    let folder = folder();
    for backend in ["network-simplex", "lp-minilp", "lp-microlp"] {
        for option in ["--gamma-a 1", "--gamma-b 1"] {
            let ran = ran(&folder, &format!("--backend {backend} {option}"));
            ran.assert_refused(Exit::Usage);
            assert!(ran.stderr.contains(&option[..9]), "{ran:?}");
        }
    }
}
