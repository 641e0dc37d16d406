//! The one error type of the crate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::Dtype;

/// What is wrong with a file, and in which file.
///
/// The message is one line that starts with the path. An array inside an archive is named
/// `archive.npz:key`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file could not be opened, read or written: the operating system refuses, or what is packed in
    /// it cannot be unpacked.
    #[error("{}: cannot {action}: {source}", shown(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `open`, `read`, `create`, `write`.
        action: &'static str,
        /// The reason.
        source: io::Error,
    },

    /// The name does not tell the format.
    #[error(
        "{}: unknown kind of file; known are .npy, .npz, .csv, .tsv, .txt, .png and IDX (…-idx3-ubyte[.gz])",
        shown(path)
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// The first bytes are not those of the format.
    #[error("{}: not {format}: it starts with bytes {found:02x?}", shown(path))]
    WrongMagic {
        /// The file.
        path: PathBuf,
        /// The format that was expected, with its article.
        format: &'static str,
        /// The first bytes, at most eight.
        found: Vec<u8>,
    },

    /// The header, or the container, breaks a rule of its format.
    #[error("{}: malformed {format}; in a sound one {rule}", shown(path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// The rule that is broken.
        rule: &'static str,
    },

    /// The file ends before its content does.
    #[error(
        "{}: truncated: {expected} bytes of {what} expected, {found} found",
        shown(path)
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The part that is cut off.
        what: &'static str,
        /// Bytes that the part should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },

    /// The file goes on after its content ended.
    #[error(
        "{}: bytes follow the end of the array that its header announces",
        shown(path)
    )]
    TrailingBytes {
        /// The file.
        path: PathBuf,
    },

    /// The element type is none that can be read.
    #[error(
        "{}: elements of type {descr:?}; known are bool, 8 to 64 bit integers, float32 and float64",
        shown(path)
    )]
    UnsupportedDtype {
        /// The file.
        path: PathBuf,
        /// The type as the file names it, at most 40 characters.
        descr: String,
    },

    /// The array does not fit into memory.
    #[error(
        "{}: an array of shape {shape:?} does not fit into memory",
        shown(path)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The shape that the header announces.
        shape: Vec<u64>,
    },

    /// The array has no elements.
    #[error("{}: empty: no numbers in it", shown(path))]
    Empty {
        /// The file.
        path: PathBuf,
    },

    /// The array's shape is not what was asked for.
    #[error(
        "{}: an array of shape {shape:?} where {expected} is needed",
        shown(path)
    )]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The array's shape.
        shape: Vec<usize>,
        /// What is needed.
        expected: &'static str,
    },

    /// The element type is not what was asked for.
    #[error("{}: elements of type {found} where {expected} is needed", shown(path))]
    WrongDtype {
        /// The file.
        path: PathBuf,
        /// The stored type.
        found: Dtype,
        /// What is needed.
        expected: &'static str,
    },

    /// A label is not a whole number.
    #[error(
        "{}: element {index} is {value}, and labels are whole numbers",
        shown(path)
    )]
    NotAnInteger {
        /// The file.
        path: PathBuf,
        /// Position in C order, from 0.
        index: usize,
        /// The value found.
        value: f64,
    },

    /// A field of a text file is not a number.
    #[error(
        "{}: line {line}, column {column}: {text:?} is not a number",
        shown(path)
    )]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column of the table, from 1.
        column: usize,
        /// The field, at most 40 characters.
        text: String,
    },

    /// A field of a text file is a number that double precision does not hold.
    #[error(
        "{}: line {line}, column {column}: {text:?} is beyond double precision, whose largest number is 1.797e308; infinity is written inf",
        shown(path)
    )]
    NumberTooLarge {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column of the table, from 1.
        column: usize,
        /// The field, at most 40 characters.
        text: String,
    },

    /// A line of a table has more or fewer fields than the lines before.
    #[error(
        "{}: line {line} has {found} columns, the lines before it {expected}",
        shown(path)
    )]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Columns of the first line of numbers.
        expected: usize,
        /// Columns of this line.
        found: usize,
    },

    /// A text file is not UTF-8.
    #[error("{}: line {line} is not UTF-8 text", shown(path))]
    NotText {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },

    /// An archive has no array of that name.
    #[error("{}: no array {key:?}; it holds {}", shown(path), keys.join(", "))]
    MissingKey {
        /// The archive.
        path: PathBuf,
        /// The name that was asked for.
        key: String,
        /// The names it has.
        keys: Vec<String>,
    },

    /// An archive holds several arrays and none was named.
    #[error(
        "{}: several arrays ({}); name one as {}:KEY",
        shown(path),
        keys.join(", "),
        shown(path)
    )]
    AmbiguousKey {
        /// The archive.
        path: PathBuf,
        /// The names it has.
        keys: Vec<String>,
    },

    /// A JSON file is not what its reader expects.
    #[error("{}: {source}", shown(path))]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },

    /// A list has no entry of that name.
    #[error("{}: no fixture {name:?}; known are {}", shown(path), known.join(", "))]
    UnknownFixture {
        /// The manifest.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
        /// The names it has.
        known: Vec<String>,
    },

    /// Two arrays that belong together do not match.
    #[error("{}: {found} {what}, but {expected} are needed", shown(path))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What is counted, such as `words`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },

    /// A line of a word list is empty, or repeats a word.
    #[error(
        "{}: line {line}: every line is one word, each once, and here is {word:?}",
        shown(path)
    )]
    BadWord {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The line, at most 40 characters.
        word: String,
    },

    /// None of a text's words has a vector.
    #[error("{}: none of its words is in the vocabulary", shown(path))]
    NoKnownWord {
        /// The file.
        path: PathBuf,
    },
}

impl DataError {
    /// The file the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::UnknownFormat { path }
            | Self::WrongMagic { path, .. }
            | Self::Malformed { path, .. }
            | Self::Truncated { path, .. }
            | Self::TrailingBytes { path }
            | Self::UnsupportedDtype { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Empty { path }
            | Self::WrongShape { path, .. }
            | Self::WrongDtype { path, .. }
            | Self::NotAnInteger { path, .. }
            | Self::NotANumber { path, .. }
            | Self::NumberTooLarge { path, .. }
            | Self::Ragged { path, .. }
            | Self::NotText { path, .. }
            | Self::MissingKey { path, .. }
            | Self::AmbiguousKey { path, .. }
            | Self::Json { path, .. }
            | Self::UnknownFixture { path, .. }
            | Self::Mismatch { path, .. }
            | Self::BadWord { path, .. }
            | Self::NoKnownWord { path } => path,
        }
    }

    /// An error of the operating system.
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }

    /// A broken rule of a format.
    pub(crate) fn malformed(path: &Path, format: &'static str, rule: &'static str) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            format,
            rule,
        }
    }
}

/// A path on one line: control characters are escaped.
fn shown(path: &Path) -> impl fmt::Display + '_ {
    struct OneLine<'a>(&'a Path);
    impl fmt::Display for OneLine<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for c in self.0.to_string_lossy().chars() {
                if c.is_control() {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    write!(f, "{c}")?;
                }
            }
            Ok(())
        }
    }
    OneLine(path)
}

/// At most 40 characters of a text that a file brought, for a message of one line.
pub(crate) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 40;
    let mut short: String = text.chars().take(LIMIT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
