//! ψ(z, t) and tr ∂ψ/∂z of a tanh perceptron on a batch, and the gradient of both by z and by the weights.
//!
//! The trace is exact: d tangents go forward beside the values, so that a pass takes 1 + d times the products of the values
//! alone. Rows of all tangents stand below those of the values, and one product moves them all.

use faer::{Accum, MatMut, MatRef};
use ot_kernels::exp::exp_in_place;
use ot_kernels::gemm::{ktu_batch, kv_batch};
use ot_nn::{Layer, Network, Number};

use crate::Error;

/// The lengths of rows of a perceptron: d + 1 (z, then t), hidden ones, d.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    widths: Vec<usize>,
}

impl Shape {
    /// Of a chain of linear layers with tanh between them.
    ///
    /// # Errors
    /// Any other chain.
    pub(crate) fn of<T: Number>(network: &Network<T>) -> Result<Self, Error> {
        let dim = network.outputs();
        if network.inputs() != dim + 1 {
            let expected = format!("rows of {dim} that move need {} inputs: z and t", dim + 1);
            let found = format!("{} inputs", network.inputs());
            return Err(Error::shape("network", found, expected));
        }
        let mut widths = vec![dim + 1];
        for (place, layer) in network.layers().iter().enumerate() {
            match layer {
                Layer::Linear {
                    outputs,
                    spectral: None,
                    ..
                } if place % 2 == 0 => widths.push(*outputs),
                Layer::Tanh if place % 2 == 1 => {}
                other => {
                    let expected = "a field is linear layers, not normalized, with tanh between";
                    let found = format!("{other:?} in place {place}");
                    return Err(Error::shape("network", found, expected));
                }
            }
        }
        if network.layers().len().is_multiple_of(2) || widths.len() < 3 {
            let found = format!("{} layers", network.layers().len());
            let expected = "a field has hidden layers, and its last layer is linear";
            return Err(Error::shape("network", found, expected));
        }
        Ok(Self { widths })
    }

    pub(crate) fn dim(&self) -> usize {
        self.widths[0] - 1
    }

    pub(crate) fn hidden(&self) -> usize {
        self.widths.len() - 2
    }

    /// Where layer `l`'s weights begin, and where its biases.
    fn layer(&self, l: usize) -> (usize, usize) {
        let before: usize = (0..l).map(|k| self.size(k)).sum();
        (before, before + self.widths[l] * self.widths[l + 1])
    }

    fn size(&self, l: usize) -> usize {
        (self.widths[l] + 1) * self.widths[l + 1]
    }

    fn weights<'a, T>(&self, l: usize, parameters: &'a [T]) -> (&'a [T], &'a [T]) {
        let (start, biases) = self.layer(l);
        let end = start + self.size(l);
        (&parameters[start..biases], &parameters[biases..end])
    }

    fn weights_mut<'a, T>(&self, l: usize, parameters: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        let (start, biases) = self.layer(l);
        parameters[start..start + self.size(l)].split_at_mut(biases - start)
    }
}

/// Room of passes, and what a forward one left for the backward one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pass<T> {
    /// Rows (z, t).
    x: Vec<T>,
    /// After each hidden layer: h = tanh a, then for each tangent v = (1 − h²) u.
    out: Vec<Vec<T>>,
    /// The tangents u before tanh; those of the first layer are columns of its weights, one row each.
    tangents: Vec<Vec<T>>,
    /// ψ, row by row.
    pub(crate) field: Vec<T>,
    /// tr ∂ψ/∂z of each row.
    pub(crate) trace: Vec<T>,
    by: Vec<T>,
    by_before: Vec<T>,
    /// The gradient by z, row by row.
    pub(crate) by_z: Vec<T>,
}

/// `out` rows = W · `x` rows, `width` numbers in a row of `x`.
fn times<T: Number>(weights: &[T], width: usize, x: &[T], out: &mut [T]) {
    kv_batch(weights, weights.len() / width, width, x, out, 1);
}

/// `gradient` += Σ by xᵀ over rows.
fn add_outer<T: Number>(x: &[T], width: usize, by: &[T], gradient: &mut [T]) {
    let rows = x.len() / width;
    let outputs = gradient.len() / width;
    T::product(
        Accum::Add,
        MatRef::from_column_major_slice(x, width, rows),
        MatRef::from_column_major_slice(by, outputs, rows).transpose(),
        MatMut::from_column_major_slice_mut(gradient, width, outputs),
    );
}

