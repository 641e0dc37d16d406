//! Opens the comparison's page in a browser, light and dark, wide and narrow, and lets it examine itself. The
//! screenshots are left in `target/compare`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use kantorovich::Registry;
use ot_compare::report::{PeerRow, Peers};
use ot_compare::{Args, Report, Unmetered, page};

/// A page that does not load within this will not load.
const PATIENCE: Duration = Duration::from_secs(90);

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// A small run with every kind of picture, and a row of each kind in the peers' table.
fn report() -> Report {
    let problems = [
        "mnist-7-2",
        "cells",
        "documents",
        "palettes",
        "line",
        "random",
        "scale-d2-250",
        "scale-d2-500",
    ];
    let args = Args {
        problems: problems.map(str::to_owned).to_vec(),
        repeat: 1,
        date: "a day".to_owned(),
        command: "cargo test".to_owned(),
        machine: "this machine".to_owned(),
        ..Args::default()
    };
    let mut report = ot_compare::run(root(), &Registry::new(), &args, &mut Unmetered, &mut |_| {})
        .expect("fixtures are there");
    let row = |ratio, note: &str| PeerRow {
        goal: "network-simplex, dense".to_owned(),
        case: "n = 1000, d = 16, random weights".to_owned(),
        ours: "network-simplex".to_owned(),
        our_seconds: Some(0.02),
        peer: "POT emd2".to_owned(),
        peer_seconds: ratio,
        ratio,
        must: Some(5.0),
        aim: Some(12.0),
        disagreement: Some(1e-15),
        note: note.to_owned(),
    };
    report.peers = Some(Peers {
        versions: vec!["POT 0.9.7.post1".to_owned()],
        method: "In turn.".to_owned(),
        rows: vec![
            row(Some(3.0), ""),
            row(Some(30.0), ""),
            row(None, "it ended with a long message about what went wrong"),
        ],
    });
    report
}

struct Chromium {
    program: PathBuf,
    profile: tempfile::TempDir,
}

impl Chromium {
    /// Standard output and standard error of one run on `address`.
    fn run(&self, size: &str, extra: &str, address: &str) -> (String, String) {
        let scratch = tempfile::tempdir_in(self.profile.path()).expect("a folder");
        let (out, err) = (scratch.path().join("out"), scratch.path().join("err"));
        let file = |path: &Path| fs::File::create(path).expect("a file");
        let mut child = Command::new(&self.program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args(["--hide-scrollbars", "--enable-logging=stderr"])
            .arg(format!(
                "--user-data-dir={}",
                scratch.path().join("profile").display()
            ))
            .arg(format!("--window-size={size}"))
            .args([extra, address])
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .expect("the browser starts");
        let begun = Instant::now();
        while child.try_wait().expect("a child").is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill().expect("our own child");
                panic!("the browser did not finish {address} within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned();
        (read(&out), read(&err))
    }
}

#[test]
fn the_report_works_in_a_browser() {
    let Some(program) = browser() else {
        println!(
            "skipped: no chromium or google-chrome on PATH, so the report was not opened in a browser"
        );
        return;
    };
    let chromium = Chromium {
        program,
        profile: tempfile::tempdir().expect("a folder"),
    };
    let folder = root().join("target/compare");
    fs::create_dir_all(&folder).expect("target can be written");
    let file = folder.join("browser-test.html");
    fs::write(&file, page::render(&report())).expect("target can be written");
    for theme in ["light", "dark"] {
        for (width, size) in [("wide", "1280,900"), ("narrow", "390,844")] {
            let address = format!("file://{}?theme={theme}", file.display());
            let (dom, said) = chromium.run(size, "--dump-dom", &format!("{address}&selftest"));
            let found = dom
                .split_once("data-selftest=\"")
                .and_then(|(_, rest)| rest.split_once('"'));
            assert_eq!(found.map(|f| f.0), Some("ok"), "{theme}, {width}");
            assert!(
                dom.contains(&format!("data-theme=\"{theme}\"")),
                "{theme}, {width}"
            );
            let complaints: Vec<&str> = said.lines().filter(|l| l.contains("CONSOLE")).collect();
            assert!(complaints.is_empty(), "{theme}, {width}: {complaints:?}");
            let shot = folder.join(format!("browser-{theme}-{width}.png"));
            chromium.run(size, &format!("--screenshot={}", shot.display()), &address);
            assert!(
                fs::metadata(&shot).is_ok_and(|m| m.len() > 10_000),
                "{}",
                shot.display()
            );
        }
    }
}
