//! Images as measures on the grid of their pixels.

use std::collections::BTreeMap;
use std::sync::Arc;

use solver_api::{Cost, DenseCost, GridCost, GridGround, Ground, Measure, PointCost};

use crate::Error;

/// Pairs of pixels up to which a ground cost is kept as a matrix (128 MiB): images of 64×64. Matrices are what
/// batches with a shared cost are fastest with.
const LARGEST_MATRIX: usize = 1 << 24;

/// N grey images of one size, finite and not negative, each with a pixel above 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    height: usize,
    width: usize,
    pixels: Vec<f64>,
}

impl Images {
    /// Checks N·height·width `pixels`, image after image and row by row. Errors call them `argument`.
    ///
    /// # Errors
    /// Height or width 0, no image, a part of an image left over, pixels that are NaN, infinite or negative, and images
    /// that are zero everywhere.
    pub fn new(
        argument: &'static str,
        (height, width): (usize, usize),
        pixels: impl Into<Vec<f64>>,
    ) -> Result<Self, Error> {
        let pixels = pixels.into();
        let cells = height.checked_mul(width).filter(|&cells| cells > 0);
        let fits = |cells: &usize| !pixels.is_empty() && pixels.len().is_multiple_of(*cells);
        let Some(cells) = cells.filter(fits) else {
            let expected =
                format!("images of {height}×{width} take a positive multiple of that many");
            return Err(Error::Shape {
                argument,
                found: pixels.len(),
                expected,
            });
        };
        for (image, values) in pixels.chunks_exact(cells).enumerate() {
            let bad = values.iter().position(|v| !(v.is_finite() && *v >= 0.0));
            if let Some(at) = bad {
                return Err(Error::Pixel {
                    argument,
                    image,
                    row: at / width,
                    col: at % width,
                    value: values[at],
                });
            }
            if values.iter().all(|v| *v == 0.0) {
                return Err(Error::EmptyImage { argument, image });
            }
        }
        Ok(Self {
            height,
            width,
            pixels,
        })
    }

    /// Images of bytes (0 to 255), as numbers from 0 to 1.
    ///
    /// # Errors
    /// As [`Images::new`].
    pub fn from_u8(
        argument: &'static str,
        size: (usize, usize),
        pixels: &[u8],
    ) -> Result<Self, Error> {
        let scaled: Vec<f64> = pixels.iter().map(|&p| f64::from(p) / 255.0).collect();
        Self::new(argument, size, scaled)
    }

    /// Images in single precision.
    ///
    /// # Errors
    /// As [`Images::new`].
    pub fn from_f32(
        argument: &'static str,
        size: (usize, usize),
        pixels: &[f32],
    ) -> Result<Self, Error> {
        let wide: Vec<f64> = pixels.iter().map(|&p| f64::from(p)).collect();
        Self::new(argument, size, wide)
    }

    /// How many there are; never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len() / self.cells()
    }

    /// Never true: there is an image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// Height and width in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Pixels of one image.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.height * self.width
    }

    /// The pixels of image `i`, row by row.
    ///
    /// # Panics
    /// If there is no such image.
    #[must_use]
    pub fn image(&self, i: usize) -> &[f64] {
        let cells = self.cells();
        &self.pixels[i * cells..(i + 1) * cells]
    }

    /// All pixels, image after image.
    #[must_use]
    pub fn pixels(&self) -> &[f64] {
        &self.pixels
    }

    /// The largest pixel of all.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.pixels.iter().fold(0.0, |most, &p| most.max(p))
    }

    /// Image `i` as a measure of mass 1 on its pixels.
    ///
    /// # Errors
    /// A mass that is not a number in range, such as a sum of 1e-310.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn measure(&self, i: usize) -> Result<Measure, Error> {
        Ok(Measure::named("images", self.image(i))?.normalized())
    }

    /// The images at `places`, in that order; none of them is looked at again.
    ///
    /// # Panics
    /// If there is no place, or no image at one.
    #[must_use]
    pub fn select(&self, places: &[usize]) -> Self {
        assert!(!places.is_empty(), "a selection of images needs a place");
        let pixels = places.iter().flat_map(|&i| self.image(i)).copied();
        Self {
            pixels: pixels.collect(),
            ..*self
        }
    }

    /// An error unless `self` is of the size of `other`.
    pub(crate) fn same_size(
        &self,
        argument: &'static str,
        other: &'static str,
        expected: (usize, usize),
    ) -> Result<(), Error> {
        if self.size() == expected {
            return Ok(());
        }
        Err(Error::ImageSize {
            argument,
            found: self.size(),
            other,
            expected,
        })
    }
}

