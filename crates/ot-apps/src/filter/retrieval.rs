//! A filter before retrieval: queries and models are filtered, and are measures afterwards.
//!
//! Two steps make a measure of a filtered image, both differentiable: the weights of the filter are positive, the softmax
//! of free numbers θ, so that f∗x ≥ 0 wherever x is, and the mass is divided out, a = (f∗x)/Σ(f∗x). With d_k the
//! objective of the transport from query to model k, a query is of class c with the probability
//! p(c) ∝ Σ_{k of c} exp(−d_k/t), and −log p of its label is what to lower. In costs the derivative needs no system: by
//! the envelope theorem ∂d_k/∂(a, b) are the potentials, for exact solvers too.

use std::sync::Arc;

use ot_gradients::objective;
use solver_api::{Capability, Certify, Context, Cost, Measure, Problem, Solver};

use super::Filter;
use crate::class_models::ModelSet;
use crate::error::require;
use crate::images::by_class;
use crate::{Error, Images, steps};

impl Filter {
    /// exp(θ) over their sum: positive weights that add up to 1.
    ///
    /// # Errors
    /// As [`Filter::new`]; numbers so far apart that a weight is 0 are fine.
    pub fn softmax(side: usize, theta: &[f64]) -> Result<Self, Error> {
        let most = theta.iter().fold(f64::NEG_INFINITY, |most, t| most.max(*t));
        let weights: Vec<f64> = theta.iter().map(|t| (t - most).exp()).collect();
        Ok(Self::new(side, weights)?.normalized())
    }
}

/// −log p of the labels, the mean over the queries, as a function of a filter without negative weights.
///
/// Needs [`Capability::Balanced`]; gradients need a converged solve.
pub struct RetrievalLoss<'a> {
    solver: &'a dyn Solver,
    cost: Arc<dyn Cost>,
    temperature: f64,
    queries: Images,
    labels: Vec<i64>,
    models: Images,
    model_labels: Vec<i64>,
}

/// What one query adds: its loss, and the derivatives in the pixels of the filtered query and of all filtered models.
struct Part {
    loss: f64,
    query: Vec<f64>,
    models: Vec<f64>,
}

