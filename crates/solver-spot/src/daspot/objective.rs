//! The terms of the objective on a batch, and their gradients by embeddings and scores.

use ot_nn::{Number, cross_entropy, soft_cross_entropy};

use super::DaspotSettings;
use super::classifier::{Classifier, Pass};
use crate::Error;

/// What the made pairs of a batch come to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Made {
    /// Mean of (3.13).
    pub(crate) cost: f64,
    /// (3.14).
    pub(crate) labels: f64,
    /// The share of pairs whose points get one label.
    pub(crate) agreement: f64,
    /// The share of pairs whose label counts.
    pub(crate) confident: f64,
}

/// Room for labels of a batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room<T> {
    /// Softmax of D_X's scores of G_X(Z), row by row.
    said: Vec<T>,
    targets: Vec<T>,
    weights: Vec<f64>,
    by: Vec<T>,
    one: Vec<T>,
}

/// Softmax of a row of scores into `out`, in f64.
pub(crate) fn softmax<T: Number, U: Number>(scores: &[T], out: &mut [U]) {
    let most = scores
        .iter()
        .fold(f64::NEG_INFINITY, |m, s| m.max(s.wide()));
    let sum: f64 = scores.iter().map(|s| (s.wide() - most).exp()).sum();
    for (o, s) in out.iter_mut().zip(scores) {
        *o = U::from_f64((s.wide() - most).exp() / sum);
    }
}

/// The place of the largest number, the first of equal ones.
pub(crate) fn argmax<T: Number>(row: &[T]) -> usize {
    let mut best = 0;
    for (k, v) in row.iter().enumerate() {
        if *v > row[best] {
            best = k;
        }
    }
    best
}

impl<T: Number> Room<T> {
    /// c + λ_da·(3.14) of made pairs, from passes of both sides: gradients by embeddings and scores are added there. Labels
    /// are the argmax of D_X's scores, which moves in jumps only: nothing of (3.14) goes into D_X or G_X.
    pub(crate) fn made(
        &mut self,
        set: &DaspotSettings,
        (width, classes): (usize, usize),
        x: &mut Pass<T>,
        y: &mut Pass<T>,
    ) -> Result<Made, Error> {
        let count = x.embedded.len() / width;
        let scale = cost_scale(set, width);
        let mut made = Made {
            cost: cost(
                scale / count as f64,
                &x.embedded,
                &y.embedded,
                &mut x.by_embedded,
                &mut y.by_embedded,
            ),
            ..Made::default()
        };
        self.said.resize(count * classes, T::ZERO);
        self.targets.clear();
        self.targets.resize(count * classes, T::ZERO);
        for (i, scores) in x.scores.chunks_exact(classes).enumerate() {
            let row = i * classes..(i + 1) * classes;
            softmax(scores, &mut self.said[row.clone()]);
            let label = argmax(scores);
            if self.said[row.start + label].wide() >= set.confidence {
                self.targets[row.start + label] = T::from_f64(1.0);
                made.confident += 1.0 / count as f64;
            }
            if argmax(&y.scores[row]) == label {
                made.agreement += 1.0 / count as f64;
            }
        }
        made.labels = self.towards(classes, set.label_weight, y)?;
        Ok(made)
    }

    /// λ_t times the cross entropy of real target points towards what the pairs of the plan near them say: the mean of D_X's
    /// probabilities of G_X(z), by weights e^(−d²/τ). Those are constants: nothing goes into the made points or D_X. Call it
    /// after [`made`](Self::made). Time: 2·width flops a made and a real point.
    pub(crate) fn real_target(
        &mut self,
        set: &DaspotSettings,
        (width, classes): (usize, usize),
        made: &Pass<T>,
        real: &mut Pass<T>,
    ) -> Result<f64, Error> {
        let scale = cost_scale(set, width);
        let rows = real.embedded.len() / width;
        self.targets.clear();
        self.targets.resize(rows * classes, T::ZERO);
        for (y, said) in real
            .embedded
            .chunks_exact(width)
            .zip(self.targets.chunks_exact_mut(classes))
        {
            self.weights.clear();
            let mut least = f64::INFINITY;
            for near in made.embedded.chunks_exact(width) {
                let square: T = y.iter().zip(near).map(|(a, b)| (*a - *b) * (*a - *b)).sum();
                let square = scale * square.wide();
                least = least.min(square);
                self.weights.push(square);
            }
            let mut sum = 0.0;
            for weight in &mut self.weights {
                *weight = ((least - *weight) / set.width).exp();
                sum += *weight;
            }
            for (weight, of) in self.weights.iter().zip(self.said.chunks_exact(classes)) {
                let weight = T::from_f64(weight / sum);
                said.iter_mut().zip(of).for_each(|(s, p)| *s += weight * *p);
            }
            let best = argmax(said);
            let sure = said[best].wide() >= set.confidence;
            said.fill(T::ZERO);
            // A NaN is never sure.
            if sure {
                said[best] = T::from_f64(1.0);
            }
        }
        self.towards(classes, set.target_weight, real)
    }

    /// Moves `shares` by `part` to the mean of the softmax of scores.
    pub(crate) fn shares(&mut self, scores: &[T], classes: usize, part: f64, shares: &mut [f64]) {
        self.one.resize(classes, T::ZERO);
        let each = part / (scores.len() / classes) as f64;
        shares.iter_mut().for_each(|share| *share *= 1.0 - part);
        for row in scores.chunks_exact(classes) {
            softmax(row, &mut self.one);
            for (share, p) in shares.iter_mut().zip(&self.one) {
                *share += each * p.wide();
            }
        }
    }

    /// `weight` times the cross entropy of scores towards `targets`; its value without the weight.
    fn towards(&mut self, classes: usize, weight: f64, pass: &mut Pass<T>) -> Result<f64, Error> {
        self.by.resize(pass.scores.len(), T::ZERO);
        let value = soft_cross_entropy(&pass.scores, classes, &self.targets, &mut self.by)?;
        add(weight, &self.by, &mut pass.by_scores);
        Ok(value)
    }

    /// λ_s times the cross entropy of labelled source points; its value without the weight.
    pub(crate) fn real_source(
        &mut self,
        weight: f64,
        of: &Classifier<T>,
        labels: &[usize],
        pass: &mut Pass<T>,
    ) -> Result<f64, Error> {
        self.by.resize(pass.scores.len(), T::ZERO);
        let value = cross_entropy(&pass.scores, of.classes(), labels, &mut self.by)?;
        add(weight, &self.by, &mut pass.by_scores);
        Ok(value)
    }
}

fn add<T: Number>(weight: f64, by: &[T], to: &mut [T]) {
    let weight = T::from_f64(weight);
    to.iter_mut()
        .zip(by)
        .for_each(|(sum, g)| *sum += weight * *g);
}

/// Embeddings of length √d are divided by it.
fn cost_scale(set: &DaspotSettings, width: usize) -> f64 {
    if set.normalized {
        1.0 / width as f64
    } else {
        1.0
    }
}

/// `weight`·Σ ‖e_X − e_Y‖² over all rows, and its gradients.
fn cost<T: Number>(weight: f64, x: &[T], y: &[T], by_x: &mut [T], by_y: &mut [T]) -> f64 {
    let slope = T::from_f64(2.0 * weight);
    let mut sum = 0.0;
    for (((x, y), by_x), by_y) in x.iter().zip(y).zip(by_x).zip(by_y) {
        let d = *x - *y;
        sum += d.wide() * d.wide();
        *by_x += slope * d;
        *by_y -= slope * d;
    }
    weight * sum
}
