//! Kernel products of logarithms, at any ε: out = ln K e^x.
//!
//! Grids go axis by axis (`ot_kernels::separable::log`). A matrix whose exponents stay above −660 is multiplied: e^x less
//! its largest term for each vector, so that what underflows could not be seen. Any other matrix is summed row by row,
//! every exponent less the largest of its row.

use ot_kernels::exp::exp_in_place;
use ot_kernels::gemm::{ktu_batch, kv_batch};
use ot_kernels::ln::ln;
use ot_kernels::reduce::row_log_sum_exp;
use ot_kernels::separable::log::Room as Lines;
use ot_kernels::separable::{LogAxis, log_sum_exp_reusing};

use super::inputs::Inputs;
use crate::drive::stretched;

/// Exponents of a kernel that is multiplied: a sum is at least e⁻⁶⁶⁰ of the largest term, and what underflows is 1e-20 of
/// that.
const LARGEST_WHOLE: f64 = 660.0;

/// The kernel of one ε, to be exchanged for that of another.
pub(super) struct Logs<'a> {
    inputs: &'a Inputs,
    reg: f64,
    /// The used rows of the cost, where it is no grid.
    cost: Vec<f64>,
    way: Way,
}

enum Way {
    Grid(Vec<LogAxis>),
    /// exp((min − C)/ε).
    Multiplied(Vec<f64>),
    /// The cost turned, so that columns are rows as well.
    Summed(Vec<f64>),
}

/// Room for the products of a task.
#[derive(Default)]
pub(super) struct LogRoom {
    between: Vec<f64>,
    tops: Vec<f64>,
    lines: Lines,
}

impl<'a> Logs<'a> {
    /// Memory O(Σ dims²) for a grid, else one or two arrays of the used rows of the cost.
    pub(super) fn new(inputs: &'a Inputs, reg: f64) -> Self {
        let cost = if inputs.grid.is_some() {
            Vec::new()
        } else {
            inputs.matrix()
        };
        let mut kernel = Self {
            inputs,
            reg,
            cost,
            way: Way::Grid(Vec::new()),
        };
        kernel.set_reg(reg);
        kernel
    }

    /// Another ε.
    pub(super) fn set_reg(&mut self, reg: f64) {
        self.reg = reg;
        if let Some(axes) = &self.inputs.grid {
            let axes = axes.iter().map(|c| LogAxis::new(c, 1.0 / reg, None));
            self.way = Way::Grid(axes.collect());
            return;
        }
        let range = self.inputs.cost.range();
        if range.spread() <= LARGEST_WHOLE * reg {
            let mut k = match std::mem::replace(&mut self.way, Way::Grid(Vec::new())) {
                Way::Multiplied(room) | Way::Summed(room) => room,
                Way::Grid(_) => Vec::new(),
            };
            k.clear();
            k.extend(self.cost.iter().map(|c| (range.min - c) / reg));
            exp_in_place(&mut k);
            self.way = Way::Multiplied(k);
        } else if !matches!(self.way, Way::Summed(_)) {
            let (n, m) = (self.inputs.rows.len(), self.inputs.support());
            let turned = (0..n * m).map(|e| self.cost[(e % n) * m + e / n]);
            self.way = Way::Summed(turned.collect());
        }
    }

    /// References to the axes, which a loop makes once.
    pub(super) fn products(&self) -> LogProducts<'_> {
        LogProducts {
            kernel: self,
            axes: match &self.way {
                Way::Grid(axes) => axes.iter().collect(),
                _ => Vec::new(),
            },
        }
    }
}

/// Products with a [`Logs`] of many vectors, one after another.
pub(super) struct LogProducts<'a> {
    kernel: &'a Logs<'a>,
    axes: Vec<&'a LogAxis>,
}

impl LogProducts<'_> {
    /// ln K e^x of each vector over the support; `x` is spoiled.
    pub(super) fn forward(&self, x: &mut [f64], out: &mut [f64], room: &mut LogRoom) {
        let kernel = self.kernel;
        match &kernel.way {
            Way::Grid(_) => self.along(x, out, room),
            Way::Multiplied(k) => {
                let (n, m) = (kernel.inputs.rows.len(), kernel.inputs.support());
                self.multiplied(m, n, x, out, room, |x, out| kv_batch(k, n, m, x, out, 1));
            }
            Way::Summed(_) => self.summed(&kernel.cost, kernel.inputs.support(), x, out),
        }
    }

    /// ln Kᵀ e^x of each vector over the used rows; `x` is spoiled.
    pub(super) fn backward(&self, x: &mut [f64], out: &mut [f64], room: &mut LogRoom) {
        let kernel = self.kernel;
        match &kernel.way {
            // Grids are the same from both sides.
            Way::Grid(_) => self.along(x, out, room),
            Way::Multiplied(k) => {
                let (n, m) = (kernel.inputs.rows.len(), kernel.inputs.support());
                self.multiplied(n, m, x, out, room, |x, out| ktu_batch(k, n, m, x, out, 1));
            }
            Way::Summed(turned) => self.summed(turned, kernel.inputs.rows.len(), x, out),
        }
    }

    fn along(&self, x: &[f64], out: &mut [f64], room: &mut LogRoom) {
        let cells = self.kernel.inputs.support();
        let between = stretched(&mut room.between, cells);
        for (x, out) in x.chunks_exact(cells).zip(out.chunks_exact_mut(cells)) {
            log_sum_exp_reusing(&self.axes, x, out, between, &mut room.lines);
        }
    }

    fn multiplied(
        &self,
        from: usize,
        to: usize,
        x: &mut [f64],
        out: &mut [f64],
        room: &mut LogRoom,
        product: impl Fn(&[f64], &mut [f64]),
    ) {
        let tops = stretched(&mut room.tops, x.len() / from);
        for (x, top) in x.chunks_exact_mut(from).zip(tops.iter_mut()) {
            *top = x
                .iter()
                .fold(f64::NEG_INFINITY, |t, &x| if x > t { x } else { t });
            x.iter_mut().for_each(|x| *x -= *top);
        }
        exp_in_place(x);
        let sums = stretched(&mut room.between, out.len());
        product(x, sums);
        ln(sums, out);
        // The kernel had the least cost taken off.
        let least = self.kernel.inputs.cost.range().min / self.kernel.reg;
        for (out, top) in out.chunks_exact_mut(to).zip(tops) {
            out.iter_mut().for_each(|y| *y += *top - least);
        }
    }

    fn summed(&self, cost: &[f64], from: usize, x: &mut [f64], out: &mut [f64]) {
        let (reg, to) = (self.kernel.reg, cost.len() / from);
        for (x, out) in x.chunks_exact_mut(from).zip(out.chunks_exact_mut(to)) {
            // In cost units.
            x.iter_mut().for_each(|x| *x *= reg);
            for (row, out) in cost.chunks_exact(from).zip(out) {
                *out = row_log_sum_exp(row, x, 1.0 / reg);
            }
        }
    }
}
