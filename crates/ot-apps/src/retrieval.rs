//! Image retrieval: a query belongs to the class of the model that it reaches at the least cost.
//!
//! Sources: Rubner, Tomasi and Guibas, *The earth mover's distance as a metric for image retrieval* (2000); 000,
//! equation IR.

use std::sync::Arc;

use ot_kernels::exp;
use solver_api::transform::c_transform_to_target;
use solver_api::{
    Batch, Capability, Certify, Context, Cost, CostKind, DenseCost, Measure, Problem, Solution,
    Solver,
};

use crate::class_models::ModelSet;
use crate::error::require;
use crate::transport::checked;
use crate::{Error, Images, scores, steps};

/// Rounding of a lower bound, as a part of what it is a difference of: sums of as many terms as an image has pixels.
const SLACK: f64 = 1e-9;

/// The cost of a query to a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ModelCost {
    /// The score of the solver's answer, at mass 1.
    Solved(f64),
    /// The model was left out: a dual bound says that it costs this at least, more than the nearest model.
    AtLeast(f64),
}

impl ModelCost {
    /// The number, solved or not.
    #[must_use]
    pub fn value(self) -> f64 {
        let (Self::Solved(value) | Self::AtLeast(value)) = self;
        value
    }
}

/// What a query is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Score {
    /// ⟨P, C⟩ of the solver's plan.
    #[default]
    TransportCost,
    /// The objective: with the entropic term, where the solver has one. This is C_λ of 000, up to its reference.
    Objective,
}

/// The classifier argmin over models of the transport cost.
///
/// Needs [`Capability::Balanced`]. Where a dual bound holds for the score (for the cost of a solver with
/// [`Capability::Exact`], and for the objective of any with a⊗b for a reference) the models are asked one by one, the
/// most promising first, and not at all where they can't win; otherwise all of them make one batch with a shared cost.
/// Queries go side by side on the threads of the context.
#[derive(Clone)]
pub struct Retrieval<'a> {
    solver: &'a dyn Solver,
    cost: Arc<dyn Cost>,
    models: ModelSet,
    score: Score,
    exhaustive: bool,
    /// Feasible pairs from the mean of all models to each of them: the order in which they are asked.
    towards: Vec<Pair>,
}

