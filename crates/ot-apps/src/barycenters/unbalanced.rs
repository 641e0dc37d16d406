//! Barycenters of measures of different mass: marginals are relaxed.
//!
//! q minimizes Σ_k λ_k (⟨P_k, C⟩ + ε KL(P_k ‖ 1) + γ KL(P_k 1 ‖ p_k) + γ KL(P_kᵀ1 ‖ q)) over plans and measures of any mass.
//! With K = exp(−C/ε) and φ = γ/(γ + ε): u_k = (p_k / K v_k)^φ, q = (Σ_k λ_k (Kᵀu_k)^{1−φ})^{1/(1−φ)},
//! v_k = (q / Kᵀu_k)^φ. In logarithms, at any ε and γ.
//!
//! Source: Chizat, Peyré, Schmitzer and Vialard, *Scaling algorithms for unbalanced optimal transport problems* (2018),
//! section 5.2.

use std::sync::Arc;

use ot_kernels::exp::exp_in_place;
use ot_kernels::reduce::l1_distance;
use rayon::prelude::*;
use solver_api::{Barycenter, Context, Cost, Error, Measure, Reg};

use super::inputs::{Inputs, Masses};
use super::kernel::{Kernel, Projections, Room};
use super::logs::Logs;
use crate::drive::{Limits, Rooms, Step, drive, stretched, worst};

/// What can be set of [`UnbalancedBarycenter`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnbalancedBarycenterSettings {
    /// Regularization ε. Default: 4e-3 of the largest cost.
    pub reg: Reg,
    /// Weight γ of the KL terms, in cost units: mass goes no further than where that costs about 2γ. Default: 1.
    #[doc(alias = "reg_m")]
    pub gamma: f64,
    /// By how much, over the mean mass, a measure's plan may be off what its potential says its sums are, and q change in a
    /// round, both L1. Default: 1e-6: where γ is far above ε a round brings the masses forward by ε/γ only.
    pub tol: f64,
    /// Iterations at most. Default: 10 000.
    pub max_iter: u64,
}

impl Default for UnbalancedBarycenterSettings {
    fn default() -> Self {
        Self {
            reg: Reg::Relative(4e-3),
            gamma: 1.0,
            tol: 1e-6,
            max_iter: 10_000,
        }
    }
}

/// Barycenters with KL-relaxed marginals. Masses stay as they are given, and the answer has its own. Time and memory of a
/// round are those of [`Bregman`](super::Bregman) in logarithms.
#[derive(Debug, Clone, Default)]
pub struct UnbalancedBarycenter {
    settings: UnbalancedBarycenterSettings,
}

/// Room for the sums that an error is found from.
#[derive(Default)]
struct Rows {
    room: Room,
    sums: Vec<f64>,
    wanted: Vec<f64>,
}

/// Vectors of all measures, one after another.
struct Potentials {
    log_p: Vec<f64>,
    log_u: Vec<f64>,
    log_v: Vec<f64>,
    log_t: Vec<f64>,
    log_q: Vec<f64>,
    q: Vec<f64>,
    before: Vec<f64>,
    errors: Vec<f64>,
}

impl UnbalancedBarycenter {
    /// The name in reports and errors.
    pub const NAME: &str = "unbalanced-barycenter";

