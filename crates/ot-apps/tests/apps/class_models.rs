//! Class models by hand, barycenters where they are known, and the mixture of Bernoullis.

use std::sync::Arc;

use ot_apps::class_models::ClassModels;
use ot_apps::{
    Bernoulli, BernoulliMixture, BernoulliSettings, Bregman, BregmanSettings, ClusterBarycenters,
    Images, KMeansSettings, Medoids, ModelSet, Samples, WassersteinKMeans, pixel_cost,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{
    Barycenters, Context, DenseCost, GridCost, GridGround, Ground, Measure, PointCost, Reg,
};
use solver_sinkhorn::{Settings as SinkhornSettings, Sinkhorn};

/// Draws `n` rows of a mixture, with the component of each.
fn draw(weights: &[f64], means: &[Vec<f64>], n: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut x = Vec::new();
    for _ in 0..n {
        let (mut left, mut k) = (rng.random::<f64>(), 0);
        while k + 1 < weights.len() && left >= weights[k] {
            left -= weights[k];
            k += 1;
        }
        x.extend(
            means[k]
                .iter()
                .map(|&t| f64::from(u8::from(rng.random::<f64>() < t))),
        );
    }
    x
}

/// log Σ_k π_k Π_d θ^x (1 − θ)^(1 − x), factor by factor.
fn direct(weights: &[f64], means: &[f64], x: &[f64]) -> f64 {
    let dim = x.len();
    let likelihood = |(w, theta): (&f64, &[f64])| {
        let factors = theta.iter().zip(x);
        w * factors
            .map(|(t, x)| t * x + (1.0 - t) * (1.0 - x))
            .product::<f64>()
    };
    let parts = weights.iter().zip(means.chunks_exact(dim));
    parts.map(likelihood).sum::<f64>().ln()
}

fn truth() -> (Vec<f64>, Vec<Vec<f64>>) {
    let means = (0..3).map(|k| {
        (0..12)
            .map(|d| if d / 4 == k { 0.85 } else { 0.1 })
            .collect()
    });
    (vec![0.5, 0.3, 0.2], means.collect())
}

#[test]
fn em_recovers_a_known_mixture() {
    let (weights, means) = truth();
    let x = draw(&weights, &means, 4000, 11);
    let settings = BernoulliSettings {
        tol: 1e-9,
        ..BernoulliSettings::default()
    };
    let fitted = BernoulliMixture::fit(&x, 12, 3, &settings, 5, &Context::default()).expect("fits");
    assert!(fitted.converged());
    for (w, theta) in weights.iter().zip(&means) {
        // The component that is nearest to the true one.
        let distance = |k: usize| -> f64 {
            fitted
                .mean(k)
                .iter()
                .zip(theta)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max)
        };
        let k = (0..3)
            .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
            .expect("three");
        assert!(distance(k) < 0.05, "means off by {}", distance(k));
        assert!(
            (fitted.weights()[k] - w).abs() < 0.04,
            "{:?}",
            fitted.weights()
        );
    }
}

#[test]
fn em_never_lowers_its_objective_and_tells_the_likelihood() {
    let (weights, means) = truth();
    let x = draw(&weights, &means, 300, 2);
    for (seed, smoothing) in [(0, 1e-6), (1, 0.1), (2, 1.0), (3, 10.0)] {
        let settings = BernoulliSettings {
            restarts: 3,
            tol: 1e-12,
            smoothing,
            ..BernoulliSettings::default()
        };
        let fitted = BernoulliMixture::fit(&x, 12, 4, &settings, seed, &Context::default());
        let fitted = fitted.expect("fits");
        for pair in fitted.objective().windows(2) {
            let fall = pair[0] - pair[1];
            assert!(
                fall <= 1e-10 * pair[0].abs(),
                "fell by {fall}: {:?}",
                fitted.objective()
            );
        }
        let told = fitted.log_likelihoods(&x).expect("rows");
        let mut total = 0.0;
        for (row, told) in x.chunks_exact(12).zip(&told) {
            let direct = direct(fitted.weights(), fitted.means(), row);
            assert!(
                (told - direct).abs() < 1e-10 * (1.0 + direct.abs()),
                "{told} for {direct}"
            );
            total += direct;
        }
        // The objective is that of the iterate before the last step: the end is no worse.
        let prior: f64 = fitted
            .means()
            .iter()
            .map(|t| t.ln() + (1.0 - t).ln())
            .sum::<f64>()
            + fitted.weights().iter().map(|w| w.ln()).sum::<f64>();
        let last = fitted.objective().last().copied().expect("an iteration");
        assert!(total + smoothing * prior >= last - 1e-9 * last.abs());
    }
}

