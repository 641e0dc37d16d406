use super::*;

/// What a build reads, into an empty folder.
fn copy_of_workspace() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let root = workspace::root();
    for file in [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "clippy.toml",
        "rustfmt.toml",
    ] {
        fs::copy(root.join(file), copy.path().join(file)).expect(file);
    }
    for folder in ["crates", "xtask", "benches"] {
        copy_folder(&root.join(folder), &copy.path().join(folder));
    }
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}

#[test]
fn names_become_types_or_are_refused() {
    assert_eq!(type_name("spot"), Ok("Spot".to_owned()));
    assert_eq!(
        type_name("sinkhorn-2-greedy"),
        Ok("Sinkhorn2Greedy".to_owned())
    );
    for bad in [
        "",
        "-",
        "Spot",
        "my_solver",
        "2fast",
        "a--b",
        "a-",
        "auto",
        "solver-x",
        "a b",
        "ä",
    ] {
        assert!(type_name(bad).is_err(), "{bad}");
    }
}

/// Each of these was tried: the crate of a refused one does not compile, that of `fn` does.
#[test]
fn names_that_would_not_compile_are_refused() {
    for bad in [
        "self",
        "box",
        "vec",
        "result",
        "settings",
        "solver",
        "setting-spec",
    ] {
        let said = type_name(bad).expect_err(bad);
        assert!(said.contains("choose another"), "{said}");
    }
    // Keywords become `Fn` and `solver_fn`.
    for good in ["fn", "type", "match", "async", "impl"] {
        assert!(type_name(good).is_ok(), "{good}");
    }
}

/// Whether a list of imports is in order depends on the type's name.
#[test]
fn every_room_is_formatted_whatever_the_name() {
    for name in ["abc", "greedy-ascent", "zeta"] {
        let kind = type_name(name).expect("a good name");
        for (place, template) in ROOMS.iter().filter(|(place, _)| place.ends_with(".rs")) {
            let text = template
                .replace("{{name}}", name)
                .replace("{{snake}}", &name.replace('-', "_"))
                .replace("{{Type}}", &kind);
            let folder = tempfile::tempdir().expect("a temporary folder");
            // Alone in its folder, since rustfmt follows modules; `lib.rs` then lacks its own, so they are made.
            let path = folder.path().join("room.rs");
            for module in ["algorithm", "factory", "settings", "solve"] {
                let place = folder.path().join(module).with_extension("rs");
                fs::write(place, "//! A room.\n").expect("a file");
            }
            fs::write(&path, text).expect("a file");
            let output = std::process::Command::new("rustfmt")
                .args(["--edition", "2024", "--check"])
                .arg(&path)
                .output()
                .expect("rustfmt runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {place}: {said}");
        }
    }
}

#[test]
fn a_feature_joins_the_default_ones() {
    let one_line = "[features]\ndefault = [\"a\"]\na = [\"x/a\"]\n\n[dependencies]\n";
    assert_eq!(
        feature(one_line, "b", "x/b").as_deref(),
        Some(
            "[features]\ndefault = [\"a\", \"b\"]\na = [\"x/a\"]\nb = [\"x/b\"]\n\n[dependencies]\n"
        )
    );
    let lines = "[features]\ndefault = [\n    \"a\",\n]\na = [\"x/a\"]\n\n[dependencies]\n";
    assert_eq!(
        feature(lines, "b", "x/b").as_deref(),
        Some(
            "[features]\ndefault = [\n    \"a\",\n    \"b\",\n]\na = [\"x/a\"]\nb = [\"x/b\"]\n\n[dependencies]\n"
        )
    );
}

#[test]
fn a_name_that_is_taken_changes_nothing() {
    let copy = copy_of_workspace();
    let before = fs::read_to_string(copy.path().join("Cargo.toml")).expect("a manifest");
    assert!(generate(copy.path(), "sinkhorn").is_err());
    // A backend of a crate with another name: its feature is taken.
    assert!(generate(copy.path(), "network-simplex").is_err());
    assert!(!copy.path().join("crates/solver-network-simplex").exists());
    let after = fs::read_to_string(copy.path().join("Cargo.toml")).expect("a manifest");
    assert_eq!(before, after);
}

/// The whole promise: the new crate compiles, its own tests pass, it is in the registry's crate, and conformance
/// fails for the missing algorithm.
#[test]
fn a_new_solver_compiles_and_lacks_its_algorithm_only() {
    let copy = copy_of_workspace();
    let written = generate(copy.path(), "test-only").expect("a new crate");
    assert_eq!(written.len(), ROOMS.len() + 6, "{written:?}");
    for (path, wanted) in [
        ("Cargo.toml", "solver-test-only = { path ="),
        (
            "crates/kantorovich/Cargo.toml",
            "test-only = [\"dep:solver-test-only\"]",
        ),
        (
            "crates/kantorovich/src/backends.rs",
            "solver_test_only::TestOnlyFactory",
        ),
        (
            "crates/ot-cli/Cargo.toml",
            "test-only = [\"kantorovich/test-only\"]",
        ),
        ("xtask/Cargo.toml", "\"test-only\"]"),
        ("README.md", "| `test-only` |"),
    ] {
        let text = fs::read_to_string(copy.path().join(path)).expect(path);
        assert!(text.contains(wanted), "{path}: {text}");
    }
    // The dependencies are those of this build; only our own crates are compiled again.
    let test = std::env::current_exe().expect("the running test");
    let target = test
        .ancestors()
        .nth(3)
        .expect("TARGET/debug/deps/test")
        .to_owned();
    let cargo = |arguments: &[&str]| {
        let mut cargo = workspace::cargo();
        cargo
            .args(arguments)
            .arg("--offline")
            .current_dir(copy.path());
        cargo
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS");
        let output = cargo.output().expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    let (formatted, text) = cargo_fmt(copy.path());
    assert!(formatted, "{text}");
    let only_new = ["test", "-p", "solver-test-only", "--no-default-features"];
    let (passed, text) = cargo(&[&only_new[..], &["--lib"]].concat());
    assert!(passed, "{text}");
    let (passed, text) = cargo(&[&only_new[..], &["--test", "conformance"]].concat());
    assert!(
        !passed && text.contains("the algorithm is not written yet"),
        "{text}"
    );
    let facade = [
        "check",
        "-p",
        "kantorovich",
        "--no-default-features",
        "--features",
        "test-only",
    ];
    let (compiled, text) = cargo(&facade);
    assert!(compiled, "{text}");
}

fn cargo_fmt(root: &Path) -> (bool, String) {
    let mut cargo = workspace::cargo();
    cargo
        .args([
            "fmt",
            "-p",
            "solver-test-only",
            "-p",
            "kantorovich",
            "--check",
        ])
        .current_dir(root);
    let output = cargo.output().expect("cargo runs");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr),
    )
}
