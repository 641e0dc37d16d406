//! Contract 1 through the command: one clear line, nothing on standard output, status 2 or 4.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use std::fs;

use common::{Ran, folder, npy, npy_f32, ot};
use ot_cli::Exit;

/// Refused with this status, and the line says all of `parts`.
fn refused(ran: &Ran, exit: Exit, parts: &[&str]) {
    ran.assert_refused(exit);
    for part in parts {
        assert!(ran.stderr.contains(part), "no {part:?} in {:?}", ran.stderr);
    }
}

#[test]
fn bad_numbers_are_named_with_their_place() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let weights = |values: &[f64], parts: &[&str]| {
        npy(&at("w.npy"), &[values.len()], values);
        let ran = ot(
            folder.path(),
            "solve --a @w.npy --b @b.npy --cost @cost.npy",
        );
        refused(&ran, Exit::Usage, parts);
    };
    weights(&[0.5, nan, 0.5], &["`a`[1] is NaN", "finite"]);
    weights(&[0.5, 0.5, inf], &["`a`[2] is inf"]);
    weights(&[-0.5, 1.0, 0.5], &["`a`[0] is -0.5"]);
    weights(&[0.0, 0.0, 0.0], &["`a` has mass 0 over 3", "1e-300"]);
    weights(&[1e-320, 0.0, 0.0], &["`a` has mass 1e-320 over 3"]);
    weights(&[-1e300, 1.0, 0.5], &["`a`[0] is -1e300"]);
    weights(&[1e308, 1e308, 1e308], &["`a` has mass inf"]);
    weights(&[0.5, 0.5], &["`a` has shape 2", "3 rows"]);
    weights(&[0.5, 0.25, 0.25 + 2e-9], &["masses", "1e-9"]);

    let costs = |shape: &[usize], values: &[f64], parts: &[&str]| {
        npy(&at("c.npy"), shape, values);
        let ran = ot(folder.path(), "solve --a @a.npy --b @b.npy --cost @c.npy");
        refused(&ran, Exit::Usage, parts);
    };
    costs(
        &[3, 2],
        &[0.0, 1.0, nan, 1.0, 1.0, 1.0],
        &["`cost`[1, 0] is NaN"],
    );
    costs(
        &[3, 2],
        &[0.0, 1.0, 1.0, 1.0, 1.0, -inf],
        &["`cost`[2, 1] is -inf"],
    );
    costs(
        &[3, 2],
        &[0.0, 1.0, 1.0, 1e308, 1.0, 1.0],
        &["`cost`[1, 1] is 1e308", "1e300"],
    );
    costs(&[2, 3], &[0.0; 6], &["`a` has shape 3", "2 rows"]);
    costs(&[], &[1.0], &["--cost", "[]", "n×m matrix"]);
    costs(&[6], &[0.0; 6], &["--cost", "[6]", "n×m matrix"]);
    costs(&[3, 2, 1], &[0.0; 6], &["--cost", "[3, 2, 1]"]);
    costs(&[0, 2], &[], &["--cost", "[0, 2]"]);

    let points = |y: &[f64], metric: &str, parts: &[&str]| {
        npy(&at("q.npy"), &[y.len() / 2, 2], y);
        let ran = ot(
            folder.path(),
            &format!("solve --x @x.npy --y @q.npy --metric {metric}"),
        );
        refused(&ran, Exit::Usage, parts);
    };
    points(&[0.0, nan], "euclidean", &["`y`[0, 1] is NaN"]);
    points(&[0.0, inf], "cityblock", &["`y`[0, 1] is inf"]);
    points(&[1.0, 0.0], "cosine", &["`x`[0, 0] is 0", "cosine"]);
    points(&[1.0, 0.0], "atanh:1", &["atanh:1", "largest distance"]);
    points(&[1.0, 0.0], "arc", &["arc"]);
    points(&[1.0, 0.0], "manhattan", &["manhattan", "cityblock"]);
    npy(&at("q.npy"), &[2, 3], &[0.0; 6]);
    let ran = ot(
        folder.path(),
        "solve --x @x.npy --y @q.npy --metric euclidean",
    );
    refused(&ran, Exit::Usage, &["`y` has shape 2×3", "dimension 2"]);
}

