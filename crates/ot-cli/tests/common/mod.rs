//! What the tests share: a folder with inputs, and the command as a library call.

// Every test file uses a part of it.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use kantorovich::Registry;
use ot_cli::Exit;

#[path = "../../examples/own_solver/solver.rs"]
mod solver;

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Contract: one line on standard error, nothing on standard output.
    pub(crate) fn assert_refused(&self, exit: Exit) {
        assert_eq!(self.exit, exit, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(
            self.stderr.starts_with("error: ") && self.stderr.ends_with('\n'),
            "{self:?}"
        );
    }
}

/// The stranger's solver alone: what `auto` picks does not depend on the features of the build.
pub(crate) fn registry() -> Registry {
    Registry::empty().with(solver::ShortestPaths)
}

/// Runs `ot` over [`registry`] with arguments separated by blanks; `@` stands for the folder.
pub(crate) fn ot(folder: &Path, line: &str) -> Ran {
    ot_over(&registry(), folder, line)
}

/// Runs `ot` over any registry.
pub(crate) fn ot_over(registry: &Registry, folder: &Path, line: &str) -> Ran {
    let root = format!("{}/", folder.display());
    let args = line.split_whitespace().map(|arg| arg.replace('@', &root));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let args = std::iter::once("ot".to_owned()).chain(args);
    let exit = ot_cli::run(registry, args, &mut stdout, &mut stderr);
    Ran {
        exit,
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// A folder with good inputs, each as .npy: `a` (3), `b` (2), `cost` (3×2), `x` (3×2), `y` (2×2), and `b2` (2), with
/// which no subset of `a` balances a subset of it, so that entropic solvers converge fast.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    npy(&at("a.npy"), &[3], &[0.5, 0.25, 0.25]);
    npy(&at("b.npy"), &[2], &[0.5, 0.5]);
    npy(&at("b2.npy"), &[2], &[0.6, 0.4]);
    npy(&at("cost.npy"), &[3, 2], &[0.0, 2.0, 1.0, 0.5, 3.0, 1.0]);
    npy(&at("x.npy"), &[3, 2], &[0.0, 0.0, 1.0, 0.0, 0.0, 2.0]);
    npy(&at("y.npy"), &[2, 2], &[0.0, 1.0, 1.0, 1.0]);
    folder
}

pub(crate) fn npy(path: &Path, shape: &[usize], values: &[f64]) {
    ot_data::npy::write(path, shape, values).unwrap();
}

pub(crate) fn npy_f32(path: &Path, shape: &[usize], values: &[f32]) {
    ot_data::npy::write(path, shape, values).unwrap();
}
