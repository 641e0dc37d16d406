//! `ot classify`: its JSON, its files, and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Ran, npy, ot_over};
use kantorovich::{
    Capabilities, Capability, Context, Error, Factory, Options, Problem, Registry, SettingSpec,
    Solution, Solver,
};
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
        ("medoids", 3),
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
            assert_eq!(json["missing"], 0);
            assert!(json["lower_bound"].is_null() && json["seconds"].as_f64().unwrap() > 0.0);
            let written = ot_data::read(folder.path().join("p.npy")).unwrap();
            assert_eq!(written.into_labels().unwrap().to_vec(), [3, 7, 3, 7, 3, 7]);
        }
    }
}

#[test]
fn models_that_learn_say_from_how_many_images() {
    let folder = folder();
    let line =
        "--test-labels @y.npy --model bernoulli --rule retrieval --metric euclidean --learn 30";
    let ran = classify(&folder, line);
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    assert!(
        ran.stdout
            .contains("1 of bernoulli a class, 2 in all, moved by 30 images"),
        "{ran:?}"
    );
    let json = classify(&folder, &format!("{line} --json")).json();
    assert_eq!(json["learned_from"], 30);
    // A blurred bar of each class beside bars: what is learned is no worse.
    let plain = classify(
        &folder,
        &format!("{} --json", line.replace(" --learn 30", "")),
    )
    .json();
    assert!(plain["learned_from"].is_null());
    assert!(
        json["accuracy"].as_f64() >= plain["accuracy"].as_f64(),
        "{json} {plain}"
    );
    for (line, said) in [
        (
            "--model samples --rule retrieval --metric euclidean --learn 0",
            "--learn: 0: must be at least 1",
        ),
        (
            "--model samples --rule coupling --metric euclidean --learn 5",
            "it goes with `--rule retrieval`",
        ),
    ] {
        let ran = classify(&folder, line);
        ran.assert_refused(Exit::Usage);
        assert!(ran.stderr.contains(said), "{ran:?}");
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

/// Solves as often as it is told, and then waits for its time to be over.
#[derive(Clone, Copy)]
struct Waiting(usize);

impl Factory for Waiting {
    fn name(&self) -> &str {
        "waiting"
    }

    fn summary(&self) -> &str {
        "waits for a stop"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Balanced, Capability::Interruptible])
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Vec::new()
    }

    fn build(&self, _: &Options) -> Result<Box<dyn Solver>, Error> {
        let inner = Registry::new().build("network-simplex", &Options::default())?;
        let left = AtomicUsize::new(self.0);
        Ok(Box::new(Patient { inner, left }))
    }
}

struct Patient {
    inner: Box<dyn Solver>,
    left: AtomicUsize,
}

impl Solver for Patient {
    fn name(&self) -> &str {
        "waiting"
    }

