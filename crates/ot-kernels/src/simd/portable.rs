//! Plain Rust: arrays of four f64 or eight f32, which the compiler vectorizes for the baseline target.

use super::{Backend, Elem, Lanes, Lanes64};

/// No instruction set beyond the target's baseline.
pub(crate) enum Portable {}

impl Backend for Portable {
    type D = P64;
    type S = P32;
    #[inline(always)]
    fn prefetch<T>(_: *const T) {}
    #[inline(always)]
    fn prefetch_outer<T>(_: *const T) {}
}

#[derive(Clone, Copy)]
pub(crate) struct P64([f64; 4]);

#[derive(Clone, Copy)]
pub(crate) struct P32([f32; 8]);

macro_rules! portable {
    ($name:ident, $elem:ident, $n:literal) => {
        impl $name {
            #[inline(always)]
            fn each(self, f: impl Fn($elem) -> $elem) -> Self {
                let mut out = self.0;
                for x in &mut out {
                    *x = f(*x);
                }
                Self(out)
            }
            #[inline(always)]
            fn zip(self, o: Self, f: impl Fn($elem, $elem) -> $elem) -> Self {
                let mut out = self.0;
                for (x, y) in out.iter_mut().zip(o.0) {
                    *x = f(*x, y);
                }
                Self(out)
            }
            #[inline(always)]
            fn compare(self, o: Self, f: impl Fn($elem, $elem) -> bool) -> [bool; $n] {
                let mut out = [false; $n];
                for lane in 0..$n {
                    out[lane] = f(self.0[lane], o.0[lane]);
                }
                out
            }
        }

        impl Lanes for $name {
            type E = $elem;
            type M = [bool; $n];
            const N: usize = $n;
            const FUSED: bool = false;

            #[inline(always)]
            unsafe fn splat(x: $elem) -> Self {
                Self([x; $n])
            }
            #[inline(always)]
            unsafe fn load(p: *const $elem) -> Self {
                // SAFETY: valid for N elements by the contract of `Lanes`.
                Self(unsafe { p.cast::<[$elem; $n]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn load_part(p: *const $elem, n: usize, fill: $elem) -> Self {
                let mut out = [fill; $n];
                for (lane, x) in out.iter_mut().enumerate().take(n) {
                    // SAFETY: lane < n, and the pointer is valid for n elements.
                    *x = unsafe { p.add(lane).read() };
                }
                Self(out)
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $elem) {
                // SAFETY: valid for N elements by the contract of `Lanes`.
                unsafe { p.cast::<[$elem; $n]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn store_part(self, p: *mut $elem, n: usize) {
                for (lane, x) in self.0.iter().enumerate().take(n) {
                    // SAFETY: lane < n, and the pointer is valid for n elements.
                    unsafe { p.add(lane).write(*x) };
                }
            }
            #[inline(always)]
            unsafe fn add(self, o: Self) -> Self {
                self.zip(o, |a, b| a + b)
            }
            #[inline(always)]
            unsafe fn sub(self, o: Self) -> Self {
                self.zip(o, |a, b| a - b)
            }
            #[inline(always)]
            unsafe fn mul(self, o: Self) -> Self {
                self.zip(o, |a, b| a * b)
            }
            #[inline(always)]
            unsafe fn div(self, o: Self) -> Self {
                self.zip(o, |a, b| a / b)
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                self.each($elem::sqrt)
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                self.each($elem::abs)
            }
            #[inline(always)]
            unsafe fn min(self, o: Self) -> Self {
                self.zip(o, |a, b| if a < b { a } else { b })
            }
            #[inline(always)]
            unsafe fn max(self, o: Self) -> Self {
                self.zip(o, |a, b| if a > b { a } else { b })
            }
            #[inline(always)]
            unsafe fn fma(self, m: Self, a: Self) -> Self {
                self.zip(m, |x, y| x * y).zip(a, |x, y| x + y)
            }
            #[inline(always)]
            unsafe fn fnma(self, m: Self, a: Self) -> Self {
                self.zip(m, |x, y| x * y).zip(a, |x, y| y - x)
            }
            #[inline(always)]
            unsafe fn lt(self, o: Self) -> [bool; $n] {
                self.compare(o, |a, b| a < b)
            }
            #[inline(always)]
            #[allow(clippy::neg_cmp_op_on_partial_ord)] // true for NaN, as documented
            unsafe fn not_le(self, o: Self) -> [bool; $n] {
                self.compare(o, |a, b| !(a <= b))
            }
            #[inline(always)]
            unsafe fn bits(m: [bool; $n]) -> u32 {
                let mut bits = 0;
                for (lane, &set) in m.iter().enumerate() {
                    bits |= u32::from(set) << lane;
                }
                bits
            }
            #[inline(always)]
            unsafe fn select(m: [bool; $n], yes: Self, no: Self) -> Self {
                let mut out = no.0;
                for lane in 0..$n {
                    out[lane] = if m[lane] { yes.0[lane] } else { no.0[lane] };
                }
                Self(out)
            }
            #[inline(always)]
            unsafe fn add_exponent(self, t: Self) -> Self {
                self.zip(t, Elem::add_exponent)
            }
        }
    };
}

portable!(P64, f64, 4);
portable!(P32, f32, 8);

impl Lanes64 for P64 {
    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> Self {
        // SAFETY: valid for N elements by the contract of `Lanes`.
        Self(unsafe { p.cast::<[f32; 4]>().read_unaligned() }.map(f64::from))
    }
    #[inline(always)]
    unsafe fn load_f32_part(p: *const f32, n: usize, fill: f32) -> Self {
        let mut out = [f64::from(fill); 4];
        for (lane, x) in out.iter_mut().enumerate().take(n) {
            // SAFETY: lane < n, and the pointer is valid for n elements.
            *x = f64::from(unsafe { p.add(lane).read() });
        }
        Self(out)
    }
    #[inline(always)]
    unsafe fn store_f32(self, p: *mut f32) {
        // SAFETY: valid for N elements by the contract of `Lanes`.
        unsafe {
            p.cast::<[f32; 4]>()
                .write_unaligned(self.0.map(|x| x as f32));
        }
    }
    #[inline(always)]
    unsafe fn store_f32_part(self, p: *mut f32, n: usize) {
        for (lane, x) in self.0.iter().enumerate().take(n) {
            // SAFETY: lane < n, and the pointer is valid for n elements.
            unsafe { p.add(lane).write(*x as f32) };
        }
    }
}
