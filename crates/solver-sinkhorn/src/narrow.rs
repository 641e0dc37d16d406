//! Products in f32: a copy of the kernel, and when it serves.
//!
//! Most iterations need not be exact: an error that is made in one is corrected by the next. They read a copy of K in
//! f32, half the memory and twice as many lanes, and the iterations in between that are exact decide everything that
//! counts: where the copy is made, how far it may be trusted, and whether the solve is done.
//!
//! 1. *Exact*, until the scalings have found their size and enough iterations are left to pay for the copy.
//! 2. *The copy* is diag(s)⁻¹ K diag(t)⁻¹ at the sums of that iteration, by powers of two: exp((f + g − C)/ε), whose
//!    entries are of size 1 where the plan has mass, whatever ε is. What f32 can't hold of it is some 1e-38 of a row.
//! 3. *Values*: products of the copy, right to about 1e-7, until the error is down to [`REACH`].
//! 4. *Differences*: from an exact iteration on, products tell the differences to it, and are off by 1e-7 of those. The
//!    smaller the error was at that iteration, the smaller it can get: by a factor of [`REACH`] again.
//!
//! An f32 kernel is its own copy, without scales.
//!
//! A phase ends where the error has come as far as it can or does not fall any more, where sums leave the range in
//! which the copy tells enough, and where anybody has to see an exact iteration: the last one, or one that is stopped.
//! The iteration that made it end is done again, exactly. When a phase has brought nothing, no other is begun.

use ot_kernels::kernel_product::{NarrowKernel, Reference, RowScaling, scale_rows_narrow};
use ot_kernels::scaling::{Seen, narrow_row};
use rayon::prelude::*;

use crate::iterate::{Vectors, in_range};
use crate::kernel::{ENTRIES_A_TASK, Kernel, Stored};
use ot_kernels::aligned::Aligned;

/// The part of the error at the start of a phase (1 for values) to which products in f32 bring a problem safely.
pub(crate) const REACH: f64 = 4e-7;
/// Entries of a kernel from which a copy pays. Below, K is near the core, and the work beside the products counts:
/// measured, nothing is gained at 100 × 100, and something lost at 64 × 64.
pub(crate) const LEAST_ENTRIES: usize = 1 << 14;
/// Exact iterations at least before the copy is made.
const WARM: u64 = 4;
/// Iterations left, by the rate of the last one, from which a copy pays: it takes the time of about three.
const WORTH_COPYING: f64 = 16.0;
/// Iterations left from which differences pay.
const WORTH_CHANGING: f64 = 4.0;
/// Iterations without a smaller error after which rounding has won.
const IDLE: u32 = 32;
/// How small the sums of the copy's rows may get: what the copy lacks is then below 2⁻⁶⁶ of every sum.
const SMALLEST_SUM: f64 = 1.0 / (1 << 30) as f64;

/// The copy, and the exact iteration that differences are told from.
#[derive(Debug, Default)]
pub(crate) struct Narrow {
    /// Empty for an f32 kernel.
    entries: Aligned<f32>,
    rows: Vec<f64>,
    cols: Vec<f64>,
    v: Vec<f64>,
    s: Vec<f64>,
    u: Vec<f64>,
    t: Vec<f64>,
}

/// The power of two at or below a normal number.
fn power(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & (0x7ff << 52))
}

fn refill(x: &mut Vec<f64>, values: impl Iterator<Item = f64>) {
    x.clear();
    x.extend(values);
}

impl Narrow {
    /// Values from now on: the iteration that is known is zero.
    fn forget(&mut self, (n, m): (usize, usize)) {
        for (x, len) in [
            (&mut self.v, m),
            (&mut self.s, n),
            (&mut self.u, n),
            (&mut self.t, m),
        ] {
            refill(x, std::iter::repeat_n(0.0, len));
        }
    }

    /// An f32 kernel serves as it is.
    fn adopt(&mut self, (n, m): (usize, usize)) {
        refill(&mut self.rows, std::iter::repeat_n(1.0, n));
        refill(&mut self.cols, std::iter::repeat_n(1.0, m));
    }

