//! Training of a flow: the cost, the marginals and the entropy together.

use std::sync::Arc;
use std::time::Instant;

use ot_nn::{Adam, Checkpoint, Network, Number, Optimizer, all_finite};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use solver_api::{Context, Progress, Termination};

use super::energy::{Energy, Line, over_pairs};
use super::model::log_normal;
use super::{FixedSteps, Flow, FlowSettings};
use crate::critic::Critic;
use crate::{Error, JointCost, Sampler, Samples};

/// How far the marginals of a flow are from the wanted ones, beside its cost.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum MarginalPenalty<T: Number = f64> {
    /// The largest mean λ(made) − mean λ(real) over critics λ of Lipschitz constant 1: the source's form. A network for each
    /// marginal, from its dimension to 1, spectrally normalized.
    Critics(Vec<Network<T>>),
    /// The energy distance 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖. It is the gain of one critic, λ(x) = 2 E‖x − Y‖ − 2 E‖x − X′‖,
    /// which needs no training, and, on the line, twice the integral of the squared difference between the distribution functions.
    Energy,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowStep {
    /// Steps so far.
    pub step: u64,
    /// Mean cost of the batch.
    pub cost: f64,
    /// Sum of the marginals' penalties, without η.
    pub penalty: f64,
    /// Mean ln p of the part of the batch that stands for it; of no meaning without an entropy.
    pub negative_entropy: f64,
    /// η.
    pub eta: f64,
}

enum Marginals<T: Number> {
    Critics(Vec<Critic<T>>),
    /// With a large sample of each marginal that is a line.
    Energy(Energy, Vec<Option<Line>>),
}

/// A training of a [`Flow`]: min over its weights of E c + η·(penalties of the marginals) + ε·E ln p.
///
/// Between steps the state is whole: it can be looked at, saved and gone on from. Time of a step: see [`FixedSteps`].
pub struct FlowSpot<T: Number = f64> {
    flow: Flow<T>,
    mean: Flow<T>,
    optimizer: Adam<T>,
    marginals: Marginals<T>,
    samplers: Vec<Arc<dyn Sampler>>,
    cost: Arc<dyn JointCost<T>>,
    settings: FlowSettings,
    rng: Pcg64,
    steps: u64,
    room: Room<T>,
}