impl<'a> Retrieval<'a> {
    /// Queries to `models` by `solver`, on pixels with `cost` (see [`pixel_cost`](crate::pixel_cost)).
    ///
    /// # Errors
    /// A solver without the capability, a cost between other than the pixels of the models, and what the solver refuses.
    pub fn new(
        solver: &'a dyn Solver,
        cost: Arc<dyn Cost>,
        models: ModelSet,
        score: Score,
    ) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        let (height, width) = models.size();
        let (n, m) = cost.shape();
        if (n, m) != (height * width, height * width) {
            return Err(Error::Shape {
                argument: "cost",
                found: n.saturating_mul(m),
                expected: format!("images of {height}×{width} need the square of their pixels"),
            });
        }
        let exact = solver.capabilities().has(Capability::Exact);
        let mut retrieval = Self {
            solver,
            cost,
            models,
            score,
            exhaustive: !(exact || score == Score::Objective),
            towards: Vec::new(),
        };
        if !retrieval.exhaustive {
            retrieval.towards = retrieval.pairs_of_the_mean()?;
        }
        Ok(retrieval)
    }

    /// Without leaving out models: every cost is solved for, one batch a query.
    #[must_use]
    pub fn exhaustive(mut self) -> Self {
        self.exhaustive = true;
        self
    }

    /// The models.
    #[must_use]
    pub fn models(&self) -> &ModelSet {
        &self.models
    }

    /// The class of each of `queries`, and its costs. The observer of `context` hears of each query that is done.
    ///
    /// # Errors
    /// Images of another size than the models, what the solver refuses, and a solve whose numbers failed.
    pub fn predict(&self, queries: &Images, context: &Context) -> Result<Retrieved, Error> {
        queries.same_size("queries", "models", self.models.size())?;
        let answers = steps::run(context, "queries", queries.len(), |i, own| {
            own.certify = Certify::Off;
            let query = Query::new(&queries.measure(i)?, &self.cost)?;
            if self.exhaustive {
                self.all_at_once(&query, own)
            } else {
                self.one_by_one(&query, own)
            }
        })?;
        let mut retrieved = Retrieved {
            predictions: Vec::with_capacity(answers.len()),
            nearest: Vec::with_capacity(answers.len()),
            costs: Vec::with_capacity(answers.len() * self.models.len()),
            models: self.models.len(),
            unconverged: 0,
        };
        for answer in answers {
            let nearest = nearest(&answer.costs);
            retrieved.predictions.push(self.models.labels()[nearest]);
            retrieved.nearest.push(nearest);
            retrieved.costs.extend(answer.costs);
            retrieved.unconverged += answer.unconverged;
        }
        Ok(retrieved)
    }

    fn score(&self, solution: &Solution) -> f64 {
        match self.score {
            Score::TransportCost => solution.transport_cost,
            Score::Objective => solution.objective,
        }
    }

    fn all_at_once(&self, query: &Query, context: &mut Context) -> Result<Answer, Error> {
        let batch = Batch::OneToMany {
            cost: Arc::clone(&query.cost),
            source: query.a.clone(),
            targets: self.models.measures().to_vec(),
        };
        let mut answer = Answer::default();
        for solution in self.solver.solve_batch(&batch, context) {
            let solution = answer.take(solution?)?;
            answer.costs.push(ModelCost::Solved(self.score(&solution)));
        }
        Ok(answer)
    }

    /// The model with the least bound is asked next; its potentials bound all others.
    fn one_by_one(&self, query: &Query, context: &mut Context) -> Result<Answer, Error> {
        let targets = self.models.measures();
        let a = query.a.weights();
        let bounds = targets.iter().zip(&self.towards);
        let bounds = bounds.map(|(b, pair)| ModelCost::AtLeast(pair.bound(&query.rows, a, b)));
        let mut answer = Answer {
            costs: bounds.collect(),
            unconverged: 0,
        };
        let own_rows: Vec<usize> = (0..a.len()).collect();
        let (mut best, mut margin) = (f64::INFINITY, 0.0_f64);
        while let Some(next) = next(&answer.costs, best + margin) {
            let b = &targets[next];
            let problem = Problem::new(query.a.clone(), b.clone(), Arc::clone(&query.cost))?;
            let solution = answer.take(self.solver.solve_with(&problem, context)?)?;
            let score = self.score(&solution);
            answer.costs[next] = ModelCost::Solved(score);
            best = best.min(score);
            let pair = Pair::new(query.cost.as_ref(), &solution, a);
            // A plan that misses its marginals may cost less than any that does not.
            let missed = solution.convergence.source_error + solution.convergence.target_error;
            margin = margin.max(2.0 * missed * pair.size);
            // With another reference than a⊗b the objective is not what the pair bounds, and nothing bounds the cost of an
            // entropic plan, which a choice among backends may come up with though one of them is exact.
            let foreign = self.score == Score::TransportCost && solution.reg > 0.0;
            if foreign || pair.bound(&own_rows, a, b) > score + margin {
                return self.all_at_once(query, context);
            }
            for (cost, b) in answer.costs.iter_mut().zip(targets) {
                if let ModelCost::AtLeast(bound) = cost {
                    *bound = bound.max(pair.bound(&own_rows, a, b));
                }
            }
        }
        Ok(answer)
    }

    /// Pairs from the mean of all models to each of them. Hard ones, which bound ⟨P, C⟩ and every objective.
    fn pairs_of_the_mean(&self) -> Result<Vec<Pair>, Error> {
        let targets = self.models.measures();
        let mut mean = vec![0.0; self.cost.shape().0];
        for b in targets {
            mean.iter_mut().zip(b.weights()).for_each(|(m, w)| *m += w);
        }
        let mean = Measure::named("models", mean)?.normalized();
        steps::run(&Context::default(), "models", targets.len(), |k, own| {
            own.certify = Certify::Off;
            let problem = Problem::new(mean.clone(), targets[k].clone(), Arc::clone(&self.cost))?;
            let solution = checked(self.solver.solve_with(&problem, own)?)?;
            Ok(Pair::everywhere(self.cost.as_ref(), solution.potentials.f))
        })
    }
}

/// The unsolved model with the least bound, unless it costs more than `most`.
fn next(costs: &[ModelCost], most: f64) -> Option<usize> {
    let mut next: Option<(usize, f64)> = None;
    for (k, cost) in costs.iter().enumerate() {
        if let ModelCost::AtLeast(bound) = *cost
            && bound <= most
            && next.is_none_or(|(_, least)| bound < least)
        {
            next = Some((k, bound));
        }
    }
    next.map(|(k, _)| k)
}

/// An image that asks: its pixels with weight, and the cost of those.
struct Query {
    a: Measure,
    /// Places of the weights of `a` among all pixels.
    rows: Vec<usize>,
    cost: Arc<dyn Cost>,
}

impl Query {
    /// Most of an image may be empty; of a matrix the other rows are left out once for all models.
    fn new(image: &Measure, cost: &Arc<dyn Cost>) -> Result<Self, Error> {
        let (n, m) = cost.shape();
        if !matches!(cost.kind(), CostKind::Dense(_)) || image.support_len() == n {
            return Ok(Self {
                a: image.clone(),
                rows: (0..n).collect(),
                cost: Arc::clone(cost),
            });
        }
        let weights = image.weights();
        let rows: Vec<usize> = (0..n).filter(|&i| weights[i] > 0.0).collect();
        let mut entries = vec![0.0; rows.len() * m];
        for (out, &i) in entries.chunks_exact_mut(m).zip(&rows) {
            cost.row(i, out);
        }
        let weights: Vec<f64> = rows.iter().map(|&i| weights[i]).collect();
        Ok(Self {
            a: Measure::named("queries", weights)?,
            cost: Arc::new(DenseCost::new(rows.len(), m, entries)?),
            rows,
        })
    }
}

