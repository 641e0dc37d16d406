//! What a training says: samples, estimates and potentials of its running means.

use ot_nn::{Network, Number, Tape};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use solver_api::{Context, Convergence};

use crate::drive::drive;
use crate::generator::Passes;
use crate::sampler::draw;
use crate::train::latent;
use crate::{ContinuousSolver, Error, Estimate, Look, Samples, Spot};

/// Samples that pass through the networks at once.
const BLOCK: usize = 1000;
/// More than that are drawn in parts, by seeds of their own.
const MOST_SAMPLES: usize = 1 << 31;

impl<T: Number> Spot<T> {
    /// Samples of the running mean, of latent rows from `rng`; all of them pass at once.
    pub(crate) fn made(&self, count: usize, rng: &mut Pcg64) -> Result<Samples<T>, Error> {
        let mut z = vec![T::ZERO; count * self.mean.latent()];
        latent(rng, &mut z);
        let mut passes = Passes::new(&self.mean, count);
        passes.forward(&self.mean, &z)?;
        Ok(passes.out)
    }
}

impl<T: Number> ContinuousSolver for Spot<T> {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn dims(&self) -> &[usize] {
        self.generator.dims()
    }

    fn train(
        &mut self,
        context: &Context,
        watch: &mut dyn FnMut(&Look),
    ) -> Result<Convergence, Error> {
        drive(self, context, watch)
    }

    fn sample(&self, count: usize, seed: u64) -> Result<Samples, Error> {
        countable(count)?;
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut all = Samples::<f64>::room(self.mean.dims(), 0);
        for start in (0..count).step_by(BLOCK) {
            let made = self.made(BLOCK.min(count - start), &mut rng)?.wide();
            for (all, made) in all.of.iter_mut().zip(made.of) {
                all.extend(made);
            }
        }
        Ok(all)
    }

    fn estimate(&self, count: usize, seed: u64) -> Result<Estimate, Error> {
        countable(count)?;
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut apart = vec![0.0; self.critics.len()];
        let mut critics = self.critics.clone();
        // Means of at least ten parts say how sure the whole is.
        let block = BLOCK.min(count.div_ceil(10));
        let (mut sum, mut squares, mut done, mut parts) = (0.0, 0.0, 0, 0.0);
        let (mut wide, mut real) = (Vec::new(), Vec::new());
        while done < count {
            let now = block.min(count - done);
            let made = self.made(now, &mut rng)?;
            let mut by: Vec<_> = made.of.clone();
            let cost = self.cost.mean(&made, &mut by);
            let weight = now as f64 / count as f64;
            for (k, critic) in critics.iter_mut().enumerate() {
                real.resize(now * self.samplers[k].dim(), T::ZERO);
                draw(
                    self.samplers[k].as_ref(),
                    &mut rng,
                    now,
                    &mut wide,
                    &mut real,
                );
                apart[k] += weight * critic.apart(made.marginal(k), &real)?;
            }
            sum += weight * cost;
            squares += weight * cost * cost;
            parts += 1.0;
            done += now;
        }
        let variance = (squares - sum * sum).max(0.0);
        let std_error = if parts > 1.0 {
            (variance / (parts - 1.0)).sqrt()
        } else {
            f64::INFINITY
        };
        Ok(Estimate {
            cost: sum,
            std_error,
            apart,
        })
    }

    fn potential(&self, k: usize, rows: &[f64]) -> Result<Vec<f64>, Error> {
        let Some(network) = self.critic_means.get(k) else {
            let expected = format!("there are {} marginals", self.critics.len());
            return Err(Error::shape("k", k, expected));
        };
        potential(network, rows, -self.settings.eta_at(self.steps))
    }
}

/// `scale` times what the network says, block by block.
pub(crate) fn potential<T: Number>(
    network: &Network<T>,
    rows: &[f64],
    scale: f64,
) -> Result<Vec<f64>, Error> {
    let rows: Vec<T> = rows.iter().map(|v| T::from_f64(*v)).collect();
    let mut tape = Tape::default();
    let mut potential = Vec::with_capacity(rows.len() / network.inputs());
    for part in rows.chunks(BLOCK * network.inputs()) {
        let said = network.forward(part, &mut tape)?;
        potential.extend(said.iter().map(|v| scale * v.wide()));
    }
    Ok(potential)
}

pub(crate) fn countable(count: usize) -> Result<(), Error> {
    if count == 0 || count > MOST_SAMPLES {
        return Err(Error::Setting {
            name: "count",
            value: count as f64,
            rule: "must be from 1 to 2^31",
        });
    }
    Ok(())
}
