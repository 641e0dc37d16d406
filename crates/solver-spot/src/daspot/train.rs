//! The joint training of plan and classifiers.

use std::sync::Arc;

use ot_nn::{Network, Number};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use solver_api::{Context, Convergence};

use super::classifier::{Classifier, Learner};
use super::domains::{Labelled, Points, Shared, rows};
use super::objective::{Made, Room};
use super::{DaspotLook, DaspotSettings, Partners};
use crate::drive::{Limits, Seen, Training, drive};
use crate::train::diverged;
use crate::{ContinuousSolver, Error, Generator, JointCost, Samples, Spot, SpotSettings};

/// Samples of a look at the plan, and target points whose labels it follows.
const LOOKED_AT: usize = 1000;
/// Seeds of looks and of the classifiers' batches are others than those of the plan.
const LOOKS: u64 = 0x6461_7370_6f74_6c6b;
const BATCHES: u64 = 0x6461_7370_6f74_6261;
/// Part of the running mean of the target's class shares that a batch replaces.
const NEW_SHARES: f64 = 0.01;
/// The least share of a class of the source, as a part of an equal one: none dies of a wrong guess.
const LEAST_SHARE: f64 = 0.2;

/// The cost is learned, and the plan's own estimates leave it out.
struct Learned;

impl<T: Number> JointCost<T> for Learned {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        if dims.len() == 2 {
            return Ok(());
        }
        let found = format!("makes samples of {} marginals", dims.len());
        Err(Error::shape(
            "generator",
            found,
            "source and target are two",
        ))
    }

    fn mean(&self, _: &Samples<T>, _: &mut [Vec<T>]) -> f64 {
        0.0
    }
}

/// Sums over the steps since the last look.
#[derive(Debug, Clone, Copy, Default)]
struct Since {
    steps: f64,
    made: Made,
    source: f64,
    target: f64,
}

/// A plan between a labelled source and a target without labels, and a classifier for each, trained together.
///
/// See the [module](super) for the objective. A step of n points costs that of the [`Spot`] and 6 flops for each weight of the
/// classifiers and each of 4·n points; nothing is allocated in it. Everything is on one thread: the same seed gives the same
/// bits. Memory: source and target once, and four numbers for each weight.
///
/// ```
/// use ot_nn::Network;
/// use solver_api::Context;
/// use solver_spot::daspot::{Classifier, Daspot, DaspotSettings, Labelled};
/// use solver_spot::{Generator, SpotSettings, critic, perceptron};
///
/// // Two classes at x = ∓2; in the target they have moved up by 1 and to the right by 1.
/// let row = |k: usize, by: f32| {
///     let side = if k % 2 == 0 { -2.0 } else { 2.0 };
///     [side + by + (k as f32 * 0.7).sin(), by + (k as f32 * 1.3).cos()]
/// };
/// let source = (0..200).flat_map(|k| row(k, 0.0)).collect();
/// let target: Vec<f32> = (0..200).flat_map(|k| row(k, 1.0)).collect();
/// let labels: Vec<usize> = (0..200).map(|k| k % 2).collect();
///
/// let chain = |inputs, outputs, seed| Network::new(&perceptron(inputs, 16, 1, outputs, 0.2), seed);
/// let generator = Generator::separate(vec![chain(2, 2, 0)?, chain(2, 2, 1)?])?;
/// let judge = |seed| Network::new(&critic(2, 16, 1, 0.2), seed);
/// let classifier = |seed| Classifier::new(chain(2, 4, seed)?, chain(4, 2, seed)?);
/// let settings = DaspotSettings {
///     spot: SpotSettings { steps: 400, batch: 32, ..DaspotSettings::default().spot },
///     warm_steps: 200,
///     ..DaspotSettings::default()
/// };
/// let mut daspot = Daspot::new(
///     generator,
///     vec![judge(2)?, judge(3)?],
///     [classifier(4)?, classifier(5)?],
///     Labelled::new(source, 2, labels.clone(), 2)?,
///     target.clone(),
///     settings,
/// )?;
/// daspot.fit(&Context::default(), &mut |look| println!("{}: {:.2}", look.step, look.agreement))?;
/// let right = daspot.predict(&target)?.iter().zip(&labels).filter(|(p, l)| p == l).count();
/// assert!(right > 190, "{right} of 200");
/// # Ok::<(), solver_spot::Error>(())
/// ```
pub struct Daspot<T: Number = f32> {
    pub(crate) spot: Spot<T>,
    /// D_X.
    pub(crate) x: Learner<T>,
    /// D_Y.
    pub(crate) y: Learner<T>,
    pub(crate) settings: DaspotSettings,
    pub(crate) rng: Pcg64,
    /// Steps of D_X alone so far.
    pub(crate) warmed: u64,
    /// Class shares of the target, as a running mean of D_Y's probabilities.
    pub(crate) shares: Vec<f64>,
    /// Labels of the target at the last look.
    pub(crate) labels: Vec<usize>,
    /// Which share of them moved, at the last looks.
    pub(crate) moved: Vec<f64>,
    /// Class shares that the source is drawn with.
    pub(crate) drawn: Vec<f64>,
    pub(crate) source: Arc<Shared<T>>,
    source_shares: Vec<f64>,
    target: Arc<Points<T>>,
    room: Room<T>,
    source_rows: Vec<T>,
    source_labels: Vec<usize>,
    target_rows: Vec<T>,
    since: Since,
}