struct Room<T: Number> {
    way: FixedSteps<T>,
    z: Vec<T>,
    wide: Vec<f64>,
    real: Vec<Vec<T>>,
    made: Samples<T>,
    by_made: Vec<Vec<T>>,
    by_end: Vec<T>,
    by_log_density: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Number> FlowSpot<T> {
    /// Sets a training up: a sampler for each marginal of the flow.
    ///
    /// # Errors
    /// Parts that do not fit, and settings outside of their range.
    pub fn new(
        flow: Flow<T>,
        samplers: Vec<Arc<dyn Sampler>>,
        cost: Arc<dyn JointCost<T>>,
        penalty: MarginalPenalty<T>,
        settings: FlowSettings,
    ) -> Result<Self, Error> {
        settings.check()?;
        cost.check(flow.dims())?;
        let wanted: Vec<usize> = samplers.iter().map(|s| s.dim()).collect();
        check_dims("samplers", &wanted, flow.dims())?;
        let mut rng = Pcg64::seed_from_u64(settings.seed);
        let adam = || Adam::with(settings.rate, settings.betas, 1e-8);
        let marginals = match penalty {
            MarginalPenalty::Energy => {
                let mut lines = Vec::new();
                for (k, sampler) in samplers.iter().enumerate() {
                    lines.push(if sampler.dim() == 1 {
                        let mut sample = vec![0.0; settings.pool];
                        sampler.draw(&mut rng, &mut sample);
                        check_drawn(k, &sample, 0)?;
                        Some(Line::new(sample))
                    } else {
                        None
                    });
                }
                Marginals::Energy(Energy::default(), lines)
            }
            MarginalPenalty::Critics(networks) => {
                let inputs: Vec<usize> = networks.iter().map(Network::inputs).collect();
                check_dims("critics", &inputs, flow.dims())?;
                if let Some(odd) = networks.iter().find(|n| n.outputs() != 1) {
                    let found = format!("one of {} outputs", odd.outputs());
                    return Err(Error::shape("critics", found, "each has one"));
                }
                let critics = networks.into_iter().map(|n| Critic::new(n, adam()));
                Marginals::Critics(critics.collect())
            }
        };
        let rows = || {
            flow.dims()
                .iter()
                .map(|d| vec![T::ZERO; d * settings.batch])
                .collect()
        };
        let room = Room {
            way: FixedSteps::new(settings.flow_steps)?
                .straightened(settings.kinetic / settings.batch as f64),
            z: vec![T::ZERO; settings.batch * flow.dim()],
            by_end: vec![T::ZERO; settings.batch * flow.dim()],
            gradient: vec![T::ZERO; flow.network().parameters().len()],
            made: Samples::room(flow.dims(), settings.batch),
            by_made: rows(),
            real: vec![Vec::new(); flow.dims().len()],
            wide: Vec::new(),
            by_log_density: Vec::new(),
        };
        Ok(Self {
            mean: flow.clone(),
            optimizer: adam(),
            marginals,
            samplers,
            cost,
            settings,
            rng,
            steps: 0,
            room,
            flow,
        })
    }

    /// The flow with the running mean of the weights: what is reported.
    #[must_use]
    pub fn mean(&self) -> &Flow<T> {
        &self.mean
    }

    /// The flow with the last weights.
    #[must_use]
    pub fn last(&self) -> &Flow<T> {
        &self.flow
    }

    /// Steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Latent variables, and where they come to.
    fn make(&mut self) -> Result<(), Error> {
        let room = &mut self.room;
        let latent = self.settings.latent;
        latent.draw(&mut self.rng, self.flow.dim(), &mut room.z);
        let all = room.way.forward(&self.flow, &room.z)?;
        if !all_finite(all) {
            return Err(diverged(self.steps, "a generated sample is not finite"));
        }
        let width = self.flow.dim();
        let mut at = 0;
        for (made, &dim) in room.made.of.iter_mut().zip(self.flow.dims()) {
            for (row, joint) in made.chunks_exact_mut(dim).zip(all.chunks_exact(width)) {
                row.copy_from_slice(&joint[at..at + dim]);
            }
            at += dim;
        }
        Ok(())
    }

    /// `count` samples of each marginal that has no line.
    fn draw(&mut self, count: usize) -> Result<(), Error> {
        let room = &mut self.room;
        for (k, (sampler, real)) in self.samplers.iter().zip(&mut room.real).enumerate() {
            if let Marginals::Energy(_, lines) = &self.marginals
                && lines[k].is_some()
            {
                continue;
            }
            room.wide.resize(sampler.dim() * count, 0.0);
            sampler.draw(&mut self.rng, &mut room.wide);
            real.clear();
            real.extend(room.wide.iter().map(|x| T::from_f64(*x)));
            check_drawn(k, &room.wide, self.steps)?;
        }
        Ok(())
    }

    /// The penalties and η times their gradients, into `by_made`.
    fn penalize(&mut self, eta: f64) -> Result<f64, Error> {
        let batch = self.settings.batch;
        let mut sum = 0.0;
        if let Marginals::Critics(_) = self.marginals {
            for _ in 0..self.settings.critic_steps {
                self.make()?;
                self.draw(batch)?;
                let Marginals::Critics(critics) = &mut self.marginals else {
                    return Ok(sum);
                };
                sum = 0.0;
                for (k, critic) in critics.iter_mut().enumerate() {
                    sum += critic
                        .ascend(&self.room.made.of[k], &self.room.real[k])
                        .map_err(|e| diverged(self.steps, &format!("critic {k}: {e}")))?;
                }
            }
            self.make()?;
        } else {
            self.make()?;
            self.draw(self.settings.real * batch)?;
        }
        let Room {
            made,
            real,
            by_made,
            ..
        } = &mut self.room;
        match &mut self.marginals {
            Marginals::Critics(critics) => {
                for (k, critic) in critics.iter_mut().enumerate() {
                    critic.gradients(&made.of[k], eta, &mut by_made[k])?;
                }
            }
            Marginals::Energy(energy, lines) => {
                let partners = self.settings.latent.partners(batch as f64);
                for (k, &dim) in self.flow.dims().iter().enumerate() {
                    let (made, by) = (&made.of[k], &mut by_made[k]);
                    by.fill(T::ZERO);
                    sum += match &lines[k] {
                        Some(line) => energy.on_line(made, line, partners, eta, by),
                        None => over_pairs(made, &real[k], (dim, partners), eta, by),
                    };
                }
            }
        }
        Ok(sum)
    }

    /// One step of the flow, after those of the critics where there are some.
    ///
    /// # Errors
    /// [`Error::Diverged`], with the number of the step; the weights are those of the step before.
    pub fn step(&mut self) -> Result<FlowStep, Error> {
        let (batch, eta) = (self.settings.batch, self.settings.eta_at(self.steps));
        let penalty = self.penalize(eta)?;
        let room = &mut self.room;
        let cost = self.cost.mean(&room.made, &mut room.by_made);
        let width = self.flow.dim();
        let mut at = 0;
        for (by, &dim) in room.by_made.iter().zip(self.flow.dims()) {
            let joint = room.by_end.chunks_exact_mut(width);
            for (row, joint) in by.chunks_exact(dim).zip(joint) {
                joint[at..at + dim].copy_from_slice(row);
            }
            at += dim;
        }
        let few = self.settings.entropy_batch;
        let weight = T::from_f64(self.settings.reg / few as f64);
        room.by_log_density.clear();
        room.by_log_density.resize(few, weight);
        room.by_log_density.resize(batch, T::ZERO);
        room.gradient.fill(T::ZERO);
        room.way.backward(
            &self.flow,
            &room.by_end,
            &room.by_log_density,
            &mut room.gradient,
        )?;
        let starts = room.z.chunks_exact(width).map(log_normal);
        let whole = starts.zip(room.way.change()).take(few);
        let negative_entropy = whole.map(|(p, c)| p + c.wide()).sum::<f64>() / few as f64;
        if !(cost.is_finite() && penalty.is_finite() && negative_entropy.is_finite()) {
            let what = format!(
                "cost {cost}, penalty {penalty}, mean ln p {negative_entropy}: one is not finite"
            );
            return Err(diverged(self.steps, &what));
        }
        self.optimizer.set_rate(self.settings.rate_at(self.steps));
        self.optimizer
            .step(&room.gradient, self.flow.parameters_mut())
            .map_err(|e| diverged(self.steps, &e.to_string()))?;
        self.steps += 1;
        self.average();
        Ok(FlowStep {
            step: self.steps,
            cost,
            penalty,
            negative_entropy,
            eta,
        })
    }

    /// The running mean: of all weights at first, so that the very first ones are soon forgotten.
    fn average(&mut self) {
        let done = self.steps as f64;
        let keep = self.settings.averaging.min((done - 1.0) / done);
        let (keep, add) = (T::from_f64(keep), T::from_f64(1.0 - keep));
        let now = self.flow.network().parameters();
        for (mean, now) in self.mean.parameters_mut().iter_mut().zip(now) {
            *mean = keep * *mean + add * *now;
        }
    }

    /// All steps that the settings have left, or up to a deadline, a cancellation, or an observer's word. The observer sees
    /// every tenth step: as `error` the penalty, as `tol` 0. Returns the last step, and what ended the training early.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn train(
        &mut self,
        context: &Context,
    ) -> Result<(Option<FlowStep>, Option<Termination>), Error> {
        let started = Instant::now();
        let mut last = None;
        while self.steps < self.settings.steps {
            if let Some(early) = context.interrupted() {
                return Ok((last, Some(early)));
            }
            let step = self.step()?;
            last = Some(step);
            if step.step.is_multiple_of(10) || step.step == self.settings.steps {
                let progress = Progress {
                    problem: context.problem_index,
                    iteration: step.step,
                    part: None,
                    error: step.penalty,
                    tol: 0.0,
                    certificate: None,
                    elapsed: started.elapsed(),
                };
                if let Some(early) = context.check(&progress) {
                    return Ok((last, Some(early)));
                }
            }
        }
        Ok((last, None))
    }

