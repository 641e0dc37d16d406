//! `ot solve` on good input: every way in, every file out, and what it prints.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use common::{folder, npy, npy_f32, ot};
use ot_cli::{Cli, Exit, MemoryProbe};
use ot_data::npz;
use serde_json::Value;

// The optimum of the folder's problem: 0.5 stays at cost 0, 0.25 at 0.5, 0.25 at 1.
const OPTIMUM: f64 = 0.375;

fn cost_of(json: &Value) -> f64 {
    json["transport_cost"].as_f64().unwrap()
}

#[test]
fn json_has_exactly_the_promised_fields() {
    let folder = folder();
    let ran = ot(
        folder.path(),
        "solve --a @a.npy --b @b.npy --cost @cost.npy --json",
    );
    assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Solved, ""));
    assert_eq!(ran.stdout.lines().count(), 1);
    let json = ran.json();
    let object = json.as_object().unwrap();
    let mut fields: Vec<_> = object.keys().map(String::as_str).collect();
    fields.sort_unstable();
    let mut promised = [
        "backend",
        "n",
        "m",
        "termination",
        "converged",
        "transport_cost",
        "objective",
        "lower_bound",
        "upper_bound",
        "mass",
        "marginal_error",
        "iterations",
        "seconds",
        "certify_seconds",
        "extra_bytes",
        "peak_bytes",
    ];
    promised.sort_unstable();
    assert_eq!(fields, promised);
    let sides: Vec<_> = json["marginal_error"].as_object().unwrap().keys().collect();
    assert_eq!(sides, ["source", "target"]);

    assert_eq!(json["backend"], "shortest-paths");
    assert_eq!((json["n"].as_u64(), json["m"].as_u64()), (Some(3), Some(2)));
    assert_eq!(json["termination"], "optimal");
    assert_eq!(json["converged"], true);
    assert!((cost_of(&json) - OPTIMUM).abs() < 1e-15);
    let bracket = ["lower_bound", "upper_bound"].map(|k| json[k].as_f64().unwrap());
    assert!((bracket[0] - OPTIMUM).abs() < 1e-14 && (bracket[1] - OPTIMUM).abs() < 1e-14);
    assert_eq!(json["mass"], 1.0);
    assert_eq!(json["marginal_error"]["source"], 0.0);
    assert_eq!(json["iterations"], 3);
    assert!(json["seconds"].is_f64() && json["certify_seconds"].is_f64());
    // Nobody counts allocations here.
    assert!(json["extra_bytes"].is_null());
}

#[test]
fn the_report_is_a_short_table() {
    let folder = folder();
    let shown = |line: &str| {
        let ran = ot(folder.path(), line);
        let stable = ran.stdout.lines().filter(|l| !l.starts_with("time"));
        stable.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(
        "report",
        shown("solve --a @a.npy --b @b.npy --cost @cost.npy")
    );
    insta::assert_snapshot!(
        "report_of_points",
        shown("solve --x @x.npy --y @y.npy --metric minkowski:3 --backend shortest-paths")
    );
    insta::assert_snapshot!(
        "report_not_converged",
        shown("solve --cost @cost.npy --max-iter 1")
    );
}

#[test]
fn an_answer_that_missed_its_tolerance_is_printed_with_status_3() {
    let folder = folder();
    let line = "solve --cost @cost.npy --max-iter 1 --json --plan-out @p.npz";
    let ran = ot(folder.path(), line);
    assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::NotConverged, ""));
    let json = ran.json();
    assert_eq!(json["termination"], "iteration-limit");
    assert_eq!(json["converged"], false);
    assert!(folder.path().join("p.npz").exists());
}

#[test]
fn a_time_limit_stops_the_solve() {
    let folder = folder();
    let line = "solve --cost @cost.npy --time-limit 1e-9 --json";
    let ran = ot(folder.path(), line);
    assert_eq!(ran.exit, Exit::NotConverged);
    assert_eq!(ran.json()["termination"], "time-limit");
}

