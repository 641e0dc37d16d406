//! Products with a matrix that is a Kronecker product of small ones, one for each axis of an array: the kernel
//! exp(−C/ε) and the cost C of a regular grid, whose n × n entries nobody ever sees.
//!
//! Three products: with (·, +) ([`product`]), with (+, log-sum-exp) ([`log`]) and with (+, min) ([`product::Least`]).
//! Each works axis by axis, n·d operations for an axis of d cells. A pass takes the *first* axis of an array and puts
//! it *last*: `out[q, i] = Σ_j k_ij x[j, q]`. It reads cache lines of neighbouring q, writes whole rows, tasks own
//! disjoint parts of `out`, and after as many passes as there are axes they stand in their old order.

pub mod log;
pub mod product;

pub use log::{LogAxis, log_sum_exp, log_sum_exp_reusing};
pub use product::{Axis, least, multiply};

/// Operations of a pass from which it is shared among threads: below, waking them costs more.
const WORK_TO_SHARE: usize = 1 << 19;

/// Lines of one task: the same for any number of threads, though no bit depends on it.
fn lines_a_task(d: usize) -> usize {
    (WORK_TO_SHARE / 8 / (d * d).max(1)).max(1) * 24
}

/// Runs one pass for each axis, `pass(k, from, to)`, so that the last one writes `out`. `room` is used for what lies
/// between.
fn in_turns<T: Copy>(
    axes: usize,
    x: &[T],
    out: &mut [T],
    room: &mut [T],
    mut pass: impl FnMut(usize, &[T], &mut [T]),
) {
    // Backwards from the last pass: out, room, out, …
    let to_out = |k: usize| (axes - 1 - k).is_multiple_of(2);
    for k in 0..axes {
        match (k, to_out(k)) {
            (0, true) => pass(k, x, out),
            (0, false) => pass(k, x, room),
            (_, true) => pass(k, room, out),
            (_, false) => pass(k, out, room),
        }
    }
}
