//! The products of a linear layer.

use ot_kernels::gemm::{Matrix, multiply};
use ot_kernels::neural::{column_sums, finish};

use crate::Number;
use crate::layer::Ending;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Linear {
    fn weights<'a, T: Number>(&self, parameters: &'a [T]) -> Matrix<'a, T> {
        let count = self.inputs * self.outputs;
        Matrix::new(&parameters[..count], self.outputs, self.inputs)
    }

    /// factor·W x + b, and a rectifier where there is a slope; or W x alone, for tangents.
    pub(crate) fn forward<T: Number>(
        &self,
        parameters: &[T],
        factor: T,
        ending: Ending<T>,
        x: &[T],
        out: &mut [T],
    ) {
        let x = Matrix::new(x, x.len() / self.inputs, self.inputs);
        multiply(factor, x, self.weights(parameters).turned(), false, out);
        if let Ending::Bias(slope) = ending {
            finish(&parameters[self.inputs * self.outputs..], slope, out);
        }
    }

    /// factor·Wᵀ g.
    pub(crate) fn by_x<T: Number>(
        &self,
        parameters: &[T],
        factor: T,
        by_out: &[T],
        by_x: &mut [T],
    ) {
        let by_out = Matrix::new(by_out, by_out.len() / self.outputs, self.outputs);
        multiply(factor, by_out, self.weights(parameters), false, by_x);
    }

    /// Σ g xᵀ and Σ g over the rows; or of tangents, Σ g xᵀ added.
    pub(crate) fn by_parameters<T: Number>(
        &self,
        x: &[T],
        by_out: &[T],
        tangents: bool,
        by_parameters: &mut [T],
    ) {
        let rows = x.len() / self.inputs;
        let (by_weights, by_biases) = by_parameters.split_at_mut(self.inputs * self.outputs);
        let turned = Matrix::new(by_out, rows, self.outputs).turned();
        let x = Matrix::new(x, rows, self.inputs);
        multiply(T::from_f64(1.0), turned, x, tangents, by_weights);
        if !tangents {
            column_sums(by_out, by_biases);
        }
    }
}
