//! `--set tree=T.npy`: paths on a tree, by the backend `tree` and by others.
#![cfg(all(feature = "tree", feature = "network-simplex"))]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use common::{Ran, npy, ot_over};
use kantorovich::Registry;
use ot_cli::Exit;

/// Node 4 is the root: 4 – 3 – {0, 1}, 4 – 2; two sources, three targets.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let rows = [3.0, 1.0, 3.0, 0.5, 4.0, 2.0, 4.0, 0.25, -1.0, 0.0];
    npy(&at("tree.npy"), &[5, 2], &rows);
    npy(&at("own.npy"), &[5, 2], &{
        let mut rows = rows;
        rows[8] = 4.0;
        rows
    });
    npy(&at("x.npy"), &[2, 1], &[0.0, 4.0]);
    npy(&at("y.npy"), &[3], &[1.0, 2.0, 2.0]);
    npy(&at("a.npy"), &[2], &[0.75, 0.25]);
    npy(&at("b.npy"), &[3], &[0.5, 0.25, 0.25]);
    folder
}

const LINE: &str = "solve --a @a.npy --b @b.npy --x @x.npy --y @y.npy --json --set tree=@";

fn run(folder: &tempfile::TempDir, rest: &str) -> Ran {
    ot_over(&Registry::new(), folder.path(), rest)
}

#[test]
fn every_backend_finds_the_same_value() {
    let folder = folder();
    // 0.75 up an edge of 1 to node 3; 0.5 of it down to 1, 0.25 up to the root; 0.5 down to 2.
    let value = 0.75 + 0.5 * 0.5 + 0.25 * 0.25 + 0.5 * 2.0;
    for rest in [
        "tree.npy --backend tree",
        "own.npy --backend tree --metric tree --tol 1e-12",
        "tree.npy",
        "tree.npy --backend network-simplex",
        "tree.npy --backend tree --lazy --time-limit 60",
        "tree.npy --lazy",
    ] {
        let ran = run(&folder, &format!("{LINE}{rest}"));
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        let json = ran.json();
        for key in ["transport_cost", "objective", "lower_bound", "upper_bound"] {
            let found = json[key].as_f64().unwrap();
            assert!((found - value).abs() < 1e-12, "{rest}: {key} = {found}");
        }
        let wanted = if rest.contains("simplex") {
            "network-simplex"
        } else {
            "tree"
        };
        assert_eq!(json["backend"], wanted);
    }
    let report = run(&folder, "solve --x @x.npy --y @y.npy --set tree=@tree.npy");
    assert!(
        report.stdout.contains("paths on a tree of 5 nodes"),
        "{report:?}"
    );
}

#[test]
fn plans_and_potentials_are_written() {
    let folder = folder();
    let ran = run(
        &folder,
        &format!("{LINE}tree.npy --plan-out @plan.npy --potentials-out @fg.npz"),
    );
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
    let plan = ot_data::read(folder.path().join("plan.npy"))
        .unwrap()
        .into_matrix()
        .unwrap();
    assert_eq!(plan.dim(), (2, 3));
    assert!((plan.row(0).sum() - 0.75).abs() < 1e-15 && (plan[(0, 0)] - 0.5).abs() < 1e-15);
}

