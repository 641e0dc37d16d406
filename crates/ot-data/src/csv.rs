//! Tables of numbers in text: commas, semicolons, tabs or spaces, with or without a header line.
//!
//! - The separator is the first of `;`, `,`, tab that the first line has; otherwise blanks.
//! - Empty lines and lines that begin with `#` are passed over; a byte-order mark too.
//! - The first line is a header exactly if none of its fields is a number. A field may stand in double
//!   quotes.
//! - Numbers are written as in Rust and C (`1`, `-0.5`, `1e-3`, `inf`, `nan`), with a decimal point.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use ndarray::{Array2, ArrayView2};

use crate::element::CHUNK;
use crate::error::excerpt;
use crate::{Array, DataError, Loaded};

/// A table and the names of its columns, where it has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The fields of the header line.
    pub names: Option<Vec<String>>,
    /// Lines by columns.
    pub values: Array2<f64>,
}

/// Reads a table of numbers, without its header; the array's shape is lines × columns.
///
/// # Errors
/// As [`read_table`].
pub fn read(path: impl AsRef<Path>) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let array = Array::F64(read_table(path)?.values.into_dyn());
    Ok(Loaded {
        array,
        path: path.to_owned(),
    })
}

/// Reads a table of numbers with its header.
///
/// # Errors
/// A missing file, text that is not UTF-8, a field that is not a number (with line and column), lines
/// of different lengths, or no numbers at all.
pub fn read_table(path: impl AsRef<Path>) -> Result<Table, DataError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| DataError::io(path, "open", e))?;
    read_from(BufReader::with_capacity(CHUNK, file), path)
}

/// Reads a table from anything that gives lines. `path` is what errors call the source.
///
/// # Errors
/// As [`read_table`].
pub fn read_from(mut source: impl BufRead, path: impl AsRef<Path>) -> Result<Table, DataError> {
    let path = path.as_ref();
    let mut line = Vec::new();
    let mut number = 0;
    let mut separator = None;
    let mut names = None;
    let mut width = None;
    let mut rows = 0;
    let mut values: Vec<f64> = Vec::new();
    loop {
        line.clear();
        let got = source
            .read_until(b'\n', &mut line)
            .map_err(|e| DataError::io(path, "read", e))?;
        if got == 0 {
            break;
        }
        number += 1;
        let text = std::str::from_utf8(&line).map_err(|_| DataError::NotText {
            path: path.to_owned(),
            line: number,
        })?;
        let text = text
            .strip_prefix('\u{feff}')
            .filter(|_| number == 1)
            .unwrap_or(text);
        let text = text.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        let first = separator.is_none();
        let by = *separator.get_or_insert_with(|| Separator::guess(text));
        if first && by.fields(text).all(|f| f.parse::<f64>().is_err()) {
            names = Some(by.fields(text).map(String::from).collect());
            continue;
        }
        let before = values.len();
        for (column, field) in by.fields(text).enumerate() {
            let value = field.parse().map_err(|_| DataError::NotANumber {
                path: path.to_owned(),
                line: number,
                column: column + 1,
                text: excerpt(field),
            })?;
            values.push(value);
        }
        let found = values.len() - before;
        let expected = *width.get_or_insert(found);
        if found != expected {
            return Err(DataError::Ragged {
                path: path.to_owned(),
                line: number,
                expected,
                found,
            });
        }
        rows += 1;
    }
    let empty = || DataError::Empty {
        path: path.to_owned(),
    };
    let shape = (rows, width.ok_or_else(empty)?);
    let values = Array2::from_shape_vec(shape, values).map_err(|_| empty())?;
    Ok(Table { names, values })
}

/// Writes a matrix, a line a row, with commas; 17 significant digits at most, so that every double is
/// read back exactly.
///
/// # Errors
/// [`Io`](DataError::Io).
pub fn write(path: impl AsRef<Path>, values: ArrayView2<'_, f64>) -> Result<(), DataError> {
    let path = path.as_ref();
    let file = File::create(path).map_err(|e| DataError::io(path, "create", e))?;
    let mut sink = BufWriter::with_capacity(CHUNK, file);
    let mut all = || {
        for row in values.rows() {
            for (column, value) in row.iter().enumerate() {
                let comma = if column == 0 { "" } else { "," };
                // Debug is the shortest form that reads back exactly, with exponents where they help.
                write!(sink, "{comma}{value:?}")?;
            }
            writeln!(sink)?;
        }
        sink.flush()
    };
    all().map_err(|e| DataError::io(path, "write", e))
}

/// What stands between fields.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Separator {
    Char(char),
    Blanks,
}

impl Separator {
    fn guess(line: &str) -> Self {
        let known = [';', ',', '\t'];
        known
            .into_iter()
            .find(|&c| line.contains(c))
            .map_or(Self::Blanks, Self::Char)
    }

    /// The fields of a line, without blanks and quotes around them.
    fn fields(self, line: &str) -> impl Iterator<Item = &str> {
        let (by_char, by_blanks) = match self {
            Self::Char(c) => (Some(line.split(c)), None),
            Self::Blanks => (None, Some(line.split_whitespace())),
        };
        by_char
            .into_iter()
            .flatten()
            .chain(by_blanks.into_iter().flatten())
            .map(|field| {
                let field = field.trim();
                field
                    .strip_prefix('"')
                    .and_then(|f| f.strip_suffix('"'))
                    .unwrap_or(field)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<Table, String> {
        read_from(text.as_bytes(), "t.csv").map_err(|e| e.to_string())
    }

    #[test]
    fn every_separator_gives_the_same_numbers() {
        for text in [
            "1,2.5\n-3e-1,4\n",
            "1;2.5\r\n-3e-1;4",
            "1\t2.5\n-3e-1\t4\n\n",
            "  1   2.5\n-3e-1 4\n",
            "# made by hand\n\u{20}\n1, 2.5\n-3e-1 , \"4\"\n",
            "\u{feff}1,2.5\n-3e-1,4\n",
        ] {
            let t = table(text).unwrap();
            assert_eq!(t.names, None);
            assert_eq!(
                t.values,
                ndarray::arr2(&[[1.0, 2.5], [-0.3, 4.0]]),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_line_without_numbers_is_a_header() {
        let t = table("\"FL1-A\",\"FL2-A\"\n1,2\n3,4\n5,6\n").unwrap();
        assert_eq!(t.names.unwrap(), ["FL1-A", "FL2-A"]);
        assert_eq!(t.values.dim(), (3, 2));
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        for (text, message) in [
            ("", "t.csv: empty: no numbers in it"),
            ("x,y\n", "t.csv: empty: no numbers in it"),
            (
                "1,2\n3,four\n",
                "t.csv: line 2, column 2: \"four\" is not a number",
            ),
            (
                "1,two\n3,4\n",
                "t.csv: line 1, column 2: \"two\" is not a number",
            ),
            ("1,2\n3,\n", "t.csv: line 2, column 2: \"\" is not a number"),
            (
                "1,2\n3,4,5\n",
                "t.csv: line 2 has 3 columns, the lines before it 2",
            ),
            (
                "a b\n1 2\n3\n",
                "t.csv: line 3 has 1 columns, the lines before it 2",
            ),
        ] {
            assert_eq!(table(text).unwrap_err(), message);
        }
        let bytes: &[u8] = b"1,2\n\xff,3\n";
        let message = read_from(bytes, "t.csv").unwrap_err().to_string();
        assert_eq!(message, "t.csv: line 2 is not UTF-8 text");
    }
}
