//! Every layer, and chains of them, against central finite differences.
#![allow(clippy::unwrap_used)]

use ot_nn::{Adam, Error, Layer, Network, Optimizer, Sgd, Tape};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    (0..count)
        .map(|_| 2.0 * rng.random::<f64>() - 1.0)
        .collect()
}

/// Σ weight·out, whose gradient by the outputs is `weights`.
fn value(network: &Network, x: &[f64], weights: &[f64]) -> f64 {
    let mut tape = Tape::default();
    let out = network.forward(x, &mut tape).unwrap();
    out.iter().zip(weights).map(|(o, w)| o * w).sum()
}

/// By every parameter and every input.
fn check(layers: &[Layer]) {
    let mut network = Network::new(layers, 3).unwrap();
    // Biases that are not 0, too.
    let drawn = noise(network.parameters().len(), 5);
    network.parameters_mut().copy_from_slice(&drawn);
    let rows = 4;
    let x = noise(rows * network.inputs(), 1);
    let weights = noise(rows * network.outputs(), 2);
    let mut tape = Tape::default();
    // A tape of a larger batch before leaves no trace.
    network
        .forward(&noise(9 * network.inputs(), 8), &mut tape)
        .unwrap();
    network.forward(&x, &mut tape).unwrap();
    let mut gradient = vec![f64::NAN; drawn.len()];
    let by_x = network
        .backward(&weights, &mut tape, &mut gradient)
        .unwrap()
        .to_vec();
    let h = 1e-5;
    for k in 0..drawn.len() {
        let moved = |t: f64| {
            let mut other = network.clone();
            other.parameters_mut()[k] += t;
            value(&other, &x, &weights)
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        assert!(
            (gradient[k] - slope).abs() < 1e-8,
            "{layers:?}: {} {slope}",
            gradient[k]
        );
    }
    for k in 0..x.len() {
        let moved = |t: f64| {
            let mut x = x.clone();
            x[k] += t;
            value(&network, &x, &weights)
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        assert!(
            (by_x[k] - slope).abs() < 1e-8,
            "{layers:?}: {} {slope}",
            by_x[k]
        );
    }
}

#[test]
fn every_layer() {
    check(&[Layer::linear(3, 5)]);
    check(&[Layer::linear(3, 4), Layer::LeakyRelu { slope: 0.1 }]);
    check(&[Layer::LeakyRelu { slope: 0.0 }, Layer::linear(3, 2)]);
    check(&[Layer::linear(2, 4), Layer::Tanh]);
    check(&[Layer::linear(2, 5), Layer::Softmax]);
}

#[test]
fn chains() {
    check(&[
        Layer::linear(4, 6),
        Layer::Tanh,
        Layer::linear(6, 3),
        Layer::LeakyRelu { slope: 0.2 },
        Layer::linear(3, 5),
        Layer::Softmax,
    ]);
}

#[test]
fn layers_by_hand() {
    let mut network =
        Network::new(&[Layer::linear(2, 2), Layer::LeakyRelu { slope: 0.5 }], 0).unwrap();
    network
        .parameters_mut()
        .copy_from_slice(&[1.0, 2.0, -1.0, 0.0, 0.5, 0.25]);
    let mut tape = Tape::default();
    let out = network.forward(&[1.0, 1.0, -2.0, 0.5], &mut tape).unwrap();
    assert_eq!(out, [3.5, -0.375, -0.25, 2.25]);
    let wide = Network::new(&[Layer::linear(1, 2), Layer::Softmax], 0).unwrap();
    let mut far = wide.clone();
    far.parameters_mut()
        .copy_from_slice(&[1000.0, 0.0, 0.0, 1000.0]);
    // Exponentials far beyond the range of numbers, and halves.
    assert_eq!(
        far.forward(&[1.0, 2.0], &mut tape).unwrap(),
        [0.5, 0.5, 1.0, 0.0]
    );
    let weights: Vec<_> = network.weights().flatten().collect();
    assert_eq!(weights, [0, 1, 2, 3]);
}

#[test]
fn seeds_decide() {
    let layers = [Layer::linear(3, 8), Layer::Tanh, Layer::linear(8, 2)];
    let make = |seed| Network::new(&layers, seed).unwrap();
    assert_eq!(make(4), make(4));
    assert_ne!(make(4), make(5));
    let most = (6.0_f64 / 11.0).sqrt();
    let drawn = &make(4).parameters()[..24].to_vec();
    assert!(drawn.iter().all(|w| w.abs() <= most) && drawn.iter().any(|w| w.abs() > 0.5 * most));
    assert_eq!(make(4).parameters()[24..32], [0.0; 8]);
}

#[test]
fn optimizers_reach_a_minimum() {
    // ½ Σ s (θ − 1)² of scales from 0.1 to 10.
    let run = |optimizer: &mut dyn Optimizer| {
        let mut theta = [0.0; 3];
        for step in 0..2000 {
            if step == 1000 {
                optimizer.set_rate(0.005);
            }
            let gradient: Vec<f64> = theta
                .iter()
                .zip([0.1, 1.0, 10.0])
                .map(|(t, s)| s * (t - 1.0))
                .collect();
            optimizer.step(&gradient, &mut theta);
        }
        theta.iter().map(|t| (t - 1.0).abs()).fold(0.0, f64::max)
    };
    assert!(run(&mut Sgd::new(0.05, 0.9)) < 1e-6);
    assert!(run(&mut Adam::new(0.05)) < 1e-6);
}

#[test]
fn what_does_not_fit_is_said() {
    let said = |layers: &[Layer]| Network::new(layers, 0).unwrap_err().to_string();
    assert_eq!(
        said(&[Layer::Tanh]),
        "`layers` has 1 numbers, but one of them must be linear: it says how long rows are"
    );
    assert_eq!(
        said(&[Layer::linear(0, 2)]),
        "layer 0: `inputs` = 0: must be at least 1"
    );
    assert_eq!(
        said(&[Layer::linear(2, 3), Layer::LeakyRelu { slope: 1.5 }]),
        "layer 1: `slope` = 1.5: must be from 0 to below 1"
    );
    assert_eq!(
        said(&[Layer::linear(2, 3), Layer::Tanh, Layer::linear(4, 1)]),
        "`inputs` has 4 numbers, but layer 2 gets rows of 3"
    );
    let network = Network::new(&[Layer::linear(2, 3)], 0).unwrap();
    let mut tape = Tape::default();
    let mut gradient = vec![0.0; 9];
    let refused = |result: Result<&[f64], Error>| result.unwrap_err().to_string();
    assert_eq!(
        refused(network.backward(&[1.0; 3], &mut tape, &mut gradient)),
        "`by_out` has 3 numbers, but the tape is of a forward pass with 0 outputs"
    );
    assert_eq!(
        refused(network.forward(&[1.0; 3], &mut tape)),
        "`x` has 3 numbers, but rows of 2 take a multiple of that many"
    );
    network.forward(&[1.0; 2], &mut tape).unwrap();
    assert_eq!(
        refused(network.backward(&[1.0; 3], &mut tape, &mut gradient[..4])),
        "`gradient` has 4 numbers, but the network has 9 parameters"
    );
}