#[test]
fn costs_times_masses_beyond_the_range_are_named_with_both() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    npy(&at("heavy.npy"), &[3], &[5e9, 2.5e9, 2.5e9]);
    npy(&at("heavy-b.npy"), &[2], &[5e9, 5e9]);
    npy(
        &at("steep.npy"),
        &[3, 2],
        &[0.0, 1e300, 1.0, 5e299, 3.0, 1.0],
    );
    let line = "solve --a @heavy.npy --b @heavy-b.npy --cost @";
    for registry in [common::registry(), kantorovich::Registry::new()] {
        // Some take certain costs only, and refuse a matrix.
        let closed = ["exact-points", "line", "circle", "tree", "gaussian", "spot"];
        let names = registry.names().into_iter();
        for name in names.filter(|name| !closed.contains(name)) {
            let solve = |cost: &str, more: &str| {
                let line = format!("{line}{cost}.npy --backend {name} {more}");
                common::ot_over(&registry, folder.path(), &line)
            };
            let parts = ["`cost` reaches 1e300", "`a` has mass 10000000000", "1e305"];
            refused(&solve("steep", ""), Exit::Usage, &parts);
            refused(&solve("steep", "--json"), Exit::Usage, &parts);
            // Each is fine alone.
            let fine = solve("cost", "");
            assert!(
                fine.stderr.is_empty() && !fine.stdout.is_empty(),
                "{name}: {fine:?}"
            );
        }
    }
    npy(&at("light.npy"), &[3], &[0.5, 0.25, 0.25]);
    let ran = ot(
        folder.path(),
        "solve --a @light.npy --b @b.npy --cost @steep.npy",
    );
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
}

#[test]
fn masses_of_single_precision_differ_by_more_than_five_digits() {
    let folder = folder();
    npy_f32(&folder.path().join("b32.npy"), &[2], &[0.5, 0.500_03]);
    let line = "solve --a @a.npy --b @b32.npy --cost @cost.npy";
    refused(&ot(folder.path(), line), Exit::Usage, &["masses", "1e-5"]);
    // Normalizing is an explicit wish.
    let ran = ot(folder.path(), &format!("{line} --normalize"));
    assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
}

#[test]
fn bad_files_are_named_with_their_option() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let cost = |name: &str, parts: &[&str]| {
        let ran = ot(folder.path(), &format!("solve --cost @{name}"));
        refused(&ran, Exit::Usage, &[&["--cost: ", name], parts].concat());
    };
    cost("missing.npy", &["cannot open"]);
    let ran = ot(folder.path(), "solve --cost @missing.npz:key");
    refused(
        &ran,
        Exit::Usage,
        &["--cost: ", "missing.npz", "cannot open"],
    );
    let good = fs::read(at("cost.npy")).unwrap();
    fs::write(at("truncated.npy"), &good[..good.len() - 1]).unwrap();
    cost("truncated.npy", &["truncated"]);
    fs::write(at("stub.npy"), &good[..20]).unwrap();
    cost("stub.npy", &[]);
    fs::write(at("zero.npy"), b"").unwrap();
    cost("zero.npy", &[]);
    fs::write(at("trailing.npy"), [good.as_slice(), b"x"].concat()).unwrap();
    cost("trailing.npy", &["follow"]);
    fs::write(at("torn.npz"), b"PK\x03\x04 and no more").unwrap();
    cost("torn.npz", &["in a sound one"]);
    fs::write(at("cost.dat2"), &good).unwrap();
    cost("cost.dat2", &["unknown kind"]);
    fs::create_dir(at("folder.npy")).unwrap();
    cost("folder.npy", &[]);
    fs::write(at("empty.csv"), "").unwrap();
    cost("empty.csv", &["empty"]);
    fs::write(at("text.csv"), "1,2\n3,four\n").unwrap();
    cost("text.csv", &["line 2, column 2", "four"]);
    fs::write(at("ragged.csv"), "1,2\n3\n").unwrap();
    cost("ragged.csv", &["line 2"]);
    // Never the infinity that forbids a pair.
    fs::write(at("large.csv"), "1,2\n3,1e309\n").unwrap();
    cost("large.csv", &["line 2, column 2", "1e309", "inf"]);
    fs::write(at("nan.csv"), "1,2\n3,nan\n").unwrap();
    let ran = ot(folder.path(), "solve --cost @nan.csv");
    refused(&ran, Exit::Usage, &["`cost`[1, 1] is NaN"]);
    let dtype = |descr: &str, parts: &[&str]| {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, 1), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.bytes());
        bytes.extend([0; 16]);
        fs::write(at("typed.npy"), bytes).unwrap();
        cost("typed.npy", parts);
    };
    for descr in ["<c16", "<f2", "<U4", "|O"] {
        dtype(descr, &[descr, "float64"]);
    }
    fs::write(at("long.npy"), b"\x93NUMPY\x02\x00\xff\xff\xff\xff{").unwrap();
    cost("long.npy", &["header"]);
    // A header that promises 8 EB, and one that overflows.
    for shape in ["(1000000000, 1000000000)", "(9223372036854775807, 16)"] {
        let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.bytes());
        fs::write(at("huge.npy"), bytes).unwrap();
        cost("huge.npy", &[]);
    }
}