impl<T: Number> Daspot<T> {
    /// The name in reports and errors.
    pub const NAME: &'static str = "daspot";

    /// Sets a training up: a generator of pairs (source, target), a critic for each side, a classifier for each side, the
    /// labelled source, and the target's points, row by row.
    ///
    /// # Errors
    /// Parts that do not fit, target points that are not finite, and settings outside of their range.
    pub fn new(
        generator: Generator<T>,
        critics: Vec<Network<T>>,
        classifiers: [Classifier<T>; 2],
        source: Labelled<T>,
        target: Vec<T>,
        settings: DaspotSettings,
    ) -> Result<Self, Error> {
        settings.check()?;
        let dims = generator.dims().to_vec();
        let (&[dim_x, dim_y], [x, y]) = (&dims[..], &classifiers) else {
            let found = format!("makes samples of {} marginals", dims.len());
            return Err(Error::shape(
                "generator",
                found,
                "source and target are two",
            ));
        };
        let same = |argument: &'static str, found: usize, expected: usize, of: &str| {
            if found == expected {
                return Ok(());
            }
            Err(Error::shape(argument, found, format!("{of} {expected}")))
        };
        same(
            "source dimension",
            source.dim(),
            dim_x,
            "the generator makes rows of",
        )?;
        same(
            "inputs of the source's classifier",
            x.inputs(),
            dim_x,
            "the generator makes rows of",
        )?;
        same(
            "inputs of the target's classifier",
            y.inputs(),
            dim_y,
            "the generator makes rows of",
        )?;
        same(
            "classes of the source's classifier",
            x.classes(),
            source.classes(),
            "the source has",
        )?;
        same(
            "classes of the target's classifier",
            y.classes(),
            source.classes(),
            "the source has",
        )?;
        same(
            "embedding of the target's classifier",
            y.width(),
            x.width(),
            "the source's has a length of",
        )?;
        rows("target", &target, dim_y)?;
        let shares = source.shares();
        let source = Arc::new(Shared::new(source));
        let target = Arc::new(Points {
            points: target,
            dim: dim_y,
        });
        let spot = Spot::new(
            generator,
            critics,
            vec![source.clone(), target.clone()],
            Arc::new(Learned),
            settings.spot,
        )?;
        let [x, y] = classifiers.map(|c| Learner::new(c, settings.betas, settings.normalized));
        let batch = settings.spot.batch;
        Ok(Self {
            spot,
            x,
            y,
            rng: Pcg64::seed_from_u64(settings.spot.seed ^ BATCHES),
            warmed: 0,
            shares: shares.clone(),
            drawn: shares.clone(),
            source_shares: shares,
            labels: Vec::new(),
            moved: Vec::new(),
            source,
            target,
            room: Room::default(),
            source_rows: vec![T::ZERO; batch * dim_x],
            source_labels: vec![0; batch],
            target_rows: vec![T::ZERO; batch * dim_y],
            since: Since::default(),
            settings,
        })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &DaspotSettings {
        &self.settings
    }

    /// Steps of the plan so far; those of D_X alone are not counted.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.spot.steps()
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Spot<T> {
        &self.spot
    }

    /// D_X, as a running mean.
    #[must_use]
    pub fn source_classifier(&self) -> &Classifier<T> {
        &self.x.mean
    }

    /// D_Y, as a running mean.
    #[must_use]
    pub fn target_classifier(&self) -> &Classifier<T> {
        &self.y.mean
    }