    fn capabilities(&self) -> Capabilities {
        Waiting(0).capabilities()
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        let mut solution = self.inner.solve_with(problem, &mut Context::default())?;
        "waiting".clone_into(&mut solution.solver);
        if left > 0 {
            return Ok(solution);
        }
        solution.convergence.termination = loop {
            if let Some(termination) = context.interrupted() {
                break termination;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        };
        Ok(solution)
    }
}

/// `solves` are made, and then time is up.
fn classify_until(folder: &tempfile::TempDir, solves: usize, rest: &str) -> Ran {
    let line = format!("{GOOD} --model samples --models 3 --metric euclidean --threads 1 {rest}");
    let registry = Registry::new().with(Waiting(solves));
    ot_over(&registry, folder.path(), &line)
}

/// What people see, without the time.
fn shown(folder: &tempfile::TempDir, ran: &Ran) -> String {
    let folder = format!("{}/", folder.path().display());
    let shown = ran.stdout.replace(&folder, "@");
    let lines: Vec<&str> = shown.lines().filter(|l| !l.starts_with("time")).collect();
    lines.join("\n")
}

#[test]
fn a_stop_leaves_the_classes_that_were_found() {
    let folder = folder();
    // Six models: the third query is cut short in its second solve.
    let line =
        "--rule retrieval --backend waiting --time-limit 1 --test-labels @y.npy --out @p.npy";
    let ran = classify_until(&folder, 13, &format!("{line} --json"));
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    assert_eq!(ran.stderr, "");
    let json = ran.json();
    assert_eq!((&json["n"], &json["missing"]), (&6.into(), &4.into()));
    assert_eq!(json["termination"], "time-limit");
    assert_eq!(
        (&json["converged"], &json["accuracy"]),
        (&false.into(), &1.0.into())
    );
    assert_eq!(json["backend"], "waiting");
    let written = ot_data::read(folder.path().join("p.npy")).unwrap();
    let written = written.into_vector().unwrap();
    assert_eq!(&written.to_vec()[..2], [3.0, 7.0]);
    assert!(written.len() == 6 && written.iter().skip(2).all(|class| class.is_nan()));
    let ran = classify_until(&folder, 13, line);
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    insta::assert_snapshot!(shown(&folder, &ran));
}

#[test]
fn a_stop_before_the_first_class_names_no_backend() {
    let folder = folder();
    for rule in ["retrieval", "coupling"] {
        let line = format!("--rule {rule} --backend waiting --time-limit 0.05 --out @p.npy");
        let ran = classify_until(&folder, 0, &format!("{line} --test-labels @y.npy --json"));
        assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
        let json = ran.json();
        assert!(
            json["backend"].is_null() && json["accuracy"].is_null(),
            "{json}"
        );
        assert_eq!(json["missing"], 6);
        // Nothing is worth a file, and an earlier one would be lost.
        assert!(!folder.path().join("p.npy").exists());
        if rule == "retrieval" {
            let ran = classify_until(
                &folder,
                0,
                "--rule retrieval --backend waiting --time-limit 0.05",
            );
            insta::assert_snapshot!(shown(&folder, &ran));
        }
    }
}

#[test]
fn classes_that_no_double_holds_are_not_written_as_others() {
    let folder = folder();
    let large = (1_i64 << 53) + 1;
    ot_data::npy::write(
        folder.path().join("y.npy"),
        &[6],
        &[large, 7, large, 7, large, 7],
    )
    .unwrap();
    let line = "--rule retrieval --backend waiting --time-limit 1 --out @p.npy";
    let ran = classify_until(&folder, 13, line);
    ran.assert_refused(Exit::Usage);
    assert!(
        ran.stderr.contains("--out: class 9007199254740993"),
        "{ran:?}"
    );
    assert!(!folder.path().join("p.npy").exists());
    // All of them are whole numbers, whatever their size.
    let ran = classify_until(&folder, 100, line);
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    let written = ot_data::read(folder.path().join("p.npy")).unwrap();
    assert_eq!(written.into_labels().unwrap()[0], large);
}

#[test]
fn test_labels_of_no_known_class_are_warned_of() {
    let folder = folder();
    npy(
        &folder.path().join("z.npy"),
        &[6],
        &[3.0, 9.0, 3.0, 7.0, 4.0, 9.0],
    );
    let line =
        "--model samples --models 3 --rule retrieval --metric euclidean --backend network-simplex";
    let ran = classify(&folder, &format!("{line} --test-labels @z.npy"));
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    insta::assert_snapshot!(shown(&folder, &ran));
    let ran = classify(&folder, &format!("{line} --test-labels @z.npy --json"));
    assert_eq!(ran.json()["unknown_labels"], 3);
    assert_eq!(ran.json()["accuracy"], 0.5);
    let ran = classify(&folder, &format!("{line} --test-labels @y.npy --json"));
    assert_eq!(ran.json()["unknown_labels"], 0);
    let ran = classify(&folder, &format!("{line} --json"));
    assert!(ran.json()["unknown_labels"].is_null());
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
