//! Mixtures of Bernoullis by expectation maximization.
//!
//! A binary image x ∈ {0, 1}ᴰ has the likelihood Σ_k π_k Π_d θ_kd^{x_d} (1 − θ_kd)^{1 − x_d}. Everything is in the log
//! domain; what all images and components share are two matrix products an iteration.
//!
//! Source: Dempster, Laird and Rubin, *Maximum likelihood from incomplete data via the EM algorithm* (1977); Bishop,
//! *Pattern recognition and machine learning* (2006), section 9.3.3.

use ot_kernels::gemm::{ktu_batch, kv_batch};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_pcg::Pcg64;
use solver_api::{Context, Progress};

use crate::Error;

/// What can be set of a mixture of Bernoullis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BernoulliSettings {
    /// Random starts; the one with the largest objective wins. Default: 4, which share their passes over the images.
    pub restarts: usize,
    /// The gain of the objective in an iteration, over its size, at which a start is done. Default: 1e-5.
    pub tol: f64,
    /// Iterations of a start at most. Default: 200.
    pub max_iter: usize,
    /// What is added to the counts of ones and of zeros of each pixel, and of images of each component: a Beta and a
    /// Dirichlet prior of 1 + smoothing, so that no probability is 0. Default: 0.1, which leaves a pixel that is never
    /// set a thousandth of the weight of one that always is, from a hundred images on.
    pub smoothing: f64,
    /// Where pixels are set, as a part of the largest pixel. Default: 0.5. `None` takes the grey values themselves,
    /// divided by the largest, for probabilities.
    pub threshold: Option<f64>,
}

impl Default for BernoulliSettings {
    fn default() -> Self {
        Self {
            restarts: 4,
            tol: 1e-5,
            max_iter: 200,
            smoothing: 0.1,
            threshold: Some(0.5),
        }
    }
}

impl BernoulliSettings {
    /// An error that names the first setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        if self.restarts == 0 {
            return Err(Error::setting("restarts", 0, "must be at least 1"));
        }
        if self.max_iter == 0 {
            return Err(Error::setting("max_iter", 0, "must be at least 1"));
        }
        let positive = |x: f64| x > 0.0 && x.is_finite();
        if !positive(self.tol) {
            return Err(Error::setting(
                "tol",
                self.tol,
                "must be positive and finite",
            ));
        }
        if !positive(self.smoothing) {
            let rule = "must be positive and finite: it keeps probabilities away from 0";
            return Err(Error::setting("smoothing", self.smoothing, rule));
        }
        match self.threshold {
            Some(t) if !(t > 0.0 && t < 1.0) => Err(Error::setting(
                "threshold",
                t,
                "must be above 0 and below 1, a part of the largest pixel",
            )),
            _ => Ok(()),
        }
    }
}

/// A mixture of K Bernoullis over D pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct BernoulliMixture {
    weights: Vec<f64>,
    means: Vec<f64>,
    objective: Vec<f64>,
    converged: bool,
}

impl BernoulliMixture {
    /// Fits `components` to the rows of `x`, N vectors of `dim` numbers from 0 to 1.
    ///
    /// Time O(N·D·K·restarts) an iteration as matrix products on one thread; memory O(N·K·restarts).
    ///
    /// # Errors
    /// Settings outside of their range, no row, parts of rows, numbers outside of [0, 1], more components than rows; and
    /// the word of the context's observer, deadline or token.
    pub fn fit(
        x: &[f64],
        dim: usize,
        components: usize,
        settings: &BernoulliSettings,
        seed: u64,
        context: &Context,
    ) -> Result<Self, Error> {
        settings.check()?;
        check_rows(x, dim)?;
        let n = x.len() / dim;
        if components == 0 || components > n {
            let rule = format!("must be from 1 to the number of rows, {n}");
            return Err(Error::setting("components", components, &rule));
        }
        let mut starts = Starts::new(x, dim, components, settings, seed);
        let begun = std::time::Instant::now();
        for iteration in 1..=settings.max_iter {
            starts.step(x);
            let open = starts.open(settings.tol);
            let progress = Progress {
                problem: 0,
                iteration: iteration as u64,
                part: None,
                error: open as f64,
                tol: settings.tol,
                certificate: None,
                elapsed: begun.elapsed(),
            };
            if open == 0 {
                break;
            }
            if let Some(termination) = context.check(&progress) {
                return Err(Error::Stopped {
                    what: "iterations",
                    termination,
                    done: iteration,
                    count: settings.max_iter,
                });
            }
        }
        Ok(starts.best())
    }

