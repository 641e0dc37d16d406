//! Convolutions against sums pixel by pixel, and their gradients.
#![allow(clippy::unwrap_used)]

use faer::MatRef;
use ot_nn::{Conv, Layer, Network, Number, Spectral, Tape};
use proptest::prelude::*;

fn noise(count: usize, seed: u64) -> Vec<f64> {
    (0..count)
        .map(|i| 2.0 * ((i as f64 + 1.0) * (seed as f64 + 0.618_033_988_75)).fract() - 1.0)
        .collect()
}

/// Pairs of a pixel of the larger image and a patch that sees it: (channel, y, x), (ky, kx), (gy, gx).
fn each_pair(
    conv: Conv,
    image: (usize, usize),
    grid: (usize, usize),
    mut pair: impl FnMut((usize, usize), (usize, usize), (usize, usize)),
) {
    for gy in 0..grid.0 {
        for gx in 0..grid.1 {
            for ky in 0..conv.kernel {
                for kx in 0..conv.kernel {
                    let (y, x) = (gy * conv.stride + ky, gx * conv.stride + kx);
                    let inside = |at: usize, n: usize| at >= conv.padding && at < n + conv.padding;
                    if inside(y, image.0) && inside(x, image.1) {
                        pair((y - conv.padding, x - conv.padding), (ky, kx), (gy, gx));
                    }
                }
            }
        }
    }
}

/// One image.
fn naive(conv: Conv, parameters: &[f64], x: &[f64]) -> Vec<f64> {
    let (f, h, w) = conv.output();
    let biases = &parameters[parameters.len() - f..];
    let mut out: Vec<f64> = (0..f * h * w).map(|at| biases[at / (h * w)]).collect();
    each_pair(
        conv,
        (conv.height, conv.width),
        (h, w),
        |(y, x_at), (ky, kx), (gy, gx)| {
            for filter in 0..f {
                for c in 0..conv.channels {
                    let k = ((filter * conv.channels + c) * conv.kernel + ky) * conv.kernel + kx;
                    let pixel = x[(c * conv.height + y) * conv.width + x_at];
                    out[(filter * h + gy) * w + gx] += parameters[k] * pixel;
                }
            }
        },
    );
    out
}

fn naive_transposed(conv: Conv, parameters: &[f64], x: &[f64]) -> Vec<f64> {
    let (f, h, w) = conv.transposed_output();
    let biases = &parameters[parameters.len() - f..];
    let mut out: Vec<f64> = (0..f * h * w).map(|at| biases[at / (h * w)]).collect();
    each_pair(
        conv,
        (h, w),
        (conv.height, conv.width),
        |(y, x_at), (ky, kx), (gy, gx)| {
            for filter in 0..f {
                for c in 0..conv.channels {
                    let k = ((c * f + filter) * conv.kernel + ky) * conv.kernel + kx;
                    let pixel = x[(c * conv.height + gy) * conv.width + gx];
                    out[(filter * h + y) * w + x_at] += parameters[k] * pixel;
                }
            }
        },
    );
    out
}

fn layer(conv: Conv, transposed: bool) -> Layer {
    if transposed {
        Layer::transposed_convolution(conv)
    } else {
        Layer::convolution(conv)
    }
}

fn drawn<T: Number>(layers: &[Layer]) -> Network<T> {
    let mut network: Network<T> = Network::new(layers, 3).unwrap();
    let drawn = noise(network.parameters().len(), 5);
    for (p, d) in network.parameters_mut().iter_mut().zip(drawn) {
        *p = T::from_f64(d);
    }
    network.normalize();
    network
}

fn forward<T: Number>(conv: Conv, transposed: bool, images: usize, tol: f64) {
    let network = drawn::<T>(&[layer(conv, transposed)]);
    let x = noise(images * network.inputs(), 1);
    let given: Vec<T> = x.iter().map(|x| T::from_f64(*x)).collect();
    let mut tape = Tape::default();
    let out = network.forward(&given, &mut tape).unwrap();
    let parameters: Vec<f64> = network.parameters().iter().map(|p| p.wide()).collect();
    let by_hand = if transposed { naive_transposed } else { naive };
    let expected = x.chunks_exact(network.inputs());
    let expected: Vec<f64> = expected
        .flat_map(|x| by_hand(conv, &parameters, x))
        .collect();
    assert_eq!(out.len(), expected.len());
    for (o, e) in out.iter().zip(&expected) {
        assert!((o.wide() - e).abs() < tol, "{conv:?}: {o} {e}");
    }
}

