//! Chains of layers.

use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::Error;
use crate::layer::{Layer, Pass};

/// A chain of layers with its parameters, layer by layer; those of a linear one are W row by row, then b.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    layers: Vec<Layer>,
    /// Lengths of rows before the first layer and after each.
    widths: Vec<usize>,
    parameters: Vec<f64>,
}

/// What a forward pass left for the backward one: the rows after each layer.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    rows: Vec<Vec<f64>>,
    by_out: Vec<f64>,
    by_x: Vec<f64>,
    turned: Vec<f64>,
}

impl Network {
    /// Of `layers`, with weights that `seed` draws. The first layer that is linear says how long rows are.
    ///
    /// # Errors
    /// No linear layer, one without inputs or outputs, a slope outside of its range, and layers that do not fit.
    pub fn new(layers: &[Layer], seed: u64) -> Result<Self, Error> {
        let first = layers.iter().find_map(|layer| layer.shape());
        let Some((mut width, _)) = first else {
            return Err(Error::Shape {
                argument: "layers",
                found: layers.len(),
                expected: "one of them must be linear: it says how long rows are".to_owned(),
            });
        };
        let mut widths = vec![width];
        for (place, layer) in layers.iter().enumerate() {
            layer.check(place)?;
            if let Some((inputs, outputs)) = layer.shape() {
                if inputs != width {
                    return Err(Error::Shape {
                        argument: "inputs",
                        found: inputs,
                        expected: format!("layer {place} gets rows of {width}"),
                    });
                }
                width = outputs;
            }
            widths.push(width);
        }
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut parameters = vec![0.0; layers.iter().map(|l| l.parameters()).sum()];
        let mut at = 0;
        for layer in layers {
            layer.draw(&mut rng, &mut parameters[at..at + layer.parameters()]);
            at += layer.parameters();
        }
        Ok(Self {
            layers: layers.to_vec(),
            widths,
            parameters,
        })
    }

    /// Length of the rows that come in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.widths[0]
    }

    /// Length of the rows that go out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.widths[self.layers.len()]
    }

    /// The layers.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// All parameters.
    #[must_use]
    pub fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    /// All parameters, to be moved.
    pub fn parameters_mut(&mut self) -> &mut [f64] {
        &mut self.parameters
    }

    /// Which parameters are weights, which a penalty makes smaller: a range for each linear layer.
    pub fn weights(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let mut at = 0;
        self.layers.iter().filter_map(move |layer| {
            let own = at..at + layer.weights();
            at += layer.parameters();
            (!own.is_empty()).then_some(own)
        })
    }

    /// What the network makes of the rows of `x`, row by row. Time: 2 flops a weight and row; memory: the rows after each
    /// layer, on the tape.
    ///
    /// # Errors
    /// Parts of rows.
    pub fn forward<'t>(&self, x: &[f64], tape: &'t mut Tape) -> Result<&'t [f64], Error> {
        let inputs = self.inputs();
        if !x.len().is_multiple_of(inputs) {
            return Err(Error::Shape {
                argument: "x",
                found: x.len(),
                expected: format!("rows of {inputs} take a multiple of that many"),
            });
        }
        let rows = x.len() / inputs;
        tape.rows.resize_with(self.layers.len() + 1, Vec::new);
        for (held, width) in tape.rows.iter_mut().zip(&self.widths) {
            held.resize(rows * width, 0.0);
        }
        tape.rows[0].copy_from_slice(x);
        let mut at = 0;
        for (place, layer) in self.layers.iter().enumerate() {
            let own = &self.parameters[at..at + layer.parameters()];
            let (before, after) = tape.rows.split_at_mut(place + 1);
            layer.forward(own, &before[place], self.widths[place], &mut after[0]);
            at += layer.parameters();
        }
        Ok(&tape.rows[self.layers.len()])
    }

    /// The gradient by all parameters, from that by what [`forward`](Self::forward) gave last with this tape; returns that by
    /// what came in. Time: 4 flops a weight and row.
    ///
    /// # Errors
    /// A tape of another batch or network, and a gradient of another length than the parameters.
    pub fn backward<'t>(
        &self,
        by_out: &[f64],
        tape: &'t mut Tape,
        gradient: &mut [f64],
    ) -> Result<&'t [f64], Error> {
        let written = tape.rows.last().map_or(0, Vec::len);
        if tape.rows.len() != self.layers.len() + 1 || written != by_out.len() {
            return Err(Error::Shape {
                argument: "by_out",
                found: by_out.len(),
                expected: format!("the tape is of a forward pass with {written} outputs"),
            });
        }
        if gradient.len() != self.parameters.len() {
            return Err(Error::Shape {
                argument: "gradient",
                found: gradient.len(),
                expected: format!("the network has {} parameters", self.parameters.len()),
            });
        }
        let Tape {
            rows,
            by_out: room,
            by_x,
            turned,
        } = tape;
        let most = rows.iter().map(Vec::len).max().unwrap_or(0);
        for room in [&mut *room, &mut *by_x, &mut *turned] {
            room.resize(most, 0.0);
        }
        room[..by_out.len()].copy_from_slice(by_out);
        let mut at = self.parameters.len();
        for (place, layer) in self.layers.iter().enumerate().rev() {
            let own = at - layer.parameters()..at;
            let (x, out) = (&rows[place], &rows[place + 1]);
            let pass = Pass {
                x,
                out,
                width: self.widths[place],
            };
            let parameters = &self.parameters[own.clone()];
            let by_parameters = &mut gradient[own.clone()];
            layer.backward(
                parameters,
                &pass,
                &room[..out.len()],
                turned,
                by_parameters,
                &mut by_x[..x.len()],
            );
            std::mem::swap(room, by_x);
            at = own.start;
        }
        Ok(&tape.by_out[..tape.rows[0].len()])
    }
}
