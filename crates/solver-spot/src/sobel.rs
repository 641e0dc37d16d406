//! The semantic cost of images: how far their edges are apart.

use ot_kernels::neural::dot;
use ot_nn::Number;

use crate::{Error, JointCost, Samples};

/// Columns that are taken at once: all that a strip needs stays on the stack and in the nearest cache.
const STRIP: usize = 64;

/// Σ_i Σ_j ‖ |C_i ∗ x_j| − |C_i ∗ y_j| ‖_F of two images: filters i, channels j.
///
/// C₁ = (1, 2, 1)ᵀ(−1, 0, 1) and C₂ = (1, 0, −1)ᵀ(1, 2, 1) are the Sobel filters along rows and along columns; with |·| it is
/// all the same whether ∗ turns them around. The norm is not squared: six norms of whole maps, each over all pixels.
///
/// * Rows are images channel by channel and row by row. An image of one channel beside one of more stands for as many equal
///   ones, as a grey image has in RGB. Between two images of one channel there is one term for each filter.
/// * Sums are over the (H − 2)·(W − 2) places where a filter sees pixels only: a border of zeros would be an edge of its own.
/// * The cost is 0 between images of the same contours, and a negative is as far from everything as what it was made of. It is a
///   pseudometric. Its Lipschitz constant in each image is at most 16·channels (in ‖·‖₂ of the image): each filter's is 8.
/// * Where a difference of maps is 0 and where a filter gives 0, 0 is taken of the subgradients.
///
/// A pair takes about 90 flops a pixel and channel with its gradients, and no memory: responses are computed twice instead of
/// being kept.
///
/// Source: 002, section 3.6.3; Sobel and Feldman, *A 3×3 isotropic gradient operator for image processing* (1968).
///
/// ```
/// use solver_spot::Sobel;
///
/// let sobel = Sobel::new(3, 3)?;
/// // A vertical edge from 0 to 1 has |C₁ ∗ x| = 4 and C₂ ∗ x = 0; a grey image counts as three equal channels.
/// let edge = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0];
/// assert_eq!(sobel.between(&edge, &[0.0; 9])?, 4.0);
/// assert_eq!(sobel.between(&edge, &[0.5; 27])?, 12.0);
/// # Ok::<(), solver_spot::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sobel {
    height: usize,
    width: usize,
}

impl Sobel {
    /// Between images of `height`×`width` pixels and any number of channels.
    ///
    /// # Errors
    /// A side below 3, in which no filter fits, or beyond 2^20.
    pub fn new(height: usize, width: usize) -> Result<Self, Error> {
        for (name, value) in [("height", height), ("width", width)] {
            if !(3..=1 << 20).contains(&value) {
                return Err(Error::Setting {
                    name,
                    value: value as f64,
                    rule: "must be from 3 to 2^20",
                });
            }
        }
        Ok(Self { height, width })
    }

    /// The cost of one pair.
    ///
    /// # Errors
    /// Images of other sizes, and numbers of channels that are neither equal nor 1.
    pub fn between<T: Number>(&self, x: &[T], y: &[T]) -> Result<f64, Error> {
        self.channels(x.len(), y.len())?;
        Ok(self.pair(x, y, None))
    }

    fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// How many channels are compared.
    fn channels(&self, x: usize, y: usize) -> Result<usize, Error> {
        let pixels = self.pixels();
        let whole = x > 0 && y > 0 && x.is_multiple_of(pixels) && y.is_multiple_of(pixels);
        let (of_x, of_y) = (x / pixels, y / pixels);
        if whole && (of_x == of_y || of_x == 1 || of_y == 1) {
            return Ok(of_x.max(of_y));
        }
        let (height, width) = (self.height, self.width);
        let expected =
            format!("it takes two images of {height}×{width}, of as many channels or one of 1");
        let found = format!("marginals of dimensions [{x}, {y}]");
        Err(Error::shape("cost", found, expected))
    }