/// Potentials whose ⟨f, a⟩ + ⟨g, b⟩ is a lower bound of the score, for one a and any b, or for any a and b.
#[derive(Clone, Debug)]
struct Pair {
    f: Vec<f64>,
    g: Vec<f64>,
    /// The largest of them.
    size: f64,
}

impl Pair {
    /// The best g beside the f of a solution from `a`. The transform is ours: whether the solver's own g is one is not
    /// taken for granted. Entropic ones, soft: g_j = −ε log Σ_i a_i exp((f_i − C_ij)/ε).
    fn new(cost: &dyn Cost, solution: &Solution, a: &[f64]) -> Self {
        let f = &solution.potentials.f;
        let mut g = c_transform_to_target(cost, f, |i| a[i] > 0.0);
        let reg = solution.reg;
        if reg > 0.0 {
            let mut sums = vec![0.0; g.len()];
            let mut row = vec![0.0; g.len()];
            for (i, (&f, &a)) in f.iter().zip(a).enumerate() {
                if !(a > 0.0 && f.is_finite()) {
                    continue;
                }
                cost.row(i, &mut row);
                for (c, g) in row.iter_mut().zip(&g) {
                    *c = (f + g - *c) / reg;
                }
                exp::exp_in_place(&mut row);
                sums.iter_mut().zip(&row).for_each(|(s, e)| *s += a * e);
            }
            g.iter_mut().zip(sums).for_each(|(g, s)| *g -= reg * s.ln());
        }
        Self::of(f.clone(), g)
    }

    fn everywhere(cost: &dyn Cost, f: Vec<f64>) -> Self {
        let g = c_transform_to_target(cost, &f, |_| true);
        Self::of(f, g)
    }

    fn of(f: Vec<f64>, g: Vec<f64>) -> Self {
        let finite = |v: &&f64| v.is_finite();
        let all = f.iter().chain(&g).filter(finite);
        let size = all.fold(0.0, |most: f64, v| most.max(v.abs()));
        Self { f, g, size }
    }

    /// The bound less what rounding may have added to it, for weights `a` at `rows`; −∞ where a potential of a weight is
    /// not finite.
    fn bound(&self, rows: &[usize], a: &[f64], b: &Measure) -> f64 {
        let sent: f64 = rows
            .iter()
            .zip(a)
            .map(|(&i, a)| product(self.f[i], *a))
            .sum();
        let received = self.g.iter().zip(b.weights());
        let received: f64 = received.map(|(g, b)| product(*g, *b)).sum();
        let bound = sent + received - 2.0 * SLACK * self.size;
        if bound.is_finite() {
            bound
        } else {
            f64::NEG_INFINITY
        }
    }
}

/// A potential times its weight, 0 where there is none.
fn product(potential: f64, weight: f64) -> f64 {
    if weight > 0.0 {
        potential * weight
    } else {
        0.0
    }
}

/// What came out for one query.
#[derive(Default)]
struct Answer {
    costs: Vec<ModelCost>,
    unconverged: usize,
}

impl Answer {
    fn take(&mut self, solution: Solution) -> Result<Solution, Error> {
        let solution = checked(solution)?;
        self.unconverged += usize::from(!solution.convergence.converged());
        Ok(solution)
    }
}

/// The model of the least solved cost, the first of equals.
fn nearest(costs: &[ModelCost]) -> usize {
    let mut best: Option<(usize, f64)> = None;
    for (k, cost) in costs.iter().enumerate() {
        if let ModelCost::Solved(cost) = *cost
            && best.is_none_or(|(_, least)| cost < least)
        {
            best = Some((k, cost));
        }
    }
    best.map_or(0, |(k, _)| k)
}

/// What [`Retrieval::predict`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieved {
    predictions: Vec<i64>,
    nearest: Vec<usize>,
    costs: Vec<ModelCost>,
    models: usize,
    unconverged: usize,
}

impl Retrieved {
    /// The class of each query.
    #[must_use]
    pub fn predictions(&self) -> &[i64] {
        &self.predictions
    }

    /// The nearest model of each query.
    #[must_use]
    pub fn nearest(&self) -> &[usize] {
        &self.nearest
    }

    /// The costs of query `i` to all models.
    ///
    /// # Panics
    /// If there is no such query.
    #[must_use]
    pub fn costs(&self, i: usize) -> &[ModelCost] {
        &self.costs[i * self.models..(i + 1) * self.models]
    }

    /// How many costs were solved for; the others were ruled out.
    #[must_use]
    pub fn solved(&self) -> usize {
        let solved = |c: &&ModelCost| matches!(c, ModelCost::Solved(_));
        self.costs.iter().filter(solved).count()
    }

    /// How many solves ended short of their tolerance; their costs were compared all the same.
    #[must_use]
    pub fn unconverged(&self) -> usize {
        self.unconverged
    }

    /// The part of the queries whose class is that of `labels`.
    ///
    /// # Errors
    /// Another number of labels than of queries.
    pub fn accuracy(&self, labels: &[i64]) -> Result<f64, Error> {
        scores::accuracy(&self.predictions, labels)
    }
}
