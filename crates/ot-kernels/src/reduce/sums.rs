//! Sums that keep their accuracy, distances of vectors, and the scan of an input.

use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, Lanes, Scalar, run};

/// A sum and its rounding errors so far, lane by lane: Neumaier's summation with Knuth's two-sum for its branch.
#[derive(Clone, Copy)]
struct Compensated<V> {
    sum: V,
    error: V,
}

impl<V: Lanes<E = f64>> Compensated<V> {
    /// # Safety
    /// All methods: the instruction set of `V` is available.
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                sum: V::splat(0.0),
                error: V::splat(0.0),
            }
        }
    }

    #[inline(always)]
    unsafe fn add(&mut self, x: V) {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = self.sum.add(x);
            let of_x = sum.sub(self.sum);
            let of_sum = sum.sub(of_x);
            self.error = self.error.add(self.sum.sub(of_sum)).add(x.sub(of_x));
            self.sum = sum;
        }
    }

    #[inline(always)]
    unsafe fn add_product(&mut self, x: V, y: V) {
        // SAFETY: the caller's promise.
        unsafe {
            let product = x.mul(y);
            self.add(product);
            self.error = self.error.add(product_error(x, y, product));
        }
    }

    /// All lanes together; the plain sum where an infinity has turned the errors into NaN.
    #[inline(always)]
    unsafe fn total(self) -> f64 {
        let (mut sums, mut errors) = ([0.0; 16], [0.0; 16]);
        // SAFETY: the caller's promise; the arrays hold 16 elements, no register has more lanes.
        unsafe {
            self.sum.store(sums.as_mut_ptr());
            self.error.store(errors.as_mut_ptr());
            let mut total = Compensated::<Scalar<f64>>::zero();
            for lane in 0..V::N {
                total.add(Scalar(sums[lane]));
                total.error.0 += errors[lane];
            }
            let compensated = total.sum.0 + total.error.0;
            if compensated.is_nan() {
                total.sum.0
            } else {
                compensated
            }
        }
    }
}

/// `x·y − product`, exactly, as long as neither overflows or underflows.
///
/// # Safety
/// The instruction set of `V` is available.
#[inline(always)]
unsafe fn product_error<V: Lanes<E = f64>>(x: V, y: V, product: V) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        if V::FUSED {
            // −(product − x·y)
            V::splat(0.0).sub(x.fnma(y, product))
        } else {
            // Dekker's product.
            let ((x1, x0), (y1, y0)) = (halves(x), halves(y));
            let error = product.sub(x1.mul(y1)).sub(x0.mul(y1)).sub(x1.mul(y0));
            x0.mul(y0).sub(error)
        }
    }
}

/// Veltkamp's split into a high and a low part of 26 bits each.
///
/// # Safety
/// The instruction set of `V` is available.
#[inline(always)]
unsafe fn halves<V: Lanes<E = f64>>(x: V) -> (V, V) {
    // SAFETY: the caller's promise.
    unsafe {
        let c = V::splat(134_217_729.0).mul(x);
        let high = c.sub(c.sub(x));
        (high, x.sub(high))
    }
}

struct Sum<'a, T>(&'a [T]);

impl<T: Elem> Kernel for Sum<'_, T> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.0.len(), <B::D as Lanes>::N);
        // SAFETY: j + lanes ≤ n or j + rest ≤ n.
        unsafe {
            let mut total = Compensated::<B::D>::zero();
            for j in (0..n).step_by(lanes) {
                let (x, rest) = (self.0.as_ptr().add(j), n - j);
                total.add(if rest >= lanes {
                    T::load64::<B::D>(x)
                } else {
                    T::load64_part::<B::D>(x, rest, T::ZERO)
                });
            }
            total.total()
        }
    }
}

/// `Σ x_j` with compensation: the error is 2⁻⁵³ of the sum plus n²·2⁻¹⁰⁶ of Σ|x_j|.
#[must_use]
pub fn sum<T: Elem>(x: &[T]) -> f64 {
    sum_with(isa(), x)
}

/// [`sum`] on a chosen instruction set (or the widest available below it).
#[must_use]
pub fn sum_with<T: Elem>(isa: Isa, x: &[T]) -> f64 {
    run(isa, Sum(x))
}

struct PlainSum<'a, T>(&'a [T]);

impl<T: Elem> Kernel for PlainSum<'_, T> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        const Q: usize = 8;
        let (n, lanes) = (self.0.len(), <T::V<B> as Lanes>::N);
        let x = self.0.as_ptr();
        // SAFETY: j + Q·lanes ≤ n, and j + part ≤ n.
        unsafe {
            let mut sums = [<T::V<B>>::splat(T::ZERO); Q];
            let mut j = 0;
            while j + Q * lanes <= n {
                for q in 0..Q {
                    sums[q] = sums[q].add(<T::V<B>>::load(x.add(j + q * lanes)));
                }
                j += Q * lanes;
            }
            while j < n {
                let part = (n - j).min(lanes);
                sums[0] = sums[0].add(<T::V<B>>::load_part(x.add(j), part, T::ZERO));
                j += part;
            }
            let mut total = sums[0];
            for q in 1..Q {
                total = total.add(sums[q]);
            }
            total.sum().into()
        }
    }
}

/// `Σ x_j` added up in `T`, as fast as the memory delivers it: one addition for each load, eight registers in
/// flight. The floor of everything that reads an array once; [`sum`] is the accurate one.
#[must_use]
pub fn plain_sum<T: Elem>(x: &[T]) -> f64 {
    plain_sum_with(isa(), x)
}

