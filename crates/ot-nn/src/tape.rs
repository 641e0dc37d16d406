//! What passes leave for each other.

use crate::Number;
use crate::convolution::Room;
use crate::spectral::Scale;

/// What a forward pass left for the backward one: the rows after each layer with weights and its activation.
#[derive(Debug, Clone, Default)]
pub struct Tape<T = f64> {
    pub(crate) rows: Vec<Vec<T>>,
    /// How many blocks of tangents follow the values in each of them.
    pub(crate) directions: usize,
    pub(crate) scales: Vec<Scale<T>>,
    pub(crate) by_out: Vec<T>,
    pub(crate) by_x: Vec<T>,
    pub(crate) images: Room<T>,
    pub(crate) by_parameters: Vec<T>,
}

impl<T: Number> Tape<T> {
    /// Of the values of `width` numbers a row, the count; tangents not counted.
    pub(crate) fn values(&self, width: usize) -> usize {
        let all = self.rows.first().map_or(0, Vec::len);
        all / width / (1 + self.directions)
    }
}
