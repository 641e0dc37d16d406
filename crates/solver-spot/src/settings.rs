//! What can be set of a training.

/// What can be set of a [`Spot`](crate::Spot).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpotSettings {
    /// η, the weight of the marginal penalties beside the cost. Default: 1e4.
    pub eta: f64,
    /// Steps of the critics for each of the generator. Default: 5.
    pub critic_steps: usize,
    /// Samples a step. Default: 100.
    pub batch: usize,
    /// Length of Adam's steps. Default: 1e-3.
    pub rate: f64,
    /// Adam's means. Default: 0.5 and 0.999.
    pub betas: (f64, f64),
    /// The part of the generator's running mean that stays in a step; 0 leaves the last parameters. Default: 0.999.
    pub averaging: f64,
    /// Of latent variables and batches.
    pub seed: u64,
}

impl Default for SpotSettings {
    fn default() -> Self {
        Self {
            eta: 1e4,
            critic_steps: 5,
            batch: 100,
            rate: 1e-3,
            betas: (0.5, 0.999),
            averaging: 0.999,
            seed: 0,
        }
    }
}
