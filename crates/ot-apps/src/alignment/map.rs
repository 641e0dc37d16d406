//! Affine maps of the plane, and images under them.

use super::matrix::{self, IDENTITY, Matrix};
use crate::{Error, Images};

/// x ↦ A x + t in the plane of an image: x is (row, column), in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineMap {
    linear: Matrix,
    shift: [f64; 2],
}

impl AffineMap {
    /// x ↦ x.
    pub const IDENTITY: Self = Self {
        linear: IDENTITY,
        shift: [0.0; 2],
    };

    /// x ↦ `linear`·x + `shift`; `linear` is given by rows.
    #[must_use]
    pub fn new(linear: [[f64; 2]; 2], shift: [f64; 2]) -> Self {
        Self { linear, shift }
    }

    /// Rows `down` and columns `right` from where it was.
    #[must_use]
    pub fn translation(down: f64, right: f64) -> Self {
        Self::new(IDENTITY, [down, right])
    }

    /// x ↦ `linear`·(x − from) + to, which takes `from` to `to`.
    #[must_use]
    pub fn about(linear: [[f64; 2]; 2], from: [f64; 2], to: [f64; 2]) -> Self {
        let moved = matrix::times(&linear, from);
        Self::new(linear, [to[0] - moved[0], to[1] - moved[1]])
    }

    /// `rows` and `columns` times as large about `centre`.
    #[must_use]
    pub fn scaling(rows: f64, columns: f64, centre: [f64; 2]) -> Self {
        Self::about([[rows, 0.0], [0.0, columns]], centre, centre)
    }

    /// By `angle` in radians about `centre`, against the clock as an image is drawn, rows downwards.
    #[must_use]
    pub fn rotation(angle: f64, centre: [f64; 2]) -> Self {
        Self::about(matrix::rotation(angle), centre, centre)
    }

    /// A, by rows.
    #[must_use]
    pub fn linear(&self) -> [[f64; 2]; 2] {
        self.linear
    }

    /// t.
    #[must_use]
    pub fn shift(&self) -> [f64; 2] {
        self.shift
    }

    /// A x + t.
    #[must_use]
    pub fn apply(&self, x: [f64; 2]) -> [f64; 2] {
        let moved = matrix::times(&self.linear, x);
        [moved[0] + self.shift[0], moved[1] + self.shift[1]]
    }

    /// First `self`, then `next`.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self {
            linear: matrix::product(&next.linear, &self.linear),
            shift: next.apply(self.shift),
        }
    }

    /// The map back; none where A is singular.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        let linear = matrix::inverse(&self.linear)?;
        let back = matrix::times(&linear, self.shift);
        Some(Self::new(linear, [-back[0], -back[1]]))
    }

    /// The largest difference from `other` in what it does to points up to `reach` from the origin.
    pub(super) fn differs(&self, other: &Self, reach: f64) -> f64 {
        let linear = (0..2).flat_map(|i| (0..2).map(move |j| (i, j)));
        let linear = linear.map(|(i, j)| reach * (self.linear[i][j] - other.linear[i][j]).abs());
        let shift = (0..2).map(|i| (self.shift[i] - other.shift[i]).abs());
        linear.chain(shift).fold(0.0, f64::max)
    }
}