#[test]
fn infeasible_is_status_4_with_its_proof() {
    let folder = folder();
    let inf = f64::INFINITY;
    npy(
        &folder.path().join("c.npy"),
        &[3, 2],
        &[0.0, inf, 0.0, inf, 1.0, 1.0],
    );
    let ran = ot(
        folder.path(),
        "solve --a @a.npy --b @b.npy --cost @c.npy --json",
    );
    refused(
        &ran,
        Exit::Infeasible,
        &["infeasible", "{0, 1}", "{0}", "0.75", "0.5"],
    );
    npy(&folder.path().join("c.npy"), &[3, 2], &[inf; 6]);
    let ran = ot(folder.path(), "solve --cost @c.npy");
    refused(&ran, Exit::Infeasible, &["infeasible", "take only 0"]);
}

#[test]
fn options_that_nobody_can_honour_are_usage_errors() {
    let folder = folder();
    let cost = |options: &str, parts: &[&str]| {
        let ran = ot(folder.path(), &format!("solve --cost @cost.npy {options}"));
        refused(&ran, Exit::Usage, parts);
    };
    cost(
        "--prior @cost.npy",
        &["`prior` = 3×2 matrix", "no such setting"],
    );
    cost("--gamma-a 1", &["--gamma-a", "relaxed"]);
    cost("--gamma-b 0.5", &["--gamma-b", "relaxed"]);
    // What no backend takes is said before what this one lacks.
    cost("--gamma-a 0", &["`gamma_a` = 0", "positive"]);
    cost("--gamma-a 1 --gamma-b -1", &["`gamma_b` = -1", "positive"]);
    // Never the infinity of a hard marginal.
    cost("--gamma-a 1e309", &["--gamma-a", "'1e309'", "1.797e308"]);
    cost("--tol -1e309", &["--tol", "'-1e309'", "1.797e308"]);
    cost("--gamma-a nan", &["`gamma_a` = NaN", "positive"]);
    cost("--mass -1", &["`mass` = -1", "positive"]);
    cost("--mass nan", &["`mass` = NaN", "positive"]);
    cost("--max-iter -5", &["--max-iter", "'-5'", "whole number"]);
    cost("--max-iter 1.5", &["--max-iter", "'1.5'", "whole number"]);
    cost("--threads -1", &["--threads", "'-1'", "whole number"]);
    cost("--seed 99999999999999999999", &["--seed", "below 2^64"]);
    cost("--tol tiny", &["--tol", "'tiny'", "must be a number"]);
    cost("--a @a.npy --a @a.npy", &["--a", "multiple times"]);
    cost("--mass 0.5 --gamma-a 1", &["--mass", "--gamma-a"]);
    cost("positional", &["positional"]);
    cost("--mass 0.5", &["--mass", "partial"]);
    cost("--warm @fg.npz", &["--warm", "warm-start"]);
    cost("--reg 0.1", &["`reg` = 0.1", "no such setting"]);
    cost("--reg-rel 0.1", &["`reg_rel` = 0.1", "no such setting"]);
    cost("--reg nan", &["`reg` = NaN"]);
    cost("--reg -1", &["`reg` = -1"]);
    cost("--tol 1e-3", &["`tol`", "no such setting"]);
    cost("--seed 1", &["`seed` = 1", "no such setting"]);
    cost("--set colour=red", &["`colour` = red"]);
    cost("--set colour", &["--set", "KEY=VALUE"]);
    cost("--set tol=1e-5", &["--set: `tol`", "use `--tol`"]);
    cost("--set reg=1", &["use `--reg`"]);
    cost("--set reg_rel=1", &["use `--reg-rel`"]);
    cost("--set max_iter=5", &["use `--max-iter`"]);
    cost("--set max-iter=5", &["use `--max-iter`"]);
    cost("--set seed=1", &["use `--seed`"]);
    cost("--set threads=1", &["use `--threads`"]);
    cost("--set time_limit=1", &["use `--time-limit`"]);
    cost("--set k=1 --set k=2", &["--set", "twice"]);
    cost("--max-iter 0", &["`max_iter` = 0"]);
    cost("--threads 0", &["`threads` = 0"]);
    cost("--threads 1000000", &["--threads", "1000000"]);
    cost("--time-limit 0", &["--time-limit"]);
    cost("--time-limit nan", &["--time-limit"]);
    cost("--time-limit -1", &["--time-limit"]);
    cost("--time-limit inf", &["--time-limit", "inf", "1e19"]);
    cost("--time-limit 1e300", &["--time-limit", "1e300", "1e19"]);
    cost("--reg 1e-320", &["`reg` = 1e-320"]);
    cost("--backend simplex", &["simplex", "shortest-paths", "auto"]);
    cost("--reg 1 --reg-rel 1", &["--reg-rel"]);
    cost("--tol", &["--tol"]);
    cost("--lazy", &["--lazy"]);
    let ran = common::ot_over(
        &kantorovich::Registry::new(),
        folder.path(),
        "solve --x @x.npy --y @y.npy --metric euclidean --lazy --backend sinkhorn",
    );
    refused(&ran, Exit::Usage, &["--lazy", "lazy-cost"]);
    for (line, part) in [
        ("", "subcommand"),
        ("slove", "slove"),
        ("solve", "--cost"),
        ("solve --x @x.npy --metric euclidean", "--y"),
        ("solve --x @x.npy --y @y.npy", "--metric"),
        ("solve --grid 3x3 --metric", "--metric"),
        ("solve --grid 0 --metric euclidean", "--grid"),
        ("solve --grid 0x3 --metric euclidean", "--grid"),
        ("solve --grid -1x2 --metric euclidean", "--grid: `-1x2`"),
        (
            "solve --grid 2x2x2x2 --metric euclidean",
            "--grid: `2x2x2x2`",
        ),
        ("solve --grid 2x2 --metric arc", "--metric: `arc`"),
        ("solve --grid 2x2 --metric cosine", "--metric: `cosine`"),
        (
            "solve --x @x.npy --y @y.npy --metric minkowski:0.5",
            "minkowski:0.5",
        ),
        (
            "solve --x @x.npy --y @y.npy --metric minkowski:",
            "minkowski:2",
        ),
        ("solve --x @x.npy --y @y.npy --metric power:-1", "above 0"),
        ("solve --x @x.npy --y @y.npy --metric atanh:0", "above 0"),
        (
            "solve --grid 1000000000x1000000000 --metric euclidean",
            "--grid",
        ),
        (
            "solve --a @a.npy --grid 2x2 --metric euclidean",
            "`a` has shape 3",
        ),
        ("solve --a @cost.npy --grid 2x3 --metric euclidean", "--a"),
        ("backends --jason", "--jason"),
    ] {
        refused(&ot(folder.path(), line), Exit::Usage, &[part]);
    }
}