#[test]
fn plan_and_potentials_are_written_and_read_back() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let solve = "solve --a @a.npy --b @b.npy --cost @cost.npy --json";
    for out in [
        "--plan-out @p.npz --potentials-out @fg.npz",
        "--plan-out @p.npy",
    ] {
        let ran = ot(folder.path(), &format!("{solve} {out}"));
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    }
    let dense = ot_data::read(at("p.npy")).unwrap().into_matrix().unwrap();
    assert_eq!(dense.dim(), (3, 2));
    assert_eq!(dense.sum_axis(ndarray::Axis(1)).to_vec(), [0.5, 0.25, 0.25]);
    assert_eq!(dense.sum_axis(ndarray::Axis(0)).to_vec(), [0.5, 0.5]);

    let mut archive = npz::Archive::open(at("p.npz")).unwrap();
    assert_eq!(archive.keys(), ["row", "col", "value", "shape"]);
    let mut labels = |key| archive.read(key).unwrap().into_labels().unwrap().to_vec();
    let (row, col, shape) = (labels("row"), labels("col"), labels("shape"));
    assert_eq!(shape, [3, 2]);
    let value = archive.read("value").unwrap().into_vector().unwrap();
    assert_eq!(row.len(), 3);
    for ((&i, &j), &p) in row.iter().zip(&col).zip(&value) {
        assert_eq!(dense[[i as usize, j as usize]], p);
    }

    let mut archive = npz::Archive::open(at("fg.npz")).unwrap();
    let mut side = |key| archive.read(key).unwrap().into_vector().unwrap().to_vec();
    let (f, g) = (side("f"), side("g"));
    let cost = [0.0, 2.0, 1.0, 0.5, 3.0, 1.0];
    for (k, c) in cost.iter().enumerate() {
        assert!(f[k / 2] + g[k % 2] <= c + 1e-14);
    }
    let dual = 0.5 * f[0] + 0.25 * (f[1] + f[2]) + 0.5 * (g[0] + g[1]);
    assert!((dual - OPTIMUM).abs() < 1e-14);
}

#[test]
fn infinite_potentials_and_json_without_infinities() {
    let folder = folder();
    let inf = f64::INFINITY;
    npy(&folder.path().join("c.npy"), &[2, 2], &[1.0, inf, inf, inf]);
    npy(&folder.path().join("w.npy"), &[2], &[1.0, 0.0]);
    let line = "solve --a @w.npy --b @w.npy --cost @c.npy --json --potentials-out @fg.npz";
    let ran = ot(folder.path(), line);
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    assert_eq!(cost_of(&ran.json()), 1.0);
    let mut archive = npz::Archive::open(folder.path().join("fg.npz")).unwrap();
    let f = archive.read("f").unwrap().into_vector().unwrap();
    assert_eq!(f[1], inf);
}

#[test]
fn every_way_to_state_a_cost_agrees() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let cost = |line: &str| {
        let ran = ot(folder.path(), &format!("solve {line} --json"));
        assert_eq!(ran.exit, Exit::Solved, "{line}: {ran:?}");
        cost_of(&ran.json())
    };
    // A 2×3 grid and the same cells as points.
    let w = [0.1, 0.2, 0.3, 0.0, 0.4, 0.0];
    let v = [0.3, 0.0, 0.1, 0.2, 0.0, 0.4];
    let cells: Vec<f64> = (0..6)
        .flat_map(|c| [(c / 3) as f64, (c % 3) as f64])
        .collect();
    npy(&at("wg.npy"), &[2, 3], &w);
    npy(&at("wl.npy"), &[6], &w);
    npy(&at("v.npy"), &[6, 1], &v);
    npy(&at("cells.npy"), &[6, 2], &cells);
    for metric in [
        "sqeuclidean",
        "cityblock",
        "euclidean",
        "minkowski:3",
        "chebyshev",
        "power:1.5",
    ] {
        let grid = cost(&format!(
            "--a @wg.npy --b @v.npy --grid 2x3 --metric {metric}"
        ));
        let points = cost(&format!(
            "--a @wl.npy --b @v.npy --x @cells.npy --y @cells.npy --metric {metric}"
        ));
        assert!((grid - points).abs() < 1e-15, "{metric}: {grid} {points}");
        assert!(grid > 0.0);
    }
    let three = cost("--grid 2x2x2 --metric euclidean");
    assert_eq!(three, 0.0);
    // One-dimensional points are n×1.
    npy(&at("line.npy"), &[2], &[0.0, 1.0]);
    npy(&at("column.npy"), &[2, 1], &[2.0, 3.0]);
    assert_eq!(
        cost("--x @line.npy --y @column.npy --metric sqeuclidean"),
        4.0
    );
    // csv, npz with one array, npz by key.
    std::fs::write(at("cost.csv"), "0,2\n1,0.5\n3,1\n").unwrap();
    let mut writer = npz::Writer::create(at("all.npz")).unwrap();
    writer.add("w", &[3], &[0.5, 0.25, 0.25]).unwrap();
    writer
        .add("c", &[3, 2], &[0.0_f32, 2.0, 1.0, 0.5, 3.0, 1.0])
        .unwrap();
    writer.finish().unwrap();
    let mut writer = npz::Writer::create(at("one.npz")).unwrap();
    writer.add("b", &[2], &[1_i32, 1]).unwrap();
    writer.finish().unwrap();
    assert_eq!(cost("--a @a.npy --cost @cost.csv"), OPTIMUM);
    assert_eq!(cost("--a @all.npz:w --cost @all.npz:c"), OPTIMUM);
    assert_eq!(
        cost("--a @a.npy --b @one.npz --cost @cost.csv --normalize"),
        OPTIMUM
    );
}

