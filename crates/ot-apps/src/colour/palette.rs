//! Few colours that stand for those of an image.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Context, Measure};

use super::{ColourImage, MOST};
use crate::Error;
use crate::class_models::draw;

/// Rounds of k-means at most: a palette of a photograph needs no more than its clusters do to be about even.
const ROUNDS: usize = 50;
/// Bits of a channel that tell cells of colours apart before they are clustered: 32 cells of 8 levels.
const BITS: u32 = 5;
/// Seeds between two looks at the clock.
const LOOK: usize = 64;

/// Colours with weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Palette {
    colours: Vec<f64>,
    weights: Measure,
}

impl Palette {
    /// Colours of the caller's own, K×3 from 0 to 1, and their weights.
    ///
    /// # Errors
    /// Not three numbers a colour, colours outside of their range, and weights that are none of a measure.
    pub fn new(colours: Vec<f64>, weights: Vec<f64>) -> Result<Self, Error> {
        if colours.len() != 3 * weights.len() {
            return Err(Error::Shape {
                argument: "colours",
                found: colours.len(),
                expected: format!("there are {} weights: three for each", weights.len()),
            });
        }
        if let Some(at) = colours.iter().position(|c| !(0.0..=1.0).contains(c)) {
            return Err(Error::Entry {
                argument: "colours",
                row: at / 3,
                col: at % 3,
                value: colours[at],
                rule: "red, green and blue are from 0 to 1",
            });
        }
        Ok(Self {
            colours,
            weights: Measure::named("weights", weights)?.normalized(),
        })
    }

    /// At most `count` means of clusters of the image's colours, with the parts of the pixels that are theirs. Colours are
    /// first gathered in 32³ cells, so that the time is O(pixels) and then O(cells in use · count) a round.
    ///
    /// Source: Lloyd (1982), seeded by k-means++ (Arthur and Vassilvitskii 2007).
    ///
    /// # Errors
    /// No colours, and [`Error::Stopped`] by the deadline or the token of `context`.
    pub fn clusters(
        image: &ColourImage,
        count: usize,
        seed: u64,
        context: &Context,
    ) -> Result<Self, Error> {
        at_least_one(count)?;
        let cells = Cells::of(image);
        let mut centres = cells.seeds(count, seed, context)?;
        let count = centres.len();
        let mut masses = vec![0.0; count];
        let mut own = vec![usize::MAX; cells.masses.len()];
        for round in 0..ROUNDS {
            go_on(context, "rounds", (round, ROUNDS))?;
            if !cells.assign(&centres, &mut own) {
                break;
            }
            let mut sums = vec![[0.0; 3]; count];
            masses.fill(0.0);
            for ((&k, colour), mass) in own.iter().zip(&cells.colours).zip(&cells.masses) {
                masses[k] += mass;
                sums[k]
                    .iter_mut()
                    .zip(colour)
                    .for_each(|(s, c)| *s += mass * c);
            }
            for ((centre, sum), &mass) in centres.iter_mut().zip(sums).zip(&masses) {
                // A cluster that lost all of its cells stays where it is, without weight.
                if mass > 0.0 {
                    *centre = sum.map(|s| s / mass);
                }
            }
        }
        let kept = || (0..count).filter(|&k| masses[k] > 0.0);
        let colours = kept().flat_map(|k| centres[k].map(|c| (c / MOST).clamp(0.0, 1.0)));
        Self::new(colours.collect(), kept().map(|k| masses[k]).collect())
    }

    /// Every colour of the image with the part of the pixels that have it, red first in ascending order: up to one a pixel, which a
    /// solver without a matrix takes. O(pixels log pixels).
    ///
    /// # Errors
    /// None for an image: it has a pixel.
    pub fn every(image: &ColourImage) -> Result<Self, Error> {
        let mut pixels: Vec<[u8; 3]> = image
            .pixels()
            .chunks_exact(3)
            .map(|p| [p[0], p[1], p[2]])
            .collect();
        pixels.sort_unstable();
        let same = || pixels.chunk_by(|p, q| p == q);
        let colours = same().flat_map(|pixels| pixels[0].map(|c| f64::from(c) / MOST));
        let weights = same().map(|pixels| pixels.len() as f64);
        Self::new(colours.collect(), weights.collect())
    }

