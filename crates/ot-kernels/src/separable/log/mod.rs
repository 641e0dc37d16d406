//! Log-sum-exp along the axes of an array: kernel products that neither overflow nor underflow, at any ε.
//!
//! A line of d entries is cut into blocks of eight. Between block J of inputs and block I of outputs the exponent is
//! split at the middles i₀ of I and j₀ of J:
//!
//! h_j − c_ij = (h_j − c_{i₀j}) − (c_{ij₀} − c_{i₀j₀}) − (c_ij − c_{i₀j} − c_{ij₀} + c_{i₀j₀}).
//!
//! The last term is small (for (i−j)²/ε it is at most 32/ε; for |i−j|/ε it is 0 unless I = J), so that its exponential,
//! an 8 × 8 matrix, is made once for each distance of two blocks. The first two are shifted by their maxima. A pair of
//! blocks costs one exponential of a register and 64 multiply-adds; a pair whose terms can't be seen beside the largest
//! ones costs a comparison, and with small ε nearly all do.
//!
//! At either end there is another way. Where an axis is short beside ε (no exponent c/ε above 660), the exponentials of
//! a line less its maximum are multiplied by the kernel: what underflows can't be seen. Where the last term would leave
//! the range of f64 (ε < 0.1 for unit spacing), every exponent is looked at, and those that can be seen beside the
//! largest one are evaluated.
//!
//! Every term is positive: relative errors are those of the exponents.

//!
//! `axis.rs` holds the tables of an axis, `lines.rs` the sums along its lines.

mod axis;
mod lines;

use rayon::prelude::*;

pub use self::axis::{LogAxis, Way};
use self::lines::Lines;
pub use self::lines::Room;
use super::{WORK_TO_SHARE, in_turns, lines_a_task};
use crate::dispatch::{Isa, isa};
use crate::simd::run;

/// Entries of a block.
const BLOCK: usize = 8;
/// Where in a block its middle is.
const MIDDLE: isize = 4;
/// Exponents of the matrices of block pairs stay within this: their products with sums stay far inside of f64.
const LARGEST_TILT: f64 = 320.0;
/// e⁻⁴⁰ = 4e-18: what is smaller than that beside the largest term is not seen.
const UNSEEN: f64 = 40.0;
/// Lines that are gathered at a time: a cache line of neighbours.
const TOGETHER: usize = 8;
/// The same before a kernel product.
const MULTIPLIED: usize = 24;
/// Exponents of a kernel that is multiplied as a whole: a line's sums are at least e⁻⁶⁶⁰ of its largest term, and what
/// underflows is 1e-20 of that.
const LARGEST_WHOLE: f64 = 660.0;

/// `out_i = ln Σ_j exp(x_j − Σ_k c_k(|i_k − j_k|))`, c in units of ε: the logarithm of a kernel product of e^x, safe at
/// any ε. `x` is one array of Π d_k cells, row-major; entries may be −∞ (no term); a line with +∞ or NaN gives NaN.
/// `room` is as long as `out`. With `share`, passes are shared among the current pool's threads; the bits are the same.
///
/// For each cell and axis of d cells: 2 d flops, an exponential and a logarithm where the axis is short beside ε; else
/// d/8 pairs of blocks, 13 instructions each where nothing is to be seen, 65 with exponential and products. Floor: the
/// exponentials of all pairs of a line, which it undercuts: `cargo bench -p benches --bench separable` measures it.
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn log_sum_exp(axes: &[&LogAxis], x: &[f64], out: &mut [f64], room: &mut [f64], share: bool) {
    log_sum_exp_with(isa(), axes, x, out, room, share);
}

/// [`log_sum_exp`] on one thread, with its tables of lines in `lines`, which is kept from call to call: nothing is
/// allocated after the first.
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn log_sum_exp_reusing(
    axes: &[&LogAxis],
    x: &[f64],
    out: &mut [f64],
    room: &mut [f64],
    lines: &mut Room,
) {
    along(isa(), axes, x, out, room, Some(lines));
}

/// [`log_sum_exp`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// If the lengths do not match or there is no axis.
pub fn log_sum_exp_with(
    isa: Isa,
    axes: &[&LogAxis],
    x: &[f64],
    out: &mut [f64],
    room: &mut [f64],
    share: bool,
) {
    let mut lines = Room::default();
    along(isa, axes, x, out, room, (!share).then_some(&mut lines));
}

/// On this thread with the given tables, or shared among threads with their own.
fn along(
    isa: Isa,
    axes: &[&LogAxis],
    x: &[f64],
    out: &mut [f64],
    room: &mut [f64],
    mut alone: Option<&mut Room>,
) {
    let cells: usize = axes.iter().map(|axis| axis.d).product();
    assert!(!axes.is_empty(), "an array needs axes");
    assert!(
        x.len() == cells && out.len() == cells && room.len() == cells,
        "log_sum_exp: lengths do not match"
    );
    in_turns(axes.len(), x, out, room, |k, x, out| {
        let axis = axes[k];
        let d = axis.d;
        let rest = cells / d;
        let lines = |first: usize, out: &mut [f64], room: &mut Room| {
            run(
                isa,
                Lines {
                    axis,
                    x,
                    rest,
                    first,
                    out,
                    room,
                },
            );
        };
        if let Some(room) = &mut alone {
            lines(0, out, room);
            return;
        }
        if cells.saturating_mul(d) < WORK_TO_SHARE {
            lines(0, out, &mut Room::default());
            return;
        }
        let size = lines_a_task(d).next_multiple_of(MULTIPLIED);
        out.par_chunks_mut(size * d).enumerate().for_each_init(
            Room::default,
            |room, (task, out)| {
                lines(task * size, out, room);
            },
        );
    });
}
