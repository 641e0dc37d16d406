//! `ot barycenter`: its JSON, its files, its methods, and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Ran, npy, ot_over};
use kantorovich::Registry;
use ot_cli::Exit;

/// Two bumps on a line of 12 bins (`W`), the same as images of 3×4 (`I`), costs, weights, and clouds.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bump = |centre: f64| (0..12).map(move |i| (-0.5 * (f64::from(i) - centre).powi(2)).exp());
    let weights: Vec<f64> = bump(3.0).chain(bump(8.0)).collect();
    let cost: Vec<f64> = (0..144)
        .map(|e| (f64::from(e / 12) - f64::from(e % 12)).powi(2))
        .collect();
    npy(&at("W.npy"), &[2, 12], &weights);
    npy(&at("I.npy"), &[2, 3, 4], &weights);
    npy(&at("C.npy"), &[12, 12], &cost);
    let mut forbidding = cost.clone();
    forbidding[11] = f64::INFINITY;
    npy(&at("forbidding.npy"), &[12, 12], &forbidding);
    npy(&at("tall.npy"), &[12, 2], &cost[..24]);
    npy(&at("L.npy"), &[2], &[3.0, 2.0]);
    npy(&at("one.npy"), &[2], &[1.0, 0.0]);
    npy(&at("long.npy"), &[3], &[1.0, 1.0, 1.0]);
    npy(&at("minus.npy"), &[2], &[1.0, -1.0]);
    npy(&at("zero.npy"), &[2], &[0.0, 0.0]);
    npy(&at("X.npy"), &[3, 2], &[0.0, 0.0, 4.0, 0.0, 0.0, 4.0]);
    npy(&at("Y.npy"), &[3, 2], &[2.0, 1.0, 6.0, 1.0, 2.0, 5.0]);
    npy(&at("line.npy"), &[4], &[0.0, 1.0, 2.0, 3.0]);
    npy(&at("nan.npy"), &[2, 2], &[0.0, 1.0, f64::NAN, 3.0]);
    folder
}

fn barycenter(folder: &tempfile::TempDir, rest: &str) -> Ran {
    let line = format!("barycenter {rest}");
    ot_over(&Registry::new(), folder.path(), &line)
}

fn read(folder: &tempfile::TempDir, name: &str) -> (Vec<usize>, Vec<f64>) {
    let read = ot_data::read(folder.path().join(name)).unwrap();
    let shape = read.shape().to_vec();
    (shape, read.array.into_f64().into_iter().collect())
}

