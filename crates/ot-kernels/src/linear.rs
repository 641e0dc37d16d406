//! Plain products of rows: sums of two factors, multiples added to a row, and the pull of weighted differences.
//!
//! Nothing is compensated: these serve passes over many rows whose sums are no more exact than their exponentials.

use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Kernel, Lanes, run};

/// Registers in flight in a sum, so that the latency of an addition does not stand between loads.
const IN_FLIGHT: usize = 4;

struct ProductSum<'a> {
    x: &'a [f64],
    y: &'a [f64],
}

impl Kernel for ProductSum<'_> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.x.len(), <B::D as Lanes>::N);
        let (x, y) = (self.x.as_ptr(), self.y.as_ptr());
        // SAFETY: j + IN_FLIGHT·lanes ≤ n, and j + part ≤ n; the slices have equal lengths (checked by the caller).
        unsafe {
            let mut sums = [B::D::splat(0.0); IN_FLIGHT];
            let mut j = 0;
            while j + IN_FLIGHT * lanes <= n {
                for q in 0..IN_FLIGHT {
                    let at = j + q * lanes;
                    sums[q] = B::D::load(x.add(at)).fma(B::D::load(y.add(at)), sums[q]);
                }
                j += IN_FLIGHT * lanes;
            }
            while j < n {
                let part = (n - j).min(lanes);
                let (x, y) = (
                    B::D::load_part(x.add(j), part, 0.0),
                    B::D::load_part(y.add(j), part, 0.0),
                );
                sums[0] = x.fma(y, sums[0]);
                j += part;
            }
            let halves = (sums[0].add(sums[1]), sums[2].add(sums[3]));
            halves.0.add(halves.1).sum()
        }
    }
}

/// `Σ x_j y_j`, one rounding for each term. 16 bytes and 2 flops an element.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn product_sum(x: &[f64], y: &[f64]) -> f64 {
    product_sum_with(isa(), x, y)
}

/// [`product_sum`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn product_sum_with(isa: Isa, x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "product_sum: lengths differ");
    run(isa, ProductSum { x, y })
}

struct AddScaled<'a> {
    factor: f64,
    x: &'a [f64],
    y: &'a mut [f64],
}

impl Kernel for AddScaled<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (n, lanes) = (self.x.len(), <B::D as Lanes>::N);
        let (x, y) = (self.x.as_ptr(), self.y.as_mut_ptr());
        // SAFETY: j + lanes ≤ n or j + part ≤ n; the slices have equal lengths (checked by the caller).
        unsafe {
            let factor = B::D::splat(self.factor);
            let mut j = 0;
            while j + lanes <= n {
                let sum = B::D::load(x.add(j)).fma(factor, B::D::load(y.add(j)));
                sum.store(y.add(j));
                j += lanes;
            }
            if j < n {
                let part = n - j;
                let x = B::D::load_part(x.add(j), part, 0.0);
                let sum = x.fma(factor, B::D::load_part(y.add(j), part, 0.0));
                sum.store_part(y.add(j), part);
            }
        }
    }
}

/// `y_j ← y_j + factor·x_j`. 16 bytes read, 8 written, 2 flops an element.
///
/// # Panics
/// If the lengths differ.
pub fn add_scaled(factor: f64, x: &[f64], y: &mut [f64]) {
    add_scaled_with(isa(), factor, x, y);
}

/// [`add_scaled`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn add_scaled_with(isa: Isa, factor: f64, x: &[f64], y: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "add_scaled: lengths differ");
    run(isa, AddScaled { factor, x, y });
}

struct Pull<'a> {
    x: f64,
    y: &'a [f64],
    weights: &'a [f64],
    back: &'a mut [f64],
}

impl Kernel for Pull<'_> {
    type Out = f64;
    #[inline(always)]
    unsafe fn run<B: Backend>(self) -> f64 {
        let (n, lanes) = (self.y.len(), <B::D as Lanes>::N);
        let (y, w, back) = (
            self.y.as_ptr(),
            self.weights.as_ptr(),
            self.back.as_mut_ptr(),
        );
        // SAFETY: j + lanes ≤ n or j + part ≤ n; the slices have equal lengths (checked by the caller).
        unsafe {
            let x = B::D::splat(self.x);
            let mut sum = B::D::splat(0.0);
            let mut j = 0;
            while j + lanes <= n {
                let pull = x.sub(B::D::load(y.add(j))).mul(B::D::load(w.add(j)));
                sum = sum.add(pull);
                B::D::load(back.add(j)).sub(pull).store(back.add(j));
                j += lanes;
            }
            if j < n {
                let part = n - j;
                // What lies beyond the end has no weight.
                let pull = x
                    .sub(B::D::load_part(y.add(j), part, 0.0))
                    .mul(B::D::load_part(w.add(j), part, 0.0));
                sum = sum.add(pull);
                let left = B::D::load_part(back.add(j), part, 0.0).sub(pull);
                left.store_part(back.add(j), part);
            }
            sum.sum()
        }
    }
}

/// `Σ w_j (x − y_j)`, each term taken off `back_j` as well: one coordinate of the gradient of a radial cost, for a
/// source and for all targets. 24 bytes read, 8 written, 4 flops an element.
///
/// # Panics
/// If the lengths differ.
pub fn pull(x: f64, y: &[f64], weights: &[f64], back: &mut [f64]) -> f64 {
    pull_with(isa(), x, y, weights, back)
}

/// [`pull`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths differ.
pub fn pull_with(isa: Isa, x: f64, y: &[f64], weights: &[f64], back: &mut [f64]) -> f64 {
    assert_eq!(y.len(), weights.len(), "pull: lengths differ");
    assert_eq!(y.len(), back.len(), "pull: lengths differ");
    run(
        isa,
        Pull {
            x,
            y,
            weights,
            back,
        },
    )
}
