//! `ot distances`: its tables and kernels, what goes on after a stop, and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Ran, npy, ot_over};
use kantorovich::{DenseCost, Measure, Problem, Registry};
use ot_cli::Exit;

const W: [f64; 12] = [1.0, 2.0, 0.0, 1.0, 0.0, 1.0, 3.0, 0.0, 0.5, 0.5, 0.5, 0.5];
const V: [f64; 8] = [0.0, 0.0, 0.0, 2.0, 1.0, 1.0, 0.0, 0.0];
const P: [f64; 8] = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 3.0, 1.0];

/// `W`, 3 histograms over 4 bins, `V`, 2 of them, the places `P` of the bins, and their distances `C`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    npy(&at("W.npy"), &[3, 4], &W);
    npy(&at("V.npy"), &[2, 4], &V);
    npy(&at("P.npy"), &[4, 2], &P);
    npy(&at("L.npy"), &[4, 1], &[0.0, 1.0, 4.0, 9.0]);
    npy(&at("C.npy"), &[4, 4], &costs());
    npy(&at("wide.npy"), &[4, 3], &[1.0; 12]);
    npy(
        &at("zero.npy"),
        &[2, 4],
        &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    );
    npy(&at("nan.npy"), &[4, 1], &[0.0, 1.0, f64::NAN, 2.0]);
    npy(&at("bad.npy"), &[1, 4], &[1.0, -1.0, 0.0, 0.0]);
    folder
}

fn costs() -> Vec<f64> {
    let at = |k: usize| (P[2 * k], P[2 * k + 1]);
    let apart = |i: usize, j: usize| f64::hypot(at(i).0 - at(j).0, at(i).1 - at(j).1);
    (0..16).map(|k| apart(k / 4, k % 4)).collect()
}

fn ot(folder: &tempfile::TempDir, rest: &str) -> Ran {
    let line = format!("distances {rest}");
    ot_over(&Registry::new(), folder.path(), &line)
}

fn read(folder: &tempfile::TempDir, name: &str) -> Vec<f64> {
    let array = ot_data::read(folder.path().join(name)).unwrap();
    array.into_matrix().unwrap().into_iter().collect()
}

/// The optimum between two histograms, by the library.
fn alone(a: &[f64], b: &[f64]) -> f64 {
    let cost = std::sync::Arc::new(DenseCost::new(4, 4, costs()).unwrap());
    let measure = |w: &[f64]| Measure::new(w.to_vec()).unwrap().normalized();
    let problem = Problem::new(measure(a), measure(b), cost).unwrap();
    kantorovich::solve(&problem).unwrap().transport_cost
}

#[test]
fn tables_have_the_cost_of_every_pair() {
    let folder = folder();
    for (line, name, cols) in [
        (
            "--weights @W.npy --points @P.npy --metric euclidean --out @D.npy",
            "D.npy",
            &W[..],
        ),
        (
            "--weights @W.npy --cost @C.npy --against @V.npy --out @E.npy",
            "E.npy",
            &V[..],
        ),
    ] {
        let ran = ot(&folder, &format!("{line} --json"));
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        let json = ran.json();
        assert_eq!(
            (&json["n"], &json["m"]),
            (&3.into(), &(cols.len() / 4).into())
        );
        assert_eq!(
            (&json["missing"], &json["converged"]),
            (&0.into(), &true.into())
        );
        // `auto` says whom it has picked.
        assert_eq!(json["backend"], "network-simplex");
        let table = read(&folder, name);
        let pairs = W
            .chunks(4)
            .flat_map(|a| cols.chunks(4).map(move |b| (a, b)));
        for (found, (a, b)) in table.iter().zip(pairs) {
            assert!((found - alone(a, b)).abs() < 1e-12, "{found} {a:?} {b:?}");
        }
    }
}

#[test]
fn bins_on_a_line_have_their_closed_form() {
    let folder = folder();
    let ran = ot(
        &folder,
        "--weights @W.npy --points @L.npy --metric cityblock --out @D.npy --json",
    );
    assert_eq!(
        (ran.exit, &ran.json()["backend"]),
        (Exit::Solved, &"line".into())
    );
    // From (1, 2, 0, 1)/4 to (0, 1, 3, 0)/4 a quarter passes between 0 and 1, a half up to 4, and a quarter back from 9.
    assert!((read(&folder, "D.npy")[1] - (1.0 + 2.0 * 3.0 + 5.0) / 4.0).abs() < 1e-12);
}

