//! Algorithm 3: critics up, the generator down, in turns.
//!
//! With 1-Lipschitz λ_k the problem is min over G, max over λ of
//! E c(G_1(Z), …, G_m(Z)) + η Σ_k (E λ_k(G_k(Z)) − E λ_k(X_k)) — (3.7), and (3.9) for several marginals: W₁ distances between
//! what G makes and what is asked for, η times, as penalties of the cost.
//!
//! Source: 002, section 3.3 and algorithm 3; Arjovsky, Chintala and Bottou, *Wasserstein GAN* (2017); Miyato et al. (2018) for
//! the critics' Lipschitz constant; Yazıcı et al., *The unusual effectiveness of averaging in GAN training* (2019).

use std::sync::Arc;

use ot_nn::{Adam, Network, Number, Optimizer, all_finite};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use rayon::prelude::*;

use crate::critic::{Critic, critic};
use crate::drive::{Limits, Seen, Training};
use crate::generator::{Generator, Passes, perceptron};
use crate::sampler::draw;
use crate::{ContinuousSolver, Error, JointCost, Look, Sampler, Samples, SpotSettings, rules};

/// Samples of a look at the estimate.
pub(crate) const LOOKED_AT: usize = 1000;
/// Leaky rectifiers below 0.
const SLOPE: f64 = 0.2;
/// Seeds of looks are others than those of the training.
pub(crate) const LOOKS: u64 = 0x6c6f_6f6b_735f_6174;

/// A cost of one batch: its mean, its gradients by the samples added to those that are there.
pub type StepCost<'a, T> = dyn FnMut(&Samples<T>, &mut [Vec<T>]) -> Result<f64, Error> + 'a;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Steps of the generator so far.
    pub step: u64,
    /// Mean cost of the batch.
    pub cost: f64,
    /// Σ of mean λ(made) − mean λ(real) over the marginals, before the critics' last step.
    pub apart: f64,
}

/// A training: generator, critics, and what they draw from.
///
/// A step costs 2 flops for each weight of the generator and 6 for each of the critics, each sample and critic step, and as
/// much again for the generator's own; nothing is allocated in it, but for `clip` and costs beyond 64 dimensions. Everything is
/// on one thread, unless [`side_by_side`](Self::side_by_side) asks for more: the same seed gives the same bits.
pub struct Spot<T: Number = f32> {
    pub(crate) generator: Generator<T>,
    pub(crate) optimizers: Vec<Adam<T>>,
    /// The running mean of the generator.
    pub(crate) mean: Generator<T>,
    pub(crate) critics: Vec<Critic<T>>,
    /// The running mean of each critic.
    pub(crate) critic_means: Vec<Network<T>>,
    pub(crate) samplers: Vec<Arc<dyn Sampler>>,
    pub(crate) cost: Arc<dyn JointCost<T>>,
    pub(crate) settings: SpotSettings,
    pub(crate) rng: Pcg64,
    pub(crate) steps: u64,
    /// Costs at the last looks.
    pub(crate) looks: Vec<f64>,
    passes: Passes<T>,
    z: Vec<T>,
    wide: Vec<f64>,
    real: Vec<Vec<T>>,
    /// What each critic said of its last batches.
    said: Vec<f64>,
}

impl<T: Number> Spot<T> {
    /// The name in reports and errors.
    pub const NAME: &'static str = "spot";

