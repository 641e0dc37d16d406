//! 256-bit registers: 4 lanes of f64, 8 of f32.

use super::{Backend, Lanes, Lanes64};
use core::arch::x86_64::*;

/// AVX2 and FMA.
pub(crate) enum Avx2 {}

impl Backend for Avx2 {
    type D = F64x4;
    type S = F32x8;
    #[inline(always)]
    fn prefetch<T>(p: *const T) {
        // SAFETY: a prefetch never faults, and every x86-64 machine has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) };
    }
    #[inline(always)]
    fn prefetch_outer<T>(p: *const T) {
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }
}

#[derive(Clone, Copy)]
pub(crate) struct F64x4(__m256d);

#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

macro_rules! op {
    ($e:expr) => {{
        // SAFETY: the contract of `Lanes`: the instruction set is there, pointers are valid; masked loads
        // and stores touch only the lanes of the mask.
        unsafe { $e }
    }};
}

// A window into ones followed by zeros is the mask of the first n lanes.
static MASK64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
static MASK32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The first `n ≤ 4` lanes of 64 bits.
#[inline(always)]
unsafe fn mask64(n: usize) -> __m256i {
    debug_assert!(n <= 4);
    // SAFETY: n ≤ 4, so that the window of 4 starts at 4 − n ≥ 0 and ends within 8.
    unsafe { _mm256_loadu_si256(MASK64.as_ptr().add(4 - n).cast()) }
}

/// The first `n ≤ 8` lanes of 32 bits.
#[inline(always)]
unsafe fn mask32(n: usize) -> __m256i {
    debug_assert!(n <= 8);
    // SAFETY: n ≤ 8, so that the window of 8 starts at 8 − n ≥ 0 and ends within 16.
    unsafe { _mm256_loadu_si256(MASK32.as_ptr().add(8 - n).cast()) }
}

/// The first `n ≤ 4` lanes of 32 bits.
#[inline(always)]
unsafe fn mask32x4(n: usize) -> __m128i {
    debug_assert!(n <= 4);
    // SAFETY: n ≤ 4, so that the window of 4 lies within the ones and zeros around index 8.
    unsafe { _mm_loadu_si128(MASK32.as_ptr().add(8 - n).cast()) }
}

/// The four lanes, added in the order of `Lanes::sum`.
///
/// # Safety
/// AVX2 is available.
#[inline(always)]
pub(super) unsafe fn sum_pd(x: __m256d) -> f64 {
    op!({
        let pair = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)))
    })
}

/// The sum of all lanes, halves first.
///
/// # Safety
/// AVX2 is available.
#[inline(always)]
pub(super) unsafe fn sum_ps(x: __m256) -> f32 {
    op!({
        let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    })
}

