//! A small convolution before the transport, learned through the plan.
//!
//! Samples x_i and labelled representatives y_j are filtered by f, a few weights that all of them share, and then coupled
//! at h(‖f∗x_i − f∗y_j‖). What f should maximize is the mass between equal labels,
//!
//! ```text
//! L(f) = Σ_{label i = label j} γ_ij(f)
//! ```
//!
//! ([`CouplingLoss`]), and what moves f is its derivative through the entropic plan, implicitly: one linear system in
//! place of the two solves for each weight that finite differences take. [`FilterLearner`] climbs it on draws of the
//! training samples.
//!
//! Filtered images are points here, whose distances are the ground cost, and not measures: weights may be negative, and
//! nothing has to be cut off. What has to be normalized is their size, because a larger filter is a smaller ε: the cost
//! is divided by its mean over all pairs, so that ε is a part of the mean cost, and the derivative goes through that
//! quotient as well.
//!
//! For retrieval, filtered images are measures: [`RetrievalLoss`] is the loss in costs, whose derivative is that of the
//! envelope theorem, and [`RetrievalFilterLearner`] lowers it. [`Filter::images`] makes measures with any filter.
//!
//! Source: 000, section 3.4, loss (3.1), which used finite differences and found them impractical.

mod learn;
mod loss;
mod retrieval;

pub use learn::{
    FilterLearner, FilterSettings, LearnedFilter, RetrievalFilterLearner, RetrievalFilterSettings,
};
pub use loss::CouplingLoss;
pub use retrieval::RetrievalLoss;

use crate::{Error, Images};

/// side×side weights, row by row, of a convolution with zeros around the image:
/// (f∗x)[r, c] = Σ_{p, q} f[p, q]·x[r + p − side/2, c + q − side/2].
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    side: usize,
    weights: Vec<f64>,
}

impl Filter {
    /// Checks side² `weights`, row by row.
    ///
    /// # Errors
    /// An even side, another number of weights, weights that are not finite or all 0.
    pub fn new(side: usize, weights: impl Into<Vec<f64>>) -> Result<Self, Error> {
        let weights = weights.into();
        odd(side)?;
        if side.checked_mul(side) != Some(weights.len()) {
            return Err(Error::Shape {
                argument: "weights",
                found: weights.len(),
                expected: format!("a filter of side {side} needs its square"),
            });
        }
        if let Some(at) = weights.iter().position(|w| !w.is_finite()) {
            let name = format!("weights[{at}]");
            return Err(Error::setting(&name, weights[at], "must be finite"));
        }
        if weights.iter().all(|w| *w == 0.0) {
            let rule = "must not all be 0: nothing is left of an image";
            return Err(Error::setting("weights", 0, rule));
        }
        Ok(Self { side, weights })
    }

    /// 1 in the middle: images stay what they are.
    ///
    /// # Errors
    /// An even side.
    pub fn identity(side: usize) -> Result<Self, Error> {
        odd(side)?;
        let cells = side.saturating_mul(side);
        let mut weights = vec![0.0; cells];
        weights[cells / 2] = 1.0;
        Ok(Self { side, weights })
    }

    /// Rows, and columns.
    #[must_use]
    pub fn side(&self) -> usize {
        self.side
    }

    /// The weights, row by row.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The same filter with weights that add up to 1 in absolute value.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let size: f64 = self.weights.iter().map(|w| w.abs()).sum();
        Self {
            weights: self.weights.iter().map(|w| w / size).collect(),
            ..*self
        }
    }

    /// The filtered pixels of all images, image after image: vectors that may be negative. O(pixels·side²).
    #[must_use]
    pub fn apply(&self, images: &Images) -> Vec<f64> {
        let (height, width) = images.size();
        let mut out = vec![0.0; images.pixels().len()];
        let cells = images.cells();
        for (out, x) in out
            .chunks_exact_mut(cells)
            .zip(images.pixels().chunks_exact(cells))
        {
            for (k, &weight) in self.weights.iter().enumerate() {
                let tap = Tap::new(k, self.side, height, width);
                tap.rows(|to, from| {
                    for (out, x) in out[to].iter_mut().zip(&x[from]) {
                        *out += weight * x;
                    }
                });
            }
        }
        out
    }

    /// The filtered images as measures: what is negative is cut off (max(0, ·)), and masses are normalized where they are
    /// transported.
    ///
    /// # Errors
    /// An image of which nothing positive is left.
    pub fn images(&self, images: &Images) -> Result<Images, Error> {
        let mut pixels = self.apply(images);
        pixels.iter_mut().for_each(|p| *p = p.max(0.0));
        Images::new("filtered images", images.size(), pixels)
    }

    /// What a derivative in all filtered pixels is in the weights: ∂f[p, q] = Σ ∂(f∗x)[r, c]·x[r + p − …, c + q − …],
    /// added to `out`.
    fn pull_back(&self, images: &Images, by_pixel: &[f64], out: &mut [f64]) {
        let (height, width) = images.size();
        let cells = images.cells();
        let pairs = by_pixel
            .chunks_exact(cells)
            .zip(images.pixels().chunks_exact(cells));
        for (g, x) in pairs {
            for (k, out) in out.iter_mut().enumerate() {
                Tap::new(k, self.side, height, width).rows(|to, from| {
                    let products = g[to].iter().zip(&x[from]).map(|(g, x)| g * x);
                    *out += products.sum::<f64>();
                });
            }
        }
    }
}

