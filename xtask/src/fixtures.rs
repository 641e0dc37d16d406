//! `cargo xtask fixtures`: the fixtures' expected values, computed anew by the libraries that made them.

use std::process::{Command, ExitCode};

use crate::python::Environment;
use crate::{Outcome, workspace};

pub(crate) fn run() -> Outcome {
    let root = workspace::root();
    let folder = root.join("fixtures");
    let python = Environment::at(&root.join("target/fixtures/venv"))
        .with(&folder.join("requirements.txt"))?;
    let mut check = Command::new(python);
    check
        .arg(folder.join("make_expected.py"))
        .arg("--check")
        .current_dir(&root);
    workspace::run(&mut check)?;
    Ok(ExitCode::SUCCESS)
}
