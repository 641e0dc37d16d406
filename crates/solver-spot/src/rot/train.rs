//! The ascent.

use std::path::Path;
use std::sync::Arc;

use ot_kernels::linear::{add_scaled, product_sum};
use ot_kernels::pairwise::PackedPoints;
use ot_kernels::reduce::plain_sum;
use ot_nn::{Adam, Checkpoint, Network, Number, Optimizer, Tape};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Context, Convergence, Ground};

use super::{Regularizer, RotSettings};
use crate::drive::{Limits, Seen, Training, drive};
use crate::sampler::draw;
use crate::train::{LOOKED_AT, LOOKS, diverged};
use crate::{ContinuousSolver, Error, Estimate, Look, Sampler, Samples};

/// Samples of each side whose pairs are looked at together.
const BLOCK: usize = 500;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RotStep {
    /// Steps so far.
    pub step: u64,
    /// The dual's value on the batch, before the step.
    pub dual: f64,
}

/// One potential, with the room that a step needs.
struct Side<T: Number> {
    sampler: Arc<dyn Sampler>,
    network: Network<T>,
    optimizer: Adam<T>,
    tape: Tape<T>,
    rows: Vec<f64>,
    narrow: Vec<T>,
    by_out: Vec<T>,
    gradient: Vec<T>,
    packed: PackedPoints<f64>,
    /// The potential at `rows`.
    said: Vec<f64>,
    /// Mean of h over the other side.
    mass: Vec<f64>,
}

impl<T: Number> Side<T> {
    fn new(network: Network<T>, sampler: Arc<dyn Sampler>, optimizer: Adam<T>) -> Self {
        Self {
            gradient: vec![T::ZERO; network.parameters().len()],
            packed: PackedPoints::new(&[], sampler.dim()),
            network,
            sampler,
            optimizer,
            tape: Tape::default(),
            rows: Vec::new(),
            narrow: Vec::new(),
            by_out: Vec::new(),
            said: Vec::new(),
            mass: Vec::new(),
        }
    }

    /// Draws `count` rows and the potential at them.
    fn draw(&mut self, count: usize, rng: &mut Pcg64) -> Result<(), Error> {
        self.narrow.resize(count * self.sampler.dim(), T::ZERO);
        draw(
            self.sampler.as_ref(),
            rng,
            count,
            &mut self.rows,
            &mut self.narrow,
        );
        self.packed.repack(&self.rows);
        let said = self.network.forward(&self.narrow, &mut self.tape)?;
        self.said.clear();
        self.said.extend(said.iter().map(|v| v.wide()));
        self.mass.clear();
        self.mass.resize(count, 0.0);
        Ok(())
    }

    /// A step up: ∂/∂u(x_i) of the dual is (1 − mean_j h_ij)/n.
    fn ascend(&mut self) -> Result<(), Error> {
        let n = self.said.len() as f64;
        self.by_out.clear();
        let slopes = self.mass.iter().map(|m| T::from_f64((m - 1.0) / n));
        self.by_out.extend(slopes);
        let (tape, gradient) = (&mut self.tape, &mut self.gradient);
        self.network
            .backward_parameters(&self.by_out, tape, gradient)?;
        self.optimizer
            .step(gradient, self.network.parameters_mut())?;
        Ok(())
    }

    fn row(&self, i: usize) -> &[f64] {
        let dim = self.sampler.dim();
        &self.rows[i * dim..(i + 1) * dim]
    }
}

/// One point against all of the other side.
#[derive(Default)]
struct Room {
    costs: Vec<f64>,
    /// u + v − c, then h.
    densities: Vec<f64>,
}

impl Room {
    fn resize(&mut self, count: usize) {
        self.costs.resize(count, 0.0);
        self.densities.resize(count, 0.0);
    }

    /// u + v_j − c_j.
    fn slacks(&mut self, u: f64, v: &[f64]) {
        for ((s, v), c) in self.densities.iter_mut().zip(v).zip(&self.costs) {
            *s = u + v - c;
        }
    }
}

/// What all pairs of the rows of two sides say.
#[derive(Debug, Clone, Copy, Default)]
struct Pairs {
    dual: f64,
    /// E h and E h c.
    mass: f64,
    cost: f64,
}