/// tanh x = 1 − 2/(e^{2x} + 1): to a few units of 1e-16 (f32: 1e-7) absolutely, ten times as fast as the library's.
fn tanh_in_place<T: Number>(x: &mut [T]) {
    let (one, two) = (T::from_f64(1.0), T::from_f64(2.0));
    x.iter_mut().for_each(|x| *x += *x);
    exp_in_place(x);
    x.iter_mut().for_each(|x| *x = one - two / (*x + one));
}

impl<T: Number> Pass<T> {
    /// ψ(z, t) of every row of `z`, into `field`; with `trace` also its divergence.
    pub(crate) fn forward(
        &mut self,
        shape: &Shape,
        parameters: &[T],
        t: f64,
        z: &[T],
        trace: bool,
    ) {
        let (dim, hidden) = (shape.dim(), shape.hidden());
        let rows = z.len() / dim;
        let stack = if trace { 1 + dim } else { 1 };
        self.x.clear();
        for z in z.chunks_exact(dim) {
            self.x.extend_from_slice(z);
            self.x.push(T::from_f64(t));
        }
        self.out.resize_with(hidden, Vec::new);
        self.tangents.resize_with(hidden, Vec::new);
        for l in 0..hidden {
            let width = shape.widths[l + 1];
            let (weights, biases) = shape.weights(l, parameters);
            let (before, rest) = self.out.split_at_mut(l);
            let out = &mut rest[0];
            let tangents = &mut self.tangents[l];
            out.resize(stack * rows * width, T::ZERO);
            let (h, v) = out.split_at_mut(rows * width);
            if l == 0 {
                times(weights, dim + 1, &self.x, h);
                // One row for each tangent: W eᵢ.
                tangents.clear();
                for i in 0..stack - 1 {
                    tangents.extend(weights.iter().skip(i).step_by(dim + 1));
                }
            } else {
                let (values, moved) = before[l - 1].split_at(rows * shape.widths[l]);
                times(weights, shape.widths[l], values, h);
                tangents.resize((stack - 1) * rows * width, T::ZERO);
                times(weights, shape.widths[l], moved, tangents);
            }
            for h in h.chunks_exact_mut(width) {
                h.iter_mut().zip(biases).for_each(|(h, b)| *h += *b);
            }
            tanh_in_place(h);
            let one = T::from_f64(1.0);
            for (i, v) in v.chunks_exact_mut(rows * width).enumerate() {
                if l == 0 {
                    let u = &tangents[i * width..(i + 1) * width];
                    for (v, h) in v.chunks_exact_mut(width).zip(h.chunks_exact(width)) {
                        for ((v, h), u) in v.iter_mut().zip(h).zip(u) {
                            *v = (one - *h * *h) * *u;
                        }
                    }
                } else {
                    let u = &tangents[i * rows * width..(i + 1) * rows * width];
                    for ((v, h), u) in v.iter_mut().zip(&*h).zip(u) {
                        *v = (one - *h * *h) * *u;
                    }
                }
            }
        }
        self.read_off(shape, parameters, rows, trace);
    }

    /// The last layer: ψ, and Σᵢ ⟨its i-th row, v of tangent i⟩.
    fn read_off(&mut self, shape: &Shape, parameters: &[T], rows: usize, trace: bool) {
        let (dim, hidden) = (shape.dim(), shape.hidden());
        let width = shape.widths[hidden];
        let (weights, biases) = shape.weights(hidden, parameters);
        let last = &self.out[hidden - 1];
        self.field.resize(rows * dim, T::ZERO);
        times(weights, width, &last[..rows * width], &mut self.field);
        for row in self.field.chunks_exact_mut(dim) {
            row.iter_mut().zip(biases).for_each(|(o, b)| *o += *b);
        }
        self.trace.clear();
        self.trace.resize(rows, T::ZERO);
        if trace {
            let tangents = last[rows * width..].chunks_exact(rows * width);
            for (v, w) in tangents.zip(weights.chunks_exact(width)) {
                kv_add(w, v, &mut self.trace);
            }
        }
    }

