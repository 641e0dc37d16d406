//! The flow: a law on R^d as the image of N(0, I), with its density.

use ot_nn::{Layer, Network, Number};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use super::dormand_prince::{DormandPrince, Stages};
use super::field::{Pass, Shape};
use super::fixed_steps::check_length;
use crate::Error;

/// Rows that are integrated together: a step is as short as the worst of them needs it, and their passes stay in the cache.
const ROWS: usize = 128;

/// What the last layer's first weights are multiplied by: the flow starts as almost the identity.
const FIRST: f64 = 0.1;

/// dz/dt = ψ(z, t) from t = 0, where z is N(0, I), to t = 1, where z = (x_1, …, x_m) is a joint sample of m marginals.
///
/// ψ is a tanh perceptron, the [`Network`], on rows (z, t). The way is one to one, so that the joint law has a density
/// everywhere, and [`pull`](Self::pull) has it at any point.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow<T: Number = f64> {
    network: Network<T>,
    dims: Vec<usize>,
    shape: Shape,
}

/// Rows with the logarithm of the joint density.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// Where the rows came to, row by row.
    pub rows: Vec<f64>,
    /// ln p of the joint law at its end of the way, t = 1.
    pub log_density: Vec<f64>,
}

impl<T: Number> Flow<T> {
    /// Of a network from d + 1 numbers (z, t) to d: linear layers with tanh between, none of them normalized. `dims` are the
    /// dimensions of the marginals, whose sum is d.
    ///
    /// # Errors
    /// Another chain of layers, and dimensions that do not sum to d.
    pub fn new(network: Network<T>, dims: &[usize]) -> Result<Self, Error> {
        let shape = Shape::of(&network)?;
        if dims.iter().sum::<usize>() != shape.dim() || dims.contains(&0) {
            let expected = format!("they share rows of {}", shape.dim());
            return Err(Error::shape("dims", format!("{dims:?}"), expected));
        }
        Ok(Self {
            network,
            dims: dims.to_vec(),
            shape,
        })
    }

    /// With `depth` hidden layers of `hidden` units, drawn by `seed`; almost the identity at first.
    ///
    /// # Errors
    /// No marginals, no layers, no units.
    pub fn perceptron(
        dims: &[usize],
        hidden: usize,
        depth: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        let dim: usize = dims.iter().sum();
        let mut layers = Vec::with_capacity(2 * depth + 1);
        let mut width = dim + 1;
        for _ in 0..depth {
            layers.push(Layer::linear(width, hidden));
            layers.push(Layer::Tanh);
            width = hidden;
        }
        layers.push(Layer::linear(width, dim));
        let mut network = Network::new(&layers, seed)?;
        let last = network.weights().last().unwrap_or(0..0);
        let first = T::from_f64(FIRST);
        network.parameters_mut()[last]
            .iter_mut()
            .for_each(|w| *w *= first);
        Self::new(network, dims)
    }

    /// Length of the rows.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.shape.dim()
    }

    /// Dimensions of the marginals.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// ψ.
    #[must_use]
    pub fn network(&self) -> &Network<T> {
        &self.network
    }

    /// The weights of ψ, to be moved.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        self.network.parameters_mut()
    }

    pub(crate) fn network_mut(&mut self) -> &mut Network<T> {
        &mut self.network
    }

    /// The same flow in another number type.
    #[must_use]
    pub fn cast<U: Number>(&self) -> Flow<U> {
        Flow {
            network: self.network.cast(),
            dims: self.dims.clone(),
            shape: self.shape.clone(),
        }
    }

    pub(crate) fn field(&self) -> (&Shape, &[T]) {
        (&self.shape, self.network.parameters())
    }

    /// ψ(z, t) and tr ∂ψ/∂z of every row of `z`.
    ///
    /// # Errors
    /// Parts of rows.
    pub fn velocity(&self, z: &[T], t: f64) -> Result<(Vec<T>, Vec<T>), Error> {
        self.check_rows("z", z)?;
        let mut pass = Pass::default();
        pass.forward(&self.shape, self.network.parameters(), t, z, true);
        Ok((pass.field, pass.trace))
    }

    pub(crate) fn check_rows(&self, argument: &'static str, rows: &[T]) -> Result<(), Error> {
        if !rows.len().is_multiple_of(self.dim()) {
            let expected = format!("rows of {} take a multiple of that many", self.dim());
            let found = format!("{} numbers", rows.len());
            return Err(Error::shape(argument, found, expected));
        }
        match rows.iter().position(|z| !z.is_finite()) {
            Some(place) => Err(Error::NotFinite {
                argument,
                place,
                value: rows[place].wide(),
            }),
            None => Ok(()),
        }
    }
}

impl Flow<f64> {
    /// Takes rows from t = 0 to 1: latent variables to joint samples, with ln p of each.
    ///
    /// Time: six passes with d tangents a step of [`DormandPrince`]; memory: a small multiple of the rows.
    ///
    /// # Errors
    /// Parts of rows, numbers that are not finite, and what the integration refuses.
    pub fn push(&self, z: &[f64], by: &DormandPrince) -> Result<Carried, Error> {
        self.check_rows("z", z)?;
        let (rows, change) = self.carry(z, (0.0, 1.0), by)?;
        let start = z.chunks_exact(self.dim()).map(log_normal);
        let log_density = start.zip(change).map(|(p, c)| p + c).collect();
        Ok(Carried { rows, log_density })
    }

