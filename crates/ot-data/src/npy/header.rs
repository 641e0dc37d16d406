//! The header of a `.npy` file: magic bytes, version, and a Python dictionary in plain text.
//!
//! `npyz` parses it. What stands here are the checks before that, without which a short file could make
//! it allocate four gigabytes (the length field), overflow (the product of the shape's axes) or search
//! for years (twelve nested braces).

use std::io::Read;
use std::path::Path;

use npyz::NpyHeader;

use crate::DataError;
use crate::error::excerpt;
use crate::input::take;
use crate::stored::{Stored, element_count};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// A dictionary of three entries is far shorter; a longer one is an attack or a wrong file.
const LONGEST: usize = 1 << 16;
/// NumPy's own limit on the number of axes.
pub(super) const MOST_AXES: usize = 64;

const DICTIONARY: &str = "a dictionary of 'descr', 'fortran_order' and 'shape'";
const SHAPE: &str = "the shape is a tuple of whole numbers";

/// Reads a header, and says how many bytes it took.
pub(super) fn read(source: &mut impl Read, path: &Path) -> Result<(Stored, u64), DataError> {
    let mut bytes = Vec::new();
    let mut grow = |bytes: &mut Vec<u8>, by| {
        take(source, by, bytes).map_err(|e| DataError::io(path, "read", e))
    };
    let fixed = MAGIC.len() + 2;
    let found = grow(&mut bytes, fixed)?;
    if found == 0 || bytes.iter().zip(MAGIC).any(|(b, m)| b != m) {
        return Err(DataError::WrongMagic {
            path: path.to_owned(),
            format: "a .npy file",
            found: bytes,
        });
    }
    whole(found, fixed, path)?;
    let width = match bytes[MAGIC.len()] {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(malformed(path, "the version is 1, 2 or 3")),
    };
    whole(grow(&mut bytes, width)?, width, path)?;
    let mut length = [0_u8; 4];
    length[..width].copy_from_slice(&bytes[fixed..]);
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        return Err(malformed(path, "the header is at most 65536 bytes long"));
    }
    whole(grow(&mut bytes, length)?, length, path)?;

    check(&mut bytes[fixed + width..], path)?;
    let header = NpyHeader::from_reader(&bytes[..]).map_err(|_| malformed(path, DICTIONARY))?;
    let stored = Stored {
        dtype: header.dtype(),
        fortran: header.order() == npyz::Order::Fortran,
        shape: header.shape().to_vec(),
    };
    Ok((stored, bytes.len() as u64))
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

/// Lets nothing through but one dictionary with one tuple, whose numbers can be an array's shape.
///
/// In the shape, the `L` of Python 2's whole numbers becomes a blank.
fn check(header: &mut [u8], path: &Path) -> Result<(), DataError> {
    let text = std::str::from_utf8(header).map_err(|_| malformed(path, "the header is text"))?;
    if text.contains('[') {
        // Records are lists of fields; dates have their unit in brackets.
        let descr = text.split_once("descr").map_or(text, |(_, rest)| rest);
        return Err(DataError::UnsupportedDtype {
            path: path.to_owned(),
            descr: excerpt(descr.trim_start_matches(['\'', '"', ':', ' '])),
        });
    }
    if text.matches('{').count() != 1 || text.matches('(').count() > 1 {
        return Err(malformed(path, DICTIONARY));
    }
    let open = text.find('(').ok_or_else(|| malformed(path, SHAPE))? + 1;
    let tuple = text[open..]
        .split_once(')')
        .ok_or_else(|| malformed(path, SHAPE))?
        .0;
    let shape = tuple
        .split(',')
        .map(|axis| axis.trim().trim_end_matches('L'))
        .filter(|axis| !axis.is_empty())
        .map(str::parse)
        .collect::<Result<Vec<u64>, _>>()
        .map_err(|_| malformed(path, SHAPE))?;
    if shape.len() > MOST_AXES {
        return Err(malformed(path, "an array has at most 64 axes"));
    }
    if element_count(&shape).is_none() {
        return Err(DataError::TooLarge {
            path: path.to_owned(),
            shape,
        });
    }
    let tuple = open..open + tuple.len();
    for byte in header[tuple].iter_mut().filter(|byte| **byte == b'L') {
        *byte = b' ';
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Stored, String> {
        let mut bytes = [MAGIC, &[2, 0][..], &(text.len() as u32).to_le_bytes()].concat();
        bytes.extend(text.as_bytes());
        let header = read(&mut &bytes[..], Path::new("x.npy"));
        header.map(|(stored, _)| stored).map_err(|e| e.to_string())
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let h = parsed("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!((h.dtype.descr().as_str(), h.fortran), ("'<f8'", false));
        assert_eq!(h.shape, [3, 4]);
        let h = parsed("{\"shape\":(5L,),'descr':'>u2','fortran_order':True}").unwrap();
        assert_eq!((h.dtype.descr().as_str(), h.fortran), ("'>u2'", true));
        assert_eq!(h.shape, [5]);
        let h = parsed("{'descr':'|b1','fortran_order':False,'shape':()}").unwrap();
        assert_eq!(h.shape, [0_u64; 0]);
    }

    #[test]
    fn headers_that_break_a_rule() {
        let nested = ["{", "{'descr':", "[", "("].map(|open| open.repeat(1000));
        let shape =
            |axes: &str| format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {axes}}}");
        let many_axes = shape(&format!("({})", "1,".repeat(65)));
        for (text, word) in [
            ("", "dictionary"),
            ("{}", "tuple"),
            ("{'shape': (3,)}", "dictionary"),
            (&shape("(3, 4)} more"), "dictionary"),
            (
                "{'descr': '<f8', 'fortran_order': 1, 'shape': (3,)}",
                "dictionary",
            ),
            (
                "{'descr': '<f3', 'fortran_order': False, 'shape': (3,)}",
                "dictionary",
            ),
            (
                "{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (3,)}",
                "type \"[('x', '<f8')]",
            ),
            (
                "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (3,)}",
                "type \"<M8[ns]",
            ),
            (&shape("(-3,)"), "whole numbers"),
            (&shape("(0x3,)"), "whole numbers"),
            (&shape("(3L4,)"), "whole numbers"),
            (&shape("(3, 4"), "whole numbers"),
            (&shape("3"), "whole numbers"),
            (&shape("(99999999999999999999,)"), "whole numbers"),
            (
                &shape("(9999999999, 9999999999)"),
                "does not fit into memory",
            ),
            (&many_axes, "64 axes"),
            (&nested[0], "dictionary"),
            (&nested[1], "dictionary"),
            (&nested[2], "elements of type"),
            (&nested[3], "dictionary"),
        ] {
            let message = parsed(text).unwrap_err();
            assert!(
                message.starts_with("x.npy: ") && message.contains(word),
                "{text}: {message}"
            );
        }
    }
}