/// A training of two potentials of the regularized dual.
///
/// A step costs batch² costs and exponentials and 6 flops for each weight and sample; nothing is allocated in it. Everything is
/// on one thread: the same seed gives the same bits.
pub struct Rot<T: Number = f32> {
    sides: [Side<T>; 2],
    room: Room,
    dims: Vec<usize>,
    ground: Ground,
    settings: RotSettings,
    rng: Pcg64,
    steps: u64,
}

impl<T: Number> Rot<T> {
    /// The name in reports and errors.
    pub const NAME: &'static str = "rot";

    /// Sets a training up: the potentials u and v, what the marginals are, and the cost.
    ///
    /// # Errors
    /// Networks and samplers that do not fit, and settings outside of their range.
    pub fn new(
        potentials: [Network<T>; 2],
        samplers: [Arc<dyn Sampler>; 2],
        ground: Ground,
        settings: RotSettings,
    ) -> Result<Self, Error> {
        settings.check()?;
        let dims: Vec<usize> = samplers.iter().map(|s| s.dim()).collect();
        let found: Vec<_> = potentials
            .iter()
            .map(|n| (n.inputs(), n.outputs()))
            .collect();
        if dims[0] != dims[1] || found.iter().any(|f| *f != (dims[0], 1)) {
            let found = format!("of {found:?} inputs and outputs");
            let expected = format!("samples have {dims:?}, alike, and a potential is one number");
            return Err(Error::shape("potentials", found, expected));
        }
        let adam = || Adam::with(settings.rate, settings.betas, 1e-8);
        let [u, v] = potentials;
        let [x, y] = samplers;
        Ok(Self {
            sides: [Side::new(u, x, adam()), Side::new(v, y, adam())],
            room: Room::default(),
            dims,
            ground,
            settings,
            rng: Pcg64::seed_from_u64(settings.seed),
            steps: 0,
        })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &RotSettings {
        &self.settings
    }

    /// Draws, and weighs all pairs.
    fn weigh(
        sides: &mut [Side<T>; 2],
        room: &mut Room,
        ground: &Ground,
        settings: &RotSettings,
        count: usize,
        rng: &mut Pcg64,
    ) -> Result<Pairs, Error> {
        sides[0].draw(count, rng)?;
        sides[1].draw(count, rng)?;
        room.resize(count);
        let [x, y] = sides;
        let mut of = Pairs::default();
        for i in 0..count {
            ground.to_all(x.row(i), &y.packed, &mut room.costs);
            room.slacks(x.said[i], &y.said);
            let slacks = &mut room.densities;
            of.dual -= settings.regularizer.densities(slacks, settings.eps);
            let mass = plain_sum(&room.densities);
            add_scaled(1.0, &room.densities, &mut y.mass);
            of.cost += product_sum(&room.densities, &room.costs);
            x.mass[i] = mass / count as f64;
            of.mass += mass;
        }
        let n = count as f64;
        y.mass.iter_mut().for_each(|m| *m /= n);
        let mean = |side: &Side<T>| side.said.iter().sum::<f64>() / n;
        of.dual = of.dual / (n * n) + mean(x) + mean(y);
        of.mass /= n * n;
        of.cost /= n * n;
        Ok(of)
    }

    /// One step of both potentials.
    ///
    /// # Errors
    /// [`Error::Diverged`]: no parameter has become a number that is none.
    pub fn step(&mut self) -> Result<RotStep, Error> {
        let step = self.steps + 1;
        let batch = self.settings.batch;
        let weighed = Self::weigh(
            &mut self.sides,
            &mut self.room,
            &self.ground,
            &self.settings,
            batch,
            &mut self.rng,
        )?;
        if !weighed.dual.is_finite() {
            let what = format!("the dual is {}", weighed.dual);
            return Err(Error::Diverged { step, what });
        }
        for side in &mut self.sides {
            side.ascend().map_err(|error| diverged(error, step))?;
        }
        self.steps = step;
        Ok(RotStep {
            step,
            dual: weighed.dual,
        })
    }

    /// Writes all that the rest of the training depends on, samplers and cost excepted, as safetensors.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut saved = Checkpoint::new();
        saved.put("settings", &self.settings)?;
        saved.put("rng", &self.rng)?;
        saved.put("steps", &self.steps)?;
        for (k, side) in self.sides.iter().enumerate() {
            saved.put_network(&format!("potential.{k}"), &side.network)?;
            saved.put_optimizer(&format!("potential.{k}.adam"), &side.optimizer)?;
        }
        Ok(saved.save(path)?)
    }

