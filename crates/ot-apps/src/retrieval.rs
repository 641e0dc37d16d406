//! Image retrieval: a query belongs to the class of the model that it reaches at the least cost.
//!
//! Sources: Rubner, Tomasi and Guibas, *The earth mover's distance as a metric for image retrieval* (2000); 000,
//! equation IR.

use std::sync::Arc;

use solver_api::{Capability, Context, Cost, Solver};

use crate::class_models::ModelSet;
use crate::error::require;
use crate::search::{Answer, Search};
use crate::steps::{self, SoFar};
use crate::{Error, Images, scores};

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
    search: Search<'a>,
    models: ModelSet,
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
        on_pixels(cost.as_ref(), models.size())?;
        let targets = models.measures().to_vec();
        let search = Search::new(solver, cost, targets, score);
        Ok(Self { search, models })
    }

    /// Without leaving out models: every cost is solved for, one batch a query.
    #[must_use]
    pub fn exhaustive(self) -> Self {
        Self {
            search: self.search.exhaustive(),
            ..self
        }
    }

    /// The models.
    #[must_use]
    pub fn models(&self) -> &ModelSet {
        &self.models
    }

    /// The class of each of `queries`, and its costs. The observer of `context` hears of each query that is done.
    ///
    /// # Errors
    /// Images of another size than the models, what the solver refuses, a solve whose numbers failed, and
    /// [`Error::Stopped`] by the context.
    pub fn predict(&self, queries: &Images, context: &Context) -> Result<Retrieved, Error> {
        self.predict_so_far(queries, context)?.complete()
    }

    /// The same of as many of `queries` as were answered before a stop by the context.
    ///
    /// # Errors
    /// As [`Retrieval::predict`], but for the stop.
    pub fn predict_so_far(
        &self,
        queries: &Images,
        context: &Context,
    ) -> Result<SoFar<Retrieved>, Error> {
        queries.same_size("queries", "models", self.models.size())?;
        match self.search.prepare(context) {
            // Then no query is answered either.
            Err(error) if error.is_stop() && context.interrupted().is_some() => {}
            prepared => prepared?,
        }
        let answers = steps::run_so_far(context, "queries", queries.len(), |i, own| {
            self.search.nearest(&queries.measure(i)?, 1, own)
        })?;
        Ok(answers.map(|answers| self.retrieved(answers)))
    }

    fn retrieved(&self, answers: Vec<Answer>) -> Retrieved {
        let mut retrieved = Retrieved {
            predictions: Vec::with_capacity(answers.len()),
            nearest: Vec::with_capacity(answers.len()),
            costs: Vec::with_capacity(answers.len() * self.models.len()),
            models: self.models.len(),
            unconverged: 0,
            solver: String::new(),
        };
        for answer in answers {
            let nearest = answer.nearest();
            retrieved.predictions.push(self.models.labels()[nearest]);
            retrieved.nearest.push(nearest);
            retrieved.costs.extend(answer.costs);
            retrieved.unconverged += answer.unconverged;
            if retrieved.solver.is_empty() {
                retrieved.solver = answer.solver;
            }
        }
        retrieved
    }
}

/// An error unless `cost` is between the pixels of images of one size.
pub(crate) fn on_pixels(cost: &dyn Cost, (height, width): (usize, usize)) -> Result<(), Error> {
    let (n, m) = cost.shape();
    if (n, m) == (height * width, height * width) {
        return Ok(());
    }
    Err(Error::Shape {
        argument: "cost",
        found: n.saturating_mul(m),
        expected: format!("images of {height}×{width} need the square of their pixels"),
    })
}

/// What [`Retrieval::predict`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieved {
    predictions: Vec<i64>,
    nearest: Vec<usize>,
    costs: Vec<ModelCost>,
    models: usize,
    unconverged: usize,
    solver: String,
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

    /// Who solved: with a choice among backends, the one of the first solve; empty where no query was answered.
    #[must_use]
    pub fn solver(&self) -> &str {
        &self.solver
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
