//! Trainings: what they come to, and that they can be interrupted.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ot_nn::Network;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use solver_api::{Context, Measure, Termination};
use solver_spot::{
    AllPairs, ContinuousSolver, Empirical, Error, Euclidean, FromFn, Gaussian, Generator,
    JointCost, Sampler, Samples, Spot, SpotSettings, critic, perceptron,
};

fn gaussian(mean: &[f64]) -> Arc<dyn Sampler> {
    Arc::new(Gaussian::new(mean.to_vec()).unwrap())
}

fn spot(
    samplers: Vec<Arc<dyn Sampler>>,
    cost: Arc<dyn JointCost<f32>>,
    settings: SpotSettings,
) -> Spot<f32> {
    let dim = samplers[0].dim();
    let chain = perceptron(dim, 8, 2, dim, 0.2);
    let judge = critic(dim, 16, 1, 0.2);
    let count = samplers.len() as u64;
    let critics = (0..count)
        .map(|k| Network::new(&judge, 9 + k).unwrap())
        .collect();
    Spot::new(
        Generator::alike(Network::new(&chain, 0).unwrap(), samplers.len()).unwrap(),
        critics,
        samplers,
        cost,
        settings,
    )
    .unwrap()
}

fn quick(steps: u64) -> SpotSettings {
    SpotSettings {
        steps,
        critic_steps: 5,
        check_every: 100,
        ..SpotSettings::default()
    }
}

/// W₁ = 5 between N((−2.5, 0), I) and N((2.5, 0), I).
#[test]
fn two_gaussians_are_five_apart() {
    let samplers = vec![gaussian(&[-2.5, 0.0]), gaussian(&[2.5, 0.0])];
    let settings = SpotSettings {
        critic_steps: 10,
        ..quick(8000)
    };
    let mut spot = spot(samplers, Arc::new(Euclidean), settings);
    let mut looks = Vec::new();
    let ended = spot.train(&Context::default(), &mut |look| looks.push(look.clone()));
    assert_eq!(ended.unwrap().termination, Termination::IterationLimit);
    assert_eq!(looks.len(), 80);
    assert!((looks[79].eta - 20.0).abs() < 1e-9 && looks[0].eta < 1.0);
    let estimate = spot.estimate(20_000, 1).unwrap();
    assert!((estimate.cost / 5.0 - 1.0).abs() < 0.01, "{estimate:?}");
    assert!(estimate.std_error < 0.05, "{estimate:?}");
    assert!(estimate.apart.iter().all(|a| a.abs() < 0.1), "{estimate:?}");
}

/// With Σ_{k<l} (x_k − x_l)² the best plan of Gaussians on a line is comonotone: Σ_{k<l} (m_k − m_l)² + (s_k − s_l)².
#[test]
fn three_gaussians_on_a_line_are_as_far_as_the_closed_form_says() {
    let (means, sds) = ([-2.0, 0.5, 3.0], [0.5, 1.0, 1.5]);
    let samplers = means.iter().zip(sds).map(|(m, s)| -> Arc<dyn Sampler> {
        Arc::new(Gaussian::with_factor(vec![*m], vec![s]).unwrap())
    });
    let settings = SpotSettings {
        first_eta: 20.0,
        eta: 600.0,
        // With ten steps of the critics at 1e-3 seeds spread by 4 %, with these by 1.2.
        critic_steps: 20,
        rate: 5e-4,
        ..quick(4000)
    };
    let (samplers, cost) = (samplers.collect(), Arc::new(AllPairs));
    let mut spot = Spot::<f32>::with_perceptrons(samplers, cost, (32, 1), settings).unwrap();
    spot.train(&Context::default(), &mut |_| ()).unwrap();
    let mut exact = 0.0;
    for k in 0..3 {
        for l in 0..k {
            exact += f64::powi(means[k] - means[l], 2) + f64::powi(sds[k] - sds[l], 2);
        }
    }
    let estimate = spot.estimate(20_000, 1).unwrap();
    assert!(
        (estimate.cost / exact - 1.0).abs() < 0.06,
        "{} {exact}",
        estimate.cost
    );
    // Comonotone: where one is large, so are the others.
    let samples = spot.sample(2000, 2).unwrap();
    for (k, l) in [(0, 1), (1, 2), (0, 2)] {
        let rho = correlation(samples.marginal(k), samples.marginal(l));
        assert!(rho > 0.9, "{k} {l}: {rho}");
    }
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let of = |a: &[f64], ma: f64, b: &[f64], mb: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum()
    };
    of(x, mx, y, my) / (of(x, mx, x, mx) * of(y, my, y, my)).sqrt()
}

