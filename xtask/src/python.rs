//! Python environments that a command makes for itself, with pinned packages, under `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace;

/// A virtual environment.
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// In `folder`, which need not exist.
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn python(&self) -> PathBuf {
        self.folder.join(if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        })
    }

    /// Its Python, with all packages of `requirements` installed. Does nothing where that was done before.
    pub(crate) fn with(&self, requirements: &Path) -> Result<PathBuf, String> {
        let wanted = fs::read_to_string(requirements)
            .map_err(|e| format!("{}: {e}", requirements.display()))?;
        let name = requirements.file_name().unwrap_or_default();
        // What was installed is noted beside it, so that a changed list is installed anew.
        let done = self.folder.join("installed").join(name);
        if fs::read_to_string(&done).is_ok_and(|text| text == wanted) {
            return Ok(self.python());
        }
        eprintln!(
            "python: installing {} into {}",
            requirements.display(),
            self.folder.display()
        );
        if !self.python().exists() {
            let mut make = Command::new("python3");
            make.args(["-m", "venv"]).arg(&self.folder);
            workspace::run(&mut make)
                .map_err(|e| format!("{e}; Python 3 with its venv module is needed"))?;
        }
        let mut install = Command::new(self.python());
        install
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(requirements);
        workspace::run(&mut install)?;
        let note = |e: std::io::Error| format!("{}: {e}", done.display());
        fs::create_dir_all(self.folder.join("installed")).map_err(note)?;
        fs::write(&done, wanted).map_err(note)?;
        Ok(self.python())
    }
}