#[test]
fn bad_trees_and_nodes_are_named() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let refused = |rest: &str, parts: &[&str]| {
        let ran = run(&folder, rest);
        ran.assert_refused(Exit::Usage);
        for part in parts {
            assert!(ran.stderr.contains(part), "no {part:?} in {:?}", ran.stderr);
        }
    };
    let tree = |shape: &[usize], rows: &[f64], parts: &[&str]| {
        npy(&at("t.npy"), shape, rows);
        refused(&format!("{LINE}t.npy"), parts);
    };
    tree(
        &[2, 2],
        &[-1.0, 0.0, 0.5, 1.0],
        &["`tree[1, 0]` = 0.5", "number of a node"],
    );
    tree(
        &[2, 2],
        &[-1.0, 0.0, f64::NAN, 1.0],
        &["`tree[1, 0]` = NaN"],
    );
    tree(
        &[2, 2],
        &[-1.0, 0.0, 7.0, 1.0],
        &["`parent[1]` = 7", "below 2"],
    );
    tree(
        &[2, 2],
        &[-1.0, 0.0, 0.0, -1.0],
        &["`length[1]` = -1", "not negative"],
    );
    tree(
        &[2, 2],
        &[-1.0, 0.0, 0.0, f64::INFINITY],
        &["`length[1]` = inf"],
    );
    tree(
        &[2, 2],
        &[-1.0, 0.0, -1.0, 1.0],
        &["`parent[1]`", "second root"],
    );
    tree(&[3, 2], &[-1.0, 0.0, 2.0, 1.0, 1.0, 1.0], &["cycle"]);
    tree(
        &[2, 3],
        &[0.0; 6],
        &["`tree` has shape 2×3", "two numbers a node"],
    );
    tree(
        &[2, 2],
        &[-1.0, 0.0, 0.0, 1.0],
        &["`x[1]` = 4: must be a node of the tree, below 2"],
    );
    let points = |shape: &[usize], values: &[f64], parts: &[&str]| {
        npy(&at("q.npy"), shape, values);
        refused("solve --x @q.npy --y @y.npy --set tree=@tree.npy", parts);
    };
    points(&[2], &[0.0, 1.5], &["`x[1]` = 1.5", "whole"]);
    points(&[2], &[0.0, -1.0], &["`x[1]` = -1"]);
    points(&[1, 2], &[0.0, 1.0], &["`x` has shape 1×2", "n×1"]);
    for (line, part) in [
        (
            "solve --x @x.npy --y @y.npy --metric tree",
            "--metric: `tree` needs `--set tree=T.npy`",
        ),
        (
            "solve --x @x.npy --y @y.npy --metric euclidean --backend tree",
            "--backend: `tree` needs",
        ),
        (
            "solve --x @x.npy --y @y.npy --metric euclidean --set tree=@tree.npy",
            "--metric: `euclidean` beside",
        ),
        (
            "solve --grid 3 --metric tree --set tree=@tree.npy",
            "--set: `tree` goes with --x and --y",
        ),
        (
            "solve --x @x.npy --y @y.npy --set tree=@tree.npy --set tree=@tree.npy",
            "given twice",
        ),
        (
            "solve --x @x.npy --y @y.npy --set tree=@missing.npy",
            "--set: ",
        ),
        ("solve --x @x.npy --y @y.npy", "--metric"),
        (
            "solve --x @x.npy --y @y.npy --set tree=@tree.npy --backend tree --max-iter 3",
            "it has tol",
        ),
        (
            "solve --x @x.npy --y @y.npy --set tree=@tree.npy --backend tree --mass 0.5",
            "`tree` lacks `partial`",
        ),
        (
            "solve --x @x.npy --y @y.npy --set tree=@tree.npy --backend tree --tol 1e-15",
            "1e-12 at best",
        ),
    ] {
        refused(line, &[part]);
    }
}

#[cfg(feature = "gaussian")]
#[test]
fn gaussians_bound_what_samples_cost() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let x = [0.0, 0.0, 1.0, 0.5, -2.0, 1.0, 3.0, -1.0];
    npy(&at("x.npy"), &[4, 2], &x);
    // 2 x + (1, −1), turned round.
    let image: Vec<f64> = x
        .chunks(2)
        .rev()
        .flat_map(|x| [2.0 * x[0] + 1.0, 2.0 * x[1] - 1.0])
        .collect();
    npy(&at("image.npy"), &[4, 2], &image);
    npy(&at("other.npy"), &[3, 2], &[0.0, 1.0, 1.0, 1.0, 5.0, 0.0]);
    let solve = |y: &str, more: &str| {
        let line = format!("solve --x @x.npy --y @{y}.npy --metric sqeuclidean --json {more}");
        let ran = run(&folder, &line);
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        let json = ran.json();
        ["transport_cost", "lower_bound", "upper_bound", "objective"]
            .map(|key| json[key].as_f64().unwrap())
    };
    let exact = solve("image", "--backend network-simplex")[0];
    for value in solve("image", "--backend gaussian") {
        assert!((value / exact - 1.0).abs() < 1e-12, "{value} {exact}");
    }
    let exact = solve("other", "")[0];
    let [cost, lower, upper, objective] = solve("other", "--backend gaussian");
    assert!(lower < exact && exact <= upper && objective == lower && (cost - upper).abs() < 1e-12);
    let line = "solve --x @x.npy --y @other.npy --metric euclidean --backend gaussian";
    let ran = run(&folder, line);
    ran.assert_refused(Exit::Usage);
    assert!(
        ran.stderr.contains("costs other than squared Euclidean"),
        "{ran:?}"
    );
}
