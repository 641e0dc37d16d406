//! Convolutions and their transposes: products with the patches of a few images at a time.
//!
//! Pixels of [`GROUP`] images stand side by side, so that copies of single pixels are copies of a register, and products are as
//! long as that makes them. Where the patches of a group would leave the outer cache, and for the last few images, it is
//! one image at a time.

use ot_kernels::gemm::{Matrix, multiply};
use ot_kernels::neural::{add_row_sums, finish_rows, turn};

use crate::Number;
use crate::layer::Ending;
use crate::patches::{Conv, Patches};

/// Images that are side by side.
const GROUP: usize = 16;

/// Bytes that the patches of a group may take.
const CACHE: usize = 4 << 20;

/// Room for the images of a group on both sides, and for their patches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room<T> {
    sums: Vec<T>,
    image: Vec<T>,
    patches: Vec<T>,
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

    /// Numbers on the side of the sums, of one image.
    fn sums(&self) -> usize {
        self.filters * self.patches.count()
    }

    /// Lengths of the rows that come in and go out.
    pub(crate) fn shape(&self) -> (usize, usize) {
        if self.transposed {
            (self.sums(), self.patches.pixels())
        } else {
            (self.patches.pixels(), self.sums())
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

    /// How many of so many images are taken in groups; the others are taken one by one.
    fn grouped<T>(&self, images: usize) -> usize {
        let bytes = self.patches.depth() * self.patches.count() * GROUP * size_of::<T>();
        if bytes > CACHE {
            return 0;
        }
        // A group that is half empty takes as long as a full one, and still less than its images one by one.
        let rest = images % GROUP;
        if rest > GROUP / 2 {
            images
        } else {
            images - rest
        }
    }

    /// The convolution with factor·K, or its transpose, plus b, and a rectifier where there is a slope; or without both.
    pub(crate) fn forward<T: Number>(
        &self,
        parameters: &[T],
        factor: T,
        ending: Ending<T>,
        x: &[T],
        room: &mut Room<T>,
        out: &mut [T],
    ) {
        let (inputs, outputs) = self.shape();
        let grouped = self.grouped::<T>(x.len() / inputs);
        let (x, rest) = x.split_at(grouped * inputs);
        let (out, out_rest) = out.split_at_mut(grouped * outputs);
        let biases = &parameters[parameters.len() - self.biases()..];
        let kernel = self.kernel(parameters);
        let groups = x.chunks(GROUP * inputs);
        for (x, out) in groups.zip(out.chunks_mut(GROUP * outputs)) {
            let Room {
                sums,
                image,
                patches,
            } = &mut *room;
            let (from, to) = if self.transposed {
                (sums, image)
            } else {
                (image, sums)
            };
            let from = gather(x, inputs, from);
            let to = sized(to, GROUP * outputs);
            self.map::<T, GROUP>(kernel, factor, self.transposed, from, patches, to);
            finish(ending, biases, to);
            scatter(to, outputs, out);
        }
        let images = rest.chunks_exact(inputs);
        for (x, out) in images.zip(out_rest.chunks_exact_mut(outputs)) {
            let patches = &mut room.patches;
            self.map::<T, 1>(kernel, factor, self.transposed, x, patches, out);
            finish(ending, biases, out);
        }
    }

    /// The transpose of [`forward`](Self::forward), without b.
    pub(crate) fn by_x<T: Number>(
        &self,
        parameters: &[T],
        factor: T,
        by_out: &[T],
        room: &mut Room<T>,
        by_x: &mut [T],
    ) {
        let (inputs, outputs) = self.shape();
        let grouped = self.grouped::<T>(by_out.len() / outputs);
        let (by_out, rest) = by_out.split_at(grouped * outputs);
        let (by_x, by_rest) = by_x.split_at_mut(grouped * inputs);
        let kernel = self.kernel(parameters);
        let groups = by_out.chunks(GROUP * outputs);
        for (by_out, by_x) in groups.zip(by_x.chunks_mut(GROUP * inputs)) {
            let Room {
                sums,
                image,
                patches,
            } = &mut *room;
            let (from, to) = if self.transposed {
                (image, sums)
            } else {
                (sums, image)
            };
            let from = gather(by_out, outputs, from);
            let to = sized(to, GROUP * inputs);
            self.map::<T, GROUP>(kernel, factor, !self.transposed, from, patches, to);
            scatter(to, inputs, by_x);
        }
        let images = rest.chunks_exact(outputs);
        for (by_out, by_x) in images.zip(by_rest.chunks_exact_mut(inputs)) {
            let patches = &mut room.patches;
            self.map::<T, 1>(kernel, factor, !self.transposed, by_out, patches, by_x);
        }
    }

    /// Sums over images, in their order, of products of sums with patches; and of what goes out, for b. Or of tangents, added
    /// and without b.
    pub(crate) fn by_parameters<T: Number>(
        &self,
        x: &[T],
        by_out: &[T],
        tangents: bool,
        room: &mut Room<T>,
        by_parameters: &mut [T],
    ) {
        let (inputs, outputs) = self.shape();
        let grouped = self.grouped::<T>(x.len() / inputs);
        if !tangents {
            by_parameters.fill(T::ZERO);
        }
        let biases = by_parameters.len() - self.biases();
        let (by_kernel, by_biases) = by_parameters.split_at_mut(biases);
        let (x, rest) = x.split_at(grouped * inputs);
        let (by_out, by_rest) = by_out.split_at(grouped * outputs);
        let groups = x.chunks(GROUP * inputs);
        for (x, by_out) in groups.zip(by_out.chunks(GROUP * outputs)) {
            let Room {
                sums,
                image,
                patches,
            } = &mut *room;
            let (from, to) = if self.transposed {
                (sums, image)
            } else {
                (image, sums)
            };
            let (x, by_out) = (gather(x, inputs, from), gather(by_out, outputs, to));
            self.add::<T, GROUP>(x, by_out, patches, by_kernel);
            if !tangents {
                add_row_sums(by_out, by_out.len() / by_biases.len(), by_biases);
            }
        }
        let images = rest.chunks_exact(inputs);
        for (x, by_out) in images.zip(by_rest.chunks_exact(outputs)) {
            self.add::<T, 1>(x, by_out, &mut room.patches, by_kernel);
            if !tangents {
                add_row_sums(by_out, by_out.len() / by_biases.len(), by_biases);
            }
        }
    }

    fn kernel<'a, T: Number>(&self, parameters: &'a [T]) -> Matrix<'a, T> {
        let (rows, columns) = self.matrix();
        Matrix::new(&parameters[..rows * columns], rows, columns)
    }

    /// Of `G` images side by side: their patches times the kernel, or, folded, the kernel's transpose times sums.
    fn map<T: Number, const G: usize>(
        &self,
        kernel: Matrix<'_, T>,
        factor: T,
        folded: bool,
        from: &[T],
        room: &mut Vec<T>,
        to: &mut [T],
    ) {
        if !folded {
            let patches = self.unfolded::<T, G>(from, room);
            multiply(factor, kernel, patches, false, to);
            return;
        }
        let columns = self.patches.count() * G;
        let sums = Matrix::new(from, self.filters, columns);
        if self.patches.plain() {
            multiply(factor, kernel.turned(), sums, false, to);
            return;
        }
        let patches = sized(room, self.patches.depth() * columns);
        multiply(factor, kernel.turned(), sums, false, patches);
        to.fill(T::ZERO);
        self.patches.fold::<T, G>(patches, to);
    }

    /// Adds the products of sums with patches of `G` images side by side.
    fn add<T: Number, const G: usize>(
        &self,
        x: &[T],
        by_out: &[T],
        room: &mut Vec<T>,
        by_kernel: &mut [T],
    ) {
        let (sums, image) = if self.transposed {
            (x, by_out)
        } else {
            (by_out, x)
        };
        let sums = Matrix::new(sums, self.filters, self.patches.count() * G);
        let patches = self.unfolded::<T, G>(image, room);
        multiply(T::from_f64(1.0), sums, patches.turned(), true, by_kernel);
    }

    /// The patches of `G` images side by side; those with one pixel each are the image.
    fn unfolded<'a, T: Number, const G: usize>(
        &self,
        image: &'a [T],
        room: &'a mut Vec<T>,
    ) -> Matrix<'a, T> {
        let (depth, columns) = (self.patches.depth(), self.patches.count() * G);
        if self.patches.plain() {
            return Matrix::new(image, depth, columns);
        }
        let patches = sized(room, depth * columns);
        self.patches.unfold::<T, G>(image, patches);
        Matrix::new(patches, depth, columns)
    }
}

fn finish<T: Number>(ending: Ending<T>, biases: &[T], out: &mut [T]) {
    if let Ending::Bias(slope) = ending {
        finish_rows(biases, slope, out);
    }
}

fn sized<T: Number>(room: &mut Vec<T>, count: usize) -> &mut [T] {
    if room.len() < count {
        room.resize(count, T::ZERO);
    }
    &mut room[..count]
}

/// Rows of `width`, at most a group of them, side by side; zeros where there are fewer.
fn gather<'a, T: Number>(rows: &[T], width: usize, room: &'a mut Vec<T>) -> &'a [T] {
    let (count, to) = (rows.len() / width, sized(room, GROUP * width));
    if count < GROUP {
        to.fill(T::ZERO);
    }
    turn(rows, width, (count, width), to, GROUP);
    to
}

/// Back to rows of `width`.
fn scatter<T: Number>(group: &[T], width: usize, rows: &mut [T]) {
    let count = rows.len() / width;
    turn(group, GROUP, (width, count), rows, width);
}
