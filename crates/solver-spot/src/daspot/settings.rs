//! What can be set of a DASPOT.

use serde::{Deserialize, Serialize};

use crate::{Error, SpotSettings, rules};

/// What target points are matched with, to be labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Partners {
    /// The pairs of the plan: the label is that of G_X(z), as D_X sees it. As good as the generator.
    Pairs,
    /// The labelled source points of the batch, by a small entropic plan at the learned cost (3.13): what the plan is where the
    /// generator has not found it yet (Damodaran et al., *DeepJDOT*, 2018).
    Source,
}

/// What can be set of a [`Daspot`](super::Daspot).
///
/// The source's objective alone is `target_weight: 0.0, pull: 0.0, confidence: 0.0, normalized: false, shares: 0.0, warm_steps: 0,
/// delay: 0.0, ramp: 0.0, made_weight: 1.0`; and of `spot` `first_eta` as `eta`, `decay: 0.0`
/// and `averaging: 0.0`; everything else in here is an addition, and says why. Without steps on the source first D_Y starts as it
/// was given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DaspotSettings {
    /// Of the plan: η, steps, batch, and so on. `batch` is that of source and target points, too; `averaging` is that of the
    /// classifiers' running means; `tol` is about labels: the training ends early once no more than this share of the target's
    /// labels has moved between any two of the last [`PATIENCE`](SpotSettings::PATIENCE) looks. Defaults: those of
    /// [`SpotSettings`], but for 4000 steps, 3 of the critics for each, batches of 128 and η from 1 to 20.
    pub spot: SpotSettings,
    /// λ_s, the weight of D_X's cross entropy on labelled source points. It alone keeps the embeddings from one point, where
    /// the cost would be 0. Default: 1.
    pub source_weight: f64,
    /// λ_da, the weight of D_Y's cross entropy on G_Y(Z) towards the label that D_X gives G_X(Z). Default: 1.
    pub label_weight: f64,
    /// λ_t, the weight of D_Y's cross entropy on target points themselves, towards what the plan says of them
    /// ([`width`](Self::width)); 0, the source's objective, trains D_Y on made points alone, and what separates those from
    /// real ones then stays in its way. Default: 1.
    pub target_weight: f64,
    /// The weight of the cost (3.13) between target points and their partners, by the plan that labels them, for D_Y's embedding;
    /// the source's objective has the cost on made pairs alone. Default: 0.
    #[serde(default)]
    pub pull: f64,
    /// What target points are matched with. Default: source points.
    pub partners: Partners,
    /// τ: how near a pair must be to speak for a target point y: the regularization of the plan between target points and
    /// pairs, in the units of the cost (from 0 to 4 where it is normalized). Default: 0.3.
    pub width: f64,
    /// Whether each class of pairs speaks for as many target points as its share says: 1 holds it to that, 0 lets every point
    /// listen to what is nearest, and then one class soon speaks for all. Between, target shares may differ. Default: 0.9.
    pub balance: f64,
    /// Pairs whose label D_X gives less probability than that, and target points of which the plan says less, are left out of
    /// the cross entropies. From 0 to below 1. Default: 0.5.
    pub confidence: f64,
    /// Whether embeddings are brought to one length, so that c = 2 − 2 cos ∠(e_X, e_Y) and no shrinking makes it less.
    /// Default: yes.
    pub normalized: bool,
    /// How far the class shares of the source move to those that D_Y finds in the target, from 0 to 1. A plan between
    /// distributions of other class shares must join unlike labels. Default: 0: it follows D_Y's mistakes, too.
    pub shares: f64,
    /// Steps of D_X on the source before there is a plan. Default: 1500.
    pub warm_steps: u64,
    /// Whether D_Y starts as D_X, for networks of the same layers. Default: yes.
    pub shared_start: bool,
    /// The share of the steps in which the classifiers do not listen to the plan yet, since its samples are still noise.
    /// Default: 0.2.
    pub delay: f64,
    /// The share of the steps after which they listen in full; between both, more and more. At least `delay`. Default: 0.5.
    pub ramp: f64,
    /// What the gradients of the made points into the classifiers are multiplied by, once they listen in full; 1 is the
    /// source's objective. Those points are never quite like real ones, and embeddings find that out: they then bring made
    /// pairs together where no real point is, and c is 0 for nothing. Default: 0.02.
    pub made_weight: f64,
    /// Length of the classifiers' Adam steps; it falls at the end as the plan's does. Default: 3e-4.
    #[doc(alias = "learning_rate")]
    pub rate: f64,
    /// The same during the steps before there is a plan. Default: 2e-3.
    pub warm_rate: f64,
    /// Adam's means of the classifiers. Default: 0.9 and 0.999.
    pub betas: (f64, f64),
}

impl Default for DaspotSettings {
    fn default() -> Self {
        Self {
            spot: SpotSettings {
                steps: 4000,
                critic_steps: 3,
                batch: 128,
                first_eta: 1.0,
                eta: 20.0,
                ..SpotSettings::default()
            },
            source_weight: 1.0,
            label_weight: 1.0,
            target_weight: 1.0,
            pull: 0.0,
            partners: Partners::Source,
            width: 0.3,
            balance: 0.9,
            confidence: 0.5,
            normalized: true,
            shares: 0.0,
            warm_steps: 1500,
            shared_start: true,
            delay: 0.2,
            ramp: 0.5,
            made_weight: 0.02,
            rate: 3e-4,
            warm_rate: 2e-3,
            betas: (0.9, 0.999),
        }
    }
}

impl DaspotSettings {
    /// # Errors
    /// The first setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        self.spot.check()?;
        let later = self.ramp >= self.delay && self.ramp <= 1.0;
        rules::all([
            rules::not_negative("source_weight", self.source_weight),
            rules::not_negative("label_weight", self.label_weight),
            rules::not_negative("target_weight", self.target_weight),
            rules::not_negative("pull", self.pull),
            rules::not_negative("made_weight", self.made_weight),
            rules::positive("width", self.width),
            rules::part("balance", self.balance),
            rules::less_than_all("confidence", self.confidence),
            rules::part("shares", self.shares),
            rules::part("delay", self.delay),
            ("ramp", self.ramp, later, "must be from `delay` to 1"),
            rules::rate("rate", self.rate),
            rules::rate("warm_rate", self.warm_rate),
            rules::less_than_all("beta1", self.betas.0),
            rules::less_than_all("beta2", self.betas.1),
        ])
    }

    /// How much the classifiers listen to the plan in a step, counted from 0.
    pub(crate) fn listening(&self, step: u64) -> f64 {
        let part = step as f64 / self.spot.steps as f64;
        if part < self.delay {
            0.0
        } else if part >= self.ramp {
            1.0
        } else {
            (part - self.delay) / (self.ramp - self.delay)
        }
    }

    /// The length of the classifiers' steps in a step of the plan, counted from 0.
    pub(crate) fn rate_at(&self, step: u64) -> f64 {
        self.rate * (self.spot.rate_at(step) / self.spot.rate)
    }
}
