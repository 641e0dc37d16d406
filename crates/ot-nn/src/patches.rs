//! Convolutions as users state them, and which numbers of an image are in which patch.

use serde::{Deserialize, Serialize};

use crate::Number;

/// A convolution of images: `filters` sums over square patches of all channels. Rows are images, channel by channel and row by
/// row (C×H×W), so that no layer is needed between images and plain rows.
///
/// As [`Layer::convolution`](crate::Layer::convolution) it makes images of ⌊(height + 2·padding − kernel)/stride⌋ + 1 rows; as
/// [`Layer::transposed_convolution`](crate::Layer::transposed_convolution), which makes them larger, of
/// (height − 1)·stride + kernel − 2·padding. Widths alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv {
    /// Channels that come in.
    pub channels: usize,
    /// Rows of the images that come in.
    pub height: usize,
    /// Columns of the images that come in.
    pub width: usize,
    /// Channels that go out.
    pub filters: usize,
    /// Rows and columns of a patch.
    pub kernel: usize,
    /// From patch to patch, in rows and in columns.
    pub stride: usize,
    /// Rows and columns of zeros around the larger image, below `kernel`.
    pub padding: usize,
}

impl Conv {
    /// Channels, rows and columns that go out of the convolution.
    #[must_use]
    pub fn output(&self) -> (usize, usize, usize) {
        let along = |n: usize| {
            let padded = n + 2 * self.padding;
            padded
                .checked_sub(self.kernel)
                .map_or(0, |n| n / self.stride.max(1) + 1)
        };
        (self.filters, along(self.height), along(self.width))
    }

    /// Channels, rows and columns that go out of the transposed convolution.
    #[must_use]
    pub fn transposed_output(&self) -> (usize, usize, usize) {
        let along = |n: usize| {
            let whole = n.saturating_sub(1) * self.stride + self.kernel;
            whole.saturating_sub(2 * self.padding)
        };
        (self.filters, along(self.height), along(self.width))
    }

    pub(crate) fn rule(&self) -> Option<(&'static str, f64, &'static str)> {
        let counts = [
            ("channels", self.channels),
            ("height", self.height),
            ("width", self.width),
            ("filters", self.filters),
            ("kernel", self.kernel),
            ("stride", self.stride),
        ];
        for (name, value) in counts {
            // What fits in a memory at all, and keeps the products below within a usize.
            if value == 0 || value >= 1 << 20 {
                return Some((name, value as f64, "must be at least 1 and below 2^20"));
            }
        }
        if self.padding >= self.kernel {
            let rule = "must be below `kernel`: patches of zeros alone say nothing";
            return Some(("padding", self.padding as f64, rule));
        }
        None
    }
}

/// Which numbers of an image are in which patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patches {
    /// Of the larger image: channels, rows, columns.
    pub(crate) image: (usize, usize, usize),
    /// Rows and columns of patches.
    pub(crate) grid: (usize, usize),
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Patches {
    /// Numbers in a patch.
    pub(crate) fn depth(&self) -> usize {
        self.image.0 * self.kernel * self.kernel
    }

    pub(crate) fn count(&self) -> usize {
        self.grid.0 * self.grid.1
    }

    pub(crate) fn pixels(&self) -> usize {
        self.image.0 * self.image.1 * self.image.2
    }

    /// Each patch is one pixel: the image is its own patches.
    pub(crate) fn plain(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// The patches along one axis that see a pixel at offset `k` of theirs: the first, and the one after the last.
    fn inside(&self, k: usize, patches: usize, pixels: usize) -> (usize, usize) {
        let first = self.padding.saturating_sub(k).div_ceil(self.stride);
        let end = (pixels + self.padding).saturating_sub(k);
        (
            first.min(patches),
            end.div_ceil(self.stride).clamp(first.min(patches), patches),
        )
    }

    /// Calls `row` with what is in one row of patches at one offset: where it stands among all patches, how many patches
    /// begin with padding and where those end that see the image, and where the first pixel is (any, if there is none).
    fn each_row(&self, mut row: impl FnMut(usize, (usize, usize), usize)) {
        let ((channels, height, width), (down, along)) = (self.image, self.grid);
        let mut at = 0;
        for channel in 0..channels {
            for ky in 0..self.kernel {
                let rows = self.inside(ky, down, height);
                for kx in 0..self.kernel {
                    let columns = self.inside(kx, along, width);
                    for y in 0..down {
                        if y < rows.0 || y >= rows.1 || columns.0 == columns.1 {
                            row(at, (along, along), 0);
                        } else {
                            let y = y * self.stride + ky - self.padding;
                            let x = columns.0 * self.stride + kx - self.padding;
                            row(at, columns, (channel * height + y) * width + x);
                        }
                        at += along;
                    }
                }
            }
        }
    }

    /// Row by row the numbers at one offset of all patches, of `G` images at once whose pixels stand side by side.
    pub(crate) fn unfold<T: Number, const G: usize>(&self, image: &[T], patches: &mut [T]) {
        let along = self.grid.1;
        let (image, patches) = (image.as_chunks::<G>().0, patches.as_chunks_mut::<G>().0);
        self.each_row(|at, (first, end), from| {
            let row = &mut patches[at..at + along];
            row[..first].fill([T::ZERO; G]);
            row[end..].fill([T::ZERO; G]);
            let seen = &mut row[first..end];
            if self.stride == 1 {
                seen.copy_from_slice(&image[from..from + seen.len()]);
            } else if !seen.is_empty() {
                let pixels = image[from..].iter().step_by(self.stride);
                seen.iter_mut().zip(pixels).for_each(|(s, p)| *s = *p);
            }
        });
    }

    /// The transpose: what all patches say of a pixel is added to it.
    pub(crate) fn fold<T: Number, const G: usize>(&self, patches: &[T], image: &mut [T]) {
        let (patches, image) = (patches.as_chunks::<G>().0, image.as_chunks_mut::<G>().0);
        let add = |pixel: &mut [T; G], seen: &[T; G]| {
            for g in 0..G {
                pixel[g] += seen[g];
            }
        };
        self.each_row(|at, (first, end), from| {
            let seen = &patches[at + first..at + end];
            if self.stride == 1 {
                let pixels = &mut image[from..from + seen.len()];
                pixels.iter_mut().zip(seen).for_each(|(p, s)| add(p, s));
            } else if !seen.is_empty() {
                let pixels = image[from..].iter_mut().step_by(self.stride);
                pixels.zip(seen).for_each(|(p, s)| add(p, s));
            }
        });
    }
}