#[test]
fn outputs_are_checked_before_the_solve_and_written_after_it() {
    let folder = folder();
    let cost = |options: &str, parts: &[&str]| {
        let ran = ot(folder.path(), &format!("solve --cost @cost.npy {options}"));
        refused(&ran, Exit::Usage, parts);
    };
    cost(
        "--plan-out @no/such/p.npy",
        &["--plan-out", "cannot create"],
    );
    cost("--plan-out @p.csv", &["--plan-out", ".npy or .npz"]);
    cost("--potentials-out @fg.npy", &["--potentials-out", ".npz"]);
    cost(
        "--plan-out @o.npz --potentials-out @o.npz",
        &["--potentials-out"],
    );
    cost(
        "--plan-out @o.npz --potentials-out @./o.npz",
        &["--potentials-out"],
    );
    fs::create_dir(folder.path().join("d.npz")).unwrap();
    cost("--plan-out @d.npz", &["--plan-out"]);
    cost("--plan-out @p", &["--plan-out", ".npy or .npz"]);
    #[cfg(target_os = "linux")]
    {
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        };
        link("no/such.npz", "l.npz");
        cost("--plan-out @l.npz", &["--plan-out", "cannot create"]);
        // A disk that is full is found out at the end, and nothing is printed then either.
        link("/dev/full", "full.npz");
        cost(
            "--plan-out @first.npy --potentials-out @full.npz",
            &["--potentials-out", "full.npz", "write"],
        );
        assert!(!folder.path().join("first.npy").exists());
    }
    // A refused problem leaves no file, and harms none.
    fs::write(folder.path().join("old.npy"), b"old").unwrap();
    let bad = "solve --cost @cost.npy --a @b.npy --plan-out @old.npy --potentials-out @new.npz";
    refused(&ot(folder.path(), bad), Exit::Usage, &["`a` has shape 2"]);
    assert_eq!(fs::read(folder.path().join("old.npy")).unwrap(), b"old");
    assert!(!folder.path().join("new.npz").exists());
}

