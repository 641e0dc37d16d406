//! Images as a distribution.

use rand::RngExt;
use rand_pcg::Pcg64;

use crate::{Error, Sampler};

/// Images of bytes, drawn with replacement, each as likely as any other.
///
/// They are kept as files of images have them, row by row with the channels of a pixel side by side (n×H×W×C, a byte each), and
/// come out as the convolutions of `ot-nn` want them: channel by channel (C×H×W), from −1 for 0 to 1 for 255, which are the ends
/// of tanh. n·H·W·C bytes of memory, an eighth of what [`Empirical`](crate::Empirical) would take; a draw takes time
/// proportional to what it writes.
///
/// ```
/// use rand::SeedableRng;
/// use solver_spot::{Images, Sampler};
///
/// // One image of a row of two pixels, red and white.
/// let images = Images::new(vec![255, 0, 0, 255, 255, 255], 1, 2, 3)?;
/// let mut row = [0.0; 6];
/// images.draw(&mut rand_pcg::Pcg64::seed_from_u64(0), &mut row);
/// assert_eq!(row, [1.0, 1.0, -1.0, 1.0, -1.0, 1.0]);
/// # Ok::<(), solver_spot::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Images {
    pixels: Vec<u8>,
    height: usize,
    width: usize,
    channels: usize,
}

impl Images {
    /// Of `pixels` of as many images of `height`×`width`×`channels` as there are.
    ///
    /// # Errors
    /// A side or a number of channels of 0 or beyond 2^20, no images, and parts of images.
    pub fn new(
        pixels: Vec<u8>,
        height: usize,
        width: usize,
        channels: usize,
    ) -> Result<Self, Error> {
        let sizes = [("height", height), ("width", width), ("channels", channels)];
        for (name, value) in sizes {
            if value == 0 || value > 1 << 20 {
                return Err(Error::Setting {
                    name,
                    value: value as f64,
                    rule: "must be from 1 to 2^20",
                });
            }
        }
        // At most 2^60.
        let size = height * width * channels;
        if pixels.is_empty() || !pixels.len().is_multiple_of(size) {
            let found = format!("{} bytes", pixels.len());
            let expected = format!(
                "images of {height}×{width}×{channels} take a multiple of {size}, at least one"
            );
            return Err(Error::shape("pixels", found, expected));
        }
        Ok(Self {
            pixels,
            height,
            width,
            channels,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len() / self.dim()
    }

    /// Never: there is one at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// Channels, height and width: what a row is, in the order that convolutions take.
    #[must_use]
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.channels, self.height, self.width)
    }

    /// Image `i` as a row, the same that a draw gives; nothing where there is none.
    #[must_use]
    pub fn row(&self, i: usize) -> Option<Vec<f64>> {
        (i < self.len()).then(|| {
            let mut row = vec![0.0; self.dim()];
            self.write(i, &mut row);
            row
        })
    }

    fn write(&self, i: usize, row: &mut [f64]) {
        let dim = self.dim();
        let image = &self.pixels[i * dim..(i + 1) * dim];
        for (channel, plane) in row.chunks_exact_mut(self.height * self.width).enumerate() {
            let pixels = image[channel..].iter().step_by(self.channels);
            for (out, byte) in plane.iter_mut().zip(pixels) {
                *out = f64::from(*byte) / 127.5 - 1.0;
            }
        }
    }
}

impl Sampler for Images {
    fn dim(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn draw(&self, rng: &mut Pcg64, rows: &mut [f64]) {
        let count = self.len();
        for row in rows.chunks_exact_mut(self.dim()) {
            self.write(rng.random_range(0..count), row);
        }
    }
}