    /// Takes rows from t = 1 back to 0: points of the joint law to their latent variables, with ln p of the joint law *at the
    /// points*: ln N(z) − ∫ tr ∂ψ/∂z dt.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn pull(&self, x: &[f64], by: &DormandPrince) -> Result<Carried, Error> {
        self.check_rows("x", x)?;
        let (rows, change) = self.carry(x, (1.0, 0.0), by)?;
        let start = rows.chunks_exact(self.dim()).map(log_normal);
        // On the way back the integral has the other sign.
        let log_density = start.zip(change).map(|(p, c)| p - c).collect();
        Ok(Carried { rows, log_density })
    }

    /// `count` joint samples with their ln p.
    ///
    /// # Errors
    /// What the integration refuses.
    pub fn sample(&self, count: usize, seed: u64, by: &DormandPrince) -> Result<Carried, Error> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let z: Vec<f64> = (0..count * self.dim())
            .map(|_| rng.sample(StandardNormal))
            .collect();
        self.push(&z, by)
    }

    /// Rows, and −∫ tr dt in the direction of `times`.
    fn carry(
        &self,
        start: &[f64],
        times: (f64, f64),
        by: &DormandPrince,
    ) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let dim = self.dim();
        let (mut pass, mut stages) = (Pass::default(), Stages::default());
        let (mut rows, mut change) = (Vec::with_capacity(start.len()), Vec::new());
        let mut state = Vec::new();
        for start in start.chunks(ROWS * dim) {
            state.clear();
            state.extend_from_slice(start);
            state.resize(start.len() + start.len() / dim, 0.0);
            let parameters = self.network.parameters();
            let mut slope = |t: f64, state: &[f64], out: &mut [f64]| {
                let (z, _) = state.split_at(start.len());
                pass.forward(&self.shape, parameters, t, z, true);
                let (by_z, by_change) = out.split_at_mut(start.len());
                by_z.copy_from_slice(&pass.field);
                for (c, tr) in by_change.iter_mut().zip(&pass.trace) {
                    *c = -tr;
                }
            };
            by.integrate(&mut slope, times, &mut state, &mut stages)?;
            rows.extend_from_slice(&state[..start.len()]);
            change.extend_from_slice(&state[start.len()..]);
        }
        Ok((rows, change))
    }

    /// The adjoint method: the gradient of a loss of the ends and of ln p by the start and by the weights, from the ends
    /// alone. One equation from t = 1 back to 0 has the way z, a = ∂L/∂z, and the integral of the gradient (see the
    /// [module](super)); nothing of the way forward is kept. `by_log_density` has one number a row. The gradient by the weights
    /// is added to `gradient`; that by the start, which is returned, is *through the path alone*.
    ///
    /// Memory: nine times as many numbers as the batch and the weights have.
    ///
    /// # Errors
    /// Lengths that do not fit, numbers that are not finite, and what the integration refuses.
    pub fn adjoint(
        &self,
        end: &[f64],
        by_end: &[f64],
        by_log_density: &[f64],
        by: &DormandPrince,
        gradient: &mut [f64],
    ) -> Result<Vec<f64>, Error> {
        self.check_rows("end", end)?;
        let (shape, parameters) = self.field();
        let (len, weights) = (end.len(), parameters.len());
        check_length("by_end", by_end.len(), len)?;
        check_length("by_log_density", by_log_density.len(), len / self.dim())?;
        check_length("gradient", gradient.len(), weights)?;
        // L sees the trace through ln p = … − ∫ tr.
        let by_trace: Vec<f64> = by_log_density.iter().map(|b| -b).collect();
        let mut pass = Pass::default();
        let mut state = [end, by_end].concat();
        state.resize(2 * len + weights, 0.0);
        let mut slope = |t: f64, state: &[f64], out: &mut [f64]| {
            let (z, rest) = state.split_at(len);
            let (by_z, by_rest) = out.split_at_mut(len);
            let (by_a, by_weights) = by_rest.split_at_mut(len);
            by_weights.fill(0.0);
            pass.forward(shape, parameters, t, z, true);
            by_z.copy_from_slice(&pass.field);
            pass.backward(shape, parameters, &rest[..len], Some(&by_trace), by_weights);
            for (out, by) in by_a.iter_mut().zip(&pass.by_z) {
                *out = -by;
            }
            by_weights.iter_mut().for_each(|g| *g = -*g);
        };
        by.integrate(&mut slope, (1.0, 0.0), &mut state, &mut Stages::default())?;
        let sums = gradient.iter_mut().zip(&state[2 * len..]);
        sums.for_each(|(g, s)| *g += s);
        state.truncate(2 * len);
        Ok(state.split_off(len))
    }
}

/// ln of the density of N(0, I).
pub(crate) fn log_normal<T: Number>(z: &[T]) -> f64 {
    let square: f64 = z.iter().map(|z| z.wide().powi(2)).sum();
    -0.5 * (square + z.len() as f64 * (2.0 * std::f64::consts::PI).ln())
}
