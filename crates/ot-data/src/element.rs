//! The element types that arrays are stored in, and their bytes.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use crate::DataError;

/// The type that an array's elements are stored in.
///
/// A reader that turns everything into `f64` still needs it: masses that were stored as
/// [`F32`](Self::F32) balance to fewer digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// One byte, zero or not.
    Bool,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

impl Dtype {
    /// Bytes an element takes in a file.
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// NumPy's name of the type, such as `float64`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The order of the bytes of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

mod sealed {
    pub trait Sealed {}
}

/// A type that arrays on disk are made of: `bool`, the integers of 8 to 64 bits, `f32`, `f64`.
///
/// It is implemented for these types only.
pub trait Element: Copy + sealed::Sealed {
    /// The matching tag.
    const DTYPE: Dtype;
    /// The element as `f64`, rounded where it has more than 53 significant bits.
    fn as_f64(self) -> f64;
    #[doc(hidden)]
    fn decode(bytes: &[u8], big_endian: bool, out: &mut Vec<Self>);
    #[doc(hidden)]
    fn encode(values: &[Self], out: &mut Vec<u8>);
}

macro_rules! number {
    ($($t:ty => $tag:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: Dtype = Dtype::$tag;
            #[inline]
            fn as_f64(self) -> f64 {
                self as f64
            }
            fn decode(bytes: &[u8], big_endian: bool, out: &mut Vec<Self>) {
                let (words, _) = bytes.as_chunks::<{ size_of::<Self>() }>();
                if big_endian {
                    out.extend(words.iter().map(|w| Self::from_be_bytes(*w)));
                } else {
                    out.extend(words.iter().map(|w| Self::from_le_bytes(*w)));
                }
            }
            fn encode(values: &[Self], out: &mut Vec<u8>) {
                out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            }
        }
    )*};
}

number!(i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64,
        f32 => F32, f64 => F64);

impl sealed::Sealed for bool {}
impl Element for bool {
    const DTYPE: Dtype = Dtype::Bool;
    fn as_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn decode(bytes: &[u8], _: bool, out: &mut Vec<Self>) {
        out.extend(bytes.iter().map(|&b| b != 0));
    }
    fn encode(values: &[Self], out: &mut Vec<u8>) {
        out.extend(values.iter().map(|&v| u8::from(v)));
    }
}

/// Bytes decoded or encoded at a time: the buffer stays in the first-level cache's reach.
pub(crate) const CHUNK: usize = 1 << 16;

/// Reads `count` elements.
///
/// `available` is an upper bound on the bytes the source can still give, where one is known. Memory is
/// reserved for no more than that, so a header alone cannot make the reader allocate.
pub(crate) fn read_elements<T: Element>(
    source: &mut impl Read,
    count: usize,
    available: Option<u64>,
    endian: Endian,
    path: &Path,
) -> Result<Vec<T>, DataError> {
    let size = T::DTYPE.size();
    let too_large = || DataError::TooLarge {
        path: path.to_owned(),
        shape: vec![count as u64],
    };
    let total = count.checked_mul(size).ok_or_else(too_large)?;
    let sure = match available {
        Some(bytes) => count.min(usize::try_from(bytes).unwrap_or(usize::MAX) / size),
        None => count.min(CHUNK),
    };
    let mut values = Vec::new();
    values.try_reserve_exact(sure).map_err(|_| too_large())?;

    let mut buffer = vec![0_u8; CHUNK.min(total)];
    let mut done = 0;
    while done < total {
        let want = (total - done).min(CHUNK);
        let got = read_full(source, &mut buffer[..want])
            .map_err(|source| DataError::io(path, "read", source))?;
        done += got;
        if got < want {
            return Err(DataError::Truncated {
                path: path.to_owned(),
                what: "numbers",
                expected: total as u64,
                found: done as u64,
            });
        }
        values.try_reserve(want / size).map_err(|_| too_large())?;
        T::decode(&buffer[..want], endian == Endian::Big, &mut values);
    }
    Ok(values)
}

/// Fills the buffer as far as the source goes, and says how far that was.
pub(crate) fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
