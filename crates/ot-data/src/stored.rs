//! Arrays as they lie in a file, behind whatever header: decoded by `npyz`, within bounded memory.

use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use npyz::{DType, TypeChar, TypeRead};

use crate::array::in_c_order;
use crate::error::excerpt;
use crate::input::{CHUNK, take};
use crate::{Array, DataError, Dtype, Element, Loaded};

/// How an array lies in its file.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Element type and byte order.
    pub(crate) dtype: DType,
    pub(crate) fortran: bool,
    pub(crate) shape: Vec<u64>,
}

impl Stored {
    /// Reads the elements, behind which the source must end.
    ///
    /// `available` is an upper bound on the bytes the source can still give, where one is known. Memory
    /// is reserved for no more than that, so a header alone cannot make the reader allocate.
    pub(crate) fn read(
        &self,
        mut source: impl Read,
        available: Option<u64>,
        path: &Path,
    ) -> Result<Loaded, DataError> {
        let dtype = self.element_type().ok_or_else(|| self.unsupported(path))?;
        let s = &mut source;
        let array = match dtype {
            Dtype::Bool => Array::Bool(self.elements(s, available, path)?),
            Dtype::I8 => Array::I8(self.elements(s, available, path)?),
            Dtype::I16 => Array::I16(self.elements(s, available, path)?),
            Dtype::I32 => Array::I32(self.elements(s, available, path)?),
            Dtype::I64 => Array::I64(self.elements(s, available, path)?),
            Dtype::U8 => Array::U8(self.elements(s, available, path)?),
            Dtype::U16 => Array::U16(self.elements(s, available, path)?),
            Dtype::U32 => Array::U32(self.elements(s, available, path)?),
            Dtype::U64 => Array::U64(self.elements(s, available, path)?),
            Dtype::F32 => Array::F32(self.elements(s, available, path)?),
            Dtype::F64 => Array::F64(self.elements(s, available, path)?),
        };
        let path = path.to_owned();
        match take(&mut source, 1, &mut Vec::new()) {
            Ok(0) => Ok(Loaded { array, path }),
            Ok(_) => Err(DataError::TrailingBytes { path }),
            Err(e) => Err(DataError::io(&path, "read", e)),
        }
    }

    fn element_type(&self) -> Option<Dtype> {
        let DType::Plain(plain) = &self.dtype else {
            return None;
        };
        Some(match (plain.type_char(), plain.size_field()) {
            (TypeChar::Bool, 1) => Dtype::Bool,
            (TypeChar::Int, 1) => Dtype::I8,
            (TypeChar::Int, 2) => Dtype::I16,
            (TypeChar::Int, 4) => Dtype::I32,
            (TypeChar::Int, 8) => Dtype::I64,
            (TypeChar::Uint, 1) => Dtype::U8,
            (TypeChar::Uint, 2) => Dtype::U16,
            (TypeChar::Uint, 4) => Dtype::U32,
            (TypeChar::Uint, 8) => Dtype::U64,
            (TypeChar::Float, 4) => Dtype::F32,
            (TypeChar::Float, 8) => Dtype::F64,
            _ => return None,
        })
    }

    /// `npyz` decodes the elements one by one; its own way to a vector grows by doubling, which takes up
    /// to three times the array's memory.
    fn elements<T: Element>(
        &self,
        source: &mut impl Read,
        available: Option<u64>,
        path: &Path,
    ) -> Result<ArrayD<T>, DataError> {
        let too_large = || DataError::TooLarge {
            path: path.to_owned(),
            shape: self.shape.clone(),
        };
        let (count, shape) = element_count(&self.shape).ok_or_else(too_large)?;
        let expected = (count * size_of::<T>()) as u64;
        let truncated = |found| DataError::Truncated {
            path: path.to_owned(),
            what: "numbers",
            expected,
            found,
        };
        let sure = match available {
            Some(found) if found < expected => return Err(truncated(found)),
            Some(_) => count,
            None => count.min(CHUNK),
        };
        let decoder = T::reader(&self.dtype).map_err(|_| self.unsupported(path))?;
        let mut values = Vec::new();
        values.try_reserve_exact(sure).map_err(|_| too_large())?;
        let mut bytes = BufReader::with_capacity(CHUNK, source.take(expected));
        for _ in 0..count {
            match decoder.read_one(&mut bytes) {
                Ok(value) => {
                    if values.len() == values.capacity() {
                        values.try_reserve(CHUNK).map_err(|_| too_large())?;
                    }
                    values.push(value);
                }
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                    return Err(truncated(expected - bytes.get_ref().limit()));
                }
                Err(e) => return Err(DataError::io(path, "read", e)),
            }
        }
        let shape = IxDyn(&shape).set_f(self.fortran);
        let array = ArrayD::from_shape_vec(shape, values).map_err(|_| too_large())?;
        Ok(in_c_order(array))
    }

    fn unsupported(&self, path: &Path) -> DataError {
        DataError::UnsupportedDtype {
            path: path.to_owned(),
            descr: excerpt(self.dtype.descr().trim_matches('\'')),
        }
    }
}

/// The number of elements of a shape, and the shape as `usize`; `None` where an array of doubles of
/// that shape could not be addressed.
pub(crate) fn element_count(shape: &[u64]) -> Option<(usize, Vec<usize>)> {
    let shape: Vec<usize> = shape
        .iter()
        .map(|&n| usize::try_from(n).ok())
        .collect::<Option<_>>()?;
    // ndarray wants even the product without the empty axes to be addressable.
    let spread = shape
        .iter()
        .filter(|&&n| n > 0)
        .try_fold(size_of::<f64>(), |product, &n| product.checked_mul(n))?;
    isize::try_from(spread).ok()?;
    Some((shape.iter().product(), shape))
}
