//! λ: networks of Lipschitz constant 1 that tell generated samples from real ones.

use ot_nn::{Adam, Network, Number, Optimizer, Tape};

use crate::Error;

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

    /// A step up mean λ(made) − mean λ(real). Returns it, as it was before the step.
    pub(crate) fn ascend(&mut self, made: &[T], real: &[T]) -> Result<f64, Error> {
        self.network.normalize();
        self.rows.clear();
        self.rows.extend_from_slice(made);
        self.rows.extend_from_slice(real);
        let dim = self.network.inputs();
        let (n, m) = (made.len() / dim, real.len() / dim);
        let out = self.network.forward(&self.rows, &mut self.tape)?;
        let mean = |part: &[T]| part.iter().map(|v| v.wide()).sum::<f64>() / part.len() as f64;
        let value = mean(&out[..n]) - mean(&out[n..]);
        self.by_out.clear();
        self.by_out.resize(n, T::from_f64(-1.0 / n as f64));
        self.by_out.resize(n + m, T::from_f64(1.0 / m as f64));
        self.network
            .backward_parameters(&self.by_out, &mut self.tape, &mut self.gradient)?;
        self.optimizer
            .step(&self.gradient, self.network.parameters_mut())?;
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
        let out = self.network.forward(made, &mut self.tape)?;
        let value = out.iter().map(|v| v.wide()).sum::<f64>() / n as f64;
        self.by_out.clear();
        self.by_out.resize(n, T::from_f64(weight / n as f64));
        by.copy_from_slice(self.network.backward_inputs(&self.by_out, &mut self.tape)?);
        Ok(value)
    }
}
