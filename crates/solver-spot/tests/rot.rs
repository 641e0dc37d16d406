//! The regularized dual against closed forms.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use ot_nn::Network;
use solver_api::{Context, Ground, Termination};
use solver_spot::{
    ContinuousSolver, Error, Gaussian, Regularizer, Rot, RotSettings, Sampler, perceptron,
};

fn rot(means: [f64; 2], sds: [f64; 2], settings: RotSettings) -> Result<Rot<f32>, Error> {
    let chain = perceptron(1, 24, 2, 1, 0.2);
    let network = |seed| Network::new(&chain, seed).unwrap();
    let sampler = |k: usize| -> Arc<dyn Sampler> {
        Arc::new(Gaussian::with_factor(vec![means[k]], vec![sds[k]]).unwrap())
    };
    let networks = [network(1), network(2)];
    Rot::new(
        networks,
        [sampler(0), sampler(1)],
        Ground::SqEuclidean,
        settings,
    )
}

/// Between N(m, a) and N(l, b) on a line, with (x − y)² and ε KL(P ‖ μ⊗ν), the plan is Gaussian, and its covariance k solves
/// 2k² + εk = 2ab (its precision has −2/ε beside the diagonal).
#[test]
fn the_entropic_plan_of_two_gaussians_is_that_of_the_closed_form() {
    let ([m, l], [s, t]) = ([-0.5, 1.0], [1.0, 0.6]);
    let settings = RotSettings {
        eps: 1.0,
        steps: 3000,
        rate: 3e-3,
        ..RotSettings::default()
    };
    let mut rot = rot([m, l], [s, t], settings).unwrap();
    let mut looks = 0;
    let ended = rot.train(&Context::default(), &mut |_| looks += 1).unwrap();
    assert_eq!(ended.termination, Termination::IterationLimit);
    assert_eq!(looks, 6);
    let (a, b) = (s * s, t * t);
    let k = (-1.0 + f64::sqrt(1.0 + 16.0 * a * b)) / 4.0;
    let exact = (m - l) * (m - l) + a + b - 2.0 * k;
    let estimate = rot.estimate(20_000, 1).unwrap();
    let off = (estimate.cost / exact - 1.0).abs();
    assert!(off < 0.05, "{estimate:?} {exact}");
    assert!(estimate.std_error < 0.05 * exact, "{estimate:?}");
    assert!(estimate.apart.iter().all(|a| *a < 0.1), "{estimate:?}");
    // Samples have the same covariance.
    let samples = rot.sample(20_000, 2).unwrap();
    let pairs = samples.marginal(0).iter().zip(samples.marginal(1));
    let covariance = pairs.map(|(x, y)| (x - m) * (y - l)).sum::<f64>() / 20_000.0;
    assert!((covariance - k).abs() < 0.05, "{covariance} {k}");
}

#[test]
fn the_plan_of_squares_has_marginals_and_samples() {
    let settings = RotSettings {
        regularizer: Regularizer::SquaredL2,
        eps: 1.0,
        steps: 2000,
        rate: 3e-3,
        ..RotSettings::default()
    };
    let mut rot = rot([-0.5, 1.0], [1.0, 1.0], settings).unwrap();
    rot.train(&Context::default(), &mut |_| ()).unwrap();
    let estimate = rot.estimate(5000, 1).unwrap();
    assert!(estimate.apart.iter().all(|a| *a < 0.15), "{estimate:?}");
    // Above W₂² = 2.25, below the product's 4.25.
    assert!((2.2..3.5).contains(&estimate.cost), "{estimate:?}");
    let samples = rot.sample(1000, 3).unwrap();
    assert_eq!(samples.len(), 1000);
    assert!(samples.marginal(1).iter().all(|y| y.is_finite()));
}

#[test]
fn small_eps_stay_numbers_and_say_what_they_miss() {
    let settings = RotSettings {
        eps: 1e-4,
        steps: 200,
        check_every: 100,
        ..RotSettings::default()
    };
    let mut rot = rot([0.0, 1.0], [1.0, 1.0], settings).unwrap();
    let ended = rot.train(&Context::default(), &mut |_| ()).unwrap();
    let estimate = rot.estimate(1000, 1).unwrap();
    // Nearly no pair has any weight: each marginal misses nearly all of its mass, or has it at few points.
    let missed = [
        ended.source_error,
        ended.target_error,
        estimate.apart[0],
        estimate.apart[1],
    ];
    assert!(missed.iter().all(|a| (0.3..1e14).contains(a)), "{missed:?}");
    // Between N(0, 1) and N(1, 1): no plan of their samples costs more than the farthest pair of a few thousand does.
    assert!((0.0..100.0).contains(&estimate.cost), "{estimate:?}");
    let potential = rot.potential(0, &[0.0, 1.0]).unwrap();
    // 200 steps of 1e-3 in Adam's metric go no farther from a start of Glorot's.
    assert!(potential.iter().all(|v| v.abs() < 20.0), "{potential:?}");
}

#[test]
fn an_interrupted_training_resumes_to_the_same_bits() {
    let settings = RotSettings {
        steps: 60,
        check_every: 20,
        batch: 20,
        ..RotSettings::default()
    };
    let begun = |steps| {
        let settings = RotSettings { steps, ..settings };
        rot([0.0, 1.0], [1.0, 1.0], settings).unwrap()
    };
    let potential = |rot: &mut Rot<f32>| {
        rot.train(&Context::default(), &mut |_| ()).unwrap();
        rot.potential(1, &[-1.0, 0.0, 0.5]).unwrap()
    };
    let whole = potential(&mut begun(60));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rot.safetensors");
    let mut half = begun(25);
    potential(&mut half);
    half.save(&path).unwrap();
    let mut resumed = begun(60);
    resumed.resume(&path).unwrap();
    assert_eq!(potential(&mut resumed), whole);
    let mut other = rot([0.0; 2], [1.0; 2], RotSettings::default()).unwrap();
    let refused = other.resume(&path).unwrap_err().to_string();
    assert!(
        refused.starts_with("`checkpoint`: a training of"),
        "{refused}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let settings = RotSettings {
        rate: f64::NAN,
        ..RotSettings::default()
    };
    let said = rot([0.0; 2], [1.0; 2], settings).err().unwrap().to_string();
    assert_eq!(said, "`rate` = NaN: must be positive and at most 1");
    let sound = rot([0.0; 2], [1.0; 2], RotSettings::default()).unwrap();
    assert!(sound.sample(0, 1).is_err());
    assert!(sound.potential(2, &[0.0]).is_err());
}