#[test]
fn warm_starts_that_do_not_fit_are_named() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, arrays: &[(&str, &[usize], &[f64])]| {
        let mut writer = ot_data::npz::Writer::create(at(name)).unwrap();
        for (key, shape, values) in arrays {
            writer.add(key, shape, values).unwrap();
        }
        writer.finish().unwrap();
    };
    let (f, g): (&[f64], &[f64]) = (&[0.0; 4], &[0.0; 2]);
    write("long.npz", &[("f", &[4], f), ("g", &[2], g)]);
    write("half.npz", &[("f", &[3], &f[..3])]);
    write("cube.npz", &[("f", &[2, 2, 1], f), ("g", &[2], g)]);
    write(
        "nan.npz",
        &[("f", &[3], &[0.0, f64::NAN, 0.0]), ("g", &[2], g)],
    );
    fs::write(at("plain.npz"), fs::read(at("cost.npy")).unwrap()).unwrap();
    let registry = kantorovich::Registry::new();
    for (name, part) in [
        ("long", "`f` has shape 4"),
        ("half", "no array \"g\""),
        ("cube", "[2, 2, 1]"),
        ("nan", "`f[1]` = NaN"),
        ("plain", "not a .npz archive"),
        ("missing", "cannot open"),
    ] {
        let line = format!("solve --cost @cost.npy --warm @{name}.npz --plan-out @p.npz");
        let ran = common::ot_over(&registry, folder.path(), &line);
        refused(&ran, Exit::Usage, &["--warm: ", part]);
        assert!(!at("p.npz").exists());
    }
}

#[test]
fn names_with_control_characters_stay_on_one_line() {
    let folder = folder();
    let args = ["ot", "solve", "--cost", "no\nsuch\u{1b}[31m.npy"];
    let (mut out, mut err) = (vec![], vec![]);
    let exit = ot_cli::run(&common::registry(), args, &mut out, &mut err);
    let ran = Ran {
        exit,
        stdout: String::from_utf8(out).unwrap(),
        stderr: String::from_utf8(err).unwrap(),
    };
    ran.assert_refused(Exit::Usage);
    assert!(!ran.stderr.contains('\u{1b}'));
    drop(folder);
}