    /// The colours of at most `count` pixels, drawn at random, with equal weights.
    ///
    /// # Errors
    /// No colours.
    pub fn sample(image: &ColourImage, count: usize, seed: u64) -> Result<Self, Error> {
        at_least_one(count)?;
        let places = draw(image.pixels().len() / 3, count, seed);
        let pixel = |i: &usize| [0, 1, 2].map(|c| f64::from(image.pixels()[3 * i + c]) / MOST);
        let colours: Vec<f64> = places.iter().flat_map(pixel).collect();
        Self::new(colours, vec![1.0; places.len()])
    }

    /// The colours, K×3 from 0 to 1.
    #[must_use]
    pub fn colours(&self) -> &[f64] {
        &self.colours
    }

    /// Their weights, mass 1.
    #[must_use]
    pub fn weights(&self) -> &Measure {
        &self.weights
    }
}

/// An error where the deadline or the token says so.
fn go_on(
    context: &Context,
    what: &'static str,
    (done, count): (usize, usize),
) -> Result<(), Error> {
    match context.interrupted() {
        None => Ok(()),
        Some(termination) => Err(Error::Stopped {
            what,
            termination,
            done,
            count,
        }),
    }
}

fn at_least_one(count: usize) -> Result<(), Error> {
    if count == 0 {
        return Err(Error::setting("colours", 0, "must be at least 1"));
    }
    Ok(())
}

/// Means of the colours in cells that are in use, in levels, and how many pixels are in them.
struct Cells {
    colours: Vec<[f64; 3]>,
    masses: Vec<f64>,
}

impl Cells {
    fn of(image: &ColourImage) -> Self {
        let mut sums = vec![[0_u64; 4]; 1 << (3 * BITS)];
        for pixel in image.pixels().chunks_exact(3) {
            let cell = (pixel.iter()).fold(0, |at, &p| at << BITS | usize::from(p >> (8 - BITS)));
            let sum = &mut sums[cell];
            sum.iter_mut()
                .zip(pixel)
                .for_each(|(s, &p)| *s += u64::from(p));
            sum[3] += 1;
        }
        let used = || sums.iter().filter(|sum| sum[3] > 0);
        Self {
            colours: used()
                .map(|s| [0, 1, 2].map(|c| s[c] as f64 / s[3] as f64))
                .collect(),
            masses: used().map(|s| s[3] as f64).collect(),
        }
    }

    /// At most `count` different colours, each after the first with a probability in proportion to its mass and its
    /// squared distance from the nearest before it.
    fn seeds(&self, count: usize, seed: u64, context: &Context) -> Result<Vec<[f64; 3]>, Error> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut odds = self.masses.clone();
        let mut nearest = vec![f64::INFINITY; odds.len()];
        let mut seeds = Vec::with_capacity(count.min(odds.len()));
        while seeds.len() < count {
            if seeds.len().is_multiple_of(LOOK) {
                go_on(context, "seeds", (seeds.len(), count))?;
            }
            let mut left = rng.random::<f64>() * odds.iter().sum::<f64>();
            let reached = odds.iter().position(|&o| {
                left -= o;
                o > 0.0 && left <= 0.0
            });
            // Rounding may leave a rest; where nothing has odds, all colours are seeds.
            let Some(next) = reached.or_else(|| odds.iter().rposition(|&o| o > 0.0)) else {
                break;
            };
            let colour = self.colours[next];
            seeds.push(colour);
            let places = odds.iter_mut().zip(&mut nearest);
            for ((odds, nearest), (other, mass)) in
                places.zip(self.colours.iter().zip(&self.masses))
            {
                *nearest = nearest.min(square(&colour, other));
                *odds = mass * *nearest;
            }
        }
        Ok(seeds)
    }

    /// The nearest centre of each cell; whether any of them is another one than before.
    fn assign(&self, centres: &[[f64; 3]], own: &mut [usize]) -> bool {
        // Centres one channel after another: the distances of a row are vector code.
        let channel = |c: usize| -> Vec<f64> { centres.iter().map(|centre| centre[c]).collect() };
        let [red, green, blue] = [0, 1, 2].map(channel);
        let mut distances = vec![0.0; centres.len()];
        let mut moved = false;
        for (own, [r, g, b]) in own.iter_mut().zip(&self.colours) {
            let channels = red.iter().zip(&green).zip(&blue);
            for (d, ((cr, cg), cb)) in distances.iter_mut().zip(channels) {
                *d = (cr - r) * (cr - r) + (cg - g) * (cg - g) + (cb - b) * (cb - b);
            }
            let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
            let nearest = distances.iter().position(|&d| d == least).unwrap_or(0);
            moved |= *own != nearest;
            *own = nearest;
        }
        moved
    }
}

fn square(x: &[f64; 3], y: &[f64; 3]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}
