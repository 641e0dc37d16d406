//! Every layer, chains of them, and whole losses, against central finite differences.
#![allow(clippy::unwrap_used)]

use ot_nn::{Layer, Network, Spectral, Tape, cross_entropy, soft_cross_entropy};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    (0..count)
        .map(|_| 2.0 * rng.random::<f64>() - 1.0)
        .collect()
}

/// A value of outputs, with its gradient by them.
type Loss<'a> = &'a dyn Fn(&[f64]) -> (f64, Vec<f64>);

/// Biases that are not 0, and spectral vectors of weights that have moved since.
fn drawn(layers: &[Layer]) -> Network {
    let mut network: Network = Network::new(layers, 3).unwrap();
    let drawn = noise(network.parameters().len(), 5);
    network.parameters_mut().copy_from_slice(&drawn);
    network.normalize();
    network
}

/// By every parameter and every input.
fn check_loss(layers: &[Layer], rows: usize, loss: Loss<'_>) {
    let network = drawn(layers);
    let x = noise(rows * network.inputs(), 1);
    let value = |network: &Network, x: &[f64]| {
        let mut tape = Tape::default();
        loss(network.forward(x, &mut tape).unwrap()).0
    };
    let mut tape = Tape::default();
    // A tape of a larger batch before leaves no trace.
    network
        .forward(&noise(9 * network.inputs(), 8), &mut tape)
        .unwrap();
    let by_out = loss(network.forward(&x, &mut tape).unwrap()).1;
    let mut gradient = vec![f64::NAN; network.parameters().len()];
    let by_x = network.backward(&by_out, &mut tape, &mut gradient).unwrap();
    let by_x = by_x.to_vec();
    let h = 1e-5;
    for k in 0..gradient.len() {
        let moved = |t: f64| {
            let mut other = network.clone();
            other.parameters_mut()[k] += t;
            value(&other, &x)
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        let apart = (gradient[k] - slope).abs();
        assert!(apart < 2e-8, "{layers:?}: {} {slope}", gradient[k]);
    }
    for k in 0..x.len() {
        let moved = |t: f64| {
            let mut x = x.clone();
            x[k] += t;
            value(&network, &x)
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        let apart = (by_x[k] - slope).abs();
        assert!(apart < 2e-8, "{layers:?}: {} {slope}", by_x[k]);
    }
    // The other ways to the same numbers, to the bit.
    let inputs = network.backward_inputs(&by_out, &mut tape).unwrap();
    assert_eq!(inputs, by_x);
    let mut other = vec![f64::NAN; gradient.len()];
    network
        .backward_parameters(&by_out, &mut tape, &mut other)
        .unwrap();
    assert_eq!(other, gradient);
    other.fill(0.0);
    for _ in 0..2 {
        let added = network.backward_add(&by_out, &mut tape, &mut other);
        assert_eq!(added.unwrap(), by_x);
    }
    assert!(other.iter().zip(&gradient).all(|(o, g)| *o == 2.0 * g));
}

/// Σ weight·out, whose gradient by the outputs are the weights.
fn check(layers: &[Layer]) {
    let rows = 4;
    let outputs = drawn(layers).outputs();
    let weights = noise(rows * outputs, 2);
    check_loss(layers, rows, &|out| {
        let value = out.iter().zip(&weights).map(|(o, w)| o * w).sum();
        (value, weights.clone())
    });
}

fn normalized(iterations: usize, bound: f64) -> Spectral {
    Spectral { iterations, bound }
}

#[test]
fn every_layer() {
    check(&[Layer::linear(3, 5)]);
    check(&[Layer::linear(3, 4), Layer::LeakyRelu { slope: 0.1 }]);
    check(&[Layer::LeakyRelu { slope: 0.0 }, Layer::linear(3, 2)]);
    check(&[Layer::linear(2, 4), Layer::Tanh]);
    check(&[Layer::linear(2, 5), Layer::Softmax]);
    check(&[Layer::linear(17, 1)]);
    check(&[Layer::linear(1, 19)]);
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
fn normalized_layers_at_any_u_and_v() {
    // Converged or not: u and v are constants either way.
    for iterations in [1, 200] {
        check(&[Layer::linear(4, 6).normalized(normalized(iterations, 1.0))]);
        check(&[Layer::linear(5, 1).normalized(normalized(iterations, 0.5))]);
        check(&[
            Layer::linear(3, 7).normalized(normalized(iterations, 2.0)),
            Layer::LeakyRelu { slope: 0.2 },
            Layer::linear(7, 4).normalized(normalized(iterations, 1.0)),
            Layer::Tanh,
            Layer::linear(4, 2),
        ]);
    }
}

#[test]
fn whole_losses() {
    let layers = [
        Layer::linear(4, 8).normalized(normalized(1, 1.0)),
        Layer::LeakyRelu { slope: 0.2 },
        Layer::linear(8, 6),
        Layer::Tanh,
        Layer::linear(6, 3).normalized(normalized(1, 3.0)),
    ];
    let labels = [0, 2, 1, 1, 0];
    check_loss(&layers, 5, &|logits| {
        let mut by = vec![f64::NAN; logits.len()];
        let loss = cross_entropy(logits, 3, &labels, &mut by).unwrap();
        (loss, by)
    });
    let targets: Vec<f64> = noise(15, 7).iter().map(|t| t.abs()).collect();
    check_loss(&layers, 5, &|logits| {
        let mut by = vec![f64::NAN; logits.len()];
        let loss = soft_cross_entropy(logits, 3, &targets, &mut by).unwrap();
        (loss, by)
    });
}

#[test]
fn numbers_of_32_bits_agree() {
    let network = drawn(&[
        Layer::linear(3, 9).normalized(normalized(3, 1.0)),
        Layer::LeakyRelu { slope: 0.2 },
        Layer::linear(9, 4),
        Layer::Tanh,
        Layer::linear(4, 3),
        Layer::Softmax,
    ]);
    let small = network.cast::<f32>();
    let (x, by_out) = (noise(12, 1), noise(12, 2));
    let narrow = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<_>>();
    let near = |x: &[f64], y: &[f32]| {
        assert_eq!(x.len(), y.len());
        let mut apart = x.iter().zip(y).map(|(x, y)| (x - f64::from(*y)).abs());
        assert!(apart.all(|d| d < 2e-6));
    };
    let (mut tape, mut tape32) = (Tape::default(), Tape::default());
    near(
        network.forward(&x, &mut tape).unwrap(),
        small.forward(&narrow(&x), &mut tape32).unwrap(),
    );
    let count = network.parameters().len();
    let (mut gradient, mut gradient32) = (vec![0.0; count], vec![0.0; count]);
    near(
        network.backward(&by_out, &mut tape, &mut gradient).unwrap(),
        small
            .backward(&narrow(&by_out), &mut tape32, &mut gradient32)
            .unwrap(),
    );
    near(&gradient, &gradient32);
}