#[test]
fn images_are_rows_of_their_pixels() {
    let folder = folder();
    // The pixels of images of 2×2 are at the corners of a square.
    npy(&folder.path().join("I.npy"), &[3, 2, 2], &W);
    npy(
        &folder.path().join("S.npy"),
        &[4, 2],
        &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0],
    );
    let ran = ot(
        &folder,
        "--weights @I.npy --grid 2x2 --metric log1p --out @D.npy",
    );
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    let ran = ot(
        &folder,
        "--weights @W.npy --points @S.npy --metric log1p --out @E.npy",
    );
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    assert_eq!(read(&folder, "D.npy"), read(&folder, "E.npy"));
}

#[test]
fn a_kernel_is_the_exponential_of_the_table() {
    let folder = folder();
    let line = "--weights @W.npy --cost @C.npy --out @D.npy --kernel-out @K.npy";
    for (width, rest) in [(None, ""), (Some(0.5), " --width 0.5")] {
        let ran = ot(&folder, &format!("{line}{rest} --json"));
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        let (table, kernel) = (read(&folder, "D.npy"), read(&folder, "K.npy"));
        let mut apart = [table[1], table[2], table[5]];
        apart.sort_by(f64::total_cmp);
        let t = width.unwrap_or(apart[1]);
        assert_eq!(ran.json()["width"], t);
        for (k, d) in kernel.iter().zip(&table) {
            assert_eq!(*k, (-d / t).exp());
        }
    }
}

#[test]
fn what_fell_short_is_solved_for_again_and_the_rest_is_not() {
    let folder = folder();
    let line =
        "--weights @W.npy --cost @C.npy --against @V.npy --backend sinkhorn --reg 0.3 --out @D.npy";
    let ran = ot(&folder, &format!("{line} --max-iter 1 --json"));
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    let short = ran.json()["unconverged"].as_u64().unwrap();
    assert!(short > 0 && ran.json()["missing"] == 0);
    let rough = read(&folder, "D.npy");
    let ran = ot(&folder, &format!("{line} --resume --json"));
    assert_eq!(
        (ran.exit, &ran.json()["unconverged"]),
        (Exit::Solved, &0.into())
    );
    let fine = read(&folder, "D.npy");
    let anew = ot(&folder, &line.replace("D.npy", "E.npy"));
    assert_eq!(anew.exit, Exit::Solved);
    assert_eq!(fine, read(&folder, "E.npy"));
    let other = rough.iter().zip(&fine).filter(|(r, f)| r != f).count();
    assert!(other > 0 && other as u64 <= short, "{other} {short}");
    // Nothing is left to do, and nothing is done, by nobody.
    let ran = ot(&folder, &format!("{line} --resume --json"));
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    assert!(ran.json()["backend"].is_null(), "{ran:?}");
    assert_eq!(read(&folder, "D.npy"), fine);
}

#[test]
fn another_problems_table_is_refused() {
    let folder = folder();
    let line = "--weights @W.npy --cost @C.npy --out @D.npy";
    let ran = ot(&folder, &format!("{line} --resume"));
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    let table = read(&folder, "D.npy");
    let mut said = String::new();
    for line in [
        "--weights @W.npy --points @P.npy --metric sqeuclidean --out @D.npy --resume",
        "--weights @W.npy --cost @C.npy --out @D.npy --resume --backend lp-minilp",
    ] {
        let ran = ot(&folder, line);
        ran.assert_refused(Exit::Usage);
        said += &ran.stderr;
    }
    std::fs::remove_file(folder.path().join("D.run.npz")).unwrap();
    let ran = ot(&folder, &format!("{line} --resume"));
    ran.assert_refused(Exit::Usage);
    said += &ran.stderr;
    insta::assert_snapshot!(said.replace(&folder.path().display().to_string(), "@"));
    assert_eq!(read(&folder, "D.npy"), table);
    // Without --resume a finished table has no record.
    assert_eq!(ot(&folder, line).exit, Exit::Solved);
    assert!(!folder.path().join("D.run.npz").exists());
}

