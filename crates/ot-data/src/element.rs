//! The element types that arrays are stored in.

use std::fmt;

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

mod sealed {
    pub trait Sealed: npyz::Deserialize + npyz::AutoSerialize {}
}

/// A type that arrays on disk are made of: `bool`, the integers of 8 to 64 bits, `f32`, `f64`.
///
/// It is implemented for these types only.
pub trait Element: Copy + sealed::Sealed {
    /// The matching tag.
    const DTYPE: Dtype;
    /// The element as `f64`, rounded where it has more than 53 significant bits.
    fn as_f64(self) -> f64;
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
}