    /// The cost of one pair; with `by`, its gradients, times a weight, are added there.
    fn pair<T: Number>(&self, x: &[T], y: &[T], by: Option<(T, &mut [T], &mut [T])>) -> f64 {
        let pixels = self.pixels();
        let channels = (x.len() / pixels).max(y.len() / pixels);
        // Of an image of one channel it is always that one.
        let plane = |image: usize, j: usize| {
            let at = if image == pixels { 0 } else { j * pixels };
            at..at + pixels
        };
        let mut by = by;
        let mut sum = 0.0;
        for j in 0..channels {
            let (of_x, of_y) = (plane(x.len(), j), plane(y.len(), j));
            let (x, y) = (&x[of_x.clone()], &y[of_y.clone()]);
            let norms = self.norms(x, y);
            sum += norms[0] + norms[1];
            if let Some((weight, by_x, by_y)) = &mut by {
                let factors = norms.map(|norm| {
                    let scale = T::from_f64(if norm > 0.0 { 1.0 / norm } else { 0.0 });
                    *weight * scale
                });
                self.add_gradients(factors, x, y, &mut by_x[of_x], &mut by_y[of_y]);
            }
        }
        sum
    }

    /// ‖ |C_i ∗ x| − |C_i ∗ y| ‖ of one channel, for both filters.
    fn norms<T: Number>(&self, x: &[T], y: &[T]) -> [f64; 2] {
        let mut squares = [0.0; 2];
        self.each_strip(|at, columns| {
            let (of_x, of_y) = (self.filtered(x, at, columns), self.filtered(y, at, columns));
            for i in 0..2 {
                let mut apart = [T::ZERO; STRIP];
                for c in 0..columns {
                    apart[c] = absolute(of_x[i][c]) - absolute(of_y[i][c]);
                }
                let apart = &apart[..columns];
                squares[i] += dot(apart, apart).wide();
            }
        });
        squares.map(f64::sqrt)
    }

    fn add_gradients<T: Number>(
        &self,
        factors: [T; 2],
        x: &[T],
        y: &[T],
        by_x: &mut [T],
        by_y: &mut [T],
    ) {
        self.each_strip(|at, columns| {
            let mut of_x = self.filtered(x, at, columns);
            let mut of_y = self.filtered(y, at, columns);
            for i in 0..2 {
                for c in 0..columns {
                    let (u, v) = (of_x[i][c], of_y[i][c]);
                    let slope = factors[i] * (absolute(u) - absolute(v));
                    of_x[i][c] = slope * sign(u);
                    of_y[i][c] = -(slope * sign(v));
                }
            }
            self.pull(&of_x, at, columns, by_x);
            self.pull(&of_y, at, columns, by_y);
        });
    }

    /// Calls `strip` with the upper left pixel of the first patch of each strip of patches, and how many patches are in it.
    fn each_strip(&self, mut strip: impl FnMut(usize, usize)) {
        let along = self.width - 2;
        for row in 0..self.height - 2 {
            for first in (0..along).step_by(STRIP) {
                strip(row * self.width + first, STRIP.min(along - first));
            }
        }
    }

    /// C₁ ∗ and C₂ ∗ an image over a strip.
    fn filtered<T: Number>(&self, image: &[T], at: usize, columns: usize) -> [[T; STRIP]; 2] {
        let row = |k: usize| &image[at + k * self.width..][..columns + 2];
        let (top, middle, bottom) = (row(0), row(1), row(2));
        // Across the rows first: (1, 2, 1) and (1, 0, −1).
        let (mut smooth, mut slope) = ([T::ZERO; STRIP + 2], [T::ZERO; STRIP + 2]);
        for c in 0..columns + 2 {
            let twice = middle[c] + middle[c];
            smooth[c] = top[c] + twice + bottom[c];
            slope[c] = top[c] - bottom[c];
        }
        let mut out = [[T::ZERO; STRIP]; 2];
        for c in 0..columns {
            let twice = slope[c + 1] + slope[c + 1];
            out[0][c] = smooth[c + 2] - smooth[c];
            out[1][c] = slope[c] + twice + slope[c + 2];
        }
        out
    }