#[test]
fn a_pair_without_a_plan_is_named_and_the_rest_is_kept() {
    let folder = folder();
    let inf = f64::INFINITY;
    let mut costs = costs();
    // Bins 0 to 2 reach each other, and 3 itself alone.
    (0..4).for_each(|k| {
        if k < 3 {
            (costs[4 * k + 3], costs[12 + k]) = (inf, inf);
        }
    });
    npy(&folder.path().join("I.npy"), &[4, 4], &costs);
    let ran = ot(
        &folder,
        "--weights @V.npy --cost @I.npy --out @D.npy --threads 1",
    );
    ran.assert_refused(Exit::Infeasible);
    assert!(
        ran.stderr.starts_with("error: row 0 to 1: "),
        "{}",
        ran.stderr
    );
    assert_eq!(read(&folder, "D.npy")[0], 0.0);
}

#[test]
fn a_time_limit_leaves_what_it_has() {
    let folder = folder();
    // Enough pairs that none of the runs gets to the end within a millisecond.
    let many: Vec<f64> = (0..400 * 4)
        .map(|k| f64::from(k * 7919 % 101) + 1.0)
        .collect();
    npy(&folder.path().join("many.npy"), &[400, 4], &many);
    let line = "--weights @many.npy --cost @C.npy --out @D.npy --threads 1";
    let ran = ot(
        &folder,
        &format!("{line} --time-limit 0.001 --kernel-out @K.npy --json"),
    );
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    let json = ran.json();
    assert_eq!(json["termination"], "time-limit");
    let missing = read(&folder, "D.npy").iter().filter(|d| d.is_nan()).count();
    assert_eq!(json["missing"], missing);
    assert!(missing > 0 && !folder.path().join("K.npy").exists());
    assert!(folder.path().join("D.run.npz").exists());
    let ran = ot(&folder, &format!("{line} --resume"));
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    let table = read(&folder, "D.npy");
    assert!((table[1] - alone(&many[..4], &many[4..8])).abs() < 1e-12);
    assert_eq!(table[1], table[400]);
}

#[test]
fn bad_input_is_one_line() {
    let folder = folder();
    let good = "--cost @C.npy --out @D.npy";
    let mut said = String::new();
    npy(&folder.path().join("E.npy"), &[2, 2], &[1.0; 4]);
    for line in [
        "--weights @W.npy --out @D.npy".to_owned(),
        "--weights @W.npy --points @P.npy --out @D.npy".to_owned(),
        "--weights @W.npy --points @P.npy --metric far --out @D.npy".to_owned(),
        "--weights @W.npy --cost @C.npy --points @P.npy --metric euclidean --out @D.npy".to_owned(),
        "--weights @W.npy --cost @wide.npy --out @D.npy".to_owned(),
        "--weights @W.npy --points @nan.npy --metric euclidean --out @D.npy".to_owned(),
        "--weights @W.npy --grid 2x2x2 --metric log1p --out @D.npy".to_owned(),
        "--weights @W.npy --grid 2x2 --metric cosine --out @D.npy".to_owned(),
        "--weights @W.npy --grid 3x3 --metric log1p --out @D.npy".to_owned(),
        "--weights @W.npy --grid 2x2 --cost @C.npy --out @D.npy".to_owned(),
        format!("--weights @nothing.npy {good}"),
        format!("--weights @wide.npy {good}"),
        format!("--weights @zero.npy {good}"),
        format!("--weights @bad.npy {good}"),
        format!("--weights @W.npy --against @zero.npy {good}"),
        format!("--weights @W.npy {good} --backend nobody"),
        format!("--weights @W.npy {good} --backend network-simplex --reg 1"),
        format!("--weights @W.npy {good} --set tree=@T.npy"),
        format!("--weights @W.npy {good} --width 1"),
        format!("--weights @W.npy {good} --kernel-out @K.npy --width 0"),
        format!("--weights @W.npy {good} --kernel-out @D.npy"),
        "--weights @W.npy --cost @C.npy --out @D.csv".to_owned(),
        "--weights @W.npy --cost @C.npy --out @W.npy".to_owned(),
        "--weights @W.npy --cost @C.npy --out @E.npy --resume".to_owned(),
    ] {
        let ran = ot(&folder, &line);
        ran.assert_refused(Exit::Usage);
        said += &ran
            .stderr
            .replace(&folder.path().display().to_string(), "@");
    }
    insta::assert_snapshot!(said);
    assert!(!folder.path().join("D.npy").exists());
}

#[test]
fn the_report_for_people() {
    let folder = folder();
    let ran = ot(
        &folder,
        "--weights @W.npy --cost @C.npy --out @D.npy --kernel-out @K.npy --width 2",
    );
    let shown = ran
        .stdout
        .replace(&folder.path().display().to_string(), "@");
    let lines: Vec<&str> = shown.lines().filter(|l| !l.starts_with("time")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