    /// Goes on from a file of a training that was set up in the same way, to the same bits as if it had not been interrupted.
    /// [`RotSettings::steps`] may be others. An error leaves it unchanged or partly restored: set it up again.
    ///
    /// # Errors
    /// A file that is none, and one of other networks or settings.
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let saved = Checkpoint::load(path)?;
        let settings: RotSettings = saved.get("settings")?;
        let as_long = RotSettings {
            steps: self.settings.steps,
            ..settings
        };
        if as_long != self.settings {
            let found = format!("a training of {settings:?}");
            let expected = format!("this one has {:?}", self.settings);
            return Err(Error::shape("checkpoint", found, expected));
        }
        for (k, side) in self.sides.iter_mut().enumerate() {
            saved.restore_network(&format!("potential.{k}"), &mut side.network)?;
            saved.restore_optimizer(&format!("potential.{k}.adam"), &mut side.optimizer)?;
        }
        self.rng = saved.get("rng")?;
        self.steps = saved.get("steps")?;
        Ok(())
    }

    /// Sides of their own for what changes nothing.
    fn aside(&self) -> [Side<T>; 2] {
        self.sides
            .each_ref()
            .map(|s| Side::new(s.network.clone(), Arc::clone(&s.sampler), Adam::new(0.0)))
    }
}

impl<T: Number> Training for Rot<T> {
    type Look = Look;

    fn limits(&self) -> Limits {
        Limits {
            steps: self.settings.steps,
            check_every: self.settings.check_every,
            tol: 0.0,
        }
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.step().map(|_| ())
    }

    fn see(&mut self) -> Result<Seen<Look>, Error> {
        let estimate = self.estimate(LOOKED_AT, self.settings.seed ^ LOOKS)?;
        let apart = estimate.apart.clone();
        Ok(Seen {
            unrest: apart[0].max(apart[1]),
            apart,
            look: Look {
                step: self.steps,
                eta: f64::INFINITY,
                estimate,
            },
        })
    }
}

impl<T: Number> ContinuousSolver for Rot<T> {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Until the steps are done: whether it rests is not looked for. Errors are those of the plan's marginals in L1. The dual
    /// takes marginals for constraints, as an η of +∞ would.
    fn train(
        &mut self,
        context: &Context,
        watch: &mut dyn FnMut(&Look),
    ) -> Result<Convergence, Error> {
        drive(self, context, watch)
    }

    /// Each x is drawn, and its y among as many candidates as a block has, by h: exact as their number grows.
    fn sample(&self, count: usize, seed: u64) -> Result<Samples, Error> {
        crate::answers::countable(count)?;
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut sides = self.aside();
        let mut made = Samples::room(&self.dims, 0);
        let mut left = count;
        let mut room = Room::default();
        room.resize(BLOCK);
        while left > 0 {
            let now = left.min(BLOCK);
            for side in &mut sides {
                side.draw(BLOCK, &mut rng)?;
            }
            let [x, y] = &sides;
            for i in 0..now {
                self.ground.to_all(x.row(i), &y.packed, &mut room.costs);
                room.slacks(x.said[i], &y.said);
                let weights = &mut room.densities;
                let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut sum = 0.0;
                for weight in weights.iter_mut() {
                    let slack = *weight;
                    sum += match self.settings.regularizer {
                        // Shifted, so that there is one at least that is not 0.
                        Regularizer::Entropy => ((slack - largest) / self.settings.eps).exp(),
                        Regularizer::SquaredL2 if largest > 0.0 => slack.max(0.0),
                        Regularizer::SquaredL2 => f64::from(slack == largest),
                    };
                    *weight = sum;
                }
                let at = rng.random::<f64>() * sum;
                let j = weights.partition_point(|w| *w <= at).min(BLOCK - 1);
                made.of[0].extend_from_slice(x.row(i));
                made.of[1].extend_from_slice(y.row(j));
            }
            left -= now;
        }
        Ok(made)
    }

