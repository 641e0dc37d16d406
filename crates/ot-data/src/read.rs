//! Picking the reader by the name of the file.

use std::path::Path;

use crate::{DataError, Loaded, csv, idx, npy, npz, png};

/// Reads an array from a file of any known kind, told by its name.
///
/// | name | read as |
/// |---|---|
/// | `x.npy` | [`npy`] |
/// | `x.npz` | the only array of an [`npz`] archive |
/// | `x.npz:key` | that array of the archive |
/// | `x.csv`, `x.tsv`, `x.txt`, `x.dat` | [`csv`], lines × columns |
/// | `x.png` | [`png`], height × width \[× channels\] |
/// | `x.idx`, `x-idx3-ubyte` and the like, each with `.gz` or without | [`idx`] |
///
/// Upper case is the same as lower case.
///
/// # Errors
/// [`UnknownFormat`](DataError::UnknownFormat) for other names, and what the readers have.
pub fn read(path: impl AsRef<Path>) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let name = path.to_string_lossy();
    if let Some((archive, key)) = split_key(&name) {
        return npz::Archive::open(archive)?.read(key);
    }
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("npy") => npy::read(path),
        Some("npz") => npz::Archive::open(path)?.read_only(),
        Some("csv" | "tsv" | "txt" | "dat") => csv::read(path),
        Some("png") => png::read(path),
        _ if is_idx(path) => idx::read(path),
        _ => Err(DataError::UnknownFormat {
            path: path.to_owned(),
        }),
    }
}

/// Whether a name is one that IDX files have: `….idx` or `…-idx3-ubyte`, before a `.gz`.
fn is_idx(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".idx") || (name.contains("idx") && name.ends_with("ubyte"))
}

/// Splits `archive.npz:key`.
fn split_key(name: &str) -> Option<(&str, &str)> {
    const END: &str = ".npz:";
    let at = name.to_ascii_lowercase().rfind(END)?;
    Some((&name[..at + END.len() - 1], &name[at + END.len()..]))
}
