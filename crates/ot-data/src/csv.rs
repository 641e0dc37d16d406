//! Tables of numbers in text: commas, semicolons, tabs or spaces, with or without a header line.
//!
//! - The separator is the first of `;`, `,`, tab that the first line has; otherwise blanks.
//! - Empty lines and lines that begin with `#` are passed over; a byte-order mark too.
//! - The first line is a header exactly if none of its fields is a number. A field may stand in double
//!   quotes.
//! - Numbers are written as in Rust and C (`1`, `-0.5`, `1e-3`, `inf`, `nan`), with a decimal point. One
//!   beyond double precision, such as `1e309`, is an error and never an infinity.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord, Trim, WriterBuilder};
use ndarray::{Array2, ArrayView2};

use crate::error::excerpt;
use crate::{Array, DataError, Loaded, input};

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

/// Reads a table of numbers with its header. Memory is the text's size besides the table's.
///
/// # Errors
/// A missing file, text that is not UTF-8, a field that is not a number or one that is too large (with
/// line and column), lines of different lengths, or no numbers at all.
pub fn read_table(path: impl AsRef<Path>) -> Result<Table, DataError> {
    let path = path.as_ref();
    let (file, _) = input::open(path)?;
    read_from(file, path)
}

/// Reads a table from anything that gives its text; it need not be buffered. `path` is what errors call
/// the source.
///
/// # Errors
/// As [`read_table`].
pub fn read_from(mut source: impl Read, path: impl AsRef<Path>) -> Result<Table, DataError> {
    let path = path.as_ref();
    let failed = |e| DataError::io(path, "read", e);
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(failed)?;
    let text = input::text(bytes, path)?;
    let (text, delimiter) = delimited(text.trim_start_matches('\u{feff}'));
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .comment(Some(b'#'))
        .delimiter(delimiter)
        .from_reader(text.as_bytes());

    let (mut names, mut width, mut rows) = (None, None, 0);
    let mut values: Vec<f64> = Vec::new();
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|e| failed(e.into()))?
    {
        let first = record.get(0).unwrap_or_default();
        if first.starts_with('#') || (first.is_empty() && record.len() == 1) {
            continue;
        }
        let fields = || record.iter().map(unquoted);
        if width.is_none() && names.is_none() && fields().all(|f| f.parse::<f64>().is_err()) {
            names = Some(fields().map(String::from).collect());
            continue;
        }
        let line = || line_of(&text, record.position().map_or(0, |p| p.byte() as usize));
        for (column, field) in fields().enumerate() {
            let value: f64 = field.parse().map_err(|_| DataError::NotANumber {
                path: path.to_owned(),
                line: line(),
                column: column + 1,
                text: excerpt(field),
            })?;
            if overflowed(field, value) {
                return Err(DataError::NumberTooLarge {
                    path: path.to_owned(),
                    line: line(),
                    column: column + 1,
                    text: excerpt(field),
                });
            }
            values.push(value);
        }
        let found = record.len();
        let expected = *width.get_or_insert(found);
        if found != expected {
            return Err(DataError::Ragged {
                path: path.to_owned(),
                line: line(),
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
    let mut writer = WriterBuilder::new().has_headers(false).from_writer(file);
    let mut all = || {
        for row in values.rows() {
            writer.serialize(row.to_vec())?;
        }
        writer.flush()
    };
    all().map_err(|e| DataError::io(path, "write", e))
}

/// The separator of a text, and the text with single blanks where it has runs of blanks: the `csv`
/// crate's separator is one byte.
fn delimited(text: &str) -> (Cow<'_, str>, u8) {
    let first = text
        .lines()
        .find(|line| !passed_over(line))
        .unwrap_or_default();
    let known = [b';', b',', b'\t'];
    match known.into_iter().find(|c| first.as_bytes().contains(c)) {
        Some(delimiter) => (Cow::Borrowed(text), delimiter),
        None => {
            let mut single = String::with_capacity(text.len());
            for line in text.lines() {
                for (k, word) in line.split_whitespace().enumerate() {
                    single.push_str(if k == 0 { "" } else { " " });
                    single.push_str(word);
                }
                single.push('\n');
            }
            (Cow::Owned(single), b' ')
        }
    }
}

/// A field without quotes; `csv` takes off those that no blank stands before.
fn unquoted(field: &str) -> &str {
    let inner = field.strip_prefix('"').and_then(|f| f.strip_suffix('"'));
    inner.unwrap_or(field)
}

/// Whether `value` is infinite though its text has digits: an infinity means something of its own, such as
/// a pair that is forbidden, and only its name stands for it.
fn overflowed(text: &str, value: f64) -> bool {
    value.is_infinite() && text.contains(|c: char| c.is_ascii_digit())
}

/// Whether a line is empty or a comment.
fn passed_over(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// The line, from 1, of the record that the reader began to look for at `byte`. The lines that it passed
/// over from there are not in the position that `csv` gives.
fn line_of(text: &str, byte: usize) -> usize {
    let rest = text.get(byte..).unwrap_or_default();
    let before = &text.as_bytes()[..text.len() - rest.len()];
    let ended = before.iter().filter(|&&b| b == b'\n').count();
    1 + ended + rest.lines().take_while(|line| passed_over(line)).count()
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
        let t = table("\"FL1, area\",\"the \"\"other\"\"\"\n1,2\n").unwrap();
        assert_eq!(t.names.unwrap(), ["FL1, area", "the \"other\""]);
    }

    #[test]
    fn infinity_has_a_name() {
        let t = table("inf,Infinity,+inf\n-inf,1.7e308,1e-400\n").unwrap();
        let inf = f64::INFINITY;
        assert_eq!(t.values, ndarray::arr2(&[[inf; 3], [-inf, 1.7e308, 0.0]]));
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
        for number in ["1e309", "-1e400", "+1e309", "\"1e309\""] {
            let message = format!(
                "t.csv: line 2, column 2: \"{}\" is beyond double precision, whose largest number is 1.797e308; infinity is written inf",
                unquoted(number)
            );
            assert_eq!(table(&format!("1,2\n3,{number}\n")).unwrap_err(), message);
        }
        // Lines are counted over comments and empty lines, whatever ends them.
        for text in [
            "\n# c\n1,2\n\n # d\n3,x\n",
            "\r\n# c\r\n1,2\r\n\r\n\r\n3,x",
            "\u{feff}# c\n\n1 2\n\n  # d, e\n3   x\n",
        ] {
            assert_eq!(
                table(text).unwrap_err(),
                "t.csv: line 6, column 2: \"x\" is not a number"
            );
        }
        let bytes: &[u8] = b"1,2\n\xff,3\n";
        let message = read_from(bytes, "t.csv").unwrap_err().to_string();
        assert_eq!(message, "t.csv: line 2 is not UTF-8 text");
    }
}
