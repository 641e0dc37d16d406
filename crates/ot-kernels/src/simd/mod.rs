//! The vector types that kernels are written against, once for all instruction sets.
//!
//! A kernel is a struct of its arguments with one generic method, [`Kernel::run`]; [`run`] instantiates it
//! inside a function that has the instruction set enabled, and everything is inlined there. The methods are
//! `unsafe` for two reasons only: the instruction set must be there, and pointers must be valid. [`run`]
//! settles the first; each kernel states how it settles the second.
//!
//! Registers must not pass through closures of the standard library (`array::map`, `from_fn`): those are
//! compiled without the instruction set where they are not inlined, and then cost a hundred times more.

mod portable;
mod scalar;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

pub(crate) use scalar::Scalar;

use crate::dispatch::Isa;

/// One SIMD register, or as many scalars as the portable path handles at a time.
///
/// # Safety
/// All methods: the instruction set of the type is available. `load*` and `store*`: the pointer is valid for
/// [`Lanes::N`] elements, or for the `n` given; no alignment is needed.
pub trait Lanes: Copy {
    /// What a lane holds.
    type E: Elem;
    /// The outcome of a comparison, lane by lane.
    type M: Copy;
    /// Lanes in a register.
    const N: usize;
    /// Whether `fma` rounds once.
    const FUSED: bool;

    unsafe fn splat(x: Self::E) -> Self;
    unsafe fn load(p: *const Self::E) -> Self;
    /// The first `n ≤ N` lanes from memory, the others `fill`.
    unsafe fn load_part(p: *const Self::E, n: usize, fill: Self::E) -> Self;
    unsafe fn store(self, p: *mut Self::E);
    /// Only the first `n ≤ N` lanes.
    unsafe fn store_part(self, p: *mut Self::E, n: usize);
    unsafe fn add(self, o: Self) -> Self;
    unsafe fn sub(self, o: Self) -> Self;
    unsafe fn mul(self, o: Self) -> Self;
    unsafe fn div(self, o: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    unsafe fn abs(self) -> Self;
    /// `self < o ? self : o`: the second operand where either is NaN.
    unsafe fn min(self, o: Self) -> Self;
    /// `self > o ? self : o`: the second operand where either is NaN.
    unsafe fn max(self, o: Self) -> Self;
    /// `self · m + a`; rounded once where the instruction set can, twice on the portable path.
    unsafe fn fma(self, m: Self, a: Self) -> Self;
    /// `a − self · m`, rounded like [`Lanes::fma`].
    unsafe fn fnma(self, m: Self, a: Self) -> Self;
    /// `self < o`, false where either is NaN.
    unsafe fn lt(self, o: Self) -> Self::M;
    /// `!(self <= o)`, true where either is NaN.
    unsafe fn not_le(self, o: Self) -> Self::M;
    unsafe fn select(m: Self::M, yes: Self, no: Self) -> Self;
    /// The outcomes as bits, the first lane's lowest.
    unsafe fn bits(m: Self::M) -> u32;
    /// `self · 2^n` for the integer n held in the lowest bits of `t = n + 1.5·2^(mantissa bits)`, by adding
    /// to the exponent field: right only while both `self` and the result are normal.
    unsafe fn add_exponent(self, t: Self) -> Self;
    /// `f` of each lane.
    #[inline(always)]
    unsafe fn map(self, f: impl Fn(Self::E) -> Self::E) -> Self {
        let mut lanes = [Self::E::ZERO; 16];
        // SAFETY: the array holds 16 elements, no register has more lanes.
        unsafe {
            self.store(lanes.as_mut_ptr());
            for x in &mut lanes[..Self::N] {
                *x = f(*x);
            }
            Self::load(lanes.as_ptr())
        }
    }
    /// The largest lane; a NaN may be passed over.
    #[inline(always)]
    unsafe fn largest(self) -> Self::E {
        let mut lanes = [Self::E::ZERO; 16];
        // SAFETY: the array holds 16 elements, no register has more lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut found = lanes[0];
        for &x in &lanes[1..Self::N] {
            if x > found {
                found = x;
            }
        }
        found
    }
    /// The smallest lane; a NaN may be passed over.
    #[inline(always)]
    unsafe fn smallest(self) -> Self::E {
        let mut lanes = [Self::E::ZERO; 16];
        // SAFETY: the array holds 16 elements, no register has more lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut found = lanes[0];
        for &x in &lanes[1..Self::N] {
            if x < found {
                found = x;
            }
        }
        found
    }
    /// The sum of all lanes.
    #[inline(always)]
    unsafe fn sum(self) -> Self::E {
        // A fixed tree of halves: the same order on every call.
        let mut lanes = [Self::E::ZERO; 16];
        // SAFETY: the array holds 16 elements, no register has more lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut width = Self::N / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] = lanes[lane].plus(lanes[lane + width]);
            }
            width /= 2;
        }
        lanes[0]
    }
    /// The sums of the first [`Lanes::N`] registers, one in each lane.
    #[inline(always)]
    unsafe fn sum_rows(x: &[Self; 16]) -> Self {
        let mut sums = [Self::E::ZERO; 16];
        for r in 0..Self::N {
            // SAFETY: the caller's promise.
            sums[r] = unsafe { x[r].sum() };
        }
        // SAFETY: the array holds 16 elements, no register has more lanes.
        unsafe { Self::load(sums.as_ptr()) }
    }
    /// A square of [`Lanes::N`] rows and columns, turned: entry (r, c) of `from` goes to (c, r) of `to`, with rows
    /// so many elements apart.
    #[inline(always)]
    unsafe fn transpose(from: *const Self::E, apart: usize, to: *mut Self::E, to_apart: usize) {
        for r in 0..Self::N {
            for c in 0..Self::N {
                // SAFETY: the caller's promise: both pointers are valid for the square.
                unsafe { *to.add(c * to_apart + r) = *from.add(r * apart + c) };
            }
        }
    }
    /// The sum of each of eight registers.
    #[inline(always)]
    unsafe fn sum_each(x: [Self; 8]) -> [Self::E; 8] {
        let mut sums = [Self::E::ZERO; 8];
        for r in 0..8 {
            // SAFETY: the caller's promise.
            sums[r] = unsafe { x[r].sum() };
        }
        sums
    }
}

