//! A smooth map of all colours from that of few, kept on a lattice.

use ot_kernels::exp;
use solver_api::Context;

use super::{ColourImage, MOST, level};
use crate::{Error, steps};

/// Neighbours in the palette whose mean distance says how far a colour's word counts.
const NEIGHBOURS: usize = 4;
/// It counts as far as this part of it: at a colour of the palette its neighbours have a weight of about e^(−2) each.
const REACH: f64 = 0.5;
/// Colours of a step.
const COLOURS: usize = 64;
/// It counts as far as this at least, half a level.
const NEAREST: f64 = 0.5 / MOST;
/// Pixels of a step.
const STRIPE: usize = 1 << 16;

/// Displacements of colours x: Σ_i w_i(x)·d_i with w_i(x) in proportion to exp(−‖x − x_i‖² / 2h_i²), Σ_i w_i = 1.
///
/// Source: Nadaraya, *On estimating regression* (1964), with widths h_i that follow the density of the palette.
#[derive(Debug, Clone)]
pub(super) struct Smooth {
    /// x_i, channel after channel, then d_i likewise, and −1 / 2h_i².
    colours: [Vec<f64>; 3],
    displacements: [Vec<f64>; 3],
    exponents: Vec<f64>,
}

impl Smooth {
    /// Of colours x_i and where they go, n×3 each. O(n²), on the threads of `context`.
    pub(super) fn new(colours: &[f64], moved: &[f64], context: &Context) -> Result<Self, Error> {
        let channel = |values: &[f64], c: usize| -> Vec<f64> {
            values.iter().skip(c).step_by(3).copied().collect()
        };
        let displaced: Vec<f64> = moved
            .iter()
            .zip(colours)
            .map(|(to, from)| to - from)
            .collect();
        let parts: Vec<&[f64]> = colours.chunks(3 * COLOURS).collect();
        let exponents = steps::run(context, "colours", parts.len(), |k, _| {
            let mut squares = Vec::with_capacity(colours.len() / 3);
            let mut exponent = |x: &[f64]| {
                squares.clear();
                let square = |y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum();
                squares.extend(
                    colours
                        .chunks_exact(3)
                        .map(square)
                        .filter(|s: &f64| *s > 0.0),
                );
                let width = REACH * nearest(&mut squares);
                -0.5 / width.max(NEAREST).powi(2)
            };
            Ok(parts[k]
                .chunks_exact(3)
                .map(&mut exponent)
                .collect::<Vec<_>>())
        })?;
        Ok(Self {
            colours: [0, 1, 2].map(|c| channel(colours, c)),
            displacements: [0, 1, 2].map(|c| channel(&displaced, c)),
            exponents: exponents.concat(),
        })
    }

    /// The displacement of one colour; `room` is scratch space of the palette's length. O(n).
    pub(super) fn at(&self, x: [f64; 3], room: &mut Vec<f64>) -> [f64; 3] {
        let [red, green, blue] = &self.colours;
        room.clear();
        let channels = red.iter().zip(green).zip(blue);
        room.extend(channels.zip(&self.exponents).map(|(((r, g), b), e)| {
            let [r, g, b] = [x[0] - r, x[1] - g, x[2] - b];
            (r * r + g * g + b * b) * e
        }));
        // The nearest has weight 1: far from all of them no weight would be left.
        let most = room.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        room.iter_mut().for_each(|e| *e -= most);
        exp::exp_in_place(room);
        let total: f64 = room.iter().sum();
        let mean = |d: &Vec<f64>| d.iter().zip(&*room).map(|(d, w)| d * w).sum::<f64>() / total;
        [0, 1, 2].map(|c| mean(&self.displacements[c]))
    }

    /// The displacements on a lattice of side³ colours. O(side³·n), on the threads of `context`.
    pub(super) fn lattice(&self, side: usize, context: &Context) -> Result<Lattice, Error> {
        let step = 1.0 / (side - 1) as f64;
        let slabs = steps::run(context, "colours", side, |red, _| {
            let mut room = Vec::with_capacity(self.exponents.len());
            let mut slab = Vec::with_capacity(side * side);
            for green in 0..side {
                for blue in 0..side {
                    let x = [red, green, blue].map(|at| at as f64 * step);
                    slab.push(self.at(x, &mut room).map(|d| d as f32));
                }
            }
            Ok(slab)
        })?;
        Ok(Lattice {
            side,
            displacements: slabs.concat(),
        })
    }
}

/// The mean of the least few roots; 0 where there is none.
fn nearest(squares: &mut [f64]) -> f64 {
    let count = squares.len().min(NEIGHBOURS);
    if count == 0 {
        return 0.0;
    }
    squares.select_nth_unstable_by(count - 1, f64::total_cmp);
    squares[..count].iter().map(|s| s.sqrt()).sum::<f64>() / count as f64
}

/// Displacements on a lattice, and along lines between its nodes.
#[derive(Debug, Clone)]
pub(super) struct Lattice {
    side: usize,
    displacements: Vec<[f32; 3]>,
}

impl Lattice {
    /// O(pixels), on the threads of `context`.
    pub(super) fn transform(
        &self,
        image: &ColourImage,
        context: &Context,
    ) -> Result<ColourImage, Error> {
        // Node below each level, and how far it is to the next one.
        let scale = (self.side - 1) as f64 / MOST;
        let places: Vec<(usize, f32)> = (0..256)
            .map(|level| {
                let at = f64::from(level) * scale;
                let node = (at.floor() as usize).min(self.side - 2);
                (node, (at - node as f64) as f32)
            })
            .collect();
        let stripes: Vec<&[u8]> = image.pixels().chunks(3 * STRIPE).collect();
        let done = steps::run(context, "stripes", stripes.len(), |k, _| {
            let mut out = Vec::with_capacity(stripes[k].len());
            for pixel in stripes[k].chunks_exact(3) {
                let moved = self.between([0, 1, 2].map(|c| places[usize::from(pixel[c])]));
                let to = |c: usize| level(f64::from(pixel[c]) / MOST + f64::from(moved[c]));
                out.extend([0, 1, 2].map(to));
            }
            Ok(out)
        })?;
        Ok(image.with_pixels(done.concat()))
    }

    fn between(&self, [(r, fr), (g, fg), (b, fb)]: [(usize, f32); 3]) -> [f32; 3] {
        let side = self.side;
        let node = |i: usize, j: usize| &self.displacements[(i * side + j) * side + b..][..2];
        let mut moved = [0.0; 3];
        let (near, far) = (1.0 - fr, fr);
        for (i, wi) in [(r, near), (r + 1, far)] {
            for (j, wj) in [(g, wi * (1.0 - fg)), (g + 1, wi * fg)] {
                let pair = node(i, j);
                for (c, moved) in moved.iter_mut().enumerate() {
                    *moved += wj * (pair[0][c] + fb * (pair[1][c] - pair[0][c]));
                }
            }
        }
        moved
    }
}
