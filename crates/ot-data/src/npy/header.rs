//! The header of a `.npy` file: magic bytes, version, and a Python dictionary in plain text.

use std::io::Read;
use std::path::Path;

use crate::element::{Endian, read_full};
use crate::error::excerpt;
use crate::{DataError, Dtype};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy pads headers to a multiple of this, so that the numbers are aligned when mapped.
const ALIGN: usize = 64;
/// A dictionary of three entries is far shorter; a longer one is an attack or a wrong file.
const LONGEST: usize = 1 << 16;
/// NumPy's own limit on the number of axes.
const MOST_AXES: usize = 64;

/// What the header says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) endian: Endian,
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
    /// Its own length.
    pub(super) bytes: u64,
}

impl Header {
    /// Reads magic, version, length and dictionary.
    pub(super) fn read(source: &mut impl Read, path: &Path) -> Result<Self, DataError> {
        let mut fixed = [0_u8; 8];
        let got = fill(source, &mut fixed, path)?;
        if fixed[..got.min(6)] != MAGIC[..got.min(6)] || got == 0 {
            return Err(DataError::WrongMagic {
                path: path.to_owned(),
                format: "a .npy file",
                found: fixed[..got].to_vec(),
            });
        }
        whole(got, fixed.len(), path)?;
        let width = match fixed[6] {
            1 => 2,
            2 | 3 => 4,
            _ => return Err(malformed(path, "the version is 1, 2 or 3")),
        };
        let mut length = [0_u8; 4];
        whole(fill(source, &mut length[..width], path)?, width, path)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(malformed(path, "the header is at most 65536 bytes long"));
        }
        let mut text = vec![0_u8; length];
        whole(fill(source, &mut text, path)?, length, path)?;
        let text = std::str::from_utf8(&text).map_err(|_| malformed(path, "the header is text"))?;
        let mut header = parse(text, path)?;
        header.bytes = (fixed.len() + width + length) as u64;
        Ok(header)
    }
}

fn fill(source: &mut impl Read, buffer: &mut [u8], path: &Path) -> Result<usize, DataError> {
    read_full(source, buffer).map_err(|e| DataError::io(path, "read", e))
}

fn whole(found: usize, expected: usize, path: &Path) -> Result<(), DataError> {
    if found == expected {
        return Ok(());
    }
    Err(DataError::Truncated {
        path: path.to_owned(),
        what: "header",
        expected: expected as u64,
        found: found as u64,
    })
}

fn malformed(path: &Path, rule: &'static str) -> DataError {
    DataError::malformed(path, ".npy header", rule)
}

/// Parses `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse(text: &str, path: &Path) -> Result<Header, DataError> {
    const ENTRY: &str = "a dictionary of 'descr', 'fortran_order' and 'shape', each once";
    let wrong = || malformed(path, ENTRY);
    let mut rest = Cursor(text.trim());
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    rest.take('{').ok_or_else(wrong)?;
    while rest.take('}').is_none() {
        let key = rest.string().ok_or_else(wrong)?;
        rest.take(':').ok_or_else(wrong)?;
        match key {
            "descr" if descr.is_none() => match rest.string() {
                Some(text) => descr = Some(element_type(text, path)?),
                // Records are a list of fields.
                None => return Err(unsupported(rest.0, path)),
            },
            "fortran_order" if fortran.is_none() => {
                fortran = Some(rest.boolean().ok_or_else(wrong)?);
            }
            "shape" if shape.is_none() => shape = Some(rest.tuple(path)?),
            _ => return Err(wrong()),
        }
        if rest.take(',').is_none() && !rest.0.starts_with('}') {
            return Err(wrong());
        }
    }
    let ((dtype, endian), fortran, shape) = match (descr, fortran, shape, rest.0) {
        (Some(d), Some(f), Some(s), "") => (d, f, s),
        _ => return Err(wrong()),
    };
    Ok(Header {
        dtype,
        endian,
        fortran,
        shape,
        bytes: 0,
    })
}

fn unsupported(descr: &str, path: &Path) -> DataError {
    DataError::UnsupportedDtype {
        path: path.to_owned(),
        descr: excerpt(descr),
    }
}

/// The element type and byte order of a description such as `<f8`.
fn element_type(descr: &str, path: &Path) -> Result<(Dtype, Endian), DataError> {
    let (order, kind) = match descr.as_bytes().first() {
        Some(b'<' | b'>' | b'|' | b'=') => descr.split_at(1),
        _ => ("=", descr),
    };
    let endian = match order {
        ">" => Endian::Big,
        "=" if cfg!(target_endian = "big") => Endian::Big,
        _ => Endian::Little,
    };
    let dtype = match kind {
        "b1" | "?" => Dtype::Bool,
        "i1" => Dtype::I8,
        "i2" => Dtype::I16,
        "i4" => Dtype::I32,
        "i8" => Dtype::I64,
        "u1" => Dtype::U8,
        "u2" => Dtype::U16,
        "u4" => Dtype::U32,
        "u8" => Dtype::U64,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        _ => return Err(unsupported(descr, path)),
    };
    Ok((dtype, endian))
}

