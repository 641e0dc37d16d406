//! A step allocates nothing once one like it has been made.
#![allow(clippy::unwrap_used)]

use ot_nn::{
    Adam, Conv, Layer, Network, Number, Optimizer, Spectral, Tape, clip_norm, cross_entropy,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn steps_allocate_nothing<T: Number>(layers: &[Layer]) {
    let mut network: Network<T> = Network::new(layers, 0).unwrap();
    let (mut tape, mut adam) = (Tape::default(), Adam::new(1e-3));
    let mut gradient = vec![T::ZERO; network.parameters().len()];
    let classes = network.outputs();
    let x: Vec<T> = (0..50 * network.inputs())
        .map(|k| T::from_f64((k as f64 * 0.618).fract()))
        .collect();
    let labels: Vec<usize> = (0..50).map(|k| k % classes).collect();
    let mut by_out = vec![T::ZERO; 50 * classes];
    let mut step = || {
        network.normalize();
        let scores = network.forward(&x, &mut tape).unwrap();
        cross_entropy(scores, classes, &labels, &mut by_out).unwrap();
        network.backward(&by_out, &mut tape, &mut gradient).unwrap();
        network
            .backward_add(&by_out, &mut tape, &mut gradient)
            .unwrap();
        network.backward_inputs(&by_out, &mut tape).unwrap();
        clip_norm(&mut [&mut gradient], 1.0).unwrap();
        adam.step(&gradient, network.parameters_mut()).unwrap();
    };
    step();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    (0..3).for_each(|_| step());
    assert_eq!(MEMORY.current_usage(), before);
    assert_eq!(MEMORY.peak_usage(), before);
}

// One test in this file: others would allocate beside it.
#[test]
fn no_step_after_the_first_allocates() {
    let spectral = Spectral::default();
    let leaky = Layer::LeakyRelu { slope: 0.2 };
    let dense = [
        Layer::linear(2, 64).normalized(spectral),
        leaky,
        Layer::linear(64, 64).normalized(spectral),
        Layer::Tanh,
        Layer::linear(64, 3),
    ];
    steps_allocate_nothing::<f64>(&dense);
    steps_allocate_nothing::<f32>(&dense);
    let conv = Conv {
        channels: 1,
        height: 12,
        width: 12,
        filters: 8,
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    let images = [
        Layer::convolution(conv).normalized(spectral),
        leaky,
        Layer::linear(8 * 6 * 6, 3),
    ];
    steps_allocate_nothing::<f64>(&images);
    steps_allocate_nothing::<f32>(&images);
}
