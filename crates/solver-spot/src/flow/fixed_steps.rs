//! The classical Runge–Kutta method in fixed steps, and the gradient through its steps.

use ot_nn::Number;

use super::field::Pass;
use crate::Error;
use crate::flow::Flow;

/// Where in a step the stages stand, and what each weighs.
const STAGES: [(f64, f64); 4] = [
    (0.0, 1.0 / 6.0),
    (0.5, 1.0 / 3.0),
    (0.5, 1.0 / 3.0),
    (1.0, 1.0 / 6.0),
];

/// A batch on its way from t = 0 to 1 in fixed steps of the classical Runge–Kutta method of order 4, and the exact gradient
/// through these steps: what a training takes.
///
/// The way forward takes ψ alone and keeps the arguments of all stages, 4·`steps` times the batch. The way back takes ψ again
/// with its divergence, so that no pass is kept. Time: 4·`steps` passes of values on the way forward, and 4·`steps` passes with
/// d tangents and their reverse, 3·(1 + d) times as long, on the way back; 3 times, for blocks of [`ROWS`](Self::ROWS) rows whose
/// ln p has no gradient. Nothing is allocated for a batch of a size that it has
/// seen, but for the packing buffers of products.
#[derive(Debug, Clone)]
pub struct FixedSteps<T: Number = f64> {
    steps: usize,
    /// Of the last way forward; 0 before.
    dim: usize,
    kinetic: f64,
    action: f64,
    pass: Pass<T>,
    /// Arguments of the stages: of the first rows all stages, of the next rows all stages, …
    stages: Vec<T>,
    /// Where the batch came to.
    end: Vec<T>,
    change: Vec<T>,
    by_start: Vec<T>,
    slopes: [Vec<T>; 4],
    by_slope: Vec<T>,
    by_trace: Vec<T>,
}

impl<T: Number> FixedSteps<T> {
    /// Rows that go through all steps together: their passes stay in the cache.
    pub const ROWS: usize = 64;

    /// # Errors
    /// No steps.
    pub fn new(steps: usize) -> Result<Self, Error> {
        if steps == 0 {
            return Err(Error::Setting {
                name: "steps",
                value: 0.0,
                rule: "must be at least 1",
            });
        }
        Ok(Self {
            steps,
            dim: 0,
            kinetic: 0.0,
            action: 0.0,
            pass: Pass::default(),
            stages: Vec::new(),
            end: Vec::new(),
            change: Vec::new(),
            by_start: Vec::new(),
            slopes: Default::default(),
            by_slope: Vec::new(),
            by_trace: Vec::new(),
        })
    }

    /// Adds `weight`·Σ ∫‖ψ‖² dt over the rows to the loss whose gradient [`backward`](Self::backward) takes. Of all ways to one
    /// law it prefers straight ones at even speed, which few steps follow well (Finlay, Jacobsen, Nurbekyan and Oberman, *How to train your
    /// neural ODE*, 2020).
    #[must_use]
    pub fn straightened(mut self, weight: f64) -> Self {
        self.kinetic = weight;
        self
    }

    /// Where the rows of `start` come to.
    ///
    /// # Errors
    /// Parts of rows.
    pub fn forward(&mut self, flow: &Flow<T>, start: &[T]) -> Result<&[T], Error> {
        flow.check_rows("start", start)?;
        let (shape, parameters) = flow.field();
        let dim = shape.dim();
        self.dim = dim;
        let h = 1.0 / self.steps as f64;
        self.end.clear();
        self.end.extend_from_slice(start);
        self.stages.resize(4 * self.steps * start.len(), T::ZERO);
        let chunk = Self::ROWS * dim;
        let rooms = self.stages.chunks_mut(4 * self.steps * chunk);
        for (z, stages) in self.end.chunks_mut(chunk).zip(rooms) {
            let len = z.len();
            for (step, stages) in stages.chunks_exact_mut(4 * len).enumerate() {
                for (s, argument) in stages.chunks_exact_mut(len).enumerate() {
                    argument.copy_from_slice(z);
                    if s > 0 {
                        let ahead = T::from_f64(h * STAGES[s].0);
                        let slope = &self.slopes[s - 1];
                        argument
                            .iter_mut()
                            .zip(slope)
                            .for_each(|(z, k)| *z += ahead * *k);
                    }
                    let t = h * (step as f64 + STAGES[s].0);
                    self.pass.forward(shape, parameters, t, argument, false);
                    self.slopes[s].clear();
                    self.slopes[s].extend_from_slice(&self.pass.field);
                }
                for (slope, (_, weight)) in self.slopes.iter().zip(STAGES) {
                    let weight = T::from_f64(h * weight);
                    z.iter_mut().zip(slope).for_each(|(z, k)| *z += weight * *k);
                }
            }
        }
        Ok(&self.end)
    }

