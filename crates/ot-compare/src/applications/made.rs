//! What backends make rather than tell: a mean of digits, and a photograph in the colours of another.

use std::path::Path;
use std::sync::Arc;

use ot_apps::barycenters::entropy;
use ot_apps::{
    Bregman, BregmanSettings, ColourImage, FixedSupport, FixedSupportSettings, IpotBarycenter,
    IpotBarycenterSettings, PaletteSettings, PaletteTransfer,
};
use ot_data::Array;
use solver_api::{
    Barycenter, Barycenters, Certify, Context, Cost, GridCost, GridGround, Measure, Reg, Solver,
};

use super::{Answer, FINE_REG};
use crate::Error;
use crate::picture::Pixels;

/// Digits that a barycenter is made of, all of [`CLASS`].
const AVERAGED: usize = 8;
const CLASS: i64 = 3;
/// MNIST leaves so many pixels free on every side.
const MARGIN: usize = 4;
/// Rounds of the descent along a solver's potentials.
const ROUNDS: u64 = 400;
/// Or until the bracket is that part of the mean cost.
const BRACKET: f64 = 0.15;
/// Colours of a palette.
const COLOURS: usize = 200;
/// Photographs are drawn that many times smaller.
const SMALLER: usize = 3;

pub(super) const BARYCENTER: &str = "barycenter";
pub(super) const COLOUR_TRANSFER: &str = "colours";

/// The data of both.
pub(super) struct Made {
    digits: Vec<Measure>,
    side: usize,
    cost: Arc<dyn Cost>,
    photos: [ColourImage; 2],
}

/// Barycenters by iterations of their own: the name, what was set, and the method.
pub(super) type Method = (&'static str, &'static str, Checked);
type Checked = Result<Box<dyn Barycenters>, ot_apps::Error>;
/// How many of them there are.
pub(super) const METHODS: usize = 3;

