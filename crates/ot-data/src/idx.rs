//! IDX, the format of MNIST: a big-endian array of one to four axes, plain or gzipped.
//!
//! Format: the last part of <http://yann.lecun.com/exdb/mnist/>. Whether a file is gzipped is told by
//! its first two bytes, not by its name. Memory is the array's size.

use std::fs::File;
use std::io::{BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use npyz::DType;

use crate::input::{self, CHUNK};
use crate::stored::Stored;
use crate::{DataError, Loaded};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads an IDX file of unsigned or signed bytes, 16 or 32 bit integers, or floating-point numbers.
///
/// # Errors
/// A missing file, wrong first bytes, an unknown element type, other than one to four axes, numbers
/// cut off or bytes left over, a damaged compression, or an array that does not fit into memory.
pub fn read(path: impl AsRef<Path>) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let (file, length) = input::open(path)?;
    read_from(BufReader::with_capacity(CHUNK, file), length, path)
}

/// Reads an array from anything that gives the bytes of an IDX file, plain or gzipped.
///
/// `length` is the source's length in bytes where it is known. `path` is what errors call the source.
///
/// # Errors
/// As [`read`](fn@read).
pub fn read_from(
    mut source: impl Read,
    length: Option<u64>,
    path: impl AsRef<Path>,
) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let mut start = Vec::new();
    input::take(&mut source, GZIP.len(), &mut start).map_err(|e| DataError::io(path, "read", e))?;
    let zipped = start == GZIP;
    let whole = Cursor::new(start).chain(source);
    if zipped {
        // The inflated length is not known before the end.
        decode(MultiGzDecoder::new(whole), None, path)
    } else {
        decode(whole, length, path)
    }
}

fn decode(mut source: impl Read, length: Option<u64>, path: &Path) -> Result<Loaded, DataError> {
    let mut bytes = Vec::new();
    let mut grow = |bytes: &mut Vec<u8>, by| {
        input::take(&mut source, by, bytes).map_err(|e| DataError::io(path, "read", e))
    };
    grow(&mut bytes, 4)?;
    let (code, axes) = match *bytes {
        [0, 0, code @ 0x08..=0x0e, axes] => (code, axes),
        _ => {
            return Err(DataError::WrongMagic {
                path: path.to_owned(),
                format: "an IDX file",
                found: bytes,
            });
        }
    };
    let descr = match code {
        0x08 => "|u1",
        0x09 => "|i1",
        0x0b => ">i2",
        0x0c => ">i4",
        0x0d => ">f4",
        0x0e => ">f8",
        _ => "", // 0x0a was never given a meaning
    };
    let dtype = descr.parse().map_err(|_| DataError::UnsupportedDtype {
        path: path.to_owned(),
        descr: format!("{code:#04x}"),
    })?;
    if !(1..=4).contains(&axes) {
        return Err(DataError::malformed(
            path,
            "IDX header",
            "an array has one to four axes",
        ));
    }
    let expected = 4 * usize::from(axes);
    let found = grow(&mut bytes, expected)?;
    if found < expected {
        return Err(DataError::Truncated {
            path: path.to_owned(),
            what: "header",
            expected: expected as u64,
            found: found as u64,
        });
    }
    let (words, _) = bytes[4..].as_chunks();
    let stored = Stored {
        dtype: DType::new_scalar(dtype),
        fortran: false,
        shape: words
            .iter()
            .map(|&word| u64::from(u32::from_be_bytes(word)))
            .collect(),
    };
    let available = length.map(|length| length.saturating_sub(bytes.len() as u64));
    stored.read(source, available, path)
}

/// Writes bytes as a plain IDX file: images `N×height×width`, labels `N`.
///
/// # Errors
/// [`WrongShape`](DataError::WrongShape) for other than one to four axes below 2³², or a shape that has
/// not as many elements as there are values; [`Io`](DataError::Io).
pub fn write(path: impl AsRef<Path>, shape: &[usize], values: &[u8]) -> Result<(), DataError> {
    let path = path.as_ref();
    crate::npy::check_shape(shape, values.len(), path)?;
    let lengths: Option<Vec<u32>> = shape.iter().map(|&n| u32::try_from(n).ok()).collect();
    let lengths = lengths
        .filter(|l| (1..=4).contains(&l.len()))
        .ok_or_else(|| {
            let expected = "one to four axes below 2^32";
            DataError::WrongShape {
                path: path.to_owned(),
                shape: shape.to_vec(),
                expected,
            }
        })?;
    let mut header = vec![0, 0, 0x08, lengths.len() as u8];
    header.extend(lengths.iter().flat_map(|n| n.to_be_bytes()));
    let file = File::create(path).map_err(|e| DataError::io(path, "create", e))?;
    let mut sink = BufWriter::with_capacity(CHUNK, file);
    let mut all = || {
        sink.write_all(&header)?;
        sink.write_all(values)?;
        sink.flush()
    };
    all().map_err(|e| DataError::io(path, "write", e))
}