    /// From the gradients by ψ and by the trace of each row (where the forward pass took it) that by z, into `by_z`; that by
    /// the weights is added to `gradient`, unless it is empty.
    pub(crate) fn backward(
        &mut self,
        shape: &Shape,
        parameters: &[T],
        by_field: &[T],
        by_trace: Option<&[T]>,
        gradient: &mut [T],
    ) {
        let (dim, hidden) = (shape.dim(), shape.hidden());
        let rows = by_field.len() / dim;
        let stack = if by_trace.is_some() { 1 + dim } else { 1 };
        let wanted = !gradient.is_empty();
        let width = shape.widths[hidden];
        let (weights, _) = shape.weights(hidden, parameters);
        self.by.resize(stack * rows * width, T::ZERO);
        {
            let (by_h, by_v) = self.by.split_at_mut(rows * width);
            ktu_batch(weights, dim, width, by_field, by_h, 1);
            if let Some(by_trace) = by_trace {
                let tangents = by_v.chunks_exact_mut(rows * width);
                for (by, w) in tangents.zip(weights.chunks_exact(width)) {
                    for (by, g) in by.chunks_exact_mut(width).zip(by_trace) {
                        by.iter_mut().zip(w).for_each(|(b, w)| *b = *g * *w);
                    }
                }
            }
        }
        if wanted {
            let (by_weights, by_biases) = shape.weights_mut(hidden, gradient);
            let last = &self.out[hidden - 1];
            add_outer(&last[..rows * width], width, by_field, by_weights);
            for row in by_field.chunks_exact(dim) {
                by_biases.iter_mut().zip(row).for_each(|(b, g)| *b += *g);
            }
            if let Some(by_trace) = by_trace {
                let tangents = last[rows * width..].chunks_exact(rows * width);
                for (v, by) in tangents.zip(by_weights.chunks_exact_mut(width)) {
                    for (v, g) in v.chunks_exact(width).zip(by_trace) {
                        by.iter_mut().zip(v).for_each(|(b, v)| *b += *g * *v);
                    }
                }
            }
        }
        for l in (0..hidden).rev() {
            self.layer_back(shape, parameters, l, rows, stack, gradient);
        }
        self.by_z.clear();
        for row in self.by_before.chunks_exact(dim + 1).take(rows) {
            self.by_z.extend_from_slice(&row[..dim]);
        }
    }

    /// From `by`, the gradient after hidden layer `l` (h, then each v), that before it, into `by_before` and, but for the
    /// first layer, back into `by`.
    fn layer_back(
        &mut self,
        shape: &Shape,
        parameters: &[T],
        l: usize,
        rows: usize,
        stack: usize,
        gradient: &mut [T],
    ) {
        let width = shape.widths[l + 1];
        let one = T::from_f64(1.0);
        let h = &self.out[l][..rows * width];
        let (by_h, by_v) = self.by.split_at_mut(rows * width);
        // by u = (1 − h²) by v, and what comes to h through 1 − h²: −2 h Σ u by v.
        for (i, by_v) in by_v.chunks_exact_mut(rows * width).enumerate() {
            let of = |r: usize| if l == 0 { i } else { i * rows + r };
            let each = by_h
                .chunks_exact_mut(width)
                .zip(by_v.chunks_exact_mut(width));
            for (r, ((by_h, by_v), h)) in each.zip(h.chunks_exact(width)).enumerate() {
                let u = &self.tangents[l][of(r) * width..(of(r) + 1) * width];
                let each = by_h.iter_mut().zip(by_v.iter_mut());
                for ((by_h, by_v), (h, u)) in each.zip(h.iter().zip(u)) {
                    let product = *u * *by_v * *h;
                    *by_h -= product + product;
                    *by_v *= one - *h * *h;
                }
            }
        }
        by_h.iter_mut()
            .zip(h)
            .for_each(|(b, h)| *b *= one - *h * *h);
        let before = shape.widths[l];
        let (weights, _) = shape.weights(l, parameters);
        if !gradient.is_empty() {
            let (by_weights, by_biases) = shape.weights_mut(l, gradient);
            for row in by_h.chunks_exact(width) {
                by_biases.iter_mut().zip(row).for_each(|(b, g)| *b += *g);
            }
            if l == 0 {
                add_outer(&self.x, before, by_h, by_weights);
                for (i, by_v) in by_v.chunks_exact(rows * width).enumerate() {
                    for row in by_v.chunks_exact(width) {
                        let column = by_weights.iter_mut().skip(i).step_by(before);
                        column.zip(row).for_each(|(w, g)| *w += *g);
                    }
                }
            } else {
                add_outer(
                    &self.out[l - 1][..stack * rows * before],
                    before,
                    &self.by,
                    by_weights,
                );
            }
        }
        // The first layer's tangents come from constants: nothing goes on from them.
        let kept = if l == 0 { rows } else { stack * rows };
        self.by_before.resize(kept * before, T::ZERO);
        let by = &self.by[..kept * width];
        ktu_batch(weights, width, before, by, &mut self.by_before, 1);
        if l > 0 {
            std::mem::swap(&mut self.by, &mut self.by_before);
        }
    }
}

/// `out` += rows of `x` times `w`.
fn kv_add<T: Number>(w: &[T], x: &[T], out: &mut [T]) {
    T::product(
        Accum::Add,
        MatRef::from_row_major_slice(w, 1, w.len()),
        MatRef::from_column_major_slice(x, w.len(), out.len()),
        MatMut::from_column_major_slice_mut(out, 1, out.len()),
    );
}
