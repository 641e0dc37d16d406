//! What the readers share: bounded reads from a source, and text that must be UTF-8.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::DataError;

/// Bytes of a buffer between a file and what decodes it.
pub(crate) const CHUNK: usize = 1 << 16;

/// Deflate cannot expand a byte to more than this (RFC 1951: 258 bytes from two bits).
pub(crate) const MOST_EXPANSION: u64 = 1032;

/// Opens a file, and says how long it is. Only a regular file knows that; a pipe is read as far as it
/// goes.
pub(crate) fn open(path: &Path) -> Result<(File, Option<u64>), DataError> {
    let file = File::open(path).map_err(|e| DataError::io(path, "open", e))?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file);
    Ok((file, metadata.map(|m| m.len())))
}

/// Appends the next `most` bytes, or fewer where the source ends, and says how many they were.
pub(crate) fn take(source: &mut impl Read, most: usize, bytes: &mut Vec<u8>) -> io::Result<usize> {
    source.take(most as u64).read_to_end(bytes)
}

/// Bytes as text.
pub(crate) fn text(bytes: Vec<u8>, path: &Path) -> Result<String, DataError> {
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&b| b == b'\n').count();
        DataError::NotText {
            path: path.to_owned(),
            line,
        }
    })
}

/// A whole text file.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, "read", e))?;
    text(bytes, path)
}
