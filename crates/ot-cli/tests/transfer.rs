//! `ot transfer`: its images, its JSON, and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{Ran, ot_over};
use kantorovich::Registry;
use ot_cli::Exit;

/// Three photographs of the fixtures, a grey one, one of a single pixel, and one that is cut off.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/photos");
    for name in ["chelsea", "coffee"] {
        std::fs::copy(
            photos.join(format!("{name}.png")),
            at(&format!("{name}.png")),
        )
        .unwrap();
    }
    ot_data::png::write(at("grey.png"), &[2, 2], &[1, 2, 3, 4]).unwrap();
    ot_data::png::write(at("clear.png"), &[1, 2, 4], &[1; 8]).unwrap();
    ot_data::png::write(at("pixel.png"), &[1, 1, 3], &[9, 90, 200]).unwrap();
    let whole = std::fs::read(at("coffee.png")).unwrap();
    std::fs::write(at("cut.png"), &whole[..2000]).unwrap();
    folder
}

fn transfer(folder: &tempfile::TempDir, line: &str) -> Ran {
    ot_over(&Registry::new(), folder.path(), &format!("transfer {line}"))
}

fn levels(folder: &tempfile::TempDir, name: &str) -> Vec<u8> {
    match ot_data::read(folder.path().join(name)).unwrap().array {
        ot_data::Array::U8(levels) => levels.into_iter().collect(),
        other => panic!("{:?}", other.dtype()),
    }
}

#[test]
fn both_modes_by_json() {
    let folder = folder();
    for (mode, backend, n) in [
        ("channels", "line", None),
        (
            "channels --backend network-simplex",
            "network-simplex",
            None,
        ),
        ("palette --colours 40", "network-simplex", Some(40)),
        (
            "palette --colours 30 --sampled --seed 4",
            "network-simplex",
            Some(30),
        ),
        (
            "palette --colours 20 --backend sinkhorn --reg-rel 0.01",
            "sinkhorn",
            Some(20),
        ),
    ] {
        let ran = transfer(
            &folder,
            &format!("@coffee.png @chelsea.png @out.png --mode {mode} --json"),
        );
        assert_eq!(ran.exit, Exit::Solved, "{mode}: {ran:?}");
        let json = ran.json();
        assert_eq!(json["backend"], backend, "{mode}");
        assert_eq!(json["mode"], mode.split(' ').next().unwrap());
        assert_eq!(json["converged"], true);
        if let Some(n) = n {
            assert_eq!((&json["n"], &json["m"]), (&n.into(), &n.into()), "{mode}");
        }
        let moved = levels(&folder, "out.png");
        let (own, other) = (
            levels(&folder, "coffee.png"),
            levels(&folder, "chelsea.png"),
        );
        assert_eq!(moved.len(), own.len());
        // Its mean colour is much nearer to that of the reference than it was.
        let mean = |levels: &[u8], c: usize| {
            let sum: f64 = levels
                .iter()
                .skip(c)
                .step_by(3)
                .map(|&l| f64::from(l))
                .sum();
            sum / (levels.len() / 3) as f64
        };
        for c in 0..3 {
            let far = (mean(&own, c) - mean(&other, c)).abs();
            let near = (mean(&moved, c) - mean(&other, c)).abs();
            assert!(
                near < 0.25 * far.max(20.0),
                "{mode}, channel {c}: {near} of {far}"
            );
        }
    }
}

#[test]
fn an_image_that_is_its_own_reference_comes_out_as_it_was() {
    let folder = folder();
    for (mode, image) in [
        ("channels", "chelsea"),
        ("palette", "chelsea"),
        ("palette", "pixel"),
    ] {
        let ran = transfer(
            &folder,
            &format!("@{image}.png @{image}.png @out.png --mode {mode}"),
        );
        assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        assert_eq!(
            levels(&folder, "out.png"),
            levels(&folder, &format!("{image}.png")),
            "{mode}"
        );
    }
    // One colour for all, and all for one.
    for images in ["@pixel.png @coffee.png", "@coffee.png @pixel.png"] {
        for mode in ["channels", "palette --colours 30"] {
            let ran = transfer(&folder, &format!("{images} @out.png --mode {mode}"));
            assert_eq!(ran.exit, Exit::Solved, "{ran:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let folder = folder();
    let root = format!("{}/", folder.path().display());
    let said: Vec<String> = [
        "@coffee.png @chelsea.png @out.png",
        "@coffee.png @chelsea.png @out.png --mode both",
        "@coffee.png @chelsea.png @out.jpg --mode channels",
        "@coffee.png @chelsea.png @chelsea.png --mode channels",
        "@coffee.png @chelsea.png @nowhere/out.png --mode channels",
        "@grey.png @chelsea.png @out.png --mode channels",
        "@coffee.png @clear.png @out.png --mode palette",
        "@cut.png @chelsea.png @out.png --mode channels",
        "@coffee.png @none.png @out.png --mode channels",
        "@coffee.png @chelsea.png @out.png --mode channels --colours 5",
        "@coffee.png @chelsea.png @out.png --mode channels --sampled",
        "@coffee.png @chelsea.png @out.png --mode palette --colours 0",
        "@coffee.png @chelsea.png @out.png --mode palette --backend circle",
        "@coffee.png @chelsea.png @out.png --mode palette --backend network-simplex --reg 1",
        "@coffee.png @chelsea.png @out.png --mode palette --set tree=T.npy",
    ]
    .iter()
    .map(|line| {
        let ran = transfer(&folder, line);
        ran.assert_refused(Exit::Usage);
        ran.stderr.replace(&root, "@")
    })
    .collect();
    assert!(!folder.path().join("out.png").exists());
    insta::assert_snapshot!(said.concat());
}

#[cfg(unix)]
#[test]
fn a_link_to_an_input_is_no_output() {
    let folder = folder();
    let link = folder.path().join("link.png");
    std::os::unix::fs::symlink(folder.path().join("coffee.png"), &link).unwrap();
    let before = levels(&folder, "coffee.png");
    let ran = transfer(
        &folder,
        "@coffee.png @chelsea.png @link.png --mode channels",
    );
    ran.assert_refused(Exit::Usage);
    assert!(ran.stderr.contains("is already <SOURCE>"), "{ran:?}");
    assert_eq!(levels(&folder, "coffee.png"), before);
}

#[test]
fn a_stop_writes_no_image_and_says_so() {
    let folder = folder();
    let line = "@coffee.png @chelsea.png @out.png --mode palette --backend ipot --colours 300 --time-limit 1e-9";
    let ran = transfer(&folder, line);
    assert_eq!(ran.exit, Exit::NotConverged, "{ran:?}");
    assert!(ran.stdout.contains("no image: it was stopped"), "{ran:?}");
    assert!(!folder.path().join("out.png").exists());
}
