//! NumPy's `.npy`: one array a file.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.
//! Reading takes one pass; memory is the array's own size, and once more for the element type's
//! conversion to `f64` where one is asked for (Fortran order: once more for the transposition).

mod header;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::array::{Stored, element_count};
use crate::element::{CHUNK, read_full};
use crate::{Array, DataError, Element, Loaded};
use header::Header;

/// Reads a `.npy` file.
///
/// # Errors
/// A missing file, wrong first bytes, a malformed header, an unknown element type, numbers cut off or
/// bytes left over, or an array that does not fit into memory.
pub fn read(path: impl AsRef<Path>) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| DataError::io(path, "open", e))?;
    // Only a regular file knows its length; a pipe is read as far as it goes.
    let length = file
        .metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|m| m.len());
    read_from(BufReader::with_capacity(CHUNK, file), length, path)
}

/// Reads an array from anything that gives the bytes of a `.npy` file.
///
/// `length` is the source's length in bytes where it is known: an array that cannot be in there is then
/// refused before anything is allocated. `path` is what errors call the source.
///
/// # Errors
/// As [`read`](fn@read).
pub fn read_from(
    mut source: impl Read,
    length: Option<u64>,
    path: impl AsRef<Path>,
) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let header = Header::read(&mut source, path)?;
    let available = length.map(|length| length.saturating_sub(header.bytes));
    let Some((count, _)) = element_count(&header.shape) else {
        return Err(DataError::TooLarge {
            path: path.to_owned(),
            shape: header.shape,
        });
    };
    let expected = count as u64 * header.dtype.size() as u64;
    if let Some(found) = available.filter(|&found| found < expected) {
        return Err(DataError::Truncated {
            path: path.to_owned(),
            what: "numbers",
            expected,
            found,
        });
    }
    let stored = Stored {
        dtype: header.dtype,
        endian: header.endian,
        fortran: header.fortran,
        shape: &header.shape,
    };
    let array = Array::read(&mut source, stored, available, path)?;
    let more = read_full(&mut source, &mut [0]).map_err(|e| DataError::io(path, "read", e))?;
    if more > 0 {
        return Err(DataError::TrailingBytes {
            path: path.to_owned(),
        });
    }
    Ok(Loaded {
        array,
        path: path.to_owned(),
    })
}

/// Writes an array, given by its shape and its elements in C order, as a `.npy` file.
///
/// # Errors
/// [`WrongShape`](DataError::WrongShape) where the shape has not as many elements as there are values;
/// [`Io`](DataError::Io) where the file cannot be written.
pub fn write<T: Element>(
    path: impl AsRef<Path>,
    shape: &[usize],
    values: &[T],
) -> Result<(), DataError> {
    let path = path.as_ref();
    let file = File::create(path).map_err(|e| DataError::io(path, "create", e))?;
    let mut sink = BufWriter::with_capacity(CHUNK, file);
    write_to(&mut sink, shape, values, path)?;
    sink.flush().map_err(|e| DataError::io(path, "write", e))
}

/// Writes the bytes of a `.npy` file, version 1, little-endian. `path` is what errors call the sink.
///
/// # Errors
/// As [`write`](fn@write).
pub fn write_to<T: Element>(
    sink: &mut impl Write,
    shape: &[usize],
    values: &[T],
    path: impl AsRef<Path>,
) -> Result<(), DataError> {
    let path = path.as_ref();
    check_shape(shape, values.len(), path)?;
    let mut bytes = header::encode(T::DTYPE, shape);
    let failed = |e| DataError::io(path, "write", e);
    for chunk in values.chunks(CHUNK / size_of::<u64>()) {
        T::encode(chunk, &mut bytes);
        sink.write_all(&bytes).map_err(failed)?;
        bytes.clear();
    }
    sink.write_all(&bytes).map_err(failed)
}

/// Refuses a shape that has not exactly `values` elements.
pub(crate) fn check_shape(shape: &[usize], values: usize, path: &Path) -> Result<(), DataError> {
    if shape.iter().try_fold(1, |n: usize, &k| n.checked_mul(k)) == Some(values) {
        return Ok(());
    }
    Err(DataError::WrongShape {
        path: path.to_owned(),
        shape: shape.to_vec(),
        expected: "a shape of as many elements as there are values",
    })
}