/// Of Σ weight·out, by every parameter and every pixel.
fn gradients(layers: &[Layer], images: usize) {
    let network = drawn::<f64>(layers);
    let x = noise(images * network.inputs(), 1);
    let weights = noise(images * network.outputs(), 2);
    let value = |network: &Network, x: &[f64]| -> f64 {
        let mut tape = Tape::default();
        let out = network.forward(x, &mut tape).unwrap();
        out.iter().zip(&weights).map(|(o, w)| o * w).sum()
    };
    let mut tape = Tape::default();
    network.forward(&x, &mut tape).unwrap();
    let mut gradient = vec![f64::NAN; network.parameters().len()];
    let by_x = network
        .backward(&weights, &mut tape, &mut gradient)
        .unwrap();
    let by_x = by_x.to_vec();
    let h = 1e-5;
    for k in 0..gradient.len() {
        let moved = |t: f64| {
            let mut other = network.clone();
            other.parameters_mut()[k] += t;
            value(&other, &x)
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        assert!(
            (gradient[k] - slope).abs() < 1e-7,
            "{layers:?}: {} {slope}",
            gradient[k]
        );
    }
    for k in 0..x.len() {
        let moved = |t: f64| {
            let mut x = x.clone();
            x[k] += t;
            value(&network, &x)
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        assert!(
            (by_x[k] - slope).abs() < 1e-7,
            "{layers:?}: {} {slope}",
            by_x[k]
        );
    }
    let mut twice = gradient.clone();
    network
        .backward_add(&weights, &mut tape, &mut twice)
        .unwrap();
    assert!(twice.iter().zip(&gradient).all(|(t, g)| *t == 2.0 * g));
    assert_eq!(network.backward_inputs(&weights, &mut tape).unwrap(), by_x);
}

fn convs() -> impl Strategy<Value = Conv> {
    let sizes = (1_usize..4, 1_usize..8, 1_usize..8, 1_usize..4);
    (sizes, 1_usize..5, 1_usize..4, 0_usize..4).prop_map(|(sizes, kernel, stride, padding)| Conv {
        channels: sizes.0,
        height: sizes.1,
        width: sizes.2,
        filters: sizes.3,
        kernel,
        stride,
        padding: padding.min(kernel - 1),
    })
}

fn fits(conv: Conv, transposed: bool) -> bool {
    Network::<f64>::new(&[layer(conv, transposed)], 0).is_ok()
}

proptest! {
    #[test]
    fn convolutions_are_sums_over_patches(
        conv in convs(),
        transposed in any::<bool>(),
        // One by one, in groups of 16, and with groups that are not full.
        images in prop::sample::select(vec![1_usize, 3, 16, 19, 27]),
    ) {
        prop_assume!(fits(conv, transposed));
        forward::<f64>(conv, transposed, images, 1e-13);
        forward::<f32>(conv, transposed, images, 5e-5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn gradients_of_convolutions(
        conv in convs(),
        transposed in any::<bool>(),
        normalized in prop::option::of(0.5..2.0_f64),
        images in prop::sample::select(vec![2_usize, 13, 18]),
    ) {
        prop_assume!(fits(conv, transposed));
        let layer = layer(conv, transposed);
        gradients(&[match normalized {
            None => layer,
            Some(bound) => layer.normalized(Spectral { iterations: 1, bound }),
        }], images);
    }
}

#[test]
fn gradients_of_whole_networks_of_images() {
    let conv = Conv {
        channels: 2,
        height: 7,
        width: 6,
        filters: 3,
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    let (channels, height, width) = conv.output();
    let second = Conv {
        channels,
        height,
        width,
        filters: 2,
        kernel: 2,
        stride: 1,
        padding: 0,
    };
    let (f, h, w) = second.output();
    let spectral = Spectral::default();
    // A critic, and a generator.
    gradients(
        &[
            Layer::convolution(conv).normalized(spectral),
            Layer::LeakyRelu { slope: 0.2 },
            Layer::convolution(second).normalized(spectral),
            Layer::LeakyRelu { slope: 0.2 },
            Layer::linear(f * h * w, 1).normalized(spectral),
        ],
        2,
    );
    gradients(
        &[
            Layer::linear(3, channels * height * width),
            Layer::LeakyRelu { slope: 0.2 },
            Layer::transposed_convolution(Conv {
                kernel: 4,
                stride: 2,
                padding: 1,
                ..second
            }),
            Layer::Tanh,
        ],
        17,
    );
}

/// The kernel as a matrix of filters has the largest singular value that the bound says.
#[test]
fn normalized_kernels_by_singular_values() {
    let conv = Conv {
        channels: 3,
        height: 3,
        width: 3,
        filters: 5,
        kernel: 3,
        stride: 1,
        padding: 0,
    };
    // One patch: the map is the matrix.
    let (iterations, bound) = (500, 0.7);
    let spectral = Spectral { iterations, bound };
    let network = drawn::<f64>(&[Layer::convolution(conv).normalized(spectral)]);
    let mut units = vec![0.0; 28 * 27];
    (0..27).for_each(|k| units[k * 28] = 1.0);
    let mut tape = Tape::default();
    let out = network.forward(&units, &mut tape).unwrap();
    let (columns, biases) = out.split_at(27 * 5);
    let columns: Vec<f64> = (0..27 * 5).map(|at| columns[at] - biases[at % 5]).collect();
    let matrix = MatRef::from_column_major_slice(&columns, 5, 27);
    let norm = matrix.singular_values().unwrap()[0];
    assert!((norm / bound - 1.0).abs() < 1e-10, "{norm}");
    let weights = MatRef::from_row_major_slice(&network.parameters()[..135], 5, 27);
    let (_, sigma) = network.spectral_norms().next().unwrap();
    assert!((weights.singular_values().unwrap()[0] - sigma).abs() < 1e-10);
}

#[test]
fn images_that_do_not_fit_are_said() {
    let conv = Conv {
        channels: 1,
        height: 4,
        width: 5,
        filters: 2,
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    let said = |layer: Layer| Network::<f64>::new(&[layer], 0).unwrap_err().to_string();
    let plain = |conv| said(Layer::convolution(conv));
    let all = [
        plain(Conv { stride: 0, ..conv }),
        plain(Conv { filters: 0, ..conv }),
        plain(Conv { width: 0, ..conv }),
        plain(Conv {
            height: usize::MAX,
            ..conv
        }),
        plain(Conv { padding: 3, ..conv }),
        plain(Conv { kernel: 9, ..conv }),
        said(Layer::transposed_convolution(Conv {
            height: 1,
            width: 1,
            padding: 2,
            ..conv
        })),
        plain(Conv {
            height: 1 << 19,
            width: 1 << 19,
            channels: 1 << 19,
            ..conv
        }),
        said(Layer::linear(usize::MAX, 2)),
        Network::<f64>::new(&[Layer::convolution(conv), Layer::linear(41, 2)], 0)
            .unwrap_err()
            .to_string(),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