/// A register of f64 that also reads and writes f32 memory.
pub trait Lanes64: Lanes<E = f64> {
    unsafe fn load_f32(p: *const f32) -> Self;
    unsafe fn load_f32_part(p: *const f32, n: usize, fill: f32) -> Self;
    unsafe fn store_f32(self, p: *mut f32);
    unsafe fn store_f32_part(self, p: *mut f32, n: usize);
}

/// The registers of one instruction set.
pub trait Backend {
    type D: Lanes64;
    type S: Lanes<E = f32>;
    /// Asks for the cache line of `p`, which may point anywhere. Nothing on the portable path.
    fn prefetch<T>(p: *const T);
    /// The same, but no nearer than the second-level cache.
    fn prefetch_outer<T>(p: *const T);
}

/// The number types that the kernels compute in or read from memory: `f64` and `f32`.
pub trait Elem:
    Copy + Send + Sync + PartialOrd + core::fmt::Debug + Into<f64> + sealed::Sealed + 'static
{
    /// Zero.
    const ZERO: Self;
    /// Positive infinity.
    const INFINITY: Self;
    #[doc(hidden)]
    const EXP: ExpConstants<Self>;
    /// tanh(x)/x in x², for |x| ≤ 0.55, highest power first.
    #[doc(hidden)]
    const TANH: &'static [Self];
    /// Rounds from f64.
    #[must_use]
    fn from_f64(x: f64) -> Self;
    #[doc(hidden)]
    #[must_use]
    fn plus(self, o: Self) -> Self;
    #[doc(hidden)]
    #[must_use]
    fn minus(self, o: Self) -> Self;
    #[doc(hidden)]
    #[must_use]
    fn times(self, o: Self) -> Self;
    #[doc(hidden)]
    #[must_use]
    fn over(self, o: Self) -> Self;
    #[doc(hidden)]
    #[must_use]
    fn root(self) -> Self;
    #[doc(hidden)]
    #[must_use]
    fn magnitude(self) -> Self;
    #[doc(hidden)]
    #[must_use]
    fn powf(self, p: f64) -> Self;
    #[doc(hidden)]
    #[must_use]
    fn add_exponent(self, t: Self) -> Self;
}

pub(crate) mod sealed {
    use super::{Backend, Lanes, Lanes64};

