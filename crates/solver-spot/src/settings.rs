//! What can be set of a training.

use serde::{Deserialize, Serialize};

use crate::drive::Limits;
use crate::{Error, rules};

/// What can be set of a [`Spot`](crate::Spot).
///
/// η needs care. With a cost of Lipschitz constant L in each sample, any η above L has the same best generator, since moving a
/// sample costs less than it takes off the penalty. A large η (the source has 10³ to 10⁶) keeps the marginals right against
/// critics that are not the best, but Adam, which scales each gradient to the same length, then hardly sees the cost: of the
/// two Gaussians at ±2.5, trained at η = 10⁴ from the start, the cost ends from 0.2 to 6 % too large, by luck. So η grows: from
/// [`first_eta`](Self::first_eta), where the cost finds the pairing, to `eta`, which keeps it. 20 L holds the marginals; with
/// 10⁴ the pairing begins to wander.
///
/// Adam moves what a layer says by its rate times the units that it sums over: from 32 hidden units on, take a `rate` that falls
/// as one over the units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpotSettings {
    /// η, the weight of the marginal penalties beside the cost, at the end. Default: 20.
    pub eta: f64,
    /// η of the first step. From here it grows geometrically. Default: 0.5; `eta` itself is the source's constant η.
    pub first_eta: f64,
    /// The share of the steps after which η is `eta`, from 0 to 1. Default: 0.5.
    pub growth: f64,
    /// Steps of the generator. Default: 20 000.
    pub steps: u64,
    /// Steps of the critics for each of the generator. Default: 10; fewer leave it circling around them.
    #[doc(alias = "n_critic")]
    pub critic_steps: usize,
    /// Samples of each distribution in a step. Default: 100.
    pub batch: usize,
    /// Length of Adam's steps. Default: 1e-3. Below 3e-5 take `Spot<f64>`: weights of about 1 in single precision are 1e-7 apart,
    /// and what steps lose of that adds up. (Two Gaussians, 1e-5, 10⁶ steps: in f32 the standard deviations end from 0.16 to
    /// 3.1, in f64 from 1.26 to 1.53, where 1 is due, and small networks are hardly slower.)
    #[doc(alias = "learning_rate")]
    pub rate: f64,
    /// The length of the critics' steps, as a multiple of the generator's. Default: 1. Where critics cannot keep up, the generator
    /// circles around them; longer steps cost less than more of them (Heusel et al., 2017).
    #[serde(default = "as_long")]
    pub critic_rate: f64,
    /// The share of the steps at the end in which the length of Adam's steps falls to nothing, linearly. Default: 0.5; 0 leaves
    /// it as it is.
    pub decay: f64,
    /// Adam's means. Default: 0.5 and 0.999.
    pub betas: (f64, f64),
    /// The generator that counts is a running mean of the last ones, over this share of the steps; 0: the last one. Default:
    /// 0.1. Two players with steps of one length circle around where they would rest, and the mean is there.
    pub averaging: f64,
    /// Gradients of the generator are made no longer than that. Default: none.
    pub clip: Option<f64>,
    /// Steps between two looks at the estimate of the cost, which an observer sees. Default: 500.
    pub check_every: u64,
    /// Once η has grown, the training ends early where the estimates of the last [`PATIENCE`](Self::PATIENCE) looks differ by
    /// no more than this part of the cost. Default: 0, never.
    pub tol: f64,
    /// Of latent variables and batches. Default: 0.
    pub seed: u64,
}

/// What trainings had that were saved without a [`critic_rate`](SpotSettings::critic_rate).
fn as_long() -> f64 {
    1.0
}

impl Default for SpotSettings {
    fn default() -> Self {
        Self {
            eta: 20.0,
            first_eta: 0.5,
            growth: 0.5,
            steps: 20_000,
            critic_steps: 10,
            batch: 100,
            rate: 1e-3,
            critic_rate: as_long(),
            decay: 0.5,
            betas: (0.5, 0.999),
            averaging: 0.1,
            clip: None,
            check_every: 500,
            tol: 0.0,
            seed: 0,
        }
    }
}

impl SpotSettings {
    /// Looks whose estimates must agree for an early end.
    pub const PATIENCE: usize = 5;

    /// # Errors
    /// The first setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        rules::all([
            rules::positive("eta", self.eta),
            rules::positive("first_eta", self.first_eta),
            rules::part("growth", self.growth),
            rules::some("steps", self.steps),
            rules::some("critic_steps", self.critic_steps as u64),
            rules::room("batch", self.batch, 1),
            rules::rate("rate", self.rate),
            rules::positive("critic_rate", self.critic_rate),
            rules::part("decay", self.decay),
            rules::less_than_all("beta1", self.betas.0),
            rules::less_than_all("beta2", self.betas.1),
            rules::part("averaging", self.averaging),
            rules::positive("clip", self.clip.unwrap_or(1.0)),
            rules::some("check_every", self.check_every),
            rules::not_negative("tol", self.tol),
        ])
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            steps: self.steps,
            check_every: self.check_every,
            tol: self.tol,
        }
    }

    /// η of a step, counted from 0.
    pub(crate) fn eta_at(&self, step: u64) -> f64 {
        let grown = self.growth * self.steps as f64;
        let part = if grown > 0.0 {
            (step as f64 / grown).min(1.0)
        } else {
            1.0
        };
        self.first_eta * (self.eta / self.first_eta).powf(part)
    }

    /// The length of Adam's steps in a step, counted from 0.
    pub(crate) fn rate_at(&self, step: u64) -> f64 {
        let falling = self.decay * self.steps as f64;
        let left = self.steps.saturating_sub(step) as f64;
        if falling > 0.0 {
            self.rate * (left / falling).min(1.0)
        } else {
            self.rate
        }
    }

    /// Which part of the running mean stays in a step, counted from 1.
    pub(crate) fn keep_at(&self, step: u64) -> f64 {
        let over = (self.averaging * self.steps as f64).max(1.0);
        // The mean over the first steps is a plain one.
        1.0 - 1.0 / over.min(step as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eta_and_rate_follow_their_schedules() {
        let set = SpotSettings {
            eta: 100.0,
            first_eta: 1.0,
            growth: 0.5,
            decay: 0.25,
            steps: 100,
            averaging: 0.1,
            ..SpotSettings::default()
        };
        assert_eq!(set.eta_at(0), 1.0);
        assert!((set.eta_at(25) - 10.0).abs() < 1e-12);
        assert!((set.eta_at(50) - 100.0).abs() < 1e-12);
        assert_eq!(set.eta_at(50), set.eta_at(99));
        assert_eq!(set.rate_at(75), set.rate);
        assert!((set.rate_at(99) - 0.04 * set.rate).abs() < 1e-15);
        assert_eq!(set.keep_at(1), 0.0);
        assert_eq!(set.keep_at(2), 0.5);
        assert!((set.keep_at(90) - 0.9).abs() < 1e-12);
    }
}