#[test]
fn an_interrupted_training_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spot.safetensors");
    let make = || {
        let samplers = vec![gaussian(&[-1.0, 0.0]), gaussian(&[1.0, 0.0])];
        spot(samplers, Arc::new(Euclidean), quick(300))
    };
    let whole = |mut spot: Spot<f32>| {
        spot.train(&Context::default(), &mut |_| ()).unwrap();
        let networks = spot.mean().networks().iter();
        let parameters: Vec<f32> = networks.flat_map(|n| n.parameters().to_vec()).collect();
        (parameters, spot.estimate(500, 3).unwrap())
    };
    let expected = whole(make());
    assert_eq!(whole(make()), expected);

    let mut first = make();
    for _ in 0..130 {
        first.step().unwrap();
    }
    first.save(&path).unwrap();
    let mut second = make();
    second.resume(&path).unwrap();
    assert_eq!(second.steps(), 130);
    assert_eq!(whole(second), expected);

    let other = SpotSettings {
        eta: 5.0,
        ..quick(300)
    };
    let samplers = vec![gaussian(&[-1.0, 0.0]), gaussian(&[1.0, 0.0])];
    let mut other = spot(samplers, Arc::new(Euclidean), other);
    let refused = other.resume(&path).unwrap_err().to_string();
    assert!(
        refused.contains("eta: 20.0") && refused.contains("eta: 5.0"),
        "{refused}"
    );
}

#[test]
fn limits_end_a_training_and_it_goes_on() {
    let samplers = vec![gaussian(&[-1.0, 0.0]), gaussian(&[1.0, 0.0])];
    let mut training = spot(samplers, Arc::new(Euclidean), quick(200));
    let context = Context::default().time_limit(Duration::ZERO);
    let ended = training.train(&context, &mut |_| ()).unwrap();
    assert_eq!(ended.termination, Termination::TimeLimit);
    assert_eq!(training.steps(), 0);
    let ended = training.train(&Context::default(), &mut |_| ()).unwrap();
    assert_eq!(ended.termination, Termination::IterationLimit);
    assert_eq!(training.steps(), 200);
}

#[test]
fn a_training_at_rest_ends_early() {
    let samplers = vec![gaussian(&[-1.0, 0.0]), gaussian(&[1.0, 0.0])];
    let settings = SpotSettings {
        tol: 0.2,
        growth: 0.1,
        ..quick(4000)
    };
    let mut training = spot(samplers, Arc::new(Euclidean), settings);
    let ended = training.train(&Context::default(), &mut |_| ()).unwrap();
    assert_eq!(ended.termination, Termination::Converged);
    assert!(training.steps() < 4000, "{}", training.steps());
}

/// ‖x − y‖ twice; from the third batch on it is no number, or says so of its slope.
struct Poisoned {
    batches: AtomicUsize,
    slope: bool,
}

impl JointCost<f32> for Poisoned {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        solver_spot::cost::two_alike(dims)
    }

    fn mean(&self, samples: &Samples<f32>, by: &mut [Vec<f32>]) -> f64 {
        let cost = Euclidean.mean(samples, by);
        if self.batches.fetch_add(1, Ordering::Relaxed) < 2 {
            return cost;
        }
        if self.slope {
            by[0][0] = f32::NAN;
            return cost;
        }
        f64::NAN
    }
}

#[test]
fn what_diverges_says_so_and_answers_as_before_that_step() {
    let samplers = || vec![gaussian(&[-1.0, 0.0]), gaussian(&[1.0, 0.0])];
    let mut sound = spot(samplers(), Arc::new(Euclidean), quick(100));
    sound.step().unwrap();
    sound.step().unwrap();
    for slope in [false, true] {
        let batches = AtomicUsize::new(0);
        let poisoned = Arc::new(Poisoned { batches, slope });
        let mut training = spot(samplers(), poisoned, quick(100));
        let error = training
            .train(&Context::default(), &mut |_| ())
            .unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 3, .. }), "{error}");
        assert_eq!(training.steps(), 2);
        assert_eq!(training.sample(50, 1), sound.sample(50, 1));
    }
}