impl Lanes for F64x4 {
    type E = f64;
    type M = __m256d;
    const N: usize = 4;
    const FUSED: bool = true;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        Self(op!(_mm256_set1_pd(x)))
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        Self(op!(_mm256_loadu_pd(p)))
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f64, n: usize, fill: f64) -> Self {
        op!({
            let mask = mask64(n);
            let v = _mm256_maskload_pd(p, mask);
            Self(_mm256_blendv_pd(
                _mm256_set1_pd(fill),
                v,
                _mm256_castsi256_pd(mask),
            ))
        })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        op!(_mm256_storeu_pd(p, self.0));
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f64, n: usize) {
        op!(_mm256_maskstore_pd(p, mask64(n), self.0));
    }
    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        Self(op!(_mm256_add_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn sub(self, o: Self) -> Self {
        Self(op!(_mm256_sub_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn mul(self, o: Self) -> Self {
        Self(op!(_mm256_mul_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn div(self, o: Self) -> Self {
        Self(op!(_mm256_div_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(op!(_mm256_sqrt_pd(self.0)))
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(op!(_mm256_andnot_pd(_mm256_set1_pd(-0.0), self.0)))
    }
    #[inline(always)]
    unsafe fn min(self, o: Self) -> Self {
        Self(op!(_mm256_min_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        Self(op!(_mm256_max_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn fma(self, m: Self, a: Self) -> Self {
        Self(op!(_mm256_fmadd_pd(self.0, m.0, a.0)))
    }
    #[inline(always)]
    unsafe fn fnma(self, m: Self, a: Self) -> Self {
        Self(op!(_mm256_fnmadd_pd(self.0, m.0, a.0)))
    }
    #[inline(always)]
    unsafe fn lt(self, o: Self) -> __m256d {
        op!(_mm256_cmp_pd::<_CMP_LT_OQ>(self.0, o.0))
    }
    #[inline(always)]
    unsafe fn not_le(self, o: Self) -> __m256d {
        op!(_mm256_cmp_pd::<_CMP_NLE_UQ>(self.0, o.0))
    }
    #[inline(always)]
    unsafe fn bits(m: __m256d) -> u32 {
        op!(_mm256_movemask_pd(m)) as u32
    }
    #[inline(always)]
    unsafe fn select(m: __m256d, yes: Self, no: Self) -> Self {
        Self(op!(_mm256_blendv_pd(no.0, yes.0, m)))
    }
    #[inline(always)]
    unsafe fn add_exponent(self, t: Self) -> Self {
        Self(op!(_mm256_castsi256_pd(_mm256_add_epi64(
            _mm256_castpd_si256(self.0),
            _mm256_slli_epi64::<52>(_mm256_castpd_si256(t.0)),
        ))))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        op!(sum_pd(self.0))
    }
}

impl Lanes64 for F64x4 {
    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> Self {
        Self(op!(_mm256_cvtps_pd(_mm_loadu_ps(p))))
    }
    #[inline(always)]
    unsafe fn load_f32_part(p: *const f32, n: usize, fill: f32) -> Self {
        op!({
            let mask = mask32x4(n);
            let v = _mm_maskload_ps(p, mask);
            Self(_mm256_cvtps_pd(_mm_blendv_ps(
                _mm_set1_ps(fill),
                v,
                _mm_castsi128_ps(mask),
            )))
        })
    }
    #[inline(always)]
    unsafe fn store_f32(self, p: *mut f32) {
        op!(_mm_storeu_ps(p, _mm256_cvtpd_ps(self.0)));
    }
    #[inline(always)]
    unsafe fn store_f32_part(self, p: *mut f32, n: usize) {
        op!(_mm_maskstore_ps(p, mask32x4(n), _mm256_cvtpd_ps(self.0)));
    }
}

impl Lanes for F32x8 {
    type E = f32;
    type M = __m256;
    const N: usize = 8;
    const FUSED: bool = true;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self(op!(_mm256_set1_ps(x)))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Self(op!(_mm256_loadu_ps(p)))
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize, fill: f32) -> Self {
        op!({
            let mask = mask32(n);
            let v = _mm256_maskload_ps(p, mask);
            Self(_mm256_blendv_ps(
                _mm256_set1_ps(fill),
                v,
                _mm256_castsi256_ps(mask),
            ))
        })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        op!(_mm256_storeu_ps(p, self.0));
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        op!(_mm256_maskstore_ps(p, mask32(n), self.0));
    }
    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        Self(op!(_mm256_add_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn sub(self, o: Self) -> Self {
        Self(op!(_mm256_sub_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn mul(self, o: Self) -> Self {
        Self(op!(_mm256_mul_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn div(self, o: Self) -> Self {
        Self(op!(_mm256_div_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(op!(_mm256_sqrt_ps(self.0)))
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(op!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0)))
    }
    #[inline(always)]
    unsafe fn min(self, o: Self) -> Self {
        Self(op!(_mm256_min_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        Self(op!(_mm256_max_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn fma(self, m: Self, a: Self) -> Self {
        Self(op!(_mm256_fmadd_ps(self.0, m.0, a.0)))
    }
    #[inline(always)]
    unsafe fn fnma(self, m: Self, a: Self) -> Self {
        Self(op!(_mm256_fnmadd_ps(self.0, m.0, a.0)))
    }
    #[inline(always)]
    unsafe fn lt(self, o: Self) -> __m256 {
        op!(_mm256_cmp_ps::<_CMP_LT_OQ>(self.0, o.0))
    }
    #[inline(always)]
    unsafe fn not_le(self, o: Self) -> __m256 {
        op!(_mm256_cmp_ps::<_CMP_NLE_UQ>(self.0, o.0))
    }
    #[inline(always)]
    unsafe fn bits(m: __m256) -> u32 {
        op!(_mm256_movemask_ps(m)) as u32
    }
    #[inline(always)]
    unsafe fn select(m: __m256, yes: Self, no: Self) -> Self {
        Self(op!(_mm256_blendv_ps(no.0, yes.0, m)))
    }
    #[inline(always)]
    unsafe fn add_exponent(self, t: Self) -> Self {
        Self(op!(_mm256_castsi256_ps(_mm256_add_epi32(
            _mm256_castps_si256(self.0),
            _mm256_slli_epi32::<23>(_mm256_castps_si256(t.0)),
        ))))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        op!(sum_ps(self.0))
    }
    /// By halves of ever larger parts, two registers at a time: 21 instructions instead of 48.
    #[inline(always)]
    unsafe fn sum_rows(x: &[Self; 16]) -> Self {
        // A macro: closures would be compiled without the instruction set where they are not inlined.
        macro_rules! four {
            ($k:expr) => {
                _mm256_hadd_ps(
                    _mm256_hadd_ps(x[$k].0, x[$k + 1].0),
                    _mm256_hadd_ps(x[$k + 2].0, x[$k + 3].0),
                )
            };
        }
        Self(op!({
            let (first, last) = (four!(0), four!(4));
            _mm256_add_ps(
                _mm256_permute2f128_ps::<0x20>(first, last),
                _mm256_permute2f128_ps::<0x31>(first, last),
            )
        }))
    }
}