fn odd(side: usize) -> Result<(), Error> {
    if side % 2 == 1 {
        return Ok(());
    }
    let rule = "must be odd: a filter has a middle";
    Err(Error::setting("side", side, rule))
}

/// One weight of a filter: which pixel of an image it takes to which.
struct Tap {
    down: isize,
    right: isize,
    height: usize,
    width: usize,
}

impl Tap {
    fn new(k: usize, side: usize, height: usize, width: usize) -> Self {
        let half = (side / 2) as isize;
        Self {
            down: (k / side) as isize - half,
            right: (k % side) as isize - half,
            height,
            width,
        }
    }

    /// The pixels of each row of the result, and those that they come from.
    fn rows(&self, mut visit: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>)) {
        let inside = |shift: isize, size: usize| {
            let first = shift.min(0).unsigned_abs();
            let last = size.saturating_sub(shift.max(0).unsigned_abs());
            first..last.max(first)
        };
        let cols = inside(self.right, self.width);
        for row in inside(self.down, self.height) {
            let to = row * self.width + cols.start;
            let from = ((to as isize) + self.down * self.width as isize + self.right) as usize;
            visit(to..to + cols.len(), from..from + cols.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Images {
        let pixels: Vec<f64> = (0..24).map(|k| f64::from((k * 7 + 3) % 11)).collect();
        Images::new("images", (3, 4), pixels).expect("valid")
    }

    #[test]
    fn a_convolution_by_its_definition() {
        let images = images();
        for side in [1, 3, 5, 9] {
            let weights: Vec<f64> = (0..side * side).map(|k| (k as f64).sin() + 0.1).collect();
            let filter = Filter::new(side, weights.clone()).expect("valid");
            let found = filter.apply(&images);
            for (at, found) in found.iter().enumerate() {
                let (image, r, c) = (at / 12, at % 12 / 4, at % 4);
                let mut want = 0.0;
                for (k, w) in weights.iter().enumerate() {
                    let row = (r + k / side) as isize - (side / 2) as isize;
                    let col = (c + k % side) as isize - (side / 2) as isize;
                    if (0..3).contains(&row) && (0..4).contains(&col) {
                        want += w * images.image(image)[(row * 4 + col) as usize];
                    }
                }
                assert!(
                    (found - want).abs() < 1e-12,
                    "{found} for {want} at {at}, side {side}"
                );
            }
        }
        assert_eq!(
            Filter::identity(3).expect("odd").apply(&images),
            images.pixels()
        );
    }

    #[test]
    fn pulling_back_is_the_transpose() {
        let images = images();
        let filter = Filter::new(
            3,
            (0..9).map(|k| 0.3 * f64::from(k) - 1.0).collect::<Vec<_>>(),
        );
        let filter = filter.expect("valid");
        let by_pixel: Vec<f64> = (0..24).map(|k| (1.7 * f64::from(k)).cos()).collect();
        let mut pulled = [0.0; 9];
        filter.pull_back(&images, &by_pixel, &mut pulled);
        // ⟨g, f∗x⟩ = ⟨pulled, f⟩, as f∗x is linear in f.
        let one: f64 = filter
            .apply(&images)
            .iter()
            .zip(&by_pixel)
            .map(|(x, g)| x * g)
            .sum();
        let other: f64 = pulled
            .iter()
            .zip(filter.weights())
            .map(|(p, f)| p * f)
            .sum();
        assert!(
            (one - other).abs() < 1e-12 * one.abs().max(1.0),
            "{one} and {other}"
        );
    }

    #[test]
    fn what_is_negative_is_no_mass() {
        let images = images();
        let edges =
            Filter::new(3, [0.0, -1.0, 0.0, -1.0, 4.0, -1.0, 0.0, -1.0, 0.0]).expect("valid");
        let filtered = edges.images(&images).expect("something is left");
        let kept = filtered.pixels().iter().zip(edges.apply(&images));
        assert!(kept.clone().all(|(p, x)| *p == x.max(0.0)));
        assert!(kept.into_iter().any(|(_, x)| x < 0.0));
        let none = Filter::new(1, [-1.0]).expect("valid").images(&images);
        assert_eq!(
            none.expect_err("nothing is left").to_string(),
            "`filtered images`[0] is zero everywhere: an image needs a pixel above 0 to be a measure"
        );
        let weights: f64 = edges.normalized().weights().iter().map(|w| w.abs()).sum();
        assert!((weights - 1.0).abs() < 1e-15);
    }
}