impl Images {
    /// Each image under its own map, in a frame of the same size: what was at x is at A x + t. A pixel of the result is
    /// read between the four pixels that it comes from (bilinear); outside of the frame there is nothing. O(pixels).
    ///
    /// # Errors
    /// Another number of `maps` than of images, a map that is singular or not of numbers, and an image that leaves the
    /// frame as a whole.
    pub fn warped(&self, maps: &[AffineMap]) -> Result<Self, Error> {
        if maps.len() != self.len() {
            return Err(Error::Shape {
                argument: "maps",
                found: maps.len(),
                expected: format!("there are {} images: one map each", self.len()),
            });
        }
        let (height, width) = self.size();
        let mut pixels = Vec::with_capacity(self.pixels().len());
        for (i, map) in maps.iter().enumerate() {
            let back = map.inverse().filter(|back| {
                let numbers = back.linear.iter().flatten().chain(&back.shift);
                numbers.copied().all(f64::is_finite)
            });
            let Some(back) = back else {
                let rule = "must be invertible, with finite numbers";
                return Err(Error::setting(
                    &format!("maps[{i}]"),
                    format!("{:?}, {:?}", map.linear, map.shift),
                    rule,
                ));
            };
            let image = self.image(i);
            for row in 0..height {
                for col in 0..width {
                    let from = back.apply([row as f64, col as f64]);
                    pixels.push(between(image, (height, width), from));
                }
            }
        }
        Self::new("warped images", (height, width), pixels)
    }
}

/// The value of an image at a place between its pixels.
fn between(image: &[f64], (height, width): (usize, usize), [row, col]: [f64; 2]) -> f64 {
    let (top, left) = (row.floor(), col.floor());
    let (down, right) = (row - top, col - left);
    let pixel = |r: f64, c: f64| {
        let inside = r >= 0.0 && r < height as f64 && c >= 0.0 && c < width as f64;
        if inside {
            image[r as usize * width + c as usize]
        } else {
            0.0
        }
    };
    let upper = (1.0 - right) * pixel(top, left) + right * pixel(top, left + 1.0);
    let lower = (1.0 - right) * pixel(top + 1.0, left) + right * pixel(top + 1.0, left + 1.0);
    (1.0 - down) * upper + down * lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_compose_and_turn_back() {
        let map = AffineMap::rotation(0.3, [4.0, 5.0])
            .then(&AffineMap::scaling(1.5, 0.7, [1.0, -2.0]))
            .then(&AffineMap::translation(2.0, -1.0));
        let step = AffineMap::rotation(0.3, [4.0, 5.0]).apply([2.0, 9.0]);
        let step = AffineMap::scaling(1.5, 0.7, [1.0, -2.0]).apply(step);
        let there = map.apply([2.0, 9.0]);
        assert!(
            (there[0] - step[0] - 2.0).abs() < 1e-13 && (there[1] - step[1] + 1.0).abs() < 1e-13
        );
        let back = map.inverse().expect("regular").apply(there);
        assert!((back[0] - 2.0).abs() < 1e-13 && (back[1] - 9.0).abs() < 1e-13);
        assert_eq!(AffineMap::scaling(0.0, 1.0, [0.0; 2]).inverse(), None);
        assert!(
            map.then(&map.inverse().expect("regular"))
                .differs(&AffineMap::IDENTITY, 10.0)
                < 1e-13
        );
    }

    #[test]
    fn images_move_as_their_maps_say() {
        let mut pixels = [0.0; 25];
        (pixels[6], pixels[7]) = (1.0, 2.0);
        let image = Images::new("images", (5, 5), pixels).expect("valid");
        let moved = image
            .warped(&[AffineMap::translation(2.0, 1.0)])
            .expect("inside");
        assert_eq!((moved.image(0)[17], moved.image(0)[18]), (1.0, 2.0));
        assert_eq!(moved.pixels().iter().sum::<f64>(), 3.0);
        // Half a column: shared by two pixels each.
        let half = image
            .warped(&[AffineMap::translation(0.0, 0.5)])
            .expect("inside");
        assert_eq!(&half.image(0)[6..9], [0.5, 1.5, 1.0]);
        // A quarter turn against the clock about the middle: what was left of the middle, one up, is below, one left.
        let quarter = AffineMap::rotation(std::f64::consts::FRAC_PI_2, [2.0, 2.0]);
        let turned = image.warped(&[quarter]).expect("inside");
        assert!((turned.image(0)[16] - 1.0).abs() < 1e-12);
        assert!((turned.image(0)[11] - 2.0).abs() < 1e-12);
    }
}
