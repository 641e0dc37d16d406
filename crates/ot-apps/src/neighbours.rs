//! k-nearest neighbours by transport cost.
//!
//! Sources: 004 (classification by transport distances); Pele and Werman, *Fast and robust earth mover's distances* (2009),
//! and Kusner et al., *From word embeddings to document distances* (2015), for neighbours without solving for all.

use std::sync::Arc;

use solver_api::{Capability, Context, Cost, Solver};

use crate::error::require;
use crate::images::by_class;
use crate::retrieval::{ModelCost, Score, on_pixels};
use crate::search::{Answer, Search};
use crate::steps::{self, SoFar};
use crate::{Error, Images, scores};

/// The classifier by a vote of the k nearest training images.
///
/// Needs [`Capability::Balanced`]. Where dual bounds hold for the score (see [`Retrieval`](crate::Retrieval)), images that
/// can't be among the nearest are not solved for; the answer is the same. Fitting solves once for each training image,
/// predicting for a few of them each query: time grows with N for the bounds, of some hundred operations each.
#[derive(Clone)]
pub struct Neighbours<'a> {
    solver: &'a dyn Solver,
    cost: Arc<dyn Cost>,
    score: Score,
    count: usize,
    exhaustive: bool,
}

impl<'a> Neighbours<'a> {
    /// `count` neighbours by `solver`, on pixels with `cost` (see [`pixel_cost`](crate::pixel_cost)).
    ///
    /// # Errors
    /// A solver without the capability, and no neighbour.
    pub fn new(
        solver: &'a dyn Solver,
        cost: Arc<dyn Cost>,
        count: usize,
        score: Score,
    ) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        if count == 0 {
            return Err(Error::setting("neighbours", count, "must be 1 or more"));
        }
        Ok(Self {
            solver,
            cost,
            score,
            count,
            exhaustive: false,
        })
    }

    /// Without leaving out images: every cost is solved for, one batch a query.
    #[must_use]
    pub fn exhaustive(mut self) -> Self {
        self.exhaustive = true;
        self
    }

    /// Keeps `images` and their classes, and bounds them. The observer of `context` hears of each image.
    ///
    /// # Errors
    /// A cost between other than their pixels, not a label each, one class only, fewer images than neighbours, and what
    /// the solver refuses.
    pub fn fit(
        &self,
        images: &Images,
        labels: &[i64],
        context: &Context,
    ) -> Result<FittedNeighbours<'a>, Error> {
        by_class(labels, images.len())?;
        on_pixels(self.cost.as_ref(), images.size())?;
        if self.count > images.len() {
            let rule = format!("must be at most the {} images", images.len());
            return Err(Error::setting("neighbours", self.count, &rule));
        }
        let measures: Result<_, _> = (0..images.len()).map(|i| images.measure(i)).collect();
        let cost = Arc::clone(&self.cost);
        let search = Search::new(self.solver, cost, measures?, self.score);
        search.prepare(context)?;
        Ok(FittedNeighbours {
            search: if self.exhaustive {
                search.exhaustive()
            } else {
                search
            },
            labels: labels.to_vec(),
            size: images.size(),
            count: self.count,
        })
    }
}

/// [`Neighbours`] with what they are chosen from.
#[derive(Clone)]
pub struct FittedNeighbours<'a> {
    search: Search<'a>,
    labels: Vec<i64>,
    size: (usize, usize),
    count: usize,
}

impl FittedNeighbours<'_> {
    /// The class of each of `queries`: the one with most of the neighbours, of equals that of the nearest. The observer of
    /// `context` hears of each query that is done.
    ///
    /// # Errors
    /// Images of another size, what the solver refuses, a solve whose numbers failed, and [`Error::Stopped`] by the context.
    pub fn predict(&self, queries: &Images, context: &Context) -> Result<Voted, Error> {
        self.predict_so_far(queries, context)?.complete()
    }

    /// The same of as many of `queries` as were answered before a stop by the context.
    ///
    /// # Errors
    /// As [`FittedNeighbours::predict`], but for the stop.
    pub fn predict_so_far(
        &self,
        queries: &Images,
        context: &Context,
    ) -> Result<SoFar<Voted>, Error> {
        queries.same_size("queries", "train", self.size)?;
        let answers = steps::run_so_far(context, "queries", queries.len(), |i, own| {
            let answer = self.search.nearest(&queries.measure(i)?, self.count, own)?;
            Ok((self.sorted(&answer), answer))
        })?;
        Ok(answers.map(|answers| self.voted(answers)))
    }

    fn voted(&self, answers: Vec<(Vec<(usize, f64)>, Answer)>) -> Voted {
        let mut voted = Voted {
            predictions: Vec::with_capacity(answers.len()),
            neighbours: Vec::with_capacity(answers.len()),
            solved: 0,
            unconverged: 0,
        };
        for (nearest, answer) in answers {
            voted.predictions.push(self.vote(&nearest));
            voted.neighbours.push(nearest);
            let solved = |cost: &&ModelCost| matches!(cost, ModelCost::Solved(_));
            voted.solved += answer.costs.iter().filter(solved).count();
            voted.unconverged += answer.unconverged;
        }
        voted
    }

    /// The nearest, with their costs, the nearest first.
    fn sorted(&self, answer: &Answer) -> Vec<(usize, f64)> {
        let solved = answer.costs.iter().enumerate();
        let mut nearest: Vec<_> = solved
            .filter_map(|(k, cost)| match cost {
                ModelCost::Solved(cost) => Some((k, *cost)),
                ModelCost::AtLeast(_) => None,
            })
            .collect();
        nearest.sort_by(|x, y| x.1.total_cmp(&y.1).then(x.0.cmp(&y.0)));
        nearest.truncate(self.count);
        nearest
    }

    fn vote(&self, nearest: &[(usize, f64)]) -> i64 {
        let votes = |class: i64| nearest.iter().filter(|n| self.labels[n.0] == class).count();
        let mut winner = (0, 0);
        for &(k, _) in nearest {
            let class = self.labels[k];
            if votes(class) > winner.1 {
                winner = (class, votes(class));
            }
        }
        winner.0
    }
}

/// What [`FittedNeighbours::predict`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Voted {
    predictions: Vec<i64>,
    neighbours: Vec<Vec<(usize, f64)>>,
    solved: usize,
    unconverged: usize,
}

impl Voted {
    /// The class of each query.
    #[must_use]
    pub fn predictions(&self) -> &[i64] {
        &self.predictions
    }

    /// The neighbours of each query among the training images and their costs, the nearest first.
    #[must_use]
    pub fn neighbours(&self) -> &[Vec<(usize, f64)>] {
        &self.neighbours
    }

    /// How many costs were solved for; the others were ruled out.
    #[must_use]
    pub fn solved(&self) -> usize {
        self.solved
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
