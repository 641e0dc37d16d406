//! Digits of several origins at one size, as labelled parts of a source and a target.

use std::path::{Path, PathBuf};

use crate::options::Outcome;

/// Rows and columns that every set is brought to.
pub(crate) const SIDE: usize = 16;
pub(crate) const CLASSES: usize = 10;

/// Images with labels, channel by channel and row by row, values from −1 to 1.
#[derive(Clone)]
pub(crate) struct Digits {
    pub(crate) points: Vec<f32>,
    pub(crate) labels: Vec<usize>,
    pub(crate) channels: usize,
    pub(crate) side: usize,
}

impl Digits {
    /// Images of height×width(×channels) from files of any kind, `most` being white.
    pub(crate) fn read(images: &Path, labels: &Path, most: f64, side: usize) -> Outcome<Self> {
        let said =
            |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let read = ot_data::read(images).map_err(|e| said(images, &e))?;
        let shape = read.shape().to_vec();
        let (count, from, channels) = match shape[..] {
            [n, h, w] if h == w => (n, h, 1),
            [n, h, w, c] if h == w => (n, h, c),
            [n, d] if d.isqrt().pow(2) == d => (n, d.isqrt(), 1),
            _ => {
                return Err(said(
                    images,
                    &format!("shape {shape:?}: square images are expected"),
                )
                .into());
            }
        };
        let values: Vec<f64> = read.array.into_f64().into_iter().collect();
        let weights = areas(from, side);
        let mut points = Vec::with_capacity(count * channels * side * side);
        let mut plane = vec![0.0; from * from];
        for image in values.chunks_exact(channels * from * from) {
            for c in 0..channels {
                let pixels = image.iter().skip(c).step_by(channels);
                plane.iter_mut().zip(pixels).for_each(|(p, v)| *p = *v);
                resize(&plane, &weights, from, side, most, &mut points);
            }
        }
        let labels = ot_data::read(labels).map_err(|e| said(labels, &e))?;
        let labels = labels.into_labels()?;
        let labels = labels.iter().map(|l| usize::try_from(*l));
        Ok(Self {
            points,
            labels: labels.collect::<Result<_, _>>()?,
            channels,
            side,
        })
    }

    pub(crate) fn dim(&self) -> usize {
        self.channels * self.side * self.side
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Those at `places`, in that order.
    pub(crate) fn at(&self, places: impl Iterator<Item = usize>) -> Self {
        let mut taken = Self {
            points: Vec::new(),
            labels: Vec::new(),
            ..*self
        };
        for place in places {
            let row = place * self.dim()..(place + 1) * self.dim();
            taken.points.extend_from_slice(&self.points[row]);
            taken.labels.push(self.labels[place]);
        }
        taken
    }

    /// Grey images in as many equal channels.
    pub(crate) fn coloured(self, channels: usize) -> Self {
        let pixels = self.dim();
        let rows = self.points.chunks_exact(pixels);
        let points = rows.flat_map(|row| std::iter::repeat_n(row, channels).flatten().copied());
        Self {
            points: points.collect(),
            channels,
            ..self
        }
    }
}

/// The share of each pixel of a row of `from` in each one of `to`.
fn areas(from: usize, to: usize) -> Vec<f64> {
    let step = from as f64 / to as f64;
    let mut weights = vec![0.0; from * to];
    for t in 0..to {
        let (first, end) = (t as f64 * step, (t + 1) as f64 * step);
        for f in 0..from {
            let shared = end.min((f + 1) as f64) - first.max(f as f64);
            weights[t * from + f] = shared.max(0.0) / step;
        }
    }
    weights
}

/// The mean over areas, from 0…`most` to −1…1.
fn resize(plane: &[f64], weights: &[f64], from: usize, to: usize, most: f64, out: &mut Vec<f32>) {
    for y in 0..to {
        for x in 0..to {
            let mut sum = 0.0;
            for (r, down) in weights[y * from..(y + 1) * from].iter().enumerate() {
                if *down > 0.0 {
                    let row = &plane[r * from..(r + 1) * from];
                    let along = row.iter().zip(&weights[x * from..(x + 1) * from]);
                    sum += down * along.map(|(v, w)| v * w).sum::<f64>();
                }
            }
            out.push((2.0 * sum / most - 1.0) as f32);
        }
    }
}

/// A source with labels, a target whose training part has labels for the upper end of the table only, and test parts.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) source: Digits,
    pub(crate) target: Digits,
    pub(crate) test: Digits,
}

/// `fixtures/digits8`: 300 digits of MNIST and of optdigits at 8×8; of each ten of a target, seven are trained on.
pub(crate) fn fixtures() -> Outcome<Vec<Task>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/digits8");
    let read = |name: &str, most| {
        let images = folder.join(format!("{name}.npy"));
        Digits::read(&images, &folder.join(format!("{name}.labels.npy")), most, 8)
    };
    let (mnist, opt) = (read("mnist", 255.0)?, read("optdigits", 16.0)?);
    let task = |name, source: &Digits, target: &Digits| Task {
        name,
        source: source.clone(),
        target: target.at((0..target.len()).filter(|k| k % 10 < 7)),
        test: target.at((0..target.len()).filter(|k| k % 10 >= 7)),
    };
    Ok(vec![
        task("MNIST to optdigits, 8×8", &mnist, &opt),
        task("optdigits to MNIST, 8×8", &opt, &mnist),
    ])
}

/// MNIST and USPS in both directions, and MNIST in colour, all at 16×16, from `--data DIR`.
pub(crate) fn whole(data: &Path) -> Outcome<Vec<Task>> {
    let read = |set: &str, part: &str, kind: &str| {
        let folder = data.join(set);
        let images = folder.join(format!("{part}-images-idx{kind}-ubyte.gz"));
        let labels = folder.join(format!("{part}-labels-idx1-ubyte.gz"));
        Digits::read(&images, &labels, 255.0, SIDE)
    };
    let (mnist, mnist_test) = (read("mnist", "train", "3")?, read("mnist", "t10k", "3")?);
    let (usps, usps_test) = (read("usps", "train", "3")?, read("usps", "test", "3")?);
    let colour = read("mnist_m_like", "train", "4")?;
    let colour_test = read("mnist_m_like", "test", "4")?;
    // No digit is in the source and, in colour, in the target.
    let same = ot_data::read(data.join("mnist_m_like/train_source_index.npy"))?.into_labels()?;
    let mut free = vec![true; mnist.len()];
    for place in &same {
        if let Some(free) = usize::try_from(*place).ok().and_then(|k| free.get_mut(k)) {
            *free = false;
        }
    }
    let others = mnist.at((0..mnist.len()).filter(|k| free[*k]));
    Ok(vec![
        Task {
            name: "MNIST to USPS",
            source: mnist.clone(),
            target: usps.clone(),
            test: usps_test,
        },
        Task {
            name: "USPS to MNIST",
            source: usps,
            target: mnist,
            test: mnist_test,
        },
        Task {
            name: "MNIST to MNIST in colour",
            source: others.coloured(3),
            target: colour,
            test: colour_test,
        },
    ])
}
