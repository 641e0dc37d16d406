//! The regularization, and what can be set of a training.

use ot_kernels::exp::exp_in_place;
use ot_kernels::linear::product_sum;
use ot_kernels::reduce::plain_sum;
use serde::{Deserialize, Serialize};

use crate::{Error, rules};

/// Past this exponent e^t is continued by its tangent: the dual stays concave, its gradients stay numbers, and no batch of a
/// training that has found its way comes there (h = 10¹³).
const STEEPEST: f64 = 30.0;

/// What keeps the plan smooth, of strength ε.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Regularizer {
    /// ε KL(P ‖ μ⊗ν): h = exp((u + v − c)/ε).
    #[default]
    Entropy,
    /// ε E h²: h = (u + v − c)₊ / (2ε).
    SquaredL2,
}

impl Regularizer {
    /// h in place of each s = u + v − c, and the sum of Ω*. At 1 = E h the entropic Ω* is counted as 0, as where it is
    /// ε (E h − 1).
    pub(crate) fn densities(self, slacks: &mut [f64], eps: f64) -> f64 {
        let per = 1.0 / eps;
        match self {
            Self::Entropy => {
                // What the tangent adds to h, as a multiple of e^STEEPEST: of nothing in a training that has found its way.
                let mut past = 0.0;
                for s in slacks.iter_mut() {
                    let t = *s * per;
                    past += (t - STEEPEST).max(0.0);
                    *s = t.min(STEEPEST);
                }
                exp_in_place(slacks);
                eps * (plain_sum(slacks) + past * STEEPEST.exp() - slacks.len() as f64)
            }
            Self::SquaredL2 => {
                let half = 0.5 * per;
                slacks.iter_mut().for_each(|s| *s = s.max(0.0) * half);
                eps * product_sum(slacks, slacks)
            }
        }
    }
}

/// What can be set of a [`Rot`](crate::Rot).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RotSettings {
    /// ε, in units of the cost. The answer depends on it, and so does whether there is one: small ones make exponentials that
    /// no step is short enough for. Default: 0.5.
    #[doc(alias = "reg")]
    pub eps: f64,
    /// Default: entropy.
    pub regularizer: Regularizer,
    /// Default: 20 000.
    pub steps: u64,
    /// Samples of each distribution in a step, which has the square of it in pairs. Default: 100.
    pub batch: usize,
    /// Length of Adam's steps. Default: 1e-3.
    #[doc(alias = "learning_rate")]
    pub rate: f64,
    /// Adam's means. Default: 0.5 and 0.999.
    pub betas: (f64, f64),
    /// Steps between two looks. Default: 500.
    pub check_every: u64,
    /// Of batches. Default: 0.
    pub seed: u64,
}

impl Default for RotSettings {
    fn default() -> Self {
        Self {
            eps: 0.5,
            regularizer: Regularizer::Entropy,
            steps: 20_000,
            batch: 100,
            rate: 1e-3,
            betas: (0.5, 0.999),
            check_every: 500,
            seed: 0,
        }
    }
}

impl RotSettings {
    /// # Errors
    /// The first setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        rules::all([
            rules::positive("eps", self.eps),
            rules::some("steps", self.steps),
            rules::room("batch", self.batch, 1),
            rules::rate("rate", self.rate),
            rules::less_than_all("beta1", self.betas.0),
            rules::less_than_all("beta2", self.betas.1),
            rules::some("check_every", self.check_every),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_density_is_the_slope_of_the_conjugate() {
        for regularizer in [Regularizer::Entropy, Regularizer::SquaredL2] {
            for s in [-3.0, -0.2, 0.3, 1.7, 40.0] {
                let eps = 0.7;
                let h = 1e-5;
                let conjugate = |s| regularizer.densities(&mut [s], eps);
                let slope = (conjugate(s + h) - conjugate(s - h)) / (2.0 * h);
                let mut density = [s];
                regularizer.densities(&mut density, eps);
                let density = density[0];
                assert!(
                    (slope - density).abs() < 1e-6 * (1.0 + density),
                    "{regularizer:?} {s}: {slope} {density}"
                );
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let broken = RotSettings {
            eps: 0.0,
            ..RotSettings::default()
        };
        let said = broken.check().map_err(|e| e.to_string());
        assert_eq!(
            said,
            Err("`eps` = 0: must be positive and finite".to_owned())
        );
        assert_eq!(RotSettings::default().check(), Ok(()));
    }
}