    /// Where the rows came to.
    #[must_use]
    pub fn end(&self) -> &[T] {
        &self.end
    }

    /// −∫ tr ∂ψ/∂z dt along each row, by the same steps: what ln p changes by. Known after [`backward`](Self::backward), and
    /// there for rows whose ln p had a gradient; it may be 0 for others.
    #[must_use]
    pub fn change(&self) -> &[T] {
        &self.change
    }

    /// Σ ∫‖ψ‖² dt over the rows. Known after [`backward`](Self::backward).
    #[must_use]
    pub fn action(&self) -> f64 {
        self.action
    }

    /// From the gradients by the end of each row and by its ln p (one number a row; zeros without an entropy) that by the
    /// start, *through the path alone*: ln p of the start has its own. That by the weights is added to `gradient`.
    ///
    /// # Errors
    /// Lengths that are not those of the last way forward, or of the weights.
    pub fn backward(
        &mut self,
        flow: &Flow<T>,
        by_end: &[T],
        by_log_density: &[T],
        gradient: &mut [T],
    ) -> Result<&[T], Error> {
        let (shape, parameters) = flow.field();
        let by_change = by_log_density;
        if self.dim != shape.dim() {
            let found = format!("rows of {}", shape.dim());
            let expected = format!("the last way forward was of rows of {}", self.dim);
            return Err(Error::shape("flow", found, expected));
        }
        let whole = self.end.len();
        check_length("by_end", by_end.len(), whole)?;
        check_length("by_log_density", by_change.len(), whole / shape.dim())?;
        check_length("gradient", gradient.len(), parameters.len())?;
        let (dim, steps) = (shape.dim(), self.steps);
        let h = 1.0 / steps as f64;
        self.action = 0.0;
        self.by_start.clear();
        self.by_start.extend_from_slice(by_end);
        self.change.clear();
        self.change.resize(by_change.len(), T::ZERO);
        let chunk = Self::ROWS * dim;
        let rooms = self.stages.chunks(4 * steps * chunk);
        let chunks = self.by_start.chunks_mut(chunk).zip(rooms);
        let lines = self
            .change
            .chunks_mut(Self::ROWS)
            .zip(by_change.chunks(Self::ROWS));
        for ((by, stages), (change, by_change)) in chunks.zip(lines) {
            let len = by.len();
            let traced = by_change.iter().any(|b| *b != T::ZERO);
            for (step, stages) in stages.chunks_exact(4 * len).enumerate().rev() {
                let [by_stages, ..] = &mut self.slopes;
                by_stages.clear();
                by_stages.resize(len, T::ZERO);
                for (s, argument) in stages.chunks_exact(len).enumerate().rev() {
                    let (at, weight) = STAGES[s];
                    let weight = T::from_f64(h * weight);
                    self.by_slope.clear();
                    self.by_slope.extend(by.iter().map(|b| weight * *b));
                    if s < 3 {
                        // The next stage stood on this one's slope.
                        let ahead = T::from_f64(h * STAGES[s + 1].0);
                        let next = self.by_slope.iter_mut().zip(&self.pass.by_z);
                        next.for_each(|(b, n)| *b += ahead * *n);
                    }
                    self.by_trace.clear();
                    self.by_trace
                        .extend(by_change.iter().map(|b| -(weight * *b)));
                    let t = h * (step as f64 + at);
                    self.pass.forward(shape, parameters, t, argument, traced);
                    let push = T::from_f64(2.0 * h * STAGES[s].1 * self.kinetic);
                    let mut square = 0.0;
                    for (by, slope) in self.by_slope.iter_mut().zip(&self.pass.field) {
                        *by += push * *slope;
                        square += (*slope * *slope).wide();
                    }
                    self.action += h * STAGES[s].1 * square;
                    let traces = change.iter_mut().zip(&self.pass.trace);
                    traces.for_each(|(c, tr)| *c += -(weight * *tr));
                    self.pass.backward(
                        shape,
                        parameters,
                        &self.by_slope,
                        traced.then_some(&self.by_trace),
                        gradient,
                    );
                    let sums = by_stages.iter_mut().zip(&self.pass.by_z);
                    sums.for_each(|(s, b)| *s += *b);
                }
                by.iter_mut().zip(&*by_stages).for_each(|(b, s)| *b += *s);
            }
        }
        Ok(&self.by_start)
    }
}

pub(crate) fn check_length(
    argument: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let found = format!("{found} numbers");
    Err(Error::shape(
        argument,
        found,
        format!("{expected} are needed"),
    ))
}