    /// The target's class shares as D_Y sees them; those of the source until it has seen any.
    #[must_use]
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Trains until the steps are done (an iteration limit: nobody knows whether it rests), the target's labels rest
    /// (converged), or `context` ends it. `watch` sees each look; the context's observer sees its progress. Called again, it
    /// goes on where it ended. The marginal errors in the answer are the critics' W₁ distances, in units of the points.
    ///
    /// # Errors
    /// [`Error::Diverged`]: the running means, which answers are of, are those of the step before.
    pub fn fit(
        &mut self,
        context: &Context,
        watch: &mut dyn FnMut(&DaspotLook),
    ) -> Result<Convergence, Error> {
        drive(self, context, watch)
    }

    /// A step of D_X on the source alone. After the last one D_Y starts as D_X.
    fn warm_step(&mut self) -> Result<(), Error> {
        let step = self.warmed + 1;
        let rate = self.settings.warm_rate;
        self.source_gradient()
            .and_then(|_| self.x.step(0.0, rate))
            .map_err(|error| diverged(error, step))?;
        self.warmed = step;
        let last = step == self.settings.warm_steps;
        if last {
            self.x.mean.clone_from(&self.x.now);
        }
        if last && self.settings.shared_start && self.x.now.is_like(&self.y.now) {
            self.y.now.clone_from(&self.x.now);
            self.y.mean.clone_from(&self.x.now);
        }
        Ok(())
    }

    /// λ_s·CE of a batch of the source: its gradients into D_X's pass over real points.
    fn source_gradient(&mut self) -> Result<f64, Error> {
        let Self {
            x,
            room,
            source_rows,
            source_labels,
            ..
        } = self;
        self.source
            .draw_labelled(&mut self.rng, source_rows, source_labels);
        x.real.forward(&x.now, source_rows)?;
        let weight = self.settings.source_weight;
        let value = room.real_source(weight, &x.now, source_labels, &mut x.real)?;
        x.real.backward(&x.now)?;
        Ok(value)
    }

    /// A step of plan and classifiers, whatever [`SpotSettings::steps`] says.
    fn step(&mut self) -> Result<(), Error> {
        let step = self.steps();
        let said = |error| diverged(error, step + 1);
        let listening = self.settings.listening(step);
        let rate = self.settings.rate_at(step);
        let sizes = (self.x.now.width(), self.x.now.classes());
        let source = self.source_gradient().map_err(said)?;
        let Self {
            spot,
            x,
            y,
            settings,
            room,
            ..
        } = self;
        let mut made = Made::default();
        spot.step_with(&mut |samples, by| {
            x.made.forward(&x.now, samples.marginal(0))?;
            y.made.forward(&y.now, samples.marginal(1))?;
            made = room.made(settings, sizes, &mut x.made, &mut y.made)?;
            for (learner, by) in [&mut *x, &mut *y].into_iter().zip(by) {
                let through = learner.made.backward(&learner.now)?;
                by.iter_mut().zip(through).for_each(|(sum, g)| *sum += *g);
            }
            Ok(made.cost)
        })?;
        let target = self.target_gradient(listening, sizes).map_err(said)?;
        let made_weight = listening * self.settings.made_weight;
        let (x, y) = (&mut self.x, &mut self.y);
        x.step(made_weight, rate).map_err(said)?;
        // D_Y learns from nothing but the plan.
        if listening > 0.0 {
            y.step(made_weight, rate).map_err(said)?;
        }
        let keep = self.settings.spot.keep_at(step + 1);
        for learner in [x, y] {
            learner.mean.follow(&learner.now, keep);
        }
        self.add(made, source, target);
        Ok(())
    }

    /// λ_t·CE of a batch of the target towards what the plan says: its gradients into D_Y's pass over real points.
    fn target_gradient(&mut self, listening: f64, sizes: (usize, usize)) -> Result<f64, Error> {
        let Self {
            x,
            y,
            room,
            source_labels,
            target_rows,
            settings,
            drawn,
            ..
        } = self;
        self.target.draw_rows(&mut self.rng, target_rows);
        y.real.forward(&y.now, target_rows)?;
        let heard = DaspotSettings {
            target_weight: listening * settings.target_weight,
            pull: listening * settings.pull,
            ..*settings
        };
        let partners = match settings.partners {
            Partners::Pairs => (&x.made, Some(&y.made)),
            Partners::Source => {
                room.labelled(sizes.1, source_labels);
                (&x.real, None)
            }
        };
        let value = room.real_target(&heard, sizes, drawn, partners, &mut y.real)?;
        y.real.backward(&y.now)?;
        room.shares(&y.real.scores, sizes.1, NEW_SHARES, &mut self.shares);
        if settings.shares > 0.0 {
            let least = LEAST_SHARE / sizes.1 as f64;
            let part = listening * settings.shares;
            for ((to, own), seen) in self
                .drawn
                .iter_mut()
                .zip(&self.source_shares)
                .zip(&self.shares)
            {
                *to = ((1.0 - part) * own + part * seen).max(least);
            }
            self.source.set_shares(&self.drawn);
        }
        Ok(value)
    }

