//! Directions pushed along, and gradients through them, against central finite differences.
#![allow(clippy::unwrap_used)]

use ot_nn::{Conv, Layer, Network, Spectral, Tape};

fn noise(count: usize, seed: u64) -> Vec<f64> {
    (0..count)
        .map(|i| 2.0 * ((i as f64 + 1.0) * (seed as f64 + 0.618_033_988_75)).fract() - 1.0)
        .collect()
}

const H: f64 = 1e-5;

/// Of Σ weight·out + Σ other·J v, by everything that goes in.
fn check(layers: &[Layer], rows: usize, blocks: usize) {
    let mut network: Network = Network::new(layers, 3).unwrap();
    let drawn = noise(network.parameters().len(), 5);
    network.parameters_mut().copy_from_slice(&drawn);
    network.normalize();
    let (inputs, outputs) = (network.inputs(), network.outputs());
    let x = noise(rows * inputs, 1);
    let directions = noise(blocks * rows * inputs, 2);
    let by_out = noise(rows * outputs, 3);
    let by_tangents = noise(blocks * rows * outputs, 4);

    let mut tape = Tape::default();
    let plain = network.forward(&x, &mut tape).unwrap().to_vec();
    let found = network.forward_tangents(&x, &directions, &mut tape);
    let (out, tangents) = found.unwrap();
    assert_eq!(out, plain);
    for (block, tangents) in tangents.chunks_exact(rows * outputs).enumerate() {
        let along = |t: f64| {
            let v = &directions[block * rows * inputs..][..rows * inputs];
            let moved: Vec<f64> = x.iter().zip(v).map(|(x, v)| x + t * v).collect();
            let mut tape = Tape::default();
            network.forward(&moved, &mut tape).unwrap().to_vec()
        };
        for ((t, up), down) in tangents.iter().zip(along(H)).zip(along(-H)) {
            assert!((t - (up - down) / (2.0 * H)).abs() < 1e-8);
        }
    }

    let value = |network: &Network, x: &[f64], v: &[f64]| -> f64 {
        let mut tape = Tape::default();
        let (out, tangents) = network.forward_tangents(x, v, &mut tape).unwrap();
        let sum = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        sum(out, &by_out) + sum(tangents, &by_tangents)
    };
    let mut gradient = vec![f64::NAN; drawn.len()];
    let found = network.backward_tangents(&by_out, &by_tangents, &mut tape, &mut gradient);
    let (by_x, by_directions) = found.unwrap();
    let slope = |up: f64, down: f64| (up - down) / (2.0 * H);
    for k in 0..drawn.len() {
        let moved = |t: f64| {
            let mut other = network.clone();
            other.parameters_mut()[k] += t;
            value(&other, &x, &directions)
        };
        let by = slope(moved(H), moved(-H));
        assert!(
            (gradient[k] - by).abs() < 1e-7,
            "{layers:?}: {} {by}",
            gradient[k]
        );
    }
    let moved = |x: &[f64], k: usize, t: f64| {
        let mut x = x.to_vec();
        x[k] += t;
        x
    };
    for k in 0..x.len() {
        let at = |t: f64| value(&network, &moved(&x, k, t), &directions);
        assert!((by_x[k] - slope(at(H), at(-H))).abs() < 1e-7, "{layers:?}");
    }
    for k in 0..directions.len() {
        let at = |t: f64| value(&network, &x, &moved(&directions, k, t));
        assert!(
            (by_directions[k] - slope(at(H), at(-H))).abs() < 1e-7,
            "{layers:?}"
        );
    }
}

#[test]
fn chains() {
    let leaky = Layer::LeakyRelu { slope: 0.2 };
    let spectral = Spectral::default();
    check(&[Layer::linear(3, 4)], 2, 3);
    check(&[Layer::linear(3, 4), leaky, Layer::linear(4, 2)], 3, 1);
    check(
        &[Layer::linear(2, 6), Layer::Tanh, Layer::linear(6, 2)],
        3,
        2,
    );
    check(
        &[
            Layer::Tanh,
            Layer::linear(3, 5).normalized(spectral),
            Layer::Tanh,
            leaky,
            Layer::linear(5, 4).normalized(spectral),
            leaky,
            Layer::Tanh,
            Layer::linear(4, 3),
        ],
        2,
        2,
    );
    let conv = Conv {
        channels: 1,
        height: 4,
        width: 5,
        filters: 2,
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    check(
        &[Layer::convolution(conv), Layer::Tanh, Layer::linear(12, 2)],
        2,
        2,
    );
}

#[test]
fn the_trace_of_a_rotation_that_grows() {
    // W = [[a, −b], [b, a]] has the trace 2a everywhere.
    let mut network: Network = Network::new(&[Layer::linear(2, 2)], 0).unwrap();
    network
        .parameters_mut()
        .copy_from_slice(&[0.3, -2.0, 2.0, 0.3, 5.0, 7.0]);
    let x = [1.0, 2.0, 3.0, 4.0];
    let units = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    let mut tape = Tape::default();
    let (_, tangents) = network.forward_tangents(&x, &units, &mut tape).unwrap();
    assert_eq!(tangents, [0.3, 2.0, 0.3, 2.0, -2.0, 0.3, -2.0, 0.3]);
    for row in 0..2 {
        assert_eq!(tangents[2 * row] + tangents[4 + 2 * row + 1], 0.6);
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let network: Network = Network::new(&[Layer::linear(2, 3), Layer::Tanh], 0).unwrap();
    let soft: Network = Network::new(&[Layer::linear(2, 3), Layer::Softmax], 0).unwrap();
    let mut tape = Tape::default();
    let mut gradient = [0.0; 9];
    let x = [1.0; 4];
    let mut said = Vec::new();
    let mut refused = |error: ot_nn::Error| said.push(error.to_string());
    refused(
        network
            .forward_tangents(&x[..3], &x, &mut tape)
            .unwrap_err(),
    );
    refused(
        network
            .forward_tangents(&x, &x[..3], &mut tape)
            .unwrap_err(),
    );
    refused(network.forward_tangents(&x, &[], &mut tape).unwrap_err());
    refused(soft.forward_tangents(&x, &x, &mut tape).unwrap_err());
    network.forward_tangents(&x, &x, &mut tape).unwrap();
    // Without the gradient by tangents, and with too few of them.
    refused(
        network
            .backward(&[1.0; 6], &mut tape, &mut gradient)
            .unwrap_err(),
    );
    let one_row = network.backward_tangents(&[1.0; 6], &[1.0; 3], &mut tape, &mut gradient);
    refused(one_row.unwrap_err());
    network.forward(&x, &mut tape).unwrap();
    let none = network.backward_tangents(&[1.0; 6], &[1.0; 6], &mut tape, &mut gradient);
    refused(none.unwrap_err());
    insta::assert_snapshot!(said.join("\n"));
}