    /// π, K numbers of sum 1.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// θ, K×D, each above 0 and below 1.
    #[must_use]
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// θ of one component.
    ///
    /// # Panics
    /// If there is no such component.
    #[must_use]
    pub fn mean(&self, component: usize) -> &[f64] {
        let dim = self.means.len() / self.weights.len();
        &self.means[component * dim..(component + 1) * dim]
    }

    /// The objective before each iteration: the log-likelihood of the rows plus
    /// smoothing·(Σ log θ + log(1 − θ) + Σ log π), the logarithm of the prior. EM never lets it fall.
    #[must_use]
    pub fn objective(&self) -> &[f64] {
        &self.objective
    }

    /// Whether the gain fell below the tolerance before the iterations ran out.
    #[must_use]
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// The log-likelihood of each row of `x`.
    ///
    /// # Errors
    /// Rows of another length, and numbers outside of [0, 1].
    pub fn log_likelihoods(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        let (k, dim) = (self.weights.len(), self.means.len() / self.weights.len());
        check_rows(x, dim)?;
        let (odds, constants) = logarithms(&self.weights, &self.means);
        let mut logits = vec![0.0; x.len() / dim * k];
        kv_batch(&odds, k, dim, x, &mut logits, 1);
        let rows = logits.chunks_exact_mut(k);
        Ok(rows
            .map(|row| {
                row.iter_mut().zip(&constants).for_each(|(l, c)| *l += c);
                log_sum_exp(row)
            })
            .collect())
    }
}

fn check_rows(x: &[f64], dim: usize) -> Result<(), Error> {
    if dim == 0 || x.is_empty() || !x.len().is_multiple_of(dim) {
        return Err(Error::Shape {
            argument: "x",
            found: x.len(),
            expected: format!("rows of {dim} take a positive multiple of that many"),
        });
    }
    match x.iter().find(|v| !(0.0..=1.0).contains(*v)) {
        Some(v) => Err(Error::setting("x", v, "entries must be from 0 to 1")),
        None => Ok(()),
    }
}

/// log θ/(1 − θ) of each component and pixel, and log π + Σ log(1 − θ) of each component.
fn logarithms(weights: &[f64], means: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let dim = means.len() / weights.len();
    let odds = means.iter().map(|t| (t / (1.0 - t)).ln()).collect();
    let zeros = means.chunks_exact(dim);
    let zeros = zeros.map(|theta| theta.iter().map(|t| (-t).ln_1p()).sum::<f64>());
    let constants = weights.iter().zip(zeros).map(|(w, z)| w.ln() + z);
    (odds, constants.collect())
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + x.iter().map(|x| (x - most).exp()).sum::<f64>().ln()
}

/// All random starts, which go on side by side: one product serves them all.
struct Starts {
    dim: usize,
    smoothing: f64,
    mixtures: Vec<BernoulliMixture>,
    /// Starts that are not done.
    active: Vec<usize>,
}

