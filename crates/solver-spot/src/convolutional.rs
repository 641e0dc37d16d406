//! Chains of convolutions for images.

use ot_nn::{Conv, Layer, Network, Number, Spectral};

use crate::Error;

/// Below 0 rectifiers multiply by it, in generators and critics.
const SLOPE: f64 = 0.2;

/// A generator of images from a latent variable, of four convolutions: channels×height×width numbers from −1 to 1, channel by
/// channel, as [`Images`](crate::Images) has them.
///
/// | layer | out |
/// |---|---|
/// | linear | 4·filters × H/4 × W/4 |
/// | transposed convolution, 4×4, stride 2 | 2·filters × H/2 × W/2 |
/// | transposed convolution, 4×4, stride 2 | filters × H × W |
/// | convolution, 3×3, then tanh | channels × H × W |
///
/// Leaky rectifiers of slope 0.2 follow the first three. On an image of one pixel, which a latent variable is, a transposed
/// convolution is linear: the first layer is written as what it is.
///
/// A pass takes (latent/4 + 16·filters + 9·channels)·2·filters·H·W flops a sample forwards and twice that backwards: 7.5
/// million for 28×28×3, 16 filters and 64 latent numbers. A tape keeps (1.75·filters + channels)·H·W numbers a sample.
///
/// # Errors
/// Sizes of 0, beyond 2^20 or, of height and width, not divisible by 4.
pub fn image_generator(
    latent: usize,
    filters: usize,
    (channels, height, width): (usize, usize, usize),
) -> Result<Vec<Layer>, Error> {
    sizes(&[
        ("latent", latent),
        ("filters", filters),
        ("channels", channels),
        ("height", height),
        ("width", width),
    ])?;
    for (name, value) in [("height", height), ("width", width)] {
        if !value.is_multiple_of(4) {
            return Err(Error::Setting {
                name,
                value: value as f64,
                rule: "must be divisible by 4: two layers double what they get",
            });
        }
    }
    let wider = |channels: usize, height: usize, width: usize| {
        Layer::transposed_convolution(Conv {
            channels,
            height,
            width,
            filters: channels / 2,
            kernel: 4,
            stride: 2,
            padding: 1,
        })
    };
    let leaky = Layer::LeakyRelu { slope: SLOPE };
    Ok(vec![
        Layer::linear(latent, filters * height * width / 4),
        leaky,
        wider(4 * filters, height / 4, width / 4),
        leaky,
        wider(2 * filters, height / 2, width / 2),
        leaky,
        Layer::convolution(Conv {
            channels: filters,
            height,
            width,
            filters: channels,
            kernel: 3,
            stride: 1,
            padding: 1,
        }),
        Layer::Tanh,
    ])
}

/// Scales the weights of a new network so that rows keep their variance from layer to layer: 1/inputs behind what is linear or at the
/// beginning, 2/((1 + slope²)·inputs) behind a leaky rectifier, where inputs are the numbers that a sum takes in: of a
/// transposed convolution, channels·(kernel/stride)². Normalized layers and biases are left as they are.
///
/// Glorot's weights, which [`Network::new`] draws, are for inputs and outputs alike; a generator has many more outputs. Of
/// [`image_generator`] with 64 latent numbers and 8 filters they make images of a standard deviation of 0.03 before tanh, all
/// alike: training then moves all of them together, around what the critics ask for, and finds no variety. Scaled, it is 0.8.
///
/// Source: He, Zhang, Ren and Sun, *Delving deep into rectifiers* (2015), equation (14).
pub fn keep_variance<T: Number>(network: &mut Network<T>) {
    let layers = network.layers().to_vec();
    let places: Vec<_> = network.weights().collect();
    let mut places = places.into_iter();
    let mut slope = 1.0;
    for layer in layers {
        // What a sum takes in, and the variance that the weights were drawn with.
        let (inputs, fans, spectral) = match layer {
            Layer::Linear {
                inputs,
                outputs,
                spectral,
            } => (inputs as f64, inputs + outputs, spectral),
            Layer::Convolution { conv, spectral } => {
                let square = conv.kernel * conv.kernel;
                let inputs = (conv.channels * square) as f64;
                (inputs, (conv.channels + conv.filters) * square, spectral)
            }
            Layer::TransposedConvolution { conv, spectral } => {
                let square = conv.kernel * conv.kernel;
                let seen = square as f64 / (conv.stride * conv.stride) as f64;
                let inputs = conv.channels as f64 * seen;
                (inputs, (conv.channels + conv.filters) * square, spectral)
            }
            Layer::LeakyRelu { slope: below } => {
                slope = below;
                continue;
            }
            _ => {
                slope = 1.0;
                continue;
            }
        };
        let wanted = 2.0 / ((1.0 + slope * slope) * inputs);
        let scale = T::from_f64((wanted * fans as f64 / 2.0).sqrt());
        if let (Some(place), None) = (places.next(), spectral) {
            network.parameters_mut()[place]
                .iter_mut()
                .for_each(|w| *w *= scale);
        }
        slope = 1.0;
    }
}

