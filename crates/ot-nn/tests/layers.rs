//! Layers by hand, seeds, and what does not fit.
#![allow(clippy::unwrap_used)]

use ot_nn::{Error, Layer, Network, Spectral, Tape};

#[test]
fn layers_by_hand() {
    let mut network: Network =
        Network::new(&[Layer::linear(2, 2), Layer::LeakyRelu { slope: 0.5 }], 0).unwrap();
    network
        .parameters_mut()
        .copy_from_slice(&[1.0, 2.0, -1.0, 0.0, 0.5, 0.25]);
    let mut tape = Tape::default();
    let out = network.forward(&[1.0, 1.0, -2.0, 0.5], &mut tape).unwrap();
    assert_eq!(out, [3.5, -0.375, -0.25, 2.25]);
    let wide: Network = Network::new(&[Layer::linear(1, 2), Layer::Softmax], 0).unwrap();
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
    let make = |seed| -> Network { Network::new(&layers, seed).unwrap() };
    assert_eq!(make(4), make(4));
    assert_ne!(make(4), make(5));
    let most = (6.0_f64 / 11.0).sqrt();
    let drawn = &make(4).parameters()[..24].to_vec();
    assert!(drawn.iter().all(|w| w.abs() <= most) && drawn.iter().any(|w| w.abs() > 0.5 * most));
    assert_eq!(make(4).parameters()[24..32], [0.0; 8]);
}

#[test]
fn what_does_not_fit_is_said() {
    let said = |layers: &[Layer]| Network::<f64>::new(layers, 0).unwrap_err().to_string();
    assert_eq!(
        said(&[Layer::Tanh]),
        "`layers` has 1 numbers, but one of them must have weights: it says how long rows are"
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
    let normalized = |spectral| said(&[Layer::linear(2, 3).normalized(spectral)]);
    let (iterations, bound) = (0, f64::NAN);
    let spectral = Spectral::default();
    assert_eq!(
        normalized(Spectral {
            iterations,
            ..spectral
        }),
        "layer 0: `iterations` = 0: must be at least 1"
    );
    assert_eq!(
        normalized(Spectral { bound, ..spectral }),
        "layer 0: `bound` = NaN: must be positive and finite"
    );
    let network: Network = Network::new(&[Layer::linear(2, 3)], 0).unwrap();
    let mut tape = Tape::default();
    let mut gradient = vec![0.0; 9];
    let refused = |result: Result<&[f64], Error>| result.unwrap_err().to_string();
    assert_eq!(
        refused(network.backward(&[1.0; 3], &mut tape, &mut gradient)),
        "`tape` has 0 numbers, but it is not of a forward pass of this kind and network"
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
    // A tape of another network, though it has as many inputs and outputs.
    let wide = [Layer::linear(2, 8), Layer::Tanh, Layer::linear(8, 3)];
    let narrow = [Layer::linear(2, 5), Layer::Tanh, Layer::linear(5, 3)];
    let wide: Network = Network::new(&wide, 0).unwrap();
    let narrow: Network = Network::new(&narrow, 0).unwrap();
    wide.forward(&[1.0; 2], &mut tape).unwrap();
    assert_eq!(
        refused(narrow.backward_inputs(&[1.0; 3], &mut tape)),
        "`tape` has 3 numbers, but it is not of a forward pass of this kind and network"
    );
}
