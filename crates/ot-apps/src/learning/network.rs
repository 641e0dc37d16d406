//! Networks of the engine `ot-nn` as models.

use std::ops::Range;

use ot_nn::{Layer, Network, Tape};

use super::Model;
use crate::Error;

/// A network behind the hook. Its last layer makes scores: the softmax is the trainer's.
#[derive(Debug, Clone)]
pub struct NetworkModel {
    network: Network,
    tape: Tape,
}

impl NetworkModel {
    /// Of a network of the caller's own.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self {
            network,
            tape: Tape::default(),
        }
    }

    /// Two linear layers with `hidden` units of `activation` between them, drawn with `seed`. 2·hidden·(D + K) flops a
    /// sample forward, twice that backward.
    ///
    /// # Errors
    /// No inputs, no hidden units, no outputs, and an activation with a slope outside of its range.
    pub fn two_layers(
        inputs: usize,
        hidden: usize,
        outputs: usize,
        activation: Layer,
        seed: u64,
    ) -> Result<Self, Error> {
        let layers = [
            Layer::linear(inputs, hidden),
            activation,
            Layer::linear(hidden, outputs),
        ];
        Ok(Self::new(Network::new(&layers, seed)?))
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }
}

impl Model for NetworkModel {
    fn name(&self) -> &str {
        "network"
    }

    fn inputs(&self) -> usize {
        self.network.inputs()
    }

    fn outputs(&self) -> usize {
        self.network.outputs()
    }

    fn parameters(&self) -> &[f64] {
        self.network.parameters()
    }

    fn parameters_mut(&mut self) -> &mut [f64] {
        self.network.parameters_mut()
    }

    fn weights(&self) -> Vec<Range<usize>> {
        self.network.weights().collect()
    }

    fn scores(&self, x: &[f64], scores: &mut [f64]) {
        fill(&self.network, x, &mut Tape::default(), scores);
    }

    fn forward(&mut self, x: &[f64], scores: &mut [f64]) {
        self.network.normalize();
        fill(&self.network, x, &mut self.tape, scores);
    }

    fn backward(&mut self, _x: &[f64], by_scores: &[f64], gradient: &mut [f64]) {
        // Only a batch other than that of the last forward pass is refused: it has no gradient.
        if self
            .network
            .backward(by_scores, &mut self.tape, gradient)
            .is_err()
        {
            gradient.fill(f64::NAN);
        }
    }
}

/// The trainer and the estimators give whole rows; a caller who does not gets no scores.
fn fill(network: &Network, x: &[f64], tape: &mut Tape, scores: &mut [f64]) {
    match network.forward(x, tape) {
        Ok(out) if out.len() == scores.len() => scores.copy_from_slice(out),
        _ => scores.fill(f64::NAN),
    }
}
