//! Steps along gradients.

use ot_kernels::neural::{AdamStep, adam};

use crate::finite::check_finite;
use crate::{Error, Number};

/// A rule that makes steps of gradients.
pub trait Optimizer<T: Number = f64> {
    /// Moves `parameters` against `gradient`, which is as long; always the same parameters. Allocates at the first step only.
    ///
    /// # Errors
    /// A gradient that is not finite, another number of parameters than before, and settings outside of their range. Neither
    /// the parameters nor the optimizer are moved then.
    fn step(&mut self, gradient: &[T], parameters: &mut [T]) -> Result<(), Error>;

    /// The length of the steps.
    fn rate(&self) -> f64;

    /// Changes the length of the steps.
    fn set_rate(&mut self, rate: f64);

    /// All that the next step depends on, for a checkpoint.
    fn state(&self) -> OptimizerState<T>;

    /// Goes on from a state of the same kind of optimizer, settings included.
    ///
    /// # Errors
    /// A state of another kind.
    fn set_state(&mut self, state: OptimizerState<T>) -> Result<(), Error>;
}

/// What an optimizer holds from step to step, settings included.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimizerState<T = f64> {
    /// Which optimizer it is of.
    pub kind: String,
    /// Its settings, in its own order.
    pub settings: Vec<f64>,
    /// How many steps it has made.
    pub steps: u64,
    /// Its means, one number for each parameter; empty before the first step.
    pub means: Vec<Vec<T>>,
}

impl<T> OptimizerState<T> {
    fn check<const S: usize>(&self, kind: &str, means: usize) -> Result<[f64; S], Error> {
        match <[f64; S]>::try_from(&self.settings[..]) {
            Ok(settings) if self.kind == kind && self.means.len() == means => Ok(settings),
            _ => Err(Error::Entry {
                name: "optimizer".to_owned(),
                found: format!(
                    "of kind {} with {} settings and {} means",
                    self.kind,
                    self.settings.len(),
                    self.means.len()
                ),
                expected: format!("this one is {kind} with {S} settings and {means} means"),
            }),
        }
    }
}

fn setting(name: &'static str, value: f64, fits: bool, rule: &'static str) -> Result<(), Error> {
    if fits {
        return Ok(());
    }
    Err(Error::Setting { name, value, rule })
}

fn check_rate(rate: f64) -> Result<(), Error> {
    let fits = rate >= 0.0 && rate.is_finite();
    setting("rate", rate, fits, "must be finite and not negative")
}

fn check_part(name: &'static str, value: f64) -> Result<(), Error> {
    let fits = (0.0..1.0).contains(&value);
    setting(name, value, fits, "must be from 0 to below 1")
}

/// Makes `means` as long as the parameters are before the first step, and refuses what does not fit.
fn check_step<T: Number>(
    gradient: &[T],
    parameters: &[T],
    means: &mut [&mut Vec<T>],
) -> Result<(), Error> {
    let refuse = |argument, found: usize, needed: usize, of: &str| {
        Err(Error::Shape {
            argument,
            found,
            expected: format!("{of} {needed}"),
        })
    };
    let count = parameters.len();
    if gradient.len() != count {
        return refuse("gradient", gradient.len(), count, "there are parameters:");
    }
    check_finite("gradient", gradient)?;
    for mean in means {
        if mean.is_empty() {
            mean.resize(count, T::ZERO);
        }
        if mean.len() != count {
            return refuse("parameters", count, mean.len(), "earlier steps were of");
        }
    }
    Ok(())
}

/// m ← momentum·m + g, θ ← θ − rate·m (Polyak, 1964).
#[derive(Debug, Clone, PartialEq)]
pub struct Sgd<T = f64> {
    rate: f64,
    momentum: f64,
    taken: u64,
    mean: Vec<T>,
}

impl<T: Number> Sgd<T> {
    const KIND: &'static str = "sgd";

    /// With steps of `rate`; `momentum`, from 0 to below 1, is 0 for plain descent.
    #[must_use]
    pub fn new(rate: f64, momentum: f64) -> Self {
        Self {
            rate,
            momentum,
            taken: 0,
            mean: Vec::new(),
        }
    }
}

