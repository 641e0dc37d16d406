//! Trainings on disk.

use std::path::Path;

use ot_nn::{Checkpoint, Number};

use crate::{Error, Spot, SpotSettings};

impl<T: Number> Spot<T> {
    /// Writes all that the rest of the training depends on, samplers and cost excepted, as safetensors.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut saved = Checkpoint::new();
        self.put(&mut saved)?;
        Ok(saved.save(path)?)
    }

    /// The same among other entries.
    pub(crate) fn put(&self, saved: &mut Checkpoint) -> Result<(), Error> {
        saved.put("settings", &self.settings)?;
        saved.put("rng", &self.rng)?;
        saved.put("steps", &self.steps)?;
        saved.put("looks", &self.looks)?;
        for (k, network) in self.generator.networks.iter().enumerate() {
            saved.put_network(&format!("generator.{k}"), network)?;
            saved.put_network(&format!("generator.{k}.mean"), &self.mean.networks[k])?;
            saved.put_optimizer(&format!("generator.{k}.adam"), &self.optimizers[k])?;
        }
        for (k, critic) in self.critics.iter().enumerate() {
            saved.put_network(&format!("critic.{k}"), &critic.network)?;
            saved.put_network(&format!("critic.{k}.mean"), &self.critic_means[k])?;
            saved.put_optimizer(&format!("critic.{k}.adam"), &critic.optimizer)?;
        }
        Ok(())
    }

    /// Goes on from a file of a training that was set up in the same way, to the same bits as if it had not been interrupted.
    /// [`SpotSettings::steps`] may be others than before only where nothing depends on them yet: in a training at constant η
    /// and rate, without a running mean. An error leaves it unchanged or partly restored: set it up again.
    ///
    /// # Errors
    /// A file that is none, and one of other networks or settings.
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.take(&Checkpoint::load(path)?)
    }

    /// The same from among other entries.
    pub(crate) fn take(&mut self, saved: &Checkpoint) -> Result<(), Error> {
        let settings: SpotSettings = saved.get("settings")?;
        let longer = SpotSettings {
            steps: self.settings.steps,
            ..settings
        };
        let constant = settings.eta == settings.first_eta && settings.decay == 0.0;
        let free = constant && settings.averaging == 0.0;
        if settings != self.settings && !(free && longer == self.settings) {
            let found = format!("a training of {settings:?}");
            let expected = format!("this one has {:?}", self.settings);
            return Err(Error::shape("checkpoint", found, expected));
        }
        for k in 0..self.generator.networks.len() {
            let generator = &mut self.generator.networks[k];
            saved.restore_network(&format!("generator.{k}"), generator)?;
            let mean = &mut self.mean.networks[k];
            saved.restore_network(&format!("generator.{k}.mean"), mean)?;
            let adam = &mut self.optimizers[k];
            saved.restore_optimizer(&format!("generator.{k}.adam"), adam)?;
        }
        for (k, critic) in self.critics.iter_mut().enumerate() {
            saved.restore_network(&format!("critic.{k}"), &mut critic.network)?;
            saved.restore_network(&format!("critic.{k}.mean"), &mut self.critic_means[k])?;
            saved.restore_optimizer(&format!("critic.{k}.adam"), &mut critic.optimizer)?;
        }
        self.rng = saved.get("rng")?;
        self.steps = saved.get("steps")?;
        self.looks = saved.get("looks")?;
        Ok(())
    }
}