    /// The transpose of [`filtered`](Self::filtered), added to `image`.
    fn pull<T: Number>(&self, by: &[[T; STRIP]; 2], at: usize, columns: usize, image: &mut [T]) {
        let (mut smooth, mut slope) = ([T::ZERO; STRIP + 2], [T::ZERO; STRIP + 2]);
        for c in 0..columns {
            smooth[c + 2] += by[0][c];
            slope[c + 2] += by[1][c];
        }
        for c in 0..columns {
            smooth[c] -= by[0][c];
            slope[c] += by[1][c];
            slope[c + 1] += by[1][c] + by[1][c];
        }
        for (k, row) in image[at..].chunks_mut(self.width).take(3).enumerate() {
            for (c, pixel) in row[..columns + 2].iter_mut().enumerate() {
                *pixel += match k {
                    0 => smooth[c] + slope[c],
                    1 => smooth[c] + smooth[c],
                    _ => smooth[c] - slope[c],
                };
            }
        }
    }
}

impl<T: Number> JointCost<T> for Sobel {
    fn check(&self, dims: &[usize]) -> Result<(), Error> {
        if let [x, y] = *dims {
            return self.channels(x, y).map(|_| ());
        }
        let found = format!("marginals of dimensions {dims:?}");
        Err(Error::shape("cost", found, "it takes two"))
    }

    fn mean(&self, samples: &Samples<T>, by: &mut [Vec<T>]) -> f64 {
        let [by_x, by_y] = by else {
            return f64::NAN;
        };
        let count = samples.len() as f64;
        let weight = T::from_f64(1.0 / count);
        let (dim_x, dim_y) = (samples.dims()[0], samples.dims()[1]);
        let by = by_x
            .chunks_exact_mut(dim_x)
            .zip(by_y.chunks_exact_mut(dim_y));
        let mut sum = 0.0;
        for (i, (by_x, by_y)) in by.enumerate() {
            let (x, y) = (samples.row(0, i), samples.row(1, i));
            sum += self.pair(x, y, Some((weight, by_x, by_y)));
        }
        sum / count
    }
}

fn absolute<T: Number>(x: T) -> T {
    if x < T::ZERO { -x } else { x }
}

