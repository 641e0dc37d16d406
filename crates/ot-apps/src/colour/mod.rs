//! Colour transfer: an image takes on the colours of another one.
//!
//! | way | what is transported | cost |
//! |---|---|---|
//! | [`ChannelTransfer`] | the levels of red, of green and of blue, each for itself | (i − j)² of levels |
//! | [`PaletteTransfer`] | the colours of a palette, in three dimensions | ‖x − y‖² of colours |
//!
//! Both fit a map of colours once, with any solver, and apply it to images of any size. Colours are sRGB as it is stored,
//! levels from 0 to 255; costs are of colours from 0 to 1.
//!
//! Sources: 002, section 2.4.4; Pitié, Kokaram and Dahyot, *Automated colour grading using colour distribution transfer*
//! (2007); Ferradans, Papadakis, Peyré and Aujol, *Regularized discrete optimal transport* (2014).

mod channels;
mod lattice;
mod palette;
mod transfer;

use crate::Error;

pub use channels::{ChannelMap, ChannelTransfer};
pub use palette::Palette;
pub use transfer::{PaletteMap, PaletteSettings, PaletteTransfer};

/// The largest level of a channel.
const MOST: f64 = 255.0;

/// An image of red, green and blue, a byte each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColourImage {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

impl ColourImage {
    /// Checks 3·height·width levels: row by row, and red, green and blue of each pixel one after another. Errors call them
    /// `argument`.
    ///
    /// # Errors
    /// Height or width 0, and another number of levels.
    pub fn new(
        argument: &'static str,
        (height, width): (usize, usize),
        pixels: impl Into<Vec<u8>>,
    ) -> Result<Self, Error> {
        let pixels = pixels.into();
        let levels = height.checked_mul(width).and_then(|n| n.checked_mul(3));
        if levels != Some(pixels.len()) || pixels.is_empty() {
            return Err(Error::Shape {
                argument,
                found: pixels.len(),
                expected: format!(
                    "an image of {height}×{width} pixels has three for each of them, and at least one pixel"
                ),
            });
        }
        Ok(Self {
            height,
            width,
            pixels,
        })
    }

    /// Height and width.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// All levels, row by row and pixel by pixel.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// How many pixels have each level of channel 0, 1 or 2.
    ///
    /// # Panics
    /// If there is no such channel.
    #[must_use]
    pub fn histogram(&self, channel: usize) -> [u64; 256] {
        assert!(channel < 3, "an image has three channels");
        let mut counts = [0; 256];
        for pixel in self.pixels.chunks_exact(3) {
            counts[usize::from(pixel[channel])] += 1;
        }
        counts
    }

    /// Another image of this size.
    fn with_pixels(&self, pixels: Vec<u8>) -> Self {
        Self { pixels, ..*self }
    }
}

/// The nearest level to a colour from 0 to 1.
fn level(colour: f64) -> u8 {
    // A cast saturates.
    (colour * MOST).round() as u8
}
