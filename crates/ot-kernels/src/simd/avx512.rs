//! 512-bit registers: 8 lanes of f64, 16 of f32.

use super::avx2::{sum_pd, sum_ps};
use super::{Backend, Lanes, Lanes64};
use core::arch::x86_64::*;

/// AVX-512 F, DQ, VL and BW.
pub(crate) enum Avx512 {}

impl Backend for Avx512 {
    type D = F64x8;
    type S = F32x16;
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
pub(crate) struct F64x8(__m512d);

#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

// SAFETY of every block below: the trait's contract gives the instruction set and valid pointers; masked
// loads and stores touch only the lanes of the mask.
macro_rules! op {
    ($e:expr) => {{
        // SAFETY: the contract of `Lanes`.
        unsafe { $e }
    }};
}

#[inline(always)]
fn mask8(n: usize) -> __mmask8 {
    ((1_u32 << n) - 1) as __mmask8
}

#[inline(always)]
fn mask16(n: usize) -> __mmask16 {
    ((1_u32 << n) - 1) as __mmask16
}

impl Lanes for F64x8 {
    type E = f64;
    type M = __mmask8;
    const N: usize = 8;
    const FUSED: bool = true;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        Self(op!(_mm512_set1_pd(x)))
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        Self(op!(_mm512_loadu_pd(p)))
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f64, n: usize, fill: f64) -> Self {
        Self(op!(_mm512_mask_loadu_pd(_mm512_set1_pd(fill), mask8(n), p)))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        op!(_mm512_storeu_pd(p, self.0));
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f64, n: usize) {
        op!(_mm512_mask_storeu_pd(p, mask8(n), self.0));
    }
    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        Self(op!(_mm512_add_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn sub(self, o: Self) -> Self {
        Self(op!(_mm512_sub_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn mul(self, o: Self) -> Self {
        Self(op!(_mm512_mul_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn div(self, o: Self) -> Self {
        Self(op!(_mm512_div_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(op!(_mm512_sqrt_pd(self.0)))
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(op!(_mm512_abs_pd(self.0)))
    }
    #[inline(always)]
    unsafe fn min(self, o: Self) -> Self {
        Self(op!(_mm512_min_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        Self(op!(_mm512_max_pd(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn fma(self, m: Self, a: Self) -> Self {
        Self(op!(_mm512_fmadd_pd(self.0, m.0, a.0)))
    }
    #[inline(always)]
    unsafe fn fnma(self, m: Self, a: Self) -> Self {
        Self(op!(_mm512_fnmadd_pd(self.0, m.0, a.0)))
    }
    #[inline(always)]
    unsafe fn lt(self, o: Self) -> __mmask8 {
        op!(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, o.0))
    }
    #[inline(always)]
    unsafe fn not_le(self, o: Self) -> __mmask8 {
        op!(_mm512_cmp_pd_mask::<_CMP_NLE_UQ>(self.0, o.0))
    }
    #[inline(always)]
    unsafe fn bits(m: __mmask8) -> u32 {
        u32::from(m)
    }
    #[inline(always)]
    unsafe fn smallest(self) -> f64 {
        op!(_mm512_reduce_min_pd(self.0))
    }
    #[inline(always)]
    unsafe fn select(m: __mmask8, yes: Self, no: Self) -> Self {
        Self(op!(_mm512_mask_blend_pd(m, no.0, yes.0)))
    }
    #[inline(always)]
    unsafe fn add_exponent(self, t: Self) -> Self {
        Self(op!(_mm512_castsi512_pd(_mm512_add_epi64(
            _mm512_castpd_si512(self.0),
            _mm512_slli_epi64::<52>(_mm512_castpd_si512(t.0)),
        ))))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        op!({
            let high = _mm512_extractf64x4_pd::<1>(self.0);
            sum_pd(_mm256_add_pd(_mm512_castpd512_pd256(self.0), high))
        })
    }
    /// By halves of 128 bits, two registers at a time: 21 instructions instead of 56.
    #[inline(always)]
    unsafe fn sum_each(x: [Self; 8]) -> [f64; 8] {
        // Macros: closures would be compiled without the instruction set where they are not inlined.
        macro_rules! pair {
            ($x:expr, $y:expr) => {
                _mm512_add_pd(_mm512_unpacklo_pd($x, $y), _mm512_unpackhi_pd($x, $y))
            };
        }
        macro_rules! join {
            ($x:expr, $y:expr) => {
                _mm512_add_pd(
                    _mm512_shuffle_f64x2::<0x88>($x, $y),
                    _mm512_shuffle_f64x2::<0xdd>($x, $y),
                )
            };
        }
        let mut sums = [0.0; 8];
        op!({
            let first = (pair!(x[0].0, x[1].0), pair!(x[2].0, x[3].0));
            let last = (pair!(x[4].0, x[5].0), pair!(x[6].0, x[7].0));
            let (first, last) = (join!(first.0, first.1), join!(last.0, last.1));
            _mm512_storeu_pd(sums.as_mut_ptr(), join!(first, last));
        });
        sums
    }
}

impl Lanes64 for F64x8 {
    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> Self {
        Self(op!(_mm512_cvtps_pd(_mm256_loadu_ps(p))))
    }
    #[inline(always)]
    unsafe fn load_f32_part(p: *const f32, n: usize, fill: f32) -> Self {
        Self(op!(_mm512_cvtps_pd(_mm256_mask_loadu_ps(
            _mm256_set1_ps(fill),
            mask8(n),
            p
        ))))
    }
    #[inline(always)]
    unsafe fn store_f32(self, p: *mut f32) {
        op!(_mm256_storeu_ps(p, _mm512_cvtpd_ps(self.0)));
    }
    #[inline(always)]
    unsafe fn store_f32_part(self, p: *mut f32, n: usize) {
        op!(_mm256_mask_storeu_ps(p, mask8(n), _mm512_cvtpd_ps(self.0)));
    }
}

impl Lanes for F32x16 {
    type E = f32;
    type M = __mmask16;
    const N: usize = 16;
    const FUSED: bool = true;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self(op!(_mm512_set1_ps(x)))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Self(op!(_mm512_loadu_ps(p)))
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize, fill: f32) -> Self {
        Self(op!(_mm512_mask_loadu_ps(
            _mm512_set1_ps(fill),
            mask16(n),
            p
        )))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        op!(_mm512_storeu_ps(p, self.0));
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        op!(_mm512_mask_storeu_ps(p, mask16(n), self.0));
    }
    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        Self(op!(_mm512_add_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn sub(self, o: Self) -> Self {
        Self(op!(_mm512_sub_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn mul(self, o: Self) -> Self {
        Self(op!(_mm512_mul_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn div(self, o: Self) -> Self {
        Self(op!(_mm512_div_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(op!(_mm512_sqrt_ps(self.0)))
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(op!(_mm512_abs_ps(self.0)))
    }
    #[inline(always)]
    unsafe fn min(self, o: Self) -> Self {
        Self(op!(_mm512_min_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        Self(op!(_mm512_max_ps(self.0, o.0)))
    }
    #[inline(always)]
    unsafe fn fma(self, m: Self, a: Self) -> Self {
        Self(op!(_mm512_fmadd_ps(self.0, m.0, a.0)))
    }
    #[inline(always)]
    unsafe fn fnma(self, m: Self, a: Self) -> Self {
        Self(op!(_mm512_fnmadd_ps(self.0, m.0, a.0)))
    }
    #[inline(always)]
    unsafe fn lt(self, o: Self) -> __mmask16 {
        op!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, o.0))
    }
    #[inline(always)]
    unsafe fn not_le(self, o: Self) -> __mmask16 {
        op!(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(self.0, o.0))
    }
    #[inline(always)]
    unsafe fn bits(m: __mmask16) -> u32 {
        u32::from(m)
    }
    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        op!(_mm512_reduce_max_ps(self.0))
    }
    #[inline(always)]
    unsafe fn select(m: __mmask16, yes: Self, no: Self) -> Self {
        Self(op!(_mm512_mask_blend_ps(m, no.0, yes.0)))
    }
    #[inline(always)]
    unsafe fn add_exponent(self, t: Self) -> Self {
        Self(op!(_mm512_castsi512_ps(_mm512_add_epi32(
            _mm512_castps_si512(self.0),
            _mm512_slli_epi32::<23>(_mm512_castps_si512(t.0)),
        ))))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        op!({
            let high = _mm512_extractf32x8_ps::<1>(self.0);
            sum_ps(_mm256_add_ps(_mm512_castps512_ps256(self.0), high))
        })
    }
    /// By halves of ever larger parts, two registers at a time: 45 instructions instead of 144.
    #[inline(always)]
    unsafe fn sum_rows(x: &[Self; 16]) -> Self {
        // Macros: closures would be compiled without the instruction set where they are not inlined.
        macro_rules! four {
            ($k:expr) => {{
                let (a, b) = (
                    _mm512_add_ps(
                        _mm512_unpacklo_ps(x[$k].0, x[$k + 1].0),
                        _mm512_unpackhi_ps(x[$k].0, x[$k + 1].0),
                    ),
                    _mm512_add_ps(
                        _mm512_unpacklo_ps(x[$k + 2].0, x[$k + 3].0),
                        _mm512_unpackhi_ps(x[$k + 2].0, x[$k + 3].0),
                    ),
                );
                let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                _mm512_add_ps(
                    _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                    _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)),
                )
            }};
        }
        macro_rules! join {
            ($x:expr, $y:expr) => {
                _mm512_add_ps(
                    _mm512_shuffle_f32x4::<0x88>($x, $y),
                    _mm512_shuffle_f32x4::<0xdd>($x, $y),
                )
            };
        }
        Self(op!({
            let (first, last) = (join!(four!(0), four!(4)), join!(four!(8), four!(12)));
            join!(first, last)
        }))
    }
    /// Four rows of each quarter to a register, then 4 × 4 squares within: 32 shuffles beside the loads.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, apart: usize, to: *mut f32, to_apart: usize) {
        op!({
            for quarter in 0..4 {
                // Columns 4·quarter.. of all rows: register r holds them of rows r, r + 4, r + 8, r + 12.
                let mut x = [_mm512_setzero_ps(); 4];
                for (r, x) in x.iter_mut().enumerate() {
                    let at = from.add(r * apart + 4 * quarter);
                    let step = 4 * apart;
                    let y = _mm512_castps128_ps512(_mm_loadu_ps(at));
                    let y = _mm512_insertf32x4::<1>(y, _mm_loadu_ps(at.add(step)));
                    let y = _mm512_insertf32x4::<2>(y, _mm_loadu_ps(at.add(2 * step)));
                    *x = _mm512_insertf32x4::<3>(y, _mm_loadu_ps(at.add(3 * step)));
                }
                let (a, b) = (
                    _mm512_castps_pd(_mm512_unpacklo_ps(x[0], x[1])),
                    _mm512_castps_pd(_mm512_unpackhi_ps(x[0], x[1])),
                );
                let (c, d) = (
                    _mm512_castps_pd(_mm512_unpacklo_ps(x[2], x[3])),
                    _mm512_castps_pd(_mm512_unpackhi_ps(x[2], x[3])),
                );
                let to = to.add(4 * quarter * to_apart);
                let (second, third) = (to.add(to_apart), to.add(2 * to_apart));
                let fourth = to.add(3 * to_apart);
                _mm512_storeu_pd(to.cast(), _mm512_unpacklo_pd(a, c));
                _mm512_storeu_pd(second.cast(), _mm512_unpackhi_pd(a, c));
                _mm512_storeu_pd(third.cast(), _mm512_unpacklo_pd(b, d));
                _mm512_storeu_pd(fourth.cast(), _mm512_unpackhi_pd(b, d));
            }
        });
    }
    /// As for f64: 23 instructions instead of 64.
    #[inline(always)]
    unsafe fn sum_each(x: [Self; 8]) -> [f32; 8] {
        macro_rules! pair {
            ($x:expr, $y:expr) => {
                _mm512_add_ps(_mm512_unpacklo_ps($x, $y), _mm512_unpackhi_ps($x, $y))
            };
        }
        macro_rules! four {
            ($x:expr, $y:expr) => {
                _mm512_add_ps(
                    _mm512_shuffle_ps::<0x44>($x, $y),
                    _mm512_shuffle_ps::<0xee>($x, $y),
                )
            };
        }
        macro_rules! join {
            ($x:expr, $y:expr) => {
                _mm512_add_ps(
                    _mm512_shuffle_f32x4::<0x88>($x, $y),
                    _mm512_shuffle_f32x4::<0xdd>($x, $y),
                )
            };
        }
        let mut sums = [0.0; 8];
        op!({
            let first = four!(pair!(x[0].0, x[1].0), pair!(x[2].0, x[3].0));
            let last = four!(pair!(x[4].0, x[5].0), pair!(x[6].0, x[7].0));
            let halves = join!(first, last);
            let whole = join!(halves, halves);
            _mm256_storeu_ps(sums.as_mut_ptr(), _mm512_castps512_ps256(whole));
        });
        sums
    }
}