impl Starts {
    /// Each component begins between the mean of all rows and a row drawn at random.
    fn new(
        x: &[f64],
        dim: usize,
        components: usize,
        settings: &BernoulliSettings,
        seed: u64,
    ) -> Self {
        let n = x.len() / dim;
        let mut centre = vec![0.0; dim];
        for row in x.chunks_exact(dim) {
            centre.iter_mut().zip(row).for_each(|(c, x)| *c += x);
        }
        let s = settings.smoothing;
        for c in &mut centre {
            *c = (*c + s) / (n as f64 + 2.0 * s);
        }
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut start = || {
            let rows = sample(&mut rng, n, components);
            let near = |row: usize| {
                let row = &x[row * dim..(row + 1) * dim];
                // Never 0 or 1: the centre is not.
                let means = centre.iter().zip(row).map(|(c, x)| 0.5 * c + 0.5 * x);
                means.collect::<Vec<_>>()
            };
            BernoulliMixture {
                weights: vec![1.0 / components as f64; components],
                means: rows.into_iter().flat_map(near).collect(),
                objective: Vec::new(),
                converged: false,
            }
        };
        Self {
            dim,
            smoothing: s,
            mixtures: (0..settings.restarts).map(|_| start()).collect(),
            active: (0..settings.restarts).collect(),
        }
    }

    /// One iteration of every start that is not done.
    fn step(&mut self, x: &[f64]) {
        let (dim, n) = (self.dim, x.len() / self.dim);
        let k = self.mixtures[0].weights.len();
        let all = k * self.active.len();
        let (mut odds, mut constants) = (Vec::new(), Vec::new());
        for &s in &self.active {
            let mixture = &self.mixtures[s];
            let (o, c) = logarithms(&mixture.weights, &mixture.means);
            odds.extend(o);
            constants.extend(c);
        }
        let mut logits = vec![0.0; n * all];
        kv_batch(&odds, all, dim, x, &mut logits, 1);
        // Responsibilities, component by component.
        let mut shares = vec![0.0; all * n];
        let mut likelihoods = vec![0.0; self.active.len()];
        for (i, row) in logits.chunks_exact_mut(all).enumerate() {
            row.iter_mut().zip(&constants).for_each(|(l, c)| *l += c);
            for (s, row) in row.chunks_exact(k).enumerate() {
                let total = log_sum_exp(row);
                likelihoods[s] += total;
                for (c, l) in row.iter().enumerate() {
                    shares[(s * k + c) * n + i] = (l - total).exp();
                }
            }
        }
        let mut ones = vec![0.0; all * dim];
        ktu_batch(x, n, dim, &shares, &mut ones, 1);
        for (at, &s) in self.active.iter().enumerate() {
            let mixture = &mut self.mixtures[s];
            let prior = self.smoothing * log_prior(mixture);
            mixture.objective.push(likelihoods[at] + prior);
            for c in 0..k {
                let place = at * k + c;
                let count: f64 = shares[place * n..(place + 1) * n].iter().sum();
                let s = self.smoothing;
                mixture.weights[c] = (count + s) / (n as f64 + k as f64 * s);
                let means = &mut mixture.means[c * dim..(c + 1) * dim];
                for (theta, ones) in means.iter_mut().zip(&ones[place * dim..]) {
                    *theta = (ones + s) / (count + 2.0 * s);
                }
            }
        }
    }

    /// Puts aside the starts that gained little, and counts the others.
    fn open(&mut self, tol: f64) -> usize {
        self.active.retain(|&s| {
            let mixture = &mut self.mixtures[s];
            if let [.., before, now] = *mixture.objective {
                mixture.converged = now - before <= tol * now.abs();
            }
            !mixture.converged
        });
        self.active.len()
    }

    /// The start with the largest objective, the first of equals.
    fn best(mut self) -> BernoulliMixture {
        let last = |m: &BernoulliMixture| m.objective.last().copied().unwrap_or(f64::NEG_INFINITY);
        let mut best = 0;
        for (s, mixture) in self.mixtures.iter().enumerate() {
            if last(mixture) > last(&self.mixtures[best]) {
                best = s;
            }
        }
        self.mixtures.swap_remove(best)
    }
}

/// Σ log θ + log(1 − θ) + Σ log π.
fn log_prior(mixture: &BernoulliMixture) -> f64 {
    let means = mixture.means.iter().map(|t| t.ln() + (-t).ln_1p());
    means.sum::<f64>() + mixture.weights.iter().map(|w| w.ln()).sum::<f64>()
}