impl Made {
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        let (images, labels) = super::digits(root, "train", usize::MAX)?;
        let (height, width) = images.size();
        let side = height.min(width).saturating_sub(2 * MARGIN);
        let digits = (0..images.len())
            .filter(|&i| labels[i] == CLASS)
            .take(AVERAGED)
            .map(|i| {
                let image = images.image(i);
                let rows = image.chunks_exact(width).skip(MARGIN).take(side);
                let cropped = rows.flat_map(|row| &row[MARGIN..MARGIN + side]);
                Ok(Measure::new(cropped.copied().collect::<Vec<_>>())?.normalized())
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let cost = Arc::new(GridCost::new(&[side, side], GridGround::SqEuclidean)?);
        Ok(Self {
            digits,
            side,
            cost,
            photos: [photo(root, "astronaut")?, photo(root, "coffee")?],
        })
    }

    /// What they are made of.
    pub(super) fn inputs(&self, name: &str) -> Vec<(String, Pixels)> {
        if name == BARYCENTER {
            let digits = self.digits.iter().enumerate();
            return digits
                .map(|(k, digit)| (format!("digit {}", k + 1), self.grey(digit)))
                .collect();
        }
        if name != COLOUR_TRANSFER {
            return Vec::new();
        }
        let [image, reference] = &self.photos;
        vec![
            ("photograph".to_owned(), small(image)),
            ("colours".to_owned(), small(reference)),
        ]
    }

    pub(super) fn describe(&self, name: &str) -> String {
        if name == BARYCENTER {
            let side = self.side;
            return format!(
                "the mean of {AVERAGED} MNIST digits on {side}×{side} cells, squared distances: up to {ROUNDS} rounds of descent along each solver's potentials, and iterations of their own below; the mean cost is that of a certificate's upper end"
            );
        }
        format!(
            "a photograph in the colours of another, both of {}×{} pixels, by palettes of {COLOURS}; W₁ from its histograms to the other's, mean of three channels (before: {:.1})",
            self.photos[0].size().0,
            self.photos[0].size().1,
            apart(&self.photos[0], &self.photos[1])
        )
    }

    /// Iterations of barycenters' own, each with its name and what was set.
    pub(super) fn methods() -> [Method; METHODS] {
        let bregman = |debiased| -> Checked {
            Ok(Box::new(Bregman::new(BregmanSettings {
                reg: Reg::Relative(FINE_REG),
                debiased,
                ..BregmanSettings::default()
            })?))
        };
        let ipot = || -> Checked {
            Ok(Box::new(IpotBarycenter::new(
                IpotBarycenterSettings::default(),
            )?))
        };
        [
            (Bregman::NAME, "reg 4e-3", bregman(false)),
            (Bregman::NAME, "reg 4e-3 debiased", bregman(true)),
            (IpotBarycenter::NAME, "", ipot()),
        ]
    }

    /// The mean of the digits by any method of barycenters.
    pub(super) fn mean(
        &self,
        method: &dyn Barycenters,
        context: Context,
    ) -> Result<Answer, ot_apps::Error> {
        let equal = vec![1.0; self.digits.len()];
        let mut context = context.certified(Certify::AtEnd);
        let Barycenter {
            weights,
            convergence,
            certificate,
        } = method.barycenter(&self.cost, &self.digits, &equal, &mut context)?;
        Ok(Answer {
            figures: vec![
                Some(entropy(&weights)),
                certificate.map(|bracket| bracket.upper),
            ],
            unconverged: usize::from(!convergence.converged()),
            picture: Some(self.grey(&weights)),
        })
    }

    /// The mean by descent along the potentials of `solver`.
    pub(super) fn descent(
        &self,
        solver: &dyn Solver,
        context: Context,
    ) -> Result<Answer, ot_apps::Error> {
        let settings = FixedSupportSettings {
            max_iter: ROUNDS,
            tol: BRACKET,
        };
        self.mean(&FixedSupport::new(solver, settings)?, context)
    }

    /// The photograph in the colours of the other.
    pub(super) fn colours(
        &self,
        solver: &dyn Solver,
        mut context: Context,
    ) -> Result<Answer, ot_apps::Error> {
        let settings = PaletteSettings {
            colours: COLOURS,
            ..PaletteSettings::default()
        };
        let [image, reference] = &self.photos;
        let transfer = PaletteTransfer::new(solver, settings)?;
        let map = transfer.fit(image, reference, 0, &mut context)?;
        let moved = map.transform(image, &context)?;
        Ok(Answer {
            figures: vec![Some(apart(&moved, reference))],
            unconverged: usize::from(!map.solution().convergence.converged()),
            picture: Some(small(&moved)),
        })
    }

    fn grey(&self, measure: &Measure) -> Pixels {
        let weights = measure.weights();
        let most = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        Pixels {
            width: self.side,
            channels: 1,
            values: weights.iter().map(|w| (255.0 * w / most) as u8).collect(),
        }
    }
}

/// A photograph of the fixtures.
pub(crate) fn photo(root: &Path, name: &str) -> Result<ColourImage, Error> {
    let array = ot_data::read(root.join(format!("fixtures/photos/{name}.png")))?.array;
    let size = (array.shape()[0], array.shape()[1]);
    // What is not of bytes has no pixels, and is refused by its size.
    let levels = match array {
        Array::U8(levels) => levels.into_iter().collect(),
        _ => Vec::new(),
    };
    Ok(ColourImage::new("photograph", size, levels)?)
}

/// W₁ between the levels of two images, the mean of their channels: Σ |F − G| of the distribution functions.
fn apart(one: &ColourImage, other: &ColourImage) -> f64 {
    let of = |image: &ColourImage, channel: usize| {
        let counts = image.histogram(channel);
        let all: u64 = counts.iter().sum();
        counts.map(|n| n as f64 / all as f64)
    };
    let channel = |c: usize| {
        let (mut between, mut sum) = (0.0, 0.0_f64);
        for (a, b) in of(one, c).iter().zip(of(other, c)) {
            between += a - b;
            sum += between.abs();
        }
        sum
    };
    (0..3).map(channel).sum::<f64>() / 3.0
}

/// The mean of squares of pixels.
fn small(image: &ColourImage) -> Pixels {
    let (height, width) = image.size();
    let (rows, cols) = (height / SMALLER, width / SMALLER);
    let mut values = Vec::with_capacity(3 * rows * cols);
    for i in 0..rows {
        for j in 0..cols {
            for channel in 0..3 {
                let mut sum = 0;
                for k in 0..SMALLER * SMALLER {
                    let (y, x) = (i * SMALLER + k / SMALLER, j * SMALLER + k % SMALLER);
                    sum += usize::from(image.pixels()[3 * (y * width + x) + channel]);
                }
                values.push((sum / (SMALLER * SMALLER)) as u8);
            }
        }
    }
    Pixels {
        width: cols,
        channels: 3,
        values,
    }
}