/// A critic of images, of five layers, each divided by its largest singular value.
///
/// | layer | out |
/// |---|---|
/// | convolution, 4×4, stride 2 | filters × H/2 × W/2 |
/// | convolution, 4×4, stride 2 | 2·filters × H/4 × W/4 |
/// | convolution, 3×3 | 4·filters × H/4 × W/4 |
/// | convolution, 3×3, stride 2 | 4·filters × H/8 × W/8, rounded up |
/// | linear | 1 |
///
/// Leaky rectifiers of slope 0.2 between. As in the source it is the kernels that are normalized, as matrices of filters ×
/// (channels·kernel²): the map itself may be steeper than 1, by at most the product of √(patches that see a pixel), 2·2·3·1.5.
/// That is a factor of η, the same for all.
///
/// A pass takes about (8·channels + 17.5·filters)·filters·H·W flops a sample forwards and twice that backwards: 3.9
/// million for 28×28×3 and 16 filters.
///
/// # Errors
/// Sizes of 0 or beyond 2^20, and sides below 4.
pub fn image_critic(
    filters: usize,
    (channels, height, width): (usize, usize, usize),
) -> Result<Vec<Layer>, Error> {
    sizes(&[
        ("filters", filters),
        ("channels", channels),
        ("height", height),
        ("width", width),
    ])?;
    for (name, value) in [("height", height), ("width", width)] {
        if value < 4 {
            return Err(Error::Setting {
                name,
                value: value as f64,
                rule: "must be at least 4: two layers halve what they get",
            });
        }
    }
    let mut shape = (channels, height, width);
    let mut layers = Vec::with_capacity(9);
    for (filters, kernel, stride) in [
        (filters, 4, 2),
        (2 * filters, 4, 2),
        (4 * filters, 3, 1),
        (4 * filters, 3, 2),
    ] {
        let conv = Conv {
            channels: shape.0,
            height: shape.1,
            width: shape.2,
            filters,
            kernel,
            stride,
            padding: 1,
        };
        shape = conv.output();
        layers.push(Layer::convolution(conv).normalized(Spectral::default()));
        layers.push(Layer::LeakyRelu { slope: SLOPE });
    }
    let last = Layer::linear(shape.0 * shape.1 * shape.2, 1);
    layers.push(last.normalized(Spectral::default()));
    Ok(layers)
}

fn sizes(all: &[(&'static str, usize)]) -> Result<(), Error> {
    // What is beyond is refused by the networks themselves, which know their products.
    let odd = all
        .iter()
        .find(|(_, value)| *value == 0 || *value > 1 << 20);
    odd.map_or(Ok(()), |&(name, value)| {
        Err(Error::Setting {
            name,
            value: value as f64,
            rule: "must be from 1 to 2^20",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ot_nn::Tape;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;
    use rand_pcg::Pcg64;

    #[test]
    fn images_of_any_such_size_come_out_and_go_in() {
        for shape in [(1, 28, 28), (3, 28, 28), (2, 4, 8), (3, 32, 12)] {
            let size = shape.0 * shape.1 * shape.2;
            let chain = image_generator(5, 3, shape).expect("it fits");
            let network = Network::<f32>::new(&chain, 1).expect("a network");
            assert_eq!((network.inputs(), network.outputs()), (5, size));
            let mut tape = Tape::default();
            let made = network.forward(&[0.5; 10], &mut tape).expect("rows");
            assert!(made.iter().all(|v| v.abs() <= 1.0));
            let chain = image_critic(3, shape).expect("it fits");
            let critic = Network::<f32>::new(&chain, 1).expect("a network");
            assert_eq!((critic.inputs(), critic.outputs()), (size, 1));
            // u and v are of every layer with weights.
            assert_eq!(critic.spectral_norms().count(), 5);
        }
        assert!(Network::<f32>::new(&image_critic(2, (1, 5, 7)).expect("it fits"), 0).is_ok());
    }

    #[test]
    fn rows_keep_their_variance() {
        let mut chain = image_generator(64, 8, (3, 28, 28)).expect("it fits");
        // Before tanh.
        chain.pop();
        let (mut made, mut z) = (Vec::new(), Vec::new());
        let mut rng = Pcg64::seed_from_u64(2);
        z.resize_with(64 * 200, || rng.sample::<f64, _>(StandardNormal));
        for scaled in [false, true] {
            let mut network = Network::<f64>::new(&chain, 1).expect("a network");
            if scaled {
                keep_variance(&mut network);
            }
            let mut tape = Tape::default();
            let out = network.forward(&z, &mut tape).expect("rows");
            made.push(out.iter().map(|v| v * v).sum::<f64>() / out.len() as f64);
        }
        assert!(made[0] < 0.01 && (0.5..2.0).contains(&made[1]), "{made:?}");
        // A normalized layer is divided by what it is multiplied by: it is left.
        let chain = image_critic(4, (1, 8, 8)).expect("it fits");
        let mut critic = Network::<f64>::new(&chain, 1).expect("a network");
        let before = critic.clone();
        keep_variance(&mut critic);
        assert_eq!(critic, before);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let said = |made: Result<Vec<Layer>, Error>| made.map(|_| ()).map_err(|e| e.to_string());
        let divisible = "must be divisible by 4: two layers double what they get";
        assert_eq!(
            said(image_generator(8, 4, (1, 28, 30))),
            Err(format!("`width` = 30: {divisible}"))
        );
        let range = "must be from 1 to 2^20";
        assert_eq!(
            said(image_generator(0, 4, (1, 28, 28))),
            Err(format!("`latent` = 0: {range}"))
        );
        assert_eq!(
            said(image_critic(4, (0, 28, 28))),
            Err(format!("`channels` = 0: {range}"))
        );
        assert_eq!(
            said(image_critic(4, (1, 3, 28))),
            Err("`height` = 3: must be at least 4: two layers halve what they get".to_owned())
        );
    }
}
