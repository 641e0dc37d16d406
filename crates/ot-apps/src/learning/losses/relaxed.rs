//! The relaxed Wasserstein loss of 003, for predictions and targets of any masses.
//!
//! W(h, y) = min ⟨T, M⟩ − ε·H(T) + γa KL(T1 ‖ h) + γb KL(Tᵀ1 ‖ y), equation (8). T = diag(u) K diag(v) with
//! u = (h ⊘ K v)^φ, φ = γa/(γa + ε), and v alike (proposition 4.2); ∂W/∂h = γa(1 − T1 ⊘ h), where T1 ⊘ h = u^{−ε/γa}.
//! K = e^{−M/ε−1}; here the factor e⁻¹ is taken out and put back in the one place where it matters.
//!
//! The iteration as printed takes about γ/ε steps to find how much mass moves at all. That is one equation for each row,
//! which is solved in closed form after every step: u and v are scaled to where the dual is largest along both factors.

use ot_kernels::exp::exp_in_place;
use ot_kernels::ln::ln;
use solver_api::{Context, Reg};

use super::entropic::{Kernel, check_iterations};
use super::{Loss, Rows, Sums};
use crate::Error;
use crate::learning::LabelCost;

/// What can be set of [`RelaxedWasserstein`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelaxedSettings {
    /// ε = 1/λ. Default: 0.05 of the largest cost.
    pub reg: Reg,
    /// Price of mass that the plan lacks or has beside the prediction, in units of the cost. Default: 1, the largest of a
    /// scaled cost: no way is too far to be gone.
    pub gamma_a: f64,
    /// The same beside the target. Default: 1.
    pub gamma_b: f64,
    /// Iterations at most of a batch. Default: 10: rows go on from where they stood in the last epoch, and a batch mostly
    /// takes all that it may, for the sake of its slowest row.
    pub iterations: usize,
    /// Change of the plan in one iteration, L1 over its mass, at which a batch ends. Default: 1e-4.
    pub tol: f64,
}

impl Default for RelaxedSettings {
    fn default() -> Self {
        Self {
            reg: Reg::Relative(0.05),
            gamma_a: 1.0,
            gamma_b: 1.0,
            iterations: 10,
            tol: 1e-4,
        }
    }
}

/// 003's loss between unnormalized measures. Predictions must be above 0. Time and memory of
/// [`EntropicWasserstein`](super::EntropicWasserstein), and an exponential and a logarithm for each label more.
#[derive(Debug, Clone)]
pub struct RelaxedWasserstein {
    settings: RelaxedSettings,
    kernel: Kernel,
}

/// log u and log v of all rows, and room to work.
struct State {
    log_u: Vec<f64>,
    log_v: Vec<f64>,
    room: Vec<f64>,
    product: Vec<f64>,
    /// The mass that moves, row by row.
    sent: Vec<f64>,
}

impl RelaxedWasserstein {
    /// At `cost` between labels.
    ///
    /// # Errors
    /// A setting outside of its range (prices must be positive and finite), a `reg` below 1/150 of the largest cost.
    pub fn new(cost: &LabelCost, settings: RelaxedSettings) -> Result<Self, Error> {
        check_iterations(settings.iterations, settings.tol)?;
        for (name, gamma) in [("gamma_a", settings.gamma_a), ("gamma_b", settings.gamma_b)] {
            if !(gamma > 0.0 && gamma.is_finite()) {
                let rule = "must be positive and finite; `EntropicWasserstein` keeps all mass";
                return Err(Error::setting(name, gamma, rule));
            }
        }
        Ok(Self {
            settings,
            kernel: Kernel::new(cost, settings.reg)?,
        })
    }

    /// log u = φ (log w − log K v) of all rows, or the other side.
    fn half_step(&self, log_w: &[f64], product: &[f64], gamma: f64, out: &mut [f64]) {
        // e⁻¹ of the source's kernel is in the product's logarithm.
        let power = gamma / (gamma + self.kernel.reg);
        ln(product, out);
        for (out, w) in out.iter_mut().zip(log_w) {
            *out = power * (w - (*out - 1.0));
        }
    }

    /// Scales u and v of each row to the largest dual along both factors: with L = log of the mass that moves,
    /// γa⟨h, u^{−ε/γa}⟩ and γb⟨y, v^{−ε/γb}⟩ must be e^L, too.
    fn settle_masses(&self, rows: &Rows<'_>, state: &mut State) {
        let (labels, reg) = (rows.labels(), self.kernel.reg);
        let (gamma_a, gamma_b) = (self.settings.gamma_a, self.settings.gamma_b);
        // After the half step of u, what leaves is u·K v, and that is what moves.
        state.room.copy_from_slice(&state.log_u);
        exp_in_place(&mut state.room);
        let sent = state
            .room
            .chunks_exact(labels)
            .zip(state.product.chunks_exact(labels));
        let sent = sent.map(|(u, kv)| u.iter().zip(kv).map(|(u, kv)| u * kv).sum::<f64>());
        state.sent.clear();
        state.sent.extend(sent);
        state
            .room
            .iter_mut()
            .zip(&state.log_v)
            .for_each(|(r, v)| *r = -v * reg / gamma_b);
        exp_in_place(&mut state.room);
        for (row, (_, y)) in rows.pairs().enumerate() {
            let at = row * labels..(row + 1) * labels;
            let (log_u, log_v) = (&mut state.log_u[at.clone()], &mut state.log_v[at.clone()]);
            let met: f64 = (y.iter().zip(&state.room[at.clone()]))
                .map(|(y, part)| if *y > 0.0 { y * part } else { 0.0 })
                .sum();
            // The source's kernel has a factor of e⁻¹ that the product lacks.
            let (own, other) = (state.sent[row].ln() - 1.0, met.ln());
            let level = (own * (1.0 + gamma_a / reg) + other * gamma_b / reg)
                / (1.0 + (gamma_a + gamma_b) / reg);
            let (s, t) = (
                gamma_a * (own - level) / reg,
                gamma_b * (other - level) / reg,
            );
            log_u.iter_mut().for_each(|u| *u += s);
            log_v.iter_mut().for_each(|v| *v += t);
        }
    }

