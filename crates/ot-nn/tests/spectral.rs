//! Spectral normalization against singular values by faer.
#![allow(clippy::unwrap_used)]

use faer::MatRef;
use ot_nn::{Layer, Network, Spectral, Tape};
use proptest::prelude::*;

/// The largest singular value of the map, from what it makes of unit vectors.
fn largest(network: &Network) -> f64 {
    let (n, m) = (network.inputs(), network.outputs());
    let mut rows = vec![0.0; (n + 1) * n];
    for k in 0..n {
        rows[k * n + k] = 1.0;
    }
    let mut tape = Tape::default();
    let out = network.forward(&rows, &mut tape).unwrap();
    // The last row is the bias.
    let (bias, columns) = (out[n * m..].to_vec(), &out[..n * m]);
    let columns: Vec<f64> = columns
        .iter()
        .zip(bias.iter().cycle())
        .map(|(o, b)| o - b)
        .collect();
    let matrix = MatRef::from_column_major_slice(&columns, m, n);
    matrix.singular_values().unwrap()[0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Wide, tall, and of one row or column.
    #[test]
    fn the_map_is_as_steep_as_its_bound(
        inputs in 1_usize..20,
        outputs in 1_usize..20,
        seed in 0_u64..1000,
        bound in 0.1_f64..10.0,
    ) {
        let spectral = Spectral { iterations: 2000, bound };
        let layer = Layer::linear(inputs, outputs).normalized(spectral);
        let mut network: Network = Network::new(&[layer], seed).unwrap();
        network.normalize();
        prop_assert!((largest(&network) / bound - 1.0).abs() < 1e-6);
    }
}

#[test]
fn one_iteration_a_step_follows_weights_that_move() {
    let layer = Layer::linear(12, 9).normalized(Spectral::default());
    let mut network: Network = Network::new(&[layer], 4).unwrap();
    for step in 0..400 {
        for (k, w) in network.parameters_mut().iter_mut().enumerate() {
            *w += 2e-4 * (0.7 * k as f64 + 0.01 * f64::from(step)).sin();
        }
        network.normalize();
    }
    let steep = largest(&network);
    assert!((0.999..1.02).contains(&steep), "{steep}");
    // What was learned of the old weights says nothing of entirely new ones, and is soon renewed.
    let turned: Vec<f64> = network.parameters().iter().rev().copied().collect();
    network.parameters_mut().copy_from_slice(&turned);
    (0..100).for_each(|_| network.normalize());
    assert!((largest(&network) - 1.0).abs() < 1e-3);
}

#[test]
fn norms_are_those_of_the_weights() {
    let layers = [
        Layer::linear(2, 2).normalized(Spectral::default()),
        Layer::Tanh,
        Layer::linear(2, 1).normalized(Spectral::default()),
    ];
    let mut network: Network = Network::new(&layers, 0).unwrap();
    network
        .parameters_mut()
        .copy_from_slice(&[0.0, 5.0, 2.0, 0.0, 1.0, 1.0, 3.0, -4.0, 0.0]);
    (0..60).for_each(|_| network.normalize());
    let norms: Vec<_> = network.spectral_norms().collect();
    assert_eq!(norms.len(), 2);
    assert!((norms[0].0, norms[1].0) == (0, 2));
    assert!((norms[0].1 - 5.0).abs() < 1e-12 && (norms[1].1 - 5.0).abs() < 1e-12);
}

#[test]
fn a_matrix_of_zeros_maps_to_the_bias() {
    let layer = Layer::linear(2, 2).normalized(Spectral::default());
    let mut network: Network = Network::new(&[layer], 0).unwrap();
    network
        .parameters_mut()
        .copy_from_slice(&[0.0, 0.0, 0.0, 0.0, 1.0, -2.0]);
    network.normalize();
    let mut tape = Tape::default();
    assert_eq!(
        network.forward(&[3.0, 4.0], &mut tape).unwrap(),
        [1.0, -2.0]
    );
    // And it is found again once the weights are some.
    network.parameters_mut()[0] = -7.0;
    network.normalize();
    assert!((largest(&network) - 1.0).abs() < 1e-12);
}