    /// Sets a training up: a generator, a critic for each marginal, what the marginals are, and the cost.
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
        settings.check()?;
        let dims = generator.dims();
        let found: Vec<usize> = samplers.iter().map(|s| s.dim()).collect();
        if found != dims {
            let expected = format!("the generator makes samples of dimensions {dims:?}");
            return Err(Error::shape(
                "samplers",
                format!("of dimensions {found:?}"),
                expected,
            ));
        }
        let found: Vec<_> = critics.iter().map(|c| (c.inputs(), c.outputs())).collect();
        if !found.iter().map(|f| f.0).eq(dims.iter().copied()) || found.iter().any(|f| f.1 != 1) {
            let found = format!("of {found:?} inputs and outputs");
            let expected = format!("samples have {dims:?}, and a critic says one number");
            return Err(Error::shape("critics", found, expected));
        }
        cost.check(dims)?;
        let adam = || Adam::with(settings.rate, settings.betas, 1e-8);
        let batch = settings.batch;
        Ok(Self {
            optimizers: generator.networks.iter().map(|_| adam()).collect(),
            mean: generator.clone(),
            critic_means: critics.clone(),
            critics: critics
                .into_iter()
                .map(|n| Critic::new(n, adam()))
                .collect(),
            passes: Passes::new(&generator, batch),
            z: vec![T::ZERO; batch * generator.latent()],
            wide: Vec::new(),
            real: dims.iter().map(|d| vec![T::ZERO; d * batch]).collect(),
            said: vec![0.0; dims.len()],
            generator,
            samplers,
            cost,
            settings,
            rng: Pcg64::seed_from_u64(settings.seed),
            steps: 0,
            looks: Vec::new(),
        })
    }

    /// The same with perceptrons of `hidden` units a layer, for marginals of one dimension: generators of two hidden layers that
    /// start alike ([`Generator::alike`]), from latent rows as long as a sample, and critics of `critic_layers`. From 32 units
    /// on take a [`rate`](SpotSettings::rate) that falls as one over the units.
    ///
    /// Seeds of the networks are eight times that of the settings and the following.
    ///
    /// # Errors
    /// No samplers, no units, those of [`new`](Self::new), and marginals of several dimensions.
    pub fn with_perceptrons(
        samplers: Vec<Arc<dyn Sampler>>,
        cost: Arc<dyn JointCost<T>>,
        (hidden, critic_layers): (usize, usize),
        settings: SpotSettings,
    ) -> Result<Self, Error> {
        let Some(first) = samplers.first() else {
            return Err(Error::shape("samplers", "none", "each marginal has one"));
        };
        rules::all([
            rules::room("hidden", hidden, 1),
            rules::room("critic_layers", critic_layers, 1),
        ])?;
        let dim = first.dim();
        let seed = |k: u64| settings.seed.wrapping_mul(8).wrapping_add(k);
        let chain = perceptron(dim, hidden, 2, dim, SLOPE);
        let generator = Generator::alike(Network::new(&chain, seed(0))?, samplers.len())?;
        let judge = critic(dim, hidden, critic_layers, SLOPE);
        let critics = (2..).take(samplers.len());
        let critics = critics.map(|k| Network::new(&judge, seed(k)));
        let critics = critics.collect::<Result<_, _>>()?;
        Self::new(generator, critics, samplers, cost, settings)
    }

    /// Whether networks of different marginals pass side by side, on threads of rayon's pool of the moment, to the same bits.
    /// Default: no. It takes [`Generator::separate`] and networks of some 10⁷ flops a batch to pay; small ones are faster than a
    /// thread wakes up.
    #[must_use]
    pub fn side_by_side(mut self, on: bool) -> Self {
        self.passes.side_by_side = on;
        self
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &SpotSettings {
        &self.settings
    }

    /// Steps of the generator so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Schedules that end after other `steps`, which count from the first one.
    pub(crate) fn end_after(&mut self, steps: u64) {
        self.settings.steps = steps.max(1);
    }

    /// The generator that counts: the running mean.
    #[must_use]
    pub fn mean(&self) -> &Generator<T> {
        &self.mean
    }

    /// One step of the generator after those of the critics, whatever [`SpotSettings::steps`] says.
    ///
    /// # Errors
    /// [`Error::Diverged`]: the running means, which answers are of, are those of the step before.
    pub fn step(&mut self) -> Result<Step, Error> {
        let cost = Arc::clone(&self.cost);
        self.step_with(&mut |samples, by| Ok(cost.mean(samples, by)))
    }

    /// The same with another cost than the training's own, one that may change as it sees the samples: it adds its gradients by
    /// the samples of marginal k to `by[k]`, as [`JointCost::mean`] does, and returns its mean. Estimates keep the training's.
    ///
    /// # Errors
    /// [`Error::Diverged`], and those of the cost.
    pub fn step_with(&mut self, cost: &mut StepCost<'_, T>) -> Result<Step, Error> {
        let step = self.steps + 1;
        let (apart, _) = self
            .raise_critics(&|| false)
            .map_err(|e| diverged(e, step))?;
        self.move_generator(cost, apart)
            .map_err(|e| diverged(e, step))
    }

    /// [`step`](Self::step), given up between two steps of the critics once `stop` says so: `None`.
    pub(crate) fn step_unless(&mut self, stop: &dyn Fn() -> bool) -> Result<Option<Step>, Error> {
        let (own, step) = (Arc::clone(&self.cost), self.steps + 1);
        let (apart, done) = self.raise_critics(stop).map_err(|e| diverged(e, step))?;
        if !done {
            return Ok(None);
        }
        let made = self.move_generator(&mut |samples, by| Ok(own.mean(samples, by)), apart);
        made.map(Some).map_err(|e| diverged(e, step))
    }

    fn out_of_range(&self, what: &str, value: f64) -> Error {
        Error::Diverged {
            step: self.steps + 1,
            what: format!("{what} is {value}"),
        }
    }

    /// What the critics said before their last step, and whether all steps were made.
    fn raise_critics(&mut self, stop: &dyn Fn() -> bool) -> Result<(f64, bool), Error> {
        let SpotSettings {
            critic_steps,
            batch,
            ..
        } = self.settings;
        let rate = self.settings.rate_at(self.steps);
        for critic in &mut self.critics {
            critic.optimizer.set_rate(self.settings.critic_rate * rate);
        }
        let mut apart = 0.0;
        for _ in 0..critic_steps {
            if stop() {
                return Ok((apart, false));
            }
            latent(&mut self.rng, &mut self.z);
            self.passes.forward(&self.generator, &self.z)?;
            for (k, (sampler, real)) in self.samplers.iter().zip(&mut self.real).enumerate() {
                draw(sampler.as_ref(), &mut self.rng, batch, &mut self.wide, real);
                if !all_finite(real) {
                    return Err(Error::shape(
                        "samplers",
                        format!("number {k} draws what is not finite, or becomes so"),
                        "all must be within the range of the networks' numbers",
                    ));
                }
            }
            self.critics_step()?;
            apart = self.said.iter().sum();
            if !apart.is_finite() {
                return Err(self.out_of_range("what the critics say", apart));
            }
        }
        Ok((apart, true))
    }

    fn move_generator(&mut self, cost: &mut StepCost<'_, T>, apart: f64) -> Result<Step, Error> {
        let eta = self.settings.eta_at(self.steps);
        let rate = self.settings.rate_at(self.steps);
        for optimizer in &mut self.optimizers {
            optimizer.set_rate(rate);
        }
        latent(&mut self.rng, &mut self.z);
        self.passes.forward(&self.generator, &self.z)?;
        let Passes { out, by, .. } = &mut self.passes;
        for (k, (critic, by)) in self.critics.iter_mut().zip(&mut *by).enumerate() {
            critic.gradients(out.marginal(k), eta, by)?;
        }
        let cost = cost(out, by)?;
        if !cost.is_finite() {
            return Err(self.out_of_range("the cost", cost));
        }
        self.passes.backward(&self.generator)?;
        self.passes.step(
            &mut self.generator,
            &mut self.optimizers,
            self.settings.clip,
        )?;
        self.steps += 1;
        let keep = self.settings.keep_at(self.steps);
        for (mean, now) in self.mean.networks.iter_mut().zip(&self.generator.networks) {
            follow(mean, now, keep);
        }
        for (mean, now) in self.critic_means.iter_mut().zip(&self.critics) {
            follow(mean, &now.network, keep);
            mean.normalize();
        }
        Ok(Step {
            step: self.steps,
            cost,
            apart,
        })
    }

    /// A step of each critic between what was made and what was drawn.
    fn critics_step(&mut self) -> Result<(), Error> {
        let ascend = |critic: &mut Critic<T>, said: &mut f64, made: &[T], real: &[T]| {
            *said = critic.ascend(made, real)?;
            Ok(())
        };
        let (made, real) = (&self.passes.out.of, &self.real);
        if self.passes.side_by_side {
            let all = self.critics.par_iter_mut().zip(&mut self.said);
            let rows = made.par_iter().zip(real);
            return all
                .zip(rows)
                .try_for_each(|((critic, said), (made, real))| ascend(critic, said, made, real));
        }
        let all = self.critics.iter_mut().zip(&mut self.said);
        let mut all = all.zip(made.iter().zip(real));
        all.try_for_each(|((critic, said), (made, real))| ascend(critic, said, made, real))
    }

    fn look(&mut self) -> Result<Look, Error> {
        let seed = self.settings.seed ^ LOOKS;
        let estimate = self.estimate(LOOKED_AT, seed)?;
        if !estimate.cost.is_finite() {
            return Err(self.out_of_range("the cost of the running mean", estimate.cost));
        }
        self.looks.push(estimate.cost);
        let surplus = self.looks.len().saturating_sub(SpotSettings::PATIENCE);
        self.looks.drain(..surplus);
        Ok(Look {
            step: self.steps,
            eta: self.settings.eta_at(self.steps),
            estimate,
        })
    }

    /// How much the last looks differ, as a part of the cost; +∞ while there are too few, or η still grows.
    fn unrest(&self) -> f64 {
        let grown = self.settings.growth * self.settings.steps as f64;
        if self.looks.len() < SpotSettings::PATIENCE || (self.steps as f64) < grown {
            return f64::INFINITY;
        }
        let most = self.looks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = self.looks.iter().copied().fold(f64::INFINITY, f64::min);
        if most > least {
            (most - least) / most.abs().max(least.abs())
        } else {
            0.0
        }
    }
}

