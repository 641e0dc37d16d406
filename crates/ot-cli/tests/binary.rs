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
        // Some take certain costs only, and refuse a matrix.
        if ["exact-points", "line", "circle", "tree", "gaussian", "spot"].contains(&name) {
            continue;
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

/// What a signal does: the tests send it as a shell would.
#[cfg(unix)]
mod signals {
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    #[cfg(feature = "sinkhorn")]
    use super::{Value, npy};
    use super::{folder, stderr_of};

    const DEFAULTS: &str = "--default-signal=INT,TERM";

    /// Whether `env` can give a child the signals back that we were started to ignore.
    static RESTORES: LazyLock<bool> = LazyLock::new(|| {
        let tried = Command::new("env").args([DEFAULTS, "true"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    });

    /// Whether a child hears SIGINT and SIGTERM. A shell starts what it puts in the background with SIGINT ignored, which
    /// is inherited, and `ot` leaves it so.
    fn signals_are_heard() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        let (int, term) = (1 << 1, 1 << 14);
        let heard = *RESTORES || mask.unwrap_or(0) & (int | term) == 0;
        if !heard {
            eprintln!(
                "skipped: the tests run with SIGINT or SIGTERM ignored, and `env` knows no {DEFAULTS}"
            );
        }
        heard
    }

    fn spawn(folder: &Path, args: &[&str]) -> Child {
        // It becomes the command itself, with the same process number.
        let mut command = if *RESTORES {
            let mut env = Command::new("env");
            env.args([DEFAULTS, env!("CARGO_BIN_EXE_ot")]);
            env
        } else {
            Command::new(env!("CARGO_BIN_EXE_ot"))
        };
        command
            .current_dir(folder)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn send(signal: &str, child: &Child) {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    fn is_part(name: &str) -> bool {
        Path::new(name).extension().is_some_and(|e| e == "part")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let name = |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name();
        entries.map(|e| name(e).into_string().unwrap()).collect()
    }

    /// Waits until the plan is written and the potentials wait for a reader of their pipe.
    fn wait_for_part(folder: &Path) {
        let begun = Instant::now();
        while !names(folder).iter().any(|name| is_part(name)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no part");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// An answer that Sinkhorn never reaches: the entry that must be zero falls as 1/k.
    #[cfg(feature = "sinkhorn")]
    fn endless(folder: &Path) -> [&'static str; 10] {
        npy(
            &folder.join("endless.npy"),
            &[2, 2],
            &[0.0, f64::INFINITY, 0.0, 0.0],
        );
        [
            "solve",
            "--cost",
            "endless.npy",
            "--backend",
            "sinkhorn",
            "--tol",
            "1e-11",
            "--max-iter",
            "1000000000000000",
            "--json",
        ]
    }

    #[cfg(feature = "sinkhorn")]
    #[test]
    fn the_first_one_during_a_solve_gives_the_answer_so_far() {
        if !signals_are_heard() {
            return;
        }
        let folder = folder();
        let args = endless(folder.path());
        let output = [100, 300, 1000, 3000, 10_000].into_iter().find_map(|wait| {
            let child = spawn(folder.path(), &args);
            std::thread::sleep(Duration::from_millis(wait));
            send("-INT", &child);
            let output = child.wait_with_output().unwrap();
            // Too early: it ended before it solved anything.
            (output.status.code() != Some(130) && output.status.code().is_some()).then_some(output)
        });
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr_of(&output));
        assert_eq!(stderr_of(&output), "");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["termination"], "cancelled");
        assert_eq!(json["converged"], false);
    }

    #[test]
    fn one_while_files_are_written_leaves_none() {
        if !signals_are_heard() {
            return;
        }
        let folder = folder();
        let pipe = folder.path().join("fg.npz");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let before = names(folder.path()).len();
        let writing = ["solve", "--cost", "cost.npy", "--plan-out", "p.npy"];
        let writing = [&writing[..], &["--potentials-out", "fg.npz"]].concat();
        for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
            let child = spawn(folder.path(), &writing);
            wait_for_part(folder.path());
            send(signal, &child);
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(status), "{}", stderr_of(&output));
            assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
            assert_eq!(names(folder.path()).len(), before, "{signal}");
        }
    }

    #[cfg(feature = "sinkhorn")]
    #[test]
    fn a_second_one_ends_what_the_first_one_left() {
        if !signals_are_heard() {
            return;
        }
        let folder = folder();
        let pipe = folder.path().join("fg.npz");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let args = ["--plan-out", "p.npy", "--potentials-out", "fg.npz"];
        let args = [&endless(folder.path())[..], &args].concat();
        let before = names(folder.path()).len();
        let mut child = spawn(folder.path(), &args);
        // Until the first one has fallen into the solve, which then goes on to its files.
        let begun = Instant::now();
        while !names(folder.path()).iter().any(|name| is_part(name)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no part");
            if child.try_wait().unwrap().is_some() {
                child = spawn(folder.path(), &args);
            }
            std::thread::sleep(Duration::from_millis(500));
            send("-INT", &child);
            std::thread::sleep(Duration::from_millis(500));
        }
        send("-INT", &child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", stderr_of(&output));
        assert_eq!(output.stdout, b"");
        assert_eq!(names(folder.path()).len(), before);
    }
}
