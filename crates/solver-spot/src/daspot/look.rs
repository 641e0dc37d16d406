//! What can be seen of a training on its way, without any label of the target.

/// A look at a DASPOT; means are over the batches since the last look.
#[derive(Debug, Clone, PartialEq)]
pub struct DaspotLook {
    /// Steps of the plan so far.
    pub step: u64,
    /// η now.
    pub eta: f64,
    /// κ now: how much the classifiers listen to the plan, from 0 to 1.
    pub listening: f64,
    /// Mean cost (3.13) of the pairs.
    pub cost: f64,
    /// Cross entropy of D_X on labelled source points, in nats.
    pub source_loss: f64,
    /// Cross entropy (3.14) of D_Y on made points, those without a sure label counted as 0, in nats.
    pub label_loss: f64,
    /// The same on target points, towards what the plan says of them.
    pub target_loss: f64,
    /// The share of pairs to whose points D_X and D_Y give one label.
    pub agreement: f64,
    /// The share of pairs of whose label D_X is sure.
    pub confident: f64,
    /// How far the critics see each marginal of the running mean from the one asked for: [`Estimate::apart`](crate::Estimate).
    pub apart: Vec<f64>,
    /// Class shares of the target, as D_Y sees them.
    pub shares: Vec<f64>,
    /// The share of target points, of at most 1000, whose label has moved since the last look; 1 at the first.
    pub moved: f64,
}