/// What is left of the dictionary, never beginning with blanks.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// Passes one character, if it is the next.
    fn take(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?.trim_start();
        Some(())
    }

    /// A string in single or double quotes, without escapes: names and types need none.
    fn string(&mut self) -> Option<&'a str> {
        let quote = self.0.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (text, rest) = self.0[1..].split_once(quote)?;
        self.0 = rest.trim_start();
        Some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest.trim_start();
                return Some(value);
            }
        }
        None
    }

    /// A tuple of whole numbers: `()`, `(3,)`, `(3, 4)`; Python 2 wrote `(3L, 4L)`.
    fn tuple(&mut self, path: &Path) -> Result<Vec<u64>, DataError> {
        let wrong = || malformed(path, "the shape is a tuple of whole numbers");
        let mut axes = Vec::new();
        self.take('(').ok_or_else(wrong)?;
        while self.take(')').is_none() {
            let end = self
                .0
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(self.0.len());
            let (digits, rest) = self.0.split_at(end);
            axes.push(digits.parse().map_err(|_| wrong())?);
            self.0 = rest.strip_prefix('L').unwrap_or(rest).trim_start();
            if self.take(',').is_none() && !self.0.starts_with(')') {
                return Err(wrong());
            }
            if axes.len() > MOST_AXES {
                return Err(malformed(path, "an array has at most 64 axes"));
            }
        }
        Ok(axes)
    }
}

/// The bytes of a version 1 header for a little-endian array in C order.
pub(super) fn encode(dtype: Dtype, shape: &[usize]) -> Vec<u8> {
    let order = if dtype.size() == 1 { '|' } else { '<' };
    let kind = match dtype {
        Dtype::Bool => 'b',
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => 'i',
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => 'u',
        Dtype::F32 | Dtype::F64 => 'f',
    };
    let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let axes = match shape {
        [n] => format!("{n},"),
        _ => axes.trim_end_matches(", ").to_owned(),
    };
    let size = dtype.size();
    let mut text =
        format!("{{'descr': '{order}{kind}{size}', 'fortran_order': False, 'shape': ({axes}), }}");
    // Magic, version and length take ten bytes, the newline at the end one.
    let padding = (ALIGN - (10 + text.len() + 1) % ALIGN) % ALIGN;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');

    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    // At most 64 axes of 20 digits: far below the field's 65535.
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Header, String> {
        parse(text, Path::new("x.npy")).map_err(|e| e.to_string())
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let h = parsed("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!(
            (h.dtype, h.endian, h.fortran),
            (Dtype::F64, Endian::Little, false)
        );
        assert_eq!(h.shape, [3, 4]);
        let h = parsed("{\"shape\":(5L,),'descr':'>u2','fortran_order':True}").unwrap();
        assert_eq!(
            (h.dtype, h.endian, h.fortran),
            (Dtype::U16, Endian::Big, true)
        );
        assert_eq!(h.shape, [5]);
        assert_eq!(
            parsed("{'descr':'|b1','fortran_order':False,'shape':()}")
                .unwrap()
                .shape,
            [0_u64; 0]
        );
    }

    #[test]
    fn headers_that_break_a_rule() {
        for (text, word) in [
            ("", "dictionary"),
            ("{}", "dictionary"),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)} more",
                "dictionary",
            ),
            (
                "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}",
                "each once",
            ),
            (
                "{'descr': '<f8', 'fortran_order': 1, 'shape': (3,)}",
                "dictionary",
            ),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}",
                "whole numbers",
            ),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3",
                "whole numbers",
            ),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
                "whole numbers",
            ),
            (
                "{'descr': '<c16', 'fortran_order': False, 'shape': (3,)}",
                "<c16",
            ),
            (
                "{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (3,)}",
                "elements of type",
            ),
        ] {
            let message = parsed(text).unwrap_err();
            assert!(
                message.starts_with("x.npy: ") && message.contains(word),
                "{message}"
            );
        }
    }

    #[test]
    fn written_headers_are_aligned_and_read_back() {
        for shape in [&[][..], &[7], &[3, 4], &[1, 2, 3]] {
            let bytes = encode(Dtype::F32, shape);
            assert_eq!(bytes.len() % ALIGN, 0);
            let header = Header::read(&mut &bytes[..], Path::new("x.npy")).unwrap();
            assert_eq!(
                header.shape,
                shape.iter().map(|&n| n as u64).collect::<Vec<_>>()
            );
            assert_eq!(
                (header.dtype, header.bytes),
                (Dtype::F32, bytes.len() as u64)
            );
        }
    }
}
