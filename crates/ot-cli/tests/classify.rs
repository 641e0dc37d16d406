//! `ot classify`: its JSON, its files, and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Ran, npy, ot_over};
use kantorovich::Registry;
use ot_cli::Exit;

/// Bars that lie (class 3) and bars that stand (class 7), in images of 3×3: `I`, `y` to learn from, `J`, `z` to tell.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bar = |at: usize, stands: bool, spot: f64| {
        let mut image = [0.0; 9];
        (0..3).for_each(|k| image[if stands { 3 * k + at } else { 3 * at + k }] = 1.0);
        image[(5 * at + 2) % 9] += spot;
        image
    };
    let all = |spot| -> Vec<f64> {
        let bars = (0..3).flat_map(|k| [bar(k, false, spot), bar(k, true, spot)]);
        bars.flatten().collect()
    };
    npy(&at("I.npy"), &[6, 3, 3], &all(0.0));
    npy(&at("J.npy"), &[6, 3, 3], &all(0.2));
    npy(&at("wide.npy"), &[6, 1, 9], &all(0.2));
    npy(&at("zero.npy"), &[1, 3, 3], &[0.0; 9]);
    npy(&at("y.npy"), &[6], &[3.0, 7.0, 3.0, 7.0, 3.0, 7.0]);
    npy(&at("same.npy"), &[6], &[3.0; 6]);
    npy(&at("few.npy"), &[2], &[3.0, 7.0]);
    npy(&at("half.npy"), &[6], &[3.5; 6]);
    folder
}

const GOOD: &str = "classify --train @I.npy --labels @y.npy --test @J.npy";

fn classify(folder: &tempfile::TempDir, rest: &str) -> Ran {
    let line = format!("{GOOD} {rest}");
    ot_over(&Registry::new(), folder.path(), &line)
}

#[test]
fn every_model_and_rule_by_json() {
    let folder = folder();
    for (model, models) in [
        ("samples", 3),
        ("bernoulli", 3),
        ("barycenter", 3),
        ("kmeans", 3),
    ] {
        for (rule, metric) in [("retrieval", "log1p"), ("coupling", "euclidean")] {
            let line = format!(
                "--test-labels @y.npy --model {model} --models {models} --rule {rule} --metric {metric} --seed 5 \
                 --out @p.npy --json"
            );
            let ran = classify(&folder, &line);
            assert_eq!(ran.exit, Exit::Solved, "{model} {rule}: {ran:?}");
            let json = ran.json();
            assert_eq!(json["accuracy"], 1.0, "{model} {rule}");
            assert_eq!((&json["n"], &json["m"]), (&6.into(), &6.into()));
            assert_eq!(json["converged"], true);
            assert!(json["lower_bound"].is_null() && json["seconds"].as_f64().unwrap() > 0.0);
            let written = ot_data::read(folder.path().join("p.npy")).unwrap();
            assert_eq!(written.into_labels().unwrap().to_vec(), [3, 7, 3, 7, 3, 7]);
        }
    }
}

#[test]
fn without_labels_there_is_no_accuracy() {
    let ran = classify(
        &folder(),
        "--model samples --models 3 --rule retrieval --metric euclidean --json",
    );
    assert!(ran.json()["accuracy"].is_null(), "{ran:?}");
    let ran = classify(
        &folder(),
        "--model samples --models 3 --rule retrieval --metric euclidean",
    );
    assert!(
        ran.stdout.starts_with("backend ") && !ran.stdout.contains("accuracy"),
        "{ran:?}"
    );
}

#[test]
fn an_answer_short_of_its_tolerance_is_printed_with_status_3() {
    let line = "--model samples --models 3 --rule retrieval --metric euclidean --backend sinkhorn --reg-rel 0.01 \
                --max-iter 1 --json";
    let ran = classify(&folder(), line);
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    assert_eq!(ran.json()["converged"], false);
}

#[test]
fn bad_input_is_one_line() {
    let folder = folder();
    let over = |line: &str| ot_over(&Registry::new(), folder.path(), line);
    let good = "--model samples --rule retrieval --metric euclidean";
    let mut said = String::new();
    for ran in [
        classify(&folder, "--model bags --rule retrieval --metric euclidean"),
        classify(&folder, "--model samples --rule lottery --metric euclidean"),
        classify(&folder, "--model samples --rule retrieval --metric far"),
        classify(&folder, "--model samples --rule retrieval --metric arc"),
        classify(&folder, &format!("{good} --models 4")),
        classify(&folder, &format!("{good} --models 0")),
        classify(&folder, &format!("{good} --test-labels @few.npy")),
        classify(&folder, &format!("{good} --out @p.csv")),
        classify(&folder, &format!("{good} --out @y.npy")),
        classify(&folder, &format!("{good} --backend nobody")),
        over(&format!(
            "classify --train @I.npy --labels @same.npy --test @J.npy {good}"
        )),
        over(&format!(
            "classify --train @I.npy --labels @few.npy --test @J.npy {good}"
        )),
        over(&format!(
            "classify --train @I.npy --labels @half.npy --test @J.npy {good}"
        )),
        over(&format!(
            "classify --train @I.npy --labels @y.npy --test @wide.npy {good}"
        )),
        over(&format!(
            "classify --train @I.npy --labels @y.npy --test @zero.npy {good}"
        )),
        over(&format!(
            "classify --train @y.npy --labels @y.npy --test @J.npy {good}"
        )),
        over(&format!(
            "classify --train @none.npy --labels @y.npy --test @J.npy {good}"
        )),
        over(&format!("classify --labels @y.npy --test @J.npy {good}")),
    ] {
        ran.assert_refused(Exit::Usage);
        said += &ran
            .stderr
            .replace(&*folder.path().to_string_lossy(), "FOLDER");
    }
    insta::assert_snapshot!(said);
}
