//! λ: networks of Lipschitz constant 1 that tell generated samples from real ones.

use ot_nn::{Adam, Layer, Network, Number, Optimizer, Spectral, Tape};

use crate::{Error, perceptron};

/// A critic's chain: [`perceptron`] to one number, every linear layer divided by its largest singular value.
#[must_use]
pub fn critic(inputs: usize, hidden: usize, depth: usize, slope: f64) -> Vec<Layer> {
    let layers = perceptron(inputs, hidden, depth, 1, slope);
    let normalized = |layer: Layer| match layer {
        Layer::Linear { .. } => layer.normalized(Spectral::default()),
        other => other,
    };
    layers.into_iter().map(normalized).collect()
}

#[derive(Debug, Clone)]
pub(crate) struct Critic<T: Number> {
    pub(crate) network: Network<T>,
    pub(crate) optimizer: Adam<T>,
    tape: Tape<T>,
    rows: Vec<T>,
    by_out: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Number> Critic<T> {
    pub(crate) fn new(network: Network<T>, optimizer: Adam<T>) -> Self {
        Self {
            gradient: vec![T::ZERO; network.parameters().len()],
            network,
            optimizer,
            tape: Tape::default(),
            rows: Vec::new(),
            by_out: Vec::new(),
        }
    }

    /// Mean λ(made) − mean λ(real).
    pub(crate) fn apart(&mut self, made: &[T], real: &[T]) -> Result<f64, Error> {
        self.rows.clear();
        self.rows.extend_from_slice(made);
        self.rows.extend_from_slice(real);
        let n = made.len() / self.network.inputs();
        let out = self.network.forward(&self.rows, &mut self.tape)?;
        Ok(mean(&out[..n]) - mean(&out[n..]))
    }

    /// A step up mean λ(made) − mean λ(real). Returns it, as it was before the step.
    pub(crate) fn ascend(&mut self, made: &[T], real: &[T]) -> Result<f64, Error> {
        self.network.normalize();
        let value = self.apart(made, real)?;
        let dim = self.network.inputs();
        let (n, m) = (made.len() / dim, real.len() / dim);
        self.by_out.clear();
        self.by_out.resize(n, T::from_f64(-1.0 / n as f64));
        self.by_out.resize(n + m, T::from_f64(1.0 / m as f64));
        let (tape, gradient) = (&mut self.tape, &mut self.gradient);
        self.network
            .backward_parameters(&self.by_out, tape, gradient)?;
        self.optimizer
            .step(gradient, self.network.parameters_mut())?;
        Ok(value)
    }

    /// Mean λ of `made`; its gradient, `weight` times, is written to `by`.
    pub(crate) fn gradients(
        &mut self,
        made: &[T],
        weight: f64,
        by: &mut [T],
    ) -> Result<f64, Error> {
        let n = made.len() / self.network.inputs();
        let value = mean(self.network.forward(made, &mut self.tape)?);
        self.by_out.clear();
        self.by_out.resize(n, T::from_f64(weight / n as f64));
        by.copy_from_slice(self.network.backward_inputs(&self.by_out, &mut self.tape)?);
        Ok(value)
    }
}

fn mean<T: Number>(values: &[T]) -> f64 {
    values.iter().map(|v| v.wide()).sum::<f64>() / values.len() as f64
}