    /// The cost ⟨c, h⟩ / ⟨1, h⟩ of the plan over pairs of blocks; `apart` is the L1 distance of each marginal of h from 1.
    fn estimate(&self, count: usize, seed: u64) -> Result<Estimate, Error> {
        crate::answers::countable(count)?;
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut sides = self.aside();
        let block = BLOCK.min(count.div_ceil(2));
        let blocks = count.div_ceil(block);
        let mut room = Room::default();
        let (mut mass, mut costs) = (0.0, Vec::with_capacity(blocks));
        let mut apart = vec![0.0; 2];
        for _ in 0..blocks {
            let (ground, settings) = (&self.ground, &self.settings);
            let of = Self::weigh(&mut sides, &mut room, ground, settings, block, &mut rng)?;
            mass += of.mass;
            costs.push((of.cost, of.mass));
            for (apart, side) in apart.iter_mut().zip(&sides) {
                let off = side.mass.iter().map(|m| (m - 1.0).abs()).sum::<f64>();
                *apart += off / (block * blocks) as f64;
            }
        }
        if mass <= 0.0 {
            // No pair has any weight: there is no plan yet.
            return Ok(Estimate {
                cost: 0.0,
                std_error: f64::INFINITY,
                apart,
            });
        }
        let cost = costs.iter().map(|(c, _)| c).sum::<f64>() / mass;
        let n = costs.len() as f64;
        let off = costs.iter().map(|(c, m)| (c - cost * m).powi(2));
        let variance = off.sum::<f64>() / (n - 1.0).max(1.0) / n;
        Ok(Estimate {
            cost,
            std_error: if n > 1.0 {
                variance.sqrt() * n / mass
            } else {
                f64::INFINITY
            },
            apart,
        })
    }

    fn potential(&self, k: usize, rows: &[f64]) -> Result<Vec<f64>, Error> {
        let Some(side) = self.sides.get(k) else {
            return Err(Error::shape("k", k, "there are 2 marginals"));
        };
        crate::answers::potential(&side.network, rows, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gaussian, perceptron};

    fn training(regularizer: Regularizer) -> Rot<f64> {
        let chain = perceptron(2, 5, 1, 1, 0.2);
        let network = |seed| Network::new(&chain, seed).expect("a network");
        let sampler = |mean: f64| -> Arc<dyn Sampler> {
            Arc::new(Gaussian::new(vec![mean, 0.0]).expect("finite"))
        };
        let settings = RotSettings {
            regularizer,
            eps: 0.8,
            batch: 9,
            ..RotSettings::default()
        };
        let samplers = [sampler(-0.3), sampler(0.4)];
        let networks = [network(1), network(2)];
        Rot::new(networks, samplers, Ground::SqEuclidean, settings).expect("it fits")
    }

    fn dual(rot: &mut Rot<f64>) -> f64 {
        // The same batch each time.
        let mut rng = Pcg64::seed_from_u64(5);
        let weighed = Rot::weigh(
            &mut rot.sides,
            &mut rot.room,
            &rot.ground,
            &rot.settings,
            rot.settings.batch,
            &mut rng,
        );
        weighed.expect("finite").dual
    }

    #[test]
    fn a_steps_gradient_is_that_of_central_differences() {
        for regularizer in [Regularizer::Entropy, Regularizer::SquaredL2] {
            for k in 0..2 {
                let mut rot = training(regularizer);
                dual(&mut rot);
                let side = &mut rot.sides[k];
                // Steps of length 0 leave the network as it is.
                side.optimizer.set_rate(0.0);
                side.ascend().expect("finite");
                let gradient = side.gradient.clone();
                let h = 1e-6;
                for (place, g) in gradient.into_iter().enumerate() {
                    let mut at = |step: f64| {
                        let before = rot.sides[k].network.parameters()[place];
                        rot.sides[k].network.parameters_mut()[place] = before + step;
                        let value = dual(&mut rot);
                        rot.sides[k].network.parameters_mut()[place] = before;
                        value
                    };
                    let slope = (at(h) - at(-h)) / (2.0 * h);
                    // The optimizer goes down, the dual up.
                    assert!(
                        (slope + g).abs() < 1e-6 * (1.0 + g.abs()),
                        "{regularizer:?} {k} {place}: {slope} {g}"
                    );
                }
            }
        }
    }
}
