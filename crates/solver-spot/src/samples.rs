//! Joint samples.

use ot_nn::Number;

/// Samples of a joint distribution: row i of every marginal belongs together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples<T = f64> {
    pub(crate) of: Vec<Vec<T>>,
    dims: Vec<usize>,
}

impl<T: Number> Samples<T> {
    /// Room for `count` of them.
    pub(crate) fn room(dims: &[usize], count: usize) -> Self {
        Self {
            of: dims.iter().map(|d| vec![T::ZERO; d * count]).collect(),
            dims: dims.to_vec(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.first().map_or(0, |rows| rows.len() / self.dims[0])
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dimension of each marginal.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The part of marginal `k`, row by row.
    ///
    /// # Panics
    /// Where there is no such marginal.
    #[must_use]
    pub fn marginal(&self, k: usize) -> &[T] {
        &self.of[k]
    }

    /// Sample `i` of marginal `k`.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn row(&self, k: usize, i: usize) -> &[T] {
        &self.of[k][i * self.dims[k]..(i + 1) * self.dims[k]]
    }

    /// In f64.
    #[must_use]
    pub fn wide(&self) -> Samples {
        let wide = |rows: &Vec<T>| rows.iter().map(|v| v.wide()).collect();
        Samples {
            of: self.of.iter().map(wide).collect(),
            dims: self.dims.clone(),
        }
    }
}
