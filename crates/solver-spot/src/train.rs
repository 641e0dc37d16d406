//! Algorithm 3: critics up, the generator down, in turns.

use std::sync::Arc;

use ot_nn::{Adam, Network, Number};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use crate::critic::Critic;
use crate::generator::{Generator, Passes};
use crate::{Error, JointCost, Sampler, SpotSettings};

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Steps of the generator so far.
    pub step: u64,
    /// Mean cost of the batch.
    pub cost: f64,
    /// Σ of mean λ(made) − mean λ(real) over the marginals, at the critics' last step.
    pub penalty: f64,
}

/// A training: generator, critics, and what they draw from.
pub struct Spot<T: Number = f64> {
    generator: Generator<T>,
    optimizers: Vec<Adam<T>>,
    mean: Generator<T>,
    critics: Vec<Critic<T>>,
    samplers: Vec<Arc<dyn Sampler>>,
    cost: Arc<dyn JointCost<T>>,
    settings: SpotSettings,
    rng: Pcg64,
    steps: u64,
    passes: Passes<T>,
    z: Vec<T>,
    wide: Vec<f64>,
    real: Vec<Vec<T>>,
}

impl<T: Number> Spot<T> {
    /// Sets a training up.
    ///
    /// # Errors
    /// Parts that do not fit, and settings outside of their range.
    pub fn new(
        generator: Generator<T>,
        critics: Vec<Network<T>>,
        samplers: Vec<Arc<dyn Sampler>>,
        cost: Arc<dyn JointCost<T>>,
        settings: SpotSettings,
    ) -> Result<Self, Error> {
        cost.check(generator.dims())?;
        let adam = || Adam::with(settings.rate, settings.betas, 1e-8);
        let batch = settings.batch;
        Ok(Self {
            optimizers: generator.networks.iter().map(|_| adam()).collect(),
            mean: generator.clone(),
            critics: critics
                .into_iter()
                .map(|n| Critic::new(n, adam()))
                .collect(),
            passes: Passes::new(&generator, batch),
            z: vec![T::ZERO; batch * generator.latent()],
            wide: Vec::new(),
            real: generator
                .dims()
                .iter()
                .map(|d| vec![T::ZERO; d * batch])
                .collect(),
            generator,
            samplers,
            cost,
            settings,
            rng: Pcg64::seed_from_u64(settings.seed),
            steps: 0,
        })
    }

    /// Changes η.
    pub fn set_eta(&mut self, eta: f64) {
        self.settings.eta = eta;
    }

    fn draw_latent(&mut self) {
        for z in &mut self.z {
            *z = T::from_f64(self.rng.sample::<f64, _>(StandardNormal));
        }
    }

    /// One step of the generator after those of the critics.
    ///
    /// # Errors
    /// [`Error::Diverged`].
    pub fn step(&mut self) -> Result<Step, Error> {
        let mut penalty = 0.0;
        for _ in 0..self.settings.critic_steps {
            self.draw_latent();
            self.passes.forward(&self.generator, &self.z)?;
            penalty = 0.0;
            for k in 0..self.critics.len() {
                let dim = self.samplers[k].dim();
                self.wide.resize(dim * self.settings.batch, 0.0);
                self.samplers[k].draw(&mut self.rng, &mut self.wide);
                let real = &mut self.real[k];
                real.iter_mut()
                    .zip(&self.wide)
                    .for_each(|(r, w)| *r = T::from_f64(*w));
                penalty += self.critics[k].ascend(&self.passes.out[k], real)?;
            }
        }
        self.draw_latent();
        self.passes.forward(&self.generator, &self.z)?;
        let Passes { out, by, .. } = &mut self.passes;
        for ((critic, out), by) in self.critics.iter_mut().zip(&*out).zip(&mut *by) {
            critic.gradients(out, self.settings.eta, by)?;
        }
        let batch = self.settings.batch;
        let weight = T::from_f64(1.0 / batch as f64);
        let mut cost = 0.0;
        {
            let mut rows: Vec<_> = out
                .iter()
                .zip(self.generator.dims())
                .map(|(o, d)| o.chunks_exact(*d))
                .collect();
            let mut by_rows: Vec<_> = by
                .iter_mut()
                .zip(self.generator.dims())
                .map(|(o, d)| o.chunks_exact_mut(*d))
                .collect();
            for _ in 0..batch {
                let xs: Vec<&[T]> = rows.iter_mut().filter_map(Iterator::next).collect();
                let mut bys: Vec<&mut [T]> =
                    by_rows.iter_mut().filter_map(Iterator::next).collect();
                cost += self.cost.add_gradients(&xs, weight, &mut bys);
            }
        }
        cost /= batch as f64;
        self.passes
            .step(&mut self.generator, &mut self.optimizers)?;
        self.steps += 1;
        let keep = self
            .settings
            .averaging
            .min((self.steps as f64 - 1.0) / (self.steps as f64));
        let (keep, add) = (T::from_f64(keep), T::from_f64(1.0 - keep));
        for (mean, now) in self.mean.networks.iter_mut().zip(&self.generator.networks) {
            for (mean, now) in mean.parameters_mut().iter_mut().zip(now.parameters()) {
                *mean = keep * *mean + add * *now;
            }
        }
        Ok(Step {
            step: self.steps,
            cost,
            penalty,
        })
    }

    /// `count` joint samples of the averaged generator, one list of rows for each marginal.
    ///
    /// # Errors
    /// What the networks refuse.
    pub fn sample(&self, count: usize, seed: u64, last: bool) -> Result<Vec<Vec<T>>, Error> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let of = if last { &self.generator } else { &self.mean };
        let z: Vec<T> = (0..count * of.latent())
            .map(|_| T::from_f64(rng.sample::<f64, _>(StandardNormal)))
            .collect();
        let mut passes = Passes::new(of, count);
        passes.forward(of, &z)?;
        Ok(passes.out)
    }
}
