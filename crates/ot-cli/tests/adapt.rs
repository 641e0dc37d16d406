//! `ot adapt`: its JSON, its files, and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Ran, npy, ot_over};
use kantorovich::Registry;
use ot_cli::Exit;

/// Clusters of classes 3 and 7 around (0, 0) and (4, 1), eight samples each; the target is moved by (2, 6), so that the
/// nearest neighbours of all of it are of class 7.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let cloud = |move_by: [f64; 2], phase: f64| -> Vec<f64> {
        (0..16)
            .flat_map(|k| {
                let centre = if k % 2 == 0 { [0.0, 0.0] } else { [4.0, 1.0] };
                let k = f64::from(k) + phase;
                [
                    centre[0] + move_by[0] + 0.7 * (1.3 * k).sin(),
                    centre[1] + move_by[1] + 0.7 * (2.1 * k).cos(),
                ]
            })
            .collect()
    };
    let labels: Vec<f64> = (0..16)
        .map(|k| if k % 2 == 0 { 3.0 } else { 7.0 })
        .collect();
    npy(&at("X.npy"), &[16, 2], &cloud([0.0, 0.0], 0.0));
    npy(&at("Y.npy"), &[16, 2], &cloud([2.0, 6.0], 0.5));
    npy(&at("Y3.npy"), &[4, 3], &[0.0; 12]);
    npy(&at("nan.npy"), &[16, 2], &[f64::NAN; 32]);
    npy(&at("y.npy"), &[16], &labels);
    npy(&at("same.npy"), &[16], &[3.0; 16]);
    npy(&at("few.npy"), &[2], &[3.0, 7.0]);
    npy(&at("one.npy"), &[2, 2], &[1.0; 4]);
    npy(&at("y1.npy"), &[2], &[3.0, 7.0]);
    folder
}

fn adapt(folder: &tempfile::TempDir, rest: &str) -> Ran {
    let line = format!("adapt --source @X.npy --labels @y.npy --target @Y.npy {rest}");
    ot_over(&Registry::new(), folder.path(), &line)
}

#[test]
fn every_method_by_json() {
    let folder = folder();
    let accuracy = |method: &str| {
        let out = if method == "jdot" { "" } else { "--out @Z.npy" };
        let line =
            format!("--target-labels @y.npy --method {method} {out} --predict @p.npy --json");
        let ran = adapt(&folder, &line);
        assert_eq!(ran.exit, Exit::Solved, "{method}: {ran:?}");
        let json = ran.json();
        assert_eq!((&json["n"], &json["m"]), (&16.into(), &16.into()));
        assert_eq!(
            (&json["method"], &json["converged"]),
            (&method.into(), &true.into())
        );
        let solves = !matches!(method, "none" | "gaussian");
        assert_eq!(
            json["transport_cost"].as_f64().is_some_and(|c| c > 20.0),
            solves
        );
        assert!(json["lower_bound"].is_null() && json["seconds"].as_f64().unwrap() > 0.0);
        if !out.is_empty() {
            let adapted = ot_data::read(folder.path().join("Z.npy")).unwrap();
            assert_eq!(adapted.shape(), [16, 2]);
        }
        let told = ot_data::read(folder.path().join("p.npy")).unwrap();
        let told = told.into_labels().unwrap();
        let right = told
            .iter()
            .enumerate()
            .filter(|(k, l)| **l == [3, 7][k % 2]);
        let accuracy = json["accuracy"].as_f64().unwrap();
        assert_eq!(right.count() as f64 / 16.0, accuracy, "{method}");
        accuracy
    };
    assert_eq!(accuracy("none"), 0.5);
    for method in [
        "emd",
        "sinkhorn",
        "group-lasso",
        "laplacian",
        "gaussian",
        "jdot",
    ] {
        assert_eq!(accuracy(method), 1.0, "{method}");
    }
}

#[test]
fn reg_has_the_unit_of_the_cost_and_reg_rel_none() {
    let folder = folder();
    let cost = |rest: &str| {
        let ran = adapt(&folder, &format!("--method sinkhorn {rest} --json"));
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        ran.json()["transport_cost"].as_f64().unwrap()
    };
    // The default is reg-rel 0.05, here 0.05 times the largest squared distance.
    let (x, y) = ("X.npy", "Y.npy");
    let read = |name: &str| {
        let array = ot_data::read(folder.path().join(name)).unwrap();
        array.into_matrix().unwrap()
    };
    let (x, y) = (read(x), read(y));
    let mut largest = 0.0_f64;
    for p in x.rows() {
        for q in y.rows() {
            largest = largest.max((&p - &q).iter().map(|d| d * d).sum());
        }
    }
    let default = cost("");
    assert_eq!(default, cost("--reg-rel 0.05"));
    let absolute = cost(&format!("--reg {}", 0.05 * largest));
    assert!((absolute / default - 1.0).abs() < 1e-9);
    assert!(cost("--reg-rel 0.5") > default * 1.001);
}