    /// Iterates from log v, and says nothing: what is left is in the state.
    fn iterate(&self, rows: &Rows<'_>, log_h: &[f64], log_y: &[f64], state: &mut State) {
        let (labels, settings) = (rows.labels(), &self.settings);
        let mut before = state.log_v.clone();
        for iteration in 0..settings.iterations {
            if iteration > 0 {
                state.room.copy_from_slice(&state.log_u);
                exp_in_place(&mut state.room);
                self.kernel.back(&state.room, &mut state.product);
                self.half_step(log_y, &state.product, settings.gamma_b, &mut state.log_v);
            }
            state.room.copy_from_slice(&state.log_v);
            exp_in_place(&mut state.room);
            self.kernel.times(&state.room, &mut state.product);
            self.half_step(log_h, &state.product, settings.gamma_a, &mut state.log_u);
            self.settle_masses(rows, state);
            let moved = |row: usize| {
                let (mut moved, mut mass) = (0.0, 0.0);
                for k in row * labels..(row + 1) * labels {
                    let y = rows.target()[k];
                    mass += y;
                    if y > 0.0 {
                        moved += y * (state.log_v[k] - before[k]).abs().min(1.0);
                    }
                }
                moved <= settings.tol * mass
            };
            if iteration > 0 && (0..rows.len()).all(moved) {
                break;
            }
            before.copy_from_slice(&state.log_v);
        }
    }
}

impl Loss for RelaxedWasserstein {
    fn name(&self) -> String {
        "relaxed-wasserstein".to_owned()
    }

    fn labels(&self) -> Option<usize> {
        Some(self.kernel.labels)
    }

    /// v: 0 where the target has nothing.
    fn memory(&self, labels: usize) -> usize {
        labels
    }

    fn evaluate(
        &self,
        rows: Rows<'_>,
        memory: &mut [f64],
        sums: &mut Sums<'_>,
        _context: &mut Context,
    ) -> Result<(), Error> {
        rows.check(self.kernel.labels, true)?;
        let (labels, reg) = (rows.labels(), self.kernel.reg);
        for (row, (_, y)) in rows.pairs().enumerate() {
            if y.iter().all(|y| *y == 0.0) {
                let rule = "weights must have a positive sum";
                return Err(Error::setting(&format!("target[{row}]"), 0.0, rule));
            }
        }
        let size = memory.len();
        let (mut log_h, mut log_y) = (vec![0.0; size], vec![0.0; size]);
        ln(rows.prediction(), &mut log_h);
        ln(rows.target(), &mut log_y);
        let mut state = State {
            log_u: vec![0.0; size],
            log_v: vec![0.0; size],
            room: vec![0.0; size],
            product: vec![0.0; size],
            sent: Vec::with_capacity(rows.len()),
        };
        for (row, (held, (_, y))) in memory.chunks_exact(labels).zip(rows.pairs()).enumerate() {
            let seen = held.iter().zip(y).any(|(v, y)| *v > 0.0 && *y > 0.0);
            for k in 0..labels {
                state.log_v[row * labels + k] = match (y[k] > 0.0, seen && held[k] > 0.0) {
                    (false, _) => f64::NEG_INFINITY,
                    (true, true) => held[k].ln(),
                    (true, false) => 0.0,
                };
            }
        }
        self.iterate(&rows, &log_h, &log_y, &mut state);
        memory.copy_from_slice(&state.log_v);
        exp_in_place(memory);
        let (gamma_a, gamma_b) = (self.settings.gamma_a, self.settings.gamma_b);
        for (row, (h, y)) in rows.pairs().enumerate() {
            let at = row * labels;
            let price = |gamma: f64, log: f64| -gamma * (-reg * log / gamma).exp_m1();
            let gradient = |k: usize| price(gamma_a, state.log_u[at + k]);
            let (mut value, mut sent) = (0.0, 0.0);
            for k in 0..labels {
                value += h[k] * gradient(k);
                sent += h[k] * (1.0 - gradient(k) / gamma_a);
                if y[k] > 0.0 {
                    value += y[k] * price(gamma_b, state.log_v[at + k]);
                }
            }
            // The dual of (8): the entropy's conjugate takes ε times the mass that moves.
            sums.add(row, value - reg * sent, (0..labels).map(gradient));
        }
        Ok(())
    }
}