#[test]
fn single_precision_weights_balance_to_five_digits() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    npy_f32(&at("b32.npy"), &[2], &[0.5, 0.500_001]);
    npy_f32(&at("cost32.npy"), &[3, 2], &[0.0, 2.0, 1.0, 0.5, 3.0, 1.0]);
    let line = "solve --a @a.npy --b @b32.npy --cost @cost32.npy --json";
    let ran = ot(folder.path(), line);
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    assert!((cost_of(&ran.json()) - OPTIMUM).abs() < 1e-5);
}

#[test]
fn help_and_version_are_answers() {
    let folder = folder();
    let help = |line: &str| {
        let ran = ot(folder.path(), line);
        assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Solved, ""));
        ran.stdout
    };
    insta::assert_snapshot!("help", help("--help"));
    insta::assert_snapshot!("help_solve", help("solve --help"));
    insta::assert_snapshot!("help_backends", help("backends --help"));
    assert_eq!(
        help("--version"),
        format!("ot {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn extra_memory_comes_from_the_probe() {
    struct Probe;
    impl MemoryProbe for Probe {
        fn current(&self) -> Option<u64> {
            Some(1000)
        }
        fn peak(&self) -> Option<u64> {
            Some(1500)
        }
        fn reset_peak(&self) {}
    }
    let folder = folder();
    let cost = folder.path().join("cost.npy");
    let args = ["ot", "solve", "--cost", cost.to_str().unwrap(), "--json"];
    let (registry, mut out, mut err) = (common::registry(), vec![], vec![]);
    let exit = Cli::new(&registry)
        .memory(&Probe)
        .run(args, &mut out, &mut err);
    assert_eq!(exit, Exit::Solved);
    let json: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["extra_bytes"], 500);
    assert!(json["peak_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut err = vec![];
    let registry = common::registry();
    let exit = ot_cli::run(&registry, ["ot", "backends"], &mut Closed, &mut err);
    assert_eq!((exit, err.as_slice()), (Exit::Solved, &[][..]));
}

#[test]
fn backends_are_listed() {
    let folder = folder();
    let table = ot(folder.path(), "backends");
    assert_eq!(table.exit, Exit::Solved);
    insta::assert_snapshot!("backends", table.stdout);
    let json = ot(folder.path(), "backends --json").json();
    let backend = &json.as_array().unwrap()[0];
    assert_eq!(backend["name"], "shortest-paths");
    assert_eq!(backend["available"], true);
    assert!(backend["reason"].is_null());
    assert_eq!(backend["capabilities"][0], "balanced");
    assert_eq!(backend["settings"][0]["name"], "max_iter");
    assert_eq!(backend["settings"][0]["default"], 10_000);
}

#[test]
fn infinite_weights_keep_the_marginals_hard() {
    let folder = folder();
    for gammas in [
        "--gamma-a inf",
        "--gamma-b inf",
        "--gamma-a inf --gamma-b inf",
    ] {
        let line = format!("solve --a @a.npy --b @b.npy --cost @cost.npy {gammas} --json");
        let ran = ot(folder.path(), &line);
        assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Solved, ""));
        assert!((cost_of(&ran.json()) - OPTIMUM).abs() < 1e-15);
    }
}
