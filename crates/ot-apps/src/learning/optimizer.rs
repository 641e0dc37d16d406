//! Steps along stochastic gradients.

use crate::Error;

/// The rule that makes steps of gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// m ← momentum·m + g, θ ← θ − rate·m (Polyak, 1964).
    Sgd {
        /// The part of the last step that goes on; 0 is plain descent.
        momentum: f64,
    },
    /// Steps by the means of gradients over the root of those of their squares (Kingma and Ba, 2015, algorithm 1).
    Adam {
        /// How much of the mean of the gradients stays. Customary: 0.9.
        beta1: f64,
        /// How much of the mean of their squares stays. Customary: 0.999.
        beta2: f64,
        /// What is added to the root. Customary: 1e-8.
        eps: f64,
    },
}

impl Default for Optimizer {
    /// Adam with the values of its authors: rates hardly depend on the scale of the loss, which differs between ground
    /// metrics.
    fn default() -> Self {
        Self::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
        }
    }
}

impl Optimizer {
    pub(crate) fn check(self) -> Result<(), Error> {
        let part = |name: &str, value: f64| {
            if (0.0..1.0).contains(&value) {
                return Ok(());
            }
            Err(Error::setting(name, value, "must be from 0 to below 1"))
        };
        match self {
            Self::Sgd { momentum } => part("momentum", momentum),
            Self::Adam { beta1, beta2, eps } => {
                part("beta1", beta1)?;
                part("beta2", beta2)?;
                if eps > 0.0 && eps.is_finite() {
                    return Ok(());
                }
                Err(Error::setting("eps", eps, "must be positive and finite"))
            }
        }
    }
}

/// An optimizer under way.
pub(crate) struct Steps(Box<dyn ot_nn::Optimizer + Send>);

impl Steps {
    pub(crate) fn new(rule: Optimizer) -> Self {
        // The rate is said at each step.
        Self(match rule {
            Optimizer::Sgd { momentum } => Box::new(ot_nn::Sgd::new(0.0, momentum)),
            Optimizer::Adam { beta1, beta2, eps } => {
                Box::new(ot_nn::Adam::with(0.0, (beta1, beta2), eps))
            }
        })
    }

    /// Moves `parameters` against `gradient`.
    ///
    /// # Errors
    /// A gradient that is not finite; nothing is moved then.
    pub(crate) fn take(
        &mut self,
        rate: f64,
        gradient: &[f64],
        parameters: &mut [f64],
    ) -> Result<(), Error> {
        self.0.set_rate(rate);
        Ok(self.0.step(gradient, parameters)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn two_steps_by_hand() {
        let mut theta = [1.0, 2.0];
        let mut steps = Steps::new(Optimizer::Sgd { momentum: 0.5 });
        steps.take(0.1, &[1.0, -2.0], &mut theta).unwrap();
        steps.take(0.1, &[1.0, 0.0], &mut theta).unwrap();
        // Momenta 1 and −2, then 1.5 and −1.
        assert!((theta[0] - 0.75).abs() < 1e-15 && (theta[1] - 2.3).abs() < 1e-15);
        // Adam's first step is as long as the rate, whatever the gradient is.
        let mut theta = [1.0, 2.0];
        let mut adam = Steps::new(Optimizer::default());
        adam.take(0.1, &[3.0, -1e-3], &mut theta).unwrap();
        assert!((theta[0] - 0.9).abs() < 1e-8 && (theta[1] - 2.1).abs() < 1e-5);
    }
}