#[test]
fn a_run_that_is_cut_short_ends_with_status_3() {
    let folder = folder();
    let ran = adapt(
        &folder,
        "--method sinkhorn --backend sinkhorn --reg-rel 0.005 --max-iter 1 --json",
    );
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    assert_eq!(ran.json()["converged"], false);
    let ran = adapt(
        &folder,
        "--method group-lasso --target-labels @y.npy --time-limit 1e-9 --json",
    );
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    let json = ran.json();
    assert_eq!(json["termination"], "time-limit");
    assert!(json["accuracy"].is_null());
}

#[test]
fn the_report_for_people_and_the_help() {
    let folder = folder();
    let ran = adapt(&folder, "--method emd --target-labels @y.npy");
    let lines = ran.stdout.lines().filter(|line| !line.starts_with("time"));
    let text = lines.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("report", text);
    let help = ot_over(&Registry::new(), folder.path(), "adapt --help");
    insta::assert_snapshot!("help", help.stdout);
}

/// Points in another unit, as of millimetres for metres, are the same points.
#[test]
fn no_answer_depends_on_the_unit_of_the_points() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let read = |name: &str| -> Vec<f64> {
        let array = ot_data::read(at(name)).unwrap().into_matrix().unwrap();
        array.into_iter().collect()
    };
    for (from, to) in [("X.npy", "X2.npy"), ("Y.npy", "Y2.npy")] {
        let points: Vec<f64> = read(from).iter().map(|v| 1024.0 * v).collect();
        npy(&at(to), &[16, 2], &points);
    }
    for method in [
        "emd",
        "sinkhorn",
        "group-lasso",
        "laplacian",
        "gaussian",
        "jdot",
    ] {
        let over = |[x, y]: [&str; 2], out: &str| {
            let out = match method {
                "jdot" => String::new(),
                _ => format!("--out @{out}"),
            };
            let line = format!(
                "adapt --source @{x} --labels @y.npy --target @{y} --method {method} {out} --predict @p.npy --json"
            );
            let ran = ot_over(&Registry::new(), folder.path(), &line);
            assert_eq!(ran.exit, Exit::Solved, "{method}: {ran:?}");
            let found = ot_data::read(at("p.npy")).unwrap().into_labels().unwrap();
            found.to_vec()
        };
        let small = over(["X.npy", "Y.npy"], "small.npy");
        let large = over(["X2.npy", "Y2.npy"], "large.npy");
        assert_eq!(small, large, "{method}");
        if method != "jdot" {
            for (small, large) in read("small.npy").iter().zip(read("large.npy")) {
                assert!((1024.0 * small - large).abs() < 1e-6 * 1024.0, "{method}");
            }
        }
    }
}

#[test]
fn bad_input_is_one_line() {
    let folder = folder();
    let over = |line: &str| ot_over(&Registry::new(), folder.path(), line);
    let mut said = String::new();
    for ran in [
        adapt(&folder, "--method magic"),
        adapt(&folder, ""),
        adapt(&folder, "--method emd --reg 1"),
        adapt(&folder, "--method gaussian --reg-rel 1"),
        adapt(&folder, "--method sinkhorn --class-weight 1"),
        adapt(&folder, "--method group-lasso --class-weight -1"),
        adapt(&folder, "--method emd --rounds 3"),
        adapt(&folder, "--method jdot --rounds 0"),
        adapt(&folder, "--method emd --seed 3"),
        adapt(&folder, "--method sinkhorn --reg-rel 0"),
        adapt(&folder, "--method sinkhorn --backend network-simplex"),
        adapt(&folder, "--method emd --backend sinkhorn"),
        adapt(&folder, "--method emd --backend nobody"),
        adapt(&folder, "--method none --backend sinkhorn"),
        adapt(&folder, "--method gaussian --max-iter 3"),
        adapt(&folder, "--method emd --ridge 1"),
        over("adapt --source @one.npy --labels @y1.npy --target @one.npy --method gaussian"),
        adapt(&folder, "--method jdot --ridge 0"),
        adapt(&folder, "--method jdot --alpha -1"),
        adapt(&folder, "--method emd --target-labels @few.npy"),
        adapt(&folder, "--method emd --out @Z.csv"),
        adapt(&folder, "--method emd --out @X.npy"),
        adapt(&folder, "--method emd --out @Z.npy --predict @Z.npy"),
        adapt(&folder, "--method jdot --out @Z.npy"),
        over("adapt --source @X.npy --labels @few.npy --target @Y.npy --method emd"),
        over("adapt --source @X.npy --labels @same.npy --target @Y.npy --method group-lasso"),
        over("adapt --source @X.npy --labels @y.npy --target @Y3.npy --method emd"),
        over("adapt --source @nan.npy --labels @y.npy --target @Y.npy --method emd"),
        over("adapt --source @X.npy --labels @y.npy --target @none.npy --method emd"),
        over("adapt --source @X.npy --target @Y.npy --method emd"),
    ] {
        ran.assert_refused(Exit::Usage);
        said += &ran
            .stderr
            .replace(&*folder.path().to_string_lossy(), "FOLDER");
    }
    insta::assert_snapshot!(said);
}
