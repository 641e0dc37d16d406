//! Trainings on disk.

use std::path::Path;

use ot_nn::{Checkpoint, Number};

use super::{Classifier, Daspot, DaspotSettings};
use crate::Error;

impl<T: Number> Daspot<T> {
    /// Writes all that the rest of the training depends on, points excepted, as safetensors. Means over the steps since the
    /// last look are not kept: the first look after [`resume`](Self::resume) is of the steps after it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut saved = Checkpoint::new();
        self.spot.put(&mut saved)?;
        saved.put("daspot.settings", &self.settings)?;
        saved.put("daspot.rng", &self.rng)?;
        saved.put("daspot.warmed", &self.warmed)?;
        saved.put("daspot.shares", &self.shares)?;
        saved.put("daspot.drawn", &self.drawn)?;
        saved.put("daspot.labels", &self.labels)?;
        saved.put("daspot.moved", &self.moved)?;
        for (side, learner) in [("x", &self.x), ("y", &self.y)] {
            for (k, part) in PARTS.iter().enumerate() {
                let name = format!("daspot.{side}.{part}");
                saved.put_network(&name, learner.now.parts()[k])?;
                saved.put_network(&format!("{name}.mean"), learner.mean.parts()[k])?;
                saved.put_optimizer(&format!("{name}.adam"), &learner.optimizers[k])?;
            }
        }
        Ok(saved.save(path)?)
    }

    /// Goes on from a file of a training that was set up in the same way, to the same bits as if it had not been interrupted.
    /// An error leaves it unchanged or partly restored: set it up again.
    ///
    /// # Errors
    /// A file that is none, and one of other networks or settings.
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let saved = Checkpoint::load(path)?;
        let settings: DaspotSettings = saved.get("daspot.settings")?;
        if settings != self.settings {
            let found = format!("a training of {settings:?}");
            let expected = format!("this one has {:?}", self.settings);
            return Err(Error::shape("checkpoint", found, expected));
        }
        self.spot.take(&saved)?;
        for (side, learner) in [("x", &mut self.x), ("y", &mut self.y)] {
            for (k, part) in PARTS.iter().enumerate() {
                let name = format!("daspot.{side}.{part}");
                let [now, mean] = [&mut learner.now, &mut learner.mean].map(Classifier::parts_mut);
                for (name, network) in [(name.clone(), now), (format!("{name}.mean"), mean)] {
                    let [embedding, decision] = network;
                    let network = if k == 0 { embedding } else { decision };
                    saved.restore_network(&name, network)?;
                }
                saved.restore_optimizer(&format!("{name}.adam"), &mut learner.optimizers[k])?;
            }
        }
        self.rng = saved.get("daspot.rng")?;
        self.warmed = saved.get("daspot.warmed")?;
        self.labels = saved.get("daspot.labels")?;
        self.moved = saved.get("daspot.moved")?;
        let [shares, drawn] =
            ["daspot.shares", "daspot.drawn"].map(|name| saved.get::<Vec<f64>>(name));
        let (shares, drawn) = (shares?, drawn?);
        if shares.len() != self.shares.len() || drawn.len() != self.drawn.len() {
            let found = format!("{} and {} class shares", shares.len(), drawn.len());
            return Err(Error::shape(
                "checkpoint",
                found,
                format!("there are {} classes", self.shares.len()),
            ));
        }
        (self.shares, self.drawn) = (shares, drawn);
        self.source.set_shares(&self.drawn);
        Ok(())
    }
}

/// The parts of a classifier.
const PARTS: [&str; 2] = ["embedding", "decision"];

#[cfg(test)]
mod tests {
    use ot_nn::Network;

    use super::super::Labelled;
    use super::*;
    use crate::drive::Training;
    use crate::{Generator, SpotSettings, critic, perceptron};

    fn training() -> Result<Daspot, Error> {
        let chain = |outputs, seed| Network::new(&perceptron(2, 4, 1, outputs, 0.2), seed);
        let judge = |seed| Network::new(&critic(2, 4, 1, 0.2), seed);
        let points: Vec<f32> = (0..24).map(|k| (k as f32 * 0.7).sin()).collect();
        let labels = (0..12).map(|k| k % 2).collect();
        let settings = DaspotSettings {
            spot: SpotSettings {
                steps: 6,
                batch: 5,
                ..DaspotSettings::default().spot
            },
            warm_steps: 9,
            ..DaspotSettings::default()
        };
        Daspot::new(
            Generator::alike(chain(2, 0)?, 2)?,
            vec![judge(1)?, judge(2)?],
            [
                Classifier::new(chain(2, 3)?, chain(2, 4)?)?,
                Classifier::new(chain(2, 5)?, chain(2, 6)?)?,
            ],
            Labelled::new(points.clone(), 2, labels, 2)?,
            points,
            settings,
        )
    }

    /// Nine steps on the source alone and six with the plan, interrupted after each of them.
    #[test]
    fn every_step_can_be_the_last_before_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("daspot.safetensors");
        let mut whole = training().expect("it fits");
        (0..15).for_each(|_| whole.advance().expect("finite"));
        assert_eq!((whole.warmed, whole.steps()), (9, 6));
        let mut parted = training().expect("it fits");
        for _ in 0..15 {
            parted.advance().expect("finite");
            parted.save(&path).expect("it can be written");
            parted = training().expect("it fits");
            parted.resume(&path).expect("it is one of these");
        }
        assert_eq!((parted.warmed, parted.steps()), (9, 6));
        assert_eq!(parted.x.now, whole.x.now);
        assert_eq!(parted.x.mean, whole.x.mean);
        assert_eq!(parted.y.now, whole.y.now);
        assert_eq!(
            parted.spot.generator.networks(),
            whole.spot.generator.networks()
        );
    }
}