/// [`plain_sum`] on a chosen instruction set (or the widest available below it).
#[must_use]
pub fn plain_sum_with<T: Elem>(isa: Isa, x: &[T]) -> f64 {
    run(isa, PlainSum(x))
}

struct Dot<'a, X, Y> {
    x: &'a [X],
    y: &'a [Y],
}

impl<X: Elem, Y: Elem> Kernel for Dot<'_, X, Y> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.x.len(), <B::D as Lanes>::N);
        // SAFETY: j + lanes ≤ n or j + rest ≤ n, and the slices have equal lengths (checked by `dot_with`).
        unsafe {
            let mut total = Compensated::<B::D>::zero();
            for j in (0..n).step_by(lanes) {
                let (x, y, rest) = (self.x.as_ptr().add(j), self.y.as_ptr().add(j), n - j);
                if rest >= lanes {
                    total.add_product(X::load64::<B::D>(x), Y::load64::<B::D>(y));
                } else {
                    let x = X::load64_part::<B::D>(x, rest, X::ZERO);
                    total.add_product(x, Y::load64_part::<B::D>(y, rest, Y::ZERO));
                }
            }
            total.total()
        }
    }
}

/// `Σ x_j y_j` with compensation: the error is 2⁻⁵³ of the result plus n²·2⁻¹⁰⁶ of Σ|x_j y_j|, as if computed
/// in twice the precision.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn dot<X: Elem, Y: Elem>(x: &[X], y: &[Y]) -> f64 {
    dot_with(isa(), x, y)
}

/// [`dot`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn dot_with<X: Elem, Y: Elem>(isa: Isa, x: &[X], y: &[Y]) -> f64 {
    assert_eq!(x.len(), y.len(), "dot: lengths differ");
    run(isa, Dot { x, y })
}

struct L1<'a> {
    x: &'a [f64],
    y: &'a [f64],
}

impl Kernel for L1<'_> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.x.len(), <B::D as Lanes>::N);
        // SAFETY: j + lanes ≤ n or j + rest ≤ n, and the slices have equal lengths (checked by
        // `l1_distance_with`).
        unsafe {
            let mut total = B::D::splat(0.0);
            for j in (0..n).step_by(lanes) {
                let (x, y, rest) = (self.x.as_ptr().add(j), self.y.as_ptr().add(j), n - j);
                let difference = if rest >= lanes {
                    B::D::load(x).sub(B::D::load(y))
                } else {
                    B::D::load_part(x, rest, 0.0).sub(B::D::load_part(y, rest, 0.0))
                };
                total = total.add(difference.abs());
            }
            total.sum()
        }
    }
}

/// `Σ |x_j − y_j|`.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn l1_distance(x: &[f64], y: &[f64]) -> f64 {
    l1_distance_with(isa(), x, y)
}

/// [`l1_distance`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn l1_distance_with(isa: Isa, x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "l1_distance: lengths differ");
    run(isa, L1 { x, y })
}

/// What a slice holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scan {
    /// The smallest finite value, +∞ if there is none.
    pub min: f64,
    /// The largest finite value, −∞ if there is none.
    pub max: f64,
    /// How many entries are +∞.
    pub infinite: usize,
    /// The first entry that is NaN or −∞.
    pub first_bad: Option<usize>,
}

struct ScanOf<'a, T>(&'a [T]);

/// Entries that are looked at one by one when one of them is not finite.
const CHUNK: usize = 1024;

impl<T: Elem> Kernel for ScanOf<'_, T> {
    type Out = Scan;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> Scan {
        let lanes = <T::V<B> as Lanes>::N;
        let mut seen = Scan {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            infinite: 0,
            first_bad: None,
        };
        for (at, chunk) in self.0.chunks(CHUNK).enumerate() {
            let n = chunk.len();
            // SAFETY: j + lanes ≤ n or j + rest ≤ n; the rest is filled with an entry of the chunk.
            let (min, max, flag) = unsafe {
                let mut min = <T::V<B>>::splat(chunk[0]);
                let mut max = min;
                let zero = <T::V<B>>::splat(T::ZERO);
                let mut flag = zero;
                for j in (0..n).step_by(lanes) {
                    let x = chunk.as_ptr().add(j);
                    let x = if n - j >= lanes {
                        <T::V<B>>::load(x)
                    } else {
                        <T::V<B>>::load_part(x, n - j, chunk[0])
                    };
                    min = x.min(min);
                    max = x.max(max);
                    // 0 times a finite number is 0, times any other NaN.
                    flag = x.fma(zero, flag);
                }
                (min.smallest(), max.largest(), flag.sum())
            };
            let flag: f64 = flag.into();
            if flag == 0.0 {
                seen.min = seen.min.min(min.into());
                seen.max = seen.max.max(max.into());
                continue;
            }
            for (j, &x) in chunk.iter().enumerate() {
                let x: f64 = x.into();
                if x.is_finite() {
                    seen.min = seen.min.min(x);
                    seen.max = seen.max.max(x);
                } else if x == f64::INFINITY {
                    seen.infinite += 1;
                } else if seen.first_bad.is_none() {
                    seen.first_bad = Some(at * CHUNK + j);
                }
            }
        }
        seen
    }
}

/// Smallest and largest finite value, the number of +∞, and the first NaN or −∞, in one read.
#[must_use]
pub fn scan<T: Elem>(x: &[T]) -> Scan {
    scan_with(isa(), x)
}

/// [`scan`] on a chosen instruction set (or the widest available below it): the same result on all.
#[must_use]
pub fn scan_with<T: Elem>(isa: Isa, x: &[T]) -> Scan {
    run(isa, ScanOf(x))
}
