//! Steps along gradients.

/// A rule that makes steps of gradients.
pub trait Optimizer {
    /// Moves `parameters` against `gradient`, which is as long; always the same parameters.
    fn step(&mut self, gradient: &[f64], parameters: &mut [f64]);

    /// Changes the length of the steps.
    fn set_rate(&mut self, rate: f64);
}

/// m ← momentum·m + g, θ ← θ − rate·m (Polyak, 1964).
#[derive(Debug, Clone, PartialEq)]
pub struct Sgd {
    rate: f64,
    momentum: f64,
    mean: Vec<f64>,
}

impl Sgd {
    /// With steps of `rate`; `momentum` 0 is plain descent.
    #[must_use]
    pub fn new(rate: f64, momentum: f64) -> Self {
        Self {
            rate,
            momentum,
            mean: Vec::new(),
        }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, gradient: &[f64], parameters: &mut [f64]) {
        self.mean.resize(parameters.len(), 0.0);
        for ((m, g), theta) in self.mean.iter_mut().zip(gradient).zip(parameters) {
            *m = self.momentum * *m + g;
            *theta -= self.rate * *m;
        }
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }
}

/// Steps by the means of gradients over the root of those of their squares (Kingma and Ba, 2015, algorithm 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    rate: f64,
    betas: (f64, f64),
    eps: f64,
    taken: i32,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Adam {
    /// With the values of its authors: β 0.9 and 0.999, ε 1e-8.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self::with(rate, (0.9, 0.999), 1e-8)
    }

    /// With values of the caller's own, each β from 0 to below 1.
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

impl Optimizer for Adam {
    fn step(&mut self, gradient: &[f64], parameters: &mut [f64]) {
        self.mean.resize(parameters.len(), 0.0);
        self.squares.resize(parameters.len(), 0.0);
        self.taken = self.taken.saturating_add(1);
        let (beta1, beta2) = self.betas;
        // Both means start at 0 and are that much too small.
        let first = self.rate / (1.0 - beta1.powi(self.taken));
        let second = 1.0 / (1.0 - beta2.powi(self.taken));
        let means = self.mean.iter_mut().zip(&mut self.squares);
        for (((m, v), g), theta) in means.zip(gradient).zip(parameters) {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *theta -= first * *m / ((second * *v).sqrt() + self.eps);
        }
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }
}