    /// What of an element only this crate may see: its register, and how it is read as f64.
    pub trait Sealed: Sized + crate::gemm::Product {
        type V<B: Backend>: Lanes<E = Self>
        where
            Self: super::Elem;
        unsafe fn load64<D: Lanes64>(p: *const Self) -> D;
        unsafe fn load64_part<D: Lanes64>(p: *const Self, n: usize, fill: Self) -> D;
        unsafe fn store64<D: Lanes64>(v: D, p: *mut Self);
        unsafe fn store64_part<D: Lanes64>(v: D, p: *mut Self, n: usize);
    }
}

/// Constants of [`crate::exp`]: range reduction and polynomial, highest power first.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct ExpConstants<E: 'static> {
    pub log2e: E,
    pub magic: E,
    pub ln2_hi: E,
    pub ln2_lo: E,
    /// Below it the result is smaller than the smallest normal number, and becomes 0.
    pub lowest: E,
    /// Above it the result is ∞.
    pub highest: E,
    pub huge: E,
    pub poly: &'static [E],
    /// 2^r on |r| ≤ 1/2 with the least relative error, highest power first: 7.5e-8 in f32, 2.1e-16 in f64.
    pub poly2: &'static [E],
    /// Exponents of 2 between these give normal numbers.
    pub lowest2: E,
    pub highest2: E,
}

impl Elem for f64 {
    const ZERO: Self = 0.0;
    const INFINITY: Self = Self::INFINITY;
    // (e^r − 1 − r)/r² on |r| ≤ ln2/2 by Chebyshev interpolation, then two ones: relative error 1.7e-17.
    const EXP: ExpConstants<Self> = ExpConstants {
        log2e: core::f64::consts::LOG2_E,
        magic: 6_755_399_441_055_744.0,
        ln2_hi: 6.931_471_803_691_238e-1,
        ln2_lo: 1.908_214_929_270_587_7e-10,
        lowest: -708.396_418_532_264_1,
        highest: 709.782_712_893_384,
        huge: 1e308,
        poly: &[
            2.510_042_415_700_506_7e-8,
            2.762_013_871_973_399_4e-7,
            2.755_726_837_868_419_2e-6,
            2.480_152_119_021_773e-5,
            1.984_126_986_310_596_8e-4,
            1.388_888_891_728_179_4e-3,
            8.333_333_333_330_051e-3,
            4.166_666_666_662_399e-2,
            1.666_666_666_666_666_9e-1,
            0.500_000_000_000_000_1,
            1.0,
            1.0,
        ],
        poly2: &[
            7.037_278_846_726_901e-9,
            1.020_853_792_965_740_4e-7,
            1.321_566_283_595_923_8e-6,
            1.525_265_811_640_985_4e-5,
            1.540_352_995_096_112_7e-4,
            1.333_355_822_856_176_7e-3,
            9.618_129_108_034_596e-3,
            5.550_410_866_445_883e-2,
            0.240_226_506_959_087_68,
            0.693_147_180_559_949_7,
            1.0,
        ],
        lowest2: -1021.0,
        highest2: 1022.0,
    };
    // Chebyshev interpolation, relative error 1.9e-17.
    const TANH: &'static [Self] = &[
        5.083_528_596_084_721_6e-5,
        -2.100_082_475_863_978e-4,
        5.789_380_196_782_707e-4,
        -1.453_141_492_784_413_4e-3,
        3.591_702_269_362_703e-3,
        -8.863_191_960_821_125e-3,
        2.186_948_574_284_041_5e-2,
        -5.396_825_386_341_838_6e-2,
        0.133_333_333_331_310_17,
        -0.333_333_333_333_318_05,
        1.0,
    ];
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn plus(self, o: Self) -> Self {
        self + o
    }
    #[inline(always)]
    fn minus(self, o: Self) -> Self {
        self - o
    }
    #[inline(always)]
    fn times(self, o: Self) -> Self {
        self * o
    }
    #[inline(always)]
    fn over(self, o: Self) -> Self {
        self / o
    }
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn powf(self, p: f64) -> Self {
        Self::powf(self, p)
    }
    #[inline(always)]
    fn add_exponent(self, t: Self) -> Self {
        Self::from_bits(self.to_bits().wrapping_add(t.to_bits() << 52))
    }
}