/// What a sampler draws beyond f32 is no divergence, and smaller steps would not help.
#[test]
fn samples_beyond_the_networks_numbers_are_the_samplers_fault() {
    let far = Arc::new(Empirical::new(vec![1e300, 0.0], 2).unwrap());
    let mut training = spot(
        vec![gaussian(&[0.0, 0.0]), far],
        Arc::new(Euclidean),
        quick(10),
    );
    let error = training.step().unwrap_err();
    assert!(
        matches!(
            error,
            Error::Shape {
                argument: "samplers",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn samplers_draw_what_they_say() {
    let mut rng = Pcg64::seed_from_u64(5);
    let factor = vec![2.0, 0.0, 1.0, 0.5];
    let gaussian = Gaussian::with_factor(vec![1.0, -1.0], factor).unwrap();
    assert_eq!(gaussian.covariance(), [4.0, 2.0, 2.0, 1.25]);
    assert_eq!(
        Gaussian::new(vec![0.0; 2]).unwrap().covariance(),
        [1.0, 0.0, 0.0, 1.0]
    );
    let mut rows = vec![0.0; 80_000];
    gaussian.draw(&mut rng, &mut rows);
    let mean = |f: &dyn Fn(&[f64]) -> f64| rows.chunks(2).map(f).sum::<f64>() / 40_000.0;
    let (dx, dy) = (|r: &[f64]| r[0] - 1.0, |r: &[f64]| r[1] + 1.0);
    for (found, expected) in [
        (mean(&dx), 0.0),
        (mean(&dy), 0.0),
        (mean(&|r| dx(r) * dx(r)), 4.0),
        (mean(&|r| dx(r) * dy(r)), 2.0),
        (mean(&|r| dy(r) * dy(r)), 1.25),
    ] {
        assert!((found - expected).abs() < 0.06, "{found} {expected}");
    }

    let weights = Measure::new(vec![1.0, 0.0, 3.0]).unwrap();
    let points = Empirical::weighted(vec![10.0, 20.0, 30.0], 1, &weights).unwrap();
    let mut drawn = vec![0.0; 8000];
    points.draw(&mut rng, &mut drawn);
    let share = |p: f64| drawn.iter().filter(|d| **d == p).count() as f64 / 8000.0;
    assert_eq!(share(20.0), 0.0);
    assert!((share(30.0) - 0.75).abs() < 0.02);

    let ones = FromFn::new(3, |_: &mut Pcg64, row: &mut [f64]| row.fill(1.0));
    let mut rows = vec![0.0; 6];
    ones.draw(&mut rng, &mut rows);
    assert_eq!(rows, [1.0; 6]);
}

#[test]
fn what_does_not_fit_is_said() {
    let said = |error: Result<(), Error>| error.unwrap_err().to_string();
    let setting = |change: fn(&mut SpotSettings)| {
        let mut settings = SpotSettings::default();
        change(&mut settings);
        said(settings.check())
    };
    let chain =
        |inputs, outputs| Network::<f32>::new(&perceptron(inputs, 4, 1, outputs, 0.2), 0).unwrap();
    let make = |samplers: usize, outputs: usize, judge: usize| {
        let generator = Generator::separate(vec![chain(2, outputs), chain(2, outputs)])?;
        let critics = vec![chain(outputs, judge), chain(outputs, judge)];
        let samplers = (0..samplers).map(|_| gaussian(&[0.0, 0.0])).collect();
        Spot::new(
            generator,
            critics,
            samplers,
            Arc::new(Euclidean),
            SpotSettings::default(),
        )
        .map(drop)
    };
    let all = [
        setting(|s| s.eta = 0.0),
        setting(|s| s.first_eta = f64::NAN),
        setting(|s| s.growth = 1.5),
        setting(|s| s.steps = 0),
        setting(|s| s.batch = 0),
        setting(|s| s.rate = -1.0),
        setting(|s| s.betas.1 = 1.0),
        setting(|s| s.averaging = -0.1),
        setting(|s| s.clip = Some(0.0)),
        setting(|s| s.tol = f64::INFINITY),
        said(make(1, 2, 1)),
        said(make(2, 3, 1)),
        said(make(2, 2, 2)),
        said(Generator::<f32>::separate(vec![]).map(drop)),
        said(Generator::separate(vec![chain(2, 2), chain(3, 2)]).map(drop)),
        said(Generator::shared(chain(2, 4), &[2, 1]).map(drop)),
        said(Empirical::new(vec![1.0, 2.0, 3.0], 2).map(drop)),
        said(Empirical::new(vec![1.0, f64::NAN], 2).map(drop)),
        said(Empirical::weighted(vec![1.0, 2.0], 1, &Measure::uniform(3).unwrap()).map(drop)),
        said(Gaussian::new(vec![]).map(drop)),
        said(Gaussian::with_factor(vec![0.0, 0.0], vec![1.0]).map(drop)),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
