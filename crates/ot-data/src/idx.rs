//! IDX, the format of MNIST: a big-endian array of one to four axes, plain or gzipped.
//!
//! Format: the last part of <http://yann.lecun.com/exdb/mnist/>. Whether a file is gzipped is told by
//! its first two bytes, not by its name. Memory is the array's size.

use std::fs::File;
use std::io::{BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::array::{Stored, element_count};
use crate::element::{CHUNK, Endian, read_full};
use crate::{Array, DataError, Dtype, Loaded};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads an IDX file of unsigned or signed bytes, 16 or 32 bit integers, or floating-point numbers.
///
/// # Errors
/// A missing file, wrong first bytes, an unknown element type, other than one to four axes, numbers
/// cut off or bytes left over, a damaged compression, or an array that does not fit into memory.
pub fn read(path: impl AsRef<Path>) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| DataError::io(path, "open", e))?;
    let length = file
        .metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|m| m.len());
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
    let mut start = [0_u8; 2];
    let got = read_full(&mut source, &mut start).map_err(|e| DataError::io(path, "read", e))?;
    let whole = Cursor::new(start[..got].to_vec()).chain(source);
    if start == GZIP {
        // The inflated length is not known before the end.
        decode(MultiGzDecoder::new(whole), None, path)
    } else {
        decode(whole, length, path)
    }
}

fn decode(mut source: impl Read, length: Option<u64>, path: &Path) -> Result<Loaded, DataError> {
    let mut fill = |buffer: &mut [u8]| {
        read_full(&mut source, buffer).map_err(|e| DataError::io(path, "read", e))
    };
    let mut magic = [0_u8; 4];
    let got = fill(&mut magic)?;
    let [0, 0, code, axes] = magic else {
        return Err(wrong_magic(&magic[..got], path));
    };
    if got < magic.len() || !(0x08..=0x0e).contains(&code) {
        return Err(wrong_magic(&magic[..got], path));
    }
    let dtype = match code {
        0x08 => Dtype::U8,
        0x09 => Dtype::I8,
        0x0b => Dtype::I16,
        0x0c => Dtype::I32,
        0x0d => Dtype::F32,
        0x0e => Dtype::F64,
        _ => {
            let descr = format!("{code:#04x}");
            return Err(DataError::UnsupportedDtype {
                path: path.to_owned(),
                descr,
            });
        }
    };
    if !(1..=4).contains(&axes) {
        return Err(DataError::malformed(
            path,
            "IDX header",
            "an array has one to four axes",
        ));
    }
    let mut lengths = [0_u8; 16];
    let lengths = &mut lengths[..4 * usize::from(axes)];
    let (expected, found) = (lengths.len() as u64, fill(lengths)? as u64);
    if found < expected {
        return Err(DataError::Truncated {
            path: path.to_owned(),
            what: "header",
            expected,
            found,
        });
    }
    let (words, _) = lengths.as_chunks::<4>();
    let shape: Vec<u64> = words
        .iter()
        .map(|&w| u64::from(u32::from_be_bytes(w)))
        .collect();

    let too_large = || DataError::TooLarge {
        path: path.to_owned(),
        shape: shape.clone(),
    };
    let (count, _) = element_count(&shape).ok_or_else(too_large)?;
    let available = length.map(|bytes| bytes.saturating_sub(4 + expected));
    let expected = count as u64 * dtype.size() as u64;
    if let Some(found) = available.filter(|&found| found < expected) {
        let path = path.to_owned();
        return Err(DataError::Truncated {
            path,
            what: "numbers",
            expected,
            found,
        });
    }
    let stored = Stored {
        dtype,
        endian: Endian::Big,
        fortran: false,
        shape: &shape,
    };
    let array = Array::read(&mut source, stored, available, path)?;
    match read_full(&mut source, &mut [0]).map_err(|e| DataError::io(path, "read", e))? {
        0 => Ok(Loaded {
            array,
            path: path.to_owned(),
        }),
        _ => Err(DataError::TrailingBytes {
            path: path.to_owned(),
        }),
    }
}

fn wrong_magic(found: &[u8], path: &Path) -> DataError {
    DataError::WrongMagic {
        path: path.to_owned(),
        format: "an IDX file",
        found: found.to_vec(),
    }
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