    fn add(&mut self, made: Made, source: f64, target: f64) {
        let since = &mut self.since;
        since.steps += 1.0;
        since.made.cost += made.cost;
        since.made.labels += made.labels;
        since.made.agreement += made.agreement;
        since.made.confident += made.confident;
        since.source += source;
        since.target += target;
    }

    fn look(&mut self) -> Result<DaspotLook, Error> {
        let seed = self.settings.spot.seed ^ LOOKS;
        let apart = self.spot.estimate(LOOKED_AT, seed)?.apart;
        let (all, dim) = (&self.target.points, self.target.dim);
        let labels = self.predict(&all[..all.len().min(LOOKED_AT * dim)])?;
        let moved = if labels.len() == self.labels.len() {
            let pairs = labels.iter().zip(&self.labels);
            pairs.filter(|(a, b)| a != b).count() as f64 / labels.len() as f64
        } else {
            1.0
        };
        self.labels = labels;
        self.moved.push(moved);
        let surplus = self.moved.len().saturating_sub(SpotSettings::PATIENCE);
        self.moved.drain(..surplus);
        let Since {
            steps,
            made,
            source,
            target,
        } = std::mem::take(&mut self.since);
        Ok(DaspotLook {
            step: self.steps(),
            eta: self.settings.spot.eta_at(self.steps()),
            listening: self.settings.listening(self.steps()),
            cost: made.cost / steps,
            source_loss: source / steps,
            label_loss: made.labels / steps,
            target_loss: target / steps,
            agreement: made.agreement / steps,
            confident: made.confident / steps,
            apart,
            shares: self.shares.clone(),
            moved,
        })
    }

    /// The most labels that moved between any of the last looks; +∞ while there are too few, or the plan is not heard in full.
    fn unrest(&self) -> f64 {
        if self.moved.len() < SpotSettings::PATIENCE || self.settings.listening(self.steps()) < 1.0
        {
            return f64::INFINITY;
        }
        self.moved.iter().copied().fold(0.0, f64::max)
    }

    /// Labels of target points, row by row: argmax of D_Y's scores.
    ///
    /// # Errors
    /// Parts of rows, and points that are not finite.
    pub fn predict(&self, target: &[T]) -> Result<Vec<usize>, Error> {
        self.y.mean.predict(target, self.settings.normalized)
    }

    /// Probabilities of all classes of target points, row by row: softmax of D_Y's scores.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_proba(&self, target: &[T]) -> Result<Vec<f64>, Error> {
        self.y.mean.predict_proba(target, self.settings.normalized)
    }

    /// Labels of source points by D_X.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_source(&self, source: &[T]) -> Result<Vec<usize>, Error> {
        self.x.mean.predict(source, self.settings.normalized)
    }

    /// Probabilities of all classes of source points by D_X.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_source_proba(&self, source: &[T]) -> Result<Vec<f64>, Error> {
        self.x.mean.predict_proba(source, self.settings.normalized)
    }

    /// `count` pairs of the plan.
    ///
    /// # Errors
    /// A count of 0.
    pub fn pairs(&self, count: usize, seed: u64) -> Result<Samples, Error> {
        self.spot.sample(count, seed)
    }
}

impl<T: Number> Training for Daspot<T> {
    type Look = DaspotLook;

    fn limits(&self) -> Limits {
        self.settings.spot.limits()
    }

    fn steps(&self) -> u64 {
        self.spot.steps()
    }

    fn advance(&mut self) -> Result<(), Error> {
        if self.warmed < self.settings.warm_steps {
            return self.warm_step();
        }
        self.step().map(|_| ())
    }

    fn see(&mut self) -> Result<Seen<DaspotLook>, Error> {
        let look = self.look()?;
        Ok(Seen {
            apart: look.apart.clone(),
            unrest: self.unrest(),
            look,
        })
    }
}
