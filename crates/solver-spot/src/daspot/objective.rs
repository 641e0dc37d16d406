//! The terms of the objective on a batch, and their gradients by embeddings and scores.

use ot_nn::{Number, cross_entropy, soft_cross_entropy};

use super::DaspotSettings;
use super::classifier::{Classifier, Pass};
use crate::Error;

/// Scalings of the plan between target points and pairs: labels need no more digits.
const SCALINGS: usize = 20;

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
    kernel: Vec<f64>,
    row_scaling: Vec<f64>,
    column_scaling: Vec<f64>,
    column_sums: Vec<f64>,
    pair_weights: Vec<f64>,
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

    /// Takes labelled source points for what target points are matched with, instead of the pairs of the last
    /// [`made`](Self::made).
    pub(crate) fn labelled(&mut self, classes: usize, labels: &[usize]) {
        self.said.clear();
        self.said.resize(labels.len() * classes, T::ZERO);
        for (row, label) in self.said.chunks_exact_mut(classes).zip(labels) {
            row[*label] = T::from_f64(1.0);
        }
    }

    /// λ_t times the cross entropy of real target points towards what their partners say: the mean of the partners'
    /// probabilities by the weights of a small entropic plan. Partners are pairs of the plan, whose probabilities are those of
    /// D_X at G_X(z), or labelled source points ([`labelled`](Self::labelled)): `x` is their pass through D_X, and the cost is
    /// (3.13). Of pairs, `y` is the other side, and the cost is half of it and half of the squared distance in D_e,Y to G_Y(z).
    /// Target points weigh the same, and so do all partners of a class, which together weigh what `shares` says;
    /// [`DaspotSettings::balance`] relaxes the latter. All of it is constant to the gradients. [`DaspotSettings::pull`] times the
    /// mean of (3.13) between target points and partners, by that plan, adds its gradient by the target's embeddings. Time:
    /// 8·width + 4·[`SCALINGS`] flops a partner and target point.
    pub(crate) fn real_target(
        &mut self,
        set: &DaspotSettings,
        (width, classes): (usize, usize),
        shares: &[f64],
        (x, y): (&Pass<T>, Option<&Pass<T>>),
        real: &mut Pass<T>,
    ) -> Result<f64, Error> {
        let scale = cost_scale(set, width);
        let (rows, pairs) = (real.embedded.len() / width, x.embedded.len() / width);
        let square = |a: &[T], b: &[T]| -> f64 {
            let of = |(a, b): (&T, &T)| (*a - *b) * (*a - *b);
            a.iter().zip(b).map(of).sum::<T>().wide()
        };
        let Self {
            said,
            targets,
            kernel,
            row_scaling,
            column_scaling,
            column_sums,
            pair_weights,
            ..
        } = self;
        kernel.clear();
        for point in real.embedded.chunks_exact(width) {
            let start = kernel.len();
            let near = x
                .embedded
                .chunks_exact(width)
                .map(|x| scale * square(point, x));
            kernel.extend(near);
            if let Some(y) = y {
                for (k, y) in kernel[start..]
                    .iter_mut()
                    .zip(y.embedded.chunks_exact(width))
                {
                    *k = 0.5 * (*k + scale * square(point, y));
                }
            }
            // The least of a row is absorbed by its scaling.
            let row = &mut kernel[start..];
            let least = row.iter().copied().fold(f64::INFINITY, f64::min);
            row.iter_mut()
                .for_each(|k| *k = ((least - *k) / set.width).exp());
        }
        // Of each class, as much as its share, in equal parts; classes that no pair is of are left out.
        pair_weights.clear();
        pair_weights.extend(said.chunks_exact(classes).map(|p| argmax(p) as f64));
        column_sums.clear();
        column_sums.resize(classes, 0.0);
        pair_weights
            .iter()
            .for_each(|label| column_sums[*label as usize] += 1.0);
        let present = (0..classes)
            .filter(|k| column_sums[*k] > 0.0)
            .map(|k| shares[k]);
        let total: f64 = present.sum();
        for weight in pair_weights.iter_mut() {
            let label = *weight as usize;
            *weight = shares[label] / (total * column_sums[label]);
        }
        column_scaling.clear();
        column_scaling.resize(pairs, 1.0);
        row_scaling.resize(rows, 0.0);
        for _ in 0..SCALINGS {
            column_sums.clear();
            column_sums.resize(pairs, 0.0);
            for (u, row) in row_scaling.iter_mut().zip(kernel.chunks_exact(pairs)) {
                let sum: f64 = row.iter().zip(&*column_scaling).map(|(k, v)| k * v).sum();
                *u = 1.0 / (rows as f64 * sum.max(f64::MIN_POSITIVE));
                column_sums
                    .iter_mut()
                    .zip(row)
                    .for_each(|(s, k)| *s += *u * k);
            }
            for ((v, sum), weight) in column_scaling
                .iter_mut()
                .zip(&*column_sums)
                .zip(&*pair_weights)
            {
                *v = (weight / sum.max(f64::MIN_POSITIVE)).powf(set.balance);
            }
        }
        targets.clear();
        targets.resize(rows * classes, T::ZERO);
        let pull = T::from_f64(2.0 * scale * set.pull / rows as f64);
        for (((row, said_of), point), by) in kernel
            .chunks_exact(pairs)
            .zip(targets.chunks_exact_mut(classes))
            .zip(real.embedded.chunks_exact(width))
            .zip(real.by_embedded.chunks_exact_mut(width))
        {
            let sum: f64 = row.iter().zip(&*column_scaling).map(|(k, v)| k * v).sum();
            for (((k, v), of), partner) in row
                .iter()
                .zip(&*column_scaling)
                .zip(said.chunks_exact(classes))
                .zip(x.embedded.chunks_exact(width))
            {
                let weight = T::from_f64(k * v / sum);
                said_of
                    .iter_mut()
                    .zip(of)
                    .for_each(|(s, p)| *s += weight * *p);
                if set.pull > 0.0 {
                    let slope = pull * weight;
                    for ((by, point), partner) in by.iter_mut().zip(point).zip(partner) {
                        *by += slope * (*point - *partner);
                    }
                }
            }
            let best = argmax(said_of);
            let sure = said_of[best].wide() >= set.confidence;
            said_of.fill(T::ZERO);
            // A NaN is never sure.
            if sure {
                said_of[best] = T::from_f64(1.0);
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

#[cfg(test)]
mod tests {
    use ot_nn::Network;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::super::classifier::Learner;
    use super::*;
    use crate::perceptron;

    const WIDTH: usize = 4;
    const CLASSES: usize = 3;

    /// Two classifiers of points of different dimensions, and a batch of everything.
    struct Bench {
        set: DaspotSettings,
        learners: [Learner<f64>; 2],
        made: [Vec<f64>; 2],
        real: [Vec<f64>; 2],
        labels: Vec<usize>,
    }

    /// What the derivatives of the objective are asked by.
    #[derive(Debug, Clone, Copy)]
    enum By {
        /// Side, and part of the classifier.
        Parameters(usize, usize),
        Made(usize),
    }

    impl Bench {
        fn new(normalized: bool) -> Self {
            let set = DaspotSettings {
                source_weight: 0.7,
                label_weight: 1.3,
                target_weight: 0.9,
                pull: 0.0,
                confidence: 0.36,
                width: 0.5,
                normalized,
                ..DaspotSettings::default()
            };
            let mut rng = Pcg64::seed_from_u64(4);
            let mut rows = |dim: usize, count: usize| -> Vec<f64> {
                (0..dim * count)
                    .map(|_| rng.random_range(-2.0..2.0))
                    .collect()
            };
            let dims = [3, 2];
            let made = dims.map(|d| rows(d, 8));
            let real = [rows(3, 6), rows(2, 5)];
            let learners = [0, 1].map(|k| {
                let network = |chain: &[_], seed| Network::new(chain, seed).expect("a network");
                let embedding = network(&perceptron(dims[k], 5, 1, WIDTH, 0.2), 10 + k as u64);
                let decision = network(&perceptron(WIDTH, 5, 1, CLASSES, 0.2), 20 + k as u64);
                let classifier = Classifier::new(embedding, decision).expect("it fits");
                Learner::new(classifier, (0.9, 0.999), normalized)
            });
            Self {
                set,
                learners,
                made,
                real,
                labels: vec![0, 1, 2, 2, 0, 1],
            }
        }

        /// The objective without the critics, which `Spot` adds; gradients are left in the passes. Returns those by made points.
        fn value(&mut self) -> (f64, [Vec<f64>; 2], Made) {
            let (mut room, sizes) = (Room::default(), (WIDTH, CLASSES));
            let [x, y] = &mut self.learners;
            x.made.forward(&x.now, &self.made[0]).expect("rows");
            y.made.forward(&y.now, &self.made[1]).expect("rows");
            x.real.forward(&x.now, &self.real[0]).expect("rows");
            y.real.forward(&y.now, &self.real[1]).expect("rows");
            let set = &self.set;
            let made = room
                .made(set, sizes, &mut x.made, &mut y.made)
                .expect("it fits");
            let source = room.real_source(set.source_weight, &x.now, &self.labels, &mut x.real);
            let target = room.real_target(
                set,
                sizes,
                &[1.0 / 3.0; CLASSES],
                (&x.made, Some(&y.made)),
                &mut y.real,
            );
            let value = made.cost
                + set.label_weight * made.labels
                + set.source_weight * source.expect("it fits")
                + set.target_weight * target.expect("it fits");
            let by = [x, y].map(|l| {
                l.real.backward(&l.now).expect("rows");
                l.made.backward(&l.now).expect("rows").to_vec()
            });
            (value, by, made)
        }

        fn place(&mut self, by: By, at: usize) -> &mut f64 {
            match by {
                By::Parameters(side, part) => {
                    let [embedding, decision] = self.learners[side].now.parts_mut();
                    &mut [embedding, decision][part].parameters_mut()[at]
                }
                By::Made(side) => &mut self.made[side][at],
            }
        }
    }

    #[test]
    fn every_gradient_is_that_of_central_differences() {
        for normalized in [true, false] {
            let mut bench = Bench::new(normalized);
            let (_, by_made, made) = bench.value();
            // Some labels count and some do not.
            assert!(made.confident > 0.1 && made.confident < 0.9, "{made:?}");
            let mut all = vec![
                (By::Made(0), by_made[0].clone()),
                (By::Made(1), by_made[1].clone()),
            ];
            for (side, learner) in bench.learners.iter().enumerate() {
                for part in 0..2 {
                    let both = learner.made.gradients[part]
                        .iter()
                        .zip(&learner.real.gradients[part]);
                    all.push((
                        By::Parameters(side, part),
                        both.map(|(a, b)| a + b).collect(),
                    ));
                }
            }
            let h = 1e-6;
            for (by, gradient) in all {
                assert!(gradient.iter().any(|g| g.abs() > 1e-3), "{by:?} is all 0");
                for (at, g) in gradient.iter().enumerate() {
                    let mut moved = |step: f64| {
                        *bench.place(by, at) += step;
                        let value = bench.value().0;
                        *bench.place(by, at) -= step;
                        value
                    };
                    let slope = (moved(h) - moved(-h)) / (2.0 * h);
                    assert!(
                        (slope - g).abs() < 1e-6 * (1.0 + g.abs()),
                        "normalized {normalized}, {by:?} {at}: {slope} {g}"
                    );
                }
            }
        }
    }

    #[test]
    fn labels_of_the_plan_move_nothing_on_the_sources_side() {
        let gradients = |weight: f64| {
            let mut bench = Bench::new(true);
            bench.set.label_weight = weight;
            let (_, by, _) = bench.value();
            let [x, y] = &bench.learners;
            (by, x.made.gradients.clone(), y.made.gradients.clone())
        };
        let ((by0, x0, y0), (by1, x1, y1)) = (gradients(0.0), gradients(1.3));
        assert_eq!(by0[0], by1[0]);
        assert_eq!(x0, x1);
        assert_ne!(by0[1], by1[1]);
        assert_ne!(y0, y1);
        // Decisions have nothing from the cost.
        assert!(x0[1].iter().chain(&y0[1]).all(|g| *g == 0.0));
    }

    #[test]
    fn embeddings_of_one_length_cost_by_their_angle() {
        let mut bench = Bench::new(true);
        let cost = bench.value().2.cost;
        let [x, y] = &bench.learners;
        let rows = |pass: &Pass<f64>| -> Vec<Vec<f64>> {
            pass.embedded.chunks(WIDTH).map(<[f64]>::to_vec).collect()
        };
        let (x, y) = (rows(&x.made), rows(&y.made));
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let angle = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        let mean = x
            .iter()
            .zip(&y)
            .map(|(a, b)| 2.0 - 2.0 * angle(a, b))
            .sum::<f64>()
            / x.len() as f64;
        assert!((cost - mean).abs() < 1e-9, "{cost} {mean}");
        assert!(x.iter().all(|a| (dot(a, a) - WIDTH as f64).abs() < 1e-9));
    }

    /// With a small width each target point has one partner, which a small step does not change.
    #[test]
    fn the_pull_is_the_gradient_of_the_cost_to_partners() {
        for normalized in [true, false] {
            let mut bench = Bench::new(normalized);
            bench.set.target_weight = 0.0;
            bench.set.label_weight = 0.0;
            bench.set.width = 1e-5;
            bench.set.balance = 0.0;
            bench.set.pull = 0.8;
            bench.value();
            let gradient = bench.learners[1].real.gradients[0].clone();
            let partners = {
                let [x, y] = &bench.learners;
                let rows = |pass: &Pass<f64>| -> Vec<Vec<f64>> {
                    pass.embedded.chunks(WIDTH).map(<[f64]>::to_vec).collect()
                };
                let (of_x, of_y) = (rows(&x.made), rows(&y.made));
                let square = |a: &[f64], b: &[f64]| -> f64 {
                    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
                };
                let nearest = |point: &Vec<f64>| -> Vec<f64> {
                    let apart = |k: &usize| square(point, &of_x[*k]) + square(point, &of_y[*k]);
                    let best = (0..of_x.len()).min_by(|a, b| apart(a).total_cmp(&apart(b)));
                    of_x[best.expect("some")].clone()
                };
                rows(&y.real).iter().map(nearest).collect::<Vec<_>>()
            };
            let scale = cost_scale(&bench.set, WIDTH);
            let value = |bench: &mut Bench| -> f64 {
                let y = &mut bench.learners[1];
                y.real.forward(&y.now, &bench.real[1]).expect("rows");
                let rows = y.real.embedded.chunks(WIDTH).zip(&partners);
                let square = |(a, b): (&[f64], &Vec<f64>)| -> f64 {
                    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
                };
                0.8 * scale * rows.map(square).sum::<f64>() / partners.len() as f64
            };
            assert!(gradient.iter().any(|g| g.abs() > 1e-3));
            let h = 1e-6;
            for (at, g) in gradient.iter().enumerate() {
                let mut moved = |step: f64| {
                    *bench.place(By::Parameters(1, 0), at) += step;
                    let value = value(&mut bench);
                    *bench.place(By::Parameters(1, 0), at) -= step;
                    value
                };
                let slope = (moved(h) - moved(-h)) / (2.0 * h);
                assert!(
                    (slope - g).abs() < 1e-6 * (1.0 + g.abs()),
                    "{at}: {slope} {g}"
                );
            }
        }
    }

    #[test]
    fn a_target_point_gets_the_label_of_the_pairs_near_to_it() {
        let mut bench = Bench::new(true);
        bench.set.confidence = 0.0;
        bench.set.width = 1e-4;
        // The first target point is the third made one.
        let third = bench.made[1][4..6].to_vec();
        bench.real[1][..2].copy_from_slice(&third);
        bench.value();
        let [x, y] = &mut bench.learners;
        let mut room = Room::default();
        room.made(&bench.set, (WIDTH, CLASSES), &mut x.made, &mut y.made)
            .expect("it fits");
        room.real_target(
            &bench.set,
            (WIDTH, CLASSES),
            &[1.0 / 3.0; CLASSES],
            (&x.made, Some(&y.made)),
            &mut y.real,
        )
        .expect("it fits");
        let label = argmax(&x.made.scores[2 * CLASSES..3 * CLASSES]);
        let mut expected = [0.0; CLASSES];
        expected[label] = 1.0;
        assert_eq!(room.targets[..CLASSES], expected);
    }
}