/// The places of each class, in ascending order of the classes.
///
/// # Errors
/// Another number of labels than of `samples`, and fewer than two classes.
pub fn by_class(labels: &[i64], samples: usize) -> Result<BTreeMap<i64, Vec<usize>>, Error> {
    if labels.len() != samples {
        return Err(Error::LabelCount {
            argument: "labels",
            found: labels.len(),
            expected: samples,
            of: "samples",
        });
    }
    let mut classes = BTreeMap::<_, Vec<usize>>::new();
    for (i, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(i);
    }
    match classes.first_key_value() {
        Some((&class, _)) if classes.len() == 1 => Err(Error::OneClass {
            argument: "labels",
            class,
        }),
        _ => Ok(classes),
    }
}

/// The cost between the pixels of an image of height×width, a unit apart: a matrix up to 2²⁴ pairs, beyond that a
/// grid for the grounds that are sums over axes, and else points whose costs are computed when they are asked for.
///
/// # Errors
/// An empty image, and what a ground refuses.
pub fn pixel_cost(
    (height, width): (usize, usize),
    ground: &Ground,
) -> Result<Arc<dyn Cost>, Error> {
    let cells = height.saturating_mul(width);
    let matrix = cells.saturating_mul(cells) <= LARGEST_MATRIX;
    let split = match ground {
        Ground::SqEuclidean => Some(GridGround::SqEuclidean),
        Ground::Cityblock => Some(GridGround::Cityblock),
        _ => None,
    };
    if let Some(split) = split {
        let grid = GridCost::new(&[height, width], split)?;
        return Ok(if matrix {
            Arc::new(DenseCost::materialize(&grid)?)
        } else {
            Arc::new(grid)
        });
    }
    let places: Vec<f64> = (0..cells)
        .flat_map(|p| [(p / width) as f64, (p % width) as f64])
        .collect();
    let points = PointCost::new(places.clone(), places, 2, ground.clone())?;
    Ok(if matrix {
        Arc::new(DenseCost::materialize(&points)?)
    } else {
        Arc::new(points)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_floats_are_the_same_images() {
        let bytes = Images::from_u8("images", (1, 2), &[0, 255, 51, 0]).expect("valid");
        let floats = Images::new("images", (1, 2), [0.0, 1.0, 0.2, 0.0]).expect("valid");
        assert_eq!(bytes, floats);
        let narrow = Images::from_f32("images", (1, 2), &[0.0, 1.0, 0.25, 0.0]).expect("valid");
        assert_eq!((narrow.len(), narrow.size()), (2, (1, 2)));
        assert_eq!(narrow.image(1), [0.25, 0.0]);
        assert_eq!(narrow.measure(1).expect("mass").weights(), [1.0, 0.0]);
        assert_eq!(
            narrow.select(&[1, 1, 0]).pixels(),
            [0.25, 0.0, 0.25, 0.0, 0.0, 1.0]
        );
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let refusal = |size, pixels: &[f64]| {
            let refused = Images::new("train", size, pixels);
            refused.expect_err("bad images").to_string()
        };
        let refusals = [
            refusal((2, 2), &[1.0; 7]),
            refusal((2, 2), &[]),
            refusal((0, 2), &[1.0]),
            refusal((1, 2), &[1.0, 0.0, 0.0, 0.0]),
            refusal((1, 2), &[1.0, f64::NAN]),
            refusal((2, 1), &[0.0, 1.0, 0.0, -3.0]),
        ];
        insta::assert_snapshot!(refusals.join("\n"));
    }

    #[test]
    fn labels_are_checked() {
        let classes = by_class(&[7, -1, 7], 3).expect("two classes");
        assert_eq!(classes, BTreeMap::from([(-1, vec![1]), (7, vec![0, 2])]));
        let refusal = |labels: &[i64], n| by_class(labels, n).expect_err("bad labels").to_string();
        let refusals = [refusal(&[1, 2], 3), refusal(&[], 3), refusal(&[4, 4], 2)];
        insta::assert_snapshot!(refusals.join("\n"));
    }

    #[test]
    fn pixels_are_a_unit_apart() {
        for ground in [Ground::SqEuclidean, Ground::Cityblock, Ground::Euclidean] {
            let cost = pixel_cost((3, 4), &ground).expect("a cost");
            assert_eq!(cost.shape(), (12, 12));
            // From row 0, column 1 to row 2, column 3.
            let far = ground.between(&[0.0, 1.0], &[2.0, 3.0]);
            assert!((cost.entry(1, 11) - far).abs() < 1e-15);
        }
        assert!(pixel_cost((0, 4), &Ground::Euclidean).is_err());
    }
}
