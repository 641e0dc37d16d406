//! An array as it was stored, and its conversions to what problems are made of.

use std::path::PathBuf;

use ndarray::{Array1, Array2, Array3, ArrayD, ShapeArg};

use crate::{DataError, Dtype, Element};

/// An n-dimensional array in the type it is stored in, in C order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Array {
    /// Truth values.
    Bool(ArrayD<bool>),
    /// Signed 8-bit integers.
    I8(ArrayD<i8>),
    /// Signed 16-bit integers.
    I16(ArrayD<i16>),
    /// Signed 32-bit integers.
    I32(ArrayD<i32>),
    /// Signed 64-bit integers.
    I64(ArrayD<i64>),
    /// Unsigned 8-bit integers.
    U8(ArrayD<u8>),
    /// Unsigned 16-bit integers.
    U16(ArrayD<u16>),
    /// Unsigned 32-bit integers.
    U32(ArrayD<u32>),
    /// Unsigned 64-bit integers.
    U64(ArrayD<u64>),
    /// Single precision.
    F32(ArrayD<f32>),
    /// Double precision.
    F64(ArrayD<f64>),
}

/// Runs one expression on whichever typed array is inside.
macro_rules! on_typed {
    ($array:expr, $a:ident => $body:expr) => {
        match $array {
            Array::Bool($a) => $body,
            Array::I8($a) => $body,
            Array::I16($a) => $body,
            Array::I32($a) => $body,
            Array::I64($a) => $body,
            Array::U8($a) => $body,
            Array::U16($a) => $body,
            Array::U32($a) => $body,
            Array::U64($a) => $body,
            Array::F32($a) => $body,
            Array::F64($a) => $body,
        }
    };
}

impl Array {
    /// The type of the elements.
    pub const fn dtype(&self) -> Dtype {
        match self {
            Self::Bool(_) => Dtype::Bool,
            Self::I8(_) => Dtype::I8,
            Self::I16(_) => Dtype::I16,
            Self::I32(_) => Dtype::I32,
            Self::I64(_) => Dtype::I64,
            Self::U8(_) => Dtype::U8,
            Self::U16(_) => Dtype::U16,
            Self::U32(_) => Dtype::U32,
            Self::U64(_) => Dtype::U64,
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
        }
    }

    /// The length of each axis; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        on_typed!(self, a => a.shape())
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        on_typed!(self, a => a.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers as `f64`. Doubles are moved, everything else is copied; integers beyond 2⁵³ are
    /// rounded to the nearest double, truth values become 0 and 1.
    pub fn into_f64(self) -> ArrayD<f64> {
        match self {
            Self::F64(a) => a,
            other => on_typed!(other, a => a.mapv(Element::as_f64)),
        }
    }
}

/// The array itself, or a transposed copy where it is in Fortran order.
pub(crate) fn in_c_order<T: Copy>(array: ArrayD<T>) -> ArrayD<T> {
    if array.is_standard_layout() {
        array
    } else {
        array.as_standard_layout().into_owned()
    }
}

/// An array together with the place it came from, so that a wrong shape is reported with its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The array as stored.
    pub array: Array,
    /// The file, or `archive.npz:key`.
    pub path: PathBuf,
}

impl Loaded {
    /// The type the file stores.
    pub const fn dtype(&self) -> Dtype {
        self.array.dtype()
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    /// A list of numbers, such as weights or potentials: shape `n`, `n×1` or `1×n`.
    ///
    /// # Errors
    /// [`Empty`](DataError::Empty) and [`WrongShape`](DataError::WrongShape).
    pub fn into_vector(self) -> Result<Array1<f64>, DataError> {
        let n = self.as_list("a list of n numbers")?;
        self.reshaped(n, "a list of n numbers")
    }

    /// A table of numbers, such as a cost or points in rows: shape `n×m`, or `n`, which becomes `n×1`.
    ///
    /// # Errors
    /// [`Empty`](DataError::Empty) and [`WrongShape`](DataError::WrongShape).
    pub fn into_matrix(self) -> Result<Array2<f64>, DataError> {
        self.check_not_empty()?;
        let shape = match *self.shape() {
            [n] => [n, 1],
            [n, m] => [n, m],
            _ => return Err(self.wrong_shape("an n×m matrix")),
        };
        self.reshaped(shape, "an n×m matrix")
    }

    /// The numbers of an array of any shape, in C order, such as an image's pixels as weights on a grid.
    ///
    /// # Errors
    /// [`Empty`](DataError::Empty).
    pub fn into_flat(self) -> Result<Array1<f64>, DataError> {
        self.check_not_empty()?;
        let len = self.array.len();
        self.reshaped(len, "numbers")
    }

    /// Grey images or a stack of matrices: shape `N×height×width`, or `height×width`, which becomes
    /// one image.
    ///
    /// # Errors
    /// [`Empty`](DataError::Empty) and [`WrongShape`](DataError::WrongShape).
    pub fn into_images(self) -> Result<Array3<f64>, DataError> {
        self.check_not_empty()?;
        let shape = match *self.shape() {
            [h, w] => [1, h, w],
            [n, h, w] => [n, h, w],
            _ => return Err(self.wrong_shape("N×height×width images")),
        };
        self.reshaped(shape, "N×height×width images")
    }

    /// Class labels: a list of whole numbers, in whatever type they are stored.
    ///
    /// # Errors
    /// [`Empty`](DataError::Empty), [`WrongShape`](DataError::WrongShape) and, for a fraction, NaN or a
    /// number that `i64` does not hold, [`NotAnInteger`](DataError::NotAnInteger).
    pub fn into_labels(self) -> Result<Array1<i64>, DataError> {
        self.as_list("a list of n labels")?;
        // Exact powers of two, so the comparison with the ends of i64's range is exact.
        const END: f64 = 9_223_372_036_854_775_808.0;
        let Self { array, path } = self;
        if let Array::I64(a) = array {
            return Ok(a.into_iter().collect());
        }
        array
            .into_f64()
            .into_iter()
            .enumerate()
            .map(|(index, value)| {
                if value.fract() == 0.0 && (-END..END).contains(&value) {
                    Ok(value as i64)
                } else {
                    Err(DataError::NotAnInteger {
                        path: path.clone(),
                        index,
                        value,
                    })
                }
            })
            .collect()
    }

    /// The number of elements of something that is a list; an error for anything else.
    fn as_list(&self, expected: &'static str) -> Result<usize, DataError> {
        self.check_not_empty()?;
        match *self.shape() {
            [n] | [n, 1] | [1, n] => Ok(n),
            _ => Err(self.wrong_shape(expected)),
        }
    }

    fn check_not_empty(&self) -> Result<(), DataError> {
        if self.array.is_empty() {
            return Err(DataError::Empty {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    fn wrong_shape(&self, expected: &'static str) -> DataError {
        DataError::WrongShape {
            path: self.path.clone(),
            shape: self.shape().to_vec(),
            expected,
        }
    }

    fn reshaped<S: ShapeArg>(
        self,
        shape: S,
        expected: &'static str,
    ) -> Result<ndarray::Array<f64, S::Dim>, DataError> {
        let wrong = self.wrong_shape(expected);
        let values = in_c_order(self.array.into_f64());
        values.into_shape_with_order(shape).map_err(|_| wrong)
    }
}