fn sign<T: Number>(x: T) -> T {
    if x > T::ZERO {
        T::from_f64(1.0)
    } else if x < T::ZERO {
        T::from_f64(-1.0)
    } else {
        T::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    fn noise(rng: &mut Pcg64, count: usize) -> Vec<f64> {
        (0..count)
            .map(|_| rng.random::<f64>() * 2.0 - 1.0)
            .collect()
    }

    /// The formula, pixel by pixel.
    fn by_hand(x: &[f64], y: &[f64], (height, width): (usize, usize), channels: usize) -> f64 {
        let filters = [
            [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]],
            [[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]],
        ];
        let pixels = height * width;
        let plane = |image: &[f64], j: usize| {
            let j = if image.len() == pixels { 0 } else { j };
            image[j * pixels..(j + 1) * pixels].to_vec()
        };
        let mut sum = 0.0;
        for filter in filters {
            for j in 0..channels {
                let (x, y) = (plane(x, j), plane(y, j));
                let mut square = 0.0;
                for r in 0..height - 2 {
                    for c in 0..width - 2 {
                        let at = |image: &[f64]| -> f64 {
                            let mut out = 0.0;
                            for (a, weights) in filter.iter().enumerate() {
                                for (b, weight) in weights.iter().enumerate() {
                                    out += weight * image[(r + a) * width + c + b];
                                }
                            }
                            out.abs()
                        };
                        square += (at(&x) - at(&y)).powi(2);
                    }
                }
                sum += square.sqrt();
            }
        }
        sum
    }

    fn samples(x: &[f64], y: &[f64], count: usize) -> Samples<f64> {
        let mut samples = Samples::room(&[x.len() / count, y.len() / count], count);
        samples.of = vec![x.to_vec(), y.to_vec()];
        samples
    }

    #[test]
    fn it_is_the_formula() {
        let mut rng = Pcg64::seed_from_u64(1);
        // Wider than a strip, too.
        for (height, width) in [(3, 3), (5, 8), (4, 150)] {
            let sobel = Sobel::new(height, width).expect("it fits");
            for (of_x, of_y) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
                let x = noise(&mut rng, of_x * height * width);
                let y = noise(&mut rng, of_y * height * width);
                let exact = by_hand(&x, &y, (height, width), of_x.max(of_y));
                let found = sobel.between(&x, &y).expect("it fits");
                assert!((found - exact).abs() < 1e-12 * exact, "{found} {exact}");
                let narrow = |v: &[f64]| -> Vec<f32> { v.iter().map(|v| *v as f32).collect() };
                let found = sobel.between(&narrow(&x), &narrow(&y)).expect("it fits");
                assert!((found - exact).abs() < 1e-5 * exact, "{found} {exact}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_central_differences() {
        let mut rng = Pcg64::seed_from_u64(2);
        let (height, width, count) = (4, 70, 2);
        let sobel = Sobel::new(height, width).expect("it fits");
        for (of_x, of_y) in [(1, 3), (3, 3), (1, 1), (3, 1)] {
            let size = count * height * width;
            let (x, y) = (noise(&mut rng, of_x * size), noise(&mut rng, of_y * size));
            let mut by = vec![vec![0.5; x.len()], vec![-0.25; y.len()]];
            let value = sobel.mean(&samples(&x, &y, count), &mut by);
            let again = |x: &[f64], y: &[f64]| {
                let mut by = vec![vec![0.0; x.len()], vec![0.0; y.len()]];
                sobel.mean(&samples(x, y, count), &mut by)
            };
            assert_eq!(value, again(&x, &y));
            let h = 1e-6;
            for k in (0..x.len()).step_by(7) {
                let (mut up, mut down) = (x.clone(), x.clone());
                up[k] += h;
                down[k] -= h;
                let slope = (again(&up, &y) - again(&down, &y)) / (2.0 * h);
                // Gradients are added.
                assert!(
                    (slope + 0.5 - by[0][k]).abs() < 1e-6,
                    "{slope} {}",
                    by[0][k]
                );
            }
            for k in (0..y.len()).step_by(11) {
                let (mut up, mut down) = (y.clone(), y.clone());
                up[k] += h;
                down[k] -= h;
                let slope = (again(&x, &up) - again(&x, &down)) / (2.0 * h);
                assert!(
                    (slope - 0.25 - by[1][k]).abs() < 1e-6,
                    "{slope} {}",
                    by[1][k]
                );
            }
        }
    }

    #[test]
    fn negatives_and_shifts_have_the_same_edges() {
        let mut rng = Pcg64::seed_from_u64(3);
        let sobel = Sobel::new(9, 9).expect("it fits");
        let x = noise(&mut rng, 81);
        let other: Vec<f64> = x.iter().map(|v| 0.25 - v).collect();
        let apart = sobel.between(&x, &other).expect("it fits");
        assert!(apart < 1e-12, "{apart}");
    }

    /// 0 where neither norm nor |·| has a slope, and never a NaN.
    #[test]
    fn at_kinks_the_gradient_is_zero() {
        let sobel = Sobel::new(5, 5).expect("it fits");
        let mut rng = Pcg64::seed_from_u64(4);
        let x = noise(&mut rng, 25);
        for (x, y) in [(x.clone(), x.clone()), (vec![0.5; 25], x)] {
            let mut by = vec![vec![0.0; 25]; 2];
            sobel.mean(&samples(&x, &y, 1), &mut by);
            assert!(by[0].iter().all(|g| *g == 0.0), "{by:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let said = |dims: &[usize]| {
            let sobel = Sobel::new(4, 4).expect("it fits");
            let said = JointCost::<f32>::check(&sobel, dims);
            said.err().map(|e| e.to_string())
        };
        assert_eq!(said(&[16, 48]), None);
        assert_eq!(said(&[48, 48]), None);
        for dims in [&[16, 47][..], &[32, 48], &[0, 16], &[16], &[16, 16, 16]] {
            assert!(
                said(dims).is_some_and(|said| said.starts_with("`cost`")),
                "{dims:?}"
            );
        }
        let small = Sobel::new(4, 2).expect_err("it is too narrow");
        assert_eq!(small.to_string(), "`width` = 2: must be from 3 to 2^20");
    }
}