impl<'a> RetrievalLoss<'a> {
    /// Of `queries` with their labels to `models` by `solver`, on pixels with `cost` (see
    /// [`pixel_cost`](crate::pixel_cost)); `temperature` is t, in units of the cost.
    ///
    /// # Errors
    /// A solver without the capability, a temperature that is not positive, labels missing, one class only, a class
    /// without models, images of another size than the models, a cost between other pixels.
    pub fn new(
        solver: &'a dyn Solver,
        cost: Arc<dyn Cost>,
        temperature: f64,
        (queries, labels): (Images, &[i64]),
        models: &ModelSet,
    ) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        if !(temperature > 0.0 && temperature.is_finite()) {
            let rule = "must be positive and finite";
            return Err(Error::setting("temperature", temperature, rule));
        }
        queries.same_size("queries", "models", models.size())?;
        let classes: Vec<i64> = by_class(labels, queries.len())?.into_keys().collect();
        models.require_classes(&classes)?;
        let (cells, (n, m)) = (queries.cells(), cost.shape());
        if (n, m) != (cells, cells) {
            return Err(Error::Shape {
                argument: "cost",
                found: n.saturating_mul(m),
                expected: format!("images of {cells} pixels need the square of that"),
            });
        }
        let pixels = models.measures().iter().flat_map(|m| m.weights().to_vec());
        Ok(Self {
            solver,
            cost,
            temperature,
            models: Images::new("models", models.size(), pixels.collect::<Vec<_>>())?,
            model_labels: models.labels().to_vec(),
            queries,
            labels: labels.to_vec(),
        })
    }

    /// The mean of −log p, and its derivative in the weights of the filter: a solve for each query and model, side by
    /// side on the threads of `context`. Memory: queries × models × pixels × 8 bytes.
    ///
    /// # Errors
    /// A negative weight, a filtered image of which nothing is left, what the solver refuses, and solves that did not
    /// converge.
    pub fn gradient(&self, filter: &Filter, context: &Context) -> Result<(f64, Vec<f64>), Error> {
        if let Some(at) = filter.weights().iter().position(|w| *w < 0.0) {
            let name = format!("weights[{at}]");
            let rule = "must not be negative: filtered images are measures here";
            return Err(Error::setting(&name, filter.weights()[at], rule));
        }
        let (queries, models) = (filter.images(&self.queries)?, filter.images(&self.models)?);
        let targets = (0..models.len()).map(|k| models.measure(k));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        let parts = steps::run(context, "queries", queries.len(), |i, own| {
            own.certify = Certify::Off;
            self.part(i, queries.measure(i)?, &targets, own)
        })?;
        let (mut loss, mut by_query) = (0.0, Vec::with_capacity(queries.pixels().len()));
        let mut by_model = vec![0.0; models.pixels().len()];
        let share = 1.0 / queries.len() as f64;
        for part in parts {
            loss += share * part.loss;
            by_query.extend(part.query.iter().map(|g| share * g));
            for (sum, g) in by_model.iter_mut().zip(part.models) {
                *sum += share * g;
            }
        }
        let mut out = vec![0.0; filter.weights().len()];
        for (filtered, images, by_weight) in [
            (&queries, &self.queries, &mut by_query),
            (&models, &self.models, &mut by_model),
        ] {
            let cells = filtered.cells();
            for (i, g) in by_weight.chunks_exact_mut(cells).enumerate() {
                through_mass(filtered.image(i), g);
            }
            filter.pull_back(images, by_weight, &mut out);
        }
        Ok((loss, out))
    }

    /// The mean of −log p.
    ///
    /// # Errors
    /// As [`RetrievalLoss::gradient`].
    pub fn value(&self, filter: &Filter, context: &Context) -> Result<f64, Error> {
        Ok(self.gradient(filter, context)?.0)
    }

    fn part(
        &self,
        i: usize,
        query: Measure,
        targets: &[Measure],
        context: &mut Context,
    ) -> Result<Part, Error> {
        let cells = query.len();
        let mut costs = Vec::with_capacity(targets.len());
        let mut slopes = Vec::with_capacity(targets.len());
        for target in targets {
            let problem = Problem::new(query.clone(), target.clone(), Arc::clone(&self.cost))?;
            let solution = self.solver.solve_with(&problem, context)?;
            costs.push(solution.objective / self.temperature);
            slopes.push(objective::weights(&problem, &solution)?);
        }
        // Weights of the models by e^{−d/t}, among all and among those of the label.
        let least = |own: bool| {
            let of = costs.iter().zip(&self.model_labels);
            let of = of.filter(move |(_, label)| !own || **label == self.labels[i]);
            of.fold(f64::INFINITY, |least, (d, _)| least.min(*d))
        };
        let lows = [least(false), least(true)];
        let sum = |own: bool, low: f64| {
            let of = costs.iter().zip(&self.model_labels);
            let of = of.filter(move |(_, label)| !own || **label == self.labels[i]);
            of.map(|(d, _)| (low - d).exp()).sum::<f64>()
        };
        let sums = [sum(false, lows[0]), sum(true, lows[1])];
        let mut part = Part {
            loss: (sums[0].ln() - lows[0]) - (sums[1].ln() - lows[1]),
            query: vec![0.0; cells],
            models: Vec::with_capacity(targets.len() * cells),
        };
        for ((d, label), slope) in costs.iter().zip(&self.model_labels).zip(&slopes) {
            let among_all = (lows[0] - d).exp() / sums[0];
            let own = if *label == self.labels[i] {
                (lows[1] - d).exp() / sums[1]
            } else {
                0.0
            };
            // ∂loss/∂d.
            let by_cost = (own - among_all) / self.temperature;
            for (out, f) in part.query.iter_mut().zip(&slope.a) {
                *out += by_cost * f;
            }
            part.models.extend(slope.b.iter().map(|g| by_cost * g));
        }
        Ok(part)
    }
}

/// A derivative in a = r/Σr as one in r: (∂a_p − ⟨∂a, a⟩)/Σr; pixels that stay 0 have none.
fn through_mass(r: &[f64], by_weight: &mut [f64]) {
    let mass: f64 = r.iter().sum();
    let pairs = || r.iter().zip(&*by_weight).filter(|(r, _)| **r > 0.0);
    let mean = pairs().map(|(r, g)| r * g).sum::<f64>() / mass;
    for (r, g) in r.iter().zip(by_weight) {
        *g = if *r > 0.0 { (*g - mean) / mass } else { 0.0 };
    }
}
