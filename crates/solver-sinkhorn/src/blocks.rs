//! Rows of the kernel in f64, whatever it is stored in, a block at a time: no second n×m matrix.

use std::ops::Range;

use ot_kernels::exp::gibbs_row;
use solver_api::Cost;

use crate::kernel::{Kernel, Stored, Support};

/// Kernel entries of a block of rows.
const ENTRIES: usize = 1 << 17;

/// What a block is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// K.
    Kernel,
    /// K, and K∘C in units of [`Kernel::unit`].
    Paid,
    /// K, and C in units of [`Kernel::unit`].
    Cost,
}

/// Some rows of the kernel over the support, and of the cost.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) k: Vec<f64>,
    /// K∘C, where a lost entry costs nothing, in units of [`Kernel::unit`].
    pub(crate) paid: Vec<f64>,
    /// C in units of [`Kernel::unit`].
    pub(crate) cost: Vec<f64>,
    wide: Vec<f64>,
    narrow: Vec<f64>,
}

impl Blocks {
    /// The rows of `n` that are handled together, in order.
    pub(crate) fn of((n, m): (usize, usize)) -> impl Iterator<Item = Range<usize>> {
        let size = (ENTRIES / m.max(1)).clamp(1, n.max(1));
        (0..n)
            .step_by(size)
            .map(move |first| first..n.min(first + size))
    }

    /// Fills the block with `rows`, as `kernel` has them: a lost entry is 0. An f32 kernel is not widened but
    /// computed again.
    pub(crate) fn load<T: Stored>(
        &mut self,
        rows: Range<usize>,
        part: Part,
        cost: &dyn Cost,
        support: &Support,
        kernel: &Kernel<T>,
    ) {
        let m = support.shape().1;
        let count = rows.len() * m;
        self.wide.resize(cost.shape().1, 0.0);
        self.narrow.resize(m, 0.0);
        self.k.resize(count, 0.0);
        let at_all = |wanted: Part| if part == wanted { count } else { 0 };
        self.paid.resize(at_all(Part::Paid), 0.0);
        self.cost.resize(at_all(Part::Cost), 0.0);
        let scale = 1.0 / kernel.unit();
        for (at, i) in rows.enumerate() {
            let here = at * m..(at + 1) * m;
            let (k, stored) = (&mut self.k[here.clone()], &kernel.k[i * m..(i + 1) * m]);
            let row = support.row(cost, i, &mut self.wide, &mut self.narrow);
            if let Some(stored) = T::as_f64(stored) {
                k.copy_from_slice(stored);
            } else {
                gibbs_row(row, kernel.r[i], &kernel.c, 1.0 / kernel.reg, k);
                if kernel.lost > 0 {
                    for (k, &x) in k.iter_mut().zip(stored) {
                        *k = if x > T::default() { *k } else { 0.0 };
                    }
                }
            }
            if part == Part::Paid {
                for ((paid, &k), &c) in self.paid[here.clone()].iter_mut().zip(&*k).zip(row) {
                    *paid = if k > 0.0 { k * (c * scale) } else { 0.0 };
                }
            }
            if part == Part::Cost {
                let entries = self.cost[here].iter_mut().zip(row);
                entries.for_each(|(out, c)| *out = c * scale);
            }
        }
    }
}
