//! Each channel for itself, on the 256 levels of a line.

use std::sync::Arc;

use solver_api::{Capability, Context, Ground, Measure, PointCost, Problem, Solution, Solver};

use super::{ColourImage, MOST, level};
use crate::error::require;
use crate::transport::checked;
use crate::{Error, steps};

/// Maps the levels of each channel onto those of a reference, as figure 2.7 of 002 does.
///
/// A level goes to the mean of where its mass goes. With an exact plan that is the monotone rearrangement, and the map
/// never falls; an entropic one draws levels together, by about √(ε/2), and by up to 1.6 √ε near the ends of the range.
///
/// Needs [`Capability::Balanced`].
#[derive(Clone)]
pub struct ChannelTransfer<'a> {
    solver: &'a dyn Solver,
}

impl<'a> ChannelTransfer<'a> {
    /// By `solver`; a closed form for the line is one.
    ///
    /// # Errors
    /// A solver without the capability.
    pub fn new(solver: &'a dyn Solver) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        Ok(Self { solver })
    }

    /// The map that gives `source` the histograms of `reference`: three solves between at most 256 levels each, side by
    /// side. Images may differ in size.
    ///
    /// # Errors
    /// What the solver refuses, a solve whose numbers failed, and [`Error::Stopped`] by the context.
    pub fn fit(
        &self,
        source: &ColourImage,
        reference: &ColourImage,
        context: &Context,
    ) -> Result<ChannelMap, Error> {
        let fitted = steps::run(context, "channels", 3, |channel, own| {
            let x = Levels::of(source.histogram(channel), "source")?;
            let y = Levels::of(reference.histogram(channel), "reference")?;
            let cost = PointCost::new(x.colours, y.colours.clone(), 1, Ground::SqEuclidean)?;
            let problem = Problem::new(x.weights, y.weights, Arc::new(cost))?;
            let solution = checked(self.solver.solve_with(&problem, own)?)?;
            let moved = solution.plan.barycentric_projection(&y.colours, 1)?;
            Ok((everywhere(&x.levels, &moved), solution))
        })?;
        let (levels, solutions) = fitted.into_iter().unzip();
        Ok(ChannelMap { levels, solutions })
    }
}

/// The levels that an image has.
struct Levels {
    levels: Vec<usize>,
    colours: Vec<f64>,
    weights: Measure,
}

impl Levels {
    fn of(histogram: [u64; 256], argument: &'static str) -> Result<Self, Error> {
        let levels: Vec<usize> = (0..256).filter(|&i| histogram[i] > 0).collect();
        let counts: Vec<f64> = levels.iter().map(|&i| histogram[i] as f64).collect();
        Ok(Self {
            colours: levels.iter().map(|&i| i as f64 / MOST).collect(),
            weights: Measure::named(argument, counts)?.normalized(),
            levels,
        })
    }
}

/// The map on all 256 levels from where `levels` (ascending, one at least) have `moved` to: along lines between them, and
/// as far as the nearest beyond them.
fn everywhere(levels: &[usize], moved: &[f64]) -> Vec<f64> {
    let mut map = vec![0.0; 256];
    let (first, last) = (levels[0], levels[levels.len() - 1]);
    for (i, to) in map.iter_mut().enumerate() {
        let own = i as f64 / MOST;
        let k = levels.partition_point(|&level| level < i);
        *to = if i <= first {
            moved[0] + own - first as f64 / MOST
        } else if i > last {
            moved[levels.len() - 1] + own - last as f64 / MOST
        } else {
            let part = (i - levels[k - 1]) as f64 / (levels[k] - levels[k - 1]) as f64;
            moved[k - 1] + part * (moved[k] - moved[k - 1])
        };
        *to = to.clamp(0.0, 1.0);
    }
    map
}

/// Where the levels of each channel go.
#[derive(Debug, Clone)]
pub struct ChannelMap {
    levels: Vec<Vec<f64>>,
    solutions: Vec<Solution>,
}

impl ChannelMap {
    /// Where the 256 levels of channel 0, 1 or 2 go, from 0 to 1.
    ///
    /// # Panics
    /// If there is no such channel.
    #[must_use]
    pub fn levels(&self, channel: usize) -> &[f64] {
        &self.levels[channel]
    }

    /// The plans between the levels of red, of green and of blue that both images have, and how the solves went.
    #[must_use]
    pub fn solutions(&self) -> &[Solution] {
        &self.solutions
    }

    /// Another image with the same change of colours. O(pixels).
    #[must_use]
    pub fn transform(&self, image: &ColourImage) -> ColourImage {
        let rounded: Vec<Vec<u8>> = (self.levels.iter())
            .map(|map| map.iter().map(|&to| level(to)).collect())
            .collect();
        let mut pixels = Vec::with_capacity(image.pixels().len());
        for pixel in image.pixels().chunks_exact(3) {
            pixels.extend(
                pixel
                    .iter()
                    .zip(&rounded)
                    .map(|(&p, map)| map[usize::from(p)]),
            );
        }
        image.with_pixels(pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_between_and_beyond_those_of_the_source_move_along() {
        let map = everywhere(&[10, 20, 21], &[20.0 / MOST, 40.0 / MOST, 240.0 / MOST]);
        let at = |i: usize| (map[i] * MOST * 1e6).round() / 1e6;
        assert_eq!([at(10), at(15), at(20), at(21)], [20.0, 30.0, 40.0, 240.0]);
        // Ten up below the first, and 219 up above the last, as far as there are levels.
        assert_eq!([at(0), at(3), at(22), at(255)], [10.0, 13.0, 241.0, 255.0]);
        assert!(map.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
