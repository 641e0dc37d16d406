//! What can be set of a training of a flow.

use super::Latent;
use serde::{Deserialize, Serialize};

use crate::{Error, rules};

/// What can be set of a [`FlowSpot`](super::FlowSpot).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FlowSettings {
    /// ε, the weight of E ln p; 0 leaves the entropy out. Default: 0.5.
    pub reg: f64,
    /// η, the weight of the marginal penalties, at the end. Default: 1500, with the energy distance, which leaves the distribution
    /// functions of the marginals off by f′/(4 η), where f is the potential of the plan. The source's 1e6 belongs to its
    /// critics; with so large an η from the first step on the cost hardly weighs in Adam's steps, and the plan is luck.
    pub eta: f64,
    /// η of the first step: the plan forms while it is small. Default: 5.
    pub first_eta: f64,
    /// The part of the steps in which η grows to its last value, by the same factor each. Default: 0.7.
    pub ramp: f64,
    /// Steps of the whole training, which η and the rate go by. Default: 6 000.
    pub steps: u64,
    /// Generated samples a step. Default: 500, the source's.
    pub batch: usize,
    /// How the latent variables are drawn. Default: [`Latent::Lattice`].
    pub latent: Latent,
    /// The first so many samples of a batch stand for E ln p: their divergences take three times as long as all the rest, in the
    /// plane, and this mean is far less noisy than those of the marginals. Multiples of [`FixedSteps::ROWS`](super::FixedSteps::ROWS)
    /// are not wasted. Default: 128.
    pub entropy_batch: usize,
    /// How many samples of a marginal on the line the energy distance compares with. They are drawn once: a sample of this size is
    /// off by far less than a batch, and a step looks at few of them. Default: 200 000.
    pub pool: usize,
    /// Samples of each marginal in more dimensions for each generated one in the energy distance, drawn anew in every step.
    /// Default: 4. Critics take as many real samples as generated ones.
    pub real: usize,
    /// Steps of the critics for each of the flow. Default: 5.
    pub critic_steps: usize,
    /// Runge–Kutta steps along the flow in a training step. Default: 4: ends of the trained flows then differ from those of
    /// the adaptive integration by 3e-4 in the mean.
    pub flow_steps: usize,
    /// The weight of E ∫‖ψ‖² dt, which keeps the ways straight, so that few steps follow them. It moves the law by little: it is
    /// to be small beside ε and the cost. Default: 1e-2.
    pub kinetic: f64,
    /// Length of Adam's steps at first; critics keep to it throughout. Default: 3e-3.
    pub rate: f64,
    /// The part of the steps that are taken at this rate. Default: 0.25: it falls while η grows, for steps that the cost alone could
    /// take would throw the marginals about at a large η, and the plan with them.
    pub hold: f64,
    /// What the rate falls to from there to the last step, by the same factor each. Default: 1e-4.
    pub last_rate: f64,
    /// Adam's means. Default: 0.5 and 0.999.
    pub betas: (f64, f64),
    /// The part of the weights' running mean that stays in a step; 0 leaves the last weights. Default: 0.99, a mean over some hundred
    /// steps: the falling rate does the rest, and a longer mean lags behind in a short training.
    pub averaging: f64,
    /// Of latent variables and batches.
    pub seed: u64,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            reg: 0.5,
            eta: 1500.0,
            first_eta: 5.0,
            ramp: 0.7,
            steps: 6_000,
            batch: 500,
            latent: Latent::Lattice,
            entropy_batch: 128,
            pool: 200_000,
            real: 4,
            critic_steps: 5,
            flow_steps: 4,
            kinetic: 1e-2,
            rate: 3e-3,
            hold: 0.25,
            last_rate: 1e-4,
            betas: (0.5, 0.999),
            averaging: 0.99,
            seed: 0,
        }
    }
}

impl FlowSettings {
    /// # Errors
    /// A setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        let entropic = (1..=self.batch).contains(&self.entropy_batch);
        rules::all([
            rules::not_negative("reg", self.reg),
            rules::not_negative("kinetic", self.kinetic),
            rules::positive("eta", self.eta),
            rules::positive("first_eta", self.first_eta),
            rules::rate("rate", self.rate),
            rules::rate("last_rate", self.last_rate),
            rules::less_than_all("averaging", self.averaging),
            rules::less_than_all("beta1", self.betas.0),
            rules::less_than_all("beta2", self.betas.1),
            rules::part("ramp", self.ramp),
            rules::part("hold", self.hold),
            rules::room("batch", self.batch, 2),
            rules::room("pool", self.pool, 2),
            (
                "entropy_batch",
                self.entropy_batch as f64,
                entropic,
                "must be from 1 to `batch`",
            ),
            rules::some("steps", self.steps),
            rules::room("real", self.real, 1),
            rules::some("critic_steps", self.critic_steps as u64),
            rules::some("flow_steps", self.flow_steps as u64),
        ])
    }

    /// η of a step, from 0 on.
    #[must_use]
    pub fn eta_at(&self, step: u64) -> f64 {
        let grown = self.ramp * self.steps as f64;
        let part = if grown > 0.0 {
            (step as f64 / grown).min(1.0)
        } else {
            1.0
        };
        self.first_eta * (self.eta / self.first_eta).powf(part)
    }

    /// The rate of a step, from 0 on.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f64 {
        let (all, held) = (self.steps as f64, self.hold * self.steps as f64);
        let part = ((step as f64 - held) / (all - held).max(1.0)).clamp(0.0, 1.0);
        self.rate * (self.last_rate / self.rate).powf(part)
    }
}
