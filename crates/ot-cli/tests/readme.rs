//! The commands of the README run as they stand, on a fresh clone.

#![cfg(all(feature = "network-simplex", feature = "sinkhorn"))]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::fs;
use std::path::Path;

use assert_cmd::Command;

/// The arguments of every `ot` line in the code blocks of a text.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        }
        let after = ["cargo run --release -p ot-cli -- ", "ot "];
        let command = after.iter().find_map(|start| line.strip_prefix(start));
        if let (true, Some(command)) = (inside, command) {
            let command = command.split(" #").next().unwrap_or_default();
            found.push(command.split_whitespace().map(str::to_owned).collect());
        }
    }
    found
}

#[test]
fn every_command_runs_from_the_root() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    for (readme, at_least) in [("README.md", 4), ("fixtures/README.md", 3)] {
        let commands = commands(&fs::read_to_string(root.join(readme)).unwrap());
        assert!(commands.len() >= at_least, "{readme}: {commands:?}");
        for command in commands {
            // Reads what is in the repository, and writes elsewhere.
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("target")).unwrap();
            let fixtures = root.join("fixtures/").display().to_string();
            let args = command
                .iter()
                .map(|arg| arg.replace("fixtures/", &fixtures));
            let output = Command::new(env!("CARGO_BIN_EXE_ot"))
                .current_dir(folder.path())
                .args(args)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
            assert!(!output.stdout.is_empty(), "{command:?}");
        }
    }
}