#[test]
fn more_restarts_are_no_worse_and_the_seed_decides() {
    let (weights, means) = truth();
    let x = draw(&weights, &means, 200, 9);
    let best = |restarts: usize| {
        let settings = BernoulliSettings {
            restarts,
            ..BernoulliSettings::default()
        };
        let fitted = BernoulliMixture::fit(&x, 12, 5, &settings, 1, &Context::default());
        fitted.expect("fits")
    };
    let (one, eight) = (best(1), best(8));
    assert!(eight.objective().last() >= one.objective().last());
    assert_eq!(best(8), eight);
}

#[test]
fn pixels_that_are_always_or_never_set_keep_their_odds_finite() {
    let x = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    let fitted = BernoulliMixture::fit(
        &x,
        3,
        2,
        &BernoulliSettings::default(),
        0,
        &Context::default(),
    );
    let fitted = fitted.expect("fits");
    assert!(fitted.means().iter().all(|t| *t > 0.0 && *t < 1.0));
    // Between certainty and coins for all nine pixels, with a prior's worth of room.
    let odds = fitted.objective();
    assert!(odds.iter().all(|o| (-10.0..0.0).contains(o)), "{odds:?}");
    // A row unlike all others has a likelihood all the same.
    let strange = fitted.log_likelihoods(&[0.0, 1.0, 0.0]).expect("a row");
    assert!((-60.0..-3.0).contains(&strange[0]), "{strange:?}");
}

/// A bump at `at` on a line of `n` points.
fn bump(n: usize, at: f64, width: f64) -> Measure {
    let weights = (0..n).map(|i| (-((i as f64 - at) / width).powi(2)).exp() + 1e-12);
    Measure::new(weights.collect::<Vec<_>>())
        .expect("valid")
        .normalized()
}

fn mean_of(q: &Measure) -> f64 {
    q.weights()
        .iter()
        .enumerate()
        .map(|(i, w)| i as f64 * w)
        .sum()
}

fn variance_of(q: &Measure) -> f64 {
    let mean = mean_of(q);
    q.weights()
        .iter()
        .enumerate()
        .map(|(i, w)| (i as f64 - mean).powi(2) * w)
        .sum()
}

#[test]
fn the_barycenter_of_two_bumps_is_between_them() {
    let n = 40;
    let line: Vec<f64> = (0..n).map(|i| i as f64).collect();
    let points = PointCost::new(line.clone(), line, 1, Ground::SqEuclidean).expect("points");
    let matrix = DenseCost::materialize(&points).expect("a matrix");
    let grid = GridCost::new(&[n], GridGround::SqEuclidean).expect("a grid");
    let bumps = [bump(n, 10.0, 3.0), bump(n, 28.0, 3.0)];
    let costs: [Arc<dyn solver_api::Cost>; 3] =
        [Arc::new(points), Arc::new(matrix), Arc::new(grid)];
    for debiased in [false, true] {
        let settings = BregmanSettings {
            reg: Reg::Absolute(6.0),
            tol: 1e-6,
            max_iter: 5000,
            debiased,
            ..BregmanSettings::default()
        };
        let bregman = Bregman::new(settings).expect("valid");
        let mut answers = Vec::new();
        for cost in &costs {
            // A third of the way from the first to the second.
            let answer = bregman
                .barycenter(cost, &bumps, &[2.0, 1.0], &mut Context::default())
                .expect("an answer");
            assert!(answer.convergence.converged(), "{:?}", answer.convergence);
            let q = answer.weights;
            assert!((mean_of(&q) - 16.0).abs() < 0.02, "mean {}", mean_of(&q));
            // The bumps have variance 4.5; the entropy adds ε/2 unless that is taken out.
            let expected = if debiased { 4.5 } else { 7.5 };
            assert!(
                (variance_of(&q) - expected).abs() < 0.3,
                "{debiased} {}",
                variance_of(&q)
            );
            answers.push(q);
        }
        for other in &answers[1..] {
            let off = answers[0]
                .weights()
                .iter()
                .zip(other.weights())
                .map(|(a, b)| (a - b).abs());
            assert!(off.sum::<f64>() < 1e-9);
        }
    }
}

#[test]
fn a_barycenter_of_copies_of_one_measure_is_that_measure_without_the_blur() {
    let p = bump(30, 12.0, 4.0);
    let cost: Arc<dyn solver_api::Cost> =
        Arc::new(GridCost::new(&[30], GridGround::SqEuclidean).expect("a grid"));
    let settings = BregmanSettings {
        reg: Reg::Absolute(4.0),
        tol: 1e-7,
        max_iter: 20_000,
        debiased: true,
        ..BregmanSettings::default()
    };
    let bregman = Bregman::new(settings).expect("valid");
    let measures = [p.clone(), p.clone(), p.clone()];
    let answer = bregman
        .barycenter(&cost, &measures, &[1.0; 3], &mut Context::default())
        .expect("q");
    let off = answer
        .weights
        .weights()
        .iter()
        .zip(p.weights())
        .map(|(a, b)| (a - b).abs());
    let off: f64 = off.sum();
    assert!(off < 1e-3, "off by {off}: {:?}", answer.convergence);
}