    /// Everything that the training goes on from, under names that begin with `flow`.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn save(&self, into: &mut Checkpoint) -> Result<(), Error> {
        into.put_network("flow", self.flow.network())?;
        into.put_network("flow.mean", self.mean.network())?;
        into.put_optimizer("flow.adam", &self.optimizer)?;
        into.put("flow.rng", &self.rng)?;
        into.put("flow.steps", &self.steps)?;
        into.put("flow.settings", &self.settings)?;
        into.put("flow.has_critics", &self.has_critics())?;
        if let Marginals::Critics(critics) = &self.marginals {
            for (k, critic) in critics.iter().enumerate() {
                into.put_network(&format!("flow.critic{k}"), &critic.network)?;
                into.put_optimizer(&format!("flow.critic{k}.adam"), &critic.optimizer)?;
            }
        }
        Ok(())
    }

    fn has_critics(&self) -> bool {
        matches!(self.marginals, Marginals::Critics(_))
    }

    /// Goes on from what [`save`](Self::save) has written, to the same bits. Samplers and cost are those of [`new`](Self::new),
    /// and must be the same.
    ///
    /// # Errors
    /// Other settings or another penalty, which leave it as it is; what is missing, or of another shape: the training is then of
    /// no use.
    pub fn restore(&mut self, from: &Checkpoint) -> Result<(), Error> {
        let settings: FlowSettings = from.get("flow.settings")?;
        let has_critics: bool = from.get("flow.has_critics")?;
        if (settings, has_critics) != (self.settings, self.has_critics()) {
            let penalty = |critics| {
                if critics {
                    "critics"
                } else {
                    "the energy distance"
                }
            };
            let found = format!("a training by {} of {settings:?}", penalty(has_critics));
            let expected = format!(
                "this one is by {} of {:?}",
                penalty(self.has_critics()),
                self.settings
            );
            return Err(Error::shape("checkpoint", found, expected));
        }
        from.restore_network("flow", self.flow.network_mut())?;
        from.restore_network("flow.mean", self.mean.network_mut())?;
        from.restore_optimizer("flow.adam", &mut self.optimizer)?;
        if let Marginals::Critics(critics) = &mut self.marginals {
            for (k, critic) in critics.iter_mut().enumerate() {
                from.restore_network(&format!("flow.critic{k}"), &mut critic.network)?;
                from.restore_optimizer(&format!("flow.critic{k}.adam"), &mut critic.optimizer)?;
            }
        }
        self.rng = from.get("flow.rng")?;
        self.steps = from.get("flow.steps")?;
        Ok(())
    }
}

fn check_drawn(sampler: usize, sample: &[f64], steps: u64) -> Result<(), Error> {
    if all_finite(sample) {
        return Ok(());
    }
    let what = format!("sampler {sampler} draws what is not finite");
    Err(diverged(steps, &what))
}

fn check_dims(argument: &'static str, found: &[usize], dims: &[usize]) -> Result<(), Error> {
    if found == dims {
        return Ok(());
    }
    let expected = format!("the flow's marginals have {dims:?}");
    Err(Error::shape(
        argument,
        format!("dimensions {found:?}"),
        expected,
    ))
}

fn diverged(steps: u64, what: &str) -> Error {
    Error::Diverged {
        step: steps + 1,
        what: what.to_owned(),
    }
}
