//! Passes over the rows of the cost: half-iterations forwards, and the value at their end.

use std::ops::Range;

use ot_kernels::exp::gibbs_row;
use ot_kernels::linear::{add_scaled, product_sum};
use ot_kernels::reduce::{col_min_update, row_log_sum_exp};
use solver_api::{Error, Problem};

use crate::input::forbids;
use crate::points::{ChainRule, Pulls};
use crate::rows::{Chunks, sum_into};

/// Sums within these come from exponentials of which none that counts has left the range of f64.
const SAFE: Range<f64> = 1e-200..1e200;
/// Potentials that moved by less than this many ε allow one exponential for both sides of a column update.
pub(super) const NEAR: f64 = 300.0;

/// Room for a chunk of rows: one for all passes of a run.
pub(super) struct Room {
    /// The potential of the chunk's rows.
    pub(super) f: Vec<f64>,
    /// What the chunk's rows give to each column.
    pub(super) columns: Vec<f64>,
    /// What the chunk's rows get.
    pub(super) own: Vec<f64>,
    /// exp((f_i + g_j − C_ij)/ε) of the row at work.
    pub(super) e: Vec<f64>,
    /// Its costs.
    pub(super) c: Vec<f64>,
    /// Rows of the gradient in C, dense, if wanted.
    pub(super) dense: Vec<f64>,
    /// The gradient in the points, if wanted.
    pub(super) pulls: Option<Pulls>,
    /// A row of the gradient in C.
    pub(super) row: Vec<f64>,
}

/// A run forwards: the potentials as they stand, and the rooms of its passes.
pub(super) struct Forward<'a> {
    pub(super) problem: &'a Problem,
    pub(super) reg: f64,
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    /// v_0 in the first iteration, b after it.
    pub(super) beta: Vec<f64>,
    pub(super) chunks: Chunks<Room>,
    /// Whether an entry of the cost may be +∞.
    pub(super) forbids: bool,
    /// Whether `f` is that of an earlier iteration: a reference for the next one.
    warm: bool,
    next: Vec<f64>,
    /// g + ε log β.
    weighted: Vec<f64>,
}

/// A row at work: its index, the first of its chunk, and what makes its `e` that of the right f.
#[derive(Clone, Copy)]
struct Row {
    i: usize,
    first: usize,
    scale: f64,
}

/// What the last half-iteration tells.
pub(super) struct End {
    pub(super) transport_cost: f64,
    /// Σ_j π_ij C_ij of each source: ∂W_L/∂a before the adjoint of the iterations.
    pub(super) means: Vec<f64>,
    /// Σ_i a_i π_ij (C_ij − mean_i)/b_j: ∂W_L/∂b, and b_j/ε of it is ∂W_L/∂g.
    pub(super) columns: Vec<f64>,
}

/// What is done with rows of the gradient in C.
pub(super) enum Sink<'a> {
    None,
    Dense,
    Points(&'a ChainRule<'a>),
}

impl Room {
    /// Gives row `i` of a gradient, which stands in `row`, to whoever wants it.
    pub(super) fn give(&mut self, i: usize, first: usize, sink: &Sink<'_>) {
        match sink {
            Sink::None => {}
            Sink::Dense => {
                let m = self.row.len();
                let at = (i - first) * m;
                let out = &mut self.dense[at..at + m];
                out.iter_mut().zip(&self.row).for_each(|(o, r)| *o += r);
            }
            Sink::Points(chain) => {
                if let Some(pulls) = &mut self.pulls {
                    chain.add_row(i, &self.row, pulls);
                }
            }
        }
    }
}

impl<'a> Forward<'a> {
    pub(super) fn new(problem: &'a Problem, reg: f64, g: Vec<f64>) -> Self {
        let (n, m) = problem.shape();
        let make = |rows: Range<usize>| Room {
            f: vec![0.0; rows.len()],
            columns: vec![0.0; m],
            own: vec![0.0; rows.len()],
            e: vec![0.0; m],
            c: vec![0.0; m],
            dense: Vec::new(),
            pulls: None,
            row: Vec::new(),
        };
        Self {
            problem,
            reg,
            f: vec![0.0; n],
            g,
            beta: vec![1.0; m],
            // An exponential takes as long as some ten plain operations.
            chunks: Chunks::new(n, m.saturating_mul(8), make),
            forbids: forbids(problem),
            warm: false,
            next: vec![0.0; m],
            weighted: vec![0.0; m],
        }
    }

