//! Where the pictures of examples go.

use std::path::PathBuf;

/// `name` in `target/figures`, which is made.
pub(crate) fn path(name: &str) -> std::io::Result<PathBuf> {
    let folder = PathBuf::from("target/figures");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(name))
}
