//! The number types that networks compute in.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use ot_kernels::Elem;
use safetensors::Dtype;

/// `f64` or `f32`.
///
/// f64 is the default everywhere. f32 takes about half of the time and of the memory; sums over many terms (losses, norms)
/// are in f64 for both.
pub trait Number:
    Elem
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
    + Default
    + Debug
    + Display
    + Unpin
{
    /// How checkpoints name the type.
    #[doc(hidden)]
    const STORED: Dtype;
    /// e^x.
    #[must_use]
    fn exp(self) -> Self;
    /// Neither NaN nor infinite.
    #[must_use]
    fn is_finite(self) -> bool;
    /// In f64.
    #[must_use]
    fn wide(self) -> f64 {
        self.into()
    }
    #[doc(hidden)]
    fn append(self, bytes: &mut Vec<u8>);
    /// From as many bytes as it takes.
    #[doc(hidden)]
    fn parse(bytes: &[u8]) -> Option<Self>;
}

macro_rules! number {
    ($type:ty, $stored:expr) => {
        impl Number for $type {
            const STORED: Dtype = $stored;
            #[inline]
            fn exp(self) -> Self {
                self.exp()
            }
            #[inline]
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn parse(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_le_bytes)
            }
        }
    };
}

number!(f64, Dtype::F64);
number!(f32, Dtype::F32);
