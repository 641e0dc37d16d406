//! The products of a linear layer.

use ot_kernels::gemm::{ktu_batch, kv_batch};

use crate::Number;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Linear {
    /// factor·W x + b.
    pub(crate) fn forward<T: Number>(self, parameters: &[T], factor: T, x: &[T], out: &mut [T]) {
        let (weights, biases) = parameters.split_at(self.inputs * self.outputs);
        kv_batch(weights, self.outputs, self.inputs, x, out, 1);
        for row in out.chunks_exact_mut(self.outputs) {
            row.iter_mut()
                .zip(biases)
                .for_each(|(o, b)| *o = factor * *o + *b);
        }
    }

    /// factor·Wᵀ g.
    pub(crate) fn by_x<T: Number>(self, parameters: &[T], factor: T, by_out: &[T], by_x: &mut [T]) {
        let weights = &parameters[..self.inputs * self.outputs];
        ktu_batch(weights, self.outputs, self.inputs, by_out, by_x, 1);
        if factor != T::from_f64(1.0) {
            by_x.iter_mut().for_each(|x| *x *= factor);
        }
    }

    /// Σ g xᵀ and Σ g over the rows.
    pub(crate) fn by_parameters<T: Number>(
        self,
        x: &[T],
        by_out: &[T],
        turned: &mut Vec<T>,
        by_parameters: &mut [T],
    ) {
        let Self { inputs, outputs } = self;
        let rows = x.len() / inputs;
        turned.resize(turned.len().max(rows * outputs), T::ZERO);
        for (row, by) in by_out.chunks_exact(outputs).enumerate() {
            for (k, g) in by.iter().enumerate() {
                turned[k * rows + row] = *g;
            }
        }
        let (by_weights, by_biases) = by_parameters.split_at_mut(inputs * outputs);
        ktu_batch(x, rows, inputs, &turned[..rows * outputs], by_weights, 1);
        for (b, column) in by_biases.iter_mut().zip(turned.chunks_exact(rows.max(1))) {
            *b = column.iter().copied().sum();
        }
    }
}
