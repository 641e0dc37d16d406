//! Trainings that came to their end, kept beside the figures: a run of hours that is interrupted goes on after the last of them.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Whose trainings, and whether they are kept: only those of the full protocol are, a quick one is always trained again.
pub(crate) struct Kept {
    example: &'static str,
    full: bool,
}

/// A file: what was trained, with all its settings, and what it came to.
#[derive(Serialize, Deserialize)]
struct File<T> {
    settings: String,
    found: T,
}

impl Kept {
    pub(crate) fn new(example: &'static str, full: bool) -> Self {
        Self { example, full }
    }

    /// What the training of that name came to in an earlier run with the same settings, or comes to now.
    ///
    /// That the code has changed since is not noticed: delete the folder then.
    ///
    /// A file that cannot be read is one that isn't there; one that cannot be written stops nothing but is said.
    pub(crate) fn or<T: Serialize + DeserializeOwned, E>(
        &self,
        name: &str,
        settings: String,
        train: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.full {
            return train();
        }
        let folder = Path::new("target/figures").join(self.example);
        let path = folder.join(format!("{name}.json"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        if let Ok(file) = serde_json::from_str::<File<T>>(&text)
            && file.settings == settings
        {
            eprintln!("  {} is there", path.display());
            return Ok(file.found);
        }
        let found = train()?;
        let file = File { settings, found };
        let written = serde_json::to_string(&file)
            .map_err(std::io::Error::from)
            .and_then(|text| {
                // Whole or not at all: an interrupted write must not look like a training.
                let part = path.with_extension("part");
                fs::create_dir_all(&folder)?;
                fs::write(&part, text)?;
                fs::rename(&part, &path)
            });
        if let Err(error) = written {
            eprintln!("  {} is not kept: {error}", path.display());
        }
        Ok(file.found)
    }
}
