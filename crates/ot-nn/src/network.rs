//! Chains of layers.

use std::ops::Range;

use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::layer::{Layer, Own};
use crate::{Error, Number, Tape};

/// A chain of layers with its parameters, layer by layer; those of a linear one are W row by row, then b.
///
/// Layers with a [`Spectral`](crate::Spectral) setting multiply by bound·W/σ instead of W. Their σ = uᵀ W v is taken anew in
/// every [`forward`](Self::forward), u and v move in [`normalize`](Self::normalize) alone: once before each step of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Network<T = f64> {
    layers: Vec<Layer>,
    /// Lengths of rows before the first layer and after each.
    widths: Vec<usize>,
    /// Which of a tape's arrays holds the rows before the first layer and after each: activations work in place, unless they
    /// follow another one, which needs its own output for its gradient.
    slots: Vec<usize>,
    parameters: Vec<T>,
    /// u, then v, of each normalized layer.
    vectors: Vec<T>,
}

/// What a backward pass makes of the gradient by parameters.
enum Target<'a, T> {
    Nothing,
    Replace(&'a mut [T]),
    Add(&'a mut [T]),
}

/// Where a layer's numbers are: among all parameters, and among all vectors.
struct Place {
    parameters: Range<usize>,
    vectors: Range<usize>,
}

impl<T: Number> Network<T> {
    /// Of `layers`, with weights that `seed` draws (Glorot and Bengio, 2010), the same for f32 and f64 but for rounding, and
    /// with 16 power iterations for each normalized layer. The first layer with weights says how long rows are.
    ///
    /// # Errors
    /// No layer with weights, one without inputs or outputs, settings outside of their range, and layers that do not fit.
    pub fn new(layers: &[Layer], seed: u64) -> Result<Self, Error> {
        for (place, layer) in layers.iter().enumerate() {
            layer.check(place)?;
        }
        let first = layers.iter().find_map(|layer| layer.shape());
        let Some((mut width, _)) = first else {
            return Err(Error::Shape {
                argument: "layers",
                found: layers.len(),
                expected: "one of them must have weights: it says how long rows are".to_owned(),
            });
        };
        let (mut widths, mut slots) = (vec![width], vec![0]);
        let (mut slot, mut in_place) = (0, true);
        for (place, layer) in layers.iter().enumerate() {
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
            let affine = layer.affine().is_some();
            slot += usize::from(affine || !in_place);
            in_place = affine;
            widths.push(width);
            slots.push(slot);
        }
        let mut network = Self {
            layers: layers.to_vec(),
            widths,
            slots,
            parameters: vec![T::ZERO; layers.iter().map(|l| l.parameters()).sum()],
            vectors: vec![T::ZERO; layers.iter().map(|l| l.vectors()).sum()],
        };
        let mut rng = Pcg64::seed_from_u64(seed);
        // All weights first: a normalized layer draws those of the same one that is not.
        for (layer, place) in places(&network.layers) {
            layer.draw(&mut rng, &mut network.parameters[place.parameters]);
        }
        for (layer, place) in places(&network.layers) {
            let parameters = &network.parameters[place.parameters];
            layer.draw_vectors(&mut rng, parameters, &mut network.vectors[place.vectors]);
        }
        Ok(network)
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
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// All parameters, to be moved.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.parameters
    }

    /// u, then v, of each normalized layer: what spectral normalization keeps from step to step beside the parameters.
    #[must_use]
    pub fn vectors(&self) -> &[T] {
        &self.vectors
    }

    pub(crate) fn vectors_mut(&mut self) -> &mut [T] {
        &mut self.vectors
    }

    /// Which parameters are weights, which a penalty makes smaller: a range for each layer that has them.
    pub fn weights(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        places(&self.layers).filter_map(|(layer, place)| {
            let at = place.parameters.start;
            let own = at..at + layer.weights();
            (!own.is_empty()).then_some(own)
        })
    }

    /// The same network in another number type, parameters and vectors rounded to it.
    #[must_use]
    pub fn cast<U: Number>(&self) -> Network<U> {
        let all = |x: &[T]| x.iter().map(|x| U::from_f64(x.wide())).collect();
        Network {
            layers: self.layers.clone(),
            widths: self.widths.clone(),
            slots: self.slots.clone(),
            parameters: all(&self.parameters),
            vectors: all(&self.vectors),
        }
    }

    /// The power iterations of all normalized layers ([`Spectral::iterations`](crate::Spectral::iterations) each), which move
    /// u and v towards the first singular vectors of W. Call it once before each step, and not while a gradient is
    /// compared with finite differences: u and v are constants there. 4 flops a weight and iteration; nothing without
    /// normalized layers.
    pub fn normalize(&mut self) {
        for (layer, place) in places(&self.layers) {
            layer.normalize(
                &self.parameters[place.parameters],
                &mut self.vectors[place.vectors],
            );
        }
    }

    /// σ = uᵀ W v of each normalized layer, with its place in the chain.
    pub fn spectral_norms(&self) -> impl Iterator<Item = (usize, T)> + '_ {
        places(&self.layers)
            .enumerate()
            .filter(|(_, (layer, _))| layer.spectral().is_some())
            .map(|(at, (layer, place))| {
                let vectors = &self.vectors[place.vectors];
                let scale = layer.scale(&self.parameters[place.parameters], vectors);
                (at, scale.sigma)
            })
    }

    /// What the network makes of the rows of `x`, row by row. Time: 2 flops a weight and row; memory: the rows after each
    /// layer, on the tape, and nothing new once the tape has seen a batch of that size. A NaN that comes in, or arises, goes
    /// on to the outputs, where [`check_finite`](crate::check_finite) finds it.
    ///
    /// # Errors
    /// Parts of rows.
    pub fn forward<'t>(&self, x: &[T], tape: &'t mut Tape<T>) -> Result<&'t [T], Error> {
        self.check_rows(x)?;
        self.push(x, &[], 0, tape);
        Ok(&tape.rows[self.slots[self.layers.len()]])
    }

    /// [`forward`](Self::forward), and J v: how the outputs change along directions of the inputs, exactly. `directions` holds
    /// any number of blocks, each of as many rows as `x`; the second slice that comes back has as many blocks of rows of the
    /// outputs. As many directions as inputs, the unit vectors, give the whole Jacobian of each row: its trace is what the
    /// density along a flow needs. Time and memory: those of `forward`, once more for each block.
    ///
    /// # Errors
    /// Parts of rows, parts of blocks, and a softmax among the layers: its derivatives are not built.
    pub fn forward_tangents<'t>(
        &self,
        x: &[T],
        directions: &[T],
        tape: &'t mut Tape<T>,
    ) -> Result<(&'t [T], &'t [T]), Error> {
        self.check_rows(x)?;
        if x.is_empty() || directions.is_empty() || !directions.len().is_multiple_of(x.len()) {
            return Err(Error::Shape {
                argument: "directions",
                found: directions.len(),
                expected: format!("a block takes as many as `x`: {}", x.len()),
            });
        }
        let blocks = directions.len() / x.len();
        let softmax = |layer: &Layer| *layer == Layer::Softmax;
        if let Some(layer) = self.layers.iter().position(softmax) {
            return Err(Error::Layer {
                layer,
                name: "directions",
                value: blocks as f64,
                rule: "a softmax has no tangents",
            });
        }
        self.push(x, directions, blocks, tape);
        let out = &tape.rows[self.slots[self.layers.len()]];
        Ok(out.split_at(out.len() / (1 + blocks)))
    }

    fn check_rows(&self, x: &[T]) -> Result<(), Error> {
        let inputs = self.inputs();
        if x.len().is_multiple_of(inputs) {
            return Ok(());
        }
        Err(Error::Shape {
            argument: "x",
            found: x.len(),
            expected: format!("rows of {inputs} take a multiple of that many"),
        })
    }

    /// Layer by layer, values and then blocks of tangents in each array of the tape.
    fn push(&self, x: &[T], directions: &[T], blocks: usize, tape: &mut Tape<T>) {
        let (values, last) = (x.len() / self.inputs(), self.layers.len());
        tape.rows.resize_with(self.slots[last] + 1, Vec::new);
        for (slot, width) in self.slots.iter().zip(&self.widths) {
            tape.rows[*slot].resize(values * (1 + blocks) * width, T::ZERO);
        }
        tape.rows[0][..x.len()].copy_from_slice(x);
        tape.rows[0][x.len()..].copy_from_slice(directions);
        tape.directions = blocks;
        tape.scales.clear();
        // Of a rectifier that a layer before it has seen to.
        let mut done = false;
        for (at, (layer, place)) in places(&self.layers).enumerate() {
            let (from, to) = (self.slots[at], self.slots[at + 1]);
            let parameters = &self.parameters[place.parameters];
            let scale = layer.scale(parameters, &self.vectors[place.vectors]);
            tape.scales.push(scale);
            if let Some(affine) = layer.affine() {
                let slope = match self.layers.get(at + 1) {
                    Some(Layer::LeakyRelu { slope }) => Some(T::from_f64(*slope)),
                    _ => None,
                };
                let own = Own {
                    affine,
                    parameters,
                    vectors: &[],
                    scale,
                };
                let (before, after) = tape.rows.split_at_mut(to);
                let (x, images) = (&before[from], &mut tape.images);
                own.forward(values, slope, x, images, &mut after[0]);
                done = slope.is_some();
            } else if let Some(activation) = layer.activation() {
                if from != to {
                    let (before, after) = tape.rows.split_at_mut(to);
                    after[0].copy_from_slice(&before[from]);
                }
                let width = self.widths[at];
                let (out, tangents) = tape.rows[to].split_at_mut(values * width);
                if !done {
                    activation.forward(out, width);
                }
                activation.push(out, tangents);
                done = false;
            }
        }
    }

    /// The gradient by all parameters, from that by what [`forward`](Self::forward) gave last with this tape; returns that by
    /// what came in. Parameters must be those of the forward pass. Time: 4 flops a weight and row.
    ///
    /// # Errors
    /// A tape of another batch or network, and a gradient of another length than the parameters.
    pub fn backward<'t>(
        &self,
        by_out: &[T],
        tape: &'t mut Tape<T>,
        gradient: &mut [T],
    ) -> Result<&'t [T], Error> {
        self.sweep(by_out, &[], tape, Target::Replace(gradient), true)?;
        Ok(&tape.by_out[..tape.rows[0].len()])
    }

    /// [`backward`](Self::backward), added to what `gradient` holds: for losses of several batches.
    ///
    /// # Errors
    /// As [`backward`](Self::backward).
    pub fn backward_add<'t>(
        &self,
        by_out: &[T],
        tape: &'t mut Tape<T>,
        gradient: &mut [T],
    ) -> Result<&'t [T], Error> {
        self.sweep(by_out, &[], tape, Target::Add(gradient), true)?;
        Ok(&tape.by_out[..tape.rows[0].len()])
    }

    /// The gradient by the parameters alone: the first layer's by what came in is left out.
    ///
    /// # Errors
    /// As [`backward`](Self::backward).
    pub fn backward_parameters(
        &self,
        by_out: &[T],
        tape: &mut Tape<T>,
        gradient: &mut [T],
    ) -> Result<(), Error> {
        self.sweep(by_out, &[], tape, Target::Replace(gradient), false)
    }

    /// The gradient by what came in alone, at fixed parameters: half of the time of [`backward`](Self::backward).
    ///
    /// # Errors
    /// A tape of another batch or network.
    pub fn backward_inputs<'t>(
        &self,
        by_out: &[T],
        tape: &'t mut Tape<T>,
    ) -> Result<&'t [T], Error> {
        self.sweep(by_out, &[], tape, Target::Nothing, true)?;
        Ok(&tape.by_out[..tape.rows[0].len()])
    }

    /// The gradient by all parameters, from those by what [`forward_tangents`](Self::forward_tangents) gave last with this tape:
    /// the outputs, and their tangents. Returns those by what came in, and by the directions. Second derivatives of rectifiers
    /// are 0. Time: that of [`backward`](Self::backward), once more for each block.
    ///
    /// # Errors
    /// As [`backward`](Self::backward).
    pub fn backward_tangents<'t>(
        &self,
        by_out: &[T],
        by_tangents: &[T],
        tape: &'t mut Tape<T>,
        gradient: &mut [T],
    ) -> Result<(&'t [T], &'t [T]), Error> {
        self.sweep(by_out, by_tangents, tape, Target::Replace(gradient), true)?;
        let all = &tape.by_out[..tape.rows[0].len()];
        Ok(all.split_at(tape.values(self.inputs()) * self.inputs()))
    }

    /// Whether a tape is of a forward pass of this network, with so many blocks of tangents.
    fn fits(&self, tape: &Tape<T>, directions: bool) -> bool {
        let last = self.layers.len();
        if tape.rows.len() != self.slots[last] + 1 || tape.scales.len() != last {
            return false;
        }
        let rows = tape.values(self.inputs()) * (1 + tape.directions);
        let mut slots = self.slots.iter().zip(&self.widths);
        slots.all(|(slot, width)| tape.rows[*slot].len() == rows * width)
            && directions == (tape.directions > 0)
    }

    /// Layer by layer from the end; leaves the gradient by what came in on the tape's `by_out`, where `inputs` asks for it.
    fn sweep(
        &self,
        by_out: &[T],
        by_tangents: &[T],
        tape: &mut Tape<T>,
        mut gradient: Target<'_, T>,
        inputs: bool,
    ) -> Result<(), Error> {
        let written = tape.rows.last().map_or(0, Vec::len);
        let out = written / (1 + tape.directions);
        if !self.fits(tape, !by_tangents.is_empty()) {
            return Err(Error::Shape {
                argument: "tape",
                found: written,
                expected: "it is not of a forward pass of this kind and network".to_owned(),
            });
        }
        for (argument, found, expected) in [
            ("by_out", by_out.len(), out),
            ("by_tangents", by_tangents.len(), written - out),
        ] {
            if found != expected {
                return Err(Error::Shape {
                    argument,
                    found,
                    expected: format!("the tape is of a forward pass with {expected} of them"),
                });
            }
        }
        match &gradient {
            Target::Replace(gradient) | Target::Add(gradient)
                if gradient.len() != self.parameters.len() =>
            {
                return Err(Error::Shape {
                    argument: "gradient",
                    found: gradient.len(),
                    expected: format!("the network has {} parameters", self.parameters.len()),
                });
            }
            _ => {}
        }
        let values = tape.values(self.inputs());
        let Tape {
            rows,
            directions: _,
            scales,
            by_out: room,
            by_x,
            images,
            by_parameters,
        } = tape;
        let most = rows.iter().map(Vec::len).max().unwrap_or(0);
        for room in [&mut *room, &mut *by_x] {
            room.resize(most, T::ZERO);
        }
        room[..out].copy_from_slice(by_out);
        room[out..written].copy_from_slice(by_tangents);
        if let Target::Add(_) = gradient {
            let most = self.layers.iter().map(|l| l.parameters()).max();
            by_parameters.resize(most.unwrap_or(0), T::ZERO);
        }
        let mut end = (self.parameters.len(), self.vectors.len());
        for (at, layer) in self.layers.iter().enumerate().rev() {
            let (x, out) = (&rows[self.slots[at]], &rows[self.slots[at + 1]]);
            if let Some(activation) = layer.activation() {
                let width = self.widths[at];
                let (out, tangents) = out.split_at(values * width);
                let (by, by_tangents) = room.split_at_mut(out.len());
                if tangents.is_empty() {
                    activation.backward(out, width, by);
                } else {
                    activation.pull(out, tangents, by, &mut by_tangents[..tangents.len()]);
                }
            }
            let Some(affine) = layer.affine() else {
                continue;
            };
            let place = (end.0 - layer.parameters(), end.1 - layer.vectors());
            let own = Own {
                affine,
                parameters: &self.parameters[place.0..end.0],
                vectors: &self.vectors[place.1..end.1],
                scale: scales[at],
            };
            let by_out = &room[..out.len()];
            match &mut gradient {
                Target::Nothing => {}
                Target::Replace(gradient) => {
                    let into = &mut gradient[place.0..end.0];
                    own.by_parameters(values, x, by_out, images, into);
                }
                Target::Add(gradient) => {
                    let into = &mut by_parameters[..layer.parameters()];
                    own.by_parameters(values, x, by_out, images, into);
                    let sums = gradient[place.0..end.0].iter_mut();
                    sums.zip(into).for_each(|(sum, g)| *sum += *g);
                }
            }
            // Activations before the first layer with weights are below it.
            if inputs || self.slots[at] > 0 {
                own.by_x(by_out, images, &mut by_x[..x.len()]);
                std::mem::swap(room, by_x);
            }
            end = place;
        }
        Ok(())
    }
}

fn places(layers: &[Layer]) -> impl Iterator<Item = (Layer, Place)> + '_ {
    let mut at = (0, 0);
    layers.iter().map(move |layer| {
        let end = (at.0 + layer.parameters(), at.1 + layer.vectors());
        let place = Place {
            parameters: at.0..end.0,
            vectors: at.1..end.1,
        };
        at = end;
        (*layer, place)
    })
}