    /// Copies an f64 kernel, scaled by the row sums `s` and the column sums `t`. `false` if there is no room.
    fn copy(&mut self, k: &[f64], m: usize, s: &[f64], t: &[f64]) -> bool {
        if self.entries.reset(k.len()).is_err() {
            return false;
        }
        let powers = |x: &f64| if x.is_normal() { power(*x) } else { 1.0 };
        refill(&mut self.rows, s.iter().map(powers));
        refill(&mut self.cols, t.iter().map(powers));
        // Until it has a use of its own.
        refill(&mut self.t, self.cols.iter().map(|x| 1.0 / x));
        let (rows, cols) = (&self.rows, &self.t);
        let size = (ENTRIES_A_TASK / m.max(1)).max(1);
        let fill = |(chunk, (out, k)): (usize, (&mut [f32], &[f64]))| {
            let lines = out.chunks_exact_mut(m).zip(k.chunks_exact(m));
            for ((out, k), row) in lines.zip(&rows[chunk * size..]) {
                narrow_row(k, 1.0 / row, cols, out);
            }
        };
        let (out, task) = (&mut *self.entries, size * m);
        if rows.len() <= size {
            fill((0, (out, k)));
        } else {
            let tasks = out.par_chunks_mut(task).zip(k.par_chunks(task));
            tasks.enumerate().for_each(fill);
        }
        true
    }
}

/// Why a phase of products in f32 ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There has been none.
    Unbegun,
    /// The error is as small as it can get.
    Reached,
    /// Sums left the range of the copy.
    OutOfRange,
}

/// Which iterations have their products in f32.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Whether there may be a phase after this.
    allowed: bool,
    /// Whether one is on.
    on: bool,
    end: End,
    /// Where the solve ends.
    stop: f64,
    /// The error of the exact iteration before this phase.
    mark: f64,
    /// The error at which this phase ends.
    reach: f64,
    best: f64,
    idle: u32,
    /// Iterations of this phase.
    length: u64,
    /// The error of the last iteration, and what it was multiplied by.
    error: f64,
    rate: f64,
    least: (f64, f64),
}

impl Pace {
    /// `allowed` says whether anything is to be in f32; an f32 kernel starts with it.
    pub(crate) fn new<T: Stored>(
        allowed: bool,
        kernel: &Kernel<T>,
        vectors: &mut Vectors,
        stop: f64,
        least: (f64, f64),
    ) -> Self {
        let shape = (vectors.a.len(), vectors.b.len());
        let own = T::as_f32(&kernel.k).is_some();
        let mut pace = Self {
            allowed: allowed && (own || kernel.k.len() >= LEAST_ENTRIES),
            on: false,
            end: End::Unbegun,
            stop,
            mark: f64::INFINITY,
            reach: 0.0,
            best: f64::INFINITY,
            idle: 0,
            length: 0,
            error: f64::INFINITY,
            rate: 1.0,
            least,
        };
        if own && pace.allowed {
            vectors.narrow.adopt(shape);
            pace.begin_values(vectors);
        }
        pace
    }

    /// Whether the next iteration has its products in f32.
    pub(crate) fn is_narrow(&self) -> bool {
        self.on
    }

    /// The next iteration is exact.
    pub(crate) fn pause(&mut self) {
        self.on = false;
    }

    /// All iterations from now on are exact.
    pub(crate) fn finish(&mut self) {
        (self.on, self.allowed) = (false, false);
    }

    fn begin(&mut self, reach: f64) {
        (self.on, self.reach) = (true, reach);
        (self.best, self.idle, self.length) = (f64::INFINITY, 0, 0);
    }

    fn begin_values(&mut self, vectors: &mut Vectors) {
        let shape = (vectors.a.len(), vectors.b.len());
        vectors.narrow.forget(shape);
        // Products in f32 are off by a part of what they measure: some room below the mark saves a second try.
        self.begin(REACH.max(0.8 * self.stop));
    }

    /// Sees an error, of a new iteration unless it was done `again`.
    fn see(&mut self, error: f64, again: bool) {
        if !again {
            self.rate = error / self.error;
        }
        self.error = error;
    }

    /// Iterations until the end at the present rate.
    fn left(&self) -> f64 {
        if self.error <= self.stop {
            0.0
        } else if self.rate < 1.0 {
            (self.stop / self.error).ln() / self.rate.ln()
        } else {
            f64::INFINITY
        }
    }