    /// The potentials of an earlier iteration `l`, to go on from there.
    pub(super) fn rewind(&mut self, l: usize, g: &[f64]) {
        self.g.copy_from_slice(g);
        if l == 0 {
            self.beta.fill(1.0);
        }
        self.warm = false;
    }

    /// f from g, then the next g from f: one read of the cost.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        let a = self.problem.a().weights();
        self.row_pass(|room, row| {
            if a[row.i] > 0.0 {
                add_scaled(a[row.i] * row.scale, &room.e, &mut room.columns);
            }
        });
        self.collect_f();
        sum_into(
            &mut self.next,
            self.chunks.rooms().iter().map(|room| &room.columns[..]),
        );
        let safe = self.next.iter().all(|s| SAFE.contains(s));
        if safe {
            for (next, g) in self.next.iter_mut().zip(&self.g) {
                *next = g - self.reg * next.ln();
            }
        } else {
            self.columns_from_minima();
        }
        std::mem::swap(&mut self.g, &mut self.next);
        self.beta.copy_from_slice(self.problem.b().weights());
        self.warm = true;
        self.sound()
    }

    /// Finds the f of each row, leaves exp((f_i + g_j − C_ij)/ε)/scale in the room's `e`, and calls `then`. Rows without
    /// a partner are left out.
    fn row_pass(&mut self, then: impl Fn(&mut Room, Row) + Sync) {
        let cost = self.problem.cost();
        let (reg, inv_eps) = (self.reg, 1.0 / self.reg);
        for ((w, g), b) in self.weighted.iter_mut().zip(&self.g).zip(&self.beta) {
            *w = log_weighted(*g, *b, reg);
        }
        let (g, beta, old, warm) = (&self.g, &self.beta, &self.f, self.warm);
        let weighted = &self.weighted;
        self.chunks.pass(|room, rows| {
            room.columns.fill(0.0);
            let first = rows.start;
            for i in rows {
                let Room { e, c, .. } = room;
                cost.row(i, c);
                let mut scale = 1.0;
                let mut fi = old[i];
                let mut known = false;
                if warm && fi.is_finite() {
                    gibbs_row(c, fi, g, inv_eps, e);
                    let sum = product_sum(e, beta);
                    if SAFE.contains(&sum) {
                        scale = 1.0 / sum;
                        fi -= reg * sum.ln();
                        known = true;
                    }
                }
                if !known {
                    fi = -reg * row_log_sum_exp(c, weighted, inv_eps);
                    if fi.is_finite() {
                        gibbs_row(c, fi, g, inv_eps, e);
                    }
                }
                room.f[i - first] = fi;
                if fi.is_finite() {
                    then(room, Row { i, first, scale });
                }
            }
        });
    }

    fn collect_f(&mut self) {
        let mut at = 0;
        for room in self.chunks.rooms() {
            self.f[at..at + room.f.len()].copy_from_slice(&room.f);
            at += room.f.len();
        }
    }

    /// g by the hard minimum of each column first, then the sum beside it: two reads, for columns that the last g
    /// was too far from.
    fn columns_from_minima(&mut self) {
        let (cost, a, f) = (self.problem.cost(), self.problem.a().weights(), &self.f);
        let uses = |i: usize| a[i] > 0.0 && f[i].is_finite();
        self.chunks.pass(|room, rows| {
            room.columns.fill(f64::INFINITY);
            for i in rows.filter(|&i| uses(i)) {
                cost.row(i, &mut room.c);
                col_min_update(&room.c, f[i], &mut room.columns);
            }
        });
        let mut least = vec![f64::INFINITY; self.next.len()];
        for room in self.chunks.rooms() {
            least
                .iter_mut()
                .zip(&room.columns)
                .for_each(|(l, c)| *l = l.min(*c));
        }
        // A column without a partner is silent.
        least
            .iter_mut()
            .filter(|l| **l == f64::INFINITY)
            .for_each(|l| *l = f64::NEG_INFINITY);
        let inv_eps = 1.0 / self.reg;
        self.chunks.pass(|room, rows| {
            room.columns.fill(0.0);
            for i in rows.filter(|&i| uses(i)) {
                cost.row(i, &mut room.c);
                gibbs_row(&room.c, f[i], &least, inv_eps, &mut room.e);
                add_scaled(a[i], &room.e, &mut room.columns);
            }
        });
        sum_into(
            &mut self.next,
            self.chunks.rooms().iter().map(|room| &room.columns[..]),
        );
        for (next, least) in self.next.iter_mut().zip(least) {
            *next = if least.is_finite() {
                least - self.reg * next.ln()
            } else {
                least
            };
        }
    }

    /// The last row update, and what W_L and its derivatives start from. With a sink also the last step's part of the
    /// gradient in C, P_ij (1 − (C_ij − mean_i)/ε).
    pub(super) fn finish(&mut self, sink: &Sink<'_>) -> Result<End, Error> {
        let (reg, forbids) = (self.reg, self.forbids);
        let b = self.problem.b().weights();
        let a = self.problem.a().weights();
        self.row_pass(|room, Row { i, first, scale }| {
            if forbids {
                // ∞ must not meet 0.
                room.c
                    .iter_mut()
                    .filter(|c| **c == f64::INFINITY)
                    .for_each(|c| *c = 0.0);
            }
            let Room {
                columns,
                own,
                e,
                c,
                row,
                ..
            } = &mut *room;
            // e ← π/b, c ← the cost less its mean.
            e.iter_mut().for_each(|e| *e *= scale);
            let mut mean = 0.0;
            for ((e, c), b) in e.iter().zip(&*c).zip(b) {
                mean += e * b * c;
            }
            own[i - first] = mean;
            c.iter_mut().for_each(|c| *c -= mean);
            for ((column, e), c) in columns.iter_mut().zip(&*e).zip(&*c) {
                *column += a[i] * (e * c);
            }
            if !matches!(sink, Sink::None) {
                for (((out, e), c), b) in row.iter_mut().zip(&*e).zip(&*c).zip(b) {
                    *out = a[i] * b * e * (1.0 - c / reg);
                }
                room.give(i, first, sink);
            }
        });
        self.collect_f();
        let mut means = Vec::with_capacity(self.f.len());
        let mut columns = vec![0.0; self.g.len()];
        for (room, f) in self
            .chunks
            .rooms()
            .iter()
            .zip(self.chunks.rooms().iter().map(|r| &r.f))
        {
            // A source without a partner has no finite derivative.
            means.extend(room.own.iter().zip(f).map(|(mean, f)| {
                if f.is_finite() { *mean } else { f64::INFINITY }
            }));
        }
        sum_into(
            &mut columns,
            self.chunks.rooms().iter().map(|room| &room.columns[..]),
        );
        self.sound()?;
        let paid = (means.iter().zip(a))
            .filter(|(_, a)| **a > 0.0)
            .map(|(mean, a)| mean * a);
        let transport_cost = paid.sum::<f64>();
        if !transport_cost.is_finite() {
            return Err(left_range(self.reg));
        }
        Ok(End {
            transport_cost,
            means,
            columns,
        })
    }

    /// Every source with mass has a potential.
    fn sound(&self) -> Result<(), Error> {
        let a = self.problem.a().weights();
        let b = self.problem.b().weights();
        let fine = |p: &[f64], w: &[f64]| p.iter().zip(w).all(|(p, w)| *w == 0.0 || p.is_finite());
        if fine(&self.f, a) && fine(&self.g, b) {
            Ok(())
        } else {
            Err(left_range(self.reg))
        }
    }
}

/// g + ε log w, the exponent of w e^{g/ε}; −∞ without weight.
fn log_weighted(g: f64, w: f64, reg: f64) -> f64 {
    if w > 0.0 {
        g + reg * w.ln()
    } else {
        f64::NEG_INFINITY
    }
}

pub(super) fn left_range(reg: f64) -> Error {
    Error::setting(
        "reg",
        reg,
        "the iterations left the range of f64: choose a larger one",
    )
}