/// Two kinds of images in each of two classes.
fn kinds() -> (Images, Vec<i64>) {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for k in 0..40_usize {
        let mut image = [0.0; 16];
        image[k % 4 * 4] = 1.0;
        image[k % 4 * 4 + 1] = 0.8;
        image[15 - k % 4] += 0.1 * (k % 3) as f64;
        pixels.extend(image);
        labels.push((k % 2) as i64);
    }
    (
        Images::new("images", (4, 4), pixels).expect("valid"),
        labels,
    )
}

#[test]
fn the_same_seed_gives_the_same_models_for_any_number_of_threads() {
    let (images, labels) = kinds();
    let cost = pixel_cost((4, 4), &Ground::SqEuclidean).expect("a cost");
    let bregman = Bregman::new(BregmanSettings {
        reg: Reg::Relative(0.02),
        ..BregmanSettings::default()
    })
    .expect("valid");
    let clusters = ClusterBarycenters::new(&bregman, cost, 100).expect("valid");
    let all: [&dyn ClassModels; 3] = [&Samples, &Bernoulli::default(), &clusters];
    for kind in all {
        let fit = |seed: u64, threads: usize| {
            let context = Context::default().with_threads(threads).expect("a pool");
            ModelSet::fit(kind, &images, &labels, 2, seed, &context).expect("models")
        };
        let one = fit(7, 1);
        assert_eq!(one, fit(7, 3), "{}", kind.name());
        assert_eq!(one.labels(), [0, 0, 1, 1]);
        assert!(
            one.measures()
                .iter()
                .all(|m| (m.mass() - 1.0).abs() < 1e-12)
        );
        if kind.name() == "samples" {
            assert!((0..20).any(|seed| fit(seed, 1) != one), "the seed decides");
        }
    }
}

#[test]
fn fits_count_what_ended_short_of_its_tolerance() {
    let (images, labels) = kinds();
    let cost = pixel_cost((4, 4), &Ground::SqEuclidean).expect("a cost");
    let reg = Reg::Relative(0.02);
    let fits = |max_iter: u64| {
        let short = |own: SinkhornSettings| SinkhornSettings {
            max_iter,
            tol: Some(1e-4),
            ..own
        };
        let solver = Sinkhorn::new(short(SinkhornSettings::with_reg(reg))).expect("valid");
        let bregman = Bregman::new(BregmanSettings {
            reg,
            max_iter,
            ..BregmanSettings::default()
        })
        .expect("valid");
        let clusters = ClusterBarycenters::new(&bregman, Arc::clone(&cost), 100).expect("valid");
        let medoids = Medoids::new(&solver, Arc::clone(&cost), 5).expect("balanced");
        let few = KMeansSettings::default();
        let kmeans =
            WassersteinKMeans::new(&solver, &bregman, Arc::clone(&cost), few).expect("balanced");
        let all: [&dyn ClassModels; 5] = [
            &Samples,
            &Bernoulli::default(),
            &medoids,
            &clusters,
            &kmeans,
        ];
        all.map(|kind| {
            let models = ModelSet::fit(kind, &images, &labels, 2, 7, &Context::default());
            models.expect("models").unconverged()
        })
    };
    assert_eq!(fits(10_000), [0; 5]);
    let [samples, bernoulli, medoids, clusters, kmeans] = fits(1);
    assert_eq!((samples, bernoulli), (0, 0));
    // Two barycenters a class; of five images a class ten pairs at most.
    assert_eq!(clusters, 4);
    assert!((1..=30).contains(&medoids), "{medoids}");
    assert!(kmeans > clusters, "{kmeans}");
}

#[test]
fn sparsified_models_lose_their_faint_pixels_alone() {
    let images =
        Images::new("models", (1, 4), [8.0, 1.0, 0.0, 4.0, 0.0, 2.0, 2.0, 0.1]).expect("valid");
    let models = ModelSet::new(&images, &[0, 1]).expect("two classes");
    let sparse = models.sparsified(0.2).expect("a cutoff");
    let close =
        |got: &[f64], want: &[f64]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-15);
    assert!(close(
        sparse.measures()[0].weights(),
        &[8.0 / 12.0, 0.0, 0.0, 4.0 / 12.0]
    ));
    assert!(close(sparse.measures()[1].weights(), &[0.0, 0.5, 0.5, 0.0]));
    let same = models.sparsified(0.0).expect("a cutoff");
    assert!(close(
        same.measures()[1].weights(),
        models.measures()[1].weights()
    ));
    assert!(models.sparsified(1.0).is_err() && models.sparsified(f64::NAN).is_err());
}