    /// With checked settings.
    ///
    /// # Errors
    /// A setting outside of its range.
    pub fn new(settings: UnbalancedBarycenterSettings) -> Result<Self, Error> {
        settings.reg.check()?;
        if !(settings.gamma > 0.0 && settings.gamma.is_finite()) {
            let rule = "must be positive and finite: `bregman` is the method for hard marginals";
            return Err(Error::setting("gamma", settings.gamma, rule));
        }
        let checked = Self { settings };
        checked.limits().check()?;
        Ok(checked)
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &UnbalancedBarycenterSettings {
        &self.settings
    }

    fn limits(&self) -> Limits {
        Limits {
            tol: self.settings.tol,
            max_iter: self.settings.max_iter,
        }
    }

    /// The barycenter of `measures` on the support that the columns of `cost` stand for, as
    /// [`Barycenters::barycenter`](solver_api::Barycenters::barycenter), but that all masses are kept, and that the answer
    /// has a mass of its own. There is no bracket.
    ///
    /// # Errors
    /// Shapes that do not match, no measure at all, weights that a [`Measure`] refuses, and forbidden pairs.
    pub fn barycenter(
        &self,
        cost: &Arc<dyn Cost>,
        measures: &[Measure],
        lambda: &[f64],
        context: &mut Context,
    ) -> Result<Barycenter, Error> {
        let inputs = Inputs::new(Self::NAME, cost, measures, lambda, Masses::Kept)?;
        let context = context.clone();
        context.clone().install(|| self.iterate(&inputs, &context))
    }

    fn iterate(&self, inputs: &Inputs, context: &Context) -> Result<Barycenter, Error> {
        let reg = self.settings.reg.resolve_beside(inputs.cost.as_ref());
        let kernel = Kernel::Logs(Logs::new(inputs, reg));
        let projections = kernel.projections();
        let (count, m) = (inputs.count(), inputs.support());
        let log_p = kernel.weights(inputs);
        let mut of = Potentials {
            log_u: vec![0.0; log_p.len()],
            log_v: vec![0.0; count * m],
            log_t: vec![0.0; count * m],
            log_q: vec![0.0; m],
            q: vec![0.0; m],
            before: vec![0.0; m],
            errors: vec![0.0; count],
            log_p,
        };
        let rooms = Rooms::new();
        let mass: f64 = inputs.measures.iter().map(Measure::mass).sum::<f64>() / count as f64;
        let convergence = drive(Self::NAME, self.limits(), context, |round| {
            let error = of.round(
                &projections,
                &inputs.lambda,
                reg,
                self.settings.gamma,
                &rooms,
            );
            Ok(match round {
                1 if !error.is_nan() => Step::Off(f64::INFINITY),
                _ => Step::of(error / mass),
            })
        })?;
        Ok(Barycenter {
            weights: Measure::named("barycenter", of.q)?,
            convergence,
            certificate: None,
        })
    }
}

impl Potentials {
    /// One round; the larger of the two errors, in the units of mass.
    fn round(
        &mut self,
        projections: &Projections<'_>,
        lambda: &[f64],
        reg: f64,
        gamma: f64,
        rooms: &Rooms<Rows>,
    ) -> f64 {
        let phi = gamma / (gamma + reg);
        let m = self.q.len();
        let n = self.log_p.len() / lambda.len();
        let tasks = self.log_u.par_chunks_mut(n).zip(self.log_p.par_chunks(n));
        let tasks = tasks.zip(self.log_v.par_chunks(m));
        let tasks = tasks.zip(self.log_t.par_chunks_mut(m));
        let tasks = tasks.zip(self.errors.par_iter_mut());
        tasks.for_each(|((((u, p), v), t), error)| {
            rooms.lend(|rows| {
                let sums = stretched(&mut rows.sums, n);
                projections.spread(v, sums, &mut rows.room);
                // What a plan's rows are, P 1 = u ∘ K v, and what their potential f = ε ln u says: p e^{−f/γ}.
                let wanted = stretched(&mut rows.wanted, n);
                for ((w, u), p) in wanted.iter_mut().zip(&*u).zip(p) {
                    *w = if *p == f64::NEG_INFINITY {
                        *p
                    } else {
                        p - u * reg / gamma
                    };
                }
                for (u, (sum, p)) in u.iter_mut().zip(sums.iter_mut().zip(p)) {
                    let next = phi * (p - *sum);
                    *sum += *u;
                    *u = next;
                }
                exp_in_place(wanted);
                exp_in_place(sums);
                *error = l1_distance(sums, wanted);
                projections.back(u, t, &mut rows.room);
            });
        });
        // ln q = ln Σ λ_k t_k^{1−φ} / (1−φ), less the largest term.
        let power = 1.0 - phi;
        for (j, q) in self.log_q.iter_mut().enumerate() {
            let terms = || self.log_t.iter().skip(j).step_by(m).map(|t| power * t);
            let top = terms().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = terms().zip(lambda).map(|(t, l)| l * (t - top).exp()).sum();
            *q = (top + sum.ln()) / power;
        }
        std::mem::swap(&mut self.q, &mut self.before);
        self.q.copy_from_slice(&self.log_q);
        exp_in_place(&mut self.q);
        let log_q = &self.log_q;
        for (v, t) in self
            .log_v
            .chunks_exact_mut(m)
            .zip(self.log_t.chunks_exact(m))
        {
            let all = v.iter_mut().zip(t).zip(log_q);
            all.for_each(|((v, t), q)| *v = phi * (q - t));
        }
        let moved = l1_distance(&self.q, &self.before);
        worst(self.errors.iter().copied().chain([moved]))
    }
}
