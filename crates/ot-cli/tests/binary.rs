//! The binary itself: statuses, streams, memory figures, and the backends that are compiled in.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use assert_cmd::Command;
use common::{folder, npy};
use serde_json::Value;

fn ot() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ot"))
}

fn stderr_of(output: &std::process::Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_instruction_set_that_is_none_is_a_usage_error() {
    let folder = folder();
    let solve = |value: &str| {
        ot().env("KANTOROVICH_SIMD", value)
            .current_dir(folder.path())
            .args(["solve", "--cost", "cost.npy", "--plan-out", "p.npz"])
            .output()
            .unwrap()
    };
    let refused = solve("foo");
    assert_eq!(
        (refused.status.code(), &refused.stdout[..]),
        (Some(2), &b""[..])
    );
    assert_eq!(
        stderr_of(&refused),
        "error: `KANTOROVICH_SIMD` = foo: must be one of portable, avx2, avx512, or unset\n"
    );
    assert!(!folder.path().join("p.npz").exists());
    // Unset and empty are the same, and every name is fine on every machine.
    for value in ["", "portable", "avx512"] {
        assert_eq!(solve(value).status.code(), Some(0), "{value:?}");
    }
}

#[test]
fn each_backend_solves_and_says_its_name() {
    let folder = folder();
    let listed = ot().args(["backends", "--json"]).output().unwrap();
    assert!(listed.status.success());
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    for backend in listed.as_array().unwrap() {
        let name = backend["name"].as_str().unwrap();
        let defaults = |key: &str| {
            let settings = backend["settings"].as_array().unwrap();
            let found = settings.iter().find(|s| s["name"] == key);
            found.map(|s| s["default"].clone())
        };
        for key in ["tol", "max_iter"] {
            let default = defaults(key);
            assert!(
                default
                    .as_ref()
                    .is_none_or(|d| d.is_number() || d.is_null()),
                "{name}: {key} = {default:?}"
            );
        }
        let output = ot()
            .current_dir(folder.path())
            .args([
                "solve", "--a", "a.npy", "--b", "b2.npy", "--cost", "cost.npy", "--json",
            ])
            .args(["--backend", name])
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}: {}",
            stderr_of(&output)
        );
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["backend"], name);
        // The libraries of linear programming don't tell.
        let counted = json["iterations"].as_u64();
        assert_eq!(counted.is_none(), name.starts_with("lp-"), "{name}");
        assert!(json.get("iterations").is_some());
        let (lower, upper) = (
            json["lower_bound"].as_f64().unwrap(),
            json["upper_bound"].as_f64().unwrap(),
        );
        assert!(
            lower <= 0.425 + 1e-12 && 0.425 <= upper + 1e-12,
            "{name}: {lower} {upper}"
        );
    }
}

#[test]
fn statuses_and_streams() {
    let folder = folder();
    let inf = f64::INFINITY;
    npy(&folder.path().join("c.npy"), &[1, 2], &[0.0, inf]);
    let run = |args: &[&str]| {
        let output = ot().current_dir(folder.path()).args(args).output().unwrap();
        let lines = stderr_of(&output).lines().count();
        (
            output.status.code().unwrap(),
            output.stdout.is_empty(),
            lines,
        )
    };
    assert_eq!(run(&["solve", "--cost", "cost.npy"]), (0, false, 0));
    assert_eq!(run(&["solve", "--cost", "none.npy"]), (2, true, 1));
    assert_eq!(run(&["solve", "--cots", "cost.npy"]), (2, true, 1));
    assert_eq!(run(&["solve", "--cost", "c.npy"]), (4, true, 1));
    let limited = ["solve", "--cost", "cost.npy", "--time-limit", "1e-9"];
    assert_eq!(run(&limited), (3, false, 0));
    assert_eq!(run(&["--help"]), (0, false, 0));
}

#[test]
fn memory_is_counted() {
    let folder = folder();
    let n = 64;
    let cost: Vec<f64> = (0..n * n).map(|k| ((k * 7919) % 101) as f64).collect();
    npy(&folder.path().join("big.npy"), &[n, n], &cost);
    let output = ot()
        .current_dir(folder.path())
        .args(["solve", "--cost", "big.npy", "--json"])
        .output()
        .unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let extra = json["extra_bytes"].as_u64().unwrap();
    assert!(extra > 0, "{json}");
    assert!(json["peak_bytes"].as_u64().unwrap() > extra);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_ot"))
        .args(["solve", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr_of(&output), "");
    assert_eq!(output.status.code(), Some(0));
}