#[test]
fn every_method_of_a_fixed_support() {
    let folder = folder();
    for (method, rest, backend) in [
        ("bregman", "", "bregman"),
        ("bregman", "--reg 0.05 --tol 1e-4", "bregman"),
        ("debiased", "--max-iter 20000", "debiased"),
        ("ipot", "--max-iter 2000", "ipot"),
        ("lp", "", "lp-microlp"),
        ("lp", "--backend lp-minilp", "lp-minilp"),
        ("fixed", "--tol 6e-3 --max-iter 2000", "network-simplex"),
        ("fixed", "--tol 6e-3 --max-iter 2000 --backend ipot", "ipot"),
    ] {
        let line = format!(
            "--weights @W.npy --cost @C.npy --lambda @L.npy --method {method} {rest} --out @q.npy --json"
        );
        let ran = barycenter(&folder, &line);
        assert_eq!(ran.exit, Exit::Solved, "{line}: {ran:?}");
        let json = ran.json();
        assert_eq!(json["method"], method);
        assert_eq!(json["backend"], backend, "{line}");
        assert_eq!((&json["n"], &json["m"]), (&2.into(), &12.into()));
        assert!((json["mass"].as_f64().unwrap() - 1.0).abs() < 1e-12);
        let (shape, q) = read(&folder, "q.npy");
        assert_eq!(shape, [12], "{line}");
        assert!((q.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mean: f64 = q.iter().enumerate().map(|(i, q)| i as f64 * q).sum();
        assert!((mean - 5.0).abs() < 0.15, "{line}: {mean}");
        // Two bumps five bins apart, at 3/5 and 2/5: their parts times 25.
        let cost = json["transport_cost"].as_f64().unwrap();
        assert!((5.9..7.0).contains(&cost), "{line}: {cost}");
        if method != "lp" {
            let lower = json["lower_bound"].as_f64().unwrap();
            assert!((5.7..=6.01).contains(&lower), "{line}: {lower}");
            assert_eq!(json["upper_bound"], json["transport_cost"]);
        }
        assert!(json["entropy"].as_f64().unwrap() < 12_f64.ln());
    }
}

#[test]
fn images_come_back_as_images_and_a_weight_of_one_as_its_measure() {
    let folder = folder();
    let line = "--weights @I.npy --grid 3x4 --lambda @one.npy --method convolutional --reg-rel 2e-3 --tol 1e-6 \
                --out @q.npy --json";
    let ran = barycenter(&folder, line);
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    let (shape, q) = read(&folder, "q.npy");
    assert_eq!(shape, [3, 4]);
    let (_, given) = read(&folder, "I.npy");
    let mass: f64 = given[..12].iter().sum();
    for (q, p) in q.iter().zip(&given) {
        assert!((q - p / mass).abs() < 0.02, "{q} {p}");
    }
}

#[test]
fn masses_are_kept_where_marginals_are_relaxed() {
    let folder = folder();
    let ask = |gamma: &str| {
        let line = format!(
            "--weights @W.npy --cost @C.npy --method unbalanced --reg 0.5 --gamma {gamma} --tol 1e-6 --out @q.npy --json"
        );
        let ran = barycenter(&folder, &line);
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        let json = ran.json();
        assert!(json["transport_cost"].is_null() && json["lower_bound"].is_null());
        json["mass"].as_f64().unwrap()
    };
    // Masses are about √(2π), and grow less where the bumps can't meet.
    let (little, much) = (ask("1"), ask("50"));
    assert!(
        little > 1.0 && much > 1.0 && (little - much).abs() > 0.05,
        "{little} {much}"
    );
}

#[test]
fn free_supports_move() {
    let folder = folder();
    let line = "--points @X.npy @Y.npy --start @X.npy --lambda @L.npy --method free --out @Q.npy --weights-out @b.npy --json";
    let ran = barycenter(&folder, line);
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    let json = ran.json();
    assert_eq!(json["backend"], "network-simplex");
    assert!((json["transport_cost"].as_f64().unwrap() - 5.0 * 6.0 / 25.0).abs() < 1e-9);
    assert!(json["entropy"].is_null() && json["lower_bound"].is_null());
    let (shape, points) = read(&folder, "Q.npy");
    assert_eq!(shape, [3, 2]);
    let expected = [0.8, 0.4, 4.8, 0.4, 0.8, 4.4];
    assert!(
        points
            .iter()
            .zip(expected)
            .all(|(p, e)| (p - e).abs() < 1e-9)
    );
    assert_eq!(read(&folder, "b.npy").1, [1.0 / 3.0; 3]);
    let drawn = "--points @X.npy @Y.npy --support 5 --starts 3 --find-weights --seed 4 --method free --backend \
                 sinkhorn-stabilized --reg-rel 0.01 --max-iter 3 --out @Q.npy --json";
    let ran = barycenter(&folder, drawn);
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    assert_eq!(read(&folder, "Q.npy").0, [5, 2]);
}

#[test]
fn what_is_cut_short_is_printed_with_status_3() {
    let folder = folder();
    for (method, termination) in [("bregman", "--max-iter 2"), ("ipot", "--max-iter 2")] {
        let line = format!(
            "--weights @W.npy --cost @C.npy --method {method} {termination} --out @q.npy --json"
        );
        let ran = barycenter(&folder, &line);
        assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
        let json = ran.json();
        assert_eq!(json["termination"], "iteration-limit");
        assert_eq!(json["iterations"], 2);
        assert_eq!(read(&folder, "q.npy").0, [12]);
    }
    let line = "--weights @W.npy --cost @C.npy --method bregman --tol 1e-12 --time-limit 1e-9 --out @q.npy";
    let ran = barycenter(&folder, line);
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    assert!(ran.stdout.contains("time-limit: NOT all within"), "{ran:?}");
}

#[test]
fn numbers_that_fail_have_a_report_without_an_answer() {
    let folder = folder();
    for rest in ["unbalanced --gamma 1e300", "unbalanced --reg 1e-300"] {
        let line =
            format!("--weights @W.npy --cost @C.npy --method {rest} --out @failed.npy --json");
        let ran = barycenter(&folder, &line);
        assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
        let json = ran.json();
        assert_eq!(json["termination"], "numerical-failure");
        assert_eq!(json["converged"], false);
        assert!(json["mass"].is_null());
        assert!(!folder.path().join("failed.npy").exists());
    }
}

#[test]
fn the_limit_of_the_linear_program_can_be_set() {
    let folder = folder();
    let ask = |set: &str| {
        let line =
            format!("--weights @W.npy --cost @C.npy --method lp --set {set} --out @q.npy --json");
        barycenter(&folder, &line)
    };
    assert_eq!(ask("max_pairs=288").exit, Exit::Solved);
    let ran = ask("max_pairs=287");
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("288 allowed pairs"), "{ran:?}");
}

#[test]
fn weights_that_are_found_settle() {
    let folder = folder();
    let line = "--points @X.npy @Y.npy --support 2 --find-weights --method free --out @Q.npy --weights-out @b.npy --json";
    let ran = barycenter(&folder, line);
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    // Two atoms for two triangles alike: one of them takes two corners.
    let mut b = read(&folder, "b.npy").1;
    b.sort_by(f64::total_cmp);
    assert!((b[0] - 1.0 / 3.0).abs() < 0.05, "{b:?}");
}

#[test]
fn help_is_an_answer() {
    let ran = barycenter(&folder(), "--help");
    assert_eq!(ran.exit, Exit::Solved);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn the_report_for_people() {
    let folder = folder();
    let line = "--weights @I.npy --grid 3x4 --method convolutional --out @q.npy";
    let ran = barycenter(&folder, line);
    let text: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|l| !l.starts_with("time"))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn bad_input_is_one_line() {
    let folder = folder();
    let good = "--weights @W.npy --cost @C.npy --out @q.npy";
    let free = "--points @X.npy @Y.npy --method free --out @Q.npy";
    let mut said = String::new();
    for line in [
        format!("{good} --method mean"),
        format!("{good} --method bregman --lambda @long.npy"),
        format!("{good} --method bregman --lambda @minus.npy"),
        format!("{good} --method bregman --lambda @zero.npy"),
        format!("{good} --method bregman --reg 0"),
        format!("{good} --method bregman --tol 0"),
        format!("{good} --method bregman --backend sinkhorn"),
        format!("{good} --method bregman --set products=f64"),
        format!("{good} --method bregman --gamma 1"),
        format!("{good} --method bregman --support 3"),
        format!("{good} --method unbalanced --gamma -1"),
        format!("{good} --method bregman --seed 1"),
        format!("{good} --method lp --set tol=1"),
        format!("{good} --method lp --set max_pairs=0"),
        format!("{good} --method convolutional"),
        format!("{good} --method lp --reg 1"),
        format!("{good} --method lp --backend ipot"),
        format!("{good} --method fixed --backend nobody"),
        format!("{good} --method fixed --backend network-simplex --reg 1"),
        "--weights @W.npy --method ipot --out @q.npy".to_owned(),
        "--cost @C.npy --method ipot --out @q.npy".to_owned(),
        "--weights @W.npy --cost @tall.npy --method debiased --out @q.npy".to_owned(),
        "--weights @W.npy --grid 3x3 --method ipot --out @q.npy".to_owned(),
        "--weights @W.npy --grid 12 --method ipot --out @q.npy".to_owned(),
        "--weights @W.npy --cost @forbidding.npy --method fixed --out @q.npy".to_owned(),
        "--weights @I.npy --grid 4x3 --method ipot --out @q.npy".to_owned(),
        "--weights @W.npy --grid 3x4 --metric far --method ipot --out @q.npy".to_owned(),
        "--weights @W.npy --grid 3x4 --metric log1p --method convolutional --out @q.npy".to_owned(),
        "--weights @W.npy --cost @C.npy --method ipot --out @W.npy".to_owned(),
        "--weights @W.npy --cost @C.npy --method ipot --out @q.csv".to_owned(),
        free.to_owned(),
        format!("{free} --support 0"),
        format!("{free} --support 3 --starts 0"),
        format!("{free} --support 3 --start @X.npy"),
        format!("{free} --support 3 --weights @W.npy"),
        format!("{free} --start @line.npy"),
        format!("{free} --support 3 --point-weights @L.npy"),
        format!("{free} --support 3 --point-weights @L.npy @L.npy"),
        "--points @X.npy @line.npy --support 2 --method free --out @Q.npy".to_owned(),
        "--points @nan.npy --support 2 --method free --out @Q.npy".to_owned(),
        "--method free --support 2 --out @Q.npy".to_owned(),
    ] {
        let ran = barycenter(&folder, &line);
        ran.assert_refused(Exit::Usage);
        let folder = format!("{}/", folder.path().display());
        said += &ran.stderr.replace(&folder, "");
    }
    insta::assert_snapshot!(said);
    assert!(!folder.path().join("q.npy").exists() && !folder.path().join("Q.npy").exists());
}
