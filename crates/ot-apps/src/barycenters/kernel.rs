//! exp(−C/ε) in scalings or in logarithms, and the half of a round that is one measure's own.

use ot_kernels::exp::{exp, exp_in_place};
use ot_kernels::ln::ln;
use ot_kernels::scaling::{divide, measure};

use super::inputs::Inputs;
use super::logs::{LogProducts, LogRoom, Logs};
use super::scalings::{Products, Scalings};
use crate::drive::stretched;

/// What underflows in a product of scalings is below e⁻⁷⁰⁸: a number that is as small stands for its logarithm, since −∞
/// less −∞ is none.
const UNDERFLOWN: f64 = -745.0;

/// The kernel of one ε.
pub(super) enum Kernel<'a> {
    Scalings(Scalings),
    Logs(Logs<'a>),
}

/// Room of a task.
#[derive(Default)]
pub(super) struct Room {
    v: Vec<f64>,
    u: Vec<f64>,
    own: Vec<f64>,
    between: Vec<f64>,
    logs: LogRoom,
}

impl Kernel<'_> {
    /// Another ε, in logarithms; scalings stay as they are.
    pub(super) fn set_reg(&mut self, reg: f64) {
        if let Self::Logs(kernel) = self {
            kernel.set_reg(reg);
        }
    }

    /// The measures' weights as the projections take them: as they are, or their logarithms.
    pub(super) fn weights(&self, inputs: &Inputs) -> Vec<f64> {
        let mut weights = inputs.weights();
        if let Self::Logs(_) = self {
            let p = weights.clone();
            ln(&p, &mut weights);
        }
        weights
    }

    pub(super) fn projections(&self) -> Projections<'_> {
        match self {
            Self::Scalings(kernel) => Projections::Scalings(kernel.products()),
            Self::Logs(kernel) => Projections::Logs(kernel.products()),
        }
    }
}

/// Projections of some measures, one after another, onto their marginals.
pub(super) enum Projections<'a> {
    Scalings(Products<'a>),
    Logs(LogProducts<'a>),
}

impl Projections<'_> {
    /// ln t = ln Kᵀ(p / K v), given ln v and p (or ln p), and the column sums v ∘ t of the plans: their L1 distance
    /// from q goes to `errors`.
    pub(super) fn project(
        &self,
        log_v: &[f64],
        p: &[f64],
        log_t: &mut [f64],
        q: &[f64],
        errors: &mut [f64],
        room: &mut Room,
    ) {
        let m = q.len();
        let Room {
            v,
            u,
            own,
            between,
            logs,
        } = room;
        let v = stretched(v, log_v.len());
        let u = stretched(u, p.len());
        match self {
            Self::Scalings(products) => {
                exp(log_v, v);
                let own = stretched(own, p.len().max(v.len()));
                products.forward(v, &mut own[..p.len()], between);
                divide(p, &own[..p.len()], u);
                let t = &mut own[..v.len()];
                products.backward(u, t, between);
                ln(t, log_t);
                log_t
                    .iter_mut()
                    .for_each(|t| *t = if *t < UNDERFLOWN { UNDERFLOWN } else { *t });
                let plans = v.chunks_exact(m).zip(t.chunks_exact(m));
                for (error, (v, t)) in errors.iter_mut().zip(plans) {
                    *error = measure(q, t, v).error;
                }
            }
            Self::Logs(products) => {
                v.copy_from_slice(log_v);
                products.forward(v, u, logs);
                u.iter_mut().zip(p).for_each(|(u, p)| *u = p - *u);
                products.backward(u, log_t, logs);
                let both = v.iter_mut().zip(log_v).zip(&*log_t);
                both.for_each(|((sums, v), t)| *sums = v + t);
                exp_in_place(v);
                for (error, sums) in errors.iter_mut().zip(v.chunks_exact(m)) {
                    *error = ot_kernels::reduce::l1_distance(sums, q);
                }
            }
        }
    }

    /// ln K e^x of one vector x over the support.
    pub(super) fn spread(&self, log_d: &[f64], out: &mut [f64], room: &mut Room) {
        let d = stretched(&mut room.v, log_d.len());
        match self {
            Self::Scalings(products) => {
                exp(log_d, d);
                let sums = stretched(&mut room.own, out.len());
                products.forward(d, sums, &mut room.between);
                ln(sums, out);
            }
            Self::Logs(products) => {
                d.copy_from_slice(log_d);
                products.forward(d, out, &mut room.logs);
            }
        }
    }

    /// ln Kᵀ e^y of one vector y over the used rows.
    pub(super) fn back(&self, log_u: &[f64], out: &mut [f64], room: &mut Room) {
        let u = stretched(&mut room.u, log_u.len());
        match self {
            Self::Scalings(products) => {
                exp(log_u, u);
                let sums = stretched(&mut room.own, out.len());
                products.backward(u, sums, &mut room.between);
                ln(sums, out);
            }
            Self::Logs(products) => {
                u.copy_from_slice(log_u);
                products.backward(u, out, &mut room.logs);
            }
        }
    }
}
