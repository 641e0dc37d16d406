//! Convolutions and their transposes: products with the patches of one image at a time.

use ot_kernels::gemm::{Matrix, multiply};
use ot_kernels::neural::{add_row_sums, finish_rows};
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
struct Patches {
    /// Of the larger image: channels, rows, columns.
    image: (usize, usize, usize),
    /// Rows and columns of patches.
    grid: (usize, usize),
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Patches {
    /// Numbers in a patch.
    fn depth(&self) -> usize {
        self.image.0 * self.kernel * self.kernel
    }

    fn count(&self) -> usize {
        self.grid.0 * self.grid.1
    }

    fn pixels(&self) -> usize {
        self.image.0 * self.image.1 * self.image.2
    }

    /// Each patch is one pixel: the image is its own patches.
    fn plain(&self) -> bool {
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

    /// Row by row the numbers at one offset of all patches.
    fn unfold<T: Number>(&self, image: &[T], patches: &mut [T]) {
        let along = self.grid.1;
        self.each_row(|at, (first, end), from| {
            let row = &mut patches[at..at + along];
            row[..first].fill(T::ZERO);
            row[end..].fill(T::ZERO);
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
    fn fold<T: Number>(&self, patches: &[T], image: &mut [T]) {
        self.each_row(|at, (first, end), from| {
            let seen = &patches[at + first..at + end];
            if self.stride == 1 {
                let pixels = &mut image[from..from + seen.len()];
                pixels.iter_mut().zip(seen).for_each(|(p, s)| *p += *s);
            } else if !seen.is_empty() {
                let pixels = image[from..].iter_mut().step_by(self.stride);
                pixels.zip(seen).for_each(|(p, s)| *p += *s);
            }
        });
    }
}

/// A layer's geometry: a convolution takes images to one sum a patch, its transpose takes such sums to images.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    patches: Patches,
    /// Channels on the side of the sums.
    filters: usize,
    transposed: bool,
}

impl Convolution {
    pub(crate) fn new(conv: Conv, transposed: bool) -> Self {
        let (channels, height, width) = (conv.channels, conv.height, conv.width);
        let (image, filters, grid) = if transposed {
            (conv.transposed_output(), channels, (height, width))
        } else {
            let (filters, down, along) = conv.output();
            ((channels, height, width), filters, (down, along))
        };
        Self {
            patches: Patches {
                image,
                grid,
                kernel: conv.kernel,
                stride: conv.stride,
                padding: conv.padding,
            },
            filters,
            transposed,
        }
    }

    /// Lengths of the rows that come in and go out.
    pub(crate) fn shape(&self) -> (usize, usize) {
        let (image, sums) = (self.patches.pixels(), self.filters * self.patches.count());
        if self.transposed {
            (sums, image)
        } else {
            (image, sums)
        }
    }

    /// Rows and columns of the kernel as a matrix: channels on the side of the sums, by numbers in a patch.
    pub(crate) fn matrix(&self) -> (usize, usize) {
        (self.filters, self.patches.depth())
    }

    pub(crate) fn biases(&self) -> usize {
        if self.transposed {
            self.patches.image.0
        } else {
            self.filters
        }
    }

    fn kernel<'a, T: Number>(&self, parameters: &'a [T]) -> Matrix<'a, T> {
        let (rows, columns) = self.matrix();
        Matrix::new(&parameters[..rows * columns], rows, columns)
    }

    fn sums<'a, T: Number>(&self, row: &'a [T]) -> Matrix<'a, T> {
        Matrix::new(row, self.filters, self.patches.count())
    }

    /// The patches of an image: those of a convolution with a pixel each are the image.
    fn unfolded<'a, T: Number>(&self, image: &'a [T], room: &'a mut [T]) -> Matrix<'a, T> {
        let (depth, count) = (self.patches.depth(), self.patches.count());
        if self.patches.plain() {
            return Matrix::new(image, depth, count);
        }
        self.patches.unfold(image, room);
        Matrix::new(room, depth, count)
    }

    /// Kᵀ of the sums, folded to an image.
    fn folded<T: Number>(
        &self,
        kernel: Matrix<'_, T>,
        factor: T,
        sums: &[T],
        room: &mut [T],
        image: &mut [T],
    ) {
        let (turned, sums) = (kernel.turned(), self.sums(sums));
        if self.patches.plain() {
            multiply(factor, turned, sums, false, image);
            return;
        }
        multiply(factor, turned, sums, false, room);
        image.fill(T::ZERO);
        self.patches.fold(room, image);
    }

    fn room<'a, T: Number>(&self, room: &'a mut Vec<T>) -> &'a mut [T] {
        let needed = if self.patches.plain() {
            0
        } else {
            self.patches.depth() * self.patches.count()
        };
        if room.len() < needed {
            room.resize(needed, T::ZERO);
        }
        &mut room[..needed]
    }

    /// The convolution with factor·K, or its transpose, plus b, image by image, and a rectifier where there is a slope.
    pub(crate) fn forward<T: Number>(
        &self,
        parameters: &[T],
        factor: T,
        slope: Option<T>,
        x: &[T],
        room: &mut Vec<T>,
        out: &mut [T],
    ) {
        let (kernel, (inputs, outputs)) = (self.kernel(parameters), self.shape());
        let biases = &parameters[parameters.len() - self.biases()..];
        let room = self.room(room);
        for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(outputs)) {
            if self.transposed {
                self.folded(kernel, factor, x, room, out);
            } else {
                let patches = self.unfolded(x, room);
                multiply(factor, kernel, patches, false, out);
            }
            finish_rows(biases, slope, out);
        }
    }

    /// The transpose of [`forward`](Self::forward), without b.
    pub(crate) fn by_x<T: Number>(
        &self,
        parameters: &[T],
        factor: T,
        by_out: &[T],
        room: &mut Vec<T>,
        by_x: &mut [T],
    ) {
        let (kernel, (inputs, outputs)) = (self.kernel(parameters), self.shape());
        let room = self.room(room);
        let images = by_out.chunks_exact(outputs);
        for (by_out, by_x) in images.zip(by_x.chunks_exact_mut(inputs)) {
            if self.transposed {
                let patches = self.unfolded(by_out, room);
                multiply(factor, kernel, patches, false, by_x);
            } else {
                self.folded(kernel, factor, by_out, room, by_x);
            }
        }
    }

    /// Sums over images, in their order, of products of sums with patches; and of what goes out, for b.
    pub(crate) fn by_parameters<T: Number>(
        &self,
        x: &[T],
        by_out: &[T],
        room: &mut Vec<T>,
        by_parameters: &mut [T],
    ) {
        let (inputs, outputs) = self.shape();
        let biases = self.biases();
        let (by_kernel, by_biases) = by_parameters.split_at_mut(by_parameters.len() - biases);
        by_kernel.fill(T::ZERO);
        by_biases.fill(T::ZERO);
        let room = self.room(room);
        for (x, by_out) in x.chunks_exact(inputs).zip(by_out.chunks_exact(outputs)) {
            let (sums, image) = if self.transposed {
                (x, by_out)
            } else {
                (by_out, x)
            };
            let patches = self.unfolded(image, room);
            let one = T::from_f64(1.0);
            multiply(one, self.sums(sums), patches.turned(), true, by_kernel);
            add_row_sums(by_out, outputs / biases, by_biases);
        }
    }
}
