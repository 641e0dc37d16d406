//! Labelled images from IDX files, and networks that tell them apart.

use std::path::{Path, PathBuf};

use ot_nn::{Adam, Conv, Layer, Network, Optimizer, Tape, cross_entropy};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_spot::Images;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Images with their labels.
pub(crate) struct Digits {
    pub(crate) images: Images,
    pub(crate) labels: Vec<usize>,
}

impl Digits {
    /// Of `part`, such as `train`, in a subfolder of `data`, or of the fixtures.
    pub(crate) fn read(data: Option<&Path>, set: &str, part: &str) -> Outcome<Self> {
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        let folder = data.unwrap_or(&fixtures).join(set);
        let axes = if set == "mnist" { 3 } else { 4 };
        let images = ot_data::read(folder.join(format!("{part}-images-idx{axes}-ubyte.gz")))?;
        let labels = ot_data::read(folder.join(format!("{part}-labels-idx1-ubyte.gz")))?;
        let shape = images.shape().to_vec();
        let (&[_, height, width], channels) = (&shape[..3], shape.get(3).copied().unwrap_or(1))
        else {
            return Err(format!("{}: no images", images.path.display()).into());
        };
        let ot_data::Array::U8(pixels) = images.array else {
            return Err(format!("{}: no bytes", images.path.display()).into());
        };
        let pixels = pixels.into_iter().collect();
        let images = Images::new(pixels, height, width, channels)?;
        let labels = labels.into_labels()?.into_iter();
        let labels: Vec<usize> = labels.map(usize::try_from).collect::<Result<_, _>>()?;
        if labels.len() != images.len() || labels.iter().any(|label| *label > 9) {
            let folder = folder.display();
            return Err(format!("{folder}, {part}: a label from 0 to 9 for each image").into());
        }
        Ok(Self { images, labels })
    }

    /// Image `i`, from −1 to 1.
    pub(crate) fn row(&self, i: usize) -> Vec<f32> {
        let row = self.images.row(i).unwrap_or_default();
        row.iter().map(|v| *v as f32).collect()
    }
}

/// A network that tells digits: two convolutions and two linear layers.
pub(crate) struct Judge {
    network: Network<f32>,
}

/// Classes and how sure the network is of each.
pub(crate) struct Told {
    pub(crate) class: Vec<usize>,
    pub(crate) sure: Vec<f64>,
}

const BATCH: usize = 64;
/// Images are moved by up to so many pixels while the network learns.
const MOVED: i64 = 2;

impl Judge {
    /// Learns from labelled images by cross-entropy: so many steps of Adam, of a length that falls to nothing.
    pub(crate) fn learn(from: &Digits, steps: usize, seed: u64) -> Outcome<Self> {
        let (channels, height, width) = from.images.shape();
        let conv = |channels, height, width, filters| Conv {
            channels,
            height,
            width,
            filters,
            kernel: 4,
            stride: 2,
            padding: 1,
        };
        let first = conv(channels, height, width, 24);
        let (_, down, along) = first.output();
        let second = conv(24, down, along, 48);
        let (_, down, along) = second.output();
        let leaky = Layer::LeakyRelu { slope: 0.01 };
        let layers = [
            Layer::convolution(first),
            leaky,
            Layer::convolution(second),
            leaky,
            Layer::linear(48 * down * along, 96),
            leaky,
            Layer::linear(96, 10),
        ];
        let mut network = Network::new(&layers, seed)?;
        let (mut tape, mut adam) = (Tape::default(), Adam::new(1e-3));
        let mut gradient = vec![0.0; network.parameters().len()];
        let mut by_scores = vec![0.0; 10 * BATCH];
        let mut rng = Pcg64::seed_from_u64(seed);
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for step in 0..steps {
            adam.set_rate(1e-3 * (1.0 - step as f64 / steps as f64));
            rows.clear();
            labels.clear();
            for _ in 0..BATCH {
                let i = rng.random_range(0..from.labels.len());
                let (dy, dx) = (
                    rng.random_range(-MOVED..=MOVED),
                    rng.random_range(-MOVED..=MOVED),
                );
                moved(&from.row(i), (height, width), (dy, dx), &mut rows);
                labels.push(from.labels[i]);
            }
            let scores = network.forward(&rows, &mut tape)?;
            cross_entropy(scores, 10, &labels, &mut by_scores)?;
            network.backward_parameters(&by_scores, &mut tape, &mut gradient)?;
            adam.step(&gradient, network.parameters_mut())?;
        }
        Ok(Self { network })
    }

    /// What it takes rows for.
    pub(crate) fn told(&self, rows: &[f32]) -> Outcome<Told> {
        let mut tape = Tape::default();
        let (mut class, mut sure) = (Vec::new(), Vec::new());
        for part in rows.chunks(256 * self.network.inputs()) {
            for scores in self.network.forward(part, &mut tape)?.chunks_exact(10) {
                let best = (0..10).fold(0, |b, k| if scores[k] > scores[b] { k } else { b });
                let odds: f64 = scores
                    .iter()
                    .map(|s| f64::from(s - scores[best]).exp())
                    .sum();
                class.push(best);
                sure.push(1.0 / odds);
            }
        }
        Ok(Told { class, sure })
    }

    /// The share of images that it tells rightly, and how sure it is on average.
    pub(crate) fn accuracy(&self, of: &Digits) -> Outcome<(f64, f64)> {
        let count = of.labels.len();
        let rows: Vec<f32> = (0..count).flat_map(|i| of.row(i)).collect();
        let told = self.told(&rows)?;
        let right = told.class.iter().zip(&of.labels).filter(|(a, b)| a == b);
        let sure = told.sure.iter().sum::<f64>() / count as f64;
        Ok((right.count() as f64 / count as f64, sure))
    }
}

/// An image moved by whole pixels; what comes in is what was at the edge.
fn moved(image: &[f32], (height, width): (usize, usize), by: (i64, i64), rows: &mut Vec<f32>) {
    let from = |k: usize, by: i64, most: usize| (k as i64 - by).clamp(0, most as i64 - 1) as usize;
    for plane in image.chunks_exact(height * width) {
        for row in 0..height {
            let row = from(row, by.0, height) * width;
            rows.extend((0..width).map(|column| plane[row + from(column, by.1, width)]));
        }
    }
}