    /// After an iteration with products in f32: whether it stands, or is to be done again exactly.
    pub(crate) fn stands<T: Stored>(
        &mut self,
        kernel: &Kernel<T>,
        rows: RowScaling,
        cols: Seen,
    ) -> bool {
        let (least, largest) = (rows.min_sum, rows.max_sum);
        let fits = if T::as_f32(&kernel.k).is_some() {
            in_range::<f32>(least, largest, self.least.0, "K v").is_ok()
                && in_range::<f32>(cols.least, cols.largest, self.least.1, "Kᵀ u").is_ok()
        } else {
            // NaN is not in a range.
            (SMALLEST_SUM..=1.0 / SMALLEST_SUM).contains(&least)
                && (SMALLEST_SUM..=1.0 / SMALLEST_SUM).contains(&largest)
                && in_range::<f64>(cols.least, cols.largest, self.least.1, "Kᵀ u").is_ok()
        };
        self.length += 1;
        if !(fits && cols.error.is_finite()) {
            (self.on, self.end) = (false, End::OutOfRange);
            return false;
        }
        self.see(cols.error, false);
        if cols.error < self.best {
            (self.best, self.idle) = (cols.error, 0);
        } else {
            self.idle += 1;
        }
        if cols.error <= self.reach || self.idle >= IDLE {
            (self.on, self.end) = (false, End::Reached);
        }
        self.on
    }

    /// After an exact iteration, `vectors` as it left them, that is not the last: whether products in f32 go on.
    pub(crate) fn choose<T: Stored>(
        &mut self,
        kernel: &Kernel<T>,
        vectors: &mut Vectors,
        iteration: u64,
        error: f64,
    ) {
        if !self.allowed {
            return;
        }
        self.see(error, self.end == End::Reached && self.length > 0);
        let length = std::mem::take(&mut self.length);
        match (self.end, T::as_f64(&kernel.k)) {
            (End::Unbegun, Some(k)) => {
                if iteration >= WARM && self.left() >= WORTH_COPYING {
                    self.copy(k, kernel.width, vectors);
                }
            }
            (End::Unbegun, None) => self.finish(),
            (End::OutOfRange, Some(k)) if length >= 2 * WORTH_COPYING as u64 => {
                self.copy(k, kernel.width, vectors);
            }
            (End::OutOfRange, _) => self.finish(),
            (End::Reached, _) if length > 0 && error > 0.5 * self.mark => self.finish(),
            (End::Reached, _) => {
                if self.left() >= WORTH_CHANGING {
                    let x = &mut *vectors;
                    for (to, from) in [
                        (&mut x.narrow.v, &x.v),
                        (&mut x.narrow.s, &x.s),
                        (&mut x.narrow.u, &x.u),
                        (&mut x.narrow.t, &x.next_t),
                    ] {
                        to.copy_from_slice(from);
                    }
                    self.begin((REACH * error).max(0.999 * self.stop));
                }
            }
        }
        self.mark = error;
    }

    fn copy(&mut self, k: &[f64], width: usize, vectors: &mut Vectors) {
        if vectors.narrow.copy(k, width, &vectors.s, &vectors.next_t) {
            self.begin_values(vectors);
        } else {
            self.finish();
        }
    }
}

/// An iteration with products in f32, of the copy or of the kernel itself.
pub(crate) fn step<T: Stored>(kernel: &Kernel<T>, vectors: &mut Vectors) -> RowScaling {
    let x = vectors;
    let known = &x.narrow;
    scale_rows_narrow(
        NarrowKernel {
            entries: T::as_f32(&kernel.k).unwrap_or(&known.entries),
            rows: &known.rows,
            cols: &known.cols,
        },
        Reference {
            v: &known.v,
            s: &known.s,
            u: &known.u,
            t: &known.t,
        },
        &x.v,
        &x.a,
        &mut x.u,
        &mut x.s,
        &mut x.next_t,
        &mut x.product,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_powers_of_two() {
        for x in [1.0, 1.5, 0.75, 3e200, 7e-300] {
            let p = power(x);
            assert!(p <= x && x < 2.0 * p && p.log2().fract() == 0.0);
        }
    }
}
