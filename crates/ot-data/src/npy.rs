//! NumPy's `.npy`: one array a file.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.
//! Reading takes one pass; memory is the array's own size, and once more for the element type's
//! conversion to `f64` where one is asked for (Fortran order: once more for the transposition).

mod header;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use npyz::{WriteOptions, WriterBuilder};

use crate::input::{self, CHUNK};
use crate::{DataError, Element, Loaded};

/// Reads a `.npy` file.
///
/// # Errors
/// A missing file, wrong first bytes, a malformed header, an unknown element type, numbers cut off or
/// bytes left over, or an array that does not fit into memory.
pub fn read(path: impl AsRef<Path>) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let (file, length) = input::open(path)?;
    read_from(file, length, path)
}

/// Reads an array from anything that gives the bytes of a `.npy` file; it need not be buffered.
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
    let (stored, bytes) = header::read(&mut source, path)?;
    let available = length.map(|length| length.saturating_sub(bytes));
    stored.read(source, available, path)
}

/// Writes an array, given by its shape and its elements in C order, as a `.npy` file.
///
/// # Errors
/// [`WrongShape`](DataError::WrongShape) where the shape has not as many elements as there are values,
/// or more than 64 axes; [`Io`](DataError::Io) where the file cannot be written.
pub fn write<T: Element>(
    path: impl AsRef<Path>,
    shape: &[usize],
    values: &[T],
) -> Result<(), DataError> {
    let path = path.as_ref();
    let mut file = File::create(path).map_err(|e| DataError::io(path, "create", e))?;
    write_to(&mut file, shape, values, path)
}

/// Writes the bytes of a `.npy` file, version 1, in the machine's byte order. The sink need not be
/// buffered; `path` is what errors call it.
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
    let axes: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let all = || {
        let mut writer = WriteOptions::new()
            .default_dtype()
            .shape(&axes)
            .writer(BufWriter::with_capacity(CHUNK, sink))
            .begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()
    };
    all().map_err(|e| DataError::io(path, "write", e))
}

/// Refuses a shape that has not exactly `values` elements.
pub(crate) fn check_shape(shape: &[usize], values: usize, path: &Path) -> Result<(), DataError> {
    let count = shape.iter().try_fold(1, |n: usize, &k| n.checked_mul(k));
    // npyz would panic where the header is longer than its length field can say.
    if count == Some(values) && shape.len() <= header::MOST_AXES {
        return Ok(());
    }
    Err(DataError::WrongShape {
        path: path.to_owned(),
        shape: shape.to_vec(),
        expected: "a shape of as many elements as there are values, on at most 64 axes",
    })
}