impl Elem for f32 {
    const ZERO: Self = 0.0;
    const INFINITY: Self = Self::INFINITY;
    // Degree 6, relative error 1.1e-8 before rounding.
    const EXP: ExpConstants<Self> = ExpConstants {
        log2e: core::f32::consts::LOG2_E,
        magic: 12_582_912.0,
        ln2_hi: 0.693_359_4, // 355/512, nine bits
        ln2_lo: -2.121_944_4e-4,
        lowest: -87.336_54,
        highest: 88.722_83,
        huge: 1e38,
        poly: &[
            1.392_621_3e-3,
            8.363_203e-3,
            4.166_655_6e-2,
            0.166_665_76,
            0.5,
            1.0,
            1.0,
        ],
        poly2: &[
            1.327_647_2e-3,
            9.675_542e-3,
            5.550_713_3e-2,
            0.240_221_2,
            0.693_146_97,
            1.000_000_1,
        ],
        lowest2: -125.0,
        highest2: 126.0,
    };
    // Relative error 9.4e-10 before rounding.
    const TANH: &'static [Self] = &[
        -6.233_633_5e-3,
        2.103_821_5e-2,
        -5.384_232e-2,
        0.133_324_57,
        -0.333_333_1,
        1.0,
    ];
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn from_f64(x: f64) -> Self {
        x as Self
    }
    #[inline(always)]
    fn plus(self, o: Self) -> Self {
        self + o
    }
    #[inline(always)]
    fn minus(self, o: Self) -> Self {
        self - o
    }
    #[inline(always)]
    fn times(self, o: Self) -> Self {
        self * o
    }
    #[inline(always)]
    fn over(self, o: Self) -> Self {
        self / o
    }
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn powf(self, p: f64) -> Self {
        Self::powf(self, p as Self)
    }
    #[inline(always)]
    fn add_exponent(self, t: Self) -> Self {
        Self::from_bits(self.to_bits().wrapping_add(t.to_bits() << 23))
    }
}

impl sealed::Sealed for f64 {
    type V<B: Backend> = B::D;
    #[inline(always)]
    unsafe fn load64<D: Lanes64>(p: *const Self) -> D {
        // SAFETY: the caller's promise.
        unsafe { D::load(p) }
    }
    #[inline(always)]
    unsafe fn load64_part<D: Lanes64>(p: *const Self, n: usize, fill: Self) -> D {
        // SAFETY: the caller's promise.
        unsafe { D::load_part(p, n, fill) }
    }
    #[inline(always)]
    unsafe fn store64<D: Lanes64>(v: D, p: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { v.store(p) }
    }
    #[inline(always)]
    unsafe fn store64_part<D: Lanes64>(v: D, p: *mut Self, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { v.store_part(p, n) }
    }
}

impl sealed::Sealed for f32 {
    type V<B: Backend> = B::S;
    #[inline(always)]
    unsafe fn load64<D: Lanes64>(p: *const Self) -> D {
        // SAFETY: the caller's promise.
        unsafe { D::load_f32(p) }
    }
    #[inline(always)]
    unsafe fn load64_part<D: Lanes64>(p: *const Self, n: usize, fill: Self) -> D {
        // SAFETY: the caller's promise.
        unsafe { D::load_f32_part(p, n, fill) }
    }
    #[inline(always)]
    unsafe fn store64<D: Lanes64>(v: D, p: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { v.store_f32(p) }
    }
    #[inline(always)]
    unsafe fn store64_part<D: Lanes64>(v: D, p: *mut Self, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { v.store_f32_part(p, n) }
    }
}

/// A computation that is compiled once for each instruction set.
pub(crate) trait Kernel {
    type Out;
    /// # Safety
    /// The instruction set of `B` is available. Implementations must be `#[inline(always)]`.
    unsafe fn run<B: Backend>(self) -> Self::Out;
}

/// Runs a kernel on `isa`, or on the widest available instruction set below it.
#[inline]
pub(crate) fn run<K: Kernel>(isa: Isa, kernel: K) -> K::Out {
    match isa.or_available() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `or_available` returned it, so this machine has the features.
        Isa::Avx512 => unsafe { run_avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { run_avx2(kernel) },
        // SAFETY: the portable path needs nothing.
        _ => unsafe { kernel.run::<portable::Portable>() },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Out {
    // SAFETY: the features are enabled here, and the caller has checked them.
    unsafe { kernel.run::<avx512::Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Out {
    // SAFETY: the features are enabled here, and the caller has checked them.
    unsafe { kernel.run::<avx2::Avx2>() }
}