impl<T: Number> Training for Spot<T> {
    type Look = Look;

    fn limits(&self) -> Limits {
        self.settings.limits()
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.step().map(|_| ())
    }

    fn see(&mut self) -> Result<Seen<Look>, Error> {
        let look = self.look()?;
        Ok(Seen {
            apart: look.estimate.apart.clone(),
            unrest: self.unrest(),
            look,
        })
    }
}

/// Latent rows: independent normal numbers.
pub(crate) fn latent<T: Number>(rng: &mut Pcg64, z: &mut [T]) {
    for z in z {
        *z = T::from_f64(rng.sample::<f64, _>(StandardNormal));
    }
}

/// mean ← keep·mean + (1 − keep)·now.
pub(crate) fn follow<T: Number>(mean: &mut Network<T>, now: &Network<T>, keep: f64) {
    let (keep, add) = (T::from_f64(keep), T::from_f64(1.0 - keep));
    for (mean, now) in mean.parameters_mut().iter_mut().zip(now.parameters()) {
        *mean = keep * *mean + add * *now;
    }
}

pub(crate) fn diverged(error: Error, step: u64) -> Error {
    match error {
        Error::Network(error @ ot_nn::Error::NotFinite { .. }) => Error::Diverged {
            step,
            what: error.to_string(),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AllPairs, Cityblock, Euclidean, Gaussian, SqEuclidean, critic, perceptron};

    /// A training in f64 of small networks between Gaussians of two dimensions.
    fn training(cost: Arc<dyn JointCost<f64>>, marginals: usize, shared: bool) -> Spot<f64> {
        let generator = if shared {
            let chain = perceptron(3, 5, 2, 2 * marginals, 0.2);
            let network = Network::new(&chain, 1).expect("a network");
            Generator::shared(network, &vec![2; marginals]).expect("it fits")
        } else {
            let chain = perceptron(3, 5, 2, 2, 0.2);
            let networks = (0..marginals as u64).map(|k| Network::new(&chain, k).expect("one"));
            Generator::separate(networks.collect()).expect("they fit")
        };
        let judge = |k| Network::new(&critic(2, 6, 1, 0.2), 7 + k).expect("a network");
        let sampler = |k: usize| -> Arc<dyn Sampler> {
            Arc::new(Gaussian::new(vec![k as f64, -1.0]).expect("finite"))
        };
        let settings = SpotSettings {
            eta: 3.0,
            batch: 7,
            ..SpotSettings::default()
        };
        let critics = (0..marginals as u64).map(judge).collect();
        let samplers = (0..marginals).map(sampler).collect();
        Spot::new(generator, critics, samplers, cost, settings).expect("it fits")
    }

    /// The generator's objective on the latent rows `z`, and its gradient by the parameters of network `k`.
    fn objective(spot: &mut Spot<f64>, z: &[f64], k: usize) -> (f64, Vec<f64>) {
        let eta = spot.settings.eta;
        spot.passes.forward(&spot.generator, z).expect("rows");
        let Passes { out, by, .. } = &mut spot.passes;
        let mut value = 0.0;
        for (k, (critic, by)) in spot.critics.iter_mut().zip(&mut *by).enumerate() {
            value += eta * critic.gradients(out.marginal(k), eta, by).expect("rows");
        }
        value += spot.cost.mean(out, by);
        spot.passes.backward(&spot.generator).expect("rows");
        (value, spot.passes.gradients()[k].clone())
    }

    #[test]
    fn the_generators_gradient_is_that_of_central_differences() {
        let costs: [(Arc<dyn JointCost<f64>>, usize); 4] = [
            (Arc::new(Euclidean), 2),
            (Arc::new(SqEuclidean), 2),
            (Arc::new(Cityblock), 2),
            (Arc::new(AllPairs), 3),
        ];
        for (cost, marginals) in costs {
            for shared in [false, true] {
                let mut spot = training(Arc::clone(&cost), marginals, shared);
                let mut z = vec![0.0; 7 * 3];
                latent(&mut Pcg64::seed_from_u64(3), &mut z);
                for k in 0..spot.generator.networks.len() {
                    let (_, gradient) = objective(&mut spot, &z, k);
                    let h = 1e-6;
                    for (place, g) in gradient.iter().enumerate() {
                        let mut at = |step: f64| {
                            let parameters = spot.generator.networks[k].parameters_mut();
                            let before = parameters[place];
                            parameters[place] = before + step;
                            let value = objective(&mut spot, &z, k).0;
                            spot.generator.networks[k].parameters_mut()[place] = before;
                            value
                        };
                        let slope = (at(h) - at(-h)) / (2.0 * h);
                        assert!(
                            (slope - g).abs() < 1e-6 * (1.0 + g.abs()),
                            "{place}: {slope} {g}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_critics_step_goes_up() {
        let mut spot = training(Arc::new(SqEuclidean), 2, false);
        let mut rng = Pcg64::seed_from_u64(1);
        let (mut made, mut real) = (vec![0.0; 40], vec![0.0; 40]);
        latent(&mut rng, &mut made);
        latent(&mut rng, &mut real);
        real.iter_mut().for_each(|v| *v += 2.0);
        let critic = &mut spot.critics[0];
        let before = critic.apart(&made, &real).expect("rows");
        for _ in 0..200 {
            critic.ascend(&made, &real).expect("finite");
        }
        critic.network.normalize();
        let after = critic.apart(&made, &real).expect("rows");
        assert!(after > before + 0.1, "{before} {after}");
        // No 1-Lipschitz function tells them apart by more than their distance, here that of the means and some noise.
        assert!(after < 3.5, "{after}");
    }

    /// Adam's first step moves every parameter by its rate.
    #[test]
    fn critics_step_as_far_as_their_rate_says() {
        let mut spot = training(Arc::new(SqEuclidean), 2, false);
        spot.settings.critic_rate = 3.0;
        spot.settings.critic_steps = 1;
        let networks = |spot: &Spot<f64>| {
            let of = |network: &Network<f64>| network.parameters().to_vec();
            [
                of(&spot.generator.networks[0]),
                of(&spot.critics[1].network),
            ]
        };
        let before = networks(&spot);
        spot.step().expect("finite");
        let after = networks(&spot);
        for (k, far) in [(0, 1e-3), (1, 3e-3)] {
            let moved = before[k].iter().zip(&after[k]).map(|(b, a)| (a - b).abs());
            let most = moved.fold(0.0, f64::max);
            assert!((most / far - 1.0).abs() < 0.01, "{most}");
        }
    }
}
