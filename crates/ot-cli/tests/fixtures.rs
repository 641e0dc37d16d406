//! The command on the repository's real data, against the values of independent libraries.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use std::path::Path;

use common::ot_over;
use kantorovich::Registry;
use ot_cli::Exit;
use serde_json::Value;

/// Every fixture of the manifest that is solved within a moment, with the command line that states it.
fn fixtures() -> Vec<(Value, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let manifest = std::fs::read_to_string(root.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let entries = manifest["fixtures"].as_array().unwrap();
    let small = entries
        .iter()
        .filter(|e| !e["name"].as_str().unwrap().ends_with("64"));
    let stated = small.map(|e| (e.clone(), command(e, &root)));
    stated.collect()
}

fn command(entry: &Value, root: &Path) -> String {
    let file = |v: &Value| root.join(v.as_str().unwrap()).display().to_string();
    let cost = &entry["cost"];
    let metric = cost["metric"].as_str().unwrap_or_default();
    let mut line = match cost["type"].as_str().unwrap() {
        "grid" => {
            let dims = cost["shape"].as_array().unwrap();
            let dims: Vec<_> = dims.iter().map(ToString::to_string).collect();
            format!("solve --grid {} --metric {metric}", dims.join("x"))
        }
        "points" => {
            let (x, y) = (file(&cost["x"]), file(&cost["y"]));
            format!("solve --x {x} --y {y} --metric {metric}")
        }
        _ => format!("solve --cost {}", file(&cost["matrix"])),
    };
    for side in ["a", "b"] {
        if entry[side].is_string() {
            line += &format!(" --{side} {}", file(&entry[side]));
        }
    }
    if entry["normalize"] == true {
        line += " --normalize";
    }
    line + " --json"
}

fn solved(line: &str) -> Value {
    let ran = ot_over(&Registry::new(), Path::new("."), line);
    assert_eq!(ran.exit, Exit::Solved, "{line}: {ran:?}");
    ran.json()
}

fn near(found: &Value, expected: &Value, relative: f64, what: &str) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!(
        (found - expected).abs() <= relative * expected.abs(),
        "{what}: {found} ≠ {expected}"
    );
}

#[cfg(feature = "network-simplex")]
#[test]
fn exact_optima() {
    for (entry, line) in fixtures() {
        let json = solved(&line);
        // Points on a line need no search, where that is compiled in.
        let on_a_line = cfg!(feature = "line") && line.contains("line.x.npy");
        let backend = if on_a_line { "line" } else { "network-simplex" };
        assert_eq!(json["backend"], backend, "{line}");
        for key in ["transport_cost", "lower_bound", "upper_bound"] {
            near(&json[key], &entry["expected"]["optimum"], 1e-9, &line);
        }
    }
}

#[cfg(feature = "sinkhorn")]
#[test]
fn entropic_values() {
    let mut compared = 0;
    for (entry, line) in fixtures() {
        // Smaller ones are for other backends.
        let reached = |e: &&Value| e["reg_rel"].as_f64().unwrap() >= 1e-2;
        for entropic in entry["entropic"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(reached)
        {
            let line = format!("{line} --reg {} --tol 1e-11", entropic["reg"]);
            let json = solved(&line);
            assert_eq!(json["backend"], "sinkhorn", "{line}");
            for key in ["transport_cost", "objective"] {
                near(&json[key], &entropic[key], 1e-8, &line);
            }
            compared += 1;
        }
    }
    assert!(compared > 0, "the manifest has no entropic values");
}