impl<T: Number> Optimizer<T> for Sgd<T> {
    fn step(&mut self, gradient: &[T], parameters: &mut [T]) -> Result<(), Error> {
        check_rate(self.rate)?;
        check_part("momentum", self.momentum)?;
        check_step(gradient, parameters, &mut [&mut self.mean])?;
        self.taken += 1;
        let (momentum, rate) = (T::from_f64(self.momentum), T::from_f64(self.rate));
        for ((m, g), theta) in self.mean.iter_mut().zip(gradient).zip(parameters) {
            *m = momentum * *m + *g;
            *theta -= rate * *m;
        }
        Ok(())
    }

    fn rate(&self) -> f64 {
        self.rate
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    fn state(&self) -> OptimizerState<T> {
        OptimizerState {
            kind: Self::KIND.to_owned(),
            settings: vec![self.rate, self.momentum],
            steps: self.taken,
            means: vec![self.mean.clone()],
        }
    }

    fn set_state(&mut self, state: OptimizerState<T>) -> Result<(), Error> {
        let [rate, momentum] = state.check(Self::KIND, 1)?;
        (self.rate, self.momentum, self.taken) = (rate, momentum, state.steps);
        self.mean = state.means.into_iter().flatten().collect();
        Ok(())
    }
}

/// Steps by the means of gradients over the root of those of their squares (Kingma and Ba, 2015, algorithm 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Adam<T = f64> {
    rate: f64,
    betas: (f64, f64),
    eps: f64,
    taken: u64,
    mean: Vec<T>,
    squares: Vec<T>,
}

impl<T: Number> Adam<T> {
    const KIND: &'static str = "adam";

    /// With the values of its authors: β 0.9 and 0.999, ε 1e-8.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self::with(rate, (0.9, 0.999), 1e-8)
    }

    /// With values of the caller's own, each β from 0 to below 1, ε positive. Critics are customarily trained with β₁ from 0
    /// to 0.5.
    #[must_use]
    pub fn with(rate: f64, betas: (f64, f64), eps: f64) -> Self {
        Self {
            rate,
            betas,
            eps,
            taken: 0,
            mean: Vec::new(),
            squares: Vec::new(),
        }
    }
}

impl<T: Number> Optimizer<T> for Adam<T> {
    fn step(&mut self, gradient: &[T], parameters: &mut [T]) -> Result<(), Error> {
        check_rate(self.rate)?;
        let (beta1, beta2) = self.betas;
        check_part("beta1", beta1)?;
        check_part("beta2", beta2)?;
        let fits = self.eps > 0.0 && self.eps.is_finite();
        setting("eps", self.eps, fits, "must be positive and finite")?;
        check_step(
            gradient,
            parameters,
            &mut [&mut self.mean, &mut self.squares],
        )?;
        self.taken += 1;
        let taken = i32::try_from(self.taken).unwrap_or(i32::MAX);
        // Both means start at 0 and are that much too small.
        let step = AdamStep {
            first: (T::from_f64(beta1), T::from_f64(1.0 - beta1)),
            second: (T::from_f64(beta2), T::from_f64(1.0 - beta2)),
            rate: T::from_f64(self.rate / (1.0 - beta1.powi(taken))),
            scale: T::from_f64(1.0 / (1.0 - beta2.powi(taken))),
            eps: T::from_f64(self.eps),
        };
        let (mean, squares) = (&mut self.mean, &mut self.squares);
        adam(step, gradient, mean, squares, parameters);
        Ok(())
    }

    fn rate(&self) -> f64 {
        self.rate
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    fn state(&self) -> OptimizerState<T> {
        OptimizerState {
            kind: Self::KIND.to_owned(),
            settings: vec![self.rate, self.betas.0, self.betas.1, self.eps],
            steps: self.taken,
            means: vec![self.mean.clone(), self.squares.clone()],
        }
    }

    fn set_state(&mut self, state: OptimizerState<T>) -> Result<(), Error> {
        let [rate, beta1, beta2, eps] = state.check(Self::KIND, 2)?;
        (self.rate, self.betas, self.eps) = (rate, (beta1, beta2), eps);
        self.taken = state.steps;
        let mut means = state.means.into_iter();
        self.mean = means.next().unwrap_or_default();
        self.squares = means.next().unwrap_or_default();
        Ok(())
    }
}
